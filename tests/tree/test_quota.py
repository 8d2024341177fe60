"""What ZooKeeper guarantees about quotas: their text, their places, and which one a path belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.tree.quota import (
    MalformedQuotaError,
    QuotaTrie,
    StatsTrack,
    exceeds_hard_limit,
    limits_path,
    stats_path,
    subtree_of_limits,
    subtree_of_stats,
)

LONGS = st.integers(-(2**63), 2**63 - 1)


# Text. The expectations of this part were read off a 3.9.5 server.


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (b"", b"count=-1,bytes=-1"),
        (None, b"count=-1,bytes=-1"),
        (b"count=5", b"count=5,bytes=-1"),
        (b"bytes=2;count=1", b"count=1,bytes=2"),
        (b"count=1,,;bytes=2", b"count=1,bytes=2"),
        (b"count=1,", b"count=1,bytes=-1"),
        (b",", b"count=-1,bytes=-1"),
        (b"count=+5,bytes=-7", b"count=5,bytes=-7"),
        (b"count=1,count=2", b"count=2,bytes=-1"),
        (b"count=1=2", b"count=1,bytes=-1"),
        (b"count==1", b"count=-1,bytes=-1"),
        (b"count=1==", b"count=1,bytes=-1"),
        (b"=5", b"count=-1,bytes=-1=;=5"),
        (b"x=1,a=2,count=3", b"count=3,bytes=-1=;a=2;x=1"),
        (b"countHardLimit=-1", b"count=-1,bytes=-1=;countHardLimit=-1"),
        (b" count=1", b"count=-1,bytes=-1=; count=1"),
        ("count=\N{ARABIC-INDIC DIGIT ONE}".encode(), b"count=1,bytes=-1"),
        ("é=1".encode(), "count=-1,bytes=-1=;é=1".encode()),
        (b"\xff=1", "count=-1,bytes=-1=;\N{REPLACEMENT CHARACTER}=1".encode()),
        (b"count=9223372036854775807", b"count=9223372036854775807,bytes=-1"),
    ],
)
def test_text_is_read_and_printed_as_zookeeper_does(text: bytes | None, printed: bytes) -> None:
    assert StatsTrack.parse(text).to_bytes() == printed


def test_the_doubled_equals_sign_of_printed_limits_is_read_again() -> None:
    text = b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=4"
    limits = StatsTrack.parse(text)
    assert (limits.count, limits.bytes) == (-1, -1)
    assert (limits.count_hard_limit, limits.byte_hard_limit) == (4, 20)
    assert limits.to_bytes() == text


MALFORMED = [
    b"bad",
    b"count",
    b"count=",
    b"=",
    b"count=x",
    b"count= 1",
    b"count=1\n",
    b"count=0x1",
    b"count=1_0",
    b"count=--1",
    b"count=9223372036854775808",
    b",count=1",
    b"count=5,bytes=",
    b"bytes=1;foo=bar",
    b"count=" + b"9" * 1_000_000,
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:20]))
def test_malformed_text_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedQuotaError):
        StatsTrack.parse(text)


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:20]))
def test_bookkeeping_over_unreadable_stats_counts_from_zero(text: bytes) -> None:
    usage = StatsTrack.parse_usage(text)
    usage.add(1, 3)
    assert usage.to_bytes() == b"count=1,bytes=3"


@given(st.binary())
def test_any_bytes_are_either_read_or_malformed(data: bytes) -> None:
    StatsTrack.parse_usage(data)


@given(
    LONGS, LONGS, st.dictionaries(st.sampled_from([b"byteHardLimit", b"countHardLimit", b"z", b"a"]), LONGS)
)
def test_what_is_printed_is_read_back(count: int, nbytes: int, other: dict[bytes, int]) -> None:
    track = StatsTrack(count, nbytes)
    track.other = other
    again = StatsTrack.parse(track.to_bytes())
    assert (again.count, again.bytes, again.other or {}) == (count, nbytes, other)


def test_the_server_counts_on_from_what_a_client_wrote() -> None:
    usage = StatsTrack.parse_usage(b"count=5,zeta=3,alpha=4")
    usage.add(1, 3)
    assert usage.to_bytes() == b"count=6,bytes=2=;alpha=4;zeta=3"


def test_missing_usage_counts_from_minus_one() -> None:
    usage = StatsTrack.parse_usage(b"")
    usage.add(1, 3)
    assert usage.to_bytes() == b"count=0,bytes=2"
    usage.add(-1, -3)
    assert usage.to_bytes() == b"count=-1,bytes=-1"


def test_usage_wraps_at_64_bits() -> None:
    usage = StatsTrack.parse_usage(b"count=9223372036854775807,bytes=9223372036854775807")
    usage.add(1, 3)
    assert usage.to_bytes() == b"count=-9223372036854775808,bytes=-9223372036854775806"
    usage.add(-1, -3)
    assert usage.to_bytes() == b"count=9223372036854775807,bytes=9223372036854775807"


# Enforcement


@pytest.mark.parametrize(
    ("limits", "usage", "count_diff", "bytes_diff", "exceeded"),
    [
        (b"count=1,bytes=1", b"count=9,bytes=9", 1, 1, False),
        (b"countHardLimit=3", b"count=2,bytes=0", 1, 9, False),
        (b"countHardLimit=3", b"count=3,bytes=0", 1, 0, True),
        (b"countHardLimit=0", b"count=0,bytes=0", 1, 0, True),
        (b"countHardLimit=-1", b"count=9,bytes=0", 1, 0, False),
        (b"byteHardLimit=10", b"count=1,bytes=7", 1, 3, False),
        (b"byteHardLimit=10", b"count=1,bytes=7", 0, 4, True),
        (b"byteHardLimit=10", b"count=1,bytes=20", 0, -5, True),
        (b"byteHardLimit=10", b"count=1,bytes=20", 0, -10, False),
        (b"byteHardLimit=10", b"count=1,bytes=20", 1, 0, False),
    ],
)
def test_only_hard_limits_are_enforced(
    limits: bytes, usage: bytes, count_diff: int, bytes_diff: int, exceeded: bool
) -> None:
    args = StatsTrack.parse(limits), StatsTrack.parse(usage), count_diff, bytes_diff
    assert exceeds_hard_limit(*args) is exceeded


# Places


def test_limits_and_stats_of_a_subtree_have_their_place() -> None:
    assert limits_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_limits"
    assert stats_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_stats"
    assert limits_path(b"/") == b"/zookeeper/quota/zookeeper_limits"
    assert stats_path(b"/") == b"/zookeeper/quota/zookeeper_stats"


@given(st.lists(st.sampled_from([b"a", b"zookeeper", b"quota", b"zookeeper_limits"]), min_size=1, max_size=4))
def test_the_subtree_is_found_from_its_quota_nodes(parts: list[bytes]) -> None:
    subtree = b"/" + b"/".join(parts)
    assert subtree_of_limits(limits_path(subtree)) == subtree
    assert subtree_of_stats(stats_path(subtree)) == subtree
    assert subtree_of_limits(stats_path(subtree)) is None
    assert subtree_of_stats(limits_path(subtree)) is None


def test_the_limits_node_of_the_root_is_a_plain_node() -> None:
    assert subtree_of_limits(b"/zookeeper/quota/zookeeper_limits") is None


def test_the_stats_node_of_the_root_stands_for_the_whole_tree() -> None:
    assert subtree_of_stats(b"/zookeeper/quota/zookeeper_stats") == b"/"


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/zookeeper/quota",
        b"/zookeeper/quota/a",
        b"/zookeeper_limits",
        b"/a/zookeeper_limits",
        b"/zookeeper/quotas/a/zookeeper_limits",
        b"/zookeeper/quotazookeeper_limits",
        b"/zookeeper/quota/azookeeper_limits",
        b"/zookeeper/quota/a/zookeeper_limits/b",
    ],
)
def test_other_nodes_register_nothing(path: bytes) -> None:
    assert subtree_of_limits(path) is None
    assert subtree_of_stats(path.replace(b"limits", b"stats")) is None


# The deepest quota of a path


def test_only_the_deepest_quota_sees_a_change() -> None:
    trie = QuotaTrie()
    trie.register(b"/a")
    trie.register(b"/a/b/c")
    assert trie.deepest(b"/a") == b"/a"
    assert trie.deepest(b"/a/b") == b"/a"
    assert trie.deepest(b"/a/b/c") == b"/a/b/c"
    assert trie.deepest(b"/a/b/c/d/e") == b"/a/b/c"


def test_a_quota_covers_whole_path_components() -> None:
    trie = QuotaTrie()
    trie.register(b"/a/b")
    for path in (b"/", b"/a", b"/a/bc", b"/ab", b"/b", b"/a/c/b", b""):
        assert trie.deepest(path) is None


def test_an_unregistered_quota_gives_way_to_the_next_one_above() -> None:
    trie = QuotaTrie()
    trie.register(b"/a")
    trie.register(b"/a/b/c")
    trie.register(b"/a/b/c")
    trie.unregister(b"/a/b")
    trie.unregister(b"/a/x")
    assert trie.prefixes() == [b"/a", b"/a/b/c"]
    trie.unregister(b"/a/b/c")
    assert trie.deepest(b"/a/b/c/d") == b"/a"
    trie.unregister(b"/a")
    assert len(trie) == 0
    assert trie.deepest(b"/a/b/c/d") is None


def test_unregistering_an_outer_quota_keeps_the_inner_one() -> None:
    trie = QuotaTrie()
    trie.register(b"/a")
    trie.register(b"/a/b")
    trie.unregister(b"/a")
    assert trie.deepest(b"/a/c") is None
    assert trie.deepest(b"/a/b/c") == b"/a/b"


def test_clearing_forgets_all() -> None:
    trie = QuotaTrie()
    trie.register(b"/a")
    trie.clear()
    assert (len(trie), trie.deepest(b"/a"), trie.prefixes()) == (0, None, [])


def test_a_very_deep_path_is_looked_up_in_the_depth_of_the_quota() -> None:
    trie = QuotaTrie()
    trie.register(b"/a/a")
    assert trie.deepest(b"/a" * 500_000) == b"/a/a"
    deep = b"/x" * 50_000
    trie.register(deep)
    assert trie.deepest(deep + b"/y") == deep
    trie.unregister(deep)
    assert trie.prefixes() == [b"/a/a"]


SUBTREES = st.lists(st.sampled_from([b"a", b"b", b"ab"]), min_size=1, max_size=4).map(
    lambda parts: b"/" + b"/".join(parts)
)


@given(st.lists(st.tuples(st.booleans(), SUBTREES), max_size=30), SUBTREES)
def test_the_trie_agrees_with_a_search_through_all_quotas(
    steps: list[tuple[bool, bytes]], path: bytes
) -> None:
    trie = QuotaTrie()
    model: set[bytes] = set()
    for register, subtree in steps:
        if register:
            trie.register(subtree)
            model.add(subtree)
        else:
            trie.unregister(subtree)
            model.discard(subtree)
    assert trie.prefixes() == sorted(model)
    assert len(trie) == len(model)
    covering = [subtree for subtree in model if (path + b"/").startswith(subtree + b"/")]
    assert trie.deepest(path) == max(covering, key=len, default=None)
