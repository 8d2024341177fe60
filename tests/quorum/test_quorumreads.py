"""quorumReads: what is read is not older than the read, whoever serves it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.harness import Peer, Reply
from tests.quorum.rolemesh import ByHand, MemberClient, Zoo, join
from tests.quorum.test_observermaster import PORT, joined
from zkpy import opcodes
from zkpy.quorum import packets
from zkpy.quorum.packets import ForwardedRequest, QuorumPacket

pytestmark = pytest.mark.trio

GET = wire.GET_DATA, wire.read_body("/n")


def zoo(*sids: int, reads: bool = True, observers: tuple[int, ...] = (), local: bool = False) -> Zoo:
    ensemble = {"quorum_reads": reads, "local_sessions_enabled": local}
    return Zoo(*sids, observers=observers, ensemble=ensemble)


def set_body(data: str) -> bytes:
    return wire.text("/n") + wire.text(data.encode()) + wire.i32(-1)


async def partitioned(world: Zoo) -> tuple[MemberClient, MemberClient]:
    """Server 3 still believes to lead, server 2 leads the others and has gone on; a client of each."""
    await world.serve()
    assert world.leader() == 3
    there = await world.members[3].client()
    assert (await there.create("/n")).err == 0
    await trio.sleep(0.5)
    await world.lose(3)
    with trio.fail_after(3):
        while world.members[2].mode != "leader":
            await trio.sleep(0.01)
    await world.serve(1, 2)
    here = await world.members[2].client()
    assert (await here.call(wire.SET_DATA, set_body("new"))).err == 0
    assert world.members[3].mode == "leader"
    return there, here


async def test_an_old_leader_does_not_answer(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        there, here = await partitioned(world)
        there.send(*GET)
        there.send(wire.SYNC, wire.text("/"))
        assert (await here.call(*GET)).body[4:7] == b"new"
        with trio.fail_after(60):
            while world.members[3].mode is not None:
                assert there.peer.replies() == []
                await trio.sleep(0.05)
        assert there.peer.closed
        await world.cut(3)
        world.heal(3)
        await world.serve()
        back = await world.members[3].client()
        assert (await back.call(*GET)).body[4:7] == b"new"


async def test_without_it_an_old_leader_may_answer(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3, reads=False).running(1, 2, 3) as world:
        there, here = await partitioned(world)
        assert (await there.call(*GET)).body[4:8] == b"data"
        assert (await here.call(*GET)).body[4:7] == b"new"


async def an_old_leader_and_a_follower(world: Zoo) -> None:
    """1 and 5 stay together; the others are on their own, and have gone on."""
    network = world.network
    for connection in network.connections:
        sides = {connection.dialler, connection.to[0]}
        if connection.open and len(sides & {"h1", "h5"}) == 1 and "stranger" not in sides:
            ends = connection.out, connection.back
            near, far = ends if connection.dialler in ("h1", "h5") else ends[::-1]
            near.lost = True
            await far.aclose()
    network.away |= {"h1", "h5"}
    with trio.fail_after(3):
        while world.members[4].mode != "leader":
            await trio.sleep(0.01)
    await world.serve(2, 3, 4)
    elsewhere = await world.members[2].client()
    assert (await elsewhere.call(wire.SET_DATA, set_body("new"))).err == 0
    assert [world.members[sid].mode for sid in (1, 5)] == ["follower", "leader"]


async def test_a_follower_of_an_old_leader_does_not_answer(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3, 4, 5).running(1, 2, 3, 4, 5) as world:
        await world.serve()
        assert world.leader() == 5
        client = await world.members[1].client()
        assert (await client.create("/n")).err == 0
        await an_old_leader_and_a_follower(world)
        client.send(*GET)
        while world.members[1].mode is not None:
            assert client.peer.replies() == []
            await trio.sleep(0.05)


async def test_nor_when_an_observer_behind_it_syncs(autojump_clock: MockClock) -> None:
    """Its sync, which has no setting to go by, is answered at once; the answer is not taken for the other."""
    world = zoo(1, 2, 3, 4, 5)
    world.ensemble["observer_master_port"] = PORT
    async with world.running(1, 2, 3, 4, 5):
        await world.serve()
        assert world.leader() == 5
        client = await world.members[1].client()
        assert (await client.create("/n")).err == 0
        observer = await joined(world, 1, zxid=world.members[1].tree.last_zxid)
        await an_old_leader_and_a_follower(world)
        client.send(*GET)
        await trio.sleep(0.05)
        for xid in (0, 9):  # clients number as they like
            sync = ForwardedRequest(77, xid, opcodes.SYNC, wire.text("/"))
            await observer.send(sync.packet((("ip", "10.0.0.1"),)))
            assert (await observer.until(packets.SYNC)).zxid == 0
        assert client.peer.replies() == []


async def test_reads_of_an_observer_behind_a_follower(autojump_clock: MockClock) -> None:
    world = zoo(1, 2, 3, observers=(4,))
    world.ensemble["observer_master_port"] = PORT
    async with world.running(1, 2, 3, 4):
        await world.serve()
        writer, reader = await world.members[3].client(), await world.members[4].client()
        assert (await writer.create("/n")).err == 0
        for number in range(10):
            assert (await writer.call(wire.SET_DATA, set_body(str(number)))).err == 0
            assert (await reader.call(*GET)).body[4:5] == str(number).encode()
            assert (await reader.call(wire.SYNC, wire.text("/"))).err == 0


async def test_reads_see_what_was_answered_before_anywhere(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3, observers=(4,)).running(1, 2, 3, 4) as world:
        await world.serve()
        clients = {sid: await member.client() for sid, member in world.members.items()}
        assert (await clients[1].create("/n")).err == 0
        sids = [1, 2, 3, 4, 2, 4, 1, 3, 1]
        for round, (writer, reader) in enumerate(pairwise(sids * 3)):
            text = f"{round:04}"
            assert (await clients[writer].call(wire.SET_DATA, set_body(text))).err == 0
            assert (await clients[reader].call(*GET)).body[4:8] == text.encode()


@pytest.mark.parametrize("sid", [1, 3, 4])
async def test_the_order_of_a_session_is_kept(autojump_clock: MockClock, sid: int) -> None:
    async with zoo(1, 2, 3, observers=(4,)).running(1, 2, 3, 4) as world:
        await world.serve()
        client = await world.members[sid].client()
        assert (await client.create("/n")).err == 0
        client.send(*GET)
        for count in range(8):
            client.send(wire.SET_DATA, set_body(f"{count:04}"))
            client.send(*GET)
            client.send(wire.EXISTS, wire.read_body("/n"))
            client.send(wire.PING, b"")
            if count % 2:
                client.send(wire.SYNC, wire.text("/n"))
                client.send(*GET)
        client.send(wire.CLOSE_SESSION, b"")
        await trio.sleep(2)
        replies = client.peer.replies()
        order = [reply.xid for reply in replies if reply.xid != -2]
        assert order == sorted(order)
        assert len(replies) == 2 + 8 * 4 + 4 * 2
        assert client.peer.closed
        seen = [reply.body[4:8] for reply in replies if len(reply.body) == 4 + 4 + 68]
        expected = [b"data"]
        for count in range(8):
            expected += [b"%04d" % count] * (1 + count % 2)
        assert seen == expected, "a read sees its session's writes before it, and none after it"


async def test_many_reads_share_one_confirmation(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        await world.serve()
        for sid in (3, 1):
            member = world.members[sid]
            clients = [await member.client() for _ in range(20)]
            if sid == 3:
                assert (await clients[0].create("/n")).err == 0
            before = asked(world)
            for client in clients:
                member.server.now = trio.current_time()
                for xid in range(10):
                    client.peer.cnxn.receive(wire.request(100 + xid, *GET))
            member.settle()
            await trio.sleep(0.2)
            assert all(len(client.peer.replies()) == 10 for client in clients)
            assert asked(world) - before <= 4


def asked(world: Zoo) -> int:
    """Marked PINGs that the leader has sent."""
    found = 0
    for connection in world.network.connections:
        if connection.to == ("h3", 25023):
            reader = packets.PacketReader(1 << 20)
            reader.feed(bytes(connection.back.sent))
            while (packet := reader.next()) is not None:
                found += packet.type == packets.PING and packet.zxid < 0
    return found


async def test_a_follower_that_comes_later_is_asked_as_well(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(2, 3) as world:
        await world.serve(2, 3)
        client = await world.members[3].client()
        assert (await client.create("/n")).err == 0
        for connection in world.network.between("h2", "h3"):
            near, far = (
                (connection.out, connection.back)
                if connection.dialler == "h2"
                else (connection.back, connection.out)
            )
            near.lost = far.lost = True  # server 2 says nothing any more
        client.send(*GET)
        await trio.sleep(0.1)
        assert client.peer.replies() == []
        learner = await world.learner(3)
        zxid = world.members[3].tree.last_zxid
        await join(learner, 1, zxid)
        mark = 0
        while mark >= 0:
            mark = (await learner.until(packets.PING)).zxid
        await answer(learner, mark)
        await trio.sleep(0.1)
        (reply,) = client.peer.replies()
        assert reply.err == 0


async def answer(learner: ByHand, mark: int) -> None:
    """As a Java follower does: what it got, with the sessions it has heard from."""
    await learner.send(QuorumPacket(packets.PING, mark, b""))


async def test_it_costs_nothing_when_it_is_off(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3, reads=False).running(1, 2, 3) as world:
        await world.serve()
        client = await world.members[3].client()
        assert (await client.create("/n")).err == 0
        before = asked(world)
        client.send(*GET)
        assert len(client.peer.replies()) == 1, "answered on the spot"
        await trio.sleep(5)
        assert asked(world) == before == 0
        assert world.members[3].server.gate is None


def mzxid(stat: bytes) -> int:
    return int.from_bytes(stat[8:16], "big")


class Register:
    """One znode; what was written for sure, and whether a read was older than that."""

    def __init__(self, world: Zoo, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.written = 0
        self.acknowledged = 0  # the newest zxid
        self.reads = 0
        self.stale = 0

    async def client(self) -> MemberClient | None:
        member = self.world.members[self.rng.choice([*self.world.members])]
        if member.mode is None:
            return None
        peer = Peer(member)  # type: ignore[arg-type]
        peer.connect()
        return None if peer.closed else MemberClient(peer)

    async def answer(self, client: MemberClient, op: int, body: bytes) -> Reply | None:
        client.send(op, body)
        with trio.move_on_after(0.7):
            while not client.peer.closed:
                if replies := client.peer.replies():
                    return replies[0]
                await trio.sleep(0.01)
        return None

    async def write(self) -> None:
        while True:
            await trio.sleep(self.rng.random() / 4)
            client = await self.client()
            if client is not None:
                reply = await self.answer(client, wire.SET_DATA, set_body("next"))
                if reply is not None and reply.err == 0:
                    self.written += 1
                    self.acknowledged = max(self.acknowledged, mzxid(reply.body))

    async def read(self) -> None:
        while True:
            await trio.sleep(self.rng.random() / 4)
            client = await self.client()
            if client is not None:
                known = self.acknowledged
                reply = await self.answer(client, *GET)
                if reply is not None and reply.err == 0:
                    self.reads += 1
                    self.stale += mzxid(reply.body[-68:]) < known

    async def disturb(self) -> None:
        """Now and then somebody is cut off, mostly the leader, and does not notice."""
        while True:
            await trio.sleep(4 + 4 * self.rng.random())
            leaders = [sid for sid, member in self.world.members.items() if member.mode == "leader"]
            sid = leaders[0] if leaders and self.rng.random() < 0.9 else self.rng.choice([1, 2, 3])
            await self.world.lose(sid)
            await trio.sleep(8)
            await self.world.cut(sid)
            self.world.heal(sid)


@pytest.mark.parametrize("reads", [True, False])
async def test_no_read_is_older_than_what_was_answered(autojump_clock: MockClock, reads: bool) -> None:
    stale = 0
    for seed in range(3 if reads else 1):
        # Local sessions: one of the ensemble could not be opened without a quorum.
        async with zoo(1, 2, 3, reads=reads, observers=(4,), local=True).running(1, 2, 3, 4) as world:
            await world.serve()
            assert (await (await world.members[3].client()).create("/n")).err == 0
            register = Register(world, random.Random(seed))
            with trio.move_on_after(40):
                async with trio.open_nursery() as nursery:
                    for each in (register.write, *3 * [register.read], register.disturb):
                        nursery.start_soon(each)
            assert register.reads > 50
            assert register.written > 10
            stale += register.stale
    assert (stale == 0) is reads, "and without the setting it does happen"
