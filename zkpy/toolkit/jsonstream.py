"""A large JSON object read piece by piece: its members in turn, arrays of objects element by element."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NoReturn, TextIO

from zkpy.toolkit.console import ToolError
from zkpy.toolkit.render import Json

_CHUNK: Final = 1 << 20
_SPACE: Final = " \t\r\n"


class JsonStream:
    """The members of one JSON object; arrays of objects are given element by element."""

    __slots__ = ("_at", "_decoder", "_ended", "_file", "_line", "_name", "_text")

    def __init__(self, name: str, file: TextIO) -> None:
        self._name = name
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._line = 1  # of the beginning of the text
        self._ended = False

    def fail(self, why: str) -> NoReturn:
        """Refuse the file at the present line."""
        raise ToolError(f"{self._name}:{self._line + self._text.count(chr(10), 0, self._at)}: {why}")

    def _more(self) -> bool:
        if self._ended:
            return False
        self._line += self._text.count("\n", 0, self._at)
        piece = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._ended = not piece
        self._text = self._text[self._at :] + piece
        self._at = 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Step over the character *wanted*."""
        found = self.peek()
        if found != wanted:
            self.fail(f"expected {wanted!r}, found {repr(found) if found else 'the end of the file'}")
        self._at += 1

    def value(self) -> object:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    self._at = error.pos
                    self.fail(f"this is no JSON: {error.msg}")
                continue
            except RecursionError:
                self.fail("values are nested too deeply")
            if end == len(self._text) and self._more():  # a number may go on
                continue
            self._at = end
            return value

    def members(self) -> Iterator[str]:
        """The names in the object; the value of each is to be taken before the next is asked for."""
        self.take("{")
        while self.peek() != "}":
            name = self.value()
            if not isinstance(name, str):
                self.fail("expected the name of a member")
            self.take(":")
            yield name
            if self.peek() != "}":
                self.take(",")
        self.take("}")
        if self.peek():
            self.fail("something follows the object")

    def elements(self) -> Iterator[Json]:
        """The elements of an array of objects."""
        self.take("[")
        while self.peek() != "]":
            item = self.value()
            if not isinstance(item, dict):
                self.fail("expected an object in braces")
            yield item
            if self.peek() != "]":
                self.take(",")
        self.take("]")
