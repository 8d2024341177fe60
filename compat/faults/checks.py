"""Checks of what clients were told, each against the log or against itself; each gives what is wrong."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from compat.faults.history import NO_NODE, OK, REGISTER_ERRORS, History, Kind, Operation
from compat.faults.logs import Log
from zkpy.tree.txns import Error

_DELETED, _CHANGED = 2, 3
"""The kinds of event of a data watch."""


def session_order(history: History) -> list[str]:
    """A session is never told of an older state than before, wherever it is connected."""
    wrong = [f"session {session:x} was given twice" for session in history.repeated_sessions]
    for session in history.sessions.values():
        last, where = 0, ""
        for _, _, zxid, member in session.answers:
            if 0 < zxid < last:
                wrong.append(
                    f"session {session.id:x} went back from {last:x} ({where}) to {zxid:x} ({member})"
                )
            if zxid > 0:
                last, where = zxid, member
    return wrong


def writes_are_logged(history: History, log: Log) -> list[str]:
    """Each write that was answered is in the log, under the answer's zxid, with the answer's outcome.

    That nothing is done twice is seen by the log alone.
    """
    wrong: list[str] = []
    done = {
        (entry.header.client_id, entry.header.cxid): zxid
        for zxid, entry in log.entries.items()
        if not isinstance(entry.txn, Error)
    }
    for op in history.operations:
        if not op.kind.writes or not op.known:
            continue
        entry = log.entries.get(op.zxid)
        if op.error == OK:
            if entry is None:
                wrong.append(f"acknowledged and lost: {op}")
            elif (entry.header.client_id, entry.header.cxid) != (op.session, op.xid):
                wrong.append(f"in the log is another transaction ({entry.header}): {op}")
        elif (zxid := done.get((op.session, op.xid))) is not None:
            wrong.append(f"refused and done at {zxid:x}: {op}")
        elif op.error in REGISTER_ERRORS and (entry is None or not isinstance(entry.txn, Error)):
            wrong.append(f"the refusal is not in the log: {op}")
    return wrong


def reads_fit_their_zxid(history: History, log: Log) -> list[str]:
    """What is read, by any read, is what was there at the zxid of the answer."""
    wrong: list[str] = []
    for op in history.operations:
        if op.kind.writes or not op.known or op.error not in (OK, NO_NODE):
            continue
        value = log.at(op.key, op.zxid)
        if op.error == NO_NODE:
            same = value.version < 0
        else:
            same = (op.data, op.version, op.mzxid) == (value.data or b"", value.version, value.zxid)
        if not same:
            wrong.append(f"at {op.zxid:x} it was {value}: {op}")
    return wrong


def order_of_time(history: History) -> list[str]:
    """What was asked for after an answer has a later zxid: writes, and reads behind a write."""
    writes = sorted(
        (op for op in history.operations if op.kind.writes and op.error in (OK, *REGISTER_ERRORS)),
        key=lambda op: op.completed,
    )
    ends = [op.completed for op in writes]
    newest: list[Operation] = []
    for op in writes:
        newest.append(op if not newest or op.zxid > newest[-1].zxid else newest[-1])
    wrong: list[str] = []
    for op in history.operations:
        if not (op.kind.writes or op.kind is Kind.READ) or op.error not in (OK, *REGISTER_ERRORS):
            continue
        n = bisect_left(ends, op.invoked)
        if n and newest[n - 1].zxid > op.zxid:
            wrong.append(f"later by the clock, earlier by zxid: {newest[n - 1]}\n      and then {op}")
    return wrong


def sessions_live(history: History, log: Log, slack_s: float) -> list[str]:
    """No session is expired while its client is answered; *slack_s* for what a leader hears late."""
    wrong: list[str] = []
    for session in history.sessions.values():
        if session.id not in log.closed or session.closed:
            continue
        zxid, closed_ms = log.closed[session.id]
        closed = closed_ms / 1000 - history.wall_offset_s
        heard = max((asked for asked, answered, _, _ in session.answers if answered <= closed), default=None)
        if heard is not None and closed - heard < session.timeout_s - slack_s:
            wrong.append(
                f"session {session.id:x} (time-out {session.timeout_s:g} s) was closed at {zxid:x}, "
                f"{closed - heard:.2f} s after it was heard of"
            )
    return wrong


def expiry_is_true(history: History, log: Log) -> list[str]:
    """Who is told that the session is over can find its end in the log."""
    return [
        f"session {session.id:x} of client {session.client} was called expired, its end is not in the log"
        for session in history.sessions.values()
        if session.expired is not None and not session.closed and session.id not in log.closed
    ]


def ephemerals_are_gone(history: History, log: Log) -> list[str]:
    """At the end every session that owned one is over, and nothing is left of it."""
    wrong: list[str] = []
    for session in history.sessions.values():
        if session.ephemeral is None:
            continue
        if session.id not in log.closed:
            wrong.append(f"session {session.id:x} of client {session.client} has no end")
        if log.at(session.ephemeral, 1 << 62).version >= 0:
            wrong.append(f"{session.ephemeral} is still there")
    return wrong


def watches_fire(history: History, log: Log) -> list[str]:
    """A watch fires once, for the first change, before its session sees anything of that or later."""
    wrong: list[str] = []
    for session in history.sessions.values():
        wrong += [f"session {session.id:x} has an event of {path}, unasked" for path in session.stray]
        for watch in session.watches:
            what = f"session {session.id:x} watches {watch.path} since {watch.zxid:x}"
            changes = [value for value in log.values[watch.path] if value.zxid > watch.zxid]
            if not changes:
                if watch.fired is not None:
                    wrong.append(f"{what} and has an event, but nothing changed")
                continue
            change = changes[0]
            possible = changes if watch.moved else changes[:1]
            kinds = {_DELETED if value.version < 0 else _CHANGED for value in possible}
            if watch.fired is not None and watch.kind not in kinds:
                wrong.append(f"{what} and has event {watch.kind} for the change at {change.zxid:x}")
            between = session.answers[watch.begin : watch.fired]
            seen = [answer for answer in between if answer[2] >= change.zxid]
            if seen:
                told = "late" if watch.fired is not None else "not"
                wrong.append(
                    f"{what} and was {told} told of the change at {change.zxid:x}; "
                    f"{seen[0][3]} answered at {seen[0][2]:x}"
                )
    return wrong


def outage_s(history: History) -> float:
    """The longest time between two acknowledged writes."""
    ends = sorted(op.completed for op in history.operations if op.kind.writes and op.error == OK)
    return max((b - a for a, b in pairwise(ends)), default=0.0)
