"""Group commit: what gathered while one sync ran is made durable by the next, together.

The only stage that awaits. Without a log (memory only) a batch is committed as soon as it is flushed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from zkpy.pipeline.request import Request


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
    brought about; *delay_ms* holds a batch back
    so that more can join it (``flushDelay``), *max_batch* bounds it (``maxBatchSize``, 0 = no bound).
    """

    __slots__ = ("_batch", "_commit", "_delay", "_log", "_max_batch", "_settle", "_wake", "busy")

    def __init__(
        self,
        log: Log | None,
        commit: Callable[[list[Request]], None],
        settle: Callable[[], Awaitable[None]],
        *,
        delay_ms: int = 0,
        max_batch: int = 0,
    ) -> None:
        self._log: Final = log
        self._commit: Final = commit
        self._settle: Final = settle
        self._delay: Final = delay_ms / 1000
        self._max_batch: Final = max_batch
        self._batch: list[Request] = []
        self._wake = trio.Event()
        self.busy = False

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
                log.flush()
                await log.commit()
                self._commit(batch)
                await self._settle()
            self.busy = False
