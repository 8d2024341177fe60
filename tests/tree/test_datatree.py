"""The tree as a state machine: what each transaction does, also when it does not fit."""

from __future__ import annotations

from struct import unpack

import pytest

from zkpy import opcodes
from zkpy.errors import Code
from zkpy.tree.datatree import CREATED, DATA_CHANGED, DELETED, DataTree, Result
from zkpy.tree.txns import (
    Check,
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    Multi,
    SetAcl,
    SetData,
    Txn,
    TxnHeader,
)
from zkpy.tree.znode import CONTAINER_OWNER, OwnerRules, ttl_owner

OPEN = ((31, "world", "anyone"),)
SESSION = 0x100000001
STAT = (
    "czxid",
    "mzxid",
    "ctime",
    "mtime",
    "version",
    "cversion",
    "aversion",
    "owner",
    "length",
    "children",
    "pzxid",
)


class Log:
    """Applies transactions with consecutive zxids, one second apart."""

    def __init__(self, tree: DataTree | None = None) -> None:
        self.tree = tree or DataTree()

    def apply(self, txn: Txn, session: int = SESSION) -> Result:
        zxid = self.tree.last_zxid + 1
        result = self.tree.apply(TxnHeader(session, 1, zxid, zxid * 1000), txn)
        self.tree.check_invariants()
        return result

    def create(
        self, path: bytes, data: bytes | None = b"", owner: int | None = 0, cversion: int = -1
    ) -> Result:
        return self.apply(Create(opcodes.CREATE2, path, data, OPEN, owner, cversion))

    def stat(self, path: bytes) -> dict[str, int]:
        node = self.tree.get(path)
        assert node is not None
        return dict(zip(STAT, unpack(">qqqqiiiqiiq", self.tree.stat(node)), strict=True))


