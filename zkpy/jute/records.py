# Written by tools/generate_records.py from zkpy/jute/schema.py: change those, not this file.
# ruff: noqa: PLW1641
"""ZooKeeper's records, as jute names them.

``encode`` gives a record's bytes. ``decode`` reads one at a position and returns it with the position after
it; bytes behind it are not looked at. Both raise `MarshallingError` for what does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Final, Protocol, Self

from zkpy.errors import MarshallingError
from zkpy.jute.archive import (
    NULL,
    Acls,
    acls,
    bad_length,
    clean_path,
    decode_text,
    encode_text,
    pack_int,
    read_acls,
    read_count,
    read_paths,
    vector,
)

_pack_b: Final = Struct(">?").pack
_unpack_b: Final = Struct(">?").unpack_from
_pack_bi: Final = Struct(">?i").pack
_unpack_bi: Final = Struct(">?i").unpack_from
_pack_i: Final = Struct(">i").pack
_unpack_i: Final = Struct(">i").unpack_from
_pack_ibi: Final = Struct(">i?i").pack
_unpack_ibi: Final = Struct(">i?i").unpack_from
_pack_ii: Final = Struct(">ii").pack
_unpack_ii: Final = Struct(">ii").unpack_from
_pack_iii: Final = Struct(">iii").pack
_unpack_iii: Final = Struct(">iii").unpack_from
_pack_iiq: Final = Struct(">iiq").pack
_unpack_iiq: Final = Struct(">iiq").unpack_from
_pack_iiqi: Final = Struct(">iiqi").pack
_unpack_iiqi: Final = Struct(">iiqi").unpack_from
_pack_iq: Final = Struct(">iq").pack
_unpack_iq: Final = Struct(">iq").unpack_from
_pack_iqi: Final = Struct(">iqi").pack
_unpack_iqi: Final = Struct(">iqi").unpack_from
_pack_iqiqi: Final = Struct(">iqiqi").pack
_unpack_iqiqi: Final = Struct(">iqiqi").unpack_from
_pack_q: Final = Struct(">q").pack
_unpack_q: Final = Struct(">q").unpack_from
_pack_qii: Final = Struct(">qii").pack
_unpack_qii: Final = Struct(">qii").unpack_from
_pack_qiq: Final = Struct(">qiq").pack
_unpack_qiq: Final = Struct(">qiq").unpack_from
_pack_qiqqi: Final = Struct(">qiqqi").pack
_unpack_qiqqi: Final = Struct(">qiqqi").unpack_from
_pack_qqqqiiiqiiq: Final = Struct(">qqqqiiiqiiq").pack
_unpack_qqqqiiiqiiq: Final = Struct(">qqqqiiiqiiq").unpack_from
_pack_qqqqiiiqq: Final = Struct(">qqqqiiiqq").pack
_unpack_qqqqiiiqq: Final = Struct(">qqqqiiiqq").unpack_from


class _Encodable(Protocol):
    def encode(self) -> bytes: ...


def _records(items: Sequence[_Encodable] | None) -> bytes:
    """Encode a nullable vector of records."""
    if items is None:
        return NULL
    return pack_int(len(items)) + b"".join([item.encode() for item in items])


class Id:
    """data: ustring scheme, ustring id."""

    __slots__ = ("id", "scheme")

    def __init__(self, scheme: str | None, id: str | None) -> None:
        self.scheme = scheme
        self.id = id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Id):
            return NotImplemented
        return self.scheme == other.scheme and self.id == other.id

    def __repr__(self) -> str:
        return f"Id(scheme={self.scheme!r}, id={self.id!r})"

    def encode(self) -> bytes:
        scheme = None if self.scheme is None else encode_text(self.scheme)
        id = None if self.id is None else encode_text(self.id)
        return b"".join(
            (
                _pack_i(-1 if scheme is None else len(scheme)),
                scheme or b"",
                _pack_i(-1 if id is None else len(id)),
                id or b"",
            )
        )

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            scheme: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                scheme = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            id: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                id = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(scheme, id), pos
        except struct_error:
            raise MarshallingError("Id is cut short") from None


class ACL:
    """data: int perms, Id id."""

    __slots__ = ("id", "perms")

    def __init__(self, perms: int, id: Id) -> None:
        self.perms = perms
        self.id = id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ACL):
            return NotImplemented
        return self.perms == other.perms and self.id == other.id

    def __repr__(self) -> str:
        return f"ACL(perms={self.perms!r}, id={self.id!r})"

    def encode(self) -> bytes:
        try:
            return _pack_i(self.perms) + self.id.encode()
        except struct_error as error:
            raise MarshallingError(f"ACL: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (perms,) = _unpack_i(data, pos)
            pos += 4
            id, pos = Id.decode(data, pos)
            return cls(perms, id), pos
        except struct_error:
            raise MarshallingError("ACL is cut short") from None


class Stat:
    """data: long czxid, long mzxid, long ctime, long mtime, int version, int cversion, int aversion, long
    ephemeralOwner, int dataLength, int numChildren, long pzxid.
    """

    __slots__ = (
        "aversion",
        "ctime",
        "cversion",
        "czxid",
        "data_length",
        "ephemeral_owner",
        "mtime",
        "mzxid",
        "num_children",
        "pzxid",
        "version",
    )

    def __init__(
        self,
        czxid: int,
        mzxid: int,
        ctime: int,
        mtime: int,
        version: int,
        cversion: int,
        aversion: int,
        ephemeral_owner: int,
        data_length: int,
        num_children: int,
        pzxid: int,
    ) -> None:
        self.czxid = czxid
        self.mzxid = mzxid
        self.ctime = ctime
        self.mtime = mtime
        self.version = version
        self.cversion = cversion
        self.aversion = aversion
        self.ephemeral_owner = ephemeral_owner
        self.data_length = data_length
        self.num_children = num_children
        self.pzxid = pzxid

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stat):
            return NotImplemented
        return (
            self.czxid == other.czxid
            and self.mzxid == other.mzxid
            and self.ctime == other.ctime
            and self.mtime == other.mtime
            and self.version == other.version
            and self.cversion == other.cversion
            and self.aversion == other.aversion
            and self.ephemeral_owner == other.ephemeral_owner
            and self.data_length == other.data_length
            and self.num_children == other.num_children
            and self.pzxid == other.pzxid
        )

    def __repr__(self) -> str:
        return (
            f"Stat(czxid={self.czxid!r}, mzxid={self.mzxid!r}, ctime={self.ctime!r}, mtime={self.mtime!r}, "
            f"version={self.version!r}, cversion={self.cversion!r}, aversion={self.aversion!r}, "
            f"ephemeral_owner={self.ephemeral_owner!r}, data_length={self.data_length!r}, "
            f"num_children={self.num_children!r}, pzxid={self.pzxid!r})"
        )

    def encode(self) -> bytes:
        try:
            return _pack_qqqqiiiqiiq(
                self.czxid,
                self.mzxid,
                self.ctime,
                self.mtime,
                self.version,
                self.cversion,
                self.aversion,
                self.ephemeral_owner,
                self.data_length,
                self.num_children,
                self.pzxid,
            )
        except struct_error as error:
            raise MarshallingError(f"Stat: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_qqqqiiiqiiq(data, pos)), pos + 68
        except struct_error:
            raise MarshallingError("Stat is cut short") from None


class ClientInfo:
    """data: ustring authScheme, ustring user."""

    __slots__ = ("auth_scheme", "user")

    def __init__(self, auth_scheme: str | None, user: str | None) -> None:
        self.auth_scheme = auth_scheme
        self.user = user

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClientInfo):
            return NotImplemented
        return self.auth_scheme == other.auth_scheme and self.user == other.user

    def __repr__(self) -> str:
        return f"ClientInfo(auth_scheme={self.auth_scheme!r}, user={self.user!r})"

    def encode(self) -> bytes:
        auth_scheme = None if self.auth_scheme is None else encode_text(self.auth_scheme)
        user = None if self.user is None else encode_text(self.user)
        return b"".join(
            (
                _pack_i(-1 if auth_scheme is None else len(auth_scheme)),
                auth_scheme or b"",
                _pack_i(-1 if user is None else len(user)),
                user or b"",
            )
        )

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            auth_scheme: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                auth_scheme = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            user: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                user = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(auth_scheme, user), pos
        except struct_error:
            raise MarshallingError("ClientInfo is cut short") from None


class ConnectRequest:
    """proto: int protocolVersion, long lastZxidSeen, int timeOut, long sessionId, buffer passwd, boolean?
    readOnly.
    """

    __slots__ = ("last_zxid_seen", "passwd", "protocol_version", "read_only", "session_id", "time_out")

    def __init__(
        self,
        protocol_version: int,
        last_zxid_seen: int,
        time_out: int,
        session_id: int,
        passwd: bytes | None,
        read_only: bool | None,
    ) -> None:
        self.protocol_version = protocol_version
        self.last_zxid_seen = last_zxid_seen
        self.time_out = time_out
        self.session_id = session_id
        self.passwd = passwd
        self.read_only = read_only

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConnectRequest):
            return NotImplemented
        return (
            self.protocol_version == other.protocol_version
            and self.last_zxid_seen == other.last_zxid_seen
            and self.time_out == other.time_out
            and self.session_id == other.session_id
            and self.passwd == other.passwd
            and self.read_only == other.read_only
        )

    def __repr__(self) -> str:
        return (
            f"ConnectRequest(protocol_version={self.protocol_version!r}, "
            f"last_zxid_seen={self.last_zxid_seen!r}, time_out={self.time_out!r}, "
            f"session_id={self.session_id!r}, passwd=..., read_only={self.read_only!r})"
        )

    def encode(self) -> bytes:
        try:
            passwd = self.passwd
            return b"".join(
                (
                    _pack_iqiqi(
                        self.protocol_version,
                        self.last_zxid_seen,
                        self.time_out,
                        self.session_id,
                        -1 if passwd is None else len(passwd),
                    ),
                    passwd or b"",
                    b"" if self.read_only is None else b"\x01" if self.read_only else b"\0",
                )
            )
        except struct_error as error:
            raise MarshallingError(f"ConnectRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            protocol_version, last_zxid_seen, time_out, session_id, size = _unpack_iqiqi(data, pos)
            pos += 28
            passwd: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                passwd = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            read_only: bool | None = None
            if pos < len(data):
                read_only = data[pos] != 0
                pos += 1
            return cls(protocol_version, last_zxid_seen, time_out, session_id, passwd, read_only), pos
        except struct_error:
            raise MarshallingError("ConnectRequest is cut short") from None


class ConnectResponse:
    """proto: int protocolVersion, int timeOut, long sessionId, buffer passwd, boolean? readOnly."""

    __slots__ = ("passwd", "protocol_version", "read_only", "session_id", "time_out")

    def __init__(
        self,
        protocol_version: int,
        time_out: int,
        session_id: int,
        passwd: bytes | None,
        read_only: bool | None,
    ) -> None:
        self.protocol_version = protocol_version
        self.time_out = time_out
        self.session_id = session_id
        self.passwd = passwd
        self.read_only = read_only

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConnectResponse):
            return NotImplemented
        return (
            self.protocol_version == other.protocol_version
            and self.time_out == other.time_out
            and self.session_id == other.session_id
            and self.passwd == other.passwd
            and self.read_only == other.read_only
        )

    def __repr__(self) -> str:
        return (
            f"ConnectResponse(protocol_version={self.protocol_version!r}, time_out={self.time_out!r}, "
            f"session_id={self.session_id!r}, passwd=..., read_only={self.read_only!r})"
        )

    def encode(self) -> bytes:
        try:
            passwd = self.passwd
            return b"".join(
                (
                    _pack_iiqi(
                        self.protocol_version,
                        self.time_out,
                        self.session_id,
                        -1 if passwd is None else len(passwd),
                    ),
                    passwd or b"",
                    b"" if self.read_only is None else b"\x01" if self.read_only else b"\0",
                )
            )
        except struct_error as error:
            raise MarshallingError(f"ConnectResponse: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            protocol_version, time_out, session_id, size = _unpack_iiqi(data, pos)
            pos += 20
            passwd: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                passwd = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            read_only: bool | None = None
            if pos < len(data):
                read_only = data[pos] != 0
                pos += 1
            return cls(protocol_version, time_out, session_id, passwd, read_only), pos
        except struct_error:
            raise MarshallingError("ConnectResponse is cut short") from None


class RequestHeader:
    """proto: int xid, int type."""

    __slots__ = ("type", "xid")

    def __init__(self, xid: int, type: int) -> None:
        self.xid = xid
        self.type = type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RequestHeader):
            return NotImplemented
        return self.xid == other.xid and self.type == other.type

    def __repr__(self) -> str:
        return f"RequestHeader(xid={self.xid!r}, type={self.type!r})"

    def encode(self) -> bytes:
        try:
            return _pack_ii(self.xid, self.type)
        except struct_error as error:
            raise MarshallingError(f"RequestHeader: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_ii(data, pos)), pos + 8
        except struct_error:
            raise MarshallingError("RequestHeader is cut short") from None


class ReplyHeader:
    """proto: int xid, long zxid, int err."""

    __slots__ = ("err", "xid", "zxid")

    def __init__(self, xid: int, zxid: int, err: int) -> None:
        self.xid = xid
        self.zxid = zxid
        self.err = err

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReplyHeader):
            return NotImplemented
        return self.xid == other.xid and self.zxid == other.zxid and self.err == other.err

    def __repr__(self) -> str:
        return f"ReplyHeader(xid={self.xid!r}, zxid={self.zxid!r}, err={self.err!r})"

    def encode(self) -> bytes:
        try:
            return _pack_iqi(self.xid, self.zxid, self.err)
        except struct_error as error:
            raise MarshallingError(f"ReplyHeader: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_iqi(data, pos)), pos + 16
        except struct_error:
            raise MarshallingError("ReplyHeader is cut short") from None


class MultiHeader:
    """proto: int type, boolean done, int err."""

    __slots__ = ("done", "err", "type")

    def __init__(self, type: int, done: bool, err: int) -> None:
        self.type = type
        self.done = done
        self.err = err

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiHeader):
            return NotImplemented
        return self.type == other.type and self.done == other.done and self.err == other.err

    def __repr__(self) -> str:
        return f"MultiHeader(type={self.type!r}, done={self.done!r}, err={self.err!r})"

    def encode(self) -> bytes:
        try:
            return _pack_ibi(self.type, self.done, self.err)
        except struct_error as error:
            raise MarshallingError(f"MultiHeader: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_ibi(data, pos)), pos + 9
        except struct_error:
            raise MarshallingError("MultiHeader is cut short") from None


class WatcherEvent:
    """proto: int type, int state, path path."""

    __slots__ = ("path", "state", "type")

    def __init__(self, type: int, state: int, path: bytes | None) -> None:
        self.type = type
        self.state = state
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WatcherEvent):
            return NotImplemented
        return self.type == other.type and self.state == other.state and self.path == other.path

    def __repr__(self) -> str:
        return f"WatcherEvent(type={self.type!r}, state={self.state!r}, path={self.path!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return _pack_iii(self.type, self.state, -1 if path is None else len(path)) + (path or b"")
        except struct_error as error:
            raise MarshallingError(f"WatcherEvent: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            type, state, size = _unpack_iii(data, pos)
            pos += 12
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(type, state, path), pos
        except struct_error:
            raise MarshallingError("WatcherEvent is cut short") from None


class ErrorResponse:
    """proto: int err."""

    __slots__ = ("err",)

    def __init__(self, err: int) -> None:
        self.err = err

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ErrorResponse):
            return NotImplemented
        return self.err == other.err

    def __repr__(self) -> str:
        return f"ErrorResponse(err={self.err!r})"

    def encode(self) -> bytes:
        try:
            return _pack_i(self.err)
        except struct_error as error:
            raise MarshallingError(f"ErrorResponse: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_i(data, pos)), pos + 4
        except struct_error:
            raise MarshallingError("ErrorResponse is cut short") from None


class AuthPacket:
    """proto: int type, ustring scheme, buffer auth."""

    __slots__ = ("auth", "scheme", "type")

    def __init__(self, type: int, scheme: str | None, auth: bytes | None) -> None:
        self.type = type
        self.scheme = scheme
        self.auth = auth

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AuthPacket):
            return NotImplemented
        return self.type == other.type and self.scheme == other.scheme and self.auth == other.auth

    def __repr__(self) -> str:
        return f"AuthPacket(type={self.type!r}, scheme={self.scheme!r}, auth=...)"

    def encode(self) -> bytes:
        try:
            scheme = None if self.scheme is None else encode_text(self.scheme)
            auth = self.auth
            return b"".join(
                (
                    _pack_ii(self.type, -1 if scheme is None else len(scheme)),
                    scheme or b"",
                    _pack_i(-1 if auth is None else len(auth)),
                    auth or b"",
                )
            )
        except struct_error as error:
            raise MarshallingError(f"AuthPacket: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            type, size = _unpack_ii(data, pos)
            pos += 8
            scheme: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                scheme = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            auth: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                auth = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(type, scheme, auth), pos
        except struct_error:
            raise MarshallingError("AuthPacket is cut short") from None


class GetSASLRequest:
    """proto: buffer token."""

    __slots__ = ("token",)

    def __init__(self, token: bytes | None) -> None:
        self.token = token

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetSASLRequest):
            return NotImplemented
        return self.token == other.token

    def __repr__(self) -> str:
        return "GetSASLRequest(token=...)"

    def encode(self) -> bytes:
        token = self.token
        return _pack_i(-1 if token is None else len(token)) + (token or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            token: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                token = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(token), pos
        except struct_error:
            raise MarshallingError("GetSASLRequest is cut short") from None


class SetSASLResponse:
    """proto: buffer token."""

    __slots__ = ("token",)

    def __init__(self, token: bytes | None) -> None:
        self.token = token

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetSASLResponse):
            return NotImplemented
        return self.token == other.token

    def __repr__(self) -> str:
        return "SetSASLResponse(token=...)"

    def encode(self) -> bytes:
        token = self.token
        return _pack_i(-1 if token is None else len(token)) + (token or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            token: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                token = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(token), pos
        except struct_error:
            raise MarshallingError("SetSASLResponse is cut short") from None


class CreateRequest:
    """proto: path path, buffer data, acls acl, int flags."""

    __slots__ = ("acl", "data", "flags", "path")

    def __init__(self, path: bytes | None, data: bytes | None, acl: Acls | None, flags: int) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.flags = flags

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateRequest):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.flags == other.flags
        )

    def __repr__(self) -> str:
        return (
            f"CreateRequest(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, flags={self.flags!r})"
        )

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    acls(self.acl),
                    _pack_i(self.flags),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"CreateRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            (flags,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, data_, acl, flags), pos
        except struct_error:
            raise MarshallingError("CreateRequest is cut short") from None


class CreateResponse:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateResponse):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"CreateResponse(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("CreateResponse is cut short") from None


class Create2Response:
    """proto: path path, Stat stat."""

    __slots__ = ("path", "stat")

    def __init__(self, path: bytes | None, stat: Stat) -> None:
        self.path = path
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Create2Response):
            return NotImplemented
        return self.path == other.path and self.stat == other.stat

    def __repr__(self) -> str:
        return f"Create2Response(path={self.path!r}, stat={self.stat!r})"

    def encode(self) -> bytes:
        path = self.path
        return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", self.stat.encode()))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            stat, pos = Stat.decode(data, pos)
            return cls(path, stat), pos
        except struct_error:
            raise MarshallingError("Create2Response is cut short") from None


class CreateTTLRequest:
    """proto: path path, buffer data, acls acl, int flags, long ttl."""

    __slots__ = ("acl", "data", "flags", "path", "ttl")

    def __init__(
        self,
        path: bytes | None,
        data: bytes | None,
        acl: Acls | None,
        flags: int,
        ttl: int,
    ) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.flags = flags
        self.ttl = ttl

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateTTLRequest):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.flags == other.flags
            and self.ttl == other.ttl
        )

    def __repr__(self) -> str:
        return (
            f"CreateTTLRequest(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, "
            f"flags={self.flags!r}, ttl={self.ttl!r})"
        )

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    acls(self.acl),
                    _pack_iq(self.flags, self.ttl),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"CreateTTLRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            flags, ttl = _unpack_iq(data, pos)
            pos += 12
            return cls(path, data_, acl, flags, ttl), pos
        except struct_error:
            raise MarshallingError("CreateTTLRequest is cut short") from None


class DeleteRequest:
    """proto: path path, int version."""

    __slots__ = ("path", "version")

    def __init__(self, path: bytes | None, version: int) -> None:
        self.path = path
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeleteRequest):
            return NotImplemented
        return self.path == other.path and self.version == other.version

    def __repr__(self) -> str:
        return f"DeleteRequest(path={self.path!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.version)))
        except struct_error as error:
            raise MarshallingError(f"DeleteRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, version), pos
        except struct_error:
            raise MarshallingError("DeleteRequest is cut short") from None


class DeleteContainerRequest:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeleteContainerRequest):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"DeleteContainerRequest(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("DeleteContainerRequest is cut short") from None


class ExistsRequest:
    """proto: path path, boolean watch."""

    __slots__ = ("path", "watch")

    def __init__(self, path: bytes | None, watch: bool) -> None:
        self.path = path
        self.watch = watch

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExistsRequest):
            return NotImplemented
        return self.path == other.path and self.watch == other.watch

    def __repr__(self) -> str:
        return f"ExistsRequest(path={self.path!r}, watch={self.watch!r})"

    def encode(self) -> bytes:
        path = self.path
        return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_b(self.watch)))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (watch,) = _unpack_b(data, pos)
            pos += 1
            return cls(path, watch), pos
        except struct_error:
            raise MarshallingError("ExistsRequest is cut short") from None


class ExistsResponse:
    """proto: Stat stat."""

    __slots__ = ("stat",)

    def __init__(self, stat: Stat) -> None:
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExistsResponse):
            return NotImplemented
        return self.stat == other.stat

    def __repr__(self) -> str:
        return f"ExistsResponse(stat={self.stat!r})"

    def encode(self) -> bytes:
        return self.stat.encode()

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        stat, pos = Stat.decode(data, pos)
        return cls(stat), pos


class GetDataRequest:
    """proto: path path, boolean watch."""

    __slots__ = ("path", "watch")

    def __init__(self, path: bytes | None, watch: bool) -> None:
        self.path = path
        self.watch = watch

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetDataRequest):
            return NotImplemented
        return self.path == other.path and self.watch == other.watch

    def __repr__(self) -> str:
        return f"GetDataRequest(path={self.path!r}, watch={self.watch!r})"

    def encode(self) -> bytes:
        path = self.path
        return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_b(self.watch)))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (watch,) = _unpack_b(data, pos)
            pos += 1
            return cls(path, watch), pos
        except struct_error:
            raise MarshallingError("GetDataRequest is cut short") from None


class GetDataResponse:
    """proto: buffer data, Stat stat."""

    __slots__ = ("data", "stat")

    def __init__(self, data: bytes | None, stat: Stat) -> None:
        self.data = data
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetDataResponse):
            return NotImplemented
        return self.data == other.data and self.stat == other.stat

    def __repr__(self) -> str:
        return f"GetDataResponse(data={self.data!r}, stat={self.stat!r})"

    def encode(self) -> bytes:
        data_ = self.data
        return b"".join((_pack_i(-1 if data_ is None else len(data_)), data_ or b"", self.stat.encode()))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            stat, pos = Stat.decode(data, pos)
            return cls(data_, stat), pos
        except struct_error:
            raise MarshallingError("GetDataResponse is cut short") from None


class SetDataRequest:
    """proto: path path, buffer data, int version."""

    __slots__ = ("data", "path", "version")

    def __init__(self, path: bytes | None, data: bytes | None, version: int) -> None:
        self.path = path
        self.data = data
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetDataRequest):
            return NotImplemented
        return self.path == other.path and self.data == other.data and self.version == other.version

    def __repr__(self) -> str:
        return f"SetDataRequest(path={self.path!r}, data={self.data!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    _pack_i(self.version),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetDataRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, data_, version), pos
        except struct_error:
            raise MarshallingError("SetDataRequest is cut short") from None


class SetDataResponse:
    """proto: Stat stat."""

    __slots__ = ("stat",)

    def __init__(self, stat: Stat) -> None:
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetDataResponse):
            return NotImplemented
        return self.stat == other.stat

    def __repr__(self) -> str:
        return f"SetDataResponse(stat={self.stat!r})"

    def encode(self) -> bytes:
        return self.stat.encode()

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        stat, pos = Stat.decode(data, pos)
        return cls(stat), pos


class GetACLRequest:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetACLRequest):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"GetACLRequest(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("GetACLRequest is cut short") from None


class GetACLResponse:
    """proto: acls acl, Stat stat."""

    __slots__ = ("acl", "stat")

    def __init__(self, acl: Acls | None, stat: Stat) -> None:
        self.acl = acl
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetACLResponse):
            return NotImplemented
        return self.acl == other.acl and self.stat == other.stat

    def __repr__(self) -> str:
        return f"GetACLResponse(acl={self.acl!r}, stat={self.stat!r})"

    def encode(self) -> bytes:
        return acls(self.acl) + self.stat.encode()

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        acl, pos = read_acls(data, pos)
        stat, pos = Stat.decode(data, pos)
        return cls(acl, stat), pos


class SetACLRequest:
    """proto: path path, acls acl, int version."""

    __slots__ = ("acl", "path", "version")

    def __init__(self, path: bytes | None, acl: Acls | None, version: int) -> None:
        self.path = path
        self.acl = acl
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetACLRequest):
            return NotImplemented
        return self.path == other.path and self.acl == other.acl and self.version == other.version

    def __repr__(self) -> str:
        return f"SetACLRequest(path={self.path!r}, acl={self.acl!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    acls(self.acl),
                    _pack_i(self.version),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetACLRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, acl, version), pos
        except struct_error:
            raise MarshallingError("SetACLRequest is cut short") from None


class SetACLResponse:
    """proto: Stat stat."""

    __slots__ = ("stat",)

    def __init__(self, stat: Stat) -> None:
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetACLResponse):
            return NotImplemented
        return self.stat == other.stat

    def __repr__(self) -> str:
        return f"SetACLResponse(stat={self.stat!r})"

    def encode(self) -> bytes:
        return self.stat.encode()

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        stat, pos = Stat.decode(data, pos)
        return cls(stat), pos


class GetChildrenRequest:
    """proto: path path, boolean watch."""

    __slots__ = ("path", "watch")

    def __init__(self, path: bytes | None, watch: bool) -> None:
        self.path = path
        self.watch = watch

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetChildrenRequest):
            return NotImplemented
        return self.path == other.path and self.watch == other.watch

    def __repr__(self) -> str:
        return f"GetChildrenRequest(path={self.path!r}, watch={self.watch!r})"

    def encode(self) -> bytes:
        path = self.path
        return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_b(self.watch)))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (watch,) = _unpack_b(data, pos)
            pos += 1
            return cls(path, watch), pos
        except struct_error:
            raise MarshallingError("GetChildrenRequest is cut short") from None


class GetChildrenResponse:
    """proto: vector<path> children."""

    __slots__ = ("children",)

    def __init__(self, children: list[bytes | None] | None) -> None:
        self.children = children

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetChildrenResponse):
            return NotImplemented
        return self.children == other.children

    def __repr__(self) -> str:
        return f"GetChildrenResponse(children={self.children!r})"

    def encode(self) -> bytes:
        return vector(self.children)

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        children, pos = read_paths(data, pos)
        return cls(children), pos


class GetChildren2Request:
    """proto: path path, boolean watch."""

    __slots__ = ("path", "watch")

    def __init__(self, path: bytes | None, watch: bool) -> None:
        self.path = path
        self.watch = watch

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetChildren2Request):
            return NotImplemented
        return self.path == other.path and self.watch == other.watch

    def __repr__(self) -> str:
        return f"GetChildren2Request(path={self.path!r}, watch={self.watch!r})"

    def encode(self) -> bytes:
        path = self.path
        return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_b(self.watch)))

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (watch,) = _unpack_b(data, pos)
            pos += 1
            return cls(path, watch), pos
        except struct_error:
            raise MarshallingError("GetChildren2Request is cut short") from None


class GetChildren2Response:
    """proto: vector<path> children, Stat stat."""

    __slots__ = ("children", "stat")

    def __init__(self, children: list[bytes | None] | None, stat: Stat) -> None:
        self.children = children
        self.stat = stat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetChildren2Response):
            return NotImplemented
        return self.children == other.children and self.stat == other.stat

    def __repr__(self) -> str:
        return f"GetChildren2Response(children={self.children!r}, stat={self.stat!r})"

    def encode(self) -> bytes:
        return vector(self.children) + self.stat.encode()

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        children, pos = read_paths(data, pos)
        stat, pos = Stat.decode(data, pos)
        return cls(children, stat), pos


class SyncRequest:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncRequest):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"SyncRequest(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("SyncRequest is cut short") from None


class SyncResponse:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncResponse):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"SyncResponse(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("SyncResponse is cut short") from None


class CheckVersionRequest:
    """proto: path path, int version."""

    __slots__ = ("path", "version")

    def __init__(self, path: bytes | None, version: int) -> None:
        self.path = path
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CheckVersionRequest):
            return NotImplemented
        return self.path == other.path and self.version == other.version

    def __repr__(self) -> str:
        return f"CheckVersionRequest(path={self.path!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.version)))
        except struct_error as error:
            raise MarshallingError(f"CheckVersionRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, version), pos
        except struct_error:
            raise MarshallingError("CheckVersionRequest is cut short") from None


class ReconfigRequest:
    """proto: ustring joiningServers, ustring leavingServers, ustring newMembers, long curConfigId."""

    __slots__ = ("cur_config_id", "joining_servers", "leaving_servers", "new_members")

    def __init__(
        self,
        joining_servers: str | None,
        leaving_servers: str | None,
        new_members: str | None,
        cur_config_id: int,
    ) -> None:
        self.joining_servers = joining_servers
        self.leaving_servers = leaving_servers
        self.new_members = new_members
        self.cur_config_id = cur_config_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReconfigRequest):
            return NotImplemented
        return (
            self.joining_servers == other.joining_servers
            and self.leaving_servers == other.leaving_servers
            and self.new_members == other.new_members
            and self.cur_config_id == other.cur_config_id
        )

    def __repr__(self) -> str:
        return (
            f"ReconfigRequest(joining_servers={self.joining_servers!r}, "
            f"leaving_servers={self.leaving_servers!r}, new_members={self.new_members!r}, "
            f"cur_config_id={self.cur_config_id!r})"
        )

    def encode(self) -> bytes:
        try:
            joining_servers = None if self.joining_servers is None else encode_text(self.joining_servers)
            leaving_servers = None if self.leaving_servers is None else encode_text(self.leaving_servers)
            new_members = None if self.new_members is None else encode_text(self.new_members)
            return b"".join(
                (
                    _pack_i(-1 if joining_servers is None else len(joining_servers)),
                    joining_servers or b"",
                    _pack_i(-1 if leaving_servers is None else len(leaving_servers)),
                    leaving_servers or b"",
                    _pack_i(-1 if new_members is None else len(new_members)),
                    new_members or b"",
                    _pack_q(self.cur_config_id),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"ReconfigRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            joining_servers: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                joining_servers = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            leaving_servers: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                leaving_servers = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            new_members: str | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                new_members = decode_text(data[pos:end])
                pos = end
            elif size != -1:
                raise bad_length(size)
            (cur_config_id,) = _unpack_q(data, pos)
            pos += 8
            return cls(joining_servers, leaving_servers, new_members, cur_config_id), pos
        except struct_error:
            raise MarshallingError("ReconfigRequest is cut short") from None


class CheckWatchesRequest:
    """proto: path path, int type."""

    __slots__ = ("path", "type")

    def __init__(self, path: bytes | None, type: int) -> None:
        self.path = path
        self.type = type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CheckWatchesRequest):
            return NotImplemented
        return self.path == other.path and self.type == other.type

    def __repr__(self) -> str:
        return f"CheckWatchesRequest(path={self.path!r}, type={self.type!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.type)))
        except struct_error as error:
            raise MarshallingError(f"CheckWatchesRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (type,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, type), pos
        except struct_error:
            raise MarshallingError("CheckWatchesRequest is cut short") from None


class RemoveWatchesRequest:
    """proto: path path, int type."""

    __slots__ = ("path", "type")

    def __init__(self, path: bytes | None, type: int) -> None:
        self.path = path
        self.type = type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoveWatchesRequest):
            return NotImplemented
        return self.path == other.path and self.type == other.type

    def __repr__(self) -> str:
        return f"RemoveWatchesRequest(path={self.path!r}, type={self.type!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.type)))
        except struct_error as error:
            raise MarshallingError(f"RemoveWatchesRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (type,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, type), pos
        except struct_error:
            raise MarshallingError("RemoveWatchesRequest is cut short") from None


class SetWatches:
    """proto: long relativeZxid, vector<path> dataWatches, vector<path> existWatches, vector<path>
    childWatches.
    """

    __slots__ = ("child_watches", "data_watches", "exist_watches", "relative_zxid")

    def __init__(
        self,
        relative_zxid: int,
        data_watches: list[bytes | None] | None,
        exist_watches: list[bytes | None] | None,
        child_watches: list[bytes | None] | None,
    ) -> None:
        self.relative_zxid = relative_zxid
        self.data_watches = data_watches
        self.exist_watches = exist_watches
        self.child_watches = child_watches

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetWatches):
            return NotImplemented
        return (
            self.relative_zxid == other.relative_zxid
            and self.data_watches == other.data_watches
            and self.exist_watches == other.exist_watches
            and self.child_watches == other.child_watches
        )

    def __repr__(self) -> str:
        return (
            f"SetWatches(relative_zxid={self.relative_zxid!r}, data_watches={self.data_watches!r}, "
            f"exist_watches={self.exist_watches!r}, child_watches={self.child_watches!r})"
        )

    def encode(self) -> bytes:
        try:
            return b"".join(
                (
                    _pack_q(self.relative_zxid),
                    vector(self.data_watches),
                    vector(self.exist_watches),
                    vector(self.child_watches),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetWatches: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (relative_zxid,) = _unpack_q(data, pos)
            pos += 8
            data_watches, pos = read_paths(data, pos)
            exist_watches, pos = read_paths(data, pos)
            child_watches, pos = read_paths(data, pos)
            return cls(relative_zxid, data_watches, exist_watches, child_watches), pos
        except struct_error:
            raise MarshallingError("SetWatches is cut short") from None


class SetWatches2:
    """proto: long relativeZxid, vector<path> dataWatches, vector<path> existWatches, vector<path>
    childWatches, vector<path> persistentWatches, vector<path> persistentRecursiveWatches.
    """

    __slots__ = (
        "child_watches",
        "data_watches",
        "exist_watches",
        "persistent_recursive_watches",
        "persistent_watches",
        "relative_zxid",
    )

    def __init__(
        self,
        relative_zxid: int,
        data_watches: list[bytes | None] | None,
        exist_watches: list[bytes | None] | None,
        child_watches: list[bytes | None] | None,
        persistent_watches: list[bytes | None] | None,
        persistent_recursive_watches: list[bytes | None] | None,
    ) -> None:
        self.relative_zxid = relative_zxid
        self.data_watches = data_watches
        self.exist_watches = exist_watches
        self.child_watches = child_watches
        self.persistent_watches = persistent_watches
        self.persistent_recursive_watches = persistent_recursive_watches

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetWatches2):
            return NotImplemented
        return (
            self.relative_zxid == other.relative_zxid
            and self.data_watches == other.data_watches
            and self.exist_watches == other.exist_watches
            and self.child_watches == other.child_watches
            and self.persistent_watches == other.persistent_watches
            and self.persistent_recursive_watches == other.persistent_recursive_watches
        )

    def __repr__(self) -> str:
        return (
            f"SetWatches2(relative_zxid={self.relative_zxid!r}, data_watches={self.data_watches!r}, "
            f"exist_watches={self.exist_watches!r}, child_watches={self.child_watches!r}, "
            f"persistent_watches={self.persistent_watches!r}, "
            f"persistent_recursive_watches={self.persistent_recursive_watches!r})"
        )

    def encode(self) -> bytes:
        try:
            return b"".join(
                (
                    _pack_q(self.relative_zxid),
                    vector(self.data_watches),
                    vector(self.exist_watches),
                    vector(self.child_watches),
                    vector(self.persistent_watches),
                    vector(self.persistent_recursive_watches),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetWatches2: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (relative_zxid,) = _unpack_q(data, pos)
            pos += 8
            data_watches, pos = read_paths(data, pos)
            exist_watches, pos = read_paths(data, pos)
            child_watches, pos = read_paths(data, pos)
            persistent_watches, pos = read_paths(data, pos)
            persistent_recursive_watches, pos = read_paths(data, pos)
            return cls(
                relative_zxid,
                data_watches,
                exist_watches,
                child_watches,
                persistent_watches,
                persistent_recursive_watches,
            ), pos
        except struct_error:
            raise MarshallingError("SetWatches2 is cut short") from None


class AddWatchRequest:
    """proto: path path, int mode."""

    __slots__ = ("mode", "path")

    def __init__(self, path: bytes | None, mode: int) -> None:
        self.path = path
        self.mode = mode

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AddWatchRequest):
            return NotImplemented
        return self.path == other.path and self.mode == other.mode

    def __repr__(self) -> str:
        return f"AddWatchRequest(path={self.path!r}, mode={self.mode!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.mode)))
        except struct_error as error:
            raise MarshallingError(f"AddWatchRequest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (mode,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, mode), pos
        except struct_error:
            raise MarshallingError("AddWatchRequest is cut short") from None


class GetEphemeralsRequest:
    """proto: path prefixPath."""

    __slots__ = ("prefix_path",)

    def __init__(self, prefix_path: bytes | None) -> None:
        self.prefix_path = prefix_path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetEphemeralsRequest):
            return NotImplemented
        return self.prefix_path == other.prefix_path

    def __repr__(self) -> str:
        return f"GetEphemeralsRequest(prefix_path={self.prefix_path!r})"

    def encode(self) -> bytes:
        prefix_path = self.prefix_path
        return _pack_i(-1 if prefix_path is None else len(prefix_path)) + (prefix_path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            prefix_path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                prefix_path = data[pos:end]
                if not prefix_path.isascii():
                    prefix_path = clean_path(prefix_path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(prefix_path), pos
        except struct_error:
            raise MarshallingError("GetEphemeralsRequest is cut short") from None


class GetEphemeralsResponse:
    """proto: vector<path> ephemerals."""

    __slots__ = ("ephemerals",)

    def __init__(self, ephemerals: list[bytes | None] | None) -> None:
        self.ephemerals = ephemerals

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetEphemeralsResponse):
            return NotImplemented
        return self.ephemerals == other.ephemerals

    def __repr__(self) -> str:
        return f"GetEphemeralsResponse(ephemerals={self.ephemerals!r})"

    def encode(self) -> bytes:
        return vector(self.ephemerals)

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        ephemerals, pos = read_paths(data, pos)
        return cls(ephemerals), pos


class GetAllChildrenNumberRequest:
    """proto: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetAllChildrenNumberRequest):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"GetAllChildrenNumberRequest(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("GetAllChildrenNumberRequest is cut short") from None


