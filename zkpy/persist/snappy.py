"""The snappy-java stream in which ZooKeeper compresses ``.snappy`` snapshots.

::

    stream  82 "SNAPPY" 00, version 1 (4), lowest compatible version 1 (4); then blocks
    block   length (4), one raw snappy block of up to 32 KiB of input

A raw block is the length of its output (varint) and then literals and copies. With one of the packages
``cramjam`` or ``snappy`` blocks are really compressed; without, they are written as literals only, which
every reader takes, and read by the code here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from struct import Struct
from typing import Final

MAGIC: Final = b"\x82SNAPPY\0"
STREAM_HEADER: Final = MAGIC + b"\0\0\0\1\0\0\0\1"
BLOCK: Final = 32 * 1024

_INT: Final = Struct(">i")
_LONGEST: Final = 1 << 26


class SnappyError(Exception):
    """The bytes are no snappy stream."""


def _native() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]] | None:
    try:
        import cramjam  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        pass
    else:
        raw = cramjam.snappy
        return (lambda data: bytes(raw.compress_raw(data))), (lambda data: bytes(raw.decompress_raw(data)))
    try:
        import snappy  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return snappy.compress, snappy.uncompress


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def literal_block(data: bytes) -> bytes:
    """*data* (up to 64 KiB) as a raw block of one literal."""
    size = len(data)
    if not size:
        return b"\0"
    if size <= 60:
        return _varint(size) + bytes(((size - 1) << 2,)) + data
    return _varint(size) + b"\xf4" + (size - 1).to_bytes(2, "little") + data


def decode_block(block: bytes) -> bytes:
    """The content of a raw block.

    Raises:
        SnappyError: it is damaged.
    """
    try:
        return _decode_block(block)
    except IndexError:
        raise SnappyError("block ends too early") from None


def _decode_block(block: bytes) -> bytes:
    length = shift = pos = 0
    while True:
        byte = block[pos]
        pos += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28:
            raise SnappyError("length of the block is damaged")
    if length > _LONGEST:
        raise SnappyError(f"block claims {length} bytes")
    out = bytearray()
    end = len(block)
    while pos < end:
        tag = block[pos]
        pos += 1
        kind = tag & 3
        if kind == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                if pos + extra > end:
                    raise SnappyError("literal runs past the block")
                size = int.from_bytes(block[pos : pos + extra], "little")
                pos += extra
            size += 1
            if pos + size > end:
                raise SnappyError("literal runs past the block")
            out += block[pos : pos + size]
            pos += size
            continue
        if kind == 1:
            size = (tag >> 2 & 7) + 4
            back = (tag >> 5) << 8 | block[pos]
            pos += 1
        elif kind == 2:
            size = (tag >> 2) + 1
            back = block[pos] | block[pos + 1] << 8
            pos += 2
        else:
            size = (tag >> 2) + 1
            back = block[pos] | block[pos + 1] << 8 | block[pos + 2] << 16 | block[pos + 3] << 24
            pos += 4
        start = len(out) - back
        if start < 0 or back == 0:
            raise SnappyError("copy reaches before the block")
        if back >= size:
            out += out[start : start + size]
        else:  # the copy overlaps what it writes: the last bytes repeat
            out += (out[start:] * (size // back + 1))[:size]
        if len(out) > length:
            break
    if len(out) != length:
        raise SnappyError(f"block has {len(out)} bytes of {length}")
    return bytes(out)


def decode_pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The content of a stream, block by block; *read* gives up to that many of its bytes.

    Raises:
        SnappyError: it is damaged.
    """

    def exactly(size: int) -> bytes:
        data = read(size)
        while len(data) < size:
            more = read(size - len(data))
            if not more:
                raise SnappyError("stream ends too early")
            data += more
        return data

    if not exactly(len(STREAM_HEADER)).startswith(MAGIC):
        raise SnappyError("not a snappy stream")
    native = _native()
    decode: Callable[[bytes], bytes] = decode_block if native is None else native[1]
    while first := read(1):
        (size,) = _INT.unpack(first + exactly(3))
        if not 0 <= size <= _LONGEST:
            raise SnappyError(f"block claims {size} bytes")
        block = exactly(size)
        try:
            yield decode(block)
        except SnappyError:
            raise
        except Exception as error:  # whatever the package raises
            raise SnappyError(str(error)) from error


def decode_stream(stream: bytes) -> bytes:
    """The content of a whole stream. Raises SnappyError when it is damaged."""
    return b"".join(decode_pieces(BytesIO(stream).read))


class Compressor:
    """Makes a stream of pieces; `compress` may keep bytes back until a block is full."""

    __slots__ = ("_block", "_rest", "_started")

    def __init__(self) -> None:
        native = _native()
        self._block: Callable[[bytes], bytes] = literal_block if native is None else native[0]
        self._rest = bytearray()
        self._started = False

    def compress(self, data: bytes) -> bytes:
        """Take *data* in, give what is complete."""
        self._rest += data
        whole = len(self._rest) // BLOCK * BLOCK
        out = b"".join(self._blocks(whole))
        del self._rest[:whole]
        return out

    def flush(self) -> bytes:
        """The end of the stream."""
        out = b"".join(self._blocks(len(self._rest)))
        self._rest.clear()
        return out

    def _blocks(self, size: int) -> Iterator[bytes]:
        if not self._started:
            self._started = True
            yield STREAM_HEADER
        for at in range(0, size, BLOCK):
            block = self._block(bytes(self._rest[at : at + BLOCK]))
            yield _INT.pack(len(block))
            yield block
