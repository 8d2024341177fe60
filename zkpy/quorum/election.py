"""Elections over the mesh: feeds `FastLeaderElection` with messages and time, and does what it answers.

``run`` goes on in every state, since who leads or follows must answer those who look. While LOOKING the peer
awaits `Election.look_for_leader`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import trio

from zkpy.errors import ProtocolError
from zkpy.quorum.cnxmanager import CnxManager
from zkpy.quorum.notification import Notification, PeerState, decode_notification
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.votes import (
    Action,
    ActivateConfig,
    Decided,
    Deserted,
    DialAll,
    FastLeaderElection,
    Send,
    Vote,
    Wait,
)

logger: Final = logging.getLogger("zkpy.election")

Activate = Callable[[QuorumConfig], Awaitable[bool]]
"""Makes a newer configuration the committed one; False: reconfiguration is not enabled, nothing changed."""


class Election:
    """One server's part in elections: *rules* decide, *cnx* carries the messages.

    *activate* is asked when a peer turns out to have a newer configuration while this server is looking. An
    election that takes *patience_s* is worth a line in the log.
    """

    __slots__ = (
        "_activate",
        "_begun_with",
        "_cnx",
        "_deadline",
        "_done",
        "_early",
        "_heard",
        "_looking",
        "_patience_s",
        "_rules",
        "_sid",
        "_timer",
        "on_deserted",
    )

    def __init__(
        self,
        sid: int,
        rules: FastLeaderElection,
        cnx: CnxManager,
        activate: Activate | None = None,
        patience_s: float = 20.0,
    ) -> None:
        self._sid: Final = sid
        self._rules: Final = rules
        self._cnx: Final = cnx
        self._activate: Final = activate
        self._patience_s: Final = patience_s
        self._heard: dict[int, Notification] = {}
        """The last word of every peer since this election began."""
        self._looking = False
        self._early: deque[tuple[int, Notification]] = deque(maxlen=100)
        """What came between two roles, before looking began."""
        self.on_deserted: Callable[[bool], None] = lambda quorum_left: None
        """Called when one of those who elected this server to lead is looking again."""
        self._begun_with = (0, 0)
        self._done = trio.Event()
        self._deadline = inf
        self._timer = trio.CancelScope()
        cnx.on_lost = self._lost

    @property
    def state(self) -> PeerState:
        """What peers are told that this server is doing."""
        return self._rules.state

    @property
    def vote(self) -> Vote:
        """The result of the last election, as peers are told."""
        return self._rules.current_vote

    def set_state(self, state: PeerState, vote: Vote | None = None) -> None:
        """The role has changed.

        LOOKING as soon as a role is left; another one when it came without an election (reconfiguration),
        then *vote* names the leader. `look_for_leader` sets the state that it finds by itself.
        """
        if state is PeerState.LOOKING:
            self._rules.state = state
        else:
            self._early.clear()
            self._rules.assume(state, vote)

    def set_epoch(self, epoch: int) -> None:
        """The leader is established or this server is synchronised with it: the vote gets the new epoch."""
        self._rules.set_epoch(epoch)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Handle the messages of peers until cancelled."""
        task_status.started()
        while True:
            sid, data = await self._cnx.receive()
            self._rules.gone = self._cnx.lost()
            try:
                notification = decode_notification(data)
            except ProtocolError as error:
                logger.debug("from server %d: %s", sid, error)
                continue
            if self._rules.state is PeerState.LOOKING and not self._looking:
                self._early.append((sid, notification))
            else:
                await self._handle(sid, notification)

    async def look_for_leader(self, last_zxid: int, current_epoch: int) -> Vote:
        """Take part in an election until there is a leader; ``state`` is then the role to take.

        *last_zxid* is the last one in the log, committed or not. Needs `run` beside it. When cancelled, the
        server goes on LOOKING.
        """
        assert not self._looking, "one election at a time"
        self._begun_with = last_zxid, current_epoch
        self._done = trio.Event()
        self._looking = True
        self._cnx.restores = True
        self._rules.gone = self._cnx.lost()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._complain)
                await self._do(self._rules.start(last_zxid, current_epoch))
                while self._early:
                    await self._handle(*self._early.popleft())
                while not self._done.is_set():
                    await self._wait()
                nursery.cancel_scope.cancel()
        except trio.Cancelled:
            self._rules.state = PeerState.LOOKING
            raise
        finally:
            self._looking = self._cnx.restores = False
            self._early.clear()
        vote = self._rules.current_vote
        logger.info("server %d leads, elected in round %d: %s", vote.leader, vote.round, self.state.name)
        return vote

    async def _complain(self) -> None:
        """Say once what is known, if there is no leader for long."""
        self._heard.clear()
        await trio.sleep(self._patience_s)
        told = [self._told(sid, heard) for sid, heard in sorted(self._heard.items())]
        logger.warning(
            "no leader for %g s: %s", self._patience_s, "; ".join(told) or "no other server is heard of"
        )

    def _told(self, sid: int, heard: Notification) -> str:
        """What a peer does, and why that may be of no use here."""
        what = f"server {sid} is {heard.state.name}"
        if heard.state is not PeerState.LOOKING:
            what += f" under server {heard.leader}"
        if self._rules.newer_config(heard) is not None:
            what += ", with newer members than this server has (is reconfigEnabled=true missing here?)"
        return what

    async def _wait(self) -> None:
        """Until the election is decided or time has come for the next step."""
        with trio.CancelScope(deadline=self._deadline) as self._timer:
            await self._done.wait()
        if not self._done.is_set() and trio.current_time() >= self._deadline:
            await self._do(self._rules.on_timeout(self._cnx.have_delivered()))

    def _lost(self) -> None:
        """A server is gone."""
        self._rules.gone = self._cnx.lost()
        if self._looking and self._rules.on_lost():
            self._deadline = self._timer.deadline = trio.current_time()

    async def _handle(self, sid: int, notification: Notification) -> None:
        logger.debug(
            "server %d is %s: votes for %d (epoch %d, zxid 0x%x) in round %d",
            sid,
            notification.state.name,
            notification.leader,
            notification.peer_epoch,
            notification.zxid,
            notification.election_epoch,
        )
        self._heard[sid] = notification
        await self._do(self._rules.on_notification(sid, notification))

    async def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(sids, message):
                    data = message.encode()
                    for sid in sids:
                        self._cnx.send(sid, data)
                case Wait(timeout_ms):
                    self._deadline = trio.current_time() + timeout_ms / 1000
                    self._timer.deadline = self._deadline
                case DialAll():
                    self._cnx.connect_all()
                case Decided():
                    self._deadline = inf
                    self._done.set()
                case Deserted(sid, quorum_left):
                    logger.info("server %d, which voted for this one, looks for a leader again", sid)
                    self.on_deserted(quorum_left)
                case ActivateConfig(config, restart):
                    await self._switch(config, restart)

    async def _switch(self, config: QuorumConfig, restart: bool) -> None:
        """A peer knows of newer members than we do."""
        if self._activate is None or not await self._activate(config):
            logger.debug("ignored configuration %x of a peer: reconfigEnabled is not set", config.version)
            return
        if restart and self._looking and not self._done.is_set():
            self._cnx.restart()
            self._early.clear()
            await self._do(self._rules.start(*self._begun_with))
