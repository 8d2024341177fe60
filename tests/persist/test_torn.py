"""Telling a crash from damage, case by case."""

from __future__ import annotations

import pytest

from tests.persist.records import all_kinds, history, log_bytes
from zkpy.persist.logreader import HEADER, MAX_ENTRY
from zkpy.persist.torn import damage

START = len(HEADER)


def records() -> bytes:
    return log_bytes(history(all_kinds())[0])[START:]


@pytest.mark.parametrize("cut", [1, 5, 8, 11, 12, 13, 40, 60])
def test_the_beginning_of_a_record_is_a_crash(cut: int) -> None:
    assert damage(records()[:cut].rstrip(b"\0"), START, MAX_ENTRY) is None


def test_damaged_payload_length_and_end_are_told_apart() -> None:
    good = records()
    for at, expected in ((30, "checksum"), (11, "length"), (9, "length"), (12 + good[11], "end-of-record")):
        broken = bytearray(good)
        broken[at] ^= 0x80
        assert expected in str(damage(bytes(broken), START, MAX_ENTRY))


def test_good_records_behind_rubbish_are_no_crash() -> None:
    good = records()
    broken = bytes([7]) * 90 + good[90:]
    assert "there is one at offset" in str(damage(broken, START, MAX_ENTRY))


def test_good_records_behind_a_missing_sector_are_a_crash() -> None:
    good = records()
    assert len(good) > 600
    assert damage(bytes(512 - START) + good[512 - START :], START, MAX_ENTRY) is None
