"""A client that sends exactly the bytes it is told to, and keeps what came back in a comparable form.

A *script* plays requests through `Script` and its `Session` objects against one server; everything that the
server sends is normalised and noted. Two servers agree when their notes are equal byte for byte. What may
differ is mapped first: session ids to their order of appearance, passwords, times, and zxids to their
distance from the last one before the script; lists whose order means nothing are sorted.

Written from the protocol's description and without zkpy's own codec: a client that shared code with one of
the servers would share its mistakes.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Protocol

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = range(1, 10)
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = range(19, 23)
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I = range(
    100, 108
)
CREATE_SESSION, CLOSE_SESSION = -10, -11

Path = str | bytes | None
Acl = list[tuple[int, str | bytes | None, str | bytes | None]] | None

OPEN: Final[Acl] = [(31, "world", "anyone")]
READ_ONLY: Final[Acl] = [(1, "world", "anyone")]

TALLY: Final[Counter[int]] = Counter()
"""Requests sent in sessions, by operation."""

_OLDER: Final = 0x0DD
_SESSION: Final = 0x5E55000000000000
_NOW: Final = 0x71ED
_ANOTHER_TIME: Final = 0x0DDED


# -- encoding ----------------------------------------------------------------------------------------------


def i32(value: int) -> bytes:
    return struct.pack(">i", value)


def i64(value: int) -> bytes:
    return struct.pack(">q", value)


def text(value: Path) -> bytes:
    """A nullable string or buffer."""
    if value is None:
        return i32(-1)
    raw = value.encode() if isinstance(value, str) else value
    return i32(len(raw)) + raw


def texts(values: Iterable[Path] | None) -> bytes:
    """A nullable vector of strings."""
    if values is None:
        return i32(-1)
    items = list(values)
    return i32(len(items)) + b"".join(map(text, items))


def acls(entries: Acl) -> bytes:
    """A nullable ACL list."""
    if entries is None:
        return i32(-1)
    return i32(len(entries)) + b"".join(i32(perms) + text(s) + text(i) for perms, s, i in entries)


def create_body(
    path: Path, data: Path = b"", acl: Acl = OPEN, flags: int = 0, ttl: int | None = None
) -> bytes:
    return text(path) + text(data) + acls(acl) + i32(flags) + (b"" if ttl is None else i64(ttl))


def read_body(path: Path, watch: int = 0) -> bytes:
    return text(path) + bytes([watch])


def header(type: int, done: bool = False, err: int = -1) -> bytes:
    """A MultiHeader."""
    return struct.pack(">i?i", type, done, err)


def multi_body(ops: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(header(type) + body for type, body in ops) + header(-1, True)


def request(xid: int, op: int, body: bytes = b"") -> bytes:
    """A whole request frame."""
    return i32(8 + len(body)) + i32(xid) + i32(op) + body


def connect_frame(
    *,
    protocol: int = 0,
    zxid: int = 0,
    timeout_ms: int = 30000,
    session: int = 0,
    password: bytes | None = bytes(16),
    read_only: bytes = b"\0",
) -> bytes:
    """A ConnectRequest; *read_only* empty gives the form of old clients."""
    payload = struct.pack(">iqiq", protocol, zxid, timeout_ms, session) + text(password) + read_only
    return i32(len(payload)) + payload


# -- normalising -------------------------------------------------------------------------------------------


class Normaliser:
    """Maps what may differ between two servers to what must not."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.started_ms = int(time.time() * 1000)
        self.sessions: dict[int, int] = {}
        self.passwords: dict[int, bytes] = {}
        self.windows: dict[int, tuple[float, float]] = {}
        """When the transaction of a zxid was asked for, and when it was answered (ms), as far as known."""

    def zxid(self, value: int) -> int:
        if value > self.base:
            return value - self.base + 0x1000
        return value if value <= 0 else _OLDER

    def time(self, value: int, zxid: int) -> int:
        """The same for every time that can be that of the transaction *zxid*."""
        first, last = self.windows.get(zxid, (self.started_ms - 5000, time.time() * 1000 + 5000))
        if zxid <= self.base and value > 0:
            return _NOW
        return _NOW if int(first) - 1 <= value <= last + 1 else _ANOTHER_TIME

    def session(self, value: int) -> int:
        number = self.sessions.get(value)
        return value if number is None else _SESSION + number


