"""Pending changes over the committed tree."""

from __future__ import annotations

import pytest

from zkpy import opcodes
from zkpy.pipeline.outstanding import RECOMPUTE_EVERY, Outstanding
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Create, TxnHeader
from zkpy.tree.znode import ZNode

OPEN = ((31, "world", "anyone"),)


def furnished(digests: bool = True) -> tuple[DataTree, Outstanding]:
    tree = DataTree(digest_enabled=digests)
    for n, (path, owner) in enumerate(((b"/a", 0), (b"/a/e", None)), 1):
        tree.apply(TxnHeader(77, n, n, n), Create(opcodes.CREATE, path, b"", OPEN, owner, -1))
    return tree, Outstanding(tree)


def node(tree: DataTree, owner: int = 0) -> ZNode:
    return ZNode(b"new", tree.acls.peek(OPEN), 3, 3, 3, 3, 0, 0, 0, owner, 3)


def test_without_changes_it_shows_the_tree() -> None:
    tree, outstanding = furnished()
    assert outstanding.find(b"/a") == (tree.nodes[b"/a"], 1)
    assert outstanding.find(b"/none") is None and outstanding.digest == tree.digest


def test_the_newest_change_is_seen_until_it_is_applied() -> None:
    tree, outstanding = furnished()
    changed = node(tree)
    outstanding.put(3, b"/a", changed, 1)
    outstanding.put(4, b"/a/e", None, 0)
    assert outstanding.find(b"/a") == (changed, 1) and outstanding.find(b"/a/e") is None
    outstanding.applied(3)
    assert outstanding.find(b"/a") == (tree.nodes[b"/a"], 1) and outstanding.find(b"/a/e") is None
    outstanding.put(5, b"/a/e", changed, 0)
    outstanding.applied(4)
    assert outstanding.find(b"/a/e") == (changed, 0)
    outstanding.applied(5)
    assert len(outstanding) == 0


def test_undoing_restores_records_and_digest() -> None:
    tree, outstanding = furnished()
    first = node(tree)
    outstanding.put(3, b"/a", first, 1)
    digest = outstanding.digest
    undo = [
        (b"/a", outstanding.put(4, b"/a", None, 0)),
        (b"/x", outstanding.put(4, b"/x", node(tree), 0)),
        (b"/x", outstanding.put(4, b"/x", None, 0)),
    ]
    assert outstanding.digest != digest
    outstanding.restore(undo, digest)
    assert outstanding.find(b"/a") == (first, 1) and outstanding.find(b"/x") is None
    assert outstanding.digest == digest and len(outstanding) == 1


def test_the_ephemerals_of_a_session_include_pending_ones() -> None:
    tree, outstanding = furnished()
    assert outstanding.ephemerals_of(77) == [b"/a/e"]
    outstanding.put(3, b"/a/f", node(tree, 77), 0)
    outstanding.put(3, b"/a/g", node(tree, 78), 0)
    outstanding.put(4, b"/a/e", None, 0)
    assert outstanding.ephemerals_of(77) == [b"/a/f"]
    outstanding.put(5, b"/a/e", node(tree), 0)
    assert outstanding.ephemerals_of(77) == [b"/a/f"] and outstanding.ephemerals_of(78) == [b"/a/g"]


def test_without_digests_none_is_predicted() -> None:
    tree, outstanding = furnished(digests=False)
    before = outstanding.digest
    outstanding.put(3, b"/a", node(tree), 0)
    assert outstanding.digest == before


def test_a_kept_digest_that_is_wrong_is_noticed_before_it_can_spread() -> None:
    tree = DataTree()
    outstanding = Outstanding(tree)
    tree.root.digest = 12345
    with pytest.raises(AssertionError, match="kept digest"):
        outstanding.put(RECOMPUTE_EVERY, b"/", tree.root.copy(), 0)
