"""The real network, on the loopback interface."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from tests.quorum.mesh import members
from zkpy.quorum.cnxmanager import CnxManager
from zkpy.quorum.network import Stream
from zkpy.quorum.quorumconfig import Configs
from zkpy.realnetwork import RealNetwork

pytestmark = pytest.mark.trio


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def echo(stream: Stream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def test_bytes_go_both_ways_until_one_end_closes() -> None:
    network = RealNetwork(keepalive=True)
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(network.serve, "127.0.0.1", 0, echo)
        stream = await network.connect(host, port, 5)
        assert stream.peer == (host, port)
        inner = stream._socket
        assert inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert inner.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        nursery.cancel_scope.cancel()


async def test_more_than_the_system_takes_at_once_arrives_whole() -> None:
    data = bytes(range(256)) * 65536
    arrived = bytearray()

    async def collect(stream: Stream) -> None:
        while piece := await stream.receive_some():
            arrived.extend(piece)
        nursery.cancel_scope.cancel()

    network = RealNetwork()
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(network.serve, "127.0.0.1", 0, collect)
        stream = await network.connect(host, port, 5)
        await stream.send_all(data)
        await stream.aclose()
        await trio.sleep_forever()
    assert arrived == data


async def test_a_peer_that_dies_and_a_stream_closed_under_its_reader() -> None:
    async def die(stream: Stream) -> None:
        await stream.receive_some()
        stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    network = RealNetwork()
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(network.serve, "127.0.0.1", 0, die)
        stream = await network.connect(host, port, 5)
        await stream.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        other = await network.connect(host, port, 5)

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await other.receive_some()
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await other.aclose()


async def test_the_handlers_end_closes_and_the_accepted_stream_knows_its_peer() -> None:
    peers = []

    async def look(stream: Stream) -> None:
        peers.append(stream.peer)

    network = RealNetwork()
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(network.serve, None, 0, look)
        stream = await network.connect("127.0.0.1", port, 5)
        assert await stream.receive_some() == b""
        await stream.aclose()
        assert [host for host, _ in peers] == ["127.0.0.1"]
        nursery.cancel_scope.cancel()


async def test_a_port_in_use_and_a_port_where_nobody_listens_are_os_errors() -> None:
    network = RealNetwork()
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(network.serve, "127.0.0.1", 0, echo)
        with pytest.raises(OSError):
            await network.serve("127.0.0.1", port, echo)
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError):
        await network.connect("127.0.0.1", port, 5)


async def test_a_connection_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(TimeoutError):
        await RealNetwork().connect("127.0.0.1", 1, 0.01)


async def test_two_managers_talk() -> None:
    base = members(1, 2, host="127.0.0.1")
    lines = "\n".join(f"server.{server.sid}=127.0.0.1:1:{free_port()}:participant" for server in base.servers)
    config = type(base).from_text(lines)
    one, two = (CnxManager(sid, lambda: Configs(config), RealNetwork()) for sid in (1, 2))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(one.run)
            await nursery.start(two.run)
            one.send(2, b"from one")
            assert await two.receive() == (1, b"from one")
            two.send(1, b"from two")
            assert await one.receive() == (2, b"from two")
            nursery.cancel_scope.cancel()
