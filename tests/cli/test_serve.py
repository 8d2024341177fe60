"""The ``zkpy serve`` command as a user runs it: real processes, real signals."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from zkpy.cli import main
from zkpy.cli import serve as cli_serve
from zkpy.cli.serve import _explain
from zkpy.errors import CommitMismatch, ElectionPortTaken, StorageError, SyncFailed


@contextmanager
def serve(*args: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A server process and the words of its first line on stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "serve", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        words = process.stdout.readline().split()
        assert words[:2] == ["zkpy", "ready"], process.stderr.read()
        yield process, words
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def fails(*args: str, cwd: Path) -> tuple[int, str]:
    """Exit status and stderr of a server that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "zkpy", "serve", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


def srvr(hosts: str) -> str:
    host, port = hosts.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"srvr")
        return b"".join(iter(lambda: sock.recv(4096), b"")).decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with serve("--memory", "--port", "0", cwd=tmp_path) as (process, words):
        assert "Mode: standalone" in srvr(words[2])
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_without_a_file_it_keeps_its_data_in_a_directory_that_it_names(tmp_path: Path) -> None:
    with serve("--port", "0", cwd=tmp_path) as (process, words):
        assert words[3:] == ["standalone", str(tmp_path / "zkpy-data")]
        client = KazooClient(words[2])
        client.start()
        client.create("/kept", b"1")
        client.stop()
        client.close()
        process.terminate()
        assert process.wait(timeout=30) == 0
    with serve("--port", "0", cwd=tmp_path) as (_, words):
        client = KazooClient(words[2])
        client.start()
        assert client.get("/kept")[0] == b"1"
        client.stop()
        client.close()


def test_without_a_port_the_next_free_one_is_taken_and_said(tmp_path: Path) -> None:
    with (
        serve("--memory", cwd=tmp_path) as (_, first),
        serve("--memory", cwd=tmp_path) as (process, second),
    ):
        assert first[2] != second[2]
        assert "Mode: standalone" in srvr(second[2])
        process.terminate()
        process.wait(timeout=30)
        assert process.stderr is not None
        assert "in use, listening on" in process.stderr.read()


def test_a_configuration_file_is_obeyed(tmp_path: Path) -> None:
    config = tmp_path / "zoo.cfg"
    config.write_text(f"tickTime=1234\nclientPort=0\ndataDir={tmp_path}/data\n4lw.commands.whitelist=conf\n")
    with serve("./zoo.cfg", cwd=tmp_path) as (_, words):
        host, port = words[2].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(b"conf")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert b"tickTime=1234\n" in answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clientPort=0\n", "dataDir is not set"),
        ("dataDir=/tmp\nclientPort=x1\n", 'zoo.cfg:2: For input string: "x1"'),
        ("dataDir=/tmp\nclientPort=99999\n", "port out of range:99999"),
    ],
)
def test_a_mistake_in_the_file_ends_the_start_with_status_2_and_says_where(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "zoo.cfg").write_text(text)
    status, stderr = fails("./zoo.cfg", cwd=tmp_path)
    assert status == 2
    assert said in stderr


def test_a_missing_file_ends_the_start_with_status_2(tmp_path: Path) -> None:
    status, stderr = fails("./none.cfg", cwd=tmp_path)
    assert status == 2
    assert "./none.cfg file is missing" in stderr


def test_a_port_in_use_ends_the_start_with_status_2_when_it_was_asked_for(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, stderr = fails("--memory", "--port", port, cwd=tmp_path)
    assert status == 2
    assert f"127.0.0.1:{port}" in stderr


def test_an_unusable_data_directory_ends_the_start_with_status_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, stderr = fails("--port", "0", "--data", str(tmp_path / "file" / "data"), cwd=tmp_path)
    assert status == 3
    assert "data" in stderr


def test_python_m_zkpy_is_the_zkpy_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zkpy", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("zkpy ")


def test_a_data_directory_in_use_is_refused_with_status_3(tmp_path: Path) -> None:
    with serve("--port", "0", cwd=tmp_path):
        status, stderr = fails("--port", "0", cwd=tmp_path)
    assert status == 3
    assert "in use by another zkpy" in stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CommitMismatch("commit"), 12),
        (SyncFailed("cut"), 13),
        (ElectionPortTaken("port"), 14),
        (StorageError("disk"), 15),
    ],
)
def test_what_ends_a_member_has_its_own_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    group = BaseExceptionGroup("", [ValueError("a task beside it"), BaseExceptionGroup("", [error])])
    assert _explain(group) == status
    assert capsys.readouterr().err == f"zkpy: {error}\n"


