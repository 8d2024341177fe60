"""Putting an ``EnsembleConfig`` together: member list, own id, and the checks between them."""

from __future__ import annotations

from typing import Any, Final

import attrs

from zkpy.config.membership import Membership, parse_membership, parse_peer_type
from zkpy.config.mistakes import (
    check_addresses,
    check_limits,
    check_observer_masters,
    check_oracle,
    check_voters,
    check_weights,
)
from zkpy.config.properties import parse_properties
from zkpy.config.reading import Reader
from zkpy.config.settings import Config, EnsembleConfig, PeerType, ServerSpec
from zkpy.config.values import LONG_MAX, parse_decimal
from zkpy.errors import ConfigError

_ANY_ADDRESS: Final = (None, "0.0.0.0", "::", "0:0:0:0:0:0:0:0")
_MULTI_ADDRESS: Final = "zookeeper.multiAddress.enabled"


def read_ensemble(values: dict[str, Any], reader: Reader) -> EnsembleConfig:
    """Build the ensemble part from field values and the member entries of the static file."""
    _check_single_values(values, reader)
    if values["dynamic_config_file"] is not None:
        for name in reader.entries:
            if name.startswith(("server.", "group", "weight")):
                reader.fail(
                    f"parameter: {name} must be in a separate dynamic config file",
                    f"Move it to {values['dynamic_config_file']}, or remove dynamicConfigFile",
                    name,
                )
    members = parse_membership(reader.entries, reader.file, _multi_address(reader.properties))
    version = parse_decimal(values["version"], LONG_MAX, radix=16)
    if version is None:
        reader.fail(
            f'For input string: "{values["version"]}" under radix 16', "Remove the version line", "version"
        )
    names = {field.name for field in attrs.fields(EnsembleConfig)}
    own = {name: value for name, value in values.items() if name in names}
    own["servers"], own["groups"], own["weights"], own["hierarchical"] = members
    own["version"] = version
    own["my_id"] = None
    return EnsembleConfig(**own)


def with_dynamic_config(config: Config, text: str, file: str) -> Config:
    """The configuration with the member list of its dynamic file; the version comes from the file's name.

    Raises ``ConfigError`` for keys that do not belong there and for an impossible member list.
    """
    entries = parse_properties(text, file)
    for name, entry in entries.items():
        if name == "version":
            raise ConfigError(
                file,
                entry.line,
                "dynamic file shouldn't have version inside",
                "Remove the line; the version is the hexadecimal end of the file's name",
            )
        if not name.startswith(("server.", "group", "weight")):
            raise ConfigError(
                file, entry.line, f"Unrecognised parameter: {name}", "Move the line to the static file"
            )
    members = parse_membership(entries, file, _multi_address(config.properties))
    version = parse_decimal(file.rpartition(".")[2], LONG_MAX, radix=16) if "." in file else None
    return _finish(_replace_members(config, members, version or 0), file)


def finish_ensemble(config: Config) -> Config:
    """Check the member list of the static file; with a dynamic file that has to wait for its text."""
    return config if config.ensemble.dynamic_config_file is not None else _finish(config, config.file)


def with_myid(config: Config, myid_text: str | None) -> Config:
    """The configuration of the server whose ``myid`` file has this text; None: there is no such file.

    Only the first line counts. The client address and the role of the server's own line take effect here.
    Raises ``ConfigError`` when the id is no number, is missing in quorum mode, or is not in the member list.
    """
    if myid_text is None:
        if config.is_quorum:
            raise ConfigError(
                config.file,
                None,
                "myid file is missing",
                f"Write this server's number into {config.data_dir}/myid",
            )
        return _with_role(config, "participant")
    first = myid_text.split("\n", 1)[0].rstrip("\r")
    my_id = parse_decimal(first, LONG_MAX)
    if my_id is None:
        why = f"serverid {first} is not a number"
        raise ConfigError(config.file, None, why, f"Write one decimal number into {config.data_dir}/myid")
    ensemble = config.ensemble
    own = ensemble.member(my_id)
    changes: dict[str, Any] = {}
    if own is not None and own.client_host is not None:
        _check_client_address(config, own)
        any_address = own.client_host in _ANY_ADDRESS
        changes["client_port"] = own.client_port
        changes["client_port_address"] = None if any_address else own.client_host
    if config.is_quorum:
        _check_own_id(config, my_id, own)
    config = attrs.evolve(config, ensemble=attrs.evolve(ensemble, my_id=my_id), **changes)
    return _with_role(config, own.role if own is not None else "participant")


def _with_role(config: Config, role: PeerType) -> Config:
    """The member list knows better than ``peerType``, which is advice."""
    written = config.ensemble.peer_type
    if role == written:
        return config
    if "peerType" not in config.lines:
        return attrs.evolve(config, ensemble=attrs.evolve(config.ensemble, peer_type=role))
    warning = (
        f"Peer type from servers list ({role.upper()}) doesn't match peerType ({written.upper()})."
        " Defaulting to servers list."
    )
    return attrs.evolve(
        config,
        ensemble=attrs.evolve(config.ensemble, peer_type=role),
        warnings=(*config.warnings, warning),
    )


def _multi_address(properties: Any) -> bool:
    # The key of the same name in the file does not count here: Java asks the property only.
    return str(properties.get(_MULTI_ADDRESS, "")).lower() == "true"


