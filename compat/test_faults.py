"""Short fault runs: three servers, eight clients, and whatever goes wrong in a quarter of a minute.

``make faults`` has the long ones. A run's seed is fixed here, the scheduling of its processes is not.
"""

from __future__ import annotations

import pytest

from compat.faults.__main__ import played
from compat.faults.run import LEAST_BEFORE_FAULTS, Plan

SECONDS = 15.0
CASES = {
    "processes": ("kill-leader", "kill-one", "kill-all", "stop-leader", "stop-follower", "rolling", "wipe"),
    "network": ("isolate-leader", "isolate-follower", "halves", "mute", "deaf", "one-channel", "slow"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES)
def test_clients_see_one_consistent_history_whatever_fails(case: str) -> None:
    plan = Plan(seed=1, seconds=SECONDS, nemeses=CASES[case], recovery_s=60.0)
    run = played(plan)
    verdict = run.verdict
    assert verdict.ok, f"{verdict.line()}\n{run.explanation()}"
    assert verdict.operations > LEAST_BEFORE_FAULTS and verdict.recoveries_s
