"""A server for synchronous code: there when asked for, gone without a trace, never silent about an error."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import KazooState

import zkpy.testing
from zkpy.errors import ConfigError, CorruptLogError
from zkpy.server.transport import SocketChannel
from zkpy.testing import Server, ServerCrashed
from zkpy.testing.server import kazoo_client
from zkpy.testing.trioserver import TrioServer

PATIENCE_S = 30
PASSWORD = bytes(16)


class Wire:
    """A client at the level of bytes."""

    def __init__(self, server: Server) -> None:
        self.sock = socket.create_connection((server.host, server.port), PATIENCE_S)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def connect(
        self, session_id: int = 0, password: bytes = PASSWORD, *, seen: int = 0
    ) -> tuple[int, int, bytes]:
        """Shake hands; returns time-out in ms (0: expired), session id and password."""
        request = struct.pack(">iqiqi16s?", 0, seen, 4000, session_id, 16, password, False)
        self.sock.sendall(struct.pack(">i", len(request)) + request)
        answer = self._read(41)
        timeout, given, given_password = struct.unpack(">8xiq4x16s", answer[:40])
        return timeout, given, given_password

    def create(self, path: bytes) -> int:
        """Create a znode; returns its zxid."""
        acl = struct.pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")
        body = struct.pack(">iii", 1, 1, len(path)) + path + struct.pack(">i", 0) + acl + struct.pack(">i", 0)
        self.sock.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", self._read(4))
        xid, zxid, err = struct.unpack(">iqi", self._read(size)[:16])
        assert (xid, err) == (1, 0)
        return int(zxid)

    def at_end(self) -> bool:
        """Wait until the server closes the connection."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the server closed the connection"
            data += more
        return data


@contextlib.contextmanager
def watched(hosts: str) -> Iterator[tuple[KazooClient, queue.SimpleQueue[str]]]:
    """A started kazoo client and the states it goes through from then on."""
    states: queue.SimpleQueue[str] = queue.SimpleQueue()
    with kazoo_client(hosts) as client:
        client.add_listener(states.put)
        yield client, states


def next_states(states: queue.SimpleQueue[str], number: int) -> list[str]:
    return [states.get(timeout=PATIENCE_S) for _ in range(number)]


def open_files() -> set[str]:
    gc.collect()
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


def refused(server: Server) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((server.host, server.port)) == errno.ECONNREFUSED


# Start and stop


def test_a_real_client_works_with_it() -> None:
    with Server() as server, kazoo_client(server.hosts) as client:
        client.create("/a/b", b"data", makepath=True)
        assert client.get("/a/b")[0] == b"data"


def test_it_says_where_it_is() -> None:
    with Server() as server:
        assert server.running
        assert server.host == "127.0.0.1"
        assert server.hosts == f"127.0.0.1:{server.port}"
        assert repr(server) == f"<zkpy.testing.Server {server.hosts} running>"
    assert not server.running
    assert repr(server).endswith(" stopped>")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_on_ipv6() -> None:
    try:
        server = Server(host="::1").start()
    except ConfigError:
        pytest.skip("no IPv6 loopback here")
    with contextlib.closing(socket.create_connection(("::1", server.port), PATIENCE_S)):
        assert server.hosts == f"[::1]:{server.port}"
    server.stop()


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with Server():  # what is imported or made once is not a leftover
        pass
    threads = set(threading.enumerate())
    files = open_files()
    with Server() as server, Server(data_dir=tmp_path) as stored:
        with Wire(server) as idle, Wire(server) as busy, Wire(stored) as writing:
            busy.connect()
            busy.create(b"/a")
            writing.connect()
            writing.create(b"/a")
            server.reset()
            stored.restart()
            assert idle.at_end() and busy.at_end() and writing.at_end()
        left = Wire(server)
        left.connect()
    with left:
        assert left.at_end()
    assert refused(server) and refused(stored)
    assert set(threading.enumerate()) == threads
    assert open_files() == files


def test_before_the_first_start_there_is_no_address() -> None:
    server = Server()
    assert repr(server) == "<zkpy.testing.Server never started stopped>"
    with pytest.raises(RuntimeError, match="was not started"):
        _ = server.hosts


def test_what_needs_a_running_server_says_so() -> None:
    server = Server()
    for call in (server.reset, server.restart):
        with pytest.raises(RuntimeError, match="not running"):
            call()
    server.stop()


def test_starting_it_twice_is_an_error() -> None:
    with Server() as server:
        with pytest.raises(RuntimeError, match=f"running already, at {server.hosts}"):
            server.start()
        assert server.running


