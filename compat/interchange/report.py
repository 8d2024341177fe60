"""The outcomes as text for a terminal, as JSON, and as a document."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from compat import realzk
from compat.interchange.case import COLUMNS, FAILED, OK, OLD_SNAP_COUNT, SNAP_COUNT, Outcome
from compat.interchange.cases import PAIRS
from compat.interchange.content import DESCRIPTIONS
from compat.interchange.explained import EXPLAINED
from zkpy import __version__

COMMAND: Final = "python -m compat.interchange"
REFUSED: Final = "refused, as explained"
_LENGTH: Final = 300
_FACTS: Final = {
    "sessions": "they resume with id and password, with their timeouts and ephemerals, not with another "
    "password; those that nobody resumes expire, and their ephemerals go",
    "in flight": "of the requests that were under way when a process was killed the first ones count, with "
    "all that were acknowledged",
    "zxid": "the last zxid",
    "digest": "each server's is the one computed from what clients see; replaying gives all those in the "
    "log; no server counts a mismatch",
    "files": "there were several logs and snapshots, compressed as told",
    "tools": "`TxnLogToolkit` and `SnapshotFormatter` of the Java version read the files without complaint, "
    "and count what is in there",
    "start": "every server started",
}


def result(outcome: Outcome) -> str:
    """One word for a case, or what differed first."""
    if outcome.ok:
        return REFUSED if outcome.case.refused else OK
    first = outcome.found[0]
    columns = ", ".join(column for column in COLUMNS if outcome.cell(column) == FAILED)
    return f"{FAILED} ({columns}); first {first.where}: {_shortened(first.text)}"


def line(outcome: Outcome) -> str:
    """A case for the terminal."""
    case = outcome.case
    words = (f"{case.writer} -> {case.reader}", case.compression or "plain", case.stop, case.settings.name)
    head = "{:<15}{:<8}{:<7}{:<34}".format(*words)
    return f"{head}{outcome.seconds:5.1f} s  {result(outcome)}"


def summary(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """For each column and each pair of servers, how many of the cases that looked at it found it the same."""
    rows = []
    for column in COLUMNS:
        row = [column]
        for pair in PAIRS:
            cells = [o.cell(column) for o in outcomes if (o.case.writer, o.case.reader) == pair]
            looked_at = [cell for cell in cells if cell in (OK, FAILED)]
            row.append(f"{looked_at.count(OK)} of {len(looked_at)}" if looked_at else "")
        rows.append(row)
    return rows


def text(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The matrix for the terminal, and all differences."""
    head = ["", *(f"{writer} -> {reader}" for writer, reader in PAIRS)]
    rows = [head, *summary(outcomes)]
    lines = ["".join(f"{cell:<16}" for cell in row).rstrip() for row in rows]
    for outcome in outcomes:
        for one in outcome.found:
            lines.append(f"\n{outcome.case.name}: {one.column}: {one.where}: {one.text}")
    failed = sum(not outcome.ok for outcome in outcomes)
    lines.append(f"\n{len(outcomes)} directories, {failed} failed, {seconds:.0f} s")
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "header": {
            "zkpy": __version__,
            "zookeeper": [realzk.VERSION, realzk.DEBIAN_VERSION],
            "python": platform.python_version(),
            "date": date.today().isoformat(),
            "seconds": round(seconds),
        },
        "cases": [_case_json(outcome) for outcome in outcomes],
    }


def _case_json(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "writer": case.writer,
        "reader": case.reader,
        "compression": case.compression,
        "stop": case.stop,
        "settings": case.settings.name,
        "ok": outcome.ok,
        "refused": case.refused,
        "cells": {column: outcome.cell(column) for column in COLUMNS},
        "differences": [
            {"column": one.column, "where": one.where, "text": _shortened(one.text)} for one in outcome.found
        ],
        "znodes": outcome.nodes,
        "transactions": outcome.transactions,
        "logs": outcome.log_files,
        "snapshots": outcome.snapshots,
        "log_only": outcome.log_only,
        "seconds": round(outcome.seconds, 1),
    }


def document(outcomes: Sequence[Outcome], seconds: float) -> str:
    """docs/interchange.md."""
    failed = sum(not outcome.ok for outcome in outcomes)
    pairs = [f"{writer} → {reader}" for writer, reader in PAIRS]
    verdict = "all of them arrived whole" if not failed else f"**{failed} of them did not arrive whole**"
    parts = [
        "# Data directories between zkpy and ZooKeeper",
        f"Made by `make interchange` (`{COMMAND} --output docs/interchange.md`) on "
        f"{date.today().isoformat()}: zkpy {__version__} on Python {platform.python_version()}, "
        f"Apache ZooKeeper {realzk.VERSION} and "
        f"{realzk.DEBIAN_VERSION} (Debian), {len(outcomes)} directories in {seconds:.0f} s; {verdict}.",
        "In each case one server writes a directory (with a restart in between), another one is started on "
        "it, goes on writing and ends, and the first one takes it back. After every change of server a "
        "client reads all paths, data, Stats and ACLs, and compares them with what was there before; the "
        "servers are ended with SIGTERM (clean) or SIGKILL (kill), with sessions open. A snapshot is taken "
        "about every "
        f"{SNAP_COUNT // 2} to {SNAP_COUNT} transactions (by {realzk.DEBIAN_VERSION} at each start only: "
        "`snapCount` is "
        + f"{OLD_SNAP_COUNT:,}), so that content stands in snapshots, in several logs, and in "
        "the last log alone. Watches are not stored by any server.",
        "## What was the same",
        "Cases in which it was, of those which looked at it. Back and forth count as one.",
        _table(
            ["", "what it is", *pairs],
            ([row[0], {**DESCRIPTIONS, **_FACTS}[row[0]], *row[1:]] for row in summary(outcomes)),
        ),
        "## Each directory",
        _table(
            [
                "writer",
                "reader",
                "snapshots",
                "end",
                "settings",
                "znodes",
                "transactions",
                "in the log only",
                "result",
            ],
            (
                [
                    o.case.writer,
                    o.case.reader,
                    o.case.compression or "plain",
                    o.case.stop,
                    o.case.settings.name,
                    f"{o.nodes:,}",
                    f"{o.transactions:,}",
                    f"{o.log_only:,}",
                    result(o),
                ]
                for o in outcomes
            ),
        ),
        "## What cannot be the same",
        *(f"**{title}.** {reason}" for title, reason in EXPLAINED),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _shortened(value: str) -> str:
    return value if len(value) <= _LENGTH else f"{value[:_LENGTH]}…"
