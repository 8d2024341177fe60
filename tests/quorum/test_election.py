"""Elections of several servers in one loop, over a network in memory and virtual time."""

from __future__ import annotations

from struct import pack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.quorum.mesh import MemoryNetwork, Server, members
from zkpy.quorum.notification import Notification, PeerState, decode_notification, encode_opening
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.votes import Vote

pytestmark = pytest.mark.trio

LOOKING, FOLLOWING, LEADING, OBSERVING = PeerState


class World:
    """Servers by sid and what they elected."""

    def __init__(self, nursery: trio.Nursery, config: QuorumConfig) -> None:
        self.nursery = nursery
        self.config = config
        self.network = MemoryNetwork()
        self.servers: dict[int, Server] = {}
        self.votes: dict[int, Vote] = {}

    async def start(self, *sids: int) -> list[Server]:
        for sid in sids:
            self.servers[sid] = Server(self.network, sid, self.config)
            await self.nursery.start(self.servers[sid].run)
        return [self.servers[sid] for sid in sids]

    async def elect(self, **zxids: tuple[int, int]) -> dict[int, Vote]:
        """Let servers look, ``s1=(zxid, epoch)`` …, until all have a leader; gives their votes."""
        votes: dict[int, Vote] = {}
        async with trio.open_nursery() as nursery:
            for name, (zxid, epoch) in zxids.items():
                server = self.servers[int(name[1:])]
                nursery.start_soon(lambda s=server, z=zxid, e=epoch: s.look(z, e, into=votes))
        return votes

    def states(self) -> dict[int, PeerState]:
        return {sid: server.election.state for sid, server in self.servers.items()}


