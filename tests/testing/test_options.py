"""What a test asks for becomes a configuration, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from zkpy.config import ALL_WORDS, embedded_config, parse_config
from zkpy.errors import ConfigError
from zkpy.testing.options import server_config


def test_without_options_it_is_a_memory_server_on_a_free_local_port() -> None:
    config = server_config()
    assert config.memory_only
    assert (config.client_port_address, config.client_port) == ("127.0.0.1", 0)
    assert not config.warnings


def test_fields_of_config_and_what_follows_from_them() -> None:
    config = server_config(tick_time_ms=50, max_client_cnxns=0)
    assert (config.min_session_timeout_ms, config.max_session_timeout_ms) == (100, 1000)
    assert config.max_client_cnxns == 0


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="tick_time"):
        server_config(tick_time=50)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("tickTime", 250, "tick_time_ms", 250),
        ("tickTime", "250", "tick_time_ms", 250),
        ("snapCount", 1000, "snap_count", 1000),
        ("forceSync", False, "force_sync", False),
        ("forceSync", "no", "force_sync", False),
        ("skipACL", True, "skip_acl", True),
        ("extendedTypesEnabled", True, "extended_types_enabled", True),
        ("reconfigEnabled", True, "reconfig_enabled", True),
        ("jute.maxbuffer", 4096, "jute_max_buffer", 4096),
        ("4lw.commands.whitelist", "*", "four_letter_words", frozenset({ALL_WORDS})),
        ("authProvider.1", "com.example.Some", "auth_providers", {"1": "com.example.Some"}),
    ],
)
def test_settings_have_the_names_of_zoo_cfg(name: str, value: Any, field: str, expected: object) -> None:
    assert getattr(server_config(settings={name: value}), field) == expected


def test_derived_values_follow_settings_too() -> None:
    assert server_config(settings={"tickTime": 50}).max_session_timeout_ms == 1000


def test_a_field_wins_over_a_setting() -> None:
    assert server_config(settings={"tickTime": 50}, tick_time_ms=60).tick_time_ms == 60


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"tickTme": 50}, "Did you mean tickTime?"),
        ({"nothing.like.it": 50}, "unknown setting"),
        ({"clientPort": 50}, "port="),
        ({"dataDir": "/x"}, "data_dir="),
        ({"server.1": "a:1:2"}, "stands alone"),
        ({"initLimit": 5}, "stands alone"),
        ({"tickTime": "soon"}, "plain decimal"),
        ({"minSessionTimeout": 20, "maxSessionTimeout": 10}, "must not be larger"),
    ],
)
def test_a_setting_that_cannot_be_used_says_what_to_do(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy.replace("?", r"\?")):
        server_config(settings=settings)


def test_a_data_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert server_config(data_dir=Path("data")).data_dir == str(tmp_path / "data")


def test_a_whole_configuration_is_taken_as_it_is() -> None:
    config = embedded_config(client_port=0, tick_time_ms=77)
    assert server_config(config=config) is config


@pytest.mark.parametrize(
    "options",
    [{"port": 1}, {"host": "::1"}, {"data_dir": "x"}, {"settings": {"tickTime": 1}}, {"snap_count": 5}],
)
def test_a_whole_configuration_goes_with_nothing_else(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"attrs\.evolve"):
        server_config(config=embedded_config(), **options)


def test_a_configuration_without_a_client_port_is_refused() -> None:
    with pytest.raises(ConfigError, match="clientPort is not set"):
        server_config(config=attrs.evolve(embedded_config(), client_port=None))


def test_a_member_of_an_ensemble_is_refused() -> None:
    members = "".join(f"server.{sid}=127.0.0.1:{sid}:{sid + 10}\n" for sid in (1, 2, 3))
    text = f"dataDir=/x\nclientPort=0\ninitLimit=5\nsyncLimit=5\n{members}"
    with pytest.raises(ConfigError, match="several servers"):
        server_config(config=parse_config(text, "zoo.cfg"))
