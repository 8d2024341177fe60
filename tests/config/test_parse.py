"""Configurations as a whole: values, combinations, errors with their place, three ways to build one."""

from __future__ import annotations

import contextlib
import pickle
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.config import KEYS, Config, embedded_config, parse_config, positional_config
from zkpy.errors import ConfigError


def parse(text: str, **defines: str) -> Config:
    return parse_config("dataDir=/d\n" + text, "zoo.cfg", defines)


def field(text: str, name: str) -> Any:
    return getattr(parse(text), name)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("clientPort=2181", "client_port", 2181),
        ("clientPort=0", "client_port", 0),
        ("clientPort=1\nclientPortAddress=", "client_port_address", "127.0.0.1"),
        ("clientPort=1\nclientPortAddress=zk1", "client_port_address", "zk1"),
        ("dataLogDir=/l", "data_log_dir", "/l"),
        ("dataLogDir=", "data_log_dir", "/d"),
        ("tickTime=2000", "min_session_timeout_ms", 4000),
        ("tickTime=2000", "max_session_timeout_ms", 40000),
        ("tickTime=2000000000", "max_session_timeout_ms", 2**31 - 1),
        ("minSessionTimeout=-1\nmaxSessionTimeout=70000", "min_session_timeout_ms", 6000),
        ("maxClientCnxns=0", "max_client_cnxns", 0),
        ("autopurge.snapRetainCount=2", "autopurge_snap_retain_count", 3),
        ("autopurge.purgeInterval=24", "autopurge_purge_interval_hours", 24),
        ("jvm.pause.monitor=TRUE", "jvm_pause_monitor", True),
        ("snapCount=1", "snap_count", 2),
        ("snapCount=010", "snap_count", 8),
        ("snapCount=0x10", "snap_count", 16),
        ("snapCount=many", "snap_count", 100_000),
        ("snapSizeLimitInKb=0", "snap_size_limit_kb", 0),
        ("snapSizeLimitInKb=-5", "snap_size_limit_kb", 0),
        ("txnLogSizeLimitInKb=10", "txn_log_size_limit_kb", 10),
        ("preAllocSize=0x10", "pre_alloc_size_kb", 65536),
        ("preAllocSize=010", "pre_alloc_size_kb", 10),
        ("forceSync=no", "force_sync", False),
        ("forceSync=NO", "force_sync", True),
        ("commitLogCount=499", "commit_log_count", 500),
        ("commitLogCount=501", "commit_log_count", 501),
        ("snapshot.compression.method=GZ", "snapshot_compression", "gz"),
        ("snapshot.compression.method=zip", "snapshot_compression", ""),
        ("digest.enabled=TRUE", "digest_enabled", True),
        ("digest.enabled=yes", "digest_enabled", False),
        ("jute.maxbuffer.extrasize=1", "jute_max_buffer_extra", 1024),
        ("jute.maxbuffer=7", "jute_max_buffer", 0xFFFFF),
        ("maxCnxns=-1", "max_cnxns", 0),
        ("largeRequestMaxBytes=0", "large_request_max_bytes", 104_857_600),
        ("largeRequestThreshold=0", "large_request_threshold_bytes", -1),
        ("largeRequestThreshold=-2", "large_request_threshold_bytes", -1),
        ("connection_throttle_drop_increase=0.5", "connection_throttle_drop_increase", 0.5),
        ("connection_throttle_local_session_weight=0", "connection_throttle_local_session_weight", 1),
        ("connection_throttle_local_session_weight=9", "connection_throttle_global_session_weight", 9),
        ("connection_throttle_local_session_weight=9", "connection_throttle_renew_session_weight", 9),
        ("skipACL=yes", "skip_acl", True),
        ("skipACL=true", "skip_acl", False),
        ("admin.enableServer=FALSE", "admin_enable_server", True),
        ("admin.enableServer=false", "admin_enable_server", False),
        ("admin.rateLimiterIntervalInMS=x", "admin_rate_limiter_interval_ms", 300_000),
        ("reconfigEnabled=true", "reconfig_enabled", True),
    ],
)
def test_a_setting_has_the_value_that_zookeeper_would_use(text: str, name: str, value: object) -> None:
    assert field(text, name) == value


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("tickTime=0", 2, "tickTime is not set"),
        ("\ntickTime=abc", 3, 'For input string: "abc"'),
        ("tickTime=", 2, 'For input string: ""'),
        ("tickTime=0x10", 2, 'For input string: "0x10"'),
        ("tickTime=99999999999", 2, 'For input string: "99999999999"'),
        ("tickTime=-5", 2, "minSessionTimeout must not be larger than maxSessionTimeout"),
        (
            "minSessionTimeout=9\nmaxSessionTimeout=8",
            2,
            "minSessionTimeout must not be larger than maxSessionTimeout",
        ),
        ("clientPort=70000", 2, "port out of range:70000"),
        ("clientPort=-1", 2, "port out of range:-1"),
        ("secureClientPort=70000", 2, "port out of range:70000"),
        ("clientPortAddress=1.2.3.4", 2, "clientPortAddress is set but clientPort is not set"),
        (
            "secureClientPortAddress=1.2.3.4",
            2,
            "secureClientPortAddress is set but secureClientPort is not set",
        ),
        ("standaloneEnabled=yes", 2, "Invalid option yes for standaloneEnabled. Choose 'true' or 'false.'"),
        ("jvm.pause.monitor=1", 2, "Invalid option 1 for jvm.pause.monitor. Choose 'true' or 'false.'"),
        ("jvm.pause.sleep.time.ms=x", 2, 'For input string: "x"'),
        ("autopurge.purgeInterval=1h", 2, 'For input string: "1h"'),
        ("intBufferStartingSizeBytes=31", 2, "Buffer starting size must be greater than or equal to 32"),
        ("nio.numSelectorThreads=0", 2, "numSelectorThreads must be at least 1"),
        ("connection_throttle_drop_increase=x", 2, 'For input string: "x"'),
        ("a=\\u12", 2, "Malformed \\uxxxx encoding"),
    ],
)
def test_a_fatal_setting_names_its_line_in_zookeepers_words(text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"zoo.cfg:{line}: {why}")
    assert len(caught.value.remedy) > 10


