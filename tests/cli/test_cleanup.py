"""``zkpy cleanup`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toolkit.test_cleanup import KEPT, filled, names
from zkpy.cli import main

Capture = pytest.CaptureFixture[str]


def test_a_dry_run_and_a_real_one(tmp_path: Path, capsys: Capture) -> None:
    filled(tmp_path, tmp_path)
    before = names(tmp_path)
    assert main(["cleanup", str(tmp_path), "-n", "3", "--dry-run"]) == 0
    assert names(tmp_path) == before
    assert f"\t{tmp_path}/version-2/log.1\n" in capsys.readouterr().out
    assert main(["cleanup", str(tmp_path), "-n", "3"]) == 0
    assert names(tmp_path) == KEPT
    assert capsys.readouterr().out.count("Removing file: ") == 5


def test_the_directories_of_a_configuration(tmp_path: Path) -> None:
    filled(tmp_path / "data", tmp_path / "logs")
    config = tmp_path / "zoo.cfg"
    config.write_text(f"clientPort=1\ndataDir={tmp_path}/data\ndataLogDir={tmp_path}/logs\n")
    assert main(["cleanup", "--config", str(config)]) == 0
    assert names(tmp_path / "data") | names(tmp_path / "logs") == KEPT


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere", "-n", "3"], "nowhere: no such file or directory"),
        ([".", "-n", "2"], "count should be greater than or equal to 3"),
        ([".", "-n", "3"], "no data directory"),
        (["."], "say with -n how many"),
        (["-n", "3"], "name either a data directory or --config"),
        ([".", "--config", "zoo.cfg"], "name either a data directory or --config"),
        (["--config", "zoo.cfg"], "zoo.cfg: No such file"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str], said: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cleanup", *args]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("zkpy cleanup: ") and said in shown.err and shown.err.count("\n") == 1


def test_a_count_that_is_no_number(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["cleanup", ".", "-n", "x"])
    assert caught.value.code == 2
    assert "'x' can not be parsed to integer" in capsys.readouterr().err
