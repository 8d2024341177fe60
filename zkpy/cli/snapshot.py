"""``zkpy snapshot``: look at snapshots, compare, check, convert and take them."""

from __future__ import annotations

import argparse
from typing import Final

SNAPSHOT_HELP: Final = "a snapshot, or a data directory for its newest valid one"
COMPRESSIONS: Final = ("none", "gz", "snappy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of ``zkpy snapshot``."""
    parser.description = (
        "Look at snapshots (plain, .gz or .snappy, of zkpy or of ZooKeeper), compare, check and convert "
        "them, or take one from the files of a data directory."
    )
    parser.epilog = (
        "Exit status: 0 fine, 1 damage was found (compare: there are differences), 2 bad usage or nothing "
        "there."
    )
    tasks = parser.add_subparsers(title="tasks", required=True, metavar="TASK", dest="task")
    _add_print(tasks.add_parser("print", help="header, sessions and znodes"))
    _add_compare(tasks.add_parser("compare", help="what two snapshots do not share"))
    _add_summary(tasks.add_parser("summary", help="children, znodes and bytes by subtree"))
    check = tasks.add_parser("verify", help="checksum, structure, references, digest")
    check.add_argument("snapshot", metavar="FILE|DIR", help="a snapshot, or a data directory for all of them")
    export = tasks.add_parser("export", help="write it as JSON")
    export.add_argument("snapshot", metavar="FILE|DIR", help=SNAPSHOT_HELP)
    export.add_argument("json", metavar="FILE.json", help="the new file; - for stdout")
    back = tasks.add_parser("import", help="make a snapshot of such JSON")
    back.add_argument("json", metavar="FILE.json")
    back.add_argument("directory", metavar="DIR", help="a data directory without data; made if missing")
    _add_compress(back)
    _add_take(
        tasks.add_parser("take", help="load a data directory, write a snapshot of its last transaction")
    )


def _add_print(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", metavar="FILE|DIR", help=SNAPSHOT_HELP)
    parser.add_argument("--path", metavar="PATH", help="only this znode and what is below it")
    parser.add_argument("--data", choices=["text", "hex", "none"], default="text", help="default: text")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, with everything")
    parser.add_argument("--utc", action="store_true", help="times in UTC")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="A", help=SNAPSHOT_HELP)
    parser.add_argument("right", metavar="B")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    help_text = "print subtrees that differ by more than that instead of znodes"
    parser.add_argument("--bytes", type=_number, metavar="N", help=help_text)
    parser.add_argument("--nodes", type=_number, metavar="N", help=help_text)


def _add_summary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", metavar="FILE|DIR", help=SNAPSHOT_HELP)
    parser.add_argument("path", nargs="?", default="/", metavar="PATH", help="where to begin (default: /)")
    parser.add_argument("--depth", type=_number, default=1, metavar="N", help="levels below it, 0 = all (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def _add_take(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="a data directory that no server uses")
    parser.add_argument("--to", metavar="OTHERDIR", help="write into that directory; DIR may be in use then")
    parser.add_argument("--logs", metavar="LOGDIR", help="the dataLogDir, if there is one")
    parser.add_argument(
        "--jute-maxbuffer",
        type=_number,
        default=0xFFFFF,
        metavar="BYTES",
        help="the server's jute.maxbuffer, if it was raised",
    )
    _add_compress(parser)


def _add_compress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--compress", choices=COMPRESSIONS, default="none", help="default: none")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Do the task; returns the exit status."""
    from zkpy.toolkit.console import guarded

    return guarded(f"snapshot {args.task}", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    from zkpy.realports import RealDisk

    with RealDisk() as disk:
        if args.task == "print":
            from zkpy.toolkit.render import Clock
            from zkpy.toolkit.snapview import print_snapshot, subtree

            return print_snapshot(
                disk,
                args.snapshot,
                clock=Clock(args.utc),
                below=subtree(args.path),
                data=args.data,
                as_json=args.json,
            )
        if args.task == "summary":
            from zkpy.toolkit.snapview import summarize

            return summarize(disk, args.snapshot, start=args.path, depth=args.depth, as_json=args.json)
        if args.task == "compare":
            from zkpy.toolkit.snapcompare import compare_snapshots

            return compare_snapshots(
                disk,
                args.left,
                args.right,
                as_json=args.json,
                least_bytes=args.bytes,
                least_nodes=args.nodes,
            )
        if args.task == "verify":
            from zkpy.toolkit.snapverify import verify_snapshots

            return verify_snapshots(disk, args.snapshot)
        if args.task == "export":
            from zkpy.toolkit.snapjson import export_snapshot

            return export_snapshot(disk, args.snapshot, args.json)
        compression = "" if args.compress == "none" else args.compress
        if args.task == "import":
            from zkpy.toolkit.snapjson import import_snapshot

            return import_snapshot(disk, args.json, args.directory.rstrip("/") or "/", compression)
        from zkpy.toolkit.take import take_snapshot

        directory = args.directory.rstrip("/") or "/"
        return take_snapshot(disk, directory, args.logs, args.to, compression, 2 * args.jute_maxbuffer)
