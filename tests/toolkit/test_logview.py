"""Printing logs: the golden ones of a Java server, limits, and what is said about damage."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from tests.persist.records import all_kinds
from tests.toolkit.data import FILES, JAVA, flipped, write_log
from zkpy.realports import RealDisk
from zkpy.toolkit.logview import View, print_logs
from zkpy.toolkit.render import Clock
from zkpy.toolkit.transactions import Choice, Moment

Capture = pytest.CaptureFixture[str]


def view(**options: object) -> View:
    return attrs.evolve(View(Choice(), Clock(utc=True)), **options)


def test_a_java_servers_logs(disk: RealDisk, capsys: Capture) -> None:
    assert print_logs(disk, view(data_limit=8), [str(JAVA)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 28
    begin = "2026-11-22T19:16:04.208Z session 0x10000b391670000 cxid 0x4 zxid 0x5 "
    assert lines[4] == begin + 'create /e data="mine" acl=world:anyone:cdrwa ephemeral parentCversion=2'
    assert "create /bin data=0x0001020304050607...(256 bytes)" in lines[5]
    assert 'create /ünï data="größe\\n" acl' in lines[6]
    assert lines[9].endswith(
        "setACL /a/b acl=digest:u:8xJeoMakDQaA8NkfWetBIBym4mk=:rw,world:anyone:cdrwa aversion=1"
    )
    assert lines[10].endswith("error NODE_EXISTS(-110)")
    assert "multi [check /a version=2; create /m " in lines[11]
    assert "multi FAILED [create /n " in lines[12]
    assert lines[13].endswith("closeSession deletes=[/e]")
    assert "createContainer /c data=null acl=world:anyone:cdrwa container" in lines[15]
    assert "createTTL /later data=null acl=world:anyone:cdrwa ttl=3600000ms" in lines[16]


def test_json_has_all_of_it(disk: RealDisk, capsys: Capture) -> None:
    print_logs(disk, view(as_json=True), [str(JAVA)])
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [int(item["zxid"], 16) for item in items] == list(range(1, 29))
    assert items[0]["digest"] == "0x51c6d660" and items[10]["digest"] is None
    assert {item["file"] for item in items} == {f"{FILES}/log.1", f"{FILES}/log.14"}
    content = (FILES / "log.1").read_bytes()
    assert content[items[5]["offset"] + 12 :].startswith(bytes.fromhex("010000b391670000"))


@pytest.mark.parametrize(
    ("options", "zxids"),
    [
        ({"limit": 2}, [1, 2]),
        ({"tail": 2}, [27, 28]),
        ({"tail": 1, "choice": Choice(until=Moment(zxid=20))}, [20]),
        ({"choice": Choice(since=Moment(zxid=19), until=Moment(zxid=21))}, [19, 20, 21]),
        ({"limit": 1, "choice": Choice(path=b"/m")}, [12]),
    ],
)
def test_some_of_them(disk: RealDisk, options: dict[str, object], zxids: list[int], capsys: Capture) -> None:
    assert print_logs(disk, view(as_json=True, **options), [str(JAVA)]) == 0
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [int(item["zxid"], 16) for item in items] == zxids


def test_damage_is_told_and_the_next_file_still_printed(
    disk: RealDisk, tmp_path: Path, capsys: Capture
) -> None:
    kinds = all_kinds()
    flipped(write_log(tmp_path, kinds), 400)
    write_log(tmp_path, kinds[:2], 18)
    assert print_logs(disk, view(), [str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "log.1: offset" in shown.err and "--salvage" in shown.err
    assert " zxid 0x12 createSession" in shown.out and "zxid 0x11 " not in shown.out


def test_an_interrupted_write_is_no_damage(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    path.write_bytes(path.read_bytes()[:-5])
    assert print_logs(disk, view(limit=0), [str(path)]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 16
    assert "a write was interrupted" in shown.err
    write_log(tmp_path, all_kinds()[:1], 0x100000001)
    assert print_logs(disk, view(), [str(tmp_path)]) == 1
    assert "not the last log" in capsys.readouterr().err


def test_a_body_that_cannot_be_decoded(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    from tests.persist.records import log_bytes
    from zkpy.tree.txns import TxnHeader, encode_payload

    path = tmp_path / "log.1"
    path.write_bytes(log_bytes([encode_payload(TxnHeader(1, 1, 1, 1), 99, b"", b"")]))
    assert print_logs(disk, view(), [str(path)]) == 1
    assert "zxid 0x1 cannot be decoded: unknown transaction type 99" in capsys.readouterr().err
