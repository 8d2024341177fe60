"""What the explorer found, each kept as the smallest case."""

from __future__ import annotations

from zlib import adler32

import pytest
import trio

from tests.persist.crash.disk import SECTOR, CrashDisk
from tests.persist.crash.explore import play
from tests.persist.crash.history import Run, Settings
from tests.persist.crash.rule import Counts, judge_of
from tests.persist.records import create, new_tree, payload
from zkpy.errors import CorruptLogError, StorageError
from zkpy.persist.logreader import HEADER, MAX_ENTRY, LogReader
from zkpy.persist.torn import END_OF_RECORD, RECORD_HEAD, damage
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.persist.txnsnaplog import DataDir, parent_of


def record(data: bytes, zxid: int = 1) -> bytes:
    entry = payload(new_tree(), zxid, create("/n", data))
    return RECORD_HEAD.pack(adler32(entry), len(entry)) + entry + bytes((END_OF_RECORD,))


def flipped(content: bytes, bit: int) -> bytes:
    broken = bytearray(content)
    broken[bit // 8] ^= 1 << bit % 8
    return bytes(broken)


# -- writing -----------------------------------------------------------------------------------------------


def test_the_name_of_a_log_is_safe_before_the_next_log_has_one() -> None:
    disk = CrashDisk(directories=("/l",))
    calls: list[str] = []
    disk.on_call = lambda operation, path: calls.append(f"{operation} {path}")
    writer = TxnLogWriter(disk, "/l", prealloc_bytes=0)
    for zxid in (1, 2):
        writer.append(zxid, bytes(40))
        writer.roll()
    assert calls == [
        "create /l/.tmp-log.1",
        "write /l/.tmp-log.1",
        "rename /l/log.1",
        "sync /l/.tmp-log.1",
        "sync_dir /l",
        "create /l/.tmp-log.2",
        "write /l/.tmp-log.2",
        "rename /l/log.2",
    ]
    assert list(disk.least()) == ["/l/log.1"]


def test_a_name_that_could_not_be_synced_is_no_name() -> None:
    disk = CrashDisk(directories=("/l",))
    writer = TxnLogWriter(disk, "/l", prealloc_bytes=0)
    writer.append(1, bytes(40))
    writer.roll()

    def fail(operation: str, path: str) -> None:
        if operation == "sync_dir":
            raise OSError(5, "injected")

    disk.on_call = fail
    writer.append(2, bytes(40))
    for _ in range(2):
        with pytest.raises(StorageError, match="injected"):
            writer.flush()
    assert disk.list_dir("/l") == ["log.1"]


def test_a_truncated_log_has_a_safe_name() -> None:
    run = Run(Settings())
    trio.run(Run.append, run)
    run.writer.close()
    assert run.dirs.truncate(0)
    trio.run(Run.kill, run)
    run = Run(Settings())
    trio.run(Run.write, run)
    trio.run(Run.roll, run)
    trio.run(Run.append, run)
    run.writer.close()
    assert run.dirs.truncate(3)
    judge_of(run, Counts()).crash(run.disk.least(), [3], "truncated")


def test_directories_that_a_killed_process_made_get_safe_names() -> None:
    disk = CrashDisk(directories=("/x/d/version-2",))
    synced: list[str] = []
    disk.on_call = lambda operation, path: synced.append(path) if operation == "sync_dir" else None
    DataDir(disk, "/x/d").restore(new_tree)
    assert synced[:2] == ["/x", "/x/d"]
    assert [parent_of(path) for path in ("/a", "a", "/a/b", "a/b/")] == ["/", ".", "/a", "a"]


def test_a_purge_does_not_rely_on_names_that_are_not_safe() -> None:
    run = Run(Settings(separate=True))
    trio.run(play, run, ["write", "roll"])
    floor = run.floor

    def fail(operation: str, path: str) -> None:
        if (operation, path) == ("sync_dir", run.settings.snap_dir):
            raise OSError(5, "injected")

    run.disk.on_call = fail
    for _ in range(3):
        trio.run(play, run, ["write", "roll"])
        with pytest.raises(StorageError, match="injected"):
            trio.run(Run.snapshot, run)
        floor = run.floor
    with pytest.raises(OSError, match="injected"):
        trio.run(Run.purge, run)
    judge_of(run, Counts()).crash(run.disk.least(), [floor], "purged")
    for path in [path for path in run.disk.shown() if "/log." in path]:
        assert path in run.disk.least()


# -- telling a crash from damage ---------------------------------------------------------------------------


@pytest.mark.parametrize("at", [SECTOR - 7, SECTOR - 6, SECTOR - 5])
def test_the_first_bytes_of_a_checksum_can_be_what_is_missing(at: int) -> None:
    good = record(b"some data")
    cut = SECTOR - at
    assert damage(bytes(cut) + good[cut:], at, MAX_ENTRY) is None
    assert damage(b"\0\0\0\0\x01" + good[5:], at, MAX_ENTRY) == "checksum does not match"


def test_zeros_in_the_data_are_not_taken_for_a_missing_sector() -> None:
    good = record(bytes(4 * SECTOR)) + record(b"next", 2)
    size = len(record(bytes(4 * SECTOR)))
    for bit in range(0, size * 8, 7):
        broken = flipped(good, bit)
        if broken[12 : size - 1] != good[12 : size - 1] or bit // 8 in (*range(12), size - 1):
            assert damage(broken, len(HEADER), MAX_ENTRY) is not None, bit


def test_missing_sectors_are_told_beside_zeros_in_the_data() -> None:
    good = record(b"x" * 700 + bytes(2 * SECTOR) + b"y" * 700)
    for sector in (1, 3):
        start = sector * SECTOR - len(HEADER)
        lost = good[:start] + bytes(SECTOR) + good[start + SECTOR :]
        assert damage(lost, len(HEADER), MAX_ENTRY) is None


def test_the_last_byte_may_be_what_a_block_held_before() -> None:
    good = record(b"some data")
    assert damage(good[:-1] + b"\x81old", len(HEADER), MAX_ENTRY) is None
    assert damage(good[:-1] + b"\x43old", len(HEADER), MAX_ENTRY) == "end-of-record byte is damaged"
    behind = good[:-1] + b"\x81" + record(b"later", 2)
    assert damage(behind, len(HEADER), MAX_ENTRY, 0) == "end-of-record byte is damaged"


def test_older_records_behind_an_unfinished_one_are_no_loss() -> None:
    begun = record(b"some data", 9)[:30] + b"B"
    assert damage(begun + record(b"old", 5), len(HEADER), MAX_ENTRY, 8) is None
    assert "there is one at offset" in str(damage(begun + record(b"new", 10), len(HEADER), MAX_ENTRY, 8))


def test_the_message_names_the_transaction_before() -> None:
    good = record(b"one", 3) + record(b"two", 4)
    disk = CrashDisk({"/l/log.3": HEADER + flipped(good, 8 * (len(good) - 20))})
    with pytest.raises(CorruptLogError, match=r"/l/log\.3: offset \d+: after zxid 0x3: checksum"):
        list(LogReader(disk, "/l/log.3"))
    disk = CrashDisk({"/l/log.3": HEADER + flipped(good, 200)})
    with pytest.raises(CorruptLogError, match=r"offset 16: before zxid 0x3: checksum"):
        list(LogReader(disk, "/l/log.3"))


def test_a_hole_before_a_new_epoch_is_seen_by_the_digest() -> None:
    run = Run(Settings(), 7)
    for action in (Run.write, Run.write, Run.write, Run.truncate, Run.write, Run.write):
        trio.run(action, run)
    assert run.last > 1 << 32
    first = f"{run.settings.log_dir}/{run.dirs.logs()[0].name}"
    reader = LogReader(run.disk, first)
    ends = [(reader.end, entry.zxid) for entry in reader]
    image = dict(run.disk.shown())
    judge = judge_of(run, Counts())
    assert not judge.damage(image, run.last, "whole")
    for end, _ in ends[:-1]:
        assert judge.damage({**image, first: image[first][:end]}, run.last, f"cut at {end}")
