"""A membership configuration as servers exchange it, and the pair of them that a server has in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from zkpy.config.membership import parse_membership
from zkpy.config.properties import parse_properties
from zkpy.config.settings import EnsembleConfig, ServerSpec
from zkpy.config.values import LONG_MAX, parse_decimal
from zkpy.errors import ConfigError, ProtocolError
from zkpy.quorum.verifier import (
    HierarchicalVerifier,
    MajorityVerifier,
    OracleVerifier,
    QuorumVerifier,
)

Oracle = Callable[[], bool]
"""Reads the oracle: whether this server may go on alone."""


class QuorumConfig:
    """Who the members are under one version. Immutable; never compare two as text."""

    __slots__ = ("groups", "hierarchical", "oracle", "servers", "verifier", "version", "weights")

    def __init__(
        self,
        servers: tuple[ServerSpec, ...],
        version: int = 0,
        *,
        groups: Mapping[int, tuple[int, ...]] | None = None,
        weights: Mapping[int, int] | None = None,
        hierarchical: bool = False,
        oracle: Oracle | None = None,
    ) -> None:
        self.servers: Final = tuple(sorted(servers, key=lambda server: server.sid))
        self.version: Final = version
        self.groups: Final = dict(groups or {})
        self.weights: Final = dict(weights or {})
        self.hierarchical: Final = hierarchical
        self.oracle: Final = oracle
        voters = [server.sid for server in self.servers if server.role == "participant"]
        verifier: QuorumVerifier = MajorityVerifier(voters)
        if oracle is not None:
            verifier = OracleVerifier(voters, oracle)
        elif hierarchical:
            verifier = HierarchicalVerifier(voters, self.groups, self.weights)
        self.verifier: Final = verifier

    @classmethod
    def from_ensemble(cls, ensemble: EnsembleConfig, oracle: Oracle | None = None) -> QuorumConfig:
        """The configuration that a server was started with."""
        return cls(
            ensemble.servers,
            ensemble.version,
            groups=ensemble.groups,
            weights=ensemble.weights,
            hierarchical=ensemble.hierarchical,
            oracle=oracle,
        )

    @classmethod
    def from_text(cls, text: str, oracle: Oracle | None = None, multi_address: bool = False) -> QuorumConfig:
        """Read the text of packets and of ``/zookeeper/config``.

        Raises:
            ProtocolError: the text is no configuration.
        """
        try:
            entries = parse_properties(text)
            members = parse_membership(entries, None, multi_address)
        except ConfigError as error:
            raise ProtocolError(f"configuration text: {error}") from None
        version: int | None = 0
        if "version" in entries:
            version = parse_decimal(entries["version"].value, LONG_MAX, radix=16)
        if version is None:
            raise ProtocolError("configuration text with a version that is no hexadecimal number")
        return cls(
            members.servers,
            version,
            groups=members.groups,
            weights=members.weights,
            hierarchical=members.hierarchical,
            oracle=oracle,
        )

    @property
    def voters(self) -> frozenset[int]:
        """The sids of the participants."""
        return self.verifier.voters

    @property
    def observers(self) -> frozenset[int]:
        """The sids of the observers."""
        return frozenset(server.sid for server in self.servers if server.role == "observer")

    def member(self, sid: int) -> ServerSpec | None:
        """The line of server *sid*."""
        return next((server for server in self.servers if server.sid == sid), None)

    def with_version(self, version: int) -> QuorumConfig:
        """The same members under another version."""
        return QuorumConfig(
            self.servers,
            version,
            groups=self.groups,
            weights=self.weights,
            hierarchical=self.hierarchical,
            oracle=self.oracle,
        )

    def lines(self) -> list[str]:
        """One line per member, then groups and weights; what a dynamic file holds."""
        out = [f"server.{server.sid}={server.value()}" for server in self.servers]
        for gid, members in sorted(self.groups.items()):
            out.append(f"group.{gid}={':'.join(map(str, members))}")
        out += (f"weight.{sid}={weight}" for sid, weight in sorted(self.weights.items()))
        return out

    def text(self) -> str:
        """The text for packets and ``/zookeeper/config``: the version last, no newline after it."""
        return "\n".join([*self.lines(), f"version={self.version:x}"])

    def same_members(self, other: QuorumConfig) -> bool:
        """Whether members, roles, addresses, groups and weights agree, whatever the version."""
        return self._content() == other._content()

    def quorum_addresses(self, sid: int) -> frozenset[tuple[str, int]]:
        """The quorum addresses of *sid*; empty when it is no member."""
        server = self.member(sid)
        if server is None:
            return frozenset()
        return frozenset((address.host, address.quorum_port) for address in server.addresses)

    def _content(self) -> tuple[object, ...]:
        servers = [
            (server.sid, server.role, frozenset(server.addresses), server.client_host, server.client_port)
            for server in self.servers
        ]
        groups = {gid: frozenset(members) for gid, members in self.groups.items()}
        return type(self.verifier), servers, groups, self.weights


class Configs:
    """The committed configuration and the last seen one; the latter counts while it is newer."""

    __slots__ = ("committed", "last_seen")

    def __init__(self, committed: QuorumConfig, last_seen: QuorumConfig | None = None) -> None:
        self.committed = committed
        self.last_seen = last_seen if last_seen is not None else committed

    def in_force(self) -> list[QuorumConfig]:
        """The configurations in which every quorum test must hold, oldest first."""
        if self.last_seen.version > self.committed.version:
            return [self.committed, self.last_seen]
        return [self.committed]

    def verifiers(self) -> list[QuorumVerifier]:
        """Their verifiers."""
        return [config.verifier for config in self.in_force()]

    def voters(self) -> frozenset[int]:
        """Who votes in the committed or in the last seen configuration."""
        return self.committed.voters | self.last_seen.voters
