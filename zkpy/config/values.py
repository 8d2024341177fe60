"""How Java reads numbers and booleans from text, so that zkpy takes the same files to mean the same.

Keys that the configuration parser knows (class P) go through ``parseInt`` and are fatal when wrong. Keys that
become Java properties (class S and J) go through ``decode``, where ``010`` is eight and a typing error
silently means the default.
"""

from __future__ import annotations

import re
from typing import Final

INT_MAX: Final = 2**31 - 1
LONG_MAX: Final = 2**63 - 1

_FLOAT: Final = re.compile(r"[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)")


def parse_decimal(text: str, limit: int = INT_MAX, radix: int = 10) -> int | None:
    """``Integer.parseInt`` or (``LONG_MAX``) ``Long.parseLong``; None: not a number."""
    negative = text[:1] == "-"
    return _number(text[1:] if text[:1] in ("+", "-") else text, radix, negative, limit)


def decode(text: str, limit: int = INT_MAX) -> int | None:
    """``Integer.decode`` or ``Long.decode``: ``0x`` and ``#`` hexadecimal, ``0`` octal; None: no number."""
    negative = text[:1] == "-"
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits[:2] in ("0x", "0X"):
        return _number(digits[2:], 16, negative, limit)
    if digits[:1] == "#":
        return _number(digits[1:], 16, negative, limit)
    if len(digits) > 1 and digits[0] == "0":
        return _number(digits[1:], 8, negative, limit)
    return _number(digits, 10, negative, limit)


def parse_float(text: str) -> float | None:
    """``Double.parseDouble`` without hexadecimal floats; None: not a number."""
    if _FLOAT.fullmatch(text) is None:
        return None
    return float(text if text.endswith(("NaN", "Infinity")) else text.rstrip("fFdD"))


def parse_true_false(text: str) -> bool | None:
    """The strict booleans of class P: ``true`` or ``false`` in any case; None: neither."""
    return {"true": True, "false": False}.get(text.lower())


def _number(digits: str, radix: int, negative: bool, limit: int) -> int | None:
    if not digits:
        return None
    value = 0
    for char in digits:
        digit = _digit(char)
        if not 0 <= digit < radix:
            return None
        value = value * radix + digit
        if value > limit + 1:
            return None
    value = -value if negative else value
    return value if value <= limit else None


def _digit(char: str) -> int:
    """The value of one digit, decimal digits of any script included (Java takes them), or -1."""
    if char.isdecimal():
        # Java looks at UTF-16 units, so it never sees the digits beyond U+FFFF.
        return int(char) if char <= "\uffff" else -1
    position = "abcdef".find(char.lower()) if len(char.lower()) == 1 else -1
    return 10 + position if position >= 0 else -1
