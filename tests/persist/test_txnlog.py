"""What the log's writer puts into files, and what it promises when the disk fails."""

from __future__ import annotations

import errno

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.persist.records import payload
from zkpy.errors import StorageError
from zkpy.persist.logreader import HEADER, read_log
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.torn import UNSYNCED_LIMIT
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import CreateSession


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=400), max_size=30), st.sampled_from([0, 64, 4096, 65536]))
def test_any_payload_comes_back_whatever_the_padding(payloads: list[bytes], prealloc: int) -> None:
    disk = MemoryDisk()
    disk.make_dirs("/l")
    writer = TxnLogWriter(disk, "/l", prealloc_bytes=prealloc)
    for at, entry in enumerate(payloads):
        writer.append(at + 1, entry)
        writer.flush()
    writer.commit_now()
    writer.close()
    if payloads:
        assert [entry.payload for entry in read_log(disk, "/l/log.1")] == payloads


def test_padding_grows_as_zookeepers() -> None:
    disk = MemoryDisk()
    disk.make_dirs("/l")
    writer = TxnLogWriter(disk, "/l", prealloc_bytes=8192)
    sizes = []
    for zxid in range(1, 8):
        writer.append(zxid, bytes(3000))
        writer.flush()
        sizes.append(disk.size("/l/log.1"))
        assert writer.size_for_limits == sizes[-1]
    assert sizes == [8208, 8208, 16400, 16400, 16400, 24592, 24592]
    writer.append(8, bytes(30000))
    writer.flush()
    assert disk.size("/l/log.1") == HEADER.__len__() + 7 * 3013 + 30013
    writer.append(9, bytes(100))
    writer.flush()
    assert disk.size("/l/log.1") == (HEADER.__len__() + 7 * 3013 + 30013 + 8192) // 8192 * 8192


async def flush_and_commit(writer: TxnLogWriter) -> None:
    writer.flush()
    await writer.commit()


