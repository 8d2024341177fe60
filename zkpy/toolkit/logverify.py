"""``zkpy log --verify``: every entry, the order of zxids, gaps, and on request the digest by replaying."""

from __future__ import annotations

from contextlib import suppress
from zlib import adler32

import attrs

from zkpy.errors import CorruptLogError, MarshallingError
from zkpy.persist.logreader import REMEDY, LogEntry, LogReader
from zkpy.persist.names import LOG, SNAPSHOT, Named, named, zxid_of
from zkpy.persist.snapshot import SnapshotError, Stored, load_snapshot
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_FOUND, EXIT_OK, Progress, ToolError, out
from zkpy.toolkit.locate import first_zxid, log_files, version_dir
from zkpy.toolkit.logview import watched
from zkpy.toolkit.render import RULES, hex_id
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, VERSION
from zkpy.tree.txns import Logged, decode_payload
from zkpy.zxid import continues

_SAVE = "save what stands before it with zkpy log --salvage OUT"
_RESTORE = "put back an undamaged copy, or rebuild this server from the other members"


@attrs.define
class Verifier:
    """Checks log files in zxid order; ``problems`` counts what was found and printed.

    *snapshots* are those that may cover a gap, *replay* checks digests.
    """

    disk: Disk
    max_entry: int
    snapshots: list[Named] = attrs.field(factory=list)
    replay: Replay | None = None
    problems: int = 0
    entries: int = 0
    _last: int = -1
    _last_place: str = ""
    _previous: dict[int, int] | None = None

    def run(self, paths: list[str]) -> int:
        """Check *paths*; gives the exit status."""
        for at, path in enumerate(paths):
            self._file(path, at == len(paths) - 1)
        if self.replay is not None:
            self.problems += self.replay.finish()
        word = "sound" if not self.problems else f"{self.problems} problems"
        out(f"{len(paths)} log files, {self.entries} transactions: {word}")
        return EXIT_FOUND if self.problems else EXIT_OK

    def _problem(self, path: str, offset: int, zxid: int | None, why: str, remedy: str) -> None:
        self.problems += 1
        where = "" if zxid is None else f" zxid {hex_id(zxid)}:"
        out(f"{path}: offset {offset}:{where} {why}. To do: {remedy}.")

    def _file(self, path: str, last: bool) -> None:
        reader = LogReader(self.disk, path, self.max_entry)
        progress = Progress(path, self.disk.size(path))
        count, first = 0, None
        self._previous = None
        try:
            for entry in watched(reader, progress):
                if first is None:
                    first = entry.zxid
                    self._check_name(path, entry)
                self._entry(path, entry)
                count += 1
        except CorruptLogError as error:
            remedy = f"{_SAVE}, or {_RESTORE}" if error.remedy == REMEDY else error.remedy
            self._problem(path, error.offset, None, error.why, remedy)
        finally:
            progress.end()
        self.entries += count
        if reader.torn and not last:
            self._problem(
                path, reader.end, None, f"{reader.torn}, though later logs follow", f"{_SAVE}, or {_RESTORE}"
            )
        zxids = "no transactions" if first is None else f"zxids {hex_id(first)} to {hex_id(self._last)}"
        out(f"{path}: {count} transactions, {zxids}, {reader.end} bytes used")
        if reader.torn and last:
            out(f"{path}: note: {reader.torn}: a write was interrupted; a server drops this when it starts")

    def _check_name(self, path: str, entry: LogEntry) -> None:
        name = path[path.rfind("/") + 1 :]
        zxid = zxid_of(name, LOG)
        if zxid >= 0 and zxid != entry.zxid:
            self._problem(
                path,
                entry.offset,
                entry.zxid,
                f"the name says {hex_id(zxid)}",
                f"name the file {LOG}.{entry.zxid:x}, recovery chooses files by name",
            )

    def _entry(self, path: str, entry: LogEntry) -> None:
        zxid, offset = entry.zxid, entry.offset
        if self._last >= 0 and not continues(self._last, zxid):
            if zxid <= self._last:
                if self._last_place == path or not self._is_repeated(entry):
                    why = f"it comes after {hex_id(self._last)}"
                    remedy = "find out which file belongs here, and move the other away"
                    self._problem(path, offset, zxid, why, remedy)
                return
            self._gap(path, entry)
        self._last, self._last_place = zxid, path
        try:
            logged = decode_payload(entry.payload)
        except MarshallingError as error:
            self._problem(path, offset, zxid, f"its body cannot be decoded: {error}", _RESTORE)
            return
        if self.replay is not None:
            self.replay.entry(path, entry, logged)

    def _is_repeated(self, entry: LogEntry) -> bool:
        """Whether the file before has the same entry: files may overlap, replay skips what it knows."""
        if self._previous is None:
            reader = LogReader(self.disk, self._last_place, self.max_entry)
            self._previous = {}
            with suppress(CorruptLogError):
                for old in reader:
                    if old.zxid >= entry.zxid:
                        self._previous[old.zxid] = adler32(old.payload)
        return self._previous.get(entry.zxid) == adler32(entry.payload)

    def _gap(self, path: str, entry: LogEntry) -> None:
        missing = f"transactions are missing between {hex_id(self._last)} ({self._last_place}) and this one"
        covering = [file for file in self.snapshots if file.zxid >= entry.zxid - 1]
        if covering:
            out(f"{path}: offset {entry.offset}: note: {missing}; {covering[0].name} covers them")
            if self.replay is not None:
                self.replay.stop(f"the log has a gap before {hex_id(entry.zxid)}")
        else:
            remedy = "put back the missing log, or a snapshot of a later zxid"
            self._problem(path, entry.offset, entry.zxid, missing, remedy)


