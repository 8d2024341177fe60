"""ACL lists as shared values."""

from __future__ import annotations

from zkpy.jute.archive import acls
from zkpy.tree.acl import ALL, READ, WRITE, Acl, AclCache

MINE = ((ALL, "digest", "a:b"),)
OTHER = ((READ, "world", "anyone"), (WRITE, "world", "anyone"), (ALL, "world", "nobody"))


def test_what_anyone_may_do_is_known_beforehand() -> None:
    assert Acl(OTHER, 1).world == READ | WRITE
    assert Acl(MINE, 1).world == 0
    assert Acl((), 1).world == -1  # no restriction
    assert Acl(OTHER, 1).encoded == acls(OTHER)
    assert "digest" in repr(Acl(MINE, 1))


def test_equal_lists_are_one_object_while_a_znode_has_them() -> None:
    cache = AclCache()
    mine = cache.intern(MINE)
    cache.retain(mine)
    cache.retain(mine)
    assert cache.intern(MINE) is mine and cache.peek(MINE) is mine and len(cache) == 1
    cache.release(mine)
    assert cache.by_number(mine.number) is mine
    cache.release(mine)
    assert cache.by_number(mine.number) is None and len(cache) == 0
    assert cache.intern(MINE) is not mine


def test_looking_at_a_list_does_not_enter_it() -> None:
    cache = AclCache()
    assert cache.peek(MINE).number == 0 and len(cache) == 0


def test_the_open_list_of_built_in_znodes_is_minus_1_and_never_stored() -> None:
    cache = AclCache()
    assert cache.by_number(-1) is cache.open
    cache.retain(cache.open)
    cache.release(cache.open)
    assert cache.by_number(-1) is cache.open and cache.table() == []


def test_a_snapshots_table_is_taken_over_under_its_numbers() -> None:
    cache = AclCache()
    cache.restore(7, MINE)
    cache.restore(3, OTHER)
    cache.restore(9, MINE)  # written twice
    assert [acl.number for acl in cache.table()] == [3, 7, 9]
    used = cache.by_number(3)
    assert used is not None
    cache.retain(used)
    cache.drop_unused()
    assert [acl.number for acl in cache.table()] == [3]
    assert cache.intern(((READ, "ip", "::1"),)).number == 10
