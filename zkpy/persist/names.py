"""Which files of a data directory mean something: names and the zxids in them."""

from __future__ import annotations

from typing import Final, NamedTuple

from zkpy.ports import Disk

SNAPSHOT: Final = "snapshot"
LOG: Final = "log"
TEMPORARY: Final = ".tmp-"
"""Unfinished files begin with this: ZooKeeper takes everything with a second dot-separated part that is a
number for a snapshot or a log, whatever follows."""

_MAX: Final = 0x7FFFFFFFFFFFFFFF


class Named(NamedTuple):
    """A file with the zxid of its name."""

    zxid: int
    name: str


def zxid_of(name: str, prefix: str) -> int:
    """The zxid in a file name, or -1 when the file is none of *prefix*.

    As ZooKeeper: ``snapshot.5.tmp`` is a snapshot of zxid 5, a number that needs the top bit is none.
    """
    parts = name.split(".")
    if len(parts) < 2 or parts[0] != prefix or not parts[1] or "_" in parts[1]:
        return -1
    if parts[1] != parts[1].strip():
        return -1
    try:
        zxid = int(parts[1], 16) if not parts[1].lower().startswith(("0x", "+0x", "-0x")) else -1
    except ValueError:
        return -1
    return zxid if 0 <= zxid <= _MAX else -1


def named(disk: Disk, directory: str, prefix: str) -> list[Named]:
    """The files of *prefix* in *directory*, lowest zxid first."""
    found = [Named(zxid_of(name, prefix), name) for name in disk.list_dir(directory)]
    return sorted(file for file in found if file.zxid >= 0)


def log_files_from(logs: list[Named], zxid: int) -> list[Named]:
    """Those of *logs* (sorted) that can hold *zxid* or a later one; all of those with the same zxid."""
    start = 0
    for at, file in enumerate(logs):
        if file.zxid <= zxid:
            start = at
    while start > 0 and logs[start - 1].zxid == logs[start].zxid:
        start -= 1
    return logs[start:]
