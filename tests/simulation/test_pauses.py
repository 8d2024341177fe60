"""Hosts that stand still."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.simulation.pauses import HOST, Pauses

pytestmark = pytest.mark.trio


async def test_what_is_due_on_a_host_that_stands_still_happens_when_it_goes_on(
    autojump_clock: MockClock,
) -> None:
    pauses = Pauses()
    ticks: dict[str, list[float]] = {"a": [], "b": []}

    async def tick(host: str) -> None:
        HOST.set(host)
        while True:
            await trio.sleep(1)
            ticks[host].append(trio.current_time())

    start = trio.current_time()
    with pauses.possible():
        async with trio.open_nursery() as nursery:
            for host in ticks:
                nursery.start_soon(tick, host)
            await trio.sleep(1.5)
            pauses.pause("a")
            pauses.call("a", lambda: ticks["a"].append(-1))
            pauses.call("b", lambda: ticks["b"].append(-1))
            await trio.sleep(3)
            pauses.resume("a")
            await trio.sleep(1.2)
            nursery.cancel_scope.cancel()
    assert [round(at - start, 3) if at > 0 else at for at in ticks["a"]] == [1, -1, 4.5, 5.5]
    assert [round(at - start, 3) if at > 0 else at for at in ticks["b"]] == [1, -1, 2, 3, 4, 5]


async def test_a_run_can_end_while_a_host_stands_still(autojump_clock: MockClock) -> None:
    pauses = Pauses()

    async def work() -> None:
        HOST.set("a")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        with pauses.possible():
            nursery.start_soon(work)
            await trio.sleep(1)
            pauses.pause("a")
            nursery.cancel_scope.cancel()
            await trio.lowlevel.cancel_shielded_checkpoint()
        assert not pauses.hosts
