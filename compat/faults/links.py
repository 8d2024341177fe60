"""TCP proxies between the members of an ensemble, so that links can fail while clients are not touched.

Member *a* reaches member *b* through ports of its own for b's quorum and election port. Each direction of a
pair has a `Gate`: closed it holds what comes, as a network does that loses packets and has TCP repeat them;
or it delays everything, or resets connections in the middle of a frame.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Iterable
from enum import Enum
from random import Random

import attrs
import trio

from compat.process import HOST

_CHUNK = 65536
_CONNECT_TRIES = 10
_CONNECT_PAUSE_S = 0.1
_IN_FLIGHT = 1000
_NO_LINGER = struct.pack("ii", 1, 0)


class Channel(Enum):
    """Which of a member's two ports."""

    QUORUM = "quorum"
    ELECTION = "election"


BOTH = frozenset(Channel)


@attrs.define(eq=False)
class Gate:
    """What happens to data from one member to another on one channel."""

    opened: trio.Event = attrs.field(factory=trio.Event)
    delay_s: float = 0.0
    jitter_s: float = 0.0
    resets: bool = False
    """The next piece of data goes half through, then the connection is reset."""

    def __attrs_post_init__(self) -> None:
        self.opened.set()

    def close(self) -> None:
        if self.opened.is_set():
            self.opened = trio.Event()

    def restore(self) -> None:
        """As at the beginning; what was held goes on."""
        self.opened.set()
        self.delay_s = self.jitter_s = 0.0
        self.resets = False

    async def passage(self) -> None:
        """Return when the gate is open."""
        while not self.opened.is_set():
            await self.opened.wait()


@attrs.define(eq=False)
class _Connection:
    source: int
    target: int
    channel: Channel
    streams: list[trio.SocketStream]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def reset(self) -> None:
        """Both ends see the connection reset, whatever is still on its way."""
        for stream in self.streams:
            if stream.socket.fileno() >= 0:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                stream.socket.close()
        self.scope.cancel()


@attrs.define(frozen=True)
class Ports:
    """A member's quorum and election port, or those under which another member is reached."""

    quorum: int
    election: int

    def of(self, channel: Channel) -> int:
        return self.quorum if channel is Channel.QUORUM else self.election


