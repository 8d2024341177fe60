"""Who watches what, and in which mode.

Two tables map a path to its watchers and their modes::

    registration                    data table    child table
    exists, getData (one-shot)      ONE_SHOT
    getChildren (one-shot)                        ONE_SHOT
    addWatch, persistent            PERSISTENT    PERSISTENT
    addWatch, recursive             RECURSIVE

Registrations are sets: asking twice is one watch and one event. A watcher is a connection, not a session;
its watches end with it. Nothing is sent from here and no ACL is looked at: a trigger returns the watchers
concerned, in the order they registered, and has consumed their one-shot watches even if the caller then
finds that some of them may not read the node.

Paths are taken as they come: addWatch checks none.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import Final, Generic, TypeVar

from zkpy.errors import MarshallingError
from zkpy.paths import ROOT

W = TypeVar("W")

ONE_SHOT: Final = 1
PERSISTENT: Final = 2
RECURSIVE: Final = 4
_EVERY_MODE: Final = ONE_SHOT | PERSISTENT | RECURSIVE

# Watcher types of checkWatches and removeWatches.
TYPE_CHILDREN: Final = 1
TYPE_DATA: Final = 2
TYPE_ANY: Final = 3
TYPE_PERSISTENT: Final = 4
TYPE_PERSISTENT_RECURSIVE: Final = 5

# What each watcher type looks at: modes in the data table, modes in the child table.
_SCOPE: Final[dict[int, tuple[int, int]]] = {
    TYPE_CHILDREN: (0, ONE_SHOT),
    TYPE_DATA: (ONE_SHOT, 0),
    TYPE_ANY: (_EVERY_MODE, _EVERY_MODE),
    TYPE_PERSISTENT: (PERSISTENT, PERSISTENT),
    TYPE_PERSISTENT_RECURSIVE: (RECURSIVE, 0),
}


def _scope(watcher_type: int) -> tuple[int, int]:
    scope = _SCOPE.get(watcher_type)
    if scope is None:
        raise MarshallingError(f"unknown watcher type {watcher_type}")
    return scope


class _Table(Generic[W]):
    """One table: by path for triggering, by watcher for closing a connection."""

    __slots__ = ("by_path", "by_watcher", "count")

    def __init__(self) -> None:
        self.by_path: Final[dict[bytes, dict[W, int]]] = {}
        # Only the paths; the modes are in by_path, so that they are stored once.
        self.by_watcher: Final[dict[W, dict[bytes, None]]] = {}
        self.count = 0

    def add(self, path: bytes, watcher: W, mode: int) -> int:
        """Add *mode*; returns the modes held before."""
        watchers = self.by_path.get(path)
        if watchers is None:
            watchers = self.by_path[path] = {}
        before = watchers.get(watcher, 0)
        watchers[watcher] = before | mode
        if not before:
            self.count += 1
            paths = self.by_watcher.get(watcher)
            if paths is None:
                self.by_watcher[watcher] = {path: None}
            else:
                paths[path] = None
        return before

    def modes(self, path: bytes, watcher: W) -> int:
        watchers = self.by_path.get(path)
        return watchers.get(watcher, 0) if watchers else 0

    def discard(self, path: bytes, watcher: W, modes: int) -> int:
        """Take *modes* away; returns those of them that were held."""
        watchers = self.by_path.get(path)
        before = watchers.get(watcher, 0) if watchers else 0
        if watchers is None or not before & modes:
            return 0
        if before & ~modes:
            watchers[watcher] = before & ~modes
        else:
            del watchers[watcher]
            if not watchers:
                del self.by_path[path]
            self.count -= 1
            paths = self.by_watcher[watcher]
            del paths[path]
            if not paths:
                del self.by_watcher[watcher]
        return before & modes

    def fire(self, path: bytes) -> dict[W, int] | None:
        """The watchers at exactly *path*, whose one-shot mode this consumes; a dict of the caller's own."""
        watchers = self.by_path.pop(path, None)
        if watchers is None:
            return None
        lasting: dict[W, int] = {}
        for watcher, modes in watchers.items():
            modes &= ~ONE_SHOT
            if modes:
                lasting[watcher] = modes
            else:
                self.count -= 1
                paths = self.by_watcher[watcher]
                del paths[path]
                # A watcher stays listed when its last watch fires: ZooKeeper reports it so, and mostly it
                # re-arms at once. Clearing gives back what many watches took.
                if not paths:
                    paths.clear()
        if lasting:
            self.by_path[path] = lasting
        return watchers

    def drop(self, watcher: W) -> int:
        """Remove all of a watcher; returns how many recursive watches went."""
        recursive = 0
        for path in self.by_watcher.pop(watcher, ()):
            watchers = self.by_path[path]
            if watchers.pop(watcher) & RECURSIVE:
                recursive += 1
            self.count -= 1
            if not watchers:
                del self.by_path[path]
        return recursive

    def check_invariants(self) -> None:
        assert all(self.by_path.values())
        assert self.count == sum(map(len, self.by_path.values())) == sum(map(len, self.by_watcher.values()))
        for path, watchers in self.by_path.items():
            for watcher, modes in watchers.items():
                assert modes and not modes & ~_EVERY_MODE
                assert path in self.by_watcher[watcher]


