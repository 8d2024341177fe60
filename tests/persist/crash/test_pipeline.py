"""The real pipeline on a disk that fails: after a failed write or sync nothing more is acknowledged.

A client creates /n1, /n2, ... while each call of the disk fails in its turn, once or from then on. The server
stops or goes on; either way what a power cut leaves then is a prefix of what was sent that holds everything
acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import Iterator

import attrs
import pytest
import trio
import trio.testing

from compat import wire
from tests.harness import Peer
from tests.persist.crash.disk import CrashDisk
from tests.persist.crash.rule import describe
from zkpy.config import Config, embedded_config
from zkpy.errors import StorageError
from zkpy.node import new_tree
from zkpy.persist.store import Store
from zkpy.persist.txnsnaplog import DataDir
from zkpy.pipeline.sync import SyncStage
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.server.service import Service

DIRECTORY = "/d"
ROUNDS = 12
CONFIG: Config = attrs.evolve(
    embedded_config(data_dir=DIRECTORY), snap_count=12, pre_alloc_size_kb=0, commit_log_count=500
)


class World:
    """A server core on a disk; has what `tests.harness.Peer` needs."""

    def __init__(self, disk: CrashDisk) -> None:
        self.disk = disk
        self.seconds = 1000.0
        self.store = Store(CONFIG, disk, random.Random(1))
        tree = self.store.restore(lambda: new_tree(CONFIG))
        self.server = ZooKeeperServer(
            CONFIG,
            tree,
            log=self.store.log,
            wall_ms=lambda: 1_700_000_000_000,
            clock=lambda: self.seconds,
            random=random.Random(1),
        )
        self.service = Service(self.server)
        self.server.send_some = self.send_some
        self.store.attach(self.server)

    def send_some(self) -> bool:
        for cnxn in self.service.next_dirty():
            cnxn.channel.flush()
        self.service.resume_ready()
        return bool(self.service.dirty)

    def settle(self) -> None:
        self.server.flush()
        while self.send_some():
            pass

    async def quiet(self) -> None:
        """Until nothing happens any more."""
        await trio.testing.wait_all_tasks_blocked()
        while self.disk.reports:
            self.disk.reports.pop(0)()
            self.settle()
            await trio.testing.wait_all_tasks_blocked()


class Outcome:
    """What a client saw: how many creates were acknowledged, how many sent; whether the server stopped."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.sent = 0
        self.error: StorageError | None = None
        self.failed = ""
        self.before = 0


async def _work(world: World, outcome: Outcome) -> None:
    client = Peer(world)  # type: ignore[arg-type]
    client.feed(wire.connect_frame())
    await world.quiet()
    client.channel.frames()
    for _ in range(ROUNDS):
        data = b""
        for _ in range(3):
            outcome.sent += 1
            data += wire.request(outcome.sent, wire.CREATE, wire.create_body(f"/n{outcome.sent}", b"x" * 30))
        if not outcome.failed:
            outcome.before = outcome.acknowledged
        client.feed(data)
        await world.quiet()
        for reply in client.replies():
            assert (reply.xid, reply.err) == (outcome.acknowledged + 1, 0)
            outcome.acknowledged += 1


async def _serve(world: World, outcome: Outcome) -> None:
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.server.sync.run)
            nursery.start_soon(world.store.run)
            try:
                await _work(world, outcome)
            except StorageError as error:  # met by the loop that reads requests
                outcome.error = error
            nursery.cancel_scope.cancel()
    except* StorageError as group:
        outcome.error = group.exceptions[0]  # type: ignore[assignment]
    with contextlib.suppress(StorageError):
        world.settle()  # nothing that was held back gets out after that


def run(at: int, *, sticky: bool, reporting: bool) -> tuple[Outcome, CrashDisk]:
    """Serve while call *at* fails."""
    disk = CrashDisk(directories=(f"{DIRECTORY}/version-2",))
    world = World(disk)
    disk.reporting = reporting
    outcome = Outcome()
    left = at

    def fault(operation: str, path: str) -> None:
        nonlocal left
        left -= 1
        if left == -1 or (sticky and left < 0):
            outcome.failed = outcome.failed or f"{operation} {path}"
            raise OSError(errno.ENOSPC if sticky else errno.EIO, "injected")

    disk.on_call = fault
    trio.run(_serve, world, outcome)
    disk.on_call = None
    world.store.close()
    return outcome, disk


def outcomes(*, sticky: bool, reporting: bool) -> Iterator[tuple[Outcome, CrashDisk]]:
    """One for each call."""
    for at in range(10_000):
        outcome, disk = run(at, sticky=sticky, reporting=reporting)
        if not outcome.failed:
            return
        yield outcome, disk


def check(outcome: Outcome, disk: CrashDisk) -> None:
    """What is left by a power cut, and what a restarted process finds."""
    for image in (*disk.images(6, random.Random(1)), disk.shown()):
        left = CrashDisk(image, (f"{DIRECTORY}/version-2",))
        tree = DataDir(left, DIRECTORY).restore(lambda: new_tree(CONFIG)).tree
        found = {int(path[2:]) for path in tree.nodes if path.startswith(b"/n")}
        where = f"{outcome.failed}, {outcome.acknowledged} acknowledged, {sorted(found)}\n{describe(image)}"
        assert found == set(range(1, len(found) + 1)), where
        assert outcome.acknowledged <= len(found) <= outcome.sent, where


@pytest.mark.parametrize("reporting", [False, True])
@pytest.mark.parametrize("sticky", [False, True])
def test_each_call_fails(sticky: bool, reporting: bool) -> None:
    stopped = count = 0
    for outcome, disk in outcomes(sticky=sticky, reporting=reporting):
        count += 1
        check(outcome, disk)
        operation, _, path = outcome.failed.partition(" ")
        of_the_log = "/log." in path or (operation == "sync_dir" and outcome.error is not None)
        if of_the_log:
            assert outcome.error is not None, outcome.failed
            assert outcome.acknowledged <= outcome.before + 3, outcome.failed
        if outcome.error is not None:
            stopped += 1
            assert "injected" in str(outcome.error)
        elif not sticky:
            assert outcome.acknowledged == 3 * ROUNDS, outcome.failed
    assert count > 20
    assert stopped > 10


def test_without_failures_everything_is_acknowledged() -> None:
    outcome, disk = run(10_000, sticky=False, reporting=True)
    assert (outcome.acknowledged, outcome.error) == (3 * ROUNDS, None)
    check(outcome, disk)


def test_a_swallowed_failure_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    synced = SyncStage._synced
    monkeypatch.setattr(SyncStage, "_synced", lambda self, error: synced(self, None))

    def check_all() -> None:
        for outcome, disk in outcomes(sticky=False, reporting=True):
            check(outcome, disk)

    with pytest.raises(AssertionError):
        check_all()


def test_the_check_sees_what_is_missing() -> None:
    outcome, disk = run(10_000, sticky=False, reporting=False)
    outcome.acknowledged += 1
    outcome.sent += 1
    with pytest.raises(AssertionError):
        check(outcome, disk)
