"""The leader's side of one learner's connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import trio

from zkpy import opcodes
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.persist.snapshot import tree_pieces
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.quorum.context import SIGNATURE, Context
from zkpy.quorum.leaderserver import Elsewhere
from zkpy.quorum.packets import (
    ACK,
    ACKEPOCH,
    COMMIT,
    FOLLOWERINFO,
    NEWLEADER,
    OBSERVERINFO,
    PING,
    PROPOSAL,
    PROTOCOL_VERSION,
    READS_APART,
    REQUEST,
    REVALIDATE,
    SNAP,
    UPTODATE,
    QuorumPacket,
    Run,
    decode_ack_epoch,
    decode_learner_info,
    decode_touched,
    leader_info,
)
from zkpy.quorum.strangers import Complaints, WaitingRoom
from zkpy.quorum.stream import Connection, Disconnected, PacketStream
from zkpy.quorum.syncplan import SyncPlan, plan_sync
from zkpy.quorum.throttle import SyncThrottles

if TYPE_CHECKING:
    from zkpy.tree.view import TreeView

logger: Final = logging.getLogger("zkpy.quorum")

FORWARDABLE: Final = opcodes.WRITES | {opcodes.CREATE_SESSION, opcodes.DELETE_CONTAINER}
"""What a learner may ask the leader to do."""

_TREE_END: Final = b"\0\0\0\1/"


class LearnerMaster(Protocol):
    """Whose learners they are: the leader, or a follower that serves observers."""

    @property
    def context(self) -> Context: ...

    @property
    def sid(self) -> int: ...

    @property
    def handlers(self) -> set[LearnerHandler]: ...

    @property
    def newcomers(self) -> WaitingRoom: ...

    @property
    def complaints(self) -> Complaints: ...

    @property
    def throttles(self) -> SyncThrottles: ...

    @property
    def serving(self) -> trio.Event:
        """Set when learners get UPTODATE."""

    @property
    def observers_only(self) -> bool: ...

    @property
    def epoch(self) -> int: ...

    @property
    def server(self) -> ZooKeeperServer | None: ...

    @property
    def reads_apart(self) -> bool:
        """Whether a SYNC for reads is answered in its own time, and the answer marked."""

    async def learn_epoch(self, sid: int, accepted: int) -> int:
        """Count a server's accepted epoch; returns the new epoch when that is fixed."""

    async def learn_history(self, sid: int, epoch: int, zxid: int) -> None:
        """Count a server's history; returns when the epoch is accepted. Raises ProtocolError."""

    def acknowledge_new_leader(self, sid: int, zxid: int) -> None:
        """A server holds the master's history."""

    def register(self, handler: LearnerHandler, sync_point: int) -> None:
        """Send *handler* from now on what is beyond *sync_point*. Raises ProtocolError."""

    def forget(self, handler: LearnerHandler) -> None:
        """Its connection is over."""

    def acknowledged(self, handler: LearnerHandler, zxids: list[int]) -> None:
        """It has logged these proposals. Raises ProtocolError."""

    def answered(self, handler: LearnerHandler, zxid: int) -> None:
        """It has answered a PING that had this zxid."""

    def touched(self, session_id: int, timeout_ms: int) -> None:
        """It has heard from a session."""

    def revalidate(self, handler: LearnerHandler, question: QuorumPacket) -> None:
        """It asks whether a session is alive. Raises ProtocolError."""

    def forwarded(self, handler: LearnerHandler, packet: QuorumPacket) -> None:
        """It passes on a client's request. Raises ProtocolError, MarshallingError."""


