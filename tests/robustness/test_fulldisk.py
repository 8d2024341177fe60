"""Real disks that fail: no space from any point on, and syncs that report an error.

The server ends with its own exit status, nothing acknowledged is lost, and it starts again, on a disk that is
still full, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.harness import Client, Failure, Server, defines
from zkpy.cli.serve import EXIT_DATA_DIR, EXIT_STORAGE

SIZES_K = [96, 200, 428]
FAILING = [1, 2, 3, 5, 9, 30]
SOURCE = Path(__file__).parent / "failsync.c"


def write_until_it_ends(server: Server, size: int, most: int) -> int:
    """Create /0, /1, ... with *size* bytes each; how many were acknowledged."""
    count = 0
    try:
        sock = server.connect()
    except OSError:
        return 0
    with sock, contextlib.suppress(OSError, AssertionError):
        client = Client(sock)
        while count < most and client.create(f"/{count}", b"%07d" % count * (size // 7)) == 0:
            count += 1
    return count


def holds(client: Client, count: int, size: int) -> None:
    """The acknowledged ones, and perhaps the one that was on its way."""
    names = {name for name in client.children("/") if name != b"zookeeper"}
    assert names - {b"%d" % count} == {b"%d" % n for n in range(count)}
    for n in range(0, count, 1 + count // 20):
        assert client.get(f"/{n}") == b"%07d" % n * (size // 7)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose size can be changed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def resize(path: Path, size_k: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_k}k", str(path)], check=True)


@pytest.mark.parametrize("size_k", SIZES_K)
def test_full_at_any_point_and_started_while_it_is(tmp_path: Path, small_disk: Path, size_k: int) -> None:
    resize(small_disk, size_k)
    args = ("--data", str(small_disk), *defines(preAllocSize=4, snapCount=40))
    with Server(tmp_path, *args) as server:
        count = write_until_it_ends(server, 1400, 100_000)
        assert server.process.wait(20) == EXIT_STORAGE, server.stderr()
    stuffing = small_disk / "stuffing"
    with contextlib.suppress(OSError), stuffing.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    for _ in range(2):  # still full: it starts, serves what needs no write, and ends at the first write
        with Server(tmp_path, *args) as server:
            assert (
                f"Node count: {count + 4}" in server.word("srvr")
                or count == 0
                or (f"Node count: {count + 5}" in server.word("srvr"))
            )
            assert write_until_it_ends(server, 1400, 1) == 0
            assert server.process.wait(20) == EXIT_STORAGE, server.stderr()
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    stuffing.unlink()
    resize(small_disk, 4096)
    with Server(tmp_path, *args) as server, server.client() as client:
        holds(client, count, 1400)
        assert client.create("/after", b"1") == 0


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets a sync fail."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("shim") / "failsync.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"cannot build a preloaded library here: {built.stderr[-300:]}")
    return library


@pytest.mark.parametrize("number", FAILING)
def test_a_sync_that_fails_ends_the_server(
    tmp_path: Path, shim: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    args = ("--data", str(tmp_path / "data"), *defines(preAllocSize=64))
    with monkeypatch.context() as patched:
        patched.setenv("LD_PRELOAD", str(shim))
        patched.setenv("ZKPY_FAIL_SYNC", str(number))
        with Server(tmp_path, *args, wait=False) as server:
            count = 0
            with contextlib.suppress(Failure):  # it ended before it was ready
                server.wait_ready()
                count = write_until_it_ends(server, 700, 100)
            status = server.process.wait(20)
    assert count < 100
    stderr = (tmp_path / "stderr").read_text()
    assert status == (EXIT_DATA_DIR if "Unable to create" in stderr else EXIT_STORAGE), stderr
    assert "Input/output error" in stderr
    assert "Traceback" not in stderr
    with Server(tmp_path, *args) as server, server.client() as client:
        holds(client, count, 700)
        assert client.create("/after", b"1") == 0
