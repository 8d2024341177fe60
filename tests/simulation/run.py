"""Run one seed: ``python -m tests.simulation.run SEED [COUNT]`` prints a line per seed."""

from __future__ import annotations

import sys
import time
from hashlib import blake2b
from typing import Final

import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from compat import wire
from tests.simulation.checks import check
from tests.simulation.clients import clients
from tests.simulation.faults import Faults
from tests.simulation.history import Violation, observed
from tests.simulation.peers import SimPeer
from tests.simulation.reconfigs import Operator
from tests.simulation.world import KEYS, World

AFTERMATH_S: Final = 10.0
"""By then a sync that was slow has ended, and so has the role of who owed an acknowledgement meanwhile."""
SESSION_S: Final = 20.0
"""By then every session that nobody renews has ended."""


async def play(world: World, faults: int) -> str:
    """The whole run, checked; gives what there was to check."""
    with observed(world.history):
        async with world.running(*world.sids):
            with world.pauses.possible():
                await _play(world, faults)
    history = world.history
    answered = [op for op in history.operations if op.ended is not None]
    trace = blake2b(repr((history.operations, history.faults, history.lives)).encode(), digest_size=4)
    return (
        f"{trace.hexdigest()} {world.kind}: {len(answered)} of {len(history.operations)} operations answered,"
        f" {len(history.proposed)} proposals, {len(history.leaders)} leaders, {len(history.faults)} events"
    )


async def _play(world: World, faults: int) -> None:
    await world.serve()
    await _prepare(world)
    async with trio.open_nursery() as nursery:
        for client in clients(world):
            nursery.start_soon(client.run)
        async with trio.open_nursery() as change:
            if world.kind == "members":
                change.start_soon(Operator(world).run)
            await Faults(world).run(faults)
            change.cancel_scope.cancel()
        world.note("the last heal")
        world.heal()
        world.power_on(*world.sids)
        await world.all_serve()
        await trio.sleep(AFTERMATH_S)
        await world.all_serve()
        world.over = True
    await _last_writes(world)
    await trio.sleep(SESSION_S)
    await world.all_serve()
    check(world)
    if any(path.startswith(b"/e/") for path in world.members[1].tree.nodes):
        raise Violation("ephemerals of sessions that ended")


async def _prepare(world: World) -> None:
    peer = world.peer(1)
    await _call(peer, wire.connect_frame())
    for number, path in enumerate([*KEYS, "/s", "/e", "/c"]):
        answer = await _call(peer, wire.request(number + 1, wire.CREATE, wire.create_body(path, b"")))
        if answer[12:16] != bytes(4):
            raise Violation(f"cannot create {path}: {answer!r}")
    await _call(peer, wire.request(99, wire.CLOSE_SESSION))


async def _last_writes(world: World) -> None:
    """Through every member a write succeeds, and is seen after a sync."""
    for sid in world.sids:
        peer = world.peer(sid)
        await _call(peer, wire.connect_frame())
        body = wire.create_body(f"/last-{sid}", b"")
        answer = await _call(peer, wire.request(1, wire.CREATE, body))
        if answer[12:16] != bytes(4):
            raise Violation(f"no write through server {sid} after all is well: {answer!r}")
        await _call(peer, wire.request(2, wire.SYNC, wire.text("/")))
        await _call(peer, wire.request(3, wire.CLOSE_SESSION))


async def _call(peer: SimPeer, data: bytes) -> bytes:
    peer.feed(data)
    answer = await peer.frame(20)
    if answer is None:
        raise Violation(f"no answer after all is well from server {peer.sid}")
    if not peer.response:
        peer.response = answer
    return answer


def run(seed: int, faults: int = 12) -> str:
    """Play *seed* in virtual time, every time the same way. Raises Violation with the seed and the faults."""
    world = World(seed)
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True
    trio_run._r.seed(seed)
    try:
        return trio.run(play, world, faults, clock=MockClock(autojump_threshold=0))
    except (AssertionError, trio.TooSlowError, BaseExceptionGroup) as error:
        cause = _innermost(error)
        if not isinstance(cause, AssertionError | trio.TooSlowError):
            raise
        told = "\n".join(f"  {at:9.3f} {what}" for at, what in world.history.faults)
        raise Violation(f"seed {seed}:\n{told}\n{type(cause).__name__}: {cause}") from error


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    failed = 0
    for seed in range(first, first + count):
        started = time.monotonic()
        try:
            print(f"{seed}: {run(seed)} ({time.monotonic() - started:.1f} s)", flush=True)
        except Violation as error:
            failed += 1
            print(f"VIOLATION {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
