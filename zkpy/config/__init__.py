"""zoo.cfg and dynamic configuration files → one immutable object; an error names line and remedy.

Pure: functions take text and names, and return values; reading files and logging are the caller's.
"""

from zkpy.config.ensemble import with_dynamic_config, with_myid
from zkpy.config.key import IMPLEMENTED, NO_EFFECT, NOT_YET, Key, Kind
from zkpy.config.keys import KEYS, closest_name, find_key
from zkpy.config.parse import embedded_config, parse_config, positional_config
from zkpy.config.properties import format_properties, parse_properties
from zkpy.config.settings import ALL_WORDS, Config, EnsembleConfig, QuorumAddress, ServerSpec

__all__ = [
    "ALL_WORDS",
    "IMPLEMENTED",
    "KEYS",
    "NOT_YET",
    "NO_EFFECT",
    "Config",
    "EnsembleConfig",
    "Key",
    "Kind",
    "QuorumAddress",
    "ServerSpec",
    "closest_name",
    "embedded_config",
    "find_key",
    "format_properties",
    "parse_config",
    "parse_properties",
    "positional_config",
    "with_dynamic_config",
    "with_myid",
]
