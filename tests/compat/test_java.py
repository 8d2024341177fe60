"""Which java is taken, with programs made here."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from compat.java import SHIMS, ZooKeeperUnavailable, java_program, major_version


def java(folder: Path, version: str, *, name: str = "java", status: int = 0) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def look_in(monkeypatch: pytest.MonkeyPatch, *folders: Path, home: Path | None = None) -> None:
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    if home is None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
    else:
        monkeypatch.setenv("JAVA_HOME", str(home))


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "11" 2018-09-25', 11),
        ('openjdk version "22-ea" 2024-03-19', 22),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.1"', 21),
        ("The operation couldn't be completed.", None),
    ],
)
def test_versions(output: str, version: int | None) -> None:
    assert major_version(output) == version


def test_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, second = java(tmp_path / "home/bin", "21"), java(tmp_path / "path", "17.0.1")
    look_in(monkeypatch, tmp_path / "path")
    assert java_program() == second
    look_in(monkeypatch, tmp_path / "path", home=tmp_path / "home")
    assert java_program() == first


def test_old_and_broken_ones_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, broken = java(tmp_path / "old", "1.8.0_1"), java(tmp_path / "broken", "17", status=1)
    look_in(monkeypatch, tmp_path / "old", tmp_path / "broken")
    with pytest.raises(ZooKeeperUnavailable) as caught:
        java_program()
    assert f"{old} is Java 8; {broken} does not run (status 1: openjdk" in str(caught.value)
    assert "install a JDK, 11 or newer" in str(caught.value)
    good = java(tmp_path / "good", "11.0.2")
    look_in(monkeypatch, tmp_path / "old", tmp_path / "broken", tmp_path / "good")
    assert java_program() == good


def test_this_packages_stand_in_is_never_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (SHIMS / "java").exists()
    look_in(monkeypatch, SHIMS, tmp_path)
    with pytest.raises(ZooKeeperUnavailable, match="no 'java' in JAVA_HOME or on PATH: install a JDK"):
        java_program()


def test_a_compiler_is_not_asked_for_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = java(tmp_path, "whatever", name="javac", status=1)
    look_in(monkeypatch, tmp_path)
    assert java_program("javac") == compiler