def _replace_members(config: Config, members: Membership, version: int) -> Config:
    ensemble = attrs.evolve(
        config.ensemble,
        servers=members.servers,
        groups=members.groups,
        weights=members.weights,
        hierarchical=members.hierarchical,
        version=version,
    )
    return attrs.evolve(config, ensemble=ensemble)


def _check_single_values(values: dict[str, Any], reader: Reader) -> None:
    values["peer_type"] = parse_peer_type(values["peer_type"], reader.file, reader.line("peerType"))
    port = values["observer_master_port"]
    if port > 0xFFFF:
        reader.warn(
            f"observerMasterPort={port} is no port: using 0, observers follow the leader",
            "observerMasterPort",
        )
        values["observer_master_port"] = 0
    if values["election_alg"] != 3:
        reader.fail(
            "Invalid electionAlg value. Only 3 is supported", "Remove the electionAlg line", "electionAlg"
        )
    override = reader.properties.get("zookeeper.observer.syncEnabled")
    if override is not None:
        values["sync_enabled"] = override.lower() == "true"
    needs = (
        (
            "quorum_learner_require_sasl",
            "quorum.auth.learnerRequireSasl",
            "quorum_sasl_enabled",
            "enableSasl",
        ),
        ("quorum_server_require_sasl", "quorum.auth.serverRequireSasl", "quorum_sasl_enabled", "enableSasl"),
        (
            "quorum_server_require_sasl",
            "quorum.auth.serverRequireSasl",
            "quorum_learner_require_sasl",
            "learnerRequireSasl",
        ),
    )
    for field, key, needed_field, needed in needs:
        if values[field] and not values[needed_field]:
            reader.fail(
                f"quorum.auth.{needed} is disabled, so cannot enable {key}",
                f"Set quorum.auth.{needed}=true as well, or remove {key}",
                key,
            )


def _finish(config: Config, file: str | None) -> Config:
    ensemble = config.ensemble

    def fail(why: str, remedy: str, key: str | None = None) -> None:
        line = config.lines.get(key) if key is not None and file == config.file else None
        raise ConfigError(file, line, why, remedy)

    voters, observers = len(ensemble.voters), len(ensemble.observers)
    warnings: list[str] = []
    if voters == 0:
        if not ensemble.standalone_enabled:
            fail(
                "standaloneEnabled = false then number of participants should be >0",
                "Add server.<id> lines, or remove standaloneEnabled",
                "standaloneEnabled",
            )
        if observers > 0:
            fail(
                "Observers w/o participants is an invalid configuration", "Add server lines with participants"
            )
    elif voters == 1 and ensemble.standalone_enabled:
        warnings.append("Invalid configuration, only one server specified (ignoring)")
        if observers > 0:
            fail(
                "Observers w/o quorum is an invalid configuration",
                "Add more participants, or set standaloneEnabled=false",
            )
    else:
        warnings += check_voters(ensemble)
    if config.is_quorum:
        warnings += check_addresses(ensemble, file)
        warnings += check_weights(ensemble, file)
        warnings += check_oracle(config)
        warnings += check_observer_masters(config)
        config, doubtful = check_limits(config)
        warnings += doubtful
        timeout = config.properties.get("zookeeper.cnxTimeout")
        if timeout is not None and parse_decimal(timeout) is None:
            fail(f'For input string: "{timeout}"', "Write cnxTimeout as a decimal number (ms)", "cnxTimeout")
    return attrs.evolve(config, warnings=(*config.warnings, *warnings))


def _check_own_id(config: Config, my_id: int, own: ServerSpec | None) -> None:
    if own is None:
        known = ", ".join(str(server.sid) for server in config.ensemble.servers)
        remedy = f"The servers are {known}: correct myid"
        if config.ensemble.version:
            remedy = (
                f"A reconfig has removed this server: the servers are {known} (version"
                f" {config.ensemble.version:x}). To bring it back, start it with a list of these and itself,"
                " and add it by another reconfig"
            )
        raise ConfigError(config.file, None, f"My id {my_id} not in the peer list", remedy)
    if config.extended_types_enabled and my_id > 254:
        raise ConfigError(
            config.file,
            config.lines.get("extendedTypesEnabled"),
            "extendedTypesEnabled is true but Server ID is too large. Cannot be larger than 254",
            "Number the servers from 1 to 254, or remove extendedTypesEnabled",
        )


def _check_client_address(config: Config, own: ServerSpec) -> None:
    """The static client address and that of the server's own line have to agree where both are given."""
    if config.client_port is None:
        return
    same_port = config.client_port == own.client_port
    static_host = config.client_port_address
    # Names cannot be compared without resolving them, so that two different names pass.
    differs = (
        static_host not in _ANY_ADDRESS
        and static_host != own.client_host
        and _is_address(static_host)
        and _is_address(own.client_host)
    )
    if same_port and not differs:
        return
    static = "0.0.0.0/0.0.0.0" if static_host is None else f"/{static_host}"
    raise ConfigError(
        config.file,
        config.lines.get("clientPort"),
        f"client address for this server (id = {own.sid}) in static config file is"
        f" {static}:{config.client_port} is different from client address found in dynamic file:"
        f" /{own.client_host}:{own.client_port}",
        "Give both the same address and port, or remove clientPort and clientPortAddress",
    )


def _is_address(host: str | None) -> bool:
    return host is not None and (":" in host or host.replace(".", "").isdigit())
