"""Frames taken apart into named fields, for comparing and for showing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias

import attrs

from zkpy import opcodes
from zkpy.errors import Code, MarshallingError
from zkpy.jute import archive
from zkpy.jute.schema import RECORDS, SECRETS

Json: TypeAlias = Any


class Kind(Enum):
    """How the values of two servers are compared."""

    EXACT = "exact"
    """The same bytes. Lists whose order means nothing are sorted first."""
    ZXID = "zxid"
    TIME = "time"
    SESSION = "session"
    PASSWORD = "password"
    IDENTITIES = "identities"


@attrs.define
class Field:
    """One value of a frame: ``raw`` are its bytes, ``value`` is what they mean."""

    name: str
    kind: Kind
    value: Any
    raw: bytes


_KINDS: Final = {
    "czxid": Kind.ZXID,
    "mzxid": Kind.ZXID,
    "pzxid": Kind.ZXID,
    "zxid": Kind.ZXID,
    "ctime": Kind.TIME,
    "mtime": Kind.TIME,
    "ephemeralOwner": Kind.SESSION,
    "sessionId": Kind.SESSION,
    "passwd": Kind.PASSWORD,
    "token": Kind.PASSWORD,
    "clientInfo": Kind.IDENTITIES,
}
_UNORDERED: Final = {"children", "ephemerals", "clientInfo"}

OPERATIONS: Final = {
    opcodes.CREATE: "create",
    opcodes.DELETE: "delete",
    opcodes.EXISTS: "exists",
    opcodes.GET_DATA: "getData",
    opcodes.SET_DATA: "setData",
    opcodes.GET_ACL: "getACL",
    opcodes.SET_ACL: "setACL",
    opcodes.GET_CHILDREN: "getChildren",
    opcodes.SYNC: "sync",
    opcodes.PING: "ping",
    opcodes.GET_CHILDREN2: "getChildren2",
    opcodes.CHECK: "check",
    opcodes.MULTI: "multi",
    opcodes.CREATE2: "create2",
    opcodes.RECONFIG: "reconfig",
    opcodes.CHECK_WATCHES: "checkWatches",
    opcodes.REMOVE_WATCHES: "removeWatches",
    opcodes.CREATE_CONTAINER: "createContainer",
    opcodes.DELETE_CONTAINER: "deleteContainer",
    opcodes.CREATE_TTL: "createTTL",
    opcodes.MULTI_READ: "multiRead",
    opcodes.AUTH: "auth",
    opcodes.SET_WATCHES: "setWatches",
    opcodes.SASL: "sasl",
    opcodes.GET_EPHEMERALS: "getEphemerals",
    opcodes.GET_ALL_CHILDREN_NUMBER: "getAllChildrenNumber",
    opcodes.SET_WATCHES2: "setWatches2",
    opcodes.ADD_WATCH: "addWatch",
    opcodes.WHO_AM_I: "whoAmI",
    opcodes.CREATE_SESSION: "createSession",
    opcodes.CLOSE_SESSION: "closeSession",
}
"""Operations by the names that ZooKeeper's documentation and clients use."""

REQUESTS: Final = {
    opcodes.CREATE: "CreateRequest",
    opcodes.CREATE2: "CreateRequest",
    opcodes.CREATE_CONTAINER: "CreateRequest",
    opcodes.CREATE_TTL: "CreateTTLRequest",
    opcodes.DELETE: "DeleteRequest",
    opcodes.DELETE_CONTAINER: "DeleteContainerRequest",
    opcodes.EXISTS: "ExistsRequest",
    opcodes.GET_DATA: "GetDataRequest",
    opcodes.SET_DATA: "SetDataRequest",
    opcodes.GET_ACL: "GetACLRequest",
    opcodes.SET_ACL: "SetACLRequest",
    opcodes.GET_CHILDREN: "GetChildrenRequest",
    opcodes.GET_CHILDREN2: "GetChildren2Request",
    opcodes.SYNC: "SyncRequest",
    opcodes.CHECK: "CheckVersionRequest",
    opcodes.RECONFIG: "ReconfigRequest",
    opcodes.CHECK_WATCHES: "CheckWatchesRequest",
    opcodes.REMOVE_WATCHES: "RemoveWatchesRequest",
    opcodes.AUTH: "AuthPacket",
    opcodes.SASL: "GetSASLRequest",
    opcodes.SET_WATCHES: "SetWatches",
    opcodes.SET_WATCHES2: "SetWatches2",
    opcodes.ADD_WATCH: "AddWatchRequest",
    opcodes.GET_EPHEMERALS: "GetEphemeralsRequest",
    opcodes.GET_ALL_CHILDREN_NUMBER: "GetAllChildrenNumberRequest",
}

