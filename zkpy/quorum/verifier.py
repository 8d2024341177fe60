"""Quorums: which sets of servers may decide for all.

A verifier judges sets of sids for one configuration. While a newer configuration has been seen but is not
committed, every test must hold in both: `AckSets` keeps one set per configuration in force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol


class QuorumVerifier(Protocol):
    """Judges sets of sids for one configuration. Sids that are no voters never count."""

    @property
    def voters(self) -> frozenset[int]:
        """The sids that may be counted."""

    def weight(self, sid: int) -> int:
        """What the vote of *sid* weighs, should it be a voter. Nobody with weight 0 is elected."""

    def contains_quorum(self, sids: Collection[int]) -> bool:
        """Whether *sids* may decide."""


class MajorityVerifier:
    """More than half of the voters."""

    __slots__ = ("_half", "voters")

    def __init__(self, voters: Collection[int]) -> None:
        self.voters: Final = frozenset(voters)
        self._half = len(self.voters) // 2

    def weight(self, sid: int) -> int:
        """1 for everybody."""
        return 1

    def contains_quorum(self, sids: Collection[int]) -> bool:
        """More than half of the voters are among *sids*."""
        return len(self.voters.intersection(sids)) > self._half


class HierarchicalVerifier:
    """Voters in groups with weights: a majority of the groups, each won by a majority of its weight.

    Groups without any weight are not counted.
    """

    __slots__ = ("_groups", "_weights", "voters")

    def __init__(
        self, voters: Collection[int], groups: Mapping[int, Collection[int]], weights: Mapping[int, int]
    ) -> None:
        self.voters: Final = frozenset(voters)
        members = [self.voters.intersection(group) for _, group in sorted(groups.items())]
        assert len(frozenset().union(*members)) == sum(map(len, members)), "a voter is in one group"
        self._weights = {sid: weights.get(sid, 1) for sid in sorted(self.voters)}
        self._groups = [
            (group, total) for group in members if (total := sum(self._weights[sid] for sid in group)) > 0
        ]

    def weight(self, sid: int) -> int:
        """The voter's weight line, 1 without one."""
        return self._weights.get(sid, 0)

    def contains_quorum(self, sids: Collection[int]) -> bool:
        """More than half of the counted groups are won by *sids*."""
        present = self.voters.intersection(sids)
        won = sum(
            sum(self._weights[sid] for sid in group & present) > total // 2 for group, total in self._groups
        )
        return won > len(self._groups) // 2


class OracleVerifier:
    """A majority; but one of exactly two voters may go on alone when the oracle grants it.

    *ask* reads the oracle each time it is called. ``needed`` starts as true and is told by the leader's role
    through `update_needed`; as long as a follower is in touch, the oracle has no say.
    """

    __slots__ = ("_ask", "_majority", "needed", "voters")

    def __init__(self, voters: Collection[int], ask: Callable[[], bool]) -> None:
        self._majority = MajorityVerifier(voters)
        self.voters: Final = self._majority.voters
        self._ask = ask
        self.needed = True

    def weight(self, sid: int) -> int:
        """1 for everybody."""
        return 1

    def update_needed(self, forwarding_followers: int) -> None:
        """Tell how many followers are in touch, on joining and when the periodic check finds no quorum."""
        self.needed = len(self.voters) == 2 and forwarding_followers == 0

    def granted(self) -> bool:
        """Whether the oracle is needed and lets this server go on alone."""
        return self.needed and len(self.voters) == 2 and self._ask()

    def denied(self) -> bool:
        """Whether the oracle is needed and says no: then another server leads."""
        return self.needed and len(self.voters) == 2 and not self._ask()

    def contains_quorum(self, sids: Collection[int]) -> bool:
        """A majority, or one voter with the oracle's consent."""
        if self._majority.contains_quorum(sids):
            return True
        return not self.voters.isdisjoint(sids) and self.granted()


class AckSets:
    """Who has agreed, per configuration in force; agreed when there is a quorum in all of them."""

    __slots__ = ("_pairs",)

    def __init__(self, verifiers: Collection[QuorumVerifier]) -> None:
        assert verifiers, "no configuration is in force"
        self._pairs: list[tuple[QuorumVerifier, set[int]]] = [(verifier, set()) for verifier in verifiers]

    def add(self, sid: int) -> bool:
        """Count *sid* in each configuration in which it votes; whether that was any."""
        counted = False
        for verifier, acks in self._pairs:
            if sid in verifier.voters:
                acks.add(sid)
                counted = True
        return counted

    def withdraw(self, sid: int) -> None:
        """*sid* no longer agrees."""
        for _, acks in self._pairs:
            acks.discard(sid)

    def has(self, sid: int) -> bool:
        """Whether *sid* was counted in some configuration."""
        return any(sid in acks for _, acks in self._pairs)

    def newest(self) -> frozenset[int]:
        """Who was counted in the newest configuration in force."""
        return frozenset(self._pairs[-1][1])

    def has_all_quorums(self) -> bool:
        """Whether each configuration in force has its quorum."""
        for verifier, acks in self._pairs:  # noqa: SIM110 - a generator costs as much as what it does
            if not verifier.contains_quorum(acks):
                return False
        return True
