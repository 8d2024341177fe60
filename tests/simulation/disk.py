"""A disk whose syncs take time, and which keeps any part of what was not synced when the power goes."""

from __future__ import annotations

import errno
import random

import trio

from zkpy.persist.memorydisk import MemoryDisk, MemoryFile


class SimFile(MemoryFile):
    """Its syncs take as long as the disk says."""

    __slots__ = ()

    async def sync(self) -> None:
        """Only what was written before the call is safe when it returns."""
        disk = self._disk
        assert isinstance(disk, SimDisk)
        taken = bytes(self._content.data)
        with trio.CancelScope(shield=True):
            await trio.sleep(disk.rng.random() * disk.slow_s)
        disk.check("sync", self.path)
        self._content.synced = taken + self._content.synced[len(taken) :]


class SimDisk(MemoryDisk):
    """``slow_s`` is the longest that a sync takes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self.slow_s = 0.0
        self.dead = False

    def check(self, operation: str, path: str) -> None:
        """After the power is gone nothing works."""
        if self.dead:
            raise OSError(errno.EIO, "power off", path)
        super().check(operation, path)

    def create(self, path: str) -> SimFile:
        plain = super().create(path)
        return SimFile(self, path, plain._content)

    async def sync_dir(self, path: str) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(self.rng.random() * self.slow_s)
        self.sync_dir_now(path)

    def power_off(self) -> None:
        """Of what was not synced any prefix of a file may be left, and any name."""
        self.dead = True
        rng = self.rng
        for path, content in self._files.items():
            directory, _, name = path.rpartition("/")
            if rng.random() < 0.5:
                self._synced_names.setdefault(directory, {}).setdefault(name, content)
            start, end = _written(content.synced, content.data)
            cut = rng.choice([start, start, end, rng.randint(start, end)])
            content.synced = bytes(content.data[:cut]) + content.synced[cut:]
        self.crash()

    def power_on(self) -> None:
        """What still ran when the power went has changed nothing."""
        for content in self._files.values():
            content.data = bytearray(content.synced)
        self.dead = False


def _written(synced: bytes, data: bytearray) -> tuple[int, int]:
    """Where what is not synced begins, and where it ends but for preallocated zeros."""
    low, high = 0, min(len(synced), len(data))
    while low < high:
        middle = (low + high + 1) // 2
        if data.startswith(synced[:middle]):
            low = middle
        else:
            high = middle - 1
    return low, max(low, len(data.rstrip(b"\0")))
