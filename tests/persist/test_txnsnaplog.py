"""Opening a data directory: what is taken, what is refused, and what is repaired."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from tests.persist.records import (
    EXAMPLE,
    SESSION,
    all_kinds,
    contents,
    create,
    history,
    log_bytes,
    new_tree,
    payload,
)
from zkpy import opcodes
from zkpy.errors import CorruptLogError, DataDirError, StorageError
from zkpy.persist.logreader import HEADER
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.snapshot import write_snapshot_now
from zkpy.persist.txnsnaplog import DataDir, Restored
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK
from zkpy.tree.txns import DIGEST, SetData, TxnHeader, encode_payload

LOGS = "/d/version-2"


def opened(disk: MemoryDisk, **options: bool) -> DataDir:
    return DataDir(disk, "/d", **options)


def restore(disk: MemoryDisk, **options: bool) -> Restored:
    return opened(disk, **options).restore(new_tree)


def with_snapshots(*zxids: int, epoch: int = 0, upto: int = 20) -> tuple[MemoryDisk, list[bytes], DataTree]:
    """A disk with snapshots at these zxids and the payloads of all transactions up to *upto*."""
    disk = MemoryDisk()
    disk.make_dirs(LOGS)
    tree = new_tree()
    payloads = []
    if 0 in zxids:
        write_snapshot_now(disk, LOGS, tree.view())
    for at in range(1, upto + 1):
        zxid = (epoch << 32) + at
        payloads.append(payload(tree, zxid, create(f"/n{at}", b"x" * at, parent_cversion=at)))
        if at in zxids:
            write_snapshot_now(disk, LOGS, tree.view())
    return disk, payloads, tree


def put_log(disk: MemoryDisk, payloads: list[bytes], first: int, more: bytes = b"") -> str:
    path = f"{LOGS}/log.{first:x}"
    disk.put(path, log_bytes(payloads, first) + more)
    return path


class TestDirectories:
    def test_are_created(self) -> None:
        disk = MemoryDisk()
        data = DataDir(disk, "/a", "/b")
        assert disk.is_dir("/a/version-2") and disk.is_dir("/b/version-2")
        assert (data.data_dir_size(), data.log_dir_size()) == (0, 0)
        data.restore(new_tree)
        assert (data.data_dir_size(), data.log_dir_size()) == (478, 0)

    def test_are_not_created_when_forbidden(self) -> None:
        with pytest.raises(DataDirError, match="Missing data directory /d/version-2, automatic"):
            opened(MemoryDisk(), autocreate_dirs=False)

    def test_that_cannot_be_created(self) -> None:
        disk = MemoryDisk()

        def fault(operation: str, path: str) -> None:
            raise OSError(errno.EROFS, "read-only")

        disk.fault = fault
        with pytest.raises(DataDirError, match="Unable to create data directory"):
            opened(disk)

    def test_exchanged(self) -> None:
        disk = MemoryDisk()
        disk.put("/b/version-2/snapshot.0", b"")
        with pytest.raises(DataDirError, match="Log directory has snapshot files"):
            DataDir(disk, "/a", "/b")
        disk.put("/c/version-2/log.1", b"")
        with pytest.raises(DataDirError, match="Snapshot directory has log files"):
            DataDir(disk, "/c", "/e")


class TestWithoutSnapshot:
    def test_an_empty_database_is_written(self) -> None:
        disk = MemoryDisk()
        restored = restore(disk)
        assert (restored.last_zxid, restored.snapshot_name) == (0, "snapshot.0")
        disk.crash()
        assert disk.list_dir(LOGS) == ["snapshot.0"]

    def test_unless_it_is_not_trusted(self) -> None:
        disk = MemoryDisk()
        assert restore(disk, autocreate_db=False).last_zxid == -1
        assert disk.list_dir(LOGS) == []

    def test_but_announced_it_is(self) -> None:
        disk = MemoryDisk()
        disk.put("/d/initialize", b"")
        assert restore(disk, autocreate_db=False).last_zxid == 0
        assert not disk.exists("/d/initialize")

    def test_logs_alone_are_refused(self) -> None:
        disk, payloads, tree = with_snapshots()
        put_log(disk, payloads, 1)
        text = "No snapshot found, but there are log entries. Something is broken!"
        with pytest.raises(CorruptLogError, match=text):
            restore(disk)
        restored = restore(disk, trust_empty=True)
        assert contents(restored.tree) == contents(tree)

    def test_a_broken_first_snapshot_of_an_empty_database_is_no_loss(self) -> None:
        disk = MemoryDisk()
        disk.put(f"{LOGS}/snapshot.0", b"ZKSN")
        assert restore(disk).last_zxid == 0
        assert restore(disk).warnings == []

    def test_a_broken_only_snapshot_is_refused(self) -> None:
        disk = MemoryDisk()
        disk.put(f"{LOGS}/snapshot.5", b"ZKSN")
        with pytest.raises(CorruptLogError, match="no valid snapshot"):
            restore(disk)
        put_log(disk, with_snapshots()[1], 1)
        with pytest.raises(CorruptLogError, match="no valid snapshot"):
            restore(disk, trust_empty=True)


class TestReplay:
    def test_every_type(self) -> None:
        disk = MemoryDisk()
        restore(disk)
        payloads, tree = history(all_kinds())
        put_log(disk, payloads, 1)
        restored = restore(disk)
        assert contents(restored.tree) == contents(tree)
        assert (restored.entries, restored.digest_mismatches) == (len(payloads), 0)
        assert list(restored.recent) == list(enumerate(payloads, 1))
        restored.tree.check_invariants()

    def test_a_log_of_zookeeper(self) -> None:
        disk = MemoryDisk()
        restore(disk)
        disk.put(f"{LOGS}/log.1", EXAMPLE + bytes(5000))
        restored = restore(disk)
        assert (restored.last_zxid, restored.digest_mismatches, restored.warnings) == (2, 0, [])

    def test_newest_snapshot_and_what_follows(self) -> None:
        disk, payloads, tree = with_snapshots(0, 5, 12)
        put_log(disk, payloads[:8], 1)
        put_log(disk, payloads[8:], 9)
        restored = restore(disk)
        assert (restored.snapshot_zxid, restored.entries, restored.last_zxid) == (12, 8, 20)
        assert contents(restored.tree) == contents(tree)

    def test_epochs_share_a_file(self) -> None:
        disk, _, tree = with_snapshots(0, upto=0)
        zxids = [0x100000001, 0x100000002, 0x200000001, 0x500000001, 0x500000002]
        payloads = [payload(tree, zxid, create(f"/z{zxid}")) for zxid in zxids]
        content = b"".join(log_bytes([entry], 1)[16:] for entry in payloads)
        disk.put(f"{LOGS}/log.100000001", HEADER + content)
        assert restore(disk).last_zxid == zxids[-1]

    def test_a_snapshot_may_be_ahead_of_the_log(self) -> None:
        disk, payloads, _ = with_snapshots(15)
        put_log(disk, payloads[:6], 1)
        assert restore(disk).last_zxid == 15

    def test_a_fuzzy_snapshot_is_completed(self) -> None:
        disk, payloads, tree = with_snapshots(0, 12)
        disk.rename(f"{LOGS}/snapshot.c", f"{LOGS}/snapshot.7")
        put_log(disk, payloads, 1)
        restored = restore(disk)
        assert (restored.snapshot_zxid, restored.entries, restored.digest_mismatches) == (7, 13, 0)
        assert restored.warnings == []
        assert contents(restored.tree) == contents(tree)
        disk.put(f"{LOGS}/log.1", log_bytes(payloads[:9], 1))
        assert "ends before zxid 0xc" in restore(disk).warnings[0]

    def test_wrong_digests_are_counted_only(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        payloads[3] = payloads[3][: -DIGEST.size] + DIGEST.pack(2, 12345)
        payloads[4] = payloads[4][: -DIGEST.size]
        put_log(disk, payloads, 1)
        restored = restore(disk)
        assert (restored.digest_mismatches, len(restored.warnings), restored.last_zxid) == (1, 1, 20)

    def test_an_undecodable_entry_is_refused(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        header = TxnHeader(SESSION, 1, 4, 1)
        for bad in (
            encode_payload(header, opcodes.CHECK, b"\0\0\0\1/\0\0\0\1", b""),
            encode_payload(header, opcodes.SET_DATA, b"\0\0\0\1/", b""),
            encode_payload(header, opcodes.DELETE, b"\x7f\0\0\0/", b""),
        ):
            put_log(disk, [*payloads[:3], bad], 1)
            with pytest.raises(CorruptLogError, match="zxid 0x4"):
                restore(disk)


class TestHoles:
    @pytest.mark.parametrize("gone", [0, 1, 2])
    def test_a_missing_log_is_refused(self, gone: int) -> None:
        disk, payloads, _ = with_snapshots(0)
        for at, first in enumerate((1, 6, 11, 16)):
            if at != gone:
                put_log(disk, payloads[first - 1 : first + 4], first)
        with pytest.raises(CorruptLogError, match="transactions are missing"):
            restore(disk)

    def test_a_missing_entry_is_refused(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        disk.put(f"{LOGS}/log.1", log_bytes(payloads[:5]) + log_bytes(payloads[6:])[16:])
        with pytest.raises(CorruptLogError, match="next is 0x7"):
            restore(disk)

    def test_a_missing_beginning_of_an_epoch_is_refused(self) -> None:
        disk, _, tree = with_snapshots(0, upto=0)
        put_log(disk, [payload(tree, 0x200000002, create("/x"))], 0x200000002)
        with pytest.raises(CorruptLogError, match="missing"):
            restore(disk)

    def test_holes_below_the_snapshot_do_not_matter(self) -> None:
        disk, payloads, tree = with_snapshots(10)
        put_log(disk, payloads[:3], 1, more=b"damaged beyond repair")
        put_log(disk, payloads[10:], 11)
        assert contents(restore(disk).tree) == contents(tree)

    def test_an_earlier_log_cut_anywhere_is_refused_or_harmless(self) -> None:
        disk, payloads, tree = with_snapshots(0, upto=8)
        content = log_bytes(payloads[:4])
        put_log(disk, payloads[4:], 5)
        for cut in range(len(content)):
            for padding in (0, 600):
                disk.put(f"{LOGS}/log.1", content[:cut] + bytes(padding))
                with pytest.raises(CorruptLogError):
                    restore(disk)
        disk.put(f"{LOGS}/log.1", content + b"\0\0\0\0torn")
        restored = restore(disk)
        assert contents(restored.tree) == contents(tree)

    def test_a_torn_earlier_log_before_another_epoch_is_refused(self) -> None:
        disk, payloads, tree = with_snapshots(0, epoch=1, upto=4)
        path = put_log(disk, payloads, 0x100000001, more=b"\0\0\0\0\1\2")
        put_log(disk, [payload(tree, 0x200000001, create("/x"))], 0x200000001)
        with pytest.raises(CorruptLogError, match="later transactions follow") as caught:
            restore(disk)
        assert caught.value.file == path

    def test_overlap_must_agree(self) -> None:
        disk, payloads, tree = with_snapshots(0)
        put_log(disk, payloads[:12], 1)
        put_log(disk, payloads[9:], 10)
        assert contents(restore(disk).tree) == contents(tree)
        other = encode_payload(TxnHeader(1, 1, 11, 1), 5, SetData(5, b"/", b"", 1).encode(), b"")
        put_log(disk, [payloads[9], other, *payloads[11:]], 10)
        with pytest.raises(CorruptLogError, match="comes again"):
            restore(disk)

    def test_no_flipped_bit_in_any_file_goes_unnoticed(self) -> None:
        disk, payloads, tree = with_snapshots(0, upto=6)
        want = contents(tree)
        paths = [put_log(disk, payloads[:3], 1), put_log(disk, payloads[3:], 4), f"{LOGS}/snapshot.0"]
        originals = {path: disk.read_bytes(path) for path in paths}
        for path, content in originals.items():
            for bit in range(len(content) * 8):
                damaged = bytearray(content)
                damaged[bit // 8] ^= 1 << bit % 8
                disk.put(path, bytes(damaged))
                try:
                    restored = restore(disk)
                except CorruptLogError:
                    continue
                assert contents(restored.tree) == want
            disk.put(path, content)


class TestOlderSnapshot:
    def test_serves_when_the_logs_lead_on(self) -> None:
        disk, payloads, tree = with_snapshots(0, 10)
        put_log(disk, payloads, 1)
        disk.put(f"{LOGS}/snapshot.a", b"ZKSN")
        restored = restore(disk)
        assert (restored.snapshot_zxid, restored.last_zxid) == (0, 20)
        assert "snapshot.a is not a valid snapshot" in restored.warnings[0]
        assert contents(restored.tree) == contents(tree)

    def test_does_not_when_they_end_before(self) -> None:
        disk, payloads, _ = with_snapshots(0, 10)
        put_log(disk, payloads[:9], 1)
        disk.put(f"{LOGS}/snapshot.a", b"ZKSN")
        with pytest.raises(CorruptLogError, match="only reach zxid 0x9"):
            restore(disk)

    def test_of_a_leadership_without_transactions_covers_nothing_new(self) -> None:
        disk, payloads, _ = with_snapshots(0, epoch=1)
        put_log(disk, payloads, 0x100000001)
        disk.put(f"{LOGS}/snapshot.200000000", b"")
        assert restore(disk).last_zxid == 0x100000014

    def test_sessions_of_a_broken_one_are_forgotten(self) -> None:
        disk = MemoryDisk()
        restore(disk)
        payloads, tree = history(all_kinds())
        put_log(disk, payloads, 1)
        open_tree = history(all_kinds()[:3])[1]
        write_snapshot_now(disk, LOGS, open_tree.view())
        content = bytearray(disk.read_bytes(f"{LOGS}/snapshot.3"))
        content[-70] ^= 1
        disk.put(f"{LOGS}/snapshot.3", bytes(content))
        restored = restore(disk)
        assert restored.tree.sessions == tree.sessions == {}


class TestRepair:
    def test_a_torn_end_is_cut_so_that_the_next_start_finds_no_hole(self) -> None:
        disk, payloads, tree = with_snapshots(0)
        path = put_log(disk, payloads[:10], 1)
        content = disk.read_bytes(path)
        for cut in range(len(content) - 20, len(content)):
            for padding in (0, 3000):
                disk.put(path, content[:cut] + bytes(padding))
                restored = restore(disk)
                assert restored.last_zxid == 9 and "cut off" in restored.warnings[0]
                put_log(disk, payloads[9:], 10)
                again = restore(disk)
                assert contents(again.tree) == contents(tree) and again.warnings == []
                disk.remove(f"{LOGS}/log.a")

    @pytest.mark.parametrize("content", [b"", b"Z", HEADER[:15], bytes(16), bytes(5000)])
    def test_a_header_that_never_got_there_is_removed(self, content: bytes) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)
        disk.put(f"{LOGS}/log.15", content)
        restored = restore(disk)
        assert restored.last_zxid == 20
        assert not disk.exists(f"{LOGS}/log.15")

    def test_unfinished_files_go_and_others_stay(self) -> None:
        disk, _, _ = with_snapshots(0)
        for name in (".tmp-snapshot.5", ".tmp-log.5", "currentEpoch", "acceptedEpoch.tmp"):
            disk.put(f"{LOGS}/{name}", b"1")
        opened(disk).restore(new_tree, repair=False)
        assert disk.exists(f"{LOGS}/.tmp-snapshot.5")
        restore(disk)
        assert disk.list_dir(LOGS) == ["acceptedEpoch.tmp", "currentEpoch", "snapshot.0"]

    def test_the_end_is_put_on_the_medium_again(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        path = put_log(disk, payloads, 1)
        asked: list[tuple[str, str]] = []
        disk.fault = lambda operation, where: asked.append((operation, where))
        restore(disk)
        assert ("rewrite", path) in asked and asked[-2:] == [("sync_dir", LOGS), ("list", LOGS)]

    def test_a_failing_disk_is_a_storage_error(self) -> None:
        disk, payloads, _ = with_snapshots(0)
        put_log(disk, payloads, 1)

        def fault(operation: str, path: str) -> None:
            if operation == "rewrite":
                raise OSError(errno.EIO, "broken")

        disk.fault = fault
        with pytest.raises(StorageError, match="broken"):
            restore(disk)


class TestTruncate:
    def test_to_every_zxid(self) -> None:
        for zxid in range(21):
            disk, payloads, _ = with_snapshots(0, 8, 15)
            put_log(disk, payloads[:8], 1)
            put_log(disk, payloads[8:], 9)
            assert opened(disk).truncate(zxid)
            restored = restore(disk)
            assert restored.last_zxid == zxid
            assert restored.tree.digest & MASK == with_snapshots(upto=zxid)[2].digest & MASK

    def test_not_to_a_zxid_that_is_not_there(self) -> None:
        disk, payloads, _ = with_snapshots(0, epoch=1)
        put_log(disk, payloads, 0x100000001)
        before = disk.list_dir(LOGS)
        assert not opened(disk).truncate(0x200000001)
        assert not opened(disk).truncate(0x100000000)
        assert disk.list_dir(LOGS) == before and restore(disk).last_zxid == 0x100000014

    def test_not_without_a_snapshot_to_start_from(self) -> None:
        disk, payloads, _ = with_snapshots(10)
        put_log(disk, payloads, 1)
        assert not opened(disk).truncate(5)

    def test_a_crash_in_between_leaves_a_state_from_before(self) -> None:
        for steps in range(12):
            disk, payloads, _ = with_snapshots(0, 15)
            for first in (1, 9, 17):
                put_log(disk, payloads[first - 1 : first + 7], first)
            count = 0

            def fault(operation: str, path: str, steps: int = steps) -> None:
                nonlocal count
                if operation in ("remove", "truncate", "sync_dir"):
                    count += 1
                    if count > steps:
                        raise OSError(errno.EIO, "crash")

            disk.fault = fault
            with suppress(StorageError):
                opened(disk).truncate(5)
            disk.fault = None
            disk.crash()
            assert restore(disk).last_zxid in (5, 8, 16, 20)


def test_entries_for_a_learner() -> None:
    disk, payloads, _ = with_snapshots(0)
    put_log(disk, payloads[:9], 1)
    put_log(disk, payloads[9:], 10)
    entries = list(opened(disk).entries_after(6))
    assert [(entry.zxid, entry.payload) for entry in entries] == list(enumerate(payloads, 1))[6:]
    disk.remove(f"{LOGS}/log.1")
    with pytest.raises(CorruptLogError, match="missing"):
        list(opened(disk).entries_after(6))
