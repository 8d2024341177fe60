"""Data directories move between zkpy and Java servers: the most telling part of `compat.interchange`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from compat import realzk
from compat.interchange.__main__ import JOBS
from compat.interchange.case import Outcome, java_classpath, run_case
from compat.interchange.cases import Case, telling_cases

CASES = telling_cases()


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Future[Outcome]]]:
    """All cases, some at a time."""
    found = []
    for case in CASES:
        try:
            java_classpath(case.java)
        except realzk.ZooKeeperUnavailable:
            if case.java == realzk.VERSION:
                raise
        else:
            found.append(case)
    with ThreadPoolExecutor(JOBS) as workers:
        yield {case.name: workers.submit(run_case, case) for case in found}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_directory_goes_there_and_back(running: dict[str, Future[Outcome]], case: Case) -> None:
    if case.name not in running:
        pytest.skip(f"no ZooKeeper {case.java} here")
    outcome = running[case.name].result()
    assert outcome.ok, "\n".join(f"{one.column}: {one.where}: {one.text}" for one in outcome.found)
    assert outcome.nodes > 500
