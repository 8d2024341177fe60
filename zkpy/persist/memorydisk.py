"""A disk in memory, for tests and simulations: what was not synced is lost by `crash`."""

from __future__ import annotations

import errno
from collections.abc import Callable

import trio


class _Content:
    __slots__ = ("data", "synced")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = bytes(data)


class MemoryFile:
    """A file being written (`zkpy.ports.DiskFile`)."""

    __slots__ = ("_content", "_disk", "_pos", "path")

    def __init__(self, disk: MemoryDisk, path: str, content: _Content) -> None:
        self._disk = disk
        self._content = content
        self._pos = 0
        self.path = path

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append *data* at the write position."""
        self._disk.check("write", self.path)
        end = self._pos + len(data)
        content = self._content.data
        if len(content) < self._pos:
            content += bytes(self._pos - len(content))
        content[self._pos : end] = data
        self._pos = end

    def preallocate(self, size: int) -> None:
        """Make the file *size* bytes long."""
        self._disk.check("preallocate", self.path)
        self._content.data += bytes(size - len(self._content.data))

    async def sync(self) -> None:
        """What was written before the call survives `MemoryDisk.crash`; a checkpoint."""
        taken = bytes(self._content.data)
        await trio.lowlevel.cancel_shielded_checkpoint()
        self._disk.check("sync", self.path)
        if len(taken) >= len(self._content.synced):
            self._content.synced = taken

    def start_sync(self, done: Callable[[OSError | None], None]) -> bool:
        """There are no reports: False."""
        return False

    def sync_now(self) -> None:
        """As `sync`, at once."""
        self._disk.check("sync", self.path)
        self._content.synced = bytes(self._content.data)

    def close(self) -> None:
        """Nothing to release."""


class MemoryReadFile:
    """A file being read (`zkpy.ports.ReadFile`)."""

    __slots__ = ("_content", "_pos")

    def __init__(self, content: _Content) -> None:
        self._content = content
        self._pos = 0

    def read(self, size: int) -> bytes:
        """Up to *size* bytes from the position, ``b""`` at the end."""
        piece = bytes(self._content.data[self._pos : self._pos + size])
        self._pos += len(piece)
        return piece

    def next_data(self) -> int:
        """There are no holes: the position."""
        return self._pos

    def close(self) -> None:
        """Nothing to release."""


class MemoryDisk:
    """The operations of `zkpy.ports.Disk` on a dict.

    ``fault`` is asked before each operation with its name and path, and may raise OSError. Names are lost by
    a crash, too, until their directory is synced.
    """

    def __init__(self) -> None:
        self.fault: Callable[[str, str], None] | None = None
        self._dirs: set[str] = {"", "/", "."}
        self._files: dict[str, _Content] = {}
        self._synced_names: dict[str, dict[str, _Content]] = {}

    def check(self, operation: str, path: str) -> None:
        """Let ``fault`` have its say."""
        if self.fault is not None:
            self.fault(operation, path)

    def crash(self) -> None:
        """Power off: only synced names with their synced content are left."""
        self._files = {
            f"{directory}/{name}": content
            for directory, names in self._synced_names.items()
            for name, content in names.items()
        }
        for content in self._files.values():
            content.data = bytearray(content.synced)

    def put(self, path: str, data: bytes) -> None:
        """Have a file with this content, synced."""
        self.make_dirs(path.rpartition("/")[0])
        self._files[path] = _Content(data)
        self.sync_dir_now(path.rpartition("/")[0])

    def _get(self, path: str) -> _Content:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None

    def list_dir(self, path: str) -> list[str]:
        """The names in directory *path*, sorted."""
        self.check("list", path)
        if path not in self._dirs:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        here = path.rstrip("/") + "/"
        return sorted(
            {
                name[len(here) :]
                for name in (*self._files, *self._dirs)
                if name.startswith(here) and len(name) > len(here) and "/" not in name[len(here) :]
            }
        )

    def make_dirs(self, path: str) -> None:
        """Create directory *path* and its parents where missing."""
        self.check("mkdir", path)
        while path not in self._dirs:
            self._dirs.add(path)
            path = path.rpartition("/")[0]

    def is_dir(self, path: str) -> bool:
        """Whether *path* is a directory."""
        return path in self._dirs

    def is_writable(self, path: str) -> bool:
        """Whether *path* is a directory; all are writable."""
        return path in self._dirs

    def size(self, path: str) -> int:
        """Length of the file in bytes."""
        return 0 if path in self._dirs else len(self._get(path).data)

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory *path*."""
        return path in self._files or path in self._dirs

    def read_bytes(self, path: str) -> bytes:
        """The whole content."""
        self.check("read", path)
        return bytes(self._get(path).data)

    def open_read(self, path: str) -> MemoryReadFile:
        """Open for streaming."""
        self.check("read", path)
        return MemoryReadFile(self._get(path))

    def create(self, path: str) -> MemoryFile:
        """A new empty file, replacing one of that name."""
        self.check("create", path)
        content = self._files.get(path)
        if content is None:
            content = self._files[path] = _Content()
        content.data = bytearray()
        return MemoryFile(self, path, content)

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to *size* bytes and sync it."""
        self.check("truncate", path)
        content = self._get(path)
        del content.data[size:]
        content.synced = bytes(content.data)

    def rewrite(self, path: str, offset: int, end: int) -> None:
        """Sync the file."""
        self.check("rewrite", path)
        content = self._get(path)
        content.synced = bytes(content.data)

    def rename(self, old: str, new: str) -> None:
        """Replace *new* by *old*."""
        self.check("rename", new)
        self._files[new] = self._get(old)
        del self._files[old]

    def remove(self, path: str) -> None:
        """Delete a file."""
        self.check("remove", path)
        self._get(path)
        del self._files[path]

    def lock(self, path: str) -> Callable[[], None] | None:
        """Nobody else can have this disk."""
        return lambda: None

    async def sync_dir(self, path: str) -> None:
        """The names in *path* survive `crash`; a checkpoint."""
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.sync_dir_now(path)

    def sync_dir_now(self, path: str) -> None:
        """As `sync_dir`, at once."""
        self.check("sync_dir", path)
        self._synced_names[path] = {
            name: self._files[f"{path}/{name}"]
            for name in self.list_dir(path)
            if f"{path}/{name}" in self._files
        }
