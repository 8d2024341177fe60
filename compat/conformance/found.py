"""All results that there are, read from their folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from compat import results
from compat.conformance.suites import SUITES, generated_file
from compat.results import REAL, ZKPY, MalformedResults, Run


@attrs.frozen
class Generated:
    """What `compat.generated` found."""

    header: Mapping[str, Any]
    scripts: int
    steps: int
    seed: int
    operations: Mapping[str, Mapping[str, int]]
    answers: int | None = None
    log_entries: int | None = None
    digests: int | None = None
    profiles: Mapping[str, int] = attrs.field(factory=dict)
    explained: Mapping[str, int] = attrs.field(factory=dict)
    failures: Sequence[Mapping[str, Any]] = ()

    @property
    def failed_scripts(self) -> int:
        return min(self.scripts, len({failure.get("seed") for failure in self.failures}))


def read_generated(path: Path) -> Generated:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise MalformedResults(f"{path.name}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedResults(f"{path.name}: {type(found).__name__}, not an object")
    known = {field.name for field in attrs.fields(Generated)}
    try:
        made = Generated(**{name: value for name, value in found.items() if name in known})
    except TypeError as error:
        raise MalformedResults(f"{path.name}: {error}") from None
    tables = (made.header, made.operations, made.profiles, made.explained)
    if not all(isinstance(table, dict) for table in tables) or not isinstance(made.failures, list):
        raise MalformedResults(f"{path.name}: a table or list is something else")
    for counts in (made.profiles, made.explained, *made.operations.values()):
        if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
            raise MalformedResults(f"{path.name}: {counts!r} is not a table of numbers")
    if not all(isinstance(failure, dict) for failure in made.failures):
        raise MalformedResults(f"{path.name}: a failure is not an object")
    if not all(type(number) is int for number in (made.scripts, made.steps, made.seed)):
        raise MalformedResults(f"{path.name}: scripts, steps and seed are not numbers")
    return made


@attrs.frozen
class Everything:
    """All results that there are."""

    runs: Mapping[tuple[str, str], Run]
    generated: Generated | None = None

    def pair(self, suite: str) -> tuple[Run | None, Run | None]:
        return self.runs.get((suite, ZKPY)), self.runs.get((suite, REAL))


def read_all(folder: Path) -> Everything:
    runs = {}
    for suite in SUITES:
        for server in results.SERVERS:
            path = results.file_of(folder, suite.name, server)
            if path.exists():
                runs[suite.name, server] = results.read(path)
    path = generated_file(folder)
    return Everything(runs, read_generated(path) if path.exists() else None)
