"""Taking a snapshot of what the files of a data directory amount to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.persist.records import all_kinds, contents, create, new_tree
from tests.toolkit.data import FILES, JAVA, flipped, tree_of, write_log, write_snapshot
from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import MAX_ENTRY
from zkpy.persist.snapshot import load_snapshot
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.take import take_snapshot

Capture = pytest.CaptureFixture[str]


def take(
    disk: RealDisk, directory: Path | str, to: Path | None = None, logs: Path | None = None, packed: str = ""
) -> int:
    target, log_dir = (str(to) if to else None), (str(logs) if logs else None)
    return take_snapshot(disk, str(directory), log_dir, target, packed, MAX_ENTRY)


def a_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "d"
    write_snapshot(directory, new_tree())
    write_log(directory, all_kinds())
    return directory


def test_not_with_logs_that_a_server_uses(disk: RealDisk, tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    (tmp_path / "logs" / "version-2").mkdir(parents=True)
    (directory / "version-2" / "log.1").rename(tmp_path / "logs" / "version-2" / "log.1")
    unlock = disk.lock(str(tmp_path / "logs" / ".zkpy.lock"))
    assert unlock is not None
    with pytest.raises(ToolError, match="logs is in use by a running zkpy"):
        take(disk, directory, logs=tmp_path / "logs")
    unlock()
    assert take(disk, directory, logs=tmp_path / "logs") == 0


@pytest.mark.parametrize("packed", ["", "gz"])
def test_the_tree_of_the_last_transaction(
    disk: RealDisk, tmp_path: Path, packed: str, capsys: Capture
) -> None:
    directory = a_directory(tmp_path)
    assert take(disk, directory, packed=packed) == 0
    name = "snapshot.11" + (packed and f".{packed}")
    assert "zxid 0x11, 9 znodes, 0 sessions, from snapshot.0 and 17 transactions" in capsys.readouterr().out
    tree = new_tree()
    load_snapshot(disk, str(directory / "version-2"), name, 17, tree)
    assert contents(tree) == contents(tree_of(all_kinds()))
    assert take(disk, directory) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_directory_in_use_can_be_copied_only(disk: RealDisk, tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    unlock = disk.lock(str(directory / ".zkpy.lock"))
    assert unlock is not None
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ToolError, match=r"in use by a running zkpy. Stop it, or .* --to OTHERDIR"):
        take(disk, directory)
    assert take(disk, directory, to=tmp_path / "copy") == 0
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    unlock()
    assert [path.name for path in (tmp_path / "copy" / "version-2").iterdir()] == ["snapshot.11"]
    with pytest.raises(ToolError, match="exists and is not overwritten"):
        take(disk, directory, to=tmp_path / "copy")
    with pytest.raises(ToolError, match="holds logs"):
        take(disk, directory, to=a_directory(tmp_path / "other"))


def test_a_java_servers_directory_and_one_with_separate_logs(disk: RealDisk, tmp_path: Path) -> None:
    for name, where in (("snapshot.0", "data"), ("log.1", "logs"), ("log.14", "logs")):
        (tmp_path / where / "version-2").mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / name, tmp_path / where / "version-2" / name)
    assert take(disk, tmp_path / "data", to=tmp_path / "a", logs=tmp_path / "logs") == 0
    made, java = new_tree(), new_tree()
    load_snapshot(disk, str(tmp_path / "a" / "version-2"), "snapshot.1c", 28, made)
    load_snapshot(disk, str(FILES), "snapshot.1c.snappy", 28, java)
    assert contents(made) == contents(java) and made.sessions == java.sessions
    assert take(disk, JAVA, to=tmp_path / "b") == 0


def test_what_cannot_be_done(disk: RealDisk, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="running server cannot be asked"):
        take(disk, "127.0.0.1:2181")
    with pytest.raises(ToolError, match="no such file"):
        take(disk, tmp_path / "none")
    with pytest.raises(ToolError, match="name the data directory"):
        take(disk, FILES, to=tmp_path / "x")
    (tmp_path / "empty" / "version-2").mkdir(parents=True)
    with pytest.raises(ToolError, match="holds no data"):
        take(disk, tmp_path / "empty")
    directory = a_directory(tmp_path)
    write_log(directory, [create("/x")], 18)
    flipped(directory / "version-2" / "log.1", 600)
    with pytest.raises(CorruptLogError):
        take(disk, directory)
