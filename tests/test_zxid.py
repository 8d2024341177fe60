"""Arithmetic of zxids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkpy import zxid


@given(st.integers(0, 0x7FFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_a_zxid_is_epoch_and_counter(epoch: int, counter: int) -> None:
    made = zxid.make(epoch, counter)
    assert (zxid.epoch_of(made), zxid.counter_of(made)) == (epoch, counter)


def test_a_log_holds_consecutive_zxids_or_a_later_epoch() -> None:
    assert zxid.follows(5, 6)
    assert not zxid.follows(5, 5) and not zxid.follows(5, 7) and not zxid.follows(5, 4)
    assert zxid.follows(5, zxid.make(1, 1)) and zxid.follows(zxid.make(1, 9), zxid.make(3, 4))
    assert not zxid.follows(zxid.make(2, 0), zxid.make(1, 1))


def test_without_a_hole_a_later_epoch_begins_with_its_first() -> None:
    assert zxid.continues(5, 6) and zxid.continues(5, zxid.make(3, 1))
    assert not zxid.continues(5, 5) and not zxid.continues(5, 7) and not zxid.continues(5, zxid.make(3, 2))
    assert not zxid.continues(5, zxid.make(3, 0)) and not zxid.continues(zxid.make(2, 0), zxid.make(1, 1))
