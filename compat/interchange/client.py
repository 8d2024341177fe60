"""A small client that gives answers as they are, and the picture of a whole tree that it can take."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Self

import attrs

from compat import wire
from compat.wire import Wire

SUPER_CREDENTIALS: Final = "super:secret"
SUPER_DIGEST: Final = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
NO_NODE: Final = -101
CHECKER_TIMEOUT_MS: Final = 30_000

_STAT: Final = struct.Struct(">qqqqiiiqiiq")
_DIGEST_STAT: Final = struct.Struct(">qqqqqiiiq")
_EVENT_XID: Final = -1
_AUTH_XID: Final = -4
_PING_XID: Final = -2
_BATCH: Final = 100
_PATIENCE_S: Final = 60.0

Request = tuple[int, bytes]
"""An operation and its body."""


class Unanswered(RuntimeError):
    """The server closed a connection, or gave an answer that was not expected."""


class Answer(NamedTuple):
    err: int
    zxid: int
    body: bytes


class Stat(NamedTuple):
    """As clients see it."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    owner: int
    length: int
    children: int
    pzxid: int


class Node(NamedTuple):
    """Everything that a client can know of a znode."""

    data: bytes | None
    stat: Stat
    acl: tuple[tuple[int, bytes, bytes], ...]


Tree = dict[str, Node]
"""All znodes by path."""


class _Body:
    """Reads a reply's body."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def i32(self) -> int:
        self._at += 4
        return int(struct.unpack_from(">i", self._raw, self._at - 4)[0])

    def buffer(self) -> bytes | None:
        size = self.i32()
        if size < 0:
            return None
        self._at += size
        return self._raw[self._at - size : self._at]

    def strings(self) -> list[str]:
        return [(self.buffer() or b"").decode() for _ in range(self.i32())]

    def acl(self) -> tuple[tuple[int, bytes, bytes], ...]:
        return tuple((self.i32(), self.buffer() or b"", self.buffer() or b"") for _ in range(self.i32()))

    def stat(self) -> Stat:
        self._at += _STAT.size
        return Stat(*_STAT.unpack_from(self._raw, self._at - _STAT.size))


@attrs.define
class Client:
    """A connection with a session, which is only closed when that is asked for."""

    wire: Wire
    id: int
    password: bytes
    timeout_ms: int
    _xid: int = 0

    @classmethod
    def connect(
        cls, address: str, timeout_ms: int, *, session: int = 0, password: bytes = bytes(16)
    ) -> Self | None:
        """With a new session, or an old one; None: the server does not know it, or not with this password."""
        connection = Wire(address, _PATIENCE_S)
        connection.send(wire.connect_frame(timeout_ms=timeout_ms, session=session, password=password))
        reply = connection.receive()
        if reply is None:
            connection.close()
            return None
        _, negotiated, id, size = struct.unpack_from(">iiqi", reply)
        if not id:
            connection.close()
            return None
        return cls(connection, id, reply[20 : 20 + size], negotiated)

    @classmethod
    def fresh(cls, address: str, timeout_ms: int = CHECKER_TIMEOUT_MS) -> Self:
        """With a new session of the super user."""
        started = time.monotonic()
        client = cls.connect(address, timeout_ms)
        if client is None:
            raise Unanswered(f"{address} gave no session, after {time.monotonic() - started:.1f} s")
        client.become_super()
        return client

    def become_super(self) -> None:
        body = wire.i32(0) + wire.text("digest") + wire.text(SUPER_CREDENTIALS)
        self.wire.send(wire.request(_AUTH_XID, wire.AUTH, body))
        self._receive()

    def call(self, op: int, body: bytes = b"") -> Answer:
        return self.calls([(op, body)])[0]

    def calls(self, requests: Iterable[Request]) -> list[Answer]:
        """Send requests, some at a time, and receive their answers."""
        answers: list[Answer] = []
        iterator = iter(requests)
        while some := list(islice(iterator, _BATCH)):
            sent = b""
            for op, body in some:
                self._xid += 1
                sent += wire.request(self._xid, op, body)
            self.wire.send(sent)
            answers += [self._receive() for _ in some]
        return answers

    def cut_off(self, requests: Iterable[Request], end: Callable[[], None]) -> int:
        """Send all requests, *end* the server at the first answer; how many answers there were."""
        sent = b""
        for op, body in requests:
            self._xid += 1
            sent += wire.request(self._xid, op, body)
        self.wire.send(sent)
        self._receive()
        end()
        answered = 1
        while self.wire.receive() is not None:
            answered += 1
        return answered

    def ping(self) -> int:
        """The server's last zxid."""
        self.wire.send(wire.request(_PING_XID, wire.PING))
        return self._receive().zxid

    def wait_until_gone(self, path: str) -> None:
        """Return when the znode does not exist; the server's event tells."""
        if self.call(wire.EXISTS, wire.read_body(path, 1)).err != NO_NODE:
            self._frame(events=True)

    def ephemerals(self) -> list[str]:
        """Those of this session."""
        answer = self.call(wire.GET_EPHEMERALS, wire.text("/"))
        return sorted(_Body(answer.body).strings())

    def drop(self) -> None:
        """End the connection; the session stays."""
        self.wire.close()

    def close(self) -> None:
        """End the session."""
        self.call(wire.CLOSE_SESSION)
        self.wire.close()

    def _receive(self) -> Answer:
        return self._frame(events=False)

    def _frame(self, *, events: bool) -> Answer:
        """The next reply, or the next event; what is not wanted is passed over."""
        while True:
            payload = self.wire.receive()
            if payload is None:
                raise Unanswered("the server closed the connection, or did not answer in time")
            xid, zxid, err = struct.unpack_from(">iqi", payload)
            if (xid == _EVENT_XID) == events:
                return Answer(err, zxid, payload[16:])


