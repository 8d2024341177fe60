"""Faults put into the code on purpose: the explorer is worth something because it finds each of them.

A mutant is a set of replaced attributes and the campaign that has to raise `Violation` under them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final
from unittest.mock import patch

import attrs

from tests.persist.crash import explore
from tests.persist.crash.disk import CrashDisk, CrashFile
from tests.persist.crash.explore import SMALL, settled
from tests.persist.crash.history import Run, Settings
from tests.persist.crash.rule import Counts, judge_of
from zkpy.errors import StorageError
from zkpy.persist import logreader, purge, snapshot, txnsnaplog
from zkpy.persist.chain import Chain
from zkpy.persist.logreader import LogReader
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.persist.txnsnaplog import DataDir

Patches = Sequence[tuple[Any, str, Any]]
Campaign = Callable[[type[Run], Counts], object]


@attrs.frozen
class Mutant:
    """*name* says what is wrong; *patches* make it so; *campaign* finds it."""

    name: str
    patches: Patches
    campaign: Campaign
    run: type[Run] = Run

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, attribute, replacement in self.patches:
                stack.enter_context(patch.object(owner, attribute, replacement))
            yield

    def hunt(self) -> Counts:
        """Run the campaign under the fault. Raises Violation when it is found, as it should be."""
        counts = Counts()
        with self.applied():
            self.campaign(self.run, counts)
        return counts


def crashes(*actions: str, settings: Settings = SMALL[0], limit: int = 64) -> Campaign:
    """A crash at every call of these actions."""

    def campaign(run: type[Run], counts: Counts) -> None:
        explore.crash_everywhere(run, actions, settings, counts, limit=limit, torn=31)

    return campaign


def failures(*actions: str) -> Campaign:
    """Every call of these actions fails once."""

    def campaign(run: type[Run], counts: Counts) -> None:
        explore.fail_everywhere(run, actions, SMALL[0], counts)

    return campaign


def damages(run: type[Run], counts: Counts) -> None:
    """Bits of the newest log are turned over."""
    victim = settled(run, SMALL[0], whole=True)
    path, _, _ = explore.newest_log(victim)
    explore.flips(victim, [path], counts, 3)


def losses(run: type[Run], counts: Counts) -> None:
    """A log in the middle is missing."""
    victim = settled(run, SMALL[0], whole=True)
    logs = [f"{victim.settings.log_dir}/{file.name}" for file in victim.dirs.logs()]
    explore.missing(victim, logs[1:-1], counts)


def broken_newest_snapshot(run: type[Run], counts: Counts) -> None:
    """The newest snapshot is damaged, and of the logs only those before an older one are left."""
    victim = settled(run, SMALL[0])
    image = dict(victim.disk.shown())
    newest = victim.dirs.snapshots()[-1]
    image[f"{victim.settings.snap_dir}/{newest.name}"] = b"ZKSN"
    for file in victim.dirs.logs()[2:]:
        del image[f"{victim.settings.log_dir}/{file.name}"]
    judge_of(victim, counts).damage(image, victim.last, "newest snapshot damaged")


# -- what is wrong -----------------------------------------------------------------------------------------


async def _no_commit(self: TxnLogWriter) -> None:
    self.durable_zxid = self._flushed_zxid


class AckFirst(Run):
    """Acknowledges what was only appended."""

    def log_one(self) -> None:
        super().log_one()
        self.floor = self.last


async def _no_dir_sync(self: CrashDisk, path: str) -> None:
    pass


def _no_dir_sync_now(self: CrashDisk, path: str) -> None:
    pass


class _Anything:
    """Equal to every checksum."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _rename_first() -> Patches:
    """The snapshot gets its name before its content is safe."""
    sync = CrashFile.sync
    rename = CrashDisk.rename

    async def late(self: CrashFile) -> None:
        if ".tmp-snapshot" not in self.path:
            await sync(self)

    def early(self: CrashDisk, old: str, new: str) -> None:
        rename(self, old, new)
        inode = self._inode(new)
        self.call("sync", new)
        inode.synced(inode.mark())

    return [(CrashFile, "sync", late), (CrashDisk, "rename", early)]


async def _never_sync(self: CrashFile) -> None:
    if "snapshot" not in self.path:
        self.sync_now()


def _hasty_truncate(self: CrashDisk, path: str, size: int) -> None:
    self.call("truncate", path)
    self._inode(path).shorten(size)


def _no_rewrite(self: CrashDisk, path: str, offset: int, end: int) -> None:
    self.call("rewrite", path)


def _keep_snapshots(data: DataDir, zxid: int) -> bool:
    """Truncation that leaves newer snapshots alone."""
    found = data.snapshots
    data.__dict__["snapshots"] = lambda: [file for file in found() if file.zxid <= zxid]
    try:
        return _truncate(data, zxid)
    finally:
        del data.__dict__["snapshots"]


_truncate = DataDir.truncate


