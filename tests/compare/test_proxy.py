"""The proxy as a whole (``zkpy.compare.proxy``): planted faults are found, wherever they are."""

from __future__ import annotations

import pytest
import trio

from compat import wire
from tests.compare.world import World, open_world
from zkpy.compare.proxy import listen, text

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


async def test_listening() -> None:
    first = await listen("127.0.0.1", 0)
    port = first[0].socket.getsockname()[1]
    second = await listen("127.0.0.1", port, any_port=True)
    assert port < second[0].socket.getsockname()[1]
    with pytest.raises(OSError):
        await listen("127.0.0.1", port)
    for listener in (*first, *second):
        await listener.aclose()
    assert text(("::1", 5)) == "[::1]:5"


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
