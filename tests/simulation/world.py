"""An ensemble and faults drawn from a seed; everything that happened is kept for the checks."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from struct import unpack_from

import attrs
import trio

from tests.harness import Peer, Reply
from tests.quorum.rolemesh import Member, Zoo
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork
from zkpy.errors import CorruptLogError, DataDirError
from zkpy.pipeline.request import Request
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.quorum.acks import Proposals
from zkpy.quorum.leader import Leader
from zkpy.quorum.quorumconfig import QuorumConfig

KEYS = [f"/k{number}" for number in range(4)]
BACK_LIMIT_S = 120.0
"""After the last fault all have to serve again within this time."""


class Violation(AssertionError):
    """Something happened that must not."""


@attrs.define(eq=False)
class Operation:
    """What a client asked for, and what it heard: ``ended`` None: nothing."""

    client: int
    session: int
    kind: str
    path: str
    value: bytes
    begun: float
    xid: int
    ended: float | None = None
    reply: Reply | None = None


@attrs.define
class History:
    """What clients and an all-seeing observer know."""

    operations: list[Operation] = attrs.field(factory=list)
    proposed: dict[int, bytes] = attrs.field(factory=dict)
    """Everything that a leader proposed, by zxid."""
    lives: list[list[int]] = attrs.field(factory=list)
    """The zxids that one role of one server carried out, in order."""
    leaders: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    """By epoch who was established in it, and the last zxid of the history that this leader brought."""
    faults: list[tuple[float, str]] = attrs.field(factory=list)
    moments: dict[str, trio.Event] = attrs.field(factory=dict)
    """What faults wait for: the next ``answer`` to a client, the next ``leader`` that is established."""

    def moment(self, name: str) -> None:
        """It has come."""
        event = self.moments.pop(name, None)
        if event is not None:
            event.set()

    async def wait_for(self, name: str, limit_s: float) -> None:
        with trio.move_on_after(limit_s):
            await self.moments.setdefault(name, trio.Event()).wait()


class SimPeer(Peer):
    """A client's connection that can be waited for."""

    def __init__(self, member: Member) -> None:
        super().__init__(member)  # type: ignore[arg-type]
        self._member = member
        self.stirred = trio.Event()
        self._frames: deque[bytes] = deque()
        flush, abort = self.channel.flush, self.channel.abort

        def flushed() -> None:
            flush()
            self.stirred.set()

        def aborted() -> None:
            abort()
            self.stirred.set()

        self.channel.flush = flushed  # type: ignore[method-assign]
        self.channel.abort = aborted  # type: ignore[method-assign]

    @property
    def up(self) -> bool:
        """Whether the member still has power."""
        disk = self._member.disk
        assert isinstance(disk, SimDisk)
        return not disk.dead

    async def frame(self, limit_s: float) -> bytes | None:
        """The next answer; None: the connection ended, or nothing came in time."""
        with trio.move_on_after(limit_s):
            while True:
                self._frames += self.channel.frames()
                if self._frames:
                    return self._frames.popleft()
                if self.closed:
                    return None
                self.stirred = trio.Event()
                await self.stirred.wait()
        return None


