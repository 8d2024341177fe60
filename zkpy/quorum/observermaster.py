"""A follower that is to observers what the leader is: it synchronises them and passes on what is committed.

    observer                           follower, observerMasterPort                  leader
      | -- OBSERVERINFO, ACKEPOCH, ACK ----> |   answered with the own epoch and tree    |
      | <-- DIFF | TRUNC | SNAP, UPTODATE -- |                                           |
      | <------------------ INFORM --------- | <-------------------------------- COMMIT  |
      | -- REQUEST, REVALIDATE ------------> | -- the same, behind its own clients' ---> |
      | -- PING with sessions -------------> | -- in its own answer to PING -----------> |

To the leader, the observers' sessions are this follower's. A follower's tree holds all it has committed, so
that an observer, whatever it lacks, gets it from there or from the log.
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from zkpy import opcodes
from zkpy.errors import MarshallingError, ProtocolError
from zkpy.pipeline.decode import check_body
from zkpy.quorum.context import Context
from zkpy.quorum.learnerhandler import FORWARDABLE, LearnerHandler, leaves, serve_learner
from zkpy.quorum.learnerserver import LearnerServer
from zkpy.quorum.learnersync import TXN_HEADER
from zkpy.quorum.packets import (
    INFORM,
    PING,
    READS_ZXID,
    SYNC,
    ForwardedRequest,
    QuorumPacket,
    decode_request,
    decode_revalidate,
    inform_and_activate,
    is_for_reads,
    revalidated,
)
from zkpy.quorum.strangers import Complaints, WaitingRoom
from zkpy.quorum.stream import Connection, Listen
from zkpy.quorum.throttle import SyncThrottles
from zkpy.zxid import counter_of, epoch_of

logger: Final = logging.getLogger("zkpy.quorum")


class ObserverMaster:
    """Serves observers for as long as *server* follows; *listen* opens the port for them."""

    observers_only: Final = True

    def __init__(self, context: Context, server: LearnerServer, listen: Listen) -> None:
        self.context: Final = context
        self.server: Final = server
        self._listen: Final = listen
        self.sid: Final = context.sid
        self.epoch: Final = context.epochs.current
        self.serving: Final = trio.Event()
        self.serving.set()
        self.handlers: Final[set[LearnerHandler]] = set()
        self.observers: Final[list[LearnerHandler]] = []
        self.newcomers: Final = WaitingRoom()
        self.complaints: Final = Complaints(logger)
        self.throttles: Final = SyncThrottles(context)
        self._places: Final[dict[int, LearnerHandler]] = {}
        """Where a session was last opened or resumed, if that was at an observer of this server."""
        server.relay = self.committed

    async def run(self) -> None:
        """Accept observers until cancelled; without the port this server only follows."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._accept)
                await self._ping()
        except* OSError as group:
            for error in leaves(group):
                port = self.context.config.ensemble.observer_master_port
                logger.error("observers cannot come to this server, observerMasterPort=%d: %s", port, error)

    async def _accept(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._listen(self._handle, task_status)

    async def _ping(self) -> None:
        half_s = self.context.ticks(1) / 2
        while True:
            await trio.sleep(half_s)
            ping = QuorumPacket(PING, self.context.tree.last_zxid).encode()
            for handler in self.observers:
                handler.stream.send(ping)

    async def _handle(self, connection: Connection) -> None:
        await serve_learner(self, connection)

    # -- what a handler asks of its master -----------------------------------------------------------------

    async def learn_epoch(self, sid: int, accepted: int) -> int:
        """The epoch has long been fixed."""
        return self.epoch

    async def learn_history(self, sid: int, epoch: int, zxid: int) -> None:
        """An observer's history does not matter to anybody, but it is not to go back in time.

        Raises:
            ProtocolError: the observer has been told more of this epoch than this follower has.
        """
        own = self.context.tree.last_zxid
        if epoch_of(zxid) == self.epoch and zxid > own:
            raise ProtocolError(f"it is ahead with zxid 0x{zxid:x} of this follower's 0x{own:x}")

    @property
    def reads_apart(self) -> bool:
        """As the leader does."""
        return self.server.reads_apart

    def acknowledge_new_leader(self, sid: int, zxid: int) -> None:
        """Observers do not count."""

    def register(self, handler: LearnerHandler, sync_point: int) -> None:
        """*handler* gets what is committed from here on: *sync_point* is the end of the own tree."""
        self.observers.append(handler)

    def forget(self, handler: LearnerHandler) -> None:
        """Its connection is over."""
        if handler in self.observers:
            self.observers.remove(handler)
        for session_id in [session_id for session_id, place in self._places.items() if place is handler]:
            del self._places[session_id]

    def acknowledged(self, handler: LearnerHandler, zxids: list[int]) -> None:
        """Only NEWLEADER and UPTODATE are acknowledged. Raises ProtocolError for anything else."""
        for zxid in zxids:
            if counter_of(zxid) != 0:
                raise ProtocolError(f"it acknowledges 0x{zxid:x}, and observers do not do that")

    def answered(self, handler: LearnerHandler, zxid: int) -> None:
        """Nothing waits for it."""

    def touched(self, session_id: int, timeout_ms: int) -> None:
        """An observer has heard from a session: the leader hears of it with the next answer to PING."""
        self.server.heard_elsewhere(session_id, timeout_ms)

    def revalidate(self, handler: LearnerHandler, question: QuorumPacket) -> None:
        """Ask the leader whether a session may go on at the observer."""
        session_id, timeout_ms = decode_revalidate(question)
        self._places[session_id] = handler

        def answer(valid: bool) -> None:
            if not valid and self._places.get(session_id) is handler:
                del self._places[session_id]
            handler.stream.send(revalidated(question, session_id, valid).encode())

        self.server.revalidate_elsewhere(session_id, timeout_ms, answer)

    def forwarded(self, handler: LearnerHandler, packet: QuorumPacket) -> None:
        """Pass a request on to the leader, behind those that came before.

        Raises:
            ProtocolError, MarshallingError: the leader could not answer it, and all that come behind it
                would wait.
        """
        request = decode_request(packet)
        answer = None
        if request.opcode == opcodes.SYNC:  # it makes no transaction; observers name any session in their own
            reads = self.reads_apart and is_for_reads(request, packet.authinfo)
            sync = QuorumPacket(SYNC, READS_ZXID if reads else 0).encode()

            def answer() -> None:
                handler.stream.send(sync)
        elif request.opcode not in FORWARDABLE:
            raise ProtocolError(f"it forwarded operation {request.opcode}, which is no write")
        else:
            self._check_place(handler, request)
            if request.opcode != opcodes.CLOSE_SESSION:
                _check_body(request)
        self.server.forward_elsewhere(request, packet.authinfo, answer)

    def _check_place(self, handler: LearnerHandler, request: ForwardedRequest) -> None:
        """The leader cannot tell the connections behind this server apart. Raises ProtocolError."""
        session_id, op = request.session, request.opcode
        if op == opcodes.CREATE_SESSION:
            self._places[session_id] = handler
            return
        if self._places.get(session_id, handler) is not handler or self.server.is_here(session_id):
            raise ProtocolError(f"it forwarded a late request of session 0x{session_id:x}, which has moved")

    # -- what the leader has committed ---------------------------------------------------------------------

    def committed(self, zxid: int, payload: bytes, designated: int | None) -> None:
        """Tell the observers; *designated* is the leader from here on when the members change with it."""
        if not self.observers:
            return
        client_id, _, _, _, kind = TXN_HEADER.unpack_from(payload)
        if kind == opcodes.CLOSE_SESSION:
            self._places.pop(client_id, None)
        packet = QuorumPacket(INFORM, zxid, payload)
        if designated is not None:
            packet = inform_and_activate(zxid, designated, payload)
        data = packet.encode()
        for handler in self.observers:
            handler.stream.send(data)


def _check_body(request: ForwardedRequest) -> None:
    """Raises ProtocolError."""
    try:
        check_body(request.opcode, request.body)
    except MarshallingError as error:
        raise ProtocolError(f"it forwarded operation {request.opcode}: {error}") from None


class ObserverMasters:
    """Which voter an observer follows next: one after the other, in an order of its own.

    So a failure does not send all observers to the same one.
    """

    __slots__ = ("_context", "_left")

    def __init__(self, context: Context) -> None:
        self._context: Final = context
        self._left: list[int] = []

    def next(self, leader: int) -> int:
        """A voter that follows *leader*; *leader* itself when there is none, for its quorum port."""
        voters = sorted(self._context.configs.committed.voters - {leader})
        if not voters:
            return leader
        self._left = [sid for sid in self._left if sid in voters] or voters
        return self._left.pop(self._context.random.randrange(0, len(self._left)))
