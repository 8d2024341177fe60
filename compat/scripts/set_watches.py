"""setWatches and setWatches2, with which a client catches up after a lost connection."""

from __future__ import annotations

from compat.scripts.registry import main
from compat.wire import CHECK_WATCHES, SET_WATCHES, SET_WATCHES2, Path, Script, Session, i32, i64, text, texts


@main
def set_watches_stops_at_what_it_cannot_use(s: Script) -> None:
    a = s.session()
    set_watches(a, 0, [s / "d"], None, [s / "c"])
    set_watches(a, 0, [s / "d"], [s / "e"], None)
    set_watches(a, 0, [s / "d"], [s / "e"], [], None, [s / "r"])
    set_watches(a, 0, [s / "d"], [s / "e"], [], [s / "p"], None)
    for name in ("d", "e", "c", "p", "r"):
        a.call(CHECK_WATCHES, text(s / name) + i32(3))
    body = i64(0) + texts([s / "d"]) + texts([s / "z"])
    a.call(SET_WATCHES, body, xid=-8)
    a.call(CHECK_WATCHES, text(s / "z") + i32(3))


def set_watches(a: Session, zxid: int, *lists: list[Path] | None) -> None:
    op = SET_WATCHES if len(lists) == 3 else SET_WATCHES2
    a.call(op, i64(zxid) + b"".join(texts(paths) for paths in lists), xid=-8)


@main
def set_watches_catches_up(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "same")
    b.create(s / "same/c")
    b.create(s / "changed")
    seen = s.last_zxid()
    b.set(s / "changed", b"")
    b.create(s / "changed/c")
    b.create(s / "hidden", acl=[(30, "world", "anyone")])
    names: list[Path] = [s / "same", s / "changed", s / "absent", s / "hidden"]
    set_watches(a, seen, names, [], [])
    set_watches(a, seen, [], names, [])
    set_watches(a, seen, [], [], names)
    set_watches(a, seen, [], [], [], names, [])
    set_watches(a, seen, [], [], [], [], names)
    for name in names:
        for kind in (1, 2, 3, 4, 5):
            a.call(CHECK_WATCHES, text(name) + i32(kind))
    b.set(s / "same", b"")
    b.create(s / "absent")
    b.delete(s / "same/c")
    a.ping()


@main
def set_watches_lists_every_entry(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "x")
    names: list[Path] = [s / "x", s / "x", s / "no", s / "no", "", "/", "odd"]
    set_watches(a, 0, names, names, names)
    b2 = s.session("b2")
    set_watches(b2, 0, names, names, names, names, names)
    set_watches(b2, 1 << 62, names, names, names, names, names)
    set_watches(b2, -1, names, names, names, names, names)
    b.set(s / "x", b"")
    a.ping()
    b2.ping()


@main
def set_watches_with_nulls(s: Script) -> None:
    a = s.session()
    for n in range(3):
        lists: list[list[Path] | None] = [[], [], []]
        lists[n] = None
        set_watches(a, 0, *lists)
    for n in range(5):
        lists = [[], [], [], [], []]
        lists[n] = None
        set_watches(a, 0, *lists)
    a.ping()


@main
def set_watches_with_null_elements(s: Script) -> None:
    a = s.session()
    for n in range(5):
        lists: list[list[Path] | None] = [[], [], [], [], []]
        lists[n] = [None, s / f"n{n}"]
        set_watches(a, 0, *lists)
    for n in range(3):
        lists = [[], [], []]
        lists[n] = [s / f"m{n}", None, s / f"o{n}"]
        set_watches(a, 0, *lists)
    for n in range(5):
        for name in (f"n{n}", f"m{n}", f"o{n}"):
            a.call(CHECK_WATCHES, text(s / name) + i32(3))
    a.create(s / "x")
    a.ping()


@main
def set_watches_takes_any_xid(s: Script) -> None:
    a = s.session()
    a.call(SET_WATCHES, i64(0) + texts([]) * 3, xid=5)
    a.call(SET_WATCHES2, i64(0) + texts([]) * 5, xid=6)
    a.call(SET_WATCHES, i64(0) + texts([]) * 2 + i32(-7), xid=7)
