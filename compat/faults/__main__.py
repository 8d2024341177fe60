"""``python -m compat.faults``: one line per run, and what is wrong."""

from __future__ import annotations

import argparse
import sys
import time

import trio

from compat.faults.nemeses import NEMESES
from compat.faults.run import Plan, Run
from compat.process import PortTaken

_TRIES = 3


def played(plan: Plan) -> Run:
    """Play a plan; with other ports if somebody took one."""
    for attempt in range(_TRIES):
        run = Run(plan)
        try:
            trio.run(run.run)
        except* PortTaken:
            if attempt + 1 == _TRIES:
                raise
        else:
            break
    return run


def one(plan: Plan) -> bool:
    """Play a plan and print what came of it; whether all was well."""
    run = played(plan)
    print(run.verdict.line(), flush=True)
    if run.verdict.wrong:
        print(run.explanation(), flush=True)
    return run.verdict.ok


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: from the clock)")
    parser.add_argument("--runs", type=int, default=1, help="so many runs, with seeds one after another")
    parser.add_argument("--seconds", type=float, default=30.0, help="of faults in each run (default: 30)")
    parser.add_argument("--members", default="zzz", help="z: zkpy, j: Java, such as zzz, zjz, zzzzz")
    parser.add_argument("--recovery", type=float, default=20.0, help="seconds that recovery may take")
    parser.add_argument(
        "--nemesis", action="append", choices=sorted(NEMESES), help="only these (may be repeated)"
    )
    parser.add_argument("--log-level", default="info", help="of zkpy members (default: info)")
    options = parser.parse_args()
    if not set(options.members) <= {"z", "j"} or len(options.members) < 3:
        parser.error("--members needs at least three letters z or j")
    first = options.seed if options.seed is not None else time.time_ns() // 1_000_000_000
    good = 0
    for seed in range(first, first + options.runs):
        plan = Plan(
            seed,
            members=options.members,
            seconds=options.seconds,
            nemeses=tuple(options.nemesis or NEMESES),
            recovery_s=options.recovery,
            log_level=options.log_level,
        )
        good += one(plan)
    if options.runs > 1:
        print(f"{good} of {options.runs} runs are good")
    return 0 if good == options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
