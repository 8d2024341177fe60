"""Commits: in order, with all quorums, across reconfigurations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.config.settings import QuorumAddress, ServerSpec
from zkpy.quorum.acks import Proposals, designated_leader
from zkpy.quorum.quorumconfig import Configs, QuorumConfig

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=100)
EPOCH = 1 << 32


def config(*sids: int, version: int = 0, port: int = 2888) -> QuorumConfig:
    return QuorumConfig(
        tuple(ServerSpec(sid, (QuorumAddress(f"h{sid}", port, 3888),)) for sid in sids), version
    )


def started(configs: Configs, sid: int = 1) -> Proposals:
    proposals = Proposals(sid, 1, configs)
    proposals.start()
    return proposals


def committed(proposals: Proposals, sid: int, counter: int) -> list[int]:
    return [commit.zxid - EPOCH for commit in proposals.ack(sid, EPOCH + counter)]


def test_a_proposal_commits_with_its_quorum() -> None:
    proposals = started(Configs(config(1, 2, 3)))
    assert proposals.next_zxid() == EPOCH + 1
    proposals.propose(EPOCH + 1, b"a")
    assert committed(proposals, 2, 1) == []
    assert committed(proposals, 2, 1) == []  # once more
    assert committed(proposals, 9, 1) == []  # a stranger
    assert committed(proposals, 1, 1) == [1]
    assert committed(proposals, 3, 1) == []
    assert proposals.last_committed == EPOCH + 1


def test_who_joins_anew_acknowledges_anew() -> None:
    proposals = started(Configs(config(1, 2, 3, 4, 5), config(1, 2, 3, version=9)))
    proposals.propose(EPOCH + 1, b"a")
    assert committed(proposals, 1, 1) == committed(proposals, 2, 1) == []
    proposals.withdraw(2)
    assert committed(proposals, 3, 1) == []
    assert committed(proposals, 2, 1) == [1]


def test_acks_that_mean_nothing() -> None:
    proposals = started(Configs(config(1)))
    for counter in (0, 1, -1):
        assert committed(proposals, 1, counter) == []
    proposals.propose(EPOCH + 1, b"a")
    assert committed(proposals, 1, 2) == []
    assert committed(proposals, 1, 0) == []
    assert committed(proposals, 1, 1) == [1]


def test_proposals_have_no_gaps() -> None:
    proposals = started(Configs(config(1)))
    with pytest.raises(AssertionError):
        proposals.propose(EPOCH + 2, b"a")


def test_the_counter_ends() -> None:
    proposals = started(Configs(config(1)))
    proposals.last_proposed = EPOCH + 0xFFFFFFFD
    assert proposals.next_zxid() == EPOCH + 0xFFFFFFFE
    proposals.last_proposed += 1
    assert proposals.next_zxid() is None


def test_a_successor_waits_for_its_predecessor() -> None:
    proposals = started(Configs(config(1, 2, 3)))
    for counter in (1, 2, 3):
        proposals.propose(EPOCH + counter, b"")
    assert committed(proposals, 1, 2) == committed(proposals, 2, 2) == []
    assert committed(proposals, 1, 1) == []
    assert committed(proposals, 2, 1) == [1, 2]


def test_backlog_of_a_joining_learner() -> None:
    proposals = started(Configs(config(1, 2, 3)))
    for counter in (1, 2, 3, 4):
        proposals.propose(EPOCH + counter, b"")
    for counter in (1, 2, 3):
        proposals.ack(1, EPOCH + counter)
        proposals.ack(2, EPOCH + counter)
    proposals.applied(EPOCH + 1)
    with pytest.raises(AssertionError):
        proposals.applied(EPOCH + 3)
    backlog = proposals.backlog(EPOCH + 1)
    assert [proposal.zxid - EPOCH for proposal in backlog.committed] == [2, 3]
    assert [proposal.zxid - EPOCH for proposal in backlog.outstanding] == [4]
    assert [p.zxid - EPOCH for p in proposals.backlog(EPOCH + 2).committed] == [3]
    assert proposals.outstanding == 1
    proposals.check_invariants()


@deterministic
@given(
    st.integers(1, 5),
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), max_size=60),
    st.none() | st.integers(1, 8),
)
def test_commits_go_in_order_and_with_quorums_only(
    voters: int, count: int, acks: list[tuple[int, int]], reconfig_at: int | None
) -> None:
    old, new = config(*range(1, voters + 1)), config(1, 5, 6, version=EPOCH + 99)
    proposals = started(Configs(old))
    for counter in range(1, count + 1):
        proposals.propose(EPOCH + counter, b"", new if counter == reconfig_at else None)
    got: dict[int, set[int]] = {counter: set() for counter in range(1, count + 1)}
    order: list[int] = []

    def ready(counter: int) -> bool:
        enough = 2 * len(got[counter] & old.voters) > len(old.voters)
        if reconfig_at is not None and counter >= reconfig_at:
            enough = enough and 2 * len(got[counter] & new.voters) > len(new.voters)
        return enough

    for sid, counter in acks:
        if counter in got and counter not in order:
            got[counter].add(sid)
        order += committed(proposals, sid, counter)
        proposals.check_invariants()
        expected = 0
        while expected < count and ready(expected + 1):
            expected += 1
        assert order == list(range(1, expected + 1))


def test_a_reconfiguration_changes_who_counts() -> None:
    configs = Configs(config(1, 2, 3))
    proposals = started(configs)
    new = config(1, 4, 5, version=EPOCH + 1)
    proposals.propose(EPOCH + 1, b"reconfig", new)
    proposals.propose(EPOCH + 2, b"later")
    assert configs.in_force()[-1] is new
    with pytest.raises(AssertionError):
        proposals.propose(EPOCH + 3, b"", config(1, version=EPOCH + 3))
    for sid in (1, 2, 3):
        assert committed(proposals, sid, 1) == []
    (commit,) = proposals.ack(4, EPOCH + 1)
    assert commit.designated == 1
    assert configs.committed is new
    assert configs.in_force() == [new]
    for sid in (1, 4):
        assert committed(proposals, sid, 2) == []  # proposed while the old one was in force
    assert committed(proposals, 2, 2) == [2]


def test_a_leader_that_is_removed_stops_committing() -> None:
    proposals = started(Configs(config(1, 2, 3)))
    proposals.propose(EPOCH + 1, b"reconfig", config(2, 3, version=EPOCH + 1))
    proposals.propose(EPOCH + 2, b"later")
    for sid in (1, 3, 2):
        proposals.ack(sid, EPOCH + 2)
    proposals.ack(2, EPOCH + 1)
    (commit,) = proposals.ack(3, EPOCH + 1)
    assert commit.designated == 2
    assert not proposals.allowed_to_commit
    assert proposals.ack(1, EPOCH + 2) == proposals.retry() == []


def test_who_is_designated() -> None:
    old = config(1, 2, 3)
    later = [frozenset({2, 3}), frozenset({3}), frozenset({2})]
    acked = frozenset({1, 2, 3})
    assert designated_leader(1, old, config(1, 2, version=1), acked, later) == 1
    assert designated_leader(1, old, config(1, 2, version=1, port=2), acked, later) == 3
    assert designated_leader(1, old, config(2, 3, version=1), acked, []) == 2
    assert designated_leader(1, old, config(2, 3, version=1), acked, [frozenset()]) == 2


def test_the_oracle_may_change_its_mind() -> None:
    answers = [False]
    members = config(1, 2).servers
    proposals = started(Configs(QuorumConfig(members, oracle=lambda: answers[0])))
    for counter in (1, 2):
        proposals.propose(EPOCH + counter, b"")
        assert committed(proposals, 1, counter) == []
    assert proposals.retry() == []
    answers[0] = True
    assert [commit.zxid - EPOCH for commit in proposals.retry()] == [1, 2]


def test_a_run_of_acknowledgements_commits_what_they_do_one_by_one() -> None:
    one, many = started(Configs(config(1, 2, 3))), started(Configs(config(1, 2, 3)))
    for proposals in (one, many):
        for counter in range(1, 6):
            proposals.propose(EPOCH + counter, b"%d" % counter)
    runs = ((1, [1, 3, 4, 5]), (2, [2, 3, 1, 77, 0]), (3, [2, 4]), (1, [2, 2]), (2, [5]))
    outcome = []
    for sid, run in runs:
        singly = [zxid for counter in run for zxid in committed(one, sid, counter)]
        together = [commit.zxid - EPOCH for commit in many.ack_all(sid, [EPOCH + counter for counter in run])]
        assert together == singly
        outcome.append(together)
    assert outcome == [[], [1], [2, 3, 4], [], [5]]
