"""Removing snapshots and logs that no recovery needs any more (``autopurge``).

Only snapshots whose checksum was read and found right count as kept ones, so that the last good one never
goes; everything from the oldest of the kept ones on stays, the log it begins in included.
"""

from __future__ import annotations

from typing import Final

import trio

from zkpy.persist.content import READ_ERRORS, SealCheck, pieces
from zkpy.persist.names import LOG, SNAPSHOT, log_files_from, named
from zkpy.ports import Disk

LEAST_KEPT: Final = 3
"""``autopurge.snapRetainCount`` is never taken for less."""


async def purge(disk: Disk, snap_dir: str, log_dir: str, keep: int = LEAST_KEPT) -> list[str]:
    """Delete what is older than the newest *keep* good snapshots; gives the deleted paths.

    With fewer good ones all of them are kept, with none nothing is deleted. Raises OSError when a file cannot
    be removed.
    """
    doomed = await superfluous(disk, snap_dir, log_dir, keep)
    await remove(disk, snap_dir, doomed)
    return doomed


async def remove(disk: Disk, snap_dir: str, doomed: list[str]) -> None:
    """Delete the files of `superfluous`; they are gone for good when it returns. Raises OSError."""
    if doomed:  # what the rest depends on must have safe names before anything goes
        await disk.sync_dir(snap_dir)
    for path in doomed:
        disk.remove(path)
        await trio.lowlevel.checkpoint()
    for directory in dict.fromkeys(path[: path.rfind("/")] for path in doomed):
        await disk.sync_dir(directory)


async def superfluous(disk: Disk, snap_dir: str, log_dir: str, keep: int = LEAST_KEPT) -> list[str]:
    """The paths that `purge` deletes, in the order in which it has to be done."""
    kept: set[int] = set()
    for file in reversed(named(disk, snap_dir, SNAPSHOT)):
        if await verify(disk, f"{snap_dir}/{file.name}"):
            kept.add(file.zxid)
            if len(kept) == max(keep, LEAST_KEPT):
                break
    if not kept:
        return []
    oldest = min(kept)
    logs = named(disk, log_dir, LOG)
    needed = set(log_files_from(logs, oldest))
    # Oldest first: after a crash in between what is left still is one unbroken history.
    doomed = [f"{log_dir}/{file.name}" for file in logs if file not in needed]
    doomed += [f"{snap_dir}/{file.name}" for file in named(disk, snap_dir, SNAPSHOT) if file.zxid < oldest]
    return doomed


async def verify(disk: Disk, path: str) -> bool:
    """Whether the file ends with a seal that fits all of it; reads it in slices."""
    check = SealCheck()
    try:
        for piece in pieces(disk, path):
            check.feed(piece)
            await trio.lowlevel.checkpoint()
    except READ_ERRORS:
        return False
    return check.sealed
