"""The matrix of data directories: what it notices, and what a directory has to be for other servers."""

from __future__ import annotations

import itertools
import json
from random import Random
from zlib import adler32

import pytest

from compat.interchange import case as playing
from compat.interchange import report, tools
from compat.interchange.__main__ import main
from compat.interchange.case import COLUMNS, FACTS, Difference, Outcome, run_case
from compat.interchange.cases import COMPRESSIONS, KILL, OTHER, PAIRS, USUAL, Case, all_cases, telling_cases
from compat.interchange.client import Node, Stat, Tree, differences, digest
from compat.interchange.content import DESCRIPTIONS, GROUPS, Author, group_of
from tests.persist.records import create, log_bytes, new_tree, payload
from zkpy.config import embedded_config
from zkpy.errors import CorruptLogError
from zkpy.persist.content import seal
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.snapshot import parse_snapshot, write_snapshot_now
from zkpy.persist.store import Store
from zkpy.persist.txnsnaplog import DataDir
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import EMPTY_TREE
from zkpy.tree.txns import SetAcl

ZERO = Stat(*[0] * 11)
EMPTY: Tree = {
    "/": Node(b"", ZERO._replace(children=1, cversion=-1), ((31, b"world", b"anyone"),)),
    "/zookeeper": Node(b"", ZERO._replace(children=2, cversion=-2), ((31, b"world", b"anyone"),)),
    "/zookeeper/quota": Node(b"", ZERO, ((31, b"world", b"anyone"),)),
    "/zookeeper/config": Node(b"", ZERO._replace(aversion=-1), ((1, b"world", b"anyone"),)),
}


# -- the matrix --------------------------------------------------------------------------------------------


def test_every_combination_has_its_case() -> None:
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    usual = {(c.writer, c.reader, c.compression, c.stop) for c in cases if c.settings is USUAL}
    assert usual == {
        (*pair, how, end) for pair, how, end in itertools.product(PAIRS, COMPRESSIONS, ("clean", KILL))
    }
    assert {(c.writer, c.reader, c.settings.name) for c in cases} >= {
        (*pair, settings.name) for pair in PAIRS for settings in OTHER
    }
    refused = [(c.writer, c.reader, c.settings.name) for c in cases if c.refused]
    assert refused == [("zkpy", "3.9.5", "digests, the reader's off")]


def test_the_short_run_has_every_server_on_both_sides_every_compression_and_both_ends() -> None:
    cases = telling_cases()
    assert {(case.writer, case.reader) for case in cases} == set(PAIRS)
    assert {case.compression for case in cases} == set(COMPRESSIONS)
    assert {case.stop for case in cases} == {"clean", KILL}
    assert any(case.tools for case in cases)


def test_every_column_is_described() -> None:
    assert DESCRIPTIONS.keys() == GROUPS.keys()
    assert set(COLUMNS) == {*GROUPS, *FACTS}
    assert {group_of(f"/{name}/x") for name in GROUPS} == set(GROUPS)
    assert group_of("/zookeeper/quota/quotas/soft1/zookeeper_stats") == "quotas"
    assert group_of("/zookeeper") == group_of("/") == "built-in"
    assert group_of("/sessions/kept-0") == "sessions"


def test_the_commands_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "snappy, kill"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PAIRS)
    assert main(["--only", "nothing of the kind"]) == 2


# -- what a client sees ------------------------------------------------------------------------------------


def test_the_digest_of_an_empty_tree() -> None:
    assert digest(EMPTY, {}) == EMPTY_TREE


def test_the_digest_has_the_owners_that_clients_do_not_see() -> None:
    assert digest(EMPTY, {"/": -1}) != EMPTY_TREE


def test_every_field_of_a_znode_is_compared() -> None:
    node = EMPTY["/zookeeper"]
    others = [
        node._replace(data=None),
        node._replace(data=bytes(100)),
        node._replace(acl=()),
        *(node._replace(stat=node.stat._replace(**{name: 77})) for name in Stat._fields),
    ]
    for other in others:
        found = list(differences(EMPTY, {**EMPTY, "/zookeeper": other}))
        assert [path for path, _ in found] == ["/zookeeper"] and found[0][1], other
    without = {path: node for path, node in EMPTY.items() if path != "/zookeeper/quota"}
    assert list(differences(EMPTY, without)) == [("/zookeeper/quota", "is missing")]
    assert list(differences(without, EMPTY)) == [("/zookeeper/quota", "should not be there")]
    assert list(differences(EMPTY, dict(EMPTY))) == []


