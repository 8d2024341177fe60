"""Curator's recipes, unchanged, with the tested server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from compat import realzk
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


def test_recipes(program: list[str], serving: Serving) -> None:
    done = subprocess.run(
        [*program, serving.address, "--ttl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\nThe end of the server's log:\n{serving.log()[-4000:]}"
    expected = re.findall(r'check\("([\w-]+)"', SOURCE.read_text())
    assert len(expected) >= 20
    assert [line.removeprefix("ok ") for line in done.stdout.splitlines() if line[:3] == "ok "] == expected