class TestWriter:
    def writer(self, **options: int | bool) -> tuple[MemoryDisk, TxnLogWriter]:
        disk = MemoryDisk()
        disk.make_dirs("/l")
        return disk, TxnLogWriter(disk, "/l", **options)  # type: ignore[arg-type]

    def add(self, writer: TxnLogWriter, *zxids: int) -> None:
        for zxid in zxids:
            writer.append(zxid, payload(DataTree(), zxid, CreateSession(1)))

    def survivors(self, disk: MemoryDisk) -> list[int]:
        disk.crash()
        names = sorted((int(name[4:], 16), name) for name in disk.list_dir("/l"))
        return [
            entry.zxid
            for at, (_, name) in enumerate(names)
            for entry in read_log(disk, f"/l/{name}", last=at == len(names) - 1)
        ]

    @pytest.mark.trio
    async def test_what_commit_covered_survives_a_crash(self) -> None:
        disk, writer = self.writer()
        self.add(writer, 1, 2)
        writer.flush()
        await writer.commit()
        assert writer.durable_zxid == 2 and not writer.pending
        self.add(writer, 3)
        writer.flush()
        assert writer.pending
        assert self.survivors(disk) == [1, 2]

    @pytest.mark.trio
    async def test_a_name_counts_only_with_its_directory(self) -> None:
        disk, writer = self.writer()
        asked: list[str] = []
        disk.fault = lambda operation, path: asked.append(operation)
        self.add(writer, 1)
        writer.flush()
        await writer.commit()
        assert asked.index("write") < asked.index("sync") < asked.index("sync_dir")

    def test_a_killed_process_leaves_no_log_without_its_first_record(self) -> None:
        """ZooKeeper refuses to start on a log that ends before its header does."""
        disk, writer = self.writer()

        def look(operation: str, path: str) -> None:
            for name in disk.list_dir("/l") if operation != "list" else ():
                if name.startswith("log."):
                    assert read_log(disk, f"/l/{name}"), (operation, name)

        disk.fault = look
        for zxid in (1, 2, 3):
            self.add(writer, zxid)
            writer.roll()
        assert disk.list_dir("/l") == ["log.1", "log.2", "log.3"]

    @pytest.mark.trio
    async def test_only_what_was_flushed_before_commit_counts(self) -> None:
        disk, writer = self.writer()

        def during(operation: str, path: str) -> None:
            if operation == "sync":
                disk.fault = None
                self.add(writer, 2)
                writer.flush()

        disk.fault = during
        self.add(writer, 1)
        writer.flush()
        await writer.commit()
        assert writer.durable_zxid == 1 and writer.pending
        await writer.commit()
        assert writer.durable_zxid == 2 and not writer.pending

    @pytest.mark.trio
    async def test_a_rolled_file_is_synced_before_the_next_begins(self) -> None:
        disk, writer = self.writer()
        self.add(writer, 1)
        writer.flush()
        await writer.commit()
        self.add(writer, 2)
        writer.roll()
        assert (writer.count, writer.size_for_limits) == (0, 0)
        self.add(writer, 3)
        writer.flush()
        assert self.survivors(disk) == [1, 2]
        assert [file.partition(".")[2] for file in disk.list_dir("/l")] == ["1"]

    @pytest.mark.trio
    async def test_rolling_while_a_commit_is_under_way(self) -> None:
        disk, writer = self.writer()

        def during(operation: str, path: str) -> None:
            if operation == "sync":
                disk.fault = None
                writer.roll()
                self.add(writer, 2)
                writer.flush()

        disk.fault = during
        self.add(writer, 1)
        writer.flush()
        await writer.commit()
        await writer.commit()
        assert self.survivors(disk) == [1, 2]
        writer.close()

    @pytest.mark.trio
    async def test_an_error_that_another_sync_met_is_not_hidden(self) -> None:
        disk, writer = self.writer()

        def during(operation: str, path: str) -> None:
            if operation == "sync":
                disk.fault = broken
                self.add(writer, 2)
                writer.roll()
                self.add(writer, 3)
                with pytest.raises(StorageError):
                    writer.flush()
                disk.fault = None

        def broken(operation: str, path: str) -> None:
            if operation == "sync":
                raise OSError(errno.EIO, "broken")

        disk.fault = during
        self.add(writer, 1)
        writer.flush()
        with pytest.raises(StorageError):
            await writer.commit()
        assert writer.durable_zxid == 0

    @pytest.mark.trio
    async def test_commit_covers_a_file_that_was_rolled_away(self) -> None:
        disk, writer = self.writer()
        self.add(writer, 1)
        writer.roll()
        await writer.commit()
        assert writer.durable_zxid == 1
        assert self.survivors(disk) == [1]

    @pytest.mark.trio
    async def test_size_limit_rolls_after_a_sync(self) -> None:
        disk, writer = self.writer(prealloc_bytes=0, file_limit_bytes=100)
        for zxid in range(1, 7):
            self.add(writer, zxid)
            writer.flush()
            await writer.commit()
        assert disk.list_dir("/l") == ["log.1", "log.3", "log.5"]
        assert writer.size_for_limits == sum(disk.size(f"/l/log.{n}") for n in (1, 3, 5))

    @pytest.mark.trio
    async def test_a_large_batch_is_synced_on_the_way(self) -> None:
        disk, writer = self.writer(prealloc_bytes=0)
        syncs: list[str] = []
        disk.fault = lambda operation, path: syncs.append(operation) if operation == "sync" else None
        writer.append(1, bytes(3 * UNSYNCED_LIMIT))
        writer.flush()
        assert len(syncs) == 3

    @pytest.mark.parametrize("operation", ["create", "write", "preallocate", "rename", "sync", "sync_dir"])
    @pytest.mark.trio
    async def test_nothing_is_acknowledged_after_a_failure(self, operation: str) -> None:
        disk, writer = self.writer()

        def fault(what: str, path: str) -> None:
            if what == operation:
                raise OSError(errno.EIO, "broken")

        disk.fault = fault
        self.add(writer, 1)
        with pytest.raises(StorageError):
            await flush_and_commit(writer)
        disk.fault = None
        assert writer.durable_zxid == 0
        with pytest.raises(StorageError):
            self.add(writer, 2)
        with pytest.raises(StorageError):
            writer.flush()
        with pytest.raises(StorageError):
            await writer.commit()
        with pytest.raises(StorageError):
            writer.commit_now()
        writer.close()

    @pytest.mark.trio
    async def test_without_force_sync_nothing_is_synced(self) -> None:
        disk, writer = self.writer(force_sync=False)
        self.add(writer, 1)
        writer.flush()
        await writer.commit()
        assert writer.durable_zxid == 1 and not writer.pending
        assert self.survivors(disk) == []

    def test_zxids_only_grow(self) -> None:
        _, writer = self.writer()
        self.add(writer, 5)
        with pytest.raises(AssertionError):
            self.add(writer, 5)

    @pytest.mark.trio
    async def test_a_cancelled_commit_leaves_its_work_to_the_next(self) -> None:
        disk, writer = self.writer()
        self.add(writer, 1)
        writer.flush()
        with trio.CancelScope() as scope:
            scope.cancel()
            disk.fault = lambda operation, path: scope.cancel() if operation == "sync_dir" else None
            await writer.commit()
            await trio.lowlevel.checkpoint()
        await writer.commit()
        assert self.survivors(disk) == [1]
