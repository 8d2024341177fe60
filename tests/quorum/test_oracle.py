"""Two servers and a file that says whether one of them may go on alone."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from compat import wire
from tests.quorum.rolemesh import TICK_S, Zoo
from tests.quorum.test_roles import same, settle

pytestmark = pytest.mark.trio

ORACLE = "/oracle"


def two() -> Zoo:
    zoo = Zoo(1, 2)
    zoo.ensemble = {"oracle_path": ORACLE}
    return zoo


def say(zoo: Zoo, sid: int, word: bytes) -> None:
    file = zoo.disks[sid].create(ORACLE)
    file.write(word)
    file.sync_now()
    file.close()


async def test_one_of_two_leads_when_the_oracle_lets_it(autojump_clock: MockClock) -> None:
    async with two().running(2) as zoo:
        say(zoo, 2, b"0\n")
        await trio.sleep(30)
        assert zoo.members[2].mode is None
        say(zoo, 2, b"1\n")
        await zoo.serve(2, limit_s=70)
        client = await zoo.members[2].client()
        assert (await client.create("/alone")).err == 0
        await trio.sleep(20)
        assert zoo.members[2].mode == "leader"
        zoo.start(1)
        await zoo.serve()
        assert (await (await zoo.members[1].client()).create("/both")).err == 0
        await settle()
        same(zoo)
        assert b"/alone" in zoo.members[1].tree.nodes


async def test_it_steps_down_when_the_oracle_takes_that_back(autojump_clock: MockClock) -> None:
    async with two().running(2) as zoo:
        say(zoo, 2, b"1")
        await zoo.serve(2, limit_s=70)
        say(zoo, 2, b"0")
        await trio.sleep(2 * TICK_S)
        assert zoo.members[2].mode is None
        assert zoo.members[2].error is None


async def test_the_leader_goes_on_without_its_follower(autojump_clock: MockClock) -> None:
    """What was proposed to both commits as well."""
    async with two().running(1, 2) as zoo:
        await zoo.serve()
        assert zoo.leader() == 2
        client = await zoo.members[2].client()
        say(zoo, 2, b"1")
        await zoo.cut(1)
        client.send(wire.CREATE, wire.create_body("/waits", b""))
        assert not client.peer.replies()
        await trio.sleep(2 * TICK_S)
        assert [reply.err for reply in client.peer.replies()] == [0]
        assert (await client.create("/alone")).err == 0
        assert zoo.members[2].mode == "leader"
        zoo.heal(1)
        await zoo.serve()
        await trio.sleep(10)
        same(zoo)


async def test_without_the_oracle_the_leader_does_not_go_on(autojump_clock: MockClock) -> None:
    async with two().running(1, 2) as zoo:
        await zoo.serve()
        await zoo.kill(1)
        await trio.sleep(2 * TICK_S)
        assert zoo.members[2].mode is None, "there is no file"
        zoo.start(1)
        await zoo.serve()
