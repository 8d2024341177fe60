"""Which membership a reconfiguration asks for, and why it may not have it.

An incremental request names servers that leave and join; any other replaces the whole list. What is wrong is
found in ZooKeeper's order, since the first failing check decides the error.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, NamedTuple

from zkpy.config.membership import parse_membership, parse_server
from zkpy.config.properties import Entry, parse_properties
from zkpy.config.settings import ServerSpec
from zkpy.config.values import LONG_MAX, parse_decimal
from zkpy.errors import (
    BadArgumentsError,
    BadVersionError,
    ConfigError,
    MarshallingError,
    NewConfigNoQuorumError,
    ProtocolError,
    ReconfigInProgressError,
    UnexplainedError,
)
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.verifier import HierarchicalVerifier

# Java's String.trim cuts everything up to the blank.
_TRIMMED: Final = "".join(map(chr, range(0x21)))


class ReconfigRequest(NamedTuple):
    """What a client asks for; all lists null: the same members under a new version."""

    joining: str | None
    leaving: str | None
    members: str | None
    """The whole new list; given, the other two do not count."""
    version: int
    """That of the configuration to be changed; -1: whichever it is."""


def next_config(
    wanted: ReconfigRequest,
    configs: Configs,
    zxid: int,
    *,
    standalone_enabled: bool,
    multi_address: bool,
    is_synced: Callable[[QuorumConfig], bool],
) -> QuorumConfig:
    """The configuration that transaction *zxid* makes. *is_synced*: a quorum of it follows the leader.

    Raises KeeperError.
    """
    present = configs.last_seen
    if present.version != configs.committed.version:
        raise ReconfigInProgressError("a reconfiguration is under way")
    if wanted.version not in (-1, present.version):
        raise BadVersionError(f"from {wanted.version:x}, but the last seen version is {present.version:x}")
    try:
        if wanted.members is not None:
            new = _replaced(wanted.members, present, zxid, standalone_enabled, multi_address)
        else:
            new = _changed(wanted, present, zxid, multi_address)
    except UnexplainedError as error:
        raise MarshallingError(str(error)) from None
    except ConfigError as error:
        raise BadArgumentsError(str(error)) from None
    _check_text(new, multi_address)
    if len(new.voters) < (2 if standalone_enabled else 1):
        raise BadArgumentsError("too few participants are left")
    if not is_synced(new):
        raise NewConfigNoQuorumError("no quorum of the new configuration follows")
    return new


def _replaced(
    text: str, present: QuorumConfig, zxid: int, standalone_enabled: bool, multi_address: bool
) -> QuorumConfig:
    entries = parse_properties(text.replace(",", "\n"))
    for name in entries:
        if name != "version" and not name.startswith(("server.", "group", "weight")):
            raise BadArgumentsError(f"Unrecognised parameter: {name}")
    version = entries.pop("version", Entry("0", 0)).value
    if parse_decimal(version, LONG_MAX, radix=16) is None:
        raise MarshallingError(f"version {version}")
    members = parse_membership(entries, None, multi_address)
    voters = sum(server.role == "participant" for server in members.servers)
    if voters == 0 and (not standalone_enabled or members.servers):
        raise MarshallingError("no participants")
    if voters == 1 and standalone_enabled and len(members.servers) > 1:
        raise MarshallingError("observers of a single server")
    return QuorumConfig(
        members.servers,
        zxid,
        groups=members.groups,
        weights=members.weights,
        hierarchical=members.hierarchical,
        oracle=present.oracle,
    )


def _changed(wanted: ReconfigRequest, present: QuorumConfig, zxid: int, multi_address: bool) -> QuorumConfig:
    if isinstance(present.verifier, HierarchicalVerifier):
        raise BadArgumentsError("an incremental change needs majority quorums")
    servers = {server.sid: server for server in present.servers}
    for leaving in _split(wanted.leaving, ","):
        servers.pop(_sid(leaving), None)
    for joining in _split(wanted.joining, ","):
        parts = _split(joining, "=")
        if len(parts) != 2:
            raise BadArgumentsError(f"not of the form server.N=address: {joining}")
        sid = _sid(parts[0].rpartition(".")[2])
        new = parse_server(sid, parts[1], None, None, multi_address)
        if new.client_port is None:
            raise BadArgumentsError(f"server {sid} joins without a client port")
        for other in servers.values():
            if other.sid != sid:
                _check_apart(new, other)
        servers[sid] = new
    return QuorumConfig(tuple(servers.values()), zxid, oracle=present.oracle)


def _check_text(new: QuorumConfig, multi_address: bool) -> None:
    """Nobody may make a list that other servers read as something else, or not at all."""
    try:
        if QuorumConfig.from_text(new.text(), new.oracle, multi_address).same_members(new):
            return
    except ProtocolError:
        pass
    raise BadArgumentsError("a host name has characters that no name has")


def _split(text: str | None, separator: str) -> list[str]:
    parts = (part.strip(_TRIMMED) for part in (text or "").split(separator))
    return [part for part in parts if part]


def _sid(text: str) -> int:
    sid = parse_decimal(text, LONG_MAX)
    if sid is None:
        raise MarshallingError(f"server id {text}")
    return sid


def _check_apart(new: ServerSpec, other: ServerSpec) -> None:
    both = _sockets(new) & _sockets(other)
    if both:
        raise BadArgumentsError(f"server {new.sid} and server {other.sid} have {min(both)} in common")


def _sockets(server: ServerSpec) -> set[tuple[str, int]]:
    """Where a server listens, without what means another machine for each: any address, and loopback."""
    found = {
        (address.host, port)
        for address in server.addresses
        for port in (address.quorum_port, address.election_port)
    }
    if server.client_host is not None and server.client_port is not None:
        found.add((server.client_host, server.client_port))
    return {(host, port) for host, port in found if not _is_common(host)}


def _is_common(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_unspecified or address.is_loopback
