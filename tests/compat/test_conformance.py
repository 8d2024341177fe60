"""The conformance document: what it says of given results, and how a run of the suites ends."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from compat import kazoo_suite, results, zkcli
from compat.conformance import __main__ as command
from compat.conformance import document, suites
from compat.conformance.found import Everything, read_all, read_generated
from compat.explained import EXPLAINED
from compat.results import FAILED, NOT_APPLICABLE, PASSED, REAL, ZKPY, Header, MalformedResults, Result

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = {
    "header": {
        "zkpy": "1.0",
        "zookeeper": "3.9.5",
        "date": "2026-01-03",
        "command": "python -m x",
        "seconds": 9,
    },
    "scripts": 10,
    "steps": 1000,
    "seed": 5,
    "answers": 2000,
    "profiles": {"main": 7, "quota": 3},
    "operations": {"create2": {"requests": 400, "differences": 2, "explained": 0}},
    "explained": {"digest-of-odd-creates": 3},
    "failures": [{"seed": 7, "text": "one\n```\ntwo"}, {"seed": 7, "text": "three"}],
}


def save(folder: Path, suite: str, server: str, *made: Result, date: str = "2026-01-02") -> None:
    header = Header(suite, server, date, f"python -m {suite}", 61, {"zkpy": "1.0", "kazoo": "2.0"})
    results.write(folder, header, made)


def one(suite: str, server: str, item: str, outcome: str = PASSED, **fields: Any) -> Result:
    return attrs.evolve(Result(suite, item, server, outcome), **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for server in results.SERVERS:
        here = server == ZKPY
        save(
            tmp_path,
            "kazoo",
            server,
            one("kazoo", server, "test_a.py::T::test_1", group="test_a.py"),
            one(
                "kazoo",
                server,
                "test_b.py::T::test_2",
                FAILED if here else PASSED,
                reason="a | b <x>" if here else "",
                group="test_b.py",
            ),
            one("kazoo", server, "test_b.py::T::test_3", NOT_APPLICABLE, reason="alone", group="test_b.py"),
        )
        save(
            tmp_path,
            "zkcli",
            server,
            one("zkcli", server, "ls", counts={"answers": 1200}),
            one("zkcli", server, "(exit status)", counts={"answers": 2}),
        )
        save(
            tmp_path,
            "scripts",
            server,
            one("scripts", server, "a_rule_of_creates", group="creates", counts={"create": 2, "getData": 3}),
            one("scripts", server, "another_rule", group="no_such_chapter", counts={"getData": 1}),
            one(
                "scripts",
                server,
                "test_whole_logs",
                PASSED if here else NOT_APPLICABLE,
                reason="" if here else "the measure",
                group=results.LOGS,
            ),
        )
    save(tmp_path, "curator", ZKPY, one("curator", ZKPY, "mutex"), date="2026-02-01")
    (tmp_path / "generated.json").write_text(json.dumps(GENERATED))
    return tmp_path


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in cells]


def test_the_summary_counts_each_suite_on_both_servers(folder: Path) -> None:
    text = document.render(read_all(folder))
    found = {line[0].partition("]")[0][1:]: line[1:] for line in rows(section(text, "Summary"))[2:]}
    assert found == {
        "kazoo's own tests": ["3 tests", "1", "1", "1", "2", "0", "1"],
        "ZooKeeper's command line": ["1 commands, 1 other checks", "2", "0", "0", "2", "0", "0"],
        "Curator's recipes": ["1 checks", "1", "0", "0", "not run", "-", "-"],
        "Four-letter words": ["words", "not run", "-", "-", "not run", "-", "-"],
        "Written scripts": ["2 rules, 1 other checks", "3", "0", "0", "2", "0", "1"],
        "Generated scripts": ["10 scripts", "9", "1", "0", "the measure", "-", "-"],
    }


def test_links_lead_to_headings(folder: Path) -> None:
    text = document.render(read_all(folder))
    targets = {document._slug(title) for title in re.findall(r"^##+ (?:<.*>)?(.+)$", text, re.MULTILINE)}
    targets |= set(re.findall(r'<a id="([^"]+)">', text))
    linked = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert len(linked) >= len(suites.SUITES) + 2
    assert linked <= targets


def test_failures_are_named_with_their_reason(folder: Path) -> None:
    text = document.render(read_all(folder))
    found = rows(section(text, "What failed"))[2:]
    assert [line[1:] for line in found] == [
        ["`test_b.py::T::test_2`", "zkpy", r"a \| b &lt;x>"],
        ["2 differences", "zkpy", "shown in that section"],
    ]


def test_versions_and_dates_are_those_of_the_results(folder: Path) -> None:
    text = document.render(read_all(folder))
    found = {line[0]: line[1] for line in rows(text.partition("## Summary")[0])[2:]}
    assert found == {
        "zkpy": "1.0",
        "kazoo": "2.0",
        "ZooKeeper": "3.9.5",
        "Date": "2026-01-02 to 2026-02-01",
    }


def test_sections_by_module_command_chapter_and_operation(folder: Path) -> None:
    text = document.render(read_all(folder))
    kazoo = rows(section(text, "kazoo's own tests"))
    assert ["`test_b.py`", "0", "1", "1", "1", "0", "1"] in kazoo
    assert ["all", "1", "1", "1", "2", "0", "1"] in kazoo
    assert ["`test_b.py::T::test_3`", "not applicable", "not applicable", "alone"] in kazoo
    assert not any("test_1" in line[0] for line in kazoo)
    assert rows(section(text, "ZooKeeper's command line"))[2:] == [
        ["`ls`", "passed", "passed", "1,200"],
        ["(exit status)", "passed", "passed", "2"],
    ]
    assert rows(section(text, "Curator's recipes"))[2:] == [["`mutex`", "passed", "not run"]]
    assert "Not run." in section(text, "Four-letter words")
    scripts = rows(section(text, "Written scripts"))
    assert ["no_such_chapter", "1", "0", "0", "1", "0", "0"] in scripts
    assert ["`create`", "1", "2", "1", "0", "0", "1", "0", "0"] in scripts
    assert ["`getData`", "2", "4", "2", "0", "0", "2", "0", "0"] in scripts
    assert ["`sasl`", "0", "0", "0", "0", "0", "0", "0", "0"] in scripts
    assert "- a rule of creates: passed\n" in section(text, "Written scripts")


def test_generated_scripts(folder: Path) -> None:
    text = section(document.render(read_all(folder)), "Generated scripts")
    assert "10 scripts from seed 5 on with 1,000 steps in all, 2,000 answers compared" in text
    assert "2 differences without an explanation, and 3 explained ones." in text
    assert "main 7, quota 3" in text
    assert ["`create2`", "400", "2", "0"] in rows(text)
    assert any("(#digest-of-odd-creates)" in line[0] and line[1] == "3" for line in rows(text))
    assert "one\n'''\ntwo" in text and text.count("Seed 7") == 2


def test_without_results_nothing_is_claimed() -> None:
    text = document.render(Everything({}))
    assert "Nothing: nothing was run." in text
    assert all("Not run." in section(text, suite.title) for suite in suites.SUITES)
    assert "passed |" not in text.partition("## What failed")[2]


def test_explained_differences_are_all_listed() -> None:
    text = section(document.render(Everything({})), "Explained differences")
    for explained in EXPLAINED:
        for said in (explained.title, explained.zkpy, explained.real, explained.reason, *explained.shown):
            assert said in text
    assert len({explained.id for explained in EXPLAINED}) == len(EXPLAINED)


def test_what_shows_an_explained_difference_exists() -> None:
    sources = [*(ROOT / "compat").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    defined = {name for path in sources for name in re.findall(r"^def (\w+)", path.read_text(), re.MULTILINE)}
    assert {name for explained in EXPLAINED for name in explained.shown} <= defined


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scripts": "10"}, "scripts, steps and seed"),
        ({"operations": []}, "a table or list"),
        ({"operations": {"create": 3}}, "3 is not a table of numbers"),
        ({"explained": {"x": "1"}}, "is not a table of numbers"),
        ({"failures": ["x"]}, "a failure is not an object"),
        ({"failures": {}}, "a table or list"),
    ],
)
def test_damaged_generated_results_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "generated.json"
    path.write_text(json.dumps({**GENERATED, **change}))
    with pytest.raises(MalformedResults, match=rf"generated.json: .*{message}"):
        read_generated(path)


@pytest.mark.parametrize("text", ["", "[1]", '{"scripts": 1}'])
def test_generated_results_that_are_something_else_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "generated.json"
    path.write_text(text)
    with pytest.raises(MalformedResults, match=r"^generated\.json: "):
        read_generated(path)


def test_the_command_renders_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = folder / "conformance.md"
    assert command.main(["--results", str(folder), "--output", str(output)]) == 0
    assert output.read_text("utf-8") == document.render(read_all(folder))
    (folder / "kazoo-zkpy.jsonl").write_text("{}\n")
    output.unlink()
    assert command.main(["--results", str(folder), "--output", str(output)]) == 2
    assert "kazoo-zkpy.jsonl, line 1: format" in capsys.readouterr().err
    assert not output.exists()


_WRITES = "import sys; open(sys.argv[1] + '/{name}', 'w').write('x')"


def _suite(*scripts: str, limit_s: int = 60) -> suites.Suite:
    commands = tuple(("-c", script, "{folder}") for script in scripts)
    return suites.Suite("curator", "Curator's recipes", "checks", "", commands, "", limit_s)


def test_a_run_replaces_the_old_results(tmp_path: Path) -> None:
    for name in ("curator-zkpy.jsonl", "curator-real.jsonl"):
        (tmp_path / name).write_text("old")
    writing = [_WRITES.replace("{name}", f"curator-{server}.jsonl") for server in results.SERVERS]
    assert suites.run(_suite(*writing), tmp_path) == []
    assert {path.read_text() for path in tmp_path.iterdir()} == {"x"}


def test_a_run_tells_what_could_not_be_done(tmp_path: Path) -> None:
    (tmp_path / "curator-zkpy.jsonl").write_text("old")
    found = suites.run(_suite("import sys; sys.exit(3)"), tmp_path)
    assert [re.sub(" -c .*? ended", " ended", problem) for problem in found] == [
        "curator: python ended with status 3",
        "curator: there is no curator-zkpy.jsonl",
        "curator: there is no curator-real.jsonl",
    ]
    found = suites.run(_suite("import time; time.sleep(60)", limit_s=1), tmp_path)
    assert found[0].endswith("took too long")


def test_a_suite_that_cannot_run_makes_the_command_fail(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = _suite("import sys; sys.exit(5)")
    monkeypatch.setitem(suites.BY_NAME, "curator", failing)
    output = folder / "conformance.md"
    arguments = ["--run", "--only", "curator", "--results", str(folder), "--output", str(output)]
    assert command.main(arguments) == 1
    found = rows(section(output.read_text(), "Summary"))
    assert ["checks", "not run", "-", "-", "not run", "-", "-"] in [line[1:] for line in found]


def test_every_suite_is_told_where_its_results_go() -> None:
    for suite in suites.SUITES:
        assert suite.takes and suite.about
        for arguments in suite.commands:
            assert "{folder}" in " ".join(arguments)
            assert arguments[0] == "-m"


# -- what the suites make of their outcomes ----------------------------------------------------------------


def test_transcripts_are_compared_by_command() -> None:
    def transcript(
        *exchanges: tuple[str, str], status: int = 0, events: tuple[str, ...] = ()
    ) -> zkcli.Transcript:
        made = [zkcli.Exchange(given, (printed,)) for given, printed in exchanges]
        return zkcli.Transcript(made, list(events), status)

    first = transcript(("ls /", "[a]"), ("ls /a", "[]"), ("get /a", "x"), events=("e1", "e2"))
    same = zkcli.compare(first, first, events="E", status="S")
    assert [(found.name, found.answers, found.problem) for found in same] == [
        ("ls", 2, None),
        ("get", 1, None),
        ("E", 2, None),
        ("S", 1, None),
    ]
    other = transcript(("ls /", "[a]"), ("ls /a", "[b]"), ("get /a", "x"), events=("e1",), status=1)
    problems = {found.name: found.problem for found in zkcli.compare(other, first, events="E", status="S")}
    assert problems == {
        "ls": "`ls /a` printed '[b]', not '[]'",
        "get": None,
        "E": "no event, not e2",
        "S": "1, not 0",
    }


def test_kazoos_outcomes_become_results() -> None:
    found = kazoo_suite.Outcomes(
        ["test_a.py::test_1"],
        {"test_a.py::test_2": "once", "test_a.py::test_3": "always\nmore"},
        {"test_a.py::test_4": "no such thing here"},
    )
    ensemble, tls = next(iter(kazoo_suite.ENSEMBLE)), next(iter(kazoo_suite.TLS))
    left_out = {ensemble: "needs two", tls: "TLS"}
    made = kazoo_suite.as_results("zkpy", found, left_out, {"test_a.py::test_3"})
    assert {(result.suite, result.server) for result in made} == {("kazoo", "zkpy")}
    assert {result.item: (result.outcome, result.reason) for result in made} == {
        "test_a.py::test_1": (PASSED, ""),
        "test_a.py::test_2": (PASSED, "failed at first, passed when it was run again"),
        "test_a.py::test_3": (FAILED, "always"),
        "test_a.py::test_4": (NOT_APPLICABLE, "no such thing here"),
        ensemble: (NOT_APPLICABLE, "standalone: needs two"),
        tls: (FAILED, "not run, the feature is missing: TLS"),
    }
    assert {result.group for result in made} == {"test_a.py", "test_client.py"}
    assert kazoo_suite.as_results("java", found, {}, ())[0].server == REAL


def test_kazoos_report_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="kazoo.tests.test_a.T" name="test_1" time="1.5"/>'
        '<testcase classname="kazoo.tests.test_a.T" name="test_2"><failure message="why"/></testcase>'
        '<testcase classname="kazoo.tests.test_a" name="test_3"><skipped message="old"/></testcase>'
        "</testsuite></testsuites>"
    )
    found = kazoo_suite.read_report(report)
    assert found.passed == ["test_a.py::T::test_1"]
    assert found.failed == {"test_a.py::T::test_2": "why"}
    assert found.skipped == {"test_a.py::test_3": "old"}
    assert found.seconds == 1.5


def test_the_interpreter_is_not_named() -> None:
    assert sys.prefix not in " ".join(" ".join(given) for suite in suites.SUITES for given in suite.commands)