@pytest.mark.parametrize(
    ("candidates", "leader"),
    [
        ({"s1": (0, 0), "s2": (0, 0), "s3": (0, 0)}, 3),
        ({"s1": (0x100000007, 1), "s2": (0x100000009, 1), "s3": (0x100000008, 1)}, 2),
        ({"s1": (0x200000001, 2), "s2": (0x100000009, 1), "s3": (0x100000009, 1)}, 1),
        ({"s1": (0x100000001, 2), "s2": (0x100000009, 1), "s3": (0x100000009, 1)}, 1),
    ],
)
async def test_the_best_vote_wins(
    candidates: dict[str, tuple[int, int]], leader: int, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        await world.start(1, 2, 3)
        start = trio.current_time()
        votes = await world.elect(**candidates)
        assert trio.current_time() - start < 1
        zxid, epoch = candidates[f"s{leader}"]
        assert {vote[:4] for vote in votes.values()} == {(leader, zxid, 1, epoch)}
        assert world.states() == {sid: LEADING if sid == leader else FOLLOWING for sid in (1, 2, 3)}
        nursery.cancel_scope.cancel()


async def test_a_leader_that_died_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        one, two, _ = await world.start(1, 2, 3)
        await world.elect(s1=(0, 0), s2=(0, 0), s3=(0, 0))
        start = trio.current_time()
        world.network.away.add("h3")
        for name in ("h1", "h2"):
            for connection in world.network.between(name, "h3"):
                await connection.cut()
        two.election.set_state(LOOKING)
        nursery.start_soon(two.look, 1)
        await wait_all_tasks_blocked()
        one.election.set_state(LOOKING)  # a moment later: it has dropped the better vote
        vote = await one.look(1)
        assert vote.leader == 2
        await wait_all_tasks_blocked()
        assert (one.election.state, two.election.state) == (FOLLOWING, LEADING)
        assert trio.current_time() - start < 0.05
        nursery.cancel_scope.cancel()


async def test_no_quorum_no_leader_until_one_comes(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        (three,) = await world.start(3)
        with trio.move_on_after(100):
            await three.look(5)
        assert three.election.state is LOOKING
        await world.start(1)
        votes = await world.elect(s1=(0, 0), s3=(5, 0))
        assert {vote.leader for vote in votes.values()} == {3}
        assert votes[3].round == 2  # the vain one counts
        nursery.cancel_scope.cancel()


async def test_a_late_joiner_follows_the_leader_even_with_a_better_vote(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        one, two = await world.start(1, 2)
        await world.elect(s1=(0, 0), s2=(0, 0))
        for server in (one, two):
            server.election.set_epoch(1)
        (three,) = await world.start(3)
        vote = await three.look(0x100000005, 1)
        assert (vote.leader, vote.epoch) == (2, 1)
        assert three.election.state is FOLLOWING
        nursery.cancel_scope.cancel()


async def test_a_late_joiner_dials_until_somebody_answers(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        await world.start(1, 2, 3)
        world.network.away.add("h3")
        await world.elect(s1=(0, 0), s2=(0, 0))

        async def comes_back() -> None:
            await trio.sleep(3)
            world.network.away.clear()

        nursery.start_soon(comes_back)
        vote = await world.servers[3].look()
        assert vote.leader == 2
        nursery.cancel_scope.cancel()


async def test_a_long_wait_ends_as_soon_as_there_is_a_quorum(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        (three,) = await world.start(3)
        votes: dict[int, Vote] = {}
        nursery.start_soon(lambda: three.look(into=votes))
        await trio.sleep(30)  # the next time-out is 20 seconds away
        (one,) = await world.start(1)
        start = trio.current_time()
        assert (await one.look()).leader == 3
        await trio.sleep(0.3)
        assert votes[3].leader == 3
        assert trio.current_time() - start < 1
        nursery.cancel_scope.cancel()


async def test_an_observer_learns_the_leader(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, observers=[7]))
        await world.start(1, 2, 7)
        votes = await world.elect(s1=(3, 0), s2=(0, 0), s7=(99, 9))
        assert {vote.leader for vote in votes.values()} == {1}
        assert world.states() == {1: LEADING, 2: FOLLOWING, 7: OBSERVING}
        nursery.cancel_scope.cancel()


async def test_the_next_leader_after_the_first_is_lost(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        _, _, three = await world.start(1, 2, 3)
        await world.elect(s1=(0, 0), s2=(0, 0), s3=(0, 0))
        three.scope.cancel()
        await wait_all_tasks_blocked()
        start = trio.current_time()
        votes = await world.elect(s1=(9, 1), s2=(8, 1))
        assert {vote.leader for vote in votes.values()} == {1}
        assert {vote.round for vote in votes.values()} == {2}
        assert trio.current_time() - start < 1
        nursery.cancel_scope.cancel()


async def test_followers_of_a_dead_leader_do_not_elect_it(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        one, _, three = await world.start(1, 2, 3)
        await world.elect(s1=(0, 0), s2=(0, 0), s3=(0, 0))
        three.scope.cancel()
        await wait_all_tasks_blocked()
        with trio.move_on_after(60):  # server 2 has not noticed and still reports 3
            await one.look(0)
        assert one.election.state is LOOKING
        nursery.cancel_scope.cancel()


async def test_lost_connections_are_made_again(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        await world.start(1, 2, 3)
        await world.elect(s1=(0, 0), s2=(0, 0), s3=(0, 0))
        for connection in world.network.connections:
            await connection.cut()
        world.network.away |= {"h3"}
        await wait_all_tasks_blocked()

        async def comes_back() -> None:
            await trio.sleep(3)
            world.network.away.clear()

        nursery.start_soon(comes_back)
        start = trio.current_time()
        votes = await world.elect(s2=(5, 1), s3=(6, 1))
        assert {vote.leader for vote in votes.values()} == {3}
        assert 3 < trio.current_time() - start < 8
        nursery.cancel_scope.cancel()


async def test_garbage_from_a_peer_disturbs_nobody(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        await world.start(1, 2)
        view = world.network.host("h3")
        for sid in (1, 2):
            stream = await view.connect(f"h{sid}", 25030 + sid, 1)
            await stream.send_all(encode_opening(3, [("h3", 25033)]))
            for junk in (b"?", bytes(36), pack(">iqqq", 9, 3, 0, 1), bytes(39), b"\xff" * 200):
                await stream.send_all(pack(">i", len(junk)) + junk)
        await wait_all_tasks_blocked()
        votes = await world.elect(s1=(0, 0), s2=(0, 0))
        assert {vote.leader for vote in votes.values()} == {2}
        nursery.cancel_scope.cancel()


async def test_what_came_before_looking_began_counts(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2))
        (one,) = await world.start(1)
        message = Notification(LOOKING, 2, 0, 1, 0, 2, world.config.text()).encode()
        stream = await world.network.host("h2").connect("h1", 25031, 1)
        await stream.send_all(encode_opening(2, [("h2", 25032)]) + pack(">i", len(message)) + message)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        assert (await one.look()).leader == 2
        assert trio.current_time() == start
        nursery.cancel_scope.cancel()


async def test_a_cancelled_election_leaves_nothing_decided(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2))
        one, two = await world.start(1, 2)
        with trio.move_on_after(0.1):
            await one.look()
        nursery.start_soon(two.look)
        await trio.sleep(30)
        assert one.election.state is LOOKING
        votes: dict[int, Vote] = {}
        await one.look(into=votes)
        assert votes[1].leader == 2
        nursery.cancel_scope.cancel()


async def test_an_assigned_role_is_what_peers_hear(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, 3))
        one, two, three = await world.start(1, 2, 3)
        await world.elect(s1=(0, 0), s2=(0, 0), s3=(0, 0))
        designated = Vote(1, 0, 1, 2)
        one.election.set_state(LEADING, designated)
        two.election.set_state(FOLLOWING, designated)
        assert (await three.look()).leader == 1
        assert one.election.vote == designated
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_newer_configuration_of_a_peer(enabled: bool, autojump_clock: MockClock) -> None:
    old, new = members(1, 2), members(1, 2, 3, version=0x100000004)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork()
        seen = []

        async def activate(config: QuorumConfig) -> bool:
            seen.append(config.version)
            if enabled:
                one.configs.committed = one.configs.last_seen = config
            return enabled

        one = Server(network, 1, old, activate=activate)
        others = [Server(network, sid, new) for sid in (2, 3)]
        for server in (one, *others):
            await nursery.start(server.run)
        for server in others:
            nursery.start_soon(server.look)
        await trio.sleep(5)
        before = [c for c in network.connections if c.open and "h1" in (c.dialler, c.to[0])]
        assert before
        with trio.move_on_after(30) as scope:
            vote = await one.look()
            assert vote.leader == 3
        assert scope.cancelled_caught is not enabled
        assert all(c.open is not enabled for c in before)
        assert set(seen) == {0x100000004}
        nursery.cancel_scope.cancel()


# -- the bytes of running servers --------------------------------------------------------------------------

TEXT = b"server.1=127.0.0.1:25021:25031:participant\nserver.2=127.0.0.1:25022:25032:participant\nversion=0"
OPENING_1 = bytes.fromhex("ffffffffffff0000 0000000000000001 0000000f 3132372e302e302e313a3235303331")
OPENING_2 = bytes.fromhex("ffffffffffff0000 0000000000000002 0000000f 3132372e302e302e313a3235303332")


def looking_for(leader: int) -> bytes:
    head = f"0000008b 00000000 {leader:016x} 0000000000000000 0000000000000001 0000000000000000"
    return bytes.fromhex(head + "00000002 0000005f") + TEXT


async def test_the_bytes_are_those_of_two_java_servers(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork()
        config = members(1, 2, host="127.0.0.1")
        one, two = (Server(network, sid, config) for sid in (1, 2))
        for server in (one, two):
            await nursery.start(server.run)
        start = trio.current_time()
        nursery.start_soon(one.look)
        await wait_all_tasks_blocked()
        vote = await two.look()
        assert trio.current_time() == start  # both agree: there is nobody to wait for
        assert vote.leader == 2
        first, second = network.connections
        assert (first.to[1], bytes(first.out.sent), bytes(first.back.sent)) == (25032, OPENING_1, b"")
        assert second.to[1] == 25031
        assert bytes(second.out.sent) == OPENING_2 + looking_for(2)
        assert bytes(second.back.sent) == looking_for(1) + looking_for(2)
        await wait_all_tasks_blocked()
        assert (one.election.state, two.election.state) == (FOLLOWING, LEADING)
        nursery.cancel_scope.cancel()


async def test_the_answer_to_an_observer_is_that_of_a_java_leader(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, members(1, 2, observers=[7]))
        _, two = await world.start(1, 2)
        await world.elect(s1=(0, 0), s2=(0, 0))
        two.election.set_epoch(1)
        stream = await world.network.host("h7").connect("h2", 25032, 1)
        none = -(1 << 63)
        message = Notification(LOOKING, none, none, 1, none, 2, world.config.text()).encode()
        opening = encode_opening(7, [("h7", 25037)])
        await stream.send_all(opening + pack(">i", len(message)) + message)
        await wait_all_tasks_blocked()
        answer = bytes(await stream.receive_some())
        wanted = "00000002 0000000000000002 0000000000000000 0000000000000001 0000000000000001 00000002"
        assert answer[4:44] == bytes.fromhex(wanted)
        assert decode_notification(answer[4:]).config == world.config.text()
        nursery.cancel_scope.cancel()
