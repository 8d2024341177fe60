r"""Text in the Java properties format: what ``zoo.cfg`` and dynamic configuration files are written in.

One *logical* line is one entry; it may span several natural lines when each but the last ends in an odd
number of backslashes. ::

    tickTime=2000            key=value, key:value and key value mean the same
    # and ! start a comment  only at the beginning of a line
    dataDir = C:\\data       a backslash is an escape: \t \n \r \f \uXXXX, any other character is itself
    server.1=zk1:2888:\
             3888            leading blanks of a continued line are dropped

Files are ISO-8859-1: decode the bytes as such before calling. The parser differs from ``Properties.load`` in
one thing only: it remembers the line of each entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from zkpy.errors import UnexplainedError

_BLANKS: Final = " \t\f"
_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_HEX4: Final = re.compile(r"[0-9a-fA-F]{4}")
# Java's String.trim: everything up to and including the blank, control characters too.
_TRIMMED: Final = "".join(map(chr, range(0x21)))


class Entry(NamedTuple):
    """One value with the place it was written at."""

    value: str
    line: int
    """Natural line, from 1, on which the entry begins; 0: it was not written in a file."""


def trim(text: str) -> str:
    """Cut blanks and control characters (everything up to U+0020) from both ends, as ``String.trim`` does."""
    return text.strip(_TRIMMED)


def parse_properties(text: str, file: str | None = None) -> dict[str, Entry]:
    """Read a whole file. Keys and values come trimmed; of duplicate keys the last one stays.

    Entries come in the order in which each key was first written. Raises ``ConfigError`` for a malformed
    ``\\uXXXX`` escape, which is the only thing this format can get wrong.
    """
    entries: dict[str, Entry] = {}
    for line, content in _logical_lines(text):
        raw_key, raw_value = _split(content)
        key = trim(_unescape(raw_key, file, line))
        entries[key] = Entry(trim(_unescape(raw_value, file, line)), line)
    return entries


def format_properties(values: Mapping[str, str]) -> str:
    """Write entries so that ``parse_properties`` reads them back; the inverse for trimmed keys and values."""
    return "".join(f"{_escape(key, key=True)}={_escape(value)}\n" for key, value in values.items())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines and leave out comments and empty lines; yields (first line number, content)."""
    pending = ""
    start = 0
    continued = False
    naturals = _LINE_ENDS.split(text)
    for number, natural in enumerate(naturals, 1):
        content = natural.lstrip(_BLANKS)
        if not pending:
            # An entry that has no character yet may still turn out to be a comment, even after a line that
            # held nothing but a continuation backslash. That is what Java does.
            if content[:1] in ("", "#", "!"):
                continued = continued and number == len(naturals) and not natural
                continue
            start = start if continued else number
        pending += content
        body = content.rstrip("\\")
        continued = (len(content) - len(body)) % 2 == 1
        if continued:
            pending = pending[:-1]
            continue
        yield start, pending
        pending = ""
    # The text ends right after a continuation backslash: what was gathered still is an entry, even nothing at
    # all, unless (a whim of Java's reader) a carriage return and a line feed follow it.
    if continued and (pending or not text.endswith("\r\n")):
        yield start, pending


def _split(content: str) -> tuple[str, str]:
    """Cut one logical line at its first unescaped ``=``, ``:`` or blank; escapes are still in place."""
    position = 0
    while position < len(content) and content[position] not in "=: \t\f":
        position += 2 if content[position] == "\\" else 1
    key, rest = content[:position], content[position:].lstrip(_BLANKS)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANKS)
    return key, rest


def _unescape(text: str, file: str | None, line: int) -> str:
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    wide = False
    while position < len(text):
        char = text[position]
        position += 1
        if char != "\\":
            out.append(char)
            continue
        char = text[position : position + 1]
        position += 1
        if char == "u":
            digits = text[position : position + 4]
            if _HEX4.fullmatch(digits) is None:
                raise UnexplainedError(
                    file,
                    line,
                    "Malformed \\uxxxx encoding",
                    "Write four hexadecimal digits after \\u, or double the backslash if it means itself",
                )
            char = chr(int(digits, 16))
            wide = True
            position += 4
        out.append(_ESCAPES.get(char, char))
    joined = "".join(out)
    # Java strings are UTF-16: two escapes may form one character. A half without its partner cannot be
    # printed or encoded by anyone, so it becomes the replacement character.
    return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if wide else joined


def _escape(text: str, *, key: bool = False) -> str:
    out: list[str] = []
    names = {value: name for name, value in _ESCAPES.items()}
    for position, char in enumerate(text):
        if char in names:
            out.append("\\" + names[char])
        elif char == "\\" or (key and char in "=:#! ") or (char == " " and position == 0):
            out.append("\\" + char)
        elif " " <= char <= "~":
            out.append(char)
        else:
            units = char.encode("utf-16-be", "surrogatepass")
            out.extend(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    return "".join(out)
