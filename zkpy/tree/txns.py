"""Transactions: what the log holds, what `DataTree.apply` carries out.

A log entry's payload is a header (32 bytes), a body by type, and usually a tree digest (12 bytes). The
classes here are what the hot path builds and applies; ``zkpy.jute.records`` has the same layouts as plain
records for tools. Layouts and reader rules: ZooKeeper 3.9's log format, old variants included.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import Final

from zkpy import opcodes
from zkpy.errors import MarshallingError
from zkpy.jute import archive
from zkpy.jute.archive import NULL, buffer, pack_int, read_buffer, read_count, read_int, read_long
from zkpy.jute.archive import acls as encode_acl
from zkpy.tree.acl import ALL, AclEntry
from zkpy.tree.znode import CONTAINER_OWNER, TTL_MAX, ZNode, ttl_owner

HEADER: Final = Struct(">qiqqi")
"""clientId, cxid, zxid, time in ms, type."""

DIGEST: Final = Struct(">iq")
"""Digest version, tree digest (signed)."""


class TxnHeader:
    """Who asked (session id and xid), which zxid it got, and when (ms, the leader's wall clock)."""

    __slots__ = ("client_id", "cxid", "time", "zxid")

    def __init__(self, client_id: int, cxid: int, zxid: int, time: int) -> None:
        self.client_id = client_id
        self.cxid = cxid
        self.zxid = zxid
        self.time = time

    def __repr__(self) -> str:
        return f"TxnHeader({self.client_id:#x}, {self.cxid}, {self.zxid:#x}, {self.time})"


class Txn:
    """Base of all transaction bodies; ``type`` is the code in the header."""

    __slots__ = ("type",)

    type: int

    def encode(self) -> bytes:
        """The body as the log holds it."""
        return b""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Txn) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        slots = [name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ())]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in slots)})"


class Create(Txn):
    """create, create2, createContainer, createTTL.

    ``owner`` is the stored owner: 0, a marker, or None for an ephemeral, whose owner is the header's session.
    ``parent_cversion`` -1 means "one more than now". ``foretold``, which is not stored, are the parent's
    digest after it and the new znode with its own, as preparation computed them on the same state; None: to
    be computed.
    """

    __slots__ = ("acl", "data", "foretold", "owner", "parent_cversion", "path")

    def __init__(
        self,
        type: int,
        path: bytes,
        data: bytes | None,
        acl: tuple[AclEntry, ...],
        owner: int | None,
        parent_cversion: int,
    ) -> None:
        self.type = type
        self.path = path
        self.data = data
        self.acl = acl
        self.owner = owner
        self.parent_cversion = parent_cversion
        self.foretold: tuple[int, ZNode] | None = None

    def encode(self) -> bytes:
        return self.encode_with(encode_acl(self.acl))

    def encode_with(self, acl: bytes) -> bytes:
        """As `encode`, for a caller that has the ACL list encoded already."""
        data = self.data
        head = b"".join(
            (
                pack_int(len(self.path)),
                self.path,
                NULL if data is None else pack_int(len(data)),
                data or b"",
                acl,
            )
        )
        if self.type == opcodes.CREATE_CONTAINER:
            return head + pack_int(self.parent_cversion)
        if self.type == opcodes.CREATE_TTL:
            return head + _TTL_TAIL.pack(self.parent_cversion, (self.owner or 0) & TTL_MAX)
        return head + _CREATE_TAIL.pack(self.owner is None, self.parent_cversion)


_CREATE_TAIL: Final = Struct(">?i")
_TTL_TAIL: Final = Struct(">iq")


class Delete(Txn):
    """delete, deleteContainer."""

    __slots__ = ("path",)

    def __init__(self, type: int, path: bytes) -> None:
        self.type = type
        self.path = path

    def encode(self) -> bytes:
        return pack_int(len(self.path)) + self.path


