"""``zkpy cleanup``: remove old snapshots and logs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``zkpy cleanup``."""
    parser.description = (
        "Remove snapshots and logs that no recovery needs: the newest COUNT snapshots that are whole stay, "
        "and every log that may hold a transaction after the oldest of them. A running server is not "
        "disturbed."
    )
    parser.epilog = "Exit status: 0, also when there was nothing to remove; 2 bad usage or no such directory."
    parser.add_argument("data_dir", nargs="?", metavar="DATADIR", help="the dataDir of zoo.cfg")
    parser.add_argument("log_dir", nargs="?", metavar="LOGDIR", help="the dataLogDir, if there is one")
    parser.add_argument("--config", metavar="zoo.cfg", help="take the directories from this file")
    parser.add_argument(
        "-n",
        dest="count",
        type=_count,
        metavar="COUNT",
        help="snapshots to keep, at least 3 (with --config: autopurge.snapRetainCount)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' can not be parsed to integer") from None


def run(args: argparse.Namespace) -> int:
    """Clean up; returns the exit status."""
    from zkpy.toolkit.console import guarded

    return guarded("cleanup", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    from zkpy.realports import RealDisk
    from zkpy.toolkit.cleanup import Places, cleanup, from_config
    from zkpy.toolkit.console import ToolError

    if (args.config is None) == (args.data_dir is None):
        raise ToolError("name either a data directory or --config zoo.cfg")
    if args.config is not None:
        places = from_config(args.config)
    else:
        places = Places(args.data_dir, args.log_dir or args.data_dir)
    keep = places.keep if args.count is None else args.count
    if keep is None:
        raise ToolError("say with -n how many snapshots to keep")
    with RealDisk() as disk:
        return cleanup(disk, places, keep, dry_run=args.dry_run)
