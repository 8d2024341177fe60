"""Connections between servers in the rounds of the loop that serves clients: real sockets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from tests.harness import World
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.quorum.packets import PING, QuorumPacket
from zkpy.quorum.stream import Connection, Disconnected, PacketStream
from zkpy.realnetwork import RealNetwork
from zkpy.server.transport import EpollTransport

pytestmark = pytest.mark.trio

LIMIT = 1 << 20


@attrs.define
class Pair:
    """A stream in the rounds, and the other end of its connection."""

    stream: PacketStream
    other: PacketStream
    connection: Connection
    transport: EpollTransport
    nursery: trio.Nursery
    got: list[int] = attrs.field(factory=list)
    error: BaseException | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def deliver(self) -> None:
        with self.scope:
            try:
                await self.stream.deliver(self.handle, trio.lowlevel.checkpoint)
            except (Disconnected, ProtocolError, MarshallingError, KeyError) as error:
                self.error = error
        self.ended.set()

    def handle(self, packets: list[QuorumPacket]) -> None:
        for packet in packets:
            if packet.zxid < 0:
                raise KeyError(packet.zxid)
            self.got.append(packet.zxid)
            self.stream.send(packet.encode())

    async def until(self, count: int) -> None:
        with trio.fail_after(10):
            while len(self.got) < count:
                await trio.lowlevel.checkpoint()

    async def over(self) -> None:
        with trio.fail_after(10):
            await self.ended.wait()
        assert not self.transport.channels


@contextlib.asynccontextmanager
async def paired(timeout_s: float = 30) -> AsyncIterator[Pair]:
    world = World(clock=time.monotonic)
    transport = EpollTransport(world.service, [])
    accepted: list[Connection] = []
    come, leave = trio.Event(), trio.Event()

    async def handler(connection: object) -> None:
        accepted.append(connection)  # type: ignore[arg-type]
        come.set()
        await leave.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.run)
        rounds = RealNetwork(rounds=transport)
        _, port = await nursery.start(rounds.serve, "127.0.0.1", 0, handler)
        far = await RealNetwork().connect("127.0.0.1", port, 5)
        await come.wait()
        stream = PacketStream(accepted[0], LIMIT, timeout_s)
        pair = Pair(stream, PacketStream(far, LIMIT, timeout_s), far, transport, nursery)
        nursery.start_soon(stream.write)
        yield pair
        await far.aclose()
        leave.set()
        nursery.cancel_scope.cancel()


def pings(*zxids: int) -> bytes:
    return b"".join(QuorumPacket(PING, zxid).encode() for zxid in zxids)


async def test_the_order_is_kept_when_the_rounds_take_over() -> None:
    async with paired() as pair:
        pair.stream.send(pings(1))
        await pair.other.send_now(pings(*range(50)))
        assert (await pair.stream.receive()).zxid == 0
        pair.stream.send(pings(2))
        pair.nursery.start_soon(pair.deliver)
        pair.stream.send(pings(3))
        await pair.other.send_now(pings(*range(50, 100)))
        await pair.until(99)
        assert pair.got == list(range(1, 100))
        answers = [(await pair.other.receive()).zxid for _ in range(102)]
        assert answers == [1, 2, 3, *range(1, 100)]
        pair.stream.send(pings(7))  # from outside of a round
        assert (await pair.other.receive()).zxid == 7


@pytest.mark.parametrize("what", ["its end", "nonsense", "what cannot be handled"])
async def test_an_end_is_told_and_nothing_is_left_behind(what: str) -> None:
    async with paired() as pair:
        pair.nursery.start_soon(pair.deliver)
        await pair.other.send_now(pings(1, 2))
        await pair.until(2)
        assert len(pair.transport.channels) == 1
        if what == "its end":
            await pair.connection.aclose()
            await pair.over()
            assert isinstance(pair.error, Disconnected)
        elif what == "nonsense":
            await pair.other.send_now(b"\0\0\0\5" + bytes(8) + b"\x7f" * 40)
            await pair.over()
            assert isinstance(pair.error, (ProtocolError, MarshallingError))
        else:
            await pair.other.send_now(pings(3, -1, 4))
            await pair.over()
            assert isinstance(pair.error, KeyError) and pair.got == [1, 2, 3]


async def test_who_is_cancelled_leaves_the_rounds() -> None:
    async with paired() as pair:
        pair.nursery.start_soon(pair.deliver)
        await pair.other.send_now(pings(1))
        await pair.until(1)
        pair.scope.cancel()
        await pair.over()


async def test_what_the_other_end_is_slow_to_take_arrives_in_order() -> None:
    async with paired() as pair:
        pair.nursery.start_soon(pair.deliver)
        await pair.other.send_now(pings(1))
        await pair.until(1)
        large = QuorumPacket(PING, 5, bytes(900_000)).encode()
        for _ in range(10):
            pair.stream.send(large)
        pair.stream.send(pings(6))
        (line,) = pair.transport.channels.values()
        assert line.stuck_at is not None  # type: ignore[attr-defined]
        received = [(await pair.other.receive()).zxid for _ in range(12)]
        assert received == [1, *[5] * 10, 6]
        assert line.stuck_at is None  # type: ignore[attr-defined]


async def test_who_takes_nothing_is_left() -> None:
    async with paired(timeout_s=0.2) as pair:
        pair.nursery.start_soon(pair.deliver)
        await pair.other.send_now(pings(1))
        await pair.until(1)

        async def talk() -> None:
            while not pair.ended.is_set():
                await pair.other.send_now(pings(2))
                await trio.sleep(0.02)

        for _ in range(10):
            pair.stream.send(QuorumPacket(PING, 5, bytes(900_000)).encode())
        pair.nursery.start_soon(talk)
        with pytest.raises(Disconnected, match="nothing was taken"), trio.fail_after(5):
            await pair.stream.watch()
        pair.scope.cancel()
        await pair.over()
