"""Jute's primitives: what the generated records and the hand-fused fast paths are made of.

All integers are big-endian two's complement. Lengths are checked against the bytes that are really there
before anything is allocated, so that an announced length can never cost memory. A record that does not fit
its frame raises `MarshallingError`.

Two kinds of fields have a form of their own inside the server. A *path* is a string kept as its UTF-8
``bytes`` (see `zkpy.paths`). An *ACL list* is a tuple of (permission bits, scheme, id), a value that can be
compared, hashed and interned.

Encodings: client protocol, "Jute encodings"; the treatment of text was compared with a Java 17 runtime.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Final

from zkpy.errors import MarshallingError

INT: Final = Struct(">i")
LONG: Final = Struct(">q")
read_int_from: Final = INT.unpack_from
read_long_from: Final = LONG.unpack_from
pack_int: Final = INT.pack
pack_long: Final = LONG.pack

NULL: Final = b"\xff\xff\xff\xff"
"""The length -1: a null buffer, string or vector."""

Acls = tuple[tuple[int, str | None, str | None], ...]
"""An ACL list: (permission bits, scheme, id) per entry."""

OPEN_ACLS: Final[Acls] = ((31, "world", "anyone"),)
"""What nearly every znode has: all permissions for anyone."""

OPEN_ENCODED: Final = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone"
_ACL_LEAST: Final = 12  # permission bits and two lengths

_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]?")


def decode_text(raw: bytes) -> str:
    """Text as ZooKeeper's reader sees it: malformed sequences become U+FFFD.

    Java replaces an encoded surrogate as a whole where Python replaces each of its bytes; hence the second
    step, which leaves one impossible byte of it.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _SURROGATE.sub(b"\xff", raw).decode("utf-8", "replace")


def _surrogates(match: re.Match[str]) -> str:
    point = ord(match[0]) - 0x10000
    return chr(0xD800 + (point >> 10)) + chr(0xDC00 + (point & 0x3FF))


def encode_text(text: str) -> bytes:
    """Text as ZooKeeper's writer puts it: code points above U+FFFF as two 3-byte surrogates (CESU-8)."""
    if text.isascii():
        return text.encode()
    return _ASTRAL.sub(_surrogates, text).encode("utf-8", "surrogatepass")


def buffer(data: bytes | None) -> bytes:
    """Encode a nullable buffer, or a nullable path."""
    if data is None:
        return NULL
    return pack_int(len(data)) + data


def ustring(text: str | None) -> bytes:
    """Encode a nullable string."""
    if text is None:
        return NULL
    raw = encode_text(text)
    return pack_int(len(raw)) + raw


def vector(items: Sequence[bytes | None] | None) -> bytes:
    """Encode a nullable vector of buffers, or of strings that are UTF-8 already (paths, names)."""
    if items is None:
        return NULL
    out = [pack_int(len(items))]
    for item in items:
        if item is None:
            out.append(NULL)
        else:
            out += (pack_int(len(item)), item)
    return b"".join(out)


def acls(entries: Acls | None) -> bytes:
    """Encode a nullable ``vector<ACL>``.

    Raises:
        MarshallingError: permission bits that are no int.
    """
    if entries is None:
        return NULL
    if entries == OPEN_ACLS:
        return OPEN_ENCODED
    out = [pack_int(len(entries))]
    try:
        for perms, scheme, ident in entries:
            out += (pack_int(perms), ustring(scheme), ustring(ident))
    except struct_error as error:
        raise MarshallingError(f"ACL: {error}") from None
    return b"".join(out)


def bad_length(size: int) -> MarshallingError:
    """The error for a length that is negative, or that announces more than there is."""
    return MarshallingError(f"length {size} does not fit the record")


def read_int(data: bytes, pos: int) -> tuple[int, int]:
    """An int at *pos* and the position after it."""
    try:
        return read_int_from(data, pos)[0], pos + 4
    except struct_error:
        raise MarshallingError("record ends inside an int") from None


def read_long(data: bytes, pos: int) -> tuple[int, int]:
    """A long at *pos* and the position after it."""
    try:
        return read_long_from(data, pos)[0], pos + 8
    except struct_error:
        raise MarshallingError("record ends inside a long") from None


def read_bool(data: bytes, pos: int) -> tuple[bool, int]:
    """A boolean at *pos* (any non-zero byte is true) and the position after it."""
    try:
        return data[pos] != 0, pos + 1
    except IndexError:
        raise MarshallingError("record ends before a boolean") from None


def read_buffer(data: bytes, pos: int) -> tuple[bytes | None, int]:
    """A nullable buffer at *pos* and the position after it."""
    try:
        (size,) = read_int_from(data, pos)
    except struct_error:
        raise MarshallingError("record ends inside a length") from None
    pos += 4
    if size < 0:
        if size == -1:
            return None, pos
        raise bad_length(size)
    end = pos + size
    if end > len(data):
        raise bad_length(size)
    return data[pos:end], end


def read_ustring(data: bytes, pos: int) -> tuple[str | None, int]:
    """A nullable string at *pos* and the position after it."""
    raw, pos = read_buffer(data, pos)
    return (None if raw is None else decode_text(raw)), pos


def clean_path(raw: bytes) -> bytes:
    """A path's internal form: its own bytes, malformed sequences replaced by U+FFFD."""
    if raw.isascii():
        return raw
    return encode_text(decode_text(raw))


def read_path(data: bytes, pos: int) -> tuple[bytes | None, int]:
    """A nullable path in its internal form (see `zkpy.paths`) and the position after it."""
    raw, pos = read_buffer(data, pos)
    return (None if raw is None else clean_path(raw)), pos


def read_count(data: bytes, pos: int, least: int) -> tuple[int | None, int]:
    """A vector's count and the position after it: None for a null vector, 0 for other negative counts.

    A count is refused when that many elements of *least* bytes can't be there.
    """
    count, pos = read_int(data, pos)
    if count < 0:
        return (None if count == -1 else 0), pos
    if count * least > len(data) - pos:
        raise MarshallingError(f"vector of {count} runs past the record")
    return count, pos


def read_paths(data: bytes, pos: int) -> tuple[list[bytes | None] | None, int]:
    """A nullable vector of paths or of child names at *pos* and the position after it."""
    count, pos = read_count(data, pos, 4)
    if count is None:
        return None, pos
    paths: list[bytes | None] = []
    for _ in range(count):
        path, pos = read_path(data, pos)
        paths.append(path)
    return paths, pos


def read_acls(data: bytes, pos: int) -> tuple[Acls | None, int]:
    """A nullable ``vector<ACL>`` at *pos* and the position after it."""
    if data.startswith(OPEN_ENCODED, pos):
        return OPEN_ACLS, pos + len(OPEN_ENCODED)
    count, pos = read_count(data, pos, _ACL_LEAST)
    if count is None:
        return None, pos
    entries: list[tuple[int, str | None, str | None]] = []
    for _ in range(count):
        perms, pos = read_int(data, pos)
        scheme, pos = read_ustring(data, pos)
        ident, pos = read_ustring(data, pos)
        entries.append((perms, scheme, ident))
    return tuple(entries), pos
