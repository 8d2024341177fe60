"""Group commit: nothing is committed before it is durable, and what gathers shares one sync."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from zkpy.errors import StorageError
from zkpy.pipeline.request import Request
from zkpy.pipeline.sync import COMPANY, QUICK_ENOUGH, SyncStage
from zkpy.tree.txns import TxnHeader


class Disk:
    """A log whose syncs end when told; *inline* ones report to a callback, others are awaited."""

    def __init__(self, inline: bool, durable: bool = True) -> None:
        self.inline = inline
        self.durable = durable
        self.appended: list[int] = []
        self.flushed = 0
        self.on_spot = 0
        self.done: Callable[[StorageError | None], None] | None = None
        self.finished = trio.Event()
        self.error: StorageError | None = None

    def append(self, zxid: int, payload: bytes) -> None:
        self.appended.append(zxid)

    def flush(self) -> None:
        self.flushed += 1

    def start_commit(self, done: Callable[[StorageError | None], None]) -> bool:
        self.done = done
        return self.inline

    def commit_on_spot(self) -> bool:
        self.on_spot += self.inline
        return self.inline

    async def commit(self) -> None:
        await self.finished.wait()
        self.finished = trio.Event()
        if self.error is not None:
            raise self.error

    @property
    def pending(self) -> bool:
        return self.durable


class Stage:
    """A stage with its log, and what it committed."""

    def __init__(self, log: Disk | None, **options: int) -> None:
        self.log = log
        self.batches: list[list[int]] = []
        self.settled = 0
        self.clock = 0.0
        self.stage = SyncStage(log, self._commit, self._settle, lambda: self.clock, **options)

    def _commit(self, batch: list[Request]) -> None:
        self.batches.append([request.xid for request in batch])

    async def _settle(self) -> None:
        self.settled += 1

    def submit(self, *xids: int) -> None:
        for xid in xids:
            request = Request(None, 1, xid, 1, b"", (), 0.0)
            request.header = TxnHeader(1, xid, xid, 0)
            request.payload = b"payload" if xid > 0 else b""
            self.stage.submit(request)


def test_without_a_log_a_round_is_committed_at_its_end() -> None:
    stage = Stage(None)
    stage.submit(1, 2)
    assert stage.batches == []
    stage.stage.flush()
    assert stage.batches == [[1, 2]]


def test_requests_wait_for_the_sync_and_gather_behind_it() -> None:
    log = Disk(inline=True)
    stage = Stage(log)
    stage.stage.flush()
    assert not stage.stage.busy
    stage.submit(1)
    stage.stage.flush()
    stage.submit(2, -3)
    stage.stage.flush()
    assert stage.batches == [] and stage.stage.busy and log.appended == [1, 2] and log.flushed == 1
    stage.clock = 0.5
    assert log.done is not None
    log.done(None)
    assert stage.batches == [[1]] and stage.stage.waiting == 2  # those answered may have more to add
    stage.stage.flush()
    assert stage.stage.busy and log.flushed == 2
    log.done(None)
    assert stage.batches == [[1], [2, -3]] and not stage.stage.busy
    assert stage.stage.sync_count == 2 and stage.stage.sync_max_ms == 500.0


def test_without_forced_syncs_written_is_enough() -> None:
    stage = Stage(Disk(inline=False, durable=False))
    stage.submit(1)
    stage.stage.flush()
    assert stage.batches == [[1]] and not stage.stage.busy


@pytest.mark.trio
async def test_a_sync_that_has_to_be_awaited_is_and_its_answers_are_sent() -> None:
    log = Disk(inline=False)
    stage = Stage(log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.stage.run)
        stage.submit(1)
        stage.stage.flush()
        await trio.testing.wait_all_tasks_blocked()
        stage.submit(2)
        assert stage.batches == []
        log.finished.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.batches == [[1]] and stage.settled == 1
        log.finished.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.batches == [[1], [2]] and not stage.stage.busy
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_batch_can_be_held_back_so_that_more_join_it(autojump_clock: trio.testing.MockClock) -> None:
    log = Disk(inline=False)
    stage = Stage(log, delay_ms=50, max_batch=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.stage.run)
        stage.submit(1)
        stage.stage.flush()
        await trio.sleep(0.01)
        stage.submit(2)
        stage.stage.flush()
        assert log.flushed == 0
        log.finished.set()
        await trio.sleep(0.1)
        assert stage.batches == [[1, 2]]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.trio
async def test_a_failed_sync_commits_nothing_and_ends_the_server(inline: bool) -> None:
    log = Disk(inline)
    stage = Stage(log)
    stage.submit(1)
    stage.stage.flush()
    log.error = StorageError("disk is gone")
    if inline:
        assert log.done is not None
        log.done(log.error)
    log.finished.set()
    with pytest.raises(StorageError):
        await stage.stage.run()
    stage.submit(2)
    stage.stage.flush()
    assert stage.batches == []


@pytest.mark.trio
async def test_without_a_log_there_is_nothing_to_run() -> None:
    await Stage(None).stage.run()


def test_a_slow_sync_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    log = Disk(inline=True)
    stage = Stage(log, warn_ms=100)
    stage.submit(1)
    stage.stage.flush()
    stage.clock = 2.0
    assert log.done is not None
    log.done(None)
    assert stage.stage.slow_syncs == 1 and "2000 ms" in caplog.text


def sync_off_loop(stage: Stage, seconds: float) -> None:
    """One request whose sync takes so long."""
    assert stage.log is not None
    stage.submit(1)
    stage.stage.flush(idle=True)
    assert stage.stage.busy and stage.log.done is not None
    stage.clock += seconds
    stage.log.done(None)


def test_only_a_medium_that_proved_quick_is_waited_for_and_only_by_an_idle_loop() -> None:
    log = Disk(inline=True)
    stage = Stage(log)
    for _ in range(QUICK_ENOUGH):
        assert not log.on_spot
        sync_off_loop(stage, 0.0001)
    stage.submit(1)
    stage.stage.flush(idle=True)
    assert log.on_spot == 1 and stage.batches[-1] == [1] and not stage.stage.busy
    stage.submit(2)
    stage.stage.flush()  # others wait for their turn
    assert log.on_spot == 1 and stage.stage.busy


def test_one_slow_sync_sends_the_next_ones_off_the_loop() -> None:
    log = Disk(inline=True)
    stage = Stage(log)
    for _ in range(QUICK_ENOUGH):
        sync_off_loop(stage, 0.0001)
    stage.submit(1)
    log.flush = lambda: setattr(stage, "clock", stage.clock + 0.01)  # type: ignore[method-assign]
    stage.stage.flush(idle=True)
    assert log.on_spot == 1
    for _ in range(QUICK_ENOUGH - 1):
        sync_off_loop(stage, 0.0001)
    assert log.on_spot == 1


def test_many_requests_are_synced_beside_the_loop_even_if_it_is_idle() -> None:
    log = Disk(inline=True)
    stage = Stage(log)
    for _ in range(QUICK_ENOUGH):
        sync_off_loop(stage, 0.0001)
    stage.submit(*range(1, COMPANY + 1))
    stage.stage.flush(idle=True)
    assert log.on_spot == 0 and stage.stage.busy


@pytest.mark.trio
async def test_a_full_batch_ends_the_delay(autojump_clock: trio.testing.MockClock) -> None:
    log = Disk(inline=False)
    stage = Stage(log, delay_ms=60_000, max_batch=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.stage.run)
        stage.submit(1)
        stage.stage.flush()
        await trio.testing.wait_all_tasks_blocked()
        stage.submit(2, 3)
        stage.stage.flush()
        log.finished.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.batches == [[1, 2, 3]]
        assert trio.current_time() < 60
        nursery.cancel_scope.cancel()


def test_what_is_not_stored_proves_nothing_about_the_medium() -> None:
    log = Disk(inline=False, durable=False)
    stage = Stage(log)
    for _ in range(QUICK_ENOUGH):
        stage.submit(-1)
        stage.stage.flush(idle=True)
    assert stage.stage.sync_count == 0
