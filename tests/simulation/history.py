"""What clients and an all-seeing observer know of a run; what is wrong at once is raised at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from tests.harness import Reply
from zkpy.pipeline.request import Request
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.quorum.acks import Commit, Proposals
from zkpy.quorum.activation import Membership
from zkpy.quorum.leader import Leader
from zkpy.quorum.peer import QuorumPeer
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.zxid import counter_of, epoch_of

ROLES_PER_S = 20
"""Nobody has a reason to begin more roles than that within a second."""


class Violation(AssertionError):
    """Something happened that must not."""


@attrs.define(eq=False)
class Operation:
    """What a client asked for at server *at*, and what it heard: ``ended`` None: nothing."""

    client: int
    session: int
    at: int
    kind: str
    path: str
    value: bytes
    begun: float
    xid: int
    ended: float | None = None
    reply: Reply | None = None


@attrs.define
class History:
    """All that happened."""

    operations: list[Operation] = attrs.field(factory=list)
    proposed: dict[int, bytes] = attrs.field(factory=dict)
    """Everything that a leader proposed, by zxid."""
    lives: list[list[int]] = attrs.field(factory=list)
    """The zxids that one role of one server carried out, in order."""
    leaders: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    """By epoch who was established in it, and the last zxid of the history that this leader brought."""
    decided: int = 0
    """The last zxid that a leader has committed, or brought when it was established."""
    configs: dict[int, QuorumConfig] = attrs.field(factory=dict)
    """The configurations that came into force at any server, by version."""
    faults: list[tuple[float, str]] = attrs.field(factory=list)
    moments: dict[str, trio.Event] = attrs.field(factory=dict)
    """What faults wait for: the next ``answer`` to a client, the next ``leader`` that is established."""

    def moment(self, name: str) -> None:
        """It has come."""
        event = self.moments.pop(name, None)
        if event is not None:
            event.set()

    async def wait_for(self, name: str, limit_s: float) -> None:
        with trio.move_on_after(limit_s):
            await self.moments.setdefault(name, trio.Event()).wait()

    def in_force(self, sid: int, config: QuorumConfig) -> None:
        """Server *sid* goes by *config* from now on."""
        version = config.version
        of_files = counter_of(version) == 0 and epoch_of(version) in self.leaders
        if version > self.decided and not of_files:
            raise Violation(f"configuration {version:x} is in force at server {sid} and not committed")
        known = self.configs.setdefault(version, config)
        if known.text() != config.text():
            raise Violation(f"two configurations {version:x}: {known.lines()} and {config.lines()}")


class _Hooks:
    """What servers of this process do goes into *history*."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._commit = ZooKeeperServer.commit
        self._serve = Leader._serve
        self._announce = Leader._announce
        self._propose = Proposals.propose
        self._activate = Membership._commit
        self._one_role = QuorumPeer._one_role
        self._lives: dict[ZooKeeperServer, list[int]] = {}
        self._begun: dict[QuorumPeer, deque[float]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        originals = (
            (ZooKeeperServer, "commit", self.committed, self._commit),
            (Leader, "_serve", self.served, self._serve),
            (Leader, "_announce", self.announced, self._announce),
            (Proposals, "propose", self.proposed, self._propose),
            (Membership, "_commit", self.activated, self._activate),
            (QuorumPeer, "_one_role", self.role, self._one_role),
        )
        for owner, name, hook, _ in originals:
            setattr(owner, name, _as_method(hook))
        try:
            yield
        finally:
            for owner, name, _, original in originals:
                setattr(owner, name, original)

    def committed(self, server: ZooKeeperServer, batch: list[Request]) -> None:
        history = self._history
        life = self._lives.get(server)
        if life is None:
            life = self._lives[server] = []
            history.lives.append(life)
        for request in batch:
            if request.txn is None:
                continue
            assert request.header is not None
            zxid = request.header.zxid
            if history.proposed.get(zxid) != request.payload:
                raise Violation(f"what was carried out as 0x{zxid:x} is not what was proposed")
            life.append(zxid)
        self._commit(server, batch)

    def served(self, leader: Leader, nursery: trio.Nursery) -> None:
        history = self._history
        if leader.epoch in history.leaders:
            other, _ = history.leaders[leader.epoch]
            raise Violation(f"servers {other} and {leader.sid} lead in epoch {leader.epoch}")
        brought = leader.context.tree.last_zxid
        history.leaders[leader.epoch] = leader.sid, brought
        history.decided = max(history.decided, brought)
        history.moment("leader")
        self._serve(leader, nursery)

    def announced(self, leader: Leader, commits: list[Commit]) -> None:
        for commit in commits:
            self._history.decided = max(self._history.decided, commit.zxid)
        self._announce(leader, commits)

    def proposed(
        self, proposals: Proposals, zxid: int, payload: bytes, reconfig: QuorumConfig | None = None
    ) -> None:
        if zxid in self._history.proposed:
            raise Violation(f"0x{zxid:x} is proposed twice")
        self._history.proposed[zxid] = payload
        if reconfig is not None:
            self._history.moment("reconfig")
        self._propose(proposals, zxid, payload, reconfig)

    def activated(self, membership: Membership, config: QuorumConfig) -> None:
        self._history.in_force(membership._context.sid, config)
        self._activate(membership, config)

    async def role(self, peer: QuorumPeer) -> None:
        """Count it: who fails at once must not try again at once for ever."""
        begun = self._begun.setdefault(peer, deque(maxlen=ROLES_PER_S))
        now = trio.current_time()
        if len(begun) == ROLES_PER_S and now - begun[0] < 1.0:
            raise Violation(f"server {peer.context.sid} had {ROLES_PER_S} roles within a second")
        begun.append(now)
        await self._one_role(peer)


def _as_method(hook: object) -> object:
    """A function, which unlike a bound method is bound to the object that it is called on."""

    def method(*args: object) -> object:
        return hook(*args)  # type: ignore[operator]

    return method


def observed(history: History) -> object:
    """What servers of this process propose, carry out and go by, and who leads, goes into *history*."""
    return _Hooks(history).installed()
