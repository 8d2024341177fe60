"""A ZooKeeper snapshot of any size, written straight in the on-disk format.

Layout: header, sessions, ACL table, nodes in depth-first order; a seal; the tree digest; a seal; the last
zxid; a seal. A seal is the Adler-32 of everything before it.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

DATA_BYTES = 100
CREATED_MS = 1_700_000_000_000

_HEADER = struct.Struct(">4siq")
_ACL_ID = struct.Struct(">q")
_STAT = struct.Struct(">qqqqiiiqq")  # czxid mzxid ctime mtime version cversion aversion owner pzxid
_DIGESTED = struct.Struct(">qqqqqiiiq")  # czxid mzxid pzxid ctime mtime version cversion aversion owner
_CONFIG_ACL, _OPEN_ACL, _BUILT_IN_ACL = 1, 2, -1
_DIGEST_VERSION = 2


class SnapshotWriter:
    """Streams nodes to a file; parents must come before their children."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._adler = 1
        self._digest = 0
        self._pending = bytearray()
        self._put(_HEADER.pack(b"ZKSN", 2, -1) + struct.pack(">i", 0))
        self._put(struct.pack(">i", 2) + _acl(_CONFIG_ACL, 1) + _acl(_OPEN_ACL, 31))

    def node(
        self,
        path: bytes,
        data: bytes,
        zxid: int = 0,
        children: int = 0,
        last_child_zxid: int = 0,
        *,
        acl: int = _OPEN_ACL,
        aversion: int = 0,
    ) -> None:
        """A persistent node created by `zxid`, whose newest child came with `last_child_zxid`."""
        time_ms = CREATED_MS if zxid else 0
        pzxid = last_child_zxid or zxid
        stat = _STAT.pack(zxid, zxid, time_ms, time_ms, 0, children, aversion, 0, pzxid)
        self._put(
            b"%b%b%b%b%b%b"
            % (len(path).to_bytes(4), path, len(data).to_bytes(4), data, _ACL_ID.pack(acl), stat)
        )
        if not path.startswith(b"/zookeeper/"):
            fixed = _DIGESTED.pack(zxid, zxid, pzxid, time_ms, time_ms, 0, children, aversion, 0)
            self._digest += zlib.crc32(path + data + fixed)

    def finish(self, last_zxid: int) -> None:
        self._put(b"\0\0\0\1/")
        self._seal()
        self._put(struct.pack(">qiQ", last_zxid, _DIGEST_VERSION, self._digest % 2**64))
        self._seal()
        self._put(struct.pack(">q", last_zxid))
        self._seal()
        self._flush()

    def _put(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > 1 << 20:
            self._flush()

    def _flush(self) -> None:
        self._adler = zlib.adler32(self._pending, self._adler)
        self._file.write(self._pending)
        self._pending.clear()

    def _seal(self) -> None:
        self._flush()
        self._put(struct.pack(">q", self._adler) + b"\0\0\0\1/")


def _acl(number: int, perms: int) -> bytes:
    return struct.pack(">qii", number, 1, perms) + b"\0\0\0\5world\0\0\0\6anyone"


def node_data(number: int) -> bytes:
    """Different for every node, so that no server can store it once."""
    return (b"%010d" % number) * (DATA_BYTES // 10)


def node_path(parent: int, number: int) -> str:
    return f"/load/p{parent:04d}/n{number:06d}"


def write_snapshot(directory: Path, nodes: int, parents: int) -> Path:
    """Writes ``snapshot.<zxid>`` with `nodes` nodes spread evenly over `parents`; returns its path."""
    per_parent = nodes // parents
    last_zxid = 1 + parents * (1 + per_parent)
    path = directory / f"snapshot.{last_zxid:x}"
    if path.exists():
        return path
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        writer = SnapshotWriter(file)
        last_parent_zxid = last_zxid - per_parent
        writer.node(b"", b"", acl=_BUILT_IN_ACL, children=0, last_child_zxid=1)
        writer.node(b"/zookeeper", b"", acl=_BUILT_IN_ACL)
        writer.node(b"/zookeeper/config", b"", acl=_CONFIG_ACL, aversion=-1)
        writer.node(b"/zookeeper/quota", b"", acl=_BUILT_IN_ACL)
        writer.node(b"/load", b"", 1, parents, last_parent_zxid)
        zxid = 1
        for parent in range(parents):
            zxid += 1
            writer.node(b"/load/p%04d" % parent, b"", zxid, per_parent, zxid + per_parent)
            for number in range(per_parent):
                zxid += 1
                writer.node(node_path(parent, number).encode(), node_data(zxid), zxid)
        writer.finish(last_zxid)
    partial.rename(path)
    return path
