"""From names to files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.persist.records import all_kinds
from tests.toolkit.data import FILES, JAVA, flipped, tree_of, write_log, write_snapshot
from zkpy.errors import CorruptLogError
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.locate import log_files, name_zxid, snapshot_file, version_dir


def test_a_data_directory_or_its_version_2(disk: RealDisk, tmp_path: Path) -> None:
    assert version_dir(disk, f"{JAVA}/") == version_dir(disk, str(FILES)) == str(FILES)
    (tmp_path / "log.1").write_bytes(b"")
    assert version_dir(disk, str(tmp_path)) == str(tmp_path)


def test_other_places_are_refused(disk: RealDisk, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no data directory: expected a directory version-2"):
        version_dir(disk, str(tmp_path))
    with pytest.raises(ToolError, match="no such file"):
        version_dir(disk, str(tmp_path / "none"))
    with pytest.raises(ToolError, match="is a file"):
        version_dir(disk, str(FILES / "log.1"))


def test_logs_come_in_zxid_order(disk: RealDisk, tmp_path: Path) -> None:
    names = [f"{FILES}/log.1", f"{FILES}/log.14"]
    assert log_files(disk, [str(JAVA)]) == names
    assert log_files(disk, reversed(names)) == names
    assert log_files(disk, [str(JAVA)], 0x14) == names[1:]
    other = tmp_path / "a-copy"
    other.write_bytes((FILES / "log.1").read_bytes())
    assert log_files(disk, [names[1], str(other)]) == [str(other), names[1]]


def test_other_files_are_no_logs(disk: RealDisk, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="this is a snapshot"):
        log_files(disk, [f"{FILES}/snapshot.0"])
    with pytest.raises(ToolError, match="compressed"):
        log_files(disk, [f"{FILES}/snapshot.13.gz"])
    (tmp_path / "notes").write_text("hello")
    with pytest.raises(CorruptLogError, match=r'notes: offset 0: .* does not begin with "ZKLG"'):
        log_files(disk, [str(tmp_path / "notes")])
    with pytest.raises(ToolError, match="no log files"):
        log_files(disk, [str(write_snapshot(tmp_path, tree_of([])).parent)])


def test_the_newest_valid_snapshot(
    disk: RealDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = all_kinds()
    old = write_snapshot(tmp_path, tree_of(kinds[:3]), "gz")
    new = write_snapshot(tmp_path, tree_of(kinds[:5]))
    assert snapshot_file(disk, str(tmp_path)) == str(new)
    flipped(new, 60)
    assert snapshot_file(disk, str(tmp_path)) == str(old)
    assert f"{new} is damaged" in capsys.readouterr().err
    flipped(old, 60)
    with pytest.raises(ToolError, match="none of the 2 snapshots is valid"):
        snapshot_file(disk, str(tmp_path))
    assert snapshot_file(disk, str(new)) == str(new)


def test_a_directory_without_snapshots(disk: RealDisk, tmp_path: Path) -> None:
    write_log(tmp_path, all_kinds())
    with pytest.raises(ToolError, match="no snapshots"):
        snapshot_file(disk, str(tmp_path))
    assert (name_zxid("/x/snapshot.1f.gz"), name_zxid("copy")) == (31, -1)


def test_a_pipe_is_not_waited_for(disk: RealDisk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.1")
    with pytest.raises(OSError, match="not a regular file"):
        log_files(disk, [str(tmp_path / "log.1")])


def test_an_unreadable_snapshot_is_not_called_damaged(tmp_path: Path) -> None:
    disk = MemoryDisk()
    disk.put("/d/version-2/snapshot.0", b"")

    def fault(operation: str, path: str) -> None:
        if operation == "read":
            raise OSError(13, "Permission denied", path)

    disk.fault = fault
    with pytest.raises(PermissionError):
        snapshot_file(disk, "/d")