RESPONSES: Final = {
    opcodes.ERROR: "ErrorResponse",
    opcodes.CREATE: "CreateResponse",
    opcodes.CREATE2: "Create2Response",
    opcodes.CREATE_CONTAINER: "Create2Response",
    opcodes.CREATE_TTL: "Create2Response",
    opcodes.EXISTS: "ExistsResponse",
    opcodes.GET_DATA: "GetDataResponse",
    opcodes.SET_DATA: "SetDataResponse",
    opcodes.GET_ACL: "GetACLResponse",
    opcodes.SET_ACL: "SetACLResponse",
    opcodes.GET_CHILDREN: "GetChildrenResponse",
    opcodes.GET_CHILDREN2: "GetChildren2Response",
    opcodes.SYNC: "SyncResponse",
    opcodes.RECONFIG: "GetDataResponse",
    opcodes.SASL: "SetSASLResponse",
    opcodes.ADD_WATCH: "ErrorResponse",
    opcodes.GET_EPHEMERALS: "GetEphemeralsResponse",
    opcodes.GET_ALL_CHILDREN_NUMBER: "GetAllChildrenNumberResponse",
    opcodes.WHO_AM_I: "WhoAmIResponse",
}
MULTIS: Final = (opcodes.MULTI, opcodes.MULTI_READ)

REPLY_HEADER_BYTES: Final = 16
REQUEST_HEADER_BYTES: Final = 8


def _optional_bool(data: bytes, pos: int) -> tuple[bool | None, int]:
    return archive.read_bool(data, pos) if pos < len(data) else (None, pos)


_READERS: Final[dict[str, Callable[[bytes, int], tuple[Any, int]]]] = {
    "int": archive.read_int,
    "long": archive.read_long,
    "boolean": archive.read_bool,
    "boolean?": _optional_bool,
    "buffer": archive.read_buffer,
    "ustring": archive.read_ustring,
    "path": archive.read_path,
    "acls": archive.read_acls,
}


def read_record(record: str, data: bytes, pos: int, out: list[Field], prefix: str = "") -> int:
    """Append the fields of *record* at *pos*; returns the position after it.

    Raises:
        MarshallingError: the record does not fit.
    """
    for type, name in RECORDS[record]:
        if type in RECORDS:
            pos = read_record(type, data, pos, out, f"{prefix}{name}.")
            continue
        start = pos
        kind = _KINDS.get(name, Kind.EXACT)
        if type.startswith("vector<"):
            value, raw, pos = _read_vector(type[7:-1], data, pos, name in _UNORDERED)
        else:
            value, pos = _READERS[type](data, pos)
            raw = data[start:pos]
        out.append(Field(prefix + name, kind, value, raw))
    return pos


def _read_vector(type: str, data: bytes, pos: int, unordered: bool) -> tuple[Any, bytes, int]:
    """Values and bytes of a vector of paths or of identities, both sorted if the order means nothing."""
    start = pos
    count, pos = archive.read_count(data, pos, 4)
    if count is None:
        return None, data[start:pos], pos
    items: list[tuple[bytes, Any]] = []
    for _ in range(count):
        begin = pos
        if type in RECORDS:
            parts: list[Field] = []
            pos = read_record(type, data, pos, parts)
            value: Any = ":".join(str(part.value) for part in parts)
        else:
            value, pos = archive.read_path(data, pos)
        items.append((data[begin:pos], value))
    if unordered:
        items.sort(key=lambda item: item[0])
    return [value for _, value in items], data[start : start + 4] + b"".join(raw for raw, _ in items), pos


