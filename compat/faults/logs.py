"""What the members have logged: one history, and what each znode was at each zxid."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import attrs

from zkpy import opcodes
from zkpy.persist.logreader import read_log
from zkpy.realports import RealDisk
from zkpy.tree.txns import CloseSession, Create, Delete, Error, Logged, SetData, decode_payload
from zkpy.zxid import continues, epoch_of

Files = Iterable[tuple[Path, float]]
"""Log files, and up to which zxid the entries of each were committed."""


@attrs.define(frozen=True)
class Value:
    """A znode from one transaction on; *data* None with *version* -1: there is none."""

    zxid: int
    data: bytes | None
    version: int


@attrs.define
class Log:
    """The ensemble's transactions in order."""

    entries: dict[int, Logged] = attrs.field(factory=dict)
    values: dict[str, list[Value]] = attrs.field(factory=lambda: defaultdict(list))
    closed: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    """Session: the zxid and the time (ms) at which it was closed first."""
    wrong: list[str] = attrs.field(factory=list)

    def at(self, path: str, zxid: int) -> Value:
        """What the znode was when *zxid* was the last transaction."""
        history = self.values.get(path, [])
        n = bisect_right(history, zxid, key=lambda value: value.zxid)
        return history[n - 1] if n else Value(0, None, -1)


def read(files: Files) -> tuple[dict[int, bytes], list[str]]:
    """The committed payloads of one member's logs by zxid, and what is wrong with them."""
    disk = RealDisk()
    found: dict[int, bytes] = {}
    wrong: list[str] = []
    for path, limit in files:
        for entry in read_log(disk, str(path), last=True):
            if entry.zxid <= limit and found.setdefault(entry.zxid, entry.payload) != entry.payload:
                wrong.append(f"{path} has another transaction {entry.zxid:x} than an older log")
    return found, wrong


def merge(
    members: Mapping[int, dict[int, bytes]],
    leftovers: Collection[int] = (),
    answered: Collection[int] = (),
) -> tuple[dict[int, bytes], list[str]]:
    """One log of all members'. Where two know a zxid they agree, and nobody's has a hole that all have.

    A Java member that is sent a tree keeps logs with transactions that were never committed; *leftovers* are
    the members whose transactions do not count where the others' have no hole. Where an epoch ends, a hole
    cannot be seen: there those count that are not beyond what clients were *answered*, by its zxids.
    """
    ends: dict[int, int] = {}
    for zxid in answered:
        ends[epoch_of(zxid)] = max(ends.get(epoch_of(zxid), 0), zxid)
    merged: dict[int, tuple[int, bytes]] = {}
    wrong: list[str] = []
    for number in sorted(members, key=lambda number: number in leftovers):
        sure = sorted(merged) if number in leftovers else []
        for zxid, payload in members[number].items():
            at = bisect_right(sure, zxid)
            if 0 < at < len(sure) and sure[at - 1] != zxid and continues(sure[at - 1], sure[at]):
                an_end = epoch_of(sure[at - 1]) != epoch_of(sure[at])
                if not an_end or zxid > ends.get(epoch_of(zxid), 0):
                    continue
            first, other = merged.setdefault(zxid, (number, payload))
            if other != payload:
                wrong.append(f"members {first} and {number} have different transactions {zxid:x}")
    previous = 0
    for zxid in sorted(merged):
        if not continues(previous, zxid):
            wrong.append(f"no member has what was between {previous:x} and {zxid:x}")
        previous = zxid
    return {zxid: payload for zxid, (_, payload) in sorted(merged.items())}, wrong


def missing(number: int, own: dict[int, bytes], merged: Mapping[int, bytes]) -> list[str]:
    """What a member lacks of the history behind its oldest entry; it was up to date at the end."""
    if not own:
        return []
    first = min(own)
    lacks = [zxid for zxid in merged if zxid >= first and zxid not in own]
    if not lacks:
        return []
    return [f"member {number} has not logged {len(lacks)} transactions behind {first:x}: {_some(lacks)}"]


def replay(payloads: Mapping[int, bytes]) -> Log:
    """Carry out a history; nothing happens for a session that is over, and nothing twice."""
    log = Log()
    owned: dict[int, set[str]] = defaultdict(set)
    asked: dict[tuple[int, int], int] = {}
    for zxid, payload in payloads.items():
        entry = log.entries[zxid] = decode_payload(payload)
        session, cxid, txn = entry.header.client_id, entry.header.cxid, entry.txn
        if isinstance(txn, Error):
            continue
        if session in log.closed and txn.type not in (opcodes.CLOSE_SESSION, opcodes.CREATE_SESSION):
            log.wrong.append(f"{zxid:x} is of session {session:x}, closed at {log.closed[session][0]:x}")
        if cxid and (first := asked.setdefault((session, cxid), zxid)) != zxid:
            log.wrong.append(f"request {cxid} of session {session:x} was done twice: {first:x}, {zxid:x}")
        if isinstance(txn, CloseSession):
            log.closed.setdefault(session, (zxid, entry.header.time))
            for path in owned.pop(session, ()):
                log.values[path].append(Value(zxid, None, -1))
        elif isinstance(txn, Create):
            path = txn.path.decode()
            _put(log, path, Value(zxid, txn.data, 0), exists=False)
            if txn.owner is None:
                owned[session].add(path)
        elif isinstance(txn, SetData):
            path = txn.path.decode()
            before = log.at(path, zxid).version
            if txn.version != before + 1:
                log.wrong.append(f"{zxid:x} makes version {txn.version} of {path}, which has {before}")
            _put(log, path, Value(zxid, txn.data, txn.version), exists=True)
        elif isinstance(txn, Delete):
            path = txn.path.decode()
            _put(log, path, Value(zxid, None, -1), exists=True)
            if any(path in paths for paths in owned.values()):
                log.wrong.append(f"{zxid:x} deletes the ephemeral {path} of a session that lives")
    return log


def _put(log: Log, path: str, value: Value, *, exists: bool) -> None:
    if (log.at(path, value.zxid).version >= 0) != exists:
        log.wrong.append(f"{value.zxid:x} changes {path}, which is {'not' if exists else 'already'} there")
    log.values[path].append(value)


def _some(zxids: list[int]) -> str:
    return ", ".join(f"{zxid:x}" for zxid in zxids[:4]) + (" .." if len(zxids) > 4 else "")
