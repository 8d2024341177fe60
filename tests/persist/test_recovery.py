"""Directories as people and ZooKeeper leave them: what is read, what is refused, what is said about it."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import attrs
import pytest

from tests.persist.records import SESSION, create, history, log_bytes, new_tree, payload
from tests.persist.test_txnsnaplog import LOGS, opened, put_log, restore, with_snapshots
from zkpy.config import Config, embedded_config
from zkpy.errors import CorruptLogError, DataDirError
from zkpy.persist.logreader import HEADER, LogReader
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.purge import superfluous
from zkpy.persist.snapshot import write_snapshot_now
from zkpy.persist.store import Store
from zkpy.persist.torn import UNSYNCED_LIMIT, damage
from zkpy.persist.txnsnaplog import DataDir
from zkpy.realports import RealDisk


class TestOverTheLimit:
    def a_disk(self) -> tuple[MemoryDisk, list[bytes]]:
        disk = MemoryDisk()
        disk.make_dirs(LOGS)
        tree = new_tree()
        write_snapshot_now(disk, LOGS, tree.view())
        payloads, _ = history([create("/a"), create("/b", b"x" * 5000)], 1, tree)
        put_log(disk, payloads, 1, bytes(700))
        return disk, payloads

    def test_a_whole_last_record_is_not_torn(self) -> None:
        disk, payloads = self.a_disk()
        before = disk.read_bytes(f"{LOGS}/log.1")
        offset = len(HEADER) + len(payloads[0]) + 13
        text = (
            rf"log\.1: offset {offset}: zxid 0x2: record of {len(payloads[1])} bytes, jute.maxbuffer allows"
        )
        with pytest.raises(CorruptLogError, match=rf"{text} 4000.*-D jute.maxbuffer={len(payloads[1])}"):
            DataDir(disk, "/d", max_entry=4000).restore(new_tree)
        assert disk.read_bytes(f"{LOGS}/log.1") == before
        assert restore(disk).last_zxid == 2

    def test_nor_with_a_later_log(self) -> None:
        disk, _ = self.a_disk()
        tree = new_tree()
        history([create("/a"), create("/b", b"x" * 5000)], 1, tree)
        put_log(disk, [payload(tree, 3, create("/c"))], 3)
        with pytest.raises(CorruptLogError, match=r"jute\.maxbuffer allows 4000"):
            DataDir(disk, "/d", max_entry=4000).restore(new_tree)

    @pytest.mark.parametrize("cut", [1, 800, 4000])
    def test_a_cut_one_is(self, cut: int) -> None:
        disk, payloads = self.a_disk()
        disk.put(f"{LOGS}/log.1", log_bytes(payloads)[:-cut])
        assert DataDir(disk, "/d", max_entry=4000).restore(new_tree).last_zxid == 1


class TestCopies:
    """``log.1.bak`` counts as a log that begins with zxid 1."""

    @pytest.mark.parametrize(("name", "copy"), [("log.1", "log.1.bak"), ("log.1.bak", "log.1")])
    def test_the_longer_one_counts(self, name: str, copy: str) -> None:
        disk, payloads, _ = with_snapshots(0)
        disk.put(f"{LOGS}/{name}", log_bytes(payloads))
        disk.put(f"{LOGS}/{copy}", log_bytes(payloads[:7]))
        asked: list[tuple[str, str]] = []
        disk.fault = lambda operation, where: asked.append((operation, where))
        restored = restore(disk)
        assert (restored.last_zxid, restored.entries) == (20, 20)
        assert ("rewrite", f"{LOGS}/{name}") in asked, "the end that counts is made durable"
        assert [entry.zxid for entry in opened(disk).entries_after(5)] == list(range(6, 21))

    def test_one_that_differs_is_refused(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)
        tree = new_tree()
        other = [payload(tree, at, create(f"/o{at}")) for at in range(1, 4)]
        disk.put(f"{LOGS}/log.1.saved", log_bytes(other))
        with pytest.raises(CorruptLogError, match=r"log\.1\.saved: .*comes again after 0x14, and differs"):
            restore(disk)

    @pytest.mark.parametrize("zxid", [5, 12])
    def test_all_are_truncated(self, zxid: int) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)
        disk.put(f"{LOGS}/log.1.bak", log_bytes(payloads[:9]))
        assert opened(disk).truncate(zxid)
        found = [entry.zxid for entry in LogReader(disk, f"{LOGS}/log.1.bak")]
        assert found == list(range(1, min(zxid, 9) + 1))
        assert restore(disk).last_zxid == zxid

    def test_what_overlaps_is_truncated(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)
        put_log(disk, payloads[8:], 9)
        assert opened(disk).truncate(12) and restore(disk).last_zxid == 12
        assert [entry.zxid for entry in LogReader(disk, f"{LOGS}/log.1")] == list(range(1, 13))

    @pytest.mark.trio
    async def test_none_is_purged_while_one_is_needed(self) -> None:
        disk, payloads, _ = with_snapshots(0, 5, 10)
        put_log(disk, payloads[:4], 1)
        put_log(disk, payloads[4:], 5)
        disk.put(f"{LOGS}/log.5.bak", log_bytes(payloads[4:6], 5))
        disk.remove(f"{LOGS}/snapshot.0")
        doomed = await superfluous(disk, LOGS, LOGS)
        assert doomed == [f"{LOGS}/log.1"]


class TestLeftovers:
    def test_logs_that_are_gone_are_told(self) -> None:
        disk, _, _ = with_snapshots(5)
        (warning,) = restore(disk).warnings
        assert f"{LOGS} has no logs, but there is snapshot.5" in warning
        (warning,) = DataDir(disk, "/d", "/l").restore(new_tree).warnings
        assert "/l/version-2 has no logs (it was just created)" in warning
        disk, _, _ = with_snapshots(0)
        assert restore(disk).warnings == []

    def test_the_announcement_outlives_a_failure(self) -> None:
        disk = MemoryDisk()
        disk.put("/d/initialize", b"")
        data = opened(disk, autocreate_db=False)

        def fault(operation: str, path: str) -> None:
            if operation == "rename":
                raise OSError(errno.EIO, "broken")

        disk.fault = fault
        with pytest.raises(Exception, match="broken"):
            data.restore(new_tree)
        disk.fault = None
        assert disk.exists("/d/initialize")
        assert data.restore(new_tree).last_zxid == 0 and not disk.exists("/d/initialize")
        disk.make_dirs("/d/initialize")
        with pytest.raises(DataDirError, match="/d/initialize is a directory; remove it"):
            data.restore(new_tree)

    def test_empty_snapshots_when_they_are_trusted(self) -> None:
        disk, payloads, _ = with_snapshots()
        put_log(disk, payloads, 1)
        disk.put(f"{LOGS}/snapshot.a", b"")
        with pytest.raises(CorruptLogError, match="no valid snapshot"):
            restore(disk)
        assert restore(disk, trust_empty=True).last_zxid == 20
        disk.put(f"{LOGS}/snapshot.40", b"")
        with pytest.raises(CorruptLogError, match="only reach zxid 0x14"):
            restore(disk, trust_empty=True)

    def test_trust_is_needed_once(self, tmp_path: Path) -> None:
        disk, payloads, _ = with_snapshots()
        put_log(disk, payloads, 1)
        config = attrs.evolve(embedded_config(data_dir="/d"), snapshot_trust_empty=True)
        store = Store(config, disk, Random(1))
        assert store.restore(new_tree).last_zxid == 20 and store.last_snapshot_zxid == 20
        store.close()
        disk.crash()
        assert restore(disk).snapshot_name == "snapshot.14"

    def test_an_unfinished_snapshot_of_zookeeper_beyond_the_logs(self) -> None:
        disk, payloads, _ = with_snapshots(0, 10)
        whole = disk.read_bytes(f"{LOGS}/snapshot.a")
        put_log(disk, payloads, 1)
        disk.put(f"{LOGS}/snapshot.30.tmp", whole[:-20])
        assert restore(disk).last_zxid == 20
        disk.put(f"{LOGS}/snapshot.30", whole[:-20])
        with pytest.raises(CorruptLogError, match="only reach"):
            restore(disk)

    def test_the_next_leader_had_dropped_ephemerals(self) -> None:
        disk, _, _ = with_snapshots(0)
        tree = new_tree()
        old = [
            payload(tree, (1 << 32) + 1, create("/p")),
            payload(tree, (1 << 32) + 2, create("/p/e", b"", None)),
        ]
        put_log(disk, old, (1 << 32) + 1)
        assert tree.drop_orphans() == [b"/p/e"] and SESSION not in tree.sessions
        new = [payload(tree, (2 << 32) + 1, create("/m")), payload(tree, (2 << 32) + 2, create("/p/n"))]
        put_log(disk, new, (2 << 32) + 1)
        restored = restore(disk)
        assert (restored.digest_mismatches, restored.tree.digest) == (0, tree.digest)
        assert b"/p/e" not in restored.tree.nodes

    def test_but_a_missing_transaction_is_seen_beside_orphans(self) -> None:
        disk, _, _ = with_snapshots(0)
        tree = new_tree()
        old = [payload(tree, (1 << 32) + 1, create("/e", b"", None))]
        put_log(disk, old, (1 << 32) + 1)
        payload(tree, (1 << 32) + 2, create("/lost"))
        tree.drop_orphans()
        put_log(disk, [payload(tree, (2 << 32) + 1, create("/m"))], (2 << 32) + 1)
        with pytest.raises(CorruptLogError, match="transactions are missing between"):
            restore(disk)


class TestUnreadable:
    @pytest.mark.parametrize("name", ["snapshot.0", "log.1"])
    @pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.EMFILE])
    def test_files_are_refused_not_skipped(self, name: str, error: int) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)

        def fault(operation: str, path: str) -> None:
            if operation == "read" and path.endswith(name):
                raise OSError(error, "no way", path)

        disk.fault = fault
        with pytest.raises(DataDirError) as caught:
            restore(disk)
        assert str(caught.value).startswith(f"Cannot read {LOGS}/{name}: no way.")
        assert str(caught.value).count(LOGS) == 1

    @pytest.mark.parametrize("name", ["snapshot.5", "log.1"])
    def test_what_is_no_file(self, tmp_path: Path, name: str) -> None:
        below = tmp_path / "version-2"
        with RealDisk() as disk:
            DataDir(disk, str(tmp_path)).restore(new_tree)
            (below / ".tmp-directory").mkdir()
            for make in (Path.mkdir, lambda path: path.symlink_to("nowhere")):
                make(below / name)
                with pytest.raises(DataDirError, match=f"Cannot read {below / name}: "):
                    DataDir(disk, str(tmp_path)).restore(new_tree)
                (below / name).rmdir() if (below / name).is_dir() else (below / name).unlink()


class TestLocks:
    def test_a_log_directory_belongs_to_one(self, tmp_path: Path) -> None:
        def config(name: str) -> Config:
            return attrs.evolve(
                embedded_config(data_dir=str(tmp_path / name)), data_log_dir=str(tmp_path / "logs")
            )

        with RealDisk() as disk:
            first = Store(config("one"), disk, Random(1))
            with pytest.raises(DataDirError, match=f"{tmp_path}/logs is in use by another zkpy"):
                Store(config("two"), disk, Random(1))
            first.close()
            for name in ("two", "one"):
                Store(config(name), disk, Random(1)).close()

    def test_a_lock_file_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / ".zkpy.lock").mkdir()
        with RealDisk() as disk, pytest.raises(DataDirError, match=r"Cannot lock .*/\.zkpy\.lock: Is a dir"):
            Store(embedded_config(data_dir=str(tmp_path)), disk, Random(1))


def test_names_are_safe_after_every_start() -> None:
    disk, payloads, _ = with_snapshots(0)
    put_log(disk, payloads, 1)
    asked: list[tuple[str, str]] = []
    disk.fault = lambda operation, where: asked.append((operation, where))
    restore(disk)
    assert ("sync_dir", "/d") in asked and ("sync_dir", "/") in asked


@pytest.mark.parametrize("content", [b"", b"rubbish", b"cut"])
def test_truncation_needs_a_snapshot_that_loads(content: bytes) -> None:
    disk, payloads, _ = with_snapshots(5, 15)
    put_log(disk, payloads, 1)
    whole = disk.read_bytes(f"{LOGS}/snapshot.5")
    disk.put(f"{LOGS}/snapshot.5", whole[:-9] if content == b"cut" else content)
    before = disk.list_dir(LOGS)
    assert not opened(disk).truncate(10)
    assert disk.list_dir(LOGS) == before
    disk.put(f"{LOGS}/snapshot.5", whole)
    assert opened(disk).truncate(10) and restore(disk).last_zxid == 10


def test_a_crafted_tail_takes_no_time() -> None:
    size = next(size for size in range(13 * 78_000, 1 << 20, 13) if size & 0xFF < 0x80)
    unit = b"B" + bytes(7) + b"\1" + size.to_bytes(4, "big")
    region = unit * (UNSYNCED_LIMIT // len(unit))
    assert "too much that looks like records" in str(damage(region, len(HEADER), 2 << 20))


def test_a_file_of_zeros_is_called_so() -> None:
    disk = MemoryDisk()
    disk.put("/l/log.1", bytes(1000))
    reader = LogReader(disk, "/l/log.1")
    assert list(reader) == [] and reader.torn == "all of its 1000 bytes are zero"
    disk.put("/l/log.0", b"rubbish" * 1000)
    with pytest.raises(CorruptLogError, match="offset 0: at the beginning: this is not a"):
        list(LogReader(disk, "/l/log.0"))
