"""The real disk: what it writes, and that its threads come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from zkpy.persist.txnlog import TxnLogWriter
from zkpy.realports import INLINE_AFTER, RealDisk, monotonic, new_random, wall_ms


@pytest.fixture
def disk() -> Iterator[RealDisk]:
    with RealDisk() as real:
        yield real
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("zkpy")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_clocks() -> None:
    assert wall_ms() > 1_600_000_000_000
    assert monotonic() <= monotonic()
    assert 3 <= new_random().randrange(3, 9) < 9
    assert new_random(1).randrange(0, 1000) == new_random(1).randrange(0, 1000)


def test_files(disk: RealDisk, tmp_path: Path) -> None:
    base = f"{tmp_path}/a/b"
    disk.make_dirs(base)
    assert disk.is_dir(base) and disk.is_writable(base) and not disk.exists(base + "/x")
    file = disk.create(base + "/x")
    file.write(b"hello")
    file.preallocate(100_000)
    file.write(memoryview(b" world"))
    file.sync_now()
    file.close()
    file.close()
    assert disk.size(base + "/x") == 100_000
    assert disk.read_bytes(base + "/x").rstrip(b"\0") == b"hello world"
    disk.rewrite(base + "/x", 3, 11)
    reader = disk.open_read(base + "/x")
    assert reader.read(5) == b"hello"
    assert reader.next_data() == 5
    reader.read(4091)
    assert reader.next_data() in (4096, 100_000)  # not every file system knows holes
    reader.close()
    reader.close()
    disk.truncate(base + "/x", 5)
    disk.rename(base + "/x", base + "/y")
    disk.sync_dir_now(base)
    assert disk.list_dir(base) == ["y"] and disk.read_bytes(base + "/y") == b"hello"
    disk.remove(base + "/y")
    assert disk.list_dir(base) == []


def test_missing_files_raise_oserror(disk: RealDisk, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.read_bytes(f"{tmp_path}/none")
    with pytest.raises(FileNotFoundError):
        disk.open_read(f"{tmp_path}/none")


@pytest.mark.trio
async def test_syncs_at_the_same_time(disk: RealDisk, tmp_path: Path) -> None:
    files = [disk.create(f"{tmp_path}/{n}") for n in range(4)]
    async with trio.open_nursery() as nursery:
        for file in files:
            file.write(b"x" * 1000)
            nursery.start_soon(file.sync)
        nursery.start_soon(disk.sync_dir, str(tmp_path))
    for file in files:
        file.close()


@pytest.mark.trio
async def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = descriptors()
    with RealDisk(inline_below_us=0) as disk:
        file = disk.create(f"{tmp_path}/x")
        await file.sync()
        assert file.start_sync(lambda error: None)
        file.close()
    disk.close()
    assert descriptors() == before


@pytest.mark.trio
async def test_a_reported_sync(tmp_path: Path) -> None:
    heard: list[OSError | None] = []
    with RealDisk() as disk:
        file = disk.create(f"{tmp_path}/x")
        file.write(b"x")
        for _ in range(3):
            assert file.start_sync(heard.append)
            await trio.lowlevel.wait_readable(disk.reports.fileno())
            disk.reports.collect()
        bad = disk.create("/dev/null")
        assert bad.start_sync(heard.append)
        await trio.lowlevel.wait_readable(disk.reports.fileno())
        disk.reports.collect()
        bad.close()
        file.close()
    assert heard[:3] == [None] * 3
    assert isinstance(heard[3], OSError)


@pytest.mark.trio
async def test_a_failing_sync_raises(disk: RealDisk) -> None:
    with pytest.raises(OSError):
        await disk.sync_dir("/does/not/exist")
    file = disk.create("/dev/null")
    with pytest.raises(OSError):
        await file.sync()
    file.close()


@pytest.mark.trio
async def test_a_cancelled_sync_is_awaited(tmp_path: Path) -> None:
    with RealDisk(inline_below_us=0) as disk:
        file = disk.create(f"{tmp_path}/x")
        file.write(b"x")
        with trio.CancelScope() as scope:
            scope.cancel()
            await file.sync()
        await file.sync()
        file.close()


@pytest.mark.trio
async def test_a_quick_medium_is_synced_on_the_spot(tmp_path: Path) -> None:
    with RealDisk(inline_below_us=10_000_000) as disk:
        file = disk.create(f"{tmp_path}/x")
        before = threading.active_count()
        for _ in range(INLINE_AFTER):
            await file.sync()
        assert threading.active_count() == before + 1
        disk.close()
        await file.sync()
        assert threading.active_count() == before
        file.close()


@pytest.mark.trio
async def test_a_log_on_it(disk: RealDisk, tmp_path: Path) -> None:
    writer = TxnLogWriter(disk, str(tmp_path))
    for zxid in range(1, 200):
        writer.append(zxid, bytes(40))
        writer.flush()
        await writer.commit()
        if zxid % 50 == 0:
            writer.roll()
    writer.close()
    assert disk.list_dir(str(tmp_path)) == sorted(["log.1", "log.33", "log.65", "log.97"])
    assert os.stat(tmp_path / "log.1").st_size == 16 + 64 * 1024 * 1024