def test_a_data_directory_is_required() -> None:
    with pytest.raises(ConfigError, match="dataDir is not set"):
        parse_config("clientPort=2181", "zoo.cfg")
    with pytest.raises(ConfigError, match=r"zoo\.cfg:1: dataDir is not set"):
        parse_config("dataDir=", "zoo.cfg")


def test_the_file_overwrites_a_define_of_the_same_property() -> None:
    defines = {"zookeeper.snapCount": "7", "zookeeper.maxBatchSize": "9"}
    config = parse("snapCount=5", **defines)
    assert (config.snap_count, config.max_batch_size) == (5, 9)
    assert config.properties == {"zookeeper.snapCount": "5", "zookeeper.maxBatchSize": "9"}


def test_java_only_settings_come_from_defines() -> None:
    config = parse(
        "",
        **{
            "jute.maxbuffer": "0x1000",
            "znode.container.checkIntervalMs": "5",
            "readonlymode.enabled": "TRUE",
        },
    )
    assert (config.jute_max_buffer, config.jute_max_buffer_extra) == (4096, 4096)
    assert config.container_check_interval_ms == 5
    assert config.read_only_mode
    assert parse("", **{"jute.maxbuffer": "10"}).jute_max_buffer_extra == 1024


def test_parsed_keys_do_not_become_properties_and_all_others_do() -> None:
    config = parse("tickTime=5\nserver.1=a:1:2\nmy.own=x\nmetricsProvider.httpPort=1")
    assert config.properties == {"zookeeper.server.1": "a:1:2", "zookeeper.my.own": "x"}
    assert config.metrics_provider_options == {"httpPort": "1"}
    assert config.lines["my.own"] == 4


def test_the_bare_fsync_name_counts_while_the_regular_one_is_not_set() -> None:
    assert parse("", **{"fsync.warningthresholdms": "5"}).fsync_warning_threshold_ms == 5
    assert parse("fsync.warningthresholdms=6").fsync_warning_threshold_ms == 6


def test_a_configuration_can_be_varied_compared_and_pickled() -> None:
    config = parse("clientPort=2181")
    other = attrs.evolve(config, snap_count=20)
    assert (other.snap_count, other.client_port) == (20, 2181)
    assert other != config
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.snap_count = 3  # type: ignore[misc]


def test_secrets_do_not_show_in_a_printed_configuration() -> None:
    config = parse("DigestAuthenticationProvider.superDigest=super:c2VjcmV0")
    assert config.super_digest == "super:c2VjcmV0"
    assert "c2VjcmV0" not in repr(config)


