"""The election mesh over a network in memory and virtual time."""

from __future__ import annotations

import logging
from random import Random
from struct import pack

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.quorum.mesh import MemoryNetwork, MemoryStream, members
from zkpy.config import parse_config
from zkpy.config.settings import QuorumAddress, ServerSpec
from zkpy.quorum.cnxmanager import CALL_BACK_S, RECEIVED_LIMIT, CnxManager, CnxOptions
from zkpy.quorum.notification import ANONYMOUS, encode_opening
from zkpy.quorum.quorumconfig import Configs, QuorumConfig

pytestmark = pytest.mark.trio

settled = trio.testing.wait_all_tasks_blocked


class Mesh:
    """Managers of a network by sid, started on demand."""

    def __init__(
        self, nursery: trio.Nursery, config: QuorumConfig, options: CnxOptions | None = None
    ) -> None:
        self.world = MemoryNetwork()
        self.nursery = nursery
        self.config = config
        self.options = options
        self.configs: dict[int, Configs] = {}

    def manager(self, sid: int) -> CnxManager:
        self.configs[sid] = Configs(self.config)
        return CnxManager(sid, lambda: self.configs[sid], self.world.host(f"h{sid}"), self.options)

    async def start(self, *sids: int) -> list[CnxManager]:
        found = [self.manager(sid) for sid in sids]
        for manager in found:
            await self.nursery.start(manager.run)
        return found

    async def dial(self, sid: int, first: bytes) -> MemoryStream:
        """A stranger at host x says *first* to server *sid*."""
        stream = await self.world.host("x").connect(f"h{sid}", 25030 + sid, 1)
        await stream.send_all(first)
        await settled()
        return stream


async def test_the_larger_sid_keeps_the_connection_it_dialled(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"from one")
        assert await two.receive() == (1, b"from one")
        two.send(1, b"from two")
        assert await one.receive() == (2, b"from two")
        first, second = mesh.world.connections
        assert (first.dialler, second.dialler) == ("h1", "h2")
        assert not first.open
        assert second.open
        assert bytes(first.out.sent) == encode_opening(1, [("h1", 25031)])
        assert first.out.writes == 1
        assert bytes(second.out.sent).startswith(encode_opening(2, [("h2", 25032)]))
        assert one.connected() == {2}
        assert two.connected() == {1}
        nursery.cancel_scope.cancel()


async def test_simultaneous_dials_end_with_one_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2, 3))
        managers = await mesh.start(1, 2, 3)
        for sid, manager in enumerate(managers, 1):
            for other in {1, 2, 3} - {sid}:
                manager.send(other, b"%d" % sid)
        for sid, manager in enumerate(managers, 1):
            heard = set()
            while len(heard) < 2:
                heard.add((await manager.receive())[1])
            assert heard == {b"%d" % other for other in {1, 2, 3} - {sid}}
        await settled()
        for pair in (("h1", "h2"), ("h1", "h3"), ("h2", "h3")):
            assert [c.dialler for c in mesh.world.between(*pair)] == [pair[1]]
        nursery.cancel_scope.cancel()


async def test_the_own_message_is_delivered_without_network(autojump_clock: MockClock) -> None:
    configs = Configs(members(1, 2))
    manager = CnxManager(1, lambda: configs, MemoryNetwork().host("h1"))
    manager.send(1, b"mine")
    assert await manager.receive() == (1, b"mine")


