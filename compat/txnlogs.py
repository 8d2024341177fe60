"""Transaction logs of two servers: read them, compare them, and check their digests by replay.

A server's log is read here without zkpy's own reader, since zkpy's files are what is checked. The data
directory may belong to a running server: the log has everything that was answered.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from zkpy import opcodes
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Txn, TxnHeader, decode_payload
from zkpy.tree.znode import OwnerRules

_FILE_HEADER = struct.Struct(">4siq")
_ENTRY_HEADER = struct.Struct(">qi")
_TXN_HEADER = struct.Struct(">qiqqi")
_END = 0x42
_DIGEST_VERSION = 2
_DIGEST_SIZE = 12

Entry = bytes
"""An entry's payload: the transaction's header, its body and mostly a digest."""

Comparable = tuple[str, bytes]
"""An entry's header in words, and its body, both without what differs between any two servers."""


class DigestDifference(NamedTuple):
    """An entry from which on the logged tree digest is off the replayed one's by another number."""

    header: TxnHeader
    txn: Txn
    off_by: int
    """0: from here on both agree again."""


def entries(directory: Path) -> list[Entry]:
    """What a server has logged, oldest first; *directory* is its dataDir (or dataLogDir)."""
    found: list[Entry] = []
    for file in sorted((directory / "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16)):
        found += _read(file)
    return found


def _read(file: Path) -> Iterator[Entry]:
    data = file.read_bytes()
    magic, version, _ = _FILE_HEADER.unpack_from(data)
    if (magic, version) != (b"ZKLG", 2):
        raise ValueError(f"{file} does not begin as a transaction log: {data[:16].hex()}")
    at = _FILE_HEADER.size
    while at + _ENTRY_HEADER.size <= len(data):
        checksum, size = _ENTRY_HEADER.unpack_from(data, at)
        if not size:
            return  # the rest was allocated in advance
        start = at + _ENTRY_HEADER.size
        payload = data[start : start + size]
        if data[start + size : start + size + 1] != bytes([_END]) or zlib.adler32(payload) != checksum:
            raise ValueError(f"{file}: the entry at {at} is damaged")
        yield payload
        at = start + size + 1


def zxid(entry: Entry) -> int:
    found: int = _TXN_HEADER.unpack_from(entry)[2]
    return found


def time_ms(entry: Entry) -> int:
    """The transaction's time, ms since 1970."""
    found: int = _TXN_HEADER.unpack_from(entry)[3]
    return found


def new_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Without those which the real server adds, under an old zxid, for requests that do not decode.

    For the real server's log only: zkpy must not write such entries.
    """
    first: dict[int, Entry] = {}
    for entry in entries:
        first.setdefault(zxid(entry), entry)
    return list(first.values())


def comparable(entries: Iterable[Entry]) -> list[Comparable]:
    """The entries as far as two servers which did the same must agree on them.

    Sessions are numbered as they appear; times and the digest's value, which depends on times, are left out.
    """
    sessions: dict[int, int] = {}
    found: list[Comparable] = []
    for entry in entries:
        session, cxid, zxid, _, type = _TXN_HEADER.unpack_from(entry)
        number = sessions.setdefault(session, len(sessions))
        body = entry[_TXN_HEADER.size :]
        digest = body[-_DIGEST_SIZE:]
        if type == opcodes.ERROR:
            body = body[:4]  # the real server adds a digest after a multi that it refuses as a whole
        elif len(digest) == _DIGEST_SIZE and digest.startswith(struct.pack(">i", _DIGEST_VERSION)):
            body = body[:-_DIGEST_SIZE] + b" and a digest"
        found.append((f"session {number} cxid {cxid} zxid {zxid:x} type {type}", body))
    return found


def first_difference(ours: Sequence[Comparable], theirs: Sequence[Comparable]) -> str | None:
    """Where two logs (of `comparable`) differ first, in words; None: nowhere."""
    for number, (our, their) in enumerate(zip(ours, theirs, strict=False), 1):
        if our != their:
            return f"entry {number}:\n  zkpy {_words(our)}\n  real {_words(their)}"
    if len(ours) == len(theirs):
        return None
    more, longer = ("zkpy", ours) if len(ours) > len(theirs) else ("real", theirs)
    number = min(len(ours), len(theirs)) + 1
    return f"only one has entry {number}:\n  {more} {_words(longer[number - 1])}"


def _words(entry: Comparable) -> str:
    head, body = entry
    return f"{head}: {body!r}"


def digest_differences(entries: Iterable[Entry], *, extended: bool = True) -> Iterator[DigestDifference]:
    """Replay a log from its server's first transaction on; give the entries with another digest than zkpy's.

    A wrong digest stays wrong, by the same number, until the same znode changes again; so an entry is given
    when it changes that number. Entries of failed requests are left out: a multi that the real server refuses
    as a whole is logged with the digest of what it would have changed. *extended*: the server had TTL znodes
    enabled.
    """
    tree = DataTree(OwnerRules(extended=extended))
    off_by = 0
    seen = False
    for payload in entries:
        entry = decode_payload(payload)
        tree.apply(entry.header, entry.txn)
        if entry.digest_version != _DIGEST_VERSION or entry.txn.type == opcodes.ERROR:
            continue
        seen = True
        if tree.digest - entry.digest != off_by:
            off_by = tree.digest - entry.digest
            yield DigestDifference(entry.header, entry.txn, off_by)
    tree.check_invariants()
    if not seen:
        raise ValueError("no entry of this log has a digest")
