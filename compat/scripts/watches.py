"""Which watches fire, what they tell, and in which place among the replies."""

from __future__ import annotations

from collections.abc import Callable

from compat.scripts.registry import NO_WATCHER, digest_id, main
from compat.wire import (
    CHECK,
    CHECK_WATCHES,
    CREATE,
    CREATE2,
    DELETE,
    OPEN,
    READ_ONLY,
    SET_DATA,
    Script,
    Session,
    create_body,
    i32,
    text,
)

Arm = Callable[[Session, str], object]
"""Sets a watch on a path."""


def changes(b: Session, w: str) -> None:
    """Everything that can happen at and around a path."""
    b.create(w)
    b.set(w, b"1")
    b.create(w + "/c")
    b.set(w + "/c", b"2")
    b.create(w + "/c/g")
    b.delete(w + "/c/g")
    b.delete(w + "/c")
    b.delete(w)
    b.create(w)
    b.delete(w)


@main
def what_each_mode_of_watch_tells(s: Script) -> None:
    b = s.session("b")
    arms: list[tuple[str, Arm]] = [
        ("exists", lambda a, w: a.exists(w, 1)),
        ("persistent", lambda a, w: a.add_watch(w, 0)),
        ("recursive", lambda a, w: a.add_watch(w, 1)),
    ]
    for label, arm in arms:
        a = s.session(label)
        arm(a, s / label)
        changes(b, s / label)
        a.ping()


@main
def one_shot_watches_by_kind_of_change(s: Script) -> None:
    b = s.session("b")
    arms: list[Arm] = [
        lambda a, w: a.exists(w, 1),
        lambda a, w: a.get(w, 1),
        lambda a, w: a.children(w, 1),
    ]
    for number, arm in enumerate(arms):
        for change in range(6):
            w = s / f"w{number}-{change}"
            a = s.session(f"a{number}-{change}")
            b.create(w)
            if change == 5:
                b.create(w + "/old")
            arm(a, w)
            if change == 0:
                b.set(w, b"x")
            elif change == 1:
                b.create(w + "/c")
            elif change == 2:
                b.delete(w)
            elif change == 3:
                b.set_acl(w, READ_ONLY)
            elif change == 4:
                b.create(w + "/c")
                b.create(w + "/c/g")
                b.set(w + "/c", b"")
            else:
                b.delete(w + "/old")
            b.set(w, b"again")
            a.ping()


@main
def persistent_and_recursive_watches_together(s: Script) -> None:
    a, b = s.session(), s.session("b")
    w = s / "w"
    a.add_watch(w, 0)
    a.add_watch(w, 1)
    a.exists(w, 1)
    changes(b, w)
    a.ping()


@main
def nested_recursive_watches_tell_once(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.add_watch(s.root, 1)
    a.add_watch(s / "w", 1)
    changes(b, s / "w")
    a.ping()


@main
def data_and_child_watch_on_a_deleted_znode_tell_once(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "w")
    a.get(s / "w", 1)
    a.children(s / "w", 1)
    a.children(s.root, 1)
    b.delete(s / "w")
    a.ping()
    b.create(s / "w")
    b.delete(s / "w")
    a.ping()


@main
def registrations_are_sets(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "w")
    for _ in range(3):
        a.exists(s / "w", 1)
        a.get(s / "w", 1)
    b.set(s / "w", b"")
    b.set(s / "w", b"")
    a.ping()


@main
def an_unreadable_event_is_hidden_and_uses_up_the_watch(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.auth("digest", "u:p")
    b.create(s / "w")
    a.get(s / "w", 1)
    a.children(s / "w", 1)
    b.set_acl(s / "w", [(31, "digest", digest_id("u:p"))])
    b.get(s / "w", 1)
    b.set(s / "w", b"1")
    a.ping()
    a.call(CHECK_WATCHES, text(s / "w") + i32(2), err=NO_WATCHER)
    b.create(s / "w/c", acl=OPEN)
    a.call(CHECK_WATCHES, text(s / "w") + i32(1), err=NO_WATCHER)
    a.exists(s / "x", 1)
    b.create(s / "x", acl=[(31, "digest", digest_id("u:p"))])
    a.call(CHECK_WATCHES, text(s / "x") + i32(2), err=NO_WATCHER)
    a.children(s.root, 1)
    b.delete(s / "x")
    a.ping()
    a.add_watch(s.root, 1)
    b.set(s / "w/c", b"")
    b.set(s / "w", b"")
    a.ping()


@main
def events_come_before_the_reply_of_the_own_write(s: Script) -> None:
    a = s.session()
    a.exists(s / "w", 1)
    a.children(s.root, 1)
    a.create(s / "w")
    a.get(s / "w", 1)
    a.set(s / "w", b"")
    a.get(s / "w", 1)
    a.children(s / "w", 1)
    a.children(s.root, 1)
    a.delete(s / "w")


@main
def all_events_of_a_multi_precede_its_reply(s: Script) -> None:
    a = s.session()
    a.add_watch(s.root, 1)
    a.add_watch(s.root, 0)
    a.multi(
        (CREATE, create_body(s / "x")),
        (CREATE, create_body(s / "x/y")),
        (SET_DATA, text(s / "x") + text(b"1") + i32(0)),
        (CHECK, text(s / "x") + i32(1)),
        (DELETE, text(s / "x/y") + i32(0)),
        (DELETE, text(s / "x") + i32(1)),
        (CREATE2, create_body(s / "x")),
    )
    a.multi((CREATE, create_body(s / "z")), (CREATE, create_body(s / "z")))


@main
def watches_belong_to_the_connection(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.get(s.root, 1)
    a.add_watch(s.root, 1)
    again = s.session("again", session=a.id, password=a.password)
    a.receive()
    again.call(CHECK_WATCHES, text(s.root) + i32(3), err=NO_WATCHER)
    b.set(s.root, b"")
    again.ping()