class GetAllChildrenNumberResponse:
    """proto: int totalNumber."""

    __slots__ = ("total_number",)

    def __init__(self, total_number: int) -> None:
        self.total_number = total_number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GetAllChildrenNumberResponse):
            return NotImplemented
        return self.total_number == other.total_number

    def __repr__(self) -> str:
        return f"GetAllChildrenNumberResponse(total_number={self.total_number!r})"

    def encode(self) -> bytes:
        try:
            return _pack_i(self.total_number)
        except struct_error as error:
            raise MarshallingError(f"GetAllChildrenNumberResponse: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_i(data, pos)), pos + 4
        except struct_error:
            raise MarshallingError("GetAllChildrenNumberResponse is cut short") from None


class WhoAmIResponse:
    """proto: vector<ClientInfo> clientInfo."""

    __slots__ = ("client_info",)

    def __init__(self, client_info: list[ClientInfo] | None) -> None:
        self.client_info = client_info

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WhoAmIResponse):
            return NotImplemented
        return self.client_info == other.client_info

    def __repr__(self) -> str:
        return f"WhoAmIResponse(client_info={self.client_info!r})"

    def encode(self) -> bytes:
        return _records(self.client_info)

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        count, pos = read_count(data, pos, 8)
        client_info: list[ClientInfo] | None = None
        if count is not None:
            client_info = []
            for _ in range(count):
                item, pos = ClientInfo.decode(data, pos)
                client_info.append(item)
        return cls(client_info), pos


