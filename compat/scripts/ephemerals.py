"""Ephemerals: who may delete them, and when they go."""

from __future__ import annotations

from compat.scripts.registry import main
from compat.wire import CLOSE_SESSION, CREATE, DELETE, Script, create_body, i32, text


@main
def close_session_deletes_its_ephemerals_in_one_transaction(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.create(s / "e", flags=1)
    b.exists(s / "e", 1)
    b.children(s.root, 1)
    b.add_watch(s.root, 1)
    a.close()
    b.ping()
    b.exists(s.root)


@main
def others_may_delete_ephemerals(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.create(s / "e", flags=1)
    b.exists(s / "e")
    b.delete(s / "e", err=0)
    b.create(s / "e", flags=1, err=0)
    a.close()
    b.exists(s / "e", err=0)


@main
def an_ephemeral_pipelined_before_close_session_goes_with_it(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.exists(s / "e", 1)
    b.children(s.root, 1)
    a.create(s / "e0", flags=1)
    a.send(
        (CREATE, create_body(s / "e", flags=1)),
        (DELETE, text(s / "e0") + i32(-1)),
        (CREATE, create_body(s / "e0", flags=1)),
        (CLOSE_SESSION, b""),
    )
    a.until_end()
    s.closed(a)
    b.ping()
    b.children(s.root)
