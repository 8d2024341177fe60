"""The ``zkpy`` command: each subcommand is a module of this package, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Final

COMMANDS: Final = {
    "serve": "run a server",
    "ensemble": "run several servers together on this machine; show how they are",
    "log": "who changed what and when, from the transaction logs; check and save them",
    "snapshot": "look at snapshots, compare, check, convert and take them",
    "cleanup": "remove old snapshots and logs",
    "compare": "answer as zkpy does, and report where a real server answers differently",
}
"""Subcommand and what it is for; its module has ``add_arguments(parser)``, and ``run(args)`` for the status.

It may have ``take_rest(args, rest)`` for arguments that argparse left over; true if it took them.
"""


EXIT_INTERRUPTED: Final = 130
"""As shells have it for a program that Ctrl-C ended."""


def build_parser(argv: list[str]) -> argparse.ArgumentParser:
    """All commands, and the options of the one that *argv* names: nothing else is loaded."""
    from zkpy import COMPATIBLE_WITH, __version__

    parser = argparse.ArgumentParser(prog="zkpy", description="A ZooKeeper server in Python.")
    parser.add_argument(
        "--version", action="version", version=f"zkpy {__version__} (as ZooKeeper {COMPATIBLE_WITH})"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if name == wanted:
            module = import_module(f"zkpy.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run, take_rest=getattr(module, "take_rest", None))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return _main(argv)
    except KeyboardInterrupt:  # before the command sees to signals itself
        return EXIT_INTERRUPTED


def _main(argv: list[str] | None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    parser = build_parser(arguments)
    args, rest = parser.parse_known_args(arguments)
    if rest and not (args.take_rest and args.take_rest(args, rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    status: int = args.run(args)
    return status