class TxnHeader:
    """txn: long clientId, int cxid, long zxid, long time, int type."""

    __slots__ = ("client_id", "cxid", "time", "type", "zxid")

    def __init__(self, client_id: int, cxid: int, zxid: int, time: int, type: int) -> None:
        self.client_id = client_id
        self.cxid = cxid
        self.zxid = zxid
        self.time = time
        self.type = type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TxnHeader):
            return NotImplemented
        return (
            self.client_id == other.client_id
            and self.cxid == other.cxid
            and self.zxid == other.zxid
            and self.time == other.time
            and self.type == other.type
        )

    def __repr__(self) -> str:
        return (
            f"TxnHeader(client_id={self.client_id!r}, cxid={self.cxid!r}, zxid={self.zxid!r}, "
            f"time={self.time!r}, type={self.type!r})"
        )

    def encode(self) -> bytes:
        try:
            return _pack_qiqqi(self.client_id, self.cxid, self.zxid, self.time, self.type)
        except struct_error as error:
            raise MarshallingError(f"TxnHeader: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_qiqqi(data, pos)), pos + 32
        except struct_error:
            raise MarshallingError("TxnHeader is cut short") from None


class TxnDigest:
    """txn: int version, long treeDigest."""

    __slots__ = ("tree_digest", "version")

    def __init__(self, version: int, tree_digest: int) -> None:
        self.version = version
        self.tree_digest = tree_digest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TxnDigest):
            return NotImplemented
        return self.version == other.version and self.tree_digest == other.tree_digest

    def __repr__(self) -> str:
        return f"TxnDigest(version={self.version!r}, tree_digest={self.tree_digest!r})"

    def encode(self) -> bytes:
        try:
            return _pack_iq(self.version, self.tree_digest)
        except struct_error as error:
            raise MarshallingError(f"TxnDigest: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_iq(data, pos)), pos + 12
        except struct_error:
            raise MarshallingError("TxnDigest is cut short") from None


class CreateSessionTxn:
    """txn: int timeOut."""

    __slots__ = ("time_out",)

    def __init__(self, time_out: int) -> None:
        self.time_out = time_out

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateSessionTxn):
            return NotImplemented
        return self.time_out == other.time_out

    def __repr__(self) -> str:
        return f"CreateSessionTxn(time_out={self.time_out!r})"

    def encode(self) -> bytes:
        try:
            return _pack_i(self.time_out)
        except struct_error as error:
            raise MarshallingError(f"CreateSessionTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_i(data, pos)), pos + 4
        except struct_error:
            raise MarshallingError("CreateSessionTxn is cut short") from None


class CloseSessionTxn:
    """txn: vector<path> paths2Delete."""

    __slots__ = ("paths2_delete",)

    def __init__(self, paths2_delete: list[bytes | None] | None) -> None:
        self.paths2_delete = paths2_delete

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CloseSessionTxn):
            return NotImplemented
        return self.paths2_delete == other.paths2_delete

    def __repr__(self) -> str:
        return f"CloseSessionTxn(paths2_delete={self.paths2_delete!r})"

    def encode(self) -> bytes:
        return vector(self.paths2_delete)

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        paths2_delete, pos = read_paths(data, pos)
        return cls(paths2_delete), pos


