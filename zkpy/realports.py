"""The real world behind ``zkpy.ports``: files, clocks, random numbers.

The only module that touches operating-system files, threads and clocks for the server. A sync must not hold
up the event loop for long, and the ways off the loop are not equal: ``trio.to_thread`` costs more than the
``fdatasync`` of a fast disk itself. So a few long-lived threads wait at a lock and report through an eventfd;
and as long as the medium has proved quicker than a thread switch is worth, the sync happens on the spot.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import select
import stat
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

import trio

from zkpy.uring import UringSyncer

INLINE_BELOW_US: Final = 250
"""A sync that takes less than this is cheaper on the spot than handed to a thread and back."""

INLINE_AFTER: Final = 32
"""How many syncs in a row have to be that quick before the next is done on the spot."""

_READ_AHEAD: Final = 1 << 20
_datasync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


def wall_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that never run backwards; comparable with ``trio.current_time`` only in differences."""
    return time.perf_counter()


def new_random(seed: int | None = None) -> random.Random:
    """A source of random numbers; seeded by the system unless *seed* is given."""
    return random.Random(seed)


class _Bell:
    """A descriptor that one thread rings and one task waits at."""

    __slots__ = ("_in", "_out")

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self._in = self._out = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._out, self._in = os.pipe()
            os.set_blocking(self._out, False)

    def ring(self) -> None:
        os.write(self._in, b"\1\0\0\0\0\0\0\0")

    def fileno(self) -> int:
        return self._out

    def clear(self) -> None:
        os.read(self._out, 8)

    async def wait(self) -> None:
        await trio.lowlevel.wait_readable(self._out)
        os.read(self._out, 8)

    def wait_blocking(self) -> None:
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        poll.poll()
        os.read(self._out, 8)

    def close(self) -> None:
        for fd in {self._in, self._out} - {-1}:
            os.close(fd)
        self._in = self._out = -1


class _Worker:
    """One thread that does one blocking call at a time for the loop."""

    __slots__ = ("_bell", "_error", "_gate", "_job", "_thread")

    def __init__(self) -> None:
        self._bell = _Bell()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._job: Callable[[], object] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="zkpy-sync", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            self._gate.acquire()
            job = self._job
            if job is None:
                return
            try:
                job()
            except BaseException as error:
                self._error = error
            self._bell.ring()

    async def run(self, job: Callable[[], object]) -> None:
        """Do *job* on the thread; not cancellable, so that nobody else gets the worker meanwhile."""
        self._job = job
        self._gate.release()
        with trio.CancelScope(shield=True):
            await self._bell.wait()
        self._job = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        self._gate.release()
        self._thread.join()
        self._bell.close()


class LogSyncer:
    """One thread that syncs one file after the other and reports through a descriptor.

    The way of the transaction log: the loop that serves the clients polls this descriptor with their sockets,
    so that a group commit costs two wake-ups and no task switch.
    """

    __slots__ = ("_bell", "_done", "_error", "_fd", "_gate", "_thread")

    def __init__(self) -> None:
        self._bell = _Bell()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._fd = -1
        self._done: Callable[[OSError | None], None] | None = None
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def start(self, fd: int, done: Callable[[OSError | None], None]) -> None:
        """Begin to sync *fd*."""
        assert self._done is None, "one sync at a time"
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="zkpy-log-sync", daemon=True)
            self._thread.start()
        self._fd = fd
        self._done = done
        self._gate.release()

    def _serve(self) -> None:
        while True:
            self._gate.acquire()
            if self._fd < 0:
                return
            try:
                _datasync(self._fd)
            except OSError as error:
                self._error = error
            self._bell.ring()

    def fileno(self) -> int:
        """Readable when a sync has ended."""
        return self._bell.fileno()

    def collect(self) -> None:
        """Call *done* of the sync that has ended."""
        self._bell.clear()
        done, self._done = self._done, None
        error, self._error = self._error, None
        if done is not None:
            done(error)

    def wait(self, fd: int) -> None:
        """Let a sync of *fd* that is under way end; nobody hears of it any more."""
        if self._done is not None and self._fd == fd:
            self._bell.wait_blocking()
            self._done = self._error = None

    def close(self) -> None:
        """End the thread; a sync under way is waited for. A second call does nothing."""
        if self._thread is not None:
            self.wait(self._fd)
            self._fd = -1
            self._gate.release()
            self._thread.join()
            self._thread = None
        self._bell.close()


def _best_syncer() -> LogSyncer | UringSyncer:
    try:
        return UringSyncer()
    except OSError:
        return LogSyncer()