def request_fields(opcode: int, frame: bytes) -> list[Field]:
    """A request's arguments; what cannot be decoded is one field ``bytes``."""
    out: list[Field] = []
    try:
        if opcode in MULTIS:
            pos = _read_operations(frame, REQUEST_HEADER_BYTES, out, REQUESTS, "operation")
        elif opcode in REQUESTS:
            pos = read_record(REQUESTS[opcode], frame, REQUEST_HEADER_BYTES, out)
        else:
            pos = REQUEST_HEADER_BYTES
    except MarshallingError:
        out, pos = [], REQUEST_HEADER_BYTES
    return _with_rest(out, frame, pos)


def reply_fields(opcode: int, frame: bytes) -> list[Field]:
    """A reply's header and body; what cannot be decoded is one field ``bytes``."""
    out: list[Field] = []
    if len(frame) < REPLY_HEADER_BYTES:
        return _with_rest(out, frame, 0)
    pos = read_record("ReplyHeader", frame, 0, out)
    header = list(out)
    try:
        if pos < len(frame) and opcode in MULTIS:
            pos = _read_operations(frame, pos, out, RESPONSES, "result")
        elif pos < len(frame) and opcode in RESPONSES:
            pos = read_record(RESPONSES[opcode], frame, pos, out)
    except MarshallingError:
        out, pos = header, REPLY_HEADER_BYTES
    return _with_rest(out, frame, pos)


def record_fields(record: str, frame: bytes) -> list[Field]:
    """A frame that is one record: ConnectRequest or ConnectResponse."""
    out: list[Field] = []
    try:
        pos = read_record(record, frame, 0, out)
    except MarshallingError:
        out, pos = [], 0
    return _with_rest(out, frame, pos)


def event_fields(frame: bytes) -> list[Field] | None:
    """The fields of a watch event; None when the frame is something else."""
    if len(frame) < REPLY_HEADER_BYTES or archive.read_int(frame, 0)[0] != opcodes.XID_NOTIFICATION:
        return None
    out: list[Field] = []
    try:
        pos = read_record("ReplyHeader", frame, 0, out)
        pos = read_record("WatcherEvent", frame, pos, out)
    except MarshallingError:
        return None
    return out if pos == len(frame) and out[3].value in range(1, 5) else None


def _read_operations(data: bytes, pos: int, out: list[Field], records: dict[int, str], what: str) -> int:
    """The operations of a multi, or their results, up to the header that ends them."""
    number = 0
    while True:
        number += 1
        type, _ = archive.read_int(data, pos)
        done, _ = archive.read_bool(data, pos + 4)
        prefix = f"end.{what}." if done else f"{what}{number}."
        pos = read_record("MultiHeader", data, pos, out, prefix)
        if done:
            return pos
        if type in records:
            pos = read_record(records[type], data, pos, out, prefix)


def _with_rest(out: list[Field], frame: bytes, pos: int) -> list[Field]:
    if pos < len(frame):
        out.append(Field("bytes", Kind.EXACT, frame[pos:].hex(), frame[pos:]))
    return out


# -- showing ---------------------------------------------------------------------------------------------

LONGEST_SHOWN: Final = 120
_CODES: Final = {int(code): code.name for code in Code}


def json_value(field: Field) -> Json:
    """A field's value for a report: text where it is text, hex where it is not, no secrets."""
    base = field.name.rpartition(".")[2]
    if base in SECRETS:
        return None if field.value is None else "(hidden)"
    if base == "sessionId" or (base == "ephemeralOwner" and field.value):
        return f"0x{field.value & (1 << 64) - 1:x}"
    return _json(field.value)


def _json(value: Any) -> Json:
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return "0x" + value.hex()
        return text if text.isprintable() else "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value


def text_value(field: Field) -> str:
    """The same for a person, cut when it is long."""
    value = json_value(field)
    base = field.name.rpartition(".")[2]
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif base == "err" and value in _CODES:
        text = f"{value} ({_CODES[value]})"
    elif base == "acl":
        text = ", ".join(f"{scheme}:{id} {perms}" for perms, scheme, id in value) or "[]"
    elif isinstance(value, str) and base == "data" and not value.startswith("0x"):
        text = repr(value)
    else:
        text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


def operation(opcode: int) -> str:
    """An operation's name."""
    return OPERATIONS.get(opcode, f"operation {opcode}")
