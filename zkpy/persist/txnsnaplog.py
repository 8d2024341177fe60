"""The two directories of a server: what is in them, and how a tree is got back out of them.

Recovery takes the newest snapshot that is whole and replays the logs after it. It is stricter than
ZooKeeper's where that loses transactions without a word: the chain of zxids from the snapshot to the last
record has no hole, and an older snapshot counts only if the logs reach what the broken one covered. It is
more lenient where ZooKeeper refuses what any crash can leave behind in the last log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import attrs

from zkpy.errors import CorruptLogError, DataDirError, MarshallingError, StorageError
from zkpy.persist.chain import Chain
from zkpy.persist.logreader import HEADER, MAX_ENTRY, REMEDY, LogEntry
from zkpy.persist.names import LOG, SNAPSHOT, TEMPORARY, Named, named
from zkpy.persist.snapshot import SnapshotError, Stored, load_snapshot, write_snapshot_now
from zkpy.persist.torn import UNSYNCED_LIMIT
from zkpy.persist.truncation import truncate
from zkpy.ports import Disk
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, VERSION
from zkpy.tree.txns import decode_payload
from zkpy.zxid import counter_of, epoch_of

VERSION_DIR: Final = "version-2"
COMMIT_LOG_COUNT: Final = 500
"""Default and minimum of ``zookeeper.commitLogCount``."""

_UNFINISHED: Final = ".tmp"
"""The ending under which a ZooKeeper server writes a snapshot: a broken one never was one."""

_NO_SNAPSHOT: Final = "No snapshot found, but there are log entries. Something is broken!"


@attrs.define
class Restored:
    """The outcome of a recovery.

    ``last_zxid`` is -1 when the server may have lost its data (an empty database that was not announced).
    ``entries`` counts the replayed transactions, ``recent`` holds zxid and payload of the latest.
    ``digest_mismatches`` counts those after which the tree had another digest than the writer's;
    ``warnings`` are sentences for the log.
    """

    tree: DataTree
    last_zxid: int
    snapshot_name: str | None = None
    snapshot_zxid: int = 0
    entries: int = 0
    digest_mismatches: int = 0
    recent: deque[tuple[int, bytes]] = attrs.field(factory=deque)
    warnings: list[str] = attrs.field(factory=list)


def _fits_without_orphans(tree: DataTree, previous: int, digest: int) -> bool:
    """Whether *tree* has *digest* once the ephemerals of lost sessions are gone; removes them.

    A ZooKeeper server removes them when it loads its data, without logging it, and may lead after that.
    """
    zxid, tree.last_zxid = tree.last_zxid, previous
    tree.drop_orphans()
    tree.last_zxid = zxid
    return digest == tree.digest & MASK


class DataDir:
    """The ``version-2`` directories below *data_dir* (snapshots) and *log_dir* (transaction logs).

    *autocreate_dirs* is ``zookeeper.datadir.autocreate``, *autocreate_db* ``zookeeper.db.autocreate``,
    *trust_empty* ``zookeeper.snapshot.trust.empty``; *compression* that of the snapshot of an empty database;
    *max_entry* is the largest payload of a log entry in bytes.

    Raises:
        DataDirError: a directory is missing and must not be created, cannot be created or written, or holds
            the other one's files.
    """

    def __init__(
        self,
        disk: Disk,
        data_dir: str,
        log_dir: str | None = None,
        *,
        autocreate_dirs: bool = True,
        autocreate_db: bool = True,
        trust_empty: bool = False,
        compression: str = "",
        max_entry: int = MAX_ENTRY,
    ) -> None:
        self.disk: Final = disk
        self.autocreate_db: Final = autocreate_db
        self.trust_empty: Final = trust_empty
        self.compression: Final = compression
        self.log_root: Final = log_dir or data_dir
        self.snap_dir: Final = f"{data_dir}/{VERSION_DIR}"
        self.log_dir: Final = f"{self.log_root}/{VERSION_DIR}"
        self.max_entry: Final = max_entry
        self.created: Final[list[str]] = []
        for kind, path in (("data", self.log_dir), ("snap", self.snap_dir)):
            self._check_directory(kind, path, autocreate_dirs)
        if self.log_dir != self.snap_dir:
            try:
                self._check_content()
            except OSError as error:
                where = error.filename or f"{self.log_dir} or {self.snap_dir}"
                raise DataDirError(f"Cannot list {where}: {error.strerror or error}") from error

    def _check_directory(self, kind: str, path: str, autocreate: bool) -> None:
        disk = self.disk
        if not disk.is_dir(path):
            if not autocreate:
                raise DataDirError(
                    f"Missing {kind} directory {path}, automatic data directory creation is disabled "
                    "(zookeeper.datadir.autocreate is false). Please create this directory manually."
                )
            try:
                disk.make_dirs(path)
                self.created.append(path)
            except OSError as error:
                raise DataDirError(f"Unable to create {kind} directory {path}: {error.strerror}") from error
        if not disk.is_writable(path):
            raise DataDirError(f"Cannot write to {kind} directory {path}")

    def _check_content(self) -> None:
        hint = "Check if dataLogDir and dataDir configuration is correct."
        if any(name.startswith("snapshot.") for name in self.disk.list_dir(self.log_dir)):
            raise DataDirError(f"Log directory has snapshot files. {hint}")
        if any(name.startswith("log.") for name in self.disk.list_dir(self.snap_dir)):
            raise DataDirError(f"Snapshot directory has log files. {hint}")

    def sync_parents(self) -> None:
        """Have the directories' own names on the medium: who made them may have ended before that."""
        sync_names(self.disk, self.snap_dir, self.log_dir)

    # -- what is there -------------------------------------------------------------------------------------

    def snapshots(self) -> list[Named]:
        """The snapshots by name, lowest zxid first."""
        return named(self.disk, self.snap_dir, SNAPSHOT)

    def logs(self) -> list[Named]:
        """The transaction logs by name, lowest zxid first."""
        return named(self.disk, self.log_dir, LOG)

    def data_dir_size(self) -> int:
        """Bytes of the files in the snapshot directory."""
        return self._size_of(self.snap_dir)

    def log_dir_size(self) -> int:
        """Bytes of the files in the log directory, padding included."""
        return self._size_of(self.log_dir)

    def _size_of(self, directory: str) -> int:
        total = 0
        for name in self.disk.list_dir(directory):
            try:
                total += self.disk.size(f"{directory}/{name}")
            except OSError:  # gone meanwhile
                continue
        return total

    # -- recovery ------------------------------------------------------------------------------------------

    def restore(
        self,
        new_tree: Callable[[], DataTree],
        *,
        commit_log_count: int = COMMIT_LOG_COUNT,
        repair: bool = True,
    ) -> Restored:
        """Bring back the tree of the last transaction in the log; blocking, for start-up.

        Unless *repair* is off, unfinished files are removed, an unfinished last record is cut off, and the
        end of the log is put on the medium again: what is read here may only have been in the system's cache.

        Raises:
            CorruptLogError: transactions are missing or damaged.
            DataDirError: a file or directory cannot be read.
            StorageError: the repair failed.
        """
        try:
            return _Recovery(self, new_tree, commit_log_count, repair).run()
        except OSError as error:
            where = error.filename or f"{self.snap_dir} or {self.log_dir}"
            raise DataDirError(
                f"Cannot read {where}: {error.strerror or error}. It is needed to recover: give the user of "
                "this process the right to read it, put back the file it should be, or check the disk"
            ) from error

    def entries_after(self, zxid: int) -> Iterator[LogEntry]:
        """The logged transactions after *zxid*, for a learner that has everything up to it.

        Raises:
            CorruptLogError: the log does not hold them without a hole.
        """
        for _, entry in Chain(self, zxid).entries():
            yield entry

    def truncate(self, zxid: int) -> bool:
        """Forget everything after *zxid*; blocking. False, with nothing done, when that cannot be done.

        It can be done when the log holds *zxid* or a snapshot ends with it, and a good snapshot that is not
        newer is there to start from. Snapshots above go first, then logs from the newest on: whatever is left
        by a crash in between is a state from before.

        Raises:
            CorruptLogError: the part to be kept is damaged.
            StorageError: a file could not be removed or cut; the server must not go on.
        """
        return truncate(self, zxid)


