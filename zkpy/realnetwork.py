"""The real network behind ``zkpy.quorum.network``: TCP through trio's sockets."""

from __future__ import annotations

import errno
import socket
from typing import Final

import trio

from zkpy.quorum.network import Address, Handler, UnknownHostError

BACKLOG: Final = 50


CHUNK_BYTES: Final = 65536


class SocketStream:
    """A TCP connection (`zkpy.quorum.network.Stream`).

    It takes the socket out of *stream*: trio's own goes through the scheduler once more after each system
    call, which costs more than the call.
    """

    __slots__ = ("_socket", "peer")

    def __init__(self, stream: trio.SocketStream, peer: Address, keepalive: bool) -> None:
        self._socket: Final = socket.socket(fileno=stream.socket.detach())  # trio set TCP_NODELAY on it
        self._socket.setblocking(False)
        self.peer: Final = peer
        if keepalive:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                raise self._failure(error) from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What has arrived, ``b""`` at the end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(max_bytes or CHUNK_BYTES)
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:  # ValueError: it was closed
                raise self._failure(error) from error

    def _failure(self, error: Exception) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError("closed here")
        return trio.BrokenResourceError(str(error))

    async def aclose(self) -> None:
        """Close at once."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()


class RealNetwork:
    """Connections between machines (`zkpy.quorum.network.Network`).

    *keepalive* lets the system find out about peers that vanished without a word (``tcpKeepAlive``).
    """

    __slots__ = ("_keepalive",)

    def __init__(self, keepalive: bool = False) -> None:
        self._keepalive = keepalive

    async def connect(self, host: str, port: int, timeout_s: float) -> SocketStream:
        """A new connection; all addresses of *host* are tried. Raises OSError."""
        stream: trio.SocketStream | None = None
        with trio.move_on_after(timeout_s):
            try:
                stream = await trio.open_tcp_stream(host, port)
            except socket.gaierror as error:
                raise _unknown(host, error) from error
            except OSError as error:
                raise _cause(error) from error
        if stream is None:
            raise TimeoutError(errno.ETIMEDOUT, f"no connection within {timeout_s:g} s", f"{host}:{port}")
        return SocketStream(stream, (host, port), self._keepalive)

    async def serve(
        self,
        host: str | None,
        port: int,
        handler: Handler,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled, with a task of *handler* for each accepted stream. Raises OSError."""

        async def accepted(stream: trio.SocketStream) -> None:
            try:
                name = stream.socket.getpeername()
                wrapped = SocketStream(stream, (name[0], name[1]), self._keepalive)
            except OSError:  # it is gone already
                await stream.aclose()
                return
            try:
                await handler(wrapped)
            finally:
                await wrapped.aclose()

        listeners = await _bind(host, port)
        bound = listeners[0].socket.getsockname()
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, accepted, listeners)
            task_status.started((bound[0], bound[1]))


async def _bind(host: str | None, port: int) -> list[trio.SocketListener]:
    """Listeners on all addresses of *host* that this machine has, with SO_REUSEADDR. Raises OSError."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise _unknown(host or "*", error) from error
    listeners: list[trio.SocketListener] = []
    missing: OSError | None = None
    for name in dict.fromkeys(str(info[4][0]) for info in found):
        try:
            listeners += await trio.open_tcp_listeners(port, host=name, backlog=BACKLOG)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                for listener in listeners:
                    await listener.aclose()
                raise
            missing = error  # a name may have an IPv6 address where there is no IPv6
        if listeners:
            port = listeners[0].socket.getsockname()[1]
    if not listeners:
        raise missing or OSError(errno.EADDRNOTAVAIL, "no address", host)
    return listeners


def _cause(error: OSError) -> OSError:
    """What happened, in what trio makes of an attempt with several addresses."""
    inner = error.__cause__
    if isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner if isinstance(inner, OSError) else error


def _unknown(host: str, error: socket.gaierror) -> UnknownHostError:
    why = f"{host} is no known host ({error.strerror}), check the server lines"
    return UnknownHostError(errno.EADDRNOTAVAIL, why)
