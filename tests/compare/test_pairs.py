"""What stands for what on the other server (``zkpy.compare.pairs``)."""

from __future__ import annotations

import pytest

from zkpy.compare.pairs import Clocks, Pairs, Session, Sessions, Zxids


def session(number: int = 1, touched_s: float = 0.0) -> Session:
    return Session(number, b"z%d" % number, 1000 + number, b"r%d" % number, 10.0, touched_s)


def test_zxids_go_together_once_they_were_seen_together() -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    assert zxids.agree(11, 501)
    assert zxids.agree(11, 501)
    assert not zxids.agree(11, 502)
    assert not zxids.agree(12, 501)


def test_what_is_no_zxid_must_be_equal() -> None:
    zxids = Zxids()
    assert zxids.agree(0, 0)
    assert zxids.agree(-1, -1)
    assert not zxids.agree(-1, 0)
    assert not zxids.agree(0, 7)


def test_what_was_before_the_comparison_is_equal_and_stays_before_it() -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    assert zxids.agree(3, 77)
    assert not zxids.agree(3, 501)
    assert not zxids.agree(11, 77)


def test_a_server_that_takes_more_zxids_is_noticed_once() -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    assert zxids.agree(11, 501)
    assert not zxids.agree(12, 503)
    assert zxids.agree(13, 504)


def test_order_holds_for_transactions_that_are_seen_late() -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    assert zxids.agree(14, 504)
    assert zxids.agree(12, 502)
    assert not zxids.agree(13, 501)
    assert zxids.agree(13, 503)


@pytest.mark.parametrize(
    ("zkpy", "real"), [(0, 0), (-1, -1), (5, 5), (10, 500), (12, 502), (14, 504), (20, 512)]
)
def test_zxids_of_clients_are_translated(zkpy: int, real: int) -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    zxids.agree(11, 501)
    zxids.drift_allowed = True
    zxids.agree(15, 507)
    assert zxids.to_real(zkpy) == real


def test_a_transaction_of_zkpy_alone_changes_the_distance() -> None:
    zxids = Zxids()
    zxids.begin(10, 500)
    zxids.alone(11)
    assert zxids.was_alone(11)
    assert zxids.agree(11, 500)
    assert zxids.agree(12, 501)
    assert not zxids.agree(13, 501)
    assert not zxids.agree(14, 507)


def test_the_oldest_zxids_are_forgotten() -> None:
    zxids = Zxids(limit=10)
    zxids.begin(0, 0)
    for number in range(1, 100):
        assert zxids.agree(number, number)
    assert zxids.agree(5, 6)
    assert zxids.agree(99, 99)
    assert not zxids.agree(99, 98)


def test_order_means_nothing_while_a_session_expires() -> None:
    pairs = Pairs()
    pairs.zxids.begin(10, 500)
    pairs.sessions.learn(session())
    assert not pairs.expiring(5.0)
    assert pairs.expiring(10.0)
    assert pairs.zxids.agree(12, 501)
    assert pairs.zxids.agree(11, 502)
    assert pairs.zxids.agree(13, 503)
    assert not pairs.expiring(18.0)
    assert pairs.zxids.agree(11, 502)
    assert not pairs.zxids.agree(13, 499)
    assert pairs.zxids.agree(14, 504)
    assert not pairs.zxids.agree(15, 506)


def test_a_session_that_speaks_or_is_closed_does_not_expire() -> None:
    sessions = Sessions()
    one, two = session(1), session(2)
    sessions.learn(one)
    sessions.learn(two)
    sessions.touch(one, 8.0)
    two.closed = True
    assert not sessions.expiring(12.0)
    assert sessions.expiring(18.0)
    sessions.touch(one, 18.1)
    assert not sessions.expiring(18.2)
    assert sessions.expiring(28.1)


def test_owners_are_sessions() -> None:
    sessions = Sessions(limit=2)
    sessions.learn(session(1))
    assert sessions.agree(1, 1001)
    assert not sessions.agree(1, 1002)
    assert not sessions.agree(7, 1001)
    assert sessions.agree(0, 0)
    assert not sessions.agree(0, 5)
    assert sessions.agree(7, 8)
    assert sessions.is_real(1001)
    sessions.learn(session(2))
    sessions.learn(session(3))
    assert sessions.find(1) is None


def test_clocks_may_differ_but_not_more_and_more() -> None:
    clocks = Clocks()
    assert clocks.agree(0, 0)
    assert not clocks.agree(0, 1)
    assert clocks.agree(1_000_000, 1_060_000)
    assert clocks.agree(2_000_000, 2_061_000)
    assert not clocks.agree(2_000_000, 2_000_000)


def test_clocks_that_agree() -> None:
    clocks = Clocks()
    assert clocks.agree(1_000_000, 1_000_100)
    assert not clocks.agree(1_000_000, 1_060_000)