class SetData(Txn):
    """setData, reconfig; ``version`` is the resulting one, ``foretold`` the znode's digest then, or None."""

    __slots__ = ("data", "foretold", "path", "version")

    def __init__(self, type: int, path: bytes, data: bytes | None, version: int) -> None:
        self.type = type
        self.path = path
        self.data = data
        self.version = version
        self.foretold: int | None = None

    def encode(self) -> bytes:
        data = self.data
        if data is None:
            return b"".join((pack_int(len(self.path)), self.path, NULL, pack_int(self.version)))
        return b"".join(
            (pack_int(len(self.path)), self.path, pack_int(len(data)), data, pack_int(self.version))
        )


class SetAcl(Txn):
    """setACL; ``version`` is the resulting aversion."""

    __slots__ = ("acl", "path", "version")

    def __init__(self, path: bytes, acl: tuple[AclEntry, ...], version: int) -> None:
        self.type = opcodes.SET_ACL
        self.path = path
        self.acl = acl
        self.version = version

    def encode(self) -> bytes:
        return b"".join((buffer(self.path), encode_acl(self.acl), pack_int(self.version)))


class Check(Txn):
    """check, only inside a multi; ``version`` is the checked one plus 1."""

    __slots__ = ("path", "version")

    def __init__(self, path: bytes, version: int) -> None:
        self.type = opcodes.CHECK
        self.path = path
        self.version = version

    def encode(self) -> bytes:
        return buffer(self.path) + pack_int(self.version)


class CreateSession(Txn):
    """A global session with its negotiated timeout."""

    __slots__ = ("timeout_ms",)

    def __init__(self, timeout_ms: int) -> None:
        self.type = opcodes.CREATE_SESSION
        self.timeout_ms = timeout_ms

    def encode(self) -> bytes:
        return pack_int(self.timeout_ms)


class CloseSession(Txn):
    """The end of a session with the ephemerals it deletes; None where the writer did not list them."""

    __slots__ = ("paths",)

    def __init__(self, paths: list[bytes] | None) -> None:
        self.type = opcodes.CLOSE_SESSION
        self.paths = paths

    def encode(self) -> bytes:
        return b"" if self.paths is None else archive.vector(self.paths)


class Error(Txn):
    """A request that failed: it consumes a zxid and changes nothing."""

    __slots__ = ("err",)

    def __init__(self, err: int) -> None:
        self.type = opcodes.ERROR
        self.err = err

    def encode(self) -> bytes:
        return pack_int(self.err)


class Multi(Txn):
    """All or nothing: when any operation is an `Error`, none is carried out."""

    __slots__ = ("ops",)

    def __init__(self, ops: list[Txn]) -> None:
        self.type = opcodes.MULTI
        self.ops = ops

    def encode(self) -> bytes:
        out = [pack_int(len(self.ops))]
        for op in self.ops:
            body = op.encode()
            out += (pack_int(op.type), pack_int(len(body)), body)
        return b"".join(out)


class Logged:
    """A decoded log entry: header, body, and the (version, digest) pair if the writer gave one."""

    __slots__ = ("digest", "digest_version", "header", "txn")

    def __init__(self, header: TxnHeader, txn: Txn, digest_version: int | None, digest: int) -> None:
        self.header = header
        self.txn = txn
        self.digest_version = digest_version
        self.digest = digest


def encode_payload(header: TxnHeader, type: int, body: bytes, digest: bytes) -> bytes:
    """The payload of a log entry; *digest* is empty or 12 bytes."""
    return HEADER.pack(header.client_id, header.cxid, header.zxid, header.time, type) + body + digest


def decode_payload(payload: bytes) -> Logged:
    """Decode a log entry.

    Raises:
        MarshallingError: unknown type, or a body that does not fit.
    """
    try:
        client_id, cxid, zxid, time, type = HEADER.unpack_from(payload)
    except struct_error:
        raise MarshallingError("entry is shorter than a transaction header") from None
    txn, pos = decode_txn(type, payload, HEADER.size)
    if len(payload) - pos >= DIGEST.size:
        version, digest = DIGEST.unpack_from(payload, pos)
        return Logged(TxnHeader(client_id, cxid, zxid, time), txn, version, digest & 0xFFFFFFFFFFFFFFFF)
    return Logged(TxnHeader(client_id, cxid, zxid, time), txn, None, 0)