class Watches(Generic[W]):
    """The watches of all connections of one server.

    ``W`` is the watcher, hashed by identity. Triggering costs by the watchers of the path, plus its depth
    while any recursive watch exists; closing a connection costs by its own watches.
    """

    __slots__ = ("_child", "_data", "_recursive")

    def __init__(self) -> None:
        self._data: Final[_Table[W]] = _Table()
        self._child: Final[_Table[W]] = _Table()
        # Recursive watches live in the data table only; while there is none, no ancestor is looked at.
        self._recursive = 0

    def add_data(self, path: bytes, watcher: W) -> None:
        """A one-shot watch of exists or getData."""
        self._data.add(path, watcher, ONE_SHOT)

    def add_child(self, path: bytes, watcher: W) -> None:
        """A one-shot watch of getChildren."""
        self._child.add(path, watcher, ONE_SHOT)

    def add_persistent(self, path: bytes, watcher: W) -> None:
        """addWatch mode 0: changes of the node and of its list of children, until removed."""
        self._data.add(path, watcher, PERSISTENT)
        self._child.add(path, watcher, PERSISTENT)

    def add_recursive(self, path: bytes, watcher: W) -> None:
        """addWatch mode 1: changes of the node and of every descendant, until removed."""
        if not self._data.add(path, watcher, RECURSIVE) & RECURSIVE:
            self._recursive += 1

    def trigger_data(self, path: bytes) -> Collection[W]:
        """A node was created, changed or deleted: whom to tell, each once.

        Watchers at *path* in the order they registered, then recursive ones of its ancestors, nearest first.
        The result is the caller's and keeps no link to the table; pass it to ``trigger_child`` for a delete.
        """
        fired = self._data.fire(path)
        if self._recursive:
            return self._with_ancestors(path, fired)
        return () if fired is None else fired

    def trigger_child(self, path: bytes, skip: Container[W] = ()) -> Collection[W]:
        """A node's list of children changed, or the node was deleted: whom to tell, each once.

        Watchers in *skip* lose their one-shot watch but are not returned: they were told of the deletion by
        ``trigger_data``. Recursive watches are not in this table and never learn of a changed list.
        """
        fired = self._child.fire(path)
        if fired is None:
            return ()
        if not skip:
            return fired
        return [watcher for watcher in fired if watcher not in skip]

    def contains(self, path: bytes, watcher: W, watcher_type: int) -> bool:
        """checkWatches. Data and children mean one-shot watches only, any means every mode.

        Raises:
            MarshallingError: *watcher_type* is not one of 1 to 5.
        """
        data, child = _scope(watcher_type)
        return bool(self._data.modes(path, watcher) & data or self._child.modes(path, watcher) & child)

    def remove(self, path: bytes, watcher: W, watcher_type: int) -> bool:
        """removeWatches: True if there was something to remove. Types and errors as for ``contains``."""
        data, child = _scope(watcher_type)
        from_data = self._data.discard(path, watcher, data)
        from_child = self._child.discard(path, watcher, child)
        if from_data & RECURSIVE:
            self._recursive -= 1
        assert self._recursive >= 0
        return bool(from_data or from_child)

    def remove_watcher(self, watcher: W) -> None:
        """A connection is gone, and its watches with it."""
        self._recursive -= self._data.drop(watcher)
        self._child.drop(watcher)
        assert self._recursive >= 0

    @property
    def total_count(self) -> int:
        """Registrations in both tables (``zk_watch_count``); all modes at a path count as one per table."""
        return self._data.count + self._child.count

    @property
    def data_count(self) -> int:
        """Registrations in the data table: ``Total watches`` of ``wchs``."""
        return self._data.count

    @property
    def data_watcher_count(self) -> int:
        """Connections in the data table: the first number of ``wchs``.

        One whose watches have all fired still counts, until it closes or its next watch is removed.
        """
        return len(self._data.by_watcher)

    @property
    def data_path_count(self) -> int:
        """Paths in the data table: the second number of ``wchs``."""
        return len(self._data.by_path)

    def data_by_watcher(self) -> Iterator[tuple[W, Collection[bytes]]]:
        """Each connection with its paths in the data table: the content of ``wchc``.

        As in ``data_watcher_count`` a connection may have no paths left. Valid until the next change.
        """
        yield from self._data.by_watcher.items()

    def data_by_path(self) -> Iterator[tuple[bytes, Collection[W]]]:
        """Each path of the data table with its connections, at least one: the content of ``wchp``."""
        yield from self._data.by_path.items()

    def paths(self) -> Collection[bytes]:
        """Paths that are watched in either table, each once."""
        return dict.fromkeys((*self._data.by_path, *self._child.by_path))

    def check_invariants(self) -> None:
        """Raise AssertionError if the tables and their indexes disagree."""
        self._data.check_invariants()
        self._child.check_invariants()
        data_modes = [modes for watchers in self._data.by_path.values() for modes in watchers.values()]
        assert self._recursive == sum(bool(modes & RECURSIVE) for modes in data_modes)
        for path, watchers in self._child.by_path.items():
            for watcher, modes in watchers.items():
                assert not modes & RECURSIVE
                assert modes & PERSISTENT == self._data.modes(path, watcher) & PERSISTENT
        for path, watchers in self._data.by_path.items():
            for watcher, modes in watchers.items():
                assert modes & PERSISTENT == self._child.modes(path, watcher) & PERSISTENT

    def _with_ancestors(self, path: bytes, fired: dict[W, int] | None) -> Collection[W]:
        by_path = self._data.by_path
        found: dict[W, int] = {} if fired is None else fired
        cut = len(path)
        while cut > 0 and path != ROOT:
            cut = path.rfind(b"/", 0, cut)
            if cut < 0:
                break
            watchers = by_path.get(path[:cut] if cut else ROOT)
            if watchers:
                for watcher, modes in watchers.items():
                    if modes & RECURSIVE:
                        found[watcher] = modes
        return found
