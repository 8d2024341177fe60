"""``zkpy serve``: one server in the foreground until a signal ends it."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zkpy.config import Config, embedded_config, parse_config, positional_config
from zkpy.errors import (
    CommitMismatch,
    ConfigError,
    CorruptLogError,
    DataDirError,
    ElectionPortTaken,
    StorageError,
    SyncFailed,
)

if TYPE_CHECKING:
    import trio

EXIT_OK: Final = 0
EXIT_UNEXPECTED: Final = 1
EXIT_CONFIG: Final = 2
EXIT_DATA_DIR: Final = 3
EXIT_COMMIT_MISMATCH: Final = 12
EXIT_SYNC_FAILED: Final = 13
EXIT_ELECTION_PORT: Final = 14
EXIT_STORAGE: Final = 15
"""The transaction log could not be written: nothing was acknowledged after that."""

_STATUS: Final[dict[type[Exception], int]] = {
    ConfigError: EXIT_CONFIG,
    DataDirError: EXIT_DATA_DIR,
    CommitMismatch: EXIT_COMMIT_MISMATCH,
    SyncFailed: EXIT_SYNC_FAILED,
    ElectionPortTaken: EXIT_ELECTION_PORT,
    StorageError: EXIT_STORAGE,
    CorruptLogError: EXIT_UNEXPECTED,
}
"""What ends a server with a sentence instead of a traceback."""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

COLLECT_EVERY_S: Final = 1.0
COLLECT_AT_MOST: Final = 20_000

DEFAULT_DATA_DIR: Final = "zkpy-data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``zkpy serve``."""
    parser.description = (
        "Run a standalone server in the foreground. Without a zoo.cfg it listens on 127.0.0.1:2181 (or the "
        f"next free port) and keeps its data in ./{DEFAULT_DATA_DIR}. The first line on stdout, once clients "
        "can connect, is 'zkpy ready HOST:PORT ...'."
    )
    parser.epilog = (
        f"Exit status: {EXIT_OK} after SIGTERM or SIGINT, {EXIT_UNEXPECTED} when stored data is damaged, "
        f"{EXIT_CONFIG} for a configuration that cannot be used or a client port that is taken, "
        f"{EXIT_DATA_DIR} when the data directory cannot be used, {EXIT_STORAGE} when the transaction log "
        f"could not be written. In an ensemble also {EXIT_COMMIT_MISMATCH} when the leader commits what is "
        f"not here, {EXIT_SYNC_FAILED} when its history cannot be taken over, {EXIT_ELECTION_PORT} when the "
        "election port is taken. docs/serve.md says what to do."
    )
    parser.add_argument(
        "config",
        nargs="*",
        metavar="zoo.cfg",
        help="a configuration file; or, as ZooKeeper also takes it: PORT DATADIR [TICKTIME] [MAXCNXNS]",
    )
    parser.add_argument("--port", type=_port, help="client port; 0 takes any free one")
    parser.add_argument("--host", help="address to listen on (without a zoo.cfg: 127.0.0.1)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=_directory, metavar="DIR", help="data directory")
    where.add_argument("--memory", action="store_true", help="keep nothing on disk")
    parser.add_argument(
        "-D",
        dest="defines",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a Java system property, such as zookeeper.snapCount=1000 or jute.maxbuffer=4194304",
    )
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=LOG_LEVELS,
        help="default: warning, and in an ensemble what this server becomes",
    )


def _directory(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name of a directory is empty")
    return str(Path(text).absolute())


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give 0 to 65535")
    return port


def run(args: argparse.Namespace) -> int:
    """Serve; returns the exit status."""
    logging.basicConfig(
        level=args.log_level.upper(), format="%(asctime)s %(levelname)-5s %(name)s: %(message)s"
    )
    if args.log_level == "warning":
        logging.getLogger("zkpy.role").setLevel(logging.INFO)  # one line per election, and who leads
    try:
        config, any_port = configure(args)
    except ConfigError as error:
        return _fail(EXIT_CONFIG, error)
    for warning in config.warnings:
        logging.getLogger("zkpy.config").warning("%s", warning)

    import trio

    _tune()
    try:
        trio.run(_serve, config, any_port)
    except BaseExceptionGroup as group:
        return _explain(group)
    except tuple(_STATUS) as error:
        return _fail(_status(error), error)
    return EXIT_OK


def _fail(status: int, error: Exception) -> int:
    print(f"zkpy: {error}", file=sys.stderr)
    return status


def _status(error: BaseException) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), EXIT_UNEXPECTED)


