"""``zkpy ensemble``: a local ensemble in the foreground until a signal ends it, and how it is."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zkpy.cli.serve import LOG_LEVELS
from zkpy.errors import ConfigError

if TYPE_CHECKING:
    from zkpy.ensemble.asking import Asked
    from zkpy.ensemble.layout import Layout

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``zkpy ensemble``."""
    parser.usage = (
        "zkpy ensemble N [--dir DIR] [--keep] [--port BASE] [--observers K] [--java M]\n"
        "                     [--set NAME=VALUE]... [-D NAME=VALUE]... [--log-level LEVEL]\n"
        "       zkpy ensemble status [DIR | HOST:PORT,...] [--json]"
    )
    parser.description = (
        "Run an ensemble of N servers on this machine, each a process with a directory of its own. Once all "
        "serve, the first line on stdout is 'zkpy ensemble ready HOST:PORT,... ROOT', then one line per "
        "member. 'status' shows role, epoch, zxid and lag of each member."
    )
    parser.epilog = (
        "SIGTERM or Ctrl-C ends all members. Exit status: 0; 1 when a member ended by itself or could not "
        "start; 2 for bad usage. Of status: 0 with a leader and a quorum, else 1."
    )
    parser.add_argument("what", metavar="N | status", help="how many servers; or: how are they")
    parser.add_argument(
        "where",
        nargs="?",
        metavar="DIR | HOST:PORT,...",
        help="with status: the ensemble's directory, or its addresses (default: the one that runs)",
    )
    parser.add_argument(
        "--dir",
        type=_directory,
        help="keep everything there; an ensemble that is there already is continued (default: a temporary "
        "directory, removed at the end)",
    )
    parser.add_argument("--keep", action="store_true", help="do not remove the temporary directory")
    parser.add_argument(
        "--port", type=int, metavar="BASE", help="client ports from BASE on (default: free ports)"
    )
    parser.add_argument("--observers", type=int, metavar="K", help="the last K servers observe")
    parser.add_argument(
        "--java",
        type=int,
        metavar="M",
        help="the first M are Java servers: of ZOOKEEPER_CLASSPATH, ZOOKEEPER_HOME or ZOOKEEPER_PATH",
    )
    _add_settings(parser)
    parser.add_argument("--json", action="store_true", help="with status: print it as JSON")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Options for every member."""
    parser.add_argument(
        "--set",
        dest="settings",
        type=_setting,
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting for every zoo.cfg, such as tickTime=500",
    )
    parser.add_argument(
        "-D",
        dest="defines",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a Java system property for all members",
    )
    parser.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        help="what zkpy members write to their server.log (default: warning, and who leads)",
    )


def _directory(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a directory is empty")
    return Path(text).absolute()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name.strip() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; give NAME=VALUE")
    return name.strip(), value.strip()


def take_rest(args: argparse.Namespace, rest: list[str]) -> bool:
    """Take DIR of ``status --json DIR``: argparse has no second positional behind an option."""
    if args.what != "status" or args.where is not None or len(rest) != 1 or rest[0].startswith("-"):
        return False
    (args.where,) = rest
    return True


def run(args: argparse.Namespace) -> int:
    """Run an ensemble, or show how one is; returns the exit status."""
    from zkpy.ensemble.layout import EnsembleError

    try:
        return _status(args) if args.what == "status" else _run(args)
    except (EnsembleError, ConfigError) as error:
        _complain(str(error))
        return EXIT_USAGE


def _complain(text: str) -> None:
    print(f"zkpy ensemble: {text}", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    """Print a line for whoever started this; nobody has to listen."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _status(args: argparse.Namespace) -> int:
    from zkpy.ensemble import asking, layout, status

    given = [args.dir, args.port, args.observers, args.java, args.settings, args.defines, args.keep]
    given.append(args.log_level)
    if any(option not in (None, [], False) for option in given):
        raise layout.EnsembleError("status takes a directory or addresses, and --json; nothing else")
    members = _members(args.where)

    import trio

    found = status.Status(trio.run(asking.survey, members))
    if args.json:
        import json

        _say(json.dumps(status.as_data(found), indent=1))
    else:
        _say(status.table(found))
    return EXIT_OK if found.healthy else EXIT_FAILED


def _members(where: str | None) -> list[Asked]:
    from zkpy.ensemble import asking, layout

    if where is None:
        root = _the_one()
    elif Path(where).is_dir():
        root = Path(where).absolute()
    elif ":" in where or "," in where:
        return asking.members_in(where)
    else:
        raise layout.EnsembleError(f"{where} is neither a directory nor HOST:PORT,HOST:PORT,...")
    found = layout.load(root)
    if found is None:
        raise layout.EnsembleError(f"{root} is no directory of zkpy ensemble: it has no {layout.FILE}")
    return asking.members_of(found)


def _the_one() -> Path:
    """The ensemble in the working directory, or the only one that runs in a temporary directory."""
    from zkpy.ensemble import layout

    here = Path.cwd()
    if (here / layout.FILE).exists():
        return here
    roots = layout.running()
    if len(roots) == 1:
        return roots[0]
    which = f"several run ({', '.join(map(str, roots))})" if roots else "none runs in a temporary directory"
    raise layout.EnsembleError(f"{which}; name the directory or the addresses")


