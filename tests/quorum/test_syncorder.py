"""Where a forwarded sync is answered: the learner tells by order whose commit is whose."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.quorum.mesh import Server
from tests.quorum.rolemesh import Zoo, join
from zkpy import opcodes
from zkpy.quorum import packets
from zkpy.quorum.packets import ForwardedRequest, QuorumPacket

pytestmark = pytest.mark.trio


def forwarded(session: int, op: int, body: bytes = b"") -> QuorumPacket:
    return ForwardedRequest(session, 0, op, body).packet(None)


async def test_a_sync_is_answered_before_the_commit_of_what_came_behind_it(
    autojump_clock: MockClock,
) -> None:
    """Even when a late acknowledgement makes both commit at once."""
    async with Zoo(1, 2, 3).running(3) as zoo:
        voter = Server(zoo.network, 1, zoo.config)
        zoo.nursery.start_soon(voter.run)
        await trio.sleep(0.1)
        await voter.look()
        while ("h3", 25023) not in zoo.network.listeners:
            await trio.sleep(0.05)
        learner = await zoo.learner(3)
        await join(learner, 1)
        await zoo.serve(3)
        timeout = (30_000).to_bytes(4, "big")
        await learner.send(
            forwarded(7, opcodes.SYNC),
            forwarded(7, opcodes.CREATE_SESSION, timeout),
            forwarded(7, opcodes.SYNC),
            forwarded(8, opcodes.CREATE_SESSION, timeout),
            forwarded(8, opcodes.SYNC),
        )
        await learner.until(packets.SYNC)
        first, second = [(await learner.until(packets.PROPOSAL)).zxid for _ in range(2)]
        await learner.send(QuorumPacket(packets.ACK, second), QuorumPacket(packets.ACK, first))
        came: list[tuple[int, int]] = []
        while len(came) < 4:
            packet = await learner.receive()
            assert packet is not None
            if packet.type != packets.PING:
                came.append((packet.type, packet.zxid))
        assert came == [
            (packets.COMMIT, first),
            (packets.SYNC, 0),
            (packets.COMMIT, second),
            (packets.SYNC, 0),
        ]
        voter.scope.cancel()