class Links:
    """The network between the members.

    *true* are the ports on which members listen, ``ways[a, b]`` those through which *a* reaches *b*.
    """

    def __init__(self, true: dict[int, Ports], ways: dict[tuple[int, int], Ports], random: Random) -> None:
        self._true = true
        self.ways = ways
        self._random = random
        self.gates = {(pair, channel): Gate() for pair in ways for channel in Channel}
        self._connections: set[_Connection] = set()
        self.carried = 0
        """Bytes."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry until cancelled; started when all ports are open. OSError: one is taken."""
        async with trio.open_nursery() as nursery:
            for (source, target), ports in self.ways.items():
                for channel in Channel:
                    listeners = await trio.open_tcp_listeners(ports.of(channel), host=HOST, backlog=100)
                    nursery.start_soon(self._listen, listeners[0], source, target, channel, nursery)
            task_status.started()

    # -- faults --------------------------------------------------------------------------------------------

    def cut(
        self, sources: Iterable[int], targets: Iterable[int], channels: frozenset[Channel] = BOTH
    ) -> None:
        """Nothing gets from *sources* to *targets* until `heal`."""
        for gate in self._between(sources, targets, channels):
            gate.close()

    def slow(self, sources: Iterable[int], targets: Iterable[int], delay_s: float, jitter_s: float) -> None:
        for gate in self._between(sources, targets, BOTH):
            gate.delay_s, gate.jitter_s = delay_s, jitter_s

    def reset_next(self, sources: Iterable[int], targets: Iterable[int]) -> None:
        """Break each connection at the next piece of data from *sources* to *targets*."""
        for gate in self._between(sources, targets, BOTH):
            gate.resets = True

    def heal(self, *, reset: bool) -> None:
        """All links are good again. Connections that were cut go on, or they are *reset*."""
        if reset:
            for connection in list(self._connections):
                if not self._is_open(connection):
                    connection.reset()
        for gate in self.gates.values():
            gate.restore()

    def _between(
        self, sources: Iterable[int], targets: Iterable[int], channels: frozenset[Channel]
    ) -> list[Gate]:
        there = set(targets)
        return [
            self.gates[(a, b), channel]
            for a in set(sources)
            for b in there
            if a != b
            for channel in sorted(channels, key=lambda channel: channel.value)
        ]

    def _both_ways(self, connection: _Connection) -> tuple[Gate, Gate]:
        a, b, channel = connection.source, connection.target, connection.channel
        return self.gates[(a, b), channel], self.gates[(b, a), channel]

    def _is_open(self, connection: _Connection) -> bool:
        return all(gate.opened.is_set() for gate in self._both_ways(connection))

    # -- carrying ------------------------------------------------------------------------------------------

    async def _listen(
        self, listener: trio.SocketListener, source: int, target: int, channel: Channel, nursery: trio.Nursery
    ) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:
                    continue
                nursery.start_soon(self._carry, _Connection(source, target, channel, [stream]))

    async def _carry(self, connection: _Connection) -> None:
        self._connections.add(connection)
        forth, back = self._both_ways(connection)
        try:
            with connection.scope:
                await forth.passage()
                await back.passage()  # the other side's consent would not arrive
                onward = await self._reach(connection)
                if onward is None:
                    connection.reset()
                    return
                connection.streams.append(onward)
                near = connection.streams[0]
                rewrite = connection.channel is Channel.ELECTION
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._one_way, connection, near, onward, forth, rewrite)
                    nursery.start_soon(self._one_way, connection, onward, near, back, False)
        finally:
            self._connections.discard(connection)
            for stream in connection.streams:
                stream.socket.close()

    async def _reach(self, connection: _Connection) -> trio.SocketStream | None:
        """The target's port. The dialler takes us for it, so it may be late, as it may with a real dial."""
        for _ in range(_CONNECT_TRIES):
            try:
                port = self._true[connection.target].of(connection.channel)
                return await trio.open_tcp_stream(HOST, port)
            except OSError:
                await trio.sleep(_CONNECT_PAUSE_S)
        return None

    async def _one_way(
        self,
        connection: _Connection,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        gate: Gate,
        rewrite: bool,
    ) -> None:
        """Bytes as they come; the opening message of an election names the port to call back: ours."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](_IN_FLIGHT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, connection, receive, sink, gate)
            try:
                async with send:
                    while data := await source.receive_some(_CHUNK):
                        if rewrite:
                            data = self._call_back_here(connection, data)
                            rewrite = False
                        due = trio.current_time() + max(
                            0.0, gate.delay_s + self._random.uniform(-1, 1) * gate.jitter_s
                        )
                        await send.send((due, data))
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                connection.reset()

    async def _deliver(
        self,
        connection: _Connection,
        pieces: trio.MemoryReceiveChannel[tuple[float, bytes]],
        sink: trio.SocketStream,
        gate: Gate,
    ) -> None:
        try:
            async with pieces:
                async for due, data in pieces:
                    if due > trio.current_time():
                        await trio.sleep_until(due)
                    await gate.passage()
                    if gate.resets and len(data) > 1:
                        gate.resets = False
                        await sink.send_all(data[: math.ceil(len(data) / 2)])
                        connection.reset()
                        return
                    self.carried += len(data)
                    await sink.send_all(data)
            await gate.passage()
            await sink.send_eof()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            connection.reset()

    def _call_back_here(self, connection: _Connection, data: bytes) -> bytes:
        own = b":%d" % self._true[connection.source].election
        back = b":%d" % self.ways[connection.target, connection.source].election
        assert own in data and len(own) == len(back), f"no opening message: {data!r}"
        return data.replace(own, back, 1)
