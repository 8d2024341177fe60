"""Member lists that can be read and cannot work: said at start, before servers wait in vain."""

from __future__ import annotations

from zkpy.config.settings import EnsembleConfig, ServerSpec
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
