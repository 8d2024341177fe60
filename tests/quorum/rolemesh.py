"""Whole members in one loop, over a network, disks and time in memory; and peers that are played by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from compat import wire
from tests.harness import Peer, Reply
from tests.quorum.mesh import MemoryNetwork, members
from zkpy.config import embedded_config, parse_properties
from zkpy.config.settings import Config
from zkpy.member import member
from zkpy.node import new_tree
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.store import Store
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.quorum import packets
from zkpy.quorum.packets import LearnerInfo, PacketReader, QuorumPacket, ack_epoch
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.server.service import Service
from zkpy.tree.datatree import DataTree

TICK_S = 1.0
SYNC_LIMIT = 5
INIT_LIMIT = 10


class Zoo:
    """Members by sid.

    *settings* are those of `zkpy.config.Config`, *ensemble* those of its part of that name, *factor* is
    ``snapshotSizeFactor``.
    """

    def __init__(
        self,
        *sids: int,
        observers: tuple[int, ...] = (),
        factor: float = 0.33,
        ensemble: dict[str, object] | None = None,
        **settings: object,
    ) -> None:
        self.network = MemoryNetwork()
        self.file: str | None = None
        """With a name each member has its zoo.cfg there, on its own disk."""
        self.config: QuorumConfig = members(*sids, observers=observers)
        self.factor = factor
        self.standalone_enabled = True
        self.ensemble = ensemble or {}
        self.settings = settings
        self.members: dict[int, Member] = {}
        self.disks: dict[int, MemoryDisk] = {}
        self.nursery: trio.Nursery

    def disk(self, sid: int) -> MemoryDisk:
        """A member's disk, with its zoo.cfg if it has one."""
        disk = self.disks.get(sid)
        if disk is None:
            disk = self.disks[sid] = MemoryDisk()
            if self.file is not None:
                lines = ["# mine", "tickTime=1000", *self.config.lines(), "syncLimit=5"]
                disk.put(self.file, "\n".join(lines).encode())
        return disk

    def configuration(self, sid: int) -> Config:
        """What the member is started with: the members of its dynamic file, if zoo.cfg names one."""
        servers, version, dynamic = self.config.servers, self.config.version, None
        if self.file is not None:
            entries = parse_properties(self.disk(sid).read_bytes(self.file).decode())
            if "dynamicConfigFile" in entries:
                dynamic = entries["dynamicConfigFile"].value
                text = self.disk(sid).read_bytes(dynamic).decode()
                servers, version = QuorumConfig.from_text(text).servers, int(dynamic.rpartition(".")[2], 16)
        plain = embedded_config("/data", **{"pre_alloc_size_kb": 64, **self.settings})
        ensemble = attrs.evolve(
            plain.ensemble,
            servers=servers,
            version=version,
            dynamic_config_file=dynamic,
            standalone_enabled=self.standalone_enabled,
            my_id=sid,
            init_limit_ticks=INIT_LIMIT,
            sync_limit_ticks=SYNC_LIMIT,
            snapshot_size_factor=self.factor,
            **self.ensemble,  # type: ignore[arg-type]
        )
        return attrs.evolve(plain, ensemble=ensemble, tick_time_ms=int(TICK_S * 1000), file=self.file)

    @asynccontextmanager
    async def running(self, *sids: int) -> AsyncIterator[Zoo]:
        async with trio.open_nursery() as self.nursery:
            self.start(*sids)
            yield self
            self.nursery.cancel_scope.cancel()

    def start(self, *sids: int) -> None:
        """Start members, with the data they left."""
        for sid in sids:
            self.members[sid] = Member(self, sid)
            self.nursery.start_soon(self.members[sid].run)

    async def kill(self, sid: int) -> None:
        """Power off: what was not synced is lost."""
        self.members[sid].scope.cancel()
        await self.members[sid].ended.wait()
        self.disks[sid].crash()

    def cut_off(self, sid: int) -> None:
        self.network.away.add(f"h{sid}")

    async def cut(self, sid: int) -> None:
        """Nobody gets to the member or from it."""
        self.cut_off(sid)
        for connection in self.network.connections:
            if f"h{sid}" in (connection.dialler, connection.to[0]):
                await connection.cut()

    async def lose(self, sid: int) -> None:
        """As `cut`, but only the others notice: the member waits for answers that never come."""
        self.cut_off(sid)
        for connection in self.network.connections:
            if connection.open and f"h{sid}" in (connection.dialler, connection.to[0]):
                ends = connection.out, connection.back
                near, far = ends if connection.dialler == f"h{sid}" else ends[::-1]
                near.lost = True
                await far.aclose()

    def heal(self, sid: int) -> None:
        self.network.away.discard(f"h{sid}")

    async def serve(self, *sids: int, limit_s: float = 60) -> None:
        """Until these members have a role."""
        with trio.fail_after(limit_s):
            for sid in sids or self.members:
                while not self.members[sid].service.active:
                    await trio.sleep(0.05)

    def leader(self) -> int:
        (found,) = [sid for sid, m in self.members.items() if m.mode == "leader"]
        return found

    async def learner(self, leader: int, *parts: bytes, port: int | None = None) -> ByHand:
        """A connection to the leader's quorum port, or to *port*, on which *parts* were sent."""
        at = port or 25020 + leader
        stream = await self.network.host("stranger").connect(f"h{leader}", at, 1)
        by_hand = ByHand(stream)
        for part in parts:
            await stream.send_all(part)
        return by_hand


