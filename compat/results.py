"""What a suite found out about one server: records in a file, and the pytest plugin which writes them.

A results file has one JSON object a line: a header, then one result for each item of the suite. Each suite
writes one file for each server, ``SUITE-SERVER.jsonl``, and `compat.conformance` makes a document of them.

``python -m pytest -p compat.results compat/...`` records; without the plugin the tests are the same and
nothing is written. A test tells its results with pytest's ``record_property``::

    record_property(*results.of("fourletter", "ruok", kind, problem))

The scripts of `compat.scripts` need not: the plugin sees what each of them sent and where it failed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import pytest

if TYPE_CHECKING:
    from compat import wire

FORMAT: Final = 1
FOLDER: Final = Path("build/compat")
"""Where the files go unless ``--compat-results`` or `VARIABLE` names another folder."""
VARIABLE: Final = "ZKPY_COMPAT_RESULTS"

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
OUTCOMES: Final = (PASSED, FAILED, NOT_APPLICABLE)
ZKPY, REAL = "zkpy", "real"
SERVERS: Final = (ZKPY, REAL)

LOGS: Final = "transaction logs"
"""The group of the checks which look at what all scripts together left behind."""
UNKNOWN: Final = "unknown operation"
_PROPERTY: Final = "compat result"
_SUITES: Final = {
    "test_zkcli": "zkcli",
    "test_curator": "curator",
    "test_fourletter": "fourletter",
    "test_semantics": "scripts",
}
_REASON_LENGTH: Final = 300
_ROOT: Final = Path(__file__).resolve().parent.parent
_T = TypeVar("_T")


class MalformedResults(ValueError):
    """A results file is not what `write` writes; the message names the file and the line."""


def _one_of(names: Sequence[str]) -> Callable[[object, attrs.Attribute[str], str], None]:
    def check(_: object, attribute: attrs.Attribute[str], value: str) -> None:
        if value not in names:
            raise ValueError(f"{attribute.name} is {value!r}, not one of {', '.join(names)}")

    return check


def _is_text(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{attribute.name} is {value!r}, not a text")


def _is_name(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} is {value!r}, not a name")


def _counts(value: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise ValueError(f"counts is {value!r}, not a table")
    for name, count in value.items():
        if not isinstance(name, str) or type(count) is not int or count < 0:
            raise ValueError(f"counts has {name!r}: {count!r}")
    return dict(value)


def _texts(value: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"versions is {value!r}, not a table of texts")
    return dict(value)


@attrs.frozen
class Result:
    """The outcome of one item of a suite on one server."""

    suite: str = attrs.field(validator=_is_name)
    item: str = attrs.field(validator=_is_name)
    server: str = attrs.field(validator=_one_of(SERVERS))
    outcome: str = attrs.field(validator=_one_of(OUTCOMES))
    reason: str = attrs.field(default="", validator=_is_text)
    """Why it failed or does not apply, or what is to be known about a pass."""
    group: str = attrs.field(default="", validator=_is_text)
    """The chapter or module to which the item belongs."""
    counts: Mapping[str, int] = attrs.field(factory=dict, converter=_counts)
    """What the item consists of: requests by operation, or compared answers."""


@attrs.frozen
class Header:
    """How and when a file's results were made."""

    suite: str = attrs.field(validator=_is_name)
    server: str = attrs.field(validator=_one_of(SERVERS))
    date: str = attrs.field(validator=_is_name)
    command: str = attrs.field(validator=_is_text)
    seconds: int = attrs.field(validator=attrs.validators.instance_of(int))
    versions: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)


@attrs.frozen
class Run:
    """One results file."""

    header: Header
    results: tuple[Result, ...]

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    def by_item(self) -> dict[str, Result]:
        return {result.item: result for result in self.results}


# -- files -------------------------------------------------------------------------------------------------


def file_of(folder: Path, suite: str, server: str) -> Path:
    return folder / f"{suite}-{server}.jsonl"


