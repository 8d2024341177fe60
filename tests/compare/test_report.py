"""What is printed and recorded (``zkpy.compare.report``)."""

from __future__ import annotations

import json

from zkpy.compare.fields import Field, Kind
from zkpy.compare.report import Finding, Report


def field(name: str, value: object, raw: bytes = b"") -> Field:
    return Field(name, Kind.EXACT, value, raw)


def finding(**changes: object) -> Finding:
    one = Finding(
        "the servers answer differently",
        "getData",
        0x10,
        "127.0.0.1:5000",
        [field("path", b"/a")],
        [field("err", 0), field("data", b"x"), field("version", 1)],
        [field("err", 0), field("data", b"y"), field("version", 1)],
        [1],
    )
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def test_a_difference_is_readable() -> None:
    said: list[str] = []
    Report(said.append).add(finding())
    assert said[0].splitlines() == [
        "difference 1: getData, session 0x10, client 127.0.0.1:5000",
        "  the servers answer differently",
        "    path = /a",
        "  answers, zkpy | real server:",
        "    err = 0 (OK)",
        "  * data: 'x' | 'y'",
        "    version = 1",
    ]


def test_bytes_are_shown_when_texts_are_equal() -> None:
    said: list[str] = []
    one = finding(zkpy=[field("path", b"/a", b"\1")], real=[field("path", b"/a", b"\2" * 600)], differing=[0])
    Report(said.append).add(one)
    assert "      bytes: 01 | " + "02" * 512 + "... (600 bytes)" in said[0]


def test_fields_that_one_answer_does_not_have() -> None:
    said: list[str] = []
    report = Report(said.append)
    report.add(finding(real=[field("err", -101)], differing=[0, 1, 2]))
    assert "  * data: 'x' | nothing" in said[0]
    report.add(finding(zkpy=[field("bytes", "00")], real=[field("err", 1)], differing=[0]))
    assert "  * bytes | err: 00 | 1" in said[1]
    report.add(finding(zkpy=None, differing=[], session_id=0))
    assert "no session" in said[2]
    assert "  real server:" in said[2]
    report.add(finding(zkpy=None, real=None, differing=[]))
    assert report.differences == 4


def test_records_are_lines_of_json() -> None:
    lines: list[str] = []
    report = Report(None, lines.append)
    report.add(finding(zkpy_frame=b"\1", real_frame=b"\2"))
    report.add(finding(explained="a reason", real=None, differing=[]))
    first, second = map(json.loads, lines)
    assert first == {
        "kind": "difference",
        "reason": None,
        "what": "the servers answer differently",
        "operation": "getData",
        "session": "0x10",
        "client": "127.0.0.1:5000",
        "request": {"path": "/a"},
        "zkpy": {"err": 0, "data": "x", "version": 1},
        "real": {"err": 0, "data": "y", "version": 1},
        "differing": ["data"],
        "zkpy_bytes": "01",
        "real_bytes": "02",
    }
    assert (second["kind"], second["reason"], second["real"]) == ("explained", "a reason", None)


def test_the_summary_counts() -> None:
    said: list[str] = []
    report = Report(said.append, note=said.append)
    for name in ("getData", "getData", "create", "event"):
        report.count(name)
    report.add(finding(explained="a reason"))
    report.note("by the way")
    assert said[0].startswith("explained: getData")
    assert "  reason: a reason" in said[0]
    assert said[1] == "note: by the way"
    assert report.requests == 3
    lines = report.summary().splitlines()
    assert lines[0] == "requests compared: 3, events: 1"
    assert lines[-3:] == ["explained differences: 1", "      1 a reason", "differences: 0"]
