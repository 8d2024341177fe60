"""Leading: from being elected until the quorum is lost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from zkpy import opcodes
from zkpy.errors import ProtocolError
from zkpy.pipeline.request import Request
from zkpy.quorum import gauges
from zkpy.quorum.acks import Commit, Proposals, designated_leader
from zkpy.quorum.confirmation import Confirmation
from zkpy.quorum.context import Context
from zkpy.quorum.epochs import EpochAck, EpochAcks, EpochProposal, NewLeaderAcks
from zkpy.quorum.leaderserver import GatedSync, LeaderServer
from zkpy.quorum.learnerhandler import FORWARDABLE, LearnerHandler, serve_learner
from zkpy.quorum.packets import (
    COMMIT,
    INFORM,
    PING,
    PROPOSAL,
    READS_ZXID,
    SYNC,
    QuorumPacket,
    commit_and_activate,
    decode_request,
    decode_revalidate,
    encode_bare,
    inform_and_activate,
    is_for_reads,
    revalidated,
)
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.reconfig import ReconfigRequest, next_config
from zkpy.quorum.strangers import Complaints, WaitingRoom
from zkpy.quorum.stream import Connection, Listen
from zkpy.quorum.throttle import SyncThrottles
from zkpy.quorum.verifier import AckSets, OracleVerifier

logger: Final = logging.getLogger("zkpy.quorum")


class SteppedDown(Exception):
    """The leadership is over; look for a leader again."""


class Leader:
    """One leadership, a `LearnerMaster`.

    *listen* opens the quorum port, *established* is told of the new epoch.
    """

    observers_only: Final = False

    def __init__(self, context: Context, listen: Listen, established: Callable[[int], None]) -> None:
        self.context: Final = context
        self._listen: Final = listen
        self._on_established: Final = established
        self.sid: Final = context.sid
        self._epoch_proposal: Final = EpochProposal(context.sid, context.configs)
        self._epoch_acks: Final = EpochAcks(
            context.sid, context.epochs.current, context.tree.last_zxid, context.configs
        )
        self._epoch_fixed: Final = trio.Event()
        self._epoch_acked: Final = trio.Event()
        self._quorum_synced: Final = trio.Event()
        self.serving: Final = trio.Event()
        """Clients are admitted, learners get UPTODATE."""
        self._persisting = False
        self._epoch_wait: Final = trio.CancelScope()
        self._elected: Final = context.clock()
        self._entering = False
        self.epoch = -1
        self._new_leader: NewLeaderAcks | None = None
        self.handlers: Final[set[LearnerHandler]] = set()
        self.followers: list[LearnerHandler] = []
        """Registered for PROPOSAL and COMMIT, voters or not, in the order they came."""
        self.observers: list[LearnerHandler] = []
        """Registered for INFORM."""
        self.newcomers: Final = WaitingRoom()
        """Connections of which nobody knows yet whether they are learners."""
        self.complaints: Final = Complaints(logger)
        self.throttles: Final = SyncThrottles(context)
        self.server: LeaderServer | None = None
        self.confirmation: Final = Confirmation(context.sid, context.configs, self._ask)

    # -- the leadership ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lead until something ends it. Raises SteppedDown."""
        context = self.context
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listen, self._handle)
            async with self._within("a quorum to propose an epoch"):
                with self._epoch_wait:
                    await self.learn_epoch(self.sid, context.epochs.accepted)
            if self._epoch_wait.cancelled_caught:
                raise SteppedDown("a server that elected this one looks for a leader again")
            logger.info("leading in epoch %d", self.epoch)
            async with self._within("a quorum to accept the epoch"):
                await self.learn_history(self.sid, context.epochs.current, context.tree.last_zxid)
            async with self._within("a quorum to synchronise"):
                assert self._new_leader is not None
                self.acknowledge_new_leader(self.sid, self.epoch << 32)
                await self._quorum_synced.wait()
            self._serve(nursery)
            await self._tick()

    def deserted(self, quorum_left: bool) -> None:
        """One of those who elected this server is looking again.

        Give up if the others are no quorum, or if this server has waited for long enough.
        """
        limit_ms = self.context.config.ensemble.leader_max_time_to_wait_for_epoch_ms
        waited_ms = (self.context.clock() - self._elected) * 1000
        if not self._persisting and (not quorum_left or 0 <= limit_ms < waited_ms):
            self._epoch_wait.cancel()

    @asynccontextmanager
    async def _within(self, what: str) -> AsyncIterator[None]:
        with trio.move_on_after(self.context.init_limit_s) as scope:
            yield
        if scope.cancelled_caught:
            raise SteppedDown(f"waited {self.context.init_limit_s:g} s for {what}")

    def _serve(self, nursery: trio.Nursery) -> None:
        context = self.context
        proposals = Proposals(self.sid, self.epoch, context.configs)
        proposals.start()
        self._activate_seen(proposals)
        context.tree.last_zxid = self.epoch << 32
        server = self.server = LeaderServer(
            **context.arguments(),
            sid=self.sid,
            proposals=proposals,
            committed_log=context.committed_log,
            broadcast=self._broadcast,
            announce=self._announce,
            see=self._see,
            facts=context.facts,
        )
        serving_since = context.clock()
        context.facts.gauges = lambda: gauges.of_leader(self, serving_since)
        server.preparer.reconfigure = self._reconfigured
        if context.config.ensemble.quorum_reads:
            server.hold_reads(self.confirmation.gate)
        if context.storage is not None:
            context.storage.attach(server)
        nursery.start_soon(server.sync.run)
        self._on_established(self.epoch)
        self.serving.set()
        context.serve(server)

    def _activate_seen(self, proposals: Proposals) -> None:
        """What a quorum has taken over with this leader's history is in force: the last seen members."""
        context = self.context
        if not context.membership.enabled:
            return
        assert self._new_leader is not None
        configs = context.configs
        acked = self._new_leader.acked()
        designated = designated_leader(self.sid, configs.committed, configs.last_seen, acked, [])
        context.membership.activate(configs.last_seen, designated)
        proposals.allowed_to_commit = designated == self.sid

    async def _tick(self) -> None:
        """Ping twice a tick, and look once a tick whether there is still a quorum."""
        server = self.server
        assert server is not None
        half_s = self.context.ticks(1) / 2
        while True:
            for _ in range(2):
                await trio.sleep(half_s)
                ping = QuorumPacket(PING, self.confirmation.mark or server.proposals.last_proposed).encode()
                for handler in (*self.followers, *self.observers):
                    handler.stream.send(ping)
                    if handler.is_late():
                        handler.drop("it does not acknowledge what is proposed")
            if server.exhausted:
                raise SteppedDown("the epoch's transaction ids are used up")
            if not self._are_synced(self.context.configs.in_force()):
                self._ask_oracles()
                if not self._are_synced(self.context.configs.in_force()):
                    raise SteppedDown("not enough followers are in sync")
                server.retry()
                while server.send_some():
                    await trio.lowlevel.checkpoint()

    def _ask_oracles(self) -> None:
        """Have the verifiers know whether anybody follows: alone, one of two servers may ask its oracle."""
        for verifier in self.context.configs.verifiers():
            if isinstance(verifier, OracleVerifier):
                verifier.update_needed(len(self.followers))

    # -- discovery -----------------------------------------------------------------------------------------

    async def learn_epoch(self, sid: int, accepted: int) -> int:
        """Count a server's accepted epoch; the new epoch, when a quorum has told theirs."""
        epoch = self._epoch_proposal.add(sid, accepted)
        if epoch is not None and not self._persisting:
            self._persisting = True
            await self.context.epochs.accept(epoch)
            self.epoch = epoch
            configs = self.context.configs
            if configs.last_seen.version == 0:
                # The members of the files count from here on more than those of anybody's file.
                self.context.membership.see(configs.committed.with_version(epoch << 32))
            self._new_leader = NewLeaderAcks(self.sid, epoch, self.context.configs)
            self._epoch_fixed.set()
        await self._epoch_fixed.wait()
        return self.epoch

    async def learn_history(self, sid: int, epoch: int, zxid: int) -> None:
        """Count a server's history; returns when nobody of a quorum knows more than this leader.

        Raises:
            ProtocolError: that server knows more.
        """
        ack = self._epoch_acks.ack(sid, epoch, zxid)
        if ack is EpochAck.AHEAD:
            raise ProtocolError(f"server {sid} is ahead with epoch {epoch}, zxid 0x{zxid:x}")
        if ack is EpochAck.REACHED and not self._entering:
            self._entering = True
            await self.context.epochs.enter(self.epoch)
            self._epoch_acked.set()
        await self._epoch_acked.wait()

    def acknowledge_new_leader(self, sid: int, zxid: int) -> None:
        """A server holds this leader's history."""
        assert self._new_leader is not None
        if self._new_leader.ack(sid, zxid):
            self._quorum_synced.set()

    # -- learners ------------------------------------------------------------------------------------------

    async def _handle(self, connection: Connection) -> None:
        await serve_learner(self, connection)

    def register(self, handler: LearnerHandler, sync_point: int) -> None:
        """Send *handler* from now on what is committed or proposed beyond *sync_point*.

        Raises:
            ProtocolError: a follower of its number is here, and well.
        """
        send = handler.stream.send
        for other in [other for other in self.followers if other.sid == handler.sid]:
            if other.is_well():
                raise ProtocolError(f"server {other.sid} is connected already: is its number used twice?")
            other.drop("it has come once more")  # what it has acknowledged, or will yet, is void
            self.followers.remove(other)
        if self.server is not None:
            self.server.proposals.withdraw(handler.sid)
            backlog = self.server.proposals.backlog(sync_point)
            for proposal in backlog.committed:
                send(QuorumPacket(PROPOSAL, proposal.zxid, proposal.payload).encode())
                send(QuorumPacket(COMMIT, proposal.zxid).encode())
            for proposal in () if handler.is_observer else backlog.outstanding:
                handler.proposed()
                send(QuorumPacket(PROPOSAL, proposal.zxid, proposal.payload).encode())
        (self.observers if handler.is_observer else self.followers).append(handler)
        self._ask_oracles()

    def forget(self, handler: LearnerHandler) -> None:
        """A learner's connection is over."""
        for registered in (self.followers, self.observers):
            if handler in registered:
                registered.remove(handler)

    def acknowledged(self, handler: LearnerHandler, zxids: list[int]) -> None:
        """A learner has logged these proposals. Raises ProtocolError when there was none of them."""
        server = self.server
        assert server is not None
        if max(zxids) > server.proposals.last_proposed:
            raise ProtocolError(f"it acknowledges 0x{max(zxids):x}, which was never proposed")
        if handler in self.followers:
            server.acknowledged(handler.sid, zxids)

    def answered(self, handler: LearnerHandler, zxid: int) -> None:
        """A learner has answered a PING that had this zxid."""
        self.confirmation.answered(handler.sid, zxid)

    def touched(self, session_id: int, timeout_ms: int) -> None:
        """A learner has heard from a session."""
        assert self.server is not None
        self.server.touched(session_id, timeout_ms)

    def revalidate(self, handler: LearnerHandler, question: QuorumPacket) -> None:
        """A session's client has come to a learner. Raises ProtocolError."""
        assert self.server is not None
        session_id, timeout_ms = decode_revalidate(question)
        valid = self.server.revalidate(session_id, timeout_ms, handler.owner)
        handler.stream.send(revalidated(question, session_id, valid).encode())

    def forwarded(self, handler: LearnerHandler, packet: QuorumPacket) -> None:
        """A learner's client wants to write, or to see what was written. Raises ProtocolError."""
        server = self.server
        assert server is not None
        forwarded = decode_request(packet)
        op = forwarded.opcode
        if op == opcodes.SYNC:
            reads = self.reads_apart and is_for_reads(forwarded, packet.authinfo)
            self._sync(handler, server, forwarded.session, reads)
            return
        if op not in FORWARDABLE:
            handler.complain(f"forwarded operation {op}, which is no write")
            return
        assert packet.data is not None
        # As the client sent it: xid and operation stand before the body here, too.
        frame = forwarded.body if op == opcodes.CREATE_SESSION else packet.data[8:]
        identities = packet.authinfo or ()
        request = Request(None, forwarded.session, forwarded.cxid, op, frame, identities, server.now)
        request.origin = handler.owner
        server.submit(request)

    @property
    def reads_apart(self) -> bool:
        """Whether reads wait until this server knows that it leads (``quorumReads``)."""
        return self.server is not None and self.server.gate is not None

    def _sync(self, handler: LearnerHandler, server: LeaderServer, session_id: int, reads: bool) -> None:
        answer = QuorumPacket(SYNC, READS_ZXID if reads else 0).encode()

        def behind() -> None:
            server.sync_behind(lambda: handler.stream.send(answer))

        # Only what a learner asks for its reads may be answered behind the commits of what it asked later.
        if reads:
            assert server.gate is not None
            server.gate.enter(GatedSync(session_id, behind))
        else:
            behind()

    def _are_synced(self, configs: list[QuorumConfig]) -> bool:
        """Whether a quorum of each of *configs* follows, this server included."""
        synced = AckSets([config.verifier for config in configs])
        synced.add(self.sid)
        for handler in self.followers:
            if handler.is_synced():
                synced.add(handler.sid)
        return synced.has_all_quorums()

    # -- changing members ----------------------------------------------------------------------------------

    def _reconfigured(self, wanted: tuple[str | None, str | None, str | None, int], zxid: int) -> bytes:
        ensemble = self.context.config.ensemble
        new = next_config(
            ReconfigRequest(*wanted),
            self.context.configs,
            zxid,
            standalone_enabled=ensemble.standalone_enabled,
            multi_address=ensemble.multi_address_enabled,
            is_synced=lambda config: self._are_synced([config]),
        )
        return new.text().encode()

    def _see(self, text: bytes) -> QuorumConfig:
        """A reconfiguration is proposed: it is in force beside the present one until it commits."""
        config = self.context.read_config(text.decode("utf-8", "replace"))
        self.context.membership.see(config)
        return config

    def _announce_config(self, commit: Commit, config: QuorumConfig, designated: int) -> None:
        # Whoever has to leave for it does so by itself: thus a majority gets to know.
        self.context.membership.activate(config, designated, server=self.server)
        packet = commit_and_activate(commit.zxid, designated).encode()
        for handler in self.followers:
            handler.stream.send(packet)
        packet = inform_and_activate(commit.zxid, designated, commit.proposal.payload).encode()
        for handler in self.observers:
            handler.stream.send(packet)

    # -- broadcast -----------------------------------------------------------------------------------------

    def _ask(self, mark: int) -> None:
        ping = QuorumPacket(PING, mark).encode()
        for handler in self.followers:
            handler.stream.send(ping)

    def _broadcast(self, proposal: bytes) -> None:
        for handler in self.followers:
            handler.proposed()
            handler.stream.send(proposal)

    def _announce(self, commits: list[Commit]) -> None:
        begin = 0
        for at, commit in enumerate(commits):
            if commit.proposal.reconfig is not None:
                assert commit.designated is not None
                self._announce_run(commits[begin:at])
                self._announce_config(commit, commit.proposal.reconfig, commit.designated)
                begin = at + 1
        self._announce_run(commits[begin:])

    def _announce_run(self, commits: list[Commit]) -> None:
        if not commits:
            return
        if self.followers:
            packets = encode_bare(COMMIT, [commit.zxid for commit in commits])
            for handler in self.followers:
                handler.stream.send(packets)
        if self.observers:
            packets = b"".join(
                [QuorumPacket(INFORM, commit.zxid, commit.proposal.payload).encode() for commit in commits]
            )
            for handler in self.observers:
                handler.stream.send(packets)
