"""Client connections through the proxy (``zkpy.compare.link``): what is passed on, mapped, waited for."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import Any

import pytest
import trio
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoAuthError, NodeExistsError, NoNodeError
from kazoo.security import make_digest_acl

from compat import wire
from tests.compare.world import World, open_world
from zkpy.compare.link import cut_frames


def clean(world: World) -> None:
    assert world.texts == []
    assert (world.report.differences, world.report.explained.total()) == (0, 0)


def kazoo_client(world: World) -> KazooClient:
    client = KazooClient(world.address, timeout=10)
    client.start(timeout=10)
    return client


def rich_workload(world: World) -> None:
    """What applications do: locks, sequences, ephemerals, watches, transactions, ACLs, several clients."""
    clients = [kazoo_client(world) for _ in range(3)]
    one, two, _ = clients
    events: list[Any] = []
    changed = threading.Event()
    one.create("/app/config", b"1", makepath=True)
    two.get("/app/config", watch=lambda event: (events.append(event), changed.set()))
    two.get_children("/", watch=events.append)
    one.set("/app/config", b"2")
    assert changed.wait(10)
    assert two.get("/app/config")[0] == b"2"
    with pytest.raises(BadVersionError):
        two.set("/app/config", b"3", version=7)
    with pytest.raises(NoNodeError):
        two.delete("/missing")
    with pytest.raises(NodeExistsError):
        two.create("/app/config")

    def work(client: KazooClient) -> None:
        for _ in range(5):
            client.create("/app/job-", b"j", sequence=True, ephemeral=True)
            with client.Lock("/app/lock"):
                client.set("/app/config", b"locked")

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transaction = one.transaction()
    transaction.create("/app/t", b"")
    transaction.check("/app/config", 99)
    transaction.commit()
    transaction = one.transaction()
    transaction.create("/app/t", b"", sequence=True)
    transaction.delete("/app/t0000000099")
    transaction.commit()
    two.add_auth("digest", "u:p")
    two.create("/secret", b"s", acl=[make_digest_acl("u", "p", all=True)])
    with pytest.raises(NoAuthError):
        one.get("/secret")
    two.get_acls("/secret")
    for client in clients:
        client.stop()
        client.close()


@pytest.mark.trio
async def test_a_rich_workload_shows_no_difference() -> None:
    async with open_world() as world:
        await world.play(lambda: rich_workload(world))
        clean(world)
        assert world.report.requests > 100
        assert world.report.compared["event"] >= 2
        assert world.report.compared["closeSession"] == 3


@pytest.mark.trio
async def test_a_reconnect_takes_up_both_sessions() -> None:
    async with open_world() as world:
        await world.play(lambda: world.client(f"127.0.0.1:{world.zkpy.port}").close())  # shifts ids and zxids

        def script() -> None:
            first = world.client()
            assert first.create("/e", flags=1) == 0
            assert first.get("/e") == 0
            first.wire.close()
            other = world.client()
            assert other.set("/e", b"changed") == 0
            again = world.client(session=first.session, password=first.password, zxid=first.zxid)
            assert again.session == first.session
            watches = wire.i64(first.zxid) + wire.texts(["/e"]) + wire.texts(["/e"]) + wire.texts([])
            assert again.call(wire.SET_WATCHES, watches, xid=-8) == 0
            assert again.call(wire.GET_EPHEMERALS, wire.text("/")) == 0
            again.close()
            assert other.get("/e") == -101
            assert world.client(session=first.session, password=first.password).session == 0

        await world.play(script)
        assert world.report.differences == 1  # the zxid that the other client took from zkpy alone
        assert "zxid" in world.texts[0]
        assert world.report.compared["event"] == 2
        assert len(world.real.node.server.tracker) == 1


@pytest.mark.trio
async def test_wrong_passwords_and_foreign_sessions_are_refused_by_both() -> None:
    async with open_world() as world:

        def script() -> None:
            first = world.client()
            assert first.get("/") == 0  # by now both servers have accepted it
            real = world.comparison.pairs.sessions.find(first.session)
            assert real is not None
            assert world.client(session=first.session, password=real.real_password).session == 0
            assert world.client(session=first.session, password=b"?" * 16).session == 0
            assert world.client(session=real.real_id, password=real.real_password).session == 0
            assert world.client(session=12345, password=b"?" * 16).session == 0
            assert world.client(zxid=1 << 40).session == 0

        await world.play(script)
        clean(world)


@pytest.mark.trio
async def test_a_session_from_before_is_explained() -> None:
    async with open_world() as world:

        def script() -> None:
            direct = world.client(f"127.0.0.1:{world.zkpy.port}")
            again = world.client(session=direct.session, password=direct.password)
            assert again.session == direct.session
            assert again.get("/") == 0

        await world.play(script)
        assert "was not opened here" in world.texts[0]


@pytest.mark.trio
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with open_world() as world:

        def script() -> None:
            client = world.client()
            creates = [(n, wire.CREATE, wire.create_body("/n-", flags=2)) for n in range(1, 301)]
            client.send(*creates, (301, wire.AUTH, wire.i32(0) + wire.text("digest") + wire.text("a:b")))
            client.send((302, wire.WHO_AM_I, b""), (303, wire.CLOSE_SESSION, b""), (304, wire.PING, b""))
            xids = []
            while (frame := client.receive()) is not None:
                xids.append(int.from_bytes(frame[:4], "big"))
            assert xids == list(range(1, 304))

        await world.play(script)
        clean(world)
        assert world.report.requests == 304


@pytest.mark.trio
async def test_requests_travel_behind_the_handshake() -> None:
    async with open_world() as world:

        def script() -> None:
            raw = wire.Wire(world.address)
            world.closing.append(raw)
            raw.send(wire.connect_frame() + wire.request(1, wire.EXISTS, wire.read_body("/")))
            assert raw.receive() is not None
            assert raw.receive() is not None

        await world.play(script)
        clean(world)


@pytest.mark.trio
async def test_what_the_real_server_does_not_withstand_stays_here() -> None:
    async with open_world() as world:

        def script() -> None:
            client = world.client()
            assert client.call(wire.CREATE_TTL, wire.create_body("/t", flags=0, ttl=-1)) == -8
            limits = "/zookeeper/quota/zookeeper_limits"
            client.call(wire.MULTI, wire.multi_body([(wire.CREATE, wire.create_body(limits))]))
            assert client.create("/c") == 0
            assert client.call(wire.DELETE_CONTAINER, wire.text("/c")) == -102
            assert client.get("/c") == 0
            assert client.create("/after") == 0
            client.send((9, wire.CREATE_SESSION, wire.i32(1000)))
            assert client.receive() is not None
            assert client.receive() is None
            client.wire.close()

        await world.play(script)
        with trio.fail_after(10):
            while world.comparison.links:
                await trio.sleep(0.01)
        assert world.report.differences == 0, "\n".join(world.texts)
        assert world.report.explained.total() == 4
        with pytest.raises(KeyError):
            world.real.node.server.tree.nodes[b"/zookeeper/quota/zookeeper_limits"]


@pytest.mark.parametrize(
    "garbage",
    [b"\0\0\0\0", b"\0\0\0\x02ab", b"\x7f\0\0\0", b"\xff\xff\xff\xfe", wire.request(1, 77)],
    ids=["empty", "short", "long", "negative", "unknown"],
)
@pytest.mark.trio
async def test_garbage_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    async with open_world() as world:

        def script() -> None:
            client = world.client()
            client.wire.send(garbage)
            client.wire.rest()
            raw = wire.Wire(world.address)
            raw.send(garbage)
            raw.rest()
            raw.close()
            assert world.client().get("/") == 0

        await world.play(script)
        clean(world)


@pytest.mark.trio
async def test_four_letter_words_ask_zkpy() -> None:
    async with open_world() as world:

        def script() -> bytes:
            with socket.create_connection(("127.0.0.1", int(world.address.rpartition(":")[2])), 10) as sock:
                sock.sendall(b"srvr")
                sock.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: sock.recv(4096), b""))

        assert b"Mode: standalone" in await world.play(script)
        clean(world)


@pytest.mark.trio
async def test_the_real_server_stops_and_clients_go_on() -> None:
    async with open_world(wait_s=1.0) as world:
        client = await world.play(world.client)
        await world.play(lambda: client.create("/before"))
        await world.real.go_down()
        with trio.fail_after(10):
            while world.comparison.stopped is None:
                await trio.sleep(0.01)

        def script() -> None:
            assert client.create("/after") == 0
            other = world.client()
            assert other.get("/after") == 0
            other.close()

        await world.play(script)
        assert world.report.differences == 1
        assert "the real server has closed the connection, zkpy has not" in world.texts[0]
        assert "cannot be reached any more" in world.texts[1]
        await world.real.come_up()


@pytest.mark.trio
async def test_a_request_that_the_real_server_does_not_answer_before_it_goes() -> None:
    async with open_world() as world:
        client = await world.play(world.client)
        await world.play(lambda: client.get("/"))
        async with world.real.outage():
            assert await world.play(lambda: client.create("/a")) == 0
            assert await world.play(lambda: client.create("/b")) == 0
            await world.play(client.close)
        assert "difference 1: create2" in world.texts[0]
        assert "closed the connection without an answer" in world.texts[0]
        assert world.report.differences == 1
        assert world.comparison.stopped is not None


@pytest.mark.trio
async def test_a_real_server_that_does_not_answer_is_waited_for_only_so_long() -> None:
    async with open_world(wait_s=0.3) as world:
        client = await world.play(world.client)
        link = next(iter(world.comparison.links))
        link._matcher.answers[1] -= 1  # as if one answer was still missing
        assert await world.play(lambda: client.get("/")) == 0
        with trio.fail_after(10):
            while world.comparison.stopped is None:
                await trio.sleep(0.01)
        assert "gave no answer within 0.3 s" in world.texts[0]
        assert await world.play(lambda: client.get("/")) == 0
        assert world.report.differences == 1


@pytest.mark.trio
async def test_connections_that_only_one_server_closes() -> None:
    async with open_world(wait_s=0.5) as world:
        first, second = await world.play(world.client), await world.play(world.client)
        await world.play(lambda: second.get("/"))  # by now both servers have accepted both
        for server, client in ((world.zkpy, first), (world.real, second)):
            session = world.comparison.pairs.sessions.find(client.session)
            assert session is not None
            number = session.zkpy_id if server is world.zkpy else session.real_id
            password = session.zkpy_password if server is world.zkpy else session.real_password
            await world.play(partial(world.client, server.hosts, session=number, password=password))
        assert await world.play(first.receive) is None
        with trio.fail_after(10):
            while world.report.differences < 2:
                await trio.sleep(0.01)
        said = "\n".join(world.texts)
        assert "zkpy has closed the connection, the real server has not" in said
        assert "the real server has closed the connection, zkpy has not" in said
        assert await world.play(lambda: second.get("/")) == 0


@pytest.mark.trio
async def test_a_real_server_that_is_gone_when_a_client_comes() -> None:
    async with open_world() as world, world.real.outage():

        def script() -> None:
            client = world.client()
            assert client.create("/a") == 0
            client.close()

        await world.play(script)
        assert "cannot be reached any more" in world.texts[0]
        assert world.report.differences == 1
        assert world.report.requests == 0


@pytest.mark.trio
async def test_when_zkpy_goes_connections_end() -> None:
    async with open_world(wait_s=0.3) as world:
        client = await world.play(world.client)
        await world.play(lambda: client.get("/"))
        async with world.zkpy.outage():
            assert await world.play(client.receive) is None
            refused = await world.play(world.client)
            assert refused.session == 0
            with trio.fail_after(10):
                while world.comparison.links:
                    await trio.sleep(0.01)
        assert any("zkpy has closed the connection" in said for said in world.texts)
        assert any("zkpy does not accept a connection" in said for said in world.texts)


@pytest.mark.trio
async def test_what_zkpy_does_not_answer_is_reported() -> None:
    async with open_world(wait_s=0.3) as world:
        client = await world.play(world.client)
        link = next(iter(world.comparison.links))
        for late in ([0], [0, 1]):
            for side in late:
                link._matcher.answers[side] -= 1
            assert await world.play(lambda: client.get("/")) == 0
            assert await world.play(lambda: world.client().get("/")) == 0  # the gate is open again
            for side in late:
                link._matcher.answers[side] += 1
        assert [said.partition(" within")[0] for said in world.texts] == [
            world.texts[0].partition(" within")[0],
            "note: neither server answered a request",
        ]
        assert "zkpy gave no answer within 0.3 s" in world.texts[0]
        assert world.comparison.stopped is None


@pytest.mark.trio
async def test_a_client_that_does_not_read_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zkpy.compare.link.OUTBOX_BYTES", 100_000)
    async with open_world() as world:

        def script() -> None:
            lazy, other = world.client(), world.client()
            assert lazy.create("/big", bytes(500_000)) == 0
            for xid in range(40):
                lazy.send((xid, wire.GET_DATA, wire.read_body("/big")))
            for _ in range(10):
                assert other.get("/") == 0
            for xid in range(40):
                frame = lazy.receive()
                assert frame is not None
                assert frame[:4] == wire.i32(xid)

        await world.play(script)
        clean(world)


def test_frames_are_cut() -> None:
    arrived = bytearray(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03a")
    assert cut_frames(arrived, 10) == ([b"ab", b""], False)
    assert arrived == b"\0\0\0\x03a"
    arrived += b"bc\0\0\0\x0b"
    assert cut_frames(arrived, 10) == ([b"abc"], True)
    assert arrived == b"\0\0\0\x0b"
