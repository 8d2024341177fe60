"""Errors become one line and a status; progress only shows on a terminal."""

from __future__ import annotations

import sys

import pytest

from zkpy.errors import ConfigError, CorruptLogError, DataDirError, StorageError
from zkpy.toolkit import console
from zkpy.toolkit.console import Progress, ToolError, guarded, size_text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ToolError("no"), 2),
        (DataDirError("no"), 2),
        (StorageError("no"), 2),
        (ConfigError("zoo.cfg", 3, "no", "Say yes."), 2),
        (CorruptLogError("log.1", 16, "no", "Put it back"), 1),
        (PermissionError(13, "no", "/x"), 2),
    ],
)
def test_expected_errors_are_one_line(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert guarded("log", work) == status
    said = capsys.readouterr().err
    assert said.startswith("zkpy log: ") and "no" in said and said.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden() -> None:
    def work() -> int:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        guarded("log", work)


def test_the_status_of_the_work_and_of_an_interrupt() -> None:
    assert guarded("log", lambda: 7) == 7

    def work() -> int:
        raise KeyboardInterrupt

    assert guarded("log", work) == 130


class Terminal:
    """A stderr that is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    now = [0.0]
    monkeypatch.setattr(console.sys, "stderr", terminal)
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    progress = Progress("log.1", 2_000_000)
    progress.at(1)
    assert terminal.text == "", "short work says nothing"
    now[0] = 1.5
    progress.at(500_000)
    assert "log.1: 25 % of 2.0 MB" in terminal.text
    shown = terminal.text
    progress.at(600_000)
    assert terminal.text == shown, "not more than a few times a second"
    progress.end()
    assert terminal.text.endswith("\r\x1b[K")
    quiet = Progress("log.1", quiet=True)
    now[0] = 9.0
    quiet.at(5)
    assert terminal.text.endswith("\r\x1b[K")


def test_no_progress_into_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "_FIRST_S", -1.0)
    progress = Progress("log.1")
    progress.at(5)
    progress.end()
    assert capsys.readouterr().err == ""


def test_sizes() -> None:
    assert [size_text(size) for size in (5, 20_000, 3_400_000)] == ["5 bytes", "20.0 kB", "3.4 MB"]


def test_without_any_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert not console.printing()
    assert guarded("log", lambda: console.out("x") or 0) == 2  # type: ignore[func-returns-value]
    assert "there is no stdout to write to" in capsys.readouterr().err
