"""Reads and the bodies of replies."""

from __future__ import annotations

import pytest

from compat.wire import (
    ADD_WATCH,
    CHECK_WATCHES,
    CREATE,
    CREATE_CONTAINER,
    DELETE,
    GET_ACL,
    GET_ALL_CHILDREN_NUMBER,
    GET_CHILDREN,
    GET_DATA,
    GET_EPHEMERALS,
    MULTI_READ,
    OPEN,
    REMOVE_WATCHES,
    SET_WATCHES,
    SET_WATCHES2,
    SYNC,
    WHO_AM_I,
    Normaliser,
    Path,
    Reader,
    create_body,
    header,
    i32,
    i64,
    multi_body,
    read_body,
    text,
    texts,
)
from tests.harness import Peer, World, multi_results

MARSHALLING, BAD_ARGUMENTS, NO_NODE, NO_AUTH, NO_WATCHER = -5, -8, -101, -102, -121
CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4
HIDDEN = [(30, "world", "anyone")]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Peer:
    client = world.client()
    client.create("/a", b"data")
    client.create("/a/b")
    client.create("/a/b/c")
    client.create("/hidden", b"x", acl=HIDDEN)
    return client


def watched(client: Peer, path: Path, kind: int = 3) -> bool:
    return client.call(CHECK_WATCHES, text(path) + i32(kind)).err == 0


def names(body: bytes) -> list[object]:
    return Reader(body, Normaliser(0)).names()


def test_a_watch_on_an_absent_znode_is_left_by_exists_only(client: Peer) -> None:
    assert client.exists("/no", 1).err == NO_NODE and watched(client, "/no")
    assert client.get("/none", 1).err == NO_NODE and not watched(client, "/none")


def test_an_unreadable_znode_leaves_no_watch(client: Peer) -> None:
    assert client.exists("/hidden", 1).err == NO_AUTH
    assert client.get("/hidden", 1).err == NO_AUTH
    assert client.call(GET_CHILDREN, read_body("/hidden", 1)).err == NO_AUTH
    assert not watched(client, "/hidden")


def test_null_paths_and_nul_in_paths(client: Peer) -> None:
    for op in (3, 4, 8, 12):
        assert client.call(op, read_body(None, 1)).err == MARSHALLING
    assert client.call(GET_ACL, text(None)).err == MARSHALLING
    assert client.exists("/\0").err == BAD_ARGUMENTS and client.get("/\0").err == NO_NODE


def test_get_acl_needs_read_or_admin(client: Peer) -> None:
    client.create("/neither", acl=[(14, "world", "anyone")])
    assert client.call(GET_ACL, text("/neither")).err == NO_AUTH
    assert client.call(GET_ACL, text("/hidden")).err == 0
    assert client.call(GET_ACL, text("/none")).err == NO_NODE


@pytest.mark.parametrize(("path", "count"), [("/a", 2), ("/a/b", 1), ("/a/b/c", 0), ("/", 7), ("", 8)])
def test_all_children_are_counted(client: Peer, path: str, count: int) -> None:
    assert client.call(GET_ALL_CHILDREN_NUMBER, text(path)).body == i32(count)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (None, 2),
        ("", 2),
        (" ", 2),
        ("/", 2),
        (" /\t", 2),
        ("\0", 2),
        ("/e", 2),
        ("/e1", 1),
        ("/e1/", 0),
        (" /e", 0),
    ],
)
def test_ephemerals_are_found_by_a_text_prefix(client: Peer, prefix: Path, found: int) -> None:
    client.create("/e1", flags=1)
    client.create("/e2", flags=1)
    assert len(names(client.call(GET_EPHEMERALS, text(prefix)).body)) == found


def test_sync_echoes_its_path(client: Peer) -> None:
    for path in (None, "", "/any", "\u00e9"):
        assert client.call(SYNC, text(path)).body == text(path)


def test_who_am_i_lists_identities(client: Peer) -> None:
    client.auth("u:p")
    identities = Reader(client.call(WHO_AM_I).body, Normaliser(0)).identities()
    assert identities == [(b"digest", b"u"), (b"ip", b"127.0.0.1")] or len(identities) == 2


def test_unknown_modes_and_types_of_watches_do_not_decode(client: Peer) -> None:
    for mode in (2, -1):
        assert client.call(ADD_WATCH, text("/a") + i32(mode)).err == MARSHALLING
    for kind in (0, 6, -1):
        assert client.call(CHECK_WATCHES, text("/a") + i32(kind)).err == MARSHALLING
        assert client.call(REMOVE_WATCHES, text("/a") + i32(kind)).err == MARSHALLING


