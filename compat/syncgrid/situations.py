"""Ensembles in which a learner is behind its leader: by a little, by a lot, and with a history of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from compat import wire
from compat.ensemble import Ensemble, MemberFactory
from compat.members import RawSession, client, eventually, last_zxid, the_third_leads
from compat.realzk import RealServer
from compat.syncgrid.proxy import QuorumProxy
from compat.zkpyserver import ZkpyServer
from zkpy.quorum.packets import DIFF, SNAP, TRUNC

LEARNER, THIRD, LEADER = 1, 2, 3
LONELY: Final = "/lonely"
ROOT: Final = "/grid"
_COMMIT_LOG: Final = 500
_SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8", "maxSessionTimeout": "3600000"}
_PROPERTIES = {
    "zookeeper.commitLogCount": str(_COMMIT_LOG),
    "zookeeper.snapshotSizeFactor": "-1",
    "zookeeper.preAllocSize": "64",
}


class Direction(Enum):
    """Who brings whom up to date."""

    JAVA_ZKPY = "java-zkpy"
    ZKPY_JAVA = "zkpy-java"


class Situation(Enum):
    """How far the two histories are apart; the value is what has to open the synchronisation."""

    DIFF = DIFF
    TRUNC = TRUNC
    SNAP = SNAP


_KINDS: dict[Direction, list[MemberFactory]] = {  # the learner, the third, the leader
    Direction.JAVA_ZKPY: [ZkpyServer, ZkpyServer, RealServer],
    Direction.ZKPY_JAVA: [RealServer, ZkpyServer, ZkpyServer],
}


class ProxiedEnsemble(Ensemble):
    """Three members who reach each other's quorum ports through proxies."""

    def __init__(self, factories: list[MemberFactory]) -> None:
        self.proxies: dict[int, QuorumProxy] = {}
        super().__init__(factories, _SETTINGS, _PROPERTIES)

    def _configure(self) -> None:
        super()._configure()
        self._close_proxies()
        for target in self.members:
            name = f"server.{target}"
            for number, member in self.members.items():
                host, quorum_port, rest = member.config[name].split(":", 2)
                if target not in self.proxies:
                    self.proxies[target] = QuorumProxy(int(quorum_port))
                if number != target:
                    member.config[name] = f"{host}:{self.proxies[target].port}:{rest}"

    def close(self) -> None:
        super().close()
        self._close_proxies()

    def _close_proxies(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()
        self.proxies.clear()


class Prepared:
    """Every situation of one direction, kept as data directories from which the members can start."""

    def __init__(self, direction: Direction) -> None:
        self.direction: Final = direction
        self.ensemble: Final = ProxiedEnsemble(_KINDS[direction])
        self._kept: Final = Path(tempfile.mkdtemp(prefix=f"syncgrid-{direction.value}-"))

    def __enter__(self) -> Self:
        try:
            self._prepare()
        except BaseException:
            print(self.ensemble.log())
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        RawSession.close_all()
        self.ensemble.close()
        shutil.rmtree(self._kept, ignore_errors=True)

    def restore(self, situation: Situation) -> None:
        """Give all members, none of which may be running, their data as they were."""
        for number, member in self.ensemble.members.items():
            shutil.rmtree(member.data, ignore_errors=True)
            shutil.copytree(self._kept / situation.name / str(number), member.data)

    def _keep(self, situation: Situation) -> None:
        for number, member in self.ensemble.members.items():
            shutil.copytree(member.data, self._kept / situation.name / str(number))

    def _prepare(self) -> None:
        ensemble = self.ensemble
        ensemble.start()
        the_third_leads(ensemble)
        self._write(LEADER, "before", 5)
        ensemble.stop(LEARNER)
        self._write(LEADER, "missed", 10)
        ensemble.stop_all()
        self._keep(Situation.DIFF)
        self._start(THIRD, LEADER)
        self._write_much()
        ensemble.stop_all()
        self._keep(Situation.SNAP)
        self._write_alone()
        self._keep(Situation.TRUNC)

    def _start(self, *numbers: int) -> None:
        for number in numbers:
            self.ensemble.restart(number, wait=False)
        self.ensemble.wait_until_serving()

    def _write(self, number: int, name: str, count: int) -> None:
        writer = client(self.ensemble.members[number].address)
        writer.ensure_path(ROOT)
        for each in range(count):
            writer.create(f"{ROOT}/{name}-{each}", b"x")
        writer.stop()
        writer.close()

    def _write_much(self) -> None:
        writer = client(self.ensemble.members[LEADER].address)
        made = [writer.set_async(ROOT, b"%d" % count) for count in range(_COMMIT_LOG + 50)]
        for one in made:
            one.get(timeout=30)
        writer.stop()
        writer.close()

    def _write_alone(self) -> None:
        """The later learner leads, logs what nobody else gets, and dies; until then all have the same."""
        ensemble = self.ensemble
        self._start(LEARNER, LEADER)
        self._write(LEADER, "without-third", 1)
        ensemble.stop(LEADER)
        ensemble.restart(THIRD, wait=False)
        ensemble.wait_until_serving()
        assert ensemble.leader() == LEARNER, "the one with more history must lead"
        self._start(LEADER)
        lonely = RawSession(ensemble.members[LEARNER], 3_600_000)
        self._write(LEARNER, "by-learner", 3)
        eventually("one zxid everywhere", lambda: len(set(map(last_zxid, ensemble.members.values()))) == 1)
        time.sleep(0.3)  # what a Java follower has applied may not be in its log yet
        for number in (THIRD, LEADER):
            ensemble.members[number].kill()
        lonely.wire.send(wire.request(99, wire.CREATE, wire.create_body(LONELY, b"LONELY")))
        logs = ensemble.members[LEARNER].data / "version-2"
        eventually("in the log", lambda: any(b"LONELY" in file.read_bytes() for file in logs.glob("log.*")))
        ensemble.kill(LEARNER)
        lonely.close()
