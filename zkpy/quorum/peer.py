"""A member of an ensemble: LOOKING, then a role, then LOOKING again."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, cast

import trio

from zkpy.config.settings import ServerSpec
from zkpy.errors import ElectionPortTaken
from zkpy.quorum.cnxmanager import CnxManager
from zkpy.quorum.context import Context
from zkpy.quorum.dialling import connect_first
from zkpy.quorum.election import Election
from zkpy.quorum.leader import Leader, SteppedDown
from zkpy.quorum.learner import Learner, LeftLeader
from zkpy.quorum.network import Network
from zkpy.quorum.notification import PeerState
from zkpy.quorum.observermaster import ObserverMasters
from zkpy.quorum.readonly import serving_reads
from zkpy.quorum.stream import Connection
from zkpy.quorum.votes import Vote

logger: Final = logging.getLogger("zkpy.quorum")
roles: Final = logging.getLogger("zkpy.role")
"""What this server is now, for people: ``zkpy serve`` shows it also when it logs no more than warnings."""

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Between roles that come to nothing, from the second on: the others' state may take a while to change."""


class QuorumPeer:
    """One server for as long as it runs; *hide* keeps clients out while it has no role."""

    def __init__(
        self,
        context: Context,
        network: Network,
        cnx: CnxManager,
        election: Election,
        hide: Callable[[], None],
    ) -> None:
        self.context: Final = context
        self._network: Final = network
        self._cnx: Final = cnx
        self.election: Final = election
        self._hide: Final = hide
        self._masters: Final = ObserverMasters(context)
        self.role: Leader | Learner | None = None
        self._pause_s = 0.0

    async def run(self) -> None:
        """Take part until cancelled. Raises StorageError, CommitMismatch, SyncFailed, ElectionPortTaken."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._mesh)
            await nursery.start(self.election.run)
            while True:
                await self._one_role()

    async def _mesh(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self._cnx.run(task_status=task_status)
        except OSError as error:
            remedy = "Stop what uses the port, or change" if error.errno == errno.EADDRINUSE else "Correct"
            raise ElectionPortTaken(
                f"cannot listen for elections on {error.filename}: {error.strerror}."
                f" {remedy} the address of server.{self.context.sid}"
            ) from error

    async def _one_role(self) -> None:
        context = self.context
        context.facts.count("looking_count")
        began = context.clock()
        async with serving_reads(context, self._hide):
            vote = await self._next_vote()
        if not context.is_observer:
            context.facts.observe("election_time", int((context.clock() - began) * 1000))
        try:
            if self.election.state is PeerState.LEADING:
                self.role = leader = Leader(context, self._listen, self._established)
                self.election.on_deserted = leader.deserted
                await leader.run()
            else:
                self.role = learner = await self._learner(vote.leader)
                await learner.run()
        except* (SteppedDown, LeftLeader) as group:
            self._role_is_over(vote.leader, _first(group))
        finally:
            self._hide()
            context.facts.gauges = list
            self.election.set_state(PeerState.LOOKING)
        fruitless = self.role is None or self.role.server is None
        await self._leave()
        context.show_config()
        if fruitless and not context.membership.is_assigned:
            await trio.sleep(self._pause_s)
            self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        else:
            self._pause_s = 0.0
        if context.is_observer:
            delay_ms = context.config.ensemble.observer_election_delay_ms
            await trio.sleep(context.random.randrange(0, max(1, delay_ms)) / 1000)

    def _role_is_over(self, leader: int, why: BaseException) -> None:
        """Nothing to warn of if the members have changed and say who leads now."""
        what = "this server led" if leader == self.context.sid else f"server {leader} led"
        level = logging.INFO if self.context.membership.is_assigned else logging.WARNING
        logger.log(level, "%s, that is over: %s", what, why)

    async def _next_vote(self) -> Vote:
        """Who leads, and what this server is to be: by election, or because a change of members says so."""
        context = self.context
        vote = context.membership.take_assigned()
        if vote is None:
            return await self.election.look_for_leader(context.tree.last_zxid, context.epochs.current)
        state = PeerState.OBSERVING if context.is_observer else PeerState.FOLLOWING
        if vote.leader == context.sid:
            state = PeerState.LEADING
        logger.info(
            "the members have changed: server %d leads, %s without an election", vote.leader, state.name
        )
        self.election.set_state(state, vote)
        return vote

    async def _learner(self, leader: int) -> Learner:
        """Follow *leader*; an observer may follow one of those that follow it."""
        context = self.context
        ensemble = context.config.ensemble
        port = ensemble.observer_master_port or None
        master = leader
        if context.is_observer:
            master = self._masters.next(leader) if port is not None else leader
            await trio.sleep(context.random.randrange(0, max(1, ensemble.observer_reconnect_delay_ms)) / 1000)
        spec = context.configs.committed.member(master)
        if spec is None:
            raise LeftLeader(f"server {master} is not in the configuration")
        connect = self._connector(spec, port if master != leader else None)
        listen = None
        if port is not None and not context.is_observer:
            listen = partial(self._listen, port=port)
        return Learner(context, master, connect, self._established, listen)

    def _established(self, epoch: int) -> None:
        """The role's work begins: leader and quorum, or leader and this learner, agree on the epoch."""
        self.election.set_epoch(epoch)
        sid = self.context.sid
        leader = self.election.vote.leader
        if not isinstance(self.role, Learner):
            what = "leading"
        elif not self.context.is_observer:
            what = f"following server {leader}"
        elif self.role.master == leader:
            what = f"observing server {leader}"
        else:
            what = f"observing server {leader} through server {self.role.master}"
        roles.info("server %d: %s, epoch %d", sid, what, epoch)

    async def _leave(self) -> None:
        """The role is over: what was logged counts as history, committed or not."""
        role, self.role = self.role, None
        server = role.server if role is not None else None
        context = self.context
        if server is not None:
            server.ended = True
        if context.storage is not None:
            context.storage.log.flush()
            context.storage.log.commit_now()
        if context.volatile:
            logger.warning("what the leader had sent is not stored yet: back to what is")
            await context.reload()
        if server is None:
            return
        for request in server.uncommitted():
            assert request.header is not None and request.txn is not None
            context.tree.apply(request.header, request.txn)
            context.tree.changes.clear()
            context.committed_log.add(request.header.zxid, request.payload)

    # -- the quorum port -----------------------------------------------------------------------------------

    async def _listen(
        self,
        handler: Callable[[Connection], Awaitable[None]],
        task_status: trio.TaskStatus[None],
        port: int | None = None,
    ) -> None:
        """On the quorum port, or on *port* of the same addresses."""
        context = self.context
        if port is None and context.configs.committed.member(context.sid) is None:
            raise SteppedDown("this server is no member any more")
        spec = await context.membership.own_line()  # who is no member yet may follow, and be followed later
        everywhere = context.config.ensemble.quorum_listen_on_all_ips
        async with trio.open_nursery() as nursery:
            places = [(None if everywhere else a.host, port or a.quorum_port) for a in spec.addresses]
            for host, number in dict.fromkeys(places):
                await nursery.start(self._serve_address, host, number, handler, port is None)
            task_status.started()

    async def _serve_address(
        self,
        host: str | None,
        port: int,
        handler: Callable[[Connection], Awaitable[None]],
        needed: bool,
        *,
        task_status: trio.TaskStatus[object],
    ) -> None:
        async def accepted(stream: object) -> None:
            await handler(cast(Connection, stream))

        try:
            await self._network.serve(host, port, accepted, task_status=task_status)
        except OSError as error:
            where, why = f"{host or '*'}:{port}", error.strerror or error
            if not needed:
                raise OSError(f"cannot listen on {where}: {why}") from error
            raise SteppedDown(f"cannot listen on the quorum port {where}: {why}") from error

    def _connector(self, spec: ServerSpec, port: int | None) -> Callable[[], Awaitable[Connection]]:
        """Connects to a server's quorum port, or to *port* of the same addresses."""
        addresses = [(address.host, port or address.quorum_port) for address in spec.addresses]

        async def connect() -> Connection:
            stream = await connect_first(self._network, addresses, self.context.init_limit_s)
            return cast(Connection, stream)

        return connect


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
