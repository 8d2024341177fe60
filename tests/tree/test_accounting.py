"""Usage of quota subtrees, kept while transactions are applied."""

from __future__ import annotations

from zkpy import opcodes
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Create, Delete, SetData, Txn, TxnHeader

OPEN = ((31, "world", "anyone"),)
STATS = b"/zookeeper/quota/a/zookeeper_stats"
LIMITS = b"/zookeeper/quota/a/zookeeper_limits"


def apply(tree: DataTree, *txns: Txn) -> None:
    for txn in txns:
        tree.apply(TxnHeader(1, 1, tree.last_zxid + 1, 1), txn)
        tree.check_invariants()


def create(path: bytes, data: bytes | None = b"") -> Create:
    return Create(opcodes.CREATE, path, data, OPEN, 0, -1)


def with_quota() -> DataTree:
    tree = DataTree()
    apply(tree, create(b"/a", b"12"), create(b"/a/b", b"345"))
    apply(tree, create(b"/zookeeper/quota/a"), create(LIMITS, b"count=5"), create(STATS, b"anything"))
    return tree


def test_a_new_stats_znode_is_filled_with_the_usage() -> None:
    assert with_quota().nodes[STATS].data == b"count=2,bytes=5"


def test_changes_below_adjust_it_without_a_trace() -> None:
    tree = with_quota()
    before = tree.nodes[STATS].copy()
    apply(
        tree,
        create(b"/a/c", b"x"),
        SetData(opcodes.SET_DATA, b"/a", None, 1),
        Delete(opcodes.DELETE, b"/a/b"),
    )
    stats = tree.nodes[STATS]
    assert stats.data == b"count=2,bytes=1"
    assert (stats.version, stats.mzxid, stats.mtime) == (before.version, before.mzxid, before.mtime)
    apply(tree, create(b"/other", b"xyz"))
    assert stats.data == b"count=2,bytes=1"


def test_deleting_the_limits_ends_it_and_a_missing_stats_znode_is_no_error() -> None:
    tree = with_quota()
    apply(tree, Delete(opcodes.DELETE, STATS), create(b"/a/x"), Delete(opcodes.DELETE, LIMITS))
    assert not tree.quotas.active
    apply(tree, create(STATS), create(b"/a/y"))
    assert tree.nodes[STATS].data == b"count=3,bytes=5"


def test_unreadable_usage_counts_from_zero() -> None:
    tree = with_quota()
    apply(tree, SetData(opcodes.SET_DATA, STATS, b"garbage", 1), create(b"/a/c", b"x"))
    assert tree.nodes[STATS].data == b"count=1,bytes=1"


def test_everything_is_recounted_after_loading() -> None:
    tree = with_quota()
    tree.nodes[STATS].data = b"count=99,bytes=99"
    tree.unsized += 2
    tree.quotas.rebuild()
    assert tree.nodes[STATS].data == b"count=2,bytes=5" and tree.quotas.active
    apply(tree, Delete(opcodes.DELETE, LIMITS))
    tree.quotas.rebuild()
    assert not tree.quotas.active


def test_a_quota_on_the_root_counts_nothing() -> None:
    tree = DataTree()
    apply(tree, create(b"/zookeeper/quota/zookeeper_limits", b"count=1"))
    assert not tree.quotas.active
    apply(tree, create(b"/zookeeper/quota/zookeeper_stats"), create(b"/a"))
    assert tree.nodes[b"/zookeeper/quota/zookeeper_stats"].data == b"count=6,bytes=7"
