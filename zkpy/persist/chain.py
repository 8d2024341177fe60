"""The logged transactions in order, through all files of a directory.

Files may overlap: ZooKeeper reads every file whose name gives a zxid, so a copy ``log.99.bak`` beside
``log.99`` is one of them, and either may be the longer one. A record that comes again is skipped when it is
the same, and refused when it differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from zlib import adler32

from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import REMEDY, LogEntry, LogReader
from zkpy.persist.names import Named, log_files_from
from zkpy.ports import Disk
from zkpy.zxid import continues


class Logs(Protocol):
    """What a `Chain` needs to know of a data directory."""

    @property
    def disk(self) -> Disk:
        """The disk of the logs."""

    @property
    def log_dir(self) -> str:
        """The directory they are in."""

    @property
    def max_entry(self) -> int:
        """The largest payload of an entry in bytes."""

    def logs(self) -> list[Named]:
        """The files, lowest zxid first."""


class Chain:
    """The entries after a zxid through all log files, without a hole.

    ``torn`` lists files that end in an unfinished record, with the offset of its beginning. ``ends`` has, of
    the files that the last entry or nothing newer came from, the path and the end of what is valid.
    """

    __slots__ = ("_data", "_files", "_start", "ends", "last", "torn")

    def __init__(self, data: Logs, start: int) -> None:
        self._data = data
        self._files: list[str] = []
        self._start = start
        self.last = start
        self.ends: dict[str, int] = {}
        self.torn: list[tuple[str, int, str]] = []

    def entries(self) -> Iterator[tuple[str, LogEntry]]:
        """Each file's path and entry. Raises CorruptLogError at a hole or damage."""
        data = self._data
        for file in log_files_from(data.logs(), self._start + 1):
            path = f"{data.log_dir}/{file.name}"
            reader = LogReader(data.disk, path, data.max_entry)
            fresh = 0
            known: dict[int, int] | None = None
            for entry in reader:
                zxid = entry.zxid
                if zxid <= self._start:
                    continue
                if zxid <= self.last:
                    if known is None:
                        known = self._known(zxid, path, entry.offset)
                    if known.get(zxid) != adler32(entry.payload):
                        why = f"zxid {zxid:#x} comes again after {self.last:#x}, and differs"
                        raise CorruptLogError(path, entry.offset, why, REMEDY)
                    continue
                self._check(path, entry, not fresh)
                fresh += 1
                self.last = zxid
                yield path, entry
            if reader.torn:
                self.torn.append((path, reader.end, reader.torn))
            self._files.append(path)
            if fresh:
                self.ends.clear()
            self.ends[path] = reader.end

    def _known(self, first: int, path: str, offset: int) -> dict[int, int]:
        """The checksums of the entries from *first* on that came before *offset* of *path*."""
        known: dict[int, int] = {}
        for file in (*self._files, path):
            for entry in LogReader(self._data.disk, file, self._data.max_entry):
                if file == path and entry.offset >= offset:
                    break
                if first <= entry.zxid <= self.last:
                    known[entry.zxid] = adler32(entry.payload)
        return known

    def _check(self, path: str, entry: LogEntry, first: bool) -> None:
        """*entry* comes right after the last one, and no file before it lost its end."""
        if not continues(self.last, entry.zxid):
            what = "the snapshot" if self.last == self._start else "the log"
            why = f"transactions are missing: {what} ends with zxid {self.last:#x}, next is {entry.zxid:#x}"
            raise CorruptLogError(path, entry.offset, why, REMEDY)
        if first and self.torn and entry.zxid != self.last + 1:
            torn_path, end, why = self.torn[-1]
            text = f"after zxid {self.last:#x}: {why}, but later transactions follow in {path}"
            raise CorruptLogError(torn_path, end, text, REMEDY)
