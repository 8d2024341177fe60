"""The ``zkpy compare`` command as a user runs it: a real process, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient

import zkpy.testing
from tests.compare.world import Client


@contextmanager
def compare(*args: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running comparison and the words of its first line on stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "compare", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        words = process.stdout.readline().split()
        assert words[:3] == ["zkpy", "compare", "ready"], process.stderr.read()
        yield process, words
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
    """Exit status and the rest of stdout; nothing may be on stderr."""
    process.send_signal(number)
    status = process.wait(timeout=30)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.read() == ""
    return status, process.stdout.read()


@contextmanager
def kazoo_client(hosts: str) -> Iterator[KazooClient]:
    client = KazooClient(hosts)
    client.start(timeout=10)
    try:
        yield client
    finally:
        client.stop()
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_differences_the_status_is_0(tmp_path: Path, number: signal.Signals) -> None:
    with zkpy.testing.Server() as real, compare("--with", real.hosts, cwd=tmp_path) as (process, words):
        assert words[4:] == ["zkpy", "memory", "real", real.hosts]
        with kazoo_client(words[3]) as client:
            client.create("/a", b"1")
            assert client.get("/a")[0] == b"1"
        status, out = end(process, number)
    assert status == 0
    assert out.startswith("requests compared: 4, events: 0")
    assert out.endswith("differences: 0\n")


def test_with_differences_the_status_is_1_and_the_report_has_them(tmp_path: Path) -> None:
    with zkpy.testing.Server() as real:
        with kazoo_client(real.hosts) as direct:
            direct.create("/before", b"")
        options = ("--with", real.hosts, "--listen", "127.0.0.1:0", "--report", "found.jsonl")
        with compare(*options, cwd=tmp_path) as (process, words):
            with kazoo_client(words[3]) as client:
                assert client.exists("/before") is None
            status, out = end(process)
    assert status == 1
    assert "note: the trees differ from the start" in out
    assert "  * err: -101 (NO_NODE) | 0 (OK)" in out
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [one["operation"] for one in found] == ["exists"]


def test_quiet_prints_the_summary_only(tmp_path: Path) -> None:
    (tmp_path / "zoo.cfg").write_text("dataDir=/nonexistent\nclientPort=1\nmaxSessionTimeout=7000\n")
    with (
        zkpy.testing.Server() as real,
        compare("zoo.cfg", "--with", real.hosts, "--quiet", "--wait", "3", cwd=tmp_path) as (process, words),
    ):
        with kazoo_client(words[3]) as client:
            assert client.exists("/a") is None
        status, out = end(process)
    assert status == 1  # the time-outs differ, as the file asked for
    assert out.startswith("requests compared: 3")
    assert out.endswith("differences: 1\n")


def test_a_zkpy_that_runs_already(tmp_path: Path) -> None:
    with (
        zkpy.testing.Server() as ours,
        zkpy.testing.Server() as real,
        compare("--with", real.hosts, "--zkpy", ours.hosts, cwd=tmp_path) as (process, words),
    ):
        assert words[5] == ours.hosts
        with kazoo_client(words[3]) as client:
            client.create("/a")
        assert end(process)[0] == 0
        with kazoo_client(ours.hosts) as direct:
            assert direct.exists("/a") is not None


def test_a_signal_ends_the_beginning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "zkpy", "compare", "--wait", "600", "--with", address],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, out) == (2, "")
    assert err == "zkpy compare: ended by a signal before it began\n"


@contextmanager
def server_process(cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that can be stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "serve", "--memory", "--port", "0"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[2]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_signal_ends_the_end(tmp_path: Path) -> None:
    with (
        server_process(tmp_path) as (real, address),
        compare("--with", address, "--wait", "600", cwd=tmp_path) as (process, words),
    ):
        real.send_signal(signal.SIGSTOP)
        os.waitpid(real.pid, os.WUNTRACED)
        client = Client(words[3])
        client.connect()  # that is zkpy's answer; the real server's does not come
        assert client.session
        process.send_signal(signal.SIGTERM)
        status, out = end(process)
        client.wire.close()
    assert status == 0
    assert out.startswith("note: not everything was compared: ended by a second signal")
    assert out.endswith("differences: 0\n")


def test_any_number_of_signals_is_no_error(tmp_path: Path) -> None:
    with zkpy.testing.Server() as real, compare("--with", real.hosts, cwd=tmp_path) as (process, _):
        for _ in range(1000):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.005)
                break
            process.send_signal(signal.SIGINT)
        status, out = end(process)
    assert status == 0
    assert out.endswith("differences: 0\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_report_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    with (
        zkpy.testing.Server() as real,
        compare("--with", real.hosts, "--report", "/dev/full", cwd=tmp_path) as (process, words),
    ):
        with kazoo_client(real.hosts) as direct:
            direct.create("/a", b"")
        with kazoo_client(words[3]) as client:
            for _ in range(3):
                assert client.exists("/a") is None
            client.create("/b")
        status, out = end(process)
    assert status == 1
    assert out.count("note: the report file cannot be written: No space left on device") == 1
    assert out.count("difference 3: exists") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_findings_that_cannot_be_printed_end_nothing(tmp_path: Path) -> None:
    code = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
    code += "from zkpy.cli.compare import _say\n_say('one'); _say('two')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_ipv6_addresses_have_brackets(tmp_path: Path) -> None:
    nowhere = "[2001:db8::1]:1"
    said = fails("--with", nowhere, "--wait", "0.3", cwd=tmp_path)
    assert f"cannot use the real server at {nowhere}: " in said
    with zkpy.testing.Server() as real:
        assert f"cannot listen on {nowhere}: " in fails(
            "--with", real.hosts, "--listen", nowhere, cwd=tmp_path
        )


def fails(*args: str, cwd: Path) -> str:
    """Stderr of a comparison that cannot begin."""
    done = subprocess.run(
        [sys.executable, "-m", "zkpy", "compare", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("address", ["nowhere", "host:port", ":2181", "host:0", "host:70000", "host:²"])
def test_bad_addresses(tmp_path: Path, address: str) -> None:
    assert "is no address" in fails("--with", address, cwd=tmp_path)


def test_what_cannot_begin_says_why(tmp_path: Path) -> None:
    with socket.socket() as nobody, zkpy.testing.Server() as real:
        nobody.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{nobody.getsockname()[1]}"
        with_real = ("--with", real.hosts)
        assert f"cannot use the real server at {nowhere}" in fails("--with", nowhere, cwd=tmp_path)
        assert "cannot use zkpy at" in fails(*with_real, "--zkpy", nowhere, cwd=tmp_path)
        assert "cannot listen on" in fails(*with_real, "--listen", real.hosts, cwd=tmp_path)
        assert "cannot write" in fails(*with_real, "--report", "no/such/file", cwd=tmp_path)
        assert "is no time" in fails(*with_real, "--wait", "0", cwd=tmp_path)
        assert "is no time" in fails(*with_real, "--wait", "x", cwd=tmp_path)
        assert "file is missing" in fails("zoo.cfg", *with_real, cwd=tmp_path)
        (tmp_path / "zoo.cfg").write_text("dataDir=/nonexistent\nclientPort=1\n")
        assert "leave one out" in fails("zoo.cfg", *with_real, "--zkpy", real.hosts, cwd=tmp_path)
        assert "--with" in fails(cwd=tmp_path)
