"""The barriers of discovery: which epoch is new, whose history is the best, who has accepted it.

    learner                                leader
      | -- FOLLOWERINFO accepted epoch -----> |   EpochProposal: a quorum is seen, the epoch is fixed
      | <------ LEADERINFO new epoch -------- |
      | -- ACKEPOCH last zxid, epoch -------> |   EpochAcks: nobody of a quorum knows more than the leader
      | <-- DIFF | TRUNC | SNAP, NEWLEADER -- |
      | -- ACK of NEWLEADER ----------------> |   NewLeaderAcks: a quorum holds the leader's history
      | <----------- UPTODATE --------------- |

All answers are values: who waits, and how long, is the role's business.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from zkpy.errors import ProtocolError
from zkpy.quorum.quorumconfig import Configs
from zkpy.quorum.verifier import AckSets

EPOCH_MAX: Final = 0x7FFFFFFF


class EpochProposal:
    """Collects the accepted epochs; the new one is above all seen when a quorum (with the leader) was seen.

    Once fixed it never changes: later learners are told the same. *sid* is the leader's own.
    """

    __slots__ = ("_highest", "_seen", "_sid", "epoch")

    def __init__(self, sid: int, configs: Configs) -> None:
        self._sid = sid
        self._seen = AckSets(configs.verifiers())
        self._highest = -1
        self.epoch: int | None = None
        """The new epoch; None until it is fixed. Persist it as accepted before anybody is told."""

    def add(self, sid: int, accepted_epoch: int) -> int | None:
        """Count a server, the leader itself included; returns the epoch if it is fixed.

        Observers and strangers raise the epoch, but only voters are counted. Raises ProtocolError for an
        epoch beyond which there is none.
        """
        if self.epoch is not None:
            return self.epoch
        if not -1 <= accepted_epoch < EPOCH_MAX:
            raise ProtocolError(f"server {sid} has accepted epoch {accepted_epoch}")
        self._highest = max(self._highest, accepted_epoch)
        self._seen.add(sid)
        if self._seen.has(self._sid) and self._seen.has_all_quorums():
            self.epoch = self._highest + 1
        return self.epoch


class EpochAck(Enum):
    """What an ACKEPOCH led to."""

    WAIT = "wait"
    """No quorum yet."""
    REACHED = "reached"
    """The barrier is open."""
    AHEAD = "ahead"
    """The learner knows more than this leader: drop its connection."""


class EpochAcks:
    """Makes sure that nobody of a quorum has more history than the leader.

    Learners that are ahead are refused while the quorum is forming; afterwards nobody is checked (what such a
    learner has beyond us was never committed, and it will be told to truncate).
    """

    __slots__ = ("_acks", "_sid", "_summary", "reached")

    def __init__(self, sid: int, current_epoch: int, last_zxid: int, configs: Configs) -> None:
        self._sid = sid
        self._summary = (current_epoch, last_zxid)
        self._acks = AckSets(configs.verifiers())
        self.reached = False

    def ack(self, sid: int, epoch: int, zxid: int) -> EpochAck:
        """Count one ACKEPOCH, the leader's own included; *epoch* -1 repeats a promise and is not counted."""
        if self.reached:
            return EpochAck.REACHED
        if epoch != -1:
            if (epoch, zxid) > self._summary:
                return EpochAck.AHEAD
            if zxid != -1:
                self._acks.add(sid)
        self.reached = self._acks.has(self._sid) and self._acks.has_all_quorums()
        return EpochAck.REACHED if self.reached else EpochAck.WAIT


class NewLeaderAcks:
    """Counts who holds the new leader's history durably; then the leader is established."""

    __slots__ = ("_acks", "_sid", "established", "zxid")

    def __init__(self, sid: int, epoch: int, configs: Configs) -> None:
        self._sid = sid
        self.zxid: Final = epoch << 32
        self._acks = AckSets(configs.verifiers())
        self.established = False

    def ack(self, sid: int, zxid: int) -> bool:
        """Count the ACK that must be a learner's first packet after NEWLEADER; whether we are established.

        The ACK of another zxid is not counted.
        """
        if zxid == self.zxid and not self.established:
            self._acks.add(sid)
            self.established = self._acks.has(self._sid) and self._acks.has_all_quorums()
        return self.established

    def acked(self) -> frozenset[int]:
        """Who has been counted in the newest configuration, for choosing the designated leader."""
        return self._acks.newest()


class EpochAnswer(NamedTuple):
    """A learner's reaction to LEADERINFO, in this order."""

    persist: int | None
    """The epoch to make durable as accepted before the answer leaves; None: it is already."""
    ack_epoch: int
    """The epoch to state in ACKEPOCH; -1: this promise was given before and is not to be counted."""


def answer_leader_info(new_epoch: int, accepted_epoch: int, current_epoch: int) -> EpochAnswer:
    """What a learner answers to a leader of *new_epoch*.

    Raises:
        ProtocolError: a newer epoch was promised to somebody else; leave this leader.
    """
    if new_epoch > accepted_epoch:
        return EpochAnswer(new_epoch, current_epoch)
    if new_epoch == accepted_epoch:
        return EpochAnswer(None, -1)
    raise ProtocolError(f"leader of epoch {new_epoch}, but epoch {accepted_epoch} was accepted before")
