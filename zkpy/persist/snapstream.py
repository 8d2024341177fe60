"""A snapshot read from its beginning to its end in bounded memory: for tools; servers load with ``snapshot``.

The parts come in file order, so they have to be asked for in that order::

    reader.open(); reader.sessions(); reader.acls(); reader.nodes(); reader.finish()
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NoReturn
from zlib import adler32

import attrs

from zkpy.errors import CorruptLogError
from zkpy.persist.content import MAGIC, READ_ERRORS, SEAL_BYTES, compression_of, pieces, seal
from zkpy.persist.snapshot import HEADER
from zkpy.ports import Disk
from zkpy.tree.acl import AclEntry
from zkpy.tree.digest import MASK, VERSION

REMEDY: Final = "Use an older snapshot with the logs after it, or put back an undamaged copy"

LONGEST: Final = 1 << 28
"""No path, data or name in a snapshot is longer (bytes)."""

NodeRecord = tuple[int, bytes, bytes | None, int, bytes]
"""Offset in the uncompressed content, path (the root is empty), data, ACL number, the 60 bytes of
`zkpy.tree.znode.STORED_STAT`."""

_CHUNK: Final = 1 << 19
_INT: Final = Struct(">i")
_LONG: Final = Struct(">q")
_SESSION: Final = Struct(">qi")
_VERSION_DBID: Final = Struct(">iq")
_DIGEST_HEAD: Final = Struct(">qi")
_TAIL: Final = Struct(">q60s")


@attrs.frozen
class Ending:
    """What follows the znodes.

    ``digest_zxid`` is that of the last transaction of which the file can have effects (0: not said),
    ``digest`` the tree's then; ``last_zxid`` is the last section. None stands for what is not there, or of
    an old kind. ``surplus``: bytes follow that no reader looks at.
    """

    digest_zxid: int = 0
    digest: int | None = None
    last_zxid: int | None = None
    surplus: bool = False


class SnapshotReader:
    """One snapshot file, decompressed by the ending of its name.

    Every method raises CorruptLogError where the file is damaged; the offset is that of the uncompressed
    content. ``offset`` is how far it was read, ``version`` and ``dbid`` are the header's.
    """

    __slots__ = ("_adler", "_base", "_buf", "_compression", "_pieces", "_pos", "dbid", "path", "version")

    def __init__(self, disk: Disk, path: str) -> None:
        self.path = path
        self._compression = compression_of(path)
        self._pieces = pieces(disk, path)
        self._buf = b""
        self._base = 0  # offset of the buffer; the checksum covers everything before it
        self._pos = 0
        self._adler = 1
        self.version = 0
        self.dbid = 0

    @property
    def offset(self) -> int:
        """Bytes of the uncompressed content that were consumed."""
        return self._base + self._pos

    def fail(self, why: str, offset: int | None = None) -> NoReturn:
        """Refuse the file at *offset*, else where reading is."""
        where = f" ({self._compression} content, offset after decompression)" if self._compression else ""
        raise CorruptLogError(self.path, self.offset if offset is None else offset, why + where, REMEDY)

    def open(self) -> None:
        """Read the header. Raises OSError when there is no such file or it may not be read."""
        if not self._need(len(HEADER)):
            if not self._buf:
                self.fail("the file is empty")
            if MAGIC.startswith(self._buf[:4]):
                self.fail(f"the header is not complete: {len(self._buf)} bytes of {len(HEADER)}")
        if not self._buf.startswith(MAGIC):
            zero = "; the file begins with zeros" if not any(self._buf[:512]) else ""
            self.fail(f'this is not a snapshot: it does not begin with "ZKSN"{zero}')
        self.version, self.dbid = _VERSION_DBID.unpack_from(self._buf, len(MAGIC))
        self._pos = len(HEADER)

    def sessions(self) -> Iterator[tuple[int, int]]:
        """Id and timeout (ms) of each session."""
        for _ in range(self._count("sessions")):
            self._require(_SESSION.size, "a session")
            found = _SESSION.unpack_from(self._buf, self._pos)
            self._pos += _SESSION.size
            yield found

    def acls(self) -> Iterator[tuple[int, tuple[AclEntry, ...]]]:
        """Number and entries of each ACL list."""
        for _ in range(self._count("ACL lists")):
            self._require(_LONG.size, "an ACL list")
            (number,) = _LONG.unpack_from(self._buf, self._pos)
            self._pos += _LONG.size
            entries: list[AclEntry] = []
            for _ in range(self._count("ACL entries")):
                perms = self._int("ACL permissions")
                entries.append((perms, self._text("an ACL scheme"), self._text("an ACL id")))
            yield number, tuple(entries)

    def nodes(self) -> Iterator[NodeRecord]:
        """Each znode, parents before children in a sound file (which is not checked here)."""
        unpack_int = _INT.unpack_from
        unpack_tail = _TAIL.unpack_from
        wanted = 1
        while True:
            self._require(wanted, "a znode")
            buf, pos = self._buf, self._pos
            held = len(buf)
            while True:
                if held - pos < 5:
                    wanted = 5
                    break
                (path_size,) = unpack_int(buf, pos)
                if path_size == 1 and buf[pos + 4] == 0x2F:
                    self._pos = pos + 5
                    return
                at = pos + 4 + path_size
                if not 0 <= path_size <= LONGEST:
                    self.fail(f"unreasonable length {path_size} of a path", self._base + pos)
                if held < at + 4:
                    wanted = at + 4 - pos
                    break
                (size,) = unpack_int(buf, at)
                if not -1 <= size <= LONGEST:
                    self.fail(f"unreasonable length {size} of data", self._base + pos)
                end = at + 4 + size if size > 0 else at + 4
                if held < end + _TAIL.size:
                    wanted = end + _TAIL.size - pos
                    break
                number, packed = unpack_tail(buf, end)
                self._pos = end + _TAIL.size
                data = None if size < 0 else buf[at + 4 : end]
                yield self._base + pos, buf[pos + 4 : at], data, number, packed
                pos = self._pos
            self._pos = pos

    def finish(self) -> Ending:
        """Read what follows the znodes and check all seals.

        The sections carry no tag, so their presence is told from how much is left.
        """
        self._check_seal()
        if not self._need(1):
            return Ending()
        if not self._need(_LONG.size + SEAL_BYTES + 1):
            return Ending(last_zxid=self._last_zxid())
        self._require(_DIGEST_HEAD.size, "the digest section")
        zxid, version = _DIGEST_HEAD.unpack_from(self._buf, self._pos)
        self._pos += _DIGEST_HEAD.size
        digest: int | None = None
        if version < VERSION:
            self._text("the digest")
        else:
            self._require(_LONG.size, "the digest section")
            (value,) = _LONG.unpack_from(self._buf, self._pos)
            self._pos += _LONG.size
            digest = value & MASK if version == VERSION else None
        self._check_seal()
        known = digest if zxid else None
        if not self._need(1):
            return Ending(zxid, known)
        return Ending(zxid, known, self._last_zxid(), self._need(1))

    def _last_zxid(self) -> int:
        self._require(_LONG.size, "the last-zxid section")
        (last,) = _LONG.unpack_from(self._buf, self._pos)
        self._pos += _LONG.size
        self._check_seal()
        return int(last)

    def _check_seal(self) -> None:
        self._require(SEAL_BYTES, "a seal")
        pos = self._pos
        expected = seal(adler32(memoryview(self._buf)[:pos], self._adler))
        if self._buf[pos : pos + SEAL_BYTES] != expected:
            self.fail("the checksum does not match what stands before it")
        self._pos += SEAL_BYTES

    def _need(self, size: int) -> bool:
        """Have *size* bytes from the position in the buffer; False when the file ends before."""
        left = len(self._buf) - self._pos
        if left >= size:
            return True
        parts = [self._buf[self._pos :]]
        try:
            while left < size or left < _CHUNK:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                parts.append(piece)
                left += len(piece)
        except OSError:
            raise
        except READ_ERRORS as error:
            self.fail(f"decompression fails: {error}", self._base + len(self._buf))
        self._adler = adler32(memoryview(self._buf)[: self._pos], self._adler)
        self._base += self._pos
        self._pos = 0
        self._buf = b"".join(parts)
        return left >= size

    def _require(self, size: int, what: str) -> None:
        if len(self._buf) - self._pos < size and not self._need(size):
            self.fail(f"the file ends inside {what}")

    def _int(self, what: str) -> int:
        self._require(_INT.size, what)
        (value,) = _INT.unpack_from(self._buf, self._pos)
        self._pos += _INT.size
        return int(value)

    def _count(self, what: str) -> int:
        count = self._int(f"the number of {what}")
        if count < -1:
            self.fail(f"{count} {what}", self.offset - _INT.size)
        return count

    def _text(self, what: str) -> str:
        size = self._int(f"the length of {what}")
        if size < 0:
            return ""
        if size > LONGEST:
            self.fail(f"unreasonable length {size} of {what}", self.offset - _INT.size)
        self._require(size, what)
        raw = self._buf[self._pos : self._pos + size]
        self._pos += size
        return _text_of(raw)


def _text_of(raw: bytes) -> str:
    """Text as its writer meant it: ZooKeeper writes what is above U+FFFF as two encoded surrogates."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        units = raw.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")
