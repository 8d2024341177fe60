"""zoo.cfg, start arguments or keyword arguments → ``Config``; how settings combine and exclude one another.

Pure: the caller reads the files and logs the warnings. A member of an ensemble is put together in steps::

    config = parse_config(text, path, defines)
    if config.ensemble.dynamic_config_file is not None:    # the member list lives in a file of its own
        config = with_dynamic_config(config, its_text, its_path)
    config = with_myid(config, text_of_the_myid_file_or_None)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from zkpy.config.access import derive_access
from zkpy.config.ensemble import finish_ensemble, read_ensemble
from zkpy.config.membership import check_port
from zkpy.config.properties import Entry, parse_properties
from zkpy.config.reading import Reader
from zkpy.config.settings import Config
from zkpy.config.values import INT_MAX
from zkpy.errors import ConfigError

_NO_DEFINES: Final[Mapping[str, str]] = MappingProxyType({})
_COMMA_LISTS: Final = frozenset(("enforce_auth_schemes", "ensemble_auth_names", "four_letter_words"))
_USAGE: Final = "Give: configfile | port datadir [ticktime] [maxcnxns]"


def parse_config(text: str, file: str, defines: Mapping[str, str] = _NO_DEFINES) -> Config:
    """Read a configuration file.

    ``text`` is the file's content decoded as ISO-8859-1; ``file`` its name, for messages. ``defines`` are the
    Java-style properties of the command line under their full names (``zookeeper.snapCount``,
    ``jute.maxbuffer``); the file wins over a define of the same property. Raises ``ConfigError``.
    """
    reader = Reader(parse_properties(text, file), file, defines)
    values = reader.read_fields()
    if not values["data_dir"]:
        reader.fail(
            "dataDir is not set", "Add a line such as dataDir=/var/lib/zookeeper to the file", "dataDir"
        )
    return _assemble(reader, dict(values), text)


def positional_config(args: Sequence[str], defines: Mapping[str, str] = _NO_DEFINES) -> Config:
    """The short form of the command line: ``port datadir [ticktime] [maxcnxns]``.

    As in ZooKeeper, connections per client address are not limited unless the fourth argument says so.
    Raises ``ConfigError`` (without file and line).
    """
    if not 2 <= len(args) <= 4:
        raise ConfigError(None, None, f"Invalid number of arguments:[{', '.join(args)}]", _USAGE)
    names = ("clientPort", "dataDir", "tickTime", "maxClientCnxns")
    entries = {"maxClientCnxns": Entry("0", 0)}
    entries.update((name, Entry(value, 0)) for name, value in zip(names, args, strict=False))
    reader = Reader(entries, None, defines)
    return _assemble(reader, dict(reader.read_fields()), "")


def embedded_config(
    data_dir: str | None = None, *, defines: Mapping[str, str] = _NO_DEFINES, **overrides: Any
) -> Config:
    """A safe start without a file: 127.0.0.1:2181, tickTime 2000, no admin server; for tests and embedding.

    ``data_dir`` None keeps everything in memory. ``overrides`` are fields of ``Config``; session bounds and
    other derived values follow those that are given. Raises ``TypeError`` for a field that does not exist and
    ``ConfigError`` for values that do not fit together.
    """
    unknown = sorted(overrides.keys() - {field.name for field in attrs.fields(Config)})
    if unknown:
        raise TypeError(f"Config has no field {', '.join(unknown)}")
    reader = Reader({}, None, defines)
    values: dict[str, Any] = dict(reader.read_fields())
    values.update(
        data_dir=data_dir,
        client_port=2181,
        client_port_address="127.0.0.1",
        tick_time_ms=2000,
        admin_enable_server=False,
    )
    if overrides.get("client_port", 0) is None:
        values["client_port_address"] = None
    for suffix, class_name in overrides.pop("auth_providers", {}).items():
        reader.properties[f"zookeeper.authProvider.{suffix}"] = class_name
    for name in _COMMA_LISTS & overrides.keys():
        values[name] = ",".join(overrides.pop(name))
    values.update((name, overrides.pop(name)) for name in values.keys() & overrides.keys())
    # The rest is what no single key sets: it is put on top of what was derived.
    return attrs.evolve(_assemble(reader, values, ""), **overrides)


def _assemble(reader: Reader, values: dict[str, Any], text: str) -> Config:
    reader.check_names()
    _ports(values, reader)
    _times(values, reader)
    _storage(values, reader)
    _limits(values, reader)
    derive_access(values, reader)
    values["ensemble"] = read_ensemble(values, reader)
    values["properties"] = reader.properties
    values["warnings"] = tuple(reader.warnings)
    values["file"] = reader.file
    values["lines"] = {name: entry.line for name, entry in reader.entries.items()}
    values["text"] = text
    names = {field.name for field in attrs.fields(Config)}
    return finish_ensemble(Config(**{name: value for name, value in values.items() if name in names}))


def _ports(values: dict[str, Any], reader: Reader) -> None:
    for port, address, key in (
        ("client_port", "client_port_address", "clientPort"),
        ("secure_client_port", "secure_client_port_address", "secureClientPort"),
    ):
        if values[port] is not None:
            check_port(values[port], reader.file, reader.line(key))
        elif values[address] is not None:
            reader.fail(
                f"{key}Address is set but {key} is not set", f"Add {key}=<port> as well", f"{key}Address"
            )
        if values[address] == "":
            # An empty host name is the loopback address to Java, not every address.
            values[address] = "127.0.0.1"
    for field, key in (("data_dir", "dataDir"), ("data_log_dir", "dataLogDir")):
        path = values[field]
        if path and not path.startswith(("/", "./")):
            reader.warn(f"{path} is relative. Prepend ./ to indicate that you're sure!", key)
    if not values["data_log_dir"]:
        values["data_log_dir"] = values["data_dir"]


def _times(values: dict[str, Any], reader: Reader) -> None:
    tick = values["tick_time_ms"]
    if tick == 0:
        reader.fail("tickTime is not set", "Add a line such as tickTime=2000 to the file", "tickTime")
    for field, ticks in (("min_session_timeout_ms", 2), ("max_session_timeout_ms", 20)):
        if values[field] == -1:
            values[field] = min(tick * ticks, INT_MAX)
    if values["min_session_timeout_ms"] > values["max_session_timeout_ms"]:
        reader.fail(
            "minSessionTimeout must not be larger than maxSessionTimeout",
            f"They are {values['min_session_timeout_ms']} and {values['max_session_timeout_ms']} ms; unset"
            " ones are 2 and 20 times tickTime",
            "minSessionTimeout",
            "maxSessionTimeout",
            "tickTime",
        )


def _storage(values: dict[str, Any], reader: Reader) -> None:
    for field in ("snap_size_limit_kb", "txn_log_size_limit_kb"):
        values[field] = max(values[field], 0)
    if values["jute_max_buffer_extra"] is None:
        values["jute_max_buffer_extra"] = max(values["jute_max_buffer"], 1024)
    method = values["snapshot_compression"].lower()
    if method not in ("", "gz", "snappy"):
        reader.warn(
            f"snapshot.compression.method={method} is neither gz nor snappy: snapshots are not compressed",
            "snapshot.compression.method",
        )
        method = ""
    values["snapshot_compression"] = method


def _limits(values: dict[str, Any], reader: Reader) -> None:
    if values["large_request_threshold_bytes"] == 0:
        reader.warn(
            "largeRequestThreshold=0 would stop every request: using -1 (off)", "largeRequestThreshold"
        )
        values["large_request_threshold_bytes"] = -1
    local = values["connection_throttle_local_session_weight"]
    for kind in ("renew", "global"):
        field = f"connection_throttle_{kind}_session_weight"
        if values[field] < local:
            reader.warn(f"{field}={values[field]} is less than the local weight: using {local}", field)
            values[field] = local
