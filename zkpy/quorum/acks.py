"""The leader's outstanding proposals: who acknowledged what, and which commit now.

A proposal commits when its predecessor has committed and every configuration in force when it was made has a
quorum of acknowledgements. Acknowledgements are not cumulative. Commits leave in zxid order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.verifier import AckSets
from zkpy.zxid import COUNTER_MASK, counter_of, epoch_of


class Proposal:
    """A transaction that was sent to the followers."""

    __slots__ = ("acks", "payload", "reconfig", "zxid")

    def __init__(self, zxid: int, payload: bytes, acks: AckSets, reconfig: QuorumConfig | None) -> None:
        self.zxid: Final = zxid
        self.payload: Final = payload
        """Header, body and digest as they are logged and sent."""
        self.acks: Final = acks
        self.reconfig: Final = reconfig
        """The new configuration if the transaction is one."""


class Commit(NamedTuple):
    """A proposal that commits."""

    zxid: int
    proposal: Proposal
    designated: int | None = None
    """For a reconfiguration: the server that leads from here on."""


class Backlog(NamedTuple):
    """What a learner that joins at a sync point has to be sent before it gets live traffic."""

    committed: list[Proposal]
    """PROPOSAL and COMMIT each: committed, but not applied yet, hence in no history."""
    outstanding: list[Proposal]
    """PROPOSAL each, for followers only."""


class Proposals:
    """All proposals of one leadership that are not applied yet.

    *configs* is the leader's own pair: a reconfiguration becomes its last seen configuration when it is
    proposed and its committed one when it commits. Call `start` when the leader is established.
    """

    __slots__ = (
        "_configs",
        "_outstanding",
        "_sid",
        "_to_be_applied",
        "allowed_to_commit",
        "last_committed",
        "last_proposed",
    )

    def __init__(self, sid: int, epoch: int, configs: Configs) -> None:
        self._sid = sid
        self._configs = configs
        self._outstanding: dict[int, Proposal] = {}  # in zxid order
        self._to_be_applied: deque[Proposal] = deque()
        self.last_proposed = epoch << 32
        self.last_committed = -1
        self.allowed_to_commit = True
        """False after another leader was designated: only its followers' leaving ends this leadership."""

    def start(self) -> None:
        """The leader is established: its epoch's first zxid counts as committed."""
        assert self.last_committed == -1 and not self._outstanding, "established twice"
        self.last_committed = self.last_proposed

    @property
    def outstanding(self) -> int:
        """How many proposals wait for their quorum."""
        return len(self._outstanding)

    def next_zxid(self) -> int | None:
        """The zxid for the next transaction; None: the epoch is used up, the leader must step down."""
        zxid = self.last_proposed + 1
        return None if counter_of(zxid) == COUNTER_MASK else zxid

    def propose(self, zxid: int, payload: bytes, reconfig: QuorumConfig | None = None) -> Proposal:
        """Register the next proposal; send it afterwards. A *reconfig* is in force from itself onwards."""
        assert zxid == self.last_proposed + 1, f"0x{zxid:x} proposed after 0x{self.last_proposed:x}"
        assert epoch_of(zxid) == epoch_of(self.last_proposed), "the epoch is used up"
        if reconfig is not None:
            seen = self._configs.last_seen
            assert seen is reconfig or seen.version <= self._configs.committed.version, (
                "one reconfig at a time"
            )
            self._configs.last_seen = reconfig
        proposal = Proposal(zxid, payload, AckSets(self._configs.verifiers()), reconfig)
        self._outstanding[zxid] = proposal
        self.last_proposed = zxid
        return proposal

    def ack(self, sid: int, zxid: int) -> list[Commit]:
        """Count an acknowledgement (the leader's own after its fsync); what commits now, in order.

        Ignored: acks of NEWLEADER and UPTODATE, of what has committed, and of unknown zxids.
        """
        return self.ack_all(sid, (zxid,))

    def ack_all(self, sid: int, zxids: Iterable[int]) -> list[Commit]:
        """Count a run of acknowledgements; as `ack` of each."""
        outstanding = self._outstanding
        first = next(iter(outstanding), -1)
        moves = False
        for zxid in zxids:
            proposal = outstanding.get(zxid)  # none has the counter 0, and none of those here has committed
            if proposal is not None:
                proposal.acks.add(sid)
                if zxid == first:
                    moves = True
        return self._commit_from(first) if moves else []

    def withdraw(self, sid: int) -> None:
        """A server joins anew: it may cut from its log what it has acknowledged and is not committed.

        It acknowledges that once more when it has logged it again.
        """
        for proposal in self._outstanding.values():
            proposal.acks.withdraw(sid)

    def retry(self) -> list[Commit]:
        """Try again in order what is outstanding: the oracle may have changed its mind."""
        return self._commit_from(next(iter(self._outstanding), -1))

    def applied(self, zxid: int) -> None:
        """A committed transaction reached the tree, and the committed log."""
        assert self._to_be_applied and self._to_be_applied[0].zxid == zxid, f"0x{zxid:x} applied out of order"
        self._to_be_applied.popleft()

    def backlog(self, sync_point: int) -> Backlog:
        """What lies beyond *sync_point*; read it while registering the learner for live traffic."""
        return Backlog(
            [proposal for proposal in self._to_be_applied if proposal.zxid > sync_point],
            [proposal for zxid, proposal in self._outstanding.items() if zxid > sync_point],
        )

    def check_invariants(self) -> None:
        """For simulations: order and continuity of what is kept."""
        kept = [proposal.zxid for proposal in self._to_be_applied] + list(self._outstanding)
        assert all(b == a + 1 for a, b in pairwise(kept)), "a gap in the proposals"
        assert all(zxid > self.last_committed for zxid in self._outstanding)
        if kept:
            assert kept[-1] == self.last_proposed

    def _commit_from(self, zxid: int) -> list[Commit]:
        commits: list[Commit] = []
        while self.allowed_to_commit:
            proposal = self._outstanding.get(zxid)
            if proposal is None or zxid - 1 in self._outstanding or not proposal.acks.has_all_quorums():
                break
            designated = None
            if proposal.reconfig is not None:
                designated = self._designated(proposal, proposal.reconfig)
                self._configs.committed = proposal.reconfig
                self.allowed_to_commit = designated == self._sid
            del self._outstanding[zxid]
            assert zxid > self.last_committed, "commits go forward"
            self.last_committed = zxid
            self._to_be_applied.append(proposal)
            commits.append(Commit(zxid, proposal, designated))
            zxid += 1
        return commits

    def _designated(self, proposal: Proposal, new: QuorumConfig) -> int:
        later = [other.acks.newest() for zxid, other in self._outstanding.items() if zxid > proposal.zxid]
        return designated_leader(self._sid, self._configs.committed, new, proposal.acks.newest(), later)


def designated_leader(
    sid: int,
    old: QuorumConfig,
    new: QuorumConfig,
    acked: frozenset[int],
    acked_later: list[frozenset[int]],
) -> int:
    """Who leads under the *new* configuration: leader *sid* if it votes there under the same quorum address.

    Otherwise one of those who *acked* the reconfiguration, as up to date as possible: *acked_later* tells who
    acked each later proposal, oldest first.
    """
    if sid in new.voters and new.quorum_addresses(sid) == old.quorum_addresses(sid):
        return sid
    candidates = acked - {sid}
    for acks in acked_later:
        if not candidates & acks:
            break
        candidates &= acks
    return min(candidates, default=sid)
