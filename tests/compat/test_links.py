"""The proxies between members: what a closed gate holds, what heals, what breaks."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from compat.faults.links import Channel, Links, Ports
from compat.process import HOST, free_port

pytestmark = pytest.mark.trio


class World:
    """Member 1 dials member 2 by its links; what arrives is seen at both ends."""

    def __init__(self) -> None:
        self.true = {number: Ports(free_port(), free_port()) for number in (1, 2)}
        ways = {pair: Ports(free_port(), free_port()) for pair in ((1, 2), (2, 1))}
        self.links = Links(self.true, ways, Random(1))
        self._streams: list[trio.SocketStream] = []
        self._accepted, self.accepted = trio.open_memory_channel[trio.SocketStream](10)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.links.run)
            for port in (self.true[2].quorum, self.true[2].election):
                listeners = await trio.open_tcp_listeners(port, host=HOST)
                nursery.start_soon(trio.serve_listeners, self._keep, listeners)
            try:
                with trio.fail_after(10):
                    yield self
            finally:
                for stream in self._streams:
                    stream.socket.close()
            nursery.cancel_scope.cancel()

    async def _keep(self, stream: trio.SocketStream) -> None:
        self._streams.append(stream)
        await self._accepted.send(stream)
        await trio.sleep_forever()

    async def dial(self, channel: Channel = Channel.QUORUM) -> trio.SocketStream:
        stream = await trio.open_tcp_stream(HOST, self.links.ways[1, 2].of(channel))
        self._streams.append(stream)
        return stream


async def nothing_comes(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.05):
        await stream.receive_some()
        return False
    return True


async def test_a_cut_holds_one_direction_until_it_heals() -> None:
    async with World().running() as world:
        near = await world.dial()
        far = await world.accepted.receive()
        world.links.cut([1], [2])
        await near.send_all(b"there")
        await far.send_all(b"back")
        assert await near.receive_some() == b"back"
        assert await nothing_comes(far)
        world.links.heal(reset=False)
        assert await far.receive_some() == b"there"


async def test_nobody_connects_through_a_cut() -> None:
    async with World().running() as world:
        world.links.cut([2], [1], frozenset({Channel.QUORUM}))
        near = await world.dial()
        await near.send_all(b"hello")
        await wait_all_tasks_blocked(0.05)
        with pytest.raises(trio.WouldBlock):
            world.accepted.receive_nowait()
        await world.dial(Channel.ELECTION)
        await world.accepted.receive()
        world.links.heal(reset=False)
        far = await world.accepted.receive()
        assert await far.receive_some() == b"hello"


async def test_a_cut_connection_can_be_reset_when_it_heals() -> None:
    async with World().running() as world:
        near = await world.dial()
        far = await world.accepted.receive()
        world.links.cut([1], [2])
        await near.send_all(b"lost")
        world.links.heal(reset=True)
        for stream in (near, far):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_a_reset_comes_inside_of_a_frame() -> None:
    async with World().running() as world:
        near = await world.dial()
        far = await world.accepted.receive()
        await near.send_all(b"whole")
        assert await far.receive_some() == b"whole"
        world.links.reset_next([1], [2])
        await near.send_all(b"12345678")
        assert await far.receive_some() == b"1234"
        for stream in (near, far):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_the_end_of_a_connection_gets_through() -> None:
    async with World().running() as world:
        near = await world.dial()
        far = await world.accepted.receive()
        await near.send_eof()
        assert await far.receive_some() == b""
        await far.send_all(b"still")
        assert await near.receive_some() == b"still"
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.socket.close()
        with pytest.raises(trio.BrokenResourceError):
            await near.receive_some()


async def test_who_is_called_back_is_called_through_the_links() -> None:
    async with World().running() as world:
        near = await world.dial(Channel.ELECTION)
        far = await world.accepted.receive()
        own = f"{HOST}:{world.true[1].election}".encode()
        await near.send_all(struct.pack(">qqi", -65536, 1, len(own)) + own + b"and " + own)
        data = await far.receive_some()
        assert data[20:].decode() == f"{HOST}:{world.links.ways[2, 1].election}and {own.decode()}"
