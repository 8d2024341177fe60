"""Syncs by the kernel's workers: reported, counted as failed when they fail, waited for at the end."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from zkpy.realports import LogSyncer, RealDisk
from zkpy.uring import UringSyncer

Syncer = UringSyncer | LogSyncer


@pytest.fixture(params=[UringSyncer, LogSyncer])
def syncer(request: pytest.FixtureRequest) -> Iterator[Syncer]:
    try:
        made: Syncer = request.param()
    except OSError as error:
        pytest.skip(f"io_uring is not offered here: {error}")
    yield made
    made.close()


def wait_readable(syncer: Syncer) -> None:
    assert select.select([syncer.fileno()], [], [], 30)[0]


def test_the_end_of_a_sync_is_reported_when_it_is_collected(syncer: Syncer, tmp_path: Path) -> None:
    reports: list[OSError | None] = []
    with (tmp_path / "log").open("wb", buffering=0) as file:
        for _ in range(20):  # more than the ring has places
            file.write(b"x" * 100)
            syncer.start(file.fileno(), reports.append)
            wait_readable(syncer)
            syncer.collect()
    assert reports == [None] * 20


def test_a_sync_that_fails_is_reported_with_its_error(syncer: Syncer) -> None:
    reports: list[OSError | None] = []
    read_end, write_end = os.pipe()  # nothing that could be synced
    try:
        syncer.start(write_end, reports.append)
        wait_readable(syncer)
        syncer.collect()
    finally:
        os.close(read_end)
        os.close(write_end)
    assert [error and error.errno for error in reports] == [errno.EINVAL]


def test_closing_waits_for_a_sync_under_way(syncer: Syncer, tmp_path: Path) -> None:
    reports: list[OSError | None] = []
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b"x" * 100_000)
        syncer.start(file.fileno(), reports.append)
        syncer.close()
    syncer.close()
    assert reports == []


def test_without_io_uring_a_thread_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zkpy.uring._MACHINES", ())
    with pytest.raises(OSError, match="no io_uring"):
        UringSyncer()
    with RealDisk() as disk:
        assert isinstance(disk.reports, LogSyncer)
