"""A disk that keeps only what it promised: everything else may be lost, in any order, when the power goes.

What the medium holds for certain is kept apart from what the system shows. Of the bytes written since a
file's last sync every 512-byte sector may be there or not, on its own, in each of the versions it had; the
last write may stop at any byte; a file's length may or may not have followed. Of the names made, changed or
removed since their directory's last sync any subset may have happened. `CrashDisk.images` gives these.

``on_call`` is asked before every call with its name and path: it can look at what a crash would leave right
there, and it can raise OSError. After a sync that failed so the system goes on showing what it holds, but no
longer regards it as to be written: only writing it again brings it to the medium.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs
import trio

SECTOR: Final = 512

Image = Mapping[str, bytes]
"""Path and content of every file that a crash left."""


@attrs.define(eq=False)
class Inode:
    """A file's content: as shown (``live``), as safe (``durable``), and the sectors between the two.

    ``dirty`` has for each sector the versions it had since it was safe, with the end of what was written.
    ``before`` is what the file held when it was shortened without a sync; ``last`` the last write.
    """

    live: bytearray = attrs.field(factory=bytearray)
    durable: bytearray = attrs.field(factory=bytearray)
    dirty: dict[int, list[tuple[bytes, int]]] = attrs.field(factory=dict)
    before: bytes | None = None
    last: tuple[int, bytes, bytes] | None = None

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        old = bytes(self.live[offset:end])
        if len(self.live) < offset:
            self.live += bytes(offset - len(self.live))
        self.live[offset:end] = data
        self.last = offset, bytes(data), old
        self.touch(offset, end)

    def touch(self, offset: int, end: int) -> None:
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            content = bytes(self.live[sector * SECTOR : (sector + 1) * SECTOR])
            self.dirty.setdefault(sector, []).append((content, min(end, (sector + 1) * SECTOR)))

    def shorten(self, size: int) -> None:
        if self.before is None and len(self.durable) > size:
            self.before = bytes(self.durable)
        del self.live[size:]
        del self.durable[size:]
        self.last = None
        for sector in [sector for sector in self.dirty if sector * SECTOR >= size]:
            del self.dirty[sector]
        if size % SECTOR and size // SECTOR in self.dirty:
            sector = size // SECTOR
            self.dirty[sector] = [(content[: size % SECTOR], size) for content, _ in self.dirty[sector]]

    @property
    def pending(self) -> bool:
        return bool(self.dirty) or self.before is not None or len(self.live) != len(self.durable)

    def mark(self) -> tuple[dict[int, int], int]:
        """What a sync that begins now will cover."""
        return {sector: len(versions) for sector, versions in self.dirty.items()}, len(self.live)

    def synced(self, mark: tuple[dict[int, int], int]) -> None:
        counts, size = mark
        if len(self.durable) < size:
            self.durable += bytes(size - len(self.durable))
        for sector, count in counts.items():
            versions = self.dirty.get(sector)
            if versions is not None:
                _patch(self.durable, sector, versions[count - 1][0])
                del versions[:count]
                if not versions:
                    del self.dirty[sector]
        self.before = None
        if not self.dirty:
            self.last = None

    def forget(self) -> None:
        """A sync failed: the system takes the content for clean."""
        self.dirty.clear()
        self.last = None


def _patch(content: bytearray, sector: int, piece: bytes) -> None:
    start = sector * SECTOR
    if len(content) < start + len(piece):
        content += bytes(start + len(piece) - len(content))
    content[start : start + len(piece)] = piece


@attrs.define(eq=False)
class Directory:
    """The names in one directory; ``changes`` are those that its next sync makes safe."""

    live: dict[str, Inode] = attrs.field(factory=dict)
    durable: dict[str, Inode] = attrs.field(factory=dict)
    changes: list[tuple[str, str, Inode | None]] = attrs.field(factory=list)

    def change(self, name: str, gone: str, inode: Inode | None) -> None:
        """*gone* disappears, then *name* (if any) stands for *inode*, at once."""
        self.changes.append((name, gone, inode))
        _rename(self.live, name, gone, inode)


def _rename(names: dict[str, Inode], name: str, gone: str, inode: Inode | None) -> None:
    names.pop(gone, None)
    if inode is not None:
        names[name] = inode


class CrashFile:
    """A file being written (`zkpy.ports.DiskFile`)."""

    def __init__(self, disk: CrashDisk, path: str, inode: Inode) -> None:
        self._disk = disk
        self._inode = inode
        self._pos = 0
        self.path = path

    def write(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._disk.call("write", self.path)
        except OSError:  # a full disk takes the beginning
            data = bytes(data)[: len(data) // 2]
            if data:
                self._inode.write(self._pos, data)
            raise
        self._inode.write(self._pos, bytes(data))
        self._pos += len(data)

    def preallocate(self, size: int) -> None:
        self._disk.call("preallocate", self.path)
        self._inode.live += bytes(size - len(self._inode.live))

    async def sync(self) -> None:
        mark = self._inode.mark()
        self._disk.meanwhile()
        await trio.lowlevel.cancel_shielded_checkpoint()
        self._sync(mark)

    def start_sync(self, done: Callable[[OSError | None], None]) -> bool:
        if not self._disk.reporting:
            return False
        mark = self._inode.mark()

        def ended() -> None:
            try:
                self._sync(mark)
            except OSError as error:
                done(error)
            else:
                done(None)

        self._disk.reports.append(ended)
        return True

    def sync_now(self) -> None:
        self._sync(self._inode.mark())

    def _sync(self, mark: tuple[dict[int, int], int]) -> None:
        try:
            self._disk.call("sync", self.path)
        except OSError:
            self._inode.forget()
            raise
        if self._disk.lying:
            return
        self._inode.synced(mark)

    def close(self) -> None:
        pass


class CrashReadFile:
    """A file being read (`zkpy.ports.ReadFile`)."""

    def __init__(self, disk: CrashDisk, path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._pos = 0

    def read(self, size: int) -> bytes:
        self._disk.call("read", self._path)
        piece = bytes(self._inode.live[self._pos : self._pos + size])
        self._pos += len(piece)
        return piece

    def next_data(self) -> int:
        return self._pos

    def close(self) -> None:
        pass


class CrashDisk:
    """The operations of `zkpy.ports.Disk`.

    ``lying`` syncs do nothing; each awaited sync does what is next in ``during`` before it ends.
    ``reporting`` offers `DiskFile.start_sync`, whose ends wait in ``reports``. ``changed`` counts the calls
    that changed something.
    """

    def __init__(self, image: Image | None = None, directories: tuple[str, ...] = ()) -> None:
        self.on_call: Callable[[str, str], None] | None = None
        self.lying = False
        self.during: list[Callable[[], None]] = []
        self.reporting = False
        self.reports: list[Callable[[], None]] = []
        self.calls = 0
        self.changed = 0
        self._directories: dict[str, Directory] = {"/": Directory()}
        for directory in directories:
            self.make_dirs(directory)
        for path, content in (image or {}).items():
            directory, _, name = path.rpartition("/")
            self.make_dirs(directory)
            names = self._directories[directory]
            names.live[name] = names.durable[name] = Inode(bytearray(content), bytearray(content))

    def call(self, operation: str, path: str) -> None:
        """Something is about to be done."""
        self.calls += 1
        if self.on_call is not None:
            self.on_call(operation, path)
        if operation not in ("read", "list"):
            self.changed += 1

    def meanwhile(self) -> None:
        """A sync is under way."""
        if self.during:
            self.during.pop(0)()

    def _names(self, path: str) -> tuple[Directory, str]:
        directory, _, name = path.rpartition("/")
        if directory not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", directory)
        return self._directories[directory], name

    def _inode(self, path: str) -> Inode:
        directory, name = self._names(path)
        if name not in directory.live:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return directory.live[name]

    # -- zkpy.ports.Disk -----------------------------------------------------------------------------------

    def list_dir(self, path: str) -> list[str]:
        self.call("list", path)
        if path not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return sorted(self._directories[path].live)

    def make_dirs(self, path: str) -> None:
        while path and path not in self._directories:
            self._directories[path] = Directory()
            path = path.rpartition("/")[0]

    def is_dir(self, path: str) -> bool:
        return path in self._directories

    def is_writable(self, path: str) -> bool:
        return path in self._directories

    def size(self, path: str) -> int:
        return len(self._inode(path).live)

    def exists(self, path: str) -> bool:
        if path in self._directories:
            return True
        directory, name = self._names(path)
        return name in directory.live

    def read_bytes(self, path: str) -> bytes:
        self.call("read", path)
        return bytes(self._inode(path).live)

    def open_read(self, path: str) -> CrashReadFile:
        self.call("read", path)
        return CrashReadFile(self, path, self._inode(path))

    def create(self, path: str) -> CrashFile:
        self.call("create", path)
        directory, name = self._names(path)
        inode = directory.live.get(name)
        if inode is None:
            inode = Inode()
            directory.change(name, "", inode)
        else:
            inode.shorten(0)
        return CrashFile(self, path, inode)

    def truncate(self, path: str, size: int) -> None:
        self.call("truncate", path)
        inode = self._inode(path)
        inode.shorten(size)
        self.call("truncate: sync", path)
        inode.synced(inode.mark())

    def rewrite(self, path: str, offset: int, end: int) -> None:
        self.call("rewrite", path)
        inode = self._inode(path)
        inode.touch(offset, min(end, len(inode.live)))
        self.call("rewrite: sync", path)
        inode.synced(inode.mark())

    def rename(self, old: str, new: str) -> None:
        self.call("rename", new)
        inode = self._inode(old)
        directory, name = self._names(new)
        directory.change(name, old.rpartition("/")[2], inode)

    def remove(self, path: str) -> None:
        self.call("remove", path)
        self._inode(path)
        directory, name = self._names(path)
        directory.change("", name, None)

    def lock(self, path: str) -> Callable[[], None] | None:
        return lambda: None

    async def sync_dir(self, path: str) -> None:
        directory = self._directories[path]
        count = len(directory.changes)
        self.meanwhile()
        await trio.lowlevel.cancel_shielded_checkpoint()
        self._sync_dir(path, count)

    def sync_dir_now(self, path: str) -> None:
        self._sync_dir(path, len(self._directories[path].changes))

    def _sync_dir(self, path: str, count: int) -> None:
        self.call("sync_dir", path)
        if self.lying:
            return
        directory = self._directories[path]
        for change in directory.changes[:count]:
            _rename(directory.durable, *change)
        del directory.changes[:count]

    # -- what a crash leaves -------------------------------------------------------------------------------

    def shown(self) -> Image:
        """What the system shows: a killed process finds this."""
        return {
            f"{path}/{name}": bytes(inode.live)
            for path, directory in self._directories.items()
            for name, inode in directory.live.items()
        }

    def least(self) -> Image:
        """What is left when everything that may be lost is lost."""
        return self._image(dict.fromkeys(self._unknowns(), 0))

    def _files(self) -> list[Inode]:
        found: dict[int, Inode] = {}
        for directory in self._directories.values():
            changed = [inode for _, _, inode in directory.changes if inode is not None]
            for inode in (*directory.live.values(), *directory.durable.values(), *changed):
                found[id(inode)] = inode
        return [inode for inode in found.values() if inode.pending]

    def _unknowns(self) -> dict[tuple[object, object], int]:
        """What a crash decides: for each thing the number of its highest outcome (0: lost)."""
        out: dict[tuple[object, object], int] = {}
        for path, directory in self._directories.items():
            for at in range(len(directory.changes)):
                out[path, at] = 1
        for inode in self._files():
            if inode.before is not None:
                out[inode, "shortened"] = 1
            for sector, versions in inode.dirty.items():
                out[inode, sector] = len(versions)
            if len(inode.live) > len(inode.durable):
                out[inode, "length"] = 1
        return out

    def images(self, limit: int, chance: random.Random) -> Iterator[Image]:
        """What a crash may leave: all of it up to *limit* combinations, else the extremes and a sample."""
        unknowns = self._unknowns()
        keys = list(unknowns)
        total = 1
        for most in unknowns.values():
            total *= most + 1
        if total <= limit:
            for outcome in itertools.product(*(range(most + 1) for most in unknowns.values())):
                yield self._image(dict(zip(keys, outcome, strict=True)))
            return
        nothing = dict.fromkeys(keys, 0)
        yield self._image(nothing)
        yield self._image(unknowns)
        singles = [{**base, key: other[key]} for key in keys for base, other in _extremes(nothing, unknowns)]
        chance.shuffle(singles)
        for outcomes in singles[: limit // 2]:
            yield self._image(outcomes)
        for _ in range(limit - 2 - len(singles[: limit // 2])):
            yield self._image({key: chance.randint(0, most) for key, most in unknowns.items()})

    def torn(self, step: int = 1) -> Iterator[Image]:
        """What a crash leaves that stops the last write of a file at any (every *step*-th) byte."""
        everything = self._unknowns()
        for inode in self._files():
            if inode.last is None:
                continue
            offset, data, old = inode.last
            for cut in range(0, len(data), step):
                for longer in (False, True):
                    content = bytearray(inode.live)
                    rest = old[cut : len(data)]
                    content[offset + cut : offset + len(data)] = rest.ljust(len(data) - cut, b"\0")
                    if not longer:
                        del content[max(offset + cut, offset + len(old)) :]
                    yield self._image(everything, {inode: bytes(content)})

    def _image(
        self, outcome: Mapping[tuple[object, object], int], given: Mapping[Inode, bytes] | None = None
    ) -> Image:
        contents = dict(given or {})
        image: dict[str, bytes] = {}
        for path, directory in self._directories.items():
            names = dict(directory.durable)
            for at, change in enumerate(directory.changes):
                if outcome[path, at]:
                    _rename(names, *change)
            for name, inode in names.items():
                if inode not in contents:
                    contents[inode] = _content(inode, outcome)
                image[f"{path}/{name}"] = contents[inode]
        return image


Outcome = dict[tuple[object, object], int]


def _extremes(low: Outcome, high: Outcome) -> tuple[tuple[Outcome, Outcome], tuple[Outcome, Outcome]]:
    return (low, high), (high, low)


def _content(inode: Inode, outcome: Mapping[tuple[object, object], int]) -> bytes:
    if outcome.get((inode, "shortened"), 1) == 0:
        assert inode.before is not None
        return inode.before
    content = bytearray(inode.durable)
    for sector, versions in inode.dirty.items():
        version = outcome.get((inode, sector), 0)
        if version:
            piece, end = versions[version - 1]
            _patch(content, sector, piece[: max(end, len(inode.durable)) - sector * SECTOR])
    if outcome.get((inode, "length"), 0) and len(content) < len(inode.live):
        content += bytes(len(inode.live) - len(content))
    return bytes(content)
