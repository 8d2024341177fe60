"""The barriers of discovery, whatever the order in which learners come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.config.settings import QuorumAddress, ServerSpec
from zkpy.errors import ProtocolError
from zkpy.quorum.epochs import (
    EPOCH_MAX,
    EpochAck,
    EpochAcks,
    EpochAnswer,
    EpochProposal,
    NewLeaderAcks,
    answer_leader_info,
)
from zkpy.quorum.quorumconfig import Configs, QuorumConfig

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=80)


def configs(voters: int, version: int = 0) -> Configs:
    return Configs(QuorumConfig(tuple(server(sid) for sid in range(1, voters + 1)), version))


def server(sid: int) -> ServerSpec:
    return ServerSpec(sid, (QuorumAddress(f"h{sid}", 2888, 3888),))


def test_the_epoch_is_above_all_that_a_quorum_accepted() -> None:
    barrier = EpochProposal(1, configs(3))
    assert barrier.add(1, 4) is None
    assert barrier.add(9, 6) is None  # a stranger counts for the epoch only
    assert barrier.add(2, 3) == 7
    assert barrier.add(3, 100) == 7


def test_the_leader_itself_must_be_among_them() -> None:
    barrier = EpochProposal(1, configs(3))
    assert barrier.add(2, 4) is None
    assert barrier.add(3, 4) is None
    assert barrier.add(1, 0) == 5


def test_the_last_epoch() -> None:
    barrier = EpochProposal(1, configs(3))
    barrier.add(1, EPOCH_MAX - 1)
    with pytest.raises(ProtocolError):
        barrier.add(2, EPOCH_MAX)
    assert barrier.add(2, 0) == EPOCH_MAX


def test_both_configurations_decide() -> None:
    both = configs(3)
    both.last_seen = QuorumConfig(tuple(server(sid) for sid in (1, 4, 5)), 7)
    barrier = EpochProposal(1, both)
    acks = NewLeaderAcks(1, 1, both)
    for sid in (1, 2, 3):
        assert barrier.add(sid, 0) is None
        assert not acks.ack(sid, 1 << 32)
    assert barrier.add(5, 3) == 4
    assert acks.ack(5, 1 << 32)
    assert acks.acked() == {1, 5}


@deterministic
@given(st.integers(1, 5), st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), max_size=20))
def test_an_epoch_is_fixed_once_and_is_new_to_a_quorum(voters: int, arrivals: list[tuple[int, int]]) -> None:
    barrier = EpochProposal(1, configs(voters))
    seen: list[tuple[int, int]] = []
    fixed: int | None = None
    for sid, accepted in arrivals:
        epoch = barrier.add(sid, accepted)
        if fixed is not None:
            assert epoch == fixed
            continue
        seen.append((sid, accepted))
        counted = {other for other, _ in seen if other <= voters}
        assert (epoch is not None) == (1 in counted and 2 * len(counted) > voters)
        if epoch is not None:
            assert epoch == max(other for _, other in seen) + 1
            fixed = epoch


def test_learners_ahead_are_refused_until_a_quorum_is_there() -> None:
    barrier = EpochAcks(1, 5, 0x500000003, configs(3))
    assert barrier.ack(1, 5, 0x500000003) is EpochAck.WAIT
    assert barrier.ack(2, 5, 0x500000004) is EpochAck.AHEAD
    assert barrier.ack(2, 6, 0x500000001) is EpochAck.AHEAD
    assert barrier.ack(3, -1, 0x900000000) is EpochAck.WAIT  # an old promise, not counted
    assert barrier.ack(3, 5, -1) is EpochAck.WAIT
    assert barrier.ack(8, 5, 0) is EpochAck.WAIT  # a stranger
    assert not barrier.reached
    assert barrier.ack(3, 4, 0x600000000) is EpochAck.REACHED
    assert barrier.ack(2, 6, 0x500000001) is EpochAck.REACHED


def test_the_leaders_history_counts_too() -> None:
    barrier = EpochAcks(1, 5, 9, configs(3))
    assert barrier.ack(2, 5, 9) is EpochAck.WAIT
    assert barrier.ack(3, 5, 9) is EpochAck.WAIT
    assert barrier.ack(1, 5, 9) is EpochAck.REACHED


def test_established_by_acks_of_newleader_only() -> None:
    barrier = NewLeaderAcks(1, 5, configs(3))
    assert not barrier.ack(2, 5 << 32)
    assert not barrier.ack(3, 5 << 32)
    assert not barrier.ack(1, (5 << 32) + 1)
    assert barrier.ack(1, 5 << 32)
    assert barrier.ack(3, 0)  # established is established


def test_a_learner_promises_an_epoch_once() -> None:
    assert answer_leader_info(7, 6, 5) == EpochAnswer(7, 5)
    assert answer_leader_info(7, 7, 5) == EpochAnswer(None, -1)
    with pytest.raises(ProtocolError):
        answer_leader_info(7, 8, 5)
