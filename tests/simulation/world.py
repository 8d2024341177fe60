"""An ensemble drawn from a seed, and what can be done to it."""

from __future__ import annotations

import random
from typing import Final

import attrs
import trio

from tests.quorum.mesh import members
from tests.quorum.rolemesh import Zoo
from tests.simulation.disk import SimDisk
from tests.simulation.history import History, Violation
from tests.simulation.network import SimNetwork
from tests.simulation.pauses import HOST, Pauses
from tests.simulation.peers import SimPeer
from zkpy.config import parse_properties
from zkpy.config.settings import Config
from zkpy.errors import CorruptLogError, DataDirError
from zkpy.quorum.quorumconfig import QuorumConfig

KINDS: Final = ("plain", "members", "observers", "reads")
"""Fixed members; members that change; observers that follow followers; linearizable reads."""
KEYS: Final = [f"/k{number}" for number in range(4)]
FILE: Final = "/conf/zoo.cfg"
MASTER_PORT: Final = 25999
BACK_LIMIT_S: Final = 120.0
"""After the last fault all have to serve again within this time."""


class World(Zoo):
    """An ensemble whose kind, sizes and limits are drawn from *seed*."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.kind = KINDS[seed % len(KINDS)]
        rng = self.rng = random.Random(seed)
        voters = rng.choice({"plain": [3, 3, 3, 5], "reads": [5]}.get(self.kind, [3, 3, 4, 5]))
        observers = rng.choice({"observers": [1, 2, 3], "reads": [0, 1, 2, 2, 2]}.get(self.kind, [0, 0, 1]))
        spares = rng.choice([1, 2]) if self.kind == "members" else 0
        changing = self.kind == "members"
        masters = rng.random() < {"observers": 1.0, "reads": 0.9, "members": 0.5}.get(self.kind, 0.0)
        sids = tuple(range(1, voters + 1))
        super().__init__(
            *sids,
            observers=tuple(range(voters + 1, voters + observers + 1)),
            factor=rng.choice([-1, 0.01, 0.33, 1e9]),
            commit_log_count=rng.choice([2, 5, 50, 500]),
            snap_count=rng.choice([5, 20, 200, 100_000]),
            reconfig_enabled=changing,
            skip_acl=changing,
            ensemble={
                "local_sessions_enabled": rng.random() < 0.2,
                "local_sessions_upgrading_enabled": True,
                "observer_master_port": MASTER_PORT if masters else 0,
            },
        )
        if changing:
            self.file = FILE
        self.sids: tuple[int, ...] = tuple(range(1, voters + observers + 1))
        """The servers that were started at any time."""
        self.voters = sids
        """Those of the first configuration."""
        self.spares = list(range(voters + observers + 1, voters + observers + spares + 1))
        self.sure = self._draw_sure()
        """Whoever answers reads only when it is sure that they are not old."""
        self.network = SimNetwork(random.Random(rng.random()))  # type: ignore[assignment]
        everybody = (*self.sids, *self.spares)
        self.disks = {sid: SimDisk(random.Random(rng.random())) for sid in everybody}  # type: ignore[assignment]
        self._usual_s = {sid: rng.choice([0.0, 0.005, 0.05]) for sid in everybody}
        """How long a sync takes when all is well."""
        self.pauses = Pauses()
        self.history = History()
        self.down: set[int] = set()
        self._failing: set[int] = set()
        self.over = False
        if changing:
            for sid in self.sids:
                self._write_file(sid, self.config)
        self.disks_as_usual()

    def _draw_sure(self) -> set[int]:
        share = {"reads": 1.0, "members": 0.2}.get(self.kind, 0.3)
        if self.rng.random() >= share:
            return set()
        if self.kind == "members" or self.rng.random() < 0.4:
            return {*self.sids, *self.spares}
        return set(self.voters)

    # -- what servers are started with ---------------------------------------------------------------------

    def configuration(self, sid: int) -> Config:
        config = super().configuration(sid)
        return attrs.evolve(config, ensemble=attrs.evolve(config.ensemble, quorum_reads=sid in self.sure))

    def _write_file(self, sid: int, members: QuorumConfig) -> None:
        lines = ["tickTime=1000", *members.lines(), "syncLimit=5"]
        self.disks[sid].put(FILE, "\n".join(lines).encode())

    def present(self) -> QuorumConfig:
        """The newest configuration that was in force anywhere."""
        configs = self.history.configs
        return configs[max(configs)] if configs else self.config

    def _lists_itself(self, sid: int) -> bool:
        disk = self.disks[sid]
        if not disk.exists(FILE):
            return False
        entries = parse_properties(disk.read_bytes(FILE).decode())
        if "dynamicConfigFile" in entries:
            entries = parse_properties(disk.read_bytes(entries["dynamicConfigFile"].value).decode())
        return f"server.{sid}" in entries

    def _as_newcomer(self, sid: int) -> None:
        """What an operator gives to a server that is no member: the present members, and itself."""
        present = self.present()
        if present.member(sid) is None:
            own = members(observers=(sid,)) if self.rng.random() < 0.3 else members(sid)
            present = QuorumConfig((*present.servers, *own.servers))
        self._write_file(sid, present)

    def start(self, *sids: int) -> None:
        """Start members, with the data they left."""
        for sid in sids:
            if self.file is not None and not self._lists_itself(sid):
                self._as_newcomer(sid)
            present = self.config
            if self.file is not None:
                self.config = self._of_file(sid)
            token = HOST.set(f"h{sid}")
            try:
                super().start(sid)
            except (CorruptLogError, DataDirError, FileNotFoundError) as error:
                raise Violation(f"server {sid} cannot start again: {error}") from error
            finally:
                HOST.reset(token)
                self.config = present

    def _of_file(self, sid: int) -> QuorumConfig:
        """The members of the file as it was written by hand."""
        text = self.disks[sid].read_bytes(FILE).decode()
        lines = [line for line in text.splitlines() if line.startswith("server.")]
        return QuorumConfig.from_text("\n".join(lines)) if lines else self.config

    # -- what happens to them ------------------------------------------------------------------------------

    def note(self, fault: str) -> None:
        self.history.faults.append((trio.current_time(), fault))

    def power(self, sid: int) -> SimDisk:
        disk = self.disks[sid]
        assert isinstance(disk, SimDisk)
        return disk

    @property
    def net(self) -> SimNetwork:
        network = self.network
        assert isinstance(network, SimNetwork)
        return network

    def peer(self, sid: int) -> SimPeer:
        """A new connection of a client."""
        return SimPeer(self.members[sid], self.pauses)

    async def power_off(self, *sids: int) -> None:
        """At once; the others hear nothing of it, not even that connections end."""
        failing = [sid for sid in sids if not self.is_off(sid)]
        self._failing.update(failing)
        for sid in failing:
            self.power(sid).power_off()
            self.pauses.resume(f"h{sid}")
            self.members[sid].scope.cancel()
        for sid in failing:
            await self.members[sid].ended.wait()
        self._failing.difference_update(failing)
        self.down.update(failing)

    def is_off(self, sid: int) -> bool:
        """Whether it has no power, or loses it just now."""
        return sid in self.down or sid in self._failing

    def power_on(self, *sids: int) -> None:
        """Those that are down, with their disks as the failure left them."""
        for sid in sorted(self.down.intersection(sids)):
            self.net.reset(f"h{sid}")
            self.power(sid).power_on()
            self.down.discard(sid)
            self.start(sid)

    def wipe(self, sid: int) -> None:
        """It has another disk, with nothing on it."""
        self.disks[sid] = SimDisk(random.Random(self.rng.random()))

    def isolate(self, sid: int, ways: str) -> None:
        """Cut a member's ways: ``in``, ``out`` or ``both``."""
        host, others = f"h{sid}", [f"h{other}" for other in self.sids if other != sid]
        if ways != "in":
            self.net.change(lambda cuts: cuts.update((host, other) for other in others))
        if ways != "out":
            self.net.change(lambda cuts: cuts.update((other, host) for other in others))

    def split(self, group: set[int]) -> None:
        """Two halves that do not hear each other."""
        apart = [(f"h{a}", f"h{b}") for a in self.sids for b in self.sids if (a in group) is not (b in group)]
        self.net.change(lambda cuts: cuts.update(apart))

    def desert(self, group: set[int]) -> None:
        """The same, and all others see their connections to *group* end, which itself sees nothing."""
        self.split(group)
        self.net.desert({f"h{sid}" for sid in group})

    def heal(self) -> None:
        """All ways are free; what waited on them arrives. Nobody stands still."""
        self.net.change(lambda cuts: cuts.clear())
        self.net.slow.clear()
        self.disks_as_usual()
        self.pauses.resume(*self.pauses.hosts)

    def disks_as_usual(self) -> None:
        for sid, usual_s in self._usual_s.items():
            self.power(sid).slow_s = usual_s

    def serving(self) -> list[int]:
        """Where clients are admitted."""
        return [sid for sid in self.sids if not self.is_off(sid) and self.members[sid].service.serving]

    def some_leader(self) -> int:
        """One that says it leads, else anybody."""
        leading = [sid for sid in self.sids if not self.is_off(sid) and self.members[sid].mode == "leader"]
        return self.rng.choice(leading or self.sids)

    def master_of(self, sid: int) -> int | None:
        """Whom an observer follows."""
        if self.is_off(sid) or self.members[sid].mode != "observer":
            return None
        found = dict(self.members[sid].service.facts.gauges()).get("observer_master_id")
        return None if found is None else int(found)

    def bring_up(self, sid: int) -> None:
        """Start a spare server, which is no member yet."""
        self.note(f"new server {sid}")
        self.spares.remove(sid)
        self.sids = (*self.sids, sid)
        self.start(sid)

    # -- whether all is well -------------------------------------------------------------------------------

    async def all_serve(self) -> None:
        """Members that gave up by themselves are started again, as a supervisor would."""
        with trio.move_on_after(BACK_LIMIT_S):
            while not all(self.members[sid].service.serving for sid in self.sids):
                await trio.sleep(0.1)
                self.restart_ended()
            return
        modes = {sid: (m.mode, m.error, m.ended.is_set()) for sid, m in self.members.items()}
        raise Violation(f"not all serve {BACK_LIMIT_S:g} s after the last fault: {modes}")

    def restart_ended(self) -> None:
        for sid, each in self.members.items():
            if not self.is_off(sid) and each.ended.is_set():
                self.note(f"server {sid} ended by itself: {each.error!r}")
                if not isinstance(each.error, OSError):
                    raise Violation(f"server {sid} gave up: {each.error!r}")
                self.down.add(sid)
                self.power_on(sid)
