"""Group commit: what gathered while one sync ran is made durable by the next, together.

Syncs run off the event loop, which goes on serving reads. In the ordinary case one begins and ends by a call
from the loop, without a task switch; the task `SyncStage.run` awaits the rare ones (a new file) and carries
failures. Only when the loop has nothing else to do, and the medium has just proved many times in a row to be
quicker than the way to another processor and back, the sync is done on the spot; one slow sync ends that.
Without a log (memory only) a batch is committed as soon as it is flushed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from zkpy.errors import StorageError
from zkpy.pipeline.request import Request
from zkpy.ports import MonotonicClock

logger: Final = logging.getLogger("zkpy.server")


QUICK_MS: Final = 0.3
"""A sync that takes less than this is over before another processor could be asked and have answered."""

QUICK_ENOUGH: Final = 16
"""How many syncs in a row have to be that quick before an idle loop does the next one itself."""


COMPANY: Final = 16
"""So many requests make a group commit that need not wait for more, and is better done beside the loop."""


class Log(Protocol):
    """The transaction log as this stage uses it (``zkpy.persist.txnlog``)."""

    def append(self, zxid: int, payload: bytes) -> None:
        """Take an entry into the buffer."""

    def flush(self) -> None:
        """Write the buffer to the file. Raises StorageError."""

    def start_commit(self, done: Callable[[StorageError | None], None]) -> bool:
        """Make durable what was flushed and tell *done*; False when that has to be awaited by `commit`."""

    def commit_on_spot(self) -> bool:
        """Make durable what was flushed before returning; False when that has to be awaited by `commit`."""

    async def commit(self) -> None:
        """Return when all that was flushed is durable. Raises StorageError."""

    @property
    def pending(self) -> bool:
        """Whether something is not durable that has to be."""


class SyncStage:
    """Holds prepared requests until they are durable, then hands them on in order.

    *log* None means that nothing is kept. *commit* is called with each batch, then *settle* to send what it
    brought about; a sync that takes longer than *warn_ms* is logged; *delay_ms* holds a batch back
    so that more can join it (``flushDelay``), *max_batch* bounds it (``maxBatchSize``, 0 = no bound).
    """

    __slots__ = (
        "_batch",
        "_clock",
        "_commit",
        "_delay",
        "_failure",
        "_full",
        "_in_sync",
        "_log",
        "_max_batch",
        "_quick_syncs",
        "_settle",
        "_started",
        "_wake",
        "_warn_ms",
        "busy",
        "on_sync",
        "slow_syncs",
        "sync_count",
        "sync_max_ms",
    )

    def __init__(
        self,
        log: Log | None,
        commit: Callable[[list[Request]], None],
        settle: Callable[[], Awaitable[None]],
        clock: MonotonicClock,
        *,
        warn_ms: int = 1000,
        delay_ms: int = 0,
        max_batch: int = 0,
    ) -> None:
        self._log: Final = log
        self._commit: Final = commit
        self._settle: Final = settle
        self._clock: Final = clock
        self._warn_ms: Final = warn_ms
        self._delay: Final = delay_ms / 1000
        self._max_batch: Final = max_batch
        self._batch: list[Request] = []
        self._in_sync: list[Request] = []
        self._started = 0.0
        self._failure: StorageError | None = None
        self._wake = trio.Event()
        self._full = trio.Event()
        self.busy = False
        self._quick_syncs = 0
        self.on_sync: Callable[[float], None] = lambda took_ms: None
        """Told of each sync and how long it took in ms."""
        self.sync_count = 0
        self.sync_max_ms = 0.0
        self.slow_syncs = 0

    def submit(self, request: Request) -> None:
        """Take over a prepared request."""
        if self._log is not None and request.payload:
            assert request.header is not None
            self._log.append(request.header.zxid, request.payload)
        self._batch.append(request)
        if self._max_batch and self._delay and len(self._batch) >= self._max_batch:
            self._full.set()

    @property
    def waiting(self) -> int:
        """How many requests wait for a sync that has not begun, so that others can still join them."""
        return 0 if self.busy else len(self._batch)

    def flush(self, *, idle: bool = False) -> None:
        """All of this round were submitted: commit them, or see to it that they are synced.

        *idle* says that the loop has nothing else to do at the moment than to wait for them.
        """
        if not self._batch or self.busy:
            return
        if self._log is None:
            self._commit_all()
        else:
            self._next(idle)

    def _commit_all(self) -> None:
        self.busy = True  # a commit can submit: what came behind a handshake waits for its turn
        while self._batch:
            batch, self._batch = self._batch, []
            self._commit(batch)
        self.busy = False

    def _next(self, idle: bool = False) -> None:
        """Begin to sync what gathered; on the spot when that costs nobody anything."""
        log = self._log
        assert log is not None
        while self._batch:
            self.busy = True
            if self._delay and (not self._max_batch or len(self._batch) < self._max_batch):
                self._full = trio.Event()
                self._wake.set()
                return
            few = len(self._batch) < COMPANY
            self._take()
            if idle and few and self._quick_syncs >= QUICK_ENOUGH and log.pending and log.commit_on_spot():
                self._finish()
                continue
            if log.start_commit(self._synced):
                return
            if log.pending:
                self._wake.set()
                return
            self._finish(synced=False)  # forceSync=no, or nothing that is stored
        self.busy = False

    def _take(self) -> None:
        assert self._log is not None
        assert not self._in_sync
        self._in_sync, self._batch = self._batch, []
        self._started = self._clock()
        self._log.flush()

    def _synced(self, error: StorageError | None) -> None:
        if error is not None:
            self._failure = error
            self._wake.set()
            return
        self._finish()
        self.busy = False  # what gathered meanwhile waits for the next `flush`

    def _finish(self, *, synced: bool = True) -> None:
        if synced:
            self._count((self._clock() - self._started) * 1000)
        batch, self._in_sync = self._in_sync, []
        self._commit(batch)

    async def run(self) -> None:
        """Await the syncs that need it until cancelled.

        Raises:
            StorageError: the log failed; nothing that was not acknowledged before ever will be.
        """
        log = self._log
        if log is None:
            return
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if self._failure is not None:
                raise self._failure
            if not self._in_sync:
                with trio.move_on_after(self._delay):
                    await self._full.wait()
                self._take()
            await log.commit()
            self._finish()
            await self._settle()
            self._next()

    def _count(self, took_ms: float) -> None:
        self._quick_syncs = self._quick_syncs + 1 if took_ms < QUICK_MS else 0
        self.sync_count += 1
        if took_ms > self.sync_max_ms:
            self.sync_max_ms = took_ms
        self.on_sync(took_ms)
        if took_ms > self._warn_ms:
            self.slow_syncs += 1
            logger.warning("syncing the transaction log took %d ms: writes wait for that long", took_ms)
