"""Command line of the benchmark: picks rows and servers, runs them in turn, prints and writes the tables."""

from __future__ import annotations

import argparse
import datetime
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench import ensemble, report
from bench.load import generator
from bench.rows import GROUPS, Group, Row, Sample, Settings, ceiling, raise_file_limit
from bench.servers import ROOT, BenchError, Kind, file_system, free_port, java_kind, zkpy_kind

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
SUSPECT_SHARE = 0.7
LOCAL_OPTIONS = ("--dir", "--python", "--json", "--write", "--block")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--ensemble", action="store_true", help="three servers of each kind instead of one")
    parser.add_argument("--rounds", type=int, default=1, help="alternate the servers N times, take medians")
    parser.add_argument("--quick", action="store_true", help="1 s per row instead of 3, fewer repeats")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows to run")
    parser.add_argument("--server", choices=("zkpy", "java"), help="run one side, print absolute figures")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument(
        "--retries", type=int, default=0, help="repeat a row up to N times while other processes are busy"
    )
    parser.add_argument("--ceiling", action="store_true", help="measure the load generator against an echo")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs zkpy")
    parser.add_argument("--python-generator", action="store_true", help="do without the C load generator")
    parser.add_argument("--dir", type=Path, default=ROOT / "build" / "bench", help="where the servers write")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--block", default="", metavar="NAME", help="with --write: the table of this name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample as JSON")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    groups = ensemble.GROUPS if options.ensemble else GROUPS
    rows = [row for group in groups for row in group.rows if row.matches(options.only)]
    if options.ensemble and not options.only:
        rows = [row for row in rows if row not in ensemble.OPTIONAL]
    if options.list or not rows:
        print("\n".join(row.name for group in groups for row in group.rows))
        return 0 if options.list else 2
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that servers are stopped
    directory: Path = options.dir.resolve()
    try:
        load = generator(directory, options.python_generator)
        settings = Settings.make(directory, load, options.quick, options.retries)
        disk = file_system(directory)
        if disk in MEMORY_FILE_SYSTEMS:
            raise BenchError(f"{directory} is on {disk}: its syncs cost nothing; choose another --dir")
        if options.ceiling:
            return _print_ceiling(settings)
        kinds = [
            zkpy_kind(options.python) if name == "zkpy" else java_kind()
            for name in ("zkpy", "java")
            if options.server in (None, name)
        ]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    began = time.monotonic()
    results: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    try:
        _run(groups, rows, kinds, settings, options.rounds, results, failures)
    except (KeyboardInterrupt, SystemExit):
        failures.append("interrupted: not all rows were measured")
    elapsed_s = time.monotonic() - began

    if options.server:
        table = report.single(rows, results, options.server)
    else:
        table = report.comparison(rows, results)
    notes = _notes(results, settings)
    print(table.plain())
    for note in [*notes, *failures]:
        print(note)
    if options.write:
        about = {
            "date": datetime.date.today().isoformat(),
            "command": shlex.join(["python", "-m", "bench", *_public(arguments)]),
            "took": f"{elapsed_s / 60:.0f} min",
            **report.machine(disk),
            "servers": ", ".join(kind.title for kind in kinds) + ", the same zoo.cfg, forceSync on",
            "load generator": settings.generator.language,
        }
        facts = "\n".join(f"- {key}: {value}" for key, value in about.items())
        reading = "A ratio above 1 means that zkpy is ahead, whether more or less is better in that row."
        remarks = "\n".join(f"- {note}" for note in [*notes, *failures])
        text = f"{facts}\n\n{reading}\n\n{table.markdown()}\n\n{remarks}"
        report.write_markdown(options.write, text, options.block)
    if options.json:
        content = {"machine": report.machine(disk), "rounds": options.rounds, "rows": results}
        report.write_json(options.json, content)
    return 1 if failures else 0


def _run(
    groups: Sequence[Group],
    rows: list[Row],
    kinds: list[Kind],
    settings: Settings,
    rounds: int,
    results: dict[str, dict[str, list[Sample]]],
    failures: list[str],
) -> None:
    for turn in range(rounds):
        for group in groups:
            wanted = [row for row in group.rows if row in rows]
            if not wanted:
                continue
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                try:
                    for row, sample in group.run(kind, settings, wanted):
                        results[row.name][kind.name].append(sample)
                        _progress(turn, kind, row, sample)
                except (BenchError, OSError) as error:
                    failures.append(f"{kind.name}, {wanted[0].name} and following: {error}")
                    print(failures[-1], file=sys.stderr)


def _progress(turn: int, kind: Kind, row: Row, sample: Sample) -> None:
    shares = "  ".join(f"{key} {sample[key]:.2f}" for key in ("generator_cpu", "other_cpu") if key in sample)
    value = report.number(sample["value"], row.unit)
    print(f"[{turn + 1}] {kind.name:5} {row.name:26} {value:>16}  {shares}", file=sys.stderr, flush=True)


def _notes(results: report.Results, settings: Settings) -> list[str]:
    notes = []
    for name, servers in results.items():
        for server, samples in servers.items():
            share = report.median(samples, "generator_cpu")
            if share is not None and share > SUSPECT_SHARE:
                notes.append(
                    f"{name}, {server}: the load generator, at {share:.0%} of a core, may be the limit"
                )
            connections = samples[0].get("connections", settings.watches)
            if connections < settings.watches:
                notes.append(f"{name}, {server}: only {connections} connections, by the limit of open files")
    return notes


def _print_ceiling(settings: Settings) -> int:
    rows, results = [], {}
    for row, sample in ceiling(settings, free_port()):
        rows.append(row)
        results[row.name] = {"echo": [sample]}
    print(report.single(rows, results, "echo").plain())
    return 0


def _public(arguments: Sequence[str]) -> list[str]:
    """The arguments without local paths."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in LOCAL_OPTIONS:
            skip = True
        elif not argument.startswith(tuple(f"{option}=" for option in LOCAL_OPTIONS)):
            kept.append(argument)
    return kept
