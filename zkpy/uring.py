"""fdatasync by the kernel's workers through io_uring: off the loop without a thread of ours.

A thread that syncs needs the interpreter's lock twice per group commit and fights for it with the loop that
it should relieve. A kernel worker needs neither the lock nor this processor. (The older asynchronous I/O
calls do need it: their worker is bound to the processor that submits, and waits 4 ms for it when the loop is
busy.) Where io_uring is missing or forbidden, as in many containers, ``zkpy.realports`` uses a thread.

Layouts and numbers: the kernel's ``linux/io_uring.h``.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import select
import struct
from collections.abc import Callable
from typing import Final

_SETUP: Final = 425
_ENTER: Final = 426
_REGISTER: Final = 427
_REGISTER_EVENTFD: Final = 4
_FEATURE_SINGLE_MMAP: Final = 1
_SQES_AT: Final = 0x10000000
_OP_FSYNC: Final = 3
_ASYNC: Final = 0x10  # never try it on the submitting task first
_DATASYNC: Final = 1
_ENTRIES: Final = 2

_PARAMS: Final = struct.Struct("<10I8I2I8I2I")
_SQE: Final = struct.Struct("<BBHiQQIIQQQQ")
_CQE: Final = struct.Struct("<QiI")
_WORD: Final = struct.Struct("<I")

# The numbers above are the same on all machines that came after these calls' common numbering; the byte order
# of the structures is that of these machines.
_MACHINES: Final = ("x86_64", "aarch64", "riscv64")


class UringSyncer:
    """One sync at a time, reported through an eventfd (`zkpy.ports.SyncReports`).

    Raises:
        OSError: this kernel, machine or sandbox does not offer it.
    """

    __slots__ = (
        "_array_at",
        "_cq_head_at",
        "_cq_mask",
        "_cqes_at",
        "_done",
        "_enter",
        "_event",
        "_fd",
        "_ring",
        "_rings",
        "_sq_mask",
        "_sq_tail_at",
        "_sqes",
        "_syscall",
        "_tail",
    )

    def __init__(self) -> None:
        if platform.machine() not in _MACHINES or not hasattr(os, "eventfd"):
            raise OSError(errno.ENOSYS, "no io_uring on this machine")
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        params = ctypes.create_string_buffer(_PARAMS.size)
        self._ring = self._call(_SETUP, _ENTRIES, params)
        self._event = -1
        try:
            self._map(_PARAMS.unpack(params))
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._call(_REGISTER, self._ring, _REGISTER_EVENTFD, (ctypes.c_int * 1)(self._event), 1)
        except (OSError, ValueError) as error:
            os.close(self._ring)
            if self._event >= 0:
                os.close(self._event)
            raise OSError(f"io_uring cannot be used: {error}") from error
        word = ctypes.c_long
        self._enter = (word(_ENTER), word(self._ring), word(1), word(0), word(0), None, word(0))
        self._fd = -1
        self._done: Callable[[OSError | None], None] | None = None

    def _call(self, number: int, *arguments: object) -> int:
        converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        result: int = self._syscall(ctypes.c_long(number), *converted)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def _map(self, params: tuple[int, ...]) -> None:
        sq_entries, cq_entries, _, _, _, features = params[:6]
        if not features & _FEATURE_SINGLE_MMAP:
            raise OSError(errno.ENOSYS, "the kernel is too old")
        sq = params[10:18]  # head, tail, ring_mask, ring_entries, flags, dropped, array
        cq = params[20:28]  # head, tail, ring_mask, ring_entries, overflow, cqes
        size = max(sq[6] + sq_entries * 4, cq[5] + cq_entries * _CQE.size)
        self._rings = mmap.mmap(self._ring, size, offset=0)
        self._sqes = mmap.mmap(self._ring, sq_entries * _SQE.size, offset=_SQES_AT)
        self._sq_tail_at, self._array_at = sq[1], sq[6]
        self._sq_mask = _WORD.unpack_from(self._rings, sq[2])[0]
        self._tail = _WORD.unpack_from(self._rings, sq[1])[0]
        self._cq_head_at, self._cqes_at = cq[0], cq[5]
        self._cq_mask = _WORD.unpack_from(self._rings, cq[2])[0]

    def start(self, fd: int, done: Callable[[OSError | None], None]) -> None:
        """Begin to sync *fd*. Raises OSError when the kernel does not take it."""
        assert self._done is None, "one sync at a time"
        at = self._tail & self._sq_mask
        _SQE.pack_into(self._sqes, at * _SQE.size, _OP_FSYNC, _ASYNC, 0, fd, 0, 0, 0, _DATASYNC, 0, 0, 0, 0)
        _WORD.pack_into(self._rings, self._array_at + at * 4, at)
        _WORD.pack_into(self._rings, self._sq_tail_at, (self._tail + 1) & 0xFFFFFFFF)
        # The system call orders these writes before the kernel's reads.
        while (taken := self._syscall(*self._enter)) != 1:
            if taken == 0 or ctypes.get_errno() != errno.EINTR:
                _WORD.pack_into(self._rings, self._sq_tail_at, self._tail)
                raise OSError(ctypes.get_errno(), "the kernel takes no sync")
        self._tail = (self._tail + 1) & 0xFFFFFFFF
        self._fd = fd
        self._done = done

    def fileno(self) -> int:
        """Readable when a sync has ended."""
        return self._event

    def collect(self) -> None:
        """Call *done* of the sync that has ended."""
        os.eventfd_read(self._event)
        head = _WORD.unpack_from(self._rings, self._cq_head_at)[0]
        result = _CQE.unpack_from(self._rings, self._cqes_at + (head & self._cq_mask) * _CQE.size)[1]
        _WORD.pack_into(self._rings, self._cq_head_at, (head + 1) & 0xFFFFFFFF)
        done, self._done = self._done, None
        assert done is not None, "a report without a sync"
        done(OSError(-result, os.strerror(-result)) if result < 0 else None)

    def wait(self, fd: int) -> None:
        """Let a sync of *fd* that is under way end; its *done* is still called by `collect`."""
        if self._done is not None and self._fd == fd:
            poller = select.poll()
            poller.register(self._event, select.POLLIN)
            poller.poll()

    def close(self) -> None:
        """Release everything; a sync under way is waited for. A second call does nothing."""
        if self._event < 0:
            return
        self.wait(self._fd)
        self._done = None
        self._rings.close()
        self._sqes.close()
        os.close(self._ring)
        os.close(self._event)
        self._event = -1
