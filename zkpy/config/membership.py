"""Member lists: ``server.<sid>`` values, groups and weights, in the static or in a dynamic file.

Errors carry Java's sentences, blanks that are missing in them included. Where Java only
dies of an exception without a sentence, ours is our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from zkpy.config.properties import Entry
from zkpy.config.settings import PeerType, QuorumAddress, ServerSpec
from zkpy.config.values import INT_MAX, LONG_MAX, parse_decimal
from zkpy.errors import ConfigError, UnexplainedError

_FORM: Final = (
    " does not have the form server_config or server_config;client_config where server_config is the pipe"
    " separated list of host:port:port or host:port:port:type and client_config is port or host:port"
)
_EXAMPLE: Final = "Write it like server.1=zk1.example:2888:3888:participant;2181"


class Membership(NamedTuple):
    """What the ``server.``, ``group`` and ``weight`` entries of one file say."""

    servers: tuple[ServerSpec, ...]
    groups: Mapping[int, tuple[int, ...]]
    weights: Mapping[int, int]
    hierarchical: bool


def parse_membership(entries: Mapping[str, Entry], file: str | None, multi_address: bool) -> Membership:
    """Read all member entries; other keys are skipped. ``multi_address``: ``|`` may separate addresses."""
    servers: dict[int, ServerSpec] = {}
    groups: dict[int, tuple[int, ...]] = {}
    weights: dict[int, int] = {}
    group_of: dict[int, int] = {}
    hierarchical = False
    for name, (value, line) in entries.items():
        if name.startswith("server."):
            sid = _id(name, file, line)
            servers[sid] = parse_server(sid, value, file, line, multi_address)
        elif name.startswith("group"):
            hierarchical = True
            gid = _id(name, file, line)
            groups[gid] = _group(gid, value, file, line, group_of)
        elif name.startswith("weight"):
            hierarchical = True
            weights[_id(name, file, line)] = parse_long(
                value, file, line, "Write weight.<sid>=<number of votes>"
            )
    ordered = tuple(servers[sid] for sid in sorted(servers))
    if hierarchical:
        for server in ordered:
            if server.role != "participant":
                continue
            if server.sid not in group_of:
                raise ConfigError(
                    file,
                    server.line,
                    f"Server {server.sid}is not in a group",
                    f"Name {server.sid} in one group.<gid> line, or remove all group and weight lines",
                )
            weights.setdefault(server.sid, 1)
        for sid, gid in group_of.items():
            if sid not in weights:
                raise UnexplainedError(
                    file,
                    None,
                    f"Group {gid} contains {sid}, which is no voter and has no weight",
                    f"Add a server.{sid} line, or take {sid} out of the group",
                )
    return Membership(ordered, groups, weights, hierarchical)


def parse_server(sid: int, value: str, file: str | None, line: int | None, multi_address: bool) -> ServerSpec:
    """Read the value of one ``server.<sid>`` entry."""
    parts = _split(value, ";")
    sections = _split(parts[0], "|") if parts else []
    if len(parts) > 2 or not sections:
        raise ConfigError(file, line, value + _FORM, _EXAMPLE)
    client_host: str | None = None
    client_port: int | None = None
    if len(parts) == 2:
        client = _host_and_ports(parts[1], file, line)
        if not 1 <= len(client) <= 2:
            raise ConfigError(file, line, value + _FORM, _EXAMPLE)
        client_host = _canonical_host(client[0]) if len(client) == 2 else "0.0.0.0"
        # The host is not known yet where Java builds this sentence: the word is in its text.
        client_port = _port("null", client[-1], file, line)
    if len(sections) > 1 and not multi_address:
        raise ConfigError(
            file,
            line,
            f"Multiple address feature is disabled, but multiple addresses were specified for sid {sid}",
            "Start with -Dzookeeper.multiAddress.enabled=true (the key of the file is not looked at here)",
        )
    addresses: list[QuorumAddress] = []
    role: PeerType | None = None
    for section in sections:
        fields = _host_and_ports(section, file, line)
        if not 3 <= len(fields) <= 4:
            raise ConfigError(file, line, value + _FORM, _EXAMPLE)
        quorum_port, election_port = (_port(fields[0], text, file, line) for text in fields[1:3])
        if quorum_port == election_port:
            raise ConfigError(
                file,
                line,
                "Client and election port must be different! Please update the configuration file on"
                f" server.{sid}",
                "Give the third part a port of its own",
            )
        addresses.append(QuorumAddress(_canonical_host(fields[0]), quorum_port, election_port))
        if len(fields) == 4:
            this = parse_peer_type(fields[3], file, line)
            if role is not None and role != this:
                raise ConfigError(
                    file,
                    line,
                    f"Multiple addresses should have similar roles: {role.upper()} vs {this.upper()}",
                    "Give all addresses of one server the same role",
                )
            role = this
    return ServerSpec(sid, tuple(addresses), role or "participant", client_host, client_port, line)


def parse_peer_type(text: str, file: str | None, line: int | None) -> PeerType:
    """``participant`` or ``observer`` in any case."""
    match text.strip().lower():
        case "participant":
            return "participant"
        case "observer":
            return "observer"
    raise ConfigError(file, line, f"Unrecognised peertype: {text}", "Choose participant or observer")


def parse_long(text: str, file: str | None, line: int | None, remedy: str) -> int:
    """A strict decimal of 64 bits."""
    number = parse_decimal(text, LONG_MAX)
    if number is None:
        raise UnexplainedError(file, line, f'For input string: "{text}"', remedy)
    return number


def check_port(number: int, file: str | None, line: int | None) -> int:
    """Refuse what no socket address can hold; returns the port."""
    if not 0 <= number <= 0xFFFF:
        raise UnexplainedError(file, line, f"port out of range:{number}", "Choose a port between 1 and 65535")
    return number


def _id(name: str, file: str | None, line: int | None) -> int:
    # Everything that begins with these words is a member entry, a name without a dot too.
    text = name.partition(".")[2] if "." in name else name
    remedy = (
        f"Write a number after the dot of {name}; keys that begin with server., group or weight are members"
    )
    if name == "server.realm":
        remedy = "A realm cannot be set in the file: pass -Dzookeeper.server.realm instead"
    return parse_long(text, file, line, remedy)


def _group(gid: int, value: str, file: str | None, line: int, group_of: dict[int, int]) -> tuple[int, ...]:
    members: list[int] = []
    for text in _split(value, ":"):
        sid = parse_long(text, file, line, f"Write group.{gid}=<sid>:<sid>:<sid>")
        if sid in group_of:
            raise ConfigError(
                file, line, f"Server {sid}is in multiple groups", f"Leave {sid} in one group.<gid> line only"
            )
        group_of[sid] = gid
        members.append(sid)
    return tuple(members)


def _port(host: str, text: str, file: str | None, line: int | None) -> int:
    number = parse_decimal(text, INT_MAX)
    if number is None:
        raise ConfigError(file, line, f"Address unresolved: {host}:{text}", _EXAMPLE)
    return check_port(number, file, line)


def _split(text: str, separator: str) -> list[str]:
    """Java's ``String.split``: empty parts at the end do not count."""
    if separator not in text:
        return [text]
    parts = text.split(separator)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _host_and_ports(text: str, file: str | None, line: int | None) -> list[str]:
    if not text.startswith("["):
        return _split(text, ":")
    end = text.find("]")
    if end < 0:
        raise ConfigError(
            file, line, f"{text} starts with '[' but has no matching ']:'", "Close the bracket of the address"
        )
    host = text[1:end]
    if end + 1 == len(text):
        return [host]
    return [host, *_split(text[end + 2 :], ":")]


def _canonical_host(host: str) -> str:
    """Java's spelling of a host: IPv6 has eight groups without shortening; empty is this machine."""
    if not host:
        return "localhost"
    if ":" not in host or "%" in host:
        return host
    from ipaddress import AddressValueError, IPv6Address

    try:
        packed = IPv6Address(host).packed
    except AddressValueError:
        return host
    return ":".join(f"{int.from_bytes(packed[i : i + 2], 'big'):x}" for i in range(0, 16, 2))
