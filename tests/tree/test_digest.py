"""The tree digest."""

from __future__ import annotations

from zkpy.tree.acl import Acl
from zkpy.tree.digest import EMPTY_TREE, node_digest, signed
from zkpy.tree.znode import ZNode

OPEN = Acl(((31, "world", "anyone"),), -1)


def zero(data: bytes | None = b"") -> ZNode:
    return ZNode(data, OPEN, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_the_empty_tree_has_the_known_digest() -> None:
    assert node_digest(b"/", zero()) == 0x04128908
    assert node_digest(b"/zookeeper", zero()) == 0x4DB44D58
    assert EMPTY_TREE == 0x04128908 + 0x4DB44D58


def test_znodes_below_zookeeper_do_not_count() -> None:
    assert node_digest(b"/zookeeper/quota", zero()) == 0
    assert node_digest(b"/zookeeper2", zero()) != 0


def test_null_and_empty_data_do_not_differ_and_every_field_counts() -> None:
    assert node_digest(b"/a", zero(None)) == node_digest(b"/a", zero(b""))
    seen = {node_digest(b"/a", zero()), node_digest(b"/b", zero()), node_digest(b"/a", zero(b"x"))}
    for field in ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "pzxid"):
        node = zero()
        setattr(node, field, 1)
        seen.add(node_digest(b"/a", node))
    assert len(seen) == 12


def test_files_hold_it_as_a_signed_long() -> None:
    assert signed(5) == 5 and signed(1 << 63) == -(1 << 63) and signed((1 << 64) - 1) == -1
