"""Composition of a member of an ensemble: what a standalone server has, and its peers."""

from __future__ import annotations

import logging
from typing import Final

import trio

from zkpy.config import Config
from zkpy.persist.epochfile import EpochFiles
from zkpy.persist.store import Store
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.ports import Disk, Random
from zkpy.quorum.cnxmanager import CnxManager, CnxOptions
from zkpy.quorum.context import Context
from zkpy.quorum.election import Election
from zkpy.quorum.network import Network
from zkpy.quorum.peer import QuorumPeer
from zkpy.quorum.quorumconfig import Configs, Oracle, QuorumConfig
from zkpy.quorum.syncplan import CommittedLog
from zkpy.quorum.votes import FastLeaderElection
from zkpy.realnetwork import RealNetwork
from zkpy.server.service import Service
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules

logger: Final = logging.getLogger("zkpy.quorum")


async def member(
    service: Service,
    store: Store,
    disk: Disk,
    random: Random,
    ready: trio.Event,
    network: Network | None = None,
) -> None:
    """Take part in the ensemble until cancelled; *ready* is set when clients are admitted for the first time.

    Raises:
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
    network = network or RealNetwork(ensemble.quorum_tcp_keep_alive)

    def serve(server: ZooKeeperServer) -> None:
        service.take_over(server)
        ready.set()

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
        serve=serve,
        facts=service.facts,
        is_observer=sid not in configs.committed.voters,
        config_text=configs.committed.text().encode(),
    )
    cnx = CnxManager(sid, lambda: configs, network, CnxOptions.from_config(config))
    service.hide()
    await QuorumPeer(context, network, cnx, Election(sid, _rules(context), cnx), service.hide).run()


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
