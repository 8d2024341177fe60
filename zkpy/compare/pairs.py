"""What stands for what on the other server: sessions, zxids, clocks. Nothing here does I/O.

Both servers number transactions and sessions on their own. What belongs together is learned from answers that
belong together; from then on it must stay together.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from zkpy import opcodes
from zkpy.compare.leaving import CREATES, Step, Sweeps, is_missing, parent

ZXIDS_KEPT: Final = 100_000
SESSIONS_KEPT: Final = 100_000
TIMES_APART_MS: Final = 5_000
"""How far apart the same moment may be on two clocks before the clocks are said to differ."""
EARLY_S: Final = 0.25
LATE_S: Final = 2.0
CONTAINER: Final = 4
"""The flags of a container."""


class Zxids:
    """Pairs of zxids (zkpy's, the real server's), both ascending; the oldest are forgotten.

    What lies at or before the first pair on both sides is the time before the comparison, and equal.
    """

    __slots__ = ("_alone", "_limit", "_loose", "_loose_from", "_real", "_sweeps", "_zkpy", "drift_allowed")

    def __init__(self, limit: int = ZXIDS_KEPT, sweeps: Sweeps | None = None) -> None:
        self._limit: Final = limit
        self._sweeps: Final = sweeps or Sweeps()
        self._zkpy = [0]
        self._real = [0]
        self._loose_from: tuple[int, int] | None = None
        self._loose: list[tuple[int, int, int, int]] = []
        self._alone: deque[int] = deque(maxlen=1000)
        self.drift_allowed = False
        """The next new pair may lie at another distance than the one before it."""

    def begin(self, zkpy: int, real: int) -> None:
        """Forget everything; from these two on zxids are compared."""
        self._zkpy, self._real = [zkpy], [real]

    def agree(self, zkpy: int, real: int) -> bool:
        """Whether the two stand for the same transaction; learns them if they are new and fit."""
        if zkpy <= 0 or real <= 0:
            return zkpy == real
        ours, theirs = self._zkpy, self._real
        if zkpy <= ours[0] and real <= theirs[0]:
            return True
        at = bisect_left(ours, zkpy)
        if at < len(ours) and ours[at] == zkpy:
            return theirs[at] == real or self._is_loose(zkpy, real)
        newest = at == len(ours)
        apart = self._apart(zkpy, real) if newest else 0
        swept = apart != 0 and not self.drift_allowed and self._loose_from is None
        swept = swept and self._sweeps.allow(apart)
        drift = newest and (self.drift_allowed or swept)
        least = theirs[at - 1] + (0 if drift else 1) if at else 0
        if not at or real < least or (not newest and real >= theirs[at]):
            return self._is_loose(zkpy, real)
        ours.insert(at, zkpy)
        theirs.insert(at, real)
        if len(ours) > self._limit:
            drop = max(1, self._limit // 10)
            del ours[:drop], theirs[:drop]
        if swept:
            self._sweeps.use(apart)
        if newest:
            self._sweeps.settle()
        if swept:
            return True
        if apart and (self.drift_allowed or self._loose_from is not None):
            self.drift_allowed = False
            return True
        return apart == 0

    def may_be_swept(self, zkpy: int, real: int) -> bool:
        """Whether removals since the newest pair, by one of the servers, can explain the distance."""
        apart = self._apart(zkpy, real)
        return apart != 0 and self._sweeps.allow(apart)

    def _apart(self, zkpy: int, real: int) -> int:
        """How many more transactions than zkpy the real server has made since the newest pair."""
        return (real - self._real[-1]) - (zkpy - self._zkpy[-1])

    def to_real(self, zkpy: int) -> int:
        """The real server's zxid at which it had seen as much as zkpy at *zkpy*."""
        if zkpy <= 0:
            return zkpy
        at = bisect_right(self._zkpy, zkpy) - 1
        if at < 0:
            return min(zkpy, self._real[0])
        real = self._real[at] + zkpy - self._zkpy[at]
        return min(real, self._real[at + 1] - 1) if at + 1 < len(self._real) else real

    def alone(self, zkpy: int) -> None:
        """This transaction happened on zkpy only, if it was one: from here on the distance is another."""
        self._alone.append(zkpy)
        self.drift_allowed = True

    def was_alone(self, zkpy: int) -> bool:
        """Whether this transaction happened on zkpy only."""
        return zkpy in self._alone

    def loosen(self) -> None:
        """From the newest pair on, order is not compared."""
        if self._loose_from is None:
            self._loose_from = self._zkpy[-1], self._real[-1]

    def tighten(self) -> None:
        """The end of what `loosen` began."""
        if self._loose_from is not None:
            self._loose.append((*self._loose_from, self._zkpy[-1], self._real[-1]))
            del self._loose[:-100]
            self._loose_from = None

    def _is_loose(self, zkpy: int, real: int) -> bool:
        begun = self._loose_from
        if begun is not None and zkpy >= begun[0] and real >= begun[1]:
            return True
        return any(z0 <= zkpy <= z1 and r0 <= real <= r1 for z0, r0, z1, r1 in self._loose)


