"""Composition of a member of an ensemble: what a standalone server has, and its peers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from zkpy.config import Config
from zkpy.errors import ProtocolError
from zkpy.persist.configfiles import ConfigFiles
from zkpy.persist.epochfile import EpochFiles
from zkpy.persist.store import Store
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.ports import Disk, Random
from zkpy.quorum.activation import Membership
from zkpy.quorum.cnxmanager import CnxManager, CnxOptions
from zkpy.quorum.context import Context
from zkpy.quorum.election import Election
from zkpy.quorum.network import Network
from zkpy.quorum.peer import QuorumPeer
from zkpy.quorum.quorumconfig import Configs, Oracle, QuorumConfig
from zkpy.quorum.syncplan import CommittedLog
from zkpy.quorum.votes import FastLeaderElection
from zkpy.realnetwork import RealNetwork, Rounds
from zkpy.server.service import Service
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules

logger: Final = logging.getLogger("zkpy.config")

MoveClients = Callable[[str, int], None]
"""Listens for clients at another host and port."""


async def member(
    service: Service,
    store: Store,
    disk: Disk,
    random: Random,
    ready: trio.Event,
    network: Network | None = None,
    move_clients: MoveClients = lambda host, port: None,
    rounds: Rounds | None = None,
) -> None:
    """Take part in the ensemble until cancelled; *ready* is set when clients are admitted for the first time.

    Connections to other servers take part in *rounds* once they are in service.
    *move_clients* is told where this server's own line says that clients come, when the line has changed.

    Raises:
        ConfigError: a copy of the configuration file could not be made.
        DataDirError: the epoch files do not fit the data.
        StorageError: the log or a promise could not be written.
        CommitMismatch, SyncFailed: what the leader says does not fit what is stored.
        ElectionPortTaken: the others could not reach this server.
    """
    config = service.server.config
    ensemble = config.ensemble
    sid = ensemble.my_id
    assert sid is not None
    tree = service.server.tree
    epochs = EpochFiles(disk, store.dirs.snap_dir)
    epochs.load(tree.last_zxid)
    log = CommittedLog(max(1, config.commit_log_count))
    for zxid, payload in store.recent:
        log.add(zxid, payload)
    configs = Configs(QuorumConfig.from_ensemble(ensemble, _oracle(config, disk)))
    files = _config_files(config, disk, configs)
    network = network or RealNetwork(ensemble.quorum_tcp_keep_alive, rounds)
    context = Context(
        sid=sid,
        config=config,
        configs=configs,
        tree=tree,
        epochs=epochs,
        storage=store,
        committed_log=log,
        wall_ms=service.server.wall_ms,
        clock=service.server.clock,
        random=random,
        new_tree=lambda: DataTree(
            OwnerRules(config.extended_types_enabled, config.emulate_353_ttl), config.digest_enabled
        ),
        serve=partial(_serve, service, ready),
        facts=service.facts,
        is_observer=sid in configs.committed.observers,
    )
    service.facts.members = configs.committed
    cnx = CnxManager(sid, lambda: configs, network, CnxOptions.from_config(config))
    rules = _rules(context)
    context.membership = Membership(context, rules, cnx, files, partial(_show, sid, service, move_clients))
    election = Election(sid, rules, cnx, context.membership.learned, context.init_limit_s)
    service.hide()
    await QuorumPeer(context, network, cnx, election, service.hide).run()


def _serve(service: Service, ready: trio.Event, server: ZooKeeperServer) -> None:
    service.take_over(server)
    if not server.read_only:
        ready.set()


def _show(sid: int, service: Service, move_clients: MoveClients, members: QuorumConfig) -> None:
    service.facts.members = members
    own = members.member(sid)
    if own is not None and own.client_host is not None and own.client_port is not None:
        move_clients(own.client_host, own.client_port)


def _config_files(config: Config, disk: Disk, configs: Configs) -> ConfigFiles | None:
    """The files that hold the members, with what was seen last; None: the members cannot change."""
    if not config.reconfig_enabled or config.file is None:
        return None
    files = ConfigFiles(disk, os.path.realpath(config.file))
    if config.ensemble.dynamic_config_file is None:
        files.back_up()
    text = files.last_seen()
    if text is None:
        return files
    try:
        seen = QuorumConfig.from_text(text, configs.committed.oracle, config.ensemble.multi_address_enabled)
    except ProtocolError as error:
        logger.warning("the members that were seen last are ignored: %s", error)
        return files
    if seen.version > configs.committed.version:
        configs.last_seen = seen
    return files


def _oracle(config: Config, disk: Disk) -> Oracle | None:
    """Whether one of two voters may go on alone: what is outside says so with a file that begins with a 1."""
    path = config.ensemble.oracle_path
    if path is None:
        return None

    missing = False

    def granted() -> bool:
        nonlocal missing
        try:
            word = disk.read_bytes(path)
        except OSError as error:
            if not missing:
                logger.warning("the oracle counts as saying no: %s", error)
            missing = True
            return False
        missing = False
        return word[:1] == b"1"

    return granted


def _rules(context: Context) -> FastLeaderElection:
    ensemble = context.config.ensemble
    return FastLeaderElection(
        context.sid,
        context.configs,
        observer=context.is_observer,
        min_interval_ms=ensemble.min_notification_interval_ms,
        max_interval_ms=ensemble.max_notification_interval_ms,
        multi_address=ensemble.multi_address_enabled,
    )