# -- whole cases, without Java -----------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "SHORT_TIMEOUT_MS", 2500)


@pytest.mark.usefixtures("quick")
def test_zkpy_takes_its_own_directories() -> None:
    outcome = run_case(Case("zkpy", "zkpy", "gz", KILL))
    assert outcome.found == []
    assert all(outcome.cell(column) == "ok" for column in COLUMNS if column != "tools")
    assert outcome.transactions > 1000 and outcome.log_files > 2 and outcome.snapshots > 2


@pytest.mark.usefixtures("quick")
def test_a_lost_transaction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(play: playing._Play) -> None:
        last = tools.log_files(play.logs)[-1]
        data = last.read_bytes().rstrip(b"\0")
        assert data.endswith(b"B")
        last.write_bytes(data[:-1])
        tools.snapshots(play.data)[-1].unlink()  # it may have been taken behind the last transaction

    monkeypatch.setattr(playing._Play, "_note_files", cut)
    found = run_case(Case("zkpy", "zkpy")).found
    assert {"zxid", "sessions"} <= {one.column for one in found}
    assert any(one.text == "/sessions/short-2 is missing" for one in found)


@pytest.mark.usefixtures("quick")
def test_another_owner_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Author.write

    def with_another_owner(author: Author) -> None:
        write(author)
        author.story.owners["/kinds/seq"] = playing.CONTAINER_OWNER

    monkeypatch.setattr(Author, "write", with_another_owner)
    assert {one.column for one in run_case(Case("zkpy", "zkpy")).found} == {"digest"}


@pytest.mark.parametrize(
    ("case", "where", "runs"),
    [
        (Case("3.9.5", "zkpy"), "writing", 2),
        (Case("3.9.5", "zkpy"), "back on 3.9.5", 1),
        (Case("zkpy", "3.9.5"), "writing", 1),
    ],
)
def test_only_what_java_does_to_itself_is_played_again(
    monkeypatch: pytest.MonkeyPatch, case: Case, where: str, runs: int
) -> None:
    played = []

    def run(play: playing._Play) -> None:
        if not played:
            play.outcome.add("start", where, "RuntimeException: Failed to fetch acls for 48")
        played.append(play)

    monkeypatch.setattr(playing._Play, "run", run)
    assert run_case(case).ok == (runs > 1)
    assert len(played) == runs


# -- the report --------------------------------------------------------------------------------------------


def _outcomes() -> list[Outcome]:
    done = Outcome(Case("zkpy", "3.9.5", "gz", KILL), looked_at=set(COLUMNS), nodes=1234)
    lost = Outcome(
        Case("3.8.0", "zkpy"), [Difference("acls", "on zkpy", "/acls/1 is <missing>")], {"acls", "deep"}
    )
    return [done, lost]


def test_the_table_names_what_differed_first() -> None:
    done, lost = _outcomes()
    assert report.result(done) == "ok"
    assert report.result(lost) == "FAILED (acls); first on zkpy: /acls/1 is <missing>"
    assert (lost.cell("acls"), lost.cell("deep"), lost.cell("zxid")) == ("FAILED", "ok", "-")
    assert "2 directories, 1 failed, 3 s" in report.text([done, lost], 3.0)
    rows = {row[0]: row[1:] for row in report.summary([done, lost])}
    assert rows["acls"] == ["1 of 1", "", "", "0 of 1"]


def test_a_refusal_that_is_explained_is_no_failure() -> None:
    refused = next(case for case in all_cases() if case.refused)
    assert report.result(Outcome(refused)) == report.REFUSED


def test_the_document_and_the_json_have_every_case() -> None:
    outcomes = _outcomes()
    text = report.document(outcomes, 3.0)
    assert "**1 of them did not arrive whole**" in text
    assert "| zkpy | 3.9.5 | gz | kill |  | 1,234 | 0 | 0 | ok |" in text
    assert "first on zkpy: /acls/1 is &lt;missing>" in text
    written = json.loads(json.dumps(report.as_json(outcomes, 3.0)))
    assert [found["ok"] for found in written["cases"]] == [True, False]


# -- what the matrix has found -----------------------------------------------------------------------------


