"""The promises of an ensemble member: ``acceptedEpoch`` and ``currentEpoch``, one decimal number each.

``acceptedEpoch`` is the highest epoch promised to a leader (or proposed as one), ``currentEpoch`` the one
whose history the server holds. Both are durable before anybody is told.
"""

from __future__ import annotations

import contextlib
import re
from typing import Final

from zkpy.errors import DataDirError, StorageError
from zkpy.ports import Disk

ACCEPTED: Final = "acceptedEpoch"
CURRENT: Final = "currentEpoch"
TEMPORARY: Final = ".tmp"

_DECIMAL: Final = re.compile(rb"[+-]?[0-9]{1,19}")
_LINE_END: Final = re.compile(rb"[\r\n]")


class EpochFiles:
    """Both files in *directory* (beside the snapshots), and their values as of the medium.

    Call `load` first. Each change raises StorageError when it could not be made durable; the values are then
    the old ones, and the server has to stop, since the file may have either.
    """

    __slots__ = ("_directory", "_disk", "_prepared", "accepted", "current")

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._prepared: int | None = None
        self.accepted = 0
        self.current = 0

    def load(self, last_zxid: int) -> None:
        """Read both at start-up; missing ones are written, with the epoch of *last_zxid*. Blocking.

        *last_zxid* is that of the restored database.

        Raises:
            DataDirError: they do not fit each other or the database; the server must not vote with it.
            StorageError: a missing one could not be written.
        """
        epoch = last_zxid >> 32
        current = self._read(CURRENT)
        if current is None:
            current = epoch
            self._write_now(CURRENT, current)
        elif current < epoch:
            current = self._complete(current, epoch)
        accepted = self._read(ACCEPTED)
        if accepted is None:
            accepted = epoch
            if accepted >= current:
                self._write_now(ACCEPTED, accepted)
        if accepted < current:
            raise DataDirError(
                f"{self._path(ACCEPTED)} has epoch {accepted}, older than the {current} of {CURRENT}: a"
                " promise was lost. Put the file back, or clear the data directory: the others fill it."
            )
        self.accepted = accepted
        self.current = current

    async def accept(self, epoch: int) -> None:
        """Promise *epoch*: no older leader will be followed."""
        assert epoch >= self.accepted, f"accepted {self.accepted}, now {epoch}"
        await self._write(ACCEPTED, epoch)
        await self._rename(ACCEPTED)
        self.accepted = epoch

    async def prepare(self, epoch: int) -> None:
        """Announce *epoch* as the next current one, before the first of its transactions is stored.

        A crash between the first stored transaction and `enter` would leave a directory that no server opens;
        with this, `load` completes the step.
        """
        await self._write(CURRENT, epoch)
        await self._sync_directory(CURRENT)
        self._prepared = epoch

    async def enter(self, epoch: int) -> None:
        """Make *epoch* the current one: its leader's history is durable here."""
        assert self.current <= epoch <= self.accepted, f"{self.current} to {epoch}, {self.accepted} accepted"
        if self._prepared != epoch:  # else the file is there, and must not be missing for a moment
            await self._write(CURRENT, epoch)
        self._prepared = None
        await self._rename(CURRENT)
        self.current = epoch

    # -- reading -------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    def _read(self, name: str) -> int | None:
        """The number in a file; None: there is no such file."""
        path = self._path(name)
        try:
            text = self._disk.read_bytes(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataDirError(f"{path} cannot be read: {error.strerror or error}.") from error
        number = _number(text)
        if number is None:
            raise DataDirError(
                f"{path} has {text[:40]!r} where one decimal number is expected. Put the file back, or clear"
                " the data directory and let the others fill it."
            )
        return number

    def _complete(self, current: int, epoch: int) -> int:
        """Bring to its end what was being written when the server ended; gives the number, whatever it is."""
        path = self._path(CURRENT)
        temporary = path + TEMPORARY
        try:
            text = self._disk.read_bytes(temporary)
        except OSError:
            text = b""
        number = _number(text)
        if number is None:
            raise DataDirError(
                f"{path} has epoch {current}, but the database is of epoch {epoch}. Put the file back, or"
                " clear the data directory and let the others fill it."
            )
        try:
            self._disk.rewrite(temporary, 0, len(text))  # nobody knows whether it was synced
            self._disk.rename(temporary, path)
            self._disk.sync_dir_now(self._directory)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror or error}") from error
        return number

    # -- writing -------------------------------------------------------------------------------------------

    async def _write(self, name: str, epoch: int) -> None:
        temporary = self._path(name + TEMPORARY)
        try:
            file = self._disk.create(temporary)
            try:
                file.write(b"%d" % epoch)
                await file.sync()
            finally:
                file.close()
        except OSError as error:
            raise self._failed(name, error) from error

    async def _rename(self, name: str) -> None:
        try:
            self._disk.rename(self._path(name + TEMPORARY), self._path(name))
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error
        await self._sync_directory(name)

    async def _sync_directory(self, name: str) -> None:
        try:
            await self._disk.sync_dir(self._directory)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def _write_now(self, name: str, epoch: int) -> None:
        temporary = self._path(name + TEMPORARY)
        try:
            file = self._disk.create(temporary)
            try:
                file.write(b"%d" % epoch)
                file.sync_now()
            finally:
                file.close()
            self._disk.rename(temporary, self._path(name))
            self._disk.sync_dir_now(self._directory)
        except OSError as error:
            raise self._failed(name, error) from error

    def _failed(self, name: str, error: OSError) -> StorageError:
        with contextlib.suppress(OSError):
            self._disk.remove(self._path(name + TEMPORARY))
        return StorageError(f"{self._path(name)}: {error.strerror or error}")


def _number(text: bytes) -> int | None:
    """A strict decimal of 64 bits on the first line, as Java reads it."""
    line = _LINE_END.split(text, maxsplit=1)[0]
    if not _DECIMAL.fullmatch(line):
        return None
    number = int(line)
    return number if -(1 << 63) <= number < 1 << 63 else None
