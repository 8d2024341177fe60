"""The explorer's part in every test run: small histories whole, large ones by sample."""

from __future__ import annotations

import errno
import random

import pytest
import trio

from tests.persist.crash import explore
from tests.persist.crash.disk import SECTOR, CrashDisk
from tests.persist.crash.explore import LAYOUTS, SMALL, ZEROS, settled
from tests.persist.crash.history import ACTIONS, Run, Settings
from tests.persist.crash.rule import Counts, Refused, Violation, judge_of


@pytest.mark.parametrize("action", ACTIONS)
def test_a_crash_at_every_call(action: str) -> None:
    counts = Counts()
    explore.sequences(Run, [(action,)], counts, limit=32, second=2, torn=31)
    assert counts.refusals == 0


def test_a_crash_in_pairs_of_actions() -> None:
    counts = Counts()
    explore.sequences(Run, list(explore.all_sequences(2))[::19], counts, layouts=LAYOUTS, limit=16, torn=61)
    assert counts.points > 500


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_call_fails(action: str, sticky: bool) -> None:
    counts = Counts()
    error = errno.ENOSPC if sticky else errno.EIO
    explore.fail_everywhere(
        Run, ("append", action), SMALL[sticky], counts, error=error, sticky=sticky, limit=4
    )
    assert counts.faults > 0


@pytest.mark.parametrize("seed", [0, 39])
def test_long_histories(seed: int) -> None:
    explore.long_history(Run, seed, 15, Counts(), limit=3)


@pytest.mark.parametrize(("settings", "step"), [(SMALL[0], 1), (LAYOUTS[2], 29), (LAYOUTS[3], 29)])
def test_every_cut_of_the_newest_log(settings: Settings, step: int) -> None:
    counts = Counts()
    explore.cuts(settled(Run, settings), counts, step)
    assert counts.points > 50


@pytest.mark.parametrize("whole", [False, True])
def test_flipped_bits(whole: bool) -> None:
    counts = Counts()
    run = settled(Run, SMALL[0], whole=whole)
    explore.flips(run, run.disk.shown(), counts, 23)
    assert 0 < counts.refusals < counts.points


def test_flipped_bits_beside_zeros() -> None:
    run = settled(Run, ZEROS, whole=True)
    path, _, _ = explore.newest_log(run)
    counts = Counts()
    explore.flips(run, [path], counts, 101)
    assert counts.refusals > counts.points - 20


def test_exchanged_sectors_and_missing_files() -> None:
    counts = Counts()
    run = settled(Run, LAYOUTS[2], whole=True)
    logs = [f"{run.settings.log_dir}/{file.name}" for file in run.dirs.logs()]
    explore.sectors(run, logs[:-1], counts)
    assert all(explore.missing(run, logs[:-1], counts).values())
    run = settled(Run, SMALL[0])
    assert not any(explore.missing(run, [f"{run.settings.snap_dir}/snapshot.c"], counts).values())


# -- the tools themselves ----------------------------------------------------------------------------------


def written(*pieces: bytes) -> CrashDisk:
    """A synced, empty file /d/f, and these writes."""
    disk = CrashDisk(directories=("/d",))
    file = disk.create("/d/f")
    disk.sync_dir_now("/d")
    for piece in pieces:
        file.write(piece)
    return disk


def contents_of(disk: CrashDisk, limit: int = 64) -> set[bytes | None]:
    return {image.get("/d/f") for image in disk.images(limit, random.Random(1))}


def test_unsynced_sectors_are_lost_in_any_order() -> None:
    first, second = b"a" * SECTOR, b"b" * 10
    found = contents_of(written(first, second))
    gap = bytes(SECTOR)
    padded = second.rjust(10)
    assert found == {b"", gap + bytes(10), first, first + bytes(10), gap + padded, first + padded}


def test_a_sector_has_the_versions_that_it_had() -> None:
    found = contents_of(written(b"one", b"two"))
    assert found == {b"", b"one", b"onetwo", bytes(6), b"one\0\0\0"}


def test_writes_are_torn_anywhere() -> None:
    disk = written(b"one", b"two")
    assert {image["/d/f"] for image in disk.torn()} == {
        b"one",
        b"onet",
        b"onetw",
        b"one\0\0\0",
        b"onet\0\0",
        b"onetw\0",
    }


def test_what_is_synced_stays() -> None:
    disk = CrashDisk(directories=("/d",))
    file = disk.create("/d/f")
    file.write(b"safe")
    file.sync_now()
    assert contents_of(disk) == {None, b"safe"}
    disk.sync_dir_now("/d")
    file.write(b"more")
    assert contents_of(disk) == {b"safe", b"safemore", b"safe\0\0\0\0"}
    disk.truncate("/d/f", 2)
    assert contents_of(disk) == {b"sa"}


def test_names_are_lost_one_by_one() -> None:
    disk = CrashDisk({"/d/a": b"1", "/d/b": b"2"})
    disk.remove("/d/a")
    disk.rename("/d/b", "/d/c")
    found = {tuple(sorted(image)) for image in disk.images(64, random.Random(1))}
    assert found == {("/d/a", "/d/b"), ("/d/b",), ("/d/a", "/d/c"), ("/d/c",)}


def test_a_failed_sync_leaves_the_cache_behind() -> None:
    disk = written(b"lost")

    def fail(operation: str, path: str) -> None:
        if operation == "sync":
            raise OSError(errno.EIO, "injected")

    disk.on_call = fail
    file = disk.open_read("/d/f")
    writer = disk.create("/d/g")
    writer.write(b"x")
    with pytest.raises(OSError):
        writer.sync_now()
    assert file.read(9) == b"lost"
    assert disk.shown()["/d/g"] == b"x"
    disk.on_call = None
    writer.sync_now()
    disk.sync_dir_now("/d")
    assert disk.least()["/d/g"] == b"\0"
    disk.rewrite("/d/g", 0, 1)
    assert disk.least()["/d/g"] == b"x"


def test_the_rule_sees_what_is_wrong() -> None:
    run = settled(Run, SMALL[0])
    judge = judge_of(run, Counts())
    image = dict(run.disk.shown())
    judge.crash(image, [run.last], "as it is")
    with pytest.raises(Violation, match="ends with"):
        judge.crash(image, [run.last + 1], "too little")
    path, content, _ = explore.newest_log(run)
    with pytest.raises(Violation, match="lost without a word"):
        judge.damage({**image, path: content[:-1]}, run.last, "cut")
    with pytest.raises(Refused, match="refused though"):
        judge.crash({**image, path: content[:-5] + b"?" + content[-4:]}, [run.last], "damaged")
    snapshot = f"{run.settings.snap_dir}/snapshot.{run.last:x}"
    with pytest.raises(Violation, match="unfinished file"):
        judge.crash({**image, snapshot: b"ZKSN"}, [run.last], "half a snapshot")


def test_the_model_goes_on_after_everything() -> None:
    run = explore.prepared(Run, SMALL[1], 1, [*ACTIONS, *ACTIONS])
    trio.run(Run.kill, run)
    assert run.last == run.floor
    assert run.last in run.states
