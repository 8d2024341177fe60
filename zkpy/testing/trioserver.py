"""A standalone server in the caller's own trio loop."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import attrs
import trio

from zkpy import realports
from zkpy.config import Config
from zkpy.node import Node, listen, reserve, running
from zkpy.testing.options import server_config

logger: Final = logging.getLogger("zkpy.testing")


class Past:
    """What a server must know about those before it on the same port.

    Clients survive their server. One that comes back with a higher zxid than the server's own is sent away
    for good (it has seen a future that this server does not have), and a session id given out twice would let
    it walk into somebody else's session. So zxids and session ids go on where the predecessor stopped.
    """

    __slots__ = ("last_zxid", "started_ms")

    def __init__(self) -> None:
        self.last_zxid = 0
        self.started_ms = 0
        """Wall time when the predecessor had started: its session ids begin with no later millisecond."""


class TrioServer:
    """A running server; made by `open_server`.

    Attributes:
        host: the address that clients on this machine connect to.
        port: the client port.
    """

    def __init__(self, config: Config, nursery: trio.Nursery, reserved: socket.socket, past: Past) -> None:
        port = reserved.getsockname()[1]
        self._config: Final = attrs.evolve(config, client_port=port)
        self._nursery: Final = nursery
        self._past: Final = past
        self._lock: Final = trio.Lock()
        self._clock_start: Final = realports.wall_ms() - trio.current_time() * 1000
        self._wall_shift_ms = 0
        self._listener: socket.socket | None = None
        self._node: Node | None = None
        self._scope = trio.CancelScope()
        self._gone = trio.Event()
        self.host = ""
        self.port: Final[int] = port
        self.hosts = ""
        """The connect string, ``host:port``."""

    @property
    def node(self) -> Node:
        """The server's inside: tree, sessions, connections; another one after each reset and restart.

        Raises:
            RuntimeError: during an outage.
        """
        if self._node is None:
            raise RuntimeError("the server is down: its outage() has not ended")
        return self._node

    async def reset(self) -> None:
        """Put a new, empty server behind the listening port; see ``zkpy.testing.Server.reset``."""
        if not self._config.memory_only:
            raise RuntimeError(
                f"reset() is for servers in memory, and this one keeps its data in {self._config.data_dir}:"
                " stop it and remove the directory"
            )
        async with self._lock:
            _ = self.node
            await self._stop()
            await self._start()

    async def restart(self) -> None:
        """Stop and start again on the same port; see ``zkpy.testing.Server.restart``."""
        async with self.outage():
            pass

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """For the time of the block nothing listens; see ``zkpy.testing.Server.outage``."""
        await self.go_down()
        try:
            yield
        finally:
            await self.come_up()

    async def go_down(self) -> None:
        """Begin an outage. Raises RuntimeError when there is one."""
        async with self._lock:
            _ = self.node
            self._close_listener()
            await self._stop()

    async def come_up(self) -> None:
        """Start, or end an outage.

        Raises:
            RuntimeError: there is no outage.
            DataDirError, CorruptLogError: the stored data cannot be used.
        """
        async with self._lock:
            if self._node is not None:
                raise RuntimeError("the server is up already")
            if self._listener is None:
                self._listener = listen(self._config)
            await self._start()

    def close(self) -> None:
        """Give up the port."""
        self._close_listener()

    async def _start(self) -> None:
        past = self._past
        self._wall_shift_ms = 0
        self._wall_shift_ms = max(0, past.started_ms + 1 - self._wall_ms())
        self._node = node = await self._nursery.start(self._serve)
        past.started_ms = self._wall_ms()  # its session ids begin with this moment or one before
        self.host, self.hosts = node.host, node.hosts

    async def _stop(self) -> None:
        self._node = None
        self._scope.cancel()
        await self._gone.wait()

    async def _serve(self, *, task_status: trio.TaskStatus[Node]) -> None:
        self._gone = gone = trio.Event()
        assert self._listener is not None
        tree = None
        try:
            with trio.CancelScope() as self._scope:
                # A duplicate: clients that come while one server makes way for the next wait in the backlog.
                async with running(
                    self._config,
                    listener=self._listener.dup(),
                    last_zxid=self._past.last_zxid,
                    wall_ms=self._wall_ms,
                    clock=trio.current_time,
                ) as node:
                    tree = node.server.tree
                    task_status.started(node)
                    await trio.sleep_forever()
        finally:
            if tree is not None:
                self._past.last_zxid = tree.last_zxid
            gone.set()

    def _wall_ms(self) -> int:
        # Wall time runs with the loop's clock, so that under a MockClock all of the server's time is mocked.
        return int(self._clock_start + trio.current_time() * 1000) + self._wall_shift_ms

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


@contextlib.asynccontextmanager
async def open_server(*, past: Past | None = None, **options: Any) -> AsyncIterator[TrioServer]:
    """A server in this trio loop for the time of the block; clients can connect when it begins.

    *options* are those of ``zkpy.testing.Server``. Time-outs, expiry and the times in Stats follow the loop's
    clock: with ``trio.testing.MockClock`` they move only when the clock does. (``autojump_threshold`` is not
    for tests with clients: the clock cannot see that bytes are on their way, and jumps past every time-out.)

    An error that ends the server cancels the block and comes out of it as it is, not in a group.

    Raises:
        ConfigError: an option that cannot be used, or a port that is in use.
        DataDirError, CorruptLogError: the stored data cannot be used.
        StorageError: while running, the log could not be written.
    """
    config = server_config(**options)
    for warning in config.warnings:
        logger.warning("%s", warning)
    try:
        with reserve(config) as reserved:
            async with trio.open_nursery() as nursery:
                server = TrioServer(config, nursery, reserved, past or Past())
                with contextlib.closing(server):
                    await server.come_up()
                    yield server
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = sole(group)
        if error is group:
            raise
        context = error.__context__
        try:
            raise error
        finally:
            # Python has just noted that it happened during the handling of a group, or of our Cancelled.
            error.__context__ = context


def sole(error: BaseException) -> BaseException:
    """The exception in a group of one, however deep; anything else as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
