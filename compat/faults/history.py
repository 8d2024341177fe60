"""What clients did and what they were told: the material of all checks."""

from __future__ import annotations

from enum import Enum

import attrs

OK, NO_NODE, BAD_VERSION, NODE_EXISTS = 0, -101, -103, -110
REGISTER_ERRORS = frozenset({NO_NODE, BAD_VERSION, NODE_EXISTS})
"""Failures that tell what the znode was; after any other one nothing has happened, and nothing is told."""

FOREVER = float("inf")
ANY_VERSION = -1


class Kind(Enum):
    """What an operation does to its key."""

    CREATE = "create"
    SET = "set"
    DELETE = "delete"
    READ = "read"
    """Behind a write of the same session, so that a quorum stands behind it."""
    SYNCED = "synced read"
    """Behind a sync. A leader that was deposed without knowing it answers a sync too."""
    PLAIN = "plain read"

    @property
    def writes(self) -> bool:
        return self in (Kind.CREATE, Kind.SET, Kind.DELETE)


@attrs.define(eq=False)
class Operation:
    """One call of one client. Times are seconds of the monotonic clock.

    ``error`` None: the answer never came, so it may have happened at any time since, or never. ``data`` is
    what was written, or what was read (None: no such znode). ``version`` is the expected one of a write, the
    seen one of a read; ``result`` the version that an acknowledged set has made.
    """

    client: int
    kind: Kind
    key: str
    invoked: float
    data: bytes | None = None
    version: int = ANY_VERSION
    session: int = 0
    xid: int = 0
    completed: float = FOREVER
    error: int | None = None
    result: int | None = None
    zxid: int = -1
    """That of the answer's header."""
    mzxid: int = -1
    """Of a read: the transaction that wrote what was read."""

    @property
    def known(self) -> bool:
        return self.error is not None

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.key}"
        if self.kind.writes:
            what += f" {self.data!r} version {self.version}"
        if not self.known:
            answer = "no answer"
        elif self.error:
            answer = f"error {self.error}"
        elif self.kind.writes:
            answer = "done" if self.result is None else f"done, version {self.result}"
        else:
            answer = f"{self.data!r} version {self.version}"
        return (
            f"[{self.invoked:.6f} .. {self.completed:.6f}] client {self.client} session {self.session:x} "
            f"xid {self.xid}: {what} -> {answer} at {self.zxid:x}"
        )


@attrs.define(eq=False)
class WatchRecord:
    """A data watch that a read has set. It stays with the session, wherever that is connected."""

    path: str
    zxid: int
    """That of the read's answer."""
    begin: int
    """How many answers the session had then."""
    fired: int | None = None
    """How many it had when the event came."""
    kind: int = 0
    """Of the event."""
    moved: bool = False
    """It was set again on another connection: the event then tells what has become of the znode since."""


@attrs.define(eq=False)
class SessionRecord:
    """One session as its client saw it."""

    id: int
    client: int
    timeout_s: float
    opened: float
    answers: list[tuple[float, float, int, str]] = attrs.field(factory=list)
    """When it was asked, when it was answered, the zxid of the answer, which member; in order of arrival."""
    expired: float | None = None
    """When a server said that it is over."""
    closed: bool = False
    """The client has asked to close it."""
    ephemeral: str | None = None
    """The path of the one that it has made."""
    watches: list[WatchRecord] = attrs.field(factory=list)
    stray: list[str] = attrs.field(factory=list)
    """Paths of events that no watch was set for."""


@attrs.define
class History:
    """Everything of one run."""

    operations: list[Operation] = attrs.field(factory=list)
    sessions: dict[int, SessionRecord] = attrs.field(factory=dict)
    repeated_sessions: list[int] = attrs.field(factory=list)
    """Ids that were given twice."""
    wall_offset_s: float = 0.0
    """What makes a wall clock's seconds of a monotonic clock's."""

    def acknowledged(self) -> int:
        return sum(op.known for op in self.operations)
