"""How learners are brought up to date: the choices one by one, and that each gives the leader's history."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import ProtocolError
from zkpy.quorum.packets import DIFF, SNAP, TRUNC
from zkpy.quorum.syncplan import CommittedLog, Disk, DiskHistory, SyncPlan, Txn, disk_sync_allowed, plan_sync

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=300)


def z(epoch: int, counter: int) -> int:
    return epoch << 32 | counter


def txns(*zxids: tuple[int, int]) -> list[Txn]:
    return [(z(*zxid), b"%d.%d" % zxid) for zxid in zxids]


def log(*zxids: tuple[int, int], limit: int = 500) -> CommittedLog:
    held = CommittedLog(limit)
    for txn in txns(*zxids):
        held.add(*txn)
    return held


def on_disk(history: list[Txn], later: int = 0, snapshot: int = 100) -> Disk:
    def disk(zxid: int) -> DiskHistory | None:
        starts = [index for index, txn in enumerate(history) if txn[0] <= zxid]
        return DiskHistory(iter(history), later, snapshot) if starts else None

    return disk


HELD = [(2, 3), (2, 4), (3, 1), (3, 2), (5, 1)]
LAST = z(5, 1)
SNAPSHOT = SyncPlan(SNAP, LAST, [], LAST)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ((5, 1), SyncPlan(DIFF, LAST, [], LAST)),
        ((5, 2), SyncPlan(TRUNC, LAST, [], LAST)),
        ((9, 7), SNAPSHOT),  # it need not hold the transaction to which it would be cut
        ((9, 0), SNAPSHOT),
        ((2, 3), SyncPlan(DIFF, LAST, txns(*HELD[1:]), LAST)),
        ((3, 2), SyncPlan(DIFF, LAST, txns((5, 1)), LAST)),
        ((5, 0), SyncPlan(DIFF, LAST, txns((5, 1)), LAST)),
        ((4, 0), SyncPlan(DIFF, LAST, txns((5, 1)), LAST)),
        ((3, 0), SyncPlan(DIFF, LAST, txns((3, 1), (3, 2), (5, 1)), LAST)),
        ((2, 5), SNAPSHOT),
        ((4, 7), SNAPSHOT),
        ((2, 2), SNAPSHOT),
        ((0, 0), SNAPSHOT),
    ],
)
def test_the_choices(peer: tuple[int, int], expected: SyncPlan) -> None:
    assert plan_sync(z(*peer), LAST, log(*HELD)) == expected


def test_a_learner_inside_an_epoch_that_we_have_otherwise_is_cut() -> None:
    held = [(2, 3), (3, 2), (3, 3)]  # from a leader that began with another counter
    assert plan_sync(z(3, 1), z(3, 3), log(*held)) == SyncPlan(TRUNC, z(2, 3), txns((3, 2), (3, 3)), z(3, 3))


def test_snapshots_can_be_forced() -> None:
    assert plan_sync(z(2, 3), LAST, log(*HELD), force_snapshot=True) == SNAPSHOT
    assert plan_sync(LAST, LAST, log(*HELD), force_snapshot=True) == SNAPSHOT


def test_an_established_leader_without_transactions() -> None:
    """Its tree is at its epoch's first zxid, beyond the log."""
    held, last = log((2, 3), (2, 4)), z(3, 0)
    assert plan_sync(z(2, 4), last, held) == SyncPlan(DIFF, z(2, 4), [], z(2, 4))
    assert plan_sync(last, last, held) == SyncPlan(DIFF, last, [], last)
    assert plan_sync(0, 0, CommittedLog()) == SyncPlan(DIFF, 0, [], 0)
    assert plan_sync(z(2, 9), last, held).type == TRUNC


def test_older_history_comes_from_the_disk() -> None:
    disk = on_disk(txns((1, 4), (1, 5), (2, 1), (2, 2), (2, 3), (2, 4)))
    assert plan_sync(z(1, 5), LAST, log(*HELD), disk) == SyncPlan(
        DIFF, LAST, txns((2, 1), (2, 2), *HELD), LAST
    )
    assert plan_sync(z(2, 0), LAST, log(*HELD), disk) == SyncPlan(
        DIFF, LAST, txns((2, 1), (2, 2), *HELD), LAST
    )
    assert plan_sync(z(1, 6), LAST, log(*HELD), disk) == SNAPSHOT
    assert plan_sync(z(1, 3), LAST, log(*HELD), disk) == SNAPSHOT


