"""A change of members as one server carries it out: what was seen, what comes into force, what follows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from zkpy.config.settings import ServerSpec
from zkpy.persist.configfiles import ConfigFiles
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.quorum.cnxmanager import CnxManager
from zkpy.quorum.context import Context
from zkpy.quorum.quorumconfig import QuorumConfig
from zkpy.quorum.votes import FastLeaderElection, Vote

logger: Final = logging.getLogger("zkpy.quorum")


class Membership:
    """The members as server ``context.sid`` knows them. Nothing changes unless ``reconfigEnabled`` is set.

    *files* None stores nothing. *shown* is told of each configuration that comes into force.
    """

    def __init__(
        self,
        context: Context,
        rules: FastLeaderElection,
        cnx: CnxManager,
        files: ConfigFiles | None,
        shown: Callable[[QuorumConfig], None],
    ) -> None:
        self._context: Final = context
        self._rules: Final = rules
        self._cnx: Final = cnx
        self._files: Final = files
        self._shown: Final = shown
        self._active = context.configs.committed
        self._assigned = False
        self._changed = trio.Event()
        self.enabled: Final = context.config.reconfig_enabled

    def see(self, config: QuorumConfig) -> None:
        """Make *config* the last seen one: from now on every quorum test has to hold in it, too.

        One that is not newer than what is in force means that whatever was seen is given up.
        """
        configs = self._context.configs
        if not self.enabled or config.version == configs.last_seen.version:
            return
        if config.version > configs.committed.version:
            configs.last_seen = config
            if self._files is not None:
                self._files.see(config.lines(), config.version)
            for server in config.servers:
                if server.sid != self._context.sid and configs.committed.member(server.sid) is None:
                    self._cnx.dial(server.sid)
        elif configs.last_seen is not configs.committed:
            configs.last_seen = configs.committed
            if self._files is not None:
                self._files.forget_seen()

    def activate(
        self,
        config: QuorumConfig,
        designated: int | None = None,
        *,
        server: ZooKeeperServer | None = None,
        restart: bool = True,
    ) -> bool:
        """Bring *config* into force, if it is newer; whether the present role has to be left for it.

        *designated* leads from now on; None: nobody said. *server* has clients that may watch. Without
        *restart* the election's connections stay.
        """
        if not self.enabled:
            return False
        before = self._active
        newer = config.version > before.version
        if newer:
            self._commit(config)
        self._context.show_config(server)
        if not newer or config.same_members(before):
            return False
        if restart:
            self._cnx.restart()
        return self._change_role(before, config, designated)

    async def learned(self, config: QuorumConfig) -> bool:
        """A peer told of newer members while a leader was looked for; False: it has no effect here."""
        if self.enabled:
            self.activate(config, restart=False)
        return self.enabled

    async def own_line(self) -> ServerSpec:
        """The own line in the configuration in force, as soon as there is one."""
        context = self._context
        while (own := context.configs.committed.member(context.sid)) is None:
            await self._changed.wait()
        return own

    @property
    def is_assigned(self) -> bool:
        """Whether the last change says what comes next; nobody has to be elected."""
        return self._assigned

    def take_assigned(self) -> Vote | None:
        """Whom to follow, or to be, without an election: what the last change has determined."""
        assigned, self._assigned = self._assigned, False
        return self._rules.current_vote if assigned else None

    def _commit(self, config: QuorumConfig) -> None:
        logger.info("configuration %x is in force: %s", config.version, ", ".join(config.lines()))
        configs = self._context.configs
        self._active = configs.committed = config
        if configs.last_seen.version < config.version:
            configs.last_seen = config
        self._changed.set()
        self._changed = trio.Event()
        files = self._files
        if files is not None:
            own = config.member(self._context.sid)
            in_line = own is not None and own.client_port is not None
            files.activate(config.lines(), config.version, drop_client_port=in_line)
            if configs.last_seen.version == config.version:
                files.forget_seen()
        self._shown(config)

    def _change_role(self, before: QuorumConfig, config: QuorumConfig, designated: int | None) -> bool:
        context = self._context
        rules = self._rules
        observes = context.sid in config.observers
        new_role = observes != context.is_observer
        context.is_observer = rules.observer = observes
        leader = rules.current_vote.leader
        if designated is None:
            self._assigned = False
            led_by = before.quorum_addresses(leader) if leader in before.voters else None
            stays = leader in config.voters and config.quorum_addresses(leader) == led_by
            return new_role or not stays
        if designated != leader:
            logger.info("server %d is designated to lead", designated)
            rules.current_vote = Vote(designated, config.version, -1, -1)
        self._assigned = new_role or designated != leader
        return self._assigned
