"""What cleanup removes, says it removes, and leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.persist.records import create, new_tree
from tests.toolkit.data import flipped, write_log, write_snapshot
from zkpy.errors import ConfigError
from zkpy.realports import RealDisk
from zkpy.toolkit.cleanup import Places, cleanup, from_config
from zkpy.toolkit.console import ToolError

Capture = pytest.CaptureFixture[str]


def filled(data: Path, logs: Path, count: int = 6) -> Places:
    """Snapshots at zxid 0, 10, 20 ..., a log beginning one after each."""
    tree = new_tree()
    for at in range(count):
        write_snapshot(data, tree)
        write_log(logs, [create(f"/{at}-{number}") for number in range(10)], 10 * at + 1, tree)
    return Places(str(data), str(logs))


def names(directory: Path) -> set[str]:
    return {path.name for path in (directory / "version-2").iterdir()}


KEPT = {"snapshot.1e", "snapshot.28", "snapshot.32", "log.15", "log.1f", "log.29", "log.33"}


def test_the_newest_stay_with_the_log_that_the_oldest_needs(
    disk: RealDisk, tmp_path: Path, capsys: Capture
) -> None:
    places = filled(tmp_path, tmp_path)
    before = names(tmp_path)
    assert cleanup(disk, places, 3, dry_run=True) == 0
    assert names(tmp_path) == before
    planned = capsys.readouterr()
    assert cleanup(disk, places, 3, dry_run=False) == 0
    done = capsys.readouterr()
    assert names(tmp_path) == KEPT
    assert done.out.replace("Removing file:", "Would remove file:") == planned.out
    assert {line.split("/")[-1] for line in done.out.splitlines()} == before - KEPT
    assert "5 files" in done.err
    assert cleanup(disk, places, 3, dry_run=False) == 0
    assert capsys.readouterr().out == ""


def test_separate_directories(disk: RealDisk, tmp_path: Path) -> None:
    places = filled(tmp_path / "data", tmp_path / "logs")
    cleanup(disk, places, 4, dry_run=False)
    assert names(tmp_path / "data") == {"snapshot.14", "snapshot.1e", "snapshot.28", "snapshot.32"}
    assert names(tmp_path / "logs") == {"log.b", "log.15", "log.1f", "log.29", "log.33"}


def test_damaged_snapshots_do_not_count(disk: RealDisk, tmp_path: Path) -> None:
    places = filled(tmp_path, tmp_path)
    for name in ("snapshot.32", "snapshot.28"):
        flipped(tmp_path / "version-2" / name, 90)
    cleanup(disk, places, 3, dry_run=False)
    assert {"snapshot.a", "snapshot.14", "snapshot.1e", "log.1"} < names(tmp_path)
    assert "snapshot.0" not in names(tmp_path)


def test_the_names_of_the_kept_snapshots_are_durable_before_anything_goes(
    disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = filled(tmp_path / "data", tmp_path / "logs")
    snaps, logs = str(tmp_path / "data/version-2"), str(tmp_path / "logs/version-2")
    calls: list[tuple[str, str]] = []
    sync, remove = RealDisk.sync_dir_now, RealDisk.remove

    def synced(self: RealDisk, path: str) -> None:
        calls.append(("sync", path))
        sync(self, path)

    def removed(self: RealDisk, path: str) -> None:
        calls.append(("remove", path.rpartition("/")[0]))
        remove(self, path)

    monkeypatch.setattr(RealDisk, "sync_dir_now", synced)
    monkeypatch.setattr(RealDisk, "remove", removed)
    cleanup(disk, places, 3, dry_run=True)
    assert calls == []
    cleanup(disk, places, 3, dry_run=False)
    assert list(dict.fromkeys(calls)) == [
        ("sync", snaps),
        ("remove", logs),
        ("remove", snaps),
        ("sync", logs),
    ]
    assert calls[-2:] == [("sync", logs), ("sync", snaps)]


def test_what_is_refused(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    places = filled(tmp_path, tmp_path, 1)
    with pytest.raises(ToolError, match="greater than or equal to 3"):
        cleanup(disk, places, 2, dry_run=True)
    with pytest.raises(ToolError, match="no such file"):
        cleanup(disk, Places(str(tmp_path / "x"), str(tmp_path)), 3, dry_run=True)
    write_log(tmp_path / "logs", [create("/a")])
    logs = str(tmp_path / "logs")
    assert cleanup(disk, Places(logs, logs), 3, dry_run=False) == 0
    assert "no snapshots, nothing is removed" in capsys.readouterr().err
    assert names(tmp_path / "logs") == {"log.1"}


def test_a_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "zoo.cfg"
    config.write_text("clientPort=1\ndataDir=/d\ndataLogDir=/l\nautopurge.snapRetainCount=7\n")
    assert from_config(str(config)) == Places("/d", "/l", 7)
    config.write_text("clientPort=1\ndataDir=/d\n")
    assert from_config(str(config)) == Places("/d", "/d", 3)
    config.write_text("clientPort=1\n")
    with pytest.raises(ConfigError, match="dataDir is not set"):
        from_config(str(config))
