"""Members that change while an ensemble of zkpy and Java servers runs; refusals compared with Java's.

The letters of a case are the kinds of servers 1 to 5 (z: zkpy, j: Java): 1 to 3 vote and 3 leads at first, 4
observes, and 5 knows the others but is no member yet. ``ENSEMBLE_ALL=1`` takes more cases.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from kazoo.exceptions import ConnectionLoss, SessionExpiredError

from compat import wire
from compat.ensemble import Ensemble
from compat.members import CONFIG, RawSession, client, eventually, gauge, same_trees, the_third_leads
from compat.process import HOST, ServerProcess, four_letters, free_port
from compat.realzk import RealServer
from compat.test_ensemble import ALL, KINDS
from compat.zkpyserver import ZkpyServer

SUPER = "super:secret"
HASH = base64.b64encode(hashlib.sha1(SUPER.encode()).digest()).decode()
SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8", "reconfigEnabled": "true"}
PROPERTIES = {"zookeeper.DigestAuthenticationProvider.superDigest": f"super:{HASH}"}
OBSERVER, JOINER = 4, 5
CASES = ["zjzjz", "jzjzj"]
MORE = ["zzzzj", "jjjjz", "zzjjz", "jjzzj"]


class Growing(Ensemble):
    """Server 5 is in nobody's list but its own."""

    def _configure(self) -> None:
        super()._configure()
        for number, member in self.members.items():
            if number != JOINER:
                del member.config[f"server.{JOINER}"]

    def line(self, number: int, role: str = "participant") -> str:
        """What is to be said to have a server in this role."""
        host, quorum, election = self.members[JOINER].config[f"server.{number}"].split(":")[:3]
        election = election.partition(";")[0]
        port = self.members[number].port
        return f"server.{number}={host}:{quorum}:{election}:{role};{HOST}:{port}"


class Administrator:
    """Changes members through one server after the other, as the super user."""

    def __init__(self, ensemble: Growing) -> None:
        self.ensemble = ensemble
        self._through = 0

    def change(self, joining: str | None = None, leaving: str | None = None) -> int:
        """The version that all members have in the end."""
        numbers = list(self.ensemble.members)
        number = numbers[self._through % len(numbers)]
        self._through += 1
        member = self.ensemble.members[number]
        asked = client(member.address)
        try:
            asked.add_auth("digest", SUPER)
            before = version(asked.get(CONFIG)[0])
            try:
                text, stat = asked.reconfig(joining, leaving, None)
            except (ConnectionLoss, SessionExpiredError):  # the leader, or this server's role, has changed
                return self.agreed(above=before)
            assert stat.mzxid == version(text)
            assert stat.version == -1
            return self.agreed(above=before)
        finally:
            asked.stop()
            asked.close()

    def agreed(self, above: int = 0) -> int:
        """All members serve, and show the same newer configuration."""
        found: set[int] = set()

        def same() -> bool:
            found.clear()
            for each in self.ensemble.members.values():
                try:
                    found.add(version(four_letters(each.port, "conf").encode()))
                except (OSError, ValueError):
                    return False
            return len(found) == 1 and min(found) > above

        eventually("one configuration", same)
        self.ensemble.wait_until_serving()
        return found.pop()


def version(text: bytes) -> int:
    """The version of a configuration; ValueError: there is none."""
    return int(text.decode().strip().rpartition("version=")[2], 16)


def writes_through_all(ensemble: Growing, name: str) -> None:
    """Every server takes writes, and all trees are equal afterwards."""
    for number, member in ensemble.members.items():
        writer = client(member.address)
        writer.ensure_path("/written")
        writer.create(f"/written/{name}-{number}", b"x")
        writer.stop()
        writer.close()
    same_trees(ensemble)
    for number, member in ensemble.members.items():
        assert gauge(member, "digest_mismatches_count") == "0", f"server {number} after {name}"


def modes(ensemble: Growing) -> dict[int, str | None]:
    return {number: ensemble.mode(number) for number in ensemble.members}


def moves_its_clients(admin: Administrator, number: int) -> None:
    """A new client port is listened on, the old one is not; who was connected stays."""
    ensemble = admin.ensemble
    member = ensemble.members[number]
    old = member.port
    session = RawSession(member)
    member.port = free_port()
    line = ensemble.line(number)
    new, member.port = member.port, old
    asked = client(ensemble.members[3].address)
    asked.add_auth("digest", SUPER)
    asked.reconfig(line, None, None)
    asked.stop()
    asked.close()
    member.port = new
    admin.agreed()
    assert session.create(f"/by-the-old-port-{number}") == 0
    assert session.call(wire.CLOSE_SESSION, b"") == 0
    session.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, old), 1).close()


