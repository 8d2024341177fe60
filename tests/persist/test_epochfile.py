"""The epoch files: what is read, what is refused, and what a crash at any moment leaves."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

import pytest

from zkpy.errors import DataDirError, StorageError
from zkpy.persist.epochfile import EpochFiles
from zkpy.persist.memorydisk import MemoryDisk

pytestmark = pytest.mark.trio

DIR = "/d/version-2"
ACCEPTED, CURRENT = f"{DIR}/acceptedEpoch", f"{DIR}/currentEpoch"


def disk_with(**files: bytes) -> MemoryDisk:
    """A directory with these files; ``currentEpoch_tmp`` is ``currentEpoch.tmp``."""
    disk = MemoryDisk()
    disk.make_dirs(DIR)
    disk.sync_dir_now(DIR)
    for name, content in files.items():
        disk.put(f"{DIR}/{name.replace('_', '.')}", content)
    return disk


def loaded(disk: MemoryDisk, last_zxid: int = 0) -> EpochFiles:
    files = EpochFiles(disk, DIR)
    files.load(last_zxid)
    return files


def both(files: EpochFiles) -> tuple[int, int]:
    return files.accepted, files.current


async def test_missing_files_are_made_from_the_last_zxid() -> None:
    disk = disk_with()
    assert both(loaded(disk, 0x700000003)) == (7, 7)
    disk.crash()
    assert disk.list_dir(DIR) == ["acceptedEpoch", "currentEpoch"]
    assert disk.read_bytes(ACCEPTED) == disk.read_bytes(CURRENT) == b"7"


@pytest.mark.parametrize("text", [b"5", b"5\n", b"5\r\nrest", b"+5", b"005"])
async def test_the_number_stands_on_the_first_line(text: bytes) -> None:
    assert both(loaded(disk_with(acceptedEpoch=text, currentEpoch=text), 0x500000000)) == (5, 5)


@pytest.mark.parametrize("text", [b"", b"5 ", b" 5", b"\n5", b"0x5", b"five", b"9223372036854775808", b"5.0"])
@pytest.mark.parametrize("name", ["acceptedEpoch", "currentEpoch"])
async def test_anything_else_is_refused(name: str, text: bytes) -> None:
    disk = disk_with(**{"acceptedEpoch": b"5", "currentEpoch": b"5"} | {name: text})
    with pytest.raises(DataDirError, match=name):
        loaded(disk)


async def test_a_current_epoch_above_the_database_is_normal() -> None:
    assert both(loaded(disk_with(acceptedEpoch=b"9", currentEpoch=b"8"), 0x300000001)) == (9, 8)


async def test_a_current_epoch_below_the_database_is_refused() -> None:
    with pytest.raises(DataDirError, match="epoch 4, but the database is of epoch 5"):
        loaded(disk_with(acceptedEpoch=b"5", currentEpoch=b"4"), 0x500000001)


async def test_unless_an_interrupted_write_tells_the_value() -> None:
    disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4", currentEpoch_tmp=b"5")
    assert both(loaded(disk, 0x500000001)) == (5, 5)
    disk.crash()
    assert both(loaded(disk, 0x500000001)) == (5, 5)
    assert disk.list_dir(DIR) == ["acceptedEpoch", "currentEpoch"]


async def test_an_interrupted_write_that_was_never_synced_is_made_durable() -> None:
    disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4")
    disk.create(f"{CURRENT}.tmp").write(b"5")
    assert both(loaded(disk, 0x500000001)) == (5, 5)
    disk.crash()
    assert both(loaded(disk, 0x500000001)) == (5, 5)


async def test_an_interrupted_write_is_of_no_interest_otherwise() -> None:
    disk = disk_with(acceptedEpoch=b"6", currentEpoch=b"5", currentEpoch_tmp=b"6")
    assert both(loaded(disk, 0x500000001)) == (6, 5)


async def test_an_interrupted_write_without_number_does_not_help() -> None:
    with pytest.raises(DataDirError):
        loaded(disk_with(acceptedEpoch=b"5", currentEpoch=b"4", currentEpoch_tmp=b""), 0x500000001)


@pytest.mark.parametrize("accepted", [{"acceptedEpoch": b"4"}, {}])
async def test_an_accepted_epoch_below_the_current_one_is_refused(accepted: dict[str, bytes]) -> None:
    with pytest.raises(DataDirError, match="acceptedEpoch"):
        loaded(disk_with(currentEpoch=b"5", **accepted), 0x400000001)


async def test_an_unreadable_file_is_refused() -> None:
    disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"5")

    def broken(operation: str, path: str) -> None:
        raise PermissionError(errno.EACCES, "permission denied", path)

    disk.fault = broken
    with pytest.raises(DataDirError, match="permission denied"):
        loaded(disk)


async def test_changes_are_durable() -> None:
    disk = disk_with()
    files = loaded(disk)
    await files.accept(12)
    await files.enter(12)
    assert both(files) == (12, 12)
    disk.crash()
    assert both(loaded(disk)) == (12, 12)
    assert disk.read_bytes(CURRENT) == b"12"


async def test_epochs_never_go_back() -> None:
    files = loaded(disk_with(acceptedEpoch=b"5", currentEpoch=b"4"))
    with pytest.raises(AssertionError):
        await files.accept(4)
    with pytest.raises(AssertionError):
        await files.enter(3)
    with pytest.raises(AssertionError):
        await files.enter(6)


class PowerOff(Exception):
    """The machine ends here."""


Step = Callable[[EpochFiles], Awaitable[None]]
STEPS: dict[str, Step] = {
    "accept": lambda files: files.accept(6),
    "enter": lambda files: files.enter(5),
    "prepare": lambda files: files.prepare(5),
}


def fails_at(disk: MemoryDisk, call: int, error: Exception) -> list[str]:
    """Let the *call*-th operation fail; the list tells which have been tried."""
    calls: list[str] = []

    def fault(operation: str, path: str) -> None:
        calls.append(operation)
        if len(calls) == call:
            raise error

    disk.fault = fault
    return calls


@pytest.mark.parametrize("power_off", [False, True], ids=["killed", "power off"])
@pytest.mark.parametrize("name", STEPS)
async def test_a_crash_at_any_call_leaves_the_old_or_the_new_value(name: str, power_off: bool) -> None:
    call = 0
    while True:
        call += 1
        disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4")
        files = loaded(disk, 0x400000001)
        calls = fails_at(disk, call, PowerOff())
        try:
            await STEPS[name](files)
        except PowerOff:
            disk.fault = None
            if power_off:
                disk.crash()
            wanted = {"accept": (6, 4), "enter": (5, 5), "prepare": (5, 4)}[name]
            assert both(loaded(disk, 0x400000001)) in ((5, 4), wanted)
        else:
            break
    assert calls.count("sync") >= 1 and calls.count("sync_dir") == 1
    disk.fault = None
    disk.crash()
    assert both(loaded(disk, 0x400000001)) == both(files)


@pytest.mark.parametrize("name", STEPS)
async def test_a_failing_disk_is_reported_and_nothing_is_promised(name: str) -> None:
    call = 0
    while True:
        call += 1
        disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4")
        files = loaded(disk, 0x400000001)
        calls = fails_at(disk, call, OSError(errno.EIO, "input/output error"))
        try:
            await STEPS[name](files)
        except StorageError as error:
            failure = str(error)
        else:
            break
        assert "input/output error" in failure
        assert both(files) == (5, 4)
    assert call > len([one for one in calls if one != "list"]) > 3


@pytest.mark.parametrize("power_off", [False, True], ids=["killed", "power off"])
async def test_prepared_no_crash_leaves_a_directory_that_is_refused(power_off: bool) -> None:
    """From `prepare` on transactions of the new epoch may be in the log, until `enter` is through."""
    call = 0
    while True:
        call += 1
        disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4")
        files = loaded(disk, 0x400000001)
        await files.prepare(5)
        fails_at(disk, call, PowerOff())
        try:
            await files.enter(5)
        except PowerOff:
            disk.fault = None
            if power_off:
                disk.crash()
            assert both(loaded(disk, 0x500000001)) == (5, 5)
        else:
            break
    assert call > 2


async def test_a_crash_while_an_interrupted_write_is_completed() -> None:
    call = 0
    while True:
        call += 1
        disk = disk_with(acceptedEpoch=b"5", currentEpoch=b"4", currentEpoch_tmp=b"5")
        fails_at(disk, call, PowerOff())
        try:
            loaded(disk, 0x500000001)
        except PowerOff:
            disk.fault = None
            disk.crash()
            assert both(loaded(disk, 0x500000001)) == (5, 5)
        else:
            break
    assert call > 4


async def test_a_missing_file_that_cannot_be_made_is_reported() -> None:
    disk = disk_with()

    def full(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(errno.ENOSPC, "no space left", path)

    disk.fault = full
    with pytest.raises(StorageError, match="no space left"):
        loaded(disk)
    assert disk.list_dir(DIR) == []
