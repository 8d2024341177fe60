"""What ZooKeeper guarantees about sessions: ids, passwords, time-outs, expiry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.pipeline.sessions import NO_BUCKET, SessionTracker, initial_id, negotiate, password

TICK = 2000
NOW = 1_000_000


def tracker(first_id: int = 0x10, tick_ms: int = TICK) -> SessionTracker:
    return SessionTracker(first_id, tick_ms)


# Ids and passwords


def test_a_session_id_is_server_id_clock_and_a_counter_from_zero() -> None:
    first = initial_id(1, 0x56F39)
    assert first == 0x01_0000056F39_0000
    sessions = tracker(first)
    assert [sessions.next_id() for _ in range(3)] == [first, first + 1, first + 2]


def test_only_forty_bits_of_the_clock_are_used() -> None:
    assert initial_id(2, (1 << 40) + 5) == initial_id(2, 5)


@given(st.integers(128, 255), st.integers(0, 1 << 45))
def test_server_ids_above_127_give_negative_session_ids(server_id: int, wall_ms: int) -> None:
    first = initial_id(server_id, wall_ms)
    assert -(1 << 63) < first < 0
    assert (first >> 56) & 0xFF == server_id


def test_the_value_that_marks_containers_is_never_a_session_id() -> None:
    marker = -(1 << 63)
    assert initial_id(128, 0) == marker + 1
    assert tracker(marker).next_id() == marker + 1
    wrapping = tracker((1 << 63) - 1)
    assert [wrapping.next_id(), wrapping.next_id()] == [(1 << 63) - 1, marker + 1]


def test_zero_is_never_a_session_id() -> None:
    sessions = tracker(-1)
    assert [sessions.next_id(), sessions.next_id()] == [-1, 1]


def test_the_password_is_the_one_every_server_computes() -> None:
    assert password(0x010000056F3901C2).hex() == "47819c0823e0f8d6ff8eeb505f6ca13a"


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_password_has_16_bytes_for_any_id(session_id: int) -> None:
    assert len(password(session_id)) == 16
    assert password(session_id) == password(session_id & ((1 << 64) - 1))


# Time-outs


@pytest.mark.parametrize(
    ("requested", "granted"),
    [(0, 4000), (-1, 4000), (1, 4000), (3999, 4000), (4001, 4001), (40001, 40000), (2147483647, 40000)],
)
def test_a_timeout_is_forced_into_the_servers_limits(requested: int, granted: int) -> None:
    assert negotiate(requested, 2 * TICK, 20 * TICK) == granted


def test_the_renegotiated_timeout_governs_expiry_and_the_durable_one_stays() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    sessions.set_timeout(session, 40000, NOW)
    assert (session.timeout_ms, session.current_timeout_ms) == (4000, 40000)
    assert sessions.next_deadline_ms() == NOW + 40000 + TICK
    sessions.set_timeout(session, 4000, NOW)
    assert sessions.next_deadline_ms() == NOW + 4000 + TICK


# Expiry


@given(st.integers(0, 10**12), st.integers(1, 10**6), st.integers(1, 10**5))
def test_a_silent_session_expires_after_its_timeout_and_within_a_tick(
    now: int, timeout: int, tick: int
) -> None:
    sessions = tracker(tick_ms=tick)
    session = sessions.add(1, timeout, now)
    deadline = sessions.next_deadline_ms()
    assert deadline is not None
    assert now + timeout < deadline <= now + timeout + tick
    assert sessions.expire(deadline - 1) == []
    assert sessions.expire(deadline) == [session]


def test_a_sign_of_life_postpones_expiry() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    sessions.touch(session, NOW + 5000)
    assert sessions.expire(NOW + 9000) == []
    assert sessions.expire(NOW + 10000) == [session]


def test_a_touch_within_the_bucket_changes_nothing() -> None:
    sessions = tracker()
    first = sessions.add(1, 4000, NOW)
    sessions.add(2, 4000, NOW)
    bucket = first.bucket
    sessions.touch(first, NOW + TICK - 1)
    assert first.bucket == bucket
    assert [session.id for session in sessions.expire(bucket)] == [1, 2]


def test_a_session_expires_once_and_is_known_until_its_close_is_applied() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    assert sessions.expire(NOW + 10000) == [session]
    assert session.closing
    assert sessions.get(1) is session
    assert sessions.expire(NOW + 20000) == []
    assert sessions.next_deadline_ms() is None
    assert sessions.remove(1) is session
    assert sessions.get(1) is None
    assert sessions.remove(1) is None


def test_nothing_revives_a_closing_session() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    sessions.expire(NOW + 10000)
    sessions.touch(session, NOW + 10000)
    sessions.set_timeout(session, 40000, NOW + 10000)
    assert sessions.add(1, 4000, NOW + 10000) is session
    assert session.bucket == NO_BUCKET
    assert sessions.buckets() == []
    sessions.check_invariants()


def test_a_session_closed_by_its_client_does_not_expire_too() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    session.closing = True
    assert sessions.expire(NOW + 10000) == []
    sessions.check_invariants()
    assert sessions.remove(1) is session


def test_a_late_touch_of_a_removed_session_has_no_effect() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    sessions.remove(1)
    sessions.touch(session, NOW + 50000)
    assert sessions.buckets() == []
    assert sessions.add(1, 4000, NOW + 50000) is not session


def test_a_session_seen_again_is_the_same_and_counts_as_touched() -> None:
    sessions = tracker()
    session = sessions.add(1, 4000, NOW)
    owner = object()
    session.owner = owner
    assert sessions.add(1, 9000, NOW + 4000) is session
    assert (session.owner, session.timeout_ms, len(sessions)) == (owner, 4000, 1)
    assert sessions.next_deadline_ms() == NOW + 4000 + 4000 + TICK


def test_sessions_expire_by_deadline_then_by_arrival() -> None:
    sessions = tracker()
    for session_id, timeout in ((9, 8000), (5, 4000), (7, 4000), (1, 8000)):
        sessions.add(session_id, timeout, NOW)
    assert [session.id for session in sessions.expire(NOW + 60000)] == [5, 7, 9, 1]


def test_dump_lists_deadlines_and_ids_in_order() -> None:
    sessions = tracker()
    for session_id, timeout in ((9, 8000), (5, 4000), (7, 4000), (1, 8000)):
        sessions.add(session_id, timeout, NOW)
    assert sessions.buckets() == [(NOW + 6000, [5, 7]), (NOW + 10000, [1, 9])]


def test_a_session_shows_its_id_as_zookeeper_prints_it() -> None:
    session = tracker().add(-1, 4000, NOW)
    assert repr(session) == "<Session 0xffffffffffffffff timeout=4000ms>"
    session.closing = True
    assert repr(session) == "<Session 0xffffffffffffffff timeout=4000ms closing>"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "touch", "timeout", "close", "remove", "expire"]),
        st.integers(1, 4),
        st.sampled_from([0, 1, 50, 100, 250]),
        st.sampled_from([100, 150, 400]),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_tracker_agrees_with_a_deadline_kept_per_session(steps: list[tuple[str, int, int, int]]) -> None:
    tick, now = 100, 0
    sessions = tracker(tick_ms=tick)
    deadlines: dict[int, int] = {}
    timeouts: dict[int, int] = {}
    closing: set[int] = set()

    def touched(session_id: int) -> None:
        if session_id not in closing:
            deadlines[session_id] = ((now + timeouts[session_id]) // tick + 1) * tick

    for action, session_id, later, timeout in steps:
        now += later
        session = sessions.get(session_id)
        assert (session is not None) == (session_id in timeouts)
        if action == "add":
            sessions.add(session_id, timeout, now)
            timeouts.setdefault(session_id, timeout)
            touched(session_id)
        elif action == "expire":
            due = {one for one, deadline in deadlines.items() if deadline <= now}
            expired = sessions.expire(now)
            assert {one.id for one in expired} == due - closing
            assert len(expired) == len(due - closing)
            closing |= due
            for one in due:
                del deadlines[one]
        elif session is None:
            assert sessions.remove(session_id) is None
        elif action == "touch":
            sessions.touch(session, now)
            touched(session_id)
        elif action == "timeout":
            sessions.set_timeout(session, timeout, now)
            timeouts[session_id] = timeout
            touched(session_id)
        elif action == "close":
            session.closing = True
            closing.add(session_id)
        else:
            sessions.remove(session_id)
            del timeouts[session_id]
            deadlines.pop(session_id, None)
            closing.discard(session_id)
        sessions.check_invariants()
        assert len(sessions) == len(timeouts)
        assert sessions.next_deadline_ms() == min(deadlines.values(), default=None)
        assert {one: deadline for deadline, ids in sessions.buckets() for one in ids} == deadlines
