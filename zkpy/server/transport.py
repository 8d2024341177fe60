"""Sockets to connections and back.

All plain client sockets of a server hang on one private epoll whose descriptor the event loop waits for: one
task switch serves every connection that has something to say, and nothing is re-armed between reads. Each
round reads what arrived, lets the connections handle it, gets the writes going, and sends every answer.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
from typing import Final, Protocol

import trio

from zkpy.pipeline.sync import COMPANY
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.ports import SyncReports
from zkpy.server.cnxn import CLOSING, ClientCnxn
from zkpy.server.service import Service

logger: Final = logging.getLogger("zkpy.server")

CHUNK: Final = 65536
ACCEPT_BATCH: Final = 64
YIELD_AFTER_S: Final = 0.001
"""A busy loop lets other tasks run at least this often."""

LINGER_S: Final = 0.001
"""How long a round waits for the next one before the event loop takes over."""

SPINS: Final = 200
"""How often a loop of its own looks for the end of a sync before it sleeps, some 0.2 ms: a sync takes about
0.1, and to be woken by another processor costs nearly as much again."""

HOLD_S: Final = 0.0005
"""How long a group commit is held back at most while more and more requests join it."""

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT


LINES_EVERY_S: Final = 0.005
"""How much of a round's work may go by before other servers are told what it has brought about so far."""


class Channel(Protocol):
    """A socket that hangs on the epoll."""

    fd: int

    def read(self) -> None:
        """Read once and handle it."""

    def writable(self) -> None:
        """The socket takes more."""

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""


