"""Snapshots as text, as JSON and as totals: those of a Java server, plain, gz and snappy."""

from __future__ import annotations

import json

import pytest

from tests.toolkit.data import FILES, JAVA
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.render import Clock
from zkpy.toolkit.snapview import collect, open_snapshot, print_snapshot, subtree, summarize

Capture = pytest.CaptureFixture[str]
UTC = Clock(utc=True)


def printed(
    disk: RealDisk,
    capsys: Capture,
    name: str,
    below: str | None = None,
    data: str = "text",
    as_json: bool = False,
) -> str:
    path = str(FILES / name) if name else str(JAVA)
    status = print_snapshot(disk, path, clock=UTC, below=subtree(below), data=data, as_json=as_json)
    assert status == 0
    return capsys.readouterr().out


def test_a_java_servers_snapshot(disk: RealDisk, capsys: Capture) -> None:
    said = printed(disk, capsys, "")
    assert said.startswith(f"{FILES}/snapshot.1c.snappy: zxid 0x1c, format 2, dbid -1\n1 sessions\n")
    assert "  0x10000b39f6f0000 timeout 10000 ms\n" in said
    assert (
        "/a\n"
        '  data 5 bytes "third"\n'
        "  acl world:anyone:cdrwa\n"
        "  created 2026-11-22T19:16:04.173Z zxid 0x2, modified 2026-11-22T19:16:07.724Z zxid 0x1a, "
        "children zxid 0xc\n"
        "  version 3 cversion 2 aversion 0\n"
    ) in said
    assert "/e2 ephemeral=0x10000b39f6f0000\n" in said
    assert "/c container\n  data null\n" in said and "/later ttl=3600000ms\n" in said
    assert said.endswith("14 znodes\ndigest 0x58ef7e536 at zxid 0x1c\nlast zxid 0x1c\n")


def test_compression_makes_no_difference(disk: RealDisk, capsys: Capture) -> None:
    plain = printed(disk, capsys, "snapshot.13", as_json=True).splitlines()
    packed = printed(disk, capsys, "snapshot.13.gz", as_json=True).splitlines()
    assert plain[1:-1] == packed[1:-1] and len(plain) == 14


def test_json_has_all_of_it(disk: RealDisk, capsys: Capture) -> None:
    items = [json.loads(line) for line in printed(disk, capsys, "", as_json=True).splitlines()]
    assert items[0]["zxid"] == "0x1c" and items[1] == {
        "kind": "session",
        "id": "0x10000b39f6f0000",
        "timeout_ms": 10000,
    }
    znodes = {item["path"]: item for item in items if item["kind"] == "znode"}
    assert len(znodes) == items[-1]["znodes"] == 14
    assert znodes["/a/b"]["acl"] == ["digest:u:8xJeoMakDQaA8NkfWetBIBym4mk=:rw", "world:anyone:cdrwa"]
    assert znodes["/c"]["container"] is True and znodes["/later"]["ttl_ms"] == 3_600_000
    assert (znodes["/a"]["version"], znodes["/a"]["mzxid"]) == (3, "0x1a")
    assert items[-1]["digest"] == "0x58ef7e536"


def test_a_subtree_and_how_data_is_shown(disk: RealDisk, capsys: Capture) -> None:
    said = printed(disk, capsys, "", below="/gz/", data="none")
    assert "/gz\n  data 0 bytes\n" in said and "/gz/one\n  data 300 bytes\n" in said
    assert "/a" not in said and "2 znodes\n" in said
    assert f"data 256 bytes 0x{bytes(range(256)).hex()}\n" in printed(disk, capsys, "", data="hex")
    assert printed(disk, capsys, "", below="/").count("  version ") == 14
    with pytest.raises(ToolError, match="has no znode /nope"):
        printed(disk, capsys, "", below="/nope")
    with pytest.raises(ToolError, match="begins with /"):
        subtree("nope")


def test_totals(disk: RealDisk, capsys: Capture) -> None:
    assert summarize(disk, str(JAVA), start="/", depth=2, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/: 8 children, 13 znodes below, 569 bytes",
        "  /a: 1 children, 1 znodes below, 5 bytes",
        "  /gz: 1 children, 1 znodes below, 300 bytes",
        "  /zookeeper: 2 children, 3 znodes below, 0 bytes",
        "    /zookeeper/quota: 1 children, 1 znodes below, 0 bytes",
    ]
    summarize(disk, str(JAVA), start="/gz/one", depth=1, as_json=True)
    item = json.loads(capsys.readouterr().out)
    assert item == {"path": "/gz/one", "children": 0, "below": 0, "size": 300}
    with pytest.raises(ToolError, match="has no znode /nope"):
        summarize(disk, str(JAVA), start="/nope", depth=1, as_json=False)


def test_totals_do_not_depend_on_the_depth(disk: RealDisk) -> None:
    everything = collect(open_snapshot(disk, str(JAVA)), b"", 0)
    for depth in (1, 2, 3):
        some = collect(open_snapshot(disk, str(JAVA)), b"", depth)
        assert some == {path: total for path, total in everything.items() if path.count(b"/") <= depth}
    assert len(everything) == 14
