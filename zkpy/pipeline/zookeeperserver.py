"""The server core: tree, sessions, watches and the write pipeline, without sockets or files.

A write goes *prepare → sync → commit*: it is checked and given its zxid when it arrives, waits for the sync
that makes it durable, then changes the tree, fires watches and is answered. Reads are answered from the
committed tree by ``zkpy.pipeline.final``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol, cast

import trio

from zkpy import opcodes, paths
from zkpy.auth.access import Access
from zkpy.config import Config
from zkpy.jute.archive import pack_int
from zkpy.pipeline import sessions
from zkpy.pipeline.notify import fire
from zkpy.pipeline.options import PrepOptions
from zkpy.pipeline.prep import Preparer
from zkpy.pipeline.readgate import ReadGate
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session, SessionTracker
from zkpy.pipeline.stats import ServerStats
from zkpy.pipeline.sync import Log, SyncStage
from zkpy.pipeline.throttle import ConnectionThrottle
from zkpy.ports import MonotonicClock, Random, WallClock
from zkpy.tree.acl import Identities
from zkpy.tree.datatree import DATA_CHANGED, DataTree, Result
from zkpy.tree.watches import Watches
from zkpy.zxid import follows

logger: Final = logging.getLogger("zkpy.server")

DIGEST_LOG_INTERVAL: Final = 128
DIGEST_LOG_LIMIT: Final = 1024


ASKED: Final = Session(0, 0)
"""What `ZooKeeperServer.resume_session` returns when the answer will come later."""


class Client(Protocol):
    """A connection as the core knows it."""

    session_id: int
    identities: Identities

    def notify(self, event: bytes) -> None:
        """Queue an encoded watch event."""

    def complete(self, request: Request, result: Result | None, latency_ms: int) -> None:
        """A write of this connection was committed (None: refused without a zxid)."""

    def resumed(self, session: Session | None) -> bool:
        """The answer to `ASKED`: its session, or None when that is gone. False: the connection is gone."""

    def disconnect(self, why: str) -> None:
        """Close without a message."""


class ZooKeeperServer:
    """One standalone server's state and pipeline; what the roles of an ensemble do otherwise, they override.

    *log* None keeps nothing. ``server_id`` enters session ids only; a standalone server uses 1.
    """

    mode: str = "standalone"
    """What ``srvr`` calls this role."""
    proposal_sizes: tuple[int, int, int] | None = None
    """A leader's proposals in bytes: the last, the smallest, the largest; -1 before the first."""
    read_only: bool = False
    """Serves only clients that are content with old data, while the ensemble has no leader."""
    admits_clients: bool = True
    """Clients may connect; False for a leader with ``leaderServes=no``."""
    expires_sessions: bool = True
    """Sessions of the whole ensemble expire here."""
    local_sessions: bool = False
    """New sessions begin as sessions of this server only."""
    gate: ReadGate | None = None
    """What reads have to wait at, with ``quorumReads``."""
    queued: frozenset[int] = opcodes.WRITES
    """Operations that go through `submit`; the others are answered from the tree on the spot."""

    def __init__(
        self,
        config: Config,
        tree: DataTree,
        *,
        log: Log | None,
        wall_ms: WallClock,
        clock: MonotonicClock,
        random: Random,
        server_id: int = 1,
    ) -> None:
        self.config: Final = config
        self.tree: Final = tree
        self.clock: Final = clock
        self.wall_ms: Final = wall_ms
        self.access: Final = Access(
            skip_acl=config.skip_acl,
            digest_enabled=config.digest_auth_enabled,
            digest_alg=config.digest_alg,
            super_digest=config.super_digest,
            ensemble_names=_ensemble_names(config),
            max_expansion=config.jute_max_buffer,
        )
        self.watches: Final[Watches[Client]] = Watches()
        self.tracker: Final = self.new_tracker(sessions.initial_id(server_id, wall_ms()), config.tick_time_ms)
        self.preparer: Final = Preparer(
            tree,
            self.access,
            wall_ms,
            PrepOptions(
                extended_types=config.extended_types_enabled,
                enforce_quota=config.enforce_quota,
                close_session_lists=config.close_session_txn_enabled,
                reconfig_enabled=config.reconfig_enabled,
                max_entry=config.jute_max_buffer + config.jute_max_buffer_extra,
            ),
        )
        self.throttle: Final = ConnectionThrottle(config, random, self.now_ms())
        self.stats = ServerStats()
        self.sync: Final = SyncStage(
            log,
            self.durable,
            self._settle,
            clock,
            warn_ms=config.fsync_warning_threshold_ms,
            delay_ms=config.flush_delay_ms,
            max_batch=config.max_batch_size,
        )
        self.now = clock()
        """The monotonic clock as of the present round of input or batch of commits: one reading for all."""
        self.ended = False
        """Its role in an ensemble is over: what its log still reports is of no concern any more."""
        self.outstanding = 0
        self.committed = 0
        """Requests carried out since the start."""
        threshold = config.large_request_threshold_bytes
        self._large_from: Final = threshold if threshold > 0 else config.jute_max_buffer
        self._large_bytes = 0
        self.digest_log: dict[int, int] = {}
        self.digest_mismatches = 0
        self.background = 0
        """Jobs, such as a snapshot, that make progress only while the event loop turns quickly."""
        self.send_some: Callable[[], bool] = lambda: False
        """Send a bounded part of what is queued on connections; says whether there is more."""
        self.after_batch: Callable[[], None] = lambda: None
        """Called when a batch was committed: the moment to decide about a snapshot."""
        self.track_stored_sessions()

    def new_tracker(self, first_id: int, tick_ms: int) -> SessionTracker:
        """What keeps the sessions of this role."""
        return SessionTracker(first_id, tick_ms)

    def track_stored_sessions(self) -> None:
        """The sessions of the tree go on, each with its full time-out."""
        for session_id, timeout_ms in self.tree.sessions.items():
            self.tracker.add(session_id, timeout_ms, int(self.now * 1000))

    def now_ms(self) -> int:
        """The monotonic clock in whole milliseconds; also brings ``now`` up to date."""
        self.now = self.clock()
        return int(self.now * 1000)

    # -- writes --------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Take in a write; its client hears of it through ``complete``."""
        self.count_in(request)
        self.preparer.prepare(request)
        self.sync.submit(request)

    def count_in(self, request: Request) -> None:
        """A write is in flight until `commit` has carried it out."""
        self.outstanding += 1
        size = len(request.frame)
        if size > self._large_from:
            self._large_bytes += size

    def admits_large(self, size: int) -> bool:
        """Whether a frame of *size* bytes keeps all large requests in flight under their common limit."""
        return size <= self._large_from or self._large_bytes + size <= self.config.large_request_max_bytes

    def flush(self, *, idle: bool = False) -> None:
        """A round of input was handled: get its writes going; *idle* as for `SyncStage.flush`."""
        if self.gate is not None:
            self.gate.start()
        self.sync.flush(idle=idle)

    def durable(self, batch: list[Request]) -> None:
        """These requests are in the log for good."""
        self.commit(batch)

    def commit(self, batch: list[Request]) -> None:
        """Carry out durable requests in order: change the tree, fire watches, answer."""
        tree = self.tree
        outstanding = self.preparer.outstanding
        now = self.now = self.clock()
        started, latency = -1.0, 0
        stats = self.stats
        watches = self.watches
        changes = tree.changes
        self.outstanding -= len(batch)
        self.committed += len(batch)
        if self._large_bytes:
            self._large_bytes -= sum(len(r.frame) for r in batch if len(r.frame) > self._large_from)
        for request in batch:
            client = request.client
            txn = request.txn
            result = None
            if txn is not None:
                header = request.header
                assert header is not None and follows(tree.last_zxid, header.zxid), "commit out of order"
                result = tree.apply(header, txn)
                outstanding.applied(header.zxid)
                if request.digest is not None and request.digest != tree.digest:
                    self.digest_mismatch(header.zxid)
                if changes:
                    if watches.total_count:
                        fire(watches, self.access, header.zxid, changes)
                    changes.clear()
                if header.zxid % DIGEST_LOG_INTERVAL == 0:
                    self._log_digest(header.zxid)
                if txn.type == opcodes.CLOSE_SESSION:
                    self._session_closed(request)
                elif txn.type == opcodes.CREATE_SESSION:
                    self.session_created(header.client_id)
            elif request.op == opcodes.CLOSE_SESSION and not request.err:
                self._session_closed(request)  # a local one
            if client is not None:
                if request.started != started:
                    started = request.started
                    latency = int((now - started) * 1000)
                stats.add_latency(latency)
                client.complete(request, result, latency)
        self.after_batch()

    def show_config(self, text: bytes, version: int) -> None:
        """An ensemble's members have changed: ``/zookeeper/config`` says so, also to those who watch it."""
        self.tree.show_config(text, version, self.wall_ms())
        acl = self.tree.nodes[paths.CONFIG].acl
        fire(self.watches, self.access, version, [(DATA_CHANGED, paths.CONFIG, acl, acl)])

    def digest_mismatch(self, zxid: int) -> None:
        """A transaction gave another tree than it had to."""
        raise AssertionError(f"digest mismatch at zxid 0x{zxid:x}")

    async def settle(self) -> None:
        """A round of input that came by a task of its own was handled."""
        self.flush()
        await self._settle()

    async def _settle(self) -> None:
        while self.send_some():
            await trio.lowlevel.checkpoint()

    def _log_digest(self, zxid: int) -> None:
        self.digest_log[zxid] = self.tree.digest
        if len(self.digest_log) > DIGEST_LOG_LIMIT:
            del self.digest_log[next(iter(self.digest_log))]

    # -- sessions ------------------------------------------------------------------------------------------

    def negotiate(self, requested_ms: int) -> int:
        """The session timeout that a client gets."""
        config = self.config
        return sessions.negotiate(requested_ms, config.min_session_timeout_ms, config.max_session_timeout_ms)

    def create_session(self, client: Client, timeout_ms: int) -> tuple[Session, Request | None]:
        """Start a session for *client*; it is ready when the request completes, without one at once."""
        session = self.tracker.add(self.tracker.next_id(), timeout_ms, self.now_ms())
        session.owner = client
        request = Request(client, session.id, 0, opcodes.CREATE_SESSION, pack_int(timeout_ms), (), self.now)
        self.submit(request)
        return session, request

    def session_created(self, session_id: int) -> None:
        """A createSession was committed; whoever asked for it tracks the session already."""

    def resume_session(
        self, client: Client, session_id: int, password: bytes | None, timeout_ms: int
    ) -> Session | None:
        """Attach *client* to a session it had; None when that is gone or the password is wrong.

        Any other live connection of the session is closed first, whatever the password. `ASKED`: another
        server decides, the client hears of it through ``resumed``.
        """
        session = self.tracker.get(session_id)
        if session is None:
            return None
        owner = session.owner
        if owner is not None and owner is not client:
            session.owner = None
            _as_client(owner).disconnect("its session moved to another connection")
        if (
            session.closing
            or password != sessions.password(session_id)
            or not (session.local or session_id in self.tree.sessions)
        ):
            return None
        session.owner = client
        self.tracker.set_timeout(session, timeout_ms, self.now_ms())
        return session

    def expire_sessions(self) -> int:
        """Submit the end of every session whose time is over; returns how many."""
        expired = self.tracker.expire(self.now_ms())
        for session in expired:
            logger.info(
                "Expiring session 0x%x, timeout of %dms exceeded",
                session.id & 0xFFFFFFFFFFFFFFFF,
                session.current_timeout_ms,
            )
            self.submit(Request(None, session.id, 0, opcodes.CLOSE_SESSION, b"", (), self.now))
        if expired:
            self.flush()
        return len(expired)

    def _session_closed(self, request: Request) -> None:
        session = self.tracker.remove(request.session_id)
        if session is not None and session.owner is not None and session.owner is not request.client:
            _as_client(session.owner).disconnect("its session expired")

    # -- containers and TTLs -------------------------------------------------------------------------------

    def collectable(self) -> list[bytes]:
        """Containers and TTL znodes that are due for deletion, in order of creation.

        A container counts once it has had a child (or, with a limit set, has never been used for longer than
        that), a TTL znode when it has no children and was not changed for its time.
        """
        now = self.wall_ms()
        never_used_ms = self.config.container_max_never_used_ms
        nodes = self.tree.nodes
        due: list[bytes] = []
        for path in self.tree.containers:
            node = nodes[path]
            if not node.children and (
                node.cversion > 0 or (never_used_ms and now - node.mtime > never_used_ms)
            ):
                due.append(path)
        for path in self.tree.ttls:
            node = nodes[path]
            if not node.children and now - node.mtime > self.tree.owners.ttl_ms(node.owner):
                due.append(path)
        return due

    def delete_container(self, path: bytes) -> None:
        """Submit the deletion of a container or TTL znode; checked again when it is prepared."""
        frame = b"\0\0\0\0\0\0\0\x14" + pack_int(len(path)) + path
        self.submit(Request(None, 0, 0, opcodes.DELETE_CONTAINER, frame, (), self.now))


def _as_client(owner: object) -> Client:
    # The tracker keeps its sessions' owners as plain objects: it is told of them, it never calls them.
    return cast(Client, owner)


def _ensemble_names(config: Config) -> frozenset[str] | None:
    if not any("EnsembleAuthenticationProvider" in name for name in config.auth_providers.values()):
        return None
    return frozenset(config.ensemble_auth_names)
