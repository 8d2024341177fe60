"""``zkpy snapshot`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.persist.records import all_kinds, new_tree
from tests.toolkit.data import FILES, JAVA, flipped, write_log, write_snapshot
from zkpy.cli import main

Capture = pytest.CaptureFixture[str]


def test_print(capsys: Capture) -> None:
    assert main(["snapshot", "print", str(JAVA), "--path", "/a", "--data", "none", "--utc"]) == 0
    assert "/a\n  data 5 bytes\n" in capsys.readouterr().out
    assert main(["snapshot", "print", str(FILES / "snapshot.13.gz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["zxid"] == "0x13"


def test_compare(capsys: Capture) -> None:
    assert main(["snapshot", "compare", str(FILES / "snapshot.13"), str(FILES / "snapshot.13.gz")]) == 0
    assert main(["snapshot", "compare", str(FILES / "snapshot.0"), str(JAVA)]) == 1
    capsys.readouterr()
    assert main(["snapshot", "compare", str(FILES / "snapshot.0"), str(JAVA), "--nodes", "5"]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("~")] == [
        "~ /: +10 znodes, +569 bytes at and below it"
    ]


def test_summary(capsys: Capture) -> None:
    assert main(["snapshot", "summary", str(JAVA), "/zookeeper"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/zookeeper: 2 children, 3 znodes below, 0 bytes",
        "  /zookeeper/quota: 1 children, 1 znodes below, 0 bytes",
    ]


def test_verify(tmp_path: Path, capsys: Capture) -> None:
    assert main(["snapshot", "verify", str(JAVA)]) == 0
    path = flipped(write_snapshot(tmp_path, new_tree()), 200)
    capsys.readouterr()
    assert main(["snapshot", "verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"{path}: offset 411: the checksum does not match" in said and "To do: use an older" in said


def test_export_import_and_a_server_that_starts_from_it(tmp_path: Path, capsys: Capture) -> None:
    text, data = tmp_path / "s.json", tmp_path / "data"
    assert main(["snapshot", "export", str(JAVA), str(text)]) == 0
    assert main(["snapshot", "import", str(text), str(data), "--compress", "snappy"]) == 0
    assert main(["snapshot", "compare", str(JAVA), str(data / "version-2" / "snapshot.1c.snappy")]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "serve", "--port", "0", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("zkpy ready")
        capsys.readouterr()
        assert main(["snapshot", "take", str(data)]) == 2
        assert "in use by a running zkpy" in capsys.readouterr().err
        assert main(["snapshot", "take", str(data), "--to", str(tmp_path / "copy")]) == 0
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert main(["snapshot", "compare", str(data), str(tmp_path / "copy")]) == 0


def test_take(tmp_path: Path, capsys: Capture) -> None:
    write_snapshot(tmp_path, new_tree())
    write_log(tmp_path, all_kinds())
    assert main(["snapshot", "take", f"{tmp_path}/", "--compress", "gz"]) == 0
    assert f"{tmp_path}/version-2/snapshot.11.gz: zxid 0x11" in capsys.readouterr().out
    assert main(["snapshot", "verify", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["print", "nowhere"], 2, "nowhere: no such file or directory"),
        (["print", "."], 2, "no data directory"),
        (["print", str(FILES / "log.1")], 1, 'does not begin with "ZKSN"'),
        (["print", "empty"], 1, "empty: offset 0: the file is empty"),
        (["print", "zero"], 1, "begins with zeros"),
        (["print", "half"], 1, "the header is not complete: 7 bytes of 16"),
        (["summary", str(JAVA), "/nope"], 2, "has no znode /nope"),
        (["export", str(JAVA), "empty"], 2, "empty: File exists"),
        (["import", "nowhere", "x"], 2, "nowhere: No such file"),
        (["import", "zero", "x"], 2, "zero:1: expected '{'"),
        (["import", str(FILES / "log.1"), "x"], 2, "no UTF-8 text"),
        (["import", "zero", str(JAVA)], 2, "already holds data"),
        (["take", "localhost:2181"], 2, "a running server cannot be asked"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str],
    status: int,
    said: str,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "zero").write_bytes(bytes(2000))
    (tmp_path / "half").write_bytes(b"ZKSN\0\0\0")
    assert main(["snapshot", *args]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"zkpy snapshot {args[0]}: ") and said in shown.err
    assert shown.err.count("\n") == 1
