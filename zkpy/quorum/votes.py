"""Votes and the rules by which servers agree on a leader: fast leader election, without network and clock.

Every server advertises its candidate and adopts any better one it hears of; when a quorum advertises the same
and nobody better turns up for a moment, the election is decided. Whoever comes later joins the leader that a
quorum reports. `FastLeaderElection` is told notifications and time-outs and answers with actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from zkpy.errors import ProtocolError
from zkpy.quorum.notification import NO_CANDIDATE, Notification, PeerState
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.verifier import AckSets, OracleVerifier

FINALIZE_WAIT_MS: Final = 200
MIN_NOTIFICATION_INTERVAL_MS: Final = 200
MAX_NOTIFICATION_INTERVAL_MS: Final = 60_000
_VERSION: Final = 2


class Vote(NamedTuple):
    """A candidate, and in which round of election it was voted for."""

    leader: int
    zxid: int
    round: int
    epoch: int
    """The candidate's epoch; after the election that of its leadership."""
    state: PeerState = PeerState.LOOKING
    """What the voter was doing."""
    version: int = 0
    """0: an old voter, whose epoch is not comparable."""

    def better_than(self, other: Vote) -> bool:
        """The order of candidates: epoch, then zxid, then sid."""
        return (self.epoch, self.zxid, self.leader) > (other.epoch, other.zxid, other.leader)

    def matches(self, other: Vote) -> bool:
        """Whether both count for the same result.

        Votes of an election under way must agree in everything. Reports of a finished one may differ in zxid
        and round, and from old servers in the epoch.
        """
        if PeerState.LOOKING in (self.state, other.state):
            return self[:4] == other[:4]
        if self.leader != other.leader:
            return False
        return (self.version > 0) != (other.version > 0) or self.epoch == other.epoch


NO_VOTE: Final = Vote(NO_CANDIDATE, NO_CANDIDATE, 0, NO_CANDIDATE)


class Send(NamedTuple):
    """Send *message* to each of *sids* (never the server itself, whose own vote is counted here)."""

    sids: tuple[int, ...]
    message: Notification


class DialAll(NamedTuple):
    """Nothing came and everything is still queued: dial the peers again."""


class Wait(NamedTuple):
    """Wait for the next notification so long, from now on; then call `FastLeaderElection.on_timeout`."""

    timeout_ms: int


class ActivateConfig(NamedTuple):
    """A peer has a newer committed configuration: activate it (if reconfiguration is enabled)."""

    config: QuorumConfig
    restart: bool
    """The members differ: give this election up, restart the election's connections, and begin anew."""


class Decided(NamedTuple):
    """The election is over; `FastLeaderElection.current_vote` and ``state`` are set."""

    leader: int
    state: PeerState


class Deserted(NamedTuple):
    """One of those who elected this server to lead is looking again."""

    sid: int
    quorum_left: bool
    """Whether those of them who are not yet known to have begun another election are still a quorum."""


Action = Send | DialAll | Wait | ActivateConfig | Decided | Deserted


