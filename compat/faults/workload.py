"""What clients do all the time: create, set, delete and read a few znodes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from random import Random

import trio

from compat import wire
from compat.faults.client import OWNERS, Client, Expired, Lost, data_of, stat_of
from compat.faults.history import ANY_VERSION, BAD_VERSION, NO_NODE, OK, History, Kind, Operation

KEYS = "/keys"
BARRIERS = "/barriers"
FRAME = ("/", KEYS, BARRIERS, OWNERS)
_CHOICES = {
    Kind.CREATE: 14,
    Kind.SET: 34,
    Kind.DELETE: 8,
    Kind.READ: 16,
    Kind.SYNCED: 10,
    Kind.PLAIN: 18,
}
_EXACT_SHARE = 0.5
_OWN_SHARE = 0.2
_WATCH_SHARE = 0.3
"""How many reads set a watch, where the session has none."""
_MOVE_SHARE = 0.01
"""How often a client leaves its member without need, and goes on at any one."""

_END_SHARE = 0.003
"""How often it closes its session and begins a new one."""

_OPCODES = {Kind.CREATE: wire.CREATE, Kind.SET: wire.SET_DATA, Kind.DELETE: wire.DELETE}


class Worker:
    """One client's life. *values* gives numbers that nobody else gets."""

    def __init__(
        self,
        client: Client,
        history: History,
        keys: list[str],
        random: Random,
        values: itertools.count[int],
        clock: Callable[[], float],
        pause_s: float,
    ) -> None:
        self.client = client
        self.stopped = False
        self.finished = trio.Event()
        self._history = history
        self._keys = keys
        self._random = random
        self._values = values
        self._clock = clock
        self._pause_s = pause_s
        self._versions: dict[str, int] = {}

    async def run(self) -> None:
        """Work until ``stopped``, then set ``finished``."""
        while not self.stopped:
            await self.client.connected()
            with suppress(Lost, Expired):
                chance = self._random.random()
                if chance < _MOVE_SHARE:
                    await self.client.drop()
                elif chance < _MOVE_SHARE + _END_SHARE:
                    await self.client.close()
                else:
                    await self.one()
            await trio.sleep(self._random.uniform(0, 2 * self._pause_s))
        self.finished.set()

    async def one(self, kind: Kind | None = None, key: str | None = None) -> Operation:
        """One operation, noted with its answer or without. Raises Lost."""
        if kind is None:
            kind = self._random.choices(list(_CHOICES), list(_CHOICES.values()))[0]
        if kind is Kind.PLAIN and key is None and self._random.random() < _OWN_SHARE:
            assert self.client.record is not None
            key = self.client.record.ephemeral
        op = Operation(
            self.client.number, kind, key or self._random.choice(self._keys), 0, session=self.client.session
        )
        watches = not op.kind.writes and self._random.random() < _WATCH_SHARE
        watches = watches and not self.client.watches(op.key)
        requests = self._requests(op, watches)
        op.invoked = self._clock()
        op.xid = self.client.last_xid + len(requests)
        self._history.operations.append(op)
        replies = await self.client.pipeline(*requests)
        reply = replies[-1]
        if kind is Kind.READ and replies[0].error != OK:
            op.kind = Kind.PLAIN  # no write was before it
        op.completed, op.zxid, op.error = reply.completed, reply.zxid, reply.error
        if reply.error == OK and kind in (Kind.READ, Kind.SYNCED, Kind.PLAIN):
            op.data, at = data_of(reply.body)
            op.mzxid, op.version = stat_of(reply.body, at)
            self._versions[op.key] = op.version
            if watches and self.client.record is not None:
                self.client.watch(op.key, op.zxid)
        elif reply.error == OK and kind is Kind.SET:
            _, op.result = stat_of(reply.body, 0)
            self._versions[op.key] = op.result
        elif reply.error in (NO_NODE, BAD_VERSION):
            self._versions.pop(op.key, None)
        return op

    def _requests(self, op: Operation, watches: bool) -> list[tuple[int, bytes]]:
        if op.kind.writes:
            if op.kind is not Kind.DELETE:
                op.data = b"%d" % next(self._values)
            if op.kind is not Kind.CREATE and self._random.random() < _EXACT_SHARE:
                op.version = self._versions.get(op.key, ANY_VERSION)
            if op.kind is Kind.CREATE:
                body = wire.create_body(op.key, op.data)
            elif op.kind is Kind.SET:
                body = wire.text(op.key) + wire.text(op.data) + wire.i32(op.version)
            else:
                body = wire.text(op.key) + wire.i32(op.version)
            return [(_OPCODES[op.kind], body)]
        read = (wire.GET_DATA, wire.read_body(op.key, watches))
        if op.kind is Kind.READ:
            barrier = wire.text(f"{BARRIERS}/{self.client.number}") + wire.text(b"") + wire.i32(-1)
            return [(wire.SET_DATA, barrier), read]
        if op.kind is Kind.SYNCED:
            return [(wire.SYNC, wire.text(op.key)), read]
        return [read]


async def prepare(client: Client, clients: int) -> None:
    """Create what the workers presume."""
    await client.connect_to(client.member or 1)
    for path in (*FRAME[1:], *(f"{BARRIERS}/{number}" for number in range(1, clients + 1))):
        reply = await client.call(wire.CREATE, wire.create_body(path, b""))
        assert reply.error == OK, f"{path}: {reply.error}"
    await client.close()
