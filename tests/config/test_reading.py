"""Warnings: settings that Java takes without a word although they cannot do what their author meant."""

from __future__ import annotations

import pytest

from zkpy.config import parse_config

IGNORED = "-Dzookeeper.fips-mode is not implemented yet: the setting is ignored"


def warnings(text: str, **defines: str) -> tuple[str, ...]:
    return parse_config("dataDir=/d\n" + text, "zoo.cfg", defines).warnings


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("snapcount=5", "zoo.cfg:2: unknown key snapcount: did you mean snapCount?"),
        (
            "what.ever=5",
            "zoo.cfg:2: unknown key what.ever: neither ZooKeeper nor zkpy reads it",
        ),
        ("jute.maxbufer=5", "zoo.cfg:2: unknown key jute.maxbufer: did you mean -Djute.maxbuffer?"),
        (
            "readonlymode.enabled=true",
            "zoo.cfg:2: readonlymode.enabled has no effect in zoo.cfg;"
            " pass it with -Dreadonlymode.enabled=<value>",
        ),
        ("fips-mode=true", "zoo.cfg:2: fips-mode is not implemented yet: the setting is ignored"),
        ("snapCount=x", "zoo.cfg:2: snapCount=x is not a number and is ignored: the default is 100000"),
        ("snapCount=1", "zoo.cfg:2: snapCount=1 is less than 2: using 2"),
        ("snapCount=010", "zoo.cfg:2: snapCount=010 begins with a zero and therefore is octal: 8"),
        ("digest.enabled=yes", "zoo.cfg:2: digest.enabled=yes counts as off: true or else false"),
        ("forceSync=false", "zoo.cfg:2: forceSync=false counts as on: on unless no"),
        ("skipACL=true", "zoo.cfg:2: skipACL=true counts as off: off unless yes"),
        ("admin.enableServer=no", "zoo.cfg:2: admin.enableServer=no counts as on: on unless false"),
        ("snapshot.compression.method=zip", "zoo.cfg:2: snapshot.compression.method=zip is neither gz nor"),
        ("largeRequestThreshold=0", "zoo.cfg:2: largeRequestThreshold=0 would stop every request"),
        ("connection_throttle_local_session_weight=9", "is less than the local weight: using 9"),
        ("dataLogDir=logs", "zoo.cfg:2: logs is relative. Prepend ./ to indicate that you're sure!"),
    ],
)
def test_a_doubtful_setting_is_pointed_out(text: str, warning: str) -> None:
    assert any(line.startswith(warning) or warning in line for line in warnings(text)), warnings(text)


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        (
            "zookeeper.clientPort",
            "1",
            "-Dzookeeper.clientPort has no effect; write clientPort=<value> in the configuration file",
        ),
        ("clientPort", "1", "-DclientPort has no effect; write clientPort=<value> in the configuration file"),
        ("snapCount", "5", "-DsnapCount has no effect; the property is called zookeeper.snapCount"),
        (
            "zookeeper.snapcount",
            "5",
            "unknown property -Dzookeeper.snapcount: did you mean -Dzookeeper.snapCount?",
        ),
        (
            "zookeeper.jute.maxbuffer",
            "5",
            "unknown property -Dzookeeper.jute.maxbuffer: did you mean -Djute.maxbuffer?",
        ),
        (
            "zookeeper.fips-mode",
            "true",
            "-Dzookeeper.fips-mode is not implemented yet: the setting is ignored",
        ),
        (
            "zookeeper.snapCount",
            "x",
            "-Dzookeeper.snapCount=x is not a number and is ignored: the default is 100000",
        ),
        ("leader.nodelay", "TRUE", "-Dleader.nodelay=TRUE counts as off: true or else false (exact case)"),
    ],
)
def test_a_doubtful_define_is_pointed_out(name: str, value: str, warning: str) -> None:
    assert warning in warnings("", **{name: value})


@pytest.mark.parametrize(
    "defines",
    [
        {"java.io.tmpdir": "/tmp"},
        {"zookeeper.sasl.client": "false"},
        {"zookeeper.something.private": "1"},
        {"zookeeper.snapCount": "5"},
        {"jute.maxbuffer": "5"},
        {"fsync.warningthresholdms": "5"},
        {"zookeeper.observer.syncEnabled": "true"},
    ],
)
def test_a_sensible_define_needs_no_warning(defines: dict[str, str]) -> None:
    assert warnings("", **defines) == ()


@pytest.mark.parametrize(
    "text",
    ["initLimit=10\nsyncLimit=5", "nio.numWorkerThreads=8", "4lw.commands.whitelist=*", "snapCount=7"],
)
def test_an_ordinary_file_needs_no_warning(text: str) -> None:
    assert warnings(text) == ()


def test_snapshot_size_factor_stays_below_one() -> None:
    assert parse_config("dataDir=/d\nsnapshotSizeFactor=2", "f").ensemble.snapshot_size_factor == 0.33
    assert parse_config("dataDir=/d\nsnapshotSizeFactor=NaN", "f").ensemble.snapshot_size_factor == 0.33
    assert parse_config("dataDir=/d\nsnapshotSizeFactor=-1", "f").ensemble.snapshot_size_factor == -1.0
