"""The suites: what a pass of each means, and how each is run on both servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from compat import results
from compat.realzk import ADDRESS_VARIABLE
from compat.sources import digest_of_sources

ROOT: Final = Path(__file__).resolve().parent.parent.parent
GENERATED: Final = "generated"
_SCRIPTS: Final = 100


@attrs.frozen
class Suite:
    """A suite: what it is called, what a pass means, and how it is run."""

    name: str
    title: str
    items: str
    about: str
    commands: tuple[tuple[str, ...], ...]
    """Arguments of the interpreter, with ``{folder}`` for that of the results."""
    takes: str
    limit_s: int


def _pytest(module: str, *options: str) -> tuple[str, ...]:
    recording = ("-p", "compat.results", "--compat-results", "{folder}")
    return ("-m", "pytest", "-q", *recording, f"compat/{module}.py", *options)


_KAZOO: Final = ("-m", "compat.kazoo_suite", "--results", "{folder}", "--server")

SUITES: Final = (
    Suite(
        "kazoo",
        "kazoo's own tests",
        "tests",
        "kazoo's test-suite as it is in its wheel, through its own harness, which starts the server. A test "
        "which fails is run once more; if it passes then, that is noted. The tests which need several "
        "servers do not apply to a standalone one. Tests of features which zkpy does not have count as "
        "failed, without a run.",
        ((*_KAZOO, "zkpy", "--without", "sasl", "--without", "tls"), (*_KAZOO, "java")),
        "3 to 5 minutes on each server",
        900,
    ),
    Suite(
        "zkcli",
        "ZooKeeper's command line",
        "commands",
        "`ZooKeeperMain`, unchanged, with six scripts in which all its commands are used. A command passes "
        "when everything printed for it equals what is printed with a fresh real server, zxids included; "
        "only times, session ids and ports are masked. For the real server's column a second real server is "
        "compared with the first.",
        (_pytest("test_zkcli", "--server", "both"),),
        "1 minute",
        600,
    ),
    Suite(
        "curator",
        "Curator's recipes",
        "checks",
        "Apache Curator, unchanged. A check passes when the recipe does what its documentation says; the "
        "program ends at the first which does not.",
        (_pytest("test_curator", "--server", "both"),),
        "15 seconds",
        300,
    ),
    Suite(
        "fourletter",
        "Four-letter words",
        "words",
        "A word passes when its answer, after the same history of two sessions, has the same text as a real "
        "server's; times, ports, sizes of files and what measures speed are masked. Of `mntr` the names of "
        "all metrics and the values of those which do not measure speed are compared. For the real server's "
        "column a second real server is compared with the first.",
        (_pytest("test_fourletter", "--server", "both"),),
        "15 seconds",
        300,
    ),
    Suite(
        "scripts",
        "Written scripts",
        "rules",
        "Each script plays one rule of the protocol against both servers. On the real server it passes when "
        "the errors and values which the script names are those that come; on zkpy it passes when, besides, "
        "every frame that the server sends is the same byte for byte, once session ids, passwords, times and "
        "zxids are mapped and lists without an order sorted. The rules which are played on zkpy alone have "
        "no outcome on the real server.",
        (_pytest("test_semantics"),),
        "20 seconds",
        300,
    ),
    Suite(
        GENERATED,
        "Generated scripts",
        "scripts",
        "Scripts made from a seed, played against both servers: every answer, the four-letter words, the "
        "transaction logs and the tree digests are compared. The real server is the measure here.",
        (
            (
                "-m",
                "compat.generated",
                "--scripts",
                str(_SCRIPTS),
                "--steps",
                "100",
                "--output",
                "{folder}/generated.json",
            ),
        ),
        "2 to 4 minutes",
        900,
    ),
)
BY_NAME: Final = {suite.name: suite for suite in SUITES}


def generated_file(folder: Path) -> Path:
    return folder / "generated.json"


def files_of(suite: Suite, folder: Path) -> list[Path]:
    """The files in which a suite leaves its results."""
    if suite.name == GENERATED:
        return [generated_file(folder)]
    return [results.file_of(folder, suite.name, server) for server in results.SERVERS]


def _has_longer_run(folder: Path) -> bool:
    """Whether more generated scripts were played already, as by ``make compat-long``."""
    try:
        found = json.loads(generated_file(folder).read_text())
        same = found["header"]["sources"] == digest_of_sources()
        return same and int(found["scripts"]) > _SCRIPTS and not found["failures"]
    except (OSError, ValueError, KeyError):
        return False


def run(suite: Suite, folder: Path) -> list[str]:
    """Run a suite on both servers; returns what could not be done."""
    problems = []
    if suite.name == GENERATED and _has_longer_run(folder):
        print(f"\n== {suite.title}: {generated_file(folder)} has more, and is kept")
        return []
    for path in files_of(suite, folder):
        path.unlink(missing_ok=True)
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    for command in suite.commands:
        arguments = [argument.replace("{folder}", str(shown)) for argument in command]
        print(f"\n== {suite.title}: python {' '.join(arguments)}", flush=True)
        status = _status([sys.executable, *arguments], suite.limit_s)
        if status not in (0, 1):
            ended = "took too long" if status is None else f"ended with status {status}"
            problems.append(f"{suite.name}: python {' '.join(arguments)} {ended}")
    for path in files_of(suite, folder):
        if not path.exists():
            problems.append(f"{suite.name}: there is no {path.name}")
    return problems


def _status(command: Sequence[str], limit_s: int) -> int | None:
    """The command's exit status; None when it took too long and was ended, with all that it had started."""
    environment = {
        name: value for name, value in os.environ.items() if name not in (ADDRESS_VARIABLE, results.VARIABLE)
    }
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        return process.wait(limit_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise
