"""Connections that say nothing, peers that talk nonsense or take a member's name, peers out of reach."""

from __future__ import annotations

import logging
from struct import pack

import pytest
import trio
from trio.testing import MockClock

from tests.quorum.mesh import MemoryStream, members
from tests.quorum.rolemesh import INIT_LIMIT, SYNC_LIMIT, TICK_S, Zoo, follower_info
from tests.quorum.test_cnxmanager import Mesh, settled
from zkpy.quorum import packets
from zkpy.quorum.cnxmanager import REDIAL_S, STRANGERS_LIMIT, CnxOptions
from zkpy.quorum.notification import encode_opening
from zkpy.quorum.strangers import (
    LINES_PER_HOST,
    REPEAT_S,
    WAITING_LIMIT,
    Complaints,
    Reachability,
    WaitingRoom,
)
from zkpy.quorum.stream import Disconnected, PacketStream

pytestmark = pytest.mark.trio
logger = logging.getLogger("zkpy.test")


async def test_the_first_to_come_makes_room() -> None:
    room = WaitingRoom(2)
    ended: list[int] = []

    async def wait(number: int) -> None:
        with room.waiting():
            await trio.sleep_forever()
        ended.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(wait, number)
            await settled()
        assert ended == [0, 1]
        assert len(room) == 2
        nursery.cancel_scope.cancel()
    assert len(room) == 0


async def test_a_complaint_is_made_once_a_minute_and_host(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    complaints = Complaints(logger)
    said = caplog.records
    for _ in range(5):
        complaints.tell("a", "bad")
    complaints.tell("b", "bad")
    assert [record.getMessage() for record in said] == ["bad", "bad"]
    for number in range(50):
        complaints.tell("a", f"bad {number}")
    assert len(said) == 1 + LINES_PER_HOST
    await trio.sleep(REPEAT_S)
    complaints.tell("a", "bad")
    assert said[-1].getMessage() == "bad (50 more like this from a before)"


async def test_a_peer_out_of_reach_is_named_when_it_lasts(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    peer = Reachability("server 2", 10, logger)
    for _ in range(12):
        peer.failed("refused")
        await trio.sleep(1)
    peer.failed("refused")
    peer.reached()
    peer.reached()
    peer.failed("refused")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "cannot reach server 2 for 10 s: refused"),
        ("INFO", "server 2 can be reached again"),
    ]
    peer.failed("nobody knows h2", hopeless=True)
    assert caplog.messages[-1] == "cannot reach server 2: nobody knows h2"


async def test_members_that_start_one_after_another_are_no_trouble(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2), CnxOptions(patience_s=5))
        (one,) = await mesh.start(1)
        for _ in range(4):
            one.send(2, b"x")
            await trio.sleep(1)
        (two,) = await mesh.start(2)
        one.send(2, b"y")
        assert await two.receive() == (1, b"y")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("victim", "name"), [(1, 2), (2, 1)])
async def test_who_takes_a_members_name_loses_it_again(
    autojump_clock: MockClock, victim: int, name: int
) -> None:
    """Also when the members have nothing to say to each other, and though he may be called back."""
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"before")
        assert await two.receive() == (1, b"before")

        async def accept(stream: MemoryStream) -> None:
            while await stream.receive_some():
                pass

        await nursery.start(mesh.world.host("x").serve, None, 7, accept)
        await mesh.dial(victim, encode_opening(name, [("x", 7)]))
        await trio.sleep(0.1)
        assert not mesh.world.between("h1", "h2")
        await trio.sleep(2 * REDIAL_S)
        assert len(mesh.world.between("h1", "h2")) == 1
        two.send(1, b"still two")
        one.send(2, b"still one")
        with trio.fail_after(1):
            while await one.receive() != (2, b"still two"):
                pass
            while await two.receive() != (1, b"still one"):
                pass
        nursery.cancel_scope.cancel()


