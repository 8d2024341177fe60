"""File names and the zxids in them, as ZooKeeper takes them."""

from __future__ import annotations

import pytest

from zkpy.persist.names import Named, log_files_from, zxid_of


@pytest.mark.parametrize(
    ("name", "zxid"),
    [
        ("log.1", 1),
        ("log.100000001", 0x100000001),
        ("log.FF", 255),
        ("log.5.tmp", 5),
        ("log.ffffffffffffffff", -1),
        ("log.7fffffffffffffff", 0x7FFFFFFFFFFFFFFF),
        ("log", -1),
        ("log.", -1),
        ("log.0x5", -1),
        ("log.1_0", -1),
        ("log. 1", -1),
        ("log.-1", -1),
        ("snapshot.1", -1),
        (".tmp-log.1", -1),
    ],
)
def test_zxid_of(name: str, zxid: int) -> None:
    assert zxid_of(name, "log") == zxid


def test_log_files_from() -> None:
    logs = [Named(zxid, f"log.{zxid:x}") for zxid in (1, 5, 9)]
    assert [file.zxid for file in log_files_from(logs, 4)] == [1, 5, 9]
    assert [file.zxid for file in log_files_from(logs, 5)] == [5, 9]
    assert [file.zxid for file in log_files_from(logs, 100)] == [9]
    assert [file.zxid for file in log_files_from(logs, 0)] == [1, 5, 9]
    assert log_files_from([], 1) == []


def test_copies_come_together() -> None:
    logs = sorted([Named(1, "log.1"), Named(5, "log.5"), Named(5, "log.5.bak"), Named(9, "log.9")])
    assert log_files_from(logs, 6) == logs[1:]
    assert log_files_from(logs[:3], 100) == logs[1:3]