def test_a_fresh_tree_has_the_built_in_znodes() -> None:
    log = Log()
    assert set(log.tree.nodes) == {b"/", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config"}
    assert log.stat(b"/")["cversion"] == -1 and log.stat(b"/zookeeper")["cversion"] == -2
    assert log.stat(b"/zookeeper/config")["aversion"] == -1
    assert log.tree.digest == log.tree.recompute_digest() == 0x51C6D660
    assert log.tree.get(b"") is log.tree.root and log.tree.get(b"/x") is None


def test_create_sets_the_znode_and_counts_at_the_parent() -> None:
    log = Log()
    result = log.create(b"/a", b"data")
    assert (result.err, result.path) == (0, b"/a")
    assert list(log.stat(b"/a").values()) == [1, 1, 1000, 1000, 0, 0, 0, 0, 4, 0, 1]
    log.create(b"/a/b")
    log.create(b"/a/c", None)
    log.apply(Delete(opcodes.DELETE, b"/a/b"))
    stat = log.stat(b"/a")
    assert (stat["cversion"], stat["children"], stat["pzxid"], stat["mzxid"]) == (3, 1, 4, 1)
    assert log.stat(b"/a/c")["length"] == 0


def test_set_data_and_set_acl_change_their_own_fields_only() -> None:
    log = Log()
    log.create(b"/a", b"1")
    log.apply(SetData(opcodes.SET_DATA, b"/a", b"22", 1))
    log.apply(SetAcl(b"/a", ((1, "world", "anyone"),), 1))
    stat = log.stat(b"/a")
    assert (stat["mzxid"], stat["mtime"], stat["version"], stat["aversion"], stat["length"]) == (
        2,
        2000,
        1,
        1,
        2,
    )
    assert log.tree.nodes[b"/a"].acl.world == 1
    assert len(log.tree.acls) == 1  # the list that /zookeeper/config has too; the open one of /a went


def test_owners_are_indexed_by_kind_and_shown_for_ephemerals_only() -> None:
    log = Log(DataTree(OwnerRules(extended=True)))
    log.create(b"/e", owner=None)
    log.create(b"/k", owner=CONTAINER_OWNER)
    log.create(b"/t", owner=ttl_owner(500))
    tree = log.tree
    assert (list(tree.ephemerals[SESSION]), list(tree.containers), list(tree.ttls)) == (
        [b"/e"],
        [b"/k"],
        [b"/t"],
    )
    assert [log.stat(path)["owner"] for path in (b"/e", b"/k", b"/t")] == [SESSION, 0, 0]
    for path in (b"/e", b"/k", b"/t"):
        log.apply(Delete(opcodes.DELETE, path))
    # `dump` goes on listing a session that had ephemerals, as a Java server does.
    assert tree.ephemerals == {SESSION: {}} and not tree.containers and not tree.ttls


def test_sizes_count_characters_and_not_what_a_quota_rewrites() -> None:
    log = Log()
    before = log.tree.data_size
    log.create("/\u00e9\u20ac".encode(), data=b"12")
    assert log.tree.data_size == before + 3 + 2
    log.apply(Delete(opcodes.DELETE, "/\u00e9\u20ac".encode()))
    log.create(b"/zookeeper/quota/t")
    log.create(b"/zookeeper/quota/t/zookeeper_stats")
    assert log.tree.nodes[b"/zookeeper/quota/t/zookeeper_stats"].data
    assert log.tree.data_size == before + len("/zookeeper/quota/t") + len(
        "/zookeeper/quota/t/zookeeper_stats"
    )
    log.tree.check_invariants()


@pytest.mark.parametrize("listed", [None, [b"/e1"], [b"/e1", b"/e2", b"/gone"], []])
def test_closing_a_session_deletes_what_is_listed_and_what_it_owns(listed: list[bytes] | None) -> None:
    log = Log()
    log.apply(CreateSession(5000))
    assert log.tree.sessions == {SESSION: 5000}
    log.create(b"/e1", owner=None)
    log.create(b"/e2", owner=None)
    log.tree.changes.clear()
    log.apply(CloseSession(listed))
    assert b"/e1" not in log.tree.nodes and b"/e2" not in log.tree.nodes and not log.tree.sessions
    assert [(kind, path) for kind, path, _, _ in log.tree.changes] == [(DELETED, b"/e1"), (DELETED, b"/e2")]


def test_changes_tell_kind_path_and_acls() -> None:
    log = Log()
    log.create(b"/a")
    log.apply(SetData(opcodes.SET_DATA, b"/a", b"", 1))
    log.apply(Delete(opcodes.DELETE, b"/a"))
    assert [(kind, path) for kind, path, _, _ in log.tree.changes] == [
        (CREATED, b"/a"),
        (DATA_CHANGED, b"/a"),
        (DELETED, b"/a"),
    ]


def test_a_multi_is_all_or_nothing() -> None:
    log = Log()
    result = log.apply(Multi([Create(opcodes.CREATE, b"/a", b"", OPEN, 0, 1), Check(b"/a", 1)]))
    assert result.parts is not None and [part.err for part in result.parts] == [0, 0]
    before = log.tree.digest
    failed = Multi(
        [
            Delete(opcodes.DELETE, b"/a"),
            Error(Code.NO_NODE),
            Error(Code.RUNTIME_INCONSISTENCY),
            Check(b"/", 1),
        ]
    )
    result = log.apply(failed)
    assert result.parts is not None and [part.err for part in result.parts] == [0, -101, -2, -2]
    assert log.tree.digest == before and b"/a" in log.tree.nodes


@pytest.mark.parametrize(
    "txn",
    [
        Create(opcodes.CREATE, b"/no/x", b"", OPEN, 0, 1),
        Delete(opcodes.DELETE, b"/no"),
        Delete(opcodes.DELETE, b"/no/x"),
        SetData(opcodes.SET_DATA, b"/no", b"", 1),
        SetAcl(b"/no", OPEN, 1),
    ],
)
def test_transactions_that_do_not_fit_give_an_error_and_move_on(txn: Txn) -> None:
    log = Log()
    assert log.apply(txn).err == Code.NO_NODE
    assert log.tree.last_zxid == 1


def test_replaying_what_a_snapshot_already_has_changes_nothing_but_acl_and_counters() -> None:
    log = Log()
    log.create(b"/a", b"old", cversion=1)
    result = log.apply(Create(opcodes.CREATE, b"/a", b"new", ((1, "world", "anyone"),), 0, 5))
    assert result.err == Code.NODE_EXISTS
    assert log.tree.nodes[b"/a"].data == b"old" and log.tree.nodes[b"/a"].acl.world == 1
    assert log.tree.root.cversion == 5
    old = TxnHeader(SESSION, 1, 1, 0)
    log.tree.apply(old, Error(Code.NO_NODE))
    assert log.tree.last_zxid == 2


def test_a_smaller_cversion_leaves_the_parent_alone() -> None:
    log = Log()
    log.create(b"/a", cversion=9)
    log.create(b"/b", cversion=4)
    assert log.tree.root.cversion == 9 and log.tree.root.pzxid == 1


def test_ephemerals_of_lost_sessions_are_dropped_after_loading() -> None:
    log = Log()
    log.apply(CreateSession(1000))
    log.create(b"/mine", owner=None)
    log.create(b"/lost", owner=77)
    assert log.tree.drop_orphans() == [b"/lost"]
    log.tree.check_invariants()
    assert b"/mine" in log.tree.nodes and b"/lost" not in log.tree.nodes and log.tree.changes == []


def test_without_digests_none_is_kept() -> None:
    log = Log(DataTree(digest_enabled=False))
    log.create(b"/a")
    assert log.tree.nodes[b"/a"].digest is None
    assert log.apply(Error(Code.NO_AUTH)).err == Code.NO_AUTH


def test_the_reply_shows_a_stats_znode_before_it_is_filled() -> None:
    log = Log()
    log.create(b"/zookeeper/quota/a")
    log.create(b"/zookeeper/quota/a/zookeeper_limits", b"count=1")
    result = log.create(b"/zookeeper/quota/a/zookeeper_stats", b"")
    assert result.stat is not None and unpack(">i", result.stat[52:56]) == (0,)
    assert log.tree.nodes[b"/zookeeper/quota/a/zookeeper_stats"].data == b"count=0,bytes=0"