async def test_a_number_that_is_used_twice_is_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"x")
        two.send(1, b"y")
        await trio.sleep(1)
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
        for _ in range(5):
            await mesh.dial(1, encode_opening(2, [("x", 1)]))
            await trio.sleep(1)
        told = "server 2 has called from x but is connected: is its number used twice?"
        assert caplog.messages.count(told) == 1
        nursery.cancel_scope.cancel()


async def test_connections_of_unknown_servers_are_bounded(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"x")
        assert await two.receive() == (1, b"x")
        streams = [
            await mesh.dial(1, encode_opening(number, [("x", 1)]))
            for number in range(100, 105 + STRANGERS_LIMIT)
        ]
        assert [await stream.receive_some() for stream in streams[:5]] == [b""] * 5
        assert one.connected() == {2, *range(105, 105 + STRANGERS_LIMIT)}
        nursery.cancel_scope.cancel()


async def test_a_real_peer_gets_through_behind_many_silent_ones(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        silent = [await mesh.dial(1, b"\xff" * 4) for _ in range(WAITING_LIMIT + 20)]
        assert await silent[19].receive_some() == b""
        (two,) = await mesh.start(2)
        two.send(1, b"x")
        assert await one.receive() == (2, b"x")
        nursery.cancel_scope.cancel()


async def test_learners_that_say_nothing_are_bounded(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 3) as zoo:
        await zoo.serve()
        first = [await zoo.learner(3, pack(">i", 11)) for _ in range(20)]
        for _ in range(WAITING_LIMIT):
            await zoo.learner(3)
        for learner in first:
            await learner.closed(1)
        zoo.start(2)
        await zoo.serve()
        await trio.sleep((INIT_LIMIT + 1) * TICK_S)
        assert len([c for c in zoo.network.connections if c.open and c.dialler == "stranger"]) == 0


@pytest.mark.parametrize(
    ("said", "within_s", "told"),
    [
        (b"GET ", 0.1, "type 1195725856 instead of FOLLOWERINFO or OBSERVERINFO"),
        (b"GET / HTTP/1.1\r\n", 0.1, "type 1195725856 instead of FOLLOWERINFO or OBSERVERINFO"),
        (pack(">i", 12), 0.1, "UPTODATE instead of FOLLOWERINFO or OBSERVERINFO"),
        (b"\0\0\0", SYNC_LIMIT * TICK_S + 0.1, f"only 3 bytes came in {SYNC_LIMIT * TICK_S:g} s"),
        (b"", SYNC_LIMIT * TICK_S + 0.1, None),
    ],
)
async def test_who_is_no_learner_is_left_as_soon_as_that_is_known(
    said: bytes,
    within_s: float,
    told: str | None,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        caplog.clear()
        for _ in range(3):
            learner = await zoo.learner(3)
            await learner.stream.send_all(said)
            await learner.closed(within_s)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    expected = [f"the quorum connection from stranger is disconnected: {told}"]
    assert [text for text in warned if "connection from stranger" in text] == (expected if told else [])


async def test_a_first_packet_may_come_in_pieces(autojump_clock: MockClock) -> None:
    async with Zoo(1, 2, 3).running(1, 2, 3) as zoo:
        await zoo.serve()
        learner = await zoo.learner(3)
        for byte in follower_info(9).encode():
            await trio.sleep(TICK_S)
            await learner.stream.send_all(bytes([byte]))
        await learner.until(packets.LEADERINFO)


async def test_who_takes_nothing_is_left_in_time(autojump_clock: MockClock) -> None:
    """A leader that sends a snapshot keeps a view of its tree meanwhile."""

    class Full:
        peer = ("x", 1)

        async def send_all(self, data: bytes) -> None:
            await trio.sleep_forever()

        async def receive_some(self, max_bytes: int) -> bytes:
            return b""

        async def aclose(self) -> None:
            pass

    stream = PacketStream(Full(), 100, 7)
    with pytest.raises(Disconnected, match="nothing was taken for 7 s"):
        await stream.send_now(b"x" * 10)
    assert trio.current_time() == 7
