"""What the server cores of all roles share: local sessions.

A local session is known to the server that it was opened at and to nobody else: it opens and ends without a
transaction, expires there, and cannot move. It has no ephemerals. The first one that it asks for makes it
global (``localSessionsUpgradingEnabled``), by a createSession for the same id ahead of the request; else the
request is refused.
"""

from __future__ import annotations

from typing import Any, Final

from zkpy import opcodes
from zkpy.errors import Code
from zkpy.jute.archive import pack_int
from zkpy.pipeline.decode import creates_ephemeral
from zkpy.pipeline.readgate import ReadGate
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session
from zkpy.pipeline.zookeeperserver import Client, ZooKeeperServer


class QuorumServer(ZooKeeperServer):
    """A member's server core, whatever its role."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ensemble = self.config.ensemble
        self.local_sessions = ensemble.local_sessions_enabled
        self._upgrading: Final = ensemble.local_sessions_upgrading_enabled

    def hold_reads(self, gate: ReadGate) -> None:
        """From now on *gate* says when a read may be answered; a sync is one more of them."""
        self.gate = gate
        self.queued -= {opcodes.SYNC}

    def create_session(self, client: Client, timeout_ms: int) -> tuple[Session, Request | None]:
        """A local session is ready at once, without a request."""
        if not self.local_sessions:
            return super().create_session(client, timeout_ms)
        session = self.tracker.add(self.tracker.next_id(), timeout_ms, self.now_ms(), local=True)
        session.owner = client
        return session, None

    def ends_here(self, request: Request) -> bool:
        """Screen a local client's write: whether it ends a local session, and with that is done.

        A local session that asks for an ephemeral is made global first, or the request marked as refused.
        """
        session = self.tracker.get(request.session_id)
        if session is None or not session.local or request.origin is not None:
            return False
        if request.op == opcodes.CLOSE_SESSION:
            self.answer_here(request)
            return True
        if creates_ephemeral(request.op, request.frame):
            if self._upgrading:
                self.tracker.make_global(session)
                timeout = pack_int(session.timeout_ms)
                self.submit(Request(None, session.id, 0, opcodes.CREATE_SESSION, timeout, (), self.now))
            else:
                request.ephemeral_err = Code.EPHEMERAL_ON_LOCAL_SESSION
        return False

    def answer_here(self, request: Request) -> None:
        """Let a request that needs no transaction complete when its turn has come."""
        raise NotImplementedError
