"""Starting, stopping and retrying of servers and ensembles, with a small program instead of a server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import pytest

from compat import ensemble, process
from compat.ensemble import Ensemble
from compat.process import HOST, PortTaken, ServerFailed, ServerProcess, four_letters, free_port

PROGRAM = """
import socket, sys
port, mode = int(sys.argv[1]), sys.argv[2]
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen()
while True:
    connection, _ = server.accept()
    connection.recv(4)
    connection.sendall(f"Zookeeper version: none\\nMode: {mode}\\n".encode())
    connection.close()
"""


class Fake(ServerProcess):
    """Answers ``srvr``; the member with the highest id leads."""

    kind = "fake"

    def _spawn(self) -> subprocess.Popen[bytes]:
        config = dict(line.split("=", 1) for line in self.config_path.read_text().splitlines())
        mode = "standalone"
        if servers := [int(name[7:]) for name in config if name.startswith("server.")]:
            number = int((self.data / "myid").read_text())
            mode = "observer" if config.get("peerType") == "observer" else "follower"
            mode = "leader" if number == max(servers) and mode == "follower" else mode
        command = [sys.executable, "-I", "-S", "-c", PROGRAM, config["clientPort"], config.get("mode", mode)]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _wait_until_serving(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise self._failure(f"ended with status {process.returncode}")
            try:
                four_letters(self.port, "srvr")
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise self._failure("did not serve")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind((HOST, free_port()))
        port: int = sock.getsockname()[1]
        yield port


def ports(monkeypatch: pytest.MonkeyPatch, *first: int) -> list[int]:
    """Makes the next free ports these, and then really free ones; gives what is left of them."""
    queue = list(first)

    def give() -> int:
        return queue.pop(0) if queue else free_port()

    monkeypatch.setattr(process, "free_port", give)
    monkeypatch.setattr(ensemble, "free_port", give)
    return queue


def test_free_ports_are_free_and_never_given_twice() -> None:
    given = [free_port() for _ in range(200)]
    assert len(set(given)) == 200
    assert all(10_000 <= port <= 32_000 for port in given)


def test_a_taken_port_is_exchanged(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    ports(monkeypatch, taken, taken)
    with Fake() as server:
        assert server.port != taken
        assert "Mode: standalone" in four_letters(server.port, "srvr")


def test_a_port_which_is_kept_is_not_exchanged(taken: int) -> None:
    server = Fake()
    server.port = taken
    with pytest.raises(PortTaken, match=f"fake server at {HOST}:{taken}: ended with status 1"), server:
        pass
    assert not server.directory.exists()


def test_a_server_which_does_not_come_up_shows_its_log() -> None:
    server = Fake({"clientPort": "none"})
    with pytest.raises(ServerFailed, match=r"(?s)ended with status 1; .* log:\n.*ValueError"), server:
        pass


def test_data_outlive_a_stop_and_a_kill() -> None:
    with Fake() as server:
        (server.data).mkdir()
        (server.data / "kept").write_text("")
        port = server.port
        for end in (server.stop, server.kill):
            end()
            with pytest.raises(OSError, match="refused"):
                four_letters(port, "srvr")
            server.start()
            assert server.port == port and (server.data / "kept").exists()
    assert not server.directory.exists()


def test_an_ensemble_has_ids_and_ports_and_a_leader() -> None:
    with Ensemble([Fake] * 4, {"syncLimit": "7"}, {"a": "b"}, observers={4}) as servers:
        assert list(servers.members) == [1, 2, 3, 4]
        assert servers.hosts == ",".join(f"{HOST}:{server.port}" for server in servers.members.values())
        assert [servers.mode(number) for number in servers.members] == ["follower"] * 3 + ["observer"]
        seen: set[str] = set()
        for number, server in servers.members.items():
            assert (server.data / "myid").read_text() == f"{number}\n"
            lines = server.config_path.read_text().splitlines()
            members = {line for line in lines if line.startswith("server.")}
            assert not seen or seen == members
            seen = members
            assert "syncLimit=7" in lines and server.properties == {"a": "b"}
            assert ("peerType=observer" in lines) == (number == 4)
            own = re.escape(server.address)
            role = ":observer" if number == 4 else ""
            assert any(re.fullmatch(rf"server\.{number}={HOST}:\d+:\d+{role};{own}", line) for line in lines)
        numbers = re.findall(r":(\d+)", "\n".join(sorted(seen)))
        assert len(set(numbers)) == len(numbers) == 12


def test_members_are_killed_and_restarted() -> None:
    with Ensemble([Fake] * 3) as servers:
        assert servers.leader() == 3
        hosts = servers.hosts
        servers.kill(3)
        assert servers.mode(3) is None
        with pytest.raises(ServerFailed, match=r"no leader in 0\.1 s: {1: 'follower', 2: 'follower'}"):
            servers.leader(0.1)
        servers.restart(3)
        assert servers.leader() == 3
        servers.stop_all()
        servers.start()
        assert servers.hosts == hosts and servers.leader() == 3
    assert not any(server.directory.exists() for server in servers.members.values())


class Other(Fake):
    kind = "other"


def test_a_member_is_replaced_by_one_of_another_kind_on_the_same_data() -> None:
    with Ensemble([Fake] * 3, {"syncLimit": "7"}) as servers:
        old = servers.members[2]
        (old.data / "kept").write_text("")
        with pytest.raises(RuntimeError, match="member 2 is running"):
            servers.replace(2, Other)
        servers.stop(2)
        servers.replace(2, Other)
        servers.restart(2)
        new = servers.members[2]
        assert new.kind == "other"
        assert (new.address, new.config) == (old.address, old.config)
        assert servers.mode(2) == "follower" and (new.data / "kept").exists()
        assert not old.directory.exists()
    assert not new.directory.exists()


def test_when_a_member_does_not_start_all_logs_are_in_the_error() -> None:
    servers = Ensemble([Fake] * 2)
    servers.members[2].config["clientPort"] = "none"
    with pytest.raises(ServerFailed) as failed, servers:
        pass
    assert re.search(r"(?s)-- 1:.*-- 2:.*ValueError", "".join(failed.value.__notes__))


def test_an_ensemble_exchanges_its_ports_when_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    ports(monkeypatch, taken)
    with Ensemble([Fake] * 2) as servers:
        assert str(taken) not in servers.hosts


def test_a_member_which_does_not_serve_is_named() -> None:
    with Ensemble([Fake] * 2) as servers:
        servers.stop(2)
        servers.members[2].config["mode"] = "looking"
        servers.restart(2, wait=False)
        with pytest.raises(ServerFailed, match=r"member 2 does not serve \(mode: looking\)"):
            servers.wait_until_serving(0.5)


def test_what_members_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="members cannot share clientPort, dataDir"):
        Ensemble([Fake], {"dataDir": "/x", "clientPort": "1"})
    with pytest.raises(ValueError, match=r"observers \[4\] of 3 members"):
        Ensemble([Fake] * 3, observers={4})


def test_a_factory_that_fails_leaves_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Fake] = []

    def factory(config: Mapping[str, str], properties: Mapping[str, str]) -> ServerProcess:
        if made:
            raise RuntimeError("no more")
        made.append(Fake(config, properties))
        return made[0]

    with pytest.raises(RuntimeError, match="no more"):
        Ensemble([factory] * 2)
    assert not made[0].directory.exists()
