"""Where a tree that comes over a connection ends: its parts have lengths, the whole has none."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from zkpy.errors import ProtocolError

_INT: Final = Struct(">i").unpack_from
_SESSION_BYTES: Final = 12
_TAIL_BYTES: Final = 68
_ROOT_MARK: Final = b"/"


class TreeScanner:
    """Fed the bytes of sessions, ACL table and znodes as they arrive; finds the end of the terminator."""

    __slots__ = ("_buffer", "_left", "_part", "_pos", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes: Final = limit_bytes
        """No path, data or text is longer."""
        self._buffer = bytearray()
        self._pos = 0
        self._part = 0
        self._left = -1

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add bytes; when the end is there, all of the tree and what follows it.

        Raises:
            ProtocolError: an impossible length.
        """
        self._buffer += data
        try:
            while self._part < 2:
                self._skip_table()
            end = self._skip_nodes()
        except error:
            return None  # inside a record
        if end is None:
            return None
        return bytes(self._buffer[:end]), bytes(self._buffer[end:])

    def _skip_table(self) -> None:
        if self._left < 0:
            (self._left,) = _INT(self._buffer, self._pos)
            self._pos += 4
            if self._left < 0:
                raise ProtocolError(f"the leader sends {self._left} entries")
        while self._left:
            pos = self._pos + _SESSION_BYTES if self._part == 0 else self._after_acl(self._pos)
            if pos > len(self._buffer):
                raise error
            self._pos = pos
            self._left -= 1
        self._left = -1
        self._part += 1

    def _after_acl(self, pos: int) -> int:
        (count,) = _INT(self._buffer, pos + 8)
        pos += 12
        for _ in range(count):
            pos = self._after_text(self._after_text(pos + 4))
        return pos

    def _after_text(self, pos: int) -> int:
        return pos + 4 + max(self._length(pos), 0)

    def _length(self, pos: int) -> int:
        size: int = _INT(self._buffer, pos)[0]
        if not -1 <= size <= self.limit_bytes:
            raise ProtocolError(f"the leader sends a length of {size} bytes")
        return size

    def _skip_nodes(self) -> int | None:
        buffer = self._buffer
        held = len(buffer)
        pos = self._pos
        while True:
            self._pos = pos
            size = self._length(pos)
            if size == 1 and buffer[pos + 4 : pos + 5] == _ROOT_MARK:
                return pos + 5
            pos += 4 + max(size, 0)
            pos += 4 + max(self._length(pos), 0) + _TAIL_BYTES
            if pos > held:
                return None
