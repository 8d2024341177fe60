"""The transaction log's writer: one file ``log.<first zxid>`` after another.

Its rules: append, write, sync, and only then acknowledge; the first record of a new file counts when the file
and its name are on the medium, and a file is synced before the next one gets its first byte. So at most the
last file can end in the middle of something, and a reader that finds anything else has found damage. A file
gets its name when its header and first records are written: a killed process leaves none without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zlib import adler32

from zkpy.errors import StorageError
from zkpy.persist.logreader import HEADER
from zkpy.persist.names import LOG, TEMPORARY
from zkpy.persist.torn import END_OF_RECORD, RECORD_HEAD, UNSYNCED_LIMIT
from zkpy.ports import Disk, DiskFile

PREALLOC_BYTES: Final = 65536 * 1024
"""Default of ``zookeeper.preAllocSize``."""

_ROOM: Final = 4096
_END: Final = bytes((END_OF_RECORD,))
_pack_head: Final = RECORD_HEAD.pack


class TxnLogWriter:
    """Appends transactions, group by group.

    ``append`` gathers, ``flush`` hands what gathered to the system, ``commit`` makes durable what was flushed
    when it was called; appending and flushing go on meanwhile. With *force_sync* off nothing is synced.
    After the first failure every call raises StorageError.
    """

    __slots__ = (
        "_commits",
        "_current",
        "_directory",
        "_disk",
        "_end",
        "_failed",
        "_file_limit",
        "_finished_bytes",
        "_first",
        "_flushed_zxid",
        "_force_sync",
        "_gathered",
        "_named",
        "_names_synced",
        "_prealloc",
        "_rolled",
        "_size",
        "_synced",
        "_written",
        "count",
        "durable_zxid",
        "last_zxid",
    )

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        last_zxid: int = 0,
        prealloc_bytes: int = PREALLOC_BYTES,
        force_sync: bool = True,
        file_limit_bytes: int = -1,
    ) -> None:
        """*file_limit_bytes* is ``txnLogSizeLimitInKb`` in bytes: beyond it (with padding) a sync rolls."""
        self._disk = disk
        self._directory = directory
        self._prealloc = prealloc_bytes
        self._force_sync = force_sync
        self._file_limit = file_limit_bytes
        self._current: DiskFile | None = None
        self._rolled: list[DiskFile] = []
        self._named = 0  # files created
        self._names_synced = 0  # of these, known to be in the directory on the medium
        self._gathered: list[bytes] = []
        self._first = 0
        self._end = 0  # bytes in the current file, padding not counted
        self._size = 0  # with padding
        self._written = 0  # bytes handed to the system in all files
        self._synced = 0  # of these, known to be on the medium
        self._commits = 0
        self._finished_bytes = 0
        self._failed: str | None = None
        self.count = 0
        self.last_zxid = last_zxid
        self._flushed_zxid = last_zxid
        self.durable_zxid = last_zxid

    def append(self, zxid: int, payload: bytes) -> None:
        """Take over an entry. Raises StorageError after a failure."""
        if self._failed is not None:
            self._refuse()
        assert zxid > self.last_zxid, (zxid, self.last_zxid)
        self.last_zxid = zxid
        gathered = self._gathered
        if not gathered:
            self._first = zxid
        gathered += (_pack_head(adler32(payload), len(payload)), payload, _END)
        self.count += 1

    @property
    def pending(self) -> bool:
        """Whether something is not yet durable as far as this writer makes things durable."""
        return bool(self._gathered) or self._unsynced()

    def _unsynced(self) -> bool:
        return self._force_sync and (self._written != self._synced or self._new_name)

    @property
    def _new_name(self) -> bool:
        return self._named != self._names_synced

    @property
    def size_for_limits(self) -> int:
        """Bytes of the files written since the last `roll`, padding included (``snapSizeLimitInKb``)."""
        return self._finished_bytes + max(self._size, self._end)

    def flush(self) -> None:
        """Write what gathered, in one piece, into the current or a new file.

        Raises:
            StorageError: it could not be written.
        """
        if self._failed is not None:
            self._refuse()
        if not self._gathered:
            return
        data = b"".join(self._gathered)
        self._gathered.clear()
        try:
            if self._current is None:
                self._start_file(data)
            else:
                self._grow()
                self._write(self._current, data)
        except OSError as error:
            self._fail(error)
        self._flushed_zxid = self.last_zxid

    def _start_file(self, data: bytes) -> None:
        # The previous file first, and its name: a crash must never leave a hole before these records.
        if self._force_sync:
            for file in self._rolled:
                file.sync_now()
            self._synced = self._written
            if self._new_name:
                self._disk.sync_dir_now(self._directory)
                self._names_synced = self._named
        if not self._commits:
            self._close_rolled()
        name = f"{LOG}.{self._first:x}"
        temporary = f"{self._directory}/{TEMPORARY}{name}"
        file = self._disk.create(temporary)
        self._current = file
        self._named += 1
        self._end = self._size = len(HEADER)
        padded = self._padded()
        self._end = 0
        # Header and records in one write and before the padding: a killed process leaves no bare zeros.
        self._write(file, HEADER + data)
        self._size = padded
        if padded > self._end:
            file.preallocate(padded)
        # ZooKeeper does not start on a log without a header, which a process killed in between would leave.
        self._disk.rename(temporary, f"{self._directory}/{name}")

    def _padded(self) -> int:
        """The size that ZooKeeper gives the file before the next append."""
        prealloc = self._prealloc
        if prealloc <= 0 or self._end + _ROOM < self._size:
            return self._size
        if self._end > self._size:
            return (self._end + prealloc) // prealloc * prealloc
        return self._size + prealloc

    def _grow(self) -> None:
        padded = self._padded()
        if padded != self._size:
            self._size = padded
            if padded > self._end:
                assert self._current is not None
                self._current.preallocate(padded)

    def _write(self, file: DiskFile, data: bytes) -> None:
        room = UNSYNCED_LIMIT - (self._written - self._synced)
        rest = memoryview(data)
        while self._force_sync and len(rest) > room:
            if room > 0:
                file.write(rest[:room])
                self._wrote(room)
                rest = rest[room:]
            file.sync_now()
            self._synced = self._written
            room = UNSYNCED_LIMIT
        file.write(rest)
        self._wrote(len(rest))

    def _wrote(self, size: int) -> None:
        self._end += size
        self._written += size

    async def commit(self) -> None:
        """Return when all that was flushed before the call is durable.

        Raises:
            StorageError: it is not, or cannot be known to be.
        """
        if self._failed is not None:
            self._refuse()
        zxid = self._flushed_zxid
        if self._unsynced():
            await self._sync_all()
        if zxid > self.durable_zxid:
            self.durable_zxid = zxid

    def start_commit(self, done: Callable[[StorageError | None], None]) -> bool:
        """As `commit`, told by *done* instead of awaited: the ordinary case of one file and a quick disk.

        False when it is not that case (a new or rolled file, nothing to sync, or a disk without reports):
        then `commit` has to be awaited.

        Raises:
            StorageError: the log failed before.
        """
        if self._failed is not None:
            self._refuse()
        file = self._current
        if self._new_name or self._rolled or self._commits or file is None or not self._unsynced():
            return False
        zxid, written = self._flushed_zxid, self._written

        def synced(error: OSError | None) -> None:
            self._commits -= 1
            if error is not None:
                self._failed = self._failed or f"transaction log in {self._directory}: {error}"
            if self._failed is not None:
                done(StorageError(self._failed))
                return
            self._covered(written, [])
            if zxid > self.durable_zxid:
                self.durable_zxid = zxid
            done(None)

        if not file.start_sync(synced):
            return False
        self._commits += 1
        return True

    def commit_on_spot(self) -> bool:
        """As `commit`, but blocking, in the ordinary case of one file; False, with nothing done, in others.

        Raises:
            StorageError: it is not durable, or cannot be known to be.
        """
        if self._new_name or self._rolled or self._commits or self._current is None:
            return False
        self.commit_now()
        return True

    async def _sync_all(self) -> None:
        written, named = self._written, self._named
        rolled, current = list(self._rolled), self._current
        self._commits += 1
        try:
            for file in rolled:
                await file.sync()
            if current is not None:
                await current.sync()
            if named > self._names_synced:
                await self._disk.sync_dir(self._directory)
                self._names_synced = max(self._names_synced, named)
        except OSError as error:
            self._fail(error)
        finally:
            self._commits -= 1
        if self._failed is not None:  # another sync met the error; this one's success may hide it
            self._refuse()
        self._covered(written, rolled)

    def commit_now(self) -> None:
        """As `commit`, but blocking: for start-up and shutdown."""
        if self._failed is not None:
            self._refuse()
        if self._unsynced():
            rolled = list(self._rolled)
            try:
                for file in rolled:
                    file.sync_now()
                if self._current is not None:
                    self._current.sync_now()
                if self._new_name:
                    self._disk.sync_dir_now(self._directory)
            except OSError as error:
                self._fail(error)
            self._names_synced = self._named
            self._covered(self._written, rolled)
        self.durable_zxid = max(self.durable_zxid, self._flushed_zxid)

    def _covered(self, written: int, rolled: list[DiskFile]) -> None:
        self._synced = max(self._synced, written)
        if not self._commits and self._rolled == rolled:
            self._close_rolled()
        if 0 < self._file_limit < max(self._size, self._end) and self._current is not None:
            self._leave_file()

    def roll(self) -> None:
        """The next entry opens a new file; the counts for snapshots begin anew. Raises StorageError."""
        self.flush()
        self._leave_file()
        self.count = 0
        self._finished_bytes = 0

    def _leave_file(self) -> None:
        if self._current is not None:
            self._rolled.append(self._current)
            self._current = None
            self._finished_bytes += max(self._size, self._end)
            self._size = self._end = 0
            if not self._commits and (not self._force_sync or self._written == self._synced):
                self._close_rolled()

    def _close_rolled(self) -> None:
        for file in self._rolled:
            file.close()
        self._rolled.clear()

    def close(self) -> None:
        """Release the files; nothing is written or synced. Not while `commit` is awaited."""
        self._commits = 0
        self._gathered.clear()
        self._leave_file()
        self._close_rolled()
        self._failed = self._failed or "the log is closed"

    def _fail(self, error: OSError) -> None:
        self._failed = f"transaction log in {self._directory}: {error}"
        raise StorageError(self._failed) from error

    def _refuse(self) -> None:
        raise StorageError(self._failed)
