"""Local sessions, at servers of every role."""

from __future__ import annotations

import struct

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.quorum.rolemesh import MemberClient, Zoo
from zkpy.tree.txns import decode_payload

pytestmark = pytest.mark.trio

ROLES = {"leader": 3, "follower": 1, "observer": 4}
EPHEMERAL = wire.create_body("/e", b"", flags=1)


def zoo(*, upgrading: bool = False) -> Zoo:
    ensemble = {"local_sessions_enabled": True, "local_sessions_upgrading_enabled": upgrading}
    words = frozenset({"*"})
    return Zoo(1, 2, 3, observers=(4,), ensemble=ensemble, four_letter_words=words)


def logged(world: Zoo) -> list[tuple[int, int, int]]:
    """Type, session and cxid of every transaction."""
    store = world.members[2].store
    store.log.flush()
    found = []
    for entry in store.dirs.entries_after(0):
        header = decode_payload(entry.payload)
        found.append((header.txn.type, header.header.client_id, header.header.cxid))
    return found


def identity(client: MemberClient) -> dict[str, object]:
    return {"session": client.peer.session_id, "password": client.peer.password}


def invalid(client: MemberClient) -> bool:
    return struct.unpack_from(">iq", client.peer.response, 4) == (0, 0)


@pytest.mark.parametrize(("role", "sid"), ROLES.items())
async def test_a_local_session_is_nobody_elses_business(
    autojump_clock: MockClock, role: str, sid: int
) -> None:
    async with zoo().running(1, 2, 3, 4) as world:
        await world.serve()
        member = world.members[sid]
        assert member.mode == role
        last_zxid = member.tree.last_zxid
        client = await member.client(timeout_ms=8000)
        assert client.peer.session_id >> 56 == sid
        assert logged(world) == []
        assert (await client.create("/n")).err == 0
        assert not any(each.tree.sessions for each in world.members.values())
        for other in {1, 2, 3, 4} - {sid}:
            moved = await world.members[other].client(**identity(client))
            assert invalid(moved), f"at {other} nobody knows it"
        again = await member.client(**identity(client), timeout_ms=9000)
        assert client.peer.closed
        before = member.tree.last_zxid
        closed = await again.call(wire.CLOSE_SESSION, b"")
        assert (closed.err, closed.zxid, again.peer.closed) == (0, before, True)
        assert invalid(await member.client(**identity(client)))
        assert [kind for kind, _, _ in logged(world)] == [wire.CREATE]
        assert member.tree.last_zxid == max(last_zxid, before)


@pytest.mark.parametrize("sid", ROLES.values())
async def test_local_sessions_expire_where_they_are(autojump_clock: MockClock, sid: int) -> None:
    async with zoo().running(1, 2, 3, 4) as world:
        await world.serve()
        member = world.members[sid]
        silent = await member.client(timeout_ms=4000)
        alive = await member.client(timeout_ms=4000)
        assert len(member.server.tracker.locals()) == 2
        for _ in range(8):
            await trio.sleep(1)
            assert (await alive.call(wire.PING, b"")).err == 0
        assert silent.peer.closed
        assert invalid(await member.client(**identity(silent)))
        assert [each.id for each in member.server.tracker.locals()] == [alive.peer.session_id]
        assert logged(world) == []


def parts(ephemeral: bytes = EPHEMERAL) -> bytes:
    return wire.multi_body(
        [(wire.CREATE, wire.create_body("/m", b"")), (wire.CREATE, ephemeral), (wire.CREATE, ephemeral)]
    )


