"""The configuration files of a member whose membership can change: F is the file it was started with.

    F                       rewritten to point to the dynamic file
    F.bak                   F as it was before that
    F.dynamic.<version>     the members in force; files of older versions stay
    F.dynamic.next          the members last seen, not yet in force

Each is written beside its place, synced and renamed. That blocks: it is rare, and nothing may happen between
a configuration's coming into force and its being stored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from zkpy.config.dynamicfiles import dynamic_text, repointed
from zkpy.errors import ConfigError
from zkpy.ports import Disk

logger: Final = logging.getLogger("zkpy.config")

TEMPORARY: Final = ".tmp"


class ConfigFiles:
    """The files around *path*, which is absolute.

    Except for `back_up` a file that cannot be written is logged and no more, as with ZooKeeper: the others
    tell a server that restarts what it has missed.
    """

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk: Final = disk
        self._path: Final = path
        self._next: Final = f"{path}.dynamic.next"

    def back_up(self) -> None:
        """Keep a copy of the file as its author wrote it. Raises ConfigError."""
        backup = f"{self._path}.bak"
        try:
            self._write(backup, self._disk.read_bytes(self._path))
        except OSError as error:
            raise ConfigError(
                self._path,
                None,
                f"{backup} cannot be written: {error.strerror or error}",
                "With reconfigEnabled=true the file's directory has to be writable for this process.",
            ) from None

    def last_seen(self) -> str | None:
        """The configuration that was seen last, if it was not in force yet."""
        try:
            return self._disk.read_bytes(self._next).decode("iso-8859-1")
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s is ignored, it cannot be read: %s", self._next, error.strerror or error)
            return None

    def see(self, lines: Iterable[str], version: int) -> None:
        """Store a configuration that is not in force yet."""
        text = dynamic_text([*lines, f"version={version:x}"])
        try:
            self._write(self._next, text.encode("iso-8859-1", "replace"))
        except OSError as error:
            logger.error("%s cannot be written: %s", self._next, error.strerror or error)

    def forget_seen(self) -> None:
        """What was seen is in force, or was given up: it must not come back when the power fails."""
        try:
            self._disk.remove(self._next)
            self._sync_names()
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("%s cannot be removed: %s", self._next, error.strerror or error)

    def activate(self, lines: Iterable[str], version: int, *, drop_client_port: bool) -> None:
        """Store the configuration that is in force now, and have the next start begin with it."""
        dynamic = f"{self._path}.dynamic.{version:x}"
        try:
            self._write(dynamic, dynamic_text(lines).encode("iso-8859-1", "replace"))
            text = self._disk.read_bytes(self._path).decode("iso-8859-1")
            new = repointed(text, self._path, dynamic, drop_client_port=drop_client_port)
            self._write(self._path, new.encode("iso-8859-1"))
        except (OSError, ConfigError) as error:
            logger.error("configuration %x is not stored in %s: %s", version, self._path, error)

    def _write(self, path: str, data: bytes) -> None:
        temporary = path + TEMPORARY
        file = self._disk.create(temporary)
        try:
            file.write(data)
            file.sync_now()
        finally:
            file.close()
        self._disk.rename(temporary, path)
        self._sync_names()

    def _sync_names(self) -> None:
        self._disk.sync_dir_now(self._path.rpartition("/")[0] or "/")
