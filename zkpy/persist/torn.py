"""Why a log file stops making sense at some place: a crash before the sync, or damage.

A crash leaves what was synced untouched. Of the bytes written after the last completed sync any 512-byte
sectors may be missing (they read as the zeros that were there before), and the last write may be cut
anywhere. So a record that is incomplete, with nothing but zeros or rubbish behind it, was never acknowledged;
a record that is there in full but wrong, or wrong records before good ones, cannot come from a crash. The
writer syncs before more than `UNSYNCED_LIMIT` bytes gather, which bounds what a crash can explain.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple
from zlib import adler32

UNSYNCED_LIMIT: Final = 4 << 20
"""Bytes that the writer lets gather at most between two syncs."""

RECORD_HEAD: Final = Struct(">qi")
"""Checksum of the payload (Adler-32) and length of the payload."""

ZXID: Final = Struct(">q")
ZXID_AT: Final = 12
"""Where a payload has its zxid."""

END_OF_RECORD: Final = 0x42
"""The byte behind each payload."""

HEAD: Final = RECORD_HEAD.size
LEAST_PAYLOAD: Final = 32
"""A transaction header."""

_ADLER: Final = 65521
_MASK: Final = (1 << 64) - 1
_SECTOR: Final = 512
_BUDGET: Final = 1 << 28
"""Bytes to be summed up at most in search of a record: a crafted file could ask for their square."""

_TELLING: Final = 8
"""The checksum: shorter runs of zeros at the start of a record say nothing, its upper half always is zero."""


def damage(region: bytes, offset: int, max_entry: int, after: int = -1) -> str | None:
    """What is wrong at *offset* of a log if a crash does not explain it, else None.

    *region* is what the file holds from there, where a record should begin but no valid one does, up to the
    last byte that is not zero; *after* is the zxid of the record before. Later records of that or a lower
    zxid say nothing: some file systems show after a crash what their blocks held before.
    """
    if len(region) > UNSYNCED_LIMIT + max_entry + HEAD + 1:
        return f"no valid record, but {len(region)} more bytes follow, more than one unsynced batch"
    whole = _complete_but_wrong(region, max_entry)
    if whole is not None:
        return None if _lost(region, offset, whole, max_entry, after) else whole.why
    later = _next_valid(region, max_entry, after)
    if later is None or _sector_missing(region, offset, later.at):
        return None
    if not later.is_valid:
        return f"no valid record, but too much that looks like records up to offset {offset + later.at}"
    return f"no valid record, but there is one at offset {offset + later.at}"


class _Later(NamedTuple):
    """Where a record begins, or where looking for one was given up."""

    at: int
    is_valid: bool


class _Wrong(NamedTuple):
    """What is wrong with a record, where its payload ends, and which part of it disagrees."""

    why: str
    stop: int
    part: str


def _complete_but_wrong(region: bytes, max_entry: int) -> _Wrong | None:
    """What is wrong with a record that was written to its end; None if it was not."""
    if len(region) < HEAD:
        return None
    crc, size = RECORD_HEAD.unpack_from(region)
    running = 1
    at = HEAD
    stop = region.find(b"B", HEAD + LEAST_PAYLOAD)
    while 0 <= stop <= HEAD + max_entry:
        running = adler32(region[at:stop], running)
        if running == crc and stop != HEAD + size:
            return _Wrong(f"record length {size} is damaged", stop, "length")
        at = stop
        stop = region.find(b"B", stop + 1)
    stop = HEAD + size
    if 0 < size <= max_entry and stop < len(region):
        if region[stop] == END_OF_RECORD:
            return _Wrong("checksum does not match", stop, "payload")
        if adler32(region[HEAD:stop]) == crc:
            return _Wrong("end-of-record byte is damaged", stop, "end")
    return None


def _lost(region: bytes, offset: int, wrong: _Wrong, max_entry: int, after: int) -> bool:
    """Whether what is wrong with a record is that a part of it never got to the disk."""
    stop = wrong.stop
    if wrong.part == "length":  # all of the payload is there, and with it the sector of the length
        return False
    if wrong.part == "end":
        start = stop - (offset + stop) % _SECTOR
        turned = region[stop] ^ END_OF_RECORD
        several = turned & (turned - 1) != 0
        rubbish = several and _next_valid(b"\0B" + region[stop + 1 :], max_entry, after) is None
        return rubbish or not any(region[max(start, 0) : stop + 1])
    crc, size = RECORD_HEAD.unpack_from(region)
    if _one_bit(crc, adler32(region[HEAD:stop]), size):
        return False
    return _sector_missing(region, offset, stop + 1) or _checksum_cut(region, offset, stop)


def _one_bit(expected: int, found: int, size: int) -> bool:
    """Whether two checksums differ as they do when one bit of the checksum or of the payload was turned."""
    differs = (expected ^ found) & _MASK
    if differs & (differs - 1) == 0:
        return True
    low = ((found & 0xFFFF) - (expected & 0xFFFF)) % _ADLER
    high = ((found >> 16) - (expected >> 16)) % _ADLER
    # A byte of the payload adds its value to the low half, and that times its distance from the end
    # to the high half.
    for bit in range(8):
        for change in (1 << bit, -1 << bit):
            if (low - change) % _ADLER == 0:
                distance = high * pow(change, -1, _ADLER) % _ADLER
                return 0 < distance <= size or size > _ADLER
    return False


def _checksum_cut(region: bytes, offset: int, stop: int) -> bool:
    """Whether all but the first bytes of the checksum fit, and those are in another sector and zero."""
    cut = _SECTOR - offset % _SECTOR
    if not 4 < cut < _TELLING or any(region[:cut]):
        return False
    return region[cut:_TELLING] == adler32(region[HEAD:stop]).to_bytes(_TELLING, "big")[cut:]


def _next_valid(region: bytes, max_entry: int, after: int) -> _Later | None:
    """Where in *region* the first valid record of a zxid above *after* begins, behind another one's end."""
    view = memoryview(region)
    budget = _BUDGET
    at = region.find(b"B", 1) + 1
    while 0 < at <= len(region) - HEAD - LEAST_PAYLOAD - 1:
        crc, size = RECORD_HEAD.unpack_from(region, at)
        stop = at + HEAD + size
        if (
            LEAST_PAYLOAD <= size <= max_entry
            and stop < len(region)
            and region[stop] == END_OF_RECORD
            and 0 < crc < 1 << 32
            and ZXID.unpack_from(region, at + HEAD + ZXID_AT)[0] > after
        ):
            if budget < size:
                return _Later(at, False)
            budget -= size
            if adler32(view[at + HEAD : stop]) == crc:
                return _Later(at, True)
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
