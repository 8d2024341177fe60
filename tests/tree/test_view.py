"""A tree of one moment, read while it changes."""

from __future__ import annotations

import pytest

from zkpy import opcodes
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Create, Delete, SetAcl, SetData, TxnHeader
from zkpy.tree.view import encode_node

OPEN = ((31, "world", "anyone"),)


def changed(tree: DataTree) -> None:
    """Every kind of change, to znodes old and new."""
    zxid = tree.last_zxid
    for n, txn in enumerate(
        (
            SetData(opcodes.SET_DATA, b"/a", b"changed", 1),
            SetData(opcodes.SET_DATA, b"/a", b"again", 2),
            SetAcl(b"/b", ((1, "world", "anyone"),), 1),
            Delete(opcodes.DELETE, b"/c"),
            Create(opcodes.CREATE, b"/c", b"new", OPEN, 0, 9),
            Create(opcodes.CREATE, b"/d", b"new", OPEN, 0, 10),
            SetData(opcodes.SET_DATA, b"/d", b"newer", 1),
        ),
        1,
    ):
        tree.apply(TxnHeader(1, n, zxid + n, 5), txn)


def furnished() -> DataTree:
    tree = DataTree()
    for n, path in enumerate((b"/a", b"/b", b"/c", b"/a/x"), 1):
        tree.apply(TxnHeader(1, n, n, 1), Create(opcodes.CREATE, path, None, OPEN, 0, -1))
    return tree


@pytest.mark.parametrize("before", [0, 1, 3, 5, 8])
def test_it_shows_the_tree_of_its_moment(before: int) -> None:
    tree = furnished()
    expected = b"".join(encode_node(path, node) for path, node in tree.nodes.items())
    view = tree.view()
    assert len(view) == 8 and view.zxid == 4 and view.digest == tree.digest
    got = view.records(before) if before else b""
    changed(tree)
    while part := view.records(2):
        got += part
    assert got == expected and view.done
    changed(tree)  # the tree has forgotten it
    again = tree.view()
    again.close()
    assert again.records(5) == b""


def test_views_of_several_moments_may_be_open_together() -> None:
    tree = furnished()
    first = tree.view()
    tree.apply(TxnHeader(1, 1, tree.last_zxid + 1, 5), SetData(opcodes.SET_DATA, b"/a", b"changed", 1))
    second = tree.view()
    tree.apply(TxnHeader(1, 2, tree.last_zxid + 1, 6), SetData(opcodes.SET_DATA, b"/a", b"again", 2))
    before, between = first.records(1 << 20), second.records(1 << 20)
    assert b"changed" not in before and b"again" not in before
    assert b"changed" in between and b"again" not in between


def test_parents_come_before_their_children_and_the_root_has_no_name() -> None:
    view = furnished().view()
    first = view.records(1)
    assert first[:4] == bytes(4)
