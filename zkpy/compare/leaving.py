"""What servers remove by themselves, and which differences come from that. Nothing here does I/O.

Ephemerals go with their session, containers and TTL znodes when a server comes to it, and each server has a
time of its own for that. Until both are done they differ, but only about these znodes and their parents.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from typing import Any, Final

import attrs

from zkpy import opcodes
from zkpy.compare.fields import MULTIS, Field, Kind, request_fields
from zkpy.errors import Code

SWEEPS_KEPT: Final = 100_000
TTL_EARLY_S: Final = 5.0
"""How much later than a server the comparison may learn that a TTL znode was made."""

CREATES: Final = (opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER, opcodes.CREATE_TTL)
_PERSISTENT_FLAGS: Final = (0, 2)
_EPHEMERAL_FLAGS: Final = (1, 3)
NODE_DELETED: Final = 2
_CHILDREN_CHANGED: Final = 4
_OF_PARENTS: Final = frozenset({"cversion", "children", "numChildren", "pzxid"})


def parent(path: bytes) -> bytes:
    """The path of the znode above; ``/`` is its own."""
    return path.rpartition(b"/")[0] or b"/"


# -- what a request does ---------------------------------------------------------------------------------


@attrs.frozen
class Step:
    """One operation: a request is one, a multi has several. ``prefix`` begins its names in the answer."""

    opcode: int
    path: bytes
    flags: int
    ttl_s: float
    prefix: str

    @property
    def is_ephemeral(self) -> bool:
        """It makes an ephemeral."""
        return self.opcode in CREATES and self.flags in _EPHEMERAL_FLAGS

    @property
    def is_swept(self) -> bool:
        """It makes a container or a TTL znode."""
        return self.opcode in CREATES and self.flags not in (*_PERSISTENT_FLAGS, *_EPHEMERAL_FLAGS)

    def made(self, answer: Mapping[str, Any]) -> bytes | None:
        """The path of what was made or changed, sequence number included; None: it failed."""
        if answer.get("err") or answer.get(f"{self.prefix}type") == opcodes.ERROR:
            return None
        path = answer.get(f"{self.prefix}path", self.path)
        return path if isinstance(path, bytes) else None


def steps(opcode: int, frame: bytes) -> list[Step]:
    """The operations of a request; what cannot be decoded has none."""
    fields = {field.name: field.value for field in request_fields(opcode, frame)}
    if opcode not in MULTIS:
        return [_step(opcode, fields, "", "")]
    found: list[Step] = []
    while (type := fields.get(f"operation{len(found) + 1}.type")) is not None:
        number = len(found) + 1
        found.append(_step(type, fields, f"operation{number}.", f"result{number}."))
    return found


def _step(opcode: int, fields: Mapping[str, Any], asked: str, prefix: str) -> Step:
    path = fields.get(f"{asked}path") or b""
    return Step(
        opcode, path, fields.get(f"{asked}flags", 0), max(fields.get(f"{asked}ttl", 0), 0) / 1000, prefix
    )


# -- containers and TTL znodes ---------------------------------------------------------------------------


@attrs.define(eq=False)
class Sweep:
    """A container or a TTL znode: from when on a server may remove it, and which ones may still do."""

    from_s: float
    left: list[int] = attrs.Factory(lambda: [1, 1])
    removed: bool = False
    """Both servers have done it."""


class Sweeps:
    """The containers and TTL znodes that were made through the proxy.

    Each server takes one transaction to remove one. So the distance of zxids may change by as many as there
    are znodes whose time may have come: that of a TTL znode when its TTL is over, that of a container once it
    had a child.
    """

    __slots__ = ("_limit", "_removed", "_swept", "now_s")

    def __init__(self, limit: int = SWEEPS_KEPT) -> None:
        self._limit: Final = limit
        self._swept: dict[bytes, Sweep] = {}
        self._removed: list[Sweep] = []
        self.now_s = 0.0

    def add(self, path: bytes, ttl_s: float | None) -> None:
        """A container (without a TTL) or a TTL znode was made."""
        self._swept.pop(path, None)
        self._swept[path] = Sweep(inf if ttl_s is None else self.now_s + ttl_s - TTL_EARLY_S)
        if len(self._swept) > self._limit:
            del self._swept[next(iter(self._swept))]

    def drop(self, path: bytes) -> None:
        """There is no such znode any more, or another one."""
        self._swept.pop(path, None)

    def may_go(self, path: bytes) -> None:
        """From now on servers may remove this znode, if it is one of these."""
        one = self._swept.get(path)
        if one is not None:
            one.from_s = min(one.from_s, self.now_s)

    def concerns(self, type: int, path: bytes) -> bool:
        """Whether the removal of one of these causes such an event."""
        if type == NODE_DELETED:
            return path in self._swept
        return type == _CHILDREN_CHANGED and self.has_child(path)

    def has_child(self, path: bytes) -> bool:
        """Whether one of these is a child of *path*."""
        return any(parent(one) == path for one in self._swept)

    def allow(self, apart: int) -> bool:
        """Whether the real server can be ahead by this many removals, or behind if negative."""
        side = int(apart > 0)
        return sum(one.left[side] for one in self._swept.values() if one.from_s <= self.now_s) >= abs(apart)

    def use(self, apart: int) -> None:
        """So many removals were seen: they do not happen again."""
        side, number = int(apart > 0), abs(apart)
        for one in [*self._removed, *self._swept.values()]:
            if number and one.left[side] and one.from_s <= self.now_s:
                one.left[side] = 0
                number -= 1

    def both_removed(self, path: bytes) -> None:
        """Both servers have removed this znode: the next transaction is the last one to show it."""
        one = self._swept.get(path)
        if one is not None and not one.removed:
            one.removed = True
            self._removed.append(one)

    def settle(self) -> None:
        """A transaction was seen on both servers: what both have removed moves zxids no more."""
        for one in self._removed:
            for side in (0, 1):
                if not one.left[side]:
                    continue
                one.left[side] = 0
                for other in self._swept.values():
                    if not other.removed and not other.left[side]:
                        other.left[side] = 1  # it was this one's removal that was taken for the other one's
                        break
        self._removed.clear()


# -- ephemerals ------------------------------------------------------------------------------------------


def event_concerns(paths: Collection[bytes], type: int, path: bytes) -> bool:
    """Whether an event can come from znodes that go with their session."""
    return path in paths or (type == _CHILDREN_CHANGED and any(parent(one) == path for one in paths))


def all_explained(paths: Collection[bytes], done: list[Step], fields: list[Field], multi: bool) -> bool:
    """Whether these fields can differ because *paths* are leaving: there on one server, gone on the other.

    A transaction with such a path stands on one server and falls on the other, with all its operations.
    """
    if multi:
        torn = {f"{step.prefix}type" for step in done if step.path in paths}
        torn |= {f"{step.prefix}err" for step in done if step.path in paths}
        if any(field.name in torn for field in fields):
            return True
    return all(field.kind is Kind.ZXID or _is_explained(paths, done, field.name) for field in fields)


def _is_explained(paths: Collection[bytes], done: list[Step], name: str) -> bool:
    prefix, _, base = name.rpartition(".")
    number = prefix.partition(".")[0]
    for step in done:
        if step.prefix and step.prefix != f"{number}.":
            continue
        if step.path in paths:
            return True
        if base in _OF_PARENTS and any(parent(one) == step.path for one in paths):
            return True
        above = step.path.rstrip(b"/") + b"/"
        if base == "totalNumber" and any(one.startswith(above) for one in paths):
            return True
    return False


def is_missing(answer: Mapping[str, Any]) -> bool:
    """Whether the answer to a request says that there is no such znode."""
    return bool(answer.get("err") == Code.NO_NODE)