class LearnerHandler:
    """Discovery, synchronisation and service of one learner, for as long as its connection lasts."""

    def __init__(self, master: LearnerMaster, connection: Connection) -> None:
        context = master.context
        self._master: Final = master
        self._connection: Final = connection
        self.stream: Final = PacketStream(connection, context.packet_limit, context.init_limit_s)
        self.sid = -1
        self._host: Final = connection.peer[0]
        self._introduced = False
        self.is_observer = False
        self.owner: Elsewhere = Elsewhere(-1)
        """Of the sessions that have come through it."""
        self._heard = context.clock()
        self._in_service = False
        self._unacked_since: float | None = None
        self._unacked = 0
        self._scope: Final = trio.CancelScope()

    def is_synced(self) -> bool:
        """Whether it counts for the leader's quorum: it was heard of lately."""
        context = self._master.context
        limit = context.sync_limit_s if self._in_service else context.init_limit_s + context.sync_limit_s
        return context.clock() - self._heard <= limit and not self.is_late()

    def is_well(self) -> bool:
        """Whether it serves, and was heard of within a tick: it has answered a PING."""
        context = self._master.context
        return self._in_service and context.clock() - self._heard <= context.ticks(1)

    def is_late(self) -> bool:
        """Whether it has owed an acknowledgement for longer than syncLimit."""
        since = self._unacked_since
        context = self._master.context
        return self._in_service and since is not None and context.clock() - since > context.sync_limit_s

    def drop(self, why: str) -> None:
        """End its connection."""
        logger.warning("learner %d is dropped: %s", self.sid, why)
        self._scope.cancel()

    def proposed(self) -> None:
        """A proposal is on its way: its acknowledgement has to come in time."""
        if not self._unacked:
            self._unacked_since = self._master.context.clock()
        self._unacked += 1

    async def run(self) -> None:
        """Serve the learner; returns when its connection is over, whatever the reason."""
        try:
            with self._scope:
                self._master.newcomers.enter(self._scope)
                async with trio.open_nursery() as nursery:
                    await self._discover()
                    await self._synchronise(nursery)
                    self._master.newcomers.leave(self._scope)
                    nursery.start_soon(self.stream.watch)
                    await self._requests()
        except* Disconnected as group:
            for error in leaves(group):
                logger.info("%s: %s", self._name(), error)
        except* (ProtocolError, MarshallingError) as group:
            for error in leaves(group):
                self.complain(f"is disconnected: {error}")
        finally:
            self._master.newcomers.leave(self._scope)
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await self._connection.aclose()

    def _name(self) -> str:
        """For the log."""
        if self._introduced:
            return f"learner {self.sid} at {self._host}"
        return f"the quorum connection from {self._host}"

    def complain(self, what: str) -> None:
        """Log what is wrong with the learner."""
        self._master.complaints.tell(self._host, f"{self._name()} {what}")

    async def _discover(self) -> None:
        master = self._master
        kind = await self.stream.opening(master.context.sync_limit_s)
        if kind not in (FOLLOWERINFO, OBSERVERINFO):
            raise ProtocolError(f"{QuorumPacket(kind, 0).name} instead of FOLLOWERINFO or OBSERVERINFO")
        first = await self.stream.receive()
        info = decode_learner_info(first.data)
        if info.sid == master.sid:
            raise ProtocolError(f"it says it is server {info.sid}, as we are")
        self.sid = info.sid
        self._introduced = True
        self.owner = Elsewhere(info.sid)
        self.is_observer = first.type == OBSERVERINFO
        if master.observers_only and not self.is_observer:
            raise ProtocolError("only observers can follow this server")
        committed = master.context.configs.committed.version
        if info.config_version is not None and info.config_version > committed:
            raise ProtocolError(f"it has the newer configuration 0x{info.config_version:x}")
        if info.protocol_version < PROTOCOL_VERSION:
            raise ProtocolError("it speaks a protocol from before 3.4")
        if master.context.configs.committed.member(info.sid) is not None:
            master.newcomers.leave(self._scope)
        logger.info("%s %d has come", "observer" if self.is_observer else "follower", self.sid)
        epoch = await master.learn_epoch(self.sid, first.zxid >> 32)
        self.stream.send(leader_info(epoch).encode())
        await self.stream.flushed()
        answer = await self.stream.receive()
        if answer.type != ACKEPOCH:
            raise ProtocolError(f"{answer.name} instead of ACKEPOCH")
        last_zxid, current_epoch = decode_ack_epoch(answer)
        await master.learn_history(self.sid, current_epoch, last_zxid)
        self._last_zxid = last_zxid

    async def _synchronise(self, nursery: trio.Nursery) -> None:
        master = self._master
        plan = self._plan()
        with master.throttles.of(plan.type).one_more(exempt=not self.is_observer):
            view = self._register(plan)
            logger.info("learner %d at 0x%x: %s", self.sid, self._last_zxid, QuorumPacket(plan.type, 0).name)
            if view is not None:
                await self._send_tree(plan, view)
            nursery.start_soon(self.stream.write)
            first = await self.stream.receive()
            if first.type != ACK:
                raise ProtocolError(f"{first.name} instead of the ACK of NEWLEADER")
        self._heard = master.context.clock()
        master.acknowledge_new_leader(self.sid, first.zxid)
        with trio.move_on_after(master.context.init_limit_s) as scope:
            await master.serving.wait()
        if scope.cancelled_caught:
            raise Disconnected("the leader was not established in time")
        self.stream.timeout_s = master.context.sync_limit_s
        self._heard = master.context.clock()
        self._in_service = True
        self._unacked_since = self._heard if self._unacked else None
        self.stream.send(QuorumPacket(UPTODATE, -1, READS_APART if master.reads_apart else None).encode())

    def _plan(self) -> SyncPlan:
        """Decide how to synchronise. To be carried out in the same step."""
        context = self._master.context
        ensemble = context.config.ensemble
        return plan_sync(
            self._last_zxid,
            context.tree.last_zxid,
            context.committed_log,
            context.storage.history if context.storage is not None else None,
            snapshot_size_factor=ensemble.snapshot_size_factor,
            force_snapshot=ensemble.force_snapshot_sync,
        )

    def _register(self, plan: SyncPlan) -> TreeView | None:
        """Queue what the plan says, and join the live traffic behind it."""
        master = self._master
        context = master.context
        context.facts.count("snap_count" if plan.type == SNAP else "diff_count")
        context.facts.learner_sets.add(self.sid)
        send = self.stream.send
        view = None
        if plan.type == SNAP:
            view = context.tree.view()
        else:
            send(QuorumPacket(plan.type, plan.zxid).encode())
        for zxid, payload in plan.transactions:
            send(QuorumPacket(PROPOSAL, zxid, payload).encode())
            send(QuorumPacket(COMMIT, zxid).encode())
        master.register(self, plan.sync_point)
        # Until this leader is established, who syncs with it takes over what it has seen; later only what is
        # committed: a reconfiguration that is under way comes as the proposal that it is.
        configs = context.configs
        text = (configs.committed if master.serving.is_set() else configs.last_seen).text().encode()
        send(QuorumPacket(NEWLEADER, master.epoch << 32, text).encode())
        return view

    async def _send_tree(self, plan: SyncPlan, view: TreeView) -> None:
        try:
            await self.stream.send_now(QuorumPacket(SNAP, view.zxid).encode())
            for piece in tree_pieces(view):
                await self.stream.send_now(piece)
            await self.stream.send_now(_TREE_END + SIGNATURE)
        finally:
            view.close()

    # -- service -------------------------------------------------------------------------------------------

    async def _requests(self) -> None:
        server = self._master.server
        assert server is not None
        await self.stream.deliver(self._packets, server.settle)

    def _packets(self, packets: list[QuorumPacket | Run]) -> None:
        server = self._master.server
        assert server is not None
        self._heard = server.now = server.clock()
        for packet in packets:
            if not isinstance(packet, Run):
                self._one(packet)
            elif packet.type == ACK:
                self._acknowledged(packet.zxids)
            else:
                self._one(QuorumPacket(packet.type, packet.zxids[0]))

    def _one(self, packet: QuorumPacket) -> None:
        master = self._master
        kind = packet.type
        if kind == PING:
            master.answered(self, packet.zxid)
            for session, timeout_ms in decode_touched(packet.data):
                master.touched(session, timeout_ms)
        elif kind == REVALIDATE:
            master.revalidate(self, packet)
        elif kind == REQUEST:
            master.forwarded(self, packet)
        elif kind == ACK:
            self._acknowledged([packet.zxid])
        else:
            raise ProtocolError(f"it sent {packet.name}, which no learner sends here")

    def _acknowledged(self, zxids: list[int]) -> None:
        logged = sum(1 for zxid in zxids if zxid & 0xFFFFFFFF)
        if logged and self._unacked:
            self._unacked = max(0, self._unacked - logged)
            self._unacked_since = self._heard if self._unacked else None
        self._master.acknowledged(self, zxids)


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The single exceptions of a group and its groups."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def serve_learner(master: LearnerMaster, connection: Connection) -> None:
    """Take care of a learner's connection, until it is over."""
    handler = LearnerHandler(master, connection)
    master.handlers.add(handler)
    try:
        await handler.run()
    finally:
        master.handlers.discard(handler)
        master.forget(handler)