class Reader:
    """Reads a body, and writes the normalised values back in place."""

    def __init__(self, raw: bytes, norm: Normaliser) -> None:
        self.raw = bytearray(raw)
        self.norm = norm
        self.pos = 0

    def i32(self) -> int:
        self.pos += 4
        return int(struct.unpack_from(">i", self.raw, self.pos - 4)[0])

    def i64(self, mapping: Callable[[int], int] | None = None) -> int:
        value = int(struct.unpack_from(">q", self.raw, self.pos)[0])
        if mapping is not None:
            value = mapping(value)
            struct.pack_into(">q", self.raw, self.pos, value)
        self.pos += 8
        return value

    def text(self) -> bytes | None:
        size = self.i32()
        if size < 0:
            return None
        self.pos += size
        return bytes(self.raw[self.pos - size : self.pos])

    def _sorted(self, one: Callable[[], object]) -> list[object]:
        count = self.i32()
        start = self.pos
        items: list[tuple[bytes, object]] = []
        for _ in range(count):
            begin = self.pos
            value = one()
            items.append((bytes(self.raw[begin : self.pos]), value))
        items.sort(key=lambda item: item[0])
        self.raw[start : self.pos] = b"".join(raw for raw, _ in items)
        return [value for _, value in items]

    def names(self) -> list[object]:
        return self._sorted(self.text)

    def texts(self) -> list[object]:
        return [self.text() for _ in range(self.i32())]

    def identities(self) -> list[object]:
        return [(self.text(), self.text()) for _ in range(self.i32())]

    def acls(self) -> list[object]:
        return [(self.i32(), self.text(), self.text()) for _ in range(self.i32())]

    def stat(self) -> str:
        norm = self.norm
        created, modified, made_ms, changed_ms = struct.unpack_from(">qqqq", self.raw, self.pos)
        czxid, mzxid = self.i64(norm.zxid), self.i64(norm.zxid)
        ctime = self.i64(lambda value: norm.time(value, created))
        mtime = self.i64(lambda value: norm.time(value, modified))
        if created == modified and made_ms != changed_ms:
            mtime = _ANOTHER_TIME  # one transaction has one time
        version, cversion, aversion = self.i32(), self.i32(), self.i32()
        owner, length, children, pzxid = self.i64(norm.session), self.i32(), self.i32(), self.i64(norm.zxid)
        return (
            f"Stat(czxid={czxid:x} mzxid={mzxid:x} ctime={ctime:x} mtime={mtime:x} version={version} "
            f"cversion={cversion} aversion={aversion} owner={owner:x} length={length} children={children} "
            f"pzxid={pzxid:x})"
        )

    def multi(self) -> list[object]:
        out: list[object] = []
        while True:
            type, done, err = struct.unpack_from(">i?i", self.raw, self.pos)
            self.pos += 9
            if done:
                return [*out, ("end", type, err)]
            out.append((type, err, BODIES[type](self) if type in BODIES else None))


WRITES: Final = {CREATE, DELETE, SET_DATA, SET_ACL, MULTI, CREATE2, CREATE_CONTAINER, CREATE_TTL}
"""Each of their replies carries the zxid of its own transaction."""

BODIES: Final[dict[int, Callable[[Reader], object]]] = {
    -1: Reader.i32,
    CREATE: Reader.text,
    CREATE2: lambda r: (r.text(), r.stat()),
    CREATE_CONTAINER: lambda r: (r.text(), r.stat()),
    CREATE_TTL: lambda r: (r.text(), r.stat()),
    EXISTS: Reader.stat,
    SET_DATA: Reader.stat,
    SET_ACL: Reader.stat,
    GET_DATA: lambda r: (r.text(), r.stat()),
    GET_ACL: lambda r: (r.acls(), r.stat()),
    GET_CHILDREN: Reader.names,
    GET_CHILDREN2: lambda r: (r.names(), r.stat()),
    GET_EPHEMERALS: Reader.texts,
    GET_ALL_CHILDREN_NUMBER: Reader.i32,
    ADD_WATCH: Reader.i32,
    SYNC: Reader.text,
    SASL: Reader.text,
    WHO_AM_I: Reader.identities,
    MULTI: Reader.multi,
    MULTI_READ: Reader.multi,
}


# -- connections -------------------------------------------------------------------------------------------


