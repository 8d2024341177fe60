"""A tree of one exact moment, written out piecemeal while transactions go on.

Opening a view copies two lists of references; after that a znode that is about to change for the first time
hands in its old encoding. So the service pauses for the copy only, and what is written is never fuzzy.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

from zkpy.tree.acl import Acl, AclCache
from zkpy.tree.znode import StoredNode, ZNode

NODE_TAIL: Final = Struct(">qqqqqiiiqq")
"""What follows path and data in a node record: ACL number, czxid, mzxid, ctime, mtime, version, cversion,
aversion, owner, pzxid (68 bytes)."""

_LENGTH: Final = Struct(">i")
_NUMBER: Final = Struct(">q")


def encode_node(path: bytes, node: ZNode) -> bytes:
    """One node record of a snapshot; the root's path is written as the empty string."""
    data = node.data
    if path == b"/":
        path = b""
    if type(node) is StoredNode:
        tail = _NUMBER.pack(node.acl.number) + node.packed
    else:
        tail = NODE_TAIL.pack(
            node.acl.number,
            node.czxid,
            node.mzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.cversion,
            node.aversion,
            node.owner,
            node.pzxid,
        )
    return b"".join(
        (
            _LENGTH.pack(len(path)),
            path,
            _LENGTH.pack(-1) if data is None else _LENGTH.pack(len(data)),
            data or b"",
            tail,
        )
    )


class TreeView:
    """What a snapshot holds: sessions, ACL table and node records (parents before children) at ``zxid``."""

    __slots__ = ("_at", "_nodes", "_paths", "_saved", "acls", "digest", "done", "sessions", "zxid")

    def __init__(
        self,
        zxid: int,
        digest: int | None,
        nodes: Mapping[bytes, ZNode],
        acls: AclCache,
        sessions: Mapping[int, int],
    ) -> None:
        self.zxid = zxid
        self.digest = digest
        self.sessions: list[tuple[int, int]] = list(sessions.items())
        self.acls: list[Acl] = acls.table()
        self._paths = list(nodes)
        self._nodes = list(nodes.values())
        self._saved: dict[ZNode, bytes] = {}
        self._at = 0
        self.done = False

    def __len__(self) -> int:
        return len(self._paths)

    def preserve(self, path: bytes, node: ZNode) -> None:
        """Keep the state that *node* has now, unless it is younger than the view or kept already."""
        if node.czxid <= self.zxid and node not in self._saved:
            self._saved[node] = encode_node(path, node)

    def records(self, count: int) -> bytes:
        """The next *count* node records; empty when all were given."""
        start = self._at
        self._at = stop = min(start + count, len(self._paths))
        saved = self._saved
        out: list[bytes] = []
        for i in range(start, stop):
            node = self._nodes[i]
            record = saved.pop(node, None) if saved else None
            out.append(record if record is not None else encode_node(self._paths[i], node))
        if stop == len(self._paths):
            self.close()
        return b"".join(out)

    def close(self) -> None:
        """Give up the references; the tree stops handing in old states."""
        self.done = True
        self._paths = []
        self._nodes = []
        self._saved = {}
        self._at = 0
