"""The election mesh: one connection between each two servers, and the last word in every queue.

    smaller sid                              larger sid
      | -- opening: sid, own address ---------> |    hangs up at once
      | <--------- opening: sid, own address -- |    dials back; this connection stays
      | <-- int length, message, both ways ---> |

The larger sid is always the one that dialled. Only the newest message to a peer matters: it replaces an older
one that was not sent yet, and is sent again on the next connection. A peer can thus get one twice.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

import attrs
import trio

from zkpy.config.settings import Config
from zkpy.errors import ProtocolError
from zkpy.quorum.dialling import DialError, connect_first
from zkpy.quorum.meshpeer import Link, MeshPeer
from zkpy.quorum.network import STREAM_ERRORS, Address, Network, Stream
from zkpy.quorum.notification import (
    ANONYMOUS,
    MESSAGE_LIMIT_BYTES,
    Opening,
    decode_opening,
    encode_opening,
)
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.strangers import Complaints, WaitingRoom

logger: Final = logging.getLogger("zkpy.election")

RECEIVED_LIMIT: Final = 100
"""Received messages that nobody has taken yet; beyond it the oldest is dropped."""

CALL_BACK_S: Final = 0.5
"""How long a dial to a larger sid counts as under way while the call back is awaited."""

RESTORE_S: Final = 0.01
"""How long a peer may take to replace a connection that broke, before it is dialled: in an election."""

REDIAL_S: Final = 1.0
"""How long after a connection was lost its peer is dialled once, though there is nothing to say to it."""

STRANGERS_LIMIT: Final = 64
"""Connections of servers that are in no configuration; beyond it the oldest is closed."""

_CHUNK: Final = 65536
_LENGTH: Final = Struct(">i")


@attrs.frozen(slots=True, kw_only=True)
class CnxOptions:
    """Settings of the mesh."""

    connect_timeout_s: float = 5.0
    opening_timeout_s: float = 10.0
    """How long the opening message of an accepted connection may take."""
    listen_on_all: bool = False
    """Listen on all addresses, not only on those of the own line."""
    multi_address: bool = False
    patience_s: float = 20.0
    """How long a peer may be out of reach before that is worth a line in the log."""
    bind_tries: int = 3
    """0: for ever."""
    bind_pause_s: float = 1.0

    @classmethod
    def from_config(cls, config: Config) -> CnxOptions:
        """As the configuration says."""
        ensemble = config.ensemble
        opening_ms = ensemble.quorum_cnxn_timeout_ms
        if opening_ms < 0:
            opening_ms = config.tick_time_ms * ensemble.sync_limit_ticks
        return cls(
            connect_timeout_s=ensemble.election_connect_timeout_ms / 1000,
            opening_timeout_s=opening_ms / 1000,
            listen_on_all=ensemble.quorum_listen_on_all_ips,
            multi_address=ensemble.multi_address_enabled,
            patience_s=config.tick_time_ms * ensemble.init_limit_ticks / 1000,
            bind_tries=ensemble.election_port_bind_retry,
        )


class CnxManager:
    """The election connections of server *my_sid*.

    ``run`` has to run all the time; the other methods may be called before it, too. *configs* gives the
    configurations in force whenever an address is needed.
    """

    def __init__(
        self,
        my_sid: int,
        configs: Callable[[], Configs],
        network: Network,
        options: CnxOptions | None = None,
    ) -> None:
        self._sid: Final = my_sid
        self._configs: Final = configs
        self._network: Final = network
        self._options: Final = options or CnxOptions()
        self._peers: dict[int, MeshPeer] = {}
        self._received: deque[tuple[int, bytes]] = deque(maxlen=RECEIVED_LIMIT)
        self._arrived = trio.Event()
        self._own: tuple[Address, ...] = ()
        self._complaints: Final = Complaints(logger)
        self._waiting: Final = WaitingRoom()
        self._strangers: Final = WaitingRoom(STRANGERS_LIMIT)
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._bind_error: OSError | None = None
        self.on_lost: Callable[[], None] = lambda: None  # ``lost`` may have grown
        self.restores = False
        """Dial again at once when a connection breaks: while an election wants to know who is there."""

    # -- for the election ----------------------------------------------------------------------------------

    def send(self, sid: int, message: bytes) -> None:
        """Send *message*, now or when *sid* can be reached; it replaces an older one that was not sent.

        To the own sid it is delivered at once. Never blocks.
        """
        if sid == self._sid:
            self._deliver(sid, message)
            return
        peer = self._peers.get(sid)
        if peer is None:
            if not self._is_member(sid):
                return  # it went away, and nothing says how to reach it
            peer = self._peer(sid)
        peer.pending = message
        peer.notify()
        self._dial(peer)

    async def receive(self) -> tuple[int, bytes]:
        """The next message and who sent it. For one caller at a time."""
        while not self._received:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._received.popleft()

    def connect_all(self) -> None:
        """Dial everybody who was sent something, or was connected, and is not now."""
        for _, peer in sorted(self._peers.items()):
            self._dial(peer)

    def dial(self, sid: int) -> None:
        """Dial a server that is about to become a member, unless there is a connection."""
        self._dial(self._peer(sid))

    def have_delivered(self) -> bool:
        """Whether everything was sent to at least one peer."""
        return any(peer.pending is None for peer in self._peers.values())

    def connected(self) -> frozenset[int]:
        """The sids with a connection."""
        return frozenset(sid for sid, peer in self._peers.items() if peer.link is not None)

    def lost(self) -> frozenset[int]:
        """The sids whose connection broke, and that could not be reached again."""
        return frozenset(
            sid for sid, peer in self._peers.items() if peer.broken and peer.reachability.failing
        )

    # -- life ----------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, dial and carry messages until cancelled; started when the election port is bound.

        Raises OSError when it cannot be bound.
        """
        started = False
        while True:
            self._scope = trio.CancelScope()
            with self._scope:
                await self._generation(trio.TASK_STATUS_IGNORED if started else task_status)
            if self._bind_error is not None:
                error, self._bind_error = self._bind_error, None
                raise error
            started = True
            await trio.lowlevel.checkpoint()

    def restart(self) -> None:
        """Begin anew with the configuration of now: all connections drop, messages are forgotten."""
        self._scope.cancel()
        self._nursery = None
        self._peers.clear()
        self._received.clear()

    async def _generation(self, task_status: trio.TaskStatus[None]) -> None:
        """All of it until the next restart."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for host, port in self._listen_addresses():
                await self._listen(nursery, host, port)
            task_status.started()
            for peer in [*self._peers.values()]:
                if peer.pending is not None:
                    self._dial(peer)
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def _listen_addresses(self) -> list[tuple[str | None, int]]:
        own = next(self._addresses(self._sid), ())
        if own:
            self._own = own  # a server that was removed stays where it is
        assert self._own, f"server {self._sid} has no line in the configuration"
        if not self._options.listen_on_all:
            return [*self._own]
        return [(None, port) for port in sorted({port for _, port in self._own})]

    async def _listen(self, nursery: trio.Nursery, host: str | None, port: int) -> None:
        tries = 0
        while True:
            try:
                await nursery.start(self._network.serve, host, port, self._accept)
                return
            except OSError as error:
                tries += 1
                where = f"{host or '*'}:{port}"
                if tries == self._options.bind_tries:
                    self._bind_error = OSError(error.errno, error.strerror or str(error), where)
                    self._scope.cancel()
                    await trio.sleep_forever()
                logger.warning("cannot listen for elections on %s yet: %s", where, error.strerror or error)
                await trio.sleep(self._options.bind_pause_s)

    # -- peers ---------------------------------------------------------------------------------------------

    def _peer(self, sid: int) -> MeshPeer:
        peer = self._peers.get(sid)
        if peer is None:
            peer = self._peers[sid] = MeshPeer(sid, self._options.patience_s)
        return peer

    def _is_member(self, sid: int) -> bool:
        return any(config.member(sid) for config in _by_age(self._configs()))

    def _addresses(self, sid: int) -> Iterator[tuple[Address, ...]]:
        """Election addresses of *sid*: those of the committed configuration before those of the last seen."""
        for config in _by_age(self._configs()):
            server = config.member(sid)
            if server is not None:
                yield tuple((address.host, address.election_port) for address in server.addresses)

    def _tidy(self, peer: MeshPeer) -> None:
        """Forget a stranger without connection: nothing leads to it, and there may be many."""
        idle = peer.link is None and not peer.dialling
        if idle and self._peers.get(peer.sid) is peer and not self._is_member(peer.sid):
            del self._peers[peer.sid]

    def _note(self, host: str, why: str) -> None:
        """Log what a peer did wrong."""
        self._complaints.tell(host, f"election connection from {host} closed: {why}")

    def _doubt(self, peer: MeshPeer, host: str) -> None:
        """At the start connections cross each other; later, who calls a second time may be somebody else."""
        if peer.link is not None and trio.current_time() - peer.link.since >= CALL_BACK_S:
            text = f"server {peer.sid} has called from {host} but is connected: is its number used twice?"
            self._complaints.tell(host, text)

    def _deliver(self, sid: int, message: bytes) -> None:
        self._received.append((sid, message))
        self._arrived.set()

    # -- dialling ------------------------------------------------------------------------------------------

    def _dial(self, peer: MeshPeer, addresses: tuple[Address, ...] = ()) -> None:
        """Connect, unless that is done or under way; *addresses*: where the peer said it is."""
        if peer.link is not None or self._nursery is None:
            return
        if peer.dialling:
            peer.called_from = addresses or peer.called_from
            return
        configured = [address for known in self._addresses(peer.sid) for address in known]
        candidates = tuple(dict.fromkeys([*addresses, *configured]))
        if not candidates:
            return
        peer.dialling = True
        peer.called_from = ()
        self._nursery.start_soon(self._dial_first, peer, candidates)

    async def _dial_first(self, peer: MeshPeer, candidates: tuple[Address, ...]) -> None:
        try:
            while candidates:
                stream = await self._connect_first(peer, candidates)
                if stream is not None:
                    await self._open(peer, stream)
                    return
                candidates, peer.called_from = peer.called_from, ()
        finally:
            peer.dialling = False
            self._tidy(peer)

    async def _connect_first(self, peer: MeshPeer, candidates: tuple[Address, ...]) -> Stream | None:
        try:
            return await connect_first(self._network, candidates, self._options.connect_timeout_s)
        except DialError as error:
            peer.reachability.failed(str(error), hopeless=error.hopeless)
            self.on_lost()
            return None

    async def _redial(self, peer: MeshPeer) -> None:
        """Somebody may have taken the peer's name and with it the connection: take it back.

        An election wants to know at once who is there; but the peer may just have replaced the connection.
        """
        await trio.sleep(RESTORE_S if self.restores else REDIAL_S)
        if self._peers.get(peer.sid) is peer:
            self._dial(peer)

    async def _open(self, peer: MeshPeer, stream: Stream) -> None:
        """Introduce ourselves; then keep the connection, or leave it to the larger sid to dial back."""
        if peer.link is not None:  # the larger sid was faster; to introduce ourselves would undo it
            await stream.aclose()
            return
        try:
            await stream.send_all(encode_opening(self._sid, self._own, self._options.multi_address))
            if peer.sid < self._sid and self._nursery is not None:
                self._nursery.start_soon(self._carry, peer, self._take(peer, stream), bytearray())
                return
        except STREAM_ERRORS as error:
            await stream.aclose()
            logger.debug("server %d hung up: %s", peer.sid, error)
            return
        except trio.Cancelled:
            await stream.aclose()
            raise
        await stream.aclose()
        with trio.move_on_after(CALL_BACK_S):
            while peer.link is None:
                await peer.changed.wait()

    # -- accepting -----------------------------------------------------------------------------------------

    async def _accept(self, stream: Stream) -> None:
        """One accepted connection, as long as it is of use; the network closes it afterwards."""
        host = stream.peer[0]
        data = bytearray()
        opening: Opening | None = None
        try:
            with self._waiting.waiting(), trio.move_on_after(self._options.opening_timeout_s):
                opening = await self._read_opening(stream, data)
            if opening is None:
                raise ProtocolError("it did not introduce itself in time")
            if opening.sid == self._sid:
                raise ProtocolError(f"it says it is server {opening.sid}, as we are")
            if opening.sid == ANONYMOUS or opening.sid < 0:
                raise ProtocolError("a server without a number cannot be called back")
        except ProtocolError as error:
            self._note(host, str(error))
            return
        except STREAM_ERRORS as error:
            logger.debug("election connection from %s: %s", host, error)
            return
        if self._nursery is None:
            return
        peer = self._peer(opening.sid)
        self._doubt(peer, host)
        if opening.sid > self._sid:
            del data[: opening.size]
            await self._carry(peer, self._take(peer, stream), data)
            return
        await stream.aclose()
        self._drop(peer)
        self._dial(peer, opening.addresses)
        self._tidy(peer)

    async def _read_opening(self, stream: Stream, data: bytearray) -> Opening:
        while True:
            opening = decode_opening(bytes(data))
            if opening is not None:
                return opening
            piece = await stream.receive_some(_CHUNK)
            if not piece:
                raise BrokenPipeError("it hung up before it had introduced itself")
            data += piece

    # -- a connection in use -------------------------------------------------------------------------------

    def _drop(self, peer: MeshPeer) -> None:
        link, peer.link = peer.link, None
        if link is not None:
            link.scope.cancel()

    def _take(self, peer: MeshPeer, stream: Stream) -> Link:
        """Make *stream* the connection to *peer*, in place of an older one."""
        self._drop(peer)
        link = peer.link = Link(stream)
        peer.broken = False
        peer.reachability.reached()
        peer.notify()
        logger.info("election connection with server %d (%s:%d)", peer.sid, *stream.peer)
        return link

    async def _carry(self, peer: MeshPeer, link: Link, data: bytearray) -> None:
        """Messages both ways until the connection ends; *data* has arrived with the opening."""
        try:
            with link.scope:
                if not self._is_member(peer.sid):
                    self._strangers.enter(link.scope)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_queued, peer, link)
                    await self._receive_all(peer, link, data)
                    nursery.cancel_scope.cancel()
        finally:
            self._strangers.leave(link.scope)
            if peer.link is link:
                peer.link = None
                peer.broken = True
                if self._nursery is not None and self._is_member(peer.sid):
                    self._nursery.start_soon(self._redial, peer)
            self._tidy(peer)
            await link.stream.aclose()

    async def _send_queued(self, peer: MeshPeer, link: Link) -> None:
        message = peer.last if peer.pending is None else None
        try:
            while True:
                if message is not None:
                    await link.stream.send_all(_LENGTH.pack(len(message)) + message)
                while peer.pending is None:
                    await peer.changed.wait()
                message = peer.last = peer.pending
                peer.pending = None
        except STREAM_ERRORS as error:
            logger.info("lost the election connection with server %d: %s", peer.sid, error)
            link.scope.cancel()

    async def _receive_all(self, peer: MeshPeer, link: Link, data: bytearray) -> None:
        while True:
            while len(data) >= 4:
                size = _LENGTH.unpack_from(data)[0]
                if not 0 < size <= MESSAGE_LIMIT_BYTES:
                    self._note(link.stream.peer[0], f"it sent a message of {size} bytes")
                    return
                if len(data) < 4 + size:
                    break
                self._deliver(peer.sid, bytes(data[4 : 4 + size]))
                del data[: 4 + size]
            try:
                piece = await link.stream.receive_some(_CHUNK)
            except STREAM_ERRORS as error:
                logger.info("lost the election connection with server %d: %s", peer.sid, error)
                return
            if not piece:
                logger.info("server %d closed the election connection", peer.sid)
                return
            data += piece


def _by_age(configs: Configs) -> tuple[QuorumConfig, ...]:
    """The committed configuration, then the last seen one."""
    return configs.committed, configs.last_seen
