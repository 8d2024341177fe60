"""Read-only mode: two servers that are left without a quorum, one of them Java, tell clients the same."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NotReadOnlyCallError
from kazoo.protocol.states import KeeperState

from compat import wire
from compat.ensemble import Ensemble
from compat.members import TIMEOUT_S, RawSession, eventually
from compat.process import ServerProcess, four_letters
from compat.test_ensemble import KINDS, SETTINGS
from compat.wire import Normaliser, Script

JAVA, ZKPY = 1, 2
LOST = 3, 4
LIMITED = {"read_only": b"\1"}
WRITES = (
    wire.CREATE,
    wire.CREATE2,
    wire.CREATE_CONTAINER,
    wire.CREATE_TTL,
    wire.DELETE,
    wire.DELETE_CONTAINER,
    wire.SET_DATA,
    wire.SET_ACL,
    wire.MULTI,
    wire.RECONFIG,
    wire.SYNC,
)
SESSION_TIMEOUT_MS = 10_000
_SETTINGS = {**SETTINGS, "localSessionsEnabled": "true", "4lw.commands.whitelist": "*"}
_SETTINGS["localSessionsUpgradingEnabled"] = "true"


class Left(Script):
    """A play against a server that cannot write: nothing is prepared and nothing left behind."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = "/kept"
        self.notes = []
        self.norm = Normaliser(0)
        self._wires: list[wire.Wire] = []

    def opened(self, session: wire.Session) -> None:
        self.norm.sessions.setdefault(session.id, len(self.norm.sessions))

    def closed(self, session: wire.Session) -> None:
        """Nothing is kept of it."""

    def finish(self) -> list[wire.Reply]:
        for each in self._wires:
            each.close()
        return self.notes


