"""The proxy as a whole (``zkpy.compare.proxy``): planted faults are found, wherever they are."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from compat import wire
from tests.compare.world import World, open_world
from zkpy.compare.proxy import Comparison, listen
from zkpy.compare.report import Report, address_text

pytestmark = pytest.mark.trio


def behind(world: World, path: str, data: bytes = b"") -> None:
    """Change the real server without the proxy."""
    client = world.client(world.real.hosts)
    client.create(path, data)
    client.close()


async def test_other_data() -> None:
    async with open_world() as world:

        def script() -> None:
            client = world.client()
            client.create("/a", b"x")
            direct = world.client(world.real.hosts)
            direct.set("/a", b"y")
            assert client.get("/a") == 0

        await world.play(script)
        (found,) = world.records
        assert (found["operation"], found["request"]["path"]) == ("getData", "/a")
        assert {"data", "stat.version", "stat.mzxid"} <= set(found["differing"])
        assert (found["zkpy"]["data"], found["real"]["data"]) == ("x", "y")
        assert "  * data: 'x' | 'y'" in world.texts[0]


async def test_a_znode_that_only_one_server_has() -> None:
    async with open_world() as world:

        def script() -> None:
            behind(world, "/only-there")
            client = world.client()
            assert client.get("/only-there") == -101
            assert client.create("/only-there") == 0
            client.call(wire.GET_CHILDREN, wire.read_body("/"))

        await world.play(script)
        operations = [found["operation"] for found in world.records]
        assert operations == ["getData", "create2"]
        assert "err" in world.records[1]["differing"]


async def test_other_settings() -> None:
    ours = {"settings": {"extendedTypesEnabled": True}}
    theirs = {"settings": {"maxSessionTimeout": 5000}}
    async with open_world(zkpy=ours, real=theirs) as world:

        def script() -> None:
            client = world.client()
            body = wire.create_body("/t", flags=5, ttl=60_000)
            assert client.call(wire.CREATE_TTL, body) == 0

        await world.play(script)
        assert [found["operation"] for found in world.records] == ["connect", "createTTL"]
        assert world.records[0]["differing"] == ["timeOut"]
        assert world.records[1]["real"]["err"] == -6


async def test_an_event_that_only_one_server_sends() -> None:
    async with open_world(wait_s=0.3) as world:

        def script() -> None:
            client = world.client()
            client.call(wire.EXISTS, wire.read_body("/a", 1))
            behind(world, "/a")
            assert client.get("/") == 0

        await world.play(script)
        with trio.fail_after(10):
            while len(world.records) < 2:
                await trio.sleep(0.01)
        (event,) = [found for found in world.records if found["operation"] == "event"]
        assert event["zkpy"] is None
        assert event["real"]["path"] == "/a"


async def test_the_end_waits_for_nothing_but_reports_what_is_missing() -> None:
    async with open_world(wait_s=0.3) as world:

        def script() -> None:
            client = world.client()
            client.call(wire.EXISTS, wire.read_body("/a", 1))
            direct = world.client(world.real.hosts)
            direct.create("/a")

        await world.play(script)
        link = next(iter(world.comparison.links))
        with trio.fail_after(10):
            while link._matcher.oldest_event_s() is None and not world.records:
                await trio.sleep(0.01)
        await world.comparison.finish()
        (event,) = world.records
        assert (event["zkpy"], event["real"]["path"]) == (None, "/a")


async def test_an_expired_session_is_no_difference() -> None:
    options = {"tick_time_ms": 100}
    async with open_world(zkpy=options, real=options) as world:

        def script() -> None:
            watcher = world.client(timeout_ms=2000)
            silent = world.client(timeout_ms=200)
            assert silent.create("/e", flags=1) == 0
            assert watcher.get("/e", watch=1) == 0
            event = watcher.receive()
            assert event is not None and event[:4] == b"\xff\xff\xff\xff"
            assert watcher.get("/e") == -101
            assert watcher.create("/next") == 0
            watcher.close()

        await world.play(script)
        assert world.report.differences == 0, "\n".join(world.texts)
        assert world.report.compared["event"] == 1


async def test_plain_data_is_compared_while_another_session_expires() -> None:
    options = {"tick_time_ms": 100}
    async with open_world(zkpy=options, real=options) as world:

        def script() -> None:
            client = world.client(timeout_ms=2000)
            client.create("/plain", b"one")
            silent = world.client(timeout_ms=200)
            assert silent.create("/e", flags=1) == 0
            world.client(world.real.hosts).set("/plain", b"other")
            assert client.get("/e", watch=1) == 0
            assert client.receive() is not None
            assert client.get("/plain") == 0

        await world.play(script)
        (found,) = [one for one in world.records if one["kind"] == "difference"]
        assert (found["zkpy"]["data"], found["real"]["data"]) == ("one", "other")


async def test_a_real_server_at_work_is_there() -> None:
    async with open_world() as world:
        before = world.real.node.server.tree.last_zxid
        assert await world.comparison.real_is_there()
        assert world.real.node.server.tree.last_zxid == before
        async with world.real.outage():
            assert not await world.comparison.real_is_there()


async def test_a_port_that_only_accepts_is_no_server_at_work() -> None:
    async with open_world(wait_s=0.3) as world:
        listeners = await listen("127.0.0.1", 0)
        world.comparison.real = ("127.0.0.1", listeners[0].socket.getsockname()[1])
        assert not await world.comparison.real_is_there()  # nobody answers
        ending = False
        life = trio.CancelScope()

        async def close(stream: trio.SocketStream) -> None:
            await stream.aclose()
            if ending:
                life.cancel()

        async def serve() -> None:
            with life:
                await trio.serve_listeners(close, listeners)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            assert await world.comparison.real_is_there()  # it has too many connections
            world.comparison.wait_s = 10.0
            ending = True
            with trio.fail_after(1.5):
                assert not await world.comparison.real_is_there()  # it is just ending


async def test_the_end_does_not_wait_for_each_connection_in_turn(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = Comparison(("", 0), ("", 0), Report())

    class Slow:
        given_up = False

        async def settle(self) -> None:
            await trio.sleep(1)

        def give_up(self) -> None:
            self.given_up = True

    links = [Slow() for _ in range(10)]
    monkeypatch.setattr(comparison, "links", set(links))
    begun_s = trio.current_time()
    await comparison.finish()
    assert trio.current_time() - begun_s < 2
    assert all(link.given_up for link in links)


async def test_an_end_that_is_cut_short_reports_what_is_there() -> None:
    async with open_world(wait_s=30.0) as world:

        def script() -> None:
            client = world.client()
            client.call(wire.EXISTS, wire.read_body("/a", 1))
            world.client(world.real.hosts).create("/a")

        await world.play(script)
        link = next(iter(world.comparison.links))
        with trio.fail_after(10):
            while link._matcher.oldest_event_s() is None:
                await trio.sleep(0.01)
        await world.comparison.gate.acquire()  # as if an answer was missing
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.comparison.finish)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        (event,) = world.records
        assert event["real"]["path"] == "/a"


async def test_listening() -> None:
    first = await listen("127.0.0.1", 0)
    port = first[0].socket.getsockname()[1]
    second = await listen("127.0.0.1", port, any_port=True)
    assert port < second[0].socket.getsockname()[1]
    with pytest.raises(OSError):
        await listen("127.0.0.1", port)
    for listener in (*first, *second):
        await listener.aclose()
    assert address_text(("::1", 5)) == "[::1]:5"


async def test_an_error_of_the_comparison_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        client = await world.play(world.client)
        link = next(iter(world.comparison.links))

        def fail(*arguments: object) -> None:
            raise AssertionError("a bug")

        monkeypatch.setattr(link._matcher, "arrived", fail)
        client.send((1, wire.PING, b""))
        await world.play(client.wire.rest)
        assert "ended by an error" in caplog.text
        assert "comparison itself has failed" in world.texts[0]
        assert await world.play(lambda: world.client().get("/")) == 0
