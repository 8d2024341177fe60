"""IP addresses and prefixes as the ``ip`` scheme of ACLs writes them."""

from __future__ import annotations


def parse_address(text: str) -> bytes | None:
    """4 or 16 bytes of an address, or None: dotted quads, or hex groups with at most one ``::``."""
    if ":" not in text:
        parts = text.split(".")
        if len(parts) != 4 or not all(p.isascii() and p.isdigit() and int(p) <= 255 for p in parts):
            return None
        return bytes(int(p) for p in parts)
    if text.count("::") > 1 or ":::" in text:
        return None
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    if gap:
        missing = 8 - len(left) - len(right)
        if missing < 0:
            return None
        left += ["0"] * missing
    groups = left + right
    if len(groups) != 8:
        return None
    raw = bytearray()
    for group in groups:
        if not 1 <= len(group) <= 4 or any(c not in "0123456789abcdefABCDEF" for c in group):
            return None
        raw += int(group, 16).to_bytes(2, "big")
    return bytes(raw)


def parse_prefix(text: str) -> tuple[bytes, int] | None:
    """An address with an optional ``/bits``: the bytes and the number of bits that count, or None."""
    address, slash, bits_text = text.partition("/")
    raw = parse_address(address)
    if raw is None:
        return None
    bits = len(raw) * 8
    if slash:
        if not (bits_text.isascii() and bits_text.isdigit()) or int(bits_text) > bits:
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
