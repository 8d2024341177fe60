"""The ``zkpy ensemble`` command as a user runs it: real processes, real signals."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from zkpy.cli import main
from zkpy.ensemble import java, layout
from zkpy.errors import ConfigError

FAST = ("--set", "tickTime=300", "-D", "zookeeper.fastleader.minNotificationInterval=50")


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "zkpy", "ensemble", *args]


class Running:
    """The command while it runs, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None and process.stderr is not None
        words = process.stdout.readline().split()
        assert words[:3] == ["zkpy", "ensemble", "ready"], process.stderr.read()
        self.hosts, self.root = words[3], Path(words[4])
        self.members = [process.stdout.readline().split() for _ in self.hosts.split(",")]

    def pids(self) -> list[int]:
        """The members' processes, in order."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Status and stderr after a signal."""
        self.process.send_signal(number)
        found = self.process.wait(timeout=30)
        assert self.process.stderr is not None
        return found, self.process.stderr.read()


@contextmanager
def ensemble(*args: str, temporary: Path) -> Iterator[Running]:
    process = subprocess.Popen(
        command(*args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()


@contextmanager
def client(hosts: str) -> Iterator[KazooClient]:
    kazoo = KazooClient(hosts, timeout=10)
    kazoo.start()
    try:
        yield kazoo
    finally:
        kazoo.stop()
        kazoo.close()


def ask(*args: str, temporary: Path) -> tuple[int, str]:
    """Status and stdout of ``zkpy ensemble status``."""
    done = subprocess.run(
        command("status", *args),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=temporary,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def wait_for_end(pid: int) -> None:
    """Return when a process that is not a child of this one has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 20)[0], f"process {pid} goes on"
    finally:
        os.close(descriptor)


def test_an_ensemble_serves_tells_how_it_is_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with ensemble("3", *FAST, temporary=tmp_path) as running:
        assert running.root.parent == tmp_path
        addresses = running.hosts.split(",")
        assert [words[:3] for words in running.members] == [
            ["server", str(number), address] for number, address in enumerate(addresses, 1)
        ]
        assert sorted(words[3] for words in running.members) == ["follower", "follower", "leader"]

        with client(addresses[0]) as one, client(addresses[1]) as other:
            one.create("/written", b"by the first")
            other.sync("/written")
            assert other.get("/written")[0] == b"by the first"
            found, text = ask(temporary=tmp_path)  # the only one that runs in this temporary directory
        assert found == 0
        assert text.splitlines()[-1].endswith("3 of 3 voters serve: a quorum")
        found, text = ask(addresses[0], temporary=tmp_path)  # the others are known from there
        assert text.splitlines()[-1].endswith("3 of 3 voters serve: a quorum")
        found, text = ask(running.hosts, "--json", temporary=tmp_path)
        assert ask("--json", running.hosts, temporary=tmp_path) == (found, text)
        data = json.loads(text)
        assert (found, data["healthy"]) == (0, True)
        assert sorted(member["role"] for member in data["members"]) == ["follower", "follower", "leader"]
        assert {member["lag"] for member in data["members"]} == {0}

        for number, words in enumerate(running.members, 1):
            log = (running.root / f"server-{number}" / "server.log").read_text().splitlines()
            said = [line.partition("zkpy.role: ")[2] for line in log]
            what = "leading" if words[3] == "leader" else "following server "
            assert [line.startswith(f"server {number}: {what}") for line in said if line] == [True]

        pids = running.pids()
        assert len(pids) == 3
        assert running.end(signal.SIGINT) == (0, "")
        for pid in pids:
            wait_for_end(pid)
        assert not running.root.exists()


def test_a_directory_is_continued_and_a_lost_member_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "root"
    arguments = ("3", "--observers", "2", "--dir", str(root))
    with ensemble(*arguments, *FAST, temporary=tmp_path) as running:
        assert [words[3] for words in running.members] == ["leader", "observer", "observer"]
        with client(running.hosts.split(",")[1]) as kazoo:
            kazoo.create("/kept", b"1")
        second = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        assert (second.returncode, second.stdout) == (2, "")
        assert "is running already" in second.stderr
        assert running.end(signal.SIGTERM) == (0, "")
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [f"server-{n}" for n in (1, 2, 3)]
    with ensemble("3", "--dir", str(root), temporary=tmp_path) as again:
        assert again.hosts == running.hosts
        with client(again.hosts.split(",")[2]) as kazoo:
            assert kazoo.get("/kept")[0] == b"1"
        pids = again.pids()
        os.kill(pids[1], signal.SIGKILL)
        assert again.process.stderr is not None
        assert "server 2 was killed by SIGKILL; the end of its log" in again.process.stderr.readline()
        found, text = ask(str(root), temporary=tmp_path)
        assert found == 0
        assert "does not answer (Connection refused)" in text

        again.process.kill()  # nothing can be done any more: the kernel ends the members
        for pid in pids:
            wait_for_end(pid)
    assert ask(str(root), temporary=tmp_path)[0] == 1


def test_a_member_that_cannot_start_ends_the_command_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(1, 0, 0, None, reserved)
    layout.write(layout.Layout(tmp_path, members), {}, {})
    (tmp_path / "server-1" / "version-2").write_text("not a directory")
    done = subprocess.run(
        command("1", "--dir", str(tmp_path)), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "server 1 ended with status 3; the end of its log" in done.stderr
    assert "version-2" in done.stderr


def test_a_member_that_waits_for_the_others_ends_at_a_signal(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(3, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    layout.write(found, {"tickTime": "500", "initLimit": "2"}, {})
    process = subprocess.Popen(
        [sys.executable, "-m", "zkpy", "serve", str(found.config_file(members[0]))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stderr.readline()
        while "no leader for 1 s: no other server is heard of" not in line:
            assert line
            line = process.stderr.readline()
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == ""


def test_an_error_in_a_file_that_is_there_names_the_file(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(1, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    layout.write(found, {}, {})
    file = found.config_file(members[0])
    file.write_text(file.read_text().replace("initLimit=10", "initLimit=ten"))
    with pytest.raises(ConfigError, match=re.escape(f'{file}:2: For input string: "ten"')):
        layout.write(found, {"syncLimit": "7"}, {})
    with pytest.raises(layout.EnsembleError, match=r"^--set syncLimit=x: For input"):
        layout.write(found, {"syncLimit": "x", "initLimit": "10"}, {})


def test_warnings_about_options_are_told_with_the_option(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(3, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    told = layout.write(found, {"tickTme": "5", "snapCount": "1"}, {"zookeeper.snapCont": "1"})
    assert told == [
        "--set snapCount=1: snapCount=1 is less than 2: using 2",
        "--set tickTme=5: unknown key tickTme: did you mean tickTime?",
        "unknown property -Dzookeeper.snapCont: did you mean -Dzookeeper.snapCount?",
    ]
    assert layout.write(found, {}, {}) == []


def test_followers_that_serve_observers_have_addresses_of_their_own(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = tmp_path / "root"
    arguments = ("5", "--observers", "2", "--dir", str(root), *FAST)
    setting = ("--set", f"observerMasterPort={port}")
    with ensemble(*arguments, temporary=tmp_path) as before:
        assert before.end() == (0, "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", port))
        taken.listen()
        refused = subprocess.run(
            command(*arguments, *setting), capture_output=True, text=True, timeout=60, check=False
        )
    assert refused.returncode == 2
    assert f"port {port} of server 2 at 127.0.0.2 cannot be used" in refused.stderr
    assert f"give another port than observerMasterPort={port}" in refused.stderr
    with ensemble(*arguments, *setting, temporary=tmp_path) as running:
        assert running.hosts == before.hosts
        followers = [int(words[1]) for words in running.members if words[3] == "follower"]
        assert len(followers) == 2
        for number in followers:
            socket.create_connection((f"127.0.0.{number}", port), 10).close()
        logs = "".join((root / f"server-{number}" / "server.log").read_text() for number in (4, 5))
        assert re.search(r"observing server \d through server \d, epoch", logs)
        assert running.end() == (0, "")
    assert {member.peer_host for member in layout.load(root).members} == {  # type: ignore[union-attr]
        f"127.0.0.{number}" for number in range(1, 6)
    }


def test_members_that_share_an_address_since_a_reconfig_cannot_all_serve_observers(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(1, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    layout.write(found, {}, {})
    assert [member.peer_host for member in layout.apart(found).members] == ["127.0.0.1"]
    found.config_file(members[0]).write_text("dynamicConfigFile=/x\n")
    with pytest.raises(layout.EnsembleError, match=r"begin with a new --dir"):
        layout.apart(found)


def test_a_file_is_no_place_for_an_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["ensemble", "3", "--dir", str(tmp_path / "file")]) == 2
    assert f"zkpy ensemble: {tmp_path}/file is no directory; name another one" in capsys.readouterr().err


def test_an_early_interrupt_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zkpy.cli.ensemble.run", interrupted)
    assert main(["ensemble", "3"]) == 130


def test_two_voters_need_an_oracle(tmp_path: Path) -> None:
    arguments = ("2", "--set", "oraclePath=oracle", *FAST)
    with ensemble(*arguments, temporary=tmp_path) as running:
        assert sorted(words[3] for words in running.members) == ["follower", "leader"]
        assert running.end() == (0, "")


def test_settings_go_into_a_zoo_cfg_that_is_there_already(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(1, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    layout.write(found, {}, {})
    file = found.config_file(members[0])
    before = file.read_text()
    file.write_text("# mine\n" + before + "snapCount=1000")
    layout.write(found, {"tickTime": "400"}, {})
    after = file.read_text()
    assert after == "# mine\n" + before.replace("tickTime=2000\n", "") + "snapCount=1000\ntickTime=400\n"
    assert layout.load(tmp_path) == found


def test_members_that_were_changed_stay_so(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        members = layout.choose_members(3, 0, 0, None, reserved)
    found = layout.Layout(tmp_path, members)
    layout.write(found, {}, {})
    for member in members:
        file = found.config_file(member)
        dynamic = Path(f"{file}.dynamic.100000000")
        dynamic.write_text("\n".join(f"server.{each.number}={each.line()}" for each in members[1:]))
        file.write_text(f"tickTime=2000\ndataDir=d\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile={dynamic}\n")
        if member.number == 1:  # it is no member any more
            dynamic.write_text(f"server.1={member.line()}\n{dynamic.read_text()}")
    before = found.config_file(members[1]).read_text()
    layout.write(found, {"tickTime": "400"}, {})
    after = found.config_file(members[1]).read_text()
    assert "server." not in after
    assert "dynamicConfigFile=" in after
    assert after != before
    Path(f"{found.config_file(members[1])}.dynamic.100000000").unlink()
    with pytest.raises(layout.EnsembleError, match=r"cannot read .*dynamic\.100000000: No such file"):
        layout.write(found, {}, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0"], "an ensemble of 0: give 1 to"),
        (["-1"], "an ensemble of -1: give 1 to"),
        (["three"], "'three' is no number of servers"),
        (["4"], "4 voters bear no more failures than 3: give 3 or 5 servers, or --observers 1"),
        (["3", "--observers", "3"], "--observers 3 of 3: at least one server has to vote"),
        (["3", "--observers", "1"], "2 voters"),
        (["3", "--java", "4"], "--java 4 of 3"),
        (["3", "--java", "1"], "ZOOKEEPER_CLASSPATH"),
        (["3", "--port", "65000"], "--port 65000: give 1 to"),
        (["3", "--set", "dataDir=/tmp"], "--set dataDir is not for all members"),
        (
            ["3", "--set", "tickTime=x"],
            'zkpy ensemble: --set tickTime=x: For input string: "x". Write tickTime',
        ),
        (["3", "--set", "initLimit=-1"], "--set initLimit=-1: initLimit=-1 leaves the servers no time"),
        (["3", "--set", "group.1=1:2"], "zkpy ensemble: Server 3is not in a group. Name 3 in one"),
        (["3", "--set", "server.4=h:1:2"], "--set server.4 is not for all members"),
        (["3", "--set", "tickTime"], "is no setting; give NAME=VALUE"),
        (["3", "--json"], "are for status"),
        (["3", "--log-level", "loud"], "invalid choice: 'loud'"),
        (["status", "--log-level", "info"], "status takes a directory or addresses"),
        (["status", "--port", "1"], "status takes a directory or addresses"),
        (["status", "/nowhere"], "/nowhere is neither a directory nor HOST:PORT"),
        (["status", "here:there"], "'here:there' is no address"),
        (["status", "--json", "/nowhere"], "/nowhere is neither a directory nor HOST:PORT"),
        (["--json", "status", "/nowhere"], "/nowhere is neither a directory nor HOST:PORT"),
        (["status", "h:1", "--json", "i:2"], "unrecognized arguments: i:2"),
        (["3", "--keep", "5"], "unrecognized arguments: 5"),
    ],
)
def test_bad_usage_ends_with_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in java.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["ensemble", *arguments]))  # argparse raises it itself
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
