"""What the election mesh remembers of one server: the connection to it, and what is to be said."""

from __future__ import annotations

import logging
from typing import Final

import trio

from zkpy.quorum.network import Address, Stream
from zkpy.quorum.strangers import Reachability

logger: Final = logging.getLogger("zkpy.election")


class Link:
    """The connection to a peer that is in use."""

    __slots__ = ("scope", "since", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.since = trio.current_time()
        self.scope = trio.CancelScope()


class MeshPeer:
    """What is to be said to one sid, and how to reach it."""

    __slots__ = (
        "broken",
        "called_from",
        "changed",
        "dialling",
        "last",
        "link",
        "pending",
        "reachability",
        "sid",
    )

    def __init__(self, sid: int, patience_s: float) -> None:
        self.sid = sid
        self.pending: bytes | None = None
        """The queue, of capacity 1."""
        self.last: bytes | None = None
        """What was sent last, perhaps in vain."""
        self.link: Link | None = None
        self.broken = False
        """The last connection broke, and there is no new one."""
        self.dialling = False
        self.called_from: tuple[Address, ...] = ()
        """Where it said it is, while we were dialling already."""
        self.reachability = Reachability(f"server {sid}", patience_s, logger)
        self.changed = trio.Event()

    def notify(self) -> None:
        """Something to send, or a new link."""
        self.changed.set()
        self.changed = trio.Event()
