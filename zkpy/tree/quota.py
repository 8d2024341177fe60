"""Quotas: their text, where it is kept, and which quota a path belongs to.

The limits of a subtree S are the data of ``/zookeeper/quota<S>/zookeeper_limits``, its usage that of
``/zookeeper/quota<S>/zookeeper_stats``. Creating the limits node is what registers S; the server then keeps
the usage up to date, and of nested quotas only the deepest one sees a change.
"""

from __future__ import annotations

import re
from typing import Final

from zkpy.paths import QUOTA, ROOT, normalize

LIMITS_NAME: Final = b"zookeeper_limits"
STATS_NAME: Final = b"zookeeper_stats"

UNLIMITED: Final = -1
"""Value of a key that is missing, and of one with an empty value in the middle (``count==1``)."""

_COUNT: Final = b"count"
_BYTES: Final = b"bytes"
_COUNT_HARD: Final = b"countHardLimit"
_BYTE_HARD: Final = b"byteHardLimit"

_LIMITS_SUFFIX: Final = b"/" + LIMITS_NAME
_STATS_SUFFIX: Final = b"/" + STATS_NAME

_SEPARATORS: Final = re.compile(rb"[,;]+")
_NUMBER: Final = re.compile(r"[+-]?\d+").fullmatch  # digits of any script, as in Java
_MAX_DIGITS: Final = 64
_MIN_LONG: Final = -(1 << 63)
_MAX_LONG: Final = (1 << 63) - 1


class MalformedQuotaError(ValueError):
    """The text of a quota node is not a list of ``key=number``."""


def _long(value: int) -> int:
    # Clients may write any number into the stats node and the server counts on from it; as in Java, the
    # sum stays a 64-bit number.
    return value if _MIN_LONG <= value <= _MAX_LONG else (value - _MIN_LONG) % (1 << 64) + _MIN_LONG


class StatsTrack:
    """The numbers of one quota node: limits in a limits node, usage in a stats node (same text).

    Attributes:
        count: nodes, the subtree's root included; as a limit soft, ``UNLIMITED`` if missing.
        bytes: sum of data lengths; as a limit soft.
        other: further keys in the order they were first seen; hard limits are here. They are printed again.
    """

    __slots__ = ("bytes", "count", "other")

    def __init__(self, count: int = UNLIMITED, nbytes: int = UNLIMITED) -> None:
        self.count = count
        self.bytes = nbytes
        self.other: dict[bytes, int] | None = None

    @classmethod
    def parse(cls, data: bytes | None) -> StatsTrack:
        """Read the data of a quota node; null or empty data has no keys.

        Pairs are separated by runs of ``,`` or ``;``; of a key given twice the last value counts.

        Raises:
            MalformedQuotaError: a key without value, or a value that is not a 64-bit number.
        """
        track = cls()
        text = normalize(data).rstrip(b",;") if data else b""
        for pair in _SEPARATORS.split(text) if text else ():
            key, value = _parse_pair(pair)
            if key == _COUNT:
                track.count = value
            elif key == _BYTES:
                track.bytes = value
            elif track.other is None:
                track.other = {key: value}
            else:
                track.other[key] = value
        return track

    @classmethod
    def parse_usage(cls, data: bytes | None) -> StatsTrack:
        """Read a stats node without ever failing: unreadable text counts as an empty subtree.

        Clients may overwrite the stats node with anything. For bookkeeping, which happens while a committed
        transaction is applied, an error would be fatal now and again at every replay of the log.
        """
        try:
            return cls.parse(data)
        except MalformedQuotaError:
            return cls(0, 0)

    @property
    def count_hard_limit(self) -> int:
        """Nodes that must not be exceeded, or ``UNLIMITED``."""
        return self.other.get(_COUNT_HARD, UNLIMITED) if self.other else UNLIMITED

    @property
    def byte_hard_limit(self) -> int:
        """Bytes that must not be exceeded, or ``UNLIMITED``."""
        return self.other.get(_BYTE_HARD, UNLIMITED) if self.other else UNLIMITED

    def add(self, count: int, nbytes: int) -> None:
        """Adjust a usage by a change of so many nodes and bytes, either of which may be negative."""
        self.count = _long(self.count + count)
        self.bytes = _long(self.bytes + nbytes)

    def to_bytes(self) -> bytes:
        """The node's data, as ZooKeeper prints it: a doubled ``=`` before keys other than the first two."""
        text = b"count=%d,bytes=%d" % (self.count, self.bytes)
        if self.other:
            text += b"=" + b"".join(b";%b=%d" % pair for pair in sorted(self.other.items()))
        return text


