"""The leader's server core: it prepares every write of the ensemble, and commits what a quorum has logged."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from zkpy import opcodes
from zkpy.errors import Code
from zkpy.pipeline.request import Request
from zkpy.pipeline.zookeeperserver import Client
from zkpy.quorum.acks import Commit, Proposals
from zkpy.quorum.packets import encode_proposal
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.quorumserver import QuorumServer
from zkpy.quorum.syncplan import CommittedLog
from zkpy.server.facts import ServerFacts
from zkpy.tree.txns import CreateSession, SetData

logger: Final = logging.getLogger("zkpy.quorum")


class Elsewhere:
    """Owns the sessions whose connections are at one learner."""

    __slots__ = ("sid",)

    def __init__(self, sid: int) -> None:
        self.sid: Final = sid

    def disconnect(self, why: str) -> None:
        """The learner closes the connection itself, when it carries out the same transaction."""


class GatedSync:
    """A learner's question whether its tree is up to date; it waits until this server knows that it leads."""

    __slots__ = ("_answer", "session_id")

    def __init__(self, session_id: int, answer: Callable[[], None]) -> None:
        self._answer = answer
        self.session_id = session_id

    def up_to_date(self) -> None:
        """This server leads indeed: it has committed all that was when it was asked."""
        self._answer()