class Member:
    """One member; what `tests.harness.Peer` needs of a world."""

    def __init__(self, zoo: Zoo, sid: int) -> None:
        self._zoo = zoo
        self.sid = sid
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self.moved: list[tuple[str, int]] = []
        """Where clients had to be listened for."""
        config = zoo.configuration(sid)
        self.disk = zoo.disk(sid)
        self.store = Store(config, self.disk, random.Random(sid))
        tree = self.store.restore(lambda: new_tree(config))
        self.service = Service(
            ZooKeeperServer(
                config,
                tree,
                log=self.store.log,
                wall_ms=lambda: 1_700_000_000_000 + int(trio.current_time() * 1000),
                clock=trio.current_time,
                random=random.Random(sid),
            )
        )
        self.service.active = self.service.serving = False
        self.server.send_some = self.send_some
        self.store.attach(self.server)

    @property
    def server(self) -> ZooKeeperServer:
        return self.service.server

    @property
    def tree(self) -> DataTree:
        return self.server.tree

    @property
    def mode(self) -> str | None:
        return self.server.mode if self.service.active else None

    @property
    def seconds(self) -> float:
        return trio.current_time()

    def send_some(self) -> bool:
        for cnxn in self.service.next_dirty():
            cnxn.channel.flush()
        self.service.resume_ready()
        return bool(self.service.dirty)

    def settle(self) -> None:
        self.server.flush()
        while self.send_some():
            pass

    async def run(self) -> None:
        network = self._zoo.network.host(f"h{self.sid}")
        try:
            with self.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.store.run)
                    nursery.start_soon(self._expire)
                    ready = trio.Event()
                    given = (self.service, self.store, self.disk, random.Random(self.sid), ready, network)
                    await member(*given, lambda host, port: self.moved.append((host, port)))
        except BaseExceptionGroup as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            if isinstance(error, AssertionError):
                raise
            self.error = error
        finally:
            self.service.hide()
            self.store.close()
            self.ended.set()

    async def _expire(self) -> None:
        while True:
            await trio.sleep(TICK_S)
            if self.service.active and self.server.expire_sessions():
                self.settle()

    async def client(self, **fields: object) -> MemberClient:
        """A connection with a session."""
        peer = Peer(self)  # type: ignore[arg-type]
        if not peer.connect(**fields):
            await trio.sleep(0.5)
            (peer.response,) = peer.channel.frames()
        return MemberClient(peer)

    async def hangs_up_on(self, **fields: object) -> bool:
        """Whether a client that connects so is turned away without a word."""
        peer = Peer(self)  # type: ignore[arg-type]
        peer.connect(**fields)
        await trio.sleep(0.5)
        return peer.closed and not peer.response

    def word(self, word: str) -> str:
        """The answer to a four-letter word."""
        peer = Peer(self)  # type: ignore[arg-type]
        peer.feed(word.encode())
        return bytes(peer.channel.stream).decode()


class MemberClient:
    """A client whose answers take a while."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._xid = 0

    def send(self, op: int, body: bytes) -> None:
        self._xid += 1
        self.peer.feed(wire.request(self._xid, op, body))

    async def call(self, op: int, body: bytes) -> Reply:
        self.send(op, body)
        with trio.fail_after(10):
            while not (replies := self.peer.replies()):
                await trio.sleep(0.01)
        (reply,) = replies
        return reply

    async def create(self, path: str, flags: int = 0) -> Reply:
        return await self.call(wire.CREATE, wire.create_body(path, b"data", flags=flags))


class ByHand:
    """The other end of a quorum connection, played by the test."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._reader = PacketReader(1 << 20)

    async def send(self, *sent: QuorumPacket) -> None:
        await self.stream.send_all(b"".join(packet.encode() for packet in sent))

    async def receive(self) -> QuorumPacket | None:
        """The next packet; None at the end of the stream."""
        while (packet := self._reader.next()) is None:
            try:
                data = await self.stream.receive_some(1 << 16)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._reader.feed(data)
        return packet

    async def until(self, kind: int) -> QuorumPacket:
        """The next packet of this kind."""
        with trio.fail_after(30):
            while True:
                packet = await self.receive()
                assert packet is not None, "the connection ended"
                if packet.type == kind:
                    return packet

    async def closed(self, limit_s: float) -> None:
        """Until the other side hangs up."""
        with trio.fail_after(limit_s):
            while await self.receive() is not None:
                pass


def follower_info(sid: int, accepted: int = 0) -> QuorumPacket:
    return QuorumPacket(packets.FOLLOWERINFO, accepted << 32, LearnerInfo(sid).encode())


async def join(learner: ByHand, sid: int, zxid: int = 0) -> int:
    """Play a follower that has the leader's history up to UPTODATE; gives the epoch."""
    await learner.send(follower_info(sid))
    epoch = (await learner.until(packets.LEADERINFO)).zxid >> 32
    await learner.send(ack_epoch(zxid, 0))
    await learner.until(packets.NEWLEADER)
    await learner.send(QuorumPacket(packets.ACK, epoch << 32))
    await learner.until(packets.UPTODATE)
    await learner.send(QuorumPacket(packets.ACK, epoch << 32))
    return epoch