def test_an_embedded_server_listens_on_this_machine_only_and_stores_nothing() -> None:
    config = embedded_config()
    assert (config.client_port, config.client_port_address) == (2181, "127.0.0.1")
    assert config.memory_only
    assert (config.tick_time_ms, config.min_session_timeout_ms, config.max_session_timeout_ms) == (
        2000,
        4000,
        40000,
    )
    assert not config.is_quorum
    assert not config.admin_enable_server
    assert config.file is None
    assert config.warnings == ()


def test_an_embedded_server_derives_what_is_not_overridden() -> None:
    config = embedded_config(
        "/d",
        tick_time_ms=100,
        max_session_timeout_ms=-1,
        four_letter_words={"ruok"},
        auth_providers={"1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"},
        enforce_auth_enabled=True,
        enforce_auth_schemes=("sasl",),
        ensemble_auth_names={"a", "b"},
        defines={"zookeeper.snapCount": "9"},
    )
    assert (config.data_dir, config.data_log_dir) == ("/d", "/d")
    assert (config.min_session_timeout_ms, config.max_session_timeout_ms) == (200, 2000)
    assert config.four_letter_words == {"srvr", "ruok"}
    assert config.enforce_auth_schemes == ("sasl",)
    assert config.ensemble_auth_names == {"a", "b"}
    assert config.snap_count == 9
    assert embedded_config(client_port=None).client_port_address is None
    assert embedded_config(warnings=("w",)).warnings == ("w",)


def test_an_embedded_server_refuses_what_a_file_could_not_say() -> None:
    with pytest.raises(TypeError, match="Config has no field snapcount"):
        embedded_config(snapcount=3)
    with pytest.raises(ConfigError, match="port out of range:70000"):
        embedded_config(client_port=70000)


def test_the_positional_form_has_no_connection_limit() -> None:
    config = positional_config(["2181", "/d"])
    assert (config.client_port, config.data_dir, config.tick_time_ms) == (2181, "/d", 3000)
    assert config.max_client_cnxns == 0
    config = positional_config(["2181", "/d", "500", "7"])
    assert (config.tick_time_ms, config.max_client_cnxns, config.max_session_timeout_ms) == (500, 7, 10_000)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["zoo.cfg"], "Invalid number of arguments"),
        (["1", "d", "3", "4", "5"], "Invalid number of arguments"),
        (["x", "/d"], 'For input string: "x"'),
        (["2181", "/d", "1s"], 'For input string: "1s"'),
        (["70000", "/d"], "port out of range:70000"),
    ],
)
def test_wrong_positional_arguments_are_refused(args: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        positional_config(args)
    assert caught.value.line is None


def test_the_sample_file_parses_without_a_warning() -> None:
    text = (Path(__file__).parents[2] / "zoo.cfg.sample").read_text("iso-8859-1")
    config = parse_config(text, "zoo.cfg.sample")
    assert config.warnings == ()
    assert (config.client_port, config.client_port_address, config.tick_time_ms) == (2181, "127.0.0.1", 2000)


def test_everything_commented_out_in_the_sample_parses_too() -> None:
    text = (Path(__file__).parents[2] / "zoo.cfg.sample").read_text("iso-8859-1")
    settings = re.sub(r"^# (?=[\w.]+=)", "", text, flags=re.MULTILINE)
    assert settings.count("\n#") < text.count("\n#") - 10
    assert parse_config(settings, "zoo.cfg.sample").warnings == ()


_NAMES = st.sampled_from([key.name + ("1" if key.family else "") for key in KEYS])
_VALUES = st.text() | st.sampled_from(["0", "-1", "1", "true", "no", "x", "a:1:2;3", "1:2", "99999999999"])


@given(st.lists(st.tuples(_NAMES, _VALUES)), st.dictionaries(_NAMES, _VALUES), st.text())
def test_any_configuration_parses_or_is_a_configuration_error(
    settings: list[tuple[str, str]], defines: dict[str, str], tail: str
) -> None:
    text = "dataDir=/d\n" + "\n".join(f"{name}={value}" for name, value in settings) + "\n" + tail
    with contextlib.suppress(ConfigError):
        config = parse_config(text, "zoo.cfg", defines)
        assert config.min_session_timeout_ms <= config.max_session_timeout_ms
        assert all(isinstance(warning, str) for warning in config.warnings)


@given(st.text())
def test_any_text_parses_or_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text + "\ntickTime=nonsense", "zoo.cfg")
