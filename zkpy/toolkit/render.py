"""Stored values as text and as JSON: data, paths, ACL lists, times, owners, error codes.

Text never carries control characters to a terminal. In JSON nothing is lost: what is no readable text is
base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from zkpy.errors import Code
from zkpy.tree.acl import AclEntry
from zkpy.tree.znode import CONTAINER_OWNER, OwnerRules

RULES: Final = OwnerRules(extended=True)
"""A tool takes TTL tags for what they are, whatever the server's settings were."""

Json = dict[str, Any]

_LETTERS: Final = (("c", 4), ("d", 8), ("r", 1), ("w", 2), ("a", 16))
_READABLE: Final = re.compile("[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]*").fullmatch


def hex_id(value: int) -> str:
    """A session id or zxid as ZooKeeper prints it: hexadecimal, negative ones as 64 bits."""
    return f"0x{value & 0xFFFFFFFFFFFFFFFF:x}"


def readable(data: bytes) -> str | None:
    """*data* as text if it is plain text (UTF-8 without control characters but line ends and tabs)."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if _READABLE(text) else None


def escaped(text: str) -> str:
    """*text* on one line, without anything that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is no UTF-8, see `path_of`
        return f"\\x{point - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def path_of(raw: bytes) -> str:
    """A path as a string that `path_bytes` turns back, whatever the bytes are; the stored root is "/"."""
    return raw.decode("utf-8", "surrogateescape") or "/"


def path_bytes(text: str) -> bytes:
    """The bytes of a path."""
    return text.encode("utf-8", "surrogateescape")


def path_text(raw: bytes) -> str:
    """A path for reading."""
    return escaped(path_of(raw))


def data_text(data: bytes | None, limit: int) -> str:
    """Data for reading: quoted text or hexadecimal bytes, the first *limit* of them and how many."""
    if data is None:
        return "null"
    shown = data[:limit]
    more = f"...({len(data)} bytes)" if len(data) > limit else ""
    text = readable(shown)
    if text is None and more:  # the cut may have gone through a character
        text = next((t for cut in (1, 2, 3) if (t := readable(shown[:-cut])) is not None), None)
    if text is None:
        return f"0x{shown.hex()}{more}"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped(quoted)}"{more}'


def data_json(data: bytes | None) -> Json:
    """Data as one JSON member: ``data`` (text or null) or ``data64``."""
    if data is None:
        return {"data": None}
    text = readable(data)
    if text is None:
        return {"data64": base64.b64encode(data).decode()}
    return {"data": text}


def data_from_json(item: Json) -> bytes | None:
    """What `data_json` made. Raises ValueError; without a member the data is empty."""
    if "data64" in item:
        try:
            return base64.b64decode(item["data64"], validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError(f'"data64" is not base64: {error}') from None
    data = item.get("data", "")
    if data is None:
        return None
    if not isinstance(data, str):
        raise ValueError('"data" is neither text nor null; put other data as base64 into "data64"')
    return data.encode()


def perms_text(perms: int) -> str:
    """Permission bits as ZooKeeper's command line writes them: ``cdrwa``."""
    if perms & ~31:
        return str(perms)
    return "".join(letter for letter, bit in _LETTERS if perms & bit)


def acl_text(entries: tuple[AclEntry, ...]) -> str:
    """An ACL list as ``scheme:id:perms``, separated by commas."""
    return (
        escaped(",".join(f"{scheme}:{ident}:{perms_text(perms)}" for perms, scheme, ident in entries))
        or "none"
    )


def acl_json(entries: tuple[AclEntry, ...]) -> list[str | Json]:
    """An ACL list, each entry ``scheme:id:perms`` where that can be read back, else an object."""
    found: list[str | Json] = []
    for perms, scheme, ident in entries:
        if ":" in scheme or perms & ~31:
            found.append({"scheme": scheme, "id": ident, "perms": perms})
        else:
            found.append(f"{scheme}:{ident}:{perms_text(perms)}")
    return found


def acl_from_json(items: object) -> tuple[AclEntry, ...]:
    """What `acl_json` made. Raises ValueError."""
    if not isinstance(items, list):
        raise ValueError('"acl" is not a list')
    return tuple(_acl_entry(item) for item in items)


def _acl_entry(item: object) -> AclEntry:
    if isinstance(item, dict):
        perms, scheme, ident = item.get("perms"), item.get("scheme"), item.get("id")
        if isinstance(perms, int) and isinstance(scheme, str) and isinstance(ident, str):
            return perms, scheme, ident
    elif isinstance(item, str) and item.count(":") >= 2:
        scheme, _, rest = item.partition(":")
        ident, _, letters = rest.rpartition(":")
        bits = dict(_LETTERS)
        if all(letter in bits for letter in letters):
            return sum({bits[letter] for letter in letters}), scheme, ident
    raise ValueError(f"ACL entry {item!r} is not of the form scheme:id:perms with perms out of cdrwa")


def owner_text(owner: int) -> str:
    """What a stored owner means, "" for an ordinary znode."""
    if owner == 0:
        return ""
    if owner == CONTAINER_OWNER:
        return "container"
    ttl_ms = RULES.ttl_ms(owner)
    return f"ttl={ttl_ms}ms" if ttl_ms else f"ephemeral={hex_id(owner)}"


def error_text(code: int) -> str:
    """An error code by name."""
    try:
        return f"{Code(code).name}({code})"
    except ValueError:
        return str(code)


class Clock:
    """Times of log entries and znodes (ms since 1970) as ISO 8601, in local time or UTC."""

    __slots__ = ("_cached", "_second", "_utc")

    def __init__(self, utc: bool) -> None:
        self._utc = utc
        self._second = -(1 << 62)
        self._cached = ("", "")

    def text(self, ms: int) -> str:
        """*ms* with milliseconds and the offset from UTC; what is no time of ours is printed as a number."""
        second, rest = divmod(ms, 1000)
        if second != self._second:
            try:
                moment = datetime.fromtimestamp(second, UTC)
                moment = moment if self._utc else moment.astimezone()
            except (ValueError, OverflowError, OSError):
                return f"{ms}ms"
            whole = moment.isoformat()
            self._cached = (whole[:19], "Z" if self._utc else whole[19:])
            self._second = second
        begin, end = self._cached
        return f"{begin}.{rest:03d}{end}"


def json_line(item: Json) -> str:
    """*item* on one line; characters that cannot be encoded as UTF-8 are escaped."""
    text = json.dumps(item, ensure_ascii=False, separators=(", ", ": "))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(item)
    return text
