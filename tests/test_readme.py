"""What the README shows works: its Python runs, its options exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zkpy.cli import build_parser

pytest_plugins = ["pytester"]

README = (Path(__file__).resolve().parent.parent / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PROGRAMS = [snippet for snippet in SNIPPETS if "def test_" not in snippet]
TESTS = [snippet for snippet in SNIPPETS if "def test_" in snippet]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tests", TESTS)
def test_tests_pass(pytester: pytest.Pytester, tests: str) -> None:
    pytester.makepyfile(tests)
    pytester.runpytest_subprocess("-Werror").assert_outcomes(passed=tests.count("def test_"))


def test_there_are_programs_and_tests() -> None:
    assert (len(PROGRAMS), len(TESTS)) == (2, 1)


def test_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser(["serve"]).parse_args(["serve", "--help"])
    offered = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", capsys.readouterr().out))
    shown = set(re.findall(r"`(--?[a-zA-Z][\w-]*)", README))
    assert shown == offered - {"-h", "--help"}
