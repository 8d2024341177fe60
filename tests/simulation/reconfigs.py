"""An operator who changes the members while everything goes on."""

from __future__ import annotations

import random
from struct import unpack_from

import trio

from compat import wire
from tests.harness import Reply
from tests.simulation.history import Operation
from tests.simulation.peers import session_of
from tests.simulation.world import World

NOBODY = -1
"""The operator's number among the clients."""
ANSWER_LIMIT_S = 10.0
JOIN_LIMIT_S = 5.0


class Operator:
    """Starts new servers, and adds, removes and changes members; something may go wrong right then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(world.rng.random())

    async def run(self) -> None:
        """Until cancelled."""
        world, rng = self._world, self._rng
        while True:
            await trio.sleep(rng.choice([0.2, 2.0, 8.0]) * rng.random() * 2)
            if world.spares and rng.random() < 0.4:
                newcomer = rng.choice(world.spares)
                world.bring_up(newcomer)
                with trio.move_on_after(JOIN_LIMIT_S * rng.random()):
                    while world.is_off(newcomer) or not world.members[newcomer].service.serving:
                        await trio.sleep(0.1)
            serving = world.serving()
            if serving:
                async with trio.open_nursery() as nursery:
                    if rng.random() < 0.5:
                        nursery.start_soon(self._disturb)
                    await self._reconfigure(rng.choice(serving))

    async def _reconfigure(self, sid: int) -> None:
        world = self._world
        peer = world.peer(sid)
        peer.feed(wire.connect_frame(timeout_ms=8000))
        response = await peer.frame(ANSWER_LIMIT_S)
        if response is None or not session_of(response):
            peer.hang_up()
            return
        told, body = self._request(sid)
        now = trio.current_time()
        operation = Operation(NOBODY, session_of(response), sid, "reconfig", told, b"version=", now, 1)
        world.history.operations.append(operation)
        peer.feed(wire.request(1, wire.RECONFIG, body))
        frame = await peer.frame(ANSWER_LIMIT_S)
        if frame is not None:
            xid, zxid, err = unpack_from(">iqi", frame)
            operation.reply = Reply(xid, zxid, err, frame[16:])
            operation.ended = trio.current_time()
        world.note(f"{told}: {'no answer' if operation.reply is None else operation.reply.err}")
        peer.feed(wire.request(2, wire.CLOSE_SESSION))
        await peer.frame(1.0)
        peer.hang_up()

    def _request(self, at: int) -> tuple[str, bytes]:
        """What is wanted, in words and as a request's body."""
        world, rng = self._world, self._rng
        present = world.members[at].service.facts.members
        assert present is not None
        joining, leaving, new = None, None, None
        running = list(world.sids)
        leader = world.some_leader()
        kind = rng.choice(["add", "add", "remove", "remove", "role", "role", "both", "all"])
        if kind in ("add", "both"):
            outside = [sid for sid in running if present.member(sid) is None]
            joining = self._line(
                rng.choice(outside or running), rng.choice(["participant", "participant", "observer"])
            )
        if kind == "role":
            changing = rng.sample(running, rng.choice([1, 1, 2]))
            joining = ",".join(
                self._line(sid, "participant" if sid in present.observers else "observer") for sid in changing
            )
        if kind in ("remove", "both"):
            gone = {*rng.sample(running, rng.choice([1, 1, 2]))} if rng.random() < 0.6 else {leader}
            leaving = ",".join(map(str, sorted(gone)))
        if kind == "all":
            kept = rng.sample(running, rng.randrange(min(2, len(running)), len(running) + 1))
            roles = ["participant", "participant", "participant", "observer"]
            new = ",".join(self._line(sid, rng.choice(roles)) for sid in sorted(kept))
        version = rng.choice([-1, -1, present.version, present.version, 77])
        told = f"reconfig through {at} add {joining} remove {leaving} all {new} from {version:x}"
        return told, wire.text(joining) + wire.text(leaving) + wire.text(new) + wire.i64(version)

    def _line(self, sid: int, role: str) -> str:
        base = 26000 if self._rng.random() < 0.05 else 25000
        return f"server.{sid}=h{sid}:{base + 20 + sid}:{base + 30 + sid}:{role};{2180 + sid}"

    async def _disturb(self) -> None:
        """Some do not get to know of the change, one that does joins again, and then they are apart."""
        world, rng = self._world, self._rng
        leader = world.some_leader()
        others = [sid for sid in world.sids if sid != leader]
        unaware = set(rng.sample(others, rng.randrange(0, len(others))))
        aware = [sid for sid in others if sid not in unaware]
        ways = [(f"h{leader}", f"h{sid}") for sid in sorted(unaware)]
        world.note(f"what {leader} sends to {sorted(unaware)} is lost")
        world.net.change(lambda cuts: cuts.update(ways))
        await world.history.wait_for("reconfig", 2.0)
        await trio.sleep(rng.choice([0.0, 0.01, 0.3]) * rng.random())
        again = rng.choice(aware)
        world.note(f"{again} joins again")
        if rng.random() < 0.5:
            world.net.reset(f"h{again}", f"h{leader}")
        else:
            await world.power_off(again)
            world.power_on(again)
        if rng.random() < 0.5:
            await trio.sleep(rng.random())
            group = {leader, *aware}
            world.note(f"split {sorted(group)}")
            world.split(group)
