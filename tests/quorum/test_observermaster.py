"""Observers that follow followers, in memory and virtual time."""

from __future__ import annotations

import logging
import struct

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.harness import Peer
from tests.quorum.rolemesh import TICK_S, ByHand, Zoo, follower_info
from tests.quorum.test_roles import same, settle
from zkpy.quorum import packets
from zkpy.quorum.packets import LearnerInfo, QuorumPacket, ack_epoch

pytestmark = pytest.mark.trio

PORT = 27000


def zoo_with_masters(*observers: int, **ensemble: object) -> Zoo:
    zoo = Zoo(1, 2, 3, observers=observers, factor=-1)
    zoo.ensemble = {"observer_master_port": PORT, **ensemble}
    return zoo


def masters_of(zoo: Zoo) -> dict[str, str]:
    """Whom each observer follows, by host."""
    return {c.dialler: c.to[0] for c in zoo.network.connections if c.open and c.to[1] == PORT}


async def joined(zoo: Zoo, master: int, sid: int = 9, zxid: int = 0) -> ByHand:
    """An observer played by hand, up to UPTODATE."""
    observer = await zoo.learner(master, port=PORT)
    await observer.send(QuorumPacket(packets.OBSERVERINFO, 0, LearnerInfo(sid).encode()), ack_epoch(zxid, 0))
    epoch = (await observer.until(packets.LEADERINFO)).zxid >> 32
    await observer.until(packets.NEWLEADER)
    await observer.send(QuorumPacket(packets.ACK, epoch << 32))
    await observer.until(packets.UPTODATE)
    await observer.send(QuorumPacket(packets.ACK, epoch << 32))
    return observer


async def test_observers_read_and_write_through_followers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zkpy.role")
    async with zoo_with_masters(4, 5).running(1, 2, 3, 4, 5) as zoo:
        await zoo.serve()
        assert zoo.leader() == 3
        followed = masters_of(zoo)
        through = f"observing server 3 through server {followed['h4'][1:]}, epoch 1"
        assert f"server 4: {through}" in caplog.messages
        assert followed.keys() == {"h4", "h5"}
        assert set(followed.values()) <= {"h1", "h2"}
        for sid, member in zoo.members.items():
            client = await member.client()
            assert (await client.create(f"/n{sid}")).err == 0
            assert (await client.create(f"/n{sid}")).err == -110
            assert (await client.create(f"/e{sid}", flags=1)).err == 0
            for other in range(8):
                client.send(wire.CREATE, wire.create_body(f"/n{sid}/{other}", b""))
                client.send(wire.GET_DATA, wire.read_body(f"/n{sid}/{other}"))
            await settle()
            assert [reply.err for reply in client.peer.replies()] == [0] * 16
            assert (await client.call(wire.SYNC, wire.text("/"))).err == 0
            for each in zoo.members.values():
                if each is member:
                    assert f"/n{sid}/7".encode() in each.tree.nodes
        await settle()
        same(zoo)
        for member in zoo.members.values():
            assert member.server.outstanding == 0


async def test_a_sync_through_an_observer_sees_what_was_written_elsewhere(autojump_clock: MockClock) -> None:
    async with zoo_with_masters(4).running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        writer, reader = await zoo.members[3].client(), await zoo.members[4].client()
        for number in range(20):
            writer.send(wire.CREATE, wire.create_body(f"/w{number}", b""))
            assert (await reader.call(wire.SYNC, wire.text("/"))).err == 0
            assert f"/w{number}".encode() in zoo.members[4].tree.nodes


async def test_sessions_at_an_observer_live_and_move_and_expire(autojump_clock: MockClock) -> None:
    async with zoo_with_masters(4, 5).running(1, 2, 3, 4, 5) as zoo:
        await zoo.serve()
        client = await zoo.members[4].client()
        assert (await client.create("/e", flags=1)).err == 0
        for _ in range(60):
            await trio.sleep(TICK_S)
            client.peer.feed(wire.request(-2, wire.PING, b""))
        assert b"/e" in zoo.members[3].tree.nodes
        session, password = client.peer.session_id, client.peer.password
        for sid in (5, 1, 3, 4):
            moved = Peer(zoo.members[sid])  # type: ignore[arg-type]
            moved.connect(session=session, password=password)
            await settle()
            assert moved.session_id == session
            assert moved.cnxn.session is not None, sid
            moved.cnxn.closed()
        await trio.sleep(60)
        for member in zoo.members.values():
            assert b"/e" not in member.tree.nodes
        gone = Peer(zoo.members[4])  # type: ignore[arg-type]
        gone.connect(session=session, password=password)
        await settle()
        (answer,) = gone.channel.frames()
        assert struct.unpack_from(">iq", answer, 4) == (0, 0)


async def test_an_observer_goes_to_another_follower(autojump_clock: MockClock) -> None:
    async with zoo_with_masters(4).running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        client = await zoo.members[4].client()
        assert (await client.create("/before")).err == 0
        (first,) = masters_of(zoo).values()
        await zoo.kill(int(first[1:]))
        await trio.sleep(2)
        await zoo.serve(4)
        (second,) = masters_of(zoo).values()
        assert {first, second} == {"h1", "h2"}
        client = await zoo.members[4].client()
        assert (await client.create("/after")).err == 0
        await settle()
        same(zoo, 3, 4, int(second[1:]))


