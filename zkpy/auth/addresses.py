"""IP addresses and prefixes as the ``ip`` scheme of ACLs writes them.

Numbers are what Java's parser of integers takes for one: a sign is allowed.
"""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_GROUP: Final = re.compile(r"(?=.{1,4}$)[+-]?[0-9a-fA-F]+").fullmatch


def parse_address(text: str) -> bytes | None:
    """4 or 16 bytes of an address, or None: dotted quads, or hex groups with at most one ``::``."""
    if ":" not in text:
        parts = text.split(".")
        if len(parts) != 4 or not all(_DECIMAL(part) and 0 <= int(part) <= 255 for part in parts):
            return None
        return bytes(map(int, parts))
    if text.count("::") > 1 or ":::" in text:
        return None
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    if gap:
        missing = 8 - len(left) - len(right)
        if missing < 1:
            return None
        left += ["0"] * missing
    groups = left + right
    if len(groups) != 8 or not all(map(_GROUP, groups)):
        return None
    return b"".join((int(group, 16) & 0xFFFF).to_bytes(2, "big") for group in groups)


def parse_prefix(text: str) -> tuple[bytes, int] | None:
    """An address with an optional ``/bits``: the bytes and the number of bits that count, or None."""
    address, slash, bits_text = text.partition("/")
    raw = parse_address(address)
    if raw is None:
        return None
    bits = len(raw) * 8
    if slash:
        if not _DECIMAL(bits_text) or not 0 <= int(bits_text) <= bits:
            return None
        bits = int(bits_text)
    return raw, bits


def matches(pattern: str, address: str) -> bool:
    """Whether *address* lies in the prefix *pattern*; families never mix."""
    prefix = parse_prefix(pattern)
    raw = parse_address(address)
    if prefix is None or raw is None or len(prefix[0]) != len(raw):
        return False
    shift = len(raw) * 8 - prefix[1]
    return int.from_bytes(raw, "big") >> shift == int.from_bytes(prefix[0], "big") >> shift