def decode_txn(type: int, data: bytes, pos: int = 0, nested: bool = False) -> tuple[Txn, int]:
    """Decode the body of a transaction of *type* at *pos*; gives it and the position after it."""
    if type == opcodes.SET_DATA or type == opcodes.RECONFIG:
        path, pos = _path(data, pos)
        value, pos = read_buffer(data, pos)
        version, pos = read_int(data, pos)
        return SetData(type, path, value, version), pos
    if type in _CREATES:
        return _decode_create(type, data, pos, nested)
    if type == opcodes.DELETE or type == opcodes.DELETE_CONTAINER:
        path, pos = _path(data, pos)
        return Delete(type, path), pos
    if type == opcodes.SET_ACL and not nested:
        path, pos = _path(data, pos)
        acl, pos = _acl(data, pos)
        version, pos = read_int(data, pos)
        return SetAcl(path, acl, version), pos
    if type == opcodes.ERROR:
        err, pos = read_int(data, pos)
        return Error(err), pos
    if type == opcodes.CHECK and nested:
        path, pos = _path(data, pos)
        version, pos = read_int(data, pos)
        return Check(path, version), pos
    if nested:
        raise MarshallingError(f"a multi cannot hold a transaction of type {type}")
    if type == opcodes.CREATE_SESSION:
        timeout, pos = read_int(data, pos)
        return CreateSession(timeout), pos
    if type == opcodes.CLOSE_SESSION:
        if pos == len(data):
            return CloseSession(None), pos
        count, pos = read_count(data, pos, 4)
        gone: list[bytes] = []
        for _ in range(count or 0):
            path, pos = _path(data, pos)
            gone.append(path)
        return CloseSession(gone), pos
    if type == opcodes.MULTI:
        return _decode_multi(data, pos)
    raise MarshallingError(f"unknown transaction type {type}")


_CREATES: Final = frozenset({opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER, opcodes.CREATE_TTL})


def _decode_create(type: int, data: bytes, pos: int, nested: bool) -> tuple[Create, int]:
    path, pos = _path(data, pos)
    value, pos = read_buffer(data, pos)
    acl, pos = _acl(data, pos)
    if type == opcodes.CREATE_CONTAINER:
        cversion, pos = read_int(data, pos)
        return Create(type, path, value, acl, CONTAINER_OWNER, cversion), pos
    if type == opcodes.CREATE_TTL:
        cversion, pos = read_int(data, pos)
        ttl, pos = read_long(data, pos)
        return Create(type, path, value, acl, ttl_owner(ttl & TTL_MAX), cversion), pos
    ephemeral, pos = archive.read_bool(data, pos)
    owner = None if ephemeral else 0
    if type == opcodes.CREATE and not nested and pos == len(data):
        return Create(type, path, value, acl, owner, -1), pos  # as written before 3.4
    cversion, pos = read_int(data, pos)
    return Create(type, path, value, acl, owner, cversion), pos


def _decode_multi(data: bytes, pos: int) -> tuple[Multi, int]:
    count, pos = read_count(data, pos, 8)
    ops: list[Txn] = []
    for _ in range(count or 0):
        type, pos = read_int(data, pos)
        body, pos = read_buffer(data, pos)
        ops.append(decode_txn(type, body or b"", 0, nested=True)[0])
    return Multi(ops), pos


def _path(data: bytes, pos: int) -> tuple[bytes, int]:
    path, pos = archive.read_path(data, pos)
    if path is None:
        raise MarshallingError("path is null")
    return path, pos


_OPEN: Final[tuple[AclEntry, ...]] = ((ALL, "world", "anyone"),)


def _acl(data: bytes, pos: int) -> tuple[tuple[AclEntry, ...], int]:
    if data.startswith(archive.OPEN_ENCODED, pos):
        return _OPEN, pos + len(archive.OPEN_ENCODED)
    count, pos = read_count(data, pos, 12)
    entries: list[AclEntry] = []
    for _ in range(count or 0):
        perms, pos = read_int(data, pos)
        scheme, pos = archive.read_ustring(data, pos)
        ident, pos = archive.read_ustring(data, pos)
        entries.append((perms, scheme or "", ident or ""))
    return tuple(entries), pos
