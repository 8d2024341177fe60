"""A client whose session goes on at another member when one fails, and who notes everything it is told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import trio

from compat import wire
from compat.faults.history import History, SessionRecord, WatchRecord

_CONNECT_S = 1.0
_HANDSHAKE_S = 2.0
_PAUSE_S = 0.05
_EPHEMERAL = 1
_EVENT, _PING, _WATCHES = -1, -2, -8
OWNERS = "/owners"
"""Each session has an ephemeral in it, named as the session is."""


class Lost(Exception):
    """The connection is over; what was asked may have happened."""


class Expired(Exception):
    """The session is over."""


class Reply(NamedTuple):
    """An answer: when it was asked for and when it came."""

    xid: int
    zxid: int
    error: int
    body: bytes
    invoked: float
    completed: float


class Client:
    """One session at a time, one connection at a time; *addresses* by the member's number."""

    def __init__(
        self,
        number: int,
        addresses: dict[int, tuple[str, int]],
        history: History,
        random: Random,
        *,
        session_timeout_s: float,
        patience_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.number = number
        self.member = 0
        self.record: SessionRecord | None = None
        self._addresses = addresses
        self._history = history
        self._random = random
        self._timeout_ms = round(session_timeout_s * 1000)
        self._patience_s = patience_s
        self._clock = clock
        self._session = 0
        self._password = bytes(16)
        self._zxid = 0
        self._xid = 0
        self._stream: trio.SocketStream | None = None
        self._buffer = bytearray()
        self._watches: dict[str, WatchRecord] = {}

    @property
    def session(self) -> int:
        return self._session

    @property
    def has_connection(self) -> bool:
        return self._stream is not None

    async def connected(self) -> None:
        """Return when there is a connection with a session that has its ephemeral."""
        while self._stream is None or self.record is None or self.record.ephemeral is None:
            try:
                if self._stream is None:
                    await self._connect(self._random.choice(list(self._addresses)))
                await self._own()
            except Lost:
                await trio.sleep(_PAUSE_S)
            except Expired:
                continue

    async def connect_to(self, member: int) -> None:
        """A connection to one member. Raises Lost, Expired."""
        await self.drop()
        await self._connect(member)

    async def _connect(self, member: int) -> None:
        self.member = member
        try:
            with trio.fail_after(_CONNECT_S):
                self._stream = await trio.open_tcp_stream(*self._addresses[member])
            self._buffer.clear()
            with trio.fail_after(_HANDSHAKE_S):
                await self._shake_hands()
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
            await self.drop()
            raise Lost(str(error)) from None
        except (Lost, Expired):
            await self.drop()
            raise

    async def _shake_hands(self) -> None:
        assert self._stream is not None
        frame = wire.connect_frame(
            zxid=self._zxid, timeout_ms=self._timeout_ms, session=self._session, password=self._password
        )
        asked = self._clock()
        await self._stream.send_all(frame)
        answer = await self._frame()
        _, timeout_ms, session = struct.unpack_from(">iiq", answer)
        if not timeout_ms:
            if self.record is not None:
                self.record.expired = self._clock()
            self.forget()
            raise Expired
        if session == self._session:
            assert self.record is not None
            self.record.answers.append((asked, self._clock(), -1, f"member {self.member}"))
            await self._set_watches()
            return
        if session in self._history.sessions:
            self._history.repeated_sessions.append(session)
        self._session, self._password = session, answer[20:36]
        self.record = SessionRecord(session, self.number, timeout_ms / 1000, asked)
        self.record.answers.append((asked, self._clock(), -1, f"member {self.member}"))
        self._history.sessions[session] = self.record

    def forget(self) -> None:
        """The next connection gets a new session."""
        self._session, self._password, self.record = 0, bytes(16), None
        self._watches.clear()

    def watches(self, path: str) -> bool:
        """Whether the session has a watch there."""
        return path in self._watches

    def watch(self, path: str, zxid: int) -> None:
        """A read whose answer has this zxid has set a watch."""
        assert self.record is not None
        self._watches[path] = WatchRecord(path, zxid, len(self.record.answers))
        self.record.watches.append(self._watches[path])

    async def _set_watches(self) -> None:
        """Take the session's watches along to another member."""
        assert self._stream is not None
        if self._watches:
            for watch in self._watches.values():
                watch.moved = True
            body = wire.i64(self._zxid) + wire.texts(self._watches) + wire.texts([]) * 2
            await self._stream.send_all(wire.request(_WATCHES, wire.SET_WATCHES, body))

    def _event(self, frame: bytes, record: SessionRecord) -> None:
        kind, _, size = struct.unpack_from(">iii", frame, 16)
        path = frame[28 : 28 + size].decode()
        watch = self._watches.pop(path, None)
        if watch is None:
            record.stray.append(path)
        else:
            watch.fired, watch.kind = len(record.answers), kind

    async def _own(self) -> None:
        assert self.record is not None
        path = f"{OWNERS}/{self._session:x}"
        reply = await self.call(wire.CREATE, wire.create_body(path, b"", flags=_EPHEMERAL))
        if reply.error in (0, -110) and self.record is not None:
            self.record.ephemeral = path

    async def call(self, op: int, body: bytes = b"") -> Reply:
        """One request and its answer. Raises Lost; a session that is over is forgotten."""
        (reply,) = await self.pipeline((op, body))
        return reply

    async def pipeline(self, *requests: tuple[int, bytes]) -> list[Reply]:
        """Several requests at once, and their answers. Raises Lost."""
        assert self._stream is not None and self.record is not None
        first = self._xid + 1
        frames = [wire.request(first + n, op, body) for n, (op, body) in enumerate(requests)]
        self._xid += len(requests)
        record = self.record
        replies: list[Reply] = []
        invoked = self._clock()
        try:
            with trio.fail_after(self._patience_s):
                await self._stream.send_all(b"".join(frames))
                for n in range(len(requests)):
                    replies.append(await self._reply(first + n, invoked, record))
        except (OSError, trio.TooSlowError, trio.BrokenResourceError, Lost) as error:
            await self.drop()
            raise Lost(str(error)) from None
        except trio.Cancelled:
            self._abandon()
            raise
        if any(reply.error == -112 for reply in replies):
            record.expired = self._clock()
            await self.drop()
            self.forget()
        elif any(reply.error == -118 for reply in replies):
            await self.drop()
        return replies

    @property
    def last_xid(self) -> int:
        return self._xid

    async def _reply(self, xid: int, invoked: float, record: SessionRecord) -> Reply:
        while True:
            frame = await self._frame()
            found, zxid, error = struct.unpack_from(">iqi", frame)
            if found == _EVENT:
                self._event(frame, record)
            if found in (_EVENT, _PING, _WATCHES):
                continue
            if found != xid:
                raise Lost(f"answer {found} instead of {xid}")
            now = self._clock()
            if zxid > 0:
                self._zxid = max(self._zxid, zxid)
            record.answers.append((invoked, now, zxid, f"member {self.member}"))
            return Reply(xid, zxid, error, frame[16:], invoked, now)

    async def _frame(self) -> bytes:
        assert self._stream is not None
        size = -1
        while True:
            if size < 0 and len(self._buffer) >= 4:
                (size,) = struct.unpack_from(">i", self._buffer)
            if size >= 0 and len(self._buffer) >= 4 + size:
                frame = bytes(self._buffer[4 : 4 + size])
                del self._buffer[: 4 + size]
                return frame
            piece = await self._stream.receive_some(65536)
            if not piece:
                raise Lost("the server hung up")
            self._buffer += piece

    async def drop(self) -> None:
        """Close the connection without a word; the session goes on elsewhere."""
        self._abandon()
        await trio.lowlevel.checkpoint()

    def _abandon(self) -> None:
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None

    async def close(self) -> None:
        """End the session; Lost: nobody knows whether it goes on, so it is left alone."""
        assert self.record is not None
        self.record.closed = True
        try:
            await self.call(wire.CLOSE_SESSION)
        finally:
            self._abandon()
            self.forget()


def stat_of(body: bytes, at: int) -> tuple[int, int]:
    """mzxid and version of a Stat."""
    _, mzxid, _, _, version = struct.unpack_from(">qqqqi", body, at)
    return mzxid, version


def data_of(body: bytes) -> tuple[bytes, int]:
    """The data of a getData reply, and where its Stat begins."""
    (size,) = struct.unpack_from(">i", body)
    return body[4 : 4 + max(0, size)], 4 + max(0, size)
