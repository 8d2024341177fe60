"""Removing snapshots and logs that no recovery needs any more (``autopurge``).

Only snapshots whose checksum was read and found right count as kept ones, so that the last good one never
goes; everything from the oldest of the kept ones on stays, the log it begins in included.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import trio

from zkpy.persist import snappy
from zkpy.persist.names import LOG, SNAPSHOT, log_files_from, named
from zkpy.persist.snapshot import MAGIC, SEAL_BYTES, seal
from zkpy.ports import Disk

LEAST_KEPT: Final = 3
"""``autopurge.snapRetainCount`` is never taken for less."""

_CHUNK: Final = 1 << 18


async def purge(disk: Disk, snap_dir: str, log_dir: str, keep: int = LEAST_KEPT) -> list[str]:
    """Delete what is older than the newest *keep* good snapshots; gives the deleted paths.

    With fewer good ones all of them are kept, with none nothing is deleted. Raises OSError when a file cannot
    be removed.
    """
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
    for path in doomed:
        disk.remove(path)
        await trio.lowlevel.checkpoint()
    if doomed:
        await disk.sync_dir(log_dir)
        await disk.sync_dir(snap_dir)
    return doomed


async def verify(disk: Disk, path: str) -> bool:
    """Whether the file ends with a seal that fits all of it; reads it in slices."""
    adler = 1
    tail = b""
    begins = b""
    try:
        for piece in _content(disk, path):
            begins = begins or piece[: len(MAGIC)]
            tail += piece
            adler = zlib.adler32(tail[:-SEAL_BYTES], adler)
            tail = tail[-SEAL_BYTES:]
            await trio.lowlevel.checkpoint()
    except (OSError, zlib.error, snappy.SnappyError):
        return False
    return begins == MAGIC and tail == seal(adler)


def _content(disk: Disk, path: str) -> Iterator[bytes]:
    """The uncompressed content of a snapshot in pieces that take a millisecond or so each."""
    suffix = path[path.rfind(".") + 1 :].lower()
    file = disk.open_read(path)
    try:
        if suffix == "snappy":
            yield from snappy.decode_pieces(file.read)
        elif suffix == "gz":
            inflater = zlib.decompressobj(31)
            while chunk := file.read(_CHUNK):
                yield inflater.decompress(chunk, _CHUNK)
                while inflater.unconsumed_tail:
                    yield inflater.decompress(inflater.unconsumed_tail, _CHUNK)
            if not inflater.eof:
                raise zlib.error("gzip stream ends too early")
        else:
            while chunk := file.read(_CHUNK):
                yield chunk
    finally:
        file.close()
