"""What the answers of an ensemble's members amount to: who votes, whether there is a quorum, what is odd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from zkpy.ensemble.asking import Answer, newest
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.verifier import MajorityVerifier

VOTING: Final = ("leader", "follower")
STANDALONE: Final = "standalone"
VOTER: Final = "voter"
OBSERVER: Final = "observer"
NO_MEMBER: Final = "no member"
UNKNOWN: Final = "-"
ORACLE_VOTERS: Final = 2
"""How many voters may have an oracle between them."""


@attrs.frozen
class Status:
    """All answers together, judged by the newest configuration that a member states.

    Without any, those count as members who were asked, and one of which nothing is known as a voter.
    """

    answers: tuple[Answer, ...]

    @property
    def config(self) -> QuorumConfig | None:
        """The configuration in force, as far as the answers tell."""
        return newest(self.answers)

    @property
    def leader(self) -> Answer | None:
        """The leader; of two that claim to lead, the one of the newer epoch."""
        leaders = [answer for answer in self.answers if answer.role == "leader"]
        return max(leaders, key=lambda answer: answer.zxid or 0, default=None)

    def configured(self, answer: Answer) -> str:
        """What the configuration makes a server: `VOTER`, `OBSERVER`, `NO_MEMBER`; `UNKNOWN` who it is."""
        config = self.config
        if answer.role == STANDALONE:
            return UNKNOWN if config is None else NO_MEMBER
        if config is None:
            observes = answer.asked.observer if answer.role is None else answer.role == OBSERVER
            return OBSERVER if observes else VOTER
        if answer.number is None:
            return UNKNOWN
        member = config.member(answer.number)
        if member is None:
            return NO_MEMBER
        return OBSERVER if member.role == OBSERVER else VOTER

    @property
    def voters(self) -> int:
        """How many members vote."""
        config = self.config
        return len(self._voting()) if config is None else len(config.voters)

    @property
    def serving_voters(self) -> int:
        """How many of them lead or follow."""
        return len(self._serving())

    @property
    def quorum(self) -> bool:
        """Whether those that serve are enough: by number or, where there are groups, by these and weights."""
        config = self.config
        verifier = MajorityVerifier(range(self.voters)) if config is None else config.verifier
        return verifier.contains_quorum(self._serving()) or self.by_oracle

    @property
    def by_oracle(self) -> bool:
        """One of two voters leads alone, and has an oracle to allow that."""
        return self._leads_alone() and any(answer.asked.oracle for answer in self._voting())

    @property
    def healthy(self) -> bool:
        """There is a leader, and a quorum answers; or there is one standalone server, which serves."""
        if len(self.answers) == 1 and self.answers[0].role == STANDALONE:
            return True
        return self.leader is not None and self.quorum

    def lag(self, answer: Answer) -> int | None:
        """Transactions that the leader has and this member has not.

        A member that serves was synchronised in the leader's epoch: with a zxid of an earlier one it lacks
        what came in this one, and nothing else.
        """
        leader = self.leader
        if leader is None or leader.zxid is None or answer.zxid is None or answer.role is None:
            return None
        if answer.role == STANDALONE:
            return None
        counter = leader.zxid & 0xFFFFFFFF
        if answer.zxid >> 32 != leader.zxid >> 32:
            return counter if answer.zxid < leader.zxid else 0
        return max(0, counter - (answer.zxid & 0xFFFFFFFF))

    def notes(self) -> list[str]:
        """What should not be so, or is not known."""
        config = self.config
        found: list[str] = []
        served = [answer for answer in self.answers if answer.role is not None]
        if config is None:
            if any(answer.role != STANDALONE for answer in served):
                found.append(
                    "no member states the configuration (the word conf has to be allowed):"
                    " who was asked counts as member"
                )
        elif self._leads_alone() and not self.by_oracle:
            found.append(
                "one of two voters leads alone: only an oracle can have allowed that, if there is one"
            )
        for answer in served:
            if answer.role == STANDALONE and len(self.answers) > 1:
                found.append(f"{_name(answer)} is a standalone server: it belongs to no ensemble")
            elif config is not None and self.configured(answer) == NO_MEMBER:
                found.append(
                    f"{_name(answer)} serves and is not in the configuration: its vote does not count"
                )
            elif config is not None and answer.config is not None and answer.config.version < config.version:
                found.append(f"{_name(answer)} still goes by configuration {answer.config.version:x}")
        if config is not None:
            found += _disagreement(self.answers, config)
        return found

    def _voting(self) -> list[Answer]:
        return [answer for answer in self.answers if self.configured(answer) == VOTER]

    def _serving(self) -> set[int]:
        """Voters that lead or follow: their numbers, or without a configuration their places."""
        known = self.config is not None
        numbers = (
            answer.number if known else at
            for at, answer in enumerate(self._voting())
            if answer.role in VOTING
        )
        return {number for number in numbers if number is not None}

    def _leads_alone(self) -> bool:
        leader = self.leader
        return (
            self.voters == ORACLE_VOTERS
            and self.serving_voters == 1
            and leader is not None
            and self.configured(leader) == VOTER
        )


def _disagreement(answers: Sequence[Answer], config: QuorumConfig) -> list[str]:
    """Members that state others under the same version: their files differ."""
    differing = [
        _name(answer)
        for answer in answers
        if answer.config is not None
        and answer.config.version == config.version
        and _who(answer.config) != _who(config)
    ]
    if not differing:
        return []
    return [f"{', '.join(differing)}: the configuration there lists other members; compare the server lines"]


def _who(config: QuorumConfig) -> tuple[object, ...]:
    return config.voters, config.observers, config.groups, config.weights


def table(status: Status) -> str:
    """One line per member, one about the ensemble, and what should not be so."""
    head = ("id", "address", "configured", "role", "epoch", "zxid", "lag", "connections")
    rows: list[tuple[str, ...]] = [head]
    for answer in status.answers:
        start = (_text(answer.number), answer.asked.address, status.configured(answer))
        if answer.role is None:
            rows.append((*start, answer.problem or ""))
            continue
        lag = "-" if answer is status.leader else _text(status.lag(answer))
        zxid = f"0x{answer.zxid:x}" if answer.zxid is not None else "-"
        rows.append((*start, answer.role, _text(answer.epoch), zxid, lag, _text(answer.connections)))
    widths = [max(len(row[at]) for row in rows if len(row) == len(head)) for at in range(len(head))]
    widths[:3] = [max(len(row[at]) for row in rows) for at in range(3)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)) for row in rows]
    return "\n".join(
        line.rstrip() for line in (*lines, summary(status), *(f"note: {note}" for note in status.notes()))
    )


def summary(status: Status) -> str:
    """What it amounts to, in one line."""
    if all(answer.role == STANDALONE for answer in status.answers):
        if len(status.answers) == 1:
            return "a standalone server, which serves; no ensemble"
        return "standalone servers; no ensemble"
    leader = status.leader
    config = status.config
    led = f"led by {_name(leader)}" if leader is not None else "no leader"
    of = f" of configuration {config.version:x}" if config is not None and config.version else ""
    judged = "a quorum" if status.quorum else "no quorum"
    if status.by_oracle:
        judged += ", as the oracle allows"
    elif config is not None and config.hierarchical:
        judged += " by groups and weights"
    return f"{led}; {status.serving_voters} of {status.voters} voters{of} serve: {judged}"


def as_data(status: Status) -> dict[str, Any]:
    """The same for programs."""
    leader = status.leader
    config = status.config
    return {
        "healthy": status.healthy,
        "leader": leader.asked.address if leader is not None else None,
        "configuration": f"{config.version:x}" if config is not None else None,
        "voters": status.voters,
        "serving_voters": status.serving_voters,
        "quorum": status.quorum,
        "members": [
            {
                "id": answer.number,
                "address": answer.asked.address,
                "configured": status.configured(answer),
                "role": answer.role,
                "epoch": answer.epoch,
                "zxid": f"0x{answer.zxid:x}" if answer.zxid is not None else None,
                "lag": status.lag(answer),
                "connections": answer.connections,
                "problem": answer.problem,
            }
            for answer in status.answers
        ],
        "notes": status.notes(),
    }


def _name(answer: Answer) -> str:
    return f"server {answer.number}" if answer.number is not None else answer.asked.address


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)