def _run(args: argparse.Namespace) -> int:
    from zkpy.ensemble import layout

    size = _check(args)
    settings = dict(args.settings)
    layout.check_settings(settings)
    defines = dict(_define(text) for text in args.defines)
    with contextlib.ExitStack() as reserved, _root(args) as root, layout.locked(root):
        found = layout.load(root)
        observers_port = layout.observers_port(settings)
        if found is None:
            found = _new(args, root, size, reserved, apart=bool(observers_port))
        else:
            found = _continued(args, found, size)
            if observers_port and len({member.peer_host for member in found.members}) == 1:
                found = layout.apart(found)
            layout.reserve(found.members, reserved)
        if observers_port:
            layout.reserve_for_observers(found.members, observers_port, reserved)
        return _serve(found, settings, defines, args.log_level)


def _check(args: argparse.Namespace) -> int:
    """The number of members. Raises EnsembleError when the numbers do not go together."""
    from zkpy.ensemble.layout import ELECTION_OFFSET, FILE, MOST_MEMBERS, EnsembleError

    try:
        size = int(args.what)
    except ValueError:
        raise EnsembleError(f"{args.what!r} is no number of servers, and not status") from None
    if args.where is not None or args.json:
        raise EnsembleError("a directory or addresses, and --json, are for status; to run one give --dir")
    if not 1 <= size <= MOST_MEMBERS:
        raise EnsembleError(f"an ensemble of {size}: give 1 to {MOST_MEMBERS} servers")
    observers, java = args.observers or 0, args.java or 0
    if not 0 <= observers < size:
        raise EnsembleError(f"--observers {observers} of {size}: at least one server has to vote")
    if not 0 <= java <= size:
        raise EnsembleError(f"--java {java} of {size}: give 0 to {size}")
    if args.port is not None and not 1 <= args.port <= 65536 - ELECTION_OFFSET - size:
        last = 65536 - ELECTION_OFFSET - size
        raise EnsembleError(f"--port {args.port}: give 1 to {last}; the other ports are above it")
    if args.dir is None or not (args.dir / FILE).exists():
        _check_voters(size, observers, oracle="oraclePath" in dict(args.settings))
    return size


def _check_voters(size: int, observers: int, *, oracle: bool) -> None:
    from zkpy.ensemble.layout import EnsembleError

    voters = size - observers
    if voters % 2 == 0 and not (oracle and voters == 2):
        less = f"{voters - 1} or " if voters > 2 else ""
        raise EnsembleError(
            f"{voters} voters bear no more failures than {voters - 1}: give {less}{voters + 1} servers"
            f"{' beside the observers' if observers else ', or --observers 1'}"
        )


def _define(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name, value if equals else "true"


@contextlib.contextmanager
def _root(args: argparse.Namespace) -> Iterator[Path]:
    from zkpy.ensemble.layout import TEMPORARY, EnsembleError

    if args.dir is not None:
        try:
            args.dir.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise EnsembleError(f"{args.dir} is no directory; name another one") from None
        except OSError as error:
            raise EnsembleError(f"cannot use {args.dir}: {error.strerror or error}") from None
        yield args.dir
        return
    root = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    try:
        yield root
    finally:
        if not args.keep:
            shutil.rmtree(root, ignore_errors=True)


def _new(
    args: argparse.Namespace, root: Path, size: int, reserved: contextlib.ExitStack, *, apart: bool
) -> Layout:
    from zkpy.ensemble.layout import FILE, EnsembleError, Layout, choose_members

    if (root / "server-1").exists():
        raise EnsembleError(f"{root} has servers but no {FILE}; name another directory")
    members = choose_members(size, args.observers or 0, args.java or 0, args.port, reserved, apart)
    return Layout(root, members)


def _continued(args: argparse.Namespace, found: Layout, size: int) -> Layout:
    """The ensemble that is there already. Raises EnsembleError when another one is asked for."""
    import attrs

    from zkpy.ensemble.layout import EnsembleError

    there = f"{found.root} holds an ensemble of {len(found.members)}"
    observers = len(found.members) - found.voters
    if size != len(found.members):
        raise EnsembleError(f"{there}: give {len(found.members)}, or another --dir")
    if args.observers not in (None, observers):
        raise EnsembleError(
            f"{there} with {observers} observers: leave out --observers, or give another --dir"
        )
    if args.port not in (None, found.members[0].client_port):
        raise EnsembleError(f"{there} with its ports: leave out --port, or give another --dir")
    if args.java is None:
        return found
    members = tuple(attrs.evolve(member, java=member.number <= args.java) for member in found.members)
    return attrs.evolve(found, members=members)


def _serve(found: Layout, settings: dict[str, str], defines: dict[str, str], log_level: str | None) -> int:
    """Start the members and stay until the end."""
    from zkpy.ensemble import java, layout, processes

    program = java.find() if any(member.java for member in found.members) else None
    for warning in layout.write(found, settings, defines):
        _complain(f"warning: {warning}")
    servers = []
    for member in found.members:
        if member.java:
            assert program is not None
            command = program.command(found, member, defines)
        else:
            command = processes.zkpy_command(found, member, defines, log_level)
        servers.append(processes.Server(found, member, command))
    ensemble = processes.Processes(found, servers, _say, _complain)

    import trio

    async def main() -> None:
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            wanted.append(signal.SIGHUP)  # the terminal was closed; nohup says that it does not matter
        with trio.open_signal_receiver(*wanted) as signals:
            await ensemble.run(signals)

    trio.run(main)
    if ensemble.refused:
        return EXIT_USAGE
    return EXIT_FAILED if ensemble.failed else EXIT_OK