def test_every_exit_status_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    table = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    explained = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    statuses = {value for name, value in vars(cli_serve).items() if name.startswith("EXIT_")}
    assert explained == statuses
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = capsys.readouterr().out.partition("Exit status:")[2]
    assert {int(number) for number in re.findall(r"\b\d+\b", said)} == statuses
    assert "docs/serve.md" in said


def test_a_taken_election_port_ends_a_member_with_status_14(tmp_path: Path) -> None:
    (tmp_path / "myid").write_text("1\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lines = "".join(f"server.{n}=127.0.0.1:{port + n}:{port if n == 1 else n}\n" for n in (1, 2, 3))
        config = tmp_path / "zoo.cfg"
        config.write_text(
            f"dataDir={tmp_path}\nclientPort=0\ninitLimit=5\nsyncLimit=5\ntickTime=500\n{lines}"
        )
        command = [sys.executable, "-m", "zkpy", "serve", "-Dzookeeper.electionPortBindRetry=1", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 14, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"zkpy: cannot listen for elections on 127.0.0.1:{port}: Address already in use."
        " Stop what uses the port, or change the address of server.1"
    )


def test_a_member_whose_client_port_changes_listens_there_also_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "myid").write_text("1\n")
    with socket.socket() as one, socket.socket() as other, socket.socket() as quorum, socket.socket() as vote:
        sockets = one, other, quorum, vote
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        old, new, quorum_port, vote_port = (sock.getsockname()[1] for sock in sockets)
    config = tmp_path / "zoo.cfg"
    config.write_text(
        f"dataDir={tmp_path}\nclientPort={old}\nclientPortAddress=127.0.0.1\ninitLimit=5\nsyncLimit=5\n"
        "tickTime=500\nstandaloneEnabled=false\nreconfigEnabled=true\nskipACL=yes\n"
        f"server.1=127.0.0.1:{quorum_port}:{vote_port};127.0.0.1:{old}\n4lw.commands.whitelist=*\n"
    )
    original = config.read_text()
    line = f"server.1=127.0.0.1:{quorum_port}:{vote_port}:participant;127.0.0.1:{new}"
    with serve(str(config), cwd=tmp_path) as (process, words):
        assert words[2:4] == [f"127.0.0.1:{old}", "leader"]
        assert process.stderr is not None
        while "INFO  zkpy.role: server 1: leading, epoch 1" not in (said := process.stderr.readline()):
            assert said
        client = KazooClient(f"127.0.0.1:{old}")
        client.start(timeout=10)
        text, stat = client.reconfig(line, None, None)
        assert text.decode() == f"{line}\nversion={stat.mzxid:x}"
        assert "Mode: leader" in srvr(f"127.0.0.1:{new}")
        with pytest.raises(ConnectionRefusedError):
            srvr(f"127.0.0.1:{old}")
        client.create("/over-the-old-connection")
        client.stop()
        client.close()
    assert Path(f"{config}.bak").read_text() == original
    assert "clientPort" not in config.read_text()
    dynamic = Path(f"{config}.dynamic.{stat.mzxid:x}")
    assert dynamic.read_text() == line
    assert f"dynamicConfigFile={dynamic}\n" in config.read_text()
    with serve(str(config), cwd=tmp_path) as (_, words):
        assert words[2:4] == [f"127.0.0.1:{new}", "leader"]
    dynamic.unlink()
    status, said = fails(str(config), cwd=tmp_path)
    assert (status, "No such file" in said, dynamic.name in said) == (2, True, True)