def made_path(answer: Answer) -> str:
    """The path in the answer to a create."""
    return (_Body(answer.body).buffer() or b"").decode()


# -- trees -------------------------------------------------------------------------------------------------


def picture(client: Client) -> Tree:
    """Every znode, by a client that may read all of them."""
    tree: Tree = {}
    level = ["/"]
    while level:
        answers = iter(client.calls(_reads(level)))
        below: list[str] = []
        for path in level:
            data, acl, children = islice(answers, 3)
            for answer in (data, acl, children):
                if answer.err:
                    raise Unanswered(f"reading {path}: error {answer.err}")
            body = _Body(data.body)
            tree[path] = Node(body.buffer(), body.stat(), _Body(acl.body).acl())
            prefix = "" if path == "/" else path
            below += [f"{prefix}/{name}" for name in _Body(children.body).strings()]
        level = below
    return tree


def nodes_at(client: Client, paths: Sequence[str]) -> Tree:
    """Those of *paths* that exist."""
    tree: Tree = {}
    answers = iter(client.calls(_reads(paths)))
    for path in paths:
        data, acl, _ = islice(answers, 3)
        if not data.err and not acl.err:
            body = _Body(data.body)
            tree[path] = Node(body.buffer(), body.stat(), _Body(acl.body).acl())
    return tree


def _reads(paths: Iterable[str]) -> Iterator[Request]:
    for path in paths:
        yield wire.GET_DATA, wire.read_body(path)
        yield wire.GET_ACL, wire.text(path)
        yield wire.GET_CHILDREN, wire.read_body(path)


def digest(tree: Tree, owners: Mapping[str, int]) -> int:
    """The tree's digest, from what a client sees; *owners* are those of containers and TTL znodes.

    A client sees changes of the children list counted twice less the children, and no owner of such znodes.
    """
    total = 0
    for path, node in tree.items():
        if path.startswith("/zookeeper/"):
            continue
        stat = node.stat
        cversion = (stat.cversion + stat.children) // 2
        owner = owners.get(path, stat.owner)
        adler = zlib.crc32(("" if path == "/" else path).encode())
        adler = zlib.crc32(node.data or b"", adler)
        numbers = (stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime)
        adler = zlib.crc32(
            _DIGEST_STAT.pack(*numbers, stat.version, cversion, stat.aversion, owner),
            adler,
        )
        total += adler
    return total % (1 << 64)


def differences(expected: Tree, found: Tree) -> Iterator[tuple[str, str]]:
    """Paths that differ, each with what is different there, in words."""
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            yield path, "is missing"
        elif path not in expected:
            yield path, "should not be there"
        elif expected[path] != found[path]:
            yield path, "; ".join(_node_differences(expected[path], found[path]))


def _node_differences(expected: Node, found: Node) -> Iterator[str]:
    if expected.data != found.data:
        yield f"data is {_short(found.data)}, not {_short(expected.data)}"
    for name, before, after in zip(Stat._fields, expected.stat, found.stat, strict=True):
        if before != after:
            yield f"{name} is {after:#x}, not {before:#x}"
    if expected.acl != found.acl:
        yield f"ACL is {_acl(found.acl)}, not {_acl(expected.acl)}"


def _short(data: bytes | None) -> str:
    if data is None:
        return "null"
    return repr(data) if len(data) <= 60 else f"{len(data)} bytes ({zlib.crc32(data):08x})"


def _acl(entries: Sequence[tuple[int, bytes, bytes]]) -> str:
    return ", ".join(f"{s.decode()}:{i.decode()}:{perms}" for perms, s, i in entries)