@pytest.mark.parametrize("sid", ROLES.values())
async def test_without_upgrading_there_are_no_ephemerals(autojump_clock: MockClock, sid: int) -> None:
    async with zoo().running(1, 2, 3, 4) as world:
        await world.serve()
        client = await world.members[sid].client()
        at_leader = sid == 3
        assert (await client.call(wire.CREATE, EPHEMERAL)).err == -120
        assert (await client.call(wire.CREATE2, EPHEMERAL)).err == -120
        absent = wire.create_body("/absent/e", b"", flags=3)
        assert (await client.call(wire.CREATE, absent)).err == -120
        assert (await client.call(wire.CREATE_CONTAINER, EPHEMERAL)).err == -112
        assert (await client.call(wire.CREATE, wire.create_body("/e", b"", flags=9))).err == -8
        assert (await client.call(wire.CREATE, b"\0\0\0\x7fabc")).err == -5
        assert (await client.create("/e/absent")).err == -101, "other errors are those of always"
        answer = (await client.call(wire.MULTI, parts())).body
        expected = -120 if at_leader else -112
        errors = [0, expected, -2]
        assert answer == b"".join(wire.header(-1, err=e) + wire.i32(e) for e in errors) + wire.header(
            -1, True
        )
        assert (await client.create("/e")).err == 0
        assert client.peer.session_id not in world.members[3].tree.sessions


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("sid", ROLES.values())
async def test_the_first_ephemeral_makes_a_session_global(
    autojump_clock: MockClock, sid: int, multi: bool
) -> None:
    async with zoo(upgrading=True).running(1, 2, 3, 4) as world:
        await world.serve()
        member = world.members[sid]
        client = await member.client(timeout_ms=7000)
        session = client.peer.session_id
        if multi:
            body = wire.multi_body([(wire.CREATE, wire.create_body("/m", b"")), (wire.CREATE, EPHEMERAL)])
            assert b"\xff\xff\xff\x90" not in (await client.call(wire.MULTI, body)).body
        else:
            assert (await client.create("/plain")).err == 0
            assert session not in member.tree.sessions
            # Pipelined: the second comes while the first is under way.
            client.send(wire.CREATE, EPHEMERAL)
            client.send(wire.CREATE, wire.create_body("/second", b"", flags=1))
            await trio.sleep(0.5)
            assert [reply.err for reply in client.peer.replies()] == [0, 0]
        assert logged(world)[-3 + multi][:2] == (wire.CREATE_SESSION, session)
        assert [kind for kind, _, _ in logged(world)].count(wire.CREATE_SESSION) == 1
        await trio.sleep(1)
        assert all(each.tree.sessions == {session: 7000} for each in world.members.values())
        assert member.server.tracker.locals() == []
        for _ in range(10):
            await trio.sleep(2)
            assert (await client.call(wire.PING, b"")).err == 0
        other = world.members[2]
        moved = await other.client(**identity(client), timeout_ms=7000)
        assert moved.peer.session_id == session
        assert (await moved.create("/there", flags=1)).err == 0
        await trio.sleep(60)
        assert all(b"/e" not in each.tree.nodes for each in world.members.values()), "it expires everywhere"
        assert all(not each.tree.sessions for each in world.members.values())


async def test_a_leader_accepts_local_sessions_of_others_only(autojump_clock: MockClock) -> None:
    async with zoo().running(1, 2, 3, 4) as world:
        await world.serve()
        leader = world.members[3].server
        client = await world.members[1].client()
        leader_session = client.peer.session_id & (1 << 56) - 1 | 3 << 56
        client.peer.cnxn.session_id = leader_session
        assert (await client.create("/n")).err == -112, "by its id it was the leader's, who does not know it"
        assert leader.tracker.get(leader_session) is None


async def test_words(autojump_clock: MockClock) -> None:
    async with zoo(upgrading=True).running(1, 2, 3, 4) as world:
        await world.serve()
        for sid in ROLES.values():
            member = world.members[sid]
            client = await member.client()
            shown = f"0x{client.peer.session_id:x}"
            dump = member.word("dump").splitlines()
            assert dump[1] == "Local Session Sets (1)/(1):"
            assert dump[3] == f"\t{shown}"
            assert dump[4] == ("Global Session Sets (0)/(0):" if sid == 3 else "Global Sessions(0):")
            assert "zk_local_sessions\t1" in member.word("mntr")
            assert (await client.create("/e", flags=1)).err == 0
            dump = member.word("dump").splitlines()
            assert dump[1] == "Local Session Sets (0)/(0):"
            assert (dump[4] if sid == 3 else dump[3]) == (f"\t{shown}" if sid == 3 else f"{shown}\t30000ms")
            assert "zk_local_sessions\t0" in member.word("mntr")
            await client.call(wire.CLOSE_SESSION, b"")
            await trio.sleep(0.5)


async def test_switched_off_sessions_are_global(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as world:
        await world.serve()
        client = await world.members[1].client()
        assert client.peer.session_id in world.members[3].tree.sessions
        assert (await client.create("/e", flags=1)).err == 0