def test_a_learner_cut_back_from_the_disk() -> None:
    disk = on_disk(txns((1, 1), (2, 1), (2, 2), (2, 3)))
    held = log((2, 3), (2, 4))
    assert plan_sync(z(1, 1), z(2, 4), held, disk).type == DIFF
    assert plan_sync(z(1, 2), z(2, 4), held, disk).type == SNAP


@pytest.mark.parametrize(
    "history",
    [
        txns((1, 4), (1, 5), (2, 1)),  # ends too early
        txns((1, 4), (1, 5), (2, 2), (2, 3)),  # a snapshot was received between two files
        txns((1, 4), (1, 5), (2, 1), (2, 2), (2, 4)),
        txns((1, 4), (1, 5), (2, 1), (2, 2), (3, 1)),  # the log held in memory has (2, 3)
        txns((1, 5), (1, 4), (2, 1), (2, 2), (2, 3)),
        [],
    ],
)
def test_a_broken_chain_on_disk_is_not_sent(history: list[Txn]) -> None:
    def disk(zxid: int) -> DiskHistory | None:
        return DiskHistory(iter(history), 0, 100)

    assert plan_sync(z(1, 5), LAST, log(*HELD), disk) == SNAPSHOT


def test_the_size_rule_and_the_switch() -> None:
    history = txns((1, 5), (2, 1), (2, 2), (2, 3))
    held = log(*HELD)
    assert plan_sync(z(1, 5), LAST, held, on_disk(history, 33, 100)).type == DIFF
    assert plan_sync(z(1, 5), LAST, held, on_disk(history, 34, 100)).type == SNAP
    assert plan_sync(z(1, 5), LAST, held, on_disk(history), snapshot_size_factor=-1.0).type == SNAP
    assert disk_sync_allowed(0, 0, 0.0)
    assert not disk_sync_allowed(0, 0, -0.1)


def test_the_committed_log_is_bounded_and_has_no_gaps() -> None:
    held = log(*HELD, limit=3)
    assert len(held) == 3
    assert held.bounds(0) == (z(3, 1), z(5, 1))
    for wrong in ((5, 1), (5, 3), (4, 9)):
        with pytest.raises(ProtocolError):
            held.add(z(*wrong), b"")
    held.clear()
    assert held.bounds(7) == (7, 7)
    held.add(z(1, 9), b"")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Txn], list[Txn], int]:
    """A leader's history, and that of a learner that went another way after some point.

    Each epoch numbers its transactions from 1; what one epoch decided at a zxid is the same everywhere, since
    it had one leader.
    """

    def history(start: list[Txn], epochs: list[int]) -> Iterator[Txn]:
        yield from start
        for epoch in epochs:
            for counter in range(1, draw(st.integers(1, 3)) + 1):
                yield z(epoch, counter), b"%d.%d" % (epoch, counter)

    leader = list(history([], draw(st.lists(st.integers(1, 6), max_size=4, unique=True).map(sorted))))
    common = leader[: draw(st.integers(0, len(leader)))]
    ahead = draw(st.lists(st.integers(1, 6), max_size=2, unique=True).map(sorted))
    last = common[-1] if common else (0, b"")
    own = [epoch for epoch in ahead if epoch > last[0] >> 32 and z(epoch, 1) not in dict(leader)]
    return leader, list(history(common, own)), draw(st.integers(1, 6))


@deterministic
@given(worlds(), st.booleans(), st.none() | st.integers(7, 9))
def test_following_the_plan_gives_the_leaders_history(
    world: tuple[list[Txn], list[Txn], int], with_disk: bool, led: int | None
) -> None:
    leader, learner, limit = world
    held = CommittedLog(limit)
    for txn in leader:
        held.add(*txn)
    last = z(led, 0) if led is not None else leader[-1][0] if leader else 0
    peer = learner[-1][0] if learner else 0
    plan = plan_sync(peer, last, held, on_disk(leader) if with_disk else None)
    if plan.type == SNAP:
        assert not (learner and learner == leader[: len(learner)] and peer >= held.bounds(last)[0])
        return
    result = learner
    if plan.type == TRUNC:
        result = [txn for txn in learner if txn[0] <= plan.zxid]
        if leader and (not result or result[-1][0] != plan.zxid):
            # The learner's log does not hold the zxid: it notices, see LearnerSync.truncated.
            assert plan.transactions == []
            return
    assert result + plan.transactions == leader
    assert plan.sync_point == last or plan.sync_point == (leader[-1][0] if leader else last)
