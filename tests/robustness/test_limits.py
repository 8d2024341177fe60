"""What the server bounds: connections, frames, requests in flight, unsent bytes, memory, time of others."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import wire
from tests.harness import World
from tests.robustness.harness import Client, Failure, Server, defines, read_to_end, until
from zkpy.persist.txnsnaplog import DataDir
from zkpy.realports import RealDisk
from zkpy.tree.datatree import DataTree

LIMIT = 0xFFFFF
"""Default of ``jute.maxbuffer``."""

OTHERS_WAIT_S = 0.5
"""Longest acceptable answer to an innocent client; generous, the machine may be busy."""

BAD_ARGUMENTS, MARSHALLING, UNIMPLEMENTED, NO_AUTH, INVALID_ACL = -8, -5, -6, -102, -114


def start(work: Path, *args: str, data: bool = False, **settings: object) -> Server:
    """A server with *settings* as lines of its zoo.cfg, dots written as two underscores."""
    lines: dict[str, object] = {"maxClientCnxns": 0, "tickTime": 500, "4lw.commands.whitelist": "*"}
    lines |= {name.replace("__", "."): value for name, value in settings.items()}
    lines |= {"dataDir": work / "data", "admin.enableServer": "false"}
    lines |= {"clientPort": 0, "clientPortAddress": "127.0.0.1"}
    config = work / "zoo.cfg"
    config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return Server(work, *args, *([] if data else ["--memory"]), str(config))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with default limits, for tests that leave nothing behind."""
    with start(tmp_path_factory.mktemp("limits")) as server:
        yield server
        assert server.alive()
        assert "Traceback" not in server.stderr()


@contextlib.contextmanager
def innocent(server: Server) -> Iterator[None]:
    """A client beside that is to be answered quickly all the time."""
    waits: list[float] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            waits.append(client.ping())
            over.wait(0.002)

    with server.client() as client:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    assert waits and max(waits) < OTHERS_WAIT_S, max(waits)


def closed_without_a_word(sock: socket.socket) -> bool:
    return read_to_end(sock) == b""


def requests(op: int, body: bytes, count: int) -> bytes:
    return b"".join(wire.request(xid, op, body) for xid in range(1, count + 1))


# -- connections -------------------------------------------------------------------------------------------


def test_connections_per_address_are_limited(tmp_path: Path) -> None:
    with start(tmp_path, maxClientCnxns=3) as server:
        clients = [server.client() for _ in range(3)]
        with server.connect() as sock:
            assert closed_without_a_word(sock)
        with Client(server.connect(source="127.0.0.2")) as other:
            other.ping()
        clients.pop().close()
        until(lambda: _accepted(server), "a place is free again")
        for client in clients:
            client.close()


def _accepted(server: Server) -> bool:
    try:
        server.client().close()
    except ConnectionError:
        return False
    return True


def test_connections_of_the_whole_server_are_limited(tmp_path: Path) -> None:
    with start(tmp_path, *defines(maxCnxns=3)) as server:
        clients = [Client(server.connect(source=f"127.0.0.{n}")) for n in (2, 3, 4)]
        with server.connect(source="127.0.0.5") as sock:
            assert closed_without_a_word(sock)
        clients[0].close()
        until(lambda: _accepted(server), "a place is free again")
        for client in clients[1:]:
            client.close()


def test_connections_without_a_session_are_closed_in_time(tmp_path: Path) -> None:
    with (
        start(tmp_path, *defines(nio__sessionlessCnxnTimeout=300), tickTime=100) as server,
        server.client() as client,
    ):
        for beginning in (b"", b"sr", wire.connect_frame()[:20]):
            started = time.monotonic()
            with server.connect() as sock:
                sock.sendall(beginning)
                assert closed_without_a_word(sock)
            assert 0.25 < time.monotonic() - started < 2.0
            client.ping()


def test_opening_sessions_is_throttled(tmp_path: Path) -> None:
    settings = defines(
        connection_throttle_tokens=3, connection_throttle_fill_time=500, connection_throttle_fill_count=3
    )
    with start(tmp_path, *settings) as server:
        opened = refused = 0
        for _ in range(8):
            try:
                server.client().close()
                opened += 1
            except ConnectionError:
                refused += 1
        assert opened >= 3 and refused >= 1
        until(lambda: _accepted(server), "tokens are there again")