def _parse_pair(pair: bytes) -> tuple[bytes, int]:
    # Printed text has a trailing "=", which is ignored; so is whatever follows a second one inside.
    key, equals, rest = pair.rstrip(b"=").partition(b"=")
    if not equals:
        raise MalformedQuotaError(f"quota: {pair[:64]!r} is not key=number")
    number = rest.partition(b"=")[0].decode()
    if not number:
        return key, UNLIMITED
    # The length is looked at first, conversion of long numbers is slow (and limited by the interpreter).
    value = int(number) if len(number) <= _MAX_DIGITS and _NUMBER(number) else _MAX_LONG + 1
    if not _MIN_LONG <= value <= _MAX_LONG:
        raise MalformedQuotaError(f"quota: {number[:64]!r} is not a 64-bit number")
    return key, value


def exceeds_hard_limit(limits: StatsTrack, usage: StatsTrack, count_diff: int, bytes_diff: int) -> bool:
    """Whether a write must be refused for ``QuotaExceeded``.

    A difference of 0 is never checked; a negative one is, so shrinking what stays above the limit is refused.
    """
    count_limit = limits.count_hard_limit
    if count_diff and count_limit > UNLIMITED and usage.count + count_diff > count_limit:
        return True
    byte_limit = limits.byte_hard_limit
    return bool(bytes_diff) and byte_limit > UNLIMITED and usage.bytes + bytes_diff > byte_limit


def limits_path(subtree: bytes) -> bytes:
    """Where the limits of *subtree* are kept."""
    return QUOTA + (b"" if subtree == ROOT else subtree) + _LIMITS_SUFFIX


def stats_path(subtree: bytes) -> bytes:
    """Where the usage of *subtree* is kept."""
    return QUOTA + (b"" if subtree == ROOT else subtree) + _STATS_SUFFIX


def subtree_of_limits(path: bytes) -> bytes | None:
    """The subtree that creating the node *path* puts under a quota, if it is a limits node.

    The root cannot have a quota; a node of that name directly below ``/zookeeper/quota`` is a plain node.
    """
    subtree = _subtree(path, _LIMITS_SUFFIX)
    return None if subtree == ROOT else subtree


def subtree_of_stats(path: bytes) -> bytes | None:
    """The subtree whose usage is written into the node *path* when that is created, if it is a stats node.

    Here the root does count: its stats node is filled once, with the totals of the whole tree.
    """
    return _subtree(path, _STATS_SUFFIX)


def _subtree(path: bytes, suffix: bytes) -> bytes | None:
    if not path.startswith(QUOTA) or not path.endswith(suffix) or len(path) < len(QUOTA) + len(suffix):
        return None
    subtree = path[len(QUOTA) : -len(suffix)]
    if not subtree:
        return ROOT
    return subtree if subtree.startswith(b"/") else None


class _Component:
    """A node of the trie; ``prefix`` is the whole path if a quota is registered exactly here."""

    __slots__ = ("below", "prefix")

    def __init__(self) -> None:
        self.below: Final[dict[bytes, _Component]] = {}
        self.prefix: bytes | None = None


class QuotaTrie:
    """The subtrees that have a quota.

    A look-up costs by the depth of the registered prefixes it follows, whatever the length of the path.
    """

    __slots__ = ("_count", "_root")

    def __init__(self) -> None:
        self._root: Final = _Component()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def register(self, subtree: bytes) -> None:
        """Put *subtree* under a quota; again is no change. The root is refused, see ``subtree_of_limits``."""
        assert subtree.startswith(b"/") and subtree != ROOT
        node = self._root
        for part in subtree[1:].split(b"/"):
            below = node.below.get(part)
            if below is None:
                below = node.below[part] = _Component()
            node = below
        if node.prefix is None:
            node.prefix = subtree
            self._count += 1

    def unregister(self, subtree: bytes) -> None:
        """Take the quota off *subtree*; no change if it has none."""
        node = self._root
        trail: list[tuple[_Component, bytes]] = []
        for part in subtree[1:].split(b"/"):
            below = node.below.get(part)
            if below is None:
                return
            trail.append((node, part))
            node = below
        if node.prefix is None:
            return
        node.prefix = None
        self._count -= 1
        # Branches that lead nowhere would make every look-up follow them.
        for above, part in reversed(trail):
            branch = above.below[part]
            if branch.below or branch.prefix is not None:
                break
            del above.below[part]
        assert self._count >= 0

    def clear(self) -> None:
        """Forget all, before a snapshot is loaded."""
        self._root.below.clear()
        self._count = 0

    def deepest(self, path: bytes) -> bytes | None:
        """The longest registered subtree that *path* is in or at, None if there is none."""
        if not self._count:
            return None
        found: bytes | None = None
        node = self._root
        start = 1
        while True:
            end = path.find(b"/", start)
            below = node.below.get(path[start:] if end < 0 else path[start:end])
            if below is None:
                return found
            node = below
            if node.prefix is not None:
                found = node.prefix
            if end < 0:
                return found
            start = end + 1

    def prefixes(self) -> list[bytes]:
        """Every registered subtree, ascending."""
        found: list[bytes] = []
        todo = [self._root]
        while todo:
            node = todo.pop()
            if node.prefix is not None:
                found.append(node.prefix)
            todo.extend(node.below.values())
        return sorted(found)
