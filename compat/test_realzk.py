"""Real servers on tap: each kind of them starts, serves, stops and goes on with its data."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kazoo.client import KazooClient

from compat import realzk
from compat.ensemble import RealEnsemble
from compat.process import HOST, PortTaken, ServerFailed, four_letters, free_port


@contextmanager
def client(hosts: str) -> Iterator[KazooClient]:
    connected = KazooClient(hosts, timeout=10)
    connected.start()
    try:
        yield connected
    finally:
        connected.stop()
        connected.close()


def test_a_server_keeps_its_data_when_it_is_killed() -> None:
    with realzk.RealServer() as server:
        assert four_letters(server.port, "srvr").startswith("Zookeeper version: 3.9.5-")
        with client(server.address) as zk:
            zk.create("/kept", b"data")
        address = server.address
        server.kill()
        with pytest.raises(OSError, match="refused"):
            four_letters(server.port, "srvr")
        server.start()
        assert server.address == address
        with client(address) as zk:
            assert zk.get("/kept")[0] == b"data"


def test_a_server_that_cannot_start_shows_its_log() -> None:
    server = realzk.RealServer({"tickTime": "soon"})
    with (
        pytest.raises(ServerFailed, match=r"(?s)ended with status 2 before .*NumberFormat.*\"soon\""),
        server,
    ):
        pass


def test_a_port_of_another_server_is_noticed() -> None:
    with realzk.RealServer() as server:
        other = realzk.RealServer()
        other.port = server.port
        with pytest.raises(PortTaken), other:
            pass
        assert "Mode: standalone" in four_letters(server.port, "srvr")


def test_an_ensemble_elects_another_leader() -> None:
    with RealEnsemble(3, {"tickTime": "500"}) as servers:
        assert sorted(str(servers.mode(number)) for number in servers.members) == [
            "follower",
            "follower",
            "leader",
        ]
        with client(servers.hosts) as zk:
            zk.create("/kept", b"1")
            first = servers.leader()
            servers.kill(first)
            second = servers.leader(20)
            assert second != first and servers.mode(first) is None
            zk.retry(zk.set, "/kept", b"2")
        servers.restart(first)
        assert servers.mode(first) == "follower"
        with client(servers.members[first].address) as zk:
            zk.sync("/kept")
            assert zk.get("/kept")[0] == b"2"


def test_the_older_server_of_debian() -> None:
    try:
        found = realzk.find(realzk.DEBIAN_VERSION)
    except realzk.ZooKeeperUnavailable as error:
        pytest.skip(str(error))
    admin = str(free_port())
    properties = {"zookeeper.admin.enableServer": "true", "zookeeper.admin.serverAddress": HOST}
    config = {"admin.serverPort": admin, "admin.enableServer": "true"}
    with realzk.RealServer(config, properties, jars=found.classpath) as server:
        assert four_letters(server.port, "srvr").startswith("Zookeeper version: 3.8.0-")
        assert "INFO" in server.log()
        with client(server.address) as zk:
            zk.create("/a", b"data")
            assert zk.get("/a")[0] == b"data"
        deadline = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{admin}/commands/ruok", timeout=5) as answer:
                    assert json.load(answer)["command"] == "ruok"
                break
            except OSError:
                assert time.monotonic() < deadline, server.log()
                time.sleep(0.1)
