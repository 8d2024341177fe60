"""Snapshots: writing a tree piecemeal, and loading one as fast as Python can.

::

    header "ZKSN" 2 -1 | sessions | ACL table | nodes ... "/" | seal
    digest section: zxid, 2, digest                           | seal
    last-zxid section: zxid                                   | seal

Each seal is the Adler-32 of everything before it, earlier seals included, and the string "/". The file gets
its name only when it is on the medium; it is written from a view of one moment, so it is never fuzzy. Those
of a Java server can be: then the digest section names a later zxid than the file.
"""

from __future__ import annotations

import gc
import zlib
from collections.abc import Generator, Iterator
from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple
from zlib import adler32

import trio

from zkpy.errors import StorageError
from zkpy.persist import snappy
from zkpy.persist.names import SNAPSHOT, TEMPORARY
from zkpy.ports import Disk, DiskFile
from zkpy.tree.acl import AclCache, AclEntry
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, VERSION, signed
from zkpy.tree.view import TreeView
from zkpy.tree.znode import StoredNode, ZNode

MAGIC: Final = b"ZKSN"
HEADER: Final = MAGIC + b"\0\0\0\2" + b"\xff" * 8
SUFFIXES: Final = {"": "", "gz": ".gz", "snappy": ".snappy"}
"""File name endings by ``zookeeper.snapshot.compression.method``."""

SLICE_RECORDS: Final = 256

_SLICE_BYTES: Final = 1 << 17
_SYNC_BYTES: Final = 8 << 20
_END: Final = b"\0\0\0\1/"
_INT: Final = Struct(">i")
_LONG: Final = Struct(">q")
_SESSION: Final = Struct(">qi")
_DIGEST: Final = Struct(">qiq")
_SEAL: Final = Struct(">q5s")
_NODE: Final = ">i%dsi%dsq60s"
_CHUNK: Final = 1 << 24
_NO_OWNER: Final = bytes(8)


class SnapshotError(Exception):
    """The file is no valid snapshot; an older one may be."""


def snapshot_name(zxid: int, compression: str = "") -> str:
    """The name of the snapshot that covers *zxid*."""
    return f"{SNAPSHOT}.{zxid:x}{SUFFIXES[compression]}"


def seal(adler: int) -> bytes:
    """The bytes of a seal; they count in the checksum of the next one."""
    return _SEAL.pack(adler, _END)


# -- writing -----------------------------------------------------------------------------------------------


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _stream(view: TreeView, slice_records: int) -> Iterator[bytes]:
    """The uncompressed file in pieces that take a millisecond or so each."""
    parts = [HEADER, _INT.pack(len(view.sessions))]
    parts += [_SESSION.pack(*session) for session in view.sessions]
    parts.append(_INT.pack(len(view.acls)))
    for acl in view.acls:
        parts += (_LONG.pack(acl.number), acl.encoded)
    piece = b"".join(parts)
    zxid, digest = view.zxid, view.digest
    adler = adler32(piece)
    yield piece
    count = min(16, slice_records)
    while piece := view.records(count):
        adler = adler32(piece, adler)
        yield piece
        # Large data: fewer records per slice.
        count = max(1, min(slice_records, _SLICE_BYTES * count // len(piece), 2 * count))
    tail = _END
    for section in (_DIGEST.pack(zxid, VERSION, signed(digest & MASK)), _LONG.pack(zxid), b""):
        adler = adler32(tail, adler)
        sealed = seal(adler)
        adler = adler32(sealed, adler)
        yield tail + sealed
        tail = section


def _compressed(view: TreeView, compression: str, slice_records: int) -> Iterator[bytes]:
    out: _Plain | snappy.Compressor | zlib._Compress
    if compression == "gz":
        out = zlib.compressobj(1, zlib.DEFLATED, 31)  # writes no time: equal trees give equal files
    elif compression == "snappy":
        out = snappy.Compressor()
    else:
        out = _Plain()
    for piece in _stream(view, slice_records):
        yield out.compress(piece)
    yield out.flush()


def _write(
    disk: Disk, directory: str, view: TreeView, compression: str, slice_records: int
) -> Generator[DiskFile, None, str]:
    """Does everything but the waiting: gives the file after each slice, and twice when it has to be synced."""
    name = snapshot_name(view.zxid, compression)
    temporary = f"{directory}/{TEMPORARY}{name}"
    file = disk.create(temporary)
    try:
        unsynced = 0
        for piece in _compressed(view, compression, slice_records):
            if piece:
                file.write(piece)
                unsynced += len(piece)
            yield file
        file.close()
        disk.rename(temporary, f"{directory}/{name}")
    except BaseException:
        file.close()
        try:
            disk.remove(temporary)
        except OSError:
            pass
        raise
    finally:
        view.close()
    return name


class SnapshotWriter:
    """One snapshot being written; `write` from a task, `write_now` at start-up."""

    __slots__ = ("_compression", "_directory", "_disk", "_slice", "_view")

    def __init__(
        self,
        disk: Disk,
        directory: str,
        view: TreeView,
        compression: str = "",
        slice_records: int = SLICE_RECORDS,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._view = view
        self._compression = compression
        self._slice = slice_records
