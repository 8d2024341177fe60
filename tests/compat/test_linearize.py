"""The linearizability checker: what it has to accept, and what it has to reject."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.faults.history import (
    ANY_VERSION,
    BAD_VERSION,
    FOREVER,
    NO_NODE,
    NODE_EXISTS,
    OK,
    Kind,
    Operation,
)
from compat.faults.linearize import Register, TooHard, after, check, explain, linearizable, step

ALL = frozenset(Kind)


def op(
    kind: Kind,
    invoked: float,
    completed: float | None,
    data: bytes | None = None,
    version: int = ANY_VERSION,
    error: int = OK,
    result: int | None = None,
) -> Operation:
    """An operation on one znode; *completed* None: no answer came."""
    made = Operation(1, kind, "/k", invoked, data, version, result=result)
    if completed is not None:
        made.completed, made.error = completed, error
    return made


def create(a: float, b: float | None, data: bytes = b"0", error: int = OK) -> Operation:
    return op(Kind.CREATE, a, b, data, error=error)


def put(
    a: float,
    b: float | None,
    data: bytes,
    version: int = ANY_VERSION,
    error: int = OK,
    result: int | None = None,
) -> Operation:
    return op(Kind.SET, a, b, data, version, error, result)


def delete(a: float, b: float | None, version: int = ANY_VERSION, error: int = OK) -> Operation:
    return op(Kind.DELETE, a, b, None, version, error)


def read(a: float, b: float, data: bytes | None, version: int = 0) -> Operation:
    return op(Kind.READ, a, b, data, version, NO_NODE if data is None else OK)


WRONG = {
    "a lost write": [create(0, 1), put(2, 3, b"1"), read(4, 5, b"0", 0)],
    "a stale read": [create(0, 1), put(2, 3, b"1"), read(4, 5, b"1", 1), read(6, 7, b"0", 0)],
    "reordered writes": [create(0, 1), put(2, 3, b"1"), put(4, 5, b"2"), read(6, 7, b"1", 2)],
    "a write done twice": [create(0, 1), put(2, 3, b"1"), read(4, 5, b"1", 2)],
    "a deleted value that came back": [create(0, 1), delete(2, 3), read(4, 5, None), read(6, 7, b"0", 0)],
    "a value nobody wrote": [create(0, 1), read(2, 3, b"7", 0)],
    "a read before its write": [create(0, 1), read(2, 3, b"1", 1), put(4, 5, b"1")],
    "created twice": [create(0, 1), create(2, 3)],
    "deleted twice": [create(0, 1), delete(2, 3), delete(4, 5)],
    "two winners of one version": [create(0, 1), put(2, 9, b"1", 0), put(2, 9, b"2", 0)],
    "refused with the right version": [create(0, 1), put(2, 3, b"1", 0, BAD_VERSION)],
    "exists after it was deleted": [create(0, 1), delete(2, 3), create(4, 5, b"1", NODE_EXISTS)],
    "missing although it was created": [create(0, 1), put(2, 3, b"1", ANY_VERSION, NO_NODE)],
    "an unanswered write seen, then not": [
        create(0, 1),
        put(2, None, b"1"),
        read(3, 4, b"1", 1),
        read(5, 6, b"0", 0),
    ],
    "an unanswered write done twice": [
        create(0, 1),
        put(2, None, b"1"),
        read(3, 4, b"1", 1),
        put(5, 6, b"2"),
        read(7, 8, b"1", 3),
    ],
    "an unanswered write seen too early": [
        create(0, 1),
        read(2, 3, b"1", 1),
        put(4, None, b"1"),
    ],
    "two readers that disagree on the order": [
        create(0, 1),
        put(2, 9, b"1"),
        put(2, 9, b"2"),
        read(3, 4, b"1", 1),
        read(5, 6, b"2", 2),
        read(10, 11, b"1", 2),
    ],
    "a set with another version than it made": [create(0, 1), put(2, 3, b"1", result=2)],
}

RIGHT = {
    "nothing": [],
    "one after the other": [create(0, 1), put(2, 3, b"1", 0, result=1), read(4, 5, b"1", 1), delete(6, 7, 1)],
    "a read during a write sees the old value": [create(0, 1), put(2, 9, b"1"), read(3, 4, b"0", 0)],
    "a read during a write sees the new value": [create(0, 1), put(2, 9, b"1"), read(3, 4, b"1", 1)],
    "first new for one, then old for another that began before": [
        create(0, 1),
        put(2, 9, b"1"),
        read(3, 6, b"1", 1),
        read(4, 5, b"0", 0),
    ],
    "an unanswered write that never happened": [create(0, 1), put(2, None, b"1"), read(3, 9, b"0", 0)],
    "an unanswered write that happened very late": [
        create(0, 1),
        put(2, None, b"1"),
        read(3, 4, b"0", 0),
        read(5, 6, b"0", 0),
        read(7, 8, b"1", 1),
    ],
    "an unanswered write that only a version gives away": [
        create(0, 1),
        put(2, None, b"1"),
        put(3, 4, b"2", result=2),
    ],
    "an unanswered create that a refusal gives away": [create(0, None), create(1, 2, b"1", NODE_EXISTS)],
    "an unanswered delete between two creates": [create(0, 1), delete(2, None), create(3, 4, b"1")],
    "two sets of one version, one refused": [
        create(0, 1),
        put(2, 9, b"1", 0),
        put(2, 9, b"2", 0, BAD_VERSION),
        read(10, 11, b"1", 1),
    ],
    "an end and a beginning at the same instant count as overlapping": [create(0, 1), read(1, 2, None)],
    "deleted and created again has the first version again": [
        create(0, 1),
        put(2, 3, b"1"),
        delete(4, 5),
        create(6, 7, b"0"),
        read(8, 9, b"0", 0),
    ],
    "many unanswered ones, most of them lost": [
        create(0, 1),
        *(put(2, None, b"%d" % n) for n in range(12)),
        read(3, 4, b"7", 1),
        read(5, 6, b"3", 2),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_rejected(name: str) -> None:
    assert check(WRONG[name], ALL)
    assert not explained(WRONG[name])


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_is_accepted(name: str) -> None:
    assert check(RIGHT[name], ALL) == []


def test_the_explanation_shows_what_does_not_fit() -> None:
    (wrong,) = check(WRONG["a stale read"], ALL)
    assert "3 of 4 fit" in wrong
    assert "b'1'" in wrong and "read /k -> b'0' version 0" in wrong
    longest = linearizable(WRONG["a stale read"])
    assert longest is not None and explain(WRONG["a stale read"], longest) == wrong


def test_each_key_is_a_register_of_its_own() -> None:
    other = Operation(1, Kind.CREATE, "/other", 2, b"x", completed=3, error=OK)
    assert check([create(0, 1), other], ALL) == []
    assert len(check([*WRONG["a lost write"], other, other], ALL)) == 2


def test_a_refusal_for_the_session_says_nothing_of_the_znode() -> None:
    assert check([create(0, 1), put(2, 3, b"1", error=-112), read(4, 5, b"0", 0)], ALL) == []


def test_an_undecided_search_is_a_failure() -> None:
    hard = [create(0, 1), *(put(2, None, b"%d" % n, n % 7) for n in range(40)), read(3, 4, b"no", 30)]
    with pytest.raises(TooHard):
        linearizable(hard, deadline=0)
    assert "not decided within 0 s" in check(hard, ALL, limit_s=0)[0]


# -- against an exhaustive search --------------------------------------------------------------------------


def explained(operations: list[Operation]) -> bool:
    """Try every order of every choice of the unanswered ones."""
    known = [each for each in operations if each.known]
    unknown = [each for each in operations if not each.known]
    for size in range(len(unknown) + 1):
        for happened in combinations(unknown, size):
            for order in permutations([*known, *happened]):
                if _in_time(order) and _in_sense(order):
                    return True
    return False


def _in_time(order: tuple[Operation, ...]) -> bool:
    return not any(
        later.known and later.completed < earlier.invoked
        for n, earlier in enumerate(order)
        for later in order[n + 1 :]
    )


def _in_sense(order: tuple[Operation, ...]) -> bool:
    register: Register = None
    for each in order:
        if each.known:
            possible, register = step(register, each)
            if not possible:
                return False
        else:
            register = after(register, each)[0]
    return True


KINDS = st.sampled_from([Kind.CREATE, Kind.SET, Kind.SET, Kind.DELETE, Kind.READ, Kind.READ])


@st.composite
def executed(draw: st.DrawFn, most: int) -> list[Operation]:
    """Operations that took effect one after the other, at the times 1, 2, 3, called and answered around."""
    register: Register = None
    made: list[Operation] = []
    for n in range(1, draw(st.integers(1, most)) + 1):
        invoked, completed = n - draw(st.floats(0, 3)), n + draw(st.floats(0, 3))
        kind = draw(KINDS)
        if kind is Kind.READ:
            data, version = register or (None, 0)
            made.append(read(invoked, completed, data, version))
            continue
        version = draw(st.sampled_from([ANY_VERSION, 0, 1]))
        each = op(kind, invoked, None, b"%d" % n, version)
        fate = draw(st.sampled_from(["answered", "answered", "answered", "unanswered", "lost"]))
        if fate != "lost":
            register, each_error = after(register, each)
        if fate == "answered":
            each.completed, each.error = completed, each_error
            if kind is Kind.SET and each_error == OK and register is not None:
                each.result = register[1]
        made.append(each)
    return made


@given(executed(40))
@settings(deadline=None)
def test_what_was_executed_is_accepted(operations: list[Operation]) -> None:
    assert check(operations, ALL) == []


@given(executed(6), st.data())
@settings(max_examples=400, deadline=None)
def test_a_changed_history_is_judged_as_by_trying_everything(
    operations: list[Operation], data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(operations))
    if changed.kind is Kind.READ:
        changed.data = data.draw(st.sampled_from([None, *(b"%d" % n for n in range(7))]))
        changed.version = data.draw(st.integers(0, 3))
        changed.error = NO_NODE if changed.data is None else OK
    elif changed.known:
        changed.error = data.draw(st.sampled_from([OK, NO_NODE, BAD_VERSION, NODE_EXISTS]))
        changed.result = None
    else:
        changed.completed = changed.invoked + data.draw(st.floats(0, 5))
        changed.error = data.draw(st.sampled_from([OK, NO_NODE, BAD_VERSION, NODE_EXISTS]))
    operations.sort(key=lambda each: each.invoked)
    assert (linearizable(operations) is None) == explained(operations)


def test_the_changes_make_wrong_histories_too() -> None:
    """The property above is of use only if both answers occur: count over a fixed family of changes."""
    verdicts = []
    for value in range(4):
        for version in range(4):
            history = [create(0, 1), put(2, 5, b"1"), put(3, 6, b"2"), read(4, 7, b"%d" % value, version)]
            verdicts.append(linearizable(history) is None)
            assert verdicts[-1] == explained(history)
    assert verdicts.count(True) == 5 and verdicts.count(False) == 11
    assert FOREVER > 10
