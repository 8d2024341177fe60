"""Leaders and learners, whole and one at a time, in memory and virtual time."""

from __future__ import annotations

import logging
import struct

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.harness import Peer
from tests.quorum.mesh import Server
from tests.quorum.rolemesh import INIT_LIMIT, SYNC_LIMIT, TICK_S, ByHand, Zoo, follower_info, join
from zkpy.errors import CommitMismatch, ElectionPortTaken, SyncFailed
from zkpy.persist.snapshot import tree_pieces
from zkpy.pipeline.request import Request
from zkpy.quorum import packets
from zkpy.quorum.context import SIGNATURE
from zkpy.quorum.leaderserver import LeaderServer
from zkpy.quorum.packets import LearnerInfo, QuorumPacket, ack_epoch, leader_info
from zkpy.quorum.votes import Deserted, FastLeaderElection
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import decode_payload

pytestmark = pytest.mark.trio


def same(zoo: Zoo, *sids: int) -> None:
    """These members hold the same tree, and the same transactions under the same zxids."""
    chosen = [zoo.members[sid] for sid in sids or zoo.members]
    first = chosen[0].tree
    for other in chosen[1:]:
        assert other.tree.last_zxid == first.last_zxid
        assert other.tree.nodes.keys() == first.nodes.keys()
        assert other.tree.sessions == first.sessions
        assert other.tree.digest % 2**64 == first.digest % 2**64
        assert other.server.digest_mismatches == 0
    payloads: dict[int, bytes] = {}
    for each in chosen:
        each.store.log.flush()
        for entry in each.store.dirs.entries_after(each.store.last_snapshot_zxid):
            assert payloads.setdefault(entry.zxid, entry.payload) == entry.payload


async def settle() -> None:
    await trio.sleep(0.5)


async def test_writes_through_every_member(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3, observers=(4,)).running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        assert zoo.leader() == 3
        assert [zoo.members[sid].mode for sid in (1, 2, 4)] == ["follower", "follower", "observer"]
        for sid, member in zoo.members.items():
            client = await member.client()
            assert (await client.create(f"/n{sid}")).err == 0
            assert (await client.create(f"/n{sid}")).err == -110
            assert (await client.create(f"/e{sid}", flags=1)).err == 0
            assert (await client.call(wire.CREATE, b"\0\0\0\x7fabc")).err == -5
            assert (await client.call(wire.SYNC, wire.text("/"))).err == 0
            for other in (1, 2, 3, 4):
                client.send(wire.CREATE, wire.create_body(f"/n{sid}/{other}", b""))
                client.send(wire.GET_DATA, wire.read_body(f"/n{sid}/{other}"))
            await settle()
            assert [reply.err for reply in client.peer.replies()] == [0] * 8
            assert (await client.call(wire.CLOSE_SESSION, b"")).err == 0
        await settle()
        same(zoo)
        for member in zoo.members.values():
            assert member.server.outstanding == 0
            assert not member.tree.sessions
            assert b"/e1" not in member.tree.nodes
            assert member.tree.nodes[b"/zookeeper/config"].data == zoo.config.text().encode()


