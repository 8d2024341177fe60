"""The uncompressed content of a snapshot file, piece by piece, and whether a file is sealed as a whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from zkpy.persist import snappy
from zkpy.ports import Disk

MAGIC: Final = b"ZKSN"
SEAL_END: Final = b"\0\0\0\1/"
"""The string "/": it ends the znodes, and every seal."""

_SEAL: Final = Struct(">q5s")
SEAL_BYTES: Final = _SEAL.size
_CHUNK: Final = 1 << 18

READ_ERRORS: Final = (OSError, zlib.error, snappy.SnappyError)
"""What `pieces` raises."""


def seal(adler: int) -> bytes:
    """The bytes of a seal; they count in the checksum of the next one."""
    return _SEAL.pack(adler, SEAL_END)


def compression_of(name: str) -> str:
    """How a file of this *name* is compressed by its last part: ``gz``, ``snappy`` or ""."""
    suffix = name[name.rfind(".") + 1 :].lower()
    return suffix if suffix in ("gz", "snappy") else ""


def pieces(disk: Disk, path: str) -> Iterator[bytes]:
    """The uncompressed content of a snapshot in pieces that take a millisecond or so each.

    Raises:
        OSError, zlib.error, snappy.SnappyError: see `READ_ERRORS`.
    """
    compression = compression_of(path)
    file = disk.open_read(path)
    try:
        if compression == "snappy":
            yield from snappy.decode_pieces(file.read)
        elif compression == "gz":
            inflater = zlib.decompressobj(31)
            while not inflater.eof and (chunk := file.read(_CHUNK)):
                yield inflater.decompress(chunk, _CHUNK)
                while inflater.unconsumed_tail:
                    yield inflater.decompress(inflater.unconsumed_tail, _CHUNK)
            if not inflater.eof:
                raise zlib.error("gzip stream ends too early")
        else:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        error.filename = error.filename or path
        raise
    finally:
        file.close()


class SealCheck:
    """Whether a content, fed piece by piece, begins as a snapshot and ends with a seal that fits it all."""

    __slots__ = ("_adler", "_begins", "_tail")

    def __init__(self) -> None:
        self._adler = 1
        self._begins = b""
        self._tail = b""

    def feed(self, piece: bytes) -> None:
        """Take in the next *piece*."""
        if len(self._begins) < len(MAGIC):
            self._begins += piece[: len(MAGIC) - len(self._begins)]
        tail = self._tail + piece
        self._adler = zlib.adler32(tail[:-SEAL_BYTES], self._adler)
        self._tail = tail[-SEAL_BYTES:]

    @property
    def sealed(self) -> bool:
        """The verdict on what was fed so far."""
        return self._begins == MAGIC and self._tail == seal(self._adler)


def is_sealed(disk: Disk, path: str) -> bool:
    """Whether the file is whole by its last seal; reads all of it, blocking.

    Raises:
        OSError: it cannot be read, which says nothing about it.
    """
    check = SealCheck()
    try:
        for piece in pieces(disk, path):
            check.feed(piece)
    except (zlib.error, snappy.SnappyError):
        return False
    return check.sealed
