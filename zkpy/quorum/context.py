"""What all roles of one server share while it is a member of an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from zkpy.config import Config
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.ports import MonotonicClock, Random, WallClock
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.syncplan import CommittedLog, DiskHistory
from zkpy.server.facts import ServerFacts
from zkpy.tree.datatree import DataTree

if TYPE_CHECKING:
    from zkpy.quorum.activation import Membership


class Epochs(Protocol):
    """The two promises that survive a restart."""

    accepted: int
    current: int

    async def accept(self, epoch: int) -> None:
        """Make the accepted epoch durable."""

    async def prepare(self, epoch: int) -> None:
        """Announce the next current epoch, before anything of it is stored."""

    async def enter(self, epoch: int) -> None:
        """Make the current epoch durable."""


class Storage(Protocol):
    """The stored side, as synchronisation needs it."""

    @property
    def log(self) -> Any: ...

    @property
    def recent(self) -> list[tuple[int, bytes]]:
        """The last transactions of the tree that was restored."""

    async def truncate(self, zxid: int) -> DataTree:
        """Forget everything after *zxid*; the tree as it was then."""

    async def reload(self) -> DataTree:
        """The tree as it is stored."""

    async def replace(self, tree: DataTree) -> None:
        """Keep this tree instead of what is stored: a durable snapshot, and a new log behind it."""

    def history(self, zxid: int) -> DiskHistory | None:
        """The log from the file with *zxid* on."""

    def attach(self, server: ZooKeeperServer) -> None:
        """Take snapshots of this server from now on."""


@attrs.define(eq=False)
class Context:
    """One member's state that outlives its roles."""

    sid: int
    config: Config
    configs: Configs
    tree: DataTree
    epochs: Epochs
    storage: Storage | None
    committed_log: CommittedLog
    wall_ms: WallClock
    clock: MonotonicClock
    random: Random
    new_tree: Callable[[], DataTree]
    serve: Callable[[ZooKeeperServer], None]
    """Admit clients to this server."""
    facts: ServerFacts
    """Where what happens between servers is counted."""
    membership: Membership = attrs.field(init=False)
    """Set by whoever puts a member together."""
    is_observer: bool = False
    volatile: bool = False
    """The tree came from a leader and is not stored yet: of no use once that leader is left."""

    def __attrs_post_init__(self) -> None:
        self.show_config()

    def replace_tree(self, tree: DataTree, recent: Iterable[tuple[int, bytes]] = ()) -> None:
        """Go on with *tree*, whose last transactions are *recent*."""
        self.tree = tree
        self.committed_log.clear()
        for zxid, payload in recent:
            self.committed_log.add(zxid, payload)
        self.show_config()

    def show_config(self, server: ZooKeeperServer | None = None) -> None:
        """Have ``/zookeeper/config`` hold this server's own configuration; watches of *server* are fired."""
        committed = self.configs.committed
        text = committed.text().encode()
        if server is not None:
            server.show_config(text, committed.version)
        else:
            self.tree.show_config(text, committed.version, self.wall_ms())

    def read_config(self, text: str) -> QuorumConfig:
        """A configuration as peers send it. Raises ProtocolError."""
        multi_address = self.config.ensemble.multi_address_enabled
        return QuorumConfig.from_text(text, self.configs.committed.oracle, multi_address)

    async def reload(self) -> None:
        """Go back to what is stored."""
        self.volatile = False
        if self.storage is None:
            self.replace_tree(self.new_tree())
        else:
            tree = await self.storage.reload()
            self.replace_tree(tree, self.storage.recent)

    def ticks(self, number: int) -> float:
        """So many ticks in seconds."""
        return number * self.config.tick_time_ms / 1000

    @property
    def init_limit_s(self) -> float:
        return self.ticks(self.config.ensemble.init_limit_ticks)

    @property
    def sync_limit_s(self) -> float:
        return self.ticks(self.config.ensemble.sync_limit_ticks)

    @property
    def packet_limit(self) -> int:
        """Bytes of data in a quorum packet."""
        return 2 * (self.config.jute_max_buffer + self.config.jute_max_buffer_extra)

    def arguments(self) -> dict[str, Any]:
        """What every role's server is built with."""
        return {
            "config": self.config,
            "tree": self.tree,
            "log": self.storage.log if self.storage is not None else None,
            "wall_ms": self.wall_ms,
            "clock": self.clock,
            "random": self.random,
        }


SIGNATURE: Final = b"\0\0\0\nBenWasHere"
"""What follows the tree that a leader sends."""
