"""One run: an ensemble, clients that work all the time, faults one after another, and the verdict."""

from __future__ import annotations

import itertools
import json
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import attrs
import trio

from compat import wire
from compat.faults import checks, linearize, logs
from compat.faults.client import OWNERS, Client, Expired, Lost
from compat.faults.cluster import Cluster, MemberEnded
from compat.faults.history import OK, History, Kind
from compat.faults.nemeses import NEMESES, heal
from compat.faults.workload import FRAME, KEYS, Worker, prepare
from compat.process import PortTaken, ServerFailed

START_S = 60.0
WARM_UP_S = 20.0
LEAST_BEFORE_FAULTS = 200
"""A run that does not get so many operations acknowledged before the first fault says nothing."""

_BOTH_SHARE = 0.25
_SHOWN = 5
_OPERATIONS = frozenset({Kind.CREATE, Kind.SET, Kind.DELETE, Kind.READ})


@attrs.define(frozen=True)
class Plan:
    """What a run is made of; everything else follows from the seed."""

    seed: int
    members: str = "zzz"
    seconds: float = 30.0
    nemeses: tuple[str, ...] = tuple(NEMESES)
    clients: int = 8
    keys: int = 12
    pause_s: float = 0.02
    """How long a client rests between two operations, on average."""

    recovery_s: float = 20.0
    """How long it may take, once the faults have ended, until all members serve and take writes."""

    tick_ms: int = 500
    sync_limit: int = 5
    init_limit: int = 10
    session_timeout_s: float = 4.0
    log_level: str = "info"

    def settings(self, random: Random) -> tuple[dict[str, str], dict[str, str]]:
        """zoo.cfg and system properties."""
        settings = {
            "tickTime": str(self.tick_ms),
            "initLimit": str(self.init_limit),
            "syncLimit": str(self.sync_limit),
        }
        properties = {
            "zookeeper.snapCount": random.choice(["50", "500", "100000"]),
            "zookeeper.snapshotSizeFactor": random.choice(["-1", "0.33"]),
        }
        return settings, properties


@attrs.define
class Verdict:
    """What came of a run."""

    plan: Plan
    wrong: list[str] = attrs.field(factory=list)
    void: str = ""
    """Why the run says nothing."""
    faults: list[str] = attrs.field(factory=list)
    operations: int = 0
    acknowledged: int = 0
    outage_s: float = 0.0
    recoveries_s: list[float] = attrs.field(factory=list)
    kept: Path | None = None

    @property
    def ok(self) -> bool:
        return not self.wrong and not self.void

    def line(self) -> str:
        """The run in one line."""
        plan = self.plan
        word = "VIOLATION" if self.wrong else f"void ({self.void})" if self.void else "ok"
        recovery = f"{max(self.recoveries_s):.1f}" if self.recoveries_s else "-"
        return (
            f"seed {plan.seed} {plan.members} {plan.seconds:g} s: {word}; {self.operations} operations, "
            f"{self.operations - self.acknowledged} without an answer; {len(self.faults)} faults; "
            f"longest time without a write {self.outage_s:.1f} s, slowest recovery {recovery} s"
        )


