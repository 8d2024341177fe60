"""Persistence as a running server needs it: open the data, keep a log, take snapshots, purge.

When enough was logged since the last time (``snapCount``, ``snapSizeLimitInKb``, both randomised between half
and whole so that the members of an ensemble don't do it together) the log is rolled and a snapshot of that
moment is written beside the running service.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import trio

from zkpy.config import Config
from zkpy.errors import CorruptLogError, DataDirError, StorageError
from zkpy.persist.purge import purge
from zkpy.persist.snapshot import write_snapshot, write_snapshot_now
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.persist.txnsnaplog import DataDir
from zkpy.ports import Disk, Random
from zkpy.tree.datatree import DataTree
from zkpy.tree.view import TreeView

if TYPE_CHECKING:
    from zkpy.pipeline.zookeeperserver import ZooKeeperServer
    from zkpy.quorum.syncplan import DiskHistory

logger: Final = logging.getLogger("zkpy.storage")

HOUR_S: Final = 3600
LOCK_NAME: Final = ".zkpy.lock"


def claim(disk: Disk, directory: str) -> Callable[[], None]:
    """Have *directory* for this process alone, until the returned function is called.

    Raises:
        DataDirError: another zkpy has it, or the lock file cannot be made.
    """
    path = f"{directory}/{LOCK_NAME}"
    try:
        unlock = disk.lock(path)
    except OSError as error:
        raise DataDirError(
            f"Cannot lock {path}: {error.strerror or error}. Make {directory} writable for the user of this "
            "process, and remove what is no plain file of that name"
        ) from error
    if unlock is None:
        raise DataDirError(
            f"{directory} is in use by another zkpy. Stop it, or give this one its own directory."
        )
    return unlock


class Store:
    """The stored side of one server.

    Call ``restore`` first; ``log`` exists after it. ``last_snapshot_zxid`` and ``snapshots`` are for reports.
    """

    def __init__(self, config: Config, disk: Disk, random: Random) -> None:
        assert config.data_dir is not None
        self._config: Final = config
        self._disk: Final = disk
        self._random: Final = random
        self.dirs: Final = DataDir(
            disk,
            config.data_dir,
            config.data_log_dir or config.data_dir,
            autocreate_dirs=config.datadir_autocreate,
            autocreate_db=config.db_autocreate,
            trust_empty=config.snapshot_trust_empty,
            compression=config.snapshot_compression,
            max_entry=config.jute_max_buffer + config.jute_max_buffer_extra,
        )
        self._locks: Final = contextlib.ExitStack()
        try:
            for directory in dict.fromkeys((config.data_dir.rstrip("/"), self.dirs.log_root.rstrip("/"))):
                self._locks.callback(claim(disk, directory))
        except DataDirError:
            self._locks.close()
            raise
        self._log: TxnLogWriter | None = None
        self._new_tree: Callable[[], DataTree] | None = None
        self.recent: list[tuple[int, bytes]] = []
        """The last transactions that were restored: zxid and payload."""
        self._server: ZooKeeperServer | None = None
        self._due = trio.Event()
        self._view: TreeView | None = None
        self._idle = trio.Event()
        self._count_limit = 0
        self._size_limit = 0
        self.snapshots = 0
        self.last_snapshot_zxid = 0
        self._digest_mismatches = 0
        self._draw_limits()

    @property
    def log(self) -> TxnLogWriter:
        """The transaction log that new entries go to."""
        assert self._log is not None, "restore comes first"
        return self._log

    def restore(self, new_tree: Callable[[], DataTree]) -> DataTree:
        """Open the data directory; blocking.

        Raises:
            DataDirError: it cannot be used.
            CorruptLogError: what it holds cannot be trusted.
        """
        config = self._config
        restored = self.dirs.restore(new_tree, commit_log_count=config.commit_log_count)
        for warning in restored.warnings:
            logger.warning("%s", warning)
        if restored.last_zxid < 0:
            raise DataDirError(
                f"{self.dirs.snap_dir} is empty and db.autocreate is false: the data may be lost. Put it "
                f"back, or create the file {self.dirs.log_root}/initialize to begin with an empty database."
            )
        tree = restored.tree
        self.last_snapshot_zxid = restored.snapshot_zxid
        gone = tree.drop_orphans()
        if gone:
            logger.info("removed %d ephemerals of sessions that no longer exist", len(gone))
        if gone or restored.snapshot_name is None:
            # No log entry tells of a removal: replaying later ones onto an older snapshot would meet these
            # znodes. And without any snapshot the next start would need snapshot.trust.empty again.
            write_snapshot_now(
                self._disk, self.dirs.snap_dir, tree.view(), compression=config.snapshot_compression
            )
            self.last_snapshot_zxid = tree.last_zxid
        self._open_log(tree.last_zxid).count = restored.entries
        self.recent = list(restored.recent)
        self._digest_mismatches = restored.digest_mismatches
        self._new_tree = new_tree
        return tree

    def _open_log(self, last_zxid: int) -> TxnLogWriter:
        config = self._config
        self._log = TxnLogWriter(
            self._disk,
            self.dirs.log_dir,
            last_zxid=last_zxid,
            prealloc_bytes=config.pre_alloc_size_kb * 1024,
            force_sync=config.force_sync,
            file_limit_bytes=config.txn_log_size_limit_kb * 1024 if config.txn_log_size_limit_kb > 0 else -1,
        )
        return self._log

    # -- for a member of an ensemble -----------------------------------------------------------------------

    async def _no_snapshot(self) -> None:
        """Wait for the snapshot that is being written: its tree may be about to be given up."""
        while self._view is not None:
            self._idle = trio.Event()
            await self._idle.wait()

    async def reload(self) -> DataTree:
        """The tree as it is stored.

        Raises:
            CorruptLogError, StorageError: it cannot be read; the server must not go on.
        """
        assert self._new_tree is not None, "restore comes first"
        await self._no_snapshot()
        self.log.close()
        return self.restore(self._new_tree)

    async def truncate(self, zxid: int) -> DataTree:
        """Forget everything after *zxid*; the tree as it was then.

        Raises:
            CorruptLogError, StorageError: it could not be done; the server must not go on.
        """
        assert self._new_tree is not None, "restore comes first"
        await self._no_snapshot()
        self.log.close()
        if not self.dirs.truncate(zxid):
            raise StorageError(f"the log in {self.dirs.log_dir} cannot be cut back to zxid {zxid:#x}")
        return self.restore(self._new_tree)

    async def replace(self, tree: DataTree) -> None:
        """Keep *tree* instead of what is stored: a durable snapshot, and a new log behind it.

        What is stored may go further, with transactions that no quorum had: they are cut off.

        Raises:
            CorruptLogError, StorageError: it could not be written.
        """
        await self._no_snapshot()
        view = tree.view()
        await write_snapshot(
            self._disk, self.dirs.snap_dir, view, compression=self._config.snapshot_compression
        )
        self.snapshots += 1
        self.last_snapshot_zxid = view.zxid
        beyond = self.log.last_zxid > view.zxid
        self.log.close()
        if beyond and not self.dirs.truncate(view.zxid):
            raise StorageError(f"the log in {self.dirs.log_dir} cannot be cut back to zxid {view.zxid:#x}")
        self._forget_before(view.zxid)
        self._open_log(tree.last_zxid)

    def _forget_before(self, zxid: int) -> None:
        """Remove what is older than the snapshot at *zxid*, which another server's history led to.

        Nobody could tell that something is missing between the log of before and what is logged from now on,
        when a new epoch begins there.
        """
        try:
            for file in reversed(self.dirs.snapshots()):
                if file.zxid < zxid:
                    self._disk.remove(f"{self.dirs.snap_dir}/{file.name}")
            self._disk.sync_dir_now(self.dirs.snap_dir)
            for file in reversed(self.dirs.logs()):
                self._disk.remove(f"{self.dirs.log_dir}/{file.name}")
            self._disk.sync_dir_now(self.dirs.log_dir)
        except OSError as error:
            raise StorageError(f"removing what a newer snapshot replaces: {error}") from error

    def history(self, zxid: int) -> DiskHistory | None:
        """The log from the file with *zxid* on; None: there is no such file."""
        from zkpy.quorum.syncplan import DiskHistory

        self.log.flush()
        files = self.dirs.logs()
        before = [number for number, file in enumerate(files) if file.zxid <= zxid]
        snapshots = self.dirs.snapshots()
        if not before or not snapshots:
            return None
        first = files[before[-1]]
        sizes = [self._disk.size(f"{self.dirs.log_dir}/{file.name}") for file in files[before[-1] + 1 :]]
        newest = self._disk.size(f"{self.dirs.snap_dir}/{snapshots[-1].name}")
        return DiskHistory(self._entries_from(first.zxid), sum(sizes), newest)

    def _entries_from(self, zxid: int) -> Iterator[tuple[int, bytes]]:
        try:
            for entry in self.dirs.entries_after(zxid - 1):
                yield entry.zxid, entry.payload
        except CorruptLogError as error:
            logger.warning("a learner cannot be brought up to date from the log: %s", error)

    def attach(self, server: ZooKeeperServer) -> None:
        """Take snapshots of *server* from now on."""
        self._server = server
        server.digest_mismatches += self._digest_mismatches
        server.after_batch = self._after_batch
        if self.log.count > self._count_limit and self._view is None:
            self._start_snapshot()

    async def run(self) -> None:
        """Write snapshots when they are due, purge at the configured interval; until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._snapshots)
            if self._config.autopurge_purge_interval_hours > 0:
                nursery.start_soon(self._purges)

    def close(self) -> None:
        """Release the files."""
        if self._log is not None:
            self._log.close()
        self._locks.close()

    # -- snapshots -----------------------------------------------------------------------------------------

    def _draw_limits(self) -> None:
        half = self._config.snap_count // 2
        self._count_limit = half + self._random.randrange(0, max(1, half))
        size = self._config.snap_size_limit_kb * 1024
        self._size_limit = size // 2 + self._random.randrange(0, max(1, size // 2)) if size > 0 else 0

    def _after_batch(self) -> None:
        log = self.log
        if log.count > self._count_limit or (self._size_limit and log.size_for_limits > self._size_limit):
            self._draw_limits()
            log.roll()
            if self._view is None:
                self._start_snapshot()
            else:
                logger.warning("a snapshot is still being written, the next one is skipped")

    def _start_snapshot(self) -> None:
        assert self._server is not None
        self._view = self._server.tree.view()
        self._due.set()

    @contextlib.contextmanager
    def _in_background(self) -> Iterator[None]:
        assert self._server is not None
        self._server.background += 1
        try:
            yield
        finally:
            self._server.background -= 1

    async def _snapshots(self) -> None:
        while True:
            await self._due.wait()
            self._due = trio.Event()
            view = self._view
            assert view is not None
            try:
                with self._in_background():
                    name = await write_snapshot(
                        self._disk, self.dirs.snap_dir, view, compression=self._config.snapshot_compression
                    )
            except StorageError as error:
                # The log has everything: service goes on, the next occasion tries again.
                logger.error("%s", error)
            else:
                self.snapshots += 1
                self.last_snapshot_zxid = view.zxid
                logger.info("snapshot %s taken", name)
            finally:
                self._view = None
                self._idle.set()

    async def _purges(self) -> None:
        while True:
            try:
                with self._in_background():
                    removed = await purge(
                        self._disk,
                        self.dirs.snap_dir,
                        self.dirs.log_dir,
                        self._config.autopurge_snap_retain_count,
                    )
            except OSError as error:
                logger.error("purging old snapshots and logs: %s", error)
            else:
                for name in removed:
                    logger.info("Removing file: %s", name)
            await trio.sleep(self._config.autopurge_purge_interval_hours * HOUR_S)
