"""An in-memory network, and servers that only elect, for the tests of the election."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

import trio
import trio.testing

from zkpy.config.settings import PeerType, QuorumAddress, ServerSpec
from zkpy.quorum.cnxmanager import CnxManager, CnxOptions
from zkpy.quorum.election import Activate, Election
from zkpy.quorum.network import Address, Handler
from zkpy.quorum.notification import PeerState
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.votes import FastLeaderElection, Vote


class MemoryStream:
    """One end of a connection; keeps what went out through it."""

    def __init__(self, inner: trio.StapledStream, peer: Address) -> None:
        self._inner = inner
        self.peer: Final = peer
        self.sent = bytearray()
        self.writes = 0
        self.closed = False
        self.lost = False
        """The peer cannot be reached any more, and nobody has noticed."""
        self._ended = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.lost:
            return
        self.sent += data
        self.writes += 1
        await self._inner.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        if self.lost:
            await self._ended.wait()
            raise trio.ClosedResourceError
        return data

    async def aclose(self) -> None:
        self.closed = True
        self._ended.set()
        await self._inner.aclose()


class Connection:
    """Both ends, and who they belong to."""

    def __init__(self, dialler: str, to: Address) -> None:
        self.dialler = dialler
        self.to = to
        near, far = trio.testing.memory_stream_pair()
        self.out = MemoryStream(near, to)
        self.back = MemoryStream(far, (dialler, 50000))

    @property
    def open(self) -> bool:
        return not (self.out.closed or self.back.closed)

    async def cut(self) -> None:
        await self.out.aclose()
        await self.back.aclose()


class MemoryNetwork:
    """Where all hosts are; ``host(name)`` is the network as one of them sees it."""

    def __init__(self) -> None:
        self.listeners: dict[Address, tuple[trio.Nursery, Handler]] = {}
        self.connections: list[Connection] = []
        self.silent: set[Address] = set()
        """Connecting to these takes for ever."""
        self.slow: dict[Address, float] = {}
        """Connecting to these takes so many seconds."""
        self.away: set[str] = set()
        """Nobody gets to or from these hosts."""
        self.taken: dict[Address, int] = {}
        """How often binding this fails."""

    def host(self, name: str) -> HostView:
        return HostView(self, name)

    def between(self, a: str, b: str) -> list[Connection]:
        return [c for c in self.connections if c.open and {c.dialler, c.to[0]} == {a, b}]


class HostView:
    """`zkpy.quorum.network.Network` of one host."""

    def __init__(self, world: MemoryNetwork, name: str) -> None:
        self._world = world
        self._name = name
        self.dialled: list[Address] = []
        self.bound: list[tuple[str | None, int]] = []

    async def connect(self, host: str, port: int, timeout_s: float) -> MemoryStream:
        world = self._world
        self.dialled.append((host, port))
        await trio.lowlevel.checkpoint()
        if (host, port) in world.silent:
            await trio.sleep(timeout_s)
            raise TimeoutError(errno.ETIMEDOUT, "timed out", f"{host}:{port}")
        await trio.sleep(world.slow.get((host, port), 0))
        listener = world.listeners.get((host, port))
        if listener is None or world.away & {host, self._name}:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused", f"{host}:{port}")
        connection = Connection(self._name, (host, port))
        world.connections.append(connection)
        nursery, handler = listener
        nursery.start_soon(self._serve_one, handler, connection.back)
        return connection.out

    async def _serve_one(self, handler: Handler, stream: MemoryStream) -> None:
        try:
            await handler(stream)
        finally:
            await stream.aclose()

    async def serve(
        self,
        host: str | None,
        port: int,
        handler: Handler,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        await trio.lowlevel.checkpoint()
        address = (self._name, port)
        if self._world.taken.get(address, 0) > 0:
            self._world.taken[address] -= 1
            raise OSError(errno.EADDRINUSE, "in use", f"{host}:{port}")
        assert address not in self._world.listeners
        self.bound.append((host, port))
        async with trio.open_nursery() as nursery:
            self._world.listeners[address] = nursery, handler
            task_status.started(address)
            try:
                await trio.sleep_forever()
            finally:
                del self._world.listeners[address]


def members(
    *sids: int, observers: Sequence[int] = (), version: int = 0, host: str = "h{sid}", base: int = 25000
) -> QuorumConfig:
    """Servers at h1, h2 … with quorum port 25021, 25022 … and election port 25031, 25032 …"""

    def line(sid: int) -> ServerSpec:
        role: PeerType = "observer" if sid in observers else "participant"
        at = QuorumAddress(host.format(sid=sid), base + 20 + sid, base + 30 + sid)
        return ServerSpec(sid, (at,), role)

    return QuorumConfig(tuple(line(sid) for sid in (*sids, *observers)), version)


class Server:
    """A server that elects and then does nothing."""

    def __init__(
        self,
        world: MemoryNetwork,
        sid: int,
        config: QuorumConfig,
        options: CnxOptions | None = None,
        activate: Activate | None = None,
    ) -> None:
        self.sid = sid
        self.configs = Configs(config)
        member = config.member(sid)
        assert member is not None
        self.network = world.host(member.addresses[0].host)
        self.cnx = CnxManager(sid, lambda: self.configs, self.network, options)
        self.rules = FastLeaderElection(sid, self.configs, observer=member.role == "observer")
        self.election = Election(sid, self.rules, self.cnx, activate)
        self.scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.cnx.run)
                await nursery.start(self.election.run)
                task_status.started()

    async def look(self, zxid: int = 0, epoch: int = 0, *, into: dict[int, Vote] | None = None) -> Vote:
        self.election.set_state(PeerState.LOOKING)
        vote = await self.election.look_for_leader(zxid, epoch)
        if into is not None:
            into[self.sid] = vote
        return vote
