"""What a generator believes the tree to be: enough to make requests succeed, and fail on purpose.

It only chooses what is sent. Nothing is compared with it.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from compat import wire
from compat.generated.steps import CREATES, Op
from compat.wire import OPEN

ROOT: Final = "/t"
DEEPEST: Final = 5
PLAIN: Final = tuple(OPEN or ())
_VALID: Final = re.compile(r"(/[a-z-]+[0-9]*)+").fullmatch
_TTL_MAX: Final = 1099511627775


@attrs.frozen
class Guess:
    """One znode, as believed."""

    version: int = 0
    children: int = 0
    made: int = 0
    """Children ever made: the next sequence number."""
    open: bool = True
    """Anybody may do anything with it."""
    session: str | None = None
    """The owner of an ephemeral."""


class Model:
    """The believed tree below `ROOT`; *extended* says whether TTL znodes can be made."""

    def __init__(self, extended: bool) -> None:
        self.extended = extended
        self.nodes: dict[str, Guess] = {ROOT: Guess()}

    def copy(self) -> Model:
        """To try a multi on."""
        other = Model(self.extended)
        other.nodes = dict(self.nodes)
        return other

    # -- choosing --

    def parents(self) -> list[str]:
        """Where children can be made."""
        return [
            path
            for path, node in self.nodes.items()
            if node.open and node.session is None and path.count("/") < DEEPEST
        ]

    def leaves(self) -> list[str]:
        """What can be deleted."""
        return [
            path
            for path, node in self.nodes.items()
            if not node.children and path != ROOT and self.nodes[parent_of(path)].open
        ]

    def writable(self) -> list[str]:
        """Whose data can be set."""
        return [path for path, node in self.nodes.items() if node.open]

    # -- changing --

    def apply(self, op: Op, session: str) -> bool:
        """Whether *op* should succeed; if so, its effect is noted."""
        if op.cut is not None or not isinstance(op.path, str):
            return op.code in (wire.MULTI,) and op.cut is None and self._multi(op, session)
        if op.code in CREATES:
            return self._create(op, session)
        if op.code == wire.DELETE:
            return self._delete(op)
        node = self.nodes.get(op.path)
        if node is None:
            return False
        if op.code in (wire.SET_DATA, wire.CHECK):
            if not node.open or op.version not in (-1, node.version):
                return False
            if op.code == wire.SET_DATA:
                self.nodes[op.path] = attrs.evolve(node, version=node.version + 1)
            return True
        if op.code == wire.SET_ACL and node.open and op.acl and op.version == -1:
            self.nodes[op.path] = attrs.evolve(node, open=op.acl == PLAIN)
        return True

    def close(self, session: str) -> None:
        """A session ends, and its ephemerals with it."""
        for path in [path for path, node in self.nodes.items() if node.session == session]:
            self._forget(path)

    def _multi(self, op: Op, session: str) -> bool:
        tried = self.copy()
        if not all(tried.apply(inner, session) for inner in op.ops):
            return False
        self.nodes = tried.nodes
        return True

    def _create(self, op: Op, session: str) -> bool:
        assert isinstance(op.path, str)
        parent = self.nodes.get(parent_of(op.path))
        if parent is None or not parent.open or parent.session is not None or not op.acl:
            return False
        ttl = op.code == wire.CREATE_TTL
        if ttl and not (self.extended and op.flags in (5, 6) and 0 < op.ttl <= _TTL_MAX):
            return False
        if not ttl and not 0 <= op.flags <= 4:
            return False
        sequential = op.flags in (2, 3, 6)
        path = f"{op.path}{parent.made:010}" if sequential else op.path
        if path in self.nodes or not _VALID(path):
            return False
        kept_open = op.acl == PLAIN
        if not kept_open and any(scheme not in ("world", "ip") for _, scheme, _ in op.acl):
            return False  # it depends on who the session is
        self.nodes[path] = Guess(open=kept_open, session=session if op.flags in (1, 3) else None)
        self.nodes[parent_of(op.path)] = attrs.evolve(
            parent, children=parent.children + 1, made=parent.made + 1
        )
        return True

    def _delete(self, op: Op) -> bool:
        assert isinstance(op.path, str)
        node = self.nodes.get(op.path)
        if node is None or op.path not in self.leaves() or op.version not in (-1, node.version):
            return False
        self._forget(op.path)
        return True

    def _forget(self, path: str) -> None:
        del self.nodes[path]
        above = parent_of(path)
        parent = self.nodes.get(above)
        if parent is not None:
            self.nodes[above] = attrs.evolve(parent, children=parent.children - 1)


def parent_of(path: str) -> str:
    """The path above."""
    return path.rpartition("/")[0]
