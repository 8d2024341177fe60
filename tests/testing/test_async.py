"""A server in the caller's own trio loop (``zkpy.testing.trioserver``)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from zkpy.errors import ConfigError
from zkpy.server.transport import SocketChannel
from zkpy.testing import TrioServer, open_server
from zkpy.testing.trioserver import Past, sole

pytestmark = pytest.mark.trio


async def open_client(server: TrioServer) -> trio.SocketStream:
    return await trio.open_tcp_stream(server.host, server.port)


async def connect(stream: trio.SocketStream, timeout_ms: int = 4000) -> tuple[int, int]:
    """Shake hands; returns time-out in ms and session id."""
    await stream.send_all(struct.pack(">iiqiqi16s?", 45, 0, 0, timeout_ms, 0, 16, bytes(16), False))
    answer = await read(stream, 41)
    timeout, session_id = struct.unpack(">8xiq", answer[:20])
    return timeout, session_id


async def read(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, "the server closed the connection"
        data += more
    return data


async def at_end(stream: trio.SocketStream) -> bool:
    try:
        return await stream.receive_some(1) == b""
    except trio.BrokenResourceError:
        return True


async def test_it_serves_in_this_loop() -> None:
    async with open_server() as server, await open_client(server) as stream:
        assert server.hosts == f"127.0.0.1:{server.port}"
        assert (await connect(stream))[0] == 4000
        assert len(server.node.server.tracker) == 1


async def test_the_end_of_the_block_cuts_connections() -> None:
    async with open_server() as server:
        stream = await open_client(server)
    async with stream:
        assert await at_end(stream)
    with pytest.raises(OSError, match="all attempts to connect"):
        await open_client(server)


async def test_reset_needs_no_new_port() -> None:
    async with open_server() as server, await open_client(server) as old:
        _, session_id = await connect(old)
        before = server.node
        await server.reset()
        assert server.node is not before
        assert await at_end(old)
        async with await open_client(server) as new:
            assert (await connect(new))[1] > session_id


async def test_reset_works_from_any_task_and_under_any_scope() -> None:
    async with open_server() as server:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(server.reset)
        with trio.CancelScope():
            await server.restart()
        async with await open_client(server) as stream:
            await connect(stream)


async def test_an_outage() -> None:
    async with open_server() as server:
        async with server.outage():
            with pytest.raises(RuntimeError, match="down"):
                await server.reset()
            with pytest.raises(OSError, match="all attempts to connect"):
                await open_client(server)
        with pytest.raises(RuntimeError, match="up already"):
            await server.come_up()
        async with await open_client(server) as stream:
            await connect(stream)


async def test_reset_is_for_memory(tmp_path: Path) -> None:
    async with open_server(data_dir=tmp_path) as server:
        with pytest.raises(RuntimeError, match="keeps its data"):
            await server.reset()


async def test_options_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="Did you mean tickTime"):
        async with open_server(settings={"ticktime": 1}):
            pass
    async with open_server() as server:
        with pytest.raises(ConfigError, match="cannot listen on"):
            async with open_server(port=server.port):
                pass


async def test_errors_of_the_block_are_not_wrapped() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with open_server():
            raise ZeroDivisionError
    assert caught.value.__context__ is None


async def test_an_error_of_the_server_cancels_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(channel: SocketChannel) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(SocketChannel, "read", fail)
    with pytest.raises(AssertionError, match="a bug") as caught:  # noqa: PT012
        async with open_server() as server, await open_client(server) as stream:
            await stream.send_all(b"ruok")
            await trio.sleep_forever()
    assert caught.value.__context__ is None


async def test_two_errors_stay_a_group() -> None:
    async def fail() -> None:
        raise KeyError

    with pytest.RaisesGroup(KeyError, ZeroDivisionError):
        async with open_server() as server:
            server._nursery.start_soon(fail)
            raise ZeroDivisionError


async def test_cancelling_the_block_is_no_error() -> None:
    with trio.CancelScope() as scope:
        async with open_server():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_sessions_expire_by_the_clock_of_the_loop(mock_clock: MockClock) -> None:
    async with open_server() as server, await open_client(server) as stream:
        await connect(stream, timeout_ms=4000)
        mock_clock.jump(3.9)
        await wait_all_tasks_blocked()
        assert len(server.node.server.tracker) == 1
        mock_clock.jump(4)
        assert await at_end(stream)
        assert len(server.node.server.tracker) == 0


async def test_wall_time_follows_the_clock_too(mock_clock: MockClock) -> None:
    async with open_server() as server:
        before = server.node.server.wall_ms()
        mock_clock.jump(3600)
        assert server.node.server.wall_ms() - before == 3_600_000


async def test_session_ids_differ_even_when_time_stands_still(mock_clock: MockClock) -> None:
    past = Past()
    ids = []
    for _ in range(2):
        async with open_server(past=past) as server:
            for _ in range(2):
                ids.append(server.node.server.tracker.next_id())
                await server.reset()
    assert ids == sorted(set(ids))


async def test_sole_unwraps_groups_of_one() -> None:
    one, two = KeyError(), ValueError()
    assert sole(one) is one
    assert sole(ExceptionGroup("", [ExceptionGroup("", [one])])) is one
    both = ExceptionGroup("", [one, two])
    assert sole(both) is both
