"""Frames of the client port: a 4-byte signed big-endian length, then that many bytes of payload.

Source: client protocol, "Transport and framing". Nothing here does I/O: `frame` gives bytes to send,
`FrameReader` takes bytes as they arrive. The server cuts its frames in a loop of its own, fused with
decoding.
"""

from __future__ import annotations

from typing import Final

from zkpy.errors import ProtocolError
from zkpy.jute.archive import pack_int, read_int_from

LIMIT_BYTES: Final = 0xFFFFF
"""``jute.maxbuffer``'s default: the largest payload that is accepted, included."""


def frame(payload: bytes) -> bytes:
    """*payload* behind its length."""
    return pack_int(len(payload)) + payload


class FrameReader:
    """Cuts frames out of a stream that arrives in arbitrary chunks.

    ``feed`` what arrived, then call ``next_frame`` until it returns None. Each byte is copied once into the
    buffer and once out of it, however small the chunks are. The buffer holds only bytes that have arrived:
    an announced length is checked against *limit_bytes* and costs nothing. Whoever takes all frames after
    each ``feed`` never holds more than one incomplete frame and one chunk.
    """

    __slots__ = ("_arrived", "_start", "limit_bytes")

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes: Final = limit_bytes
        self._arrived = bytearray()
        self._start = 0  # of the first frame that was not taken yet

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait; 0 at the end of a stream means that it was not cut inside a frame."""
        return len(self._arrived) - self._start

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Add bytes that arrived."""
        if self._start:
            del self._arrived[: self._start]
            self._start = 0
        self._arrived += chunk

    def next_frame(self) -> bytes | None:
        """The payload of the next whole frame, or None until more bytes are fed.

        Raises:
            ProtocolError: the peer announced a negative length, or one above the limit. The stream is
                lost from here on, and every further call says so again.
        """
        arrived = self._arrived
        start = self._start + 4
        if start > len(arrived):
            return None
        size: int = read_int_from(arrived, start - 4)[0]
        if not 0 <= size <= self.limit_bytes:
            raise ProtocolError(f"peer announced {size} bytes, a frame has 0 to {self.limit_bytes}")
        end = start + size
        if end > len(arrived):
            return None
        self._start = end
        return bytes(memoryview(arrived)[start:end])
