"""What verify finds in a snapshot, with well-made seals around every mistake."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import adler32

import pytest

from tests.persist.records import all_kinds
from tests.toolkit.data import FILES, JAVA, flipped, tree_of, write_snapshot
from zkpy.persist.content import seal
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.snapverify import verify_snapshots

Capture = pytest.CaptureFixture[str]


def resealed(content: bytes, old: bytes, new: bytes) -> bytes:
    """The snapshot with one place replaced and fitting seals."""
    assert content.count(old) == 1
    body, digest, last = content[:-67].replace(old, new), content[-54:-34], content[-21:-13]
    done = b""
    for section in (body, digest, last):
        done += section
        done += seal(adler32(done))
    return done


def verify(disk: RealDisk, capsys: Capture, path: Path) -> tuple[int, str]:
    status = verify_snapshots(disk, str(path))
    return status, capsys.readouterr().out


def test_a_java_servers_snapshots_are_sound(disk: RealDisk, capsys: Capture) -> None:
    status, said = verify(disk, capsys, JAVA)
    assert status == 0
    assert said.count(": sound") == 4
    assert f"{FILES}/snapshot.1c.snappy: 14 znodes, 1 sessions: sound\n" in said


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_ours_too(disk: RealDisk, tmp_path: Path, compression: str, capsys: Capture) -> None:
    path = write_snapshot(tmp_path, tree_of(all_kinds()[:-1]), compression)
    assert verify(disk, capsys, path) == (0, f"{path}: 10 znodes, 1 sessions: sound\n")


def test_every_flipped_byte_is_found(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_snapshot(tmp_path, tree_of(all_kinds()[:5]))
    content = path.read_bytes()
    for at in [*range(4), *range(16, len(content), 9)]:
        path.write_bytes(content)
        flipped(path, at)
        status, said = verify(disk, capsys, path)
        assert status == 1, at
        assert f"{path}: offset " in said and "To do: " in said


OWNER = struct.pack(">q", 0x1000)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"\0\0\0\2/e", b"\0\0\0\2/a", "/a occurs twice"),
        (b"\0\0\0\4/a/b\xff", b"\0\0\0\4/y/b\xff", "/y/b comes without its parent"),
        (b"\0\0\0\2/e", b"\0\0\0\2ze", "ze is no path"),
        (b"hello", b"hallo", "the digest is 0x"),
        (
            b"hello\0\0\0\0\0\0\0\2",
            b"hello\0\0\0\0\0\0\0\x63",
            "/a has ACL number 99, which is not in the table",
        ),
        (
            OWNER + b"\0\0\x27\x10",
            b"\0" * 6 + b"\x99\x99\0\0\x27\x10",
            "/e is an ephemeral of session 0x1000",
        ),
    ],
)
def test_mistakes_behind_good_seals(
    disk: RealDisk, tmp_path: Path, old: bytes, new: bytes, said: str, capsys: Capture
) -> None:
    path = write_snapshot(tmp_path, tree_of(all_kinds()[:5]))
    path.write_bytes(resealed(path.read_bytes(), old, new))
    status, found = verify(disk, capsys, path)
    assert status == 1
    assert said in found
    assert found.splitlines()[-1].endswith("problems")


def test_a_fuzzy_snapshot_is_no_mistake(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_snapshot(tmp_path, tree_of(all_kinds()[:5]))
    older = path.rename(path.parent / "snapshot.3")
    older.write_bytes(resealed(older.read_bytes(), b"hello", b"hallo"))
    status, said = verify(disk, capsys, older)
    assert status == 0 and "written while transactions went on, up to zxid 0x5" in said


def test_notes(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    path = write_snapshot(tmp_path, tree_of(all_kinds()[:5]))
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes() + b"more")
    status, said = verify(disk, capsys, copy)
    assert status == 0 and "something follows" in said and "the name has no zxid" in said


def test_many_mistakes_of_one_kind_are_counted(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    from tests.persist.records import create

    path = write_snapshot(tmp_path, tree_of([create("/p"), *(create(f"/p/{at}") for at in range(50))]))
    path.write_bytes(resealed(path.read_bytes(), b"\0\0\0\2/p\0", b"\0\0\0\2/q\0"))
    status, said = verify(disk, capsys, path)
    assert status == 1
    assert said.count("without its parent") == 20 and "50 times no parent" in said


def test_a_directory_without_any(disk: RealDisk, tmp_path: Path) -> None:
    (tmp_path / "version-2").mkdir()
    with pytest.raises(ToolError, match="no snapshots"):
        verify_snapshots(disk, str(tmp_path))