@attrs.define
class Replay:
    """A tree that the transactions are applied to, to compare its digest with the logged ones."""

    tree: DataTree
    start: str
    fuzzy_until: int = 0
    compared: int = 0
    mismatches: int = 0
    stopped: str = ""

    def entry(self, path: str, entry: LogEntry, logged: Logged) -> None:
        """Apply the next transaction and compare."""
        if self.stopped or entry.zxid <= self.tree.last_zxid:
            return
        if not continues(self.tree.last_zxid, entry.zxid):
            self.stop(f"{self.start} ends with {hex_id(self.tree.last_zxid)}, next is {hex_id(entry.zxid)}")
            return
        tree = self.tree
        tree.apply(logged.header, logged.txn)
        tree.changes.clear()
        if logged.digest_version != VERSION or entry.zxid < self.fuzzy_until:
            return
        self.compared += 1
        if logged.digest != tree.digest & MASK:
            self.mismatches += 1
            if self.mismatches == 1:
                out(
                    f"{path}: offset {entry.offset}: zxid {hex_id(entry.zxid)}: the logged digest is "
                    f"{hex_id(logged.digest)}, the replayed tree has {hex_id(tree.digest & MASK)}. To do: "
                    "compare this server's data with another member's (zkpy snapshot compare)."
                )

    def stop(self, why: str) -> None:
        """Compare no further."""
        self.stopped = self.stopped or why

    def finish(self) -> int:
        """Say how it went; gives the number of problems."""
        if self.stopped:
            out(f"digests: note: replaying stopped: {self.stopped}")
        out(f"digests: replayed from {self.start}: {self.compared} compared, {self.mismatches} differ")
        return int(self.mismatches > 0)


def begin_replay(disk: Disk, snap_dir: str | None, first_zxid: int) -> Replay:
    """The tree to replay onto: of the oldest valid snapshot that the logs go on from, or the empty one.

    Raises:
        ToolError: there is neither.
    """
    for file in named(disk, snap_dir, SNAPSHOT) if snap_dir is not None else ():
        if first_zxid > file.zxid + 1 and not continues(file.zxid, first_zxid):
            continue
        tree = DataTree(RULES)
        try:
            stored: Stored = load_snapshot(disk, snap_dir or "", file.name, file.zxid, tree)
        except SnapshotError:
            continue
        fuzzy = stored.digest_zxid if stored.digest_zxid > file.zxid else 0
        return Replay(tree, f"{snap_dir}/{file.name}", fuzzy)
    if first_zxid & 0xFFFFFFFF == 1:
        return Replay(DataTree(RULES), "the empty tree")
    raise ToolError(
        f"the digest cannot be checked: the logs begin with zxid {hex_id(first_zxid)}, and no valid "
        "snapshot that leads there is beside them. Name the dataDir with --snapshots, or leave --digest away."
    )


def verify_logs(disk: Disk, given: list[str], snapshots: str | None, digest: bool, max_entry: int) -> int:
    """Check the logs that *given* stands for, with the snapshots beside them or in *snapshots*.

    Gives the exit status. Raises ToolError when something is missing that was asked for.
    """
    paths = log_files(disk, given)
    snap_dir: str | None = None
    if snapshots is not None:
        snap_dir = version_dir(disk, snapshots)
    elif len(given) == 1 and disk.is_dir(given[0]):
        snap_dir = version_dir(disk, given[0])
    verifier = Verifier(disk, max_entry, named(disk, snap_dir, SNAPSHOT) if snap_dir is not None else [])
    if digest:
        verifier.replay = begin_replay(disk, snap_dir, first_zxid(disk, paths[0]))
    return verifier.run(paths)