def write(folder: Path, header: Header, results: Iterable[Result]) -> Path:
    """Replace the file of this suite and server."""
    merged = merge(results)
    for result in merged:
        if (result.suite, result.server) != (header.suite, header.server):
            raise ValueError(f"{result} is not one of {header.suite} on {header.server}")
    first = {"format": FORMAT, **attrs.asdict(header), "results": len(merged)}
    lines = [json.dumps(first, ensure_ascii=False)]
    for result in merged:
        fields = attrs.asdict(result, filter=lambda field, value: field.name not in ("suite", "server"))
        lines.append(json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False))
    path = file_of(folder, header.suite, header.server)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    partial.replace(path)
    return path


def read(path: Path) -> Run:
    """The file's contents; `MalformedResults` if it is not whole."""
    lines = path.read_text("utf-8", "replace").splitlines()
    if not lines:
        raise MalformedResults(f"{path.name}: empty")
    first = _object(path, 1, lines[0])
    format, count = first.pop("format", None), first.pop("results", None)
    if format != FORMAT:
        raise MalformedResults(f"{path.name}, line 1: format {format!r}, not {FORMAT}")
    header = _made(path, 1, Header, first)
    if path.name != file_of(path.parent, header.suite, header.server).name:
        raise MalformedResults(f"{path.name}, line 1: it is of {header.suite} on {header.server}")
    if count != len(lines) - 1:
        raise MalformedResults(f"{path.name}: {len(lines) - 1} results, not the {count} of its header")
    results: dict[str, Result] = {}
    for number, line in enumerate(lines[1:], 2):
        fields = {"suite": header.suite, "server": header.server, **_object(path, number, line)}
        result = _made(path, number, Result, fields)
        if result.item in results:
            raise MalformedResults(f"{path.name}, line {number}: a second {result.item!r}")
        results[result.item] = result
    return Run(header, tuple(results.values()))


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise MalformedResults(f"{path.name}, line {number}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedResults(f"{path.name}, line {number}: {type(found).__name__}, not an object")
    return found


def _made(path: Path, number: int, kind: type[_T], fields: dict[str, Any]) -> _T:
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise MalformedResults(f"{path.name}, line {number}: {error.args[0]}") from None


def merge(results: Iterable[Result]) -> list[Result]:
    """One result for each item: a failure outweighs a pass, and a pass what does not apply; counts add up."""
    weight = {FAILED: 0, PASSED: 1, NOT_APPLICABLE: 2}
    found: dict[str, Result] = {}
    for result in results:
        other = found.get(result.item)
        if other is not None:
            counts = Counter(other.counts) + Counter(result.counts)
            result = min(other, result, key=lambda one: weight[one.outcome])
            result = attrs.evolve(result, counts=counts)
        found[result.item] = result
    return list(found.values())


# -- headers -----------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Of everything that the results depend on."""
    from compat import realzk
    from zkpy import __version__

    found = {"zkpy": __version__, "ZooKeeper": "not found", "Curator": "not found", "Java": "not found"}
    try:
        installation = realzk.find(curator=True)
        found["ZooKeeper"] = installation.version
        for entry in installation.entries:
            if jar := re.fullmatch(r"curator-recipes-(.+)\.jar", entry.name):
                found["Curator"] = jar[1]
        said = subprocess.run(
            [realzk.java_program(), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
        if java := re.search(r'version "([^"]+)"', said.stderr + said.stdout):
            found["Java"] = java[1]
    except (realzk.ZooKeeperUnavailable, OSError, subprocess.TimeoutExpired):
        pass
    try:
        found["kazoo"] = metadata.version("kazoo")
    except metadata.PackageNotFoundError:
        found["kazoo"] = "not found"
    found["Python"] = platform.python_version()
    return found


def header(suite: str, server: str, command: str, seconds: float) -> Header:
    """A header of now."""
    return Header(
        suite, server, time.strftime("%Y-%m-%d", time.gmtime()), command, round(seconds), versions()
    )


def short(text: str) -> str:
    """The first line of a message that says something, not too long and without this machine's paths."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for folder in (_ROOT, Path(sys.prefix), Path(tempfile.gettempdir())):
        line = re.sub(rf"{re.escape(str(folder))}/(?:\S*/)?", "", line)
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 1] + "…"


# -- the pytest plugin -------------------------------------------------------------------------------------


def server_of(kind: str) -> str:
    """The server's name in results; tests call the real one by its language."""
    return ZKPY if kind == "zkpy" else REAL


def of(
    suite: str,
    item: str,
    kind: str,
    problem: str | None = None,
    *,
    outcome: str | None = None,
    group: str = "",
    counts: Mapping[str, int] | None = None,
) -> tuple[str, dict[str, Any]]:
    """A result, for ``record_property``: failed when there is a *problem*, unless *outcome* is given."""
    outcome = outcome or (PASSED if problem is None else FAILED)
    result = Result(suite, item, server_of(kind), outcome, short(problem or ""), group, counts or {})
    return _PROPERTY, attrs.asdict(result)


_NAMES: Final = """
    CREATE CREATE2 CREATE_CONTAINER CREATE_TTL DELETE DELETE_CONTAINER
    EXISTS GET_DATA SET_DATA GET_ACL SET_ACL GET_CHILDREN GET_CHILDREN2
    GET_ALL_CHILDREN_NUMBER GET_EPHEMERALS SYNC CHECK MULTI MULTI_READ
    ADD_WATCH CHECK_WATCHES REMOVE_WATCHES SET_WATCHES SET_WATCHES2
    AUTH SASL WHO_AM_I RECONFIG PING CREATE_SESSION CLOSE_SESSION
"""


@cache
def operations() -> Mapping[int, str]:
    """All operations that a client can send, by their code, in the order in which the tables have them.

    Their names are as Java has them: ``create2``, ``getData``.
    """
    from compat import wire  # not earlier: pytest must be able to rewrite that module's assertions

    return {getattr(wire, name): _camel(name) for name in _NAMES.split()}


def _camel(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(part.upper() if part in ("acl", "ttl") else part.title() for part in others)


def by_name(sent: Mapping[int, int]) -> dict[str, int]:
    """Requests by the operation's name."""
    counts: Counter[str] = Counter()
    for op, number in sent.items():
        counts[operations().get(op, UNKNOWN)] += number
    return dict(counts)


class Recorder:
    """Collects the results of a pytest run, and writes them when it ends."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder
        self.command = command
        self.results: dict[tuple[str, str], list[Result]] = {}
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = _SUITES.get(Path(report.nodeid.partition("::")[0]).stem)
        if suite is None:
            return
        self.seconds[suite] = self.seconds.get(suite, 0.0) + report.duration
        if report.when == "call" or (report.failed and report.when == "setup"):
            for result in outcomes(suite, report):
                self.results.setdefault((suite, result.server), []).append(result)
        elif report.failed:
            problem = f"not at its end: {short(report.longreprtext)}"
            for server in _servers(report):
                result = Result(suite, _item(report), server, FAILED, problem)
                self.results.setdefault((suite, server), []).append(result)

    def pytest_sessionfinish(self) -> None:
        for (suite, server), found in self.results.items():
            write(self.folder, header(suite, server, self.command, self.seconds[suite]), found)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for suite, server in self.results:
            terminalreporter.write_line(f"results: {file_of(self.folder, suite, server)}")


def outcomes(suite: str, report: pytest.TestReport) -> list[Result]:
    """What a test recorded; a failure of which it recorded nothing is a result of its own."""
    kept = [value for name, value in report.user_properties if name == _PROPERTY]
    found = [Result(**value) for value in kept if isinstance(value, dict)]
    if report.failed and not any(result.outcome == FAILED for result in found):
        problem = short(_message(report))
        found += [Result(suite, _item(report), server, FAILED, problem) for server in _servers(report)]
    return found


def _item(report: pytest.TestReport) -> str:
    return report.nodeid.rpartition("::")[2]


def _servers(report: pytest.TestReport) -> tuple[str, ...]:
    """Which servers a test was about, by its parameters; both, if they do not tell."""
    parameters = re.split(r"[\[\]-]", _item(report))
    kinds = [kind for kind in ("zkpy", "java") if kind in parameters]
    return tuple(map(server_of, kinds)) or SERVERS


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash is not None else report.longreprtext


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("compat").addoption(
        "--compat-results",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get(VARIABLE, FOLDER)),
        help=f"where to write the results (default: ${VARIABLE}, otherwise {FOLDER})",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        command = shlex.join(["python", "-m", "pytest", *config.invocation_params.args])
        config.pluginmanager.register(Recorder(config.getoption("--compat-results"), command))


# What the scripts do: their test gives each to two servers, the real one first.


@attrs.define(eq=False)
class Watched:
    """A script while its test runs, in the script's place: what it sent to each server."""

    script: wire.Play
    group: str
    sent: list[Counter[int]] = attrs.field(factory=list)
    ended: int = 0
    """How often it came to its end."""

    def __call__(self, stage: wire.Script) -> None:
        from compat import wire

        before = wire.TALLY.copy()
        self.sent.append(Counter())
        try:
            self.script(stage)
            self.ended += 1
        finally:
            self.sent[-1].update(wire.TALLY - before)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.script

    def __hash__(self) -> int:
        return hash(self.script)

    @property
    def __name__(self) -> str:
        return self.script.__name__


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    funcargs: dict[str, Any] = getattr(item, "funcargs", {})
    script = funcargs.get("script")
    if item.path.stem != "test_semantics":
        yield
        return
    if script is None:
        called = yield
        problem = None if called.excinfo is None else _said(called.excinfo[1])
        item.user_properties += [
            of("scripts", item.name, ZKPY, problem, group=LOGS),
            of("scripts", item.name, REAL, _MEASURE, outcome=NOT_APPLICABLE, group=LOGS),
        ]
        return
    watched = funcargs["script"] = Watched(script, script.__module__.rpartition(".")[2])
    called = yield
    error = called.excinfo[1] if called.excinfo is not None else None
    item.user_properties += script_results(watched, error, ours="group" not in funcargs)


def _said(error: BaseException) -> str:
    """An exception's message in one line, without what pytest adds to an assertion's."""
    message = str(error).partition("\nassert ")[0]
    text = " ".join(line.strip() for line in message.splitlines())
    return text or type(error).__name__


_MEASURE: Final = "its log is the measure"


def script_results(
    watched: Watched, error: BaseException | None, *, ours: bool
) -> list[tuple[str, dict[str, Any]]]:
    """The real server's result: whether the script's own assertions hold; zkpy's: whether it did the same."""
    name, group = watched.__name__, watched.group
    counts = [by_name(sent) for sent in watched.sent]
    problem = None if error is None else _said(error)
    if ours:
        why = "not sent to the real server: see the explained differences"
        sent_here = counts[0] if counts else {}
        return [
            of("scripts", name, ZKPY, problem, group=group, counts=sent_here),
            of("scripts", name, REAL, why, outcome=NOT_APPLICABLE, group=group),
        ]
    if watched.ended:
        on_zkpy = counts[1] if len(counts) > 1 else {}
        return [
            of("scripts", name, REAL, group=group, counts=counts[0]),
            of("scripts", name, ZKPY, problem, group=group, counts=on_zkpy),
        ]
    why = problem or "the script was not played on both servers"
    return [
        of("scripts", name, REAL, why, group=group, counts=counts[0] if counts else {}),
        of("scripts", name, ZKPY, "there is no answer of the real server to compare with", group=group),
    ]


if __name__ == "__main__":
    sys.exit("this is a pytest plugin: python -m pytest -p compat.results compat")
