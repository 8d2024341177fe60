"""Saving what stands before the damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.persist.records import all_kinds, create, history, log_bytes, new_tree
from tests.toolkit.data import flipped, write_log
from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import MAX_ENTRY, LogReader
from zkpy.realports import RealDisk
from zkpy.toolkit.console import Progress, ToolError
from zkpy.toolkit.logverify import verify_logs
from zkpy.toolkit.salvage import Left, after, salvage

Capture = pytest.CaptureFixture[str]


def zxids(disk: RealDisk, path: Path) -> list[int]:
    return [entry.zxid for entry in LogReader(disk, str(path))]


def test_the_sound_part_is_copied_and_the_rest_told(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    before = flipped(path, 700).read_bytes()
    copy = tmp_path / "saved"
    assert salvage(disk, str(path), str(copy), MAX_ENTRY) == 0
    kept = zxids(disk, copy)
    said = capsys.readouterr().out
    assert kept == list(range(1, len(kept) + 1)) and 2 < len(kept) < 12
    assert path.read_bytes() == before, "the original is not touched"
    assert before.startswith(copy.read_bytes())
    assert f"{len(kept)} transactions, zxids 0x1 to 0x{len(kept):x}" in said
    assert f"Left out: {len(before) - copy.stat().st_size} bytes." in said
    follow = 17 - len(kept) - 1
    assert f"{follow} intact entries follow the damage" in said
    assert f"zxids 0x{len(kept) + 2:x} to 0x11" in said


def test_nothing_is_overwritten(disk: RealDisk, tmp_path: Path) -> None:
    path = write_log(tmp_path, all_kinds())
    for target in (path, tmp_path):
        with pytest.raises(ToolError, match="exists and is not overwritten"):
            salvage(disk, str(path), str(target), MAX_ENTRY)
    with pytest.raises(ToolError, match="is a directory"):
        salvage(disk, str(tmp_path), str(tmp_path / "new"), MAX_ENTRY)


def test_a_sound_file_loses_its_padding_only(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    content = path.read_bytes()
    path.write_bytes(content + bytes(100_000))
    assert salvage(disk, str(path), str(tmp_path / "saved"), MAX_ENTRY) == 0
    assert (tmp_path / "saved").read_bytes() == content
    assert "the file is sound" in capsys.readouterr().out


def test_an_interrupted_write(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    path.write_bytes(path.read_bytes()[:-4] + bytes(500))
    assert salvage(disk, str(path), str(tmp_path / "saved"), MAX_ENTRY) == 0
    assert zxids(disk, tmp_path / "saved") == list(range(1, 17))
    assert "No intact entry follows" in capsys.readouterr().out


def test_without_a_beginning_nothing_is_written(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = flipped(write_log(tmp_path, all_kinds()), 0)
    assert salvage(disk, str(path), str(tmp_path / "saved"), MAX_ENTRY) == 1
    assert not (tmp_path / "saved").exists()
    said = capsys.readouterr().out
    assert "no file was written" in said
    assert "intact entries follow" in said


def test_the_copy_is_not_put_beside_the_logs(disk: RealDisk, tmp_path: Path) -> None:
    path = write_log(tmp_path, all_kinds())
    with pytest.raises(ToolError, match="would be taken for a log by its name"):
        salvage(disk, str(path), f"{path}.saved", MAX_ENTRY)
    assert salvage(disk, str(path), str(path.parent / "saved.log.1"), MAX_ENTRY) == 0
    assert salvage(disk, str(path), str(tmp_path / "log.1"), MAX_ENTRY) == 0


@pytest.mark.parametrize("size", [0, 1000])
def test_a_file_without_data(disk: RealDisk, tmp_path: Path, capsys: Capture, size: int) -> None:
    path = tmp_path / "log.1"
    path.write_bytes(bytes(size))
    assert salvage(disk, str(path), str(tmp_path / "saved"), MAX_ENTRY) == 1
    said = capsys.readouterr().out
    assert "It holds no data at all." in said and "sound" not in said and "damage" not in said


def test_a_record_over_the_limit_is_not_left_out(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, [create("/a"), create("/b", b"x" * 5000)])
    with pytest.raises(CorruptLogError, match=r"jute\.maxbuffer allows 4000"):
        salvage(disk, str(path), str(tmp_path / "saved"), 4000)
    assert verify_logs(disk, [str(tmp_path)], None, False, 4000) == 1
    said = capsys.readouterr().out
    assert "jute.maxbuffer allows 4000. To do: The record is sound: start with" in said
    assert "--salvage" not in said


def test_intact_entries_are_found_across_the_windows(disk: RealDisk, tmp_path: Path) -> None:
    tree = new_tree()
    payloads, _ = history([create(f"/n{at}", b"B" * 90_000 + bytes(at)) for at in range(60)], 1, tree)
    path = tmp_path / "log.1"
    path.write_bytes(log_bytes(payloads))
    first = len(payloads[0]) + 13
    flipped(path, 16 + first + 500)
    left = after(str(path), 16 + first, 100_000, Progress(""))
    second = len(payloads[1]) + 13
    assert left == Left(path.stat().st_size - 16 - first, 58, 3, 60, 16 + first + second)