def _explain(group: BaseExceptionGroup[BaseException]) -> int:
    known = group.subgroup(tuple(_STATUS))
    if known is None:
        raise group
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return _fail(_status(error), error)


def configure(args: argparse.Namespace) -> tuple[Config, bool]:
    """The configuration that the options ask for, and whether the port may move to a free one.

    Raises:
        ConfigError: a file that cannot be read, or a setting that cannot be used.
    """
    defines = dict(_define(text) for text in args.defines)
    any_port = False
    if len(args.config) == 1:
        config = _from_file(args.config[0], defines)
    elif args.config:
        config = positional_config(args.config, defines)
    else:
        data = None if args.memory else args.data or str(Path(DEFAULT_DATA_DIR).absolute())
        any_port = args.port is None
        config = embedded_config(data_dir=data, defines=defines)
    if config.ensemble.dynamic_config_file is not None:
        config = _with_members(config, config.ensemble.dynamic_config_file)
    if config.is_quorum:
        if args.memory:
            raise ConfigError(
                config.file, None, "a member of an ensemble keeps its promises on disk", "Leave out --memory."
            )
        config = _as_member(config)
    import attrs

    if args.port is not None:
        config = attrs.evolve(config, client_port=args.port)
    if args.host is not None:
        config = attrs.evolve(config, client_port_address=args.host)
    if args.memory:
        config = attrs.evolve(config, data_dir=None, data_log_dir=None)
    elif args.data is not None:
        config = attrs.evolve(config, data_dir=args.data, data_log_dir=args.data)
    return config, any_port


def _define(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name, value if equals else "true"


def _from_file(name: str, defines: dict[str, str]) -> Config:
    try:
        text = Path(name).read_text("iso-8859-1")
    except FileNotFoundError:
        raise ConfigError(
            name, None, f"{name} file is missing", "Name an existing zoo.cfg, or none."
        ) from None
    except OSError as error:
        raise ConfigError(name, None, error.strerror or str(error), "Name a readable zoo.cfg.") from None
    return parse_config(text, name, defines)


def _with_members(config: Config, file: str) -> Config:
    """The configuration with the members of its dynamic file."""
    from zkpy.config.ensemble import with_dynamic_config

    try:
        return with_dynamic_config(config, Path(file).read_text("iso-8859-1"), file)
    except OSError as error:
        raise ConfigError(
            file, None, error.strerror or str(error), "Name a readable file in dynamicConfigFile."
        ) from None


def _as_member(config: Config) -> Config:
    """The configuration with the number in ``myid``."""
    from zkpy.config.ensemble import with_myid

    try:
        text = Path(f"{config.data_dir}/myid").read_text("iso-8859-1")
    except FileNotFoundError:
        text = None
    return with_myid(config, text)


def _tune() -> None:
    """Set what belongs to the process, not to the server: an embedding program keeps its own settings."""
    import gc

    gc.disable()  # see _collect
    # The sync thread asks for the interpreter when the medium is done; by default it would wait 5 ms.
    sys.setswitchinterval(0.0005)


def _say(line: str) -> None:
    """Print a line for whoever started this; nobody has to listen."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _collect() -> None:
    """Collect garbage in portions that nobody notices.

    Znodes live long and have no cycles, so a collection finds next to nothing, and one of everything takes
    seconds with a million znodes. What came into being since the last round is looked at when it is little,
    else put aside for good.
    """
    import gc

    import trio

    while True:
        await trio.sleep(COLLECT_EVERY_S)
        if gc.get_count()[0] <= COLLECT_AT_MOST:
            gc.collect(0)
        else:
            gc.freeze()


async def _serve(config: Config, any_port: bool) -> None:
    import trio

    from zkpy.node import running

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            # From the beginning: a member of an ensemble may wait for the others for ever.
            nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
            async with running(config, any_port=any_port, own_loop=True) as node:
                nursery.start_soon(_collect)
                where = "memory" if config.memory_only else config.data_dir
                hosts = node.hosts
                if config.client_port is None:
                    hosts = "-"
                    log = logging.getLogger("zkpy")
                    log.warning("no client port, nobody can connect: add clientPort to the configuration")
                _say(f"zkpy ready {hosts} {node.server.mode} {where}")
                await trio.sleep_forever()


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
