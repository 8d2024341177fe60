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
from zkpy.pipeline import sessions
from zkpy.quorum.leaderserver import LeaderServer
from zkpy.quorum.learnerserver import LearnerServer
from zkpy.quorum.packets import ForwardedRequest
from zkpy.tree.txns import Error, Multi, Txn, TxnHeader, encode_payload

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


def come(zoo: Zoo, sid: int, client: MemberClient) -> Peer:
    """One more connection of the session, to server *sid*."""
    peer = Peer(zoo.members[sid])  # type: ignore[arg-type]
    peer.connect(session=client.peer.session_id, password=client.peer.password)
    return peer


class Held:
    """What a learner sends to its leader waits until it is let go."""

    def __init__(self, server: LearnerServer) -> None:
        self._server = server
        self._send = server._send
        self._held: list[bytes] = []
        server._send = self._held.append  # type: ignore[misc]

    def let_go(self) -> None:
        self._server._send = self._send  # type: ignore[misc]
        for data in self._held:
            self._send(data)


def carry_out(server: LearnerServer, client: MemberClient, cxid: int, txn: Txn) -> None:
    """The leader proposes and commits what is said to be the outcome of a request."""
    zxid = server.last_queued + 1
    header = TxnHeader(client.peer.session_id, cxid, zxid, 1)
    server.propose(zxid, encode_payload(header, txn.type, txn.encode(), b""))
    server.commit_proposals([zxid])


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


async def test_a_connection_that_the_session_has_left_ends_with_its_next_write(
    autojump_clock: MockClock,
) -> None:
    """Its client may not know: it would be refused for ever."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        there = Peer(zoo.members[2])  # type: ignore[arg-type]
        there.connect(session=client.peer.session_id, password=client.peer.password)
        await settle()
        for path in ("/a", "/b"):
            create(client, path)
        await settle()
        assert not answers(client) and client.peer.cnxn not in zoo.members[1].service.cnxns
        assert learning(zoo, 1).outstanding == 0
        there.channel.frames()
        assert (await MemberClient(there).create("/c")).err == 0


async def test_whoever_asked_last_has_the_session_and_the_other_is_hung_up_on(
    autojump_clock: MockClock,
) -> None:
    """The client has given the first connection up; the leader hears of it last."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        client.peer.cnxn.closed()
        held = Held(learning(zoo, 1))
        come(zoo, 1, client).cnxn.closed()
        second = come(zoo, 2, client)
        await settle()
        assert second.cnxn.session is not None
        held.let_go()
        await settle()
        create(MemberClient(second), "/n")
        await settle()
        assert second.closed, "it comes again instead of being refused for ever"
        assert not learning(zoo, 1).is_here(client.peer.session_id)


