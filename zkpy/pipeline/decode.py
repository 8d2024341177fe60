"""Decoding the bodies of write requests, multis above all."""

from __future__ import annotations

from struct import error as struct_error
from typing import Final

from zkpy import opcodes
from zkpy.errors import BadArgumentsError, EphemeralRefusedError, MarshallingError, UnimplementedError
from zkpy.jute import archive
from zkpy.jute.archive import OPEN_ACLS, OPEN_ENCODED, read_int_from
from zkpy.tree.znode import TTL_MAX

EPHEMERAL_FLAGS: Final = (1, 3)
_TTL_FLAGS: Final = (5, 6)

RawAcl = tuple[tuple[int, str | None, str | None], ...] | None
"""An ACL list as a client sent it: permission bits, scheme, id."""


ReconfigBody = tuple[str | None, str | None, str | None, int]
"""Joining servers, leaving servers, new members, and the version that is to be changed."""


def decode_create(
    data: bytes, pos: int, *, with_ttl: bool
) -> tuple[bytes | None, bytes | None, RawAcl, int, int]:
    """CreateRequest or CreateTTLRequest at *pos*: path, data, ACL list, flags, TTL in ms (-1 without)."""
    if not with_ttl:
        plain = plain_create(data, pos)
        if plain is not None:
            return plain[0], plain[1], OPEN_ACLS, plain[2], -1
    path, pos = archive.read_path(data, pos)
    value, pos = archive.read_buffer(data, pos)
    acl, pos = archive.read_acls(data, pos)
    flags, pos = archive.read_int(data, pos)
    ttl = archive.read_long(data, pos)[0] if with_ttl else -1
    return path, value, acl, flags, ttl


def plain_create(data: bytes, pos: int) -> tuple[bytes, bytes, int] | None:
    """The commonest write by far, in one go: an ASCII path, data, the open ACL list, flags.

    None for anything else, which `decode_create` decodes or refuses.
    """
    try:
        cut = pos + 4 + read_int_from(data, pos)[0]
        size = read_int_from(data, cut)[0]
        end = cut + 4 + size
        if size < 0 or cut <= pos + 4 or not data.startswith(OPEN_ENCODED, end):
            return None
        flags = read_int_from(data, end + len(OPEN_ENCODED))[0]
    except struct_error:
        return None
    path = data[pos + 4 : cut]
    return (path, data[cut + 4 : end], flags) if path.isascii() else None


def check_mode(op: int, flags: int, ttl: int, extended_types: bool, ephemeral_err: int) -> None:
    """Whether the operation can create a znode of this mode.

    The four plain ones always can; but a session whose *ephemeral_err* is not 0 may have no ephemerals.
    Raises KeeperError.
    """
    if not 0 <= flags <= 6:
        raise BadArgumentsError(f"unknown create mode {flags}")
    if flags in EPHEMERAL_FLAGS and ephemeral_err:
        raise EphemeralRefusedError(ephemeral_err)
    if flags in _TTL_FLAGS:
        if not extended_types:
            raise UnimplementedError("extendedTypesEnabled is off")
        if op != opcodes.CREATE_TTL or not 0 < ttl <= TTL_MAX:
            raise BadArgumentsError("a TTL must be 1 to 2**40 - 1 ms")
    elif op == opcodes.CREATE_TTL:
        raise BadArgumentsError("the create mode has no TTL")


def decode_path_version(data: bytes, pos: int) -> tuple[bytes | None, int]:
    """DeleteRequest or CheckVersionRequest at *pos*."""
    path, pos = archive.read_path(data, pos)
    return path, archive.read_int(data, pos)[0]


class Undecodable(MarshallingError):
    """The request is answered MarshallingError and consumes no zxid."""


class SubRequest:
    """One operation of a multi or multiRead; ``type`` is the kind after normalisation."""

    __slots__ = ("acl", "data", "flags", "path", "ttl", "type", "version")

    def __init__(self, type: int, path: bytes | None) -> None:
        self.type = type
        self.path = path
        self.data: bytes | None = None
        self.acl: RawAcl = None
        self.flags = 0
        self.ttl = -1
        self.version = -1


_CREATES: Final = (opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER)
MULTI_READS: Final = (opcodes.GET_DATA, opcodes.GET_CHILDREN)
"""The operations of a multiRead; the watch flag of these is not kept."""