class SocketChannel:
    """One accepted socket."""

    __slots__ = ("_interest", "_reading", "_transport", "_unsent", "cnxn", "fd", "sock")

    cnxn: ClientCnxn

    def __init__(self, transport: EpollTransport, sock: socket.socket) -> None:
        self._transport = transport
        self.sock = sock
        self.fd = sock.fileno()
        self._reading = True
        self._interest = _IN
        self._unsent: memoryview | None = None

    def pause(self) -> None:
        """Stop reading."""
        self._reading = False
        self._rearm()

    def resume(self) -> None:
        """Read again."""
        self._reading = True
        self._rearm()

    def _rearm(self) -> None:
        interest = (_IN if self._reading else 0) | (_OUT if self._unsent is not None else 0)
        if interest != self._interest and self.fd >= 0:
            self._interest = interest
            self._transport.epoll.modify(self.fd, interest)

    def read(self) -> None:
        """Read once and handle it."""
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.cnxn.disconnect(error.strerror or str(error))
            return
        if data:
            self.cnxn.receive(data)
        else:
            self.cnxn.disconnect("the client closed it")

    def flush(self) -> None:
        """Send what the connection queued, as far as the socket takes it."""
        cnxn = self.cnxn
        out = cnxn.out
        if self.fd < 0:
            return
        if self._unsent is None:
            if not out:
                if cnxn.state == CLOSING:
                    self.abort()
                    cnxn.closed()
                return
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                cnxn.disconnect(error.strerror or str(error))
                return
            if sent == len(data):
                cnxn.out_size = 0
                if cnxn.state == CLOSING:
                    self.abort()
                    cnxn.closed()
                return
            self._unsent = memoryview(data)[sent:]
            cnxn.out_size = len(self._unsent)
            self._rearm()

    def writable(self) -> None:
        """The socket takes more."""
        while self._unsent is not None:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                self.cnxn.disconnect(error.strerror or str(error))
                return
            self.cnxn.out_size -= sent
            self.cnxn.progressed()
            if sent < len(self._unsent):
                self._unsent = self._unsent[sent:]
                return
            self._unsent = None
            self._rearm()
            self.flush()

    def abort(self) -> None:
        """Close now."""
        if self.fd < 0:
            return
        transport = self._transport
        transport.epoll.unregister(self.fd)
        del transport.channels[self.fd]
        self.fd = -1
        self._unsent = None
        with contextlib.suppress(OSError):  # the peer may be faster
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class EpollTransport:
    """Serves the clients of *service* on listening sockets until cancelled.

    Connections between servers can be attached: what comes in on all kinds is handled in one round, and what
    that brings about goes out together.
    """

    def __init__(
        self,
        service: Service,
        listeners: list[socket.socket],
        *,
        keep_alive: bool = False,
        reports: SyncReports | None = None,
        linger: bool = False,
    ) -> None:
        """*reports* tell of finished log syncs; they are polled together with the sockets.

        With *linger* a round waits up to a millisecond for the next without going back to the event loop,
        which would cost more than the wait is worth. That is for a loop that has little else to do: its other
        tasks wait as long.
        """
        self._linger: Final = linger
        self._service: Final = service
        self._keep_alive: Final = keep_alive
        self.channels: Final[dict[int, Channel]] = {}
        self._in_round = False
        self._queued: list[Channel] = []
        """Attached ones with something to send."""
        self._listeners: Final = {sock.fileno(): sock for sock in listeners}
        self.epoll: Final = select.epoll()
        self._spare: socket.socket | None = socket.socket()
        service.server.send_some = self.send_some
        for fd in self._listeners:
            self.epoll.register(fd, _IN)
        self._reports: Final = reports
        if reports is not None:
            self.epoll.register(reports.fileno(), _IN)

    def listen_on(self, listeners: list[socket.socket]) -> None:
        """Accept connections there instead; those that were accepted before stay. Closes the old ones."""
        for fd, sock in self._listeners.items():
            self.epoll.unregister(fd)
            sock.close()
        self._listeners.clear()
        for sock in listeners:
            self._listeners[sock.fileno()] = sock
            self.epoll.register(sock.fileno(), _IN)

    def attach(self, channel: Channel) -> None:
        """Look after a connection to another server."""
        self.channels[channel.fd] = channel
        self.epoll.register(channel.fd, _IN)

    def detach(self, channel: Channel) -> None:
        """No longer; it is not closed."""
        if self.channels.pop(channel.fd, None) is not None and not self.epoll.closed:
            self.epoll.unregister(channel.fd)

    def rearm(self, channel: Channel, *, writes: bool) -> None:
        """Whether to wait until it takes more."""
        if channel.fd in self.channels and not self.epoll.closed:
            self.epoll.modify(channel.fd, _IN | _OUT if writes else _IN)

    def queue(self, channel: Channel) -> None:
        """Flush it at the end of the round, or now when there is none."""
        if self._in_round:
            self._queued.append(channel)
        else:
            channel.flush()

    def _flush_lines(self) -> None:
        queued, self._queued = self._queued, []
        for channel in queued:
            channel.flush()

    async def run(self) -> None:
        """Serve; on the way out every socket is closed."""
        service = self._service
        clock = service.server.clock
        poll = self.epoll.poll
        channels = self.channels
        epoll_fd = self.epoll.fileno()
        lingers = self._linger
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll_fd)
                started = clock()
                held_since = 0.0
                while True:
                    server = service.server  # in an ensemble each role has its own
                    sync = server.sync
                    events = poll(0, 512)
                    if not events:
                        if sync.waiting:
                            self._begin_sync(server)
                            held_since = 0.0
                        else:
                            events = self._look_longer() if lingers and not server.background else events
                            if not events:
                                break
                    server.now = told = clock()
                    self._in_round = True
                    for fd, mask in events:
                        channel = channels.get(fd)
                        if channel is None:
                            self._accept(fd)
                            continue
                        if mask & _OUT:
                            channel.writable()
                        if mask & ~_OUT and channel.fd >= 0:
                            channel.read()
                        if self._queued and clock() - told > LINES_EVERY_S:
                            self._flush_lines()
                            told = clock()
                    # A sync is dear: it begins when nobody has anything to add, but soon in any case.
                    waiting = sync.waiting if service.server is server else 0
                    if waiting:
                        if not held_since:
                            held_since = server.now
                        if waiting >= COMPANY or server.now - held_since > HOLD_S:
                            server.flush()
                            held_since = 0.0
                    gate = service.server.gate
                    if gate is not None:
                        gate.start()
                    more = self.send_some()
                    self._in_round = False
                    if more or server.now - started > YIELD_AFTER_S:
                        await trio.lowlevel.checkpoint()
                        started = clock()
                        while self.send_some():
                            await trio.lowlevel.checkpoint()
        finally:
            self.close()

    def _begin_sync(self, server: ZooKeeperServer) -> None:
        """Nobody has anything to add at the moment."""
        self._in_round = True
        server.flush(idle=self._linger)
        self._flush_lines()
        self._in_round = False

    def _look_longer(self) -> list[tuple[int, int]]:
        """Wait a moment for events without the event loop: look again during a sync, then sleep."""
        poll = self.epoll.poll
        for _ in range(SPINS if self._service.server.sync.busy else 0):
            os.sched_yield()
            events = poll(0, 512)
            if events:
                return events
        return poll(LINGER_S, 512)

    def send_some(self) -> bool:
        """Send the output of a bounded number of connections; says whether more have some."""
        if self._queued:
            self._flush_lines()
        service = self._service
        if service.dirty or service.overdue:
            for cnxn in service.next_dirty():
                cnxn.channel.flush()
        if service.paused:
            service.resume_ready()
        return bool(service.dirty)

    def _accept(self, fd: int) -> None:
        listener = self._listeners.get(fd)
        if listener is None:
            if self._reports is not None and fd == self._reports.fileno():
                self._reports.collect()
            return  # or closed earlier in this round
        for _ in range(ACCEPT_BATCH):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._refuse_one(listener)
                return
            address = peer_address(peer[0])
            if not self._service.admits(address, sock.fileno()):
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._keep_alive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            channel = SocketChannel(self, sock)
            channel.cnxn = ClientCnxn(self._service, channel, address, peer[1])
            self.channels[channel.fd] = channel
            self._service.register(channel.cnxn)
            self.epoll.register(channel.fd, _IN)

    def _refuse_one(self, listener: socket.socket) -> None:
        # Out of descriptors: give up a spare one to accept and close, or the listener would stay readable
        # and this loop would spin.
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        try:
            listener.accept()[0].close()
            self._spare = socket.socket()
        except OSError:
            return
        self._service.rejected += 1
        logger.warning("a connection was refused: no file descriptors are left (ulimit -n)")

    def close(self) -> None:
        """Close all sockets."""
        self._service.close_all()
        for sock in self._listeners.values():
            sock.close()
        if self._spare is not None:
            self._spare.close()
        self.epoll.close()


def peer_address(text: str) -> str:
    """A peer's address as ACLs write it: IPv6 as eight unpadded groups, mapped IPv4 as plain IPv4."""
    if ":" not in text:
        return text
    packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return ":".join(f"{int.from_bytes(packed[i : i + 2], 'big'):x}" for i in range(0, 16, 2))
