"""Play generated scripts against zkpy and a real ZooKeeper: ``python -m compat.generated --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

from compat import realzk
from compat.generated.block import Block, Played, play_block
from compat.generated.generate import PROFILES, generate
from compat.java import java_program
from compat.sources import digest_of_sources

BLOCK = 100
"""Scripts that share a pair of servers."""
MEMORY_FOLDER = Path("/dev/shm")
DEFAULT_OUTPUT = Path("build/compat/generated.json")


def main() -> int:
    options = _options()
    if options.show:
        print(generate(options.seed, options.steps, options.profile))
        return 0
    if MEMORY_FOLDER.is_dir() and not os.environ.get("TMPDIR"):
        os.environ["TMPDIR"] = str(MEMORY_FOLDER)  # what is compared does not depend on the medium
        tempfile.tempdir = None
    try:
        found = realzk.find()
        java_program()
    except realzk.ZooKeeperUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()
    total = Played()
    blocks = list(_blocks(options))
    try:
        _play_all(blocks, options.jobs, total, started)
    except KeyboardInterrupt:
        print("interrupted: these are the results so far", file=sys.stderr)
    _write(options, total, found.version, time.monotonic() - started)
    return 1 if total.failures else 0


def _play_all(blocks: list[Block], jobs: int, total: Played, started: float) -> None:
    with ProcessPoolExecutor(jobs, initializer=_leave_signals) as workers:
        running = [workers.submit(play_block, block) for block in blocks]
        try:
            for done in as_completed(running):
                played = done.result()
                total.add(played)
                for failure in played.failures:
                    print(f"\n{failure['text']}\n", flush=True)
                print(
                    f"{total.scripts} scripts, {total.requests()} requests, "
                    f"{total.replies} answers compared, {len(total.failures)} differences, "
                    f"{time.monotonic() - started:.0f} s",
                    flush=True,
                )
        except KeyboardInterrupt:
            workers.shutdown(wait=True, cancel_futures=True)
            raise


def _leave_signals() -> None:
    """Ctrl-C is the main process's: what runs in a worker is brought to its end, servers included."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m compat.generated",
        description="Play scripts made from a seed against zkpy and a real ZooKeeper, and compare every "
        "answer, the four-letter words, the transaction logs and the tree digests. A difference is cut down "
        "to the shortest script that shows it.",
        epilog="Exit status: 0 without a difference, 1 with one, 2 when there is no real server.",
    )
    parser.add_argument("--scripts", type=_positive, default=100, help="how many (default: 100)")
    parser.add_argument("--steps", type=_positive, default=200, help="steps of each (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one (default: 0)")
    parser.add_argument("--profile", choices=list(PROFILES), help="servers with these settings only")
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, help="pairs of servers at once"
    )
    parser.add_argument("--show", action="store_true", help="print the script of --seed, and play nothing")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help=f"default: {DEFAULT_OUTPUT}")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _blocks(options: argparse.Namespace) -> Iterator[Block]:
    """The seeds by profile, in blocks."""
    by_profile: dict[str, list[int]] = {}
    for seed in range(options.seed, options.seed + options.scripts):
        profile = options.profile or generate(seed, 0).profile
        by_profile.setdefault(profile, []).append(seed)
    for profile, seeds in by_profile.items():
        for start in range(0, len(seeds), BLOCK):
            yield Block(profile, tuple(seeds[start : start + BLOCK]), options.steps)


def _write(options: argparse.Namespace, total: Played, version: str, seconds: float) -> None:
    from zkpy import __version__

    found = Counter(str(failure["operation"]) for failure in total.failures)
    names = sorted(total.operations | found)
    results = {
        "header": {
            "zkpy": __version__,
            "sources": digest_of_sources(),
            "zookeeper": version,
            "python": platform.python_version(),
            "date": date.today().isoformat(),
            "command": f"python -m compat.generated --scripts {options.scripts} --steps {options.steps} "
            f"--seed {options.seed}" + (f" --profile {options.profile}" if options.profile else ""),
            "seconds": round(seconds),
        },
        "scripts": total.scripts,
        "steps": total.steps,
        "seed": options.seed,
        "answers": total.replies,
        "log_entries": total.log_entries,
        "digests": total.digests,
        "profiles": dict(total.profiles),
        "operations": {
            name: {"requests": total.operations[name], "differences": found[name], "explained": 0}
            for name in names
        },
        "explained": dict(total.explained),
        "failures": total.failures,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"results: {options.output}")


if __name__ == "__main__":
    sys.exit(main())