def test_it_can_be_started_again_on_its_port() -> None:
    server = Server()
    server.start()
    port = server.port
    server.stop()
    with server:
        assert server.port == port
        with Wire(server) as wire:
            assert wire.connect()[0] == 4000


def test_a_port_that_is_in_use_is_reported_and_harms_nothing() -> None:
    with Server() as first:
        second = Server(port=first.port)
        with pytest.raises(ConfigError, match="cannot listen on"):
            second.start()
        assert not second.running
    with second:
        assert second.port == first.port


def test_two_at_once_know_nothing_of_each_other() -> None:
    with (
        Server() as one,
        Server() as two,
        kazoo_client(one.hosts) as client_one,
        kazoo_client(two.hosts) as client_two,
    ):
        client_one.create("/one")
        assert one.port != two.port
        assert client_two.exists("/one") is None
        one.reset()
        assert two.running
        assert client_two.exists("/zookeeper") is not None


def test_settings_reach_the_server() -> None:
    with Server(settings={"maxSessionTimeout": 1000, "tickTime": 100}) as server, Wire(server) as wire:
        assert wire.connect()[0] == 1000


def test_warnings_of_the_configuration_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Server(settings={"snapCount": "many"}):
        pass
    assert "snapCount=many is not a number" in caplog.text


# Reset, restart, outage


def test_reset_gives_an_empty_tree() -> None:
    with Server() as server:
        for _ in range(3):
            with kazoo_client(server.hosts) as client:
                assert client.get_children("/") == ["zookeeper"]
                client.create("/a")
            server.reset()


def test_a_client_that_is_still_there_loses_its_session_and_goes_on() -> None:
    with Server() as server, watched(server.hosts) as (client, states):
        client.create("/a", ephemeral=True)
        server.reset()
        assert next_states(states, 3) == [KazooState.SUSPENDED, KazooState.LOST, KazooState.CONNECTED]
        assert client.get_children("/") == ["zookeeper"]
        client.create("/a", ephemeral=True)


def test_zxids_and_session_ids_are_never_given_out_twice() -> None:
    zxids, sessions = [], []
    with Server() as server:
        for again in (server.reset, server.restart, server.reset, server.stop):
            with Wire(server) as wire:
                sessions.append(wire.connect()[1])
                zxids.append(wire.create(b"/a"))
            again()
        server.start()
        with Wire(server) as wire:
            sessions.append(wire.connect(seen=zxids[-1])[1])
    assert zxids == sorted(set(zxids))
    assert sessions == sorted(set(sessions))


def test_a_session_from_before_a_reset_has_expired() -> None:
    with Server() as server:
        with Wire(server) as wire:
            _, session_id, password = wire.connect()
            zxid = wire.create(b"/a")
        server.reset()
        with Wire(server) as wire:
            assert wire.connect(session_id, password, seen=zxid)[0] == 0
            assert wire.at_end()


def test_a_server_with_a_data_directory_is_not_reset(tmp_path: Path) -> None:
    with Server(data_dir=tmp_path) as server:
        with pytest.raises(RuntimeError, match=f"keeps its data in {tmp_path}"):
            server.reset()
        assert server.running


def test_restart_keeps_data_and_sessions_on_disk(tmp_path: Path) -> None:
    with Server(data_dir=tmp_path) as server, watched(server.hosts) as (client, states):
        client.create("/kept", b"data")
        client.create("/mine", ephemeral=True)
        port, session = server.port, client.client_id
        server.restart()
        assert next_states(states, 2) == [KazooState.SUSPENDED, KazooState.CONNECTED]
        assert server.port == port
        assert client.client_id == session
        assert client.get("/kept")[0] == b"data"
        assert client.exists("/mine") is not None


def test_another_server_finds_the_data(tmp_path: Path) -> None:
    with Server(data_dir=tmp_path) as server, Wire(server) as wire:
        wire.connect()
        wire.create(b"/kept")
    with Server(data_dir=tmp_path) as server, kazoo_client(server.hosts) as client:
        assert client.exists("/kept") is not None


def test_restart_in_memory_forgets_everything() -> None:
    with Server() as server, watched(server.hosts) as (client, states):
        client.create("/a")
        server.restart()
        assert next_states(states, 3) == [KazooState.SUSPENDED, KazooState.LOST, KazooState.CONNECTED]
        with pytest.raises(NoNodeError):
            client.get("/a")


