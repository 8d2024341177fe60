"""The changes that were prepared but not yet applied, laid over the committed tree.

With them a pipeline of sequential creates, version checks and multis is exact although nothing of it has
reached the tree. They also foretell the digest that each transaction will give.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from zkpy.javaorder import copied_paths
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, node_digest
from zkpy.tree.znode import ZNode

RECOMPUTE_EVERY: Final = 16
"""Of so many transactions one trusts no digest that is kept or foretold, but computes it from the znode."""


class Pending:
    """A znode as it will be after transaction ``zxid``; ``node`` None means deleted.

    ``node`` may be the tree's own object where nothing is pending: copy it before changing it.
    """

    __slots__ = ("children", "digest", "node", "zxid")

    def __init__(self, zxid: int, node: ZNode | None, children: int, digest: int) -> None:
        self.zxid = zxid
        self.node = node
        self.children = children
        self.digest = digest


class Outstanding:
    """All pending changes by path, and the predicted tree digest."""

    __slots__ = ("_by_path", "_order", "_owned", "_tree", "digest")

    def __init__(self, tree: DataTree) -> None:
        self._tree: Final = tree
        self._by_path: dict[bytes, Pending] = {}
        self._owned: dict[bytes, None] = {}  # paths whose pending znode has or had an owner
        self._order: deque[tuple[int, bytes]] = deque()
        self.digest = tree.digest

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, path: bytes) -> tuple[ZNode, int] | None:
        """The znode at *path* and its number of children; None when there is none."""
        record = self._by_path.get(path)
        if record is None:
            node = self._tree.nodes.get(path)
            if node is None:
                return None
            return node, len(node.children) if node.children else 0
        if record.node is None:
            return None
        return record.node, record.children

    def put(self, zxid: int, path: bytes, node: ZNode | None, children: int) -> Pending | None:
        """Note what *path* will be; returns the record it replaces, for `restore`."""
        previous = self._by_path.get(path)
        digest = 0
        if self._tree.digest_enabled:
            if previous is not None:
                before = previous.digest
            else:
                committed = self._tree.nodes.get(path)
                before = 0
                if committed is not None:
                    if committed.digest is None or not zxid % RECOMPUTE_EVERY:
                        before = node_digest(path, committed)
                        assert committed.digest in (None, before), "a kept digest is not that of its znode"
                        committed.digest = before
                    before = committed.digest
            if node is not None:
                digest = node.digest = node_digest(path, node)
            self.digest = (self.digest - before + digest) & MASK
        if node is not None and node.owner:
            self._owned[path] = None
        self._by_path[path] = Pending(zxid, node, children, digest)
        self._order.append((zxid, path))
        return previous

    def restore(self, replaced: list[tuple[bytes, Pending | None]], digest: int) -> None:
        """Undo the given `put` calls (a failed multi), newest first; *digest* is what it was before."""
        for path, previous in reversed(replaced):
            self._order.pop()
            if previous is None:
                del self._by_path[path]
                self._owned.pop(path, None)
            else:
                self._by_path[path] = previous
        self.digest = digest

    def applied(self, zxid: int) -> None:
        """Transactions up to *zxid* are in the tree: their records are no longer needed."""
        order = self._order
        by_path = self._by_path
        while order and order[0][0] <= zxid:
            path = order.popleft()[1]
            record = by_path.get(path)
            if record is not None and record.zxid <= zxid:
                del by_path[path]
                if self._owned:
                    self._owned.pop(path, None)

    def ephemerals_of(self, session_id: int) -> list[bytes]:
        """The ephemerals that a session will have when everything pending is applied, in Java's order."""
        committed = list(self._tree.session_ephemerals(session_id))
        found = dict.fromkeys(committed)
        for path in (*found, *self._owned):
            record = self._by_path.get(path)
            if record is None:
                continue
            if record.node is None:
                found.pop(path, None)
            elif record.node.owner == session_id:
                found[path] = None
            else:
                found.pop(path, None)
        if len(found) < 2:
            return list(found)
        most = self._tree.most_ephemerals.get(session_id, 0)
        listed = copied_paths(committed, most, [path for path in found if path not in committed])
        return [path for path in listed if path in found]
