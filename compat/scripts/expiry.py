"""What happens by itself: sessions, containers and TTL znodes expire; connections are limited."""

from __future__ import annotations

import time

from compat.scripts.registry import NO_NODE, in_group
from compat.wire import CREATE_CONTAINER, CREATE_TTL, Script, connect_frame


@in_group("quick")
def silent_sessions_expire_and_are_closed_without_a_word(s: Script) -> None:
    a, b = s.session(timeout_ms=300), s.session("b", timeout_ms=2000)
    a.create(s / "e", flags=1)
    b.exists(s / "e", 1)
    b.add_watch(s.root, 1)
    started = time.monotonic()
    a.until_end()
    assert 0.3 <= time.monotonic() - started <= 0.9
    b.ping()
    c = s.session("c", session=a.id, password=a.password)
    c.until_end()


@in_group("quick")
def containers_go_after_their_last_child(s: Script) -> None:
    a = s.session(timeout_ms=2000)
    a.create(s / "k", flags=4, op=CREATE_CONTAINER)
    a.create(s / "never", flags=4, op=CREATE_CONTAINER)
    a.create(s / "k/c")
    a.add_watch(s / "k", 0)
    a.delete(s / "k/c")
    a.receive()
    a.exists(s / "k", err=NO_NODE)
    a.exists(s / "never", err=0)


@in_group("quick")
def ttl_znodes_go_when_unchanged_and_childless(s: Script) -> None:
    a = s.session(timeout_ms=2000)
    a.create(s / "t", flags=5, op=CREATE_TTL, ttl=50)
    a.create(s / "p", flags=5, op=CREATE_TTL, ttl=50)
    a.create(s / "p/c")
    a.exists(s / "t", 1)
    a.receive()
    a.exists(s / "p", err=0)
    a.exists(s / "p", 1)
    a.delete(s / "p/c")
    a.receive()


@in_group("quick")
def connections_per_address_are_limited(s: Script) -> None:
    kept = [s.session(f"k{n}", timeout_ms=2000) for n in range(5)]
    try:
        wire = s.raw()
        wire.send(connect_frame())
        answer = wire.rest()
    except OSError:
        answer = b""  # refused so quickly that connecting failed
    s.note(f"one more gets {len(answer)} bytes")
    kept[0].close()
    s.session("again", timeout_ms=2000)
