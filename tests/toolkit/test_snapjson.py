"""A snapshot goes to JSON and comes back the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.persist.records import all_kinds, contents, create, new_tree, payload
from tests.toolkit.data import FILES, tree_of, write_log, write_snapshot
from zkpy.errors import BadArgumentsError
from zkpy.paths import validate
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.snapshot import load_snapshot
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.snapjson import export_snapshot, import_snapshot, write_into
from zkpy.toolkit.snapverify import verify_snapshots
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK
from zkpy.tree.txns import CreateSession, SetAcl

Capture = pytest.CaptureFixture[str]


def there_and_back(disk: RealDisk, snapshot: Path, directory: Path, compression: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    text = directory / "s.json"
    assert export_snapshot(disk, str(snapshot), str(text)) == 0
    json.loads(text.read_text("utf-8"))
    assert import_snapshot(disk, str(text), str(directory / "back"), compression) == 0
    (found,) = (directory / "back" / "version-2").iterdir()
    return found


def loaded(disk: RealDisk, path: Path) -> DataTree:
    tree = new_tree()
    load_snapshot(disk, str(path.parent), path.name, int(path.name.split(".")[1], 16), tree)
    return tree


@pytest.mark.parametrize("name", ["snapshot.13", "snapshot.13.gz", "snapshot.1c.snappy"])
def test_a_java_servers(disk: RealDisk, tmp_path: Path, name: str, capsys: Capture) -> None:
    back = there_and_back(disk, FILES / name, tmp_path)
    assert back.name == name.removesuffix(".gz").removesuffix(".snappy")
    one, other = loaded(disk, FILES / name), loaded(disk, back)
    assert contents(one) == contents(other) and one.sessions == other.sessions
    assert one.digest & MASK == other.digest & MASK
    if name == "snapshot.13":
        assert back.read_bytes() == (FILES / name).read_bytes()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_ours_byte_for_byte(disk: RealDisk, tmp_path: Path, compression: str) -> None:
    tree = tree_of(all_kinds()[:-1])
    snapshot = write_snapshot(tmp_path / "d", tree, compression)
    back = there_and_back(disk, snapshot, tmp_path, compression)
    assert (back.name, back.read_bytes()) == (snapshot.name, snapshot.read_bytes())


def is_addressable(name: str) -> bool:
    try:
        validate(f"/{name}".encode())
    except BadArgumentsError:
        return False
    return True


letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs", "Cc", "Co", "Cn"])
paths = st.text(letters, min_size=1, max_size=5).filter(is_addressable)
acls = st.lists(st.tuples(st.integers(0, 31), st.text(max_size=3), st.text(max_size=4)), max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 5), paths, st.none() | st.binary(max_size=30), acls), max_size=12),
    st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31 - 1), max_size=3),
)
def test_any_tree(
    disk: RealDisk,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, bytes | None, list[tuple[int, str, str]]]],
    sessions: dict[int, int],
) -> None:
    tree = new_tree()
    above, zxid = [""], 0
    for number, (parent, name, data, acl) in enumerate(rows):
        path = f"{above[parent % len(above)]}/{name}"
        payload(tree, zxid + 1, create(path, data, None if number % 3 == 0 else 0))
        payload(tree, zxid + 2, SetAcl(path.encode(), tuple(acl), number))
        zxid += 2
        above.append(path)
    for session, timeout_ms in sessions.items():
        zxid += 1
        payload(tree, zxid, CreateSession(timeout_ms), session)
    directory = tmp_path_factory.mktemp("j")
    snapshot = write_snapshot(directory / "d", tree)
    back = there_and_back(disk, snapshot, directory)
    assert back.read_bytes() == snapshot.read_bytes()


def test_edited_json(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "s.json"
    export_snapshot(disk, str(FILES / "snapshot.13"), str(text))
    item = json.loads(text.read_text("utf-8"))
    new = {"path": "/new/child", "data": "1", "czxid": "0x99", "acl": ["ip:127.0.0.1:r"], "acl_id": 2}
    item["nodes"] = [new, {"path": "/new"}, *reversed(item["nodes"])]
    text.write_text(json.dumps(item, indent=2), "utf-8")
    assert import_snapshot(disk, str(text), str(tmp_path / "d"), "") == 0
    said = capsys.readouterr()
    assert "zxid raised from 0x13 to 0x99" in said.err and "znodes were changed" in said.err
    path = tmp_path / "d" / "version-2" / "snapshot.99"
    assert said.out == f"{path}: 14 znodes, 0 sessions\n"
    tree, old = loaded(disk, path), loaded(disk, FILES / "snapshot.13")
    assert tree.nodes[b"/new/child"].acl.entries == ((1, "ip", "127.0.0.1"),)
    assert tree.nodes[b"/new"].acl.world == tree.nodes[b"/a"].acl.world == 31
    assert tree.nodes[b"/a/b"].acl.entries == old.nodes[b"/a/b"].acl.entries
    tree.check_invariants()


def node(**members: object) -> dict[str, object]:
    return {"zxid": 1, "nodes": [{"path": "/"}, {"path": "/a", **members}]}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"nodes": []}, '"zxid" is missing'),
        ({"zxid": 1, "nodes": []}, "no root"),
        ({"zxid": "1x", "nodes": []}, "\"zxid\" is '1x', not a number"),
        ({"zxid": 1, "nodes": [{"path": "/"}, {"path": "/a/b"}]}, "/a/b has no parent /a"),
        ({"zxid": 1, "nodes": [{"path": "/"}, {"path": "/"}]}, "/ occurs twice"),
        ({"zxid": 1, "nodes": [{"path": "a"}]}, "begins with /"),
        ({"zxid": 1, "nodes": [{"path": "/a//b"}]}, "is no path"),
        ({"format": "other", "zxid": 1, "nodes": []}, "the format is 'other'"),
        ({"znodes": []}, "unknown member 'znodes'"),
        (node(verion=1), "/a has the unknown member 'verion'"),
        (node(version=1 << 31), '/a: "version" is 2147483648'),
        (node(version=True), '/a: "version" is True'),
        (node(data=5), '"data" is neither text nor null'),
        (node(data64="?"), '"data64" is not base64'),
        (node(acl=["world:anyone"]), "scheme:id:perms"),
        (node(acl="world:anyone:r"), '"acl" is not a list'),
        (node(container=True, ttl_ms=5), "both container and ttl_ms"),
        (node(ttl_ms=1 << 40), '"ttl_ms" is'),
        ({"zxid": 1, "sessions": [{"id": "0x1"}], "nodes": []}, '"timeout_ms" is None'),
        (node(acl_id=1 << 63), '/a: "acl_id" is 9223372036854775808, not a number of 64 bits'),
        ({"zxid": 1, "nodes": [{"path": "/a/../b"}]}, "is no path that a client can name: path has a rel"),
        ({"zxid": 1, "nodes": [{"path": "/a\x01"}]}, "a forbidden character"),
        ({"zxid": 1, "sessions": [{"id": 1, "timeout_ms": -5}]}, '0x1: "timeout_ms" is negative'),
        ({"zxid": 1, "sessions": [{"id": 1, "timeout_ms": 5, "x": 1}]}, "0x1 has the unknown member 'x'"),
        ({"zxid": 1, "sessions": 2 * [{"id": 1, "timeout_ms": 5}]}, "session 0x1 occurs twice"),
    ],
)
def test_mistakes_are_explained(disk: RealDisk, tmp_path: Path, item: object, said: str) -> None:
    text = tmp_path / "s.json"
    text.write_text(json.dumps(item), "utf-8")
    with pytest.raises(ToolError) as caught:
        import_snapshot(disk, str(text), str(tmp_path / "d"), "")
    assert said in str(caught.value) and f"{text}:1: " in str(caught.value)
    assert not list((tmp_path / "d").rglob("snapshot*"))


def test_a_member_that_comes_twice(disk: RealDisk, tmp_path: Path) -> None:
    text = tmp_path / "s.json"
    text.write_text('{"zxid": 1, "nodes": [{"path": "/"}], "nodes": [{"path": "/a"}]}', "utf-8")
    with pytest.raises(ToolError, match="the member 'nodes' comes twice"):
        import_snapshot(disk, str(text), str(tmp_path / "d"), "")


def test_what_is_noted(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "s.json"
    text.write_text(json.dumps(node(data="x" * 1_100_000, ephemeral_owner="0x7")), "utf-8")
    assert import_snapshot(disk, str(text), str(tmp_path / "d"), "") == 0
    said = capsys.readouterr().err
    assert '1 ephemerals have no session in "sessions"' in said and "has 1100000 bytes of data" in said
    path = str(tmp_path / "d" / "version-2" / "snapshot.1")
    export_snapshot(disk, path, str(tmp_path / "out.json"))
    assert "over the default of jute.maxbuffer (1048575)" in capsys.readouterr().err
    verify_snapshots(disk, path)
    assert "has 1100000 bytes of data" in capsys.readouterr().err


def test_the_names_are_on_the_medium() -> None:
    disk = MemoryDisk()
    asked: list[tuple[str, str]] = []
    disk.fault = lambda operation, where: asked.append((operation, where))
    write_into(disk, "/x/d", new_tree(), "")
    assert {("sync_dir", "/x/d/version-2"), ("sync_dir", "/x/d"), ("sync_dir", "/x")} <= set(asked)


def test_data_is_never_overwritten(disk: RealDisk, tmp_path: Path) -> None:
    text = tmp_path / "s.json"
    export_snapshot(disk, str(FILES / "snapshot.13"), str(text))
    with pytest.raises(FileExistsError):
        export_snapshot(disk, str(FILES / "snapshot.13"), str(text))
    write_log(tmp_path / "d", all_kinds())
    with pytest.raises(ToolError, match=r"already holds data \(log.1\)"):
        import_snapshot(disk, str(text), str(tmp_path / "d"), "")
    (tmp_path / "used").mkdir()
    unlock = disk.lock(str(tmp_path / "used" / ".zkpy.lock"))
    assert unlock is not None
    with pytest.raises(ToolError, match="in use by a running zkpy"):
        import_snapshot(disk, str(text), str(tmp_path / "used"), "")
    unlock()


def test_a_damaged_snapshot_leaves_no_json(disk: RealDisk, tmp_path: Path) -> None:
    from zkpy.errors import CorruptLogError

    bad = tmp_path / "snapshot.13"
    bad.write_bytes((FILES / "snapshot.13").read_bytes()[:-30])
    with pytest.raises(CorruptLogError):
        export_snapshot(disk, str(bad), str(tmp_path / "s.json"))
    assert not (tmp_path / "s.json").exists()


def test_the_zxid_may_come_from_the_file(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes((FILES / "snapshot.13").read_bytes())
    assert export_snapshot(disk, str(copy), "-") == 0
    assert json.loads(capsys.readouterr().out)["zxid"] == "0x13"
