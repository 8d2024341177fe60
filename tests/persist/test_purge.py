"""Purging keeps what a recovery needs."""

from __future__ import annotations

import pytest

from tests.persist.records import create, new_tree, payload
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.purge import purge, verify
from zkpy.persist.snapshot import write_snapshot_now
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.persist.txnsnaplog import DataDir

pytestmark = pytest.mark.trio


def filled(snapshots: int, compression: str = "") -> tuple[MemoryDisk, DataDir]:
    """Snapshots at zxid 0, 10, 20 …, a log beginning one after each."""
    disk = MemoryDisk()
    data = DataDir(disk, "/d")
    tree = new_tree()
    writer = TxnLogWriter(disk, data.log_dir, prealloc_bytes=0)
    for at in range(snapshots):
        write_snapshot_now(disk, data.snap_dir, tree.view(), compression=compression)
        for zxid in range(10 * at + 1, 10 * at + 11):
            writer.append(zxid, payload(tree, zxid, create(f"/n{zxid}", bytes(at))))
        writer.roll()
    writer.commit_now()
    writer.close()
    return disk, data


def zxids(data: DataDir) -> tuple[list[int], list[int]]:
    return [file.zxid for file in data.snapshots()], [file.zxid for file in data.logs()]


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
async def test_the_newest_good_ones_and_their_logs_stay(compression: str) -> None:
    disk, data = filled(6, compression)
    removed = await purge(disk, data.snap_dir, data.log_dir, 3)
    assert len(removed) == 5
    assert zxids(data) == ([30, 40, 50], [21, 31, 41, 51])
    assert data.restore(new_tree).last_zxid == 60


async def test_never_fewer_than_three() -> None:
    disk, data = filled(5)
    await purge(disk, data.snap_dir, data.log_dir, 1)
    assert zxids(data)[0] == [20, 30, 40]


async def test_damaged_snapshots_do_not_count() -> None:
    disk, data = filled(6)
    for name in ("snapshot.32", "snapshot.28", "snapshot.1e"):
        content = bytearray(disk.read_bytes(f"{data.snap_dir}/{name}"))
        content[100] ^= 1
        disk.put(f"{data.snap_dir}/{name}", bytes(content))
        assert not await verify(disk, f"{data.snap_dir}/{name}")
    await purge(disk, data.snap_dir, data.log_dir, 3)
    assert zxids(data) == ([0, 10, 20, 30, 40, 50], [1, 11, 21, 31, 41, 51])
    assert data.restore(new_tree).last_zxid == 60


async def test_nothing_goes_without_a_good_snapshot() -> None:
    disk, data = filled(2)
    for file in data.snapshots():
        disk.put(f"{data.snap_dir}/{file.name}", b"ZKSN")
    assert await purge(disk, data.snap_dir, data.log_dir) == []


async def test_other_files_are_left_alone() -> None:
    disk, data = filled(5)
    for name in ("currentEpoch", "log.old", "snapshot.x", "notes"):
        disk.put(f"{data.snap_dir}/{name}", b"1")
    await purge(disk, data.snap_dir, data.log_dir)
    assert {"currentEpoch", "log.old", "snapshot.x", "notes"} < set(disk.list_dir(data.snap_dir))
