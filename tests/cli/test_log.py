"""``zkpy log`` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.persist.records import all_kinds, create, new_tree
from tests.toolkit.data import FILES, JAVA, flipped, write_log
from zkpy.cli import main

Capture = pytest.CaptureFixture[str]


def zkpy(*args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zkpy", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


def test_who_changed_what_and_when(capsys: Capture) -> None:
    assert main(["log", "--path", "/a/", "--since", "0x8", "--until", "0xa", "--utc", str(JAVA)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-22T19:16:04.226Z session 0x10000b391670000 cxid 0x7 zxid 0x8 setData /a "
        'data="more" version=1',
        "2026-11-22T19:16:04.230Z session 0x10000b391670000 cxid 0x8 zxid 0x9 setData /a "
        'data="{\\"port\\": 2181}" version=2',
    ]


@pytest.mark.parametrize(
    ("options", "zxids"),
    [
        (["--path", "/a", "--below", "--op", "setACL,create"], ["0x2", "0x3", "0x4", "0xa"]),
        (["--session", "0x10000b39f6f0001"], ["0x19", "0x1a", "0x1b", "0x1c"]),
        (["--since", "2026-11-22T19:16:07.718Z", "--limit", "2"], ["0x18", "0x19"]),
        (["--until", "2026-11-22T19:16:04.1731Z"], ["0x1", "0x2"]),
        (["--op", "error", "--tail", "1"], ["0x15"]),
        (["--since", "0x1c", "--until", "0x1c"], ["0x1c"]),
    ],
)
def test_choices(options: list[str], zxids: list[str], capsys: Capture) -> None:
    assert main(["log", str(JAVA), "--json", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["zxid"] for line in lines] == zxids


def test_relative_times_count_from_now(tmp_path: Path, capsys: Capture) -> None:
    write_log(tmp_path, all_kinds())  # of 2023
    assert main(["log", str(tmp_path), "--since", "1d"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["log", str(tmp_path), "--until", "1d", "--data", "0", "--digest", "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "create /a acl=" in lines[1] and " digest=0x" in lines[1]


def test_verify_and_salvage(tmp_path: Path, capsys: Capture) -> None:
    assert main(["log", "--verify", "--digest", str(JAVA)]) == 0
    assert "28 transactions: sound" in capsys.readouterr().out
    path = flipped(write_log(tmp_path, all_kinds()), 500)
    assert main(["log", "--verify", str(tmp_path)]) == 1
    assert f"{path}: offset " in capsys.readouterr().out
    assert main(["log", "--salvage", str(tmp_path / "log.1"), str(path)]) == 0
    assert main(["log", "--verify", str(tmp_path / "log.1")]) == 0
    capsys.readouterr()
    assert main(["log", "--salvage", str(tmp_path / "log.1"), str(path)]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["nowhere"], 2, "nowhere: No such file or directory"),
        (["."], 2, "no data directory"),
        ([str(FILES / "snapshot.0")], 2, "this is a snapshot"),
        ([str(JAVA), "--since", "soon"], 2, "'soon' is no moment"),
        ([str(JAVA), "--session", "me"], 2, "--session me: a session id is"),
        ([str(JAVA), "--path", "a"], 2, "begins with /"),
        ([str(JAVA), "--below"], 2, "goes with --path"),
        ([str(JAVA), "--data", "few"], 2, "--data few"),
        ([str(JAVA), "--op", "creat"], 2, "unknown operation"),
        ([str(JAVA), "--follow", "--verify"], 2, "--follow goes with neither"),
        ([str(JAVA), "--path", "/a", "--tail", "3", "--verify"], 2, "--path, --tail: a check or a copy"),
        ([str(JAVA), str(JAVA), "--salvage", "x"], 2, "takes one log file"),
        ([str(FILES / "log.14"), "--verify", "--digest"], 2, "the digest cannot be checked"),
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
    assert main(["log", *args]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("zkpy log: ") and said in shown.err and shown.err.count("\n") == 1


@pytest.mark.parametrize("content", [b"", bytes(4096), b"ZKLG", b"rubbish"])
def test_no_file_ends_in_a_traceback(tmp_path: Path, content: bytes, capsys: Capture) -> None:
    path = tmp_path / "log.1"
    path.write_bytes(content)
    status = 1 if content == b"rubbish" else 0
    assert main(["log", str(path)]) == status
    assert str(path) in capsys.readouterr().err
    assert main(["log", "--verify", str(path)]) == status


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    path.chmod(0)
    assert main(["log", str(path)]) == 2
    assert f"{path}: Permission denied" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    tree = new_tree()
    write_log(tmp_path, [create(f"/n{at}", b"x" * 60) for at in range(3000)], 1, tree)
    process = zkpy("log", tmp_path)
    assert process.stdout is not None and process.stderr is not None
    assert " zxid 0x1 " in process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_follow_until_ctrl_c(tmp_path: Path) -> None:
    tree = new_tree()
    write_log(tmp_path, [create("/a")], 1, tree)
    process = zkpy("log", "--follow", tmp_path)
    try:
        assert process.stdout is not None and process.stderr is not None
        assert " zxid 0x1 create /a" in process.stdout.readline()
        write_log(tmp_path, [create("/b")], 2, tree)
        assert " zxid 0x2 create /b" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_server_does_not_load_the_tools() -> None:
    program = (
        "import sys, zkpy.cli, zkpy.node, zkpy.persist.store\n"
        "zkpy.cli.build_parser(['serve', 'log']).parse_args(['serve', 'log'])\n"
        "assert 'zkpy.cli.serve' in sys.modules\n"
        "print([name for name in sys.modules if name.startswith(('zkpy.toolkit', 'zkpy.cli.'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "['zkpy.cli.serve']\n"
