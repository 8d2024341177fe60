"""Keeping the usage of quota subtrees up to date while transactions are applied.

The stats nodes change in place: their text follows the subtree without touching version, zxids, times or
watches. Only the deepest quota that a path belongs to sees a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from zkpy import paths
from zkpy.tree.quota import (
    MalformedQuotaError,
    QuotaTrie,
    StatsTrack,
    exceeds_hard_limit,
    limits_path,
    stats_path,
    subtree_of_limits,
    subtree_of_stats,
)
from zkpy.tree.znode import ZNode

_BELOW_QUOTA: Final = paths.QUOTA + b"/"


class QuotaBook:
    """The registered quotas of one tree.

    ``active`` says whether there is any, so that a tree without quotas pays one test per change.
    *rewrite* replaces the data of a stats node in place.
    """

    __slots__ = ("_nodes", "_rewrite", "active", "trie")

    def __init__(self, nodes: Mapping[bytes, ZNode], rewrite: Callable[[bytes, bytes], None]) -> None:
        self._nodes = nodes
        self._rewrite = rewrite
        self.trie = QuotaTrie()
        self.active = False

    def created(self, path: bytes, node: ZNode) -> None:
        """A znode was created: a limits node registers its subtree, a stats node is filled."""
        if path.startswith(_BELOW_QUOTA):
            self._register(path)
            subtree = subtree_of_stats(path)
            if subtree is not None:
                self._rewrite(path, self.usage(subtree).to_bytes())
        self._adjust(path, 1, len(node.data) if node.data else 0)

    def deleted(self, path: bytes, node: ZNode) -> None:
        """A znode was deleted; deleting a limits node unregisters its subtree."""
        if path.startswith(_BELOW_QUOTA):
            subtree = subtree_of_limits(path)
            if subtree is not None:
                self.trie.unregister(subtree)
                self.active = len(self.trie) > 0
        self._adjust(path, -1, -len(node.data) if node.data else 0)

    def resized(self, path: bytes, growth: int) -> None:
        """The data of a znode grew by *growth* bytes."""
        self._adjust(path, 0, growth)

    def exceeded(self, path: bytes, count: int, size: int) -> bool:
        """Whether *count* nodes and *size* bytes more at *path* break a hard limit of the quota it is in.

        Raises:
            MalformedQuotaError: the quota's text cannot be read.
        """
        subtree = self.trie.deepest(path)
        if subtree is None:
            return False
        limits = self._nodes.get(limits_path(subtree))
        stats = self._nodes.get(stats_path(subtree))
        if limits is None or stats is None:
            return False
        if limits.data is None or stats.data is None:
            raise MalformedQuotaError("a quota node has no data")
        return exceeds_hard_limit(StatsTrack.parse(limits.data), StatsTrack.parse(stats.data), count, size)

    def rebuild(self) -> None:
        """Register and recount everything, as after loading a snapshot."""
        self.trie.clear()
        below = [path for path in self._nodes if path.startswith(_BELOW_QUOTA)]
        for path in below:
            self._register(path)
        for path in below:
            subtree = subtree_of_stats(path)
            if subtree is not None and subtree in self.trie.prefixes():
                self._rewrite(path, self.usage(subtree).to_bytes())
        self.active = len(self.trie) > 0

    def usage(self, subtree: bytes) -> StatsTrack:
        """Count and bytes of *subtree* from the znodes themselves; both 0 when it does not exist."""
        count = 0
        size = 0
        todo = [subtree]
        while todo:
            path = todo.pop()
            node = self._nodes.get(path)
            if node is None:
                continue
            count += 1
            size += len(node.data) if node.data else 0
            if node.children:
                prefix = path + b"/" if path != paths.ROOT else path
                todo += [prefix + name for name in node.children]
        return StatsTrack(count, size)

    def _register(self, path: bytes) -> None:
        subtree = subtree_of_limits(path)
        if subtree is not None:
            self.trie.register(subtree)
            self.active = True

    def _adjust(self, path: bytes, count: int, size: int) -> None:
        subtree = self.trie.deepest(path) if self.active else None
        if subtree is None:
            return
        stats = stats_path(subtree)
        node = self._nodes.get(stats)
        if node is not None:
            usage = StatsTrack.parse_usage(node.data)
            usage.add(count, size)
            self._rewrite(stats, usage.to_bytes())
