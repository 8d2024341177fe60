"""What a test asks for → the configuration of a standalone server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs

from zkpy.config import Config, Key, Kind, closest_name, embedded_config, find_key
from zkpy.config.properties import Entry
from zkpy.config.reading import Reader
from zkpy.errors import ConfigError

Setting: TypeAlias = str | int | float | bool

_ARGUMENTS: Final = {"clientPort": "port", "clientPortAddress": "host", "dataDir": "data_dir"}


def server_config(
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    data_dir: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Setting] | None = None,
    config: Config | None = None,
    **fields: Any,
) -> Config:
    """The configuration for these options; they are explained at ``zkpy.testing.Server``.

    Raises:
        ConfigError: a setting that does not exist, cannot be used, or asks for an ensemble.
        TypeError: a field that ``Config`` does not have, or options beside *config*.
    """
    if config is not None:
        if fields or settings or data_dir is not None or (port, host) != (0, "127.0.0.1"):
            raise TypeError("config= is the whole configuration: vary it with attrs.evolve")
    else:
        defines, given = _read(settings or {})
        config = embedded_config(
            data_dir=None if data_dir is None else os.path.abspath(data_dir),
            defines=defines,
            **{**given, "client_port": port, "client_port_address": host, **fields},
        )
    if config.is_quorum:
        raise _refusal("the configuration names several servers", "A test server stands alone")
    if config.client_port is None:
        raise _refusal("clientPort is not set", "A test server needs one; 0 takes any free port")
    return config


def _read(settings: Mapping[str, Setting]) -> tuple[dict[str, str], dict[str, Any]]:
    """zoo.cfg keys as Java properties, and as fields where no property exists."""
    defines: dict[str, str] = {}
    fields: dict[str, Any] = {}
    names = {field.name for field in attrs.fields(Config)}
    for name, value in settings.items():
        key = find_key(name)
        if key is None:
            closest = closest_name(name)
            raise _refusal(f"unknown setting {name}", f"Did you mean {closest}?" if closest else "")
        if name in _ARGUMENTS:
            raise _refusal(f"{name} cannot be a setting here", f"Give the argument {_ARGUMENTS[name]}=")
        if key.origin == "P":
            if key.family or key.field not in names:
                raise _refusal(f"{name} is for ensembles", "Leave it out: a test server stands alone")
            entries = {name: Entry(_text(key, value), 0)}
            fields[key.field] = Reader(entries, None, {}).read_fields()[key.field]
        else:
            defines[name if key.origin == "J" else f"zookeeper.{name}"] = _text(key, value)
    return defines, fields


def _text(key: Key, value: Setting) -> str:
    if isinstance(value, bool):
        yes_no = key.kind in (Kind.NOT_NO, Kind.YES)
        return ("yes" if value else "no") if yes_no else str(value).lower()
    return str(value)


def _refusal(why: str, remedy: str) -> ConfigError:
    return ConfigError(None, None, why, remedy)
