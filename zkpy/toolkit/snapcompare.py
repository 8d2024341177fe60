"""``zkpy snapshot compare``: which znodes and sessions two snapshots do not share.

Both files are read side by side. A znode waits in memory, without its data, until its partner comes; files of
one server keep the order, so few wait. In the worst case it is all of one file, about 500 bytes per znode.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import zip_longest
from typing import Final

import attrs

from zkpy.persist.snapstream import NodeRecord
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_FOUND, EXIT_OK, out
from zkpy.toolkit.render import Json, acl_text, hex_id, json_line, owner_text, path_of, path_text
from zkpy.toolkit.snapview import Opened, open_snapshot
from zkpy.tree.acl import AclEntry
from zkpy.tree.znode import STORED_STAT

FIELDS: Final = (
    "czxid",
    "mzxid",
    "ctime",
    "mtime",
    "version",
    "cversion",
    "aversion",
    "owner",
    "pzxid",
)
_ZXIDS: Final = frozenset({"czxid", "mzxid", "pzxid"})


class Compact:
    """A znode as far as it is compared: data by length and hash."""

    __slots__ = ("acl", "hash", "packed", "size")

    def __init__(self, record: NodeRecord, acls: dict[int, tuple[AclEntry, ...]]) -> None:
        data = record[2]
        self.size = -1 if data is None else len(data)
        self.hash = blake2b(data, digest_size=16).digest() if data else b""
        self.acl = acls.get(record[3])
        self.packed = record[4]

    def differences(self, other: Compact) -> list[str]:
        """The fields in which the two differ, with both values."""
        found: list[str] = []
        if self.size != other.size:
            found.append(f"data {_size(self.size)} -> {_size(other.size)}")
        elif self.hash != other.hash:
            found.append(f"data ({_size(self.size)})")
        if self.acl != other.acl:
            found.append(f"acl {acl_text(self.acl or ())} -> {acl_text(other.acl or ())}")
        if self.packed != other.packed:
            mine, others = STORED_STAT.unpack(self.packed), STORED_STAT.unpack(other.packed)
            for name, left, right in zip(FIELDS, mine, others, strict=True):
                if left != right:
                    found.append(f"{name} {_value(name, left)} -> {_value(name, right)}")
        return found


def _size(size: int) -> str:
    return "null" if size < 0 else f"{size} bytes"


def _value(name: str, value: int) -> str:
    if name in _ZXIDS:
        return hex_id(value)
    return (owner_text(value) or "none") if name == "owner" else str(value)


@attrs.define
class Comparison:
    """What is found; *least_bytes* and *least_nodes* turn the lines about znodes into ones about subtrees.

    ``deltas`` are, per znode with something different at or below it, the znodes and bytes that the second
    file has more.
    """

    as_json: bool
    least_bytes: int | None
    least_nodes: int | None
    only_left: int = 0
    only_right: int = 0
    changed: int = 0
    same: int = 0
    sessions: int = 0
    deltas: dict[bytes, tuple[int, int]] = attrs.field(factory=dict)

    @property
    def by_subtree(self) -> bool:
        """Whether subtrees are reported instead of znodes."""
        return self.least_bytes is not None or self.least_nodes is not None

    def one_sided(self, sign: str, path: bytes, node: Compact) -> None:
        """*path* is in the first (``-``) or only in the second (``+``) file."""
        left = sign == "-"
        self.only_left += left
        self.only_right += not left
        if self.by_subtree:
            self._add(path, -1 if left else 1, (-1 if left else 1) * max(node.size, 0))
        elif self.as_json:
            self._json("left" if left else "right", path)
        else:
            kind = owner_text(STORED_STAT.unpack(node.packed)[7])
            out(f"{sign} {path_text(path)} ({_size(node.size)}){f' {kind}' if kind else ''}")

    def both(self, path: bytes, left: Compact, right: Compact) -> None:
        """*path* is in both files."""
        differences = left.differences(right)
        if not differences:
            self.same += 1
            return
        self.changed += 1
        if self.by_subtree:
            self._add(path, 0, max(right.size, 0) - max(left.size, 0))
        elif self.as_json:
            self._json("both", path, differences)
        else:
            out(f"~ {path_text(path)}: {', '.join(differences)}")

    def _json(self, where: str, path: bytes, differences: list[str] | None = None) -> None:
        item: Json = {"kind": "znode", "in": where, "path": path_of(path)}
        if differences is not None:
            item["changed"] = differences
        out(json_line(item))

    def _add(self, path: bytes, nodes: int, size: int) -> None:
        if not nodes and not size:
            return
        while True:
            old = self.deltas.get(path, (0, 0))
            self.deltas[path] = old[0] + nodes, old[1] + size
            if not path:
                return
            path = path[: path.rfind(b"/")]

    def compare_sessions(self, left: Opened, right: Opened) -> None:
        """Compare the two session tables."""
        old, new = dict(left.sessions), dict(right.sessions)
        for session in sorted(old.keys() | new.keys()):
            if old.get(session) == new.get(session):
                continue
            self.sessions += 1
            times = [f"{table[session]} ms" if session in table else None for table in (old, new)]
            if self.as_json:
                item = {"kind": "session", "id": hex_id(session), "left": times[0], "right": times[1]}
                out(json_line(item))
            elif times[1] is None:
                out(f"- session {hex_id(session)}")
            elif times[0] is None:
                out(f"+ session {hex_id(session)}")
            else:
                out(f"~ session {hex_id(session)}: timeout {times[0]} -> {times[1]}")

    def compare_nodes(self, left: Opened, right: Opened) -> None:
        """Compare the znodes of both, in whatever order they come."""
        waiting_left: dict[bytes, Compact] = {}
        waiting_right: dict[bytes, Compact] = {}
        left_acls, right_acls = left.acls, right.acls
        for one, other in zip_longest(left.nodes(), right.nodes()):
            if one is not None and other is not None and one[1] == other[1]:
                equal = one[2] == other[2] and one[4] == other[4]
                if equal and left_acls.get(one[3]) == right_acls.get(other[3]):
                    self.same += 1
                else:
                    self.both(one[1], Compact(one, left_acls), Compact(other, right_acls))
                continue
            if one is not None:
                partner = waiting_right.pop(one[1], None)
                compact = Compact(one, left_acls)
                if partner is None:
                    waiting_left[one[1]] = compact
                else:
                    self.both(one[1], compact, partner)
            if other is not None:
                partner = waiting_left.pop(other[1], None)
                compact = Compact(other, right_acls)
                if partner is None:
                    waiting_right[other[1]] = compact
                else:
                    self.both(other[1], partner, compact)
        for sign, waiting in (("-", waiting_left), ("+", waiting_right)):
            for path in sorted(waiting):
                self.one_sided(sign, path, waiting[path])

    def print_subtrees(self) -> None:
        """The subtrees that grew or shrank by more than was asked for."""
        for path, (nodes, size) in sorted(self.deltas.items()):
            over_bytes = self.least_bytes is not None and abs(size) > self.least_bytes
            over_nodes = self.least_nodes is not None and abs(nodes) > self.least_nodes
            if not over_bytes and not over_nodes:
                continue
            if self.as_json:
                out(json_line({"kind": "subtree", "path": path_of(path), "nodes": nodes, "bytes": size}))
            else:
                out(f"~ {path_text(path)}: {nodes:+d} znodes, {size:+d} bytes at and below it")


def compare_snapshots(
    disk: Disk, left: str, right: str, *, as_json: bool, least_bytes: int | None, least_nodes: int | None
) -> int:
    """Print the differences; gives the exit status (0: none).

    Raises:
        CorruptLogError: one of the files is damaged.
    """
    one = open_snapshot(disk, left)
    other = open_snapshot(disk, right, quiet=True)
    found = Comparison(as_json, least_bytes, least_nodes)
    if not as_json:
        out(f"- {one.path}")
        out(f"+ {other.path}")
    found.compare_sessions(one, other)
    found.compare_nodes(one, other)
    endings = [opened.finish() for opened in (one, other)]
    if found.by_subtree:
        found.print_subtrees()
    differ = found.only_left or found.only_right or found.changed or found.sessions
    digests = [None if ending.digest is None else hex_id(ending.digest) for ending in endings]
    if as_json:
        item = {
            "kind": "total",
            "left": found.only_left,
            "right": found.only_right,
            "changed": found.changed,
            "same": found.same,
            "sessions": found.sessions,
            "digests": digests,
        }
        out(json_line(item))
    else:
        out(
            f"{found.only_left} znodes only in the first, {found.only_right} only in the second, "
            f"{found.changed} changed, {found.same} equal; {found.sessions} sessions differ"
        )
    return EXIT_FOUND if differ else EXIT_OK
