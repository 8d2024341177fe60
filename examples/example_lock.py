"""A lock for many processes, without a herd.

Everybody who wants the lock creates a znode under one parent, *ephemeral* (it goes when its client's session
goes, so a crashed holder cannot keep the lock) and *sequential* (the server appends a rising number)::

    /lock/turn-0000000000    holds the lock
    /lock/turn-0000000001    waits for ...0
    /lock/turn-0000000002    waits for ...1

The lowest number holds the lock. Everybody else waits for one thing only, that the znode just before its own
goes. If all of them watched the parent instead, each release would wake the whole herd, to let a single one
win; here each release wakes exactly one client.

Run it with ``python examples/example_lock.py [HOST:PORT]``; without an address it starts a server itself.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from kazoo.client import KazooClient

import zkpy.testing

PATIENCE_S = 30


class Lock:
    """The lock at *path*, as one client uses it: ``with Lock(client, "/lock"): ...``.

    ``wakeups`` counts how often this client was woken while it waited.

    A production lock (``kazoo.recipe.lock.Lock``) does one thing more: when the connection breaks during
    ``create``, nobody knows whether the znode exists, so it puts an id of its own into the name to look for.
    """

    def __init__(self, client: KazooClient, path: str) -> None:
        self.client = client
        self.path = path
        self.name = ""
        self.wakeups = 0

    def __enter__(self) -> Lock:
        created = self.client.create(f"{self.path}/turn-", ephemeral=True, sequence=True, makepath=True)
        self.name = created.rpartition("/")[2]
        while True:
            queue = sorted(self.client.get_children(self.path))
            position = queue.index(self.name)
            if position == 0:
                return self
            self._wait_until_gone(f"{self.path}/{queue[position - 1]}")
            # Look again: the one before may have given up or crashed while it was itself waiting.

    def _wait_until_gone(self, predecessor: str) -> None:
        gone = threading.Event()
        # One request asks and watches. Asking first and watching later could miss the deletion in between.
        if self.client.exists(predecessor, watch=lambda event: gone.set()):
            if not gone.wait(PATIENCE_S):
                raise TimeoutError(f"{predecessor} did not go within {PATIENCE_S} s")
            self.wakeups += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.delete(f"{self.path}/{self.name}")


class Worker(threading.Thread):
    """A client of its own that takes the lock once and notes its name in *log* on entry and on leaving.

    *alone* proves that nobody else is inside: it is a lock that nobody may ever have to wait for.
    """

    def __init__(self, hosts: str, path: str, log: list[str], alone: threading.Lock) -> None:
        super().__init__()
        self.client = KazooClient(hosts)
        self.lock = Lock(self.client, path)
        self._log = log
        self._alone = alone
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.lock:
                assert self._alone.acquire(blocking=False), "two clients hold the lock"
                self._log.append(self.lock.name)
                self._alone.release()
        except BaseException as error:
            self.error = error


def contend(hosts: str, clients: int, path: str = "/lock") -> tuple[list[str], list[int]]:
    """Let *clients* queue up for the lock; returns the order in which they had it, and all their wake-ups."""
    log: list[str] = []
    alone = threading.Lock()
    opener = KazooClient(hosts)
    opener.start()
    workers = [Worker(hosts, path, log, alone) for _ in range(clients)]
    try:
        # We hold the lock ourselves until all are in the queue: otherwise the first might be done before the
        # last arrives, and there would be nothing to see.
        with Lock(opener, path):
            for worker in workers:
                worker.client.start()
                worker.start()
            wait_for_queue(opener, path, clients + 1)
        for worker in workers:
            worker.join(PATIENCE_S)
            if worker.error is not None:
                raise worker.error
    finally:
        for client in [opener, *(worker.client for worker in workers)]:
            client.stop()
            client.close()
    return log, [worker.lock.wakeups for worker in workers]


def wait_for_queue(client: KazooClient, path: str, length: int) -> None:
    """Return when so many have queued up."""
    while True:
        changed = threading.Event()
        if len(client.get_children(path, watch=lambda event, changed=changed: changed.set())) >= length:
            return
        assert changed.wait(PATIENCE_S), "the others did not come"


# What a run proves: pytest collects these.


def test_one_at_a_time_in_the_order_of_arrival(zk_hosts: str) -> None:
    order, _ = contend(zk_hosts, clients=6)
    assert len(order) == 6
    assert order == sorted(order)


def test_each_release_wakes_one_client(zk_hosts: str) -> None:
    _, wakeups = contend(zk_hosts, clients=6)
    # The lock was given up seven times, first by the opener: that woke one client each, not 6 + 5 + 4 + ...
    assert wakeups == [1] * 6


def test_a_waiter_that_crashes_does_not_hand_the_lock_on(zk_hosts: str) -> None:
    log: list[str] = []
    alone = threading.Lock()
    holder, victim = KazooClient(zk_hosts), KazooClient(zk_hosts)
    worker = Worker(zk_hosts, "/lock", log, alone)
    try:
        for client in (holder, victim, worker.client):
            client.start()
        with Lock(holder, "/lock"):
            victim.create("/lock/turn-", ephemeral=True, sequence=True)
            worker.start()
            wait_for_queue(holder, "/lock", 3)
            victim.stop()
            wait_for_shorter_queue(holder, "/lock", 3)
            assert not log
        worker.join(PATIENCE_S)
        assert worker.error is None
        assert log == ["turn-0000000002"]
    finally:
        for client in (holder, victim, worker.client):
            client.stop()
            client.close()


def wait_for_shorter_queue(client: KazooClient, path: str, length: int) -> None:
    """Return when fewer than *length* are in the queue."""
    while True:
        changed = threading.Event()
        if len(client.get_children(path, watch=lambda event, changed=changed: changed.set())) < length:
            return
        assert changed.wait(PATIENCE_S), "nobody left"


def main() -> None:
    if len(sys.argv) > 1:
        report(sys.argv[1])
        return
    with zkpy.testing.Server() as server:
        report(server.hosts)


def report(hosts: str) -> None:
    order, wakeups = contend(hosts, clients=5)
    print("the lock went to", *order)
    print("wake-ups of each client:", *wakeups)


if __name__ == "__main__":
    main()