async def test_a_newer_message_replaces_one_that_was_not_sent(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        one.send(2, b"old")
        one.send(2, b"new")
        assert not one.have_delivered()
        await settled()
        (two,) = await mesh.start(2)
        one.connect_all()
        assert await two.receive() == (1, b"new")
        assert one.have_delivered()
        nursery.cancel_scope.cancel()


async def test_the_last_message_is_sent_again_on_a_new_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        two.send(1, b"x")
        assert await one.receive() == (2, b"x")
        await mesh.world.between("h1", "h2")[0].cut()
        await settled()
        assert two.connected() == set()
        two.connect_all()
        assert await one.receive() == (2, b"x")
        one.send(2, b"y")
        assert await two.receive() == (1, b"y")
        nursery.cancel_scope.cancel()


async def test_the_dial_back_goes_to_the_address_in_the_message(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(2, 5))
        heard = []

        async def elsewhere(stream: MemoryStream) -> None:
            heard.append(bytes(await stream.receive_some()))
            await stream.send_all(pack(">i", 2) + b"hi")
            await trio.sleep_forever()

        await nursery.start(mesh.world.host("far").serve, None, 4000, elsewhere)
        (five,) = await mesh.start(5)
        await mesh.dial(5, encode_opening(2, [("far", 4000)]))
        assert heard == [encode_opening(5, [("h5", 25035)])]
        assert await five.receive() == (2, b"hi")
        nursery.cancel_scope.cancel()


async def test_the_address_in_the_message_is_tried_after_a_dial_that_hangs(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(2, 5))
        mesh.world.silent.add(("h2", 25032))
        (five,) = await mesh.start(5)

        async def elsewhere(stream: MemoryStream) -> None:
            await stream.receive_some()
            await stream.send_all(pack(">i", 2) + b"hi")
            await trio.sleep_forever()

        await nursery.start(mesh.world.host("far").serve, None, 4000, elsewhere)
        five.send(2, b"?")
        await settled()
        await mesh.dial(5, encode_opening(2, [("far", 4000)]))
        assert await five.receive() == (2, b"hi")
        assert trio.current_time() == pytest.approx(5)
        nursery.cancel_scope.cancel()


async def test_a_smaller_sid_that_calls_again_has_lost_the_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(2, 5))
        two, five = await mesh.start(2, 5)
        five.send(2, b"x")
        assert await two.receive() == (5, b"x")
        await mesh.dial(5, encode_opening(2, [("h2", 25032)]))
        assert await two.receive() == (5, b"x")
        old, _, new = mesh.world.connections
        assert (old.open, new.open, new.dialler) == (False, True, "h5")
        nursery.cancel_scope.cancel()


async def test_a_larger_sid_that_calls_again_replaces_its_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(2, 5))
        (two,) = await mesh.start(2)
        opening = encode_opening(5, [("h5", 25035)])
        old = await mesh.dial(2, opening)
        new = await mesh.dial(2, opening + pack(">i", 1) + b"!")
        assert await two.receive() == (5, b"!")
        assert await old.receive_some() == b""
        assert two.connected() == {5}
        two.send(5, b"x")
        assert bytes(await new.receive_some()) == pack(">i", 1) + b"x"
        nursery.cancel_scope.cancel()


async def test_an_address_that_is_a_wildcard_is_not_dialled(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(2, 5))
        two, five = await mesh.start(2, 5)
        await mesh.dial(5, encode_opening(2, [("0.0.0.0", 25032)]))
        five.send(2, b"to the configured address")
        assert await two.receive() == (5, b"to the configured address")
        nursery.cancel_scope.cancel()


