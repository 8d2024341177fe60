"""A follower's or observer's server core: writes go to the leader, and come back committed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from zkpy import opcodes
from zkpy.errors import CommitMismatch, MarshallingError, ProtocolError
from zkpy.pipeline import sessions
from zkpy.pipeline.decode import check_body
from zkpy.pipeline.readgate import ReadGate
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session, SessionTracker
from zkpy.pipeline.zookeeperserver import ASKED, Client
from zkpy.quorum.packets import ACK, READS_CXID, ForwardedRequest, encode_bare, revalidate
from zkpy.quorum.quorumserver import QuorumServer
from zkpy.quorum.syncplan import CommittedLog
from zkpy.tree.acl import Identities
from zkpy.tree.digest import VERSION
from zkpy.tree.txns import SetData, decode_payload
from zkpy.zxid import continues, epoch_of

logger: Final = logging.getLogger("zkpy.quorum")

_ROOT: Final = b"\0\0\0\1/"
_FORWARDED: Final = opcodes.WRITES | {opcodes.SYNC}


class LearnerTracker(SessionTracker):
    """The sessions whose connections are here; signs of life are kept for the leader, where they expire.

    Only local ones expire here.
    """

    __slots__ = ("_touched",)

    def __init__(self, first_id: int, tick_ms: int) -> None:
        super().__init__(first_id, tick_ms)
        self._touched: dict[int, int] = {}

    def touch(self, session: Session, now_ms: int) -> None:
        """Remember to tell the leader."""
        if session.local:
            super().touch(session, now_ms)
        elif not session.closing:
            self._touched[session.id] = session.current_timeout_ms

    def make_global(self, session: Session) -> None:
        """It expires at the leader now."""
        super().make_global(session)
        self._leave(session)
        self._touched[session.id] = session.current_timeout_ms

    def heard(self, session_id: int, timeout_ms: int) -> None:
        """The same for a session whose connection is at an observer of this server."""
        self._touched[session_id] = timeout_ms

    def take_touched(self) -> list[tuple[int, int]]:
        """Session and timeout (ms) of those heard from since the last call."""
        touched, self._touched = self._touched, {}
        return list(touched.items())


Relayed = Callable[[bool], None]
"""Told whether a session may go on at the observer that asked."""


class LearnerServer(QuorumServer):
    """Local writes wait in the order in which they were forwarded; commits come in that order, too.

    *send* queues a packet to the leader. An observer (*acknowledges* False) logs without acknowledging.
    """

    expires_sessions = False
    queued = _FORWARDED

    def __init__(
        self,
        *args: Any,
        sid: int,
        epoch: int,
        send: Callable[[bytes], None],
        acknowledges: bool,
        committed_log: CommittedLog,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, server_id=sid, **kwargs)
        self.mode = "follower" if acknowledges else "observer"
        self._epoch: Final = epoch
        self._send: Final = send
        self._acknowledges: Final = acknowledges
        self.committed_log: Final = committed_log
        self._pending: deque[Request] = deque()
        self._syncs: deque[Callable[[], None]] = deque()
        """What to do when the leader answers, by the order in which it was asked."""
        self._proposals: deque[Request] = deque()
        self._answered: set[Request] = set()
        self._revalidating: dict[int, deque[tuple[Client | Relayed, int]]] = {}
        self.relay: Callable[[int, bytes, int | None], None] | None = None
        """Told zxid and payload of what was carried out, with the designated leader if there is one."""
        self.last_queued = max(self.tree.last_zxid, epoch << 32)
        self._known = self.tree.last_zxid
        if self.config.ensemble.quorum_reads:
            self.hold_reads(ReadGate(self._ask_leader))

    def new_tracker(self, first_id: int, tick_ms: int) -> SessionTracker:
        """Only local sessions expire here."""
        return LearnerTracker(first_id, tick_ms)

    def track_stored_sessions(self) -> None:
        """Only those whose clients come here."""

    # -- local clients' writes -----------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Forward a local client's write; one whose body does not decode is answered here, in its turn."""
        if self.local_sessions and self.ends_here(request):
            return
        op = request.op
        body = request.frame if op == opcodes.CREATE_SESSION else request.frame[8:]
        try:
            check_body(op, body)
        except MarshallingError as error:
            request.err = error.code
            self.answer_here(request)
            return
        self.count_in(request)
        self._pending.append(request)
        if request.ephemeral_err and op != opcodes.MULTI:
            request.err = request.ephemeral_err  # whatever the leader says
        if op == opcodes.SYNC:
            self._syncs.append(partial(self._synced, request))
        authinfo = None if op == opcodes.CREATE_SESSION else request.identities
        if op == opcodes.CLOSE_SESSION:
            body = b""
        self._send(ForwardedRequest(request.session_id, request.xid, op, body).packet(authinfo).encode())

    def answer_here(self, request: Request) -> None:
        """After everything before it."""
        self.count_in(request)
        self._pending.append(request)
        self._answered.add(request)
        self._advance()

    def synced(self) -> None:
        """The leader has answered the oldest sync: what it had to wait for was committed before."""
        if self._syncs:
            self._syncs.popleft()()

    def _synced(self, request: Request) -> None:
        self._answered.add(request)
        self._advance()

    def _ask_leader(self, number: int, session_id: int) -> None:
        """A sync of the server's own: the leader's answer comes behind all that it has committed."""
        assert self.gate is not None
        self._syncs.append(partial(self.gate.confirmed, number))
        self._send(ForwardedRequest(session_id, READS_CXID, opcodes.SYNC, _ROOT).packet(None).encode())

    def _advance(self) -> None:
        """Answer the oldest requests that need no transaction."""
        pending = self._pending
        batch: list[Request] = []
        while pending and pending[0] in self._answered:
            request = pending.popleft()
            self._answered.discard(request)
            batch.append(request)
        if batch:
            self.commit(batch)

    # -- transactions from the leader ----------------------------------------------------------------------

    def propose(self, zxid: int, payload: bytes) -> None:
        """Log a proposal; it is acknowledged when it is durable.

        One that came inside the leader's tree already is acknowledged only.

        Raises:
            ProtocolError: it does not continue the history; MarshallingError: it is no transaction.
        """
        logged = decode_payload(payload)
        header = logged.header
        if header.zxid != zxid:
            raise ProtocolError(f"proposal 0x{zxid:x} holds transaction 0x{header.zxid:x}")
        request = Request(None, header.client_id, header.cxid, opcodes.NOTIFICATION, b"", (), self.now)
        request.header = header
        if zxid > self._known:
            if epoch_of(zxid) > self._epoch:
                raise ProtocolError(f"proposal 0x{zxid:x} of a leader of epoch {self._epoch}")
            if not continues(self.last_queued, zxid):
                raise ProtocolError(f"proposal 0x{zxid:x} after 0x{self.last_queued:x}")
            self.last_queued = zxid
            request.txn = logged.txn
            request.payload = payload
            if logged.digest_version == VERSION and self.tree.digest_enabled:
                request.digest = logged.digest
        self.outstanding += 1
        self._proposals.append(request)
        self.sync.submit(request)

    def durable(self, batch: list[Request]) -> None:
        """Acknowledge what is in the log for good."""
        if self._acknowledges and not self.ended:
            self._send(encode_bare(ACK, [r.header.zxid for r in batch if r.header is not None]))

    def next_config(self, zxid: int) -> str | None:
        """The configuration that the oldest proposal makes; None: it makes none, or is not *zxid*."""
        if not self._proposals:
            return None
        request = self._proposals[0]
        txn = request.txn
        assert request.header is not None
        if request.header.zxid == zxid and isinstance(txn, SetData) and txn.type == opcodes.RECONFIG:
            return (txn.data or b"").decode("utf-8", "replace")
        return None

    def commit_proposals(self, zxids: Iterable[int], designated: int | None = None) -> None:
        """Carry out the oldest proposals, whose zxids these are, and answer local clients who asked for them.

        *designated* leads from here on, when the proposal changes the members.

        Raises:
            CommitMismatch: a commit is not of the oldest pending proposal.
            ProtocolError: what was committed leaves a gap.
        """
        proposals, pending, answered = self._proposals, self._pending, self._answered
        batch: list[Request] = []
        mismatch = None
        for zxid in zxids:
            if not proposals:
                logger.warning("Committing 0x%x without seeing a proposal", zxid)
                continue
            request = proposals[0]
            header = request.header
            assert header is not None
            if header.zxid != zxid:
                mismatch = f"commit of 0x{zxid:x}, the oldest pending proposal is 0x{header.zxid:x}"
                break
            proposals.popleft()
            if pending and request.txn is not None and _is_outcome(request, pending[0]):
                own = pending.popleft()
                own.header, own.txn = header, request.txn
                own.payload, own.digest = request.payload, request.digest
                request = own
                self.outstanding -= 1
            batch.append(request)
            while answered and pending and pending[0] in answered:
                answered.discard(pending[0])
                batch.append(pending.popleft())
        self.commit(batch)
        for request in batch:
            if request.txn is not None:
                assert request.header is not None
                self.committed_log.add(request.header.zxid, request.payload)
                if self.relay is not None:
                    self.relay(request.header.zxid, request.payload, designated)
        if mismatch is not None:
            raise CommitMismatch(mismatch)

    def digest_mismatch(self, zxid: int) -> None:
        """Count it: a Java leader's digests are wrong after some odd creates."""
        self.digest_mismatches += 1
        if self.digest_mismatches == 1:
            logger.error("the tree's digest at zxid 0x%x is not the leader's", zxid)

    def uncommitted(self) -> list[Request]:
        """What is in the log and not in the tree, in order: for the time after this role."""
        return [request for request in self._proposals if request.txn is not None]

    # -- sessions ------------------------------------------------------------------------------------------

    def resume_session(
        self, client: Client, session_id: int, password: bytes | None, timeout_ms: int
    ) -> Session | None:
        """Ask the leader whether the session is alive."""
        session = self.tracker.get(session_id)
        if session is not None and session.local:
            return super().resume_session(client, session_id, password, timeout_ms)
        if session is not None and session.owner is not None and session.owner is not client:
            owner, session.owner = session.owner, None
            _as_client(owner).disconnect("its session moved to another connection")
        if password != sessions.password(session_id):
            return None
        self._revalidating.setdefault(session_id, deque()).append((client, timeout_ms))
        self._send(revalidate(session_id, timeout_ms).encode())
        return ASKED

    def revalidated(self, session_id: int, valid: bool) -> None:
        """The leader's answer."""
        waiting = self._revalidating.get(session_id)
        if not waiting:
            return
        client, timeout_ms = waiting.popleft()
        if not waiting:
            del self._revalidating[session_id]
        if callable(client):
            if valid:
                self.heard_elsewhere(session_id, timeout_ms)
            client(valid)
            return
        session = None
        if valid:
            session = self.tracker.add(session_id, timeout_ms, self.now_ms())
            session.owner = client
            self.tracker.set_timeout(session, timeout_ms, self.now_ms())
        client.resumed(session)

    # -- for observers of this server ----------------------------------------------------------------------

    def forward_elsewhere(
        self, forwarded: ForwardedRequest, authinfo: Identities | None, answer: Callable[[], None] | None
    ) -> None:
        """Send on a request that decodes, behind those of local clients; *answer* is called after a sync."""
        if answer is not None:
            self._syncs.append(answer)
        self._send(forwarded.packet(authinfo).encode())

    def revalidate_elsewhere(self, session_id: int, timeout_ms: int, answer: Relayed) -> None:
        """Ask the leader for an observer."""
        self._revalidating.setdefault(session_id, deque()).append((answer, timeout_ms))
        self._send(revalidate(session_id, timeout_ms).encode())

    def heard_elsewhere(self, session_id: int, timeout_ms: int) -> None:
        """An observer has heard from a session."""
        tracker = self.tracker
        assert isinstance(tracker, LearnerTracker)
        tracker.heard(session_id, timeout_ms)

    # -- not here ------------------------------------------------------------------------------------------

    def collectable(self) -> list[bytes]:
        """Only the leader deletes containers."""
        return []

    def take_touched(self) -> list[tuple[int, int]]:
        """What the next answer to a PING tells the leader."""
        tracker = self.tracker
        assert isinstance(tracker, LearnerTracker)
        return tracker.take_touched()


def _is_outcome(committed: Request, own: Request) -> bool:
    """Whether a transaction is what became of a local client's request, and not of the session's expiry."""
    header = committed.header
    assert header is not None and committed.txn is not None
    if own.session_id != header.client_id or own.xid != header.cxid or own.op == opcodes.SYNC:
        return False
    return own.op == opcodes.CLOSE_SESSION or committed.txn.type != opcodes.CLOSE_SESSION


def _as_client(owner: object) -> Client:
    return owner  # type: ignore[return-value]