@attrs.define(eq=False)
class Session:
    """One client session on both servers; ids and passwords as the servers gave them."""

    zkpy_id: int
    zkpy_password: bytes
    real_id: int
    real_password: bytes
    timeout_s: float
    touched_s: float
    closed: bool = False
    ephemerals: set[bytes] = attrs.Factory(set)


class Sessions:
    """The sessions that were opened here, and which of them may be expiring just now.

    Each server lets a silent session expire at its own ticks. From a little before a session's time-out to
    the latest moment at which a server may be done with it, its ephemerals may be there on one and gone on
    the other.
    """

    __slots__ = ("_by_real", "_by_zkpy", "_due", "_expiring", "_limit", "_owners")

    def __init__(self, limit: int = SESSIONS_KEPT) -> None:
        self._limit: Final = limit
        self._by_zkpy: dict[int, Session] = {}
        self._by_real: dict[int, Session] = {}
        self._due: list[tuple[float, int]] = []
        self._expiring: dict[int, tuple[Session, float]] = {}
        self._owners: dict[bytes, Session] = {}

    def learn(self, session: Session) -> None:
        """A new session, or one that was taken up again."""
        self._by_zkpy[session.zkpy_id] = session
        self._by_real[session.real_id] = session
        if len(self._by_zkpy) > self._limit:
            old = self._by_zkpy.pop(next(iter(self._by_zkpy)))
            self._by_real.pop(old.real_id, None)
            self._disown(old)
        heapq.heappush(self._due, (session.touched_s + session.timeout_s, session.zkpy_id))

    def find(self, zkpy_id: int) -> Session | None:
        """The session with this id on zkpy."""
        return self._by_zkpy.get(zkpy_id)

    def agree(self, zkpy_id: int, real_id: int) -> bool:
        """Whether the two ids are those of one session, or of sessions from before the comparison."""
        known = self._by_zkpy.get(zkpy_id)
        if known is not None:
            return known.real_id == real_id
        return real_id not in self._by_real and (zkpy_id == 0) == (real_id == 0)

    def is_real(self, real_id: int) -> bool:
        """Whether the real server has given this id to one of the sessions."""
        return real_id in self._by_real

    def touch(self, session: Session, now_s: float) -> None:
        """The session sent something."""
        session.touched_s = now_s
        if self._expiring.pop(session.zkpy_id, None) is not None:
            heapq.heappush(self._due, (now_s + session.timeout_s, session.zkpy_id))

    def only_one_knows(self, session: Session, now_s: float) -> None:
        """One server has taken the session up again, for the other one it has expired."""
        until_s = now_s + session.timeout_s * 3 / 2 + LATE_S
        session.touched_s = now_s
        self._expiring[session.zkpy_id] = session, until_s

    def close(self, session: Session) -> None:
        """Both servers have closed the session."""
        session.closed = True
        self._disown(session)

    def own(self, session: Session, path: bytes) -> None:
        """The session has made this ephemeral."""
        session.ephemerals.add(path)
        self._owners[path] = session

    def disown(self, path: bytes) -> None:
        """This znode was deleted."""
        owner = self._owners.pop(path, None)
        if owner is not None:
            owner.ephemerals.discard(path)

    def _disown(self, session: Session) -> None:
        for path in session.ephemerals:
            if self._owners.get(path) is session:
                del self._owners[path]
        session.ephemerals.clear()

    def is_expiring(self, zkpy_id: int) -> bool:
        """Whether it is this session whose time may be up; as of the last look."""
        return zkpy_id in self._expiring

    def leaving(self) -> set[bytes]:
        """The ephemerals that may be gone on one server and there on the other; as of the last look."""
        return {path for session, _ in self._expiring.values() for path in session.ephemerals}

    def expiring(self, now_s: float) -> bool:
        """Whether a session's time may be up on one server and not yet on the other."""
        while self._due and self._due[0][0] - EARLY_S <= now_s:
            _, number = heapq.heappop(self._due)
            session = self._by_zkpy.get(number)
            if session is None or session.closed:
                continue
            end = session.touched_s + session.timeout_s
            if end - EARLY_S <= now_s:
                self._expiring[number] = session, end + session.timeout_s / 2 + LATE_S
            else:
                heapq.heappush(self._due, (end, number))
        for number, (session, until) in list(self._expiring.items()):
            if session.closed or now_s > until:
                del self._expiring[number]
                self._disown(session)
        return bool(self._expiring)


