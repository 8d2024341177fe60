"""Curator's recipes, unchanged, with the tested server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from compat import realzk, results
from compat.process import Serving

SOURCE = Path(__file__).resolve().parent / "curator" / "RecipeChecks.java"
LIMIT_SECONDS = 90


@pytest.fixture(scope="session")
def program(classpath: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command which runs the compiled checks."""
    folder = tmp_path_factory.mktemp("curator")
    javac = [realzk.java_program("javac"), "-proc:none", "-nowarn", "-encoding", "UTF-8"]
    compiled = subprocess.run(
        [*javac, "-d", str(folder), "-cp", classpath, str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    options = [*realzk.JVM_OPTIONS, "-Dlog4j2.level=OFF", "-cp", f"{folder}:{classpath}"]
    return [realzk.java_program(), *options, SOURCE.stem]


def checks() -> list[str]:
    """The names of the checks, in their order."""
    return re.findall(r'check\("([\w-]+)"', SOURCE.read_text())


def problems(printed: str) -> dict[str, str | None]:
    """What is wrong with each check by the program's output: it ends at the first failure."""
    lines = printed.splitlines()
    passed = {line.removeprefix("ok ") for line in lines if line.startswith("ok ")}
    failure = next((line for line in lines if line.startswith("FAILED")), "the program ended early")
    why: dict[str, str | None] = {}
    for name in checks():
        if name in passed:
            why[name] = None
        elif failure.startswith(f"FAILED {name}:"):
            why[name] = failure
        else:
            why[name] = f"not reached: {failure}"
    return why


def test_recipes(
    program: list[str], serving: Serving, kind: str, record_property: Callable[[str, object], None]
) -> None:
    try:
        done = subprocess.run(
            [*program, serving.address, "--ttl"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        printed, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        printed = f"{(error.stdout or b'').decode('utf-8', 'replace')}\nFAILED: not at its end in time"
        status = -1
    for name, problem in problems(printed).items():
        record_property(*results.of("curator", name, kind, problem))
    assert status == 0, f"{printed}\nThe end of the server's log:\n{serving.log()[-4000:]}"
    assert len(checks()) >= 20
    assert [line.removeprefix("ok ") for line in printed.splitlines() if line[:3] == "ok "] == checks()