class ErrorTxn:
    """txn: int err."""

    __slots__ = ("err",)

    def __init__(self, err: int) -> None:
        self.err = err

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ErrorTxn):
            return NotImplemented
        return self.err == other.err

    def __repr__(self) -> str:
        return f"ErrorTxn(err={self.err!r})"

    def encode(self) -> bytes:
        try:
            return _pack_i(self.err)
        except struct_error as error:
            raise MarshallingError(f"ErrorTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_i(data, pos)), pos + 4
        except struct_error:
            raise MarshallingError("ErrorTxn is cut short") from None


class CreateTxn:
    """txn: path path, buffer data, acls acl, boolean ephemeral, int parentCVersion."""

    __slots__ = ("acl", "data", "ephemeral", "parent_cversion", "path")

    def __init__(
        self,
        path: bytes | None,
        data: bytes | None,
        acl: Acls | None,
        ephemeral: bool,
        parent_cversion: int,
    ) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.ephemeral = ephemeral
        self.parent_cversion = parent_cversion

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateTxn):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.ephemeral == other.ephemeral
            and self.parent_cversion == other.parent_cversion
        )

    def __repr__(self) -> str:
        return (
            f"CreateTxn(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, "
            f"ephemeral={self.ephemeral!r}, parent_cversion={self.parent_cversion!r})"
        )

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    acls(self.acl),
                    _pack_bi(self.ephemeral, self.parent_cversion),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"CreateTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            ephemeral, parent_cversion = _unpack_bi(data, pos)
            pos += 5
            return cls(path, data_, acl, ephemeral, parent_cversion), pos
        except struct_error:
            raise MarshallingError("CreateTxn is cut short") from None


