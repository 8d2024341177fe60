"""A configuration of several znodes that nobody ever sees half-written.

A new leader has to replace a configuration that is spread over many znodes, while others read it. Each znode
changes atomically, all together do not. One more znode, *ready*, makes them a whole::

    /config/address    \\
    /config/port        }  written while there is no "ready"
    /config/version    /
    /config/ready          deleted first, created last

The writer deletes *ready*, changes what it likes, and creates *ready*. ZooKeeper carries out a client's
requests in order, so whoever sees *ready* sees all that was written before it. And if the writer dies half
way, there is no *ready*: readers wait until another writer has finished.

A reader has to notice that *ready* went away while it was reading, which is what it looks twice for.

There must be one writer at a time; ``example_lock.py`` shows how to make sure of that.

Run it with ``python examples/example_ready_config.py [HOST:PORT]``; without an address it starts a server.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

import zkpy.testing

PATIENCE_S = 30


def begin(client: KazooClient, path: str) -> None:
    """Tell everybody that the configuration is about to change."""
    client.ensure_path(path)
    if client.exists(f"{path}/ready"):
        client.delete(f"{path}/ready")


def put(client: KazooClient, path: str, config: Mapping[str, str]) -> None:
    """Write the parts; only between `begin` and `finish`."""
    for name in config:
        client.ensure_path(f"{path}/{name}")
    # All at once and then wait for all: the order is kept anyway, and it takes one round trip.
    writes = [client.set_async(f"{path}/{name}", value.encode()) for name, value in config.items()]
    for write in writes:
        write.get()


def finish(client: KazooClient, path: str) -> None:
    """Tell everybody that the configuration is complete."""
    client.create(f"{path}/ready")


def write_config(client: KazooClient, path: str, config: Mapping[str, str]) -> None:
    """Replace the configuration."""
    begin(client, path)
    put(client, path, config)
    finish(client, path)


def read_config(
    client: KazooClient, path: str, on_wait: Callable[[], object] = lambda: None
) -> dict[str, str]:
    """A complete configuration; waits for one, and calls *on_wait* when it has to."""
    while True:
        before = wait_until_ready(client, path, on_wait)
        try:
            names = [name for name in client.get_children(path) if name != "ready"]
            reads = [(name, client.get_async(f"{path}/{name}")) for name in names]
            config = {name: read.get()[0].decode() for name, read in reads}
        except NoNodeError:
            continue  # a writer is at work
        # The zxid of a znode's creation is its identity: the same one means that "ready" was there all the
        # time. (A watch on it is sent before any later data, too. But kazoo calls watchers in a thread of
        # their own, and this thread might look at its flag before that one has set it.)
        after = client.exists(f"{path}/ready")
        if after is not None and after.czxid == before:
            return config


def wait_until_ready(client: KazooClient, path: str, on_wait: Callable[[], object]) -> int:
    """Return the zxid that created *ready*, as soon as there is one."""
    while True:
        changed = threading.Event()
        stat = client.exists(f"{path}/ready", watch=lambda event, changed=changed: changed.set())
        if stat is not None:
            return int(stat.czxid)
        on_wait()
        if not changed.wait(PATIENCE_S):
            raise TimeoutError(f"{path} was not ready within {PATIENCE_S} s")


# What a run proves: pytest collects these.

PARTS = [f"part{number}" for number in range(8)]


class Reader(threading.Thread):
    """Reads the configuration over and over until it sees version *last*; notifies *progress* of each."""

    def __init__(self, hosts: str, last: int, progress: threading.Condition | None = None) -> None:
        super().__init__()
        self.client = KazooClient(hosts)
        self.client.start()
        self.last = last
        self.progress = progress or threading.Condition()
        self.waiting = threading.Event()
        self.seen: list[dict[str, str]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while self.version() != self.last:
                config = read_config(self.client, "/config", self.waiting.set)
                with self.progress:
                    self.seen.append(config)
                    self.progress.notify_all()
        except BaseException as error:
            self.error = error

    def version(self) -> int:
        """What it saw last; 0 at first."""
        return int(self.seen[-1]["part0"]) if self.seen else 0

    def close(self) -> None:
        self.client.stop()
        self.client.close()


def observe(hosts: str, versions: int, readers: int) -> list[list[int]]:
    """Write that many versions while others read; returns the versions that each of them saw."""
    progress = threading.Condition()
    watching = [Reader(hosts, versions, progress) for _ in range(readers)]
    writer = KazooClient(hosts)
    writer.start()
    try:
        for reader in watching:
            reader.start()
        for version in range(1, versions + 1):
            write_config(writer, "/config", dict.fromkeys(PARTS, str(version)))
            # Go on when somebody has seen it: the others are then in the middle of reading. A writer without
            # any pause would starve its readers.
            with progress:
                seen = progress.wait_for(
                    lambda version=version: any(reader.version() == version for reader in watching),
                    PATIENCE_S,
                )
                assert seen, "nobody reads"
        for reader in watching:
            reader.join(PATIENCE_S)
            if reader.error is not None:
                raise reader.error
    finally:
        for reader in watching:
            reader.close()
        writer.stop()
        writer.close()
    for reader in watching:
        for config in reader.seen:
            assert sorted(config) == PARTS, "a part is missing"
            assert len(set(config.values())) == 1, f"half-written: {config}"
    return [[int(config["part0"]) for config in reader.seen] for reader in watching]


def test_readers_see_whole_configurations_that_never_go_back(zk_hosts: str) -> None:
    for seen in observe(zk_hosts, versions=40, readers=3):
        assert seen == sorted(seen)
        assert seen[-1] == 40


def test_readers_wait_when_the_writer_dies_half_way(zk_hosts: str, zk_client: KazooClient) -> None:
    write_config(zk_client, "/config", dict.fromkeys(PARTS, "1"))
    dying = KazooClient(zk_hosts)
    dying.start()
    begin(dying, "/config")
    put(dying, "/config", dict.fromkeys(PARTS[:4], "2"))
    dying.stop()
    dying.close()
    assert {zk_client.get(f"/config/{part}")[0] for part in PARTS} == {b"1", b"2"}, "not half-written"
    reader = Reader(zk_hosts, last=3)
    try:
        reader.start()
        assert reader.waiting.wait(PATIENCE_S)
        write_config(zk_client, "/config", dict.fromkeys(PARTS, "3"))
        reader.join(PATIENCE_S)
    finally:
        reader.close()
    assert reader.error is None
    assert reader.seen == [dict.fromkeys(PARTS, "3")]


def main() -> None:
    if len(sys.argv) > 1:
        report(sys.argv[1])
        return
    with zkpy.testing.Server() as server:
        report(server.hosts)


def report(hosts: str) -> None:
    for seen in observe(hosts, versions=20, readers=3):
        print(f"{len(seen)} whole configurations read, versions {seen[0]} to {seen[-1]}")


if __name__ == "__main__":
    main()
