"""The leader's side of one learner's connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from zkpy import opcodes
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.persist.snapshot import tree_pieces
from zkpy.pipeline.request import Request
from zkpy.quorum.context import SIGNATURE
from zkpy.quorum.leaderserver import Elsewhere, ForwardedSync
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
    REQUEST,
    REVALIDATE,
    SNAP,
    SYNC,
    UPTODATE,
    QuorumPacket,
    decode_ack_epoch,
    decode_learner_info,
    decode_request,
    decode_revalidate,
    decode_touched,
    leader_info,
    revalidated,
)
from zkpy.quorum.stream import Connection, Disconnected, PacketStream
from zkpy.quorum.syncplan import SyncPlan, plan_sync

if TYPE_CHECKING:
    from zkpy.quorum.leader import Leader
    from zkpy.tree.view import TreeView

logger: Final = logging.getLogger("zkpy.quorum")

_FORWARDABLE: Final = opcodes.WRITES | {opcodes.CREATE_SESSION, opcodes.DELETE_CONTAINER}
_TREE_END: Final = b"\0\0\0\1/"


class LearnerHandler:
    """Discovery, synchronisation and service of one learner, for as long as its connection lasts."""

    def __init__(self, leader: Leader, connection: Connection) -> None:
        context = leader.context
        self._leader: Final = leader
        self._connection: Final = connection
        self.stream: Final = PacketStream(connection, context.packet_limit, context.init_limit_s)
        self.sid = -1
        self._host: Final = connection.peer[0]
        self._introduced = False
        self.is_observer = False
        self._owner: Elsewhere = Elsewhere(-1)
        self._heard = context.clock()
        self._in_service = False
        self._unacked_since: float | None = None
        self._unacked = 0
        self._scope: Final = trio.CancelScope()

    def is_synced(self) -> bool:
        """Whether it counts for the leader's quorum: it was heard of lately."""
        context = self._leader.context
        limit = context.sync_limit_s if self._in_service else context.init_limit_s + context.sync_limit_s
        return context.clock() - self._heard <= limit and not self.is_late()

    def is_late(self) -> bool:
        """Whether it has owed an acknowledgement for longer than syncLimit."""
        since = self._unacked_since
        context = self._leader.context
        return self._in_service and since is not None and context.clock() - since > context.sync_limit_s

    def drop(self, why: str) -> None:
        """End its connection."""
        logger.warning("learner %d is dropped: %s", self.sid, why)
        self._scope.cancel()

    def proposed(self) -> None:
        """A proposal is on its way: its acknowledgement has to come in time."""
        if not self._unacked:
            self._unacked_since = self._leader.context.clock()
        self._unacked += 1

    async def run(self) -> None:
        """Serve the learner; returns when its connection is over, whatever the reason."""
        try:
            with self._scope:
                self._leader.newcomers.enter(self._scope)
                async with trio.open_nursery() as nursery:
                    await self._discover()
                    await self._synchronise(nursery)
                    self._leader.newcomers.leave(self._scope)
                    await self._requests()
        except* Disconnected as group:
            for error in _leaves(group):
                logger.info("%s: %s", self._name(), error)
        except* (ProtocolError, MarshallingError) as group:
            for error in _leaves(group):
                self._complain(f"is disconnected: {error}")
        finally:
            self._leader.newcomers.leave(self._scope)
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await self._connection.aclose()

    def _name(self) -> str:
        """For the log."""
        if self._introduced:
            return f"learner {self.sid} at {self._host}"
        return f"the quorum connection from {self._host}"

    def _complain(self, what: str) -> None:
        self._leader.complaints.tell(self._host, f"{self._name()} {what}")

    async def _discover(self) -> None:
        leader = self._leader
        first = await self.stream.receive()
        if first.type not in (FOLLOWERINFO, OBSERVERINFO):
            raise ProtocolError(f"{first.name} instead of FOLLOWERINFO or OBSERVERINFO")
        info = decode_learner_info(first.data)
        if info.sid == leader.sid:
            raise ProtocolError(f"it says it is server {info.sid}, as we are")
        self.sid = info.sid
        self._introduced = True
        self._owner = Elsewhere(info.sid)
        self.is_observer = first.type == OBSERVERINFO
        committed = leader.context.configs.committed.version
        if info.config_version is not None and info.config_version > committed:
            raise ProtocolError(f"it has the newer configuration 0x{info.config_version:x}")
        if info.protocol_version < PROTOCOL_VERSION:
            raise ProtocolError("it speaks a protocol from before 3.4")
        if leader.context.configs.committed.member(info.sid) is not None:
            leader.newcomers.leave(self._scope)
        logger.info("%s %d has come", "observer" if self.is_observer else "follower", self.sid)
        epoch = await leader.learn_epoch(self.sid, first.zxid >> 32)
        self.stream.send(leader_info(epoch).encode())
        await self.stream.flushed()
        answer = await self.stream.receive()
        if answer.type != ACKEPOCH:
            raise ProtocolError(f"{answer.name} instead of ACKEPOCH")
        last_zxid, current_epoch = decode_ack_epoch(answer)
        await leader.learn_history(self.sid, current_epoch, last_zxid)
        self._last_zxid = last_zxid

    async def _synchronise(self, nursery: trio.Nursery) -> None:
        leader = self._leader
        plan, view = self._register()
        logger.info("learner %d at 0x%x: %s", self.sid, self._last_zxid, QuorumPacket(plan.type, 0).name)
        if view is not None:
            await self._send_tree(plan, view)
        nursery.start_soon(self.stream.write)
        first = await self.stream.receive()
        if first.type != ACK:
            raise ProtocolError(f"{first.name} instead of the ACK of NEWLEADER")
        self._heard = leader.context.clock()
        leader.acknowledge_new_leader(self.sid, first.zxid)
        with trio.move_on_after(leader.context.init_limit_s) as scope:
            await leader.serving.wait()
        if scope.cancelled_caught:
            raise Disconnected("the leader was not established in time")
        self.stream.timeout_s = leader.context.sync_limit_s
        self._heard = leader.context.clock()
        self._in_service = True
        self._unacked_since = self._heard if self._unacked else None
        self.stream.send(QuorumPacket(UPTODATE, -1).encode())

    def _register(self) -> tuple[SyncPlan, TreeView | None]:
        """Decide how to synchronise, and join the live traffic in the same step."""
        leader = self._leader
        context = leader.context
        ensemble = context.config.ensemble
        plan = plan_sync(
            self._last_zxid,
            context.tree.last_zxid,
            context.committed_log,
            context.storage.history if context.storage is not None else None,
            snapshot_size_factor=ensemble.snapshot_size_factor,
            force_snapshot=ensemble.force_snapshot_sync,
            cut_across_epochs=False,
        )
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
        if leader.server is not None:
            backlog = leader.server.proposals.backlog(plan.sync_point)
            for proposal in backlog.committed:
                send(QuorumPacket(PROPOSAL, proposal.zxid, proposal.payload).encode())
                send(QuorumPacket(COMMIT, proposal.zxid).encode())
            for proposal in () if self.is_observer else backlog.outstanding:
                self.proposed()
                send(QuorumPacket(PROPOSAL, proposal.zxid, proposal.payload).encode())
        (leader.observers if self.is_observer else leader.followers).append(self)
        text = context.configs.last_seen.text().encode()
        send(QuorumPacket(NEWLEADER, leader.epoch << 32, text).encode())
        return plan, view

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
        leader = self._leader
        server = leader.server
        assert server is not None
        while True:
            packets = await self.stream.receive_all()
            self._heard = server.now = server.clock()
            for packet in packets:
                self._one(packet)
            server.flush()
            while server.send_some():
                await trio.lowlevel.checkpoint()

    def _one(self, packet: QuorumPacket) -> None:
        server = self._leader.server
        assert server is not None
        kind = packet.type
        if kind == ACK:
            if packet.zxid > server.proposals.last_proposed:
                raise ProtocolError(f"it acknowledges 0x{packet.zxid:x}, which was never proposed")
            if packet.zxid & 0xFFFFFFFF and self._unacked:
                self._unacked -= 1
                self._unacked_since = server.now if self._unacked else None
            if not self.is_observer:
                server.acknowledged(self.sid, packet.zxid)
        elif kind == PING:
            for session, timeout_ms in decode_touched(packet.data):
                server.touched(session, timeout_ms)
        elif kind == REVALIDATE:
            session, timeout_ms = decode_revalidate(packet)
            valid = server.revalidate(session, timeout_ms, self._owner)
            self.stream.send(revalidated(packet, session, valid).encode())
        elif kind == REQUEST:
            self._forwarded(packet)
        else:
            raise ProtocolError(f"it sent {packet.name}, which no learner sends here")

    def _forwarded(self, packet: QuorumPacket) -> None:
        server = self._leader.server
        assert server is not None
        forwarded = decode_request(packet)
        op = forwarded.opcode
        if op == opcodes.SYNC:
            answer = QuorumPacket(SYNC, 0).encode()
            client = ForwardedSync(lambda: self.stream.send(answer))
            server.submit(Request(client, forwarded.session, forwarded.cxid, op, b"", (), server.now))
            return
        if op not in _FORWARDABLE:
            self._complain(f"forwarded operation {op}, which is no write")
            return
        frame = forwarded.body if op == opcodes.CREATE_SESSION else bytes(8) + forwarded.body
        identities = packet.authinfo or ()
        request = Request(None, forwarded.session, forwarded.cxid, op, frame, identities, server.now)
        request.origin = self._owner
        server.submit(request)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
