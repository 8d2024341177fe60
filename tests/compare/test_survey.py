"""The look at both servers before the comparison begins (``zkpy.compare.survey``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.compare.world import Client
from zkpy.compare.proxy import Comparison
from zkpy.compare.report import Report
from zkpy.compare.survey import NoServer, look, survey
from zkpy.testing import TrioServer, open_server

pytestmark = pytest.mark.trio


def comparison(zkpy: TrioServer, real: TrioServer) -> Comparison:
    return Comparison((zkpy.host, zkpy.port), (real.host, real.port), Report())


async def change(server: TrioServer, *paths: str, delete: bool = False) -> None:
    def script() -> None:
        client = Client(server.hosts)
        client.connect()
        for path in paths:
            client.create(path)
            if delete:
                client.call(2, len(path).to_bytes(4, "big") + path.encode() + b"\xff\xff\xff\xff")
        client.close()
        client.wire.close()

    await trio.to_thread.run_sync(script)


async def test_two_empty_servers() -> None:
    async with open_server() as zkpy, open_server() as real:
        assert await survey(comparison(zkpy, real)) == []


async def test_other_znodes_and_another_history() -> None:
    async with open_server() as zkpy, open_server() as real:
        await change(real, "/gone", delete=True)
        (note,) = await survey(comparison(zkpy, real))
        assert "has a history" in note
        await change(real, "/a", "/a/b")
        both = comparison(zkpy, real)
        (note,) = await survey(both)
        assert "zkpy has 3 znodes, the real server 5" in note
        found = await look(both.real, 5.0)
        assert (found.znodes, found.root_version) == (5, 2)
        assert both.pairs.zxids.agree(zkpy.node.server.tree.last_zxid, found.zxid - 2)


async def test_a_server_that_talks_to_nobody_without_a_name() -> None:
    settings = {"enforce.auth.enabled": True, "enforce.auth.schemes": "digest"}
    async with open_server(settings=settings) as zkpy, open_server() as real:
        both = comparison(zkpy, real)
        assert await survey(both) == []
        assert (await look(both.zkpy, 5.0)).znodes is None
        assert both.pairs.zxids.agree(7, 70)


Handler = Callable[[trio.SocketStream], Awaitable[None]]


async def silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def closing(stream: trio.SocketStream) -> None:
    await stream.receive_some(100)


async def refusing(stream: trio.SocketStream) -> None:
    await stream.receive_some(100)
    await stream.send_all(b"\0\0\0\x25" + bytes(11) + b"\0" * 8 + b"\x10" + bytes(17))


async def talking(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await stream.receive_some(100)
    await stream.send_all(b"\xff" * 8)


@pytest.mark.parametrize(
    ("handler", "said"),
    [(silent, "no answer within"), (closing, "no ZooKeeper"), (refusing, "no ZooKeeper"), (talking, "no ")],
)
async def test_what_is_no_server(handler: Handler, said: str) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, listeners)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(NoServer, match=said):
            await look(("127.0.0.1", port), 0.3)
        nursery.cancel_scope.cancel()
    with pytest.raises(NoServer):
        await look(("127.0.0.1", port), 1.0)
