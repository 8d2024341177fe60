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

    def event(self, side: Any, path: str = "/a", zxid: int | None = None) -> None:
        number = (11, 51)[side] if zxid is None else zxid
        self.matcher.arrived(side, pack(">iqiii", -1, number, 0, 3, 3) + wire.text(path))


def accepted(session: int, timeout_ms: int = 10_000) -> bytes:
    return pack(">iiqi16s?", 0, timeout_ms, session, 16, b"p" * 16 if session else bytes(16), False)


def stat(owner: int = 0, mzxid: int = 0, version: int = 0) -> bytes:
    return pack(">qqqqiiiqiiq", 0, mzxid, 0, 0, version, 0, 0, owner, 0, 0, 0)


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


def test_while_a_session_expires_differences_are_explained(bench: Bench) -> None:
    bench.now_s = 110.0
    bench.ask(opcodes.PING)
    bench.answer(zxids=(12, 51))
    bench.ask(opcodes.EXISTS, wire.read_body("/e"))
    bench.answer(stat(), b"")
    bench.event(ZKPY)
    bench.matcher.give_up(110.0)
    bench.matcher.note_end("something")
    assert {found["reason"] for found in bench.found} == {EXPIRING}
    assert bench.report.differences == 0


def test_znodes_that_servers_remove_move_zxids(bench: Bench) -> None:
    bench.ask(opcodes.CREATE_CONTAINER, wire.create_body("/c", flags=4))
    bench.answer(zxids=(11, 51))
    bench.ask(opcodes.PING)
    bench.answer(zxids=(13, 52))
    bench.ask(opcodes.PING)
    bench.answer(zxids=(13, 53))
    assert [found["reason"] for found in bench.found] == [SWEEPING]
    bench.event(ZKPY)
    bench.matcher.give_up(100.0)
    assert bench.found[-1]["reason"] == SWEEPING
    bench.ask(opcodes.EXISTS, wire.read_body("/a"))
    bench.answer(stat(version=1), stat())
    assert bench.report.differences == 1


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