class _OffLoop:
    """The workers of a disk: as many as there were jobs at the same time, kept for the next."""

    __slots__ = ("_closed", "_idle")

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._closed = False

    async def run(self, job: Callable[[], object]) -> None:
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            await worker.run(job)
        finally:
            if self._closed:
                worker.close()
            else:
                self._idle.append(worker)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class RealFile:
    """A file being written (`zkpy.ports.DiskFile`)."""

    __slots__ = ("_disk", "_fd", "_quick")

    def __init__(self, disk: RealDisk, fd: int) -> None:
        self._disk = disk
        self._fd = fd
        self._quick = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append *data* at the write position; a short write goes on until all is written."""
        done = os.write(self._fd, data)
        while done < len(data):
            data = memoryview(data)[done:]
            done = os.write(self._fd, data)

    def preallocate(self, size: int) -> None:
        """Make the file *size* bytes long; the rest is a hole that reads as zeros."""
        os.ftruncate(self._fd, size)

    async def sync(self) -> None:
        """Return when what was written before the call is on the medium; not cancellable.

        Comes back without a checkpoint where the sync was done on the spot.
        """
        if self._quick >= INLINE_AFTER:
            self._timed_sync()
        else:
            await self._disk.off_loop.run(self._timed_sync)

    def start_sync(self, done: Callable[[OSError | None], None]) -> bool:
        """Begin a sync without waiting; *done* hears of its end when ``RealDisk.reports`` are collected."""
        try:
            self._disk.reports.start(self._fd, done)
        except OSError:  # the kernel is out of room for it
            return False
        return True

    def _timed_sync(self) -> None:
        start = time.perf_counter_ns()
        _datasync(self._fd)
        took = time.perf_counter_ns() - start
        if took < self._disk.inline_below_ns:
            self._quick += 1
        else:
            self._quick = 0

    def sync_now(self) -> None:
        """As `sync`, but blocking."""
        _datasync(self._fd)

    def close(self) -> None:
        """Release the file; does not sync, but lets a sync under way end. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._disk.reports.wait(fd)
            os.close(fd)


class RealReadFile:
    """A file being read (`zkpy.ports.ReadFile`)."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int) -> bytes:
        """Up to *size* bytes from the position, ``b""`` at the end."""
        return os.read(self._fd, size)

    def next_data(self) -> int:
        """Skip a hole: move to the next position that may hold more than zeros, or to the end; gives it."""
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        if not hasattr(os, "SEEK_DATA"):
            return here
        try:
            return os.lseek(self._fd, here, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only hole from here on
                return os.lseek(self._fd, 0, os.SEEK_END)
            return here

    def close(self) -> None:
        """Release the file. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _open_regular(path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "this is not a regular file", path)
    return fd


class RealDisk:
    """The file system (`zkpy.ports.Disk`).

    ``inline_below_us`` 0 never syncs on the loop. `close` ends the threads; it must not be called while a
    sync is awaited.
    """

    __slots__ = ("inline_below_ns", "off_loop", "reports")

    def __init__(self, inline_below_us: int = INLINE_BELOW_US) -> None:
        self.inline_below_ns = inline_below_us * 1000
        self.off_loop = _OffLoop()
        self.reports: LogSyncer | UringSyncer = _best_syncer()

    def __enter__(self) -> RealDisk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads that syncs were handed to."""
        self.off_loop.close()
        self.reports.close()

    def list_dir(self, path: str) -> list[str]:
        """The names in directory *path*, sorted."""
        return sorted(os.listdir(path))

    def make_dirs(self, path: str) -> None:
        """Create directory *path* and its parents where missing; their names are on the medium after it."""
        missing: list[str] = []
        while not os.path.isdir(path):
            missing.append(path)
            parent = os.path.dirname(path) or "."
            if parent == path:
                break
            path = parent
        for new in reversed(missing):
            os.mkdir(new)
            self.sync_dir_now(os.path.dirname(new) or ".")

    def is_dir(self, path: str) -> bool:
        """Whether *path* is a directory."""
        return os.path.isdir(path)

    def is_writable(self, path: str) -> bool:
        """Whether new names can be created in directory *path*."""
        return os.access(path, os.W_OK | os.X_OK)

    def size(self, path: str) -> int:
        """Length of the file in bytes."""
        return os.stat(path).st_size

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory *path*."""
        return os.path.exists(path)

    def read_bytes(self, path: str) -> bytes:
        """The whole content."""
        with open(path, "rb", buffering=0, opener=_open_regular) as file:
            return file.read()

    def open_read(self, path: str) -> RealReadFile:
        """Open for streaming; only regular files, since opening a pipe would wait for its writer."""
        return RealReadFile(_open_regular(path, os.O_RDONLY | os.O_CLOEXEC))

    def create(self, path: str) -> RealFile:
        """A new empty file, replacing one of that name."""
        return RealFile(self, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to *size* bytes and sync it."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def rewrite(self, path: str, offset: int, end: int) -> None:
        """Write bytes *offset* to *end* once more as they read, and sync.

        After a failed sync the system may show bytes that it never put on the medium and no longer counts
        as dirty; written again they are.
        """
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            while offset < end:
                piece = os.pread(fd, min(_READ_AHEAD, end - offset), offset)
                if not piece:
                    break
                offset += os.pwrite(fd, piece, offset)
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        """Replace *new* by *old*."""
        os.replace(old, new)

    def remove(self, path: str) -> None:
        """Delete a file."""
        os.unlink(path)

    def lock(self, path: str) -> Callable[[], None] | None:
        """Claim file *path*, creating it; the claim ends with the process at the latest."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return lambda: os.close(fd)

    async def sync_dir(self, path: str) -> None:
        """Return when the names in *path* are on the medium; not cancellable."""
        await self.off_loop.run(lambda: self.sync_dir_now(path))

    def sync_dir_now(self, path: str) -> None:
        """As `sync_dir`, but blocking."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