async def test_a_session_moves_and_one_expires(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        at_leader = await zoo.members[3].client()
        assert (await at_leader.create("/e", flags=1)).err == 0
        session, password = at_leader.peer.session_id, at_leader.peer.password
        moved = Peer(zoo.members[1])  # type: ignore[arg-type]
        moved.connect(session=session, password=password)
        await settle()
        assert moved.session_id == session
        assert moved.cnxn.session is not None
        assert at_leader.peer.closed, "the leader closes the connection that was left"
        moved.cnxn.closed()
        stranger = Peer(zoo.members[2])  # type: ignore[arg-type]
        stranger.connect(session=session, password=b"x" * 16)
        assert stranger.closed or stranger.response[8:20] == bytes(12)
        await trio.sleep(60)
        for member in zoo.members.values():
            assert b"/e" not in member.tree.nodes
            assert not member.tree.sessions
        gone = Peer(zoo.members[2])  # type: ignore[arg-type]
        gone.connect(session=session, password=password)
        await settle()
        (answer,) = gone.channel.frames()
        assert struct.unpack_from(">iq", answer, 4) == (0, 0)


async def test_the_leader_dies_and_comes_back(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        for count in range(20):
            assert (await client.create(f"/n{count}")).err == 0
        await zoo.kill(3)
        await trio.sleep(2)
        await zoo.serve(1, 2)
        client = await zoo.members[1].client()
        assert (await client.create("/after")).err == 0
        zoo.start(3)
        await zoo.serve()
        await settle()
        same(zoo)
        assert zoo.leader() == 2
        assert b"/n19" in zoo.members[3].tree.nodes


@pytest.mark.parametrize("factor", [-1, 1e9])
async def test_a_member_that_was_away_for_long(autojump_clock: MockClock, factor: float) -> None:
    async with Zoo(1, 2, 3, factor=factor, commit_log_count=5).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[2].client()
        assert (await client.create("/before")).err == 0
        await zoo.kill(1)
        for count in range(20):
            assert (await client.create(f"/n{count}")).err == 0
        zoo.start(1)
        await zoo.serve()
        await settle()
        same(zoo)
        assert bool(zoo.members[1].store.snapshots) == (factor < 0)
        await zoo.kill(1)
        zoo.start(1)
        await zoo.serve()
        await settle()
        same(zoo)


async def test_what_a_leader_proposed_alone_is_forgotten(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        assert (await client.create("/before")).err == 0
        zoo.cut_off(1)
        zoo.cut_off(2)
        await zoo.cut(3)
        zoo.heal(1)
        zoo.heal(2)
        client.send(wire.CREATE, wire.create_body("/lonely", b""))
        await trio.sleep(0.2)
        assert not client.peer.replies(), "one of three acknowledges nothing"
        started = trio.current_time()
        while zoo.members[3].mode == "leader":
            await trio.sleep(0.1)
            assert trio.current_time() - started < (SYNC_LIMIT + 2) * TICK_S, "a leader without followers"
        await zoo.serve(1, 2)
        other = await zoo.members[1].client()
        assert (await other.create("/after")).err == 0
        zoo.heal(3)
        await zoo.serve(limit_s=200)
        await settle()
        same(zoo)
        assert b"/lonely" not in zoo.members[3].tree.nodes
        assert (await other.create("/more")).err == 0
        await settle()
        same(zoo)


# -- a leader and learners that misbehave ------------------------------------------------------------------


async def test_learners_that_are_none(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        info = follower_info(9).encode()
        too_long = struct.pack(">iqi", packets.FOLLOWERINFO, 0, 0x7FFFFFFF)
        strangers = [
            await zoo.learner(3, b"GET / HTTP/1.1\r\n\r\n" * 10),
            await zoo.learner(3, too_long),
            await zoo.learner(3, info[:7]),
            await zoo.learner(3, info),
            await zoo.learner(3, info + info),
            await zoo.learner(3, QuorumPacket(packets.REQUEST, 0, b"x").encode()),
            await zoo.learner(3, follower_info(3).encode()),
            await zoo.learner(3),
        ]
        for stranger in strangers:
            await stranger.closed(12 * TICK_S)
        joined = await zoo.learner(3)
        await join(joined, 9, zoo.members[3].tree.last_zxid)
        for op, body in ((1, b"\0\0\0\x7fabc"), (4, b""), (99, b""), (-10, b""), (14, b"\xff"), (-11, b"?")):
            data = struct.pack(">qii", 1, 2, op) + body
            await joined.send(QuorumPacket(packets.REQUEST, -1, data, (("ip", "x"),)))
        await joined.send(QuorumPacket(77, 0), QuorumPacket(packets.PING, 0, b"x"))
        await joined.closed(5)
        assert (await client.create("/still")).err == 0
        await settle()
        same(zoo)


@pytest.mark.parametrize("pings", [False, True])
async def test_a_learner_that_is_silent_or_does_not_acknowledge(
    autojump_clock: MockClock, pings: bool
) -> None:
    async with Zoo(1, 2, 3).running(2, 3) as zoo:
        await zoo.serve()
        learner = await zoo.learner(3)
        await join(learner, 1, zoo.members[3].tree.last_zxid)
        client = await zoo.members[2].client()
        assert (await client.create("/n")).err == 0
        started = trio.current_time()
        with trio.fail_after((SYNC_LIMIT + 3) * TICK_S):
            while (packet := await learner.receive()) is not None:
                if pings and packet.type == packets.PING:
                    await learner.send(QuorumPacket(packets.PING, packet.zxid, b""))
        assert trio.current_time() - started > (SYNC_LIMIT - 1) * TICK_S
        assert (await client.create("/m")).err == 0
        same(zoo)


async def test_commits_need_a_quorum_and_come_in_order(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(3) as zoo:
        learner, late = await _elect_by_hand(zoo)
        epoch = await join(learner, 1)
        await zoo.serve(3)
        client = zoo.members[3]
        peer = Peer(client)  # type: ignore[arg-type]
        peer.connect()
        first = (await learner.until(packets.PROPOSAL)).zxid
        assert first == epoch << 32 | 1
        await settle()
        assert not peer.channel.frames()
        await learner.send(QuorumPacket(packets.ACK, first))
        assert (await learner.until(packets.COMMIT)).zxid == first
        await settle()
        assert peer.channel.frames()
        peer.feed(wire.request(1, wire.CREATE, wire.create_body("/a", b"")))
        peer.feed(wire.request(2, wire.CREATE, wire.create_body("/b", b"")))
        assert [(await learner.until(packets.PROPOSAL)).zxid for _ in range(2)] == [first + 1, first + 2]
        await learner.send(QuorumPacket(packets.ACK, first + 2))
        await settle()
        assert not peer.replies(), "the second does not overtake the first"
        await learner.send(QuorumPacket(packets.ACK, first + 1))
        assert [(await learner.until(packets.COMMIT)).zxid for _ in range(2)] == [first + 1, first + 2]
        await settle()
        assert [reply.xid for reply in peer.replies()] == [1, 2]
        late.cancel()


async def _elect_by_hand(zoo: Zoo) -> tuple[ByHand, trio.CancelScope]:
    """Make member 3 the leader with a peer that only votes; gives a connection to its quorum port."""
    voter = Server(zoo.network, 1, zoo.config)
    zoo.nursery.start_soon(voter.run)
    await trio.sleep(0.1)
    await voter.look()
    while ("h3", 25023) not in zoo.network.listeners:
        await trio.sleep(0.05)
    return await zoo.learner(3), voter.scope


# -- a learner and a leader that misbehaves ----------------------------------------------------------------


class LeaderByHand:
    """Leads server 1 of two, by hand."""

    def __init__(self, zoo: Zoo) -> None:
        self.zoo = zoo
        self.scope = trio.CancelScope()
        self._send, self._receive = trio.open_memory_channel[ByHand](9)

    async def start(self) -> None:
        voter = self.voter = Server(self.zoo.network, 2, self.zoo.config)
        self.zoo.nursery.start_soon(voter.run)
        await trio.sleep(0.1)
        await self.zoo.nursery.start(self.zoo.network.host("h2").serve, None, 25022, self._accept)
        self.zoo.start(1)
        await voter.look()

    async def _accept(self, stream: trio.abc.Stream) -> None:
        await self._send.send(ByHand(stream))
        await trio.sleep_forever()

    async def follower(self, epoch: int = 1) -> ByHand:
        """The follower's connection, past discovery."""
        with trio.fail_after(60):
            learner = await self._receive.receive()
            assert (await learner.until(packets.FOLLOWERINFO)).data is not None
            await learner.send(leader_info(epoch))
            await learner.until(packets.ACKEPOCH)
        return learner

    async def synchronised(self) -> ByHand:
        learner = await self.follower()
        await learner.send(
            QuorumPacket(packets.DIFF, 0), QuorumPacket(packets.NEWLEADER, 1 << 32, b"version=0")
        )
        await learner.until(packets.ACK)
        await learner.send(QuorumPacket(packets.UPTODATE, -1))
        await learner.until(packets.ACK)
        return learner


def create_session(zxid: int, session: int = 7) -> bytes:
    return struct.pack(">qiqqii", session, 0, zxid, 1000, -10, 30000)


def sent_tree(sessions: dict[int, int]) -> bytes:
    """What follows a SNAP packet."""
    tree = DataTree()
    tree.sessions.update(sessions)
    return b"".join(tree_pieces(tree.view())) + b"\0\0\0\1/" + SIGNATURE


async def _ends_with(zoo: Zoo, kind: type[Exception], limit_s: float = 5) -> None:
    with trio.fail_after(limit_s):
        await zoo.members[1].ended.wait()
    assert isinstance(zoo.members[1].error, kind), zoo.members[1].error


async def test_a_commit_that_does_not_match(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.synchronised()
        first = 1 << 32 | 1
        await learner.send(
            QuorumPacket(packets.COMMIT, first),  # ignored: nothing is proposed
            QuorumPacket(packets.PROPOSAL, first, create_session(first)),
            QuorumPacket(packets.PROPOSAL, first + 1, create_session(first + 1, 8)),
        )
        assert [(await learner.until(packets.ACK)).zxid for _ in range(2)] == [first, first + 1]
        await learner.send(QuorumPacket(packets.COMMIT, first + 1))
        await _ends_with(zoo, CommitMismatch)


async def test_commits_that_come_together_are_carried_out_up_to_the_first_wrong_one(
    autojump_clock: MockClock,
) -> None:
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.synchronised()
        first = 1 << 32 | 1
        await learner.send(
            *(QuorumPacket(packets.PROPOSAL, z, create_session(z, z)) for z in range(first, first + 6))
        )
        assert [(await learner.until(packets.ACK)).zxid for _ in range(6)] == [*range(first, first + 6)]
        sessions = zoo.members[1].server.tree.sessions
        await learner.send(*(QuorumPacket(packets.COMMIT, z) for z in range(first, first + 3)))
        await settle()
        assert [*sessions] == [first, first + 1, first + 2]
        await learner.send(*(QuorumPacket(packets.COMMIT, z) for z in (first + 3, first + 5, first + 4)))
        await _ends_with(zoo, CommitMismatch)
        assert [*sessions] == [*range(first, first + 4)]


async def test_a_learner_that_has_come_once_more_acknowledges_once_more(autojump_clock: MockClock) -> None:
    """To be in step with the leader's tree it may have cut from its log what it had acknowledged."""
    async with Zoo(1, 2, 3, 4, 5).running(3, 4, 5) as zoo:
        await zoo.serve()
        leader = zoo.members[5].server
        assert isinstance(leader, LeaderServer)
        before = await zoo.learner(5)
        await join(before, 1, leader.tree.last_zxid)
        client = await zoo.members[5].client()
        synced = leader.tree.last_zxid
        for sid in (3, 4):
            zoo.members[sid].server._acknowledges = False  # type: ignore[attr-defined]
        client.send(wire.CREATE, wire.create_body("/n", b""))
        while (zxid := (await before.until(packets.PROPOSAL)).zxid) <= synced:
            pass
        await before.send(QuorumPacket(packets.ACK, zxid))
        await trio.sleep(1.1 * TICK_S)  # it is silent: the connection may be that of a server that is gone
        again = await zoo.learner(5)
        await join(again, 1, zxid)
        await before.closed(1)
        leader.acknowledged(3, [zxid])
        assert leader.proposals.outstanding == 1, "it is in the logs of two of five"
        await again.send(QuorumPacket(packets.ACK, zxid))
        await again.until(packets.COMMIT)


@pytest.mark.parametrize("kind", [packets.FOLLOWERINFO, packets.OBSERVERINFO])
async def test_who_comes_under_the_number_of_a_follower_that_is_well_is_turned_away(
    autojump_clock: MockClock, kind: int
) -> None:
    """What the follower has acknowledged goes on to count."""
    async with Zoo(1, 2, 3).running(2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        leader = zoo.members[3].server
        assert isinstance(leader, LeaderServer)
        held: list[list[Request]] = []
        durable, leader.sync._commit = leader.sync._commit, held.append  # type: ignore[misc]
        client.send(wire.CREATE, wire.create_body("/n", b""))
        await settle()
        assert leader.proposals.outstanding == 1
        stranger = await zoo.learner(3)
        await stranger.send(
            QuorumPacket(kind, 0, LearnerInfo(2).encode()), ack_epoch(leader.tree.last_zxid, 0)
        )
        await stranger.closed(1)
        leader.sync._commit = durable  # type: ignore[misc]
        for batch in held:
            durable(batch)
        await settle()
        assert [reply.err for reply in client.peer.replies()] == [0]


async def test_acknowledgements_that_come_together_commit_together(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(3) as zoo:
        learner, late = await _elect_by_hand(zoo)
        await join(learner, 1)
        await zoo.serve(3)
        peer = Peer(zoo.members[3])  # type: ignore[arg-type]
        peer.connect()
        first = (await learner.until(packets.PROPOSAL)).zxid
        await learner.send(QuorumPacket(packets.ACK, first))
        await settle()
        assert peer.channel.frames()  # the answer to the handshake
        for number in range(3):
            peer.feed(wire.request(number, wire.CREATE, wire.create_body(f"/{number}", b"")))
        zxids = [(await learner.until(packets.PROPOSAL)).zxid for _ in range(3)]
        await settle()
        await learner.send(*(QuorumPacket(packets.ACK, zxid) for zxid in zxids))
        assert [(await learner.until(packets.COMMIT)).zxid for _ in range(3)] == zxids
        await settle()
        assert [reply.xid for reply in peer.replies()] == [0, 1, 2]
        late.cancel()


@pytest.mark.parametrize(
    "bad",
    [
        QuorumPacket(packets.PROPOSAL, 1 << 32 | 2, create_session(1 << 32 | 2)),
        QuorumPacket(packets.PROPOSAL, 1 << 32 | 1, create_session(1 << 32 | 2)),
        QuorumPacket(packets.PROPOSAL, 1 << 32 | 1, b"?"),
        QuorumPacket(packets.REVALIDATE, 0, b""),
    ],
)
async def test_a_learner_leaves_a_leader_that_sends_nonsense(
    autojump_clock: MockClock, bad: QuorumPacket
) -> None:
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.synchronised()
        await zoo.serve(1)
        await learner.send(bad)
        await learner.closed(5)
        assert zoo.members[1].error is None


@pytest.mark.parametrize(
    "opening", [QuorumPacket(packets.TRUNC, 5), QuorumPacket(packets.COMMIT, 5), QuorumPacket(99, 5)]
)
async def test_a_history_that_cannot_be_taken_over(autojump_clock: MockClock, opening: QuorumPacket) -> None:
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.follower()
        await learner.send(opening)
        await _ends_with(zoo, SyncFailed)


async def test_a_tree_that_was_not_stored_does_not_count(autojump_clock: MockClock) -> None:
    """The leader dies after its tree and before NEWLEADER: the follower votes with what it has stored."""
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.follower()
        tree = sent_tree({})
        await learner.stream.send_all(QuorumPacket(packets.SNAP, 1 << 32 | 9).encode() + tree)
        await settle()
        await learner.stream.aclose()
        await leader.voter.look()
        learner = await leader.follower(2)
        member = zoo.members[1]
        assert member.store.log.last_zxid == 0
        assert member.error is None
        await learner.send(
            QuorumPacket(packets.DIFF, 0), QuorumPacket(packets.NEWLEADER, 2 << 32, b"version=0")
        )
        await learner.until(packets.ACK)
        await learner.send(QuorumPacket(packets.UPTODATE, -1))
        await zoo.serve(1)
        assert member.tree.last_zxid == 0


async def test_what_comes_inside_the_tree_and_again(autojump_clock: MockClock) -> None:
    """A proposal that the tree holds already is acknowledged, and neither logged nor applied again."""
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        learner = await leader.follower()
        first = 1 << 32 | 1
        tree = sent_tree({7: 30000})
        await learner.stream.send_all(QuorumPacket(packets.SNAP, first).encode() + tree)
        await learner.send(
            QuorumPacket(packets.PROPOSAL, first, create_session(first)),
            QuorumPacket(packets.NEWLEADER, 1 << 32, b"version=0"),
        )
        await learner.until(packets.ACK)
        await learner.send(QuorumPacket(packets.COMMIT, first), QuorumPacket(packets.UPTODATE, -1))
        await learner.until(packets.ACK)
        assert (await learner.until(packets.ACK)).zxid == first
        await zoo.serve(1)
        member = zoo.members[1]
        assert member.tree.sessions == {7: 30000}
        await learner.send(
            QuorumPacket(packets.PROPOSAL, first + 1, create_session(first + 1, 8)),
            QuorumPacket(packets.COMMIT, first + 1),
        )
        await settle()
        assert member.tree.sessions == {7: 30000, 8: 30000}
        logged = [
            decode_payload(entry.payload).header.zxid for entry in member.store.dirs.entries_after(first)
        ]
        assert logged == [first + 1]


async def test_each_member_says_once_what_it_has_become(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        found = sorted(r.getMessage() for r in caplog.records if r.name == "zkpy.role")
        caplog.clear()
        return found

    caplog.set_level(logging.INFO, "zkpy.role")
    async with Zoo(1, 2, 3, observers=(4,)).running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        await trio.sleep(60)
        assert told() == [
            "server 1: following server 3, epoch 1",
            "server 2: following server 3, epoch 1",
            "server 3: leading, epoch 1",
            "server 4: observing server 3, epoch 1",
        ]
        await zoo.kill(3)
        await trio.sleep(10)
        await zoo.serve(1, 2, 4)
        assert told() == [
            "server 1: following server 2, epoch 2",
            "server 2: leading, epoch 2",
            "server 4: observing server 2, epoch 2",
        ]


# -- ports -------------------------------------------------------------------------------------------------


async def test_ports_that_are_taken(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running() as zoo:
        zoo.network.taken[("h1", 25031)] = 99
        zoo.start(1)
        await _ends_with(zoo, ElectionPortTaken, limit_s=20)
        del zoo.members[1]
        zoo.network.taken[("h3", 25023)] = 2
        zoo.start(2, 3)
        await zoo.serve(2, 3, limit_s=120)
        assert zoo.leader() == 3


async def test_a_leader_without_clients(autojump_clock: MockClock) -> None:
    words = frozenset({"*"})
    async with Zoo(1, 2, 3, ensemble={"leader_serves": False}, four_letter_words=words).running(
        1, 2, 3
    ) as zoo:
        await zoo.serve()
        assert zoo.leader() == 3
        assert await zoo.members[3].hangs_up_on()
        assert "not currently serving" in zoo.members[3].word("srvr")
        client = await zoo.members[1].client(timeout_ms=4000)
        assert (await client.create("/e", flags=1)).err == 0
        await trio.sleep(10)
        assert b"/e" not in zoo.members[2].tree.nodes, "sessions expire all the same"
        await zoo.kill(3)
        with trio.fail_after(30):
            while zoo.members[2].mode != "leader":
                await trio.sleep(0.1)
        await zoo.serve(1)
        assert (await (await zoo.members[1].client()).create("/later")).err == 0


@pytest.mark.parametrize(
    ("quorum_left", "limit_ms", "patience_s"),
    [(True, -1, INIT_LIMIT), (True, 1500, 2), (True, 2500, 3), (False, -1, 0.3)],
)
async def test_a_leader_whose_voters_look_again(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    quorum_left: bool,
    limit_ms: int,
    patience_s: float,
) -> None:
    """It does not wait for followers at all when those who may still come are no quorum."""
    if quorum_left:
        deserted = [Deserted(1, quorum_left)]
        monkeypatch.setattr(FastLeaderElection, "_heard_leading", lambda self, sid, message: deserted)
    settings: dict[str, object] = {"leader_max_time_to_wait_for_epoch_ms": limit_ms}
    async with Zoo(1, 2, 3, ensemble=settings).running() as zoo:
        others = [Server(zoo.network, sid, zoo.config) for sid in (1, 2)]
        for other in others:
            await zoo.nursery.start(other.run)
        zoo.start(3)
        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(other.look)
        port = ("h3", 25023)
        while port not in zoo.network.listeners:
            await trio.sleep(0.01)
        began = trio.current_time()
        leadership = zoo.network.listeners[port]
        # They voted for it and never come. Their messages of a new election reach it now and then.
        with trio.move_on_after(60):
            while zoo.network.listeners.get(port) is leadership:
                for other in others:  # not both need to have been heard before it led
                    with trio.move_on_after(0.4):
                        await other.look()
                await trio.sleep(0.1)
        assert trio.current_time() - began == pytest.approx(patience_s, abs=0.7)
