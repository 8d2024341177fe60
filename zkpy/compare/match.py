"""Pairs the frames that the two servers send on one connection, and compares them. No I/O.

Each reply belongs to a request, so replies pair up by themselves. Events come unasked: an event must stand
at the same place between the replies of both servers. One that does not is put aside until the other server
sends it too, or until it is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import attrs

from zkpy import opcodes
from zkpy.compare.fields import (
    OPERATIONS,
    Field,
    Kind,
    event_fields,
    operation,
    record_fields,
    reply_fields,
    request_fields,
)
from zkpy.compare.leaving import CREATES, NODE_DELETED, all_explained, event_concerns, is_missing, steps
from zkpy.compare.pairs import Pairs, Session
from zkpy.compare.report import Finding, Report
from zkpy.compare.screen import BEHIND_CLOSE, CONNECT, Request
from zkpy.errors import MarshallingError
from zkpy.jute.records import ConnectRequest, ConnectResponse

ZKPY: Final = 0
REAL: Final = 1
Side = Literal[0, 1]
NAMES: Final = ("zkpy", "the real server")

EXPIRING: Final = "a session is expiring just now: each server does that at its own ticks"
SWEEPING: Final = "containers and TTL znodes are removed by each server when it comes to it"
FOREIGN: Final = "the session was not opened here: only one of the servers can know it"
NOT_SENT: Final = "the event of a request that was not sent to the real server"
EVENT: Final = "event"

_LEARNED_FROM: Final = (*CREATES, opcodes.DELETE, opcodes.MULTI)


@attrs.define(eq=False)
class Arrived:
    """A frame; without a request it is an event, or something that nobody asked for."""

    frame: bytes
    request: Request | None
    event: list[Field] | None
    at_s: float
    expiring: bool = False
    """An event that came while a session was expiring, and can come from that."""


class Matcher:
    """The frames of one connection.

    Attributes:
        answers: how many requests each server has answered.
        session: the connection's session, once both servers have accepted it.
    """

    def __init__(
        self,
        pairs: Pairs,
        report: Report,
        client: str,
        now_s: Callable[[], float],
        addresses: tuple[str, str] = ("", ""),
    ) -> None:
        self._pairs: Final = pairs
        self._report: Final = report
        self._client: Final = client
        self._now: Final = now_s
        self.addresses = addresses
        """By which address each server knows this connection."""
        self._pending: Final[tuple[deque[Request], deque[Request]]] = (deque(), deque())
        self._waiting: Final[tuple[deque[Arrived], deque[Arrived]]] = (deque(), deque())
        self._strays: Final[tuple[list[Arrived], list[Arrived]]] = ([], [])
        self.answers: Final = [0, 0]
        self.session: Session | None = None
        self.session_id = 0
        self._asked_id = 0
        """The session that the client came with."""

    # -- what happens ----------------------------------------------------------------------------------

    def sent(self, request: Request, side: Side) -> None:
        """A request was sent to this server."""
        self._pending[side].append(request)

    def arrived(self, side: Side, frame: bytes) -> None:
        """A whole frame came from this server."""
        pending = self._pending[side]
        event = event_fields(frame) if not pending or pending[0].opcode != CONNECT else None
        request = None
        if event is None and pending:
            request = pending.popleft()
            self.answers[side] += 1
            if request.withheld is not None:
                self._explain(request, frame)
                return
        one = Arrived(frame, request, event, self._now())
        self._waiting[side].append(one)
        if event is not None:
            one.expiring = self._comes_from_expiry(event)
            if event[3].value == NODE_DELETED:
                self._pairs.sweeps.may_go(event[5].value)
        self._match()

    def forget_real(self) -> None:
        """The real server takes no part any more."""
        for frames in (*self._waiting, *self._strays):
            frames.clear()

    def oldest_event_s(self) -> float | None:
        """When the oldest event came that only one server has sent; None without one."""
        times = [one.at_s for frames in self._waiting for one in frames if one.request is None]
        times += [one.at_s for strays in self._strays for one in strays]
        return min(times, default=None)

    def give_up(self, until_s: float) -> None:
        """Report the events that one server sent up to this time and the other one did not."""
        for side in (ZKPY, REAL):
            frames = self._waiting[side]
            while frames and frames[0].request is None and frames[0].at_s <= until_s:
                self._report_alone(frames.popleft(), side)
            for stray in [one for one in self._strays[side] if one.at_s <= until_s]:
                self._strays[side].remove(stray)
                self._report_alone(stray, side)
        self._match()

    def note_unanswered(self, side: Side, how: str) -> None:
        """Report that a server did not answer what was asked last."""
        request = self._pending[side][0] if self._pending[side] else None
        self.note_end(f"{NAMES[side]} {how}", request)

    def note_end(self, what: str, request: Request | None = None, explained: str | None = None) -> None:
        """Report something about the connection as a whole."""
        name = "connection" if request is None else _name(request)
        if explained is None and self._is_expiring():
            explained = EXPIRING
        self._report.add(
            Finding(
                what,
                name,
                self.session_id,
                self._client,
                _arguments(request) if request is not None else (),
                explained=explained,
            )
        )

    # -- pairing ---------------------------------------------------------------------------------------

    def _match(self) -> None:
        ours, theirs = self._waiting
        while True:
            if any(self._claim_stray(side) for side in (ZKPY, REAL)):
                continue
            if not ours or not theirs:
                return
            mine, other = ours[0], theirs[0]
            if mine.event is not None and other.event is not None:
                if mine.frame[16:] == other.frame[16:]:
                    ours.popleft()
                    theirs.popleft()
                    self._compare(mine, other, mine.event, other.event)
                else:
                    own = [self._own_time(one) is not None for one in (mine, other)]
                    for side in (ZKPY, REAL):
                        if own[side] or not any(own):  # one that comes at its own time moves no other
                            self._strays[side].append(self._waiting[side].popleft())
            elif mine.event is not None:
                self._strays[ZKPY].append(ours.popleft())
            elif other.event is not None:
                self._strays[REAL].append(theirs.popleft())
            else:
                ours.popleft()
                theirs.popleft()
                self._compare_replies(mine, other)

    def _claim_stray(self, side: Side) -> bool:
        """Pair the first frame of *side* with an event that the other server had sent at another place."""
        frames = self._waiting[side]
        if not frames or frames[0].event is None:
            return False
        strays = self._strays[1 - side]
        for stray in strays:
            if stray.frame[16:] == frames[0].frame[16:]:
                mine = frames.popleft()
                strays.remove(stray)
                ours, theirs = (mine, stray) if side == ZKPY else (stray, mine)
                self._compare(ours, theirs, ours.event or [], theirs.event or [], out_of_order=True)
                return True
        return False

    def _compare_replies(self, mine: Arrived, other: Arrived) -> None:
        request = mine.request or other.request
        if request is not None and request.opcode == CONNECT:
            self._compare_connects(request, mine.frame, other.frame)
            return
        opcode = request.opcode if request is not None else 0
        ours, theirs = (reply_fields(opcode, one.frame) for one in (mine, other))
        self._compare(mine, other, ours, theirs)
        if request is None:
            return
        if opcode == opcodes.CLOSE_SESSION and self.session is not None:
            self._pairs.sessions.close(self.session)
        zkpy, real = ({field.name: field.value for field in fields} for fields in (ours, theirs))
        if opcode in _LEARNED_FROM or (is_missing(zkpy) and is_missing(real)):
            self._pairs.learn(self.session, steps(opcode, request.frame), zkpy, real)

    def _compare(
        self,
        mine: Arrived,
        other: Arrived,
        ours: list[Field],
        theirs: list[Field],
        *,
        out_of_order: bool = False,
    ) -> None:
        request = mine.request or other.request
        self._pairs.expiring(self._now())
        differing = self._differing(ours, theirs)
        name = EVENT if mine.event is not None else _name(request) if request is not None else "nothing"
        if mine.event is not None and mine.event[3].value == NODE_DELETED:
            self._pairs.sweeps.both_removed(mine.event[5].value)
        known = request is None or request.opcode in OPERATIONS
        self._report.count(name if known else "unknown operation")
        if not differing and not out_of_order:
            return
        if request is not None and request.behind_close:
            explained: str | None = BEHIND_CLOSE
        else:
            explained = self._own_time(mine) or self._own_time(other)
            if explained is None and not out_of_order:
                explained = self._explanation(request, ours, theirs, differing)
        what = "the servers answer differently"
        if mine.event is not None:
            what = "the servers send different events"
            if not differing:
                what = "the servers send an event at different places between their replies"
        arguments = _arguments(request) if request is not None else ()
        self._report.add(
            Finding(
                what,
                name,
                self.session_id,
                self._client,
                arguments,
                ours,
                theirs,
                differing,
                mine.frame,
                other.frame,
                explained,
            )
        )

    def _explanation(
        self, request: Request | None, ours: list[Field], theirs: list[Field], differing: list[int]
    ) -> str | None:
        """Why these may differ, by what servers remove at their own time."""
        opcode = request.opcode if request is not None else 0
        done = steps(opcode, request.frame) if request is not None else []
        mine, other = ({field.name: field for field in fields} for fields in (ours, theirs))
        if list(mine) == list(other):
            fields = [ours[number] for number in differing]
        else:  # one answer has fields that the other one has not: what is behind them stands elsewhere
            fields = [
                field
                for name, field in {**mine, **other}.items()
                if name not in mine or name not in other or not self._agree(mine[name], other[name])
            ]
        pairs = self._pairs
        if pairs.expiring(self._now()):
            leaving = pairs.sessions.leaving()
            if all_explained(leaving, done, fields, opcode == opcodes.MULTI):
                return EXPIRING
        for field in fields:
            if field.name == "zxid" and field.name in mine and field.name in other:
                swept = pairs.zxids.may_be_swept(field.value, other[field.name].value)
            else:
                swept = field.name.rpartition(".")[2] == "pzxid" and any(
                    pairs.sweeps.has_child(step.path)
                    for step in done
                    if not step.prefix or field.name.startswith(step.prefix)
                )
            if not swept:
                return None
        return SWEEPING

    def _own_time(self, one: Arrived) -> str | None:
        """Why this event comes at another time from each server; None if there is no reason."""
        if one.event is None:
            return None
        if one.expiring or self._comes_from_expiry(one.event):
            return EXPIRING
        type, path = one.event[3].value, one.event[5].value
        return SWEEPING if self._pairs.sweeps.concerns(type, path or b"") else None

    def _comes_from_expiry(self, event: list[Field]) -> bool:
        if not self._pairs.expiring(self._now()):
            return False
        leaving = self._pairs.sessions.leaving()
        return self._is_expiring() or event_concerns(leaving, event[3].value, event[5].value or b"")

    def _is_expiring(self) -> bool:
        """Whether it is this connection's session that may be expiring just now."""
        sessions = self._pairs.sessions
        sessions.expiring(self._now())
        return any(id and sessions.is_expiring(id) for id in (self.session_id, self._asked_id))

    def _differing(self, ours: list[Field], theirs: list[Field]) -> list[int]:
        """Indexes of the fields that do not agree; learns what new zxids stand for."""
        differing = [
            number
            for number, (mine, other) in enumerate(zip(ours, theirs, strict=False))
            if not self._agree(mine, other)
        ]
        least, most = sorted((len(ours), len(theirs)))
        return [*differing, *range(least, most)]

    def _agree(self, mine: Field, other: Field) -> bool:
        if mine.name != other.name:
            return False
        match mine.kind:
            case Kind.EXACT:
                return mine.raw == other.raw
            case Kind.ZXID:
                return self._pairs.zxids.agree(mine.value, other.value)
            case Kind.TIME:
                return self._times_agree(mine.value, other.value)
            case Kind.SESSION:
                return self._pairs.sessions.agree(mine.value, other.value)
            case Kind.PASSWORD:
                return _is_nothing(mine.value) == _is_nothing(other.value)
            case Kind.IDENTITIES:
                ours, theirs = (
                    sorted("ip:(client)" if one == f"ip:{address}" else one for one in field.value or ())
                    for field, address in zip((mine, other), self.addresses, strict=True)
                )
                return ours == theirs

    def _times_agree(self, mine: int, other: int) -> bool:
        clocks = self._pairs.clocks
        new = clocks.skew_ms is None
        same = clocks.agree(mine, other)
        if new and clocks.skew_ms:
            seconds, how = abs(clocks.skew_ms) / 1000, "ahead of" if clocks.skew_ms > 0 else "behind"
            self._report.note(
                f"the real server's clock is {seconds:.0f} s {how} zkpy's, by the first time of both; "
                "times are compared with that allowed for"
            )
        return same

    # -- sessions --------------------------------------------------------------------------------------

    def _compare_connects(self, request: Request, mine: bytes, other: bytes) -> None:
        name = _name(request)
        self._report.count(name)
        ours, theirs = (record_fields("ConnectResponse", frame) for frame in (mine, other))
        foreign = expiring = False
        try:
            asked, _ = ConnectRequest.decode(request.frame)
            zkpy, _ = ConnectResponse.decode(mine)
            real, _ = ConnectResponse.decode(other)
        except MarshallingError:
            pass
        else:
            session = self._pairs.sessions.find(asked.session_id)
            foreign = bool(asked.session_id) and session is None
            self.session_id, self._asked_id = zkpy.session_id, asked.session_id
            expiring = self._is_expiring()
            if zkpy.session_id and real.session_id:
                self._learn_session(zkpy, real)
            elif session is not None and expiring and (zkpy.session_id or real.session_id):
                self._pairs.sessions.only_one_knows(session, self._now())
        differing = self._differing(ours, theirs)
        if differing:
            what = "the servers accept the connection differently"
            self._report.add(
                Finding(
                    what,
                    name,
                    self.session_id,
                    self._client,
                    _arguments(request),
                    ours,
                    theirs,
                    differing,
                    mine,
                    other,
                    FOREIGN if foreign else EXPIRING if expiring else None,
                )
            )

    def _learn_session(self, zkpy: ConnectResponse, real: ConnectResponse) -> None:
        now, sessions = self._now(), self._pairs.sessions
        session = sessions.find(zkpy.session_id)
        if session is None:
            session = Session(
                zkpy.session_id,
                zkpy.passwd or b"",
                real.session_id,
                real.passwd or b"",
                zkpy.time_out / 1000,
                now,
            )
        session.timeout_s = zkpy.time_out / 1000
        sessions.touch(session, now)
        sessions.learn(session)
        self.session = session

    # -- reporting -------------------------------------------------------------------------------------

    def _explain(self, request: Request, frame: bytes) -> None:
        fields = reply_fields(request.opcode, frame)
        if len(fields) > 1 and fields[1].kind is Kind.ZXID:
            self._pairs.zxids.alone(fields[1].value)
        self._report.add(
            Finding(
                "zkpy alone has answered this request",
                _name(request),
                self.session_id,
                self._client,
                _arguments(request),
                fields,
                zkpy_frame=frame,
                explained=request.withheld,
            )
        )

    def _report_alone(self, one: Arrived, side: Side) -> None:
        fields = one.event if one.event is not None else reply_fields(0, one.frame)
        if side == ZKPY and one.event is not None and self._pairs.zxids.was_alone(one.event[1].value):
            explained: str | None = NOT_SENT
        else:
            explained = self._own_time(one)
        what = "an event" if one.event is not None else "a frame that nobody asked for"
        finding = Finding(f"only {NAMES[side]} sent {what}", EVENT, self.session_id, self._client)
        finding.explained = explained
        if side == ZKPY:
            finding.zkpy, finding.zkpy_frame = fields, one.frame
        else:
            finding.real, finding.real_frame = fields, one.frame
        self._report.add(finding)


def _name(request: Request) -> str:
    return "connect" if request.opcode == CONNECT else operation(request.opcode)


def _arguments(request: Request) -> list[Field]:
    if request.opcode == CONNECT:
        return record_fields("ConnectRequest", request.frame)
    return request_fields(request.opcode, request.frame)


def _is_nothing(value: bytes | None) -> bool:
    return not value or not any(value)
