"""Clients that write, read and move between members, and keep what they were told."""

from __future__ import annotations

import random
from struct import unpack_from

import trio

from compat import wire
from tests.harness import Reply
from tests.simulation.world import KEYS, Operation, SimPeer, Violation, World, session_of

ANSWER_LIMIT_S = 20.0


class Client:
    """One after another: a connection, operations on it until it ends, the next connection."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self._rng = random.Random(world.rng.random())
        self._count = 0
        self._xid = 0
        self._session = 0
        self._password = bytes(16)
        self._peer: SimPeer

    async def run(self) -> None:
        while not self._world.over:
            if await self._connect():
                await self._work()
            await trio.sleep(self._rng.random())

    async def _connect(self) -> bool:
        world = self._world
        serving = [m for sid, m in world.members.items() if sid not in world.down and m.service.serving]
        if not serving:
            return False
        if self._rng.random() < 0.2:
            self._session, self._password = 0, bytes(16)
        peer = self._peer = SimPeer(self._rng.choice(serving))
        if not peer.up:
            return False
        peer.connect(session=self._session, password=self._password, timeout_ms=8000)
        response = peer.response or await peer.frame(ANSWER_LIMIT_S)
        if response is None:
            return False
        peer.response = response
        self._session = session_of(response)
        self._password = response[20:36]
        return self._session != 0

    async def _work(self) -> None:
        rng = self._rng
        if rng.random() < 0.7 and not await self._do("ephemeral", f"/e/{self._number}-{self._next()}"):
            return
        for _ in range(rng.randrange(1, 60)):
            if self._world.over:
                break
            kind = rng.choice(["set", "set", "set", "get", "get", "sync", "create", "multi", "pipeline"])
            if not await self._do(kind, rng.choice(KEYS)):
                return
            await trio.sleep(rng.choice([0, 0.05, 1.0]) * rng.random())
        if rng.random() < 0.3:
            await self._do("close", "")
            self._session, self._password = 0, bytes(16)
        self._hang_up()

    def _hang_up(self) -> None:
        if not self._peer.closed and self._peer.up:
            self._peer.cnxn.closed()

    def _next(self) -> int:
        self._count += 1
        return self._count

    async def _do(self, kind: str, path: str) -> bool:
        """Whether the connection is still of use."""
        if kind == "pipeline":
            sent = [self._send("set", path) for _ in range(5)] + [self._send("get", path)]
        else:
            sent = [self._send(kind, path)]
        for operation in sent:
            frame = await self._peer.frame(ANSWER_LIMIT_S)
            if frame is None:
                self._hang_up()
                return False
            xid, zxid, err = unpack_from(">iqi", frame)
            if xid != operation.xid:
                raise Violation(f"{xid} is answered, it is the turn of {operation}")
            operation.reply = Reply(xid, zxid, err, frame[16:])
            operation.ended = trio.current_time()
            self._world.history.moment("answer")
            if err in (-112, -118):
                return False
        return kind != "close"

    def _send(self, kind: str, path: str) -> Operation:
        value = b"%d-%d" % (self._number, self._next())
        op, body = {
            "set": (wire.SET_DATA, wire.text(path) + wire.text(value) + wire.i32(-1)),
            "get": (wire.GET_DATA, wire.read_body(path)),
            "sync": (wire.SYNC, wire.text(path)),
            "create": (wire.CREATE, wire.create_body("/s/x-", value, flags=2)),
            "ephemeral": (wire.CREATE, wire.create_body(path, value, flags=1)),
            "multi": (
                wire.MULTI,
                wire.multi_body(
                    [(wire.SET_DATA, wire.text(key) + wire.text(value) + wire.i32(-1)) for key in KEYS]
                ),
            ),
            "close": (wire.CLOSE_SESSION, b""),
        }[kind]
        self._xid += 1
        operation = Operation(self._number, self._session, kind, path, value, trio.current_time(), self._xid)
        self._world.history.operations.append(operation)
        if self._peer.up:
            self._peer.feed(wire.request(self._xid, op, body))
        return operation
