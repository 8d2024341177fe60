"""Pairing and comparing frames (``zkpy.compare.match``), fed by hand."""

from __future__ import annotations

import json
from struct import pack
from typing import Any

import pytest

from compat import wire
from zkpy import opcodes
from zkpy.compare.match import EXPIRING, FOREIGN, NOT_SENT, REAL, SWEEPING, ZKPY, Matcher
from zkpy.compare.pairs import Pairs
from zkpy.compare.report import Report
from zkpy.compare.screen import BEHIND_CLOSE, CONNECT, NOT_WITHSTOOD, Request, read_request

DELETED = 2
CHANGED = 3
CHILDREN = 4


class Bench:
    """A matcher with a session (0x1 on zkpy, 0x2 on the real server), a clock and a list of findings."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.pairs = Pairs()
        self.pairs.zxids.begin(10, 50)
        self.found: list[dict[str, Any]] = []
        self.report = Report(None, lambda line: self.found.append(json.loads(line)))
        self.matcher = Matcher(
            self.pairs, self.report, "a client", lambda: self.now_s, ("1.1.1.1", "2.2.2.2")
        )
        self.first = self.matcher
        self.connect(accepted(1), accepted(2))

    def connect(self, zkpy: bytes, real: bytes, **fields: Any) -> None:
        request = Request(wire.connect_frame(**fields)[4:], 0, CONNECT)
        self.send(request)
        self.matcher.arrived(ZKPY, zkpy)
        self.matcher.arrived(REAL, real)

    def send(self, request: Request) -> Request:
        self.matcher.sent(request, ZKPY)
        if request.withheld is None:
            self.matcher.sent(request, REAL)
        return request

    def ask(self, opcode: int, body: bytes = b"") -> Request:
        return self.send(read_request(pack(">ii", 1, opcode) + body))

    def answer(self, zkpy: bytes = b"", real: bytes = b"", *, zxids: tuple[int, int] = (11, 51)) -> None:
        self.matcher.arrived(ZKPY, pack(">iqi", 1, zxids[0], 0) + zkpy)
        self.matcher.arrived(REAL, pack(">iqi", 1, zxids[1], 0) + real)

    def event(self, side: Any, path: str = "/a", zxid: int | None = None, type: int = CHANGED) -> None:
        number = (11, 51)[side] if zxid is None else zxid
        self.matcher.arrived(side, pack(">iqiii", -1, number, 0, type, 3) + wire.text(path))

    def alone(self, side: Any, path: str, type: int) -> str | None:
        """Why an event is explained that only one server sends."""
        self.event(side, path, type=type)
        self.matcher.give_up(self.now_s)
        return self.reason()

    def reason(self) -> str | None:
        reason: str | None = self.found[-1]["reason"]
        return reason

    def errors(self, zkpy: int, real: int) -> None:
        self.matcher.arrived(ZKPY, pack(">iqi", 1, 11, zkpy) + (b"" if zkpy else stat()))
        self.matcher.arrived(REAL, pack(">iqi", 1, 51, real) + (b"" if real else stat()))

    def create(self, path: str, flags: int = 0, zxids: tuple[int, int] = (11, 51), made: str = "") -> None:
        self.ask(
            opcodes.CREATE_CONTAINER if flags == 4 else opcodes.CREATE2, wire.create_body(path, flags=flags)
        )
        answer = wire.text(made or path)
        self.answer(answer + stat(), answer + stat(), zxids=zxids)

    def zxids(self, zkpy: int, real: int) -> list[str | None]:
        """The reasons of what is found about an answer with these."""
        before = len(self.found)
        self.ask(opcodes.PING)
        self.answer(zxids=(zkpy, real))
        return [found["reason"] for found in self.found[before:]]


def accepted(session: int, timeout_ms: int = 10_000) -> bytes:
    return pack(">iiqi16s?", 0, timeout_ms, session, 16, b"p" * 16 if session else bytes(16), False)


def stat(
    owner: int = 0, mzxid: int = 0, version: int = 0, cversion: int = 0, children: int = 0, pzxid: int = 0
) -> bytes:
    return pack(">qqqqiiiqiiq", 0, mzxid, 0, 0, version, cversion, 0, owner, 0, children, pzxid)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_equal_answers(bench: Bench) -> None:
    bench.ask(opcodes.EXISTS, wire.read_body("/a"))
    bench.answer(stat(owner=1, mzxid=11), stat(owner=2, mzxid=51))
    assert bench.found == []
    assert bench.report.compared == {"connect": 1, "exists": 1}
    assert bench.matcher.answers == [2, 2]


def test_a_difference_names_the_fields(bench: Bench) -> None:
    bench.ask(opcodes.EXISTS, wire.read_body("/a"))
    bench.answer(stat(owner=1, version=3), stat(owner=7, version=4))
    (found,) = bench.found
    assert found["differing"] == ["stat.version", "stat.ephemeralOwner"]
    assert found["request"] == {"path": "/a", "watch": False}
    assert (found["zkpy"]["stat.version"], found["real"]["stat.version"]) == (3, 4)
    assert found["session"] == "0x1"
    assert bench.report.differences == 1


def test_an_error_on_one_side(bench: Bench) -> None:
    bench.ask(opcodes.EXISTS, wire.read_body("/a"))
    bench.matcher.arrived(ZKPY, pack(">iqi", 1, 11, -101))
    bench.matcher.arrived(REAL, pack(">iqi", 1, 51, 0) + stat())
    assert bench.found[0]["differing"][:2] == ["err", "stat.czxid"]


def test_identities_are_seen_from_each_server(bench: Bench) -> None:
    bench.ask(opcodes.WHO_AM_I)
    entries = [wire.i32(2) + wire.text("ip") + wire.text(one) for one in ("1.1.1.1", "2.2.2.2")]
    digest = wire.text("digest") + wire.text("u")
    bench.answer(entries[0] + digest, wire.i32(2) + digest + entries[1][4:])
    assert bench.found == []


def test_an_event_has_its_place(bench: Bench) -> None:
    bench.ask(opcodes.PING)
    for side in (ZKPY, REAL):
        bench.event(side)
    bench.answer()
    assert bench.found == []
    assert bench.matcher.oldest_event_s() is None


def test_an_event_at_another_place_is_a_difference(bench: Bench) -> None:
    bench.ask(opcodes.PING)
    bench.event(ZKPY)
    bench.answer()
    assert bench.matcher.oldest_event_s() == 100.0
    bench.event(REAL)
    (found,) = bench.found
    assert "different places" in found["what"]
    assert bench.matcher.oldest_event_s() is None


def test_events_in_another_order(bench: Bench) -> None:
    for side, paths in ((ZKPY, "ab"), (REAL, "ba")):
        for path in paths:
            bench.event(side, f"/{path}")
    assert [found["differing"] for found in bench.found] == [[], []]
    assert bench.report.differences == 2


@pytest.mark.parametrize(("side", "name"), [(ZKPY, "zkpy"), (REAL, "real")])
def test_an_event_that_only_one_server_sends_is_given_up(bench: Bench, side: Any, name: str) -> None:
    bench.event(side)
    bench.ask(opcodes.PING)
    bench.answer()
    bench.matcher.give_up(99.0)
    assert bench.found == []
    bench.matcher.give_up(100.0)
    (found,) = bench.found
    assert found[name]["path"] == "/a"
    assert found["kind"] == "difference"
    bench.event(side)
    bench.matcher.give_up(100.0)
    assert bench.report.differences == 2


@pytest.fixture
def other(bench: Bench) -> Bench:
    """A session that speaks while the first one, 0x1 with /p/e1 and /p/e2, is expiring."""
    for path in ("/p/e1", "/p/e2"):
        bench.create(path, flags=1)
    bench.create("/p/s-", flags=3, made="/p/s-0000000002")
    first, bench.matcher = (
        bench.matcher,
        Matcher(bench.pairs, bench.report, "other", lambda: bench.now_s, ("1.1.1.1", "2.2.2.2")),
    )
    bench.now_s = 105.0
    bench.connect(accepted(3), accepted(4))
    bench.now_s = 110.0
    bench.first = first
    return bench


def test_while_a_session_expires_its_ephemerals_are_explained(other: Bench) -> None:
    for path in ("/p/e1", "/p/s-0000000002"):
        other.ask(opcodes.EXISTS, wire.read_body(path))
        other.errors(0, -101)
        assert other.reason() == EXPIRING
    other.ask(opcodes.CREATE, wire.create_body("/p/e2"))
    other.errors(-110, 0)
    assert other.reason() == EXPIRING
    for path, type in (("/p/e1", DELETED), ("/p/e1", CHANGED), ("/p", CHILDREN)):
        assert other.alone(REAL, path, type) == EXPIRING
    multi = [(opcodes.CREATE, wire.create_body("/x")), (opcodes.CREATE, wire.create_body("/p/e2"))]
    other.ask(opcodes.MULTI, wire.multi_body(multi))
    failed = b"".join(wire.header(-1, err=err) + wire.i32(err) for err in (0, -110))
    done = b"".join(wire.header(1, err=0) + wire.text(path) for path in ("/x", "/p/e2"))
    end = wire.header(-1, done=True)
    other.matcher.arrived(ZKPY, pack(">iqi", 1, 11, 0) + failed + end)
    other.matcher.arrived(REAL, pack(">iqi", 1, 51, 0) + done + end)
    assert other.reason() == EXPIRING
    assert other.report.differences == 0


def test_while_a_session_expires_parents_may_have_other_children(other: Bench) -> None:
    other.ask(opcodes.EXISTS, wire.read_body("/p"))
    other.answer(stat(cversion=4, children=3, pzxid=11), stat(cversion=5, children=2, pzxid=52))
    other.ask(opcodes.GET_CHILDREN, wire.read_body("/p"))
    other.answer(wire.texts(["e1", "e2"]), wire.texts(["e1"]))
    other.ask(opcodes.GET_ALL_CHILDREN_NUMBER, wire.text("/"))
    other.answer(wire.i32(7), wire.i32(6))
    assert [found["reason"] for found in other.found] == [EXPIRING] * 3
    other.ask(opcodes.EXISTS, wire.read_body("/p"))
    other.answer(stat(version=1), stat(version=2))
    other.ask(opcodes.GET_CHILDREN, wire.read_body("/q"))
    other.answer(wire.texts(["e1", "e2"]), wire.texts(["e1"]))
    assert [found["differing"] for found in other.found[3:]] == [["stat.version"], ["children"]]
    assert other.report.differences == 2


def test_while_a_session_expires_everything_else_is_compared(other: Bench) -> None:
    other.ask(opcodes.GET_DATA, wire.read_body("/plain"))
    other.answer(wire.text("one") + stat(), wire.text("other") + stat())
    assert other.reason() is None
    other.ask(opcodes.EXISTS, wire.read_body("/plain"))
    other.errors(0, -101)
    assert other.reason() is None
    assert other.alone(REAL, "/plain", CHANGED) is None
    assert other.alone(REAL, "/p", CHANGED) is None
    other.matcher.note_end("something")
    assert other.reason() is None
    reads = [(opcodes.GET_DATA, wire.read_body(path)) for path in ("/p/e1", "/plain")]
    other.ask(opcodes.MULTI_READ, wire.multi_body(reads))
    there = wire.header(4, err=0) + wire.text("e") + stat()
    gone = wire.header(-1, err=-101) + wire.i32(-101)
    end = wire.header(-1, done=True)
    for side, first, data in ((ZKPY, there, "one"), (REAL, gone, "other")):
        plain = wire.header(4, err=0) + wire.text(data) + stat()
        other.matcher.arrived(side, pack(">iqi", 1, 11 + 40 * side, 0) + first + plain + end)
    assert other.reason() is None
    assert other.report.differences == len(other.found) == 6


def test_while_a_session_expires_its_own_connection_may_end(other: Bench) -> None:
    other.matcher = other.first
    other.matcher.note_end("something")
    assert other.reason() == EXPIRING
    assert other.alone(ZKPY, "/plain", CHANGED) == EXPIRING


def test_an_event_of_an_expiring_session_is_explained_afterwards(other: Bench) -> None:
    other.event(ZKPY, "/p/e1", type=DELETED)
    other.now_s = 130.0
    other.matcher.give_up(other.now_s)
    assert other.reason() == EXPIRING
    other.ask(opcodes.EXISTS, wire.read_body("/p/e1"))
    other.errors(0, -101)
    assert other.reason() is None


def test_an_event_at_its_own_time_moves_no_other(other: Bench) -> None:
    events = [("/p/e1", DELETED), ("/plain", CHANGED)]
    for side, order in ((ZKPY, events), (REAL, events[::-1])):
        for path, type in order:
            other.event(side, path, type=type)
    assert [found["reason"] for found in other.found] == [EXPIRING]
    assert other.found[0]["zkpy"]["path"] == "/p/e1"


def test_an_ephemeral_that_was_deleted_is_an_ordinary_path(bench: Bench) -> None:
    bench.create("/e", flags=1)
    bench.ask(opcodes.DELETE, wire.text("/e") + wire.i32(-1))
    bench.answer()
    bench.now_s = 110.0
    assert bench.pairs.expiring(bench.now_s)
    assert bench.pairs.sessions.leaving() == set()


def test_a_session_that_only_one_server_knows_stays_explained(other: Bench) -> None:
    other.connect(accepted(1), accepted(0, 0), session=1)
    assert other.reason() == EXPIRING
    other.now_s = 120.0
    other.ask(opcodes.EXISTS, wire.read_body("/p/e1"))
    other.errors(0, -101)
    assert other.reason() == EXPIRING
    third = other.pairs.sessions.find(3)
    assert third is not None
    other.pairs.sessions.touch(third, other.now_s)
    other.connect(accepted(0, 0), accepted(4), session=3)
    assert other.reason() is None


def test_containers_explain_their_own_events_only(bench: Bench) -> None:
    bench.create("/d/c", flags=4)
    for path, type in (("/d/c", DELETED), ("/d", CHILDREN)):
        assert bench.alone(ZKPY, path, type) == SWEEPING
        assert bench.alone(REAL, path, type) == SWEEPING
    for path, type in (
        ("/a", CHANGED),
        ("/d/c", CHANGED),
        ("/d", DELETED),
        ("/", CHILDREN),
        ("/d/c", CHILDREN),
    ):
        assert bench.alone(REAL, path, type) is None
    bench.ask(opcodes.DELETE, wire.text("/d/c") + wire.i32(-1))
    bench.answer()
    assert bench.alone(REAL, "/d/c", DELETED) is None


@pytest.mark.parametrize("watched", [True, False])
def test_a_container_that_both_servers_have_removed_moves_zxids_no_more(bench: Bench, watched: bool) -> None:
    for path, number in (("/c", 11), ("/d", 13)):
        bench.create(path, flags=4, zxids=(number, number + 40))
        bench.create(f"{path}/x", zxids=(number + 1, number + 41))
    assert bench.zxids(15, 54) == []  # zkpy has removed /c
    if watched:
        for side in (ZKPY, REAL):
            bench.event(side, "/c", zxid=15 + 40 * side, type=DELETED)
    else:
        bench.ask(opcodes.EXISTS, wire.read_body("/c"))
        for side in (ZKPY, REAL):
            bench.matcher.arrived(side, pack(">iqi", 1, 15 + 40 * side, -101))
    assert [found["reason"] for found in bench.found] == [SWEEPING]
    assert bench.zxids(16, 56) == []
    assert bench.zxids(17, 58) == []  # the real server has removed /d
    assert bench.zxids(18, 60) == [None]
    assert bench.zxids(20, 61) == []  # and now zkpy
    assert bench.zxids(22, 62) == [None]


def test_zxids_drift_when_a_container_can_be_removed(bench: Bench) -> None:
    bench.create("/c", flags=4)
    assert bench.zxids(12, 53) == [None]  # it has had no child yet
    bench.create("/c/x", zxids=(13, 54))
    assert bench.zxids(14, 54) == []  # zkpy has removed it
    assert bench.zxids(14, 55) == [SWEEPING]  # and now the real server
    bench.ask(opcodes.EXISTS, wire.read_body("/"))
    bench.answer(stat(pzxid=14), stat(pzxid=55), zxids=(15, 56))
    assert bench.found[-1]["differing"] == ["stat.pzxid"]
    assert bench.reason() == SWEEPING
    assert bench.zxids(16, 58) == [None]
    assert bench.zxids(17, 58) == [None]
    bench.ask(opcodes.EXISTS, wire.read_body("/d"))
    bench.answer(stat(pzxid=14), stat(pzxid=55), zxids=(18, 60))
    assert bench.reason() is None


def test_zxids_drift_when_a_ttl_is_over_and_by_as_many(bench: Bench) -> None:
    for number in (1, 2):
        body = wire.create_body(f"/t{number}", flags=5, ttl=60_000)
        bench.ask(opcodes.CREATE_TTL, body)
        answer = wire.text(f"/t{number}") + stat()
        bench.answer(answer, answer, zxids=(10 + number, 50 + number))
    assert bench.zxids(13, 54) == [None]
    bench.now_s = 160.0
    assert bench.zxids(14, 58) == [None]
    assert bench.zxids(15, 61) == []
    assert bench.zxids(16, 63) == [None]


def test_an_event_shows_that_a_container_is_removed(bench: Bench) -> None:
    bench.create("/c", flags=4)
    bench.event(REAL, "/c", zxid=52, type=DELETED)
    assert bench.zxids(12, 53) == []


def test_transactions_are_learned_from(bench: Bench) -> None:
    made = [("/c", 19, 4), ("/e", 1, 1)]
    bench.ask(opcodes.MULTI, wire.multi_body([(op, wire.create_body(path, flags=n)) for path, op, n in made]))
    answer = wire.header(19, err=0) + wire.text("/c") + stat() + wire.header(1, err=0) + wire.text("/e")
    bench.answer(answer + wire.header(-1, done=True), answer + wire.header(-1, done=True))
    assert bench.found == []
    assert bench.alone(REAL, "/c", DELETED) == SWEEPING
    bench.now_s = 110.0
    assert bench.pairs.expiring(bench.now_s)
    assert bench.pairs.sessions.leaving() == {b"/e"}
    bench.matcher.sent(read_request(pack(">ii", 1, opcodes.CLOSE_SESSION)), ZKPY)
    bench.matcher.sent(read_request(pack(">ii", 1, opcodes.CLOSE_SESSION)), REAL)
    bench.answer(zxids=(12, 52))
    assert bench.pairs.sessions.leaving() == set()


def test_a_clock_that_is_wrong_is_told_once(bench: Bench) -> None:
    notes: list[str] = []
    bench.report = Report(None, None, note=notes.append)
    bench.matcher = Matcher(bench.pairs, bench.report, "a client", lambda: bench.now_s)
    for _ in range(2):
        bench.ask(opcodes.EXISTS, wire.read_body("/a"))
        bench.answer(*(pack(">qqqq", 0, 0, time, time) + stat()[32:] for time in (4_600_000, 1_000_000)))
    (note,) = notes
    assert "the real server's clock is 3600 s behind zkpy's" in note


def test_what_was_not_sent_is_explained_with_its_event(bench: Bench) -> None:
    limits = wire.create_body("/zookeeper/quota/zookeeper_limits")
    assert bench.ask(opcodes.CREATE, limits).withheld == NOT_WITHSTOOD
    bench.event(ZKPY, zxid=11)
    bench.matcher.arrived(ZKPY, pack(">iqi", 1, 11, 0) + wire.text("/"))
    bench.matcher.give_up(100.0)
    assert [found["reason"] for found in bench.found] == [NOT_WITHSTOOD, NOT_SENT]
    bench.ask(opcodes.PING)
    bench.answer(zxids=(11, 50))
    assert bench.report.differences == 0


def test_answers_behind_a_close_are_explained(bench: Bench) -> None:
    bench.ask(opcodes.CLOSE_SESSION)
    bench.answer()
    late = read_request(pack(">ii", 1, opcodes.PING))
    late.behind_close = True
    bench.send(late)
    bench.answer(zxids=(11, 57))
    assert bench.found[0]["reason"] == BEHIND_CLOSE


def test_sessions_that_only_one_server_accepts(bench: Bench) -> None:
    bench.connect(accepted(3), accepted(0, 0))
    assert bench.found[-1]["kind"] == "difference"
    bench.connect(accepted(9), accepted(0, 0), session=9)
    assert bench.found[-1]["reason"] == FOREIGN
    bench.connect(accepted(1, 4000), accepted(2, 5000), session=1)
    assert bench.found[-1]["differing"] == ["timeOut"]
    bench.connect(b"nonsense", accepted(2), session=1)
    assert bench.report.differences == 3


def test_frames_that_nobody_asked_for(bench: Bench) -> None:
    bench.matcher.arrived(ZKPY, pack(">iqi", 5, 11, 0))
    assert bench.matcher.oldest_event_s() == 100.0
    bench.matcher.give_up(100.0)
    assert "nobody asked for" in bench.found[0]["what"]


def test_the_real_server_can_be_forgotten(bench: Bench) -> None:
    bench.ask(opcodes.EXISTS, wire.read_body("/a"))
    bench.event(ZKPY)
    bench.matcher.note_unanswered(REAL, "gave no answer")
    bench.matcher.forget_real()
    assert bench.matcher.oldest_event_s() is None
    (found,) = bench.found
    assert found["operation"] == "exists"
    assert found["what"] == "the real server gave no answer"