class World(Zoo):
    """An ensemble whose faults, sizes and limits are drawn from *seed*."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = self.rng = random.Random(seed)
        voters = rng.choice([3, 3, 3, 5])
        observers = rng.choice([0, 0, 1])
        sids = tuple(range(1, voters + 1))
        super().__init__(
            *sids,
            observers=tuple(range(voters + 1, voters + observers + 1)),
            factor=rng.choice([-1, 0.01, 0.33, 1e9]),
            commit_log_count=rng.choice([2, 5, 50, 500]),
            snap_count=rng.choice([5, 20, 200, 100_000]),
            ensemble={
                "quorum_reads": rng.random() < 0.3,
                "local_sessions_enabled": rng.random() < 0.2,
                "local_sessions_upgrading_enabled": True,
                "observer_master_port": rng.choice([0, 25999]),
            },
        )
        self.sids = (*sids, *range(voters + 1, voters + observers + 1))
        self.voters = sids
        self.network = SimNetwork(random.Random(rng.random()))  # type: ignore[assignment]
        self.disks = {sid: SimDisk(random.Random(rng.random())) for sid in self.sids}  # type: ignore[assignment]
        self._usual_s = {sid: rng.choice([0.0, 0.005, 0.05]) for sid in self.sids}
        """How long a sync takes when all is well."""
        self._disks_as_usual()
        self.history = History()
        self.down: set[int] = set()
        self.over = False

    # -- faults --------------------------------------------------------------------------------------------

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

    async def power_off(self, *sids: int) -> None:
        """At once; the others hear nothing of it, not even that connections end."""
        for sid in sids:
            self.power(sid).power_off()
            self.members[sid].scope.cancel()
            self.down.add(sid)
        for sid in sids:
            await self.members[sid].ended.wait()

    def power_on(self, *sids: int) -> None:
        for sid in sids:
            self.net.reset(f"h{sid}")
            self.power(sid).power_on()
            self.down.discard(sid)
            try:
                self.start(sid)
            except (CorruptLogError, DataDirError) as error:
                raise Violation(f"server {sid} cannot start again: {error}") from error

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

    def heal(self, sid: int | None = None) -> None:
        """All ways are free; what waited on them arrives."""
        self.net.change(lambda cuts: cuts.clear())
        self.net.slow.clear()
        self._disks_as_usual()

    def _disks_as_usual(self) -> None:
        for sid in self.sids:
            self.power(sid).slow_s = self._usual_s[sid]

    def some_leader(self) -> int:
        """One that says it leads, else anybody."""
        leading = [sid for sid in self.sids if sid not in self.down and self.members[sid].mode == "leader"]
        return self.rng.choice(leading or self.voters)

    async def _fault(self) -> None:
        rng = self.rng
        victim = rng.choice([self.some_leader(), rng.choice(self.sids)])
        kind = rng.choice(
            ["off", "off", "die", "all", "all", "isolate", "split", "reset", "slow", "disk", "heal"]
        )
        if kind in ("off", "die") and victim not in self.down:
            self.note(f"{kind} {victim}")
            await self.power_off(victim)
            if kind == "die":
                self.net.reset(f"h{victim}")
        elif kind == "all":
            moment = rng.choice(["answer", "answer", "leader"])
            await self.history.wait_for(moment, 2.0)
            self.note(f"all off at the next {moment}")
            await self.power_off(*[sid for sid in self.sids if sid not in self.down])
            await trio.sleep(rng.random())
            self.power_on(*self.sids)
        elif kind == "isolate":
            ways = rng.choice(["in", "out", "both", "both"])
            self.note(f"isolate {victim} {ways}")
            self.isolate(victim, ways)
        elif kind == "split":
            group = set(rng.sample(self.sids, rng.randrange(1, len(self.sids))))
            self.note(f"split {sorted(group)}")
            self.split(group)
        elif kind == "reset":
            other = rng.choice(self.sids)
            self.note(f"reset {victim} {other}")
            self.net.reset(f"h{victim}", f"h{other}")
        elif kind == "slow":
            self.note(f"slow {victim}")
            self.net.slow[f"h{victim}"] = rng.choice([0.05, 0.5, 3.0])
        elif kind == "disk":
            self.note(f"slow disk {victim}")
            self.power(victim).slow_s = rng.choice([0.01, 0.1, 2.0, 8.0])
        elif kind == "heal":
            self.note("heal")
            self.heal()

    async def faults(self, count: int) -> None:
        """So many, some at the same time; then all is well again."""
        rng = self.rng
        for _ in range(count):
            await trio.sleep(rng.choice([0.05, 0.5, 2.0, 10.0]) * rng.random() * 2)
            await self._fault()
            if rng.random() < 0.4:
                self.heal()
            for sid in sorted(self.down):
                if rng.random() < 0.5:
                    self.note(f"on {sid}")
                    self.power_on(sid)
        self.note("the last heal")
        self.heal()
        self.power_on(*sorted(self.down))

    # -- a run ---------------------------------------------------------------------------------------------

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
            if sid not in self.down and each.ended.is_set():
                self.note(f"server {sid} ended by itself: {each.error!r}")
                if not isinstance(each.error, OSError):
                    raise Violation(f"server {sid} gave up: {each.error!r}")
                self.power_on(sid)


@contextmanager
def observed(history: History) -> Iterator[None]:
    """What servers of this process propose and carry out, and who leads, goes into *history*."""
    commit, serve, propose = ZooKeeperServer.commit, Leader._serve, Proposals.propose
    lives: dict[ZooKeeperServer, list[int]] = {}

    def committed(server: ZooKeeperServer, batch: list[Request]) -> None:
        life = lives.get(server)
        if life is None:
            life = lives[server] = []
            history.lives.append(life)
        for request in batch:
            if request.txn is None:
                continue
            assert request.header is not None
            zxid = request.header.zxid
            if history.proposed.get(zxid) != request.payload:
                raise Violation(f"what was carried out as 0x{zxid:x} is not what was proposed")
            life.append(zxid)
        commit(server, batch)

    def served(leader: Leader, nursery: trio.Nursery) -> None:
        if leader.epoch in history.leaders:
            other, _ = history.leaders[leader.epoch]
            raise Violation(f"servers {other} and {leader.sid} lead in epoch {leader.epoch}")
        history.leaders[leader.epoch] = leader.sid, leader.context.tree.last_zxid
        history.moment("leader")
        serve(leader, nursery)

    def proposed(
        proposals: Proposals, zxid: int, payload: bytes, reconfig: QuorumConfig | None = None
    ) -> None:
        if zxid in history.proposed:
            raise Violation(f"0x{zxid:x} is proposed twice")
        history.proposed[zxid] = payload
        propose(proposals, zxid, payload, reconfig)

    hooks = (ZooKeeperServer, "commit"), (Leader, "_serve"), (Proposals, "propose")
    for (owner, name), hook in zip(hooks, (committed, served, proposed), strict=True):
        setattr(owner, name, hook)
    try:
        yield
    finally:
        for (owner, name), original in zip(hooks, (commit, serve, propose), strict=True):
            setattr(owner, name, original)


def session_of(response: bytes) -> int:
    """The session id of a ConnectResponse."""
    (session,) = unpack_from(">q", response, 8)
    return int(session)
