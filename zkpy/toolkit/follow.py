"""``zkpy log --follow``: new transactions as they are written, over the change from one log to the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from zkpy.persist.logreader import HEADER, LogReader
from zkpy.persist.names import LOG, named, zxid_of
from zkpy.ports import Disk
from zkpy.realports import RealReadFile
from zkpy.toolkit.console import EXIT_OK, ToolError, flush, say
from zkpy.toolkit.locate import version_dir
from zkpy.toolkit.logview import View

POLL_S: Final = 0.2


class Follower:
    """Shows what is appended to the log files of *directory*, or to one file if *directory* is None.

    It begins where *view* has come to, or with the first file that appears.
    """

    __slots__ = ("_directory", "_disk", "_end", "_path", "_view")

    def __init__(self, disk: Disk, view: View, directory: str | None) -> None:
        self._disk = disk
        self._view = view
        self._directory = directory
        self._path: str | None = None
        self._end = len(HEADER)
        if view.position is not None:
            self._path, end = view.position
            self._end = max(end, len(HEADER))

    def run(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Go on until interrupted, or until the view has shown as many as it shall."""
        while not self._view.is_done:
            grown = self._read()
            flush()
            if not grown and not self._go_on():
                wait(POLL_S)

    def _read(self) -> bool:
        """Show what is new in the present file; whether there was anything."""
        if self._path is None:
            return False
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        file = RealReadFile(fd)
        try:
            size = os.fstat(fd).st_size
            if size < self._end:
                say(f"{self._path} was cut to {size} bytes, transactions shown above are no longer in it")
                self._end = max(size, len(HEADER))
            begin = self._end
            if not os.pread(fd, 12, begin).strip(b"\0"):
                return False
            os.lseek(fd, begin, os.SEEK_SET)
            reader = LogReader(self._disk, self._path, self._view.max_entry)
            for entry in reader.records_from(file, begin):
                self._view.show(self._path, entry)
                if self._view.is_done:
                    break
            self._end = reader.end
            return self._end > begin
        finally:
            file.close()

    def _go_on(self) -> bool:
        """Move to the next file if there is one: the writer only begins it after the last record of this."""
        if self._directory is None or not self._disk.is_dir(self._directory):
            return False
        here = -1 if self._path is None else zxid_of(os.path.basename(self._path), LOG)
        later = [file for file in named(self._disk, self._directory, LOG) if file.zxid > here]
        if not later or self._disk.size(f"{self._directory}/{later[0].name}") <= len(HEADER):
            return False
        if self._path is not None:
            if self._read():  # what came between the last look and the new file
                return True
            self._say_what_is_left(self._path)
        self._path, self._end = f"{self._directory}/{later[0].name}", len(HEADER)
        return True

    def _say_what_is_left(self, path: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if os.pread(fd, 12, self._end).strip(b"\0"):
                say(f"{path}: no complete record at offset {self._end}; see: zkpy log --verify {path}")
        finally:
            os.close(fd)


def follow(disk: Disk, view: View, given: list[str]) -> int:
    """Go on after *view* has printed *given*, one directory or one file; ends with Ctrl-C, status 0.

    Raises:
        ToolError: several were given.
    """
    if len(given) != 1:
        raise ToolError("--follow takes one data directory or one log file")
    directory = version_dir(disk, given[0]) if disk.is_dir(given[0]) else None
    try:
        Follower(disk, view, directory).run()
    except KeyboardInterrupt:
        flush()
    return EXIT_OK
