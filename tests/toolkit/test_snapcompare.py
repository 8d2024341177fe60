"""What two snapshots do not share, in whatever order their znodes come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.persist.records import contents, create, new_tree, payload
from tests.toolkit.data import FILES, tree_of, write_snapshot
from zkpy import opcodes
from zkpy.realports import RealDisk
from zkpy.toolkit.snapcompare import compare_snapshots
from zkpy.tree.txns import CreateSession, Delete, SetAcl, SetData, Txn

Capture = pytest.CaptureFixture[str]


def compare(disk: RealDisk, left: Path, right: Path, **options: object) -> int:
    given: dict[str, object] = {"as_json": False, "least_bytes": None, "least_nodes": None, **options}
    return compare_snapshots(disk, str(left), str(right), **given)  # type: ignore[arg-type]


def test_two_of_the_same_tree_are_equal(disk: RealDisk, capsys: Capture) -> None:
    assert compare(disk, FILES / "snapshot.13", FILES / "snapshot.13.gz") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "0 znodes only in the first, 0 only in the second, 0 changed, 12 equal; 0 sessions differ"


def test_what_a_java_server_did_in_between(disk: RealDisk, capsys: Capture) -> None:
    assert compare(disk, FILES / "snapshot.13", FILES / "snapshot.1c.snappy") == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "+ session 0x10000b39f6f0000",
        "~ /: cversion 7 -> 9, pzxid 0x11 -> 0x1b",
        "~ /a: data 14 bytes -> 5 bytes, mzxid 0x9 -> 0x1a, mtime 1795374964230 -> 1795374967724, "
        "version 2 -> 3",
        "- /m (1 bytes)",
        "+ /e2 (0 bytes) ephemeral=0x10000b39f6f0000",
        "+ /gz (0 bytes)",
        "+ /gz/one (300 bytes)",
        "1 znodes only in the first, 3 only in the second, 2 changed, 9 equal; 1 sessions differ",
    ]


def test_json(disk: RealDisk, capsys: Capture) -> None:
    assert compare(disk, FILES / "snapshot.13", FILES / "snapshot.1c.snappy", as_json=True) == 1
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {item["path"]: item["in"] for item in items if item["kind"] == "znode"} == {
        "/": "both",
        "/a": "both",
        "/m": "left",
        "/e2": "right",
        "/gz": "right",
        "/gz/one": "right",
    }
    assert items[-1]["same"] == 9


def test_thresholds_report_subtrees_as_javas_comparer_does(disk: RealDisk, capsys: Capture) -> None:
    pair = FILES / "snapshot.13", FILES / "snapshot.1c.snappy"
    assert compare(disk, *pair, least_bytes=8) == 1
    assert capsys.readouterr().out.splitlines()[3:-1] == [
        "~ /: +2 znodes, +290 bytes at and below it",
        "~ /a: +0 znodes, -9 bytes at and below it",
        "~ /gz: +2 znodes, +300 bytes at and below it",
        "~ /gz/one: +1 znodes, +300 bytes at and below it",
    ]
    compare(disk, *pair, least_bytes=300, least_nodes=1)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[3:-1]] == ["~ /", "~ /gz"]


def test_every_field_counts(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    base: list[Txn] = [CreateSession(5000), create("/a", b"one"), create("/b", None)]
    left = write_snapshot(tmp_path / "left", tree_of(base))
    for number, (more, said) in enumerate(
        [
            (SetData(opcodes.SET_DATA, b"/a", b"two", 0), "data (3 bytes)"),
            (SetData(opcodes.SET_DATA, b"/b", b"", 0), "data null -> 0 bytes"),
            (SetAcl(b"/a", ((1, "world", "anyone"),), 0), "acl world:anyone:cdrwa -> world:anyone:r"),
            (CreateSession(6000), "~ session 0x1000: timeout 5000 ms -> 6000 ms"),
        ]
    ):
        right = write_snapshot(tmp_path / str(number), tree_of([*base, more]))
        assert compare(disk, left, right) == 1
        assert said in capsys.readouterr().out


names = st.lists(st.sampled_from("abcdefgh"), max_size=8, unique=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names, names, st.sets(st.sampled_from("abcdefgh")))
def test_the_order_makes_no_difference(
    disk: RealDisk,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: Capture,
    first: list[str],
    second: list[str],
    changed: set[str],
) -> None:
    trees = []
    for side, order in enumerate((first, second)):
        tree = new_tree()
        for name in order:
            data = b"changed" if side and name in changed else b""
            payload(tree, 1, create(f"/{name}", data, parent_cversion=0))
        trees.append(tree)
    paths = [write_snapshot(tmp_path_factory.mktemp("s"), tree) for tree in trees]
    capsys.readouterr()
    status = compare(disk, *paths)
    one, other = map(contents, trees)
    lines = capsys.readouterr().out.splitlines()[2:-1]
    expected = [f"- {path.decode()}" for path in sorted(one.keys() - other.keys())]
    expected += [f"+ {path.decode()}" for path in sorted(other.keys() - one.keys())]
    assert [line.split(" (")[0] for line in lines if line[0] != "~"] == expected
    both = {f"/{name}" for name in changed & set(first) & set(second)}
    assert {line.split(":")[0][2:] for line in lines if line[0] == "~"} == both
    assert status == bool(expected or both)


def test_a_deleted_znode_in_the_middle(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    base: list[Txn] = [create(f"/n{at}") for at in range(20)]
    left = write_snapshot(tmp_path / "left", tree_of(base))
    right = write_snapshot(tmp_path / "right", tree_of([*base, Delete(opcodes.DELETE, b"/n7")]))
    assert compare(disk, left, right) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "- /n7 (0 bytes)" and lines[-1].startswith("1 znodes only in the first, 0 only")
