"""Why a log file stops making sense at some place: a crash before the sync, or damage.

A crash leaves what was synced untouched. Of the bytes written after the last completed sync any 512-byte
sectors may be missing (they read as the zeros that were there before), and the last write may be cut
anywhere. So a record that is incomplete, with nothing but zeros or rubbish behind it, was never acknowledged;
a record that is there in full but wrong, or wrong records before good ones, cannot come from a crash. The
writer syncs before more than `UNSYNCED_LIMIT` bytes gather, which bounds what a crash can explain.
"""

from __future__ import annotations

from struct import Struct
from typing import Final
from zlib import adler32

UNSYNCED_LIMIT: Final = 4 << 20
"""Bytes that the writer lets gather at most between two syncs."""

RECORD_HEAD: Final = Struct(">qi")
"""Checksum of the payload (Adler-32) and length of the payload."""

END_OF_RECORD: Final = 0x42
"""The byte behind each payload."""

HEAD: Final = RECORD_HEAD.size
LEAST_PAYLOAD: Final = 32
"""A transaction header."""

_SECTOR: Final = 512
_TELLING: Final = 8
"""The checksum: shorter runs of zeros at the start of a record say nothing, its upper half always is zero."""


def damage(region: bytes, offset: int, max_entry: int) -> str | None:
    """What is wrong at *offset* of a log if a crash does not explain it, else None.

    *region* is what the file holds from there, where a record should begin but no valid one does, up to the
    last byte that is not zero.
    """
    if len(region) > UNSYNCED_LIMIT + max_entry + HEAD + 1:
        return f"no valid record, but {len(region)} more bytes follow, more than one unsynced batch"
    whole = _complete_but_wrong(region, max_entry)
    if whole is not None:
        why, stop = whole
        return None if _sector_missing(region, offset, stop) else why
    later = _next_valid(region, max_entry)
    if later is not None and not _sector_missing(region, offset, later):
        return f"no valid record, but there is one at offset {offset + later}"
    return None


def _complete_but_wrong(region: bytes, max_entry: int) -> tuple[str, int] | None:
    """What is wrong with a record that was written to its end, and where it ends; None if it was not."""
    if len(region) < HEAD:
        return None
    crc, size = RECORD_HEAD.unpack_from(region)
    running = 1
    at = HEAD
    stop = region.find(b"B", HEAD + LEAST_PAYLOAD)
    while 0 <= stop <= HEAD + max_entry:
        running = adler32(region[at:stop], running)
        if running == crc and stop != HEAD + size:
            return f"record length {size} is damaged", stop + 1
        at = stop
        stop = region.find(b"B", stop + 1)
    stop = HEAD + size
    if 0 < size <= max_entry and stop < len(region):
        if region[stop] == END_OF_RECORD:
            return "checksum does not match", stop + 1
        if adler32(region[HEAD:stop]) == crc:
            return "end-of-record byte is damaged", stop + 1
    return None


def _next_valid(region: bytes, max_entry: int) -> int | None:
    """Where in *region* the first valid record after another record's end begins."""
    at = region.find(b"B", 1) + 1
    while 0 < at <= len(region) - HEAD - LEAST_PAYLOAD - 1:
        crc, size = RECORD_HEAD.unpack_from(region, at)
        stop = at + HEAD + size
        if (
            LEAST_PAYLOAD <= size <= max_entry
            and stop < len(region)
            and region[stop] == END_OF_RECORD
            and adler32(region[at + HEAD : stop]) == crc
        ):
            return at
        at = region.find(b"B", at) + 1
    return None


def _sector_missing(region: bytes, offset: int, stop: int) -> bool:
    """Whether one of the sectors that *region* touches before *stop* reads as zeros."""
    at = 0
    while at < stop:
        end = _SECTOR - (offset + at) % _SECTOR + at
        if end - at >= _TELLING and not any(region[at:end]):
            return True
        at = end
    return False