@pytest.fixture
def ensemble(case: str, classpath: str) -> Iterator[Growing]:
    kinds = [KINDS[kind] for kind in case]
    with Growing(kinds, SETTINGS, PROPERTIES, observers=(OBSERVER,)) as running:
        try:
            yield running
        except BaseException:
            print(running.log())
            raise
        finally:
            RawSession.close_all()


@pytest.mark.parametrize("case", CASES + (MORE if ALL else []))
def test_members_come_go_and_change(case: str, ensemble: Growing) -> None:
    the_third_leads(ensemble)
    admin = Administrator(ensemble)
    first = admin.agreed()
    assert first & 0xFFFFFFFF == 0, "the version of the epoch in which the ensemble began"
    joined = admin.change(ensemble.line(JOINER))
    assert joined > first
    writes_through_all(ensemble, "joined")
    admin.change(ensemble.line(OBSERVER))
    assert modes(ensemble)[OBSERVER] == "follower"
    admin.change(ensemble.line(OBSERVER, "observer"))
    assert modes(ensemble)[OBSERVER] == "observer"
    writes_through_all(ensemble, "observed")
    moves_its_clients(admin, 2)
    writes_through_all(ensemble, "moved")
    admin.change(None, "1")
    assert modes(ensemble) == {1: "follower", 2: "follower", 3: "leader", 4: "observer", 5: "follower"}
    writes_through_all(ensemble, "left")
    admin.change(None, "3")
    eventually("the old leader follows", lambda: ensemble.mode(3) == "follower")
    assert ensemble.leader() in (2, JOINER)
    writes_through_all(ensemble, "led")
    for number in (2, JOINER):
        ensemble.stop(number)
    for number in (2, JOINER):
        ensemble.restart(number, wait=False)
    ensemble.wait_until_serving()
    admin.agreed(above=joined)
    writes_through_all(ensemble, "again")


def as_a(kind: type[ServerProcess], member: ServerProcess) -> ServerProcess:
    """Another kind of server with a stopped member's directory and port."""
    other = kind(member.config, member.properties)
    shutil.rmtree(other.directory)
    other.directory, other.log_path = member.directory, member.directory / "other.log"
    other.config_path, other.port = member.config_path, member.port
    return other


def test_either_kind_goes_on_with_the_files_that_the_other_has_written(classpath: str) -> None:
    with Ensemble([ZkpyServer] * 3, SETTINGS, PROPERTIES) as ensemble:
        versions = [1 << 32]
        for kind in (RealServer, ZkpyServer):
            with closing(client(ensemble.members[2].address)) as asked:
                asked.add_auth("digest", SUPER)
                versions.append(asked.reconfig(None, "77", None)[1].mzxid)
                asked.stop()
            ensemble.stop(1)
            assert f"zoo.cfg.dynamic.{versions[-1]:x}\n" in ensemble.members[1].config_path.read_text()
            ensemble.members[1] = as_a(kind, ensemble.members[1])
            ensemble.restart(1)
            ensemble.wait_until_serving()
            assert version(four_letters(ensemble.members[1].port, "conf").encode()) == versions[-1]
        names = {file.name for file in ensemble.members[1].directory.glob("zoo.cfg*")}
        assert names == {"zoo.cfg", "zoo.cfg.bak"} | {f"zoo.cfg.dynamic.{each:x}" for each in versions}
        same_trees(ensemble)


# -- refusals ----------------------------------------------------------------------------------------------

