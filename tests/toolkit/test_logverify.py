"""What --verify finds: damage, order, gaps, names, digests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.persist.records import all_kinds, create, history, log_bytes, new_tree
from tests.toolkit.data import JAVA, flipped, tree_of, write_log, write_snapshot
from zkpy.persist.logreader import MAX_ENTRY
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.logverify import verify_logs

Capture = pytest.CaptureFixture[str]


def verify(
    disk: RealDisk, capsys: Capture, *paths: Path, digest: bool = False, snapshots: Path | None = None
) -> tuple[int, str]:
    given = [str(path) for path in paths]
    status = verify_logs(disk, given, str(snapshots) if snapshots else None, digest, MAX_ENTRY)
    return status, capsys.readouterr().out


def test_a_java_server_wrote_sound_logs(disk: RealDisk, capsys: Capture) -> None:
    status, said = verify(disk, capsys, JAVA, digest=True)
    assert status == 0
    assert "26 compared, 0 differ" in said  # two failed requests have none
    assert said.endswith("2 log files, 28 transactions: sound\n")


def test_every_flipped_byte_of_the_entries_is_found(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    content = path.read_bytes()
    for at in range(16, len(content), 7):
        path.write_bytes(content)
        flipped(path, at)
        status, said = verify(disk, capsys, path)
        assert status == 1, at
        assert re.search(r"log\.1: offset \d+: .*To do: save what stands before it", said)


def test_a_missing_file_is_a_gap(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    tree = new_tree()
    write_log(tmp_path, [create("/a")], 1, tree)
    history([create("/b")], 2, tree)
    write_log(tmp_path, [create("/c")], 3, tree)
    status, said = verify(disk, capsys, tmp_path)
    assert status == 1
    assert "log.3: offset 16: zxid 0x3: transactions are missing between 0x1" in said
    write_snapshot(tmp_path, tree)
    status, said = verify(disk, capsys, tmp_path, digest=True)
    assert status == 0
    assert "note: transactions are missing" in said and "snapshot.3 covers them" in said


def test_a_new_epoch_is_no_gap(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    write_log(tmp_path, [create("/a")])
    write_log(tmp_path, [create("/b")], 0x100000001)
    assert verify(disk, capsys, tmp_path)[0] == 0


def test_an_interrupted_write_is_sound_at_the_end_only(
    disk: RealDisk, tmp_path: Path, capsys: Capture
) -> None:
    path = write_log(tmp_path, all_kinds())
    path.write_bytes(path.read_bytes()[:-4])
    status, said = verify(disk, capsys, tmp_path)
    assert status == 0 and "note:" in said and "interrupted" in said
    write_log(tmp_path, [create("/x")], 18)
    status, said = verify(disk, capsys, tmp_path)
    assert status == 1 and "though later logs follow" in said


def test_files_may_overlap_if_they_agree(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    payloads, _ = history(all_kinds())
    below = write_log(tmp_path, all_kinds()).parent
    (below / "log.10").write_bytes(log_bytes(payloads[15:], 16))
    assert verify(disk, capsys, tmp_path)[0] == 0
    other, _ = history([create("/other")], 16)
    (below / "log.10").write_bytes(log_bytes(other, 16))
    status, said = verify(disk, capsys, tmp_path)
    assert status == 1 and "zxid 0x10: it comes after 0x11" in said


def test_a_wrong_name_and_a_wrong_order(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_log(tmp_path, all_kinds())
    path.rename(path.parent / "log.7")
    status, said = verify(disk, capsys, tmp_path)
    assert status == 1 and "the name says 0x7" in said
    payloads, _ = history(all_kinds()[:3])
    content = log_bytes(payloads)
    size = len(payloads[0]) + 13
    (path.parent / "log.7").unlink()
    path.write_bytes(content + content[16 : 16 + size])
    status, said = verify(disk, capsys, tmp_path)
    assert status == 1 and "zxid 0x1: it comes after 0x3" in said


def test_a_tree_that_went_astray(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    payloads, _ = history(all_kinds())
    payloads[6] = payloads[6][:-1] + bytes([payloads[6][-1] ^ 1])
    path = tmp_path / "version-2" / "log.1"
    path.parent.mkdir()
    path.write_bytes(log_bytes(payloads))
    assert verify(disk, capsys, tmp_path)[0] == 0
    status, said = verify(disk, capsys, tmp_path, digest=True)
    assert status == 1 and "zxid 0x7: the logged digest is" in said and "1 differ" in said


def test_where_replaying_begins(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    kinds = all_kinds()
    tree = new_tree()
    history(kinds[:5], 1, tree)
    log = write_log(tmp_path / "logs", kinds[5:], 6, tree)
    with pytest.raises(ToolError, match="begin with zxid 0x6"):
        verify(disk, capsys, log, digest=True)
    flipped(write_snapshot(tmp_path / "snaps", tree_of(kinds[:7])), 100)
    write_snapshot(tmp_path / "snaps", tree_of(kinds[:8]), "gz")
    status, said = verify(disk, capsys, log, digest=True, snapshots=tmp_path / "snaps")
    assert status == 0
    assert "snapshot.8.gz: 9 compared, 0 differ" in said