class Wire:
    """A TCP connection, with nothing that the caller did not ask for."""

    def __init__(self, address: str, timeout_s: float = 20.0) -> None:
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = "end"
        """Why nothing more comes: the server has closed the connection, or says nothing."""

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            return  # the end shows when something is to be received

    def receive(self) -> bytes | None:
        """The payload of the next frame; None when there is none, for the reason in ``ended``."""
        head = self._exactly(4)
        if head is None:
            return None
        payload = self._exactly(struct.unpack(">i", head)[0])
        if payload is None and self.ended == "end":
            self.ended = "end inside a frame"
        return payload

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        out = b""
        while True:
            try:
                chunk = self.sock.recv(65536)
            except ConnectionError:
                return out
            if not chunk:
                return out
            out += chunk

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                chunk = self.sock.recv(size - len(data))
            except TimeoutError:
                self.ended = "silence"
                return None
            except OSError:
                return None
            if not chunk:
                self.ended = "end inside a frame" if data else "end"
                return None
            data += chunk
        return data

    def close(self) -> None:
        self.sock.close()


class Reply:
    """One frame as it came, normalised; ``err`` is None for the end of the stream."""

    def __init__(
        self, label: str, note: str, raw: bytes, err: int | None, body: object = None, xid: int = 0
    ) -> None:
        self.label = label
        self.note = f"{label}: {note}"
        self.raw = raw
        self.err = err
        self.body = body
        self.xid = xid


class Stage(Protocol):
    """What a connection needs of the play that it is part of."""

    address: str
    norm: Normaliser
    notes: list[Reply]

    def opened(self, session: Session) -> None: ...

    def closed(self, session: Session) -> None: ...