def decode_multi(data: bytes, pos: int) -> list[SubRequest]:
    """The operations of a multi or multiRead at *pos*: all of them write, or all of them read.

    A create's kind follows from flags and type together: flag 4 or type 19 makes a container, type 21 with
    a plain flag an ordinary create.

    Raises:
        MarshallingError: not decodable, or an operation that has no place there.
        Undecodable: a create other than type 21 has no ACL list.
    """
    ops: list[SubRequest] = []
    while True:
        type, pos = archive.read_int(data, pos)
        done, pos = archive.read_bool(data, pos)
        _, pos = archive.read_int(data, pos)
        if done:
            return ops
        if type in _CREATES:
            op, pos = _create(type, data, pos)
        elif type == opcodes.CREATE_TTL:
            op, pos = _create_ttl(data, pos)
        else:
            path, pos = archive.read_path(data, pos)
            op = SubRequest(type, path)
            if type in MULTI_READS:
                _, pos = archive.read_bool(data, pos)
            else:
                if type == opcodes.SET_DATA:
                    op.data, pos = archive.read_buffer(data, pos)
                elif type not in (opcodes.DELETE, opcodes.CHECK):
                    raise MarshallingError(f"a multi cannot hold operation {type}")
                op.version, pos = archive.read_int(data, pos)
        if ops and (ops[0].type in MULTI_READS) != (type in MULTI_READS):
            raise MarshallingError("a multi cannot both read and write")
        ops.append(op)


def _create(type: int, data: bytes, pos: int) -> tuple[SubRequest, int]:
    path, pos = archive.read_path(data, pos)
    op = SubRequest(type, path)
    op.data, pos = archive.read_buffer(data, pos)
    op.acl, pos = archive.read_acls(data, pos)
    op.flags, pos = archive.read_int(data, pos)
    if not 0 <= op.flags <= 6:
        raise MarshallingError(f"unknown create mode {op.flags}")
    if op.acl is None:
        raise Undecodable("a create in a multi has no ACL list")
    if op.flags > 4:
        raise MarshallingError(f"a multi cannot hold a create of mode {op.flags}")
    if op.flags == 4:
        op.type = opcodes.CREATE_CONTAINER
    return op, pos


def _create_ttl(data: bytes, pos: int) -> tuple[SubRequest, int]:
    path, pos = archive.read_path(data, pos)
    op = SubRequest(opcodes.CREATE_TTL, path)
    op.data, pos = archive.read_buffer(data, pos)
    op.acl, pos = archive.read_acls(data, pos)
    op.flags, pos = archive.read_int(data, pos)
    op.ttl, pos = archive.read_long(data, pos)
    if 0 <= op.flags <= 4:
        op.type = opcodes.CREATE if op.flags < 4 else opcodes.CREATE_CONTAINER
        op.ttl = -1
    return op, pos


def creates_ephemeral(op: int, frame: bytes) -> bool:
    """Whether a request would create an ephemeral, alone or in a multi; create and create2 count."""
    try:
        if op == opcodes.CREATE or op == opcodes.CREATE2:
            return decode_create(frame, 8, with_ttl=False)[3] in EPHEMERAL_FLAGS
        if op == opcodes.MULTI:
            return any(
                each.type in (opcodes.CREATE, opcodes.CREATE2) and each.flags in EPHEMERAL_FLAGS
                for each in decode_multi(frame, 8)
            )
    except MarshallingError:
        pass  # refused for that, later
    return False


def check_body(op: int, body: bytes) -> None:
    """Decode the body of a write that another server prepares; a multi goes there even if it does not decode.

    Raises:
        MarshallingError: it does not decode.
    """
    if op in (*_CREATES, opcodes.CREATE_TTL):
        decode_create(body, 0, with_ttl=op == opcodes.CREATE_TTL)
    elif op == opcodes.DELETE:
        decode_path_version(body, 0)
    elif op in (opcodes.SET_DATA, opcodes.SET_ACL):
        _, pos = archive.read_path(body, 0)
        if op == opcodes.SET_DATA:
            _, pos = archive.read_buffer(body, pos)
        else:
            _, pos = archive.read_acls(body, pos)
        archive.read_int(body, pos)
    elif op == opcodes.SYNC:
        archive.read_path(body, 0)
    elif op == opcodes.RECONFIG:
        decode_reconfig(body, 0)


def decode_reconfig(frame: bytes, pos: int) -> ReconfigBody:
    """The body of a reconfig.

    Raises:
        MarshallingError: it does not decode.
    """
    joining, pos = archive.read_ustring(frame, pos)
    leaving, pos = archive.read_ustring(frame, pos)
    members, pos = archive.read_ustring(frame, pos)
    return joining, leaving, members, archive.read_long(frame, pos)[0]