def parent_of(path: str) -> str:
    """The directory that holds the name of *path*."""
    parent = path.rstrip("/").rpartition("/")[0]
    return parent or ("/" if path.startswith("/") else ".")


def sync_names(disk: Disk, *directories: str) -> None:
    """Have the names of these ``version-2`` directories, and of those they are in, on the medium."""
    parents = {parent_of(path) for path in directories}
    for parent in sorted(parents | {parent_of(path) for path in parents}):
        with suppress(PermissionError):
            disk.sync_dir_now(parent)


@contextmanager
def _repairing(directory: str) -> Iterator[None]:
    """What cannot be written stops the start."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"repairing {error.filename or directory}: {error.strerror or error}") from error


class _Recovery:
    def __init__(
        self, data: DataDir, new_tree: Callable[[], DataTree], commit_log_count: int, repair: bool
    ) -> None:
        self._data = data
        self._disk = data.disk
        self._new_tree = new_tree
        self._recent = max(commit_log_count, COMMIT_LOG_COUNT)
        self._repair = repair
        self._warnings: list[str] = []
        self._broken: list[tuple[Named, str]] = []

    def run(self) -> Restored:
        announced = self._is_announced()
        if self._repair:
            self._remove_unfinished()
            with _repairing(self._data.snap_dir):
                self._data.sync_parents()
        found = self._newest_snapshot() or self._newest_lenient()
        if found is None:
            tree = self._new_tree()
            stored = Stored(0, None)
            restored = Restored(tree, 0)
            if self._data.logs():
                self._without_snapshot()
            elif self._broken and self._broken[0][0].zxid > 0:
                self._refuse_broken()
            elif self._data.autocreate_db or announced:
                if self._repair:
                    restored.snapshot_name = write_snapshot_now(
                        self._disk, self._data.snap_dir, tree.view(), compression=self._data.compression
                    )
                return self._finish(restored)
            else:
                self._warnings.append("Unexpected empty data tree, setting zxid to -1")
                tree.last_zxid = restored.last_zxid = -1
                return self._finish(restored)
        else:
            file, tree, stored = found
            restored = Restored(tree, file.zxid, file.name, file.zxid)
            if file.zxid > 0 and not self._data.logs():
                self._warn_without_logs(file)
        chain = Chain(self._data, restored.snapshot_zxid)
        self._replay(restored, chain, stored)
        self._check_reach(restored)
        if lacking := restored.tree.acls.lacking.refs:
            path = f"{self._data.snap_dir}/{restored.snapshot_name}"
            why = f"znodes whose ACLs neither this snapshot nor the logs have: {lacking}"
            raise CorruptLogError(path, 0, why, REMEDY)
        if self._repair:
            with _repairing(self._data.log_dir):
                self._repair_logs(chain)
        return self._finish(restored)

    def _finish(self, restored: Restored) -> Restored:
        restored.warnings = self._warnings
        if self._repair and self._is_announced():  # what it announced is durable now
            with _repairing(self._data.log_root):
                self._disk.remove(f"{self._data.log_root}/initialize")
        return restored

    def _is_announced(self) -> bool:
        path = f"{self._data.log_root}/initialize"
        if self._disk.is_dir(path):
            raise DataDirError(f"{path} is a directory; remove it, or put an empty file of that name there")
        return self._disk.exists(path)

    def _warn_without_logs(self, snapshot: Named) -> None:
        just = " (it was just created)" if self._data.log_dir in self._data.created else ""
        self._warnings.append(
            f"{self._data.log_dir} has no logs{just}, but there is {snapshot.name}: if its disk is not "
            "mounted, stop this server now and mount it, else everything after that snapshot is lost"
        )

    def _remove_unfinished(self) -> None:
        for directory in sorted({self._data.snap_dir, self._data.log_dir}):
            for name in self._disk.list_dir(directory):
                path = f"{directory}/{name}"
                if name.startswith(TEMPORARY) and not self._disk.is_dir(path):
                    with _repairing(directory):
                        self._disk.remove(path)

    def _newest_snapshot(self) -> tuple[Named, DataTree, Stored] | None:
        for file in reversed(self._data.snapshots()):
            tree = self._new_tree()
            try:
                stored = load_snapshot(self._disk, self._data.snap_dir, file.name, file.zxid, tree)
            except SnapshotError as error:
                if not file.name.endswith(_UNFINISHED):
                    self._broken.append((file, str(error)))
                self._warnings.append(f"{self._data.snap_dir}/{file.name} is not a valid snapshot: {error}")
                continue
            return file, tree, stored
        return None

    def _newest_lenient(self) -> tuple[Named, DataTree, Stored] | None:
        """A Java server's snapshot that lacks ACLs will do when there is no other one."""
        for file, _ in self._broken:
            tree = self._new_tree()
            with suppress(SnapshotError):
                stored = load_snapshot(
                    self._disk, self._data.snap_dir, file.name, file.zxid, tree, lenient=True
                )
                return file, tree, stored
        return None

    def _without_snapshot(self) -> None:
        if self._broken and self._broken[0][0].zxid > 0 and not self._is_trusted():
            self._refuse_broken()
        if not self._data.trust_empty:
            first = self._data.logs()[0]
            raise CorruptLogError(
                f"{self._data.log_dir}/{first.name}",
                0,
                f"{_NO_SNAPSHOT} The logs begin at zxid {first.zxid:#x}",
                f"{REMEDY}; or see zookeeper.snapshot.trust.empty",
            )
        self._warnings.append(
            "No snapshot found, but there are log entries. This should only be allowed during upgrading."
        )

    def _is_trusted(self) -> bool:
        """Whether there is nothing but empty files, which are to be trusted; the logs must reach them."""
        sizes = [self._disk.size(f"{self._data.snap_dir}/{file.name}") for file, _ in self._broken]
        return self._data.trust_empty and not any(sizes)

    def _refuse_broken(self) -> None:
        file, why = self._broken[0]
        path = f"{self._data.snap_dir}/{file.name}"
        raise CorruptLogError(
            path, 0, f"no valid snapshot, that of zxid {file.zxid:#x} included: {why}", REMEDY
        )

    def _check_reach(self, restored: Restored) -> None:
        """An older snapshot will do only if the logs lead to where the broken one was."""
        for file, why in self._broken:
            # epoch << 32 is no transaction: a leadership began, the file covers no more than the logs.
            if file.zxid > restored.last_zxid and counter_of(file.zxid) != 0:
                path = f"{self._data.snap_dir}/{file.name}"
                text = f"{why}, and older snapshots with the logs only reach zxid {restored.last_zxid:#x}"
                raise CorruptLogError(path, 0, text, REMEDY)

    def _replay(self, restored: Restored, chain: Chain, stored: Stored) -> None:
        tree = restored.tree
        recent: deque[tuple[int, bytes]] = deque(maxlen=self._recent)
        fuzzy_until = stored.digest_zxid if stored.digest_zxid > restored.snapshot_zxid else 0
        count = mismatches = 0
        previous = restored.snapshot_zxid
        agreed = stored.digest is not None and stored.digest_zxid == previous
        compared = False
        for path, (offset, zxid, payload) in chain.entries():
            try:
                logged = decode_payload(payload)
            except MarshallingError as error:
                raise CorruptLogError(path, offset, f"zxid {zxid:#x}: {error}", REMEDY) from None
            tree.apply(logged.header, logged.txn)
            tree.changes.clear()
            recent.append((zxid, payload))
            count += 1
            if not tree.digest_enabled:
                continue
            if fuzzy_until:
                if zxid < fuzzy_until:
                    continue
                if zxid == fuzzy_until and stored.digest not in (None, tree.digest & MASK):
                    self._warnings.append(f"digest of the snapshot does not match at zxid {zxid:#x}")
                fuzzy_until = 0
            if logged.digest_version == VERSION:
                if not compared and logged.digest != tree.digest & MASK:
                    # The snapshot that a Java server takes when it starts has the digest of before it removed
                    # the ephemerals of lost sessions.
                    tree.digest = tree.recompute_digest()
                compared = True
                if logged.digest == tree.digest & MASK:
                    agreed = True
                elif agreed and not mismatches and epoch_of(zxid) != epoch_of(previous):
                    if _fits_without_orphans(tree, previous, logged.digest):
                        previous = zxid
                        continue
                    # No number tells how long the epoch before was, but this does.
                    why = f"transactions are missing between zxid {previous:#x} and {zxid:#x}: other digest"
                    raise CorruptLogError(path, offset, why, REMEDY)
                else:
                    mismatches += 1
                    if mismatches == 1:
                        self._warnings.append(f"{path}: digest of zxid {zxid:#x} does not match the tree")
            previous = zxid
        if fuzzy_until:
            self._warnings.append(f"the log ends before zxid {fuzzy_until:#x}, which the snapshot has seen")
        restored.entries = count
        restored.digest_mismatches = mismatches
        restored.recent = recent
        restored.last_zxid = tree.last_zxid = max(chain.last, restored.snapshot_zxid)

    def _repair_logs(self, chain: Chain) -> None:
        """Cut what no crash may leave in an earlier file, and make sure of what was read."""
        disk = self._disk
        for path, end, why in chain.torn:
            self._warnings.append(f"{path}: {why}; cut off")
            if end < len(HEADER):
                disk.remove(path)
            else:
                disk.truncate(path, end)
        for path, end in chain.ends.items():
            if end >= len(HEADER):
                disk.rewrite(path, max(0, end - UNSYNCED_LIMIT), end)
        if chain.ends:
            disk.sync_dir_now(self._data.log_dir)
