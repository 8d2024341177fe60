"""Mistakes that lose, reorder, invent or mistake transactions: the runs have to notice each.

``python -m tests.simulation.mutants [SEEDS [NAME ...]]`` prints how many seeds each one lived.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from tests.simulation.history import Violation
from tests.simulation.run import run
from zkpy.config.settings import ServerSpec
from zkpy.persist.configfiles import ConfigFiles
from zkpy.persist.epochfile import EpochFiles
from zkpy.persist.store import Store
from zkpy.quorum import learner, learnerserver, peer
from zkpy.quorum.activation import Membership
from zkpy.quorum.confirmation import Confirmation
from zkpy.quorum.context import Context
from zkpy.quorum.epochs import EpochAck, EpochAcks, EpochAnswer, EpochProposal, NewLeaderAcks
from zkpy.quorum.leaderserver import LeaderServer
from zkpy.quorum.learner import Learner, LeftLeader
from zkpy.quorum.learnerhandler import LearnerHandler
from zkpy.quorum.learnerserver import LearnerServer
from zkpy.quorum.learnersync import LearnerSync
from zkpy.quorum.observermaster import ObserverMaster
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.verifier import MajorityVerifier
from zkpy.quorum.votes import Vote
from zkpy.tree.datatree import DataTree
from zkpy.tree.watches import Watches

Replaced = tuple[Any, str, Any]
SEEDS: Final = 300


async def _accept_in_memory(epochs: EpochFiles, epoch: int) -> None:
    epochs.accepted = epoch


async def _enter_in_memory(epochs: EpochFiles, epoch: int) -> None:
    epochs.current = epoch


def _half(verifier: MajorityVerifier, sids: Any) -> bool:
    return len(verifier.voters.intersection(sids)) >= max(1, len(verifier.voters) // 2)


def _nothing_uncommitted(server: object) -> list[object]:
    return []


def _by_number(vote: Vote, other: Vote) -> bool:
    return vote.leader > other.leader


def _ack_history(acks: EpochAcks, sid: int, epoch: int, zxid: int) -> EpochAck:
    acks._acks.add(sid)
    acks.reached = acks._acks.has(acks._sid) and acks._acks.has_all_quorums()
    return EpochAck.REACHED if acks.reached else EpochAck.WAIT


def _epoch_alone(proposal: EpochProposal, sid: int, accepted_epoch: int) -> int | None:
    if proposal.epoch is None and sid == proposal._sid:
        proposal.epoch = accepted_epoch + 1
    return proposal.epoch


def _established_alone(acks: NewLeaderAcks, sid: int, zxid: int) -> bool:
    acks.established = True
    return True


async def _cut_nothing(self: Learner, zxid: int, sync: LearnerSync) -> None:
    self.context.tree.last_zxid = zxid


async def _keep_nothing(store: Store, tree: DataTree) -> None:
    """The leader's tree stays in memory."""


def _any_leader(new_epoch: int, accepted_epoch: int, current_epoch: int) -> EpochAnswer:
    return EpochAnswer(new_epoch, current_epoch)


async def _no_reload(context: Context) -> None:
    context.volatile = False


def _apply_at_once(propose: Callable[..., None]) -> Callable[..., None]:
    def proposed(server: LearnerServer, zxid: int, payload: bytes) -> None:
        propose(server, zxid, payload)
        if len(server._proposals) == 1:
            server.commit_proposals([zxid])

    return proposed


def _acknowledge_at_once(propose: Callable[..., None]) -> Callable[..., None]:
    def proposed(server: LearnerServer, zxid: int, payload: bytes) -> None:
        propose(server, zxid, payload)
        server.durable([server._proposals[-1]])

    return proposed


