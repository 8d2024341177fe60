"""Quorums: any two intersect; weights; the oracle; several configurations at once."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.quorum.verifier import (
    AckSets,
    HierarchicalVerifier,
    MajorityVerifier,
    OracleVerifier,
    QuorumVerifier,
)

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=60)


def subsets(sids: frozenset[int]) -> list[frozenset[int]]:
    ordered = sorted(sids)
    return [frozenset(part) for size in range(len(ordered) + 1) for part in combinations(ordered, size)]


def test_majority() -> None:
    for size in range(1, 6):
        verifier = MajorityVerifier(range(size))
        for part in subsets(verifier.voters):
            assert verifier.contains_quorum(part) == (2 * len(part) > size)
    assert not MajorityVerifier([1, 2, 3]).contains_quorum({1, 8, 9})
    assert not MajorityVerifier([]).contains_quorum({1})


def test_a_server_without_weight() -> None:
    """As tried with Java servers: 1+2 decided, 2+3 did not, 3 was never elected."""
    verifier = HierarchicalVerifier([1, 2, 3], {1: (1, 2, 3)}, {1: 1, 2: 1, 3: 0})
    assert verifier.contains_quorum({1, 2})
    assert not verifier.contains_quorum({2, 3})
    assert verifier.weight(3) == 0


def test_majority_of_groups() -> None:
    groups = {1: (1, 2, 3), 2: (4, 5, 6), 3: (7, 8, 9), 4: (10,)}
    verifier = HierarchicalVerifier(range(1, 11), groups, {10: 0})
    assert verifier.contains_quorum({1, 2, 4, 5})  # two of three groups that count
    assert not verifier.contains_quorum({1, 2, 3, 4, 7, 10})


@deterministic
@given(st.data())
def test_quorums_intersect(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 6))
    group_of = data.draw(st.lists(st.integers(1, 3), min_size=size, max_size=size))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    groups = {gid: tuple(sid for sid, other in enumerate(group_of) if other == gid) for gid in set(group_of)}
    verifier: QuorumVerifier = HierarchicalVerifier(range(size), groups, dict(enumerate(weights)))
    parts = subsets(verifier.voters)
    quorums = [part for part in parts if verifier.contains_quorum(part)]
    for one in quorums:
        assert all(one & other for other in quorums)
        assert all(verifier.contains_quorum(part) for part in parts if one <= part)


def test_oracle() -> None:
    answers = [True]
    verifier = OracleVerifier([1, 2], lambda: answers[0])
    assert verifier.contains_quorum({1}) and not verifier.denied()
    assert not verifier.contains_quorum(set())
    answers[0] = False
    assert not verifier.contains_quorum({1}) and verifier.denied()
    assert verifier.contains_quorum({1, 2})
    answers[0] = True
    verifier.update_needed(1)
    assert not verifier.contains_quorum({1})
    verifier.update_needed(0)
    assert verifier.contains_quorum({1})
    three = OracleVerifier([1, 2, 3], lambda: True)
    assert not three.contains_quorum({1})


def test_all_configurations_must_agree() -> None:
    acks = AckSets([MajorityVerifier([1, 2, 3]), MajorityVerifier([3, 4, 5])])
    assert acks.add(1) and acks.add(2)
    assert not acks.add(9)
    assert not acks.has_all_quorums()
    acks.add(4)
    assert not acks.has_all_quorums()
    acks.add(3)
    assert acks.has_all_quorums()
    assert acks.newest() == {3, 4}
    assert acks.has(1) and not acks.has(9)
