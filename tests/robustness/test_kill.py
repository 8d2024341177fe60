"""kill -9 and full disks: nothing acknowledged is lost, nothing is done by half."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import wire
from tests.robustness.harness import Client, Failure, Server, defines
from tests.robustness.kill import Campaign
from zkpy.cli.serve import EXIT_STORAGE

SEED = 20261


def test_kill_and_restart_under_load_loses_nothing(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, SEED)
    campaign.run(12)
    assert campaign.acknowledged > 500


def test_without_syncs_a_killed_process_loses_nothing_either(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, SEED + 1, None, *defines(forceSync="no"))
    campaign.run(2)
    assert campaign.acknowledged > 100


@pytest.mark.parametrize(
    ("fault", "told"),
    [("early", "was acknowledged, the log ends|no state between"), ("torn", "digest|no state between")],
)
def test_the_checks_see_a_planted_fault(tmp_path: Path, fault: str, told: str) -> None:
    with pytest.raises(Failure, match=told) as caught:
        Campaign(tmp_path, SEED, fault).run(6)
    assert f"seed {SEED}, round " in str(caught.value)


# -- no space left -----------------------------------------------------------------------------------------


def _write_until_it_ends(server: Server) -> int:
    """Create /0, /1, ... with 10,000 bytes each; how many were acknowledged before the server ended."""
    client = server.client()
    count = 0
    with contextlib.suppress(OSError):
        while client.create(f"/{count}", b"%d" % count * 2000) == 0:
            count += 1
    client.drop()
    return count


def _holds(client: Client, count: int) -> None:
    """Exactly the acknowledged ones, and perhaps the one that was on its way."""
    names = {name for name in client.children("/") if name != b"zookeeper"}
    assert names - {b"%d" % count} == {b"%d" % n for n in range(count)}
    for n in range(count):
        assert client.get(f"/{n}") == b"%d" % n * 2000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", path], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("snap_count", [100_000, 10])
def test_a_full_disk_ends_the_server_and_loses_nothing(
    tmp_path: Path, small_disk: Path, snap_count: int
) -> None:
    args = ("--data", str(small_disk), *defines(preAllocSize=64, snapCount=snap_count))
    with Server(tmp_path, *args) as server:
        count = _write_until_it_ends(server)
        assert server.process.wait(10) == EXIT_STORAGE, server.stderr()
    assert count > 10
    assert "No space left" in (tmp_path / "stderr").read_text()
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    with Server(tmp_path, *args) as server:  # still full, but for the unfinished record that was cut off
        try:
            client = server.client()
        except ConnectionError:
            assert server.process.wait(10) == EXIT_STORAGE, server.stderr()
        else:
            _holds(client, count)
            client.drop()
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    with Server(tmp_path, *args) as server, server.client() as client:
        _holds(client, count)
        assert client.create("/after", b"1") == 0


def test_a_write_that_fails_ends_the_server_and_loses_nothing(tmp_path: Path) -> None:
    """The same without privileges: a limit on the size of files stands for the full disk."""
    args = ("--data", str(tmp_path / "data"), *defines(preAllocSize=0))
    with Server(tmp_path, *args, limit=(resource.RLIMIT_FSIZE, 300_000)) as server:
        count = _write_until_it_ends(server)
        assert server.process.wait(10) == EXIT_STORAGE, server.stderr()
    assert count > 10
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    with Server(tmp_path, *args) as server, server.client() as client:
        _holds(client, count)
        body = wire.create_body("/after", b"1")
        client.ok(wire.CREATE, body)
