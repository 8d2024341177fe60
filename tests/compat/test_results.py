"""Results files: what is written is read back, what is damaged refused; what the plugin makes of a test."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat import results
from compat.results import FAILED, NOT_APPLICABLE, PASSED, REAL, ZKPY, Header, MalformedResults, Result

HEADER = Header("fourletter", ZKPY, "2026-01-02", "python -m pytest", 3, {"zkpy": "1.0"})
RESULTS = [
    Result("fourletter", "ruok", ZKPY, PASSED),
    Result("fourletter", "srvr", ZKPY, FAILED, "two | three", "a group", {"create2": 4}),
    Result("fourletter", "isro", ZKPY, NOT_APPLICABLE, "übergröße"),
]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = results.write(tmp_path / "new", HEADER, RESULTS)
    assert path.name == "fourletter-zkpy.jsonl"
    run = results.read(path)
    assert (run.header, list(run.results)) == (HEADER, RESULTS)
    assert [run.count(outcome) for outcome in results.OUTCOMES] == [1, 1, 1]
    assert run.by_item()["srvr"].counts == {"create2": 4}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_results_of_another_suite_or_server_are_not_written(tmp_path: Path) -> None:
    for other in (Result("zkcli", "ls", ZKPY, PASSED), Result("fourletter", "ruok", REAL, PASSED)):
        with pytest.raises(ValueError, match="is not one of fourletter on zkpy"):
            results.write(tmp_path, HEADER, [other])
    assert not list(tmp_path.iterdir())


def _change(index: int, **fields: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        lines[index] = json.dumps({**json.loads(lines[index]), **fields})
        return lines

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [], "empty"),
        (lambda lines: ["", *lines[1:]], "line 1: no JSON"),
        (lambda lines: ["[]", *lines[1:]], "line 1: list, not an object"),
        (lambda lines: lines[:-1], "2 results, not the 3"),
        (lambda lines: [*lines[:-1], lines[1]], "line 4: a second 'ruok'"),
        (lambda lines: [*lines[:-1], lines[-1][:-3]], "line 4: no JSON"),
        (_change(0, format=99), "line 1: format 99"),
        (_change(0, format=None), "line 1: format None"),
        (_change(0, server="java"), "line 1: server is 'java'"),
        (_change(0, server="real"), "line 1: it is of fourletter on real"),
        (_change(0, surprise=1), "line 1: .*surprise"),
        (_change(0, seconds="3"), "line 1: .*seconds"),
        (_change(0, versions=[]), "line 1: versions"),
        (_change(0, versions={"zkpy": 1}), "line 1: versions"),
        (_change(2, outcome="great"), "line 3: outcome is 'great'"),
        (_change(2, outcome=1), "line 3: outcome is 1"),
        (_change(2, reason=None), "line 3: reason is None"),
        (_change(2, item=""), "line 3: item is ''"),
        (_change(2, counts=[]), "line 3: counts is"),
        (_change(2, counts={"a": -1}), "line 3: counts has 'a': -1"),
        (_change(2, counts={"a": "1"}), "line 3: counts has 'a'"),
        (_change(2, more=1), "line 3: .*more"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, damage: Callable[[list[str]], list[str]], message: str
) -> None:
    path = results.write(tmp_path, HEADER, RESULTS)
    lines = damage(path.read_text("utf-8").splitlines())
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    with pytest.raises(MalformedResults, match=f"fourletter-zkpy.jsonl.*{message}"):
        results.read(path)


def test_several_results_of_one_item_become_one() -> None:
    def one(outcome: str, reason: str = "", **counts: int) -> Result:
        return Result("zkcli", "ls", ZKPY, outcome, reason, counts=counts)

    assert results.merge([one(PASSED, answers=2), one(PASSED, answers=3)]) == [one(PASSED, answers=5)]
    mixed = [one(PASSED, answers=2), one(FAILED, "why", answers=1), one(NOT_APPLICABLE), one(PASSED)]
    assert results.merge(mixed) == [one(FAILED, "why", answers=3)]
    assert results.merge([one(NOT_APPLICABLE, "x"), one(PASSED)]) == [one(PASSED)]


def test_operations_have_their_java_names() -> None:
    named = results.operations()
    assert (named[15], named[6], named[21], named[-11]) == ("create2", "getACL", "createTTL", "closeSession")
    assert len(set(named.values())) == len(named) == 31
    assert results.by_name(Counter({1: 2, 77: 3, 99: 1})) == {"create": 2, results.UNKNOWN: 4}


def test_reasons_are_one_line_without_this_machines_folders() -> None:
    assert results.short("\n\n  first \nsecond") == "first"
    assert results.short(f"in {Path(results.__file__)} there") == "in results.py there"
    assert results.short("znode /a/b is missing") == "znode /a/b is missing"
    assert len(results.short("x" * 1000)) <= 300


class _Stage:
    pass


def _play(sent: dict[int, int], error: Exception | None = None) -> Callable[[Any], None]:
    def a_rule(stage: object) -> None:
        from compat import wire

        wire.TALLY.update(sent)
        if error is not None:
            raise error

    return a_rule


def _made(found: list[tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, str, dict[str, int]]]:
    return {one["server"]: (one["outcome"], one["reason"], dict(one["counts"])) for _, one in found}


def test_a_script_which_both_servers_answer_alike() -> None:
    watched = results.Watched(_play({15: 2, 4: 1}), "creates")
    for _ in range(2):
        watched(_Stage())  # type: ignore[arg-type]
    found = results.script_results(watched, None, ours=False)
    counts = {"create2": 2, "getData": 1}
    assert _made(found) == {REAL: (PASSED, "", counts), ZKPY: (PASSED, "", counts)}
    assert {one["item"] for _, one in found} == {"a_rule"}
    assert {one["group"] for _, one in found} == {"creates"}


def test_a_script_with_different_answers_fails_on_zkpy_only() -> None:
    watched = results.Watched(_play({15: 1}), "creates")
    for _ in range(2):
        watched(_Stage())  # type: ignore[arg-type]
    error = AssertionError("answer 1 differs\n  zkpy: a\n  java: b\nassert 'x' is None")
    found = _made(results.script_results(watched, error, ours=False))
    assert found[REAL] == (PASSED, "", {"create2": 1})
    assert found[ZKPY] == (FAILED, "answer 1 differs zkpy: a java: b", {"create2": 1})


def test_a_script_which_fails_on_the_real_server_has_nothing_to_compare() -> None:
    watched = results.Watched(_play({15: 1}, AssertionError("-101 expected")), "creates")
    with pytest.raises(AssertionError) as caught:
        watched(_Stage())  # type: ignore[arg-type]
    found = _made(results.script_results(watched, caught.value, ours=False))
    assert found[REAL] == (FAILED, "-101 expected", {"create2": 1})
    assert found[ZKPY][:2] == (FAILED, "there is no answer of the real server to compare with")


def test_a_script_which_fails_on_zkpy_has_passed_on_the_real_server() -> None:
    watched = results.Watched(_play({15: 1}), "creates")
    watched(_Stage())  # type: ignore[arg-type]
    for _ in range(2):  # it may fail before or while the script is played
        found = _made(results.script_results(watched, AssertionError("-110 expected"), ours=False))
        assert found[REAL] == (PASSED, "", {"create2": 1})
        assert found[ZKPY][:2] == (FAILED, "-110 expected")
        watched.script = _play({15: 1}, AssertionError("-110 expected"))
        with pytest.raises(AssertionError):
            watched(_Stage())  # type: ignore[arg-type]
    assert (watched.ended, len(watched.sent)) == (1, 3)


def test_a_server_which_does_not_start_fails_both() -> None:
    watched = results.Watched(_play({}), "creates")
    found = _made(results.script_results(watched, RuntimeError("did not start"), ours=False))
    assert found[REAL] == (FAILED, "did not start", {})
    assert found[ZKPY][0] == FAILED


def test_a_script_for_zkpy_alone_does_not_apply_to_the_real_server() -> None:
    watched = results.Watched(_play({20: 1}), "ours_only")
    watched(_Stage())  # type: ignore[arg-type]
    found = _made(results.script_results(watched, None, ours=True))
    assert found[ZKPY] == (PASSED, "", {"deleteContainer": 1})
    assert found[REAL][0] == NOT_APPLICABLE


def test_a_watched_script_is_found_like_the_script() -> None:
    script = _play({})
    watched = results.Watched(script, "creates")
    assert watched in {script} and watched == script and watched.__name__ == "a_rule"
    assert watched != _play({})


def _report(nodeid: str, outcome: str, when: str = "call", properties: object = ()) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=nodeid,
        location=("file", 1, "test"),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr="why it failed" if outcome == "failed" else None,
        when=when,  # type: ignore[arg-type]
        user_properties=properties,  # type: ignore[arg-type]
        duration=1.4,
    )


def test_the_plugin_writes_what_tests_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "versions", lambda: {"zkpy": "1.0"})
    recorder = results.Recorder(tmp_path, "python -m pytest")
    ruok = results.of("fourletter", "ruok", "zkpy")
    srvr = results.of("fourletter", "srvr", "java", "a, not b")
    recorder.pytest_runtest_logreport(_report("compat/test_fourletter.py::test_x", "passed", "setup"))
    recorder.pytest_runtest_logreport(
        _report("compat/test_fourletter.py::test_x", "failed", properties=[ruok, srvr, ("other", 1)])
    )
    recorder.pytest_runtest_logreport(_report("tests/test_other.py::test_y", "failed"))
    recorder.pytest_sessionfinish()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fourletter-real.jsonl",
        "fourletter-zkpy.jsonl",
    ]
    run = results.read(tmp_path / "fourletter-real.jsonl")
    assert run.header.command == "python -m pytest" and run.header.seconds == 3
    assert run.results == (Result("fourletter", "srvr", REAL, FAILED, "a, not b"),)


@pytest.mark.parametrize(
    ("test", "servers"),
    [("test_x[zkpy-nodes]", [ZKPY]), ("test_x[java]", [REAL]), ("test_x", [ZKPY, REAL])],
)
@pytest.mark.parametrize("when", ["setup", "call", "teardown"])
def test_a_failure_is_never_without_a_result(
    tmp_path: Path, test: str, servers: list[str], when: str
) -> None:
    recorder = results.Recorder(tmp_path, "")
    passed = results.of("zkcli", "ls", "zkpy")
    recorder.pytest_runtest_logreport(_report(f"compat/test_zkcli.py::{test}", "failed", when, [passed]))
    failed = [one for found in recorder.results.values() for one in found if one.outcome == FAILED]
    assert [(one.server, one.item) for one in failed] == [(server, test) for server in servers]
    assert all("why it failed" in one.reason for one in failed)
