"""One client connection: its bytes, and those of the two connections that belong to it."""

from __future__ import annotations

import contextlib
from math import inf
from struct import pack
from typing import TYPE_CHECKING, Final

import trio

from zkpy import opcodes
from zkpy.compare.match import NAMES, REAL, ZKPY, Matcher, Side
from zkpy.compare.report import address_text
from zkpy.compare.screen import CONNECT, Request, cut_batches, read_request
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.jute.archive import read_int_from, read_long_from
from zkpy.jute.framing import FrameReader, frame
from zkpy.jute.records import ConnectRequest

if TYPE_CHECKING:
    from zkpy.compare.proxy import Comparison

CHUNK_BYTES: Final = 65536
OUTBOX_BYTES: Final = 4 << 20
"""Of answers that the client has not taken; beyond it nothing more is read from the client."""
END_GRACE_S: Final = 2.0
"""How much later than the other one a server may close a connection."""
FLUSH_S: Final = 1.0
ANY_LENGTH: Final = (1 << 31) - 1

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


def cut_frames(arrived: bytearray, limit_bytes: int) -> tuple[list[bytes], bool]:
    """Take the payloads of all whole frames; True: what is left begins with a length that no frame has."""
    frames = []
    pos = 0
    bad = False
    while pos + 4 <= len(arrived):
        size: int = read_int_from(arrived, pos)[0]
        bad = not 0 <= size <= limit_bytes
        if bad or pos + 4 + size > len(arrived):
            break
        frames.append(bytes(arrived[pos + 4 : pos + 4 + size]))
        pos += 4 + size
    del arrived[:pos]
    return frames, bad


