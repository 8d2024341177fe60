"""A follower's or observer's server core: writes go to the leader, and come back committed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from zkpy import opcodes
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.pipeline import sessions
from zkpy.pipeline.decode import check_body
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session, SessionTracker
from zkpy.pipeline.zookeeperserver import ASKED, Client, ZooKeeperServer
from zkpy.quorum.leaderserver import ForwardedSync
from zkpy.quorum.packets import ACK, ForwardedRequest, QuorumPacket, revalidate
from zkpy.quorum.syncplan import CommittedLog
from zkpy.tree.acl import Identities
from zkpy.tree.digest import VERSION
from zkpy.tree.txns import decode_payload
from zkpy.zxid import continues, epoch_of

logger: Final = logging.getLogger("zkpy.quorum")

_FORWARDED: Final = opcodes.WRITES | {opcodes.SYNC}


class LearnerTracker(SessionTracker):
    """The sessions whose connections are here. They expire at the leader; here, signs of life are kept."""

    __slots__ = ("_touched",)

    def __init__(self, first_id: int, tick_ms: int) -> None:
        super().__init__(first_id, tick_ms)
        self._touched: dict[int, int] = {}

    def touch(self, session: Session, now_ms: int) -> None:
        """Remember to tell the leader."""
        if not session.closing:
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


class LearnerServer(ZooKeeperServer):
    """Local writes wait in the order in which they were forwarded; commits come in that order, too.

    *send* queues a packet to the leader. An observer (*acknowledges* False) logs without acknowledging.
    """

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
        self._syncs: deque[Request] = deque()
        self._proposals: deque[tuple[Request, int | None]] = deque()
        self._answered: set[Request] = set()
        self._revalidating: dict[int, deque[tuple[Client | Relayed, int]]] = {}
        self.relay: Callable[[int, bytes, int | None], None] | None = None
        """Told zxid and payload of what was carried out, with the designated leader if there is one."""
        self.last_queued = max(self.tree.last_zxid, epoch << 32)
        self._known = self.tree.last_zxid

    def new_tracker(self, first_id: int, tick_ms: int) -> SessionTracker:
        """Sessions do not expire here."""
        return LearnerTracker(first_id, tick_ms)

    def track_stored_sessions(self) -> None:
        """Only those whose clients come here."""

    # -- local clients' writes -----------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Forward a local client's write; one whose body does not decode is answered here, in its turn."""
        self.count_in(request)
        self._pending.append(request)
        op = request.op
        body = request.frame if op == opcodes.CREATE_SESSION else request.frame[8:]
        try:
            check_body(op, body)
        except MarshallingError as error:
            request.err = error.code
            self._answered.add(request)
            self._advance()
            return
        if op == opcodes.SYNC:
            self._syncs.append(request)
        authinfo = None if op == opcodes.CREATE_SESSION else request.identities
        if op == opcodes.CLOSE_SESSION:
            body = b""
        self._send(ForwardedRequest(request.session_id, request.xid, op, body).packet(authinfo).encode())

    def synced(self) -> None:
        """The leader has answered the oldest sync: what it had to wait for was committed before."""
        if self._syncs:
            self._answered.add(self._syncs.popleft())
            self._advance()

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
        self.outstanding += 1
        digest = logged.digest if logged.digest_version == VERSION else None
        self._proposals.append((request, digest))
        self.sync.submit(request)

    def durable(self, batch: list[Request]) -> None:
        """Acknowledge what is in the log for good."""
        if self._acknowledges and not self.ended:
            for request in batch:
                assert request.header is not None
                self._send(QuorumPacket(ACK, request.header.zxid).encode())

    def next_to_commit(self) -> int | None:
        """The oldest proposal's zxid."""
        if not self._proposals:
            return None
        header = self._proposals[0][0].header
        assert header is not None
        return header.zxid

    def committed_next(self, designated: int | None = None) -> None:
        """Carry out the oldest proposal; if a local client asked for it, it is answered.

        *designated* leads from here on, when the proposal changes the members.
        """
        request, digest = self._proposals.popleft()
        header = request.header
        assert header is not None
        if request.txn is None:
            self.commit([request])
            return
        pending = self._pending
        if pending:
            own = pending[0]
            if _is_outcome(request, own):
                pending.popleft()
                own.header, own.txn, own.payload = header, request.txn, request.payload
                request = own
                self.outstanding -= 1
        self.commit([request])
        self.committed_log.add(header.zxid, request.payload)
        if self.relay is not None:
            self.relay(header.zxid, request.payload, designated)
        if digest is not None and self.tree.digest_enabled and digest != self.tree.digest & (1 << 64) - 1:
            self.digest_mismatch(header.zxid)
        self._advance()

    def digest_mismatch(self, zxid: int) -> None:
        """Count it: a Java leader's digests are wrong after some odd creates."""
        self.digest_mismatches += 1
        if self.digest_mismatches == 1:
            logger.error("the tree's digest at zxid 0x%x is not the leader's", zxid)

    def uncommitted(self) -> list[Request]:
        """What is in the log and not in the tree, in order: for the time after this role."""
        return [request for request, _ in self._proposals if request.txn is not None]

    # -- sessions ------------------------------------------------------------------------------------------

    def resume_session(
        self, client: Client, session_id: int, password: bytes | None, timeout_ms: int
    ) -> Session | None:
        """Ask the leader whether the session is alive."""
        session = self.tracker.get(session_id)
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
        client = ForwardedSync(answer) if answer is not None else None
        request = Request(client, forwarded.session, forwarded.cxid, forwarded.opcode, b"", (), self.now)
        self.count_in(request)
        self._pending.append(request)
        if forwarded.opcode == opcodes.SYNC:
            self._syncs.append(request)
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

    def expire_sessions(self) -> int:
        """Only the leader does that."""
        return 0

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
