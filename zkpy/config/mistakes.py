"""Members and limits that can be read and cannot work: said at start, before servers wait in vain."""

from __future__ import annotations

from typing import Any

import attrs

from zkpy.config.settings import Config, EnsembleConfig, ServerSpec
from zkpy.errors import ConfigError

_ANY: tuple[str | None, ...] = (None, "0.0.0.0", "::", "0:0:0:0:0:0:0:0")


def check_addresses(ensemble: EnsembleConfig, file: str | None) -> list[str]:
    """What is wrong with a list in which two servers, or two ports of one, have the same address.

    Raises ConfigError for it, unless the ensemble has agreed on that list: then it is too late to refuse it,
    for no member could start again.
    """
    taken: dict[tuple[str, int], str] = {}
    warnings: list[str] = []
    for server in ensemble.servers:
        for host, port, what in _ports(server):
            name = f"the {what} port of server.{server.sid}"
            other = taken.setdefault((host.lower(), port), name)
            if other is name:
                continue
            what_is_wrong = f"{host}:{port} is {other} and {name}"
            remedy = "Give every server, and each of its ports, an address of its own"
            if not ensemble.version:
                raise ConfigError(file, server.line, what_is_wrong, remedy)
            warnings.append(f"{what_is_wrong}. {remedy}, by a reconfig")
    return warnings


def _ports(server: ServerSpec) -> list[tuple[str, int, str]]:
    found = []
    for address in server.addresses:
        found.append((address.host, address.quorum_port, "quorum"))
        found.append((address.host, address.election_port, "election"))
    if server.client_port is not None and server.client_host is not None:
        if server.client_host not in _ANY:
            found.append((server.client_host, server.client_port, "client"))
        else:
            hosts = dict.fromkeys(address.host for address in server.addresses)
            found += ((host, server.client_port, "client") for host in hosts)
    return found


def check_weights(ensemble: EnsembleConfig, file: str | None) -> list[str]:
    """What is doubtful about groups and weights. Raises ConfigError when no quorum is possible at all."""
    if not ensemble.hierarchical or ensemble.oracle_path is not None:
        return []
    voters = {server.sid for server in ensemble.voters}
    warnings: list[str] = []
    counted = 0
    for group, members in sorted(ensemble.groups.items()):
        weight = sum(ensemble.weights.get(sid, 1) for sid in members if sid in voters)
        if weight <= 0:
            continue
        counted += 1
        if weight % 2 == 0:
            warnings.append(
                f"group.{group} weighs {weight} in all: with an odd weight it would bear as much,"
                " for more than half of it has to agree"
            )
    if voters and not counted:
        raise ConfigError(
            file,
            None,
            "No group has any weight, so no server can be elected",
            "Give the voters of at least one group a weight, or remove all group and weight lines",
        )
    if counted and counted % 2 == 0:
        warnings.append(f"{counted} groups: more than half of them have to agree, consider an odd number")
    return warnings


def check_voters(ensemble: EnsembleConfig) -> list[str]:
    """What is doubtful about the number of voters."""
    voters = len(ensemble.voters)
    if voters == 2 and ensemble.oracle_path is not None:
        return []  # that is what an oracle is for: one of them may be lost
    if voters <= 2:
        return ["No server failure will be tolerated. You need at least 3 servers."]
    if voters % 2 == 0:
        return ["Non-optimal configuration, consider an odd number of servers."]
    return []


def check_oracle(config: Config) -> list[str]:
    """An oracle that is never asked, or that puts groups and weights out of action."""
    ensemble = config.ensemble
    if ensemble.oracle_path is None:
        return []
    place = _place(config, "oraclePath")
    warnings: list[str] = []
    voters = len(ensemble.voters)
    if voters != 2:
        warnings.append(
            f"{place}oraclePath has no effect with {voters} voter{'s' if voters != 1 else ''}:"
            " an oracle is asked only where there are two"
        )
    if ensemble.hierarchical:
        warnings.append(f"{place}beside oraclePath group and weight lines do not count")
    return warnings


def check_observer_masters(config: Config) -> list[str]:
    """Followers that cannot listen on ``observerMasterPort``, since something else does there."""
    port = config.ensemble.observer_master_port
    if not port:
        return []
    what_is_set = f"{_place(config, 'observerMasterPort')}observerMasterPort={port}"
    warnings: list[str] = []
    sharing: dict[str, list[str]] = {}
    for server in config.ensemble.voters:
        for host in dict.fromkeys(address.host for address in server.addresses):
            sharing.setdefault(host.lower(), []).append(f"server.{server.sid}")
        for host, taken, what in _ports(server):
            if taken == port and what != "quorum":  # on that one only a leader listens
                warnings.append(
                    f"{what_is_set} is the {what} port of server.{server.sid}, which cannot listen there"
                    f" for observers ({host}). Choose another port"
                )
    for host, names in sharing.items():
        if len(names) > 1:
            warnings.append(
                f"{what_is_set}: only one of {', '.join(names)} can listen there, for all are at {host}."
                " Give every server an address of its own"
            )
    return warnings


def check_limits(config: Config) -> tuple[Config, list[str]]:
    """The configuration with limits within which something can happen, and what is doubtful about them.

    Raises ConfigError for limits within which no server can follow another one.
    """
    warnings: list[str] = []
    changes: dict[str, Any] = {}
    limits = (
        ("initLimit", "init_limit_ticks", config.ensemble.init_limit_ticks, 10),
        ("syncLimit", "sync_limit_ticks", config.ensemble.sync_limit_ticks, 5),
    )
    for key, field, ticks, usual in limits:
        if ticks > 0:
            continue
        line = config.lines.get(key)
        if ticks == 0:
            remedy = f"Add a line such as {key}={usual} to the static file"
            raise ConfigError(config.file, line, f"{key} is not set", remedy)
        if len(config.ensemble.voters) > 1:
            raise ConfigError(
                config.file,
                line,
                f"{key}={ticks} leaves the servers no time to follow one of them",
                f"Write a number of ticks from 1 on, such as {key}={usual}",
            )
        warnings.append(
            f"{_place(config, key)}{key}={ticks} would leave other servers no time to join: using {usual}"
        )
        changes[field] = usual
    return attrs.evolve(config, ensemble=attrs.evolve(config.ensemble, **changes)), warnings


def _place(config: Config, key: str) -> str:
    line = config.lines.get(key)
    return f"{config.file}:{line}: " if config.file and line else ""