def test_many_silent_connections_disturb_nobody(tmp_path: Path) -> None:
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    with start(tmp_path, *defines(nio__sessionlessCnxnTimeout=4000)) as server:
        silent: list[socket.socket] = []
        try:
            before = server.rss()
            with innocent(server):
                silent = [server.connect() for _ in range(count)]
            assert server.rss() - before < count * 6000 + (8 << 20)
            assert server.word("srvr")
            until(lambda: server.fds() < 30, "they are closed", 15)
        finally:
            for sock in silent:
                sock.close()


def test_running_out_of_descriptors_refuses_connections_without_spinning(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with start(tmp_path) as server, server.client() as client:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, limits[1]))
        many = [server.connect() for _ in range(60)]
        refused = sum(_refused(sock) for sock in many)
        assert 20 <= refused < 60
        before = _cpu_s(server)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            client.ping()
            time.sleep(0.05)
        assert _cpu_s(server) - before < 0.15
        for sock in many:
            sock.close()
        until(lambda: _accepted(server), "descriptors are free again")


def test_connections_leave_descriptors_for_the_log(tmp_path: Path) -> None:
    args = ("--data", str(tmp_path / "data"), *defines(snapCount=4))
    config = tmp_path / "zoo.cfg"
    config.write_text("maxClientCnxns=0\nclientPort=0\ndataDir=unused\nadmin.enableServer=false\n")
    with (
        Server(tmp_path, *args, str(config), limit=(resource.RLIMIT_NOFILE, 60)) as server,
        server.client() as client,
    ):
        many = [server.connect() for _ in range(80)]
        for n in range(50):  # rolls the log and takes snapshots all the time
            assert client.create(f"/{n}") == 0
        for sock in many:
            sock.close()
        assert "file descriptors run out" in server.stderr()


def _refused(sock: socket.socket) -> bool:
    sock.settimeout(0.02)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def _cpu_s(server: Server) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


# -- frames ------------------------------------------------------------------------------------------------


def test_a_frame_of_the_limit_is_served_and_one_more_byte_closes(server: Server) -> None:
    fixed = len(wire.create_body("/largest", b"")) + 8
    with server.client() as client:
        assert client.create("/largest", b"x" * (LIMIT - fixed)) == 0
        assert len(client.get("/largest") or b"") == LIMIT - fixed
        client.ok(wire.DELETE, wire.text("/largest") + wire.i32(-1))
    client = server.client()
    client.sock.sendall(wire.i32(LIMIT + 1) + bytes(100))
    assert client.frame() is None
    client.drop()