async def test_an_observer_does_not_go_back_in_time_with_a_master_that_lags(
    autojump_clock: MockClock,
) -> None:
    async with zoo_with_masters().running(1, 2, 3) as zoo:
        await zoo.serve()
        client = await zoo.members[3].client()
        assert (await client.create("/n")).err == 0
        await settle()
        own = zoo.members[1].tree.last_zxid
        observer = await zoo.learner(1, port=PORT)
        await observer.send(QuorumPacket(packets.OBSERVERINFO, 0, LearnerInfo(9).encode()))
        await observer.until(packets.LEADERINFO)
        await observer.send(ack_epoch(own + 1, 1))
        assert await observer.receive() is None
        await joined(zoo, 1, zxid=own)


async def test_an_observer_that_was_away_is_brought_up_to_date(autojump_clock: MockClock) -> None:
    zoo = zoo_with_masters(4)
    zoo.settings["commit_log_count"] = 10
    async with zoo.running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        client = await zoo.members[1].client()
        for away in (5, 50):  # the committed log has it; a snapshot is needed
            await zoo.kill(4)
            for number in range(away):
                assert (await client.create(f"/a{away}-{number}")).err == 0
            zoo.start(4)
            await zoo.serve(4)
            await settle()
            same(zoo)
        counters = [zoo.members[sid].service.facts.counters for sid in (1, 2)]
        assert sum(c.get("snap_count", 0) for c in counters) >= 1
        assert sum(c.get("diff_count", 0) for c in counters) >= 1
        assert zoo.members[3].service.facts.counters.get("snap_count", 0) == 0


async def test_what_observers_are_told_and_asked(autojump_clock: MockClock) -> None:
    async with zoo_with_masters().running(1, 2, 3) as zoo:
        await zoo.serve()
        observer = await joined(zoo, 1)
        assert (await observer.until(packets.PING)).zxid == zoo.members[1].tree.last_zxid
        client = await zoo.members[1].client()
        told = await observer.until(packets.INFORM)
        assert told.data is not None
        assert told.zxid == struct.unpack_from(">q", told.data, 12)[0]
        session = client.peer.session_id
        await observer.send(packets.revalidate(session, 5000), packets.revalidate(12345, 5000))
        answers = [packets.decode_revalidated(await observer.until(packets.REVALIDATE)) for _ in range(2)]
        assert answers == [(session, True), (12345, False)]
        request = struct.pack(">qii", session, 99, 9) + wire.text("/")
        await observer.send(QuorumPacket(packets.REQUEST, -1, request))
        assert (await observer.until(packets.SYNC)).zxid == 0


BAD = {
    "an acknowledgement": QuorumPacket(packets.ACK, 1 << 32 | 1),
    "an operation": QuorumPacket(packets.REQUEST, -1, struct.pack(">qii", 1, 2, 99)),
    "a body": QuorumPacket(packets.REQUEST, -1, struct.pack(">qii", 1, 2, 1) + b"\0\0\0\x7fabc"),
    "a short request": QuorumPacket(packets.REQUEST, -1, b"x"),
    "a proposal": QuorumPacket(packets.PROPOSAL, 5, b""),
    "a touch table": QuorumPacket(packets.PING, 5, b"x"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_an_observer_that_sends_nonsense_is_left(bad: QuorumPacket, autojump_clock: MockClock) -> None:
    """The follower and its clients go on: nothing waits for an answer that cannot come."""
    async with zoo_with_masters().running(1, 2, 3) as zoo:
        await zoo.serve()
        observer = await joined(zoo, 1)
        await observer.send(bad)
        await observer.closed(2)
        client = await zoo.members[1].client()
        assert (await client.create("/still")).err == 0
        await settle()
        same(zoo)


async def test_only_observers_come_to_a_follower(autojump_clock: MockClock) -> None:
    async with zoo_with_masters().running(1, 2, 3) as zoo:
        await zoo.serve()
        follower = await zoo.learner(1, follower_info(9).encode(), port=PORT)
        await follower.closed(2)
        with pytest.raises(ConnectionRefusedError):
            await zoo.learner(3, port=PORT)


async def test_more_observers_at_a_time_than_may_be_synchronised(autojump_clock: MockClock) -> None:
    zoo = zoo_with_masters(leader_max_concurrent_snap_syncs=1, leader_max_concurrent_diff_syncs=2)
    async with zoo.running(1, 2, 3) as zoo:
        await zoo.serve()
        last = zoo.members[1].tree.last_zxid
        waiting = []
        for number in range(3):
            observer = await zoo.learner(1, port=PORT)
            info = LearnerInfo(20 + number).encode()
            await observer.send(QuorumPacket(packets.OBSERVERINFO, 0, info), ack_epoch(last, 0))
            waiting.append(observer)
            await trio.sleep(0.1)
        await waiting[2].closed(2)
        for observer in waiting[:2]:
            await observer.until(packets.NEWLEADER)
        await waiting[0].send(QuorumPacket(packets.ACK, last))
        await waiting[0].until(packets.UPTODATE)
        await joined(zoo, 1, 30, last)
        assert zoo.members[1].service.facts.summaries["inflight_diff_count"].max == 2


async def test_a_port_that_is_taken_keeps_nobody_from_following(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    zoo = zoo_with_masters(4)
    zoo.network.taken["h1", PORT] = 1
    async with zoo.running(1, 2, 3, 4) as zoo:
        await zoo.serve()
        assert masters_of(zoo) == {"h4": "h2"}
        assert (await (await zoo.members[1].client()).create("/n")).err == 0
        told = [message for message in caplog.messages if "observers cannot come" in message]
        assert told == [
            "observers cannot come to this server, observerMasterPort=27000:"
            " cannot listen on h1:27000: in use"
        ]
