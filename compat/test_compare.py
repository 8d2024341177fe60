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

from compat import realzk
from compat.zkpyserver import environment

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
def comparison(address: str, folder: Path) -> Iterator[Comparison]:
    report = folder / "findings.jsonl"
    options = ["--with", address, "--listen", "127.0.0.1:0", "--report", str(report)]
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