def test_watches_are_added_checked_and_removed(client: Peer) -> None:
    assert client.call(ADD_WATCH, text("/a") + i32(0)).body == i32(0)
    assert client.call(ADD_WATCH, text("/a") + i32(1)).body == i32(0)
    assert watched(client, "/a", 4) and watched(client, "/a", 5) and not watched(client, "/a", 2)
    assert client.call(REMOVE_WATCHES, text("/a") + i32(4)).err == 0
    assert client.call(REMOVE_WATCHES, text("/a") + i32(4)).err == NO_WATCHER
    assert watched(client, "/a", 5)


def test_set_watches_tells_what_changed_and_arms_the_rest(world: World, client: Peer) -> None:
    seen = world.tree.last_zxid
    client.create("/new")
    client.set("/a", b"changed")
    paths = ["/a", "/new", "/none", "/a/b"]
    client.call(SET_WATCHES, i64(seen) + texts(paths) * 3)
    assert client.events == [
        (-1, CHANGED, b"/a"), (-1, CHANGED, b"/new"), (-1, DELETED, b"/none"),
        (-1, CREATED, b"/a"), (-1, CREATED, b"/new"), (-1, CREATED, b"/a/b"),
        (-1, CHILDREN, b"/new"), (-1, DELETED, b"/none"),
    ]  # fmt: skip
    assert watched(client, "/a/b", 2) and watched(client, "/none", 2) and watched(client, "/a", 1)
    assert not watched(client, "/a", 2) and not watched(client, "/new")


def test_set_watches2_arms_lasting_watches(client: Peer) -> None:
    client.call(SET_WATCHES2, i64(0) + texts([]) * 3 + texts(["/a", None]) + texts(["/none", None]))
    assert client.events == [] and watched(client, "/a", 4) and watched(client, "/none", 5)


@pytest.mark.parametrize("stop", [texts(None), texts([None, "/late"])])
def test_set_watches_stops_at_a_null_and_keeps_what_came_before(client: Peer, stop: bytes) -> None:
    assert client.call(SET_WATCHES, i64(1 << 60) + texts(["/a"]) + stop + texts(["/a/b"])).err == MARSHALLING
    assert watched(client, "/a") and not watched(client, "/late") and not watched(client, "/a/b")
    assert client.call(SET_WATCHES, i64(0) + texts(["/none"]) + texts([])).err == MARSHALLING
    assert client.events == []  # what does not decode does nothing


def test_multi_read_answers_each_operation(client: Peer) -> None:
    ops = [
        (GET_DATA, read_body("/a", 1)),
        (GET_DATA, read_body("/no")),
        (GET_CHILDREN, read_body("/hidden")),
        (GET_CHILDREN, read_body("/a", 1)),
    ]
    reply = client.call(MULTI_READ, multi_body(ops))
    results = multi_results(reply)
    assert reply.err == 0 and not watched(client, "/a")
    assert results[1:3] == [(-1, NO_NODE, NO_NODE), (-1, NO_AUTH, NO_AUTH)]
    assert results[3] == (GET_CHILDREN, 0, [b"b"])


def test_multi_read_of_writes_ends_at_once_and_a_mixture_does_not_decode(client: Peer) -> None:
    write = (CREATE, create_body("/x"))
    end = header(-1, True)
    assert client.call(MULTI_READ, multi_body([write])).body == end
    reply = client.call(MULTI_READ, multi_body([(GET_DATA, read_body("/a")), write]))
    assert (reply.err, reply.body) == (MARSHALLING, b"")
    assert client.exists("/x").err == NO_NODE


def test_bodies_of_writes(client: Peer) -> None:
    created = client.create("/x")
    assert created.body == text("/x")
    with_stat = client.call(CREATE_CONTAINER, create_body("/k", b"", OPEN, 4))
    assert with_stat.body[:6] == text("/k") and len(with_stat.body) == 6 + 68
    assert len(client.set("/x", b"").body) == 68
    assert client.delete("/x").body == b""
    results = multi_results(client.multi((CREATE, create_body("/y")), (DELETE, text("/y") + i32(-1))))
    assert results == [(CREATE, 0, b"/y"), (DELETE, 0, None), ("end", -1, -1)]
