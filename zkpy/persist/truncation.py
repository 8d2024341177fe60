"""Forgetting the newest transactions, as a leader that does not have them asks of a learner."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from zkpy.errors import StorageError
from zkpy.persist.chain import Logs
from zkpy.persist.content import is_sealed
from zkpy.persist.logreader import HEADER, LogReader
from zkpy.persist.names import Named, log_files_from


class Files(Logs, Protocol):
    """What has to be known of a data directory."""

    @property
    def snap_dir(self) -> str:
        """The directory of the snapshots."""

    def snapshots(self) -> list[Named]:
        """The snapshots, lowest zxid first."""


def truncate(data: Files, zxid: int) -> bool:
    """As `zkpy.persist.txnsnaplog.DataDir.truncate`."""
    disk = data.disk
    kept = _good_snapshot(data, zxid)
    if kept is None:
        return False
    files = [file for file in log_files_from(data.logs(), kept) if file.zxid <= zxid]
    cuts: list[tuple[str, int]] = []
    reached = kept == zxid
    for file in files:
        reader = LogReader(disk, f"{data.log_dir}/{file.name}", data.max_entry)
        end, is_beyond = 0, False
        for entry in reader:
            is_beyond = entry.zxid > zxid
            if is_beyond:
                break
            end = reader.end
            reached |= entry.zxid == zxid
        if is_beyond or file.zxid == files[-1].zxid:  # files may overlap, and some may be copies
            cuts.append((reader.path, max(end, len(HEADER))))
    if not reached:
        return False
    try:
        for file in reversed(data.snapshots()):
            if file.zxid > zxid:
                disk.remove(f"{data.snap_dir}/{file.name}")
        disk.sync_dir_now(data.snap_dir)
        for file in reversed(data.logs()):
            if file.zxid > zxid:
                disk.remove(f"{data.log_dir}/{file.name}")
                disk.sync_dir_now(data.log_dir)
        for path, end in cuts:
            disk.truncate(path, end)
        if cuts:
            disk.sync_dir_now(data.log_dir)  # the name may be as new as what was cut
    except OSError as error:
        raise StorageError(f"truncating the log in {data.log_dir}: {error}") from error
    return True


def _good_snapshot(data: Files, zxid: int) -> int | None:
    """The zxid of the newest snapshot of *zxid* or before whose seal fits."""
    for file in reversed(data.snapshots()):
        with suppress(OSError):
            if file.zxid <= zxid and is_sealed(data.disk, f"{data.snap_dir}/{file.name}"):
                return file.zxid
    return None
