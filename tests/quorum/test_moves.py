"""Sessions that move while their writes are under way, of clients that number requests anew each time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.harness import Peer
from tests.quorum.rolemesh import MemberClient, Zoo
from tests.quorum.test_observermaster import PORT, joined, masters_of
from tests.quorum.test_roles import settle
from zkpy import opcodes
from zkpy.quorum.leaderserver import LeaderServer
from zkpy.quorum.learnerserver import LearnerServer
from zkpy.quorum.packets import ForwardedRequest

pytestmark = pytest.mark.trio


def leading(zoo: Zoo) -> LeaderServer:
    server = zoo.members[zoo.leader()].server
    assert isinstance(server, LeaderServer)
    return server


def learning(zoo: Zoo, sid: int) -> LearnerServer:
    server = zoo.members[sid].server
    assert isinstance(server, LearnerServer)
    return server


def moved(zoo: Zoo, sid: int, client: MemberClient) -> MemberClient:
    """The client's session on a new connection, to server *sid*, with requests from 1 on."""
    client.peer.cnxn.closed()
    peer = Peer(zoo.members[sid])  # type: ignore[arg-type]
    peer.connect(session=client.peer.session_id, password=client.peer.password)
    return MemberClient(peer)


def answers(client: MemberClient) -> list[tuple[int, int, int]]:
    """Xid, error and zxid, without the one to the handshake."""
    return [(reply.xid, reply.err, reply.zxid) for reply in client.peer.replies() if reply.xid]


def create(client: MemberClient, path: str) -> None:
    client.send(wire.CREATE, wire.create_body(path, b""))


async def test_a_write_under_way_does_not_answer_the_next_connections_request(
    autojump_clock: MockClock,
) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        for sid in (1, 2):
            learning(zoo, sid)._acknowledges = False  # type: ignore[misc]
        create(client, "/first")
        await settle()
        again = moved(zoo, 2, client)
        create(again, "/second")
        await settle()
        leader = leading(zoo)
        leader.acknowledged(2, [leader.proposals.last_committed + 1])
        await settle()
        second = leader.proposals.last_proposed
        assert not answers(again) and leader.proposals.outstanding == 1
        leader.acknowledged(2, [second])
        await settle()
        assert answers(again) == [(1, 0, second)]
        assert {b"/first", b"/second"} <= zoo.members[2].tree.nodes.keys()


async def test_a_late_request_from_where_the_session_was_answers_nobody(autojump_clock: MockClock) -> None:
    """It is refused because the session has moved, under the number of a request that is not."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        late = ForwardedRequest(
            client.peer.session_id, 1, opcodes.CREATE, wire.create_body("/late", b"")
        ).packet((("ip", "10.0.0.1"),))
        again = moved(zoo, 2, client)
        await settle()
        send = learning(zoo, 2)._send
        held: list[bytes] = []
        learning(zoo, 2)._send = held.append  # type: ignore[misc]
        create(again, "/here")
        learning(zoo, 1)._send(late.encode())
        await trio.sleep(0.01)
        assert not answers(again)
        learning(zoo, 2)._send = send  # type: ignore[misc]
        for data in held:
            send(data)
        await settle()
        assert [answer[:2] for answer in answers(again)] == [(1, 0)]
        assert b"/here" in zoo.members[2].tree.nodes and b"/late" not in zoo.members[2].tree.nodes


async def test_a_request_that_is_refused_because_the_session_has_moved_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        there = Peer(zoo.members[2])  # type: ignore[arg-type]
        there.connect(session=client.peer.session_id, password=client.peer.password)
        await settle()
        for path in ("/a", "/b"):
            create(client, path)
        await settle()
        assert [answer[:2] for answer in answers(client)] == [(1, -118), (2, -118)]
        assert learning(zoo, 1).outstanding == 0
        there.channel.frames()
        assert (await MemberClient(there).create("/c")).err == 0


async def test_the_same_at_observers(autojump_clock: MockClock) -> None:
    """They are told of transactions when they commit, long after the leader knows where the session is."""
    async with Zoo(1, 2, 3, observers=(4,)).running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        for sid in (1, 2):
            learning(zoo, sid)._acknowledges = False  # type: ignore[misc]
        create(client, "/first")
        await settle()
        again = moved(zoo, 4, client)
        create(again, "/second")
        await settle()
        leader = leading(zoo)
        first = leader.proposals.last_committed + 1
        leader.acknowledged(2, [first])
        await settle()
        assert not answers(again)
        leader.acknowledged(2, [first + 1])
        await settle()
        assert answers(again) == [(1, 0, first + 1)]


async def test_a_session_that_comes_to_an_observer_leaves_its_connection_at_the_follower(
    autojump_clock: MockClock,
) -> None:
    zoo = Zoo(1, 2, 3, observers=(4,), ensemble={"observer_master_port": PORT})
    async with zoo.running(1, 2, 3, 4):
        await zoo.serve()
        master = int(masters_of(zoo)["h4"][1:])
        client = await zoo.members[master].client()
        peer = Peer(zoo.members[4])  # type: ignore[arg-type]
        peer.connect(session=client.peer.session_id, password=client.peer.password)
        await settle()
        assert peer.cnxn.session is not None
        assert client.peer.cnxn not in zoo.members[master].service.cnxns
        peer.channel.frames()
        assert (await MemberClient(peer).create("/n")).err == 0


async def test_an_observer_that_forwards_what_a_session_asked_before_it_moved_is_left(
    autojump_clock: MockClock,
) -> None:
    """Its master is one server to the leader, which would accept the request."""
    zoo = Zoo(1, 2, 3, ensemble={"observer_master_port": PORT})
    async with zoo.running(1, 2, 3):
        await zoo.serve()
        client = await zoo.members[1].client()
        observer = await joined(zoo, 1, zxid=zoo.members[1].tree.last_zxid)
        body = wire.create_body("/late", b"")
        request = ForwardedRequest(client.peer.session_id, 1, opcodes.CREATE, body)
        await observer.send(request.packet((("ip", "10.0.0.1"),)))
        await observer.closed(1)
        assert (await client.create("/n")).err == 0
        assert b"/late" not in zoo.members[1].tree.nodes


async def test_what_a_session_writes_elsewhere_is_not_the_outcome_of_another_kind_of_request(
    autojump_clock: MockClock,
) -> None:
    """The session has left a connection open, and a request there that arrives at the leader too late."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        send = learning(zoo, 1)._send
        held: list[bytes] = []
        learning(zoo, 1)._send = held.append  # type: ignore[misc]
        client.send(wire.SET_DATA, wire.text("/n") + wire.text(b"late") + wire.i32(-1))
        there = Peer(zoo.members[3])  # type: ignore[arg-type]
        there.connect(session=client.peer.session_id, password=client.peer.password)
        await settle()
        create(MemberClient(there), "/n")
        await settle()
        learning(zoo, 1)._send = send  # type: ignore[misc]
        for data in held:
            send(data)
        await settle()
        assert [answer[:2] for answer in answers(client)] == [(1, -118)]
        assert zoo.members[1].tree.nodes[b"/n"].data == b""
