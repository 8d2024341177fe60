"""Servers with two addresses each, and two servers with an oracle: zkpy's and Java's together."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.ensemble import Ensemble, MemberFactory
from compat.members import client, eventually, same_logs, same_trees
from compat.process import free_port
from compat.realzk import RealServer
from compat.zkpyserver import ZkpyServer

KINDS: dict[str, MemberFactory] = {"z": ZkpyServer, "j": RealServer}
SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8"}
MULTI_ADDRESS = {"zookeeper.multiAddress.enabled": "true"}


@pytest.mark.parametrize("case", ["zjz", "jzj"])
def test_servers_with_two_addresses(case: str) -> None:
    """All of them are listened on; the ensemble survives its leader."""
    ensemble = Ensemble([KINDS[kind] for kind in case], SETTINGS, MULTI_ADDRESS)
    try:
        lines = {}
        for number in ensemble.members:
            ports = [free_port() for _ in range(4)]
            here = f"127.0.0.1:{ports[0]}:{ports[1]}|127.0.0.2:{ports[2]}:{ports[3]}"
            lines[f"server.{number}"] = here
        started(ensemble, lines)
        clients = [client(member.address) for member in ensemble.members.values()]
        for number, each in enumerate(clients):
            each.create(f"/n{number}")
            each.set(f"/n{number}", b"x")
        leader = ensemble.leader()
        ensemble.kill(leader)
        other = ensemble.leader()
        ensemble.restart(leader)
        ensemble.wait_until_serving()
        assert other != leader
        same_trees(ensemble)
        assert same_logs(ensemble)
        for each in clients:
            each.stop()
            each.close()
    finally:
        ensemble.close()


def started(ensemble: Ensemble, lines: dict[str, str]) -> None:
    """Start with other server lines than those that the ensemble makes."""
    ensemble._configure()
    ports = {number: member.port for number, member in ensemble.members.items()}
    for member in ensemble.members.values():
        for name, line in lines.items():
            member.config[name] = f"{line};127.0.0.1:{ports[int(name.removeprefix('server.'))]}"
    ensemble.start()


@pytest.mark.parametrize("case", ["zj", "jz"])
def test_one_of_two_goes_on_with_the_oracles_consent(case: str, tmp_path: Path) -> None:
    oracle = tmp_path / "oracle"
    oracle.write_text("0")
    settings = {**SETTINGS, "oraclePath": str(oracle)}
    ensemble = Ensemble([KINDS[kind] for kind in case], settings)
    try:
        ensemble.start()
        leader = ensemble.leader()
        oracle.write_text("1")
        ensemble.kill(3 - leader)
        writer = client(ensemble.members[leader].address)
        writer.create("/alone")
        assert ensemble.mode(leader) == "leader"
        oracle.write_text("0")
        eventually("it steps down", lambda: ensemble.mode(leader) is None)
        ensemble.restart(3 - leader)
        ensemble.wait_until_serving()
        assert same_trees(ensemble) >= 3
        writer.stop()
        writer.close()
    finally:
        ensemble.close()