def test_during_an_outage_clients_are_refused_and_the_port_is_kept() -> None:
    with Server() as server, Wire(server) as wire:
        with server.outage():
            assert wire.at_end()
            assert refused(server)
            with socket.socket() as other, pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
                other.bind((server.host, server.port))
            for call in (server.reset, server.restart):
                with pytest.raises(RuntimeError, match="down"):
                    call()
        with Wire(server) as again:
            assert again.connect()[0] == 4000


def test_an_outage_ends_when_its_block_fails() -> None:
    with Server() as server:
        with pytest.raises(ZeroDivisionError), server.outage():
            raise ZeroDivisionError
        with Wire(server) as wire:
            assert wire.connect()[0] == 4000


def test_a_server_may_be_stopped_during_an_outage() -> None:
    with Server() as server:
        with server.outage():
            server.stop()
        assert not server.running


# Errors


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that crashes of the first bytes it receives."""

    def read(channel: SocketChannel) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(SocketChannel, "read", read)
    return Server()


def crash(server: Server) -> None:
    with Wire(server) as wire:
        wire.sock.sendall(b"ruok")
        assert wire.at_end()
    # Its connections are cut a moment before it is over.
    assert server._loop is not None
    server._loop._thread.join(PATIENCE_S)


def test_a_crash_surfaces_at_the_end(fragile: Server) -> None:
    with pytest.raises(ServerCrashed, match="AssertionError: a bug") as caught, fragile:
        crash(fragile)
    assert isinstance(caught.value.__cause__, AssertionError)
    assert not fragile.running


def test_a_crash_surfaces_in_the_next_call(fragile: Server) -> None:
    with fragile:
        crash(fragile)
        with pytest.raises(ServerCrashed):
            fragile.reset()
        # Once is enough: now it is a server that does not run, and may be started.
        assert not fragile.running
        fragile.start()


def test_a_crash_surfaces_when_it_is_started_again(fragile: Server) -> None:
    fragile.start()
    crash(fragile)
    with pytest.raises(ServerCrashed):
        fragile.start()
    with fragile:
        assert fragile.running


def test_a_crash_under_a_call_does_not_leave_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reset(server: TrioServer) -> None:
        server._nursery.start_soon(_fail)
        await trio.sleep_forever()

    monkeypatch.setattr(TrioServer, "reset", reset)
    with Server() as server, pytest.raises(ServerCrashed, match="a bug"):
        server.reset()


async def _fail() -> None:
    raise AssertionError("a bug")


def test_what_goes_wrong_in_a_restart_is_raised_there(tmp_path: Path) -> None:
    with Server(data_dir=tmp_path) as server:
        with Wire(server) as wire:
            wire.connect()
            wire.create(b"/a")
        with pytest.raises(CorruptLogError), server.outage():  # noqa: PT012
            for file in (tmp_path / "version-2").glob("log.*"):
                file.write_bytes(b"no log" * 10)


def test_renew_makes_it_good_again_and_reports(fragile: Server) -> None:
    fragile.renew()
    fragile.renew()
    crash(fragile)
    with pytest.raises(ServerCrashed):
        fragile.renew()
    assert fragile.running
    fragile.stop()


# Around it


def test_several_threads_may_use_it() -> None:
    with Server() as server:
        errors: list[BaseException] = []

        def use() -> None:
            try:
                for _ in range(10):
                    server.reset()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not errors
        with Wire(server) as wire:
            assert wire.connect()[0] == 4000


def test_in_an_asyncio_program() -> None:
    async def main() -> bytes:
        with Server() as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"srvr")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            server.reset()
            return answer

    assert b"Mode: standalone" in asyncio.run(main())


def test_in_a_trio_program() -> None:
    async def main() -> bytes:
        with Server() as server:
            stream = await trio.open_tcp_stream(server.host, server.port)
            async with stream:
                await stream.send_all(b"srvr")
                return b"".join([chunk async for chunk in stream])

    assert b"Mode: standalone" in trio.run(main)


def test_a_program_that_forgets_to_stop_it_ends() -> None:
    code = "import zkpy.testing; server = zkpy.testing.Server().start(); print(server.port > 0)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, zkpy.testing; "
        "print(*sorted(name for name in sys.modules if name.startswith(('zkpy', 'trio', 'attr'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["zkpy", "zkpy.testing"]


def test_the_package_names_what_it_has() -> None:
    assert dir(zkpy.testing) == ["Server", "ServerCrashed", "TrioServer", "open_server"]
    assert all(hasattr(zkpy.testing, name) for name in dir(zkpy.testing))
    assert not hasattr(zkpy.testing, "Sever")