def test_the_limit_holds_for_the_first_frame_too(server: Server) -> None:
    padded = wire.connect_frame()[4:]
    padded += bytes(LIMIT - len(padded))
    with server.connect() as sock:
        sock.sendall(wire.i32(LIMIT) + padded)
        assert sock.recv(4) == wire.i32(37)
    with server.connect() as sock:
        sock.sendall(wire.i32(LIMIT + 1))
        assert closed_without_a_word(sock)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"SSH-2.0-x\r\n",
        b"\xff\xf4\xff\xfd",
    ],
)
def test_other_protocols_are_closed_without_a_word(server: Server, data: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(data)
        assert closed_without_a_word(sock)


def test_a_frame_that_comes_byte_by_byte_is_served(server: Server) -> None:
    with innocent(server), server.client() as client:
        for byte in wire.request(1, wire.CREATE, wire.create_body("/slow", b"x" * 200)):
            client.sock.sendall(bytes([byte]))
        assert client.answer().err == 0
        client.ok(wire.DELETE, wire.text("/slow") + wire.i32(-1))


def test_announced_lengths_cost_no_memory_and_large_frames_only_theirs(server: Server) -> None:
    count = 30
    clients = [server.client() for _ in range(count)]
    before = server.rss()
    for client in clients:
        client.sock.sendall(wire.i32(LIMIT))
    with innocent(server):
        assert server.rss() - before < 2 << 20
        body = wire.i32(1) + wire.i32(wire.SYNC) + wire.text(b"x" * (LIMIT - 12))
        for client in clients:
            client.sock.sendall(body[:-1])
        assert server.rss() - before < count * 2 * LIMIT + (16 << 20)
        for client in clients:
            client.sock.sendall(body[-1:])
            assert len(client.answer().body) == LIMIT - 8
            client.close()


# -- requests in flight ------------------------------------------------------------------------------------


def test_writers_beyond_the_outstanding_limit_wait_and_all_is_answered(tmp_path: Path) -> None:
    limit, writers, each = 20, 3, 2000
    settings = defines(globalOutstandingLimit=limit, forceSync="yes")
    with start(tmp_path, *settings, data=True) as server:
        clients = [server.client() for _ in range(writers)]
        assert clients[0].create("/n") == 0
        body = wire.text("/n") + wire.text(b"x" * 1000) + wire.i32(-1)
        most = 0
        threads = [
            threading.Thread(target=client.sock.sendall, args=(requests(wire.SET_DATA, body, each),))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        for _ in range(10):
            most = max(most, int(server.monitor()["zk_outstanding_requests"]))
        for client in clients:
            assert [client.answer().xid for _ in range(each)] == list(range(1, each + 1))
        for thread in threads:
            thread.join()
        # What one read brings in is handled before the connection pauses.
        assert most <= limit + writers * (65536 // 1000 + 1)
        for client in clients:
            client.close()


def test_large_requests_in_flight_have_a_common_limit(tmp_path: Path) -> None:
    settings = defines(largeRequestThreshold=1000, largeRequestMaxBytes=20_000)
    with start(tmp_path, *settings, data=True) as server:
        greedy = server.client()
        assert greedy.create("/n", b"x" * 900) == 0
        assert greedy.create("/m", b"x" * 9000) == 0
        body = wire.text("/n") + wire.text(b"x" * 9000) + wire.i32(-1)
        greedy.sock.sendall(requests(wire.SET_DATA, body, 30))
        with contextlib.suppress(ConnectionError):
            while True:
                assert greedy.answer().err == 0
        greedy.drop()
        with server.client() as client:
            assert client.set("/n", b"x" * 9000) == 0  # and the count went back
            assert client.set("/m", b"x" * 9000) == 0


# -- unsent bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind_a_write", [False, True])
def test_a_client_that_does_not_read_costs_little_and_goes_on_later(
    server: Server, behind_a_write: bool
) -> None:
    count = 200
    with server.client() as client:
        client.create("/large", b"x" * 1_000_000)
        server.reset_peak()
        before = server.rss()
        reads = requests(wire.GET_DATA, wire.read_body("/large"), count)
        if behind_a_write:
            # Small when the reads are taken in, large when they are answered.
            assert client.set("/large", b"") == 0
            body = wire.text("/large") + wire.text(b"x" * 1_000_000) + wire.i32(-1)
            reads = wire.request(0, wire.SET_DATA, body) + reads
        client.sock.sendall(reads)
        with innocent(server), server.client() as other:
            for _ in range(200):  # turns of the loop in which memory could have grown
                other.ping()
        assert server.peak_rss() - before < 48 << 20
        if behind_a_write:
            assert client.answer().xid == 0
        for xid in range(1, count + 1):
            got = client.answer()
            assert (got.xid, got.err, len(got.body)) == (xid, 0, 1_000_072)
        assert server.peak_rss() - before < 64 << 20
        client.ok(wire.DELETE, wire.text("/large") + wire.i32(-1))


def test_a_slow_reader_keeps_its_session_while_it_reads() -> None:
    world = World()
    client = world.client(timeout_ms=4000)
    client.call(wire.CREATE, wire.create_body("/large", b"x" * 1_000_000))
    client.channel.stalled = True
    client.pipeline(*[(wire.GET_DATA, wire.read_body("/large"))] * 20)
    assert client.channel.paused
    for _ in range(10):
        world.seconds += 3
        client.cnxn.progressed()
        assert world.server.expire_sessions() == 0
    world.seconds += 7
    assert world.server.expire_sessions() == 1
    world.settle()
    assert client.closed


def test_a_multi_read_out_of_all_proportion_is_refused(server: Server) -> None:
    with server.client() as client:
        client.create("/large", b"x" * 1_000_000)
        server.reset_peak()
        before = server.rss()
        body = wire.multi_body([(wire.GET_DATA, wire.read_body("/large"))] * 10)
        assert len(client.ok(wire.MULTI_READ, body)) > 10_000_000
        body = wire.multi_body([(wire.GET_DATA, wire.read_body("/large"))] * 40_000)
        assert client.call(wire.MULTI_READ, body).err == MARSHALLING
        assert server.peak_rss() - before < 64 << 20
        client.ok(wire.DELETE, wire.text("/large") + wire.i32(-1))


def test_a_client_that_lets_events_pile_up_is_closed(server: Server) -> None:
    path = b"/" + b"e" * 20_000
    with server.client() as writer:
        assert writer.create(path) == 0
        lazy = server.client()
        lazy.ok(wire.ADD_WATCH, wire.text(path) + wire.i32(0))
        server.reset_peak()
        before = server.rss()
        connections = int(server.monitor()["zk_num_alive_connections"])
        with innocent(server):
            for _ in range(3000):  # one at a time: each is a round of its own
                writer.set(path, b"")
                if int(server.monitor()["zk_num_alive_connections"]) < connections + 1:
                    break
        assert int(server.monitor()["zk_num_alive_connections"]) == connections - 1
        assert server.peak_rss() - before < 64 << 20
        lazy.drop()
        writer.ok(wire.DELETE, wire.text(path) + wire.i32(-1))


def test_a_client_that_never_reads_its_last_answer_is_closed_in_time(tmp_path: Path) -> None:
    with start(tmp_path, *defines(nio__sessionlessCnxnTimeout=300), tickTime=100) as server:
        with server.client() as client:
            client.create("/large", b"x" * 1_000_000)
        lazy = server.client()
        reads = requests(wire.GET_DATA, wire.read_body("/large"), 7)
        lazy.sock.sendall(reads + wire.request(99, wire.CLOSE_SESSION))
        until(lambda: server.monitor()["zk_num_alive_connections"] == "1", "it is closed", 5)
        lazy.drop()


# -- amplification -----------------------------------------------------------------------------------------


def test_acl_lists_that_grow_are_refused_and_the_log_reads_back(tmp_path: Path) -> None:
    args = ("--data", str(tmp_path / "data"))
    with Server(tmp_path, *args) as server, server.client() as client:
        for n in range(500):
            client.auth(f"user{n}:x")
        server.reset_peak()
        before = server.rss()
        grown: wire.Acl = [(n, "auth", "") for n in range(20_000)]
        assert client.call(wire.CREATE, wire.create_body("/a", b"", grown)).err == INVALID_ACL
        few: wire.Acl = [(n, "auth", "") for n in range(10)]
        bodies = [(wire.CREATE, wire.create_body(f"/m{n}", b"", few)) for n in range(100)]
        assert client.call(wire.MULTI, wire.multi_body(bodies)).err == MARSHALLING
        assert client.create("/still") == 0
        malformed: wire.Acl = [(31, "digest", b"\xff" * 1_000_000 + b":x")]
        assert client.call(wire.CREATE, wire.create_body("/b", b"", malformed)).err == MARSHALLING
        assert (
            client.call(wire.SET_ACL, wire.text("/still") + wire.acls(malformed) + wire.i32(-1)).err
            == MARSHALLING
        )
        long: wire.Acl = [(31, "digest", b"y" * 1_000_000 + b":x")]
        assert client.call(wire.CREATE, wire.create_body("/c", b"", long)).err == 0
        assert server.peak_rss() - before < 96 << 20
        server.kill()
    with Server(tmp_path, *args) as server, server.client() as client:
        assert client.children("/") == [b"c", b"still", b"zookeeper"]


def test_many_identities_and_a_long_acl_take_no_long_time(server: Server) -> None:
    acl: wire.Acl = [*((1, "digest", f"{n}:x") for n in range(30_000)), (31, "auth", "")]
    with server.client() as owner, server.client() as client:
        owner.auth("owner:x")
        assert owner.call(wire.CREATE, wire.create_body("/acl", b"", acl)).err == 0
        with innocent(server):
            for n in range(10):
                packets = (wire.i32(0) + wire.text("digest") + wire.text(f"{n}/{m}:x") for m in range(300))
                client.sock.sendall(b"".join(wire.request(-4, wire.AUTH, packet) for packet in packets))
                assert all(client.answer().err == 0 for _ in range(300))
            for _ in range(5):
                assert client.call(wire.GET_DATA, wire.read_body("/acl")).err == NO_AUTH
            client.auth("owner:x")
            assert client.get("/acl") == b""
        owner.ok(wire.DELETE, wire.text("/acl") + wire.i32(-1))


def test_many_watches_are_set_and_given_back(server: Server) -> None:
    with server.client() as base:
        watches = int(server.monitor()["zk_watch_count"])
        client = server.client()
        with innocent(server):
            for n in range(3):
                lists = [
                    wire.texts(b"/%d/%024d" % (n, at) for at in range(30_000)),
                    wire.texts([]),
                    wire.texts([]),
                ]
                lists[0], lists[1] = lists[1], lists[0]  # exist watches: the znodes are missing
                client.ok(wire.SET_WATCHES, wire.i64(0) + b"".join(lists))
        assert int(server.monitor()["zk_watch_count"]) == watches + 90_000
        with innocent(server):
            client.drop()
            until(lambda: int(server.monitor()["zk_watch_count"]) == watches, "the watches are gone")
        base.ping()


def test_a_watch_fired_to_thousands_does_not_stop_the_others(server: Server) -> None:
    count = 2000
    watchers: list[Client] = []
    try:
        with server.client() as writer:
            assert writer.create("/watched") == 0
            for _ in range(count):
                watchers.append(server.client())
                watchers[-1].ok(wire.EXISTS, wire.read_body("/watched", 1))
            with innocent(server):
                for _ in range(3):
                    assert writer.set("/watched", b"1") == 0
            for watcher in watchers:
                payload = watcher.frame()
                assert payload is not None and payload.startswith(wire.i32(-1))
            writer.ok(wire.DELETE, wire.text("/watched") + wire.i32(-1))
    finally:
        for watcher in watchers:
            watcher.drop()


# -- a very deep tree --------------------------------------------------------------------------------------


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    depth = 4000  # four times the interpreter's recursion limit; memory and traffic grow with its square
    args = ("--data", str(tmp_path / "data"), *defines(snapCount=2500, preAllocSize=1024))
    paths = [b"/d" * n for n in range(1, depth + 1)]
    with Server(tmp_path, *args) as server, server.client() as client:
        client.ok(wire.ADD_WATCH, wire.text("/") + wire.i32(1))
        for at in range(0, depth, 200):
            client.send(*[(wire.CREATE, wire.create_body(path)) for path in paths[at : at + 200]])
            assert all(client.answer().err == 0 for _ in range(200))
        assert len(client.events) == depth
        assert client.ok(wire.GET_ALL_CHILDREN_NUMBER, wire.text("/d")) == wire.i32(depth - 1)
        with innocent(server):
            client.ok(wire.GET_ALL_CHILDREN_NUMBER, wire.text("/d"))
        until(lambda: bool(list((tmp_path / "data/version-2").glob("snapshot.*[1-9a-f]*"))), "a snapshot")
        server.kill()
    with RealDisk() as disk:
        tree = DataDir(disk, str(tmp_path / "data")).restore(DataTree, repair=False).tree
    assert tree.digest == tree.recompute_digest() and paths[-1] in tree.nodes
    with Server(tmp_path, *args) as server, server.client() as client:
        assert client.ok(wire.GET_ALL_CHILDREN_NUMBER, wire.text("/d")) == wire.i32(depth - 1)
        for at in range(depth, 0, -200):
            client.send(
                *[(wire.DELETE, wire.text(path) + wire.i32(-1)) for path in paths[at - 200 : at][::-1]]
            )
            assert all(client.answer().err == 0 for _ in range(200))
        assert client.children("/") == [b"zookeeper"]


# -- inputs that break other servers -----------------------------------------------------------------------


def test_inputs_that_end_a_java_server_are_harmless_and_replay(tmp_path: Path) -> None:
    args = ("--data", str(tmp_path / "data"), *defines(extendedTypesEnabled="true"))
    with Server(tmp_path, *args) as server:
        client = server.client()
        for flags in range(5):
            body = wire.create_body("/ttl", b"", flags=flags, ttl=-1)
            assert client.call(wire.CREATE_TTL, body).err == BAD_ARGUMENTS
        assert client.create("/zookeeper/quota/zookeeper_limits", b"count=1") == 0
        assert client.create("/zookeeper/quota/zookeeper_stats") == 0
        assert client.create("/q") == 0
        assert client.create("/zookeeper/quota/q") == 0
        assert client.create("/zookeeper/quota/q/zookeeper_limits", b"count=5,bytes=-1") == 0
        assert client.create("/zookeeper/quota/q/zookeeper_stats", b"") == 0
        assert client.set("/zookeeper/quota/q/zookeeper_stats", b"\xffnot,a=usage") == 0
        assert client.create("/q/counted") == 0
        assert client.set("/q/counted", b"more") == 0
        for op, flags in ((wire.CREATE, 4), (wire.CREATE2, 4), (wire.CREATE_CONTAINER, 0)):
            name = f"/odd{op}"
            assert client.call(op, wire.create_body(name, b"", flags=flags)).err == 0
        assert client.call(wire.DELETE_CONTAINER, wire.text("/odd19")).err == NO_AUTH
        got = client.call(wire.CREATE_SESSION, wire.i32(30000))
        assert (got.err, got.zxid) == (UNIMPLEMENTED, -1)
        assert client.frame() is None
        client.drop()
        server.kill()
    for _ in range(2):
        with Server(tmp_path, *args) as server, server.client() as client:
            assert b"odd19" in client.children("/")
            assert client.create("/q/another") in (0, -110)
            server.kill()


def test_the_harness_tells_a_server_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="did not start"):
        Server(tmp_path, "--data", "/proc/no-such-place")
