"""Group commit: what gathered while one sync ran is made durable by the next, together.

The only stage that awaits. Without a log (memory only) a batch is committed as soon as it is flushed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from zkpy.pipeline.request import Request
from zkpy.ports import MonotonicClock

logger: Final = logging.getLogger("zkpy.server")


class Log(Protocol):
    """The transaction log as this stage uses it (``zkpy.persist.txnlog``)."""

    def append(self, zxid: int, payload: bytes) -> None:
        """Take an entry into the buffer."""

    def flush(self) -> None:
        """Write the buffer to the file. Raises StorageError."""

    async def commit(self) -> None:
        """Return when all that was flushed is durable. Raises StorageError."""


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
        "_log",
        "_max_batch",
        "_settle",
        "_wake",
        "_warn_ms",
        "busy",
        "slow_syncs",
        "sync_count",
        "sync_max_ms",
        "sync_total_ms",
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
        self._wake = trio.Event()
        self.busy = False
        self.sync_count = 0
        self.sync_total_ms = 0.0
        self.sync_max_ms = 0.0
        self.slow_syncs = 0

    def submit(self, request: Request) -> None:
        """Take over a prepared request."""
        if self._log is not None and request.payload:
            assert request.header is not None
            self._log.append(request.header.zxid, request.payload)
        self._batch.append(request)

    def flush(self) -> None:
        """All of this round were submitted: commit them, or see to it that they are synced."""
        if not self._batch or self.busy:
            return
        if self._log is None:
            self._commit_all()
        else:
            self.busy = True
            self._wake.set()

    def _commit_all(self) -> None:
        while self._batch:
            batch, self._batch = self._batch, []
            self._commit(batch)

    async def run(self) -> None:
        """Sync and commit until cancelled.

        Raises:
            StorageError: the log failed; nothing that was not acknowledged before ever will be.
        """
        log = self._log
        if log is None:
            return
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._batch:
                if self._delay and (not self._max_batch or len(self._batch) < self._max_batch):
                    await trio.sleep(self._delay)
                batch, self._batch = self._batch, []
                started = self._clock()
                log.flush()
                await log.commit()
                self._count((self._clock() - started) * 1000)
                self._commit(batch)
                await self._settle()
            self.busy = False

    def _count(self, took_ms: float) -> None:
        self.sync_count += 1
        self.sync_total_ms += took_ms
        if took_ms > self.sync_max_ms:
            self.sync_max_ms = took_ms
        if took_ms > self._warn_ms:
            self.slow_syncs += 1
            logger.warning("syncing the transaction log took %d ms: writes wait for that long", took_ms)