class CreateTxnV0:
    """txn: path path, buffer data, acls acl, boolean ephemeral."""

    __slots__ = ("acl", "data", "ephemeral", "path")

    def __init__(self, path: bytes | None, data: bytes | None, acl: Acls | None, ephemeral: bool) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.ephemeral = ephemeral

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateTxnV0):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.ephemeral == other.ephemeral
        )

    def __repr__(self) -> str:
        return (
            f"CreateTxnV0(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, "
            f"ephemeral={self.ephemeral!r})"
        )

    def encode(self) -> bytes:
        path = self.path
        data_ = self.data
        return b"".join(
            (
                _pack_i(-1 if path is None else len(path)),
                path or b"",
                _pack_i(-1 if data_ is None else len(data_)),
                data_ or b"",
                acls(self.acl),
                _pack_b(self.ephemeral),
            )
        )

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            (ephemeral,) = _unpack_b(data, pos)
            pos += 1
            return cls(path, data_, acl, ephemeral), pos
        except struct_error:
            raise MarshallingError("CreateTxnV0 is cut short") from None


class CreateContainerTxn:
    """txn: path path, buffer data, acls acl, int parentCVersion."""

    __slots__ = ("acl", "data", "parent_cversion", "path")

    def __init__(
        self,
        path: bytes | None,
        data: bytes | None,
        acl: Acls | None,
        parent_cversion: int,
    ) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.parent_cversion = parent_cversion

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateContainerTxn):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.parent_cversion == other.parent_cversion
        )

    def __repr__(self) -> str:
        return (
            f"CreateContainerTxn(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, "
            f"parent_cversion={self.parent_cversion!r})"
        )

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    acls(self.acl),
                    _pack_i(self.parent_cversion),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"CreateContainerTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            (parent_cversion,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, data_, acl, parent_cversion), pos
        except struct_error:
            raise MarshallingError("CreateContainerTxn is cut short") from None


