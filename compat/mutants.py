"""Break zkpy on purpose, in one place at a time, and see that the comparison with a real server notices.

``python -m compat.mutants`` plays generated scripts against each broken copy until one shows a difference;
what they do not show, the written scripts have to. A mutant that nobody notices is a hole in the suite.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compat import realzk
from compat.generated.block import Played, compare_logs
from compat.generated.compare import Pair
from compat.generated.generate import PROFILES, generate
from compat.generated.player import Stuck
from compat.generated.steps import GeneratedScript
from compat.mutations import MUTANTS, Mutant
from compat.process import four_letters
from compat.zkpyserver import ROOT, SOURCE_VARIABLE


def apply(mutant: Mutant, folder: Path) -> None:
    """Copy zkpy to *folder* with the mistake in it. ValueError: its place is not there exactly once."""
    shutil.copytree(ROOT / "zkpy", folder / "zkpy", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "zkpy" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1 or mutant.old == mutant.new:
        raise ValueError(f"{mutant.name}: {text.count(mutant.old)} places in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new))


def caught(mutant: Mutant, scripts: int, steps: int) -> str | None:
    """What noticed the mistake; None: nothing did."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        apply(mutant, Path(folder))
        os.environ[SOURCE_VARIABLE] = folder
        try:
            return _by_generated(mutant, scripts, steps) or _by_written()
        finally:
            del os.environ[SOURCE_VARIABLE]


def _by_generated(mutant: Mutant, scripts: int, steps: int) -> str | None:
    played: list[tuple[int, int, GeneratedScript]] = []
    with Pair(mutant.profile) as pair:
        try:
            for seed in range(scripts):
                script = generate(seed, steps, mutant.profile)
                result = pair.play(script)
                if result.difference is not None and pair.play(script).difference is not None:
                    return f"generated script {seed + 1}: {result.difference.what}"
                played.append((result.first_zxid, result.last_zxid, script))
        except (AssertionError, OSError, Stuck) as error:
            four_letters(pair.java.port, "srvr")  # OSError: it is the real server that fails
            return f"generated script {len(played) + 1}: {type(error).__name__}"
        logs = Played()
        compare_logs(pair, played, logs)
    return f"generated scripts: {logs.failures[0]['operation']}" if logs.failures else None


def _by_written() -> str | None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "compat/test_semantics.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if done.returncode != 1 or not failed:
        raise RuntimeError(f"the written scripts cannot be played:\n{done.stdout[-2000:]}")
    return f"written scripts: {failed[0].split(' - ')[0].partition('::')[2]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.mutants", description=__doc__)
    parser.add_argument("--scripts", type=int, default=60, help="generated scripts at most (default: 60)")
    parser.add_argument("--steps", type=int, default=200, help="steps of each (default: 200)")
    parser.add_argument("--only", default="", help="mutants with this text in their name")
    options = parser.parse_args()
    try:
        realzk.find()
    except realzk.ZooKeeperUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if not chosen:
        parser.error(f"no mutant has {options.only!r} in its name")
    sound = Mutant("no mistake", "__init__.py", "", "")
    if by := _by_generated(sound, 5, options.steps) or _by_written():
        print(f"the checks fail without any mistake: {by}", file=sys.stderr)
        return 2
    missed = 0
    for mutant in chosen:
        assert mutant.profile in PROFILES
        started = time.monotonic()
        by = caught(mutant, options.scripts, options.steps)
        missed += by is None
        print(f"{mutant.name}: {by or 'NOT CAUGHT'} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
