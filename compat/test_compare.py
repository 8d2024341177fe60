"""``zkpy compare`` before a real server: what applications do shows no difference that is not explained."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoAuthError, NoNodeError, NotEmptyError
from kazoo.protocol.states import WatchedEvent
from kazoo.security import make_digest_acl

from compat import realzk, wire
from compat.zkpyserver import environment
from tests.compare.world import Client

CLIENTS = 4
ROUNDS = 40
LEAST_REQUESTS = 1000


class Comparison:
    """A running ``zkpy compare``; ``end`` gives what it has found."""

    def __init__(self, process: subprocess.Popen[str], address: str, report: Path) -> None:
        self.process = process
        self.address = address
        self.report = report

    def end(self) -> tuple[int, str, list[dict[str, object]]]:
        """Exit status, the rest of stdout, the findings."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=30)
        findings = [json.loads(line) for line in self.report.read_text().splitlines()]
        return status, self.process.stdout.read(), findings


@contextmanager
def comparison(address: str, folder: Path, *more: str) -> Iterator[Comparison]:
    report = folder / "findings.jsonl"
    options = ["--with", address, "--listen", "127.0.0.1:0", "--report", str(report), *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "compare", *options, "-Dzookeeper.extendedTypesEnabled=true"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=folder,
    )
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        assert words[:3] == ["zkpy", "compare", "ready"]
        yield Comparison(process, words[3], report)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def clients(address: str, count: int) -> Iterator[list[KazooClient]]:
    started = []
    try:
        for _ in range(count):
            client = KazooClient(address, timeout=10)
            client.start(timeout=20)
            started.append(client)
        yield started
    finally:
        for client in started:
            client.stop()
            client.close()