class CreateTTLTxn:
    """txn: path path, buffer data, acls acl, int parentCVersion, long ttl."""

    __slots__ = ("acl", "data", "parent_cversion", "path", "ttl")

    def __init__(
        self,
        path: bytes | None,
        data: bytes | None,
        acl: Acls | None,
        parent_cversion: int,
        ttl: int,
    ) -> None:
        self.path = path
        self.data = data
        self.acl = acl
        self.parent_cversion = parent_cversion
        self.ttl = ttl

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CreateTTLTxn):
            return NotImplemented
        return (
            self.path == other.path
            and self.data == other.data
            and self.acl == other.acl
            and self.parent_cversion == other.parent_cversion
            and self.ttl == other.ttl
        )

    def __repr__(self) -> str:
        return (
            f"CreateTTLTxn(path={self.path!r}, data={self.data!r}, acl={self.acl!r}, "
            f"parent_cversion={self.parent_cversion!r}, ttl={self.ttl!r})"
        )

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    acls(self.acl),
                    _pack_iq(self.parent_cversion, self.ttl),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"CreateTTLTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            parent_cversion, ttl = _unpack_iq(data, pos)
            pos += 12
            return cls(path, data_, acl, parent_cversion, ttl), pos
        except struct_error:
            raise MarshallingError("CreateTTLTxn is cut short") from None