class Run:
    """Carries out a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.verdict = Verdict(plan)
        self.random = Random(plan.seed)
        self.history = History(wall_offset_s=time.time() - time.monotonic())
        settings, properties = plan.settings(self.random)
        self.cluster = Cluster(plan.members, settings, properties, Random(plan.seed + 1), plan.log_level)
        self.addresses = {number: self.cluster.address(number) for number in self.cluster.members}
        self.workers: list[Worker] = []
        self.started = time.monotonic()
        self.deposes = False

    async def run(self) -> Verdict:
        """Raises PortTaken; everything else that goes wrong is in the verdict."""
        try:
            await self._play()
            for number in self.cluster.running():
                await self.cluster.terminate(number)
            if not self.verdict.wrong:
                self._check()
        except* PortTaken:
            raise
        except* (TimeoutError, trio.TooSlowError, MemberEnded, ServerFailed) as group:
            self.verdict.wrong += [f"{type(e).__name__}: {e}" for e in _leaves(group)]
        finally:
            self._conclude()
        return self.verdict

    async def _play(self) -> None:
        cluster = self.cluster
        async with trio.open_nursery() as nursery:
            await nursery.start(cluster.links.run)
            cluster.start(cluster.members)
            await cluster.wait_until_all_serve(START_S)
            with trio.fail_after(START_S):
                await prepare(self._client(0), self.plan.clients)
            self._hire(nursery)
            with trio.move_on_after(WARM_UP_S) as scope:
                while self.history.acknowledged() < LEAST_BEFORE_FAULTS:
                    await trio.sleep(0.05)
            if scope.cancelled_caught:
                self.verdict.void = f"{self.history.acknowledged()} operations in {WARM_UP_S:g} s"
            await self._faults()
            await self._wind_down()
            nursery.cancel_scope.cancel()

    def _client(self, number: int) -> Client:
        return Client(
            number,
            self.addresses,
            self.history,
            Random(self.plan.seed * 1000 + number),
            session_timeout_s=self.plan.session_timeout_s,
            patience_s=self.plan.session_timeout_s * 2 / 3,
            clock=time.monotonic,
        )

    def _hire(self, nursery: trio.Nursery) -> None:
        keys = [f"{KEYS}/{n}" for n in range(self.plan.keys)]
        values = itertools.count(1)
        for number in range(1, self.plan.clients + 1):
            random = Random(self.plan.seed * 1000 + 500 + number)
            worker = Worker(
                self._client(number), self.history, keys, random, values, time.monotonic, self.plan.pause_s
            )
            self.workers.append(worker)
            nursery.start_soon(worker.run)

    # -- faults --------------------------------------------------------------------------------------------

    async def _faults(self) -> None:
        end = trio.current_time() + self.plan.seconds
        random = self.random
        while trio.current_time() < end:
            for name in self._chosen():
                nemesis = NEMESES[name]
                self.deposes = self.deposes or nemesis.deposes
                said = await nemesis.inject(self.cluster, random)
                self.verdict.faults.append(f"{time.monotonic() - self.started:8.3f} {name}: {said}")
            await trio.sleep(random.choice([0.3, 1, 3, 5]) * random.uniform(0.5, 1.2))
            heal(self.cluster, random)
            self.verdict.faults.append(f"{time.monotonic() - self.started:8.3f} healed")
            await self._recovered()
            await trio.sleep(random.uniform(0.2, 1.5))

    def _chosen(self) -> list[str]:
        usable = [name for name in self.plan.nemeses if NEMESES[name].least <= len(self.cluster.members)]
        first = self.random.choice(usable)
        together = [name for name in usable if not NEMESES[name].alone and name != first]
        if NEMESES[first].alone or not together or self.random.random() > _BOTH_SHARE:
            return [first]
        return [first, self.random.choice(together)]

    async def _recovered(self) -> None:
        """All members serve, and take writes of new sessions."""
        healed = trio.current_time()
        states = await self.cluster.wait_until_all_serve(self.plan.recovery_s)
        left = max(1.0, healed + self.plan.recovery_s - trio.current_time())
        for number in self.cluster.members:
            try:
                with trio.fail_after(left):
                    await self._write_at(number)
            except trio.TooSlowError:
                raise TimeoutError(
                    f"member {number} ({states[number][0]}) takes no writes "
                    f"{trio.current_time() - healed:.1f} s after the faults ended"
                ) from None
        self.verdict.recoveries_s.append(trio.current_time() - healed)
        self.cluster.keep_logs(states)

    async def _write_at(self, number: int) -> None:
        prober = self._client(0)
        while True:
            try:
                await prober.connect_to(number)
                barrier = wire.text(FRAME[1]) + wire.text(b"") + wire.i32(-1)
                if (await prober.call(wire.SET_DATA, barrier)).error == OK:
                    await prober.close()
                    return
            except (Lost, Expired):
                prober.forget()
                await trio.sleep(0.05)

    # -- the end -------------------------------------------------------------------------------------------

    async def _wind_down(self) -> None:
        """Sessions end: most are closed, some expire. Then all members are equal."""
        for worker in self.workers:
            worker.stopped = True
        with trio.fail_after(self.plan.recovery_s):
            for worker in self.workers:
                await worker.finished.wait()
                if self.random.random() < 0.8 and worker.client.has_connection:
                    with suppress(Lost, Expired):
                        await worker.client.close()
                await worker.client.drop()
        deadline = trio.current_time() + 2 * self.plan.session_timeout_s + self.plan.recovery_s
        while True:
            trees = {number: await self._tree(number) for number in self.cluster.members}
            if not any(tree[OWNERS] for tree in trees.values()):
                break
            if trio.current_time() > deadline:
                raise TimeoutError("ephemerals are left although nobody is there any more")
            await trio.sleep(0.3)
        self._compare(trees)
        for number in self.cluster.members:
            gauges = await self.cluster.ask(number, b"mntr")
            if "zk_digest_mismatches_count\t0\n" not in gauges:
                self.verdict.wrong.append(f"member {number} has digest mismatches, or does not tell")
        self.cluster.check_alive()

    async def _tree(self, number: int) -> dict[str, object]:
        """All znodes at one member after a sync: the children's names, or the whole answer of getData."""
        with trio.fail_after(self.plan.recovery_s):
            while True:
                reader = self._client(0)
                try:
                    await reader.connect_to(number)
                    await reader.call(wire.SYNC, wire.text("/"))
                    found: dict[str, object] = {}
                    for path in FRAME[1:]:
                        reply = await reader.call(wire.GET_CHILDREN, wire.read_body(path))
                        found[path] = names = sorted(_names(reply.body))
                        for name in names:
                            child = f"{path}/{name}"
                            found[child] = (await reader.call(wire.GET_DATA, wire.read_body(child))).body
                    await reader.close()
                    return found
                except (Lost, Expired):
                    await trio.sleep(0.05)

    def _compare(self, trees: Mapping[int, dict[str, object]]) -> None:
        first, *others = trees
        for other in others:
            for path in sorted(trees[first].keys() | trees[other].keys()):
                one, two = trees[first].get(path), trees[other].get(path)
                if one != two:
                    self.verdict.wrong.append(
                        f"{path} is {one!r} at member {first} and {two!r} at member {other}"
                    )

    def _check(self) -> None:
        """Everything that needs no servers any more."""
        plan, history = self.plan, self.history
        wrong = self.verdict.wrong
        own: dict[int, dict[int, bytes]] = {}
        for number in self.cluster.members:
            own[number], found = logs.read(self.cluster.logs(number))
            wrong += found
        java = [number for number, kind in enumerate(plan.members, 1) if kind == "j"]
        answered = {op.zxid for op in history.operations if op.known and op.zxid > 0}
        merged, found = logs.merge(own, java, answered)
        wrong += found
        for number, kind in enumerate(plan.members, 1):
            if kind == "z":
                current, _ = logs.read(self.cluster.own_logs(number))
                wrong += logs.missing(number, current, merged)
                if "Traceback (most" in self.cluster.members[number].log():
                    wrong.append(f"member {number} has logged a traceback")
        log = logs.replay(merged)
        wrong += log.wrong
        wrong += checks.session_order(history)
        wrong += checks.writes_are_logged(history, log)
        wrong += checks.reads_fit_their_zxid(history, log)
        wrong += checks.order_of_time(history)
        slack_s = (plan.sync_limit + 2) * plan.tick_ms / 1000
        wrong += checks.sessions_live(history, log, slack_s)
        wrong += checks.expiry_is_true(history, log)
        wrong += checks.ephemerals_are_gone(history, log)
        wrong += checks.watches_fire(history, log)
        kinds = _OPERATIONS if self.deposes else _OPERATIONS | {Kind.SYNCED}
        wrong += linearize.check(history.operations, kinds)

    def _conclude(self) -> None:
        verdict, history = self.verdict, self.history
        verdict.operations = len(history.operations)
        verdict.acknowledged = history.acknowledged()
        verdict.outage_s = checks.outage_s(history)
        if verdict.wrong:
            verdict.kept = Path(tempfile.mkdtemp(prefix=f"zkpy-faults-{self.plan.seed}-"))
            self.cluster.kill(self.cluster.members)
            self.cluster.move_to(verdict.kept)
            (verdict.kept / "faults.txt").write_text("\n".join(verdict.faults) + "\n")
            (verdict.kept / "wrong.txt").write_text("\n".join(verdict.wrong) + "\n")
            (verdict.kept / "history.txt").write_text("".join(f"{op}\n" for op in history.operations))
            (verdict.kept / "plan.json").write_text(json.dumps(attrs.asdict(self.plan), indent=1) + "\n")
        self.cluster.close()

    def explanation(self) -> str:
        """The first things that are wrong, what had been done, and where everything is."""
        verdict = self.verdict
        lines = [f"  {what}" for what in verdict.wrong[:_SHOWN]]
        if len(verdict.wrong) > _SHOWN:
            lines.append(f"  and {len(verdict.wrong) - _SHOWN} more")
        lines += ["  the last faults:", *(f"  {fault}" for fault in verdict.faults[-6:])]
        return "\n".join([*lines, f"  logs, data and history: {verdict.kept}"])


def _names(body: bytes) -> Sequence[str]:
    (count,) = struct.unpack_from(">i", body)
    at = 4
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", body, at)
        found.append(body[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
