"""Tables: on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from bench.rows import Row, Sample
from bench.servers import java_executable, python_title

BEGIN, END = "<!-- bench{}:begin -->", "<!-- bench{}:end -->"
Results = Mapping[str, Mapping[str, Sequence[Sample]]]
"""Row name, then server name, then one sample per round."""


@attrs.frozen
class Table:
    head: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        rule = ("---",) + ("---:",) * (len(self.head) - 1)
        return "\n".join("| " + " | ".join(line) + " |" for line in (self.head, rule, *self.lines))

    def plain(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in (self.head, *self.lines)
        )


def median(samples: Sequence[Sample], key: str) -> float | None:
    values = [float(sample[key]) for sample in samples if key in sample]
    return statistics.median(values) if values else None


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f} %"


def ratio(row: Row, zkpy: float | None, java: float | None) -> str:
    """Above 1 when zkpy is ahead, whatever the row's direction."""
    if not zkpy or not java:
        return "-"
    return f"{zkpy / java if row.more_is_better else java / zkpy:.2f}"


def comparison(rows: Sequence[Row], results: Results) -> Table:
    """Both servers side by side."""
    head = ("", "zkpy", "Java", "ratio", "zkpy p50 / p99 µs", "Java p50 / p99 µs", "generator CPU")
    lines = []
    for row in rows:
        pair = [results.get(row.name, {}).get(name, ()) for name in ("zkpy", "java")]
        values = [median(samples, "value") for samples in pair]
        shares = " / ".join(percent(median(samples, "generator_cpu")) for samples in pair)
        lines.append(
            (
                row.title,
                number(values[0], row.unit),
                number(values[1], row.unit),
                ratio(row, *values),
                *(_latency(samples) for samples in pair),
                shares if "%" in shares else "",
            )
        )
    return Table(head, lines)


def single(rows: Sequence[Row], results: Results, name: str) -> Table:
    """One server's absolute figures, with the best of the rounds and where the time went."""
    head = ("", "median", "best", "p50 / p99 µs", "server CPU", "µs CPU/op", "generator CPU", "others' CPU")
    lines = []
    for row in rows:
        samples = results.get(row.name, {}).get(name, ())
        pick = max if row.more_is_better else min
        bests = [float(sample["best"] if "best" in sample else sample["value"]) for sample in samples]
        lines.append(
            (
                row.title,
                number(median(samples, "value"), row.unit),
                number(pick(bests) if bests else None),
                _latency(samples),
                percent(median(samples, "server_cpu")),
                number(median(samples, "server_us_per_op")),
                percent(median(samples, "generator_cpu")),
                percent(median(samples, "other_cpu")),
            )
        )
    return Table(head, lines)


def _latency(samples: Sequence[Sample]) -> str:
    p50, p99 = median(samples, "p50_us"), median(samples, "p99_us")
    return "" if p50 is None else f"{number(p50)} / {number(p99)}"


# ---- surroundings ------------------------------------------------------------------------------------------


def machine(file_system: str) -> dict[str, str]:
    """What a reader needs to judge the figures."""
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system,
        "Python": python_title(),
        "Java": _java_version(),
    }


def _cpu_model() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1] if match else platform.machine()


def _java_version() -> str:
    try:
        text = subprocess.run(
            [java_executable(), "-version"], capture_output=True, text=True, check=True
        ).stderr
    except (OSError, subprocess.CalledProcessError):
        return "none"
    lines = [line for line in text.splitlines() if "Runtime" in line or "version" in line]
    return lines[-1].strip() if lines else "unknown"


def write_markdown(path: Path, body: str, block_name: str = "") -> None:
    """Replaces what stands between the marks, so that text written by hand around them survives.

    *block_name* chooses among several tables of one file.
    """
    begin, end = (mark.format(f":{block_name}" if block_name else "") for mark in (BEGIN, END))
    block = f"{begin}\n{body.strip()}\n{end}\n"
    old = path.read_text() if path.exists() else ""
    if begin in old and end in old:
        before, rest = old.split(begin, 1)
        after = rest.split(end, 1)[1].lstrip("\n")
        path.write_text(before + block + ("\n" if after else "") + after)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Performance\n\n{block}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
