"""Following a log: new entries, the next file, and no entry lost or shown twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.persist.records import create, history, new_tree
from tests.toolkit.test_logview import view
from zkpy.persist.names import Named, named
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.realports import RealDisk
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.follow import Follower, follow
from zkpy.toolkit.logview import print_logs

Capture = pytest.CaptureFixture[str]


class Stop(Exception):
    pass


class Server:
    """Writes one transaction, or does something else, each time that the follower waits."""

    def __init__(self, disk: RealDisk, directory: Path, prealloc: int) -> None:
        self.directory = directory
        (directory / "version-2").mkdir(parents=True)
        self.tree = new_tree()
        self.zxid = 0
        self.log = TxnLogWriter(disk, str(directory / "version-2"), prealloc_bytes=prealloc, force_sync=False)
        self.steps: list[str] = []

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.zxid += 1
            payloads, _ = history([create(f"/n{self.zxid}")], self.zxid, self.tree)
            self.log.append(self.zxid, payloads[0])
        self.log.flush()

    def wait(self, seconds: float) -> None:
        assert 0 < seconds < 2
        if not self.steps:
            raise Stop
        for step in self.steps.pop(0).split():
            if step == "roll":
                self.log.roll()
            else:
                self.write(int(step))


def shown(capsys: Capture) -> list[int]:
    return [int(line.split(" zxid ")[1].split()[0], 16) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("prealloc", [0, 1 << 20])
def test_nothing_is_lost_and_nothing_twice(
    disk: RealDisk, tmp_path: Path, prealloc: int, capsys: Capture
) -> None:
    server = Server(disk, tmp_path / "d", prealloc)
    server.write(3)
    server.steps = ["1", "2 roll 1", "roll 2 roll 2", "1"]
    shows = view(tail=2, live=True)
    print_logs(disk, shows, [str(server.directory)], follow=True)
    with pytest.raises(Stop):
        Follower(disk, shows, str(server.directory / "version-2")).run(server.wait)
    assert shown(capsys) == list(range(2, 13))


def test_what_is_written_between_the_look_and_the_next_file(
    disk: RealDisk, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(disk, tmp_path / "d", 0)
    server.write(1)
    shows = view(live=True)
    print_logs(disk, shows, [str(server.directory)])

    def write_first(disk: object, directory: str, prefix: str) -> list[Named]:
        if server.zxid == 1:
            server.wait(0.1)
        return named(disk, directory, prefix)  # type: ignore[arg-type]

    server.steps = ["2 roll 1"]
    monkeypatch.setattr("zkpy.toolkit.follow.named", write_first)
    with pytest.raises(Stop):
        Follower(disk, shows, str(server.directory / "version-2")).run(server.wait)
    assert shown(capsys) == [1, 2, 3, 4]


def test_it_begins_with_a_directory_without_logs(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    server = Server(disk, tmp_path / "d", 0)
    server.steps = ["1", "1"]
    shows = view(live=True)
    assert print_logs(disk, shows, [str(server.directory)], follow=True) == 0
    with pytest.raises(Stop):
        Follower(disk, shows, str(server.directory / "version-2")).run(server.wait)
    assert shown(capsys) == [1, 2]


def test_an_entry_that_is_half_there_waits(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    server = Server(disk, tmp_path / "d", 0)
    server.write(2)
    path = server.directory / "version-2" / "log.1"
    whole = path.read_bytes()
    steps = [whole[:-30], whole[:-1], whole]

    def wait(_: float) -> None:
        if not steps:
            raise Stop
        path.write_bytes(steps.pop(0))

    path.write_bytes(whole[: len(whole) // 2 + 20])
    shows = view(live=True)
    print_logs(disk, shows, [str(path)])
    with pytest.raises(Stop):
        Follower(disk, shows, None).run(wait)
    captured = capsys.readouterr()
    assert [line.split(" zxid ")[1][:3] for line in captured.out.splitlines()] == ["0x1", "0x2"]
    assert captured.err == ""


def test_what_is_left_unreadable_and_what_is_cut_is_said(
    disk: RealDisk, tmp_path: Path, capsys: Capture
) -> None:
    server = Server(disk, tmp_path / "d", 0)
    server.write(2)
    path = server.directory / "version-2" / "log.1"
    shows = view(live=True)
    print_logs(disk, shows, [str(server.directory)])
    with path.open("ab") as file:
        file.write(b"rubbish rubbish rubbish")
    server.log.roll()
    server.steps = ["1"]
    follower = Follower(disk, shows, str(path.parent))
    with pytest.raises(Stop):
        follower.run(server.wait)
    assert "log.1: no complete record at offset" in capsys.readouterr().err
    (path.parent / "log.3").write_bytes(path.read_bytes()[:16])
    with pytest.raises(Stop):
        follower.run(server.wait)
    assert "was cut to 16 bytes" in capsys.readouterr().err


def test_a_limit_ends_it(disk: RealDisk, tmp_path: Path, capsys: Capture) -> None:
    server = Server(disk, tmp_path / "d", 0)
    server.steps = ["5"]
    shows = view(live=True, limit=3)
    print_logs(disk, shows, [str(server.directory)], follow=True)
    Follower(disk, shows, str(server.directory / "version-2")).run(server.wait)
    assert shown(capsys) == [1, 2, 3]


def test_only_one_place(disk: RealDisk, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="takes one"):
        follow(disk, view(), ["a", "b"])
