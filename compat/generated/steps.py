"""What a generated script is made of: plain values that can be printed, compared, and left out one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from compat import wire
from compat.wire import OPEN, READ_ONLY, Acl, Path

NAMES: Final[dict[int, str]] = {
    wire.CREATE: "create",
    wire.DELETE: "delete",
    wire.EXISTS: "exists",
    wire.GET_DATA: "getData",
    wire.SET_DATA: "setData",
    wire.GET_ACL: "getACL",
    wire.SET_ACL: "setACL",
    wire.GET_CHILDREN: "getChildren",
    wire.SYNC: "sync",
    wire.PING: "ping",
    wire.GET_CHILDREN2: "getChildren2",
    wire.CHECK: "check",
    wire.MULTI: "multi",
    wire.CREATE2: "create2",
    wire.RECONFIG: "reconfig",
    wire.CHECK_WATCHES: "checkWatches",
    wire.REMOVE_WATCHES: "removeWatches",
    wire.CREATE_CONTAINER: "createContainer",
    wire.CREATE_TTL: "createTTL",
    wire.MULTI_READ: "multiRead",
    wire.AUTH: "auth",
    wire.SET_WATCHES: "setWatches",
    wire.SASL: "sasl",
    wire.GET_EPHEMERALS: "getEphemerals",
    wire.GET_ALL_CHILDREN_NUMBER: "getAllChildrenNumber",
    wire.SET_WATCHES2: "setWatches2",
    wire.ADD_WATCH: "addWatch",
    wire.WHO_AM_I: "whoAmI",
    wire.CLOSE_SESSION: "closeSession",
}
CREATES: Final = (wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL)


@attrs.frozen
class Op:
    """One request, before its bytes: the fields that its operation has are used, the others ignored."""

    code: int
    path: Path = None
    data: Path = b""
    acl: tuple[tuple[int, Path, Path], ...] | None = tuple(OPEN or ())
    flags: int = 0
    version: int = -1
    ttl: int = -1
    watch: int = 0
    mode: int = 0
    lists: tuple[tuple[Path, ...] | None, ...] = ()
    behind: int = 0
    """setWatches: how far its zxid lies behind the last one that the session was shown."""
    ops: tuple[Op, ...] = ()
    cut: int | None = None
    """Only so many bytes of the body are sent."""
    extra: bytes = b""
    """Sent behind the body."""

    @property
    def name(self) -> str:
        return NAMES.get(self.code, f"operation {self.code}")

    def __str__(self) -> str:
        shown = [self.name, *_fields(self)]
        if self.cut is not None:
            shown.append(f"cut to {self.cut} bytes")
        if self.extra:
            shown.append(f"and {self.extra!r}")
        return " ".join(shown)


def body(op: Op, seen_zxid: int = 0) -> bytes:
    """The bytes of a request behind its header; *seen_zxid* is what setWatches counts from."""
    whole = _body(op, seen_zxid) + op.extra
    return whole if op.cut is None else whole[: op.cut]


def _body(op: Op, seen_zxid: int) -> bytes:
    acl: Acl = None if op.acl is None else list(op.acl)
    match op.code:
        case wire.CREATE | wire.CREATE2 | wire.CREATE_CONTAINER:
            return wire.create_body(op.path, op.data, acl, op.flags)
        case wire.CREATE_TTL:
            return wire.create_body(op.path, op.data, acl, op.flags, op.ttl)
        case wire.DELETE | wire.CHECK:
            return wire.text(op.path) + wire.i32(op.version)
        case wire.EXISTS | wire.GET_DATA | wire.GET_CHILDREN | wire.GET_CHILDREN2:
            return wire.read_body(op.path, op.watch)
        case wire.SET_DATA:
            return wire.text(op.path) + wire.text(op.data) + wire.i32(op.version)
        case wire.GET_ACL | wire.SYNC | wire.GET_EPHEMERALS | wire.GET_ALL_CHILDREN_NUMBER:
            return wire.text(op.path)
        case wire.SET_ACL:
            return wire.text(op.path) + wire.acls(acl) + wire.i32(op.version)
        case wire.CHECK_WATCHES | wire.REMOVE_WATCHES | wire.ADD_WATCH:
            return wire.text(op.path) + wire.i32(op.mode)
        case wire.MULTI | wire.MULTI_READ:
            return wire.multi_body((inner.code, body(inner)) for inner in op.ops)
        case wire.SET_WATCHES | wire.SET_WATCHES2:
            return wire.i64(seen_zxid - op.behind) + b"".join(map(wire.texts, op.lists))
        case wire.AUTH:
            return wire.i32(0) + wire.text(op.path) + wire.text(op.data)
        case wire.SASL:
            return wire.text(op.data)
        case wire.RECONFIG:
            return wire.text(op.data) + wire.text(None) * 2 + wire.i64(op.version)
    return b""


def _fields(op: Op) -> list[str]:
    path = _text(op.path)
    match op.code:
        case wire.CREATE | wire.CREATE2 | wire.CREATE_CONTAINER | wire.CREATE_TTL:
            ttl = [f"ttl={op.ttl}"] if op.code == wire.CREATE_TTL else []
            return [path, _text(op.data), _acl(op.acl), f"flags={op.flags}", *ttl]
        case wire.DELETE | wire.CHECK:
            return [path, f"version={op.version}"]
        case wire.EXISTS | wire.GET_DATA | wire.GET_CHILDREN | wire.GET_CHILDREN2:
            return [path] + ([f"watch={op.watch}"] if op.watch else [])
        case wire.SET_DATA:
            return [path, _text(op.data), f"version={op.version}"]
        case wire.GET_ACL | wire.SYNC | wire.GET_EPHEMERALS | wire.GET_ALL_CHILDREN_NUMBER:
            return [path]
        case wire.SET_ACL:
            return [path, _acl(op.acl), f"version={op.version}"]
        case wire.CHECK_WATCHES | wire.REMOVE_WATCHES:
            return [path, f"type={op.mode}"]
        case wire.ADD_WATCH:
            return [path, f"mode={op.mode}"]
        case wire.MULTI | wire.MULTI_READ:
            return ["[" + "; ".join(map(str, op.ops)) + "]"]
        case wire.SET_WATCHES | wire.SET_WATCHES2:
            lists = ["null" if paths is None else " ".join(map(_text, paths)) for paths in op.lists]
            return [f"last zxid - {op.behind}", " | ".join(lists)]
        case wire.AUTH:
            return [path, _text(op.data)]
        case wire.SASL:
            return [_text(op.data)]
        case wire.RECONFIG:
            return [_text(op.data), f"version={op.version}"]
    return []


def _text(value: Path) -> str:
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return repr(value)[1:] if len(value) <= 60 else f"{value[:20]!r}... ({len(value)} bytes)"
    return value if value and value.isascii() and value.isprintable() and " " not in value else repr(value)


def _acl(acl: Iterable[tuple[int, Path, Path]] | None) -> str:
    if acl is None:
        return "acl=null"
    entries = list(acl)
    if entries == OPEN:
        return "acl=open"
    if entries == READ_ONLY:
        return "acl=read"
    return "acl=" + ",".join(f"{_text(scheme)}:{_text(id)}:{perms}" for perms, scheme, id in entries)


@attrs.frozen
class Requests:
    """Requests of one session, sent together."""

    session: str
    ops: tuple[Op, ...]
    xid: int | None = None
    """Instead of the next one, for a single request."""

    def __str__(self) -> str:
        xid = "" if self.xid is None else f" with xid {self.xid}"
        return f"{self.session}: " + " + ".join(map(str, self.ops)) + xid


@attrs.frozen
class Resume:
    """A new connection for a session, by *how* it comes about.

    "drop": the old connection is closed first; "steal": it is open; "old": without the readOnly byte;
    "password": with a wrong one; "ahead": with a zxid that the server has not reached.
    """

    session: str
    how: str = "drop"

    def __str__(self) -> str:
        return f"{self.session}: resume ({self.how})"


@attrs.frozen
class Close:
    """closeSession, and the end of the connection; *drop* loses the connection before it.

    *ops* are sent together with it, in front.
    """

    session: str
    drop: bool = False
    ops: tuple[Op, ...] = ()

    def __str__(self) -> str:
        front = "".join(f"{op} + " for op in self.ops)
        return f"{self.session}: {'drop, resume and ' if self.drop else ''}{front}close"


@attrs.frozen
class Expire:
    """A session of its own makes these requests, falls silent, and is expired by the server."""

    ops: tuple[Op, ...] = ()

    def __str__(self) -> str:
        return "a session expires after " + (" + ".join(map(str, self.ops)) or "nothing")


@attrs.frozen
class Reap:
    """A container loses its last child, or a TTL comes to its end: the server deletes the znode."""

    session: str
    path: str
    ttl: bool = False

    def __str__(self) -> str:
        return f"{self.session}: {'a TTL znode' if self.ttl else 'a container'} {self.path} is reaped"


@attrs.frozen
class Shake:
    """A handshake with any fields on a connection of its own; a session that comes of it is closed."""

    protocol: int = 0
    zxid: int = 0
    timeout_ms: int = 30000
    session: int = 0
    password: bytes | None = bytes(16)
    read_only: bytes = b"\0"

    def __str__(self) -> str:
        return "handshake with " + " ".join(f"{name}={value!r}" for name, value in attrs.asdict(self).items())


Step = Requests | Resume | Close | Expire | Reap | Shake


@attrs.frozen
class GeneratedScript:
    """Steps, the kind of servers they are meant for, and the seed they came from."""

    seed: int
    profile: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        width = len(str(len(self.steps)))
        lines = [f"{n:{width}}  {step}" for n, step in enumerate(self.steps, 1)]
        return "\n".join([f"profile {self.profile}, seed {self.seed}, {len(self.steps)} steps", *lines])


def requests_of(step: Step) -> tuple[Op, ...]:
    """The requests that a step names, without those inside a multi."""
    return step.ops if isinstance(step, Requests | Expire | Close) else ()


def has_odd_create(script: GeneratedScript) -> bool:
    """Whether an operation creates another kind of znode than its own.

    The real server then logs a digest that is not that of its tree.
    """

    def odd(op: Op) -> bool:
        if op.code in (wire.CREATE, wire.CREATE2):
            return op.flags == 4
        if op.code == wire.CREATE_TTL:
            return op.flags < 5
        return (op.code == wire.CREATE_CONTAINER and op.flags != 4) or any(map(odd, op.ops))

    return any(odd(op) for step in script.steps for op in requests_of(step))
