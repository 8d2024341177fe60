"""``zkpy log``: transactions as lines, chosen by path, time, session or operation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import attrs

from zkpy.errors import CorruptLogError, MarshallingError
from zkpy.persist.logreader import MAX_ENTRY, REMEDY, LogEntry, LogReader
from zkpy.persist.names import LOG, named
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_FOUND, EXIT_OK, Progress, out, printing, say
from zkpy.toolkit.locate import first_zxid, log_files, version_dir
from zkpy.toolkit.render import Clock, hex_id, json_line
from zkpy.toolkit.transactions import Choice, entry_json, entry_text
from zkpy.tree.txns import Logged, decode_payload

EVERY: Final = 256
"""Entries between two looks at the clock for the progress."""


@attrs.define
class View:
    """How entries are shown, and which.

    ``limit`` ends after that many (0: none), ``tail`` shows only the last so many (0: all). *data_limit* is
    in bytes, *max_entry* the longest payload. ``live``: more may be written to the last file. ``damaged``
    tells whether anything was wrong on the way, ``position`` how far it came: a file and the offset behind
    the last entry.
    """

    choice: Choice
    clock: Clock
    as_json: bool = False
    data_limit: int = 64
    digest: bool = False
    limit: int = 0
    tail: int = 0
    max_entry: int = MAX_ENTRY
    live: bool = False
    damaged: bool = False
    position: tuple[str, int] | None = None
    _last: deque[str] = attrs.field(factory=deque)
    _shown: int = 0

    def __attrs_post_init__(self) -> None:
        self._last = deque(maxlen=self.tail or None)

    def print_files(self, disk: Disk, paths: list[str]) -> int:
        """Print what is chosen of the files; gives the exit status."""
        for at, path in enumerate(paths):
            last = at == len(paths) - 1
            if self._is_beyond(disk, path):
                break
            self._print_file(disk, path, last)
            if self.is_done:
                break
        self.print_tail()
        return EXIT_FOUND if self.damaged else EXIT_OK

    @property
    def is_done(self) -> bool:
        """Whether ``limit`` was reached."""
        return bool(self.limit) and self._shown >= self.limit

    def _is_beyond(self, disk: Disk, path: str) -> bool:
        until = self.choice.until.zxid
        if until is None:
            return False
        return first_zxid(disk, path) > until

    def _print_file(self, disk: Disk, path: str, last: bool) -> None:
        reader = LogReader(disk, path, self.max_entry)
        progress = Progress(path, disk.size(path), quiet=printing() and not self.tail)
        try:
            for entry in watched(reader, progress):
                self.show(path, entry)
                if self.is_done:
                    return
        except CorruptLogError as error:
            self.damaged = True
            progress.end()
            salvage = f". Or save what stands before it: zkpy log --salvage OUT {path}"
            say(f"{error}{salvage if error.remedy == REMEDY else ''}")
        finally:
            progress.end()
            self.position = path, reader.end
        if reader.torn:
            if last and self.live:
                return
            if last:
                say(f"{path}: {reader.torn}: a write was interrupted; a server drops this when it starts")
            else:
                self.damaged = True
                say(f"{path}: {reader.torn}, but it is not the last log; see --verify")

    def show(self, path: str, entry: LogEntry) -> None:
        """Print *entry* of the file *path* if it is chosen."""
        if not self.choice.may_fit(entry):
            return
        try:
            logged = decode_payload(entry.payload)
        except MarshallingError as error:
            self.damaged = True
            say(f"{path}: offset {entry.offset}: zxid {hex_id(entry.zxid)} cannot be decoded: {error}")
            return
        if not self.choice.fits(logged.txn):
            return
        self._shown += 1
        line = self._line(path, entry, logged)
        if self.tail:
            self._last.append(line)
        else:
            out(line)

    def _line(self, path: str, entry: LogEntry, logged: Logged) -> str:
        if self.as_json:
            return json_line(entry_json(path, entry, logged, self.clock))
        return entry_text(logged, self.clock, self.data_limit, self.digest)

    def print_tail(self) -> None:
        """Print what ``tail`` kept back; from now on entries are printed as they come."""
        for line in self._last:
            out(line)
        self._last.clear()
        self.tail = 0


def watched(reader: LogReader, progress: Progress) -> Iterator[LogEntry]:
    """The entries of *reader*, with the progress through the file."""
    for count, entry in enumerate(reader):
        yield entry
        if count % EVERY == 0:
            progress.at(entry.offset)


def print_logs(disk: Disk, view: View, given: list[str], *, follow: bool = False) -> int:
    """Print what *view* chooses of the files and directories *given*; gives the exit status.

    To be followed, a directory may still be without logs.
    """
    since = view.choice.since.zxid
    if follow and len(given) == 1 and disk.is_dir(given[0]):
        directory = version_dir(disk, given[0])
        if not named(disk, directory, LOG):
            return EXIT_OK
    return view.print_files(disk, log_files(disk, given, since or 0))
