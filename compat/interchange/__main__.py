"""Move data directories between servers: ``python -m compat.interchange --help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from compat import realzk
from compat.interchange import report
from compat.interchange.case import Outcome, java_classpath, run_case
from compat.interchange.cases import Case, all_cases, telling_cases

JOBS: Final = 3
"""Directories at a time: servers mostly wait, for a JVM's start or a session's end."""
MEMORY_FOLDER: Final = Path("/dev/shm")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    cases = telling_cases() if options.short else all_cases()
    cases = [case for case in cases if options.only in case.name]
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        print(f"no case has {options.only!r} in its name", file=sys.stderr)
        return 2
    if MEMORY_FOLDER.is_dir() and not os.environ.get("TMPDIR"):
        os.environ["TMPDIR"] = str(MEMORY_FOLDER)  # a process's end is survived on any medium
        tempfile.tempdir = None
    try:
        for version in sorted({case.java for case in cases}):
            java_classpath(version)
    except realzk.ZooKeeperUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()
    outcomes = run(cases, options.jobs)
    seconds = time.monotonic() - started
    print(f"\n{report.text(outcomes, seconds)}")
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(outcomes, seconds), indent=1) + "\n", "utf-8")
    if options.output is not None:
        options.output.write_text(report.document(outcomes, seconds), "utf-8")
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def run(cases: Sequence[Case], jobs: int) -> list[Outcome]:
    """Run cases, some at a time, and print each when it is done; the result is in their order."""
    done: dict[str, Outcome] = {}
    with ThreadPoolExecutor(jobs) as workers:
        for running in as_completed([workers.submit(run_case, case) for case in cases]):
            outcome = running.result()
            done[outcome.case.name] = outcome
            print(report.line(outcome), flush=True)
    return [done[case.name] for case in cases]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=report.COMMAND,
        description="Write data directories with zkpy and with Java servers, read and extend them with the "
        "other, take them back, and compare all that clients can see, sessions, zxids and digests.",
        epilog="Exit status: 0 when everything is the same, 1 when not, 2 when there is no Java server.",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their names")
    parser.add_argument("--short", action="store_true", help="a few telling cases")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and run none")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"directories at a time (default: {JOBS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the document")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
