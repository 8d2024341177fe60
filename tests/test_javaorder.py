"""Orders that a Java server shows: those of its hash tables."""

from __future__ import annotations

from zkpy.javaorder import LONGEST, copied_paths, grown, in_table, string_hash


def test_strings_hash_as_in_java() -> None:
    assert string_hash("") == 0
    assert string_hash("hello") == 99162322
    assert string_hash("\u00e9\U0001f600") == (31 * (31 * 0xE9 + 0xD83D) + 0xDE00) & 0xFFFFFFFF


def test_tables_double_when_three_quarters_are_full() -> None:
    assert [grown(16, count) for count in (0, 12, 13, 24, 25)] == [16, 16, 32, 32, 64]


def test_members_of_one_place_are_in_order_of_arrival() -> None:
    assert in_table(["x", "y", "z"], 1, string_hash) == ["x", "y", "z"]


def test_ephemerals_as_3_9_5_listed_them_at_the_end_of_their_session() -> None:
    assert copied_paths([b"/b", b"/a"], 2) == [b"/a", b"/b"]
    for most in (2, 13, 25):
        assert copied_paths([b"/t/s-0000000009", b"/t/k/s-"], most) == [b"/t/k/s-", b"/t/s-0000000009"]


def test_a_set_that_was_larger_lists_its_members_otherwise() -> None:
    paths = [b"/e%d" % number for number in range(12)]
    orders = {tuple(copied_paths(paths, most)) for most in (12, 13, 25, 100)}
    assert len(orders) > 1


def test_very_many_are_left_as_they_came() -> None:
    paths = [b"/%d" % number for number in range(LONGEST + 1)]
    assert copied_paths(paths, len(paths)) == paths
