"""Two zkpy servers, one of which plays the real one, a proxy before them, and clients in threads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import attrs
import trio

from compat import wire
from zkpy.compare.proxy import Comparison, listen
from zkpy.compare.report import Report
from zkpy.compare.survey import look, survey
from zkpy.testing import TrioServer, open_server

T = TypeVar("T")


@attrs.define(eq=False)
class World:
    zkpy: TrioServer
    real: TrioServer
    comparison: Comparison
    address: str
    notes: list[str]
    texts: list[str]
    records: list[dict[str, Any]]
    closing: list[wire.Wire] = attrs.Factory(list)

    @property
    def report(self) -> Report:
        return self.comparison.report

    async def play(self, script: Callable[[], T]) -> T:
        """Run blocking client code beside the servers."""
        with trio.fail_after(30):
            return await trio.to_thread.run_sync(script)

    def client(self, address: str | None = None, **fields: Any) -> Client:
        """A connection; with a session unless it is refused. To be called by scripts."""
        client = Client(address or self.address)
        self.closing.append(client.wire)
        client.connect(**fields)
        return client


class Client:
    """A blocking client that sends exactly the given bytes and gives back whole frames."""

    def __init__(self, address: str) -> None:
        self.wire = wire.Wire(address)
        self.session = 0
        self.password = b""
        self.zxid = 0

    def connect(self, **fields: Any) -> None:
        self.wire.send(wire.connect_frame(**{"timeout_ms": 10_000} | fields))
        answer = self.wire.receive()
        if answer is not None:
            self.session = int.from_bytes(answer[8:16], "big", signed=True)
            self.password = answer[20:36]

    def send(self, *requests: tuple[int, int, bytes]) -> None:
        """Requests as (xid, operation, body), with one call."""
        self.wire.send(b"".join(wire.request(*one) for one in requests))

    def receive(self) -> bytes | None:
        frame = self.wire.receive()
        if frame is not None:
            self.zxid = max(self.zxid, int.from_bytes(frame[4:12], "big", signed=True))
        return frame

    def call(self, op: int, body: bytes = b"", xid: int = 1) -> int:
        """The error code of the reply; events before it are passed over."""
        self.send((xid, op, body))
        while True:
            frame = self.receive()
            assert frame is not None, "the connection was closed"
            if frame[:4] != b"\xff\xff\xff\xff":
                return int.from_bytes(frame[12:16], "big", signed=True)

    def create(self, path: str, data: bytes | None = b"", flags: int = 0) -> int:
        return self.call(wire.CREATE2, wire.create_body(path, data, flags=flags))

    def set(self, path: str, data: bytes | None, version: int = -1) -> int:
        return self.call(wire.SET_DATA, wire.text(path) + wire.text(data) + wire.i32(version))

    def get(self, path: str, watch: int = 0) -> int:
        return self.call(wire.GET_DATA, wire.read_body(path, watch))

    def close(self) -> None:
        self.call(wire.CLOSE_SESSION)
        self.wire.close()


@contextlib.asynccontextmanager
async def open_world(
    *, zkpy: dict[str, Any] | None = None, real: dict[str, Any] | None = None, wait_s: float = 5.0
) -> AsyncIterator[World]:
    texts: list[str] = []
    records: list[dict[str, Any]] = []
    async with open_server(**zkpy or {}) as ours, open_server(**real or {}) as theirs:
        report = Report(texts.append, lambda line: records.append(json.loads(line)))
        comparison = Comparison((ours.host, ours.port), (theirs.host, theirs.port), report, wait_s=wait_s)
        await look(comparison.zkpy, wait_s)  # so that no session id and no zxid is the same on both
        notes = await survey(comparison)
        async with trio.open_nursery() as nursery:
            listeners = await listen("127.0.0.1", 0)
            nursery.start_soon(comparison.serve, listeners)
            port = listeners[0].socket.getsockname()[1]
            world = World(ours, theirs, comparison, f"127.0.0.1:{port}", notes, texts, records)
            try:
                yield world
            finally:
                for one in world.closing:
                    one.close()
                nursery.cancel_scope.cancel()
