"""``zkpy log --salvage``: what stands before the damage, copied into a new file; what is left out, told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import adler32

import attrs

from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import HEADER, REMEDY, LogReader
from zkpy.persist.names import LOG, SNAPSHOT, named, zxid_of
from zkpy.persist.torn import END_OF_RECORD, HEAD, LEAST_PAYLOAD, RECORD_HEAD
from zkpy.persist.txnsnaplog import VERSION_DIR
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_FOUND, EXIT_OK, Progress, ToolError, out, size_text
from zkpy.toolkit.logview import watched
from zkpy.toolkit.render import hex_id

_CHUNK: Final = 1 << 20
_ZXID: Final = Struct(">q")
_ZXID_AT: Final = HEAD + 12


@attrs.define
class Left:
    """What follows the last good entry: bytes up to the last that is not zero, intact entries among them."""

    size: int = 0
    intact: int = 0
    first_zxid: int = 0
    last_zxid: int = 0
    first_offset: int = 0


def salvage(disk: Disk, path: str, target: str, max_entry: int) -> int:
    """Copy the sound beginning of the log *path* to the new file *target*; gives the exit status.

    Raises:
        ToolError: *target* exists, or nothing can be saved.
    """
    if disk.exists(target):
        raise ToolError(f"{target} exists and is not overwritten; name a new file")
    if disk.is_dir(path):
        raise ToolError(f"{path} is a directory; name the one log file to be saved")
    _check_target(disk, target)
    reader = LogReader(disk, path, max_entry)
    progress = Progress(path, disk.size(path))
    count, first, last, why = 0, 0, 0, ""
    try:
        for entry in watched(reader, progress):
            first = first or entry.zxid
            last = entry.zxid
            count += 1
    except CorruptLogError as error:
        why = f"offset {error.offset}: {error.why}"
        if error.remedy != REMEDY:  # nothing is damaged, but it cannot be read like this
            raise
    left = after(path, max(reader.end, 0), max_entry, progress)
    progress.end()
    if reader.end < len(HEADER):
        out(f"{path}: {why or reader.torn}")
        _tell(path, left, last, sound=False)
        out("There is nothing to be saved; no file was written.")
        return EXIT_FOUND
    _copy(path, target, reader.end)
    zxids = f", zxids {hex_id(first)} to {hex_id(last)}" if count else ""
    out(f"{target}: {count} transactions{zxids}, {size_text(reader.end)}")
    if why or reader.torn:
        out(f"{path}: {why or reader.torn}")
    _tell(path, left, last)
    return EXIT_OK


def _check_target(disk: Disk, target: str) -> None:
    """Recovery reads every file of a data directory whose name gives a zxid, a copy of a log as well."""
    directory, _, name = os.path.abspath(target).rpartition("/")
    if zxid_of(name, LOG) < 0 or not disk.is_dir(directory):
        return
    if (
        directory.endswith(f"/{VERSION_DIR}")
        or named(disk, directory, LOG)
        or named(disk, directory, SNAPSHOT)
    ):
        raise ToolError(
            f"{target}: in a data directory the copy would be taken for a log by its name; name a file "
            f"elsewhere, or one that begins otherwise, such as saved.{name}"
        )


def _tell(path: str, left: Left, last: int, *, sound: bool = True) -> None:
    if not left.size:
        out("Nothing is left out: the file is sound." if sound else "It holds no data at all.")
        return
    out(f"Left out: {left.size} bytes.")
    if left.intact:
        out(
            f"{left.intact} intact entries follow the damage, from offset {left.first_offset}, zxids "
            f"{hex_id(left.first_zxid)} to {hex_id(left.last_zxid)}; between {hex_id(last)} and "
            f"{hex_id(left.first_zxid)} transactions would be missing, so they cannot be replayed. See them "
            f"in another copy of {os.path.basename(path)}, or take the data of another member."
        )
    else:
        out("No intact entry follows the damage.")


def _copy(path: str, target: str, size: int) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(fd, "wb") as new, Path(path).open("rb") as old:
            while size > 0:
                piece = old.read(min(_CHUNK, size))
                if not piece:
                    raise ToolError(f"{path} became shorter while it was read")
                new.write(piece)
                size -= len(piece)
            new.flush()
            os.fsync(new.fileno())
    except BaseException:
        os.unlink(target)
        raise


def after(path: str, offset: int, max_entry: int, progress: Progress) -> Left:
    """What stands in the file from *offset* on, where no valid record begins."""
    left = Left()
    with Path(path).open("rb", buffering=0) as file:
        file.seek(offset)
        for begin, record, stop in _valid(file.read, offset, max_entry, left, progress):
            zxid = _ZXID.unpack_from(record, _ZXID_AT)[0]
            if not left.intact:
                left.first_zxid, left.first_offset = zxid, begin
            left.intact += 1
            left.last_zxid = zxid
            left.size = max(left.size, stop - offset)
    return left


def _valid(
    read: object, offset: int, max_entry: int, left: Left, progress: Progress
) -> Iterator[tuple[int, bytes, int]]:
    """Offset, bytes and end of each record that is found after what may be the end of another one.

    Looks for them in a window of one record and one chunk.
    """
    assert callable(read)
    window, base, at = b"", offset, 0
    ended = False
    while True:
        while not ended and len(window) - at < HEAD + max_entry + 1:
            piece = read(_CHUNK)
            ended = not piece
            if any(piece):
                left.size = max(left.size, base + len(window) + len(piece.rstrip(b"\0")) - offset)
            window = window[at:] + piece
            base, at = base + at, 0
            progress.at(base + len(window))
        if base + at > offset or at:
            record = _record(window, at, max_entry)
            if record is not None:
                stop = at + len(record)
                yield base + at, record, base + stop
                at = stop
                continue
        found = window.find(b"B", at)
        if found < 0:
            if ended:
                return
            at = len(window)
        else:
            at = found + 1
            if at >= len(window) and ended:
                return


def _record(window: bytes, at: int, max_entry: int) -> bytes | None:
    if len(window) - at < HEAD + LEAST_PAYLOAD + 1:
        return None
    crc, size = RECORD_HEAD.unpack_from(window, at)
    stop = at + HEAD + size
    if not LEAST_PAYLOAD <= size <= max_entry or stop >= len(window) or window[stop] != END_OF_RECORD:
        return None
    return window[at : stop + 1] if adler32(memoryview(window)[at + HEAD : stop]) == crc else None
