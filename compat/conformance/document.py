"""The document, from what was found: a summary, what failed, then a section for each suite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Final

from compat import results
from compat.conformance.found import Everything
from compat.conformance.suites import BY_NAME, GENERATED, SUITES, Suite
from compat.explained import BY_ID, EXPLAINED
from compat.results import FAILED, PASSED, Result, Run

NO_ANSWER: Final = "-"
_SHOWN_FAILURES: Final = 10
_SHOWN_LINES: Final = 20


def table(head: Sequence[str], lines: Iterable[Sequence[object]], *, numbers: int = 0) -> str:
    """A Markdown table; its last *numbers* columns are aligned to the right."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    rows = [head, rule, *([_cell(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else text


def _slug(title: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _link(suite: Suite) -> str:
    return f"[{suite.title}](#{_slug(suite.title)})"


def _counts(found: Iterable[Result] | None) -> list[object]:
    """Passed, failed, not applicable."""
    if found is None:
        return ["not run", NO_ANSWER, NO_ANSWER]
    counts = Counter(result.outcome for result in found)
    return [counts[outcome] for outcome in results.OUTCOMES]


def _of(run: Run | None) -> Sequence[Result] | None:
    return None if run is None else run.results


def _in_group(run: Run | None, group: str) -> list[Result] | None:
    return None if run is None else [result for result in run.results if result.group == group]


def _among(run: Run | None, items: Collection[str]) -> list[Result] | None:
    return None if run is None else [result for result in run.results if result.item in items]


def _outcome(run: Run | None, item: str) -> str:
    if run is None:
        return "not run"
    result = run.by_item().get(item)
    if result is None:
        return NO_ANSWER
    return f"**{FAILED}**" if result.outcome == FAILED else result.outcome


def _items(*runs: Run | None) -> list[str]:
    return list(dict.fromkeys(result.item for run in runs if run is not None for result in run.results))


_BOTH: Final = tuple(
    f"{server}: {what}" for server in ("zkpy", "real") for what in ("passed", "failed", "n/a")
)


def render(found: Everything) -> str:
    sections = [
        _introduction(found),
        _summary(found),
        _failures(found),
        *(f"## {suite.title}\n\n{suite.about}\n\n{_SECTIONS[suite.name](found)}" for suite in SUITES),
        _explained(found),
        _made(found),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _introduction(found: Everything) -> str:
    values: dict[str, dict[str, None]] = {}
    for run in found.runs.values():
        for name, version in run.header.versions.items():
            values.setdefault(name, {})[version] = None
    if found.generated is not None:
        for key, name in (("zkpy", "zkpy"), ("zookeeper", "ZooKeeper"), ("python", "Python")):
            if key in found.generated.header:
                values.setdefault(name, {})[str(found.generated.header[key])] = None
    dates = sorted(_dates(found))
    if dates:
        values["Date"] = dict.fromkeys(
            [dates[0]] if dates[0] == dates[-1] else [f"{dates[0]} to {dates[-1]}"]
        )
    return f"""\
# Conformance

The same unchanged programs and the same requests, against zkpy and against a real Apache ZooKeeper. This
page is written by `make conformance` from what the suites found; nothing in it is edited by hand.

- **passed**, **failed**: what that means is said at the beginning of each section.
- **n/a**, not applicable: the item says nothing about this server, for the reason given with it.
- The real server is put through the checks as well: what it does not pass is wrong in the check, or depends
  on time, and says nothing against zkpy.
- Where zkpy is known to differ, and why, is listed under [Explained differences](#explained-differences).

{table(("", "Version"), [(name, ", ".join(of)) for name, of in values.items()]) if values else ""}"""


def _dates(found: Everything) -> set[str]:
    dates = {run.header.date for run in found.runs.values()}
    if found.generated is not None and found.generated.header.get("date"):
        dates.add(str(found.generated.header["date"]))
    return dates


def _summary(found: Everything) -> str:
    lines: list[list[object]] = []
    for suite in SUITES:
        if suite.name == GENERATED:
            made = found.generated
            counts: list[object] = [*_counts(None), NO_ANSWER, NO_ANSWER, NO_ANSWER]
            if made is not None:
                failed = made.failed_scripts
                counts = [made.scripts - failed, failed, 0, "the measure", NO_ANSWER, NO_ANSWER]
        else:
            counts = [count for run in found.pair(suite.name) for count in _counts(_of(run))]
        lines.append([_link(suite), _counted(found, suite), *counts])
    return "## Summary\n\n" + table(("Suite", "Counted", *_BOTH), lines, numbers=6)


def _counted(found: Everything, suite: Suite) -> str:
    """How many items there are, and what else counts as one."""
    if suite.name == GENERATED:
        return suite.items if found.generated is None else f"{found.generated.scripts:,} {suite.items}"
    pair = found.pair(suite.name)
    items = {result.item: result for run in pair for result in _of(run) or ()}
    others = sum(item.startswith("(") or result.group == results.LOGS for item, result in items.items())
    also = f", {others:,} other checks" if others else ""
    return f"{len(items) - others:,} {suite.items}{also}" if items else suite.items


def _failures(found: Everything) -> str:
    lines = []
    for suite in SUITES:
        for server, run in zip(("zkpy", "real"), found.pair(suite.name), strict=True):
            for result in _of(run) or ():
                if result.outcome == FAILED:
                    lines.append((_link(suite), _code(result.item), server, result.reason))
    text = "## What failed\n\n"
    if found.generated is not None and found.generated.failures:
        count = len(found.generated.failures)
        lines.append((_link(BY_NAME[GENERATED]), f"{count} differences", "zkpy", "shown in that section"))
    if not lines:
        return f"{text}Nothing{'' if found.runs else ': nothing was run'}."
    return text + table(("Suite", "Item", "On", "Why"), lines)


def _notes(found: Everything, suite: str) -> str:
    """The items of which more is to be said than that they passed."""
    pair = found.pair(suite)
    lines = []
    for item in _items(*pair):
        said = [run.by_item().get(item) if run is not None else None for run in pair]
        reasons = list(
            dict.fromkeys(result.reason for result in said if result is not None and result.reason)
        )
        if reasons or any(result is not None and result.outcome != PASSED for result in said):
            lines.append((_code(item), *(_outcome(run, item) for run in pair), "; ".join(reasons)))
    if not lines:
        return ""
    head = ("Item", "zkpy", "real", "Why")
    return f"Not simply passed on both:\n\n{table(head, lines)}"


def _kazoo(found: Everything) -> str:
    pair = found.pair("kazoo")
    if pair == (None, None):
        return "Not run."
    modules = sorted({result.group for run in pair if run is not None for result in run.results})
    lines: list[list[object]] = []
    for module in modules:
        counts = [_counts(_in_group(run, module)) for run in pair]
        lines.append([_code(module), *counts[0], *counts[1]])
    lines.append(["all", *(count for run in pair for count in _counts(_of(run)))])
    return f"{table(('Module', *_BOTH), lines, numbers=6)}\n\n{_notes(found, 'kazoo')}"


def _by_item(suite: str, head: str, counted: str | None) -> Callable[[Everything], str]:
    """A section with a line for each item, sorted by name; what is not one of the items comes last."""

    def section(found: Everything) -> str:
        pair = found.pair(suite)
        if pair == (None, None):
            return "Not run."
        lines: list[list[object]] = []
        for item in sorted(_items(*pair), key=lambda item: (item.startswith("("), item.lower())):
            line: list[object] = [_code(item) if item[0] != "(" else item]
            line += [_outcome(run, item) for run in pair]
            if counted is not None:
                results_of = [run.by_item().get(item) for run in pair if run is not None]
                line.append(max(sum(result.counts.values()) for result in results_of if result is not None))
            lines.append(line)
        columns = (head, "zkpy", "real", *([counted] if counted else []))
        return f"{table(columns, lines, numbers=1 if counted else 0)}\n\n{_notes(found, suite)}"

    return section


def _chapter(module: str) -> str:
    """What the module of a chapter's scripts says about itself."""
    if module == results.LOGS:
        return "What all scripts together leave in the transaction logs"
    try:
        text = import_module(f"compat.scripts.{module}").__doc__ or module
    except ImportError:
        text = module
    return text.strip().splitlines()[0].rstrip(".")


def _scripts(found: Everything) -> str:
    pair = found.pair("scripts")
    if pair == (None, None):
        return "Not run."
    zkpy, real = pair
    chapters = list(dict.fromkeys(result.group for run in pair if run is not None for result in run.results))
    lines: list[list[object]] = []
    rules = []
    for chapter in chapters:
        counts = [_counts(_in_group(run, chapter)) for run in pair]
        lines.append([_chapter(chapter), *counts[0], *counts[1]])
        rules.append(f"\n{_chapter(chapter)}:\n")
        for item in _items(*(run for run in pair)):
            one = next(run.by_item()[item] for run in pair if run is not None and item in run.by_item())
            if one.group == chapter:
                rules.append(f"- {item.removeprefix('test_').replace('_', ' ')}: {_outcome(zkpy, item)}")
    parts = [
        "By chapter:",
        table(("Chapter", *_BOTH), lines, numbers=6),
        "By operation: the scripts which send it, and the requests of it which they send to zkpy. "
        "Operations inside a multi are not counted apart.",
        table(("Operation", "Scripts", "Requests", *_BOTH), _operations(zkpy, real), numbers=8),
        _notes(found, "scripts"),
        f"<details><summary>All rules, with zkpy's outcome</summary>\n{chr(10).join(rules)}\n\n</details>",
    ]
    return "\n\n".join(part for part in parts if part)


def _operations(zkpy: Run | None, real: Run | None) -> list[list[object]]:
    lines: list[list[object]] = []
    either = zkpy or real
    for name in (*results.operations().values(), results.UNKNOWN):
        sent = [result for result in (_of(either) or ()) if name in result.counts]
        items = {result.item for result in sent}
        requests = sum(result.counts[name] for result in sent)
        title = name if name == results.UNKNOWN else _code(name)
        counts = [_counts(_among(run, items)) for run in (zkpy, real)]
        lines.append([title, len(sent), requests, *counts[0], *counts[1]])
    return lines


def _generated(found: Everything) -> str:
    made = found.generated
    if made is None:
        return "Not run."
    compared = [f"{made.scripts:,} scripts from seed {made.seed:,} on with {made.steps:,} steps in all"]
    for count, what in (
        (made.answers, "answers compared"),
        (made.log_entries, "entries of transaction logs"),
        (made.digests, "tree digests"),
    ):
        if count is not None:
            compared.append(f"{count:,} {what}")
    explained = sum(made.explained.values())
    compared.append(f"{len(made.failures):,} differences without an explanation")
    compared.append(f"{explained:,} explained ones")
    parts = [f"{', '.join(compared[:-1])}, and {compared[-1]}."]
    if made.profiles:
        shares = ", ".join(f"{name} {count}" for name, count in sorted(made.profiles.items()))
        parts.append(f"Scripts by the settings of their servers: {shares}.")
    lines = [
        (_code(name), *(counts.get(key, 0) for key in ("requests", "differences", "explained")))
        for name, counts in sorted(made.operations.items(), key=lambda item: item[0].lower())
    ]
    parts.append(table(("Operation or comparison", "Requests", "Differences", "Explained"), lines, numbers=3))
    if made.explained:
        titles = [(_explained_link(id), count) for id, count in sorted(made.explained.items())]
        parts.append(table(("Explained difference", "Met"), titles, numbers=1))
    for failure in made.failures[:_SHOWN_FAILURES]:
        shown = str(failure.get("text", "")).replace("```", "'''").splitlines()
        if len(shown) > _SHOWN_LINES:
            shown[_SHOWN_LINES:] = ["..."]
        text = "\n".join(shown)
        parts.append(f"Seed {failure.get('seed', '?')}:\n\n```\n{text}\n```")
    if len(made.failures) > _SHOWN_FAILURES:
        parts.append(f"{len(made.failures) - _SHOWN_FAILURES} more are in the results.")
    return "\n\n".join(parts)


def _explained_link(id: str) -> str:
    return f"[{BY_ID[id].title}](#{id})" if id in BY_ID else id


def _explained(found: Everything) -> str:
    met = found.generated.explained if found.generated is not None else {}
    parts = [
        "## Explained differences",
        "Known, with a reason. Inputs of which it is not certain that a Java server withstands them are not "
        "sent to it; zkpy must refuse them or take them as plain data, and stay in service.",
    ]
    for one in EXPLAINED:
        lines = [
            f"- zkpy: {one.zkpy}",
            f"- real: {one.real}",
            f"- {one.reason}",
            f"- Shown by {', '.join(_code(name) for name in one.shown)}.",
        ]
        if one.id in met:
            lines.append(f"- Met {met[one.id]:,} times by the generated scripts.")
        parts.append(f'### <a id="{one.id}"></a>{one.title}\n\n' + "\n".join(lines))
    return "\n\n".join(parts)


def _made(found: Everything) -> str:
    lines: list[tuple[object, ...]] = []
    by_command: dict[tuple[object, ...], list[str]] = {}
    for (suite, server), run in found.runs.items():
        head = run.header
        how = (BY_NAME[suite].title, head.date, f"{head.seconds:,} s", _code(head.command))
        by_command.setdefault(how, []).append(server)
    for (title, date, seconds, command), servers in by_command.items():
        lines.append((title, "both" if len(servers) > 1 else servers[0], date, seconds, command))
    if found.generated is not None:
        head_of = found.generated.header
        seconds = f"{head_of['seconds']:,} s" if "seconds" in head_of else NO_ANSWER
        command = _code(str(head_of.get("command", NO_ANSWER)))
        title = BY_NAME[GENERATED].title
        lines.append((title, "both", str(head_of.get("date", NO_ANSWER)), seconds, command))
    if not lines:
        return ""
    return "## How it was made\n\n" + table(("Suite", "Server", "Date", "Took", "Command"), lines)


_SECTIONS: Final[Mapping[str, Callable[[Everything], str]]] = {
    "kazoo": _kazoo,
    "zkcli": _by_item("zkcli", "Command", "Answers compared"),
    "curator": _by_item("curator", "Check", None),
    "fourletter": _by_item("fourletter", "Word", None),
    "scripts": _scripts,
    GENERATED: _generated,
}
