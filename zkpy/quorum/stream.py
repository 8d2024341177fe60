"""A connection of the quorum port: packets in, packets out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from zkpy.errors import ProtocolError
from zkpy.quorum.network import Address, DirectLine, DirectStream
from zkpy.quorum.packets import PacketReader, QuorumPacket, Run

CHUNK_BYTES: Final = 1 << 16
SEND_BYTES: Final = 1 << 20
"""The other side has to take so much within the time-out."""


class Connection(Protocol):
    """The byte stream below, real or simulated."""

    @property
    def peer(self) -> Address:
        """Where the other end is."""

    async def send_all(self, data: bytes) -> None: ...

    async def receive_some(self, max_bytes: int) -> bytes: ...

    async def aclose(self) -> None: ...


Listen = Callable[[Callable[[Connection], Awaitable[None]], trio.TaskStatus[None]], Awaitable[None]]
"""Listens on a port for learners and gives each connection to a handler."""


class Disconnected(Exception):
    """The other side is gone, or silent for too long."""


class PacketStream:
    """Packets over a connection; what is sent waits in an unbounded FIFO until the writer takes it.

    All order between a leader and a learner rests on that FIFO. *timeout_s* is how long the other side may be
    silent; it changes when a phase ends.
    """

    def __init__(self, connection: Connection, limit_bytes: int, timeout_s: float) -> None:
        self._connection: Final = connection
        self._reader: Final = PacketReader(limit_bytes)
        self._out: list[bytes] = []
        self._wake = trio.Event()
        self.timeout_s = timeout_s
        self._watched = False
        self._heard = 0.0
        self._line: DirectLine | None = None
        self._wants_line: trio.Event | None = None
        self._ended: Final = trio.Event()
        self._failure: Exception | None = None
        self._handle: Callable[[list[QuorumPacket | Run]], None] = lambda packets: None

    def send(self, data: bytes) -> None:
        """Queue bytes behind everything queued before."""
        self._out.append(data)
        if self._line is None:
            self._wake.set()
        else:
            self._line.poke()

    async def opening(self, within_s: float) -> int:
        """The type of the first packet, as soon as that is known; the packet is still to be received.

        Raises:
            Disconnected: the connection ended, or nothing came for *within_s* seconds.
            ProtocolError: the type did not come as a whole in that time.
        """
        with trio.move_on_after(within_s):
            while (kind := self._reader.arriving) is None:
                self._reader.feed(await self._receive())
            return kind
        if arrived := self._reader.pending_bytes:
            raise ProtocolError(f"only {arrived} bytes came in {within_s:g} s")
        raise Disconnected(f"nothing came for {within_s:g} s")

    async def receive(self) -> QuorumPacket:
        """The next packet.

        Raises:
            Disconnected: the connection ended or was silent for ``timeout_s``.
            ProtocolError: what came is no packet.
        """
        while (packet := self._reader.next()) is None:
            self._reader.feed(await self._some())
        return packet

    async def deliver(
        self, handle: Callable[[list[QuorumPacket | Run]], None], settle: Callable[[], Awaitable[None]]
    ) -> None:
        """Give *handle* all packets that have arrived, again and again, until cancelled.

        Needs `write` beside it. *settle* is called after each time unless the connection is given to the loop
        that serves clients, which does by itself what follows. Raises as `receive`, and what *handle* raises.
        """
        self._handle = handle
        try:
            if isinstance(self._connection, DirectStream):
                self._wants_line = trio.Event()
                self._wake.set()
                await self._wants_line.wait()
            while self._line is None:
                if packets := self._reader.all():
                    handle(packets)
                    await settle()
                self._reader.feed(await self._some())
            self._arrived(b"")  # what came before
            await settle()
            await self._ended.wait()
        finally:
            if self._line is not None:
                self._line.close()
        assert self._failure is not None
        raise self._failure

    def _arrived(self, data: bytes) -> None:
        """Bytes from the line; what they lead to must not end the loop that serves clients."""
        self._heard = trio.current_time()
        reader = self._reader
        try:
            reader.feed(data)
            if packets := reader.all():
                self._handle(packets)
        except Exception as error:
            self._fail(error)

    def _lost(self, why: str) -> None:
        self._fail(Disconnected(why))

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        if self._line is not None:
            self._line.close()
        self._ended.set()

    async def receive_raw(self) -> bytes:
        """Bytes that are no packets: those that arrived already, else the next ones."""
        return self._reader.rest() or await self._some()

    def unread(self, data: bytes) -> None:
        """Put back what followed the raw bytes."""
        self._reader.unread(data)

    async def watch(self) -> None:
        """See to the time-out until cancelled, so that `receive` need not, which makes it cheaper.

        Raises:
            Disconnected: the other side was silent for too long.
        """
        self._watched = True
        self._heard = trio.current_time()
        stuck: int | None = None
        while (left_s := self._heard + self.timeout_s - trio.current_time()) > 0:
            await trio.sleep(min(left_s, self.timeout_s / 2))
            before, stuck = stuck, self._line.stuck_at if self._line is not None else None
            if stuck is not None and stuck == before:
                raise Disconnected(f"nothing was taken for {self.timeout_s / 2:g} s")
        raise self._silent()

    def _silent(self) -> Disconnected:
        return Disconnected(f"nothing came for {self.timeout_s:g} s")

    async def _some(self) -> bytes:
        if self._watched:
            data = await self._receive()
            self._heard = trio.current_time()
            return data
        with trio.move_on_after(self.timeout_s):
            return await self._receive()
        raise self._silent()

    async def _receive(self) -> bytes:
        try:
            data = await self._connection.receive_some(CHUNK_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Disconnected(str(error) or "connection lost") from None
        if not data:
            raise Disconnected("connection closed")
        return data

    async def flushed(self) -> None:
        """Send what is queued; for the time before `write` runs."""
        data = b"".join(self._out)
        self._out.clear()
        await self.send_now(data)

    async def send_now(self, data: bytes) -> None:
        """Send bytes without the queue, such as a snapshot before anything is queued.

        Raises:
            Disconnected: the connection is lost, or nothing is taken for ``timeout_s``.
        """
        for start in range(0, len(data), SEND_BYTES):
            with trio.move_on_after(self.timeout_s) as scope:
                try:
                    await self._connection.send_all(data[start : start + SEND_BYTES])
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise Disconnected(str(error) or "connection lost") from None
            if scope.cancelled_caught:
                raise Disconnected(f"nothing was taken for {self.timeout_s:g} s")

    async def write(self) -> None:
        """Send what gets queued until cancelled. Raises Disconnected."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._out:
                await self.flushed()
            if self._wants_line is not None:
                assert isinstance(self._connection, DirectStream)
                self._line = self._connection.direct(self._out, self._arrived, self._lost)
                self._wants_line.set()
                self._wants_line = None
                if self._line is not None:
                    return
