"""The real network behind ``zkpy.quorum.network``: TCP through trio's sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final, Protocol

import trio

from zkpy.quorum.network import Address, DirectLine, Handler, UnknownHostError

BACKLOG: Final = 50


CHUNK_BYTES: Final = 65536


class Channel(Protocol):
    """A socket that `Rounds` looks after."""

    fd: int

    def read(self) -> None:
        """There is something to read."""

    def writable(self) -> None:
        """It takes more."""

    def flush(self) -> None:
        """Send what is queued."""


class Rounds(Protocol):
    """The loop that serves clients (`zkpy.server.transport.EpollTransport`)."""

    def attach(self, channel: Channel) -> None:
        """Look after a socket from now on."""

    def detach(self, channel: Channel) -> None:
        """No longer."""

    def rearm(self, channel: Channel, *, writes: bool) -> None:
        """Whether to wait until it takes more."""

    def queue(self, channel: Channel) -> None:
        """Have it flushed at the end of the round, or now when there is none."""


class SocketLine:
    """A `zkpy.quorum.network.DirectLine`."""

    __slots__ = ("_lost", "_out", "_queued", "_received", "_rounds", "_socket", "_taken", "_unsent", "fd")

    def __init__(
        self,
        rounds: Rounds,
        sock: socket.socket,
        out: list[bytes],
        received: Callable[[bytes], None],
        lost: Callable[[str], None],
    ) -> None:
        self._rounds: Final = rounds
        self._socket: Final = sock
        self._out: Final = out
        self._received: Final = received
        self._lost: Final = lost
        self._queued = False
        self._unsent: memoryview | None = None
        self._taken = 0
        self.fd = sock.fileno()
        rounds.attach(self)

    @property
    def stuck_at(self) -> int | None:
        """How many bytes the other end had taken when it took no more."""
        return self._taken if self._unsent is not None else None

    def poke(self) -> None:
        """There is something to send."""
        if not self._queued and self._unsent is None:
            self._queued = True
            self._rounds.queue(self)

    def read(self) -> None:
        """Read once."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        if data:
            self._received(data)
        else:
            self._end("connection closed")

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        self._queued = False
        if self.fd < 0 or self._unsent is not None or not self._out:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._send(memoryview(data))

    def writable(self) -> None:
        """The socket takes more."""
        unsent, self._unsent = self._unsent, None
        if unsent is not None:
            self._rounds.rearm(self, writes=False)
            self._send(unsent)
        self.flush()

    def _send(self, data: memoryview) -> None:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(str(error))
            return
        self._taken += sent
        if sent < len(data):
            self._unsent = data[sent:]
            self._rounds.rearm(self, writes=True)

    def _end(self, why: str) -> None:
        self.close()
        self._lost(why)

    def close(self) -> None:
        """Leave the socket alone."""
        if self.fd >= 0:
            self._rounds.detach(self)
            self.fd = -1


class SocketStream:
    """A TCP connection (`zkpy.quorum.network.Stream`).

    It takes the socket out of *stream*: trio's own goes through the scheduler once more after each system
    call, which costs more than the call.
    """

    __slots__ = ("_rounds", "_socket", "peer")

    def __init__(
        self, stream: trio.SocketStream, peer: Address, keepalive: bool, rounds: Rounds | None = None
    ) -> None:
        self._rounds: Final = rounds
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

    def direct(
        self, out: list[bytes], received: Callable[[bytes], None], lost: Callable[[str], None]
    ) -> DirectLine | None:
        """See `zkpy.quorum.network.DirectStream`."""
        if self._rounds is None:
            return None
        return SocketLine(self._rounds, self._socket, out, received, lost)

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

    *keepalive* lets the system find out about peers that vanished without a word (``tcpKeepAlive``). *rounds*
    looks after connections that are to do without tasks.
    """

    __slots__ = ("_keepalive", "_rounds")

    def __init__(self, keepalive: bool = False, rounds: Rounds | None = None) -> None:
        self._keepalive = keepalive
        self._rounds = rounds

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
        return SocketStream(stream, (host, port), self._keepalive, self._rounds)

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
                wrapped = SocketStream(stream, (name[0], name[1]), self._keepalive, self._rounds)
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