async def test_two_connections_for_a_session_at_once(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        first, second = come(zoo, 1, client), come(zoo, 1, client)
        await settle()
        assert first.closed and not first.channel.frames(), "it is not told that the session has expired"
        assert second.cnxn.session is not None


async def test_a_close_that_was_refused_does_not_end_the_session_that_has_come_back(
    autojump_clock: MockClock,
) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        held = Held(learning(zoo, 1))
        client.send(wire.CLOSE_SESSION, b"")
        client.peer.cnxn.closed()
        come(zoo, 2, client).cnxn.closed()
        await settle()
        back = come(zoo, 1, client)
        held.let_go()
        await settle()
        assert not back.closed and back.cnxn.session is not None
        back.channel.frames()
        assert (await MemberClient(back).create("/n")).err == 0


async def test_outcomes_that_are_those_of_nobody_here(autojump_clock: MockClock) -> None:
    """A late multi that a Java leader refuses operation by operation, and errors under a sync's number."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        server = learning(zoo, 1)
        Held(server)
        client.send(wire.SYNC, wire.text("/"))
        for error in (-118, -110):
            carry_out(server, client, 1, Error(error))
        assert not server._doubted and len(server._pending) == 1
        server.synced(0)
        zoo.members[1].settle()
        assert [answer[:2] for answer in answers(client)] == [(1, 0)]
        assert not server._answered and not server._pending
        operations = [(wire.CREATE, wire.create_body(path, b"")) for path in ("/a", "/b")]
        client.send(wire.MULTI, wire.multi_body(operations))
        carry_out(server, client, 2, Multi([Error(-118), Error(-2)]))
        zoo.members[1].settle()
        assert not answers(client) and len(server._pending) == 1


async def test_a_request_that_is_answered_here_has_no_outcome(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        first, second = await zoo.members[1].client(), await zoo.members[1].client()
        server = learning(zoo, 1)
        Held(server)
        create(first, "/a")
        second.peer.feed(wire.request(7, wire.CREATE, b"\0\0\0\x7fabc"))
        second.peer.feed(wire.request(7, wire.CREATE, wire.create_body("/b", b"")))
        carry_out(server, first, 1, Error(-118))
        carry_out(server, second, 7, Error(-101))
        server.synced(0)
        zoo.members[1].settle()
        assert [answer[:2] for answer in answers(second)] == [(7, -5), (7, -101)]
        assert not server._pending and server.outstanding == 0


async def test_a_request_that_is_answered_here_is_not_refused_as_moved(autojump_clock: MockClock) -> None:
    """A late request from elsewhere was, under its number."""
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        first, second = await zoo.members[1].client(), await zoo.members[1].client()
        server = learning(zoo, 1)
        Held(server)
        create(first, "/a")
        second.peer.feed(wire.request(7, wire.CREATE, b"\0\0\0\x7fabc"))
        carry_out(server, second, 7, Error(-118))
        assert not server._doubted
        carry_out(server, first, 1, Error(-101))
        server.synced(0)
        zoo.members[1].settle()
        assert [answer[:2] for answer in answers(second)] == [(7, -5)]
        assert not server._pending and not server._answered


async def test_a_connection_that_ends_before_its_session_has_arrived_does_not_keep_it(
    autojump_clock: MockClock,
) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        server = learning(zoo, 1)
        peer = come(zoo, 1, client)
        held = Held(server)  # the leader is asked; what comes behind its answer waits
        await settle()
        assert server.is_here(client.peer.session_id) and peer.cnxn.session is None
        peer.cnxn.closed()
        assert not server.is_here(client.peer.session_id)
        held.let_go()
        await settle()
        assert not server.is_here(client.peer.session_id)


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
        assert not answers(client) and client.peer.cnxn not in zoo.members[1].service.cnxns
        assert zoo.members[1].tree.nodes[b"/n"].data == b""


async def test_an_observer_whose_clients_only_read_when_they_moved_is_kept(autojump_clock: MockClock) -> None:
    zoo = Zoo(1, 2, 3, observers=(4,), ensemble={"observer_master_port": PORT, "quorum_reads": True})
    async with zoo.running(1, 2, 3, 4):
        await zoo.serve()
        client, other = await zoo.members[4].client(), await zoo.members[4].client()
        held = Held(learning(zoo, 4))
        client.send(wire.GET_DATA, wire.read_body("/"))
        client.peer.cnxn.closed()
        there = come(zoo, int(masters_of(zoo)["h4"][1:]), client)
        await settle()
        assert there.cnxn.session is not None
        held.let_go()
        await settle()
        assert not other.peer.closed


async def test_a_master_forgets_sessions_that_are_over(autojump_clock: MockClock) -> None:
    zoo = Zoo(1, 2, 3, observers=(4,), ensemble={"observer_master_port": PORT})
    async with zoo.running(1, 2, 3, 4):
        await zoo.serve()
        master = learning(zoo, int(masters_of(zoo)["h4"][1:]))
        assert master.relay is not None
        places = master.relay.__self__._places  # type: ignore[attr-defined]
        for number in range(1, 5):
            Peer(zoo.members[4]).connect(  # type: ignore[arg-type]
                session=number, password=sessions.password(number)
            )
            (await zoo.members[4].client()).peer.cnxn.closed()
        assert len(places) == 4, "and none for those that never were"
        await trio.sleep(100)
        assert not zoo.members[3].tree.sessions and not places
