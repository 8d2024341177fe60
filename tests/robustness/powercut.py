"""``python -m tests.robustness.powercut --rounds 100``: power cuts on a real file system, and what is left.

As `kill`, but between SIGKILL and the next start the file system loses all that was not synced: an ext4 on a
loop device is shut down without writing its journal (EXT4_IOC_SHUTDOWN), then unmounted, mounted and so
recovered from what its device holds. Needs root, a loop device and mkfs.ext4.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.robustness.harness import Failure
from tests.robustness.kill import Campaign

_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = struct.pack("I", 2)
IMAGE_BYTES: Final = 64 << 20
_TRIES: Final = 40


class NoMeans(RuntimeError):
    """This machine cannot do it; says why."""


class Ext4:
    """A small ext4 at *path* that can lose its power."""

    def __init__(self, image: Path, path: Path) -> None:
        self._image = image
        self._path = path

    def make(self) -> None:
        """Raises NoMeans."""
        if os.geteuid() != 0:
            raise NoMeans("mounting a file system needs root")
        mkfs = shutil.which("mkfs.ext4") or shutil.which("mkfs.ext4", path="/sbin:/usr/sbin")
        if mkfs is None:
            raise NoMeans("there is no mkfs.ext4")
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _call([mkfs, "-q", "-F", str(self._image)])
        self._path.mkdir(exist_ok=True)
        self.mount()

    def mount(self) -> None:
        _call(["mount", "-o", "loop", str(self._image), str(self._path)])

    def unmount(self) -> None:
        """The process that used it may have ended a moment ago."""
        for _ in range(_TRIES):
            try:
                _call(["umount", str(self._path)])
            except NoMeans:
                time.sleep(0.05)
            else:
                return
        _call(["umount", str(self._path)])

    def cut(self) -> None:
        """Power off and on again. Nobody may have a file open on it."""
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(directory)
        self.unmount()
        self.mount()


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise NoMeans(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


@contextmanager
def ext4(work: Path) -> Iterator[Ext4]:
    """An ext4 at *work*/data. Raises NoMeans, also when its power cannot be cut."""
    disk = Ext4(work / "image", work / "data")
    disk.make()
    try:
        try:
            disk.cut()
        except OSError as error:
            raise NoMeans(f"the file system cannot be shut down: {error}") from None
        yield disk
    finally:
        with suppress(NoMeans):
            disk.unmount()


class PowerCuts(Campaign):
    """Rounds on one directory, each ended by a power cut."""

    def __init__(self, work: Path, seed: int, disk: Ext4, *args: str) -> None:
        super().__init__(work, seed, None, *args)
        self._power = disk
        self.cuts = 0

    def _drain(self) -> None:
        super()._drain()
        # The server is dead, and with it every sync that could still report success.
        self._power.cut()
        self.cuts += 1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zkpy-power-") as work:
        try:
            with ext4(Path(work)) as disk:
                campaign = PowerCuts(Path(work), args.seed, disk)
                campaign.run(args.rounds)
        except NoMeans as error:
            print(f"cannot be done here: {error}", file=sys.stderr)
            return 2
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(
        f"{campaign.cuts} power cuts, seed {args.seed}: {campaign.acknowledged} acknowledged writes, 0 lost, "
        f"{time.monotonic() - started:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
