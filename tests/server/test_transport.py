"""Real sockets: pieces, slow readers, ends, and addresses."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from compat.wire import CREATE, GET_DATA, connect_frame, create_body, read_body, request
from tests.harness import World
from zkpy.pipeline.readgate import ReadGate
from zkpy.server import transport as transport_module
from zkpy.server.transport import EpollTransport, peer_address

pytestmark = pytest.mark.trio


@contextlib.asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[tuple[World, int]]:
    """A world on a real port."""
    world = World(clock=time.monotonic, **settings)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    transport = EpollTransport(world.service, [listener], keep_alive=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.run)
        yield world, port
        nursery.cancel_scope.cancel()
    assert world.service.cnxns == {} and transport.epoll.closed


async def frame(stream: trio.SocketStream) -> bytes:
    data = await exactly(stream, 4)
    return await exactly(stream, struct.unpack(">i", data)[0])


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        assert chunk, "the server closed the connection"
        data += chunk
    return data


async def test_a_client_is_served_whatever_the_pieces() -> None:
    async with serving() as (world, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        data = (
            connect_frame()
            + request(1, CREATE, create_body("/a", b"x"))
            + request(2, GET_DATA, read_body("/a"))
        )
        for at in range(0, len(data), 5):
            await stream.send_all(data[at : at + 5])
            await trio.testing.wait_all_tasks_blocked()
        assert len(await frame(stream)) == 37
        assert (await frame(stream))[:4] == struct.pack(">i", 1)
        assert (await frame(stream))[20:21] == b"x"
        (cnxn,) = world.service.cnxns
        assert cnxn.identities == (("ip", "127.0.0.1"),)


async def test_reads_that_wait_are_confirmed_at_the_end_of_a_round() -> None:
    """A server without writes has nothing else that would begin it."""
    asked: list[int] = []
    gate = ReadGate(lambda number, session_id: asked.append(number))
    async with serving() as (world, port):
        world.service.gated = True  # type: ignore[misc]
        world.server.gate = gate
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(connect_frame())
            await frame(stream)
            for number in (1, 2):
                await stream.send_all(request(number, GET_DATA, read_body("/")))
                with trio.fail_after(5):
                    while len(asked) < number:
                        await trio.lowlevel.checkpoint()
                gate.confirmed(number)
                world.server.send_some()
                assert (await frame(stream))[:4] == struct.pack(">i", number)


async def test_a_client_that_goes_away_is_forgotten_and_its_session_stays() -> None:
    async with serving() as (world, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(connect_frame())
        await frame(stream)
        await stream.aclose()
        while world.service.cnxns:
            await trio.lowlevel.checkpoint()
        assert len(world.tree.sessions) == 1


async def test_large_answers_are_sent_as_the_client_reads() -> None:
    async with serving() as (_, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        big = create_body("/big", b"x" * 1_000_000)
        await stream.send_all(connect_frame() + request(1, CREATE, big))
        await frame(stream)
        await frame(stream)
        reads = [request(n, GET_DATA, read_body("/big")) for n in range(30)]
        await stream.send_all(b"".join(reads))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(30):
            answer = await frame(stream)
            assert answer[:4] == struct.pack(">i", n) and len(answer) == 16 + 4 + 1_000_000 + 68


async def test_connections_over_the_limit_are_closed_at_once() -> None:
    async with (
        serving(max_client_cnxns=1) as (world, port),
        await trio.open_tcp_stream("127.0.0.1", port) as first,
    ):
        await first.send_all(connect_frame())
        await frame(first)
        async with await trio.open_tcp_stream("127.0.0.1", port) as second:
            with contextlib.suppress(trio.BrokenResourceError):  # a reset says the same
                assert await second.receive_some(1) == b""
        assert world.service.rejected == 1


async def test_it_listens_elsewhere_and_keeps_who_is_connected() -> None:
    world = World(clock=time.monotonic)
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.setblocking(False)
    transport = EpollTransport(world.service, listeners[:1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.run)
        async with await trio.open_tcp_stream("127.0.0.1", ports[0]) as before:
            await before.send_all(connect_frame())
            await frame(before)
            transport.listen_on(listeners[1:])
            with pytest.raises(OSError):
                await trio.open_tcp_stream("127.0.0.1", ports[0])
            async with await trio.open_tcp_stream("127.0.0.1", ports[1]) as after:
                await after.send_all(connect_frame())
                await frame(after)
            await before.send_all(request(1, GET_DATA, read_body("/")))
            assert struct.unpack_from(">iqi", await frame(before))[::2] == (1, 0)
        nursery.cancel_scope.cancel()
    assert all(listener.fileno() == -1 for listener in listeners)


async def test_the_last_answer_reaches_the_client_before_the_end() -> None:
    async with serving() as (_, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(connect_frame() + request(1, 99))
        await frame(stream)
        assert (await frame(stream))[12:] == struct.pack(">i", -6)
        assert await stream.receive_some(1) == b""


async def test_a_failing_accept_does_not_stop_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (world, port):
        refused = world.service.rejected

        def out_of_descriptors(*_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(transport_module.socket.socket, "accept", out_of_descriptors)
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        monkeypatch.undo()
        client.close()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(connect_frame())
            assert len(await frame(stream)) == 37
        assert world.service.rejected >= refused


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("fe80::1%eth0", "fe80:0:0:0:0:0:0:1"),
    ],
)
async def test_addresses_are_written_as_acls_write_them(text: str, shown: str) -> None:
    assert peer_address(text) == shown
