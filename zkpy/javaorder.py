"""The order in which a Java server lists the members of a set.

ZooKeeper promises none, but it shows: in whoAmI, in what ``auth`` ACL entries become, in the ephemerals of a
session. It is that of a hash table: by a part of the hash, then by arrival.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SMALLEST_TABLE: Final = 16
LONGEST: Final = 1000
"""Beyond so many members the order is that of arrival: it is not worth the hashing."""


def string_hash(text: str) -> int:
    """The hash of a Java string, as an unsigned 32-bit number."""
    value = 0
    raw = text.encode("utf-16-be", "surrogatepass")
    for unit in struct.unpack(f">{len(raw) // 2}H", raw):
        value = (31 * value + unit) & 0xFFFFFFFF
    return value


def in_table(members: Sequence[T], size: int, hashed: Callable[[T], int]) -> list[T]:
    """*members*, in order of arrival, as a table of *size* places (a power of two) lists them."""

    def place(member: T) -> int:
        value = hashed(member)
        return (value ^ value >> 16) & (size - 1)

    return sorted(members, key=place)


def grown(size: int, count: int) -> int:
    """The size of a table after it took in *count* members: it doubles when three quarters are full."""
    while 4 * count > 3 * size:
        size *= 2
    return size


def copied_paths(paths: Sequence[bytes], most: int, more: Sequence[bytes] = ()) -> list[bytes]:
    """The order of a copy that is made of a set of paths, with *more* added to the copy.

    The set had *most* members at a time: its table does not shrink.
    """
    if len(paths) + len(more) > LONGEST:
        return [*paths, *more]
    hashes = {path: string_hash(path.decode("utf-8", "replace")) for path in (*paths, *more)}
    found = in_table(paths, grown(SMALLEST_TABLE, most), hashes.__getitem__)
    size = 1
    while paths and size < int(len(paths) / 0.75 + 1):
        size *= 2
    size = grown(size if paths else SMALLEST_TABLE, len(paths) + len(more))
    return in_table([*found, *more], size, hashes.__getitem__)