class Link:
    """A client's connection to the proxy, made by it for each client."""

    def __init__(self, comparison: Comparison, client: trio.SocketStream) -> None:
        self._comparison: Final = comparison
        self._client: Final = client
        host, port = client.socket.getpeername()[:2]
        self.name: Final = address_text((host, port))
        """The client's address."""
        self._matcher: Final = Matcher(comparison.pairs, comparison.report, self.name, trio.current_time)
        self._zkpy: trio.SocketStream
        self._nursery: trio.Nursery
        self._real: trio.SocketStream | None = None
        self._real_scope = trio.CancelScope()
        self._begun = False
        self._ended: Final = [False, False]
        self._asked: Final = [0, 0]
        self._changed = trio.Event()
        self._outbox: Final = bytearray()
        self._sending = False
        self._refused = False
        """zkpy ends the connection because of a request that the real server did not get."""
        self._deaf = False
        """The client does not take answers any more."""

    async def run(self) -> None:
        """Serve the client until it or zkpy ends the connection."""
        comparison = self._comparison
        try:
            with trio.fail_after(comparison.wait_s):
                self._zkpy = await trio.open_tcp_stream(*comparison.zkpy)
        except (OSError, trio.TooSlowError) as error:
            comparison.report.note(f"zkpy does not accept a connection: {error}")
            await self._client.aclose()
            return
        comparison.links.add(self)
        try:
            async with self._client, self._zkpy, trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._read_zkpy)
                self._nursery.start_soon(self._write_client)
                self._nursery.start_soon(self._watch_ends)
                self._nursery.start_soon(self._watch_events)
                await self._read_client()
                if self._ended[ZKPY]:
                    await trio.sleep_forever()  # `_watch_ends` looks what the other server does, and ends it
                await self._flushed()
                self._nursery.cancel_scope.cancel()
        finally:
            comparison.links.discard(self)

    def drop_real(self) -> None:
        """Go on with zkpy alone."""
        self._real = None
        self._real_scope.cancel()
        self._matcher.forget_real()
        self._notify()

    async def settle(self) -> None:
        """Before the end: wait, not for long, until both servers have sent their events."""
        with trio.move_on_after(min(FLUSH_S, self._comparison.wait_s)):
            while self._matcher.oldest_event_s() is not None:
                await self._changed.wait()

    def give_up(self) -> None:
        """Report the events that only one server has sent."""
        self._matcher.give_up(inf)

    # -- from the client -------------------------------------------------------------------------------

    async def _read_client(self) -> None:
        arrived = bytearray()
        while True:
            while len(self._outbox) > OUTBOX_BYTES:
                await self._changed.wait()
            try:
                chunk = await self._client.receive_some(CHUNK_BYTES)
            except _GONE:
                return
            if not chunk:
                return
            arrived += chunk
            frames, bad = cut_frames(arrived, self._comparison.limit_bytes)
            if frames and not self._begun:
                await self._pass_on([Request(frames.pop(0), 0, CONNECT)])
                self._begun = True
            for batch in cut_batches([read_request(one) for one in frames]):
                await self._pass_on(batch)
            if bad and not self._begun:
                await self._tunnel(arrived)
                return
            if bad:
                await self._pass_bad(bytes(arrived[:4]))
                return

    async def _tunnel(self, arrived: bytearray) -> None:
        """A four-letter word, or something that is nothing: zkpy alone has to know."""
        self._begun = True
        data = bytes(arrived)
        try:
            while data:
                await self._zkpy.send_all(data)
                data = bytes(await self._client.receive_some(CHUNK_BYTES))
            await self._zkpy.send_eof()
        except _GONE:
            pass
        with trio.move_on_after(self._comparison.wait_s):
            while not self._ended[ZKPY]:
                await self._changed.wait()

    async def _pass_bad(self, length: bytes) -> None:
        """A length that no frame has: both servers close the connection."""
        async with self._comparison.gate:
            await self._send(self._zkpy, length)
            if self._real is not None:
                await self._send(self._real, length)
        with trio.move_on_after(self._comparison.wait_s):
            await trio.sleep_forever()  # `_watch_ends` ends it

    async def _pass_on(self, batch: list[Request]) -> None:
        """Send a batch to both servers, and return when both have answered it."""
        await self._events_settled()
        async with self._comparison.gate:
            if batch[0].opcode == CONNECT:
                await self._open_real()
            ours = b"".join([frame(request.frame) for request in batch])
            real = self._real
            if real is None:
                await self._send(self._zkpy, ours)
                return
            if self._matcher.session is not None:
                self._comparison.pairs.sessions.touch(self._matcher.session, trio.current_time())
            for request in batch:
                self._expect(request, ZKPY)
                if request.withheld is None:
                    self._expect(request, REAL)
                self._refused = self._refused or request.opcode == opcodes.CREATE_SESSION
            theirs = b"".join([frame(self._for_real(one)) for one in batch if one.withheld is None])
            await self._send(self._zkpy, ours)
            await self._send(real, theirs)
            await self._answered(batch)

    def _expect(self, request: Request, side: Side) -> None:
        if len(request.frame) >= 8:
            self._matcher.sent(request, side)
        if request.answered:
            self._asked[side] += 1

    async def _send(self, stream: trio.SocketStream, data: bytes) -> None:
        """A server that takes nothing shows by not answering, one that is gone by the end of its stream."""
        with trio.move_on_after(self._comparison.wait_s), contextlib.suppress(*_GONE):
            await stream.send_all(data)

    def _is_done(self, side: Side, batch: list[Request]) -> bool:
        if self._ended[side]:
            return True
        ends = any(len(request.frame) < 8 for request in batch)
        return not ends and self._has_answered(side)

    def _has_answered(self, side: Side) -> bool:
        return self._matcher.answers[side] >= self._asked[side]

    async def _answered(self, batch: list[Request]) -> None:
        wait_s = self._comparison.wait_s
        with trio.move_on_after(wait_s):
            while self._real is not None and not (self._is_done(ZKPY, batch) and self._is_done(REAL, batch)):
                await self._changed.wait()
            if self._ended[REAL] and not self._ended[ZKPY] and not self._has_answered(REAL):
                await self._lose_real(unanswered=True)
            return
        late = [side for side in (ZKPY, REAL) if not self._is_done(side, batch)]
        if len(late) == 2:
            self._comparison.report.note(f"neither server answered a request within {wait_s:g} s")
        elif late == [ZKPY]:
            self._matcher.note_unanswered(ZKPY, f"gave no answer within {wait_s:g} s")
        else:
            self._matcher.note_unanswered(REAL, f"gave no answer within {wait_s:g} s")
            self._comparison.stop(f"{NAMES[REAL]} gave no answer within {wait_s:g} s")

    async def _events_settled(self) -> None:
        """Wait, not for long, until both servers have sent the client what it may be reacting to.

        Only what happens at a server's own time, such as the expiry of a session, can be late here.
        """
        session = self._matcher.session
        if session is None:
            return
        with trio.move_on_after(min(self._comparison.wait_s, session.timeout_s / 3)):
            while self._real is not None and self._matcher.oldest_event_s() is not None:
                await self._changed.wait()

    # -- requests as the real server knows them --------------------------------------------------------

    async def _open_real(self) -> None:
        comparison = self._comparison
        if comparison.stopped is not None:
            return
        try:
            with trio.fail_after(comparison.wait_s):
                real = await trio.open_tcp_stream(*comparison.real)
        except (OSError, trio.TooSlowError) as error:
            reason = f"{NAMES[REAL]} cannot be reached any more"
            self._matcher.note_end(f"{reason}: {error or 'no answer'}")
            comparison.stop(reason)
            return
        self._matcher.addresses = (self._zkpy.socket.getsockname()[0], real.socket.getsockname()[0])
        self._real = real
        self._nursery.start_soon(self._read_real, real)

    def _for_real(self, request: Request) -> bytes:
        """The request with the session and the zxids of the real server."""
        zxids = self._comparison.pairs.zxids
        data = request.frame
        if request.opcode == CONNECT:
            return self._connect_for_real(data)
        if request.opcode in (opcodes.SET_WATCHES, opcodes.SET_WATCHES2) and len(data) >= 16:
            seen: int = read_long_from(data, 8)[0]
            return data[:8] + pack(">q", zxids.to_real(seen)) + data[16:]
        return data

    def _connect_for_real(self, data: bytes) -> bytes:
        pairs = self._comparison.pairs
        try:
            request, end = ConnectRequest.decode(data)
        except MarshallingError:
            return data
        request.last_zxid_seen = pairs.zxids.to_real(request.last_zxid_seen)
        session = pairs.sessions.find(request.session_id)
        if session is not None:
            request.session_id = session.real_id
            if request.passwd == session.zkpy_password:
                request.passwd = session.real_password
            elif request.passwd == session.real_password:
                request.passwd = bytes(16)  # wrong for both
        elif pairs.sessions.is_real(request.session_id):
            request.session_id ^= 1 << 62  # unknown to both
        return request.encode() + data[end:]

    # -- from the servers ------------------------------------------------------------------------------

    async def _read_zkpy(self) -> None:
        await self._read(self._zkpy, ZKPY)

    async def _read_real(self, stream: trio.SocketStream) -> None:
        with self._real_scope:
            async with stream:
                await self._read(stream, REAL)

    async def _read(self, stream: trio.SocketStream, side: Side) -> None:
        reader = FrameReader(ANY_LENGTH)
        try:
            while chunk := await stream.receive_some(CHUNK_BYTES):
                if side == ZKPY and not self._deaf:
                    self._outbox.extend(chunk)
                if self._real is not None:
                    reader.feed(chunk)
                    while (payload := reader.next_frame()) is not None:
                        self._matcher.arrived(side, payload)
                self._notify()
        except (*_GONE, ProtocolError):
            pass
        self._ended[side] = True
        self._notify()

    async def _write_client(self) -> None:
        try:
            while True:
                while not self._outbox:
                    if self._ended[ZKPY]:
                        await self._client.send_eof()
                        return
                    await self._changed.wait()
                data = bytes(self._outbox)
                self._outbox.clear()
                self._sending = True
                await self._client.send_all(data)
                self._sending = False
                self._notify()
        except _GONE:
            self._deaf = True
            self._outbox.clear()
            self._sending = False
            self._notify()

    async def _flushed(self) -> None:
        with trio.move_on_after(FLUSH_S):
            while self._outbox or self._sending:
                await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- watching --------------------------------------------------------------------------------------

    async def _watch_ends(self) -> None:
        """Both servers must end a connection, or none. When zkpy does, the client's connection ends."""
        ended = self._ended
        while not any(ended):
            await self._changed.wait()
        with trio.move_on_after(min(END_GRACE_S, self._comparison.wait_s)):
            while self._real is not None and not all(ended) and not self._refused:
                await self._changed.wait()
        if self._real is not None and not all(ended) and not self._refused:
            if ended[ZKPY]:
                self._matcher.note_end(f"{NAMES[ZKPY]} has closed the connection, {NAMES[REAL]} has not")
            else:
                await self._lose_real()
        while not ended[ZKPY]:
            await self._changed.wait()
        await self._flushed()
        self._nursery.cancel_scope.cancel()

    async def _lose_real(self, *, unanswered: bool = False) -> None:
        """The real server has closed the connection, and zkpy has not."""
        comparison = self._comparison
        there = await comparison.real_is_there()
        if self._real is None:
            return  # somebody else was faster
        if unanswered:
            self._matcher.note_unanswered(REAL, "has closed the connection without an answer")
        else:
            self._matcher.note_end(f"{NAMES[REAL]} has closed the connection, {NAMES[ZKPY]} has not")
        if there:
            comparison.report.note("nothing more is compared on this connection: the trees may drift apart")
            self.drop_real()
        else:
            comparison.stop(f"{NAMES[REAL]} cannot be reached any more")

    async def _watch_events(self) -> None:
        """Give up events that only one server sends."""
        while True:
            changed = self._changed
            oldest = self._matcher.oldest_event_s()
            if oldest is None:
                await changed.wait()
                continue
            with trio.move_on_at(oldest + self._comparison.wait_s):
                await changed.wait()
                continue
            self._matcher.give_up(oldest)
            self._notify()
