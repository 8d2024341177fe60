"""``zkpy compare``: clients talk to zkpy, a real server gets the same requests, differences are reported."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from zkpy.cli import serve
from zkpy.config import Config
from zkpy.errors import ConfigError

if TYPE_CHECKING:
    from trio import CancelScope

    from zkpy.compare.report import Report

EXIT_OK: Final = 0
EXIT_DIFFERENCES: Final = 1
EXIT_USAGE: Final = 2

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
DEFAULT_LISTEN: Final = ("127.0.0.1", 2181)
Address = tuple[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``zkpy compare``."""
    parser.description = (
        "Is it my code or the server? Listens as a ZooKeeper server, answers as zkpy does, sends every "
        "request to a real ZooKeeper server as well, and reports what that one answers differently. The "
        "real server should be empty and for this alone; what the application writes is written there too."
    )
    parser.epilog = (
        "SIGTERM or Ctrl-C ends it with a summary. Exit status: 0 without differences (explained ones do not "
        "count), 1 with differences, 2 when it could not begin."
    )
    parser.add_argument(
        "config",
        nargs="?",
        metavar="zoo.cfg",
        help="settings for zkpy, such as the real server's own file; ports and data directory are not used",
    )
    parser.add_argument(
        "--with", dest="real", type=_address, required=True, metavar="HOST:PORT", help="the real server"
    )
    parser.add_argument(
        "--listen",
        type=_listen_address,
        metavar="HOST:PORT",
        help="where clients connect; port 0 takes any free one (default: 127.0.0.1:2181 or the next free)",
    )
    parser.add_argument(
        "--zkpy",
        type=_address,
        metavar="HOST:PORT",
        help="a zkpy server that runs already (default: one in memory, in this process)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write each finding as a line of JSON")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long the real server may take to answer (default: 5)",
    )
    parser.add_argument("--quiet", action="store_true", help="print no findings, only the summary")
    parser.add_argument(
        "-D",
        dest="defines",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a Java system property for zkpy, as the real server has it",
    )


def _parse(text: str, least: int) -> Address:
    host, colon, number = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not host
        or not (number.isascii() and number.isdigit())
        or not least <= int(number) <= 65535
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; give HOST:PORT, such as 127.0.0.1:2181")
    return host, int(number)


def _address(text: str) -> Address:
    return _parse(text, 1)


def _listen_address(text: str) -> Address:
    return _parse(text, 0)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, more than 0 and up to 3600")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Compare until a signal; returns the exit status."""
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)-5s %(name)s: %(message)s")
    if args.zkpy is not None and args.config is not None:
        return _fail(
            "zoo.cfg is for the zkpy server of this command, and --zkpy names another one: leave one out"
        )
    try:
        config, _ = serve.configure(
            argparse.Namespace(
                config=[] if args.config is None else [args.config],
                defines=args.defines,
                port=0,
                host="127.0.0.1",
                memory=True,
                data=None,
            )
        )
    except ConfigError as error:
        return _fail(str(error))
    for warning in config.warnings:
        logging.getLogger("zkpy.config").warning("%s", warning)
    records: _Records | None = None
    if args.report is not None:
        try:
            records = _Records(args.report.open("w", encoding="utf-8"))
        except OSError as error:
            return _fail(f"cannot write {args.report}: {error.strerror or error}")

    import trio

    return trio.run(_compare, args, config, records)


def _fail(message: str) -> int:
    print(f"zkpy compare: {message}", file=sys.stderr)
    return EXIT_USAGE


def _say(text: str) -> None:
    """Print for whoever started this; nobody has to listen."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Records:
    """The report file. Clients go on when it cannot be written any more."""

    def __init__(self, file: TextIO) -> None:
        self._file: TextIO | None = file

    def write(self, line: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        assert self._file is not None
        _say(f"note: the report file cannot be written: {error.strerror or error}; nothing more is recorded")
        with contextlib.suppress(OSError):  # what is in its buffer fails again
            self._file.close()
        self._file = None


@contextlib.asynccontextmanager
async def _server(args: argparse.Namespace, config: Config) -> AsyncIterator[tuple[Address, str]]:
    """Address of the zkpy that is compared, and what to call it."""
    if args.zkpy is not None:
        from zkpy.compare.report import address_text

        yield args.zkpy, address_text(args.zkpy)
        return
    from zkpy.node import running

    async with running(config) as node:
        yield (node.host, node.port), "memory"


async def _compare(args: argparse.Namespace, config: Config, records: _Records | None) -> int:
    """Compare until a signal, which cancels what waits; a second one cancels the waiting at the end."""
    import trio

    from zkpy.compare.report import Report

    report = Report(None if args.quiet else _say, None if records is None else records.write, note=_say)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # for those that arrive when the receiver has ended
    begin, end = trio.CancelScope(), trio.CancelScope()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel, signals, (begin, end))
            status = await _serve(args, config, report, begin, end)
            nursery.cancel_scope.cancel()
        if records is not None:
            records.close()
        if status is None:
            _say(report.summary())
            status = EXIT_DIFFERENCES if report.differences else EXIT_OK
    return status


async def _cancel(signals: AsyncIterator[int], scopes: Sequence[CancelScope]) -> None:
    """Each signal cancels the next scope; those behind them are taken and mean nothing."""
    remaining = iter(scopes)
    async for _ in signals:
        scope = next(remaining, None)
        if scope is not None:
            scope.cancel()


async def _serve(
    args: argparse.Namespace, config: Config, report: Report, begin: CancelScope, end: CancelScope
) -> int | None:
    """Compare until *begin* is cancelled; an exit status if it could not begin."""
    import trio

    from zkpy.compare import proxy
    from zkpy.compare.report import address_text
    from zkpy.compare.survey import NoServer, survey

    async with _server(args, config) as (zkpy, where), trio.open_nursery() as nursery:
        comparison = proxy.Comparison(
            zkpy, args.real, report, wait_s=args.wait, limit_bytes=config.jute_max_buffer
        )
        begun = False
        with begin:
            try:
                notes = await survey(comparison)
            except NoServer as error:
                return _fail(str(error))
            host, port = args.listen or DEFAULT_LISTEN
            try:
                listeners = await proxy.listen(host, port, any_port=args.listen is None)
            except OSError as error:
                return _fail(
                    f"cannot listen on {address_text((host, port))}: {error.strerror or error}; "
                    "give another --listen"
                )
            nursery.start_soon(comparison.serve, listeners)
            begun = True
            ours = address_text((host, listeners[0].socket.getsockname()[1]))
            _say(f"zkpy compare ready {ours} zkpy {where} real {address_text(args.real)}")
            for note in notes:
                report.note(note)
            await trio.sleep_forever()
        if not begun:
            return _fail("ended by a signal before it began")
        with end:
            await comparison.finish()
        nursery.cancel_scope.cancel()
    if end.cancelled_caught:
        report.note("not everything was compared: ended by a second signal while something was under way")
    if comparison.stopped is not None:
        report.note(f"not everything was compared: {comparison.stopped}")
    return None