class LeaderServer(QuorumServer):
    """Writes go *prepare → propose → log → acknowledge*, committed in order once a quorum has them."""

    mode = "leader"

    def __init__(
        self,
        *args: Any,
        sid: int,
        proposals: Proposals,
        committed_log: CommittedLog,
        broadcast: Callable[[bytes], None],
        announce: Callable[[list[Commit]], None],
        see: Callable[[bytes], QuorumConfig],
        facts: ServerFacts,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, server_id=sid, **kwargs)
        self._sid: Final = sid
        self.proposals: Final = proposals
        self.committed_log: Final = committed_log
        self._broadcast: Final = broadcast
        self._announce: Final = announce
        self._see: Final = see
        self._facts: Final = facts
        self._pipeline: deque[Request] = deque()
        self._committing = False
        self._syncs: dict[int, list[Callable[[], None]]] = {}
        self.proposal_sizes: tuple[int, int, int] = (-1, -1, -1)
        self.exhausted = False
        """The epoch has no zxid left: the leader has to step down."""
        self.preparer.zxid = self.tree.last_zxid
        self.admits_clients = self.config.ensemble.leader_serves

    # -- writes --------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Prepare and propose a write of this server's client, or one that a learner forwarded."""
        if self.local_sessions and self.ends_here(request):
            return
        if self.proposals.next_zxid() is None:
            self.exhausted = True  # nobody is answered: the connections end with this leadership
            return
        self.count_in(request)
        error = self._session_error(request)
        if error:
            self.preparer.refuse(request, error)
        else:
            self.preparer.prepare(request)
            if request.op == opcodes.CREATE_SESSION:
                self._expect_session(request)
        if request.header is None and request.origin is not None:
            # A learner waits for the transaction, whatever became of its client's request.
            self.preparer.refuse(request, request.err)
        self._pipeline.append(request)
        if request.header is None:
            self._advance()
            return
        zxid = request.header.zxid
        size = len(request.payload)
        _, least, most = self.proposal_sizes
        self.proposal_sizes = (size, size if least < 0 else min(least, size), max(most, size))
        reconfig = None
        if isinstance(request.txn, SetData) and request.txn.type == opcodes.RECONFIG:
            reconfig = self._see(request.txn.data or b"")
        self._facts.count("proposal_count")
        self.proposals.propose(zxid, request.payload, reconfig)
        self._broadcast(encode_proposal(zxid, request.payload))
        self.sync.submit(request)

    def answer_here(self, request: Request) -> None:
        """After everything before it."""
        self.count_in(request)
        self._pipeline.append(request)
        self._advance()

    def sync_behind(self, answer: Callable[[], None]) -> None:
        """A learner's sync: *answer* it behind the commits of what is proposed, and before all later ones.

        The learner's other clients depend on that, too: it knows what a commit answers by the order alone.
        """
        if self.proposals.outstanding:
            self._syncs.setdefault(self.proposals.last_proposed, []).append(answer)
        else:
            answer()

    def durable(self, batch: list[Request]) -> None:
        """The leader's own acknowledgements."""
        if self.ended:
            return
        zxids = [request.header.zxid for request in batch if request.header is not None]
        self._commit(self.proposals.ack_all(self._sid, zxids))

    def acknowledged(self, sid: int, zxids: list[int]) -> None:
        """A learner has logged these proposals; what commits by that is announced in one go."""
        self._commit(self.proposals.ack_all(sid, zxids))

    def _commit(self, commits: list[Commit]) -> None:
        if not commits:
            return
        self._facts.count("commit_count", len(commits))
        if self._syncs:
            told = 0
            for count, commit in enumerate(commits, 1):
                if answers := self._syncs.pop(commit.zxid, None):
                    self._announce(commits[told:count])
                    told = count
                    for answer in answers:
                        answer()
            commits = commits[told:]
        self._announce(commits)
        self._advance()

    def _advance(self) -> None:
        """Carry out, in order, what is committed or needs no commit."""
        if self._committing:
            return
        self._committing = True
        pipeline = self._pipeline
        try:
            while True:
                last = self.proposals.last_committed
                batch: list[Request] = []
                while pipeline and (pipeline[0].header is None or pipeline[0].header.zxid <= last):
                    batch.append(pipeline.popleft())
                if not batch:
                    return
                self.commit(batch)
                for request in batch:
                    if request.header is not None:
                        waited_ms = int((self.now - request.started) * 1000)
                        self._facts.observe_often("quorum_ack_latency", waited_ms)
                        self.committed_log.add(request.header.zxid, request.payload)
                        self.proposals.applied(request.header.zxid)
        finally:
            self._committing = False

    def retry(self) -> None:
        """Commit what has its quorum now, without anybody's acknowledgement: the oracle has spoken."""
        self._commit(self.proposals.retry())

    def pending_syncs(self) -> int:
        """Learners' syncs that wait for what was proposed before them."""
        return sum(map(len, self._syncs.values()))

    def uncommitted(self) -> list[Request]:
        """What is in the log and not in the tree, in order: for the time after this leadership."""
        return [request for request in self._pipeline if request.header is not None]

    # -- sessions ------------------------------------------------------------------------------------------

    def session_created(self, session_id: int) -> None:
        """Every session of the ensemble is the leader's to expire."""
        self.tracker.add(session_id, self.tree.sessions[session_id], self.now_ms())

    def touched(self, session_id: int, timeout_ms: int) -> None:
        """A learner has heard from a session."""
        session = self.tracker.get(session_id)
        if session is not None:
            self.tracker.set_timeout(session, timeout_ms, self.now_ms())

    def revalidate(self, session_id: int, timeout_ms: int, owner: Elsewhere) -> bool:
        """A session's client has come to a learner: it moves there if it is alive."""
        self._facts.count("revalidate_count")
        session = self.tracker.get(session_id)
        if session is None or session.closing or session.local:
            return False
        before, session.owner = session.owner, owner
        if before is not None and before is not owner:
            cast("Elsewhere | Client", before).disconnect("its session moved to another server")
        self.tracker.set_timeout(session, timeout_ms, self.now_ms())
        return True

    def _expect_session(self, request: Request) -> None:
        """It exists from now on: a request of a session that was local may come right behind."""
        if isinstance(request.txn, CreateSession):
            session = self.tracker.add(request.session_id, request.txn.timeout_ms, self.now_ms())
            if request.origin is not None:
                session.owner = request.origin

    def _is_own(self, session_id: int) -> bool:
        """Whether the session was opened at this server, by its id."""
        return (session_id >> 56 ^ self._sid) & 0xFF == 0

    def _session_error(self, request: Request) -> int:
        """Why a write cannot be accepted from where it comes; 0 when it can."""
        if request.op == opcodes.CREATE_SESSION or (request.client is None and request.origin is None):
            return 0  # a new session, or what the server does itself
        session = self.tracker.get(request.session_id)
        if session is None and self.local_sessions and not self._is_own(request.session_id):
            request.ephemeral_err = Code.SESSION_EXPIRED  # it may be a local one of a learner
            return 0
        if session is None or (session.closing and request.op != opcodes.CLOSE_SESSION):
            return Code.SESSION_EXPIRED
        if session.local and not request.ephemeral_err:
            request.ephemeral_err = Code.SESSION_EXPIRED
        owner = session.owner
        if isinstance(request.origin, Elsewhere):
            if owner is None:
                session.owner = request.origin
            elif owner is not request.origin:
                return Code.SESSION_MOVED
        elif isinstance(owner, Elsewhere):
            return Code.SESSION_MOVED
        if request.op == opcodes.CLOSE_SESSION:
            session.closing = True
        return 0
