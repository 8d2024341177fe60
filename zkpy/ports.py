"""The four seams to the world: network, disk, clock and randomness. No implementation lives here.

Everything below the composition reaches the world only through these; the real ones are in
``zkpy.realports``, simulated ones may take their place and run the same server code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class DiskFile(Protocol):
    """A file being written, from its start onwards."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append *data* at the write position (to the system, not to the medium). Raises OSError."""

    def preallocate(self, size: int) -> None:
        """Make the file *size* bytes long, zeros beyond what was written. Raises OSError."""

    async def sync(self) -> None:
        """Return when what was written before the call is on the medium. Raises OSError."""

    def start_sync(self, done: Callable[[OSError | None], None]) -> bool:
        """Begin a sync without waiting; *done* hears of its end when the disk's `SyncReports` are collected.

        False when this disk has no such reports: use `sync`. One at a time.
        """

    def sync_now(self) -> None:
        """As `sync`, but blocking: for start-up and shutdown. Raises OSError."""

    def close(self) -> None:
        """Release the file; does not sync."""


class ReadFile(Protocol):
    """A file being read."""

    def read(self, size: int) -> bytes:
        """Up to *size* bytes from the position, ``b""`` at the end."""

    def next_data(self) -> int:
        """Skip a hole: move to the next position that may hold more than zeros, or to the end; gives it."""

    def close(self) -> None:
        """Release the file."""


class SyncReports(Protocol):
    """How the syncs begun by `DiskFile.start_sync` report to a loop that polls descriptors."""

    def fileno(self) -> int:
        """A descriptor that is readable when a sync has ended."""

    def collect(self) -> None:
        """Call *done* for what has ended."""


class Disk(Protocol):
    """The operations a data directory needs. Paths are ordinary path strings; all raise OSError."""

    def list_dir(self, path: str) -> list[str]:
        """The names in directory *path*, sorted."""

    def make_dirs(self, path: str) -> None:
        """Create directory *path* and its parents where missing."""

    def is_dir(self, path: str) -> bool:
        """Whether *path* is a directory."""

    def is_writable(self, path: str) -> bool:
        """Whether new names can be created in directory *path*."""

    def size(self, path: str) -> int:
        """Length of the file in bytes."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory *path*."""

    def read_bytes(self, path: str) -> bytes:
        """The whole content."""

    def open_read(self, path: str) -> ReadFile:
        """Open for streaming."""

    def create(self, path: str) -> DiskFile:
        """A new empty file, replacing one of that name."""

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to *size* bytes and sync it."""

    def rewrite(self, path: str, offset: int, end: int) -> None:
        """Write bytes *offset* to *end* once more as they read, and sync: a cache is no evidence."""

    def rename(self, old: str, new: str) -> None:
        """Replace *new* by *old*."""

    def remove(self, path: str) -> None:
        """Delete a file."""

    def lock(self, path: str) -> Callable[[], None] | None:
        """Claim file *path* until the returned function is called; None when another process has it."""

    async def sync_dir(self, path: str) -> None:
        """Return when the names in *path* are on the medium."""

    def sync_dir_now(self, path: str) -> None:
        """As `sync_dir`, but blocking."""


class Random(Protocol):
    """The part of ``random.Random`` that the server uses."""

    def randrange(self, start: int, stop: int) -> int:
        """A number from *start* up to, not including, *stop*."""


WallClock = Callable[[], int]
"""Milliseconds since the Unix epoch, for ctime, mtime and session ids."""

MonotonicClock = Callable[[], float]
"""Seconds that never run backwards (trio's clock), for deadlines and latencies."""