def _oldest_first(self: DataDir, zxid: int) -> bool:
    """Truncation that removes later logs in the wrong order."""
    found = self.logs
    self.__dict__["logs"] = lambda: _Backwards(found())
    try:
        return _truncate(self, zxid)
    finally:
        del self.__dict__["logs"]


class _Backwards(list):  # type: ignore[type-arg]
    """Reversed, it stands as it was."""

    def __reversed__(self) -> Any:
        return iter(list(self))


def _previous_file_unsynced() -> Patches:
    start = TxnLogWriter._start_file

    def start_file(self: TxnLogWriter, data: bytes) -> None:
        rolled, self._rolled = self._rolled, []
        try:
            start(self, data)
        finally:
            self._rolled = rolled + self._rolled

    return [(TxnLogWriter, "_start_file", start_file)]


def _previous_name_unsynced() -> Patches:
    start = TxnLogWriter._start_file

    def start_file(self: TxnLogWriter, data: bytes) -> None:
        named, self._names_synced = self._names_synced, self._named
        start(self, data)
        self._names_synced = named

    return [(TxnLogWriter, "_start_file", start_file)]


def _retry_syncs() -> Patches:
    """A sync that failed is tried again, and its success is believed."""
    commit, commit_now = TxnLogWriter.commit, TxnLogWriter.commit_now

    async def again(self: TxnLogWriter) -> None:
        with suppress(StorageError):
            await commit(self)
            return
        self._failed = None
        await commit(self)

    def again_now(self: TxnLogWriter) -> None:
        with suppress(StorageError):
            commit_now(self)
            return
        self._failed = None
        commit_now(self)

    return [(TxnLogWriter, "commit", again), (TxnLogWriter, "commit_now", again_now)]


def _trusting_purge() -> Patches:
    """Of the logs only those that begin behind the oldest kept snapshot stay."""

    def later(logs: Any, zxid: int) -> Any:
        return [file for file in logs if file.zxid > zxid]

    return [(purge, "log_files_from", later)]


def _forgotten_sessions(view: Any, slice_records: int) -> Iterator[bytes]:
    view.sessions = []
    return _stream(view, slice_records)


_stream = snapshot._stream

MUTANTS: Final = [
    Mutant("no fsync of the log", [(TxnLogWriter, "commit", _no_commit)], crashes("write")),
    Mutant("acknowledged before it is logged", [], crashes("append"), AckFirst),
    Mutant(
        "no sync of the directory",
        [(CrashDisk, "sync_dir", _no_dir_sync), (CrashDisk, "sync_dir_now", _no_dir_sync_now)],
        crashes("roll", "write", "append"),
    ),
    Mutant("checksum ignored", [(logreader, "adler32", lambda data, start=1: _Anything())], damages),
    Mutant(
        "a bad record is taken for the end of the log",
        [(logreader, "damage", lambda *args: None)],
        damages,
    ),
    Mutant("snapshot renamed before it is synced", _rename_first(), crashes("snapshot")),
    Mutant(
        "snapshot never synced", [(CrashFile, "sync", _never_sync)], crashes("snapshot", "write", "snapshot")
    ),
    Mutant(
        "a missing log file is skipped", [(Chain, "_check", lambda self, path, entry, first: None)], losses
    ),
    Mutant("truncation without a sync", [(CrashDisk, "truncate", _hasty_truncate)], crashes("truncate")),
    Mutant(
        "truncation keeps newer snapshots",
        [(DataDir, "truncate", _keep_snapshots)],
        crashes("snapshot", "truncate"),
    ),
    Mutant(
        "truncation removes the oldest log first",
        [(DataDir, "truncate", _oldest_first)],
        crashes("roll", "single", "roll", "single", "truncate"),
    ),
    Mutant(
        "the next log begins before the last is synced",
        _previous_file_unsynced(),
        crashes("append", "roll", "write"),
    ),
    Mutant(
        "the next log begins before the name of the last is safe",
        _previous_name_unsynced(),
        crashes("roll", "append", "roll", "append"),
    ),
    Mutant("recovery trusts the cache", [(CrashDisk, "rewrite", _no_rewrite)], failures("write")),
    Mutant("a failed sync is tried again", _retry_syncs(), failures("append", "commit", "write")),
    Mutant(
        "purge removes a log that is needed", _trusting_purge(), crashes(*["snapshot", "write"] * 3, "purge")
    ),
    Mutant(
        "an older snapshot is taken though the logs do not reach the newer one",
        [(txnsnaplog._Recovery, "_check_reach", lambda self, restored: None)],
        broken_newest_snapshot,
    ),
    Mutant(
        "sessions are not in the snapshot", [(snapshot, "_stream", _forgotten_sessions)], crashes("snapshot")
    ),
    Mutant(
        "unfinished records are refused",
        [(LogReader, "_judge", lambda self: None if not self._rest()[0] else self.refuse(self.end, "bad"))],
        crashes("append"),
    ),
]