class Orphans:
    """Servers 1 and 2 of four, without the others; *session* is one of the whole ensemble."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.java, self.zkpy = (ensemble.members[number] for number in (JAVA, ZKPY))
        opened = RawSession(self.zkpy, SESSION_TIMEOUT_MS)
        assert opened.create("/kept") == 0
        assert opened.create("/kept/e", flags=1) == 0
        assert opened.call(wire.SYNC, wire.text("/")) == 0
        self.session, self.password = opened.id, opened.password
        for number in (JAVA, ZKPY):
            synced = RawSession(ensemble.members[number])
            assert synced.call(wire.SYNC, wire.text("/")) == 0
        for number in LOST:
            ensemble.kill(number)
        for member in (self.java, self.zkpy):
            eventually("read-only", partial(_is_read_only, member))


def _is_read_only(member: ServerProcess) -> bool:
    return four_letters(member.port, "isro") == "ro"


@pytest.fixture(scope="module")
def orphans() -> Iterator[Orphans]:
    ensemble = Ensemble([KINDS[kind] for kind in "jzzz"], _SETTINGS, {"readonlymode.enabled": "true"})
    with ensemble:
        yield Orphans(ensemble)
        RawSession.close_all()


def handshakes(s: Left, orphans: Orphans) -> None:
    s.session("insists").until_end()
    s.session("old", read_only=b"").until_end()
    s.session("has seen more", zxid=1 << 50, **LIMITED).until_end()
    ensemble = {"session": orphans.session, "password": orphans.password}
    s.session("of the ensemble", **ensemble, **LIMITED).until_end()
    s.session("unknown", session=0x100000000000042, **LIMITED).until_end()
    a = s.session("a", timeout_ms=9000, **LIMITED)
    local = {"session": a.id, "password": a.password}
    b = s.session("b", timeout_ms=8000, **local, **LIMITED)
    a.until_end()
    s.session("wrong", **{**local, "password": bytes(16)}, **LIMITED).until_end()
    b.until_end()
    c = s.session("c", **local, **LIMITED)
    c.close()
    s.session("closed", **local, **LIMITED).until_end()
    short = s.session("short", timeout_ms=1000, **LIMITED)
    short.until_end()


def requests(s: Left, orphans: Orphans) -> None:
    a = s.session("a", **LIMITED)
    for op in WRITES:
        a.call(op, wire.text("/kept"), err=-119)
    a.create("/kept/n", err=-119)
    a.get("/kept", watch=1, err=0)
    a.exists("/absent", watch=1, err=-101)
    a.children("/kept", watch=1, err=0)
    a.get_acl("/kept", err=0)
    a.call(wire.MULTI_READ, wire.multi_body([(wire.GET_DATA, wire.read_body("/kept"))]), err=0)
    a.call(wire.GET_EPHEMERALS, wire.text("/"), err=0)
    a.call(wire.GET_ALL_CHILDREN_NUMBER, wire.text("/kept"), err=0)
    a.call(wire.WHO_AM_I, err=0)
    a.add_watch("/kept", 1, err=0)
    a.call(wire.SET_WATCHES, wire.i64(0) + wire.texts(["/absent"]) + 2 * wire.texts([]), xid=-8, err=0)
    a.ping()
    a.auth("digest", "maja:secret", err=0)
    a.call(wire.WHO_AM_I, err=0)
    a.close()  # no pipelines: Java's refusals may overtake the answers to reads


@pytest.mark.parametrize("script", [handshakes, requests])
def test_clients_are_told_the_same(orphans: Orphans, script: object) -> None:
    told = []
    for member in (orphans.java, orphans.zkpy):
        stage = Left(member.address)
        script(stage, orphans)  # type: ignore[operator]
        told.append([reply.note for reply in stage.finish()])
    assert told[0] == told[1]
    assert len(told[0]) > 15


def words(member: ServerProcess) -> list[str]:
    shown = [f"{word}: {four_letters(member.port, word)}" for word in ("isro", "ruok", "wchs")]
    srvr = four_letters(member.port, "srvr").splitlines()[1:]
    shown += [re.sub(r"\d+", "N", line) if "Mode" not in line else line for line in srvr]
    shown += four_letters(member.port, "stat").splitlines()[1:3]
    conf = four_letters(member.port, "conf")
    shown += [line.partition("=")[0] for line in conf.splitlines()] + [conf[-2:]]
    dump = four_letters(member.port, "dump").partition("Connections dump")[0]
    # Java lists empty buckets, too.
    shown += [re.sub(r"Sets \(\d+\)", "Sets", line) for line in dump.splitlines() if "expire" not in line]
    mntr = dict(line.split("\t") for line in four_letters(member.port, "mntr").splitlines())
    keys = "server_state global_sessions local_sessions znode_count ephemerals_count watch_count"
    shown += [f"{key} {mntr[f'zk_{key}']}" for key in keys.split()]
    return shown + ["peer_state" for key in mntr if key == "zk_peer_state"]


def test_words_tell_the_same(orphans: Orphans) -> None:
    assert words(orphans.java) == words(orphans.zkpy)


def test_a_client_reads_on_and_writes_again_later(orphans: Orphans) -> None:
    ensemble = orphans.ensemble
    client = KazooClient(orphans.zkpy.address, read_only=True, timeout=5.0)
    client.start(timeout=TIMEOUT_S)
    try:
        assert client.client_state == KeeperState.CONNECTED_RO
        assert client.get("/kept")[0] == b"raw"
        with pytest.raises(NotReadOnlyCallError):
            client.create("/kept/later", b"")
        began = time.monotonic()
        for number in LOST:
            ensemble.restart(number, wait=False)
        ensemble.wait_until_serving()
        eventually("read-write", lambda: client.client_state == KeeperState.CONNECTED)
        assert client.create("/kept/later", b"") == "/kept/later"
        assert four_letters(orphans.zkpy.port, "isro") == "rw"
        assert time.monotonic() - began < 2 * TIMEOUT_S
    finally:
        client.stop()
        client.close()