class FastLeaderElection:
    """One server's part in all elections, and its answers between them.

    Call `start` to look for a leader; while ``state`` is LOOKING each call ends with a `Wait` that replaces
    the one before, or with `Decided` (an answer to a server without a vote leaves the wait as it is). In
    other states only `on_notification` is called. *configs* is shared with the rest of the server and may
    change between calls.
    """

    __slots__ = (
        "_begun",
        "_configs",
        "_deserters",
        "_elsewhere",
        "_finalize_ms",
        "_finalizing",
        "_initial",
        "_max_ms",
        "_min_ms",
        "_multi_address",
        "_received",
        "_reminded",
        "_sid",
        "_supporters",
        "_timeout_ms",
        "current_vote",
        "gone",
        "observer",
        "proposal",
        "round",
        "state",
    )

    def __init__(
        self,
        sid: int,
        configs: Configs,
        *,
        observer: bool = False,
        finalize_wait_ms: int = FINALIZE_WAIT_MS,
        min_interval_ms: int = MIN_NOTIFICATION_INTERVAL_MS,
        max_interval_ms: int = MAX_NOTIFICATION_INTERVAL_MS,
        multi_address: bool = False,
    ) -> None:
        self._sid = sid
        self._configs = configs
        self._finalize_ms = finalize_wait_ms
        self._min_ms = min_interval_ms
        self._max_ms = max_interval_ms
        self._multi_address = multi_address
        self._begun = False  # no question of the round: one that comes with a designated leader is -1
        self._initial = NO_VOTE
        self._received: dict[int, Vote] = {}  # by sender, of this round
        self._supporters: frozenset[int] = frozenset()
        self._deserters: set[int] = set()
        self._elsewhere: dict[int, Vote] = {}  # by sender, who follows or leads, of any round
        self._reminded: set[int] = set()
        self._finalizing = False
        self._timeout_ms = min_interval_ms
        self.gone: frozenset[int] = frozenset()
        """Servers that were connected and cannot be reached: a decision does not wait for their votes."""
        self.observer = observer
        self.state = PeerState.LOOKING
        self.round = 0
        self.proposal = NO_VOTE
        self.current_vote = NO_VOTE
        """What the last election gave; told to whoever is looking."""

    def start(self, last_zxid: int, current_epoch: int) -> list[Action]:
        """Look for a leader. *last_zxid* is the last one in the log, committed or not."""
        self._begun = True
        self.state = PeerState.LOOKING
        self.round += 1
        self._received.clear()
        self._elsewhere.clear()
        self._reminded.clear()
        self._finalizing = False
        self._timeout_ms = self._min_ms
        if self._sid in self._configs.committed.voters:
            self._initial = Vote(self._sid, last_zxid, self.round, current_epoch)
        else:
            self._initial = NO_VOTE
        if self.current_vote is NO_VOTE:
            self.current_vote = self._initial
        out = self._advertise(self._initial)
        return out + self._tally()

    def on_notification(self, sid: int, n: Notification) -> list[Action]:
        """A peer's message, in any state. Before the first `start` it is dropped: peers repeat themselves."""
        out: list[Action] = []
        if not self._begun:
            return out
        if self.state is PeerState.LOOKING:
            newer = self.newer_config(n)
            if newer is not None:
                out.append(newer)
                if newer.restart:
                    return out
        votes = self._sid in self._configs.committed.voters
        if sid not in self._configs.voters():
            # Two servers without a vote must not answer one another for ever.
            if n.state is PeerState.LOOKING and (votes or self.state is not PeerState.LOOKING):
                vote = self.current_vote
                out.append(Send((sid,), self._message(vote, self.round, self.state)))
            return out
        if self.state is not PeerState.LOOKING:
            if n.state is PeerState.LOOKING and sid != self._sid:
                vote = self.current_vote
                out.append(Send((sid,), self._message(vote, vote.round, self.state)))
                if self.state is PeerState.LEADING:
                    out += self._heard_leading(sid, n)
            return out
        asks = n.state is PeerState.LOOKING and sid != self._sid
        if asks and votes and self._behind(sid, n):  # without a vote it would answer what it cannot count
            out.append(Send((sid,), self._message(self.proposal, self.round, self.state)))
        return out + self._look(sid, n)

    def on_lost(self) -> list[Action]:
        """There are more servers in ``gone``: perhaps nobody is left to wait for."""
        looks = self.state is PeerState.LOOKING
        return [Wait(0)] if looks and self._finalizing and not self._finalize_wait() else []

    def on_timeout(self, any_queue_empty: bool) -> list[Action]:
        """Nothing came within the last `Wait`. *any_queue_empty*: some peer was sent everything."""
        assert self.state is PeerState.LOOKING, "nothing waits"
        if self._finalizing:
            return [self._decide(self.proposal)]
        out: list[Action] = []
        if any_queue_empty:
            out += self._advertise(self.proposal)
        else:
            out.append(DialAll())
        self._timeout_ms = min(2 * self._timeout_ms, self._max_ms)
        if isinstance(self._configs.committed.verifier, OracleVerifier) and self._has_quorum(
            self._received, self.proposal
        ):
            return [*out, self._decide(self.proposal)]
        return [*out, Wait(self._timeout_ms)]

    def set_epoch(self, epoch: int) -> None:
        """The leader is established, or this server synchronised with it: peers are told its new epoch."""
        self.current_vote = self.current_vote._replace(epoch=epoch)

    def assume(self, state: PeerState, vote: Vote | None = None) -> None:
        """Take a role that a reconfiguration assigned; *vote* names the designated leader."""
        assert state is not PeerState.LOOKING, "start() looks"
        self._supporters = frozenset({self._sid})
        self.state = state
        if vote is not None:
            self.current_vote = vote

    def _heard_leading(self, sid: int, n: Notification) -> list[Action]:
        """A voter is looking: it has just voted for this server, too, or begun another election."""
        if n.election_epoch == self.round and n.leader == self._sid:
            self._supporters |= {sid}
        if sid not in self._supporters:
            return []
        if n.election_epoch > self.round:
            self._deserters.add(sid)
        left = AckSets(self._configs.verifiers())
        for supporter in self._supporters - self._deserters:
            left.add(supporter)
        return [Deserted(sid, left.has_all_quorums())]

    def _look(self, sid: int, n: Notification) -> list[Action]:
        voters = self._configs.voters()
        vote = Vote(n.leader, n.zxid, n.election_epoch, n.peer_epoch, n.state, n.version)
        if self._finalizing:
            if not self._beats(vote, self.proposal):
                return [Wait(self._finalize_wait())]
            self._finalizing = False
        if n.leader in voters:
            if n.state is PeerState.LOOKING:
                return self._on_looking(sid, vote)
            if n.state is not PeerState.OBSERVING and self._joins(sid, vote):
                return [self._decide(vote)]
        return self._tally()

    def _on_looking(self, sid: int, vote: Vote) -> list[Action]:
        out: list[Action] = []
        if self._initial.zxid == -1 or vote.zxid == -1:
            return self._tally()
        if vote.round > self.round:
            self.round = vote.round
            self._received.clear()
            self._reminded.clear()
            best = vote if self._beats(vote, self._initial) else self._initial
            out = self._advertise(best)
        elif vote.round == self.round and self._beats(vote, self.proposal):
            out = self._advertise(vote)
        if vote.round == self.round:
            self._received[sid] = vote
        return out + self._tally()

    def _joins(self, sid: int, vote: Vote) -> bool:
        """Whether the report of a server that follows or leads, with those before, settles the election."""
        if vote.round == self.round:
            self._received[sid] = vote._replace(version=0)
            if self._has_quorum(self._received, vote) and self._led(self._received, vote):
                return True
        self._elsewhere[sid] = vote
        if self._has_quorum(self._elsewhere, vote) and self._led(self._elsewhere, vote):
            self.round = vote.round
            return True
        verifier = self._configs.committed.verifier
        return vote.state is PeerState.LEADING and isinstance(verifier, OracleVerifier) and verifier.denied()

    def _led(self, votes: Mapping[int, Vote], vote: Vote) -> bool:
        """Whether the leader itself says that it leads: followers of a dead one do not elect it again."""
        if vote.leader == self._sid:
            return vote.round == self.round
        own = votes.get(vote.leader)
        return own is not None and own.state is PeerState.LEADING

    def _beats(self, new: Vote, old: Vote) -> bool:
        return self._configs.committed.verifier.weight(new.leader) > 0 and new.better_than(old)

    def _has_quorum(self, votes: Mapping[int, Vote], vote: Vote) -> bool:
        acks = AckSets(self._configs.verifiers())
        for sid, other in votes.items():
            if vote.matches(other):
                acks.add(sid)
        return acks.has_all_quorums()

    def _tally(self) -> list[Action]:
        self._finalizing = self._has_quorum(self._received, self.proposal)
        return [Wait(self._finalize_wait() if self._finalizing else self._timeout_ms)]

    def _finalize_wait(self) -> int:
        """How long a better vote may still turn up (ms): not at all when all who can vote agree."""
        for sid in self._configs.voters() - self.gone:
            vote = self._received.get(sid)
            if vote is None or not vote.matches(self.proposal):
                return self._finalize_ms
        return 0

    def _behind(self, sid: int, n: Notification) -> bool:
        """Whether a peer that looks should be told our vote: it is in an older round, or has a worse vote.

        The latter once a round: it may have been sent ours while it still had a role, and dropped it.
        """
        if n.election_epoch != self.round:
            return n.election_epoch < self.round
        mine = (self.proposal.epoch, self.proposal.zxid, self.proposal.leader)
        if sid in self._reminded or (n.peer_epoch, n.zxid, n.leader) >= mine:
            return False
        self._reminded.add(sid)
        return True

    def _decide(self, vote: Vote) -> Decided:
        if vote.leader == self._sid:
            state = PeerState.LEADING
        else:
            state = PeerState.OBSERVING if self.observer else PeerState.FOLLOWING
        self.state = state
        self._finalizing = False
        self._supporters = frozenset(sid for sid, other in self._received.items() if vote.matches(other))
        self._deserters.clear()
        self.current_vote = vote._replace(state=PeerState.LOOKING, version=_VERSION)
        return Decided(vote.leader, state)

    def _advertise(self, vote: Vote) -> list[Action]:
        """Make *vote* the proposal, tell all voters, count the own vote as if it had come by the network."""
        self.proposal = Vote(vote.leader, vote.zxid, self.round, vote.epoch, PeerState.LOOKING, _VERSION)
        voters = self._configs.voters()
        if (
            self._sid in voters
            and self.proposal.leader in voters
            and -1 not in (vote.zxid, self._initial.zxid)
        ):
            self._received[self._sid] = self.proposal
        others = tuple(sorted(voters - {self._sid}))
        return [Send(others, self._message(self.proposal, self.round, PeerState.LOOKING))]

    def _message(self, vote: Vote, round_: int, state: PeerState) -> Notification:
        text = self._configs.committed.text()
        return Notification(state, vote.leader, vote.zxid, round_, vote.epoch, _VERSION, text)

    def newer_config(self, n: Notification) -> ActivateConfig | None:
        """What to activate if a peer's committed configuration is newer than ours."""
        if not n.config:
            return None
        try:
            config = QuorumConfig.from_text(n.config, self._configs.committed.oracle, self._multi_address)
        except ProtocolError:
            return None  # the vote still counts
        committed = self._configs.committed
        if config.version <= committed.version:
            return None
        return ActivateConfig(config, not config.same_members(committed))
