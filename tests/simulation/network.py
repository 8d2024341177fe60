"""A network with delays, cuts in one direction, and hosts that go silent; in virtual time."""

from __future__ import annotations

import errno
import random
from collections import deque
from collections.abc import Callable
from math import inf

import trio

from tests.simulation.pauses import HOST
from zkpy.quorum.network import Address, Handler


class Pipe:
    """One direction of a connection: bytes arrive in order, later, or when the way is free again."""

    def __init__(self, world: SimNetwork, source: str, to: str) -> None:
        self._world = world
        self._way = source, to
        self._segments: deque[tuple[float, bytes]] = deque()
        self._latest = 0.0
        self._changed = trio.Event()
        self._waiting: trio.CancelScope | None = None
        """Who reads, until the next segment is due."""
        self.broken = False

    def put(self, data: bytes) -> None:
        """Send; ``b""`` is the end of the stream."""
        due = trio.current_time() + self._world.delay_s(*self._way)
        self._latest = max(self._latest, due)
        self._segments.append((self._latest, data))
        if len(self._segments) == 1 and self._waiting is not None and not self.is_cut:
            self._waiting.deadline = self._latest

    @property
    def is_cut(self) -> bool:
        """Whether nothing arrives for the time being, not even that the other end is gone."""
        return self._world.is_cut(*self._way)

    def wake(self) -> None:
        """Something is different: look again."""
        self._changed.set()
        self._changed = trio.Event()

    async def get(self, limit: int) -> bytes:
        while True:
            if self.broken:
                raise trio.BrokenResourceError("reset")
            due = inf
            if self._segments and not self.is_cut:
                due = self._segments[0][0]
                if due <= trio.current_time():
                    return self._take(limit)
            with trio.CancelScope(deadline=due) as self._waiting:
                await self._changed.wait()
            self._waiting = None

    def _take(self, limit: int) -> bytes:
        due, data = self._segments.popleft()
        if len(data) > limit or not data:
            self._segments.appendleft((due, data[limit:]))
        return data[:limit]


class SimStream:
    """One end of a connection."""

    def __init__(self, out: Pipe, back: Pipe, peer: Address) -> None:
        self._out = out
        self._back = back
        self._closed = False
        self._broken = False
        self.peer = peer

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken or (self._out.broken and not self._back.is_cut):
            raise trio.BrokenResourceError("reset")
        if data and not self._out.broken:
            self._out.put(bytes(data))

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        return await self._back.get(max_bytes or 65536)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._out.put(b"")
            self._back.broken = True
            self._back.wake()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """This end breaks, and the other does not notice."""
        self._broken = True
        self._back.broken = True
        self._back.wake()


class Connection:
    """Both ends. What is sent to an end that is closed breaks the other, as a reset does."""

    def __init__(self, world: SimNetwork, dialler: str, to: Address) -> None:
        self.hosts = {dialler, to[0]}
        self._dialler = dialler
        there, back = Pipe(world, dialler, to[0]), Pipe(world, to[0], dialler)
        self.pipes = there, back
        self.near = SimStream(there, back, to)
        self.far = SimStream(back, there, (dialler, 50000))

    def reset(self) -> None:
        """Break it at both ends, now."""
        for pipe in self.pipes:
            pipe.broken = True
            pipe.wake()

    def end(self, host: str) -> SimStream:
        return self.near if host == self._dialler else self.far


class SimNetwork:
    """Where all hosts are; ``host(name)`` is the network as one of them sees it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.listeners: dict[Address, tuple[trio.Nursery, Handler]] = {}
        self.connections: list[Connection] = []
        self.cuts: set[tuple[str, str]] = set()
        """Ways on which nothing arrives for the time being."""
        self.slow: dict[str, float] = {}
        """Seconds of delay from and to a host."""

    def host(self, name: str) -> HostView:
        return HostView(self, name)

    def is_cut(self, source: str, to: str) -> bool:
        return (source, to) in self.cuts

    def delay_s(self, source: str, to: str) -> float:
        extra = self.slow.get(source, 0.0) + self.slow.get(to, 0.0)
        return self.rng.expovariate(1000) + (self.rng.random() * extra if extra else 0.0)

    def change(self, alter: Callable[[set[tuple[str, str]]], object]) -> None:
        """Change the cuts, and let what waits see it."""
        alter(self.cuts)
        for connection in self.connections:
            for pipe in connection.pipes:
                pipe.wake()

    def reset(self, *hosts: str) -> None:
        """Break all connections of these hosts with each other; of one host: with all."""
        wanted = set(hosts)
        kept = []
        for connection in self.connections:
            if wanted & connection.hosts if len(wanted) == 1 else connection.hosts <= wanted:
                connection.reset()
            else:
                kept.append(connection)
        self.connections = kept

    def desert(self, group: set[str]) -> None:
        """All others see their connections to this group end; the group sees nothing."""
        for connection in self.connections:
            outside = connection.hosts - group
            if len(outside) == 1 and len(connection.hosts) == 2:
                connection.end(*outside).reset()


class HostView:
    """`zkpy.quorum.network.Network` of one host."""

    def __init__(self, world: SimNetwork, name: str) -> None:
        self._world = world
        self._name = name

    async def connect(self, host: str, port: int, timeout_s: float) -> SimStream:
        world = self._world
        await trio.sleep(world.delay_s(self._name, host) + world.delay_s(host, self._name))
        if world.is_cut(self._name, host) or world.is_cut(host, self._name):
            await trio.sleep(timeout_s)
            raise TimeoutError(errno.ETIMEDOUT, "timed out", f"{host}:{port}")
        listener = world.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused", f"{host}:{port}")
        connection = Connection(world, self._name, (host, port))
        world.connections.append(connection)
        nursery, handler = listener
        nursery.start_soon(_serve_one, host, handler, connection.far)
        return connection.near

    async def serve(
        self,
        host: str | None,
        port: int,
        handler: Handler,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        await trio.lowlevel.checkpoint()
        address = self._name, port
        if address in self._world.listeners:
            raise OSError(errno.EADDRINUSE, "in use", f"{host}:{port}")
        async with trio.open_nursery() as nursery:
            self._world.listeners[address] = nursery, handler
            task_status.started(address)
            try:
                await trio.sleep_forever()
            finally:
                del self._world.listeners[address]


async def _serve_one(host: str, handler: Handler, stream: SimStream) -> None:
    HOST.set(host)
    try:
        await handler(stream)
    finally:
        with trio.CancelScope(shield=True):
            await stream.aclose()