def together(count: int, work: object) -> None:
    """Run *work* with the numbers below *count*, at once."""
    assert callable(work)
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def recipes(all_clients: list[KazooClient]) -> None:
    """Locks, elections, queues, counters and barriers, each used by all clients at once."""
    counted = []

    def work(number: int) -> None:
        client = all_clients[number]
        counter = client.Counter("/recipes/counter")
        queue = client.Queue("/recipes/queue")
        for turn in range(ROUNDS // 5):
            with client.Lock("/recipes/lock", str(number)):
                counted.append(number)
            client.Election("/recipes/election", str(number)).run(counted.append, number)
            counter += 1
            queue.put(b"%d-%d" % (number, turn), priority=turn)
            queue.get()
        client.DoubleBarrier("/recipes/barrier", len(all_clients)).enter()

    together(len(all_clients), work)
    assert all_clients[0].Counter("/recipes/counter").value == len(all_clients) * (ROUNDS // 5)


def sequences(all_clients: list[KazooClient]) -> None:
    """Sequence numbers, versions and deletions by all clients at once."""
    all_clients[0].ensure_path("/seq")

    def work(number: int) -> None:
        client = all_clients[number]
        for turn in range(ROUNDS):
            path = client.create("/seq/n-", b"%d" % turn, sequence=True, ephemeral=turn % 2 == 0)
            client.set(path, b"changed")
            client.set_async("/seq", b"%d" % number)
            names = client.get_children("/seq")
            client.exists(f"/seq/{names[0]}")
            if turn % 3 == 0:
                client.delete(path)

    together(len(all_clients), work)


def watches(one: KazooClient, two: KazooClient) -> None:
    """One-shot and lasting watches, and those that are set again after a lost connection."""
    seen: list[WatchedEvent] = []
    arrived = threading.Semaphore(0)

    def watcher(event: WatchedEvent) -> None:
        seen.append(event)
        arrived.release()

    def wait(count: int) -> None:
        for _ in range(count):
            assert arrived.acquire(timeout=20)

    one.create("/watched", b"0")
    one.get("/watched", watch=watcher)
    one.get_children("/watched", watch=watcher)
    one.exists("/watched/child", watch=watcher)
    two.create("/watched/child", b"", ephemeral=True)
    wait(2)
    two.set("/watched", b"1")
    wait(1)
    one.get("/watched", watch=watcher)
    one.exists("/watched/later", watch=watcher)
    lost = threading.Event()
    back = threading.Event()
    one.add_listener(lambda state: back.set() if state == "CONNECTED" else lost.set())
    one._connection._socket.shutdown(2)
    assert lost.wait(20)
    assert back.wait(20)
    two.set("/watched", b"2")
    two.create("/watched/later")
    wait(2)
    assert len(seen) == 5


def transactions(one: KazooClient, two: KazooClient) -> None:
    for turn in range(ROUNDS):
        transaction = (one, two)[turn % 2].transaction()
        transaction.create(f"/t{turn}", b"x")
        transaction.set_data("/watched", b"t")
        transaction.check("/watched", turn)
        if turn % 4 == 0:
            transaction.delete("/absent")
        transaction.commit()


def errors_and_acls(one: KazooClient, two: KazooClient) -> None:
    one.add_auth("digest", "user:secret")
    one.create("/private", b"s", acl=[make_digest_acl("user", "secret", all=True)])
    for call in (two.get, two.get_children):
        with pytest.raises(NoAuthError):
            call("/private")
    one.get_acls("/private")
    one.set_acls("/private", [make_digest_acl("user", "secret", read=True, admin=True)])
    two.get_acls("/watched")
    with pytest.raises(NoAuthError):
        one.set("/private", b"")
    with pytest.raises(NoNodeError):
        two.set("/absent", b"")
    with pytest.raises(BadVersionError):
        two.delete("/watched", version=12345)
    with pytest.raises(NotEmptyError):
        two.delete("/watched")


def test_applications_see_no_difference(tmp_path: Path) -> None:
    properties = {"zookeeper.extendedTypesEnabled": "true"}
    with realzk.RealServer({}, properties) as real, comparison(real.address, tmp_path) as compared:
        with clients(compared.address, CLIENTS) as all_clients:
            one, two = all_clients[:2]
            recipes(all_clients)
            sequences(all_clients)
            watches(one, two)
            transactions(one, two)
            errors_and_acls(one, two)
        status, said, findings = compared.end()
    assert findings == []
    assert status == 0, said
    requests = int(said.split()[2].rstrip(","))
    assert requests > LEAST_REQUESTS, said


def test_a_difference_is_found(tmp_path: Path) -> None:
    with realzk.RealServer() as real, comparison(real.address, tmp_path) as compared:
        with clients(compared.address, 1) as (client,):
            client.create("/a", b"one")
            with clients(real.address, 1) as (direct,):
                direct.set("/a", b"other")
            assert client.get("/a")[0] == b"one"
        status, said, findings = compared.end()
    assert status == 1
    assert "* data: 'one' | 'other'" in said
    assert [found["operation"] for found in findings if "data" in str(found["differing"])] == ["getData"]


def raw_client(address: str, timeout_ms: int = 10_000) -> Client:
    client = Client(address)
    client.connect(timeout_ms=timeout_ms)
    return client


def deleted(client: Client) -> set[str]:
    """The paths of the next NodeDeleted."""
    while True:
        frame = client.receive()
        assert frame is not None
        if frame[:4] == wire.i32(-1) and frame[16:20] == wire.i32(2):
            return {frame[28:].decode()}


def test_what_servers_remove_by_themselves_is_no_difference(tmp_path: Path) -> None:
    """Containers, TTL znodes and the ephemerals of silent sessions, while others write."""
    properties = {"zookeeper.extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "300"}
    (tmp_path / "zoo.cfg").write_text("tickTime=500\ndataDir=/nonexistent\nclientPort=1\n")
    options = [str(tmp_path / "zoo.cfg"), "-Dznode.container.checkIntervalMs=300"]
    with (
        realzk.RealServer({"tickTime": "500"}, properties) as real,
        comparison(real.address, tmp_path, *options) as compared,
    ):
        writer, watcher = raw_client(compared.address), raw_client(compared.address)
        assert watcher.call(wire.ADD_WATCH, wire.text("/own") + wire.i32(1)) == 0
        assert (writer.create("/own"), writer.create("/plain")) == (0, 0)
        for turn in range(3):
            silent = raw_client(compared.address, 1000)
            assert silent.create(f"/own/e{turn}", flags=1) == 0
            ttl = wire.create_body(f"/own/t{turn}", flags=5, ttl=200)
            assert writer.call(wire.CREATE_TTL, ttl) == 0
            container = wire.create_body(f"/own/c{turn}", flags=4)
            assert writer.call(wire.CREATE_CONTAINER, container) == 0
            assert writer.create(f"/own/c{turn}/x") == 0
            assert writer.call(wire.DELETE, wire.text(f"/own/c{turn}/x") + wire.i32(-1)) == 0
            gone: set[str] = set()
            while not {f"/own/{kind}{turn}" for kind in "etc"} <= gone:
                gone |= deleted(watcher)
                assert writer.set("/plain", b"%d" % turn) == 0
                assert writer.get("/plain") == 0
            silent.wire.close()
        with raw_change(real.address):
            assert writer.get("/plain") == 0
        writer.close()
        watcher.close()
        status, said, findings = compared.end()
    differences = [found for found in findings if found["kind"] == "difference"]
    assert [found["operation"] for found in differences] == ["getData"], said
    assert "data" in str(differences[0]["differing"])
    assert status == 1


@contextmanager
def raw_change(address: str) -> Iterator[None]:
    """Change the real server's /plain, without the proxy."""
    direct = raw_client(address)
    assert direct.set("/plain", b"other") == 0
    yield
    direct.close()


def test_a_killed_server_is_told_as_that(tmp_path: Path) -> None:
    with realzk.RealServer() as real, comparison(real.address, tmp_path) as compared:
        with clients(compared.address, 2) as (one, two):
            one.create("/a", b"")
            real.kill()
            assert (one.get("/a")[0], two.get("/a")[0]) == (b"", b"")
            with clients(compared.address, 1) as (three,):
                assert three.get("/a")[0] == b""
        status, said, _ = compared.end()
    assert status == 1
    assert said.count("note: the comparison has ended (the real server cannot be reached any more)") == 1
    assert "nothing more is compared on this connection" not in said
    assert "differences: 1\n" in said
