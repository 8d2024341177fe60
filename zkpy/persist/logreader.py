"""Reading a transaction log file.

::

    file    header (16): magic "ZKLG", version 2, dbid 0; then records; then zeros, or nothing
    record  Adler-32 of the payload (8), length (4), payload, 0x42
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn
from zlib import adler32

from zkpy.errors import CorruptLogError
from zkpy.persist.names import LOG, zxid_of
from zkpy.persist.torn import (
    END_OF_RECORD,
    HEAD,
    LEAST_PAYLOAD,
    RECORD_HEAD,
    UNSYNCED_LIMIT,
    ZXID,
    ZXID_AT,
    damage,
)
from zkpy.ports import Disk, ReadFile

MAGIC: Final = b"ZKLG"
HEADER: Final = MAGIC + b"\0\0\0\2" + bytes(8)

MAX_ENTRY: Final = 2 * 0xFFFFF
"""Largest payload by default: ``jute.maxbuffer`` plus as much again."""

REMEDY: Final = (
    "Put back an undamaged copy of both version-2 directories, or rebuild this server from the other members"
)

_CHUNK: Final = 1 << 18


class LogEntry(NamedTuple):
    """One record: where it begins in its file, its zxid, its payload."""

    offset: int
    zxid: int
    payload: bytes


class LogReader:
    """The entries of one file in order; afterwards ``end`` and ``torn`` say how it ended.

    ``end`` is the offset behind the last valid record (0 when even the header is not there), ``torn`` what
    a crash left behind it, or "" when only padding follows.
    """

    __slots__ = ("_base", "_buf", "_disk", "_file", "_max_entry", "_pos", "_zxid", "end", "path", "torn")

    def __init__(self, disk: Disk, path: str, max_entry: int = MAX_ENTRY) -> None:
        self._disk = disk
        self._file: ReadFile
        self._max_entry = max_entry
        self._buf = b""
        self._base = 0
        self._pos = 0
        self._zxid = -1
        self.path = path
        self.end = 0
        self.torn = ""

    def __iter__(self) -> Iterator[LogEntry]:
        """Raises CorruptLogError where something stands that a crash does not explain."""
        self._file = self._disk.open_read(self.path)
        try:
            self._buf, self._base, self._pos = b"", 0, 0
            if not self._need(len(HEADER)) or not self._buf.startswith(MAGIC):
                self._bad_header()
                return
            self._pos = self.end = len(HEADER)
            yield from self._records()
            self._judge()
        except OSError as error:
            error.filename = error.filename or self.path
            raise
        finally:
            self._file.close()
            self._buf = b""

    def records_from(self, file: ReadFile, offset: int) -> Iterator[LogEntry]:
        """The records of *file*, which stands at *offset*, where one begins: to follow a log that grows.

        Ends without a judgement where no complete record is, or is yet; ``end`` says where. The caller closes
        the file.
        """
        self._file = file
        self._buf, self._base, self._pos = b"", offset, 0
        self.end, self.torn = offset, ""
        yield from self._records()
        self._buf = b""

    def _need(self, size: int) -> bool:
        """Have *size* bytes from the position in the buffer; False when the file ends before."""
        while len(self._buf) - self._pos < size:
            chunk = self._file.read(max(_CHUNK, size - (len(self._buf) - self._pos)))
            if not chunk:
                return False
            self._base += self._pos
            self._buf = self._buf[self._pos :] + chunk
            self._pos = 0
        return True

    def _records(self) -> Iterator[LogEntry]:
        unpack_head = RECORD_HEAD.unpack_from
        unpack_zxid = ZXID.unpack_from
        while True:
            if len(self._buf) - self._pos < HEAD and not self._need(HEAD):
                return
            buf, pos = self._buf, self._pos
            crc, size = unpack_head(buf, pos)
            if size <= 0 or size > self._max_entry:
                return
            stop = pos + HEAD + size
            if stop >= len(buf):
                if not self._need(HEAD + size + 1):
                    return
                buf, pos = self._buf, self._pos
                stop = pos + HEAD + size
            payload = buf[pos + HEAD : stop]
            if buf[stop] != END_OF_RECORD or adler32(payload) != crc:
                return
            offset = self._base + pos
            if size < LEAST_PAYLOAD:
                self.refuse(offset, "record is shorter than a transaction header")
            self._pos = stop + 1
            self.end = self._base + self._pos
            self._zxid = zxid = unpack_zxid(payload, ZXID_AT)[0]
            yield LogEntry(offset, zxid, payload)

    def _judge(self) -> None:
        self._refuse_oversized()
        region, total = self._rest()
        if region:
            after = self._zxid if self._zxid >= 0 else self._first() - 1
            why = damage(region, self.end, self._max_entry, after)
            if why is not None:
                self.refuse(self.end, why)
            self.torn = f"{total - self.end} bytes after offset {self.end} are no complete record"

    def _refuse_oversized(self) -> None:
        """A whole record that is only too long for the present limit was acknowledged: it is not torn."""
        if len(self._buf) - self._pos < HEAD:
            return
        crc, size = RECORD_HEAD.unpack_from(self._buf, self._pos)
        if size <= self._max_entry or self._disk.size(self.path) <= self.end + HEAD + size:
            return
        file = self._disk.open_read(self.path)
        try:
            zxid = _whole_record(file, self.end, crc, size)
        finally:
            file.close()
        if zxid > self._zxid:
            raise CorruptLogError(
                self.path,
                self.end,
                f"zxid {zxid:#x}: record of {size} bytes, jute.maxbuffer allows {self._max_entry}",
                f"The record is sound: start with -D jute.maxbuffer={size} or more "
                f"(zkpy log, zkpy snapshot: --jute-maxbuffer {size})",
            )

    def _bad_header(self) -> None:
        """The file does not begin as a log: a crash explains it when the first sector never got there."""
        region, total = self._rest()
        if not region:
            self.torn = f"all of its {total} bytes are zero" if total else "file is empty"
        elif total < len(HEADER) or MAGIC.startswith(region):
            self.torn = f"header is not complete ({total} bytes)"
        elif any(region[:512]) or len(region) > UNSYNCED_LIMIT + self._max_entry:
            self.refuse(0, "this is not a transaction log (wrong magic)")
        else:
            self.torn = "header never reached the disk"

    def refuse(self, offset: int, why: str) -> NoReturn:
        """Raise CorruptLogError, saying behind which transaction."""
        after = self._zxid
        first = self._first()
        before = f"before zxid {first:#x}" if first else "at the beginning"
        where = f"after zxid {after:#x}" if after >= 0 else before
        raise CorruptLogError(self.path, offset, f"{where}: {why}", REMEDY)

    def _first(self) -> int:
        return max(0, zxid_of(self.path.rpartition("/")[2], LOG))

    def _rest(self) -> tuple[bytes, int]:
        """What stands from the position up to the last byte that is not zero, and the file's length.

        Stops soon after more than a crash can explain was found.
        """
        start = self._base + self._pos
        enough = UNSYNCED_LIMIT + self._max_entry + 2 * _CHUNK
        region = bytearray(self._buf[self._pos :].rstrip(b"\0"))
        at = self._base + len(self._buf)
        while len(region) <= enough:
            at = max(at, self._file.next_data())
            chunk = self._file.read(_CHUNK)
            if not chunk:
                break
            found = chunk.rstrip(b"\0")
            if found:
                if at - start > enough:
                    region += bytes(enough + 1 - len(region))
                    break
                region += bytes(at - start - len(region))
                region += found
            at += len(chunk)
        return bytes(region), at


def _whole_record(file: ReadFile, offset: int, crc: int, size: int) -> int:
    """The zxid of the record at *offset* if it is there to its end and its checksum fits, else -1."""
    to_skip = offset + HEAD
    while to_skip:
        to_skip -= len(file.read(min(_CHUNK, to_skip))) or to_skip
    adler, begin = 1, b""
    while size:
        chunk = file.read(min(_CHUNK, size))
        if not chunk:
            return -1
        begin = begin or chunk[:LEAST_PAYLOAD]
        adler = adler32(chunk, adler)
        size -= len(chunk)
    whole = adler == crc and file.read(1) == bytes([END_OF_RECORD]) and len(begin) == LEAST_PAYLOAD
    return int(ZXID.unpack_from(begin, ZXID_AT)[0]) if whole else -1


def read_log(disk: Disk, path: str, *, last: bool = False, max_entry: int = MAX_ENTRY) -> Iterator[LogEntry]:
    """The entries of the file at *path*; only the *last* log may end in an unfinished record.

    Raises:
        CorruptLogError: the file is damaged, or unfinished without being the last.
    """
    reader = LogReader(disk, path, max_entry)
    yield from reader
    if reader.torn and not last:
        reader.refuse(reader.end, reader.torn)
