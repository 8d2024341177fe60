"""Members that change while an ensemble runs: whole members in memory and virtual time."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.harness import Reply
from tests.quorum.mesh import members
from tests.quorum.rolemesh import MemberClient, Zoo
from tests.quorum.test_observermaster import PORT
from tests.quorum.test_roles import same, settle

pytestmark = pytest.mark.trio

FILE = "/conf/zoo.cfg"
NO_QUORUM, IN_PROGRESS, NO_AUTH, BAD_VERSION, DISABLED = -13, -14, -102, -103, -123
SUPER = "super:" + base64.b64encode(hashlib.sha1(b"super:pw").digest()).decode()
DATA_CHANGED = 3


def a_zoo(*sids: int, observers: tuple[int, ...] = (), **settings: object) -> Zoo:
    zoo = Zoo(*sids, observers=observers, reconfig_enabled=True, skip_acl=True, **settings)
    zoo.file = FILE
    return zoo


@asynccontextmanager
async def serving(*sids: int, observers: tuple[int, ...] = ()) -> AsyncIterator[Zoo]:
    async with a_zoo(*sids, observers=observers).running(*sids, *observers) as zoo:
        await zoo.serve()
        await settle()
        yield zoo


def line(sid: int, role: str = "participant", client: int | None = None) -> str:
    return f"server.{sid}=h{sid}:{25020 + sid}:{25030 + sid}:{role};{client or 2180 + sid}"


def body(
    joining: str | None = None, leaving: str | None = None, new: str | None = None, version: int = -1
) -> bytes:
    return wire.text(joining) + wire.text(leaving) + wire.text(new) + struct.pack(">q", version)


async def change(client: MemberClient, *given: str | None, version: int = -1) -> Reply:
    return await client.call(wire.RECONFIG, body(*given, version=version))


def version_of(zoo: Zoo, sid: int) -> int:
    member = zoo.members[sid]
    assert member.service.facts.members is not None
    shown = member.tree.nodes[b"/zookeeper/config"].data or b""
    assert shown.decode() == member.service.facts.members.text()
    return member.service.facts.members.version


def roles(zoo: Zoo, *sids: int) -> list[str | None]:
    return [zoo.members[sid].mode for sid in sids]


async def join(zoo: Zoo, sid: int, *known: int) -> None:
    """Start a server that knows some members and lists itself."""
    present, zoo.config = zoo.config, members(*sorted({*known, sid}))
    zoo.start(sid)
    zoo.config = present
    await zoo.serve(sid)
    await settle()


async def test_the_first_leader_gives_the_members_a_version_and_stores_them(
    autojump_clock: MockClock,
) -> None:
    async with serving(1, 2, 3) as zoo:
        for sid in zoo.members:
            assert version_of(zoo, sid) == 1 << 32
            disk = zoo.disks[sid]
            assert disk.read_bytes(f"{FILE}.dynamic.100000000").decode() == "\n".join(zoo.config.lines())
            assert disk.read_bytes(f"{FILE}.bak").startswith(b"# mine\n")
            assert disk.read_bytes(FILE).decode() == (
                f"tickTime=1000\nsyncLimit=5\ndynamicConfigFile={FILE}.dynamic.100000000\n"
            )
            assert not disk.exists(f"{FILE}.dynamic.next")


async def test_without_reconfig_nothing_is_versioned_or_stored(autojump_clock: MockClock) -> None:
    zoo = Zoo(1, 2, 3)
    zoo.file = FILE
    async with zoo.running(1, 2, 3):
        await zoo.serve()
        client = await zoo.members[1].client()
        assert (await change(client, None, "3")).err == DISABLED
        for sid in zoo.members:
            assert version_of(zoo, sid) == 0
            assert zoo.disks[sid].list_dir("/conf") == ["zoo.cfg"]


async def test_a_server_joins_and_one_leaves(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[1].client()
        await join(zoo, 4, 1, 2, 3)
        assert roles(zoo, 3, 4) == ["leader", "follower"]
        added = await change(client, line(4))
        assert added.err == 0
        await settle()
        for sid in zoo.members:
            assert version_of(zoo, sid) == added.zxid
        (size,) = struct.unpack_from(">i", added.body)
        text = added.body[4 : 4 + size].decode()
        assert text.endswith(f"\nversion={added.zxid:x}")
        assert "server.4=h4:25024:25034:participant;0.0.0.0:2184" in text
        assert struct.unpack_from(">qq", added.body, 4 + size) == (0, added.zxid)
        assert (await change(client, None, "2")).err == 0
        await settle()
        await zoo.kill(2)
        assert (await client.create("/with-three")).err == 0
        await zoo.kill(1)
        await zoo.serve(3, 4)
        survivor = await zoo.members[4].client()
        assert (await survivor.create("/with-two-of-1-3-4")).err == 0
        await settle()
        same(zoo, 3, 4)
        assert roles(zoo, 3, 4) == ["leader", "follower"]


async def test_who_is_no_member_yet_opens_no_port_for_observers(autojump_clock: MockClock) -> None:
    zoo = a_zoo(1, 2, 3, ensemble={"observer_master_port": PORT})
    async with zoo.running(1, 2, 3):
        await zoo.serve()
        client = await zoo.members[3].client()
        await join(zoo, 4, 1, 2, 3)
        role = zoo.members[4].server
        assert ("h4", PORT) not in zoo.network.listeners
        assert (await change(client, line(4))).err == 0
        await settle()
        assert zoo.members[4].server is role and zoo.members[4].mode == "follower"
        assert ("h4", PORT) in zoo.network.listeners


async def test_the_leader_leaves_and_the_designated_one_leads_without_an_election(
    autojump_clock: MockClock,
) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[1].client()
        rounds = {sid: version_of(zoo, sid) for sid in zoo.members}
        assert set(rounds.values()) == {1 << 32}
        started = trio.current_time()
        client.send(wire.RECONFIG, body(None, "3"))
        await trio.sleep(0.1)
        await zoo.serve(1, 2)
        assert trio.current_time() - started < 1.0
        assert sorted(map(str, roles(zoo, 1, 2))) == ["follower", "leader"]
        await trio.sleep(3)
        await zoo.serve(3)
        assert zoo.members[3].mode == "follower", "it goes on without a vote"
        again = await zoo.members[3].client()
        assert (await again.create("/after")).err == 0
        await settle()
        same(zoo)
        assert zoo.members[1].tree.last_zxid >> 32 == 2


async def test_an_observer_is_promoted_and_demoted(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3, observers=(4,)) as zoo:
        client = await zoo.members[2].client()
        assert (await change(client, line(4))).err == 0
        await trio.sleep(1)
        await zoo.serve()
        assert roles(zoo, 3, 4) == ["leader", "follower"]
        await zoo.kill(1)
        await zoo.kill(2)
        await trio.sleep(30)
        assert roles(zoo, 3, 4) == [None, None], "two of four are no majority"
        zoo.start(1)
        await zoo.serve(1, 3, 4)
        client = await zoo.members[1].client()
        assert (await change(client, line(4, "observer"))).err == 0
        await trio.sleep(1)
        await zoo.serve(1, 3, 4)
        assert zoo.members[4].mode == "observer"
        client = await zoo.members[1].client()
        assert (await client.create("/by-two-of-three")).err == 0
        await settle()
        same(zoo, 1, 3, 4)


async def test_a_leader_that_becomes_an_observer(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[3].client()
        client.send(wire.RECONFIG, body(line(3, "observer")))
        await trio.sleep(5)
        await zoo.serve()
        assert zoo.members[3].mode == "observer"
        assert zoo.leader() in (1, 2)


async def test_a_server_alone_grows_into_an_ensemble(autojump_clock: MockClock) -> None:
    zoo = a_zoo(1)
    zoo.standalone_enabled = False
    async with zoo.running(1):
        await zoo.serve()
        client = await zoo.members[1].client()
        assert (await client.create("/alone")).err == 0
        for sid in (2, 3):
            assert (await change(client, line(sid))).err == NO_QUORUM or sid == 3
            await join(zoo, sid, 1)
            assert (await change(client, line(sid))).err == 0
            await settle()
        await zoo.kill(1)
        await trio.sleep(3)
        await zoo.serve(2, 3)
        client = await zoo.members[2].client()
        assert (await client.create("/without-it")).err == 0
        await settle()
        same(zoo, 2, 3)
        assert b"/alone" in zoo.members[2].tree.nodes


async def test_new_client_ports_are_listened_on(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[3].client()
        assert (await change(client, line(2, client=9999))).err == 0
        await settle()
        assert [zoo.members[sid].moved for sid in (1, 2, 3)] == [[], [("0.0.0.0", 9999)], []]
        assert roles(zoo, 1, 2, 3) == ["follower", "follower", "leader"]
        assert b"clientPort" not in zoo.disks[2].read_bytes(FILE)


async def test_new_ports_between_the_servers(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[3].client()
        assert (await change(client, "server.2=h2:26000:26001;2182,server.1=h1:26000:26001;2181")).err == 0
        await settle()
        assert roles(zoo, 1, 2, 3) == ["follower", "follower", "leader"]
        await zoo.kill(3)
        await trio.sleep(5)
        await zoo.serve(1, 2)
        assert ("h2", 26000) in zoo.network.listeners
        assert {("h1", 26001), ("h2", 26001)} <= zoo.network.listeners.keys()
        zoo.start(3)
        await zoo.serve()
        client = await zoo.members[3].client()
        assert (await client.create("/by-the-new-ports")).err == 0
        await settle()
        same(zoo)


async def test_whoever_joins_after_a_designation_can_elect_again(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3, observers=(4,)) as zoo:
        client = await zoo.members[2].client()
        client.send(wire.RECONFIG, body(line(3, "observer")))
        await trio.sleep(5)
        await zoo.serve()
        led = zoo.leader()
        follower = 3 - led
        await zoo.kill(follower)
        await trio.sleep(15)
        zoo.start(follower)
        await trio.sleep(15)
        await zoo.serve()
        await zoo.kill(zoo.leader())
        await trio.sleep(5)
        zoo.start(*(sid for sid in (1, 2) if zoo.members[sid].ended.is_set()))
        await zoo.serve()
        await settle()


async def test_a_watch_on_the_configuration_fires_at_each_member(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3, observers=(4,)) as zoo:
        clients = [await zoo.members[sid].client() for sid in (1, 2, 3, 4)]
        for each in clients:
            assert (await each.call(wire.GET_DATA, wire.read_body("/zookeeper/config", 1))).err == 0
        changed = await change(clients[0], None, "77")
        assert changed.err == 0
        await settle()
        for each in clients[1:]:
            assert each.peer.replies() == []
            assert each.peer.events == [(changed.zxid, DATA_CHANGED, b"/zookeeper/config")]


async def test_a_persistent_watch_is_told_of_the_activation_and_of_the_transaction(
    autojump_clock: MockClock,
) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[2].client()
        assert (await client.call(wire.ADD_WATCH, wire.text("/zookeeper/config") + wire.i32(0))).err == 0
        changed = await change(client, None, "77")
        assert client.peer.events == [(changed.zxid, DATA_CHANGED, b"/zookeeper/config")] * 2


async def test_restarted_members_begin_with_the_files(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        client = await zoo.members[1].client()
        client.send(wire.RECONFIG, body(None, "3"))
        await trio.sleep(3)
        for sid in (1, 2, 3):
            await zoo.kill(sid)
        zoo.start(1, 2)
        await zoo.serve(1, 2)
        for sid in (1, 2):
            version = version_of(zoo, sid)
            assert version > 1 << 32
            assert zoo.disks[sid].exists(f"{FILE}.dynamic.{version:x}")
            assert zoo.members[sid].service.facts.members.voters == {1, 2}  # type: ignore[union-attr]


async def test_a_member_that_was_away_learns_of_the_change(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3) as zoo:
        await zoo.kill(1)
        client = await zoo.members[2].client()
        assert (await change(client, line(3, client=7000))).err == 0
        zoo.start(1)
        await zoo.serve()
        await settle()
        assert version_of(zoo, 1) == version_of(zoo, 3)


async def test_a_change_that_no_quorum_of_both_has_is_finished_by_the_next_leader(
    autojump_clock: MockClock,
) -> None:
    """The leader and one follower have logged it when the leader dies: it was seen, and comes into force."""
    async with serving(1, 2, 3, observers=(4,)) as zoo:
        client = await zoo.members[3].client()
        followers = zoo.members[1], zoo.members[2]
        for follower in followers:  # they log and do not acknowledge
            follower.server._acknowledges = False  # type: ignore[attr-defined]
        client.send(wire.RECONFIG, body(None, "4"))
        await settle()
        assert version_of(zoo, 3) == 1 << 32, "nobody has acknowledged it"
        assert zoo.disks[1].exists(f"{FILE}.dynamic.next")
        await zoo.kill(3)
        await zoo.serve(1, 2)
        await settle()
        assert version_of(zoo, 1) == version_of(zoo, 2) > 1 << 32
        assert not zoo.disks[1].exists(f"{FILE}.dynamic.next")
        assert zoo.members[1].service.facts.members.observers == frozenset()  # type: ignore[union-attr]


async def test_who_joins_meanwhile_does_not_end_the_joint_quorum(autojump_clock: MockClock) -> None:
    async with serving(1, 2, 3, 4, 5) as zoo:
        assert zoo.leader() == 5
        client = await zoo.members[5].client()
        before = version_of(zoo, 5)
        for sid in (1, 2, 3):  # they do not get to hear of it
            (connection,) = [c for c in zoo.network.between(f"h{sid}", "h5") if c.open and c.to[1] == 25025]
            connection.back.lost = True
        client.send(wire.RECONFIG, body(None, "1,2"))
        await trio.sleep(0.01)
        await zoo.kill(4)
        zoo.start(4)
        await zoo.serve(4)
        await trio.sleep(0.2)
        assert zoo.members[4].mode == "follower"
        assert version_of(zoo, 4) == version_of(zoo, 5) == before
        assert zoo.disks[4].exists(f"{FILE}.dynamic.next"), "it counts in both until it is committed"
        assert client.peer.replies() == []


async def test_only_who_may_write_the_configuration_changes_it(autojump_clock: MockClock) -> None:
    zoo = Zoo(1, 2, 3, reconfig_enabled=True, super_digest=SUPER)
    async with zoo.running(1, 2, 3):
        await zoo.serve()
        client = await zoo.members[1].client()
        assert (await change(client, None, "77")).err == NO_AUTH
        assert (await change(client, None, "77", version=5)).err == BAD_VERSION
        client.peer.feed(wire.request(-4, 100, wire.i32(0) + wire.text("digest") + wire.text("super:pw")))
        await settle()
        client.peer.replies()
        assert (await change(client, None, "77", version=1 << 32)).err == 0
