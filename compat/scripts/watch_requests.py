"""checkWatches, removeWatches and addWatch."""

from __future__ import annotations

from compat.scripts.paths import odd_paths
from compat.scripts.registry import NO_WATCHER, fresh, main
from compat.wire import CHECK_WATCHES, REMOVE_WATCHES, Script, i32, text


@main
def check_and_remove_watches_by_type(s: Script) -> None:
    a = s.session()
    for op in (CHECK_WATCHES, REMOVE_WATCHES):
        for kind in (0, 1, 2, 3, 4, 5, 6, 9, -1):
            a.call(op, text(s.root) + i32(kind))
    for kind in (1, 2, 3, 4, 5):
        a.get(s.root, 1)
        a.children(s.root, 1)
        a.add_watch(s.root, 0)
        a.add_watch(s.root, 1)
        for check in (1, 2, 3, 4, 5):
            a.call(CHECK_WATCHES, text(s.root) + i32(check), err=0)
        a.call(REMOVE_WATCHES, text(s.root) + i32(kind), err=0)
        for check in (1, 2, 3, 4, 5):
            a.call(CHECK_WATCHES, text(s.root) + i32(check))
        a.call(REMOVE_WATCHES, text(s.root) + i32(3))
        a.call(REMOVE_WATCHES, text(s.root) + i32(3), err=NO_WATCHER)


@main
def check_and_remove_watches_see_only_their_own_connection(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.get(s.root, 1)
    b.call(CHECK_WATCHES, text(s.root) + i32(2), err=NO_WATCHER)
    b.call(REMOVE_WATCHES, text(s.root) + i32(3), err=NO_WATCHER)
    a.call(CHECK_WATCHES, text(s.root) + i32(2), err=0)


@main
def null_paths_of_watch_requests(s: Script) -> None:
    a = s.session()
    for kind in (1, 2, 3, 4, 5, 0):
        a.call(CHECK_WATCHES, text(None) + i32(kind))
        a.call(REMOVE_WATCHES, text(None) + i32(kind))


@main
def add_watch_takes_any_path(s: Script) -> None:
    a = s.session()
    for path in [*odd_paths(s), "x"]:
        if path in ("", "/"):
            continue
        for mode in (0, 1, 2, -1):
            a.add_watch(path, mode)
        for kind in (3, 4, 5):
            a.call(CHECK_WATCHES, text(path) + i32(kind))
    a.create(s / "...")


@main
@fresh
def add_watch_of_the_empty_path_and_the_root(s: Script) -> None:
    a, b = s.session(), s.session("b")
    for mode in (0, 1):
        a.add_watch("", mode)
    b.create(s / "x")
    b.set("/", b"")
    a.ping()
    for mode in (0, 1):
        a.add_watch("/", mode)
    b.create(s / "y")
    b.set("/", b"")
    b.delete(s / "y")
    a.ping()


@main
def add_watch_of_a_null_path(s: Script) -> None:
    a = s.session()
    for mode in (0, 1):
        a.add_watch(None, mode)
        a.call(CHECK_WATCHES, text(None) + i32(4 + mode))
    a.create(s / "x")
    a.ping()
