"""A server core with connections but without sockets, files or real time: what tests of the core are made of.

Requests are encoded with the independent encoder of ``compat.wire``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from struct import unpack_from
from typing import NamedTuple

import attrs

from compat import wire
from zkpy.config import embedded_config
from zkpy.errors import StorageError
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.server.cnxn import CLOSING, ClientCnxn
from zkpy.server.service import Service
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules


class Reply(NamedTuple):
    xid: int
    zxid: int
    err: int
    body: bytes


class MemoryLog:
    """Keeps the payloads; an entry is durable as soon as it is flushed, or when ``held`` is released."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.held = False
        self._done: Callable[[StorageError | None], None] | None = None

    def append(self, zxid: int, payload: bytes) -> None:
        self.payloads.append(payload)

    def flush(self) -> None:
        pass

    def start_commit(self, done: Callable[[StorageError | None], None]) -> bool:
        self._done = done
        return self.held

    def release(self, error: StorageError | None = None) -> None:
        assert self._done is not None
        self._done(error)

    async def commit(self) -> None:
        pass

    @property
    def pending(self) -> bool:
        return False


class FakeChannel:
    """Takes what a connection sends; ``stalled`` is a peer that does not read."""

    def __init__(self) -> None:
        self.cnxn: ClientCnxn
        self.stream = bytearray()
        self.closed = False
        self.paused = False
        self.stalled = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def flush(self) -> None:
        if self.closed or self.stalled:
            return
        self.stream += b"".join(self.cnxn.out)
        self.cnxn.out.clear()
        self.cnxn.out_size = 0
        if self.cnxn.state == CLOSING:
            self.abort()
            self.cnxn.closed()

    def abort(self) -> None:
        self.closed = True

    def frames(self) -> list[bytes]:
        """The frames that were sent since the last call, without their lengths."""
        out = []
        while len(self.stream) >= 4:
            (size,) = unpack_from(">i", self.stream)
            assert len(self.stream) >= size + 4
            out.append(bytes(self.stream[4 : size + 4]))
            del self.stream[: size + 4]
        return out


class World:
    """One server core; ``seconds`` and ``wall`` are its clocks."""

    def __init__(
        self,
        *,
        logged: bool = True,
        tree: DataTree | None = None,
        clock: Callable[[], float] | None = None,
        **settings: object,
    ) -> None:
        config = attrs.evolve(embedded_config(), **settings)  # type: ignore[arg-type]
        self.seconds = 1000.0
        self.wall = 1_700_000_000_000
        self.log = MemoryLog()
        rules = OwnerRules(config.extended_types_enabled, config.emulate_353_ttl)
        self.tree = tree or DataTree(rules, config.digest_enabled)
        self.server = ZooKeeperServer(
            config,
            self.tree,
            log=self.log if logged else None,
            wall_ms=lambda: self.wall,
            clock=clock or (lambda: self.seconds),
            random=random.Random(1),
        )
        self.service = Service(self.server)
        self.server.send_some = self.send_some

    def send_some(self) -> bool:
        for cnxn in self.service.next_dirty():
            cnxn.channel.flush()
        self.service.resume_ready()
        return bool(self.service.dirty)

    def settle(self) -> None:
        """A round of the transport."""
        self.server.flush()
        while self.send_some():
            pass

    def client(self, **fields: object) -> Peer:
        """A connection with a session."""
        peer = Peer(self)
        peer.connect(**fields)
        return peer


class Peer:
    """The client's end of a connection."""

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        self.world = world
        self.channel = FakeChannel()
        self.cnxn = self.channel.cnxn = ClientCnxn(world.service, self.channel, address, 40000)
        world.service.register(self.cnxn)
        self.events: list[tuple[int, int, bytes]] = []
        self.response = b""
        self._xid = 0

    @property
    def closed(self) -> bool:
        return self.channel.closed

    @property
    def session_id(self) -> int:
        return self.cnxn.session_id

    @property
    def password(self) -> bytes:
        return self.response[20:36]

    def connect(self, **fields: object) -> bytes:
        """Shake hands; the ConnectResponse, empty when there was none."""
        self.feed(wire.connect_frame(**fields))  # type: ignore[arg-type]
        frames = self.channel.frames()
        self.response = frames[0] if frames else b""
        return self.response

    def feed(self, data: bytes) -> None:
        """Bytes arrive."""
        self.world.server.now = self.world.seconds
        self.cnxn.receive(data)
        self.world.settle()

    def replies(self) -> list[Reply]:
        """What came since the last call; notifications go to ``events``."""
        out = []
        for frame in self.channel.frames():
            xid, zxid, err = unpack_from(">iqi", frame)
            if xid == -1:
                (kind,) = unpack_from(">i", frame, 16)
                self.events.append((zxid, kind, frame[28:]))
            else:
                out.append(Reply(xid, zxid, err, frame[16:]))
        return out

    def pipeline(self, *requests: tuple[int, bytes]) -> list[Reply]:
        """Send all with one call."""
        data = b""
        for op, body in requests:
            self._xid += 1
            data += wire.request(self._xid, op, body)
        self.feed(data)
        return self.replies()

    def call(self, op: int, body: bytes = b"") -> Reply:
        (reply,) = self.pipeline((op, body))
        return reply

    def create(self, path: str, data: bytes | None = b"", flags: int = 0, acl: wire.Acl = wire.OPEN) -> Reply:
        return self.call(wire.CREATE, wire.create_body(path, data, acl, flags))

    def set(self, path: str, data: bytes | None, version: int = -1) -> Reply:
        return self.call(wire.SET_DATA, wire.text(path) + wire.text(data) + wire.i32(version))

    def delete(self, path: str, version: int = -1) -> Reply:
        return self.call(wire.DELETE, wire.text(path) + wire.i32(version))

    def get(self, path: str, watch: int = 0) -> Reply:
        return self.call(wire.GET_DATA, wire.read_body(path, watch))

    def exists(self, path: str, watch: int = 0) -> Reply:
        return self.call(wire.EXISTS, wire.read_body(path, watch))

    def children(self, path: str, watch: int = 0) -> list[bytes]:
        reply = self.call(wire.GET_CHILDREN, wire.read_body(path, watch))
        assert reply.err == 0
        names = wire.Reader(reply.body, wire.Normaliser(0)).names()
        return [name for name in names if isinstance(name, bytes)]

    def multi(self, *ops: tuple[int, bytes]) -> Reply:
        return self.call(wire.MULTI, wire.multi_body(ops))

    def auth(self, credentials: str) -> None:
        body = wire.i32(0) + wire.text("digest") + wire.text(credentials)
        assert self.call(wire.AUTH, body).err == 0


def multi_results(reply: Reply) -> list[object]:
    """The decoded results of a multi."""
    return wire.Reader(reply.body, wire.Normaliser(0)).multi()