class Session:
    """A connection of a script with (usually) a session; every frame that comes in is noted."""

    def __init__(self, script: Stage, label: str) -> None:
        self._script = script
        self.label = label
        self.wire = Wire(script.address)
        self.id = 0
        self.password = b""
        self.timeout_ms = 0
        self._xid = 0
        self._sent: list[tuple[int, int, float]] = []

    def connect(self, **fields: object) -> Reply:
        """Send a ConnectRequest with these fields and note the answer."""
        self.wire.send(connect_frame(**fields))  # type: ignore[arg-type]
        return self.connected()

    def connected(self) -> Reply:
        """Note the answer to a ConnectRequest."""
        payload = self.wire.receive()
        if payload is None:
            return self._note(self.wire.ended, b"", None)
        protocol, self.timeout_ms, self.id, size = struct.unpack_from(">iiqi", payload)
        self.password = payload[20 : 20 + size]
        if self.id:
            self._script.opened(self)
        raw = bytearray(payload)
        name = self._script.norm.session(self.id)
        struct.pack_into(">q", raw, 8, name)
        if self.password != bytes(16):
            first = self._script.norm.passwords.setdefault(self.id, self.password)
            raw[20 : 20 + size] = (b"p" if first == self.password else b"another")[:1] * size
        return self._note(
            f"connected protocol={protocol} timeout={self.timeout_ms} session={name:x} size={len(payload)} "
            f"tail={payload[20 + size :].hex()}",
            bytes(raw),
            0,
        )

    def send(self, *requests: tuple[int, bytes], xid: int | None = None) -> None:
        """Send requests with one call, without waiting for an answer."""
        out = []
        now = time.time() * 1000
        for op, body in requests:
            if xid is None:
                self._xid += 1
            number = self._xid if xid is None else xid
            self._sent.append((number, op, now))
            TALLY[op] += 1
            out.append(request(number, op, body))
        self.wire.send(b"".join(out))

    def expect(self, *sent: tuple[int, int]) -> None:
        """Replies will come to these (xid, operation), which were sent as raw bytes."""
        now = time.time() * 1000
        self._sent += [(xid, op, now) for xid, op in sent]

    def receive(self) -> Reply:
        """Note the next frame."""
        payload = self.wire.receive()
        if payload is None:
            return self._note(self.wire.ended, b"", None)
        if len(payload) < 16:
            return self._note(f"short frame {payload.hex()}", payload, 0)
        xid, zxid, err = struct.unpack_from(">iqi", payload)
        norm = self._script.norm
        head = struct.pack(">iqi", xid, norm.zxid(zxid), err)
        reader = Reader(payload[16:], norm)
        for n, (number, op, sent_ms) in enumerate(self._sent):
            if number == xid or (xid == -2 and op == PING):
                del self._sent[n]
                if op in WRITES:
                    norm.windows.setdefault(zxid, (sent_ms, time.time() * 1000))
                break
        else:
            if xid != -1:
                return self._note(f"unexpected {payload.hex()}", payload, err)
            event = (reader.i32(), reader.i32(), reader.text())
            return self._note(f"event zxid={norm.zxid(zxid):x} {event}", head + reader.raw, 0, event, xid)
        body: object = None
        if len(payload) > 16 and op in BODIES:
            try:
                body = BODIES[op](reader)
            except (struct.error, IndexError):
                return self._note(f"reply to op {op} that does not decode: {payload.hex()}", payload, err)
        left = bytes(reader.raw[reader.pos :])
        return self._note(
            f"reply to op {op} xid={xid} zxid={norm.zxid(zxid):x} err={err} {body}"
            + (f" and {left.hex()}" if left else ""),
            head + bytes(reader.raw),
            err,
            body,
            xid,
        )

    def receive_all(self, count: int) -> list[Reply]:
        return [self.receive() for _ in range(count)]

    def call(self, op: int, body: bytes = b"", *, xid: int | None = None, err: int | None = None) -> Reply:
        """Send one request and receive up to its reply; *err* is the error that it must have."""
        self.send((op, body), xid=xid)
        mine = self._sent[-1]
        while True:
            reply = self.receive()
            if reply.err is None or mine not in self._sent:
                break
        assert err is None or reply.err == err, f"{err} expected: {reply.note}"
        return reply

    def until_end(self) -> list[Reply]:
        """Note everything up to the end of the stream."""
        replies = [self.receive()]
        while replies[-1].err is not None:
            replies.append(self.receive())
        return replies

    def drop(self) -> None:
        """Close the TCP connection, without a word to the server."""
        self.wire.close()

    def ended(self) -> bool:
        """Close the session if the connection still does that, without noting anything."""
        self.wire.send(request(-7, CLOSE_SESSION))
        while (payload := self.wire.receive()) is not None:
            if payload[:4] == i32(-7) and payload[12:16] == i32(0):
                return self.wire.receive() is None
        return False

    def _note(self, note: str, raw: bytes, err: int | None, body: object = None, xid: int = 0) -> Reply:
        reply = Reply(self.label, note, raw, err, body, xid)
        self._script.notes.append(reply)
        return reply

    # the operations, by name

    def create(
        self,
        path: Path,
        data: Path = b"",
        acl: Acl = OPEN,
        flags: int = 0,
        *,
        op: int = CREATE2,
        ttl: int | None = None,
        err: int | None = None,
    ) -> Reply:
        return self.call(op, create_body(path, data, acl, flags, ttl), err=err)

    def delete(self, path: Path, version: int = -1, err: int | None = None) -> Reply:
        return self.call(DELETE, text(path) + i32(version), err=err)

    def set(self, path: Path, data: Path, version: int = -1, err: int | None = None) -> Reply:
        return self.call(SET_DATA, text(path) + text(data) + i32(version), err=err)

    def set_acl(self, path: Path, acl: Acl, version: int = -1, err: int | None = None) -> Reply:
        return self.call(SET_ACL, text(path) + acls(acl) + i32(version), err=err)

    def get_acl(self, path: Path, err: int | None = None) -> Reply:
        return self.call(GET_ACL, text(path), err=err)

    def exists(self, path: Path, watch: int = 0, err: int | None = None) -> Reply:
        return self.call(EXISTS, read_body(path, watch), err=err)

    def get(self, path: Path, watch: int = 0, err: int | None = None) -> Reply:
        return self.call(GET_DATA, read_body(path, watch), err=err)

    def children(self, path: Path, watch: int = 0, err: int | None = None) -> Reply:
        return self.call(GET_CHILDREN2, read_body(path, watch), err=err)

    def multi(self, *ops: tuple[int, bytes], err: int | None = 0) -> Reply:
        return self.call(MULTI, multi_body(ops), err=err)

    def add_watch(self, path: Path, mode: int, err: int | None = None) -> Reply:
        return self.call(ADD_WATCH, text(path) + i32(mode), err=err)

    def auth(self, scheme: Path, credentials: Path, err: int | None = None) -> Reply:
        return self.call(AUTH, i32(0) + text(scheme) + text(credentials), xid=-4, err=err)

    def ping(self) -> Reply:
        """All that the server sent before comes before the answer."""
        return self.call(PING, xid=-2)

    def close(self) -> Reply:
        """closeSession, and the end of the stream."""
        reply = self.call(CLOSE_SESSION)
        if reply.err is not None:
            self.receive()
        self._script.closed(self)
        return reply


