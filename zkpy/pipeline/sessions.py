"""Session ids, passwords, time-outs and expiry.

A session expires when its *bucket* falls due. Buckets lie a tick apart::

    deadline = ((now + timeout) // tick + 1) * tick

so a silent session lives longer than its time-out and at most one tick more, and touching a session is free
until it reaches the next bucket. The tracker is told the time (any clock in milliseconds that does not go
back, the same one in every call) and never asks for it.
"""

from __future__ import annotations

from typing import Final

_MASK_48: Final = (1 << 48) - 1
_MASK_64: Final = (1 << 64) - 1
_SIGN_64: Final = 1 << 63

# As an ephemeral owner this value marks container znodes, so no session may have it.
_CONTAINER_OWNER: Final = -(1 << 63)

# The password is drawn from Java's random generator, seeded with the session id and this constant.
_PASSWORD_SECRET: Final = 0xB3415C00
_LCG_MULTIPLIER: Final = 0x5DEECE66D
_LCG_INCREMENT: Final = 0xB

PASSWORD_LENGTH: Final = 16
"""Bytes of a session password, also of the zeros that answer an expired session."""

NO_BUCKET: Final = 0
"""``Session.bucket`` of a session that is not waiting to expire."""


def _signed(value: int) -> int:
    value &= _MASK_64
    return value - (1 << 64) if value & _SIGN_64 else value


def initial_id(server_id: int, wall_ms: int) -> int:
    """The first session id of a server that starts tracking at *wall_ms*, as a signed 64-bit number.

    Eight bits of server id, forty bits of the clock, sixteen zero bits (SessionTrackerImpl). Later ids count
    up from here and may carry into the clock's bits; the only property anybody relies on is uniqueness.
    """
    first = _signed((((wall_ms << 24) & _MASK_64) >> 8) | (server_id << 56))
    return first + 1 if first == _CONTAINER_OWNER else first


