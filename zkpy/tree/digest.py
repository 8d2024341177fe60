"""The tree digest, version 2: what lets servers notice that their trees differ.

A node's digest is the CRC-32 of its path, data and 60 bytes of stat; the tree's is the sum of all modulo
2**64, kept incrementally. Znodes below ``/zookeeper/`` do not count, ACL contents neither.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from zkpy.tree.znode import DIGEST_STAT, StoredNode, ZNode

VERSION: Final = 2
MASK: Final = 0xFFFFFFFFFFFFFFFF
EMPTY_TREE: Final = 0x51C6D660
"""Digest of a tree that has never seen a transaction."""

_pack: Final = DIGEST_STAT.pack


def node_digest(path: bytes, node: ZNode) -> int:
    """The contribution of *node* at *path*; 0 below ``/zookeeper/``."""
    if path.startswith(b"/zookeeper/"):
        return 0
    crc = crc32(path) if path != b"/" else 0
    if node.data:
        crc = crc32(node.data, crc)
    if type(node) is StoredNode:  # the same numbers, but pzxid last and the owner before it
        packed = node.packed
        return crc32(packed[16:52], crc32(packed[52:], crc32(packed[:16], crc)))
    return crc32(
        _pack(
            node.czxid,
            node.mzxid,
            node.pzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.cversion,
            node.aversion,
            node.owner,
        ),
        crc,
    )


def signed(digest: int) -> int:
    """The digest as the signed long that is written to logs and snapshots."""
    return digest - 0x10000000000000000 if digest >> 63 else digest
