"""One client connection: what it answers, in which order, and when it ends."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat import wire
from compat.wire import (
    ADD_WATCH,
    AUTH,
    CHECK,
    CLOSE_SESSION,
    CREATE,
    CREATE_CONTAINER,
    CREATE_SESSION,
    DELETE_CONTAINER,
    EXISTS,
    GET_CHILDREN,
    GET_CHILDREN2,
    GET_DATA,
    MULTI_READ,
    PING,
    SASL,
    SET_DATA,
    SYNC,
    connect_frame,
    create_body,
    i32,
    multi_body,
    read_body,
    request,
    text,
)
from tests.harness import Peer, Reply, World
from zkpy.errors import KeeperError
from zkpy.pipeline import final
from zkpy.server import cnxn as cnxn_module

NAMES = [
    "/",
    "",
    "/a",
    "/a/b",
    "/null",
    "/none",
    "/hidden",
    "/open-and-more",
    "/zookeeper",
    "x",
    "/\0",
    "/a/",
]


def furnished(**settings: object) -> tuple[World, Peer]:
    world = World(**settings)
    client = world.client()
    client.create("/a", b"data")
    client.create("/a/b", b"")
    client.create("/null", None)
    client.create("/hidden", b"x", acl=[(30, "world", "anyone")])
    client.create("/open-and-more", b"x", acl=[(1, "ip", "127.0.0.1"), (2, "world", "anyone")])
    return world, client


reads = st.tuples(
    st.sampled_from([EXISTS, GET_DATA, GET_CHILDREN, GET_CHILDREN2, PING, SYNC]),
    st.one_of(
        st.builds(read_body, st.sampled_from(NAMES), st.integers(0, 2)),
        st.builds(
            lambda name, watch: read_body(name, watch) + b"more", st.sampled_from(NAMES), st.integers(0, 1)
        ),
        st.binary(max_size=9),
    ),
)


@given(batch=st.lists(reads, max_size=8), cuts=st.lists(st.integers(1, 40), max_size=12))
@settings(max_examples=300, deadline=None)
def test_the_fast_path_gives_the_bytes_of_the_handlers(
    batch: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    world, fast = furnished()
    slow = world.client()
    expected = []
    for xid, (op, body) in enumerate(batch, 1):
        err, answer = 0, b""
        try:
            answer = final.READ_HANDLERS[op](world.server, slow.cnxn, i32(xid) + i32(op) + body)
        except KeeperError as error:
            err = error.code
        expected.append(Reply(-2 if op == PING else xid, world.tree.last_zxid, err, answer))
    data = b"".join(request(xid, op, body) for xid, (op, body) in enumerate(batch, 1))
    for cut in cuts:  # however the bytes arrive
        fast.feed(data[:cut])
        data = data[cut:]
    fast.feed(data)
    assert fast.replies() == expected
    watches = world.server.watches
    for path in watches.paths():
        for kind in (1, 2):
            assert watches.contains(path, fast.cnxn, kind) == watches.contains(path, slow.cnxn, kind)


@pytest.mark.parametrize("enforced", [False, True])
def test_replies_come_in_the_order_of_the_requests(enforced: bool) -> None:
    settings: dict[str, object] = (
        {"enforce_auth_enabled": True, "enforce_auth_schemes": ("ip",)} if enforced else {}
    )
    _, client = furnished(**settings)
    replies = client.pipeline(
        (GET_DATA, read_body("/a")),
        (SET_DATA, text("/a") + text(b"new") + i32(-1)),
        (GET_DATA, read_body("/a")),
        (PING, b""),
        (EXISTS, read_body("/no")),
        (CREATE, create_body("/z")),
        (GET_CHILDREN, read_body("/z")),
    )
    first = client._xid - 6
    assert [reply.xid for reply in replies] == [
        first,
        first + 1,
        first + 2,
        -2,
        first + 4,
        first + 5,
        first + 6,
    ]
    assert b"data" in replies[0].body and b"new" in replies[2].body
    assert [reply.err for reply in replies] == [0, 0, 0, 0, -101, 0, 0]


def test_events_precede_the_reply_of_the_write_that_caused_them() -> None:
    world, client = furnished()
    client.get("/a", 1)
    client.feed(request(77, SET_DATA, text("/a") + text(b"") + i32(-1)))
    event, reply = client.channel.frames()
    assert event[:4] == i32(-1) and reply[:4] == i32(77)
    assert event[4:12] == reply[4:12] == pack(">q", world.tree.last_zxid)


def test_requests_behind_the_handshake_are_answered_after_it() -> None:
    world = World()
    client = Peer(world)
    client.feed(
        connect_frame() + request(1, CREATE, create_body("/x")) + request(2, GET_DATA, read_body("/x"))
    )
    frames = client.channel.frames()
    assert [frame[:4] for frame in frames] == [i32(0), i32(1), i32(2)]


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_the_handshake_may_arrive_in_pieces(size: int) -> None:
    client = Peer(World())
    data = connect_frame(read_only=b"")
    for at in range(0, len(data), size):
        client.feed(data[at : at + size])
    (frame,) = client.channel.frames()
    assert len(frame) == 36


@pytest.mark.parametrize("head", [i32(-1), i32(0), i32(7), i32(0xFFFFF + 1), i32(0x7FFFFFFF)])
@pytest.mark.parametrize("shaken", [False, True])
def test_a_frame_of_an_impossible_length_closes(head: bytes, shaken: bool) -> None:
    client = Peer(World())
    if shaken:
        client.connect()
    client.feed(head)
    if head == i32(7) and not shaken:
        client.feed(bytes(7))
    assert client.closed and client.channel.frames() == []
    client.feed(b"more")


def test_a_client_that_has_seen_a_later_zxid_is_closed() -> None:
    client = Peer(World())
    assert client.connect(zxid=5) == b"" and client.closed


def test_an_unknown_session_is_answered_as_expired() -> None:
    client = Peer(World())
    response = client.connect(session=12345)
    assert response == pack(">iiqi", 0, 0, 0, 16) + bytes(17) and client.closed


@pytest.mark.parametrize("op", [0, 10, CHECK, 23, 99, 108, -1, -2, CREATE_SESSION])
def test_an_unknown_operation_is_refused_and_closes(op: int) -> None:
    _, client = furnished()
    reply = client.call(op, read_body("/a"))
    assert (reply.zxid, reply.err) == (-1, -6) and client.closed


def test_only_the_server_itself_deletes_containers() -> None:
    _, client = furnished()
    client.call(CREATE_CONTAINER, create_body("/k", flags=4))
    assert client.call(DELETE_CONTAINER, text("/k")).err == -102
    assert client.exists("/k").err == 0
    replies = client.pipeline((CREATE, create_body("/x")), (DELETE_CONTAINER, text("/k")))
    assert [reply.err for reply in replies] == [0, -102]  # in the order of the requests


def test_close_session_is_answered_and_nothing_behind_it() -> None:
    world, client = furnished()
    replies = client.pipeline(
        (GET_DATA, read_body("/a")), (CLOSE_SESSION, b""), (PING, b""), (CREATE, create_body("/y"))
    )
    assert [reply.err for reply in replies] == [0, 0] and client.closed
    assert world.service.cnxns == {} and b"/y" not in world.tree.nodes


def test_an_expired_session_is_closed_without_a_word() -> None:
    world, client = furnished()
    world.seconds += 100
    assert world.server.expire_sessions() == 1
    world.settle()
    assert client.closed and client.channel.frames() == []


def test_every_request_keeps_the_session_alive() -> None:
    world, client = furnished()
    for _ in range(10):
        world.seconds += 20
        client.call(PING)
        world.server.expire_sessions()
    assert not client.closed


def test_requests_of_a_closing_session_are_dropped() -> None:
    _, client = furnished()
    session = client.cnxn.session
    assert session is not None
    session.closing = True
    assert client.pipeline((PING, b"")) == []


def test_without_the_enforced_identity_everything_is_refused() -> None:
    world = World(enforce_auth_enabled=True, enforce_auth_schemes=("digest",))
    client = world.client()
    reply = client.call(PING)
    assert (reply.zxid, reply.err) == (0, -124) and client.closed
    client = world.client()
    client.auth("u:p")
    assert client.create("/a").err == 0


def test_an_auth_packet_of_no_use_is_refused_and_closes() -> None:
    _, client = furnished()
    reply = client.call(AUTH, i32(0) + text("nobody") + text("x"))
    assert (reply.zxid, reply.err) == (0, -115) and client.closed


@pytest.mark.parametrize(("op", "body"), [(AUTH, b""), (SASL, b""), (SASL, text(None))])
def test_broken_auth_and_sasl_packets_close_without_a_word(op: int, body: bytes) -> None:
    _, client = furnished()
    assert client.pipeline((op, body)) == [] and client.closed


def test_a_client_of_another_ensemble_is_closed() -> None:
    world = World(
        auth_providers={"1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"},
        ensemble_auth_names=("mine",),
    )
    client = world.client()
    assert client.call(AUTH, i32(0) + text("ensemble") + text("mine")).err == 0
    assert client.pipeline((AUTH, i32(0) + text("ensemble") + text("yours"))) == [] and client.closed


def test_sasl_without_a_configuration_answers_a_null_token() -> None:
    _, client = furnished()
    assert client.call(SASL, text(b"token")) == Reply(client._xid, 0, 0, i32(-1))


def test_a_multi_read_that_breaks_off_carries_error_and_body() -> None:
    _, client = furnished()
    reply = client.call(MULTI_READ, multi_body([(GET_DATA, read_body("/a")), (GET_DATA, read_body(None))]))
    assert reply.err == -5 and reply.body.endswith(wire.header(-1, True))


def test_watches_end_with_the_connection() -> None:
    world, client = furnished()
    client.get("/a", 1)
    client.call(ADD_WATCH, text("/a") + i32(1))
    assert world.server.watches.total_count == 1  # of one path and table, in two modes
    client.cnxn.disconnect("test")
    assert world.server.watches.total_count == 0
    client.cnxn.notify(b"")
    assert client.cnxn.out == []


def test_a_client_that_does_not_read_is_not_read_from_and_goes_on_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cnxn_module, "UNSENT_PAUSE", 4000)
    _, client = furnished()
    client.set("/a", b"x" * 1000)
    client.channel.stalled = True
    assert client.pipeline(*[(GET_DATA, read_body("/a"))] * 50) == []
    assert client.channel.paused and client.cnxn.out_size < 20_000
    client.channel.stalled = False
    client.cnxn.channel.flush()
    client.world.settle()
    got = client.replies()
    while client.channel.paused:
        client.world.settle()
        got += client.replies()
    client.world.settle()
    got += client.replies()
    assert len(got) == 50 and [reply.xid for reply in got] == sorted(reply.xid for reply in got)


def test_a_client_that_lets_events_pile_up_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnxn_module, "UNSENT_CLOSE", 2000)
    world, client = furnished()
    other = world.client()
    client.call(ADD_WATCH, text("/a") + i32(1))
    client.channel.stalled = True
    for _ in range(100):
        other.set("/a", b"")
    assert client.closed and not other.closed


def test_busy_connections_wait_while_too_many_requests_are_outstanding() -> None:
    world = World(global_outstanding_limit=10)
    client = world.client()
    world.log.held = True
    client.pipeline(*[(CREATE, create_body(f"/n{n}")) for n in range(15)])
    assert client.channel.paused
    client.feed(request(99, PING))
    world.log.held = False
    world.log.release()
    world.settle()
    assert [reply.err for reply in client.replies()] == [0] * 16
    assert not client.channel.paused


def test_a_connection_that_ends_with_requests_in_flight_leaves_no_trace() -> None:
    world, client = furnished()
    world.log.held = True
    client.pipeline((CREATE, create_body("/late")), (GET_DATA, read_body("/late")))
    assert client.cnxn.queued == 2
    client.cnxn.disconnect("test")
    world.log.held = False
    world.log.release()
    world.settle()
    assert world.server.outstanding == 0 and b"/late" in world.tree.nodes


def test_a_session_creation_of_a_connection_that_ended_is_not_answered() -> None:
    world = World()
    world.log.held = True
    client = Peer(world)
    client.feed(connect_frame())
    client.cnxn.disconnect("test")
    world.log.held = False
    world.log.release()
    world.settle()
    assert client.channel.frames() == []
    assert len(world.tree.sessions) == 1


def test_counters_tell_what_a_connection_did() -> None:
    world, client = furnished()
    client.cnxn.reset_stats()
    client.get("/a")
    client.create("/n")
    client.call(PING)
    assert client.cnxn.received == 3 and client.cnxn.sent == 3
    assert client.cnxn.last_op == "PING" and client.cnxn.last_cxid == client._xid
    assert "0x" in repr(client.cnxn) and client.cnxn.queued == 0
    assert world.server.stats.packets_received > 3


@pytest.mark.parametrize("logged", [True, False])
def test_a_write_behind_a_handshake_keeps_its_place_among_those_of_others(logged: bool) -> None:
    world = World(logged=logged)
    other = world.client()
    late = Peer(world)
    # One round: a session is asked for, somebody else writes, and behind the handshake there is a write too.
    late.cnxn.receive(connect_frame() + request(1, CREATE, create_body("/late", b"", wire.OPEN, 0)))
    other.cnxn.receive(request(1, CREATE, create_body("/other", b"", wire.OPEN, 0)))
    world.settle()
    world.settle()
    (reply,) = other.replies()
    assert reply.err == 0
    late.channel.frames()[0]
    assert world.tree.get(b"/late") is not None
    assert world.tree.nodes[b"/other"].czxid < world.tree.nodes[b"/late"].czxid


def test_a_client_that_pings_and_does_not_read_is_not_read_from_for_ever() -> None:
    world = World()
    peer = world.client()
    peer.channel.stalled = True
    pings = request(-2, PING, b"") * 5000
    for _ in range(200):
        if peer.channel.paused:
            break
        peer.feed(pings)
    assert peer.channel.paused
    assert peer.cnxn.out_size < 5 << 20