A = "10.1.1.1"
NULL: tuple[None, None, None] = (None, None, None)
REQUESTS: list[tuple[str | None, str | None, str | None, int]] = [
    *(
        (None, leaving, None, -1)
        for leaving in ("x", "2,y", "", "1", "7", " 7 , 8", "+7", "99999999999999999999")
    ),
    (f"server.2={A}:1:2;3", None, None, -1),
    (f"server.2={A}:1:2", None, None, -1),
    ("server.2", None, None, -1),
    ("server.2=a=b", None, None, -1),
    (f"server.x={A}:1:2;3", None, None, -1),
    (f"2={A}:1:2;3", None, None, -1),
    (f"foo.2={A}:1:2:observer;3", None, None, -1),
    (f"server.2={A}:1:2:boss;3", None, None, -1),
    (f"server.2={A}:1:1;3", None, None, -1),
    (f"server.2={A}:1:x;3", None, None, -1),
    (f"server.2={A}:1:99999;3", None, None, -1),
    (f"server.2={A}:1:2;x", None, None, -1),
    (f"server.2={A}:1:2;99999", None, None, -1),
    (f"server.3={A}:1:5:observer;4", None, None, -1),
    (f"server.3={A}:4:5:observer;2", None, None, -1),
    (f"server.3={A}:11:12:observer;13,server.4={A}:13:14:observer;15", None, None, -1),
    ("server.5=127.0.0.1:1:5:observer;4, server.6=127.0.0.1:1:5:observer;4", None, None, -1),
    ("server.5=10.1.1.2:1:2:observer;0.0.0.0:9,server.6=10.1.1.3:1:2:observer;9", None, None, -1),
    (f" server.7 = {A}:91:95:observer;4 ,, ", None, None, -1),
    ("server.7=h|x:1:5:observer;4", None, None, -1),
    (f"server.7={A}:1:5:observer;4;5", None, None, -1),
    ("server.7=;4", None, None, -1),
    ("server.7=", None, None, -1),
    ("server.1=10.7.7.7:1:5:observer;4", None, None, -1),
    ("server.1=10.7.7.7:1:5:participant;4", None, None, 12345),
    (*NULL, 77),
    *(
        (None, None, members, -1)
        for members in (
            "",
            "server.9=10.7.7.7:1:5",
            "server.9=10.7.7.7:1:5:observer",
            "version=zz\nserver.1=SELF",
            "foo=1\nserver.1=SELF",
            "server.x=SELF",
            "server.1=SELF:boss",
            "server.1=SELF,group.1=1,weight.1=1",
            "server.1=SELF,group.1=1:1",
            "server.1=SELF,group.1=2",
            "server.1=SELF,group.1=1,weight.1=x",
            "server.1=SELF,group.x=1",
            "server.1=SELF,weight.1=1",
            "server.1=SELF,group.1=1,weight.1=0",
        )
    ),
    (None, "7", None, -1),  # the quorums are hierarchical by now
    (None, None, "server.1=SELF\nserver.2=\\u12", -1),
    (None, None, "server.1=SELF;CLIENT", -1),
    (*NULL, -1),
]
"""Joining and leaving servers, new members, version; SELF and CLIENT stand for server 1's addresses."""


def answers(kind: type[ServerProcess], extra: dict[str, str]) -> list[object]:
    """What a server that is an ensemble by itself answers: to a stranger, then to the super user."""
    given: list[object] = []
    settings = {**SETTINGS, "standaloneEnabled": "false", **extra}
    with Ensemble([kind], settings, PROPERTIES) as alone:
        member = alone.members[1]
        own, _, clients = member.config["server.1"].partition(";")
        session = RawSession(member)

        def ask(request: tuple[str | None, str | None, str | None, int]) -> object:
            lists = (each and each.replace("SELF", own).replace("CLIENT", clients) for each in request[:3])
            body = b"".join(wire.text(each) for each in lists) + struct.pack(">q", request[3])
            session.xid += 1
            session.wire.send(wire.request(session.xid, wire.RECONFIG, body))
            answer = session.wire.receive()
            assert answer is not None
            _, _, err = struct.unpack_from(">iqi", answer)
            if err:
                return err
            (size,) = struct.unpack_from(">i", answer, 16)
            text = answer[20 : 20 + size].decode().replace(own, "SELF").replace(clients, "CLIENT")
            lines = sorted(line for line in text.splitlines() if not line.startswith("version="))
            return lines, len(answer) - 20 - size

        given += (ask(request) for request in REQUESTS[:10])
        session.wire.send(wire.request(-4, 100, wire.i32(0) + wire.text("digest") + wire.text(SUPER)))
        session.wire.receive()
        given += (ask(request) for request in REQUESTS)
        given.append(events_of_a_change(session))
        session.close()
    return given


def events_of_a_change(session: RawSession) -> list[tuple[bool, bytes]]:
    """What a persistent watch is sent before the answer: whether it has the answer's zxid, and the event."""
    assert session.call(wire.ADD_WATCH, wire.text(CONFIG) + wire.i32(0)) == 0
    session.xid += 1
    body = wire.text(None) * 3 + struct.pack(">q", -1)
    session.wire.send(wire.request(session.xid, wire.RECONFIG, body))
    events: list[tuple[int, bytes]] = []
    while True:
        frame = session.wire.receive()
        assert frame is not None
        xid, zxid, _ = struct.unpack_from(">iqi", frame)
        if xid == session.xid:
            return [(at == zxid, event) for at, event in events]
        events.append((zxid, frame[16:]))


def test_whatever_java_refuses_is_refused_in_the_same_way(classpath: str) -> None:
    ours, javas = answers(ZkpyServer, {}), answers(RealServer, {})
    asked = [*REQUESTS[:10], *REQUESTS]
    different = [
        (request, mine, other)
        for request, mine, other in zip(asked, ours[:-1], javas[:-1], strict=True)
        if mine != other
    ]
    assert not different
    assert ours[-1] == javas[-1]