async def test_one_dial_at_a_time(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        mesh.world.silent.add(("h1", 25031))
        manager = mesh.manager(2)
        await nursery.start(manager.run)
        start = trio.current_time()
        for _ in range(3):
            manager.send(1, b"x")
            manager.connect_all()
            await settled()
        assert mesh.world.connections == []
        view = manager._network
        assert view.dialled == [("h1", 25031)]  # type: ignore[attr-defined]
        await trio.sleep(5.1)
        manager.send(1, b"x")
        await settled()
        assert len(view.dialled) == 2  # type: ignore[attr-defined]
        assert trio.current_time() - start < 6
        nursery.cancel_scope.cancel()


async def test_a_call_back_that_does_not_come_is_asked_for_again(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        calls = []

        async def mute(stream: MemoryStream) -> None:
            calls.append(bytes(await stream.receive_some()))

        await nursery.start(mesh.world.host("h2").serve, None, 25032, mute)
        (one,) = await mesh.start(1)
        one.send(2, b"x")
        await settled()
        one.send(2, b"x")
        await settled()
        assert len(calls) == 1
        await trio.sleep(CALL_BACK_S + 0.1)
        one.connect_all()
        await settled()
        assert len(calls) == 2
        nursery.cancel_scope.cancel()


async def test_servers_outside_the_configuration_are_accepted_but_not_dialled(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (two,) = await mesh.start(2)
        two.send(9, b"nobody knows where")
        assert not two.have_delivered()
        stream = await mesh.dial(2, encode_opening(9, [("h9", 25039)]) + pack(">i", 5) + b"hello")
        assert await two.receive() == (9, b"hello")
        two.send(9, b"answer")
        assert bytes(await stream.receive_some()) == pack(">i", 6) + b"answer"
        await stream.aclose()
        await settled()
        assert two.connected() == set()
        assert two._peers == {}  # strangers leave nothing behind
        nursery.cancel_scope.cancel()


async def test_the_oldest_form_of_the_opening_is_accepted(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        await mesh.dial(1, pack(">q", 2) + pack(">i", 1) + b"!")
        assert await one.receive() == (2, b"!")
        nursery.cancel_scope.cancel()


async def test_the_received_queue_drops_the_oldest(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        flood = b"".join(pack(">ii", 4, number) for number in range(RECEIVED_LIMIT + 7))
        await mesh.dial(1, encode_opening(2, [("h2", 25032)]) + flood)
        got = [(await one.receive())[1] for _ in range(RECEIVED_LIMIT)]
        assert got == [pack(">i", number) for number in range(7, RECEIVED_LIMIT + 7)]
        nursery.cancel_scope.cancel()


async def test_messages_may_arrive_in_pieces(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        opening = encode_opening(2, [("h2", 25032)])
        stream = await mesh.dial(1, opening[:25])
        for piece in (
            opening[25:],
            pack(">i", 6),
            b"abc",
            b"def" + pack(">i", 1)[:2],
            pack(">i", 1)[2:] + b"g",
        ):
            await stream.send_all(piece)
            await settled()
        assert await one.receive() == (2, b"abcdef")
        assert await one.receive() == (2, b"g")
        nursery.cancel_scope.cancel()


BAD_OPENINGS = {
    "version": pack(">qqi", -5, 2, 4) + b"h2:1",
    "length": pack(">qqi", -65536, 2, 2049),
    "empty address": pack(">qqi", -65536, 2, 0),
    "no port": pack(">qqi", -65536, 2, 2) + b"h2",
    "own sid": encode_opening(1, [("h1", 25031)]),
    "anonymous": encode_opening(ANONYMOUS, [("h2", 25032)]),
    "negative": encode_opening(-3, [("h2", 25032)]),
}
BAD_MESSAGES = {"zero": pack(">i", 0), "negative": pack(">i", -1), "too long": pack(">i", 524289)}


@pytest.mark.parametrize("garbage", BAD_OPENINGS.values(), ids=BAD_OPENINGS)
async def test_a_bad_opening_is_closed_and_logged_once(
    garbage: bytes, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        two.send(1, b"before")
        assert await one.receive() == (2, b"before")
        with caplog.at_level(logging.WARNING, "zkpy.election"):
            for _ in range(3):
                stream = await mesh.dial(1, garbage)
                assert await stream.receive_some() == b""
        assert len(caplog.records) == 1
        two.send(1, b"after")
        assert await one.receive() == (2, b"after")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("garbage", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
async def test_a_message_of_impossible_length_ends_its_connection_only(
    garbage: bytes, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        two.send(1, b"before")
        assert await one.receive() == (2, b"before")
        stream = await mesh.dial(1, encode_opening(8, [("x", 1)]) + pack(">i", 2) + b"ok" + garbage)
        assert await stream.receive_some() == b""
        assert await one.receive() == (8, b"ok")
        assert one.connected() == {2}
        nursery.cancel_scope.cancel()


async def test_hanging_up_before_the_opening_is_nothing_to_worry_about(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        with caplog.at_level(logging.INFO, "zkpy.election"):
            await (await mesh.dial(1, b"\xff")).aclose()
            await settled()
        assert caplog.records == []
        two.send(1, b"x")
        assert await one.receive() == (2, b"x")
        nursery.cancel_scope.cancel()


async def test_a_slow_dial_does_not_undo_the_connection_made_meanwhile(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        mesh.world.slow["h2", 25032] = 1
        one, two = await mesh.start(1, 2)
        one.send(2, b"from one")
        await settled()
        two.send(1, b"from two")
        assert await one.receive() == (2, b"from two")
        await trio.sleep(2)
        kept, late = mesh.world.connections
        assert kept.open
        assert not late.open
        assert late.out.sent == b""
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_cut_the_newest_message_arrives(seed: int, autojump_clock: MockClock) -> None:
    random = Random(seed)
    sent: dict[tuple[int, int], bytes] = {}
    heard: dict[tuple[int, int], bytes] = {}

    async def listen(sid: int, manager: CnxManager) -> None:
        while True:
            sender, message = await manager.receive()
            heard[sender, sid] = message

    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2, 3))
        managers = dict(zip((1, 2, 3), await mesh.start(1, 2, 3), strict=True))
        for sid, manager in managers.items():
            nursery.start_soon(listen, sid, manager)
        for number in range(60):
            match random.randrange(4):
                case 0 | 1:
                    a, b = random.sample((1, 2, 3), 2)
                    sent[a, b] = b"%d" % number
                    managers[a].send(b, sent[a, b])
                case 2:
                    if open_ones := [c for c in mesh.world.connections if c.open]:
                        await random.choice(open_ones).cut()
                case 3:
                    await trio.sleep(random.choice((0, 0, 0.001, 1)))
        for _ in range(5):
            for manager in managers.values():
                manager.connect_all()
            await trio.sleep(1)
        assert heard == sent
        assert sum(c.open for c in mesh.world.connections) <= 3
        nursery.cancel_scope.cancel()


async def test_a_silent_connection_is_closed_in_time_and_delays_nobody(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2), CnxOptions(opening_timeout_s=7))
        one, two = await mesh.start(1, 2)
        stream = await mesh.dial(1, b"\xff")
        two.send(1, b"x")
        assert await one.receive() == (2, b"x")
        start = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - start == pytest.approx(7)
        nursery.cancel_scope.cancel()


async def test_listening_on_all_addresses_and_on_several(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        hosts = (QuorumAddress("h1", 1, 25031), QuorumAddress("h1b", 1, 25041))
        config = QuorumConfig((ServerSpec(1, hosts), *members(2).servers))
        mesh = Mesh(nursery, config, CnxOptions(multi_address=True))
        (one,) = await mesh.start(1)
        assert one._network.bound == [("h1", 25031), ("h1b", 25041)]  # type: ignore[attr-defined]
        one.send(2, b"x")
        (two,) = await mesh.start(2)
        one.connect_all()
        await two.receive()
        assert bytes(mesh.world.connections[0].out.sent) == encode_opening(
            1, [("h1", 25031), ("h1b", 25041)], True
        )
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2), CnxOptions(listen_on_all=True))
        (one,) = await mesh.start(1)
        assert one._network.bound == [(None, 25031)]  # type: ignore[attr-defined]
        nursery.cancel_scope.cancel()


async def test_binding_is_tried_again(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        mesh.world.taken["h1", 25031] = 2
        await mesh.start(1)
        assert trio.current_time() == pytest.approx(2)
        mesh.world.taken["h2", 25032] = 3
        with pytest.raises(OSError, match="in use"):
            await mesh.start(2)
        nursery.cancel_scope.cancel()


async def test_restart_takes_the_addresses_of_now(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"x")
        assert await two.receive() == (1, b"x")
        for configs in mesh.configs.values():
            configs.committed = members(1, 2, version=7, base=26000)
        one.restart()
        two.restart()
        one.send(2, b"y")
        assert await two.receive() == (1, b"y")
        assert sorted(mesh.world.listeners) == [("h1", 26031), ("h2", 26032)]
        assert [c.to[1] for c in mesh.world.between("h1", "h2")] == [26031]
        nursery.cancel_scope.cancel()


async def test_a_server_that_was_removed_stays_where_it_is(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        (one,) = await mesh.start(1)
        mesh.configs[1].committed = mesh.configs[1].last_seen = members(2, version=7)
        one.restart()
        await settled()
        assert list(mesh.world.listeners) == [("h1", 25031)]
        nursery.cancel_scope.cancel()


async def test_the_last_seen_configuration_helps_with_addresses(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2, 3))
        one, three = await mesh.start(1, 3)
        mesh.configs[1].committed = members(1, 2)
        mesh.configs[1].last_seen = members(1, 2, 3, version=9)
        one.send(3, b"x")
        assert await three.receive() == (1, b"x")
        nursery.cancel_scope.cancel()


async def test_the_options_of_a_configuration() -> None:
    text = "dataDir=/d\nclientPort=1\ntickTime=500\nsyncLimit=4\ninitLimit=5\nquorumListenOnAllIPs=true\n"
    options = CnxOptions.from_config(parse_config(text, "zoo.cfg"))
    assert options == CnxOptions(opening_timeout_s=2, listen_on_all=True, patience_s=2.5)
    options = CnxOptions.from_config(
        parse_config(text + "cnxTimeout=300\nquorumCnxnTimeoutMs=700\n", "zoo.cfg")
    )
    assert (options.connect_timeout_s, options.opening_timeout_s) == (0.3, 0.7)


async def test_cancelling_closes_everything(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, members(1, 2))
        one, two = await mesh.start(1, 2)
        one.send(2, b"x")
        await two.receive()
        nursery.cancel_scope.cancel()
    assert mesh.world.listeners == {}
    assert all(c.out.closed and c.back.closed for c in mesh.world.connections)