def _unsynced(log_and_apply: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def logged(self: Learner, transactions: list[Any]) -> None:
        for zxid, payload in transactions:
            assert self.context.storage is not None
            self.context.storage.log.append(zxid, payload)
            self._apply(zxid, payload)

    return logged


def _announced_first(submit: Callable[..., None]) -> Callable[..., None]:
    def submitted(server: LeaderServer, request: Any) -> None:
        submit(server, request)
        if request.header is not None:
            other = server._sid % len(server.proposals._configs.voters()) + 1
            server.acknowledged(other, [request.header.zxid])

    return submitted


def _confirm_unasked(confirmation: Confirmation, number: int, session_id: int) -> None:
    confirmation.gate.confirmed(number)


def _naming_last_seen(register: Callable[..., Any]) -> Callable[..., Any]:
    def registered(handler: LearnerHandler, plan: Any) -> Any:
        configs = handler._master.context.configs
        committed, configs.committed = configs.committed, configs.last_seen
        try:
            return register(handler, plan)
        finally:
            configs.committed = committed

    return registered


def _never(*args: object) -> bool:
    return False


def _activate_seen(membership: Membership, config: QuorumConfig) -> None:
    membership.activate(config)


def _arrive_at_once(server: LearnerServer, number: int, session_id: int) -> None:
    server._arrivals.confirmed(number)


def _outcome_by_number(committed: Any, own: Any) -> bool:
    return (own.session_id, own.xid) == (committed.header.client_id, committed.header.cxid)


def _any_sync(server: LearnerServer, zxid: int) -> None:
    waiting = server._read_syncs or server._syncs
    if waiting:
        waiting.popleft()()


async def _any_history(master: ObserverMaster, sid: int, epoch: int, zxid: int) -> None:
    """It is synchronised, whatever it has."""


async def _no_line(membership: Membership) -> ServerSpec:
    own = membership._context.configs.committed.member(membership._context.sid)
    if own is None:
        raise LeftLeader("this server is no member")
    return own


def _nothing(*args: object) -> None:
    """Unchecked."""


def _nobody(*args: object) -> tuple[()]:
    return ()


MUTANTS: Final[dict[str, list[Replaced]]] = {
    "half of the voters are a quorum": [(MajorityVerifier, "contains_quorum", _half)],
    "a follower acknowledges before it has synced": [
        (LearnerServer, "propose", _acknowledge_at_once(LearnerServer.propose))
    ],
    "a follower carries out what is not committed": [
        (LearnerServer, "propose", _apply_at_once(LearnerServer.propose))
    ],
    "the leader counts an acknowledgement that never came": [
        (LeaderServer, "submit", _announced_first(LeaderServer.submit))
    ],
    "a vote forgets what was logged and not committed": [
        (LearnerServer, "uncommitted", _nothing_uncommitted),
        (LeaderServer, "uncommitted", _nothing_uncommitted),
    ],
    "the highest number leads, and nobody compares histories": [
        (Vote, "better_than", _by_number),
        (EpochAcks, "ack", _ack_history),
    ],
    "the accepted epoch is not stored": [(EpochFiles, "accept", _accept_in_memory)],
    "the current epoch is not stored": [(EpochFiles, "enter", _enter_in_memory)],
    "an epoch is chosen alone, and promised to anybody": [
        (EpochProposal, "add", _epoch_alone),
        (learner, "answer_leader_info", _any_leader),
    ],
    "a leader is established without a quorum": [(NewLeaderAcks, "ack", _established_alone)],
    "a divergent log is not cut": [(Learner, "_truncate", _cut_nothing)],
    "NEWLEADER is acknowledged before the history is synced": [
        (Learner, "_log_and_apply", _unsynced(Learner._log_and_apply))
    ],
    "NEWLEADER is acknowledged before the tree is stored": [(Store, "replace", _keep_nothing)],
    "quorumReads: a leader answers without asking": [(Confirmation, "_begin", _confirm_unasked)],
    "a tree that was not stored counts": [(Context, "reload", _no_reload)],
    "who joins goes by members that are only proposed": [
        (LearnerHandler, "_register", _naming_last_seen(LearnerHandler._register)),
        (LearnerSync, "_is_proposal_only", _never),
    ],
    "members are in force as soon as they are seen": [(Membership, "see", _activate_seen)],
    "a session goes on before its writes elsewhere are known": [
        (LearnerServer, "_await_arrivals", _arrive_at_once)
    ],
    "an outcome is known by session and number alone": [(learnerserver, "_is_outcome", _outcome_by_number)],
    "a session writes at an observer that it has left": [(ObserverMaster, "_check_place", _nothing)],
    "a session keeps its connection at the observer's master": [
        (LearnerServer, "_leave_connection", _nothing),
        (ObserverMaster, "_check_place", _nothing),
    ],
    "quorumReads: any sync that is answered lets reads pass": [(LearnerServer, "synced", _any_sync)],
    "members that were given up come back": [(ConfigFiles, "_sync_names", _nothing)],
    "an observer goes back to a master that lags": [(ObserverMaster, "learn_history", _any_history)],
    "who is no member tries again at once": [
        (Membership, "own_line", _no_line),
        (peer, "FIRST_PAUSE_S", 0.0),
        (peer, "LONGEST_PAUSE_S", 0.0),
    ],
    "nobody is told of new children": [(Watches, "trigger_child", _nobody)],
}


@contextmanager
def mistaken(name: str) -> Iterator[None]:
    """With this mistake in force."""
    with ExitStack() as stack:
        for owner, attribute, mistake in MUTANTS[name]:
            stack.callback(setattr, owner, attribute, getattr(owner, attribute))
            setattr(owner, attribute, mistake)
        yield


def seeds_survived(name: str, seeds: int = SEEDS) -> int | None:
    """How many seeds the mistake lives before it is noticed; None: all."""
    with mistaken(name):
        for seed in range(seeds):
            try:
                run(seed)
            except Violation:
                return seed
    return None


def main() -> int:
    """Print a line for each."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    lived = 0
    for name in sys.argv[2:] or MUTANTS:
        survived = seeds_survived(name, seeds)
        lived += survived is None
        print(f"{'LIVES' if survived is None else survived:>5}  {name}", flush=True)
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