def password(session_id: int) -> bytes:
    """The 16 bytes a client must show to resume *session_id*.

    A checksum, not a secret: every server of an ensemble computes the same bytes, Java servers included.
    """
    state = (session_id ^ _PASSWORD_SECRET ^ _LCG_MULTIPLIER) & _MASK_48
    drawn = bytearray()
    for _ in range(PASSWORD_LENGTH // 4):
        state = (state * _LCG_MULTIPLIER + _LCG_INCREMENT) & _MASK_48
        drawn += (state >> 16).to_bytes(4, "little")
    return bytes(drawn)


def negotiate(requested_ms: int, min_ms: int, max_ms: int) -> int:
    """The time-out a client gets: *requested_ms* forced into the server's limits; any request is valid."""
    return min(max(requested_ms, min_ms), max_ms)


class Session:
    """One tracked session.

    Attributes:
        id: signed 64-bit session id.
        timeout_ms: the time-out of the createSession transaction; durable, what a new leader starts from.
        current_timeout_ms: the time-out negotiated on the present connection; governs expiry.
        bucket: deadline in ms on the tracker's clock, ``NO_BUCKET`` when not waiting to expire.
        closing: its closeSession is on the way; set by whoever submits that, and by expiry. Never unset.
        local: no other server of the ensemble knows it, there is no transaction of it.
        owner: the connection that holds the session at present, for the caller's use.
    """

    __slots__ = ("bucket", "closing", "current_timeout_ms", "id", "local", "owner", "timeout_ms")

    def __init__(self, session_id: int, timeout_ms: int) -> None:
        self.id: Final = session_id
        self.timeout_ms: Final = timeout_ms
        self.current_timeout_ms = timeout_ms
        self.bucket = NO_BUCKET
        self.closing = False
        self.local = False
        self.owner: object | None = None

    def __repr__(self) -> str:
        state = " closing" if self.closing else ""
        return f"<Session {self.id & _MASK_64:#x} timeout={self.current_timeout_ms}ms{state}>"


class SessionTracker:
    """All sessions this server is responsible for, by id and by the time they would expire.

    Args:
        first_id: what ``next_id`` hands out first, normally ``initial_id(...)``.
        tick_ms: distance of buckets, ZooKeeper's tickTime; positive.
    """

    __slots__ = ("_buckets", "_next_id", "_sessions", "_tick_ms")

    def __init__(self, first_id: int, tick_ms: int) -> None:
        assert tick_ms > 0
        self._next_id = _signed(first_id)
        self._tick_ms: Final = tick_ms
        self._sessions: Final[dict[int, Session]] = {}
        # Every bucket has members; dicts keep the order of arrival, which expiry follows.
        self._buckets: Final[dict[int, dict[int, Session]]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def next_id(self) -> int:
        """A fresh session id; never 0 (a client without session) nor the mark of containers."""
        session_id = self._next_id
        while session_id in (0, _CONTAINER_OWNER):
            session_id += 1
        self._next_id = _signed(session_id + 1)
        return session_id

    def add(self, session_id: int, timeout_ms: int, now_ms: int, *, local: bool = False) -> Session:
        """Start tracking a session (createSession, or one restored at start-up); it counts as touched now.

        A session that is tracked already stays the same object and is only touched: createSession is seen
        twice where it is accepted, once when asked for and once when applied.
        """
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id, timeout_ms)
            session.local = local
        self.touch(session, now_ms)
        return session

    def get(self, session_id: int) -> Session | None:
        """The session, also while it is closing; None once removed."""
        return self._sessions.get(session_id)

    def locals(self) -> list[Session]:
        """The local sessions, in the order in which they came."""
        return [session for session in self._sessions.values() if session.local]

    def make_global(self, session: Session) -> None:
        """Its createSession is on the way: from now on the session is the ensemble's."""
        session.local = False

    def touch(self, session: Session, now_ms: int) -> None:
        """Note a sign of life. No effect on a closing session: nothing brings that back."""
        tick_ms = self._tick_ms
        timeout_ms = max(0, session.current_timeout_ms)  # another server may have logged any number
        deadline = ((now_ms + timeout_ms) // tick_ms + 1) * tick_ms
        if deadline != session.bucket and not session.closing:
            self._move(session, deadline)

    def set_timeout(self, session: Session, timeout_ms: int, now_ms: int) -> None:
        """Apply the time-out negotiated on a new connection, in ms; counts as a touch."""
        session.current_timeout_ms = timeout_ms
        self.touch(session, now_ms)

    def remove(self, session_id: int) -> Session | None:
        """Forget a session whose closeSession is applied; None if it was not tracked."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._leave(session)
            # A connection may still hold the object; a late touch must not put it back.
            session.closing = True
        return session

    def expire(self, now_ms: int) -> list[Session]:
        """The sessions whose time is over at *now_ms*, now marked closing; each is returned once.

        By deadline, then in the order they reached their bucket. The caller submits closeSession for each;
        they stay known until ``remove``. Sessions that were closing already are not returned: their
        closeSession is on the way.
        """
        expired: list[Session] = []
        for deadline in sorted(deadline for deadline in self._buckets if deadline <= now_ms):
            for session in self._buckets.pop(deadline).values():
                session.bucket = NO_BUCKET
                if not session.closing:
                    session.closing = True
                    expired.append(session)
        return expired

    def next_deadline_ms(self) -> int | None:
        """When ``expire`` has something to do next; costs by the number of buckets, so ask once per tick."""
        return min(self._buckets, default=None)

    def buckets(self) -> list[tuple[int, list[int]]]:
        """Deadlines in ms with the ids of their sessions, both ascending: what ``dump`` shows."""
        return [(deadline, sorted(self._buckets[deadline])) for deadline in sorted(self._buckets)]

    def check_invariants(self) -> None:
        """Raise AssertionError if the two views of the sessions disagree."""
        for deadline, members in self._buckets.items():
            assert members and deadline > NO_BUCKET and deadline % self._tick_ms == 0
            for session_id, session in members.items():
                assert session.id == session_id and session.bucket == deadline
                assert self._sessions[session_id] is session
        waiting = sum(map(len, self._buckets.values()))
        assert waiting == sum(session.bucket != NO_BUCKET for session in self._sessions.values())
        for session in self._sessions.values():
            assert session.closing or session.bucket != NO_BUCKET

    def _move(self, session: Session, deadline: int) -> None:
        assert self._sessions.get(session.id) is session
        assert deadline > NO_BUCKET
        self._leave(session)
        session.bucket = deadline
        members = self._buckets.get(deadline)
        if members is None:
            members = self._buckets[deadline] = {}
        members[session.id] = session

    def _leave(self, session: Session) -> None:
        bucket = session.bucket
        if bucket != NO_BUCKET:
            members = self._buckets[bucket]
            del members[session.id]
            if not members:
                del self._buckets[bucket]
            session.bucket = NO_BUCKET
