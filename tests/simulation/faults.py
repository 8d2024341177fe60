"""What goes wrong in a run, drawn from its seed."""

from __future__ import annotations

import trio

from tests.simulation.world import World

USUAL = [
    "off",
    "off",
    "die",
    "all",
    "all",
    "isolate",
    "split",
    "desert",
    "reset",
    "slow",
    "disk",
    "pause",
    "late",
    "late",
    "heal",
]
BY_KIND = {
    "observers": ["slow", "wander", "wipe", "wipe", "off"],
    "reads": ["desert"] * 7,
}
"""What is more frequent than usual."""


class Faults:
    """Twelve or so, some at the same time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kinds = USUAL + BY_KIND.get(world.kind, [])

    async def run(self, count: int) -> None:
        """Then it is for the caller to have all well again."""
        world, rng = self._world, self._world.rng
        for _ in range(count):
            await trio.sleep(rng.choice([0.05, 0.5, 2.0, 10.0]) * rng.random() * 2)
            await self._one()
            if rng.random() < 0.4:
                world.heal()
            for sid in sorted(world.down):
                if rng.random() < 0.5:
                    world.note(f"on {sid}")
                    world.power_on(sid)
            world.restart_ended()

    async def _one(self) -> None:
        world, rng = self._world, self._world.rng
        victim = rng.choice([world.some_leader(), rng.choice(world.sids)])
        kind = rng.choice(self._kinds)
        if kind in ("off", "die"):
            if not world.is_off(victim):
                world.note(f"{kind} {victim}")
                await world.power_off(victim)
                if kind == "die":
                    world.net.reset(f"h{victim}")
        elif kind == "all":
            moment = rng.choice(["answer", "answer", "leader"])
            await world.history.wait_for(moment, 2.0)
            world.note(f"all off at the next {moment}")
            await world.power_off(*world.sids)
            for sid in rng.sample(world.sids, len(world.sids)):
                await trio.sleep(rng.choice([0.0, 0.3, 3.0]) * rng.random())
                world.power_on(sid)
        elif kind in ("wander", "wipe"):
            await self._to_observer(kind, rng.choice(sorted(world.config.observers)))
        elif kind == "heal":
            world.note("heal")
            world.heal()
        elif kind == "desert":
            await self._desert()
        elif kind == "late":
            await self._hold(victim)
        elif kind in ("isolate", "split", "reset"):
            self._part(kind, victim)
        else:
            self._slow_down(kind, victim)

    async def _to_observer(self, kind: str, sid: int) -> None:
        """What voters must not do, or do not: lose all they have stored; try one master after the other."""
        world, rng = self._world, self._world.rng
        world.note(f"{kind} {sid}")
        if kind == "wipe":
            await world.power_off(sid)
            world.wipe(sid)
            world.power_on(sid)
            await trio.sleep(rng.random())
        leader = world.some_leader()
        laggard = rng.choice([sid for sid in sorted(world.config.voters) if sid != leader])
        world.note(f"what {leader} sends to {laggard} is late")
        world.net.change(lambda cuts: cuts.add((f"h{leader}", f"h{laggard}")))
        for _ in range(rng.randrange(1, 5)):
            await trio.sleep(rng.random() * 1.5)
            world.net.reset(f"h{sid}")

    def _part(self, kind: str, victim: int) -> None:
        world, rng = self._world, self._world.rng
        if kind == "isolate":
            ways = rng.choice(["in", "out", "both", "both"])
            world.note(f"isolate {victim} {ways}")
            world.isolate(victim, ways)
        elif kind == "reset":
            other = rng.choice(world.sids)
            world.note(f"reset {victim} {other}")
            world.net.reset(f"h{victim}", f"h{other}")
        else:
            group = set(rng.sample(world.sids, rng.randrange(1, len(world.sids))))
            world.note(f"split {sorted(group)}")
            world.split(group)

    async def _hold(self, victim: int) -> None:
        """What it sends to another one arrives late, and nobody gives up for it."""
        world, rng = self._world, self._world.rng
        other = rng.choice([world.some_leader(), rng.choice(world.sids)])
        way = f"h{victim}", f"h{other}"
        world.note(f"what {victim} sends to {other} is late")
        world.net.change(lambda cuts: cuts.add(way))
        await trio.sleep(2.0 * rng.random())
        world.net.change(lambda cuts: cuts.discard(way))

    async def _desert(self) -> None:
        """For some seconds a leader believes that it leads, and the others have elected another one."""
        world, rng = self._world, self._world.rng
        if rng.random() < 0.7:
            world.heal()
            world.power_on(*world.sids)
            await trio.sleep(4.0 * rng.random())
        group = self._deserted()
        world.note(f"desert {sorted(group)}")
        world.desert(group)
        await trio.sleep(5.0 * rng.random())

    def _deserted(self) -> set[int]:
        """The leader and a few; often those who follow one of its followers."""
        world, rng = self._world, self._world.rng
        leader = world.some_leader()
        behind = sorted(sid for sid in world.sids if world.master_of(sid) not in (None, leader))
        if behind and rng.random() < 0.7:
            observer = rng.choice(behind)
            return {leader, observer, world.master_of(observer) or leader}
        return {leader, *rng.sample(world.sids, rng.randrange(0, len(world.sids) // 2 + 1))}

    def _slow_down(self, kind: str, victim: int) -> None:
        world, rng = self._world, self._world.rng
        world.note(f"{kind} {victim}")
        if kind == "slow":
            world.net.slow[f"h{victim}"] = rng.choice([0.05, 0.5, 3.0])
        elif kind == "disk":
            world.power(victim).slow_s = rng.choice([0.01, 0.1, 2.0, 8.0])
        elif not world.is_off(victim):
            world.pauses.pause(f"h{victim}")
