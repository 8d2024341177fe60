"""Clients that write, read and move between members, and keep what they were told."""

from __future__ import annotations

import random
from struct import unpack_from
from typing import Final

import trio

from compat import wire
from tests.harness import Reply
from tests.simulation.history import Operation, Violation
from tests.simulation.peers import SimPeer, session_of
from tests.simulation.watching import Watching
from tests.simulation.world import KEYS, World

CLIENTS: Final = 4
ANSWER_LIMIT_S: Final = 20.0
GHOST_LIMIT_S: Final = 1.0
GHOST_XID: Final = 1_000_000
WRITER: Final = [
    "set",
    "set",
    "set",
    "get",
    "get",
    "sync",
    "create",
    "multi",
    "pipeline",
    "claim",
    "drop",
    "list",
]
ONE: Final = ["set", "create", "claim", "drop"]
READER: Final = ["get", "get", "sync", "list"]
SESSION_OVER: Final = (-112, -118)


class Client:
    """One after another: a connection, operations on it until it ends, the next connection.

    Some count their requests from 1 on each connection; some only read; some leave in the middle of a write,
    and some then leave the connection open.
    """

    def __init__(self, world: World, number: int, *, reads: bool = False, home: int | None = None) -> None:
        """With a *home* it connects only there."""
        self._world = world
        self._number = number
        self._reads = reads
        self._home = home
        rng = self._rng = random.Random(world.rng.random())
        self._restarts = rng.random() < 0.5
        self._count = 0
        self._xid = 0
        self._session = 0
        self._password = bytes(16)
        self._seen = 0
        """The last zxid of an answer."""
        self._watching = Watching()
        self._ghost: SimPeer | None = None
        """A connection that the session has left, and that was not closed."""
        self._peer: SimPeer
        self._leaders = 0
        """How many there had been when it connected: a new one does not know where sessions are."""

    async def run(self) -> None:
        in_haste = False
        while not self._world.over:
            in_haste = await self._connect() and await self._work(in_haste)
            if not in_haste:
                await trio.sleep(self._rng.random())

    async def _connect(self) -> bool:
        world = self._world
        serving = [sid for sid in world.serving() if self._home in (None, sid)]
        if not serving:
            return False
        if self._rng.random() < (0.2 if self._home is None else 0.05):
            self._forget()
        self._leaders = len(world.history.leaders)
        peer = self._peer = world.peer(self._rng.choice(serving))
        if self._restarts:
            self._xid = 0
        known = {"session": self._session, "password": self._password, "zxid": self._seen}
        peer.feed(wire.connect_frame(timeout_ms=8000, **known))
        response = await peer.frame(ANSWER_LIMIT_S)
        if response is None:
            return False
        peer.response = response
        if session_of(response) != self._session:
            self._forget()
        self._session = session_of(response)
        self._password = response[20:36]
        return self._session != 0 and await self._watch_again()

    def _forget(self) -> None:
        self._session, self._password, self._seen, self._ghost = 0, bytes(16), 0, None
        self._watching.clear()

    async def _watch_again(self) -> bool:
        """Watches go with the session, if the client wants that."""
        if self._rng.random() < 0.3:
            self._watching.clear()
        if not self._watching:
            return True
        self._peer.feed(wire.request(-8, wire.SET_WATCHES, self._watching.again(self._seen)))
        return await self._answer() is not None

    async def _haunt(self, ghost: SimPeer) -> None:
        """What is still sent where the session has been before must not be done."""
        body = wire.text(KEYS[0]) + wire.text(b"ghost-%d-%d" % (self._number, self._next())) + wire.i32(-1)
        ghost.feed(wire.request(GHOST_XID, wire.SET_DATA, body))
        self._ghost = None
        while (frame := await ghost.frame(GHOST_LIMIT_S)) is not None:
            xid, zxid, err = unpack_from(">iqi", frame)
            if xid == GHOST_XID and err == 0 and len(self._world.history.leaders) == self._leaders:
                raise Violation(
                    f"0x{self._session:x} has moved from server {ghost.sid} to server {self._peer.sid},"
                    f" and 0x{zxid:x} was written through the former"
                )
        ghost.hang_up()

    async def _work(self, in_haste: bool) -> bool:
        """Whether the client left in the middle of something, and goes on elsewhere at once."""
        rng = self._rng
        kinds = READER if self._reads else WRITER
        if not self._reads and rng.random() < 0.3:
            return await self._leave()
        if in_haste and not await self._do(rng.choice(ONE), rng.choice(KEYS)):
            return False
        if self._ghost is not None:
            await self._haunt(self._ghost)
        owns = not self._reads and rng.random() < 0.7
        if owns and not await self._do("ephemeral", f"/e/{self._number}-{self._next()}"):
            return False
        for _ in range(rng.randrange(1, 60)):
            if self._world.over:
                break
            if not await self._do(rng.choice(kinds), rng.choice(KEYS)):
                return False
            await trio.sleep(rng.choice([0, 0.05, 2.0]) * rng.random())
        if rng.random() < 0.2:
            await self._do("close", "")
            self._forget()
        elif not self._reads and rng.random() < 0.6:
            return await self._leave()
        self._peer.hang_up()
        return False

    async def _leave(self) -> bool:
        """Go while a write is under way."""
        for _ in range(self._rng.choice([1, 1, 3])):
            self._send(self._rng.choice(ONE), self._rng.choice(KEYS))
        await trio.sleep(self._rng.choice([0, 0.003, 0.02]))
        if self._rng.random() < 0.5:
            self._peer.hang_up()
        else:
            self._ghost = self._peer
        return True

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
            reply = await self._answer()
            if reply is None:
                self._peer.hang_up()
                return False
            if reply.xid != operation.xid:
                raise Violation(f"{reply.xid} is answered, it is the turn of {operation}")
            operation.reply = reply
            operation.ended = trio.current_time()
            self._world.history.moment("answer")
            if reply.err in SESSION_OVER:
                return False
            self._watching.read(operation)
        return kind != "close"

    async def _answer(self) -> Reply | None:
        """The next answer; notifications before it are taken note of."""
        while (frame := await self._peer.frame(ANSWER_LIMIT_S)) is not None:
            xid, zxid, err = unpack_from(">iqi", frame)
            if xid != -1:
                self._seen = max(self._seen, zxid)
                return Reply(xid, zxid, err, frame[16:])
            self._watching.fired(frame[16:])
        return None

    def _send(self, kind: str, path: str) -> Operation:
        value = b"%d-%d" % (self._number, self._next())
        if kind in ("claim", "drop"):
            path = f"/c{path}"
        if kind == "list":
            path = "/c"
        watch = int(self._rng.random() < 0.3)
        op, body = {
            "set": (wire.SET_DATA, wire.text(path) + wire.text(value) + wire.i32(-1)),
            "get": (wire.GET_DATA, wire.read_body(path, watch)),
            "list": (wire.GET_CHILDREN2, wire.read_body(path, watch)),
            "sync": (wire.SYNC, wire.text(path)),
            "create": (wire.CREATE, wire.create_body("/s/x-", value, flags=2)),
            "claim": (wire.CREATE, wire.create_body(path, value)),
            "drop": (wire.DELETE, wire.text(path) + wire.i32(-1)),
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
        operation = Operation(
            self._number, self._session, self._peer.sid, kind, path, value, trio.current_time(), self._xid
        )
        if watch and kind in ("get", "list"):
            self._watching.asked(operation)
        self._world.history.operations.append(operation)
        self._peer.feed(wire.request(self._xid, op, body))
        return operation


def clients(world: World) -> list[Client]:
    """Four who go anywhere; where reads are what it is about, who reads at each server, and who writes.

    Those stay where they are: behind a write that cannot commit nothing would be read, and the interesting
    reads are those at a server that has been left behind.
    """
    rng = world.rng
    if world.kind != "reads":
        return [Client(world, number, reads=rng.random() < 0.1) for number in range(CLIENTS)]
    found = [Client(world, sid, reads=True, home=sid) for sid in world.sids]
    found.append(Client(world, 0, home=rng.choice(world.voters)))
    if rng.random() < 0.4:
        found.append(Client(world, len(found)))
    return found
