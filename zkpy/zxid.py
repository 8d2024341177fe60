"""Arithmetic of zxids: the high 32 bits are the epoch, the low 32 bits count within it."""

from __future__ import annotations

from typing import Final

COUNTER_MASK: Final = 0xFFFFFFFF


def make(epoch: int, counter: int) -> int:
    """The zxid of transaction *counter* in *epoch*."""
    return (epoch << 32) | counter


def epoch_of(zxid: int) -> int:
    """The epoch of *zxid*."""
    return zxid >> 32


def counter_of(zxid: int) -> int:
    """The position of *zxid* within its epoch; 0 is never a transaction."""
    return zxid & COUNTER_MASK


def follows(previous: int, zxid: int) -> bool:
    """Whether a log may hold *zxid* right after *previous*: the next of the epoch, or any in a later one."""
    return zxid == previous + 1 or (zxid >> 32) > (previous >> 32)


def continues(previous: int, zxid: int) -> bool:
    """Whether *zxid* is the very next transaction: of the epoch, or the first of a later one."""
    return zxid == previous + 1 or ((zxid >> 32) > (previous >> 32) and zxid & COUNTER_MASK == 1)
