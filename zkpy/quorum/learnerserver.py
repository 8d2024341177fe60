"""A follower's or observer's server core: writes go to the leader, and come back committed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from zkpy import opcodes
from zkpy.errors import Code, CommitMismatch, MarshallingError, ProtocolError
from zkpy.pipeline import sessions
from zkpy.pipeline.decode import check_body
from zkpy.pipeline.readgate import ReadGate
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session, SessionTracker
from zkpy.pipeline.zookeeperserver import ASKED, Client
from zkpy.quorum.packets import (
    ACK,
    READS_CXID,
    READS_ZXID,
    SYNC_CXID,
    ForwardedRequest,
    encode_bare,
    is_for_reads,
    revalidate,
)
from zkpy.quorum.quorumserver import QuorumServer
from zkpy.quorum.syncplan import CommittedLog
from zkpy.tree.acl import Identities
from zkpy.tree.digest import VERSION
from zkpy.tree.txns import Error, Multi, SetData, decode_payload
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


class Arrival:
    """A session that has come from another server: it goes on when that one's writes for it are known here.

    A client may number its requests anew with each connection, and a transaction names only session and
    number. So nothing of the session's that was accepted elsewhere may be under way when it begins here.
    """

    __slots__ = ("_client", "_session", "session_id")

    def __init__(self, client: Client, session: Session) -> None:
        self._client = client
        self._session = session
        self.session_id = session.id

    def up_to_date(self) -> None:
        """Admit the client, unless the session has moved on meanwhile."""
        here = self._session.owner is self._client
        if not self._client.resumed(self._session if here else None) and here:
            self._session.owner = None


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
        reads_apart: bool = False,
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
        self.reads_apart: Final = reads_apart
        self._read_syncs: deque[Callable[[], None]] = deque() if reads_apart else self._syncs
        self._arrivals: Final = ReadGate(self._await_arrivals)
        self._proposals: deque[Request] = deque()
        self._answered: set[Request] = set()
        self._doubted: set[Request] = set()
        """Refused because their sessions moved, perhaps."""
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

    def synced(self, zxid: int) -> None:
        """The leader has answered the oldest sync: what it had to wait for was committed before."""
        waiting = self._read_syncs if zxid == READS_ZXID else self._syncs
        if waiting:
            waiting.popleft()()

    def _synced(self, request: Request) -> None:
        self._answered.add(request)
        self._advance()

    def _ask_leader(self, number: int, session_id: int) -> None:
        """A sync of the server's own: the leader's answer comes behind all that it has committed."""
        assert self.gate is not None
        self._read_syncs.append(partial(self.gate.confirmed, number))
        self._send(ForwardedRequest(session_id, READS_CXID, opcodes.SYNC, _ROOT).packet(None).encode())

    def _sync_now(self, session_id: int, done: Callable[[], None]) -> None:
        """Call *done* behind the commits of all that the leader has proposed when it reads this."""
        self._syncs.append(done)
        self._send(ForwardedRequest(session_id, SYNC_CXID, opcodes.SYNC, _ROOT).packet(None).encode())

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
            own = self._claim(request, batch) if pending and request.txn is not None else None
            if own is not None:
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

    def _claim(self, committed: Request, batch: list[Request]) -> Request | None:
        """The local client's request whose outcome this is: the oldest, if any; no longer pending.

        That the session has moved may also be said to a late request from the server that it came from, with
        the same number. So that is only the outcome if none has come when the leader answers a sync, or to a
        later request: those that are refused by that are added to *batch*.
        """
        pending, doubted, answered = self._pending, self._doubted, self._answered
        if _says_moved(committed):
            for own in pending:
                if own not in doubted and own not in answered and _is_outcome(committed, own):
                    doubted.add(own)
                    self._sync_now(own.session_id, partial(self._not_outdone, own))
                    break
            return None
        for own in pending:
            if own not in answered and _is_outcome(committed, own):
                break
            if own not in doubted and own not in answered:
                return None
        else:
            return None
        while (older := pending.popleft()) is not own:
            if older in doubted:
                doubted.discard(older)
                older.err = Code.SESSION_MOVED
            answered.discard(older)
            batch.append(older)
        doubted.discard(own)
        return own

    def _not_outdone(self, own: Request) -> None:
        """A sync was answered behind all that can be the outcome of *own*."""
        if own in self._doubted:
            self._doubted.discard(own)
            own.err = Code.SESSION_MOVED
            self._answered.add(own)
            self._advance()

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
        self._leave_connection(session_id)
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
        if not valid:
            client.resumed(None)
            return
        if waiting:
            client.disconnect("its session moved to another connection")
            return
        known = self.tracker.get(session_id)
        if known is not None and known.closing:  # it was refused here as moved, and has come back
            self.tracker.remove(session_id)
        session = self.tracker.add(session_id, timeout_ms, self.now_ms())
        session.owner = client
        self.tracker.set_timeout(session, timeout_ms, self.now_ms())
        self._arrivals.enter(Arrival(client, session))
        self._arrivals.start()

    def _await_arrivals(self, number: int, session_id: int) -> None:
        self._sync_now(session_id, partial(self._arrivals.confirmed, number))

    def _leave_connection(self, session_id: int) -> None:
        """The session comes back on another connection, here or at an observer of this server."""
        session = self.tracker.get(session_id)
        if session is not None and session.owner is not None and not session.local:
            owner, session.owner = session.owner, None
            _as_client(owner).disconnect("its session moved to another connection")

    # -- for observers of this server ----------------------------------------------------------------------

    def forward_elsewhere(
        self, forwarded: ForwardedRequest, authinfo: Identities | None, answer: Callable[[], None] | None
    ) -> None:
        """Send on a request that decodes, behind those of local clients; *answer* is called after a sync."""
        if answer is not None:
            (self._read_syncs if is_for_reads(forwarded, authinfo) else self._syncs).append(answer)
        self._send(forwarded.packet(authinfo).encode())

    def revalidate_elsewhere(self, session_id: int, timeout_ms: int, answer: Relayed) -> None:
        """Ask the leader for an observer."""
        self._leave_connection(session_id)
        self._revalidating.setdefault(session_id, deque()).append((answer, timeout_ms))
        self._send(revalidate(session_id, timeout_ms).encode())

    def is_here(self, session_id: int) -> bool:
        """Whether the session's client is, or is about to be, connected to this server."""
        session = self.tracker.get(session_id)
        if session is not None and session.owner is not None:
            return True
        return any(not callable(asker) for asker, _ in self._revalidating.get(session_id, ()))

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
    """Whether a transaction can be what became of a local client's request.

    Not its session's expiry, and nothing of another kind, which the client has asked for elsewhere since.
    """
    header = committed.header
    assert header is not None and committed.txn is not None
    if own.session_id != header.client_id or own.xid != header.cxid or own.op == opcodes.SYNC:
        return False
    return committed.txn.type in (own.op, opcodes.ERROR)


def _says_moved(committed: Request) -> bool:
    txn = committed.txn
    parts = txn.ops if isinstance(txn, Multi) else (txn,)  # Java refuses a multi by its operations
    return any(isinstance(part, Error) and part.err == Code.SESSION_MOVED for part in parts)


def _as_client(owner: object) -> Client:
    return owner  # type: ignore[return-value]
