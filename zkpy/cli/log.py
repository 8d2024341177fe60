"""``zkpy log``: who changed what and when, from the transaction logs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zkpy.toolkit.logview import View


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``zkpy log``."""
    parser.description = (
        "Print transaction logs, one line per transaction; of a data directory all log files in zxid order. "
        "With --verify or --salvage check them or save what stands before a damage. Files are only read."
    )
    parser.epilog = (
        "A WHEN is a time (2024-05-01T12:00:00, local unless it has an offset or --utc is given), how long "
        "ago (10m, 2h, 1d) or a zxid (0x1f). Exit status: 0 sound, 1 damage was found, 2 bad usage or "
        "nothing there."
    )
    parser.add_argument("paths", nargs="+", metavar="FILE|DIR", help="log files or data directories")
    chosen = parser.add_argument_group("which transactions")
    chosen.add_argument(
        "--path", metavar="PATH", help="those that create, change, check or delete this znode"
    )
    chosen.add_argument("--below", action="store_true", help="with --path: and everything below it")
    chosen.add_argument("--since", metavar="WHEN", help="from then on")
    chosen.add_argument("--until", metavar="WHEN", help="up to then")
    chosen.add_argument("--session", metavar="0xID", help="those of this session")
    chosen.add_argument("--op", metavar="OP[,OP]", help="create, delete, setData, setACL, multi, error, ...")
    few = chosen.add_mutually_exclusive_group()
    few.add_argument("--limit", type=_positive, default=0, metavar="N", help="the first N only")
    few.add_argument("--tail", type=_positive, default=0, metavar="N", help="the last N only")
    shown = parser.add_argument_group("how")
    shown.add_argument("--json", action="store_true", help="one JSON object per line, with everything")
    shown.add_argument("--utc", action="store_true", help="times in UTC")
    shown.add_argument(
        "--digest", action="store_true", help="the tree's digest, too; with --verify: check it"
    )
    shown.add_argument("--data", default="64", metavar="BYTES", help="data shown per znode: 64, 0 or all")
    shown.add_argument("--follow", "-f", action="store_true", help="then wait for new ones, until Ctrl-C")
    task = parser.add_argument_group("instead of printing").add_mutually_exclusive_group()
    task.add_argument("--verify", action="store_true", help="check every entry, the order and the gaps")
    task.add_argument(
        "--salvage", metavar="OUT", help="copy what stands before the damage into the new file OUT"
    )
    parser.add_argument(
        "--snapshots", metavar="DIR", help="for --verify: the dataDir, if the logs have their own"
    )
    parser.add_argument(
        "--jute-maxbuffer",
        type=_positive,
        default=0xFFFFF,
        metavar="BYTES",
        help="the server's jute.maxbuffer, if it was raised; entries may be twice as long",
    )


def _positive(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = 0
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def run(args: argparse.Namespace) -> int:
    """Do what is asked; returns the exit status."""
    from zkpy.toolkit.console import guarded

    return guarded("log", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    from zkpy.realports import RealDisk
    from zkpy.toolkit.console import ToolError

    if args.follow and (args.verify or args.salvage):
        raise ToolError("--follow goes with neither --verify nor --salvage")
    if args.verify or args.salvage:
        names = ("path", "below", "since", "until", "session", "op", "limit", "tail", "json")
        unused = ", ".join(f"--{name}" for name in names if getattr(args, name))
        if unused:
            raise ToolError(f"{unused}: a check or a copy is of whole logs; leave that out")
    with RealDisk() as disk:
        if args.salvage:
            from zkpy.toolkit.salvage import salvage

            if len(args.paths) != 1:
                raise ToolError("--salvage takes one log file")
            return salvage(disk, args.paths[0], args.salvage, 2 * args.jute_maxbuffer)
        if args.verify:
            from zkpy.toolkit.logverify import verify_logs

            return verify_logs(disk, args.paths, args.snapshots, args.digest, 2 * args.jute_maxbuffer)
        from zkpy.toolkit.logview import print_logs

        view = _view(args)
        status = print_logs(disk, view, args.paths, follow=args.follow)
        if args.follow:
            from zkpy.toolkit.follow import follow

            return follow(disk, view, args.paths)
        return status


def _view(args: argparse.Namespace) -> View:
    from zkpy.realports import wall_ms
    from zkpy.toolkit.console import ToolError
    from zkpy.toolkit.logview import View
    from zkpy.toolkit.render import Clock, path_bytes
    from zkpy.toolkit.transactions import Choice, Moment, moment, op_codes

    now = wall_ms()
    if args.below and args.path is None:
        raise ToolError("--below goes with --path")
    path = None if args.path is None else path_bytes(args.path.rstrip("/") or "/")
    if path is not None and not path.startswith(b"/"):
        raise ToolError(f"--path {args.path}: a znode's path begins with /")
    return View(
        Choice(
            since=moment(args.since, now, args.utc) if args.since else Moment(),
            until=moment(args.until, now, args.utc) if args.until else Moment(),
            session=_session(args.session) if args.session else None,
            ops=op_codes(args.op) if args.op else None,
            path=path,
            below=args.below,
        ),
        Clock(args.utc),
        as_json=args.json,
        data_limit=_data_limit(args.data),
        digest=args.digest,
        limit=args.limit,
        tail=args.tail,
        max_entry=2 * args.jute_maxbuffer,
        live=args.follow,
    )


def _session(text: str) -> int:
    from zkpy.toolkit.console import ToolError

    try:
        number = int(text, 16)
    except ValueError:
        raise ToolError(
            f"--session {text}: a session id is a hexadecimal number like 0x100012345670000"
        ) from None
    return number - (1 << 64) if number >> 63 else number


def _data_limit(text: str) -> int:
    from zkpy.toolkit.console import ToolError

    if text == "all":
        return 1 << 62
    if not text.isascii() or not text.isdigit():
        raise ToolError(f"--data {text}: give a number of bytes, or all")
    return int(text)
