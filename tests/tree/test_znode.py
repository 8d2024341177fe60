"""What a znode's stored owner means."""

from __future__ import annotations

import pytest

from zkpy.tree.acl import Acl
from zkpy.tree.znode import CONTAINER_OWNER, STORED_STAT, TTL_MAX, OwnerRules, StoredNode, ZNode, ttl_owner

NEGATIVE_SESSION = -0x70FFFFFFFFFFFFFF


@pytest.mark.parametrize("owner", [0, CONTAINER_OWNER])
def test_no_session_owns_plain_znodes_and_containers(owner: int) -> None:
    for rules in (OwnerRules(), OwnerRules(True), OwnerRules(True, True)):
        assert rules.session(owner) == 0 and rules.ttl_ms(owner) == 0


@pytest.mark.parametrize("ttl", [1, 1000, TTL_MAX])
def test_ttl_owners_are_sessions_unless_extended_types_are_on(ttl: int) -> None:
    owner = ttl_owner(ttl)
    assert OwnerRules(True).ttl_ms(owner) == ttl and OwnerRules(True).session(owner) == 0
    assert OwnerRules().ttl_ms(owner) == 0 and OwnerRules().session(owner) == owner


def test_other_negative_owners_are_sessions_or_ttls_of_3_5_3() -> None:
    assert OwnerRules(True).session(NEGATIVE_SESSION) == NEGATIVE_SESSION
    assert OwnerRules(True, True).session(NEGATIVE_SESSION) == 0
    assert OwnerRules(True, True).ttl_ms(-0x8000000000000000 + 5000) == 5000
    assert OwnerRules().session(42) == 42


def test_a_copy_has_the_values_and_nothing_else() -> None:
    node = ZNode(b"d", Acl((), 1), 1, 2, 3, 4, 5, 6, 7, 8, 9)
    node.children = {b"x": None}
    node.stat = b"kept"
    copy = node.copy()
    names = (
        "data",
        "acl",
        "czxid",
        "mzxid",
        "ctime",
        "mtime",
        "version",
        "cversion",
        "aversion",
        "owner",
        "pzxid",
    )
    assert all(getattr(copy, name) == getattr(node, name) for name in names)
    assert copy.children is None and copy.stat is None and copy.digest is None


def stored(*numbers: int) -> StoredNode:
    """A znode as a snapshot's loader makes it."""
    node = StoredNode.__new__(StoredNode)
    node.data, node.acl, node.children = b"d", Acl((), 1), None
    node.stat = node.digest = node.listing = None
    node.packed = STORED_STAT.pack(*numbers)
    return node


@pytest.mark.parametrize(
    "name", ["czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "pzxid"]
)
def test_a_loaded_znode_unpacks_its_numbers_when_one_is_asked_for_or_set(name: str) -> None:
    names = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "pzxid")
    values = dict(zip(names, range(1, 10), strict=True))
    node = stored(*values.values())
    assert getattr(node, name) == values[name]
    assert type(node) is ZNode and {n: getattr(node, n) for n in names} == values
    node = stored(*values.values())
    setattr(node, name, 77)
    assert type(node) is ZNode and {n: getattr(node, n) for n in names} == {**values, name: 77}


def test_a_loaded_znode_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        stored(*range(9)).nothing  # type: ignore[attr-defined]  # noqa: B018
