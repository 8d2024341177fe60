"""A member without a leader serves those who are content with what it has."""

from __future__ import annotations

import struct

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.quorum.rolemesh import MemberClient, Zoo

pytestmark = pytest.mark.trio

WRITES = (
    wire.CREATE,
    wire.CREATE2,
    wire.CREATE_CONTAINER,
    wire.CREATE_TTL,
    wire.DELETE,
    wire.DELETE_CONTAINER,
    wire.SET_DATA,
    wire.SET_ACL,
    wire.MULTI,
    wire.RECONFIG,
    wire.SYNC,
)


def zoo(*sids: int, **ensemble: object) -> Zoo:
    words = frozenset({"*"})
    return Zoo(*sids, read_only_mode=True, four_letter_words=words, ensemble=ensemble)


async def alone(zoo: Zoo) -> MemberClient:
    """Server 1 has lost the others and serves reads; its session of before."""
    await zoo.serve()
    client = await zoo.members[1].client(read_only=b"\1")
    assert client.peer.response[-1] == 0, "the ensemble serves everything"
    assert (await client.create("/kept")).err == 0
    await zoo.kill(2)
    await zoo.kill(3)
    await until_mode(zoo, "read-only")
    return client


async def until_mode(zoo: Zoo, mode: str) -> None:
    with trio.fail_after(60):
        while zoo.members[1].mode != mode:
            await trio.sleep(0.05)


async def test_reads_go_on_without_a_leader(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        before = await alone(world)
        assert before.peer.closed
        client = await world.members[1].client(read_only=b"\1")
        assert client.peer.response[-1] == 1
        assert client.peer.session_id >> 56 == 1
        reply = await client.call(wire.GET_DATA, wire.read_body("/kept", 1))
        assert (reply.err, reply.body[4:8]) == (0, b"data")
        assert (await client.call(wire.GET_DATA, wire.read_body("/absent"))).err == -101
        last_zxid = reply.zxid
        for op in WRITES:
            reply = await client.call(op, wire.text("/kept"))
            assert (reply.err, reply.zxid, reply.body) == (-119, last_zxid, b""), op
        assert (await client.call(wire.PING, b"")).err == 0
        assert (await client.call(wire.CLOSE_SESSION, b"")).zxid == last_zxid
        assert client.peer.closed


async def test_a_refused_write_keeps_its_place(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        await alone(world)
        client = await world.members[1].client(read_only=b"\1")
        read = wire.GET_DATA, wire.read_body("/kept")
        replies = client.peer.pipeline(read, (wire.DELETE, wire.text("/kept") + wire.i32(-1)), read)
        assert [(reply.xid, reply.err) for reply in replies] == [(1, 0), (2, -119), (3, 0)]


async def test_who_is_turned_away_and_who_comes_back(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        before = await alone(world)
        member = world.members[1]
        assert await member.hangs_up_on(), "it insists on writing"
        assert await member.hangs_up_on(read_only=b""), "an old client"
        assert await member.hangs_up_on(zxid=1 << 40, read_only=b"\1"), "it has seen more"
        session = {"session": before.peer.session_id, "password": before.peer.password}
        assert await member.hangs_up_on(**session, read_only=b"\1"), (
            "nobody renews a session without a quorum"
        )
        assert before.peer.session_id in member.tree.sessions

        client = await member.client(read_only=b"\1")
        local = {"session": client.peer.session_id, "password": client.peer.password}
        again = await member.client(**local, read_only=b"\1")
        assert (client.peer.closed, again.peer.session_id) == (True, client.peer.session_id)
        wrong = await member.client(**{**local, "password": b"x" * 16}, read_only=b"\1")
        assert struct.unpack_from(">iq", wrong.peer.response, 4) == (0, 0)
        assert wrong.peer.response[-1] == 1
        await trio.sleep(60)
        late = await member.client(**local, read_only=b"\1")
        assert struct.unpack_from(">iq", late.peer.response, 4) == (0, 0), "local sessions expire here"


async def test_it_ends_with_the_election(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        before = await alone(world)
        client = await world.members[1].client(read_only=b"\1", timeout_ms=60_000)
        world.start(2)
        await until_mode(world, "follower")
        assert client.peer.closed
        session = {"session": client.peer.session_id, "password": client.peer.password}
        gone = await world.members[1].client(**session, read_only=b"\1")
        assert struct.unpack_from(">iq", gone.peer.response, 4) == (0, 0)
        session = {"session": before.peer.session_id, "password": before.peer.password}
        resumed = await world.members[1].client(**session, read_only=b"\1")
        assert (resumed.peer.session_id, resumed.peer.response[-1]) == (before.peer.session_id, 0)
        assert (await resumed.create("/later")).err == 0


async def test_it_takes_two_seconds_without_a_leader(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1) as world:
        await trio.sleep(1.9)
        assert world.members[1].mode is None
        assert world.members[1].word("isro") == "null"
        assert "not currently serving" in world.members[1].word("srvr")
        await trio.sleep(0.2)
        assert world.members[1].mode == "read-only"


async def test_it_is_off_unless_asked_for(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1) as world:
        await trio.sleep(10)
        assert world.members[1].mode is None
        assert await world.members[1].hangs_up_on(read_only=b"\1")


async def test_words(autojump_clock: MockClock) -> None:
    async with zoo(1, 2, 3).running(1, 2, 3) as world:
        before = await alone(world)
        member = world.members[1]
        client = await member.client(read_only=b"\1")
        assert member.word("isro") == "ro"
        srvr = member.word("srvr").splitlines()
        assert srvr[1] == "READ-ONLY mode; serving only read-only clients"
        assert "Mode: read-only" in srvr
        assert member.word("stat").splitlines()[1] == srvr[1]
        assert member.word("conf").endswith("peerType=0\n"), "without the membership"
        mntr = dict(line.split("\t") for line in member.word("mntr").splitlines())
        assert mntr["zk_server_state"] == "read-only"
        assert (mntr["zk_global_sessions"], mntr["zk_local_sessions"]) == ("1", "1")
        dump = member.word("dump").splitlines()
        assert dump[1] == "Local Session Sets (1)/(1):"
        assert dump[3] == f"\t0x{client.peer.session_id:x}"
        assert dump[4:6] == ["Global Sessions(1):", f"0x{before.peer.session_id:x}\t30000ms"]
