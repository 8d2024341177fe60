"""The Java which runs the real ZooKeeper and its clients."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST_JAVA = 11
SHIMS = Path(__file__).resolve().parent / "shims"
# A short-lived JVM is mostly start-up time.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")

_INSTALL = f"install a JDK, {OLDEST_JAVA} or newer (Debian: apt-get install default-jdk-headless)"


class ZooKeeperUnavailable(RuntimeError):
    """No real ZooKeeper, or no Java to run it; the message says what was tried and what to do."""


def java_program(name: str = "java") -> str:
    """The path of java or javac; never this package's own stand-in for java.

    JAVA_HOME comes first, then PATH. A java which does not run or is too old is passed over.
    """
    home = os.environ.get("JAVA_HOME")
    folders = [Path(home, "bin")] if home else []
    folders += [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    passed_over: list[str] = []
    for folder in folders:
        if folder.resolve() == SHIMS:
            continue
        found = shutil.which(name, path=str(folder))
        if found is None:
            continue
        problem = _problem(found) if name == "java" else None
        if problem is None:
            return found
        if problem not in passed_over:
            passed_over.append(problem)
    reason = "; ".join(passed_over) or f"no {name!r} in JAVA_HOME or on PATH"
    raise ZooKeeperUnavailable(f"{reason}: {_INSTALL}, or set JAVA_HOME")


@functools.cache
def _problem(java: str) -> str | None:
    """Why this java cannot be used; None: it can."""
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{java} does not run ({error})"
    output = done.stderr + done.stdout
    if done.returncode:
        first = next(iter(output.strip().splitlines()), "no output")
        return f"{java} does not run (status {done.returncode}: {first})"
    version = major_version(output)
    if version is None:
        return f"{java} does not tell its version ({output[:80]!r})"
    if version < OLDEST_JAVA:
        return f"{java} is Java {version}"
    return None


def major_version(output: str) -> int | None:
    """The feature release in what ``java -version`` prints: 8 for 1.8.0_392, 17 for 17.0.15, 22 for 22-ea."""
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(found[1]) if found else None