class Clocks:
    """Times of both servers, in ms of wall time: the same moment, give or take."""

    __slots__ = ("skew_ms",)

    def __init__(self) -> None:
        self.skew_ms: int | None = None
        """How far the real server's clock is ahead; None until a time was seen on both."""

    def agree(self, zkpy_ms: int, real_ms: int) -> bool:
        """Whether both mean the same moment; 0 is no moment at all."""
        if not zkpy_ms or not real_ms:
            return zkpy_ms == real_ms
        if self.skew_ms is None:
            apart = real_ms - zkpy_ms
            self.skew_ms = 0 if abs(apart) <= TIMES_APART_MS else apart
        return abs(real_ms - zkpy_ms - self.skew_ms) <= TIMES_APART_MS


@attrs.define(eq=False)
class Pairs:
    """All that is known of both servers; shared by all connections."""

    sweeps: Sweeps = attrs.Factory(Sweeps)
    zxids: Zxids = attrs.Factory(lambda self: Zxids(sweeps=self.sweeps), takes_self=True)
    sessions: Sessions = attrs.Factory(Sessions)
    clocks: Clocks = attrs.Factory(Clocks)

    def learn(
        self, session: Session | None, done: Iterable[Step], zkpy: Mapping[str, Any], real: Mapping[str, Any]
    ) -> None:
        """What a request of this session has made and deleted, by the answers of both servers."""
        answers = zkpy, real
        for step in done:
            made = [step.made(answer) for answer in answers]
            if step.opcode in CREATES:
                for path in {one for one in made if one is not None}:
                    self._learn_znode(session, step, path)
            elif step.opcode == opcodes.DELETE and None not in made:
                self.sweeps.drop(step.path)
                self.sessions.disown(step.path)
            elif not step.prefix and all(is_missing(answer) for answer in answers):
                self.sweeps.both_removed(step.path)

    def _learn_znode(self, session: Session | None, step: Step, path: bytes) -> None:
        self.sweeps.drop(path)
        self.sweeps.may_go(parent(path))
        if step.is_swept:
            self.sweeps.add(path, None if step.flags == CONTAINER else step.ttl_s)
        elif step.is_ephemeral and session is not None:
            self.sessions.own(session, path)

    def expiring(self, now_s: float) -> bool:
        """Whether a session may be expiring just now; zxids are compared accordingly."""
        self.sweeps.now_s = now_s
        if self.sessions.expiring(now_s):
            self.zxids.loosen()
            return True
        self.zxids.tighten()
        return False
