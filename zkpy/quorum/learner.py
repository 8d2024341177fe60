"""Following or observing: from the election of another server until the connection to it is lost."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from zkpy.errors import (
    CorruptLogError,
    MarshallingError,
    ProtocolError,
    StorageError,
    SyncFailed,
)
from zkpy.persist.snapshot import SnapshotError, load_tree
from zkpy.persist.treescan import TreeScanner
from zkpy.quorum import gauges, learnersync
from zkpy.quorum.context import SIGNATURE, Context
from zkpy.quorum.epochs import answer_leader_info
from zkpy.quorum.learnerserver import LearnerServer
from zkpy.quorum.learnersync import BadOpeningError, LearnerSync
from zkpy.quorum.observermaster import ObserverMaster
from zkpy.quorum.packets import (
    COMMIT,
    COMMITANDACTIVATE,
    FOLLOWERINFO,
    INFORM,
    INFORMANDACTIVATE,
    LEADERINFO,
    OBSERVERINFO,
    PING,
    PROPOSAL,
    REVALIDATE,
    SYNC,
    LearnerInfo,
    QuorumPacket,
    Run,
    ack_epoch,
    decode_designated,
    decode_leader_info,
    decode_revalidated,
    ping_reply,
)
from zkpy.quorum.stream import Connection, Disconnected, Listen, PacketStream
from zkpy.quorum.votes import FINALIZE_WAIT_MS
from zkpy.server.facts import Gauges
from zkpy.tree.txns import Logged, decode_payload

logger: Final = logging.getLogger("zkpy.quorum")

CONNECT_TRIES: Final = 5
MEMBERS_CHANGED: Final = "the members have changed, and with them the leader or this server's role"
FIRST_PAUSE_SHARE: Final = 0.05
"""Of the longest pause between two tries: a leader may listen a moment after its followers know of it."""


class LeftLeader(Exception):
    """The connection to the leader is over; look for a leader again."""


class Learner:
    """One time of following a leader, server *master*.

    *connect* opens the quorum connection, *synced* is told the epoch, *listen* opens a port for observers of
    this server.
    """

    def __init__(
        self,
        context: Context,
        master: int,
        connect: Callable[[], Awaitable[Connection]],
        synced: Callable[[int], None],
        listen: Listen | None = None,
    ) -> None:
        self.context: Final = context
        self.master: Final = master
        self._connect: Final = connect
        self._on_synced: Final = synced
        self._listen: Final = listen
        self._observers: ObserverMaster | None = None
        self.server: LearnerServer | None = None
        self._stream: PacketStream

    async def run(self) -> None:
        """Follow until the connection is over. Raises LeftLeader, CommitMismatch, SyncFailed."""
        connection = await self._dial()
        context = self.context
        self._stream = PacketStream(connection, context.packet_limit, context.init_limit_s)
        try:
            epoch = await self._discover()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stream.write)
                await self._synchronise(epoch, nursery)
                nursery.start_soon(self._stream.watch)
                await self._follow()
        except* (Disconnected, ProtocolError, MarshallingError) as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise LeftLeader(str(error)) from None
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await connection.aclose()

    async def _dial(self) -> Connection:
        """Connect; a leader that was just elected may not listen yet."""
        ensemble = self.context.config.ensemble
        limit_s = self.context.ticks(
            ensemble.connect_to_learner_master_limit_ticks or ensemble.init_limit_ticks
        )
        longest_s = max(1, ensemble.leader_connect_retry_delay_ms) / 1000
        pause_s = FIRST_PAUSE_SHARE * longest_s
        left_s = CONNECT_TRIES * longest_s + FINALIZE_WAIT_MS / 1000  # it may still wait for better votes
        why = "no answer"
        with trio.move_on_after(limit_s):
            while True:
                try:
                    return await self._connect()
                except OSError as error:
                    why = str(error)
                if left_s <= 0:
                    break
                await trio.sleep(pause_s)
                left_s -= pause_s
                pause_s = min(2 * pause_s, longest_s)
        raise LeftLeader(f"cannot connect to the leader: {why}")

    async def _discover(self) -> int:
        context = self.context
        epochs = context.epochs
        stream = self._stream
        kind = OBSERVERINFO if context.is_observer else FOLLOWERINFO
        info = LearnerInfo(context.sid, config_version=context.configs.committed.version)
        stream.send(QuorumPacket(kind, epochs.accepted << 32, info.encode()).encode())
        await stream.flushed()
        answer = await stream.receive()
        if answer.type != LEADERINFO:
            raise ProtocolError(f"{answer.name} instead of LEADERINFO")
        epoch, _ = decode_leader_info(answer)
        reaction = answer_leader_info(epoch, epochs.accepted, epochs.current)
        if reaction.persist is not None:
            await epochs.accept(reaction.persist)
        stream.send(ack_epoch(context.tree.last_zxid, reaction.ack_epoch).encode())
        await stream.flushed()
        return epoch

    # -- synchronisation -----------------------------------------------------------------------------------

    async def _synchronise(self, epoch: int, nursery: trio.Nursery) -> None:
        sync = LearnerSync(epoch, self.context.tree.last_zxid)
        began = self.context.clock()
        while not sync.done:
            packet = await self._stream.receive()
            try:
                actions = sync.on_packet(packet)
            except BadOpeningError as error:
                raise SyncFailed(str(error)) from None
            for action in actions:
                await self._carry_out(action, sync, nursery)
        name = "observer_sync_time" if self.context.is_observer else "follower_sync_time"
        self.context.facts.observe(name, int((self.context.clock() - began) * 1000))

    async def _carry_out(self, action: learnersync.Action, sync: LearnerSync, nursery: trio.Nursery) -> None:
        context = self.context
        tree = context.tree
        match action:
            case learnersync.TruncateLog(zxid):
                await self._truncate(zxid, sync)
            case learnersync.ReadSnapshot(zxid):
                await self._read_tree(zxid)
            case learnersync.ApplyUnlogged(zxid, payload):
                context.volatile = True
                if zxid > tree.last_zxid:  # else the tree was sent with it
                    self._apply(_decoded(zxid, payload), payload)
            case learnersync.WriteSnapshot():
                if context.storage is not None:
                    await self._announce_epoch(tree.last_zxid >> 32)
                    await context.storage.replace(tree)
                context.volatile = False
            case learnersync.LogAndApply(transactions):
                if transactions:
                    await self._announce_epoch(transactions[-1][0] >> 32)
                await self._log_and_apply(transactions)
            case learnersync.PersistCurrentEpoch(epoch):
                await context.epochs.enter(epoch)
            case learnersync.UseSyncLimit():
                self._stream.timeout_s = context.sync_limit_s
            case learnersync.SendAck():
                self._stream.send(action.packet().encode())
            case learnersync.Serve():
                self._serve(action, nursery)
            case learnersync.SeeConfig(text):
                self._see(text)
            case learnersync.ActivateConfig(text, designated):
                if self._activate(text, designated):
                    raise LeftLeader(MEMBERS_CHANGED)
            case learnersync.KeepDatabase():
                pass

    async def _truncate(self, zxid: int, sync: LearnerSync) -> None:
        context = self.context
        logger.warning("the log ends with transactions nobody was answered: cut back to 0x%x", zxid)
        if context.storage is None:
            raise SyncFailed(f"nothing is stored that could be cut back to 0x{zxid:x}")
        try:
            context.replace_tree(await context.storage.truncate(zxid))
            sync.truncated(context.tree.last_zxid)
        except (CorruptLogError, StorageError, ProtocolError) as error:
            raise SyncFailed(f"the log cannot be cut back to 0x{zxid:x}: {error}") from error
        context.tree.last_zxid = zxid

    async def _announce_epoch(self, epoch: int) -> None:
        """Before history of a later epoch is stored: a crash in between must not leave what nobody opens."""
        if epoch > self.context.epochs.current:
            await self.context.epochs.prepare(epoch)

    async def _read_tree(self, zxid: int) -> None:
        context = self.context
        scanner = TreeScanner(context.packet_limit)
        found = None
        while found is None:
            found = scanner.feed(await self._stream.receive_raw())
        raw, rest = found
        while len(rest) < len(SIGNATURE):
            rest += await self._stream.receive_raw()
        if not rest.startswith(SIGNATURE):
            raise ProtocolError("the leader's tree has no signature")
        self._stream.unread(rest[len(SIGNATURE) :])
        tree = context.new_tree()
        try:
            load_tree(raw, zxid, tree)
        except SnapshotError as error:
            raise ProtocolError(f"the leader's tree: {error}") from None
        context.volatile = True
        context.replace_tree(tree)
        logger.info("received a tree of %d znodes at 0x%x", len(tree.nodes), zxid)

    def _apply(self, logged: Logged, payload: bytes) -> None:
        tree = self.context.tree
        tree.apply(logged.header, logged.txn)
        tree.changes.clear()
        self.context.committed_log.add(logged.header.zxid, payload)

    async def _log_and_apply(self, transactions: list[learnersync.Txn]) -> None:
        storage = self.context.storage
        for zxid, payload in transactions:
            logged = _decoded(zxid, payload)  # nothing is stored that could not be read back
            if storage is not None:
                storage.log.append(zxid, payload)
            self._apply(logged, payload)
        if storage is not None:
            storage.log.flush()
            await storage.log.commit()

    # -- service -------------------------------------------------------------------------------------------

    def _serve(self, action: learnersync.Serve, nursery: trio.Nursery) -> None:
        context = self.context
        server = self.server = LearnerServer(
            **context.arguments(),
            sid=context.sid,
            epoch=action.epoch,
            send=self._stream.send,
            acknowledges=not context.is_observer,
            committed_log=context.committed_log,
            reads_apart=action.reads_apart,
        )
        if context.storage is not None:
            context.storage.attach(server)
        nursery.start_soon(server.sync.run)
        for zxid, payload in action.proposals:
            server.propose(zxid, payload)
        if action.commits:
            self._commit(*action.commits)
        server.flush()
        context.facts.gauges = self._gauges
        self._on_synced(action.epoch)
        if self._listen is not None:
            self._observers = ObserverMaster(context, server, self._listen)
            nursery.start_soon(self._observers.run)
        context.serve(server)

    def _gauges(self) -> Gauges:
        if not self.context.is_observer:
            mine = gauges.of_member(self.context, "following")
            if self._observers is not None:
                mine.append(("synced_observers", len(self._observers.observers)))
            return mine
        return [*gauges.of_member(self.context, "observing"), ("observer_master_id", self.master)]

    async def _follow(self) -> None:
        server = self.server
        assert server is not None
        await self._stream.deliver(self._packets, server.settle)

    def _packets(self, packets: list[QuorumPacket | Run]) -> None:
        server = self.server
        assert server is not None
        server.now = server.clock()
        for packet in packets:
            if not isinstance(packet, Run):
                self._one(packet, server)
            elif packet.type == COMMIT:
                if not self.context.is_observer:
                    self._commit(*packet.zxids)
            else:
                self._one(QuorumPacket(packet.type, packet.zxids[0]), server)

    def _one(self, packet: QuorumPacket, server: LearnerServer) -> None:
        kind = packet.type
        facts = self.context.facts
        if kind == PROPOSAL:
            if not self.context.is_observer:
                facts.count("learner_proposal_received_count")
                payload = packet.data or b""
                text = learnersync.reconfig_text(payload)
                if text is not None:
                    self._see(text)
                server.propose(packet.zxid, payload)
        elif kind == COMMIT:
            if not self.context.is_observer:
                self._commit(packet.zxid)
        elif kind == INFORM:
            server.propose(packet.zxid, packet.data or b"")
            self._commit(packet.zxid)
        elif kind == PING:
            self._stream.send(ping_reply(packet.zxid, server.take_touched()).encode())
        elif kind == REVALIDATE:
            server.revalidated(*decode_revalidated(packet))
        elif kind == SYNC:
            server.synced(packet.zxid)
        elif kind == COMMITANDACTIVATE:
            self._commit_config(packet.zxid, decode_designated(packet)[0])
        elif kind == INFORMANDACTIVATE:
            designated, payload = decode_designated(packet)
            server.propose(packet.zxid, payload)
            self._commit_config(packet.zxid, designated)
        else:
            raise ProtocolError(f"the leader sent {packet.name}, which no leader sends here")

    def _commit_config(self, zxid: int, designated: int) -> None:
        """A reconfiguration is committed. Raises LeftLeader when the own role or the leader changes."""
        server = self.server
        assert server is not None
        text = server.next_config(zxid)
        leaves = text is not None and self._activate(text, designated)
        server.commit_proposals([zxid], designated)
        if leaves:
            while server.send_some():  # the client that asked for it hears of it before it is hung up on
                pass
            raise LeftLeader(MEMBERS_CHANGED)

    # -- members -------------------------------------------------------------------------------------------

    def _see(self, text: str) -> None:
        if self.context.membership.enabled:
            self.context.membership.see(self.context.read_config(text))

    def _activate(self, text: str, designated: int | None) -> bool:
        """Whether this server has to leave its leader for it."""
        membership = self.context.membership
        if not membership.enabled:
            return False
        config = self.context.read_config(text)
        return membership.activate(config, designated, server=self.server)

    def _commit(self, *zxids: int) -> None:
        assert self.server is not None
        self.context.facts.count("learner_commit_received_count", len(zxids))
        self.server.commit_proposals(zxids)


def _decoded(zxid: int, payload: bytes) -> Logged:
    """Raises ProtocolError, MarshallingError."""
    logged = decode_payload(payload)
    if logged.header.zxid != zxid:
        raise ProtocolError(f"proposal 0x{zxid:x} holds transaction 0x{logged.header.zxid:x}")
    return logged
