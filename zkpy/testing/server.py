"""A standalone server for synchronous code: trio runs in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

if TYPE_CHECKING:
    import trio
    from kazoo.client import KazooClient

    from zkpy.config import Config
    from zkpy.testing.options import Setting
    from zkpy.testing.trioserver import Past, TrioServer

DEFAULT_HOST: Final = "127.0.0.1"


class ServerCrashed(RuntimeError):
    """The server ended by itself; ``__cause__`` says why."""


class Server:
    """A server in memory (or on a directory) that runs beside the calling code.

    ::

        with zkpy.testing.Server() as server:
            client = KazooClient(server.hosts)
            client.start()

    It runs in a background thread and can be used from any thread, also from one in which an event loop runs;
    each call blocks for a few milliseconds at most. When the block ends the connections are cut, and thread
    and sockets are gone. Without ``with``, call `start` and `stop`.

    An error that ends the server early is raised as `ServerCrashed` by the next call, at the latest by
    `stop`.

    Args:
        port: the client port; 0 takes any free one, which then stays the same for this object's life.
        host: the address to listen on.
        data_dir: where to keep the data; None keeps it in memory.
        settings: keys of zoo.cfg and of Java's command line, as ``{"snapCount": 1000, "forceSync": False}``.
        config: a complete configuration instead of all the others.
        fields: fields of ``zkpy.config.Config``, such as ``tick_time_ms=200``. A session time-out is at
            least two ticks, so a short tick is what a test of expiry wants.

    Raises:
        ConfigError: a setting that does not exist or cannot be used.
        TypeError: an unknown field.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = DEFAULT_HOST,
        data_dir: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Setting] | None = None,
        config: Config | None = None,
        **fields: Any,
    ) -> None:
        from zkpy.testing.options import server_config
        from zkpy.testing.trioserver import Past

        self._config = server_config(
            port=port, host=host, data_dir=data_dir, settings=settings, config=config, **fields
        )
        self._past: Final = Past()
        self._lock: Final = threading.RLock()
        self._loop: _Loop | None = None
        self._address: tuple[str, int, str] | None = None

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<zkpy.testing.Server {self._address[2] if self._address else 'never started'} {state}>"

    # -- where it is ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the server was started, and neither stopped nor has crashed."""
        loop = self._loop
        return loop is not None and loop.alive

    @property
    def host(self) -> str:
        """The address that clients connect to. Raises RuntimeError before the first start."""
        return self._where()[0]

    @property
    def port(self) -> int:
        """The client port, also while stopped. Raises RuntimeError before the first start."""
        return self._where()[1]

    @property
    def hosts(self) -> str:
        """The connect string ``host:port``. Raises RuntimeError before the first start."""
        return self._where()[2]

    def _where(self) -> tuple[str, int, str]:
        if self._address is None:
            raise RuntimeError("the server was not started: use it with 'with', or call start()")
        return self._address

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Return when clients can connect.

        Raises:
            RuntimeError: it is running already.
            ConfigError: the port is in use.
            DataDirError, CorruptLogError: the stored data cannot be used.
            ServerCrashed: it had crashed unnoticed; the next call starts it.
        """
        import attrs

        with self._lock:
            if self._loop is not None:
                self._running_loop()
                raise RuntimeError(f"the server is running already, at {self.hosts}")
            loop = _Loop(self._config, self._past)
            server = loop.start()
            self._loop = loop
            self._address = server.host, server.port, server.hosts
            self._config = attrs.evolve(self._config, client_port=server.port)
        return self

    def stop(self) -> None:
        """Cut all connections, end the thread and close the port; nothing happens when it is not running.

        A later `start` uses the same port, if nobody took it meanwhile: `outage` keeps it.

        Raises:
            ServerCrashed: it had ended before.
        """
        with self._lock:
            if self._loop is None:
                return
            loop, self._loop = self._loop, None
            loop.stop()

    def restart(self) -> None:
        """Stop and start on the same port; clients lose their connections.

        With a data directory sessions and data are still there when they come back. In memory nothing is: it
        is a `reset` with a moment in which connections are refused.
        """
        with self.outage():
            pass

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """For the time of the block the server is down: connections are cut, new ones refused.

        The port stays reserved. Afterwards the server is as after `restart`.
        """
        loop = self._running_loop()
        self._call(_go_down)
        try:
            yield
        finally:
            if self._loop is loop:
                self._call(_come_up)

    def reset(self) -> None:
        """Begin anew with an empty tree, in about a millisecond.

        A new server takes over the listening port; connections are cut, none is refused. A client that is
        still there comes back and is told that its session has expired (kazoo: ``KazooState.LOST``, then it
        goes on with a new session). Its ephemerals, watches and locks are gone with everything else, without
        any event. Only zxids and session ids go on rising: clients rely on that.

        Raises:
            RuntimeError: not running, or the server has a data directory.
            ServerCrashed: the server had ended before.
        """
        self._call(_reset)

    def renew(self) -> None:
        """As good as new, whatever happened to it: `reset` if it runs, `start` otherwise.

        Raises:
            ServerCrashed: it had crashed unnoticed; it was started again all the same.
        """
        with self._lock:
            if self._loop is None:
                self.start()
                return
            try:
                self.reset()
            except ServerCrashed:
                self.start()
                raise

    def _call(self, job: Job) -> None:
        with self._lock:
            loop = self._running_loop()
            try:
                loop.call(job)
            except ServerCrashed:
                self._loop = None
                raise

    def _running_loop(self) -> _Loop:
        with self._lock:
            loop = self._loop
            if loop is None:
                raise RuntimeError("the server is not running")
            if not loop.alive:
                self._loop = None
                loop.stop()
                raise AssertionError("a server ended without being asked to, and without an error")
            return loop

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


Job: TypeAlias = "Callable[[TrioServer], Awaitable[None]]"


async def _reset(server: TrioServer) -> None:
    await server.reset()


async def _go_down(server: TrioServer) -> None:
    await server.go_down()


async def _come_up(server: TrioServer) -> None:
    await server.come_up()


class _Loop:
    """One background thread with its trio loop and server, from start to end.

    Other threads append to ``_jobs`` and ring; None asks for the end. Whatever happens to the loop, its last
    act is to answer all that still wait for a reply.
    """

    def __init__(self, config: Config, past: Past) -> None:
        self._config: Final = config
        self._past: Final = past
        self._guard: Final = threading.Lock()
        self._replies: Final[set[Future[None]]] = set()
        self._jobs: Final[deque[tuple[Job, Future[None]] | None]] = deque()
        self._started: Final[Future[TrioServer]] = Future()
        self._token: trio.lowlevel.TrioToken | None = None
        self._wake: trio.Event | None = None
        self._over = False
        self._error: BaseException | None = None
        # A daemon: a program that forgets to stop its server must still be able to end.
        self._thread: Final = threading.Thread(target=self._run, name="zkpy-server", daemon=True)

    @property
    def alive(self) -> bool:
        return not self._over

    def start(self) -> TrioServer:
        """Start the thread; raises what stops the server from starting."""
        self._thread.start()
        try:
            return self._started.result()
        except BaseException:  # also Ctrl-C while it starts
            self._post(None)
            self._thread.join()
            raise

    def call(self, job: Job) -> None:
        """Have the loop do *job*; raises what it raises, or ServerCrashed when the loop has ended."""
        reply: Future[None] = Future()
        with self._guard:
            if self._over:
                raise self._crash()
            self._replies.add(reply)
        self._post((job, reply))
        reply.result()

    def stop(self) -> None:
        """End the thread; raises ServerCrashed when it had ended by itself."""
        self._post(None)
        self._thread.join()
        if self._error is not None:
            raise self._crash()

    def _crash(self) -> ServerCrashed:
        crash = ServerCrashed(f"the server has ended: {type(self._error).__name__}: {self._error}")
        crash.__cause__ = self._error
        return crash

    def _post(self, item: tuple[Job, Future[None]] | None) -> None:
        self._jobs.append(item)
        # Without a token the loop is not that far; it looks at the jobs when it is.
        token = self._token
        if token is not None:
            import trio

            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(self._ring)

    # -- on the thread -------------------------------------------------------------------------------------

    def _ring(self) -> None:
        assert self._wake is not None
        self._wake.set()

    def _run(self) -> None:
        import trio

        from zkpy.testing.trioserver import sole

        error: BaseException | None = None
        try:
            trio.run(self._main)
        except BaseException as group:
            error = sole(group)
        with self._guard:
            self._error = error
            self._over = True
            waiting = list(self._replies)
        if not self._started.done():
            assert error is not None
            self._started.set_exception(error)
        for reply in waiting:
            reply.set_exception(self._crash())

    async def _main(self) -> None:
        import trio

        from zkpy.testing.trioserver import open_server

        self._wake = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        async with open_server(config=self._config, past=self._past) as server:
            self._started.set_result(server)
            while True:
                while self._jobs:
                    item = self._jobs.popleft()
                    if item is None:
                        return
                    await self._do(server, *item)
                await self._wake.wait()
                self._wake = trio.Event()

    async def _do(self, server: TrioServer, job: Job, reply: Future[None]) -> None:
        error: Exception | None = None
        try:
            await job(server)
        except Exception as caught:
            error = caught
        with self._guard:
            self._replies.remove(reply)
        if error is None:
            reply.set_result(None)
        else:
            reply.set_exception(error)


@contextlib.contextmanager
def server_factory() -> Iterator[Callable[..., Server]]:
    """A function that starts servers with the options of `Server`; the block's end stops them."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Server:
            return stack.enter_context(Server(**options))

        yield start


@contextlib.contextmanager
def kazoo_client(hosts: str) -> Iterator[KazooClient]:
    """A started kazoo client for the time of the block."""
    from kazoo.client import KazooClient

    client = KazooClient(hosts)
    try:
        client.start()
        yield client
    finally:
        client.stop()
        client.close()