def _snapshot(tree: DataTree) -> bytes:
    disk = MemoryDisk()
    disk.make_dirs("/d")
    return disk.read_bytes(f"/d/{write_snapshot_now(disk, '/d', tree.view())}")


def test_without_digests_a_snapshot_has_no_sections() -> None:
    """A Java server that keeps no digests takes the first section for another one."""
    with_digests, without = _snapshot(DataTree()), _snapshot(DataTree(digest_enabled=False))
    assert with_digests.startswith(without)
    assert len(with_digests) - len(without) == 54
    tree = DataTree()
    parse_snapshot(without, 0, tree)
    assert tree.digest == EMPTY_TREE


def test_the_snapshot_of_an_empty_database_is_compressed_too() -> None:
    disk = MemoryDisk()
    assert DataDir(disk, "/d", compression="gz").restore(new_tree).snapshot_name == "snapshot.0.gz"


def test_a_snapshot_with_the_digest_of_an_earlier_tree() -> None:
    """A Java server writes one when it has removed ephemerals of lost sessions."""
    disk = MemoryDisk()
    disk.make_dirs("/d/version-2")
    tree = new_tree()
    payload(tree, 1, create("/a", b"", parent_cversion=1))
    right, tree.digest = tree.digest, tree.digest + 5
    write_snapshot_now(disk, "/d/version-2", tree.view())
    tree.digest = right
    logged = payload(tree, 2, create("/b", b"", parent_cversion=2))
    disk.put("/d/version-2/log.2", log_bytes([logged], 2))
    restored = DataDir(disk, "/d").restore(new_tree)
    assert restored.digest_mismatches == 0
    restored.tree.check_invariants()


def test_ephemerals_of_lost_sessions_stay_away() -> None:
    """They are gone with no entry in the log; a znode made in their place must not meet them again."""
    disk = MemoryDisk()
    disk.make_dirs("/d/version-2")
    tree = new_tree()
    payload(tree, 1, create("/e", b"of a lost session", owner=None, parent_cversion=1))
    write_snapshot_now(disk, "/d/version-2", tree.view())
    config = embedded_config(data_dir="/d")
    opened = Store(config, disk, Random(1)).restore(new_tree)
    assert b"/e" not in opened.nodes
    logged = payload(opened, 2, create("/e", b"new", parent_cversion=2))
    disk.put("/d/version-2/log.2", log_bytes([logged], 2))
    restored = DataDir(disk, "/d").restore(new_tree)
    assert restored.tree.nodes[b"/e"].data == b"new"
    assert restored.digest_mismatches == 0


def _lacking(*, logged: bool) -> MemoryDisk:
    """A snapshot with a znode whose ACL stands in the log after it, if anywhere."""
    disk = MemoryDisk()
    disk.make_dirs("/d/version-2")
    tree = new_tree()
    payload(tree, 1, create("/a", b"", parent_cversion=1))
    entry = payload(tree, 2, SetAcl(b"/a", ((1, "ip", "10.0.0.1"),), 1))
    raw = _snapshot(tree)
    number = tree.nodes[b"/a"].acl.number.to_bytes(8, "big")
    at = raw.index(number + b"\0\0\0\1\0\0\0\1\0\0\0\2ip")
    content = raw[:at] + b"\0\0\0\0\0\0\0\x63" + raw[at + 8 :]
    content = content[: content.index(b"\0\0\0\1/", at)]
    sealed = content + b"\0\0\0\1/"
    disk.put("/d/version-2/snapshot.1", sealed + seal(adler32(sealed)))
    if logged:
        disk.put("/d/version-2/log.2", log_bytes([entry], 2))
    return disk


def test_an_only_snapshot_may_lack_acls_that_the_log_gives() -> None:
    """A Java server's can that was taken while ACLs came in."""
    restored = DataDir(_lacking(logged=True), "/d").restore(new_tree)
    assert restored.tree.nodes[b"/a"].acl.entries == ((1, "ip", "10.0.0.1"),)
    assert restored.tree.acls.lacking.refs == 0
    assert [acl.number for acl in restored.tree.acls.table()] == [1, 0x64]
    with pytest.raises(CorruptLogError, match="whose ACLs neither this snapshot nor the logs have: 1"):
        DataDir(_lacking(logged=False), "/d").restore(new_tree)
