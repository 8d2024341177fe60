"""What damaged conversations have found, each by itself."""

from __future__ import annotations

import struct
from random import Random

import pytest
from trio.testing import MockClock

from tests.quorum.rolemesh import Zoo, join
from tests.quorum.test_roles import LeaderByHand, create_session, same, settle
from zkpy.node import new_tree
from zkpy.persist.store import Store
from zkpy.quorum import packets
from zkpy.quorum.packets import QuorumPacket

pytestmark = pytest.mark.trio

FIRST = 1 << 32 | 1


async def test_a_session_with_a_negative_timeout_ends_nobody(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        learner = await zoo.learner(3)
        await join(learner, 9, zoo.members[3].tree.last_zxid)
        request = struct.pack(">qiii", 77, 0, -10, -(2**31))
        await learner.send(QuorumPacket(packets.REQUEST, -1, request))
        await settle()
        client = await zoo.members[1].client()
        assert (await client.create("/still")).err == 0
        await settle()
        same(zoo)
        assert 77 not in zoo.members[3].tree.sessions, "it has expired"


@pytest.mark.parametrize(
    "history",
    [
        [(FIRST, struct.pack(">qiqqi", 7, 0, FIRST, 1000, 99) + b"?")],
        [(FIRST, create_session(FIRST + 1))],
        [(FIRST + 1, create_session(FIRST + 1))],
        [(5 << 32 | 1, create_session(5 << 32 | 1))],
    ],
    ids=["unknown type", "other zxid inside", "a hole", "a later epoch"],
)
@pytest.mark.parametrize("synchronised", [False, True])
async def test_nothing_is_stored_that_could_not_be_read_back(
    synchronised: bool, history: list[tuple[int, bytes]], autojump_clock: MockClock
) -> None:
    async with Zoo(1, 2).running() as zoo:
        leader = LeaderByHand(zoo)
        await leader.start()
        if synchronised:
            learner = await leader.synchronised()
        else:
            learner = await leader.follower()
            await learner.send(QuorumPacket(packets.DIFF, 0))
        for zxid, payload in history:
            await learner.send(
                QuorumPacket(packets.PROPOSAL, zxid, payload), QuorumPacket(packets.COMMIT, zxid)
            )
        if not synchronised:
            await learner.send(QuorumPacket(packets.NEWLEADER, 1 << 32, b"version=0"))
        await learner.closed(5)
        assert zoo.members[1].error is None
        await zoo.kill(1)
        config = zoo.configuration(1)
        store = Store(config, zoo.disks[1], Random(1))
        assert store.restore(lambda: new_tree(config)).last_zxid == 0
        store.close()
