"""Connecting to a server with several addresses."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.quorum.mesh import HostView, MemoryNetwork, MemoryStream
from zkpy.quorum.dialling import HEAD_START_S, DialError, connect_first
from zkpy.quorum.network import UnknownHostError

pytestmark = pytest.mark.trio

A, B, C = ("a", 1), ("b", 2), ("c", 3)


class Listeners:
    """Hosts that accept and then say nothing."""

    def __init__(self, world: MemoryNetwork, nursery: trio.Nursery) -> None:
        self.world, self.nursery = world, nursery

    async def listen(self, *addresses: tuple[str, int]) -> None:
        for host, port in addresses:
            await self.nursery.start(self.world.host(host).serve, host, port, self._accept)

    async def _accept(self, stream: object) -> None:
        await trio.sleep_forever()

    def open(self) -> list[tuple[str, int]]:
        return [connection.to for connection in self.world.connections if connection.open]


async def test_the_first_address_that_answers_counts(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        there = Listeners(MemoryNetwork(), nursery)
        await there.listen(B, C)
        network = there.world.host("x")
        stream = await connect_first(network, [A, B, C], 5)
        assert isinstance(stream, MemoryStream)
        assert stream.peer == B
        assert network.dialled == [A, B]
        assert trio.current_time() < 0.01, "a refusal costs no time"
        nursery.cancel_scope.cancel()


async def test_a_silent_address_costs_a_head_start_only(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        there = Listeners(MemoryNetwork(), nursery)
        there.world.silent |= {A, B}
        await there.listen(C)
        stream = await connect_first(there.world.host("x"), [A, B, C], 5)
        assert isinstance(stream, MemoryStream)
        assert stream.peer == C
        assert trio.current_time() == pytest.approx(2 * HEAD_START_S)
        nursery.cancel_scope.cancel()


async def test_one_connection_is_left(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        there = Listeners(MemoryNetwork(), nursery)
        await there.listen(A, B)
        there.world.slow[A] = HEAD_START_S + 0.01
        there.world.slow[B] = 0.01
        await connect_first(there.world.host("x"), [A, B], 5)
        await trio.sleep(1)
        assert len(there.open()) == 1
        nursery.cancel_scope.cancel()


async def test_nobody_answers(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    world.silent.add(B)
    with pytest.raises(DialError, match=r"a:1: .*refused.*, b:2: .*timed out") as caught:
        await connect_first(world.host("x"), [A, B], 5)
    assert not caught.value.hopeless
    with pytest.raises(DialError, match="no address is known"):
        await connect_first(world.host("x"), [], 5)


@pytest.mark.parametrize("addresses", [[A], [A, B]])
async def test_unknown_names_are_hopeless(
    autojump_clock: MockClock, addresses: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(self: HostView, host: str, port: int, timeout_s: float) -> MemoryStream:
        raise UnknownHostError(f"{host} is no known host")

    monkeypatch.setattr(HostView, "connect", unknown)
    with pytest.raises(DialError, match="a is no known host") as caught:
        await connect_first(MemoryNetwork().host("x"), addresses, 5)
    assert caught.value.hopeless
