"""From what a person names to files: logs and snapshots of a data directory, or single files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from zkpy.errors import CorruptLogError
from zkpy.persist.content import is_sealed
from zkpy.persist.logreader import MAGIC
from zkpy.persist.names import LOG, SNAPSHOT, log_files_from, named, zxid_of
from zkpy.persist.txnsnaplog import VERSION_DIR
from zkpy.ports import Disk
from zkpy.toolkit.console import ToolError, say

_HEAD: Final = 48
_FIRST_ZXID_AT: Final = 16 + 12 + 12


def version_dir(disk: Disk, path: str) -> str:
    """The directory with the files: ``version-2`` in *path*, or *path* itself if it is one.

    Raises:
        ToolError: *path* is neither.
    """
    path = path.rstrip("/") or "/"
    below = f"{path}/{VERSION_DIR}"
    if disk.is_dir(below):
        return below
    if not disk.exists(path):
        raise ToolError(f"{path}: no such file or directory")
    if not disk.is_dir(path):
        raise ToolError(f"{path} is a file; name a data directory")
    if os.path.basename(os.path.abspath(path)) == VERSION_DIR:
        return path
    if named(disk, path, LOG) or named(disk, path, SNAPSHOT):
        return path
    raise ToolError(
        f"{path} is no data directory: expected a directory {VERSION_DIR} in it, or files named log.* or "
        "snapshot.*. Name the dataDir (or dataLogDir) of zoo.cfg."
    )


def log_files(disk: Disk, given: Iterable[str], from_zxid: int = 0) -> list[str]:
    """The log files that *given* paths stand for, in zxid order; *from_zxid* leaves out what ends before.

    Raises:
        ToolError: a directory has no logs, or a file is of another kind.
        CorruptLogError: a file does not begin as a log.
    """
    found: list[tuple[int, str]] = []
    for path in given:
        if disk.is_dir(path):
            directory = version_dir(disk, path)
            logs = named(disk, directory, LOG)
            if not logs:
                raise ToolError(
                    f"{directory}: no log files. If zoo.cfg has a dataLogDir, name that; a server that never "
                    "got a write has none."
                )
            found += [(file.zxid, f"{directory}/{file.name}") for file in log_files_from(logs, from_zxid)]
        else:
            found.append((first_zxid(disk, path), path))
    return [path for _, path in sorted(found)]


def first_zxid(disk: Disk, path: str) -> int:
    """Where a file belongs: by the zxid of its first entry, or of its name if it has none."""
    file = disk.open_read(path)
    try:
        head = file.read(_HEAD)
    finally:
        file.close()
    hint = foreign(head)
    if hint:
        raise ToolError(f"{path}: {hint}")
    if any(head) and not head.startswith(MAGIC[: len(head)]):
        why = 'this is no transaction log: it does not begin with "ZKLG"'
        raise CorruptLogError(path, 0, why, "Name a file log.<zxid>, or put back an undamaged copy")
    if head.startswith(MAGIC) and len(head) == _HEAD and any(head[16:]):
        return int.from_bytes(head[_FIRST_ZXID_AT:_HEAD], "big", signed=True)
    return zxid_of(os.path.basename(path), LOG)


def foreign(head: bytes) -> str:
    """What a file that begins so is, if it clearly is no log; else ""."""
    if head.startswith(b"ZKSN"):
        return "this is a snapshot; see it with: zkpy snapshot print"
    if head.startswith((b"\x1f\x8b", b"\x82SNAPPY")):
        return "this is a compressed file, logs never are; a snapshot is seen with: zkpy snapshot print"
    return ""


def snapshot_file(disk: Disk, path: str) -> str:
    """The snapshot that *path* stands for: itself, or the newest valid one of a directory.

    A damaged newer one is named on stderr.

    Raises:
        ToolError: there is none.
    """
    if not disk.is_dir(path):
        if not disk.exists(path):
            raise ToolError(f"{path}: no such file or directory")
        return path
    directory = version_dir(disk, path)
    files = named(disk, directory, SNAPSHOT)
    for file in reversed(files):
        candidate = f"{directory}/{file.name}"
        if is_sealed(disk, candidate):
            return candidate
        say(f"{candidate} is damaged or not complete; looking for an older one")
    if files:
        raise ToolError(
            f"{directory}: none of the {len(files)} snapshots is valid; see: zkpy snapshot verify FILE"
        )
    raise ToolError(f"{directory}: no snapshots. If zoo.cfg has a dataDir beside the dataLogDir, name that.")


def name_zxid(path: str) -> int:
    """The zxid in a snapshot's file name, -1 if it has another name."""
    return zxid_of(os.path.basename(path), SNAPSHOT)
