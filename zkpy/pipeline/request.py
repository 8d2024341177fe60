"""One write on its way through the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkpy.tree.acl import Identities

if TYPE_CHECKING:
    from zkpy.pipeline.zookeeperserver import Client
    from zkpy.tree.txns import Txn, TxnHeader


class Request:
    """A write: what the client sent, and what became of it.

    ``client`` gets the answer (None for what the server does itself). After preparation either ``txn`` is
    set, or ``err`` alone for a request that consumes no zxid. ``digest`` is the predicted tree digest (None
    when not known), ``started`` the arrival on the monotonic clock in seconds.
    """

    __slots__ = (
        "client",
        "digest",
        "ephemeral_err",
        "err",
        "frame",
        "header",
        "identities",
        "op",
        "origin",
        "payload",
        "session_id",
        "started",
        "txn",
        "xid",
    )

    def __init__(
        self,
        client: Client | None,
        session_id: int,
        xid: int,
        op: int,
        frame: bytes,
        identities: Identities,
        started: float,
    ) -> None:
        self.client = client
        self.session_id = session_id
        self.xid = xid
        self.op = op
        self.frame = frame
        self.identities = identities
        self.started = started
        self.err = 0
        self.ephemeral_err = 0
        """Why its session cannot have ephemerals; 0: it can."""
        self.origin: object | None = None
        """Who owns the sessions of the server that it came through; None: this server."""
        self.header: TxnHeader | None = None
        self.txn: Txn | None = None
        self.payload = b""
        self.digest: int | None = None