class Script:
    """One play against one server: a subtree of its own, its connections and everything they received."""

    def __init__(self, address: str, name: str, credentials: str | None = None) -> None:
        self.address = address
        self.root = f"/{name}"
        self.notes: list[Reply] = []
        self._credentials = credentials
        self._open: dict[int, Session] = {}
        self._wires: list[Wire] = []
        self.norm = Normaliser(0)
        self.base = self.session("base")
        if credentials:
            self.base.auth("digest", credentials, err=0)
        self.base.create(self.root, err=0)
        self.norm.base = self._last_zxid()
        self.notes.clear()

    def _last_zxid(self) -> int:
        self.base.wire.send(request(-2, PING))
        payload = self.base.wire.receive()
        assert payload is not None
        return int(struct.unpack_from(">q", payload, 4)[0])

    def last_zxid(self) -> int:
        """The server's last zxid, unmapped."""
        return self._last_zxid()

    def __truediv__(self, name: str) -> str:
        return f"{self.root}/{name}"

    def raw(self) -> Wire:
        """A connection without a session."""
        wire = Wire(self.address)
        self._wires.append(wire)
        return wire

    def session(self, label: str = "a", **fields: object) -> Session:
        """A connection with a new (or, by *fields*, an old) session."""
        session = Session(self, label)
        self._wires.append(session.wire)
        session.connect(**fields)
        return session

    def unconnected(self, label: str = "a") -> Session:
        """A connection that has not shaken hands."""
        session = Session(self, label)
        self._wires.append(session.wire)
        return session

    def note(self, what: str, raw: bytes = b"") -> None:
        """Compare something else."""
        self.notes.append(Reply("note", what, raw or what.encode(), 0))

    def opened(self, session: Session) -> None:
        self.norm.sessions.setdefault(session.id, len(self.norm.sessions))
        self._open[session.id] = session

    def closed(self, session: Session) -> None:
        self._open.pop(session.id, None)

    def finish(self) -> list[Reply]:
        """Leave nothing behind that could move a later script's zxids; returns the notes."""
        self.base.ping()
        notes, self.notes = self.notes, []
        for session_id, session in list(self._open.items()):
            if session.ended():
                continue
            again = self.session("end", session=session_id, password=session.password)
            if again.id:
                if self._credentials:
                    again.auth("digest", self._credentials)
                again.close()
        for wire in self._wires:
            wire.close()
        return notes


Play = Callable[[Script], None]


def play(address: str, name: str, script: Play, credentials: str | None = None) -> list[Reply]:
    """What a server answers to a script; *credentials* are for the connections that frame it."""
    stage = Script(address, name, credentials)
    try:
        script(stage)
    except BaseException:
        stage.finish()
        raise
    return stage.finish()


def first_differing(ours: list[Reply], theirs: list[Reply]) -> tuple[int, list[str]] | None:
    """Where two servers' answers differ first, with what came before, for a person; None without a place."""
    for n in range(max(len(ours), len(theirs))):
        mine = ours[n] if n < len(ours) else None
        other = theirs[n] if n < len(theirs) else None
        if mine is not None and other is not None and mine.raw == other.raw and mine.note == other.note:
            continue
        lines = [f"after   {reply.note}" for reply in theirs[max(0, n - 3) : n]]
        for who, reply in (("zkpy", mine), ("real", other)):
            lines.append(f"{who}    {'nothing more' if reply is None else reply.note}")
            if reply is not None and mine is not None and other is not None and mine.note == other.note:
                lines.append(f"        {reply.raw.hex()}")
        return n, lines
    return None


def difference(ours: list[Reply], theirs: list[Reply]) -> str | None:
    """The first difference between what two servers answered, for a person; None without one."""
    found = first_differing(ours, theirs)
    return None if found is None else "\n".join([f"answer {found[0] + 1} differs", *found[1]])
