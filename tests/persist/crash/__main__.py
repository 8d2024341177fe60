"""``python -m tests.persist.crash``: crashes, failures and damage, explored; ``--long`` for all of it."""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections.abc import Callable

from tests.persist.crash import explore
from tests.persist.crash.explore import LAYOUTS, SMALL, ZEROS, settled
from tests.persist.crash.history import ACTIONS, Run
from tests.persist.crash.mutants import MUTANTS
from tests.persist.crash.rule import Counts, Violation


def report(name: str, campaign: Callable[[Counts], object], total: Counts) -> None:
    """Run one campaign and say what it looked at."""
    counts = Counts()
    started = time.monotonic()
    campaign(counts)
    total.add(counts)
    print(f"{name}: {counts}, {time.monotonic() - started:.0f} s", flush=True)


def damage(counts: Counts, step: int) -> None:
    """The newest log cut at every byte; every bit of every file turned over."""
    for settings in LAYOUTS:
        for whole in (False, True):
            run = settled(Run, settings, whole=whole)
            explore.cuts(run, counts)
            explore.flips(run, run.disk.shown(), counts, step)
            logs = [f"{settings.log_dir}/{file.name}" for file in run.dirs.logs()]
            explore.sectors(run, logs[:-1], counts)
            snapshots = [f"{settings.snap_dir}/{file.name}" for file in run.dirs.snapshots()]
            explore.missing(run, logs[:-1] + snapshots[1:], counts)
    run = settled(Run, ZEROS, whole=True)
    explore.flips(run, [explore.newest_log(run)[0]], counts, step)


def failures(counts: Counts, length: int) -> None:
    """Each call of each sequence fails, once or from then on."""
    for at, sequence in enumerate(explore.all_sequences(length)):
        for sticky in (False, True):
            error = errno.ENOSPC if sticky else errno.EIO
            explore.fail_everywhere(Run, sequence, SMALL[at % 2], counts, error=error, sticky=sticky)


def second_crashes(counts: Counts, length: int) -> None:
    """A crash at every call of a recovery from a crash."""
    explore.sequences(
        Run, explore.all_sequences(length), counts, layouts=LAYOUTS, limit=12, second=3, torn=61
    )


def run(args: argparse.Namespace) -> Counts:
    """All campaigns. Raises Violation."""
    total = Counts()
    pairs = list(explore.all_sequences(2))
    report("damage", lambda counts: damage(counts, 1 if args.long else 11), total)
    limit, torn = (96, 7) if args.long else (24, 31)
    layouts = LAYOUTS if args.long else SMALL
    for settings in layouts:
        report(
            f"crashes in all {len(pairs)} pairs of {len(ACTIONS)} actions",
            lambda counts, settings=settings: explore.sequences(  # type: ignore[misc]
                Run, pairs, counts, layouts=(settings,), limit=limit, torn=torn
            ),
            total,
        )
    if args.long:
        triples = list(explore.all_sequences(3))
        report(
            f"crashes in all {len(triples)} triples",
            lambda counts: explore.sequences(Run, triples, counts, layouts=LAYOUTS, limit=8, torn=0),
            total,
        )
    report("second crashes", lambda counts: second_crashes(counts, 2 if args.long else 1), total)
    report("failing calls", lambda counts: failures(counts, 2 if args.long else 1), total)
    seeds = range(args.seed, args.seed + args.seeds)

    def histories(counts: Counts) -> None:
        for seed in seeds:
            explore.long_history(Run, seed, 60, counts, second=seed % 3)

    report(f"{len(seeds)} long histories from seed {args.seed}", histories, total)
    return total


def mutants() -> int:
    """Put each fault in and see it found; how many were not."""
    missed = 0
    for mutant in MUTANTS:
        try:
            mutant.hunt()
        except Violation as violation:
            print(f"found: {mutant.name}: {str(violation).partition(chr(10))[0][:150]}")
        else:
            missed += 1
            print(f"MISSED: {mutant.name}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="everything, about twenty minutes")
    parser.add_argument("--seed", type=int, default=1, help="the first seed of the long histories")
    parser.add_argument("--seeds", type=int, help="how many of them")
    parser.add_argument("--mutants", action="store_true", help="only the faults put in on purpose")
    args = parser.parse_args()
    if args.mutants:
        return int(mutants() > 0)
    if args.seeds is None:
        args.seeds = 40 if args.long else 10
    started = time.monotonic()
    try:
        total = run(args)
    except Violation as violation:
        print(f"VIOLATION {violation}", file=sys.stderr)
        return 1
    print(f"in all: {total}, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
