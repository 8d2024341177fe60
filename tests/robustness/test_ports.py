"""The election and quorum ports of a running ensemble, attacked over real sockets."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.robustness import conversations
from tests.robustness.harness import Client, until
from zkpy.ensemble import layout
from zkpy.quorum import packets
from zkpy.quorum.notification import encode_opening
from zkpy.quorum.packets import LearnerInfo, QuorumPacket

HOST = "127.0.0.1"
SETTINGS = ("tickTime=400", "syncLimit=5", "initLimit=10", "quorumCnxnTimeoutMs=1500")
OPENING_S = 1.5


class Running:
    """Three members, each a process."""

    def __init__(self, directory: Path) -> None:
        options = [part for setting in SETTINGS for part in ("--set", setting)]
        command = [sys.executable, "-m", "zkpy", "ensemble", "3", "--dir", str(directory), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        if words[:3] != ["zkpy", "ensemble", "ready"]:
            _, told = self.process.communicate(timeout=30)
            raise AssertionError(told)
        found = layout.load(directory)
        assert found is not None
        self.members = {member.number: member for member in found.members}
        self.roles = {int(line[1]): line[3] for line in self._lines()}
        (self.leader,) = [number for number, role in self.roles.items() if role == "leader"]
        self.logs = {number: directory / f"server-{number}" / "server.log" for number in self.members}
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pids = [int(pid) for pid in pids]

    def _lines(self) -> list[list[str]]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().split() for _ in range(3)]

    def connect(self, port: int) -> socket.socket:
        return socket.create_connection((HOST, port), 10)

    def unharmed(self) -> None:
        """Writes through every member, each in its role still."""
        for number, member in self.members.items():
            with Client(self.connect(member.client_port)) as client:
                assert client.create(f"/n-{number}-{time.monotonic_ns()}") == 0
            with self.connect(member.client_port) as sock:
                sock.sendall(b"srvr")
                answer = b""
                while chunk := sock.recv(4096):
                    answer += chunk
            assert f"Mode: {self.roles[number]}".encode() in answer

    def descriptors(self) -> list[int]:
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids]

    def log(self) -> str:
        return "".join(path.read_text() for path in self.logs.values())

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("ports") / "e")
    yield running
    running.end()
    log = running.log()
    assert "Traceback" not in log
    assert len(re.findall(r"\n.*(?:WARNING|ERROR)", log)) < 150, log


def hung_up(sock: socket.socket, within_s: float) -> bool:
    """Whether the other side ends the connection in time."""
    sock.settimeout(within_s)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


NONSENSE = {
    "noise": bytes(range(256)) * 4,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(190),
    "word": b"ruok" * 8,
    "negative": struct.pack(">qqi", -65536, 9, -1) + bytes(20),
    "huge": struct.pack(">qqi", -65536, 9, 2**31 - 1) + bytes(20),
    "quorum negative": struct.pack(">iqi", packets.FOLLOWERINFO, 0, -2) + bytes(40),
    "quorum huge": struct.pack(">iqi", packets.FOLLOWERINFO, 0, 2**31 - 1) + bytes(40),
    "protocol 0": QuorumPacket(packets.FOLLOWERINFO, 0, LearnerInfo(9, 0).encode()).encode(),
    "short": QuorumPacket(packets.FOLLOWERINFO, 0, b"\0" * 7).encode(),
    "out of order": QuorumPacket(packets.ACKEPOCH, 0, bytes(4)).encode(),
    "from a leader": b"".join(QuorumPacket(kind, 0).encode() for kind in (packets.SNAP, packets.UPTODATE)),
    "message": encode_opening(9, [("127.0.0.1", 1)]) + struct.pack(">i", 524289),
    "own number": encode_opening(2, [("127.0.0.1", 1)]),
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_hung_up_on(ensemble: Running, said: bytes) -> None:
    member = ensemble.members[2]
    leader = ensemble.members[ensemble.leader]
    with ExitStack() as stack:
        opened = []
        for port in (member.election_port, leader.quorum_port):
            sock = stack.enter_context(ensemble.connect(port))
            sock.sendall(said)
            opened.append(sock)
        for sock in opened:
            assert hung_up(sock, 8)
    ensemble.unharmed()


def test_silent_connections_are_bounded_and_end(ensemble: Running) -> None:
    before = ensemble.descriptors()
    follower = next(number for number in ensemble.members if number != ensemble.leader)
    ports = (ensemble.members[follower].election_port, ensemble.members[ensemble.leader].quorum_port)
    started = [b"", encode_opening(9, [("127.0.0.1", 1)])[:25], bytes(7)]
    with ExitStack() as stack:
        opened = []
        for number in range(300):
            sock = stack.enter_context(ensemble.connect(ports[number % 2]))
            sock.sendall(started[number % 3])
            opened.append(sock)
        until(lambda: max(a - b for a, b in zip(ensemble.descriptors(), before, strict=True)) <= 110, "room")
        ensemble.unharmed()
        for sock in opened:
            assert hung_up(sock, 10)
    until(lambda: max(a - b for a, b in zip(ensemble.descriptors(), before, strict=True)) <= 2, "all closed")


def test_learners_that_stop_in_the_middle_end(ensemble: Running) -> None:
    """After each step of the handshake; the time-out is initLimit, 4 s."""
    epoch = 1
    steps = [
        QuorumPacket(packets.FOLLOWERINFO, 0, LearnerInfo(9).encode()).encode(),
        packets.ack_epoch(0, 0).encode(),
        QuorumPacket(packets.ACK, epoch << 32).encode(),
    ]
    port = ensemble.members[ensemble.leader].quorum_port
    with ExitStack() as stack:
        opened = []
        for end in (1, 2, 3):
            for _ in range(5):
                sock = stack.enter_context(ensemble.connect(port))
                sock.sendall(b"".join(steps[:end]))
                opened.append(sock)
        for sock in opened:
            assert hung_up(sock, 12)
    ensemble.unharmed()


@pytest.mark.parametrize("impostor", [1, 2, 3, 77])
def test_who_takes_a_members_name_does_not_keep_its_place(ensemble: Running, impostor: int) -> None:
    """Every member is told by somebody that he is server 1, 2, 3; afterwards the real ones still elect."""
    with ExitStack() as stack:
        for member in ensemble.members.values():
            sock = stack.enter_context(ensemble.connect(member.election_port))
            sock.sendall(encode_opening(impostor, [("127.0.0.1", member.election_port)]))
            vote = struct.pack(">iqqqqii", 2, impostor, 2**62, 2**62, 2**40, 2, 0)
            sock.sendall(struct.pack(">i", len(vote)) + vote)
        ensemble.unharmed()
        time.sleep(1.5)
        ensemble.unharmed()


def test_many_damaged_conversations(ensemble: Running) -> None:
    from random import Random

    r = Random(17)
    leader = ensemble.members[ensemble.leader]
    before = ensemble.descriptors()
    for _ in range(300):
        if r.random() < 0.5:
            port, pieces = r.choice(list(ensemble.members.values())).election_port, conversations.election(r)
        else:
            port, pieces = leader.quorum_port, conversations.leader(r)
        with ensemble.connect(port) as sock, suppress(ConnectionError):
            sock.sendall(b"".join(pieces))
    ensemble.unharmed()
    until(lambda: max(a - b for a, b in zip(ensemble.descriptors(), before, strict=True)) <= 2, "all closed")
