"""Is a history linearizable? The algorithm of Wing and Gong with Lowe's memory of what was tried.

Every key is a register of its own (`step`), so keys are checked one by one. The search goes through the
calls and returns in the order of time: whoever has called and not returned may be the next to take effect;
when a return comes up whose call has not taken effect, the last choice was wrong. Which operations have taken
effect, together with the register, is remembered: to come there again by another order is of no use.

Operations without an answer return at the end of time, and need not take effect at all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from compat.faults.history import (
    ANY_VERSION,
    BAD_VERSION,
    FOREVER,
    NO_NODE,
    NODE_EXISTS,
    OK,
    REGISTER_ERRORS,
    Kind,
    Operation,
)

Register = tuple[bytes | None, int] | None
"""Data and version of a znode; None: there is none."""

LIMIT_S = 60.0


class TooHard(Exception):
    """The search took longer than it may: nobody knows, which counts as a failure."""


def after(register: Register, op: Operation) -> tuple[Register, int]:
    """What the register becomes by a write, and the error code of the answer."""
    if op.kind is Kind.CREATE:
        return ((op.data, 0), OK) if register is None else (register, NODE_EXISTS)
    if register is None:
        return None, NO_NODE
    if op.version not in (ANY_VERSION, register[1]):
        return register, BAD_VERSION
    return (None if op.kind is Kind.DELETE else (op.data, register[1] + 1)), OK


def step(register: Register, op: Operation) -> tuple[bool, Register]:
    """Whether the operation can take effect now with the answer it got, and the register afterwards."""
    if not op.kind.writes:
        if register is None:
            return op.error == NO_NODE, register
        return op.error == OK and (op.data, op.version) == register, register
    new, error = after(register, op)
    if not op.known:
        return new != register, new  # else it might as well never happen
    if error != op.error:
        return False, register
    seen = op.result is None or (new is not None and op.result == new[1])
    return seen, new


class _Event:
    """A call or a return in the list of those that are still to be placed."""

    __slots__ = ("call", "index", "match", "next", "op", "previous")

    def __init__(self, op: Operation, index: int, call: bool) -> None:
        self.op = op
        self.index = index
        self.call = call
        self.match: _Event = self
        self.previous: _Event = self
        self.next: _Event | None = None


def _events(operations: Sequence[Operation]) -> _Event:
    """The list's head; a return at the time of a call comes after it: then both orders are possible."""
    timed: list[tuple[float, int, _Event]] = []
    for index, op in enumerate(operations):
        call, back = _Event(op, index, True), _Event(op, index, False)
        call.match = back
        timed.append((op.invoked, 0, call))
        timed.append((op.completed if op.known else FOREVER, 1, back))
    timed.sort(key=lambda entry: entry[:2])
    head = last = _Event(operations[0], -1, False)
    for _, _, event in timed:
        event.previous = last
        last.next = event
        last = event
    return head


def _lift(event: _Event) -> None:
    """Take a call and its return out of the list."""
    for each in (event, event.match):
        each.previous.next = each.next
        if each.next is not None:
            each.next.previous = each.previous


def _unlift(event: _Event) -> None:
    for each in (event.match, event):
        each.previous.next = each
        if each.next is not None:
            each.next.previous = each


def linearizable(operations: Sequence[Operation], deadline: float = FOREVER) -> list[Operation] | None:
    """None if the operations on one key are linearizable, else the longest that could be explained.

    Raises TooHard when the monotonic clock passes *deadline*.
    """
    if not operations:
        return None
    head = _events(operations)
    register: Register = None
    done = 0
    known = sum(1 << index for index, op in enumerate(operations) if op.known)
    tried: set[tuple[int, Register]] = set()
    chosen: list[tuple[_Event, Register]] = []
    longest: list[Operation] = []
    event = head.next
    rounds = 0
    while done & known != known:
        rounds += 1
        if not rounds & 0xFFF and time.monotonic() > deadline:
            raise TooHard(f"{len(operations)} operations on {operations[0].key}")
        if event is not None and event.call:
            possible, new = step(register, event.op)
            state = (done | 1 << event.index, new)
            if possible and state not in tried:
                tried.add(state)
                chosen.append((event, register))
                register, done = new, state[0]
                _lift(event)
                event = head.next
            else:
                event = event.next
            continue
        if len(chosen) > len(longest):
            longest = [each.op for each, _ in chosen]
        if not chosen:
            return longest
        event, register = chosen.pop()
        done &= ~(1 << event.index)
        _unlift(event)
        event = event.next
    return None


def relevant(operations: Iterable[Operation], kinds: frozenset[Kind]) -> dict[str, list[Operation]]:
    """The operations by key that say something about it."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for op in operations:
        if op.kind not in kinds or (not op.known and not op.kind.writes):
            continue
        if op.known and op.error != OK and op.error not in REGISTER_ERRORS:
            continue  # the session was over, or elsewhere: nothing has happened
        found[op.key].append(op)
    return found


def explain(operations: Sequence[Operation], longest: Sequence[Operation]) -> str:
    """Where the search got stuck: the last steps that make sense, and what does not fit behind them."""
    placed = set(map(id, longest))
    register: Register = None
    for op in longest:
        register = step(register, op)[1]
    left = sorted((op for op in operations if id(op) not in placed and op.known), key=lambda op: op.completed)
    lines = [
        f"{operations[0].key} is not linearizable; {len(longest)} of {len(operations)} fit, the last are:"
    ]
    lines += [f"    {op}" for op in longest[-4:]]
    lines.append(f"  then the znode is {register!r}, and none of these can be next:")
    first = left[0].completed if left else FOREVER
    lines += [f"    {op}" for op in left if op.invoked <= first][:6]
    return "\n".join(lines)


def check(operations: Iterable[Operation], kinds: frozenset[Kind], limit_s: float = LIMIT_S) -> list[str]:
    """What is wrong, key by key; to be undecided after *limit_s* in all is wrong as well."""
    deadline = time.monotonic() + limit_s
    wrong: list[str] = []
    for _, group in sorted(relevant(operations, kinds).items()):
        group.sort(key=lambda op: op.invoked)
        try:
            longest = linearizable(group, deadline)
        except TooHard as error:
            return [*wrong, f"linearizability is not decided within {limit_s:g} s: {error}"]
        if longest is not None:
            wrong.append(explain(group, longest))
    return wrong