class DeleteTxn:
    """txn: path path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes | None) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeleteTxn):
            return NotImplemented
        return self.path == other.path

    def __repr__(self) -> str:
        return f"DeleteTxn(path={self.path!r})"

    def encode(self) -> bytes:
        path = self.path
        return _pack_i(-1 if path is None else len(path)) + (path or b"")

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(path), pos
        except struct_error:
            raise MarshallingError("DeleteTxn is cut short") from None


class SetDataTxn:
    """txn: path path, buffer data, int version."""

    __slots__ = ("data", "path", "version")

    def __init__(self, path: bytes | None, data: bytes | None, version: int) -> None:
        self.path = path
        self.data = data
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetDataTxn):
            return NotImplemented
        return self.path == other.path and self.data == other.data and self.version == other.version

    def __repr__(self) -> str:
        return f"SetDataTxn(path={self.path!r}, data={self.data!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            data_ = self.data
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    _pack_i(-1 if data_ is None else len(data_)),
                    data_ or b"",
                    _pack_i(self.version),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetDataTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (size,) = _unpack_i(data, pos)
            pos += 4
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, data_, version), pos
        except struct_error:
            raise MarshallingError("SetDataTxn is cut short") from None


class SetACLTxn:
    """txn: path path, acls acl, int version."""

    __slots__ = ("acl", "path", "version")

    def __init__(self, path: bytes | None, acl: Acls | None, version: int) -> None:
        self.path = path
        self.acl = acl
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetACLTxn):
            return NotImplemented
        return self.path == other.path and self.acl == other.acl and self.version == other.version

    def __repr__(self) -> str:
        return f"SetACLTxn(path={self.path!r}, acl={self.acl!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join(
                (
                    _pack_i(-1 if path is None else len(path)),
                    path or b"",
                    acls(self.acl),
                    _pack_i(self.version),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"SetACLTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            acl, pos = read_acls(data, pos)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, acl, version), pos
        except struct_error:
            raise MarshallingError("SetACLTxn is cut short") from None


class SetMaxChildrenTxn:
    """txn: path path, int max."""

    __slots__ = ("max", "path")

    def __init__(self, path: bytes | None, max: int) -> None:
        self.path = path
        self.max = max

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetMaxChildrenTxn):
            return NotImplemented
        return self.path == other.path and self.max == other.max

    def __repr__(self) -> str:
        return f"SetMaxChildrenTxn(path={self.path!r}, max={self.max!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.max)))
        except struct_error as error:
            raise MarshallingError(f"SetMaxChildrenTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (max,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, max), pos
        except struct_error:
            raise MarshallingError("SetMaxChildrenTxn is cut short") from None


class CheckVersionTxn:
    """txn: path path, int version."""

    __slots__ = ("path", "version")

    def __init__(self, path: bytes | None, version: int) -> None:
        self.path = path
        self.version = version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CheckVersionTxn):
            return NotImplemented
        return self.path == other.path and self.version == other.version

    def __repr__(self) -> str:
        return f"CheckVersionTxn(path={self.path!r}, version={self.version!r})"

    def encode(self) -> bytes:
        try:
            path = self.path
            return b"".join((_pack_i(-1 if path is None else len(path)), path or b"", _pack_i(self.version)))
        except struct_error as error:
            raise MarshallingError(f"CheckVersionTxn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            (size,) = _unpack_i(data, pos)
            pos += 4
            path: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                path = data[pos:end]
                if not path.isascii():
                    path = clean_path(path)
                pos = end
            elif size != -1:
                raise bad_length(size)
            (version,) = _unpack_i(data, pos)
            pos += 4
            return cls(path, version), pos
        except struct_error:
            raise MarshallingError("CheckVersionTxn is cut short") from None


class Txn:
    """txn: int type, buffer data."""

    __slots__ = ("data", "type")

    def __init__(self, type: int, data: bytes | None) -> None:
        self.type = type
        self.data = data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Txn):
            return NotImplemented
        return self.type == other.type and self.data == other.data

    def __repr__(self) -> str:
        return f"Txn(type={self.type!r}, data={self.data!r})"

    def encode(self) -> bytes:
        try:
            data_ = self.data
            return _pack_ii(self.type, -1 if data_ is None else len(data_)) + (data_ or b"")
        except struct_error as error:
            raise MarshallingError(f"Txn: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            type, size = _unpack_ii(data, pos)
            pos += 8
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(type, data_), pos
        except struct_error:
            raise MarshallingError("Txn is cut short") from None


class MultiTxn:
    """txn: vector<Txn> txns."""

    __slots__ = ("txns",)

    def __init__(self, txns: list[Txn] | None) -> None:
        self.txns = txns

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiTxn):
            return NotImplemented
        return self.txns == other.txns

    def __repr__(self) -> str:
        return f"MultiTxn(txns={self.txns!r})"

    def encode(self) -> bytes:
        return _records(self.txns)

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        count, pos = read_count(data, pos, 8)
        txns: list[Txn] | None = None
        if count is not None:
            txns = []
            for _ in range(count):
                item, pos = Txn.decode(data, pos)
                txns.append(item)
        return cls(txns), pos


class FileHeader:
    """persistence: int magic, int version, long dbid."""

    __slots__ = ("dbid", "magic", "version")

    def __init__(self, magic: int, version: int, dbid: int) -> None:
        self.magic = magic
        self.version = version
        self.dbid = dbid

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileHeader):
            return NotImplemented
        return self.magic == other.magic and self.version == other.version and self.dbid == other.dbid

    def __repr__(self) -> str:
        return f"FileHeader(magic={self.magic!r}, version={self.version!r}, dbid={self.dbid!r})"

    def encode(self) -> bytes:
        try:
            return _pack_iiq(self.magic, self.version, self.dbid)
        except struct_error as error:
            raise MarshallingError(f"FileHeader: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_iiq(data, pos)), pos + 16
        except struct_error:
            raise MarshallingError("FileHeader is cut short") from None


class StatPersisted:
    """persistence: long czxid, long mzxid, long ctime, long mtime, int version, int cversion, int aversion,
    long ephemeralOwner, long pzxid.
    """

    __slots__ = (
        "aversion",
        "ctime",
        "cversion",
        "czxid",
        "ephemeral_owner",
        "mtime",
        "mzxid",
        "pzxid",
        "version",
    )

    def __init__(
        self,
        czxid: int,
        mzxid: int,
        ctime: int,
        mtime: int,
        version: int,
        cversion: int,
        aversion: int,
        ephemeral_owner: int,
        pzxid: int,
    ) -> None:
        self.czxid = czxid
        self.mzxid = mzxid
        self.ctime = ctime
        self.mtime = mtime
        self.version = version
        self.cversion = cversion
        self.aversion = aversion
        self.ephemeral_owner = ephemeral_owner
        self.pzxid = pzxid

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StatPersisted):
            return NotImplemented
        return (
            self.czxid == other.czxid
            and self.mzxid == other.mzxid
            and self.ctime == other.ctime
            and self.mtime == other.mtime
            and self.version == other.version
            and self.cversion == other.cversion
            and self.aversion == other.aversion
            and self.ephemeral_owner == other.ephemeral_owner
            and self.pzxid == other.pzxid
        )

    def __repr__(self) -> str:
        return (
            f"StatPersisted(czxid={self.czxid!r}, mzxid={self.mzxid!r}, ctime={self.ctime!r}, "
            f"mtime={self.mtime!r}, version={self.version!r}, cversion={self.cversion!r}, "
            f"aversion={self.aversion!r}, ephemeral_owner={self.ephemeral_owner!r}, pzxid={self.pzxid!r})"
        )

    def encode(self) -> bytes:
        try:
            return _pack_qqqqiiiqq(
                self.czxid,
                self.mzxid,
                self.ctime,
                self.mtime,
                self.version,
                self.cversion,
                self.aversion,
                self.ephemeral_owner,
                self.pzxid,
            )
        except struct_error as error:
            raise MarshallingError(f"StatPersisted: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_qqqqiiiqq(data, pos)), pos + 60
        except struct_error:
            raise MarshallingError("StatPersisted is cut short") from None


class QuorumPacket:
    """quorum: int type, long zxid, buffer data, vector<Id> authinfo."""

    __slots__ = ("authinfo", "data", "type", "zxid")

    def __init__(self, type: int, zxid: int, data: bytes | None, authinfo: list[Id] | None) -> None:
        self.type = type
        self.zxid = zxid
        self.data = data
        self.authinfo = authinfo

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuorumPacket):
            return NotImplemented
        return (
            self.type == other.type
            and self.zxid == other.zxid
            and self.data == other.data
            and self.authinfo == other.authinfo
        )

    def __repr__(self) -> str:
        return (
            f"QuorumPacket(type={self.type!r}, zxid={self.zxid!r}, data={self.data!r}, "
            f"authinfo={self.authinfo!r})"
        )

    def encode(self) -> bytes:
        try:
            data_ = self.data
            return b"".join(
                (
                    _pack_iqi(self.type, self.zxid, -1 if data_ is None else len(data_)),
                    data_ or b"",
                    _records(self.authinfo),
                )
            )
        except struct_error as error:
            raise MarshallingError(f"QuorumPacket: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            type, zxid, size = _unpack_iqi(data, pos)
            pos += 16
            data_: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                data_ = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            count, pos = read_count(data, pos, 8)
            authinfo: list[Id] | None = None
            if count is not None:
                authinfo = []
                for _ in range(count):
                    item, pos = Id.decode(data, pos)
                    authinfo.append(item)
            return cls(type, zxid, data_, authinfo), pos
        except struct_error:
            raise MarshallingError("QuorumPacket is cut short") from None


class LearnerInfo:
    """quorum: long sid, int protocolVersion, long configVersion."""

    __slots__ = ("config_version", "protocol_version", "sid")

    def __init__(self, sid: int, protocol_version: int, config_version: int) -> None:
        self.sid = sid
        self.protocol_version = protocol_version
        self.config_version = config_version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LearnerInfo):
            return NotImplemented
        return (
            self.sid == other.sid
            and self.protocol_version == other.protocol_version
            and self.config_version == other.config_version
        )

    def __repr__(self) -> str:
        return (
            f"LearnerInfo(sid={self.sid!r}, protocol_version={self.protocol_version!r}, "
            f"config_version={self.config_version!r})"
        )

    def encode(self) -> bytes:
        try:
            return _pack_qiq(self.sid, self.protocol_version, self.config_version)
        except struct_error as error:
            raise MarshallingError(f"LearnerInfo: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            return cls(*_unpack_qiq(data, pos)), pos + 20
        except struct_error:
            raise MarshallingError("LearnerInfo is cut short") from None


class QuorumAuthPacket:
    """quorum: long magic, int status, buffer token."""

    __slots__ = ("magic", "status", "token")

    def __init__(self, magic: int, status: int, token: bytes | None) -> None:
        self.magic = magic
        self.status = status
        self.token = token

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuorumAuthPacket):
            return NotImplemented
        return self.magic == other.magic and self.status == other.status and self.token == other.token

    def __repr__(self) -> str:
        return f"QuorumAuthPacket(magic={self.magic!r}, status={self.status!r}, token=...)"

    def encode(self) -> bytes:
        try:
            token = self.token
            return _pack_qii(self.magic, self.status, -1 if token is None else len(token)) + (token or b"")
        except struct_error as error:
            raise MarshallingError(f"QuorumAuthPacket: {error}") from None

    @classmethod
    def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:
        try:
            magic, status, size = _unpack_qii(data, pos)
            pos += 16
            token: bytes | None = None
            if size >= 0:
                end = pos + size
                if end > len(data):
                    raise bad_length(size)
                token = data[pos:end]
                pos = end
            elif size != -1:
                raise bad_length(size)
            return cls(magic, status, token), pos
        except struct_error:
            raise MarshallingError("QuorumAuthPacket is cut short") from None
