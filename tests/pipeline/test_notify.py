"""From changes to notifications: whom, what, and in which order."""

from __future__ import annotations

from struct import unpack_from

from zkpy.auth.access import Access
from zkpy.jute.records import ReplyHeader, WatcherEvent
from zkpy.pipeline.notify import encode_event, fire
from zkpy.tree.acl import Acl, Identities
from zkpy.tree.datatree import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, Change
from zkpy.tree.watches import Watches

OPEN = Acl(((31, "world", "anyone"),), -1)
MINE = Acl(((31, "digest", "me:hash"),), 1)


class Listener:
    """A connection that writes down what it is told."""

    session_id = 1

    def __init__(self, *identities: tuple[str, str]) -> None:
        self.identities: Identities = identities
        self.told: list[tuple[int, int, bytes]] = []

    def notify(self, event: bytes) -> None:
        size, xid, zxid, err, kind, state, length = unpack_from(">iiqiiii", event)
        assert (size, xid, err, state, length) == (len(event) - 4, -1, 0, 3, len(event) - 32)
        self.told.append((zxid, kind, event[32:]))

    def complete(self, *_: object) -> None:
        raise AssertionError

    def disconnect(self, why: str) -> None:
        raise AssertionError


def run(watches: Watches[Listener], *changes: Change) -> None:
    fire(watches, Access(), 9, list(changes))  # type: ignore[arg-type]


def test_an_event_is_a_reply_header_and_a_watcher_event() -> None:
    event = encode_event(5, CREATED, b"/a")
    assert event[4:] == ReplyHeader(-1, 5, 0).encode() + WatcherEvent(CREATED, 3, b"/a").encode()


def test_a_deletion_tells_the_znodes_watchers_once_and_then_the_parents() -> None:
    watches: Watches[Listener] = Watches()
    one, two = Listener(), Listener()
    watches.add_data(b"/a/b", one)
    watches.add_child(b"/a/b", one)
    watches.add_child(b"/a/b", two)
    watches.add_child(b"/a", one)
    run(watches, (DELETED, b"/a/b", OPEN, OPEN))
    assert one.told == [(9, DELETED, b"/a/b"), (9, CHILDREN_CHANGED, b"/a")]
    assert two.told == [(9, DELETED, b"/a/b")]
    assert watches.total_count == 0


def test_a_change_of_data_concerns_no_parent() -> None:
    watches: Watches[Listener] = Watches()
    one = Listener()
    watches.add_child(b"/", one)
    run(watches, (DATA_CHANGED, b"/a", OPEN, OPEN))
    assert one.told == []
    run(watches, (CREATED, b"/a", OPEN, OPEN))
    assert one.told == [(9, CHILDREN_CHANGED, b"/")]


def test_who_may_not_read_is_not_told_and_loses_the_watch() -> None:
    watches: Watches[Listener] = Watches()
    stranger, me = Listener(("ip", "::1")), Listener(("digest", "me:hash"))
    for listener in (stranger, me):
        watches.add_data(b"/a", listener)
        watches.add_child(b"/", listener)
    run(watches, (DELETED, b"/a", MINE, OPEN))
    assert stranger.told == [(9, CHILDREN_CHANGED, b"/")]
    assert me.told == [(9, DELETED, b"/a"), (9, CHILDREN_CHANGED, b"/")]
    assert watches.total_count == 0
