"""Members and limits that can be read and cannot work."""

from __future__ import annotations

import pytest

from zkpy.config import parse_config
from zkpy.config.ensemble import with_dynamic_config, with_myid
from zkpy.config.settings import Config
from zkpy.errors import ConfigError

BASE = "dataDir=/d\nclientPort=2181\ninitLimit=5\nsyncLimit=3\n"
THREE = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"


def parse(text: str) -> Config:
    return parse_config(BASE + text, "zoo.cfg")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "server.1=a:1:2\nserver.2=a:1:3\nserver.3=c:1:2",
            "zoo.cfg:6: a:1 is the quorum port of server.1 and the quorum port of server.2. Give every",
        ),
        (
            "server.1=a:1:2\nserver.2=A:2:3\nserver.3=c:1:2",
            "A:2 is the election port of server.1 and the quorum port of server.2",
        ),
        (
            "server.1=a:1:2;1\nserver.2=b:1:2\nserver.3=c:1:2",
            "a:1 is the quorum port of server.1 and the client port of server.1",
        ),
        (
            "server.1=a:1:2;a:5\nserver.2=a:5:2\nserver.3=c:1:2",
            "a:5 is the client port of server.1 and the quorum port of server.2",
        ),
        (
            THREE + "group.1=1:2:3\nweight.1=0\nweight.2=0\nweight.3=0",
            "No group has any weight, so no server can be elected. Give the voters",
        ),
    ],
)
def test_what_cannot_work_is_refused(lines: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(lines)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("group.1=1:2:3\nweight.3=0", "group.1 weighs 2 in all"),
        ("group.1=1:2\ngroup.2=3", "group.1 weighs 2 in all"),
        ("group.1=1:2\ngroup.2=3", "2 groups: more than half"),
    ],
)
def test_what_is_doubtful_is_said(lines: str, told: str) -> None:
    assert any(told in warning for warning in parse(THREE + lines).warnings)


@pytest.mark.parametrize("lines", ["", "group.1=1:2:3", "group.1=1\ngroup.2=2\ngroup.3=3"])
def test_what_is_as_it_should_be(lines: str) -> None:
    assert not parse(THREE + lines).warnings


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "initLimit=-1\n",
            "zoo.cfg:6: initLimit=-1 leaves the servers no time to follow one of them. Write a",
        ),
        ("syncLimit=-2\n", "zoo.cfg:6: syncLimit=-2 leaves the servers no time"),
        ("initLimit=0\n", "zoo.cfg:6: initLimit is not set. Add a line such as initLimit=10"),
        ("syncLimit=0\n", "zoo.cfg:6: syncLimit is not set. Add a line such as syncLimit=5"),
    ],
)
def test_limits_within_which_nobody_can_follow_are_refused(lines: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("#\n" + lines + THREE)
    assert str(caught.value).startswith(told)


def test_the_limits_of_an_ensemble_of_one_are_not_refused() -> None:
    config = parse("initLimit=-1\nsyncLimit=-1\nstandaloneEnabled=false\nserver.1=a:1:2\n")
    assert config.warnings[1:] == (
        "zoo.cfg:5: initLimit=-1 would leave other servers no time to join: using 10",
        "zoo.cfg:6: syncLimit=-1 would leave other servers no time to join: using 5",
    )
    assert (config.ensemble.init_limit_ticks, config.ensemble.sync_limit_ticks) == (10, 5)


def test_limits_come_from_the_static_file_whichever_lists_the_members() -> None:
    static = parse_config("dataDir=/d\nsyncLimit=3\ninitLimit=-4\ndynamicConfigFile=/c/members\n", "zoo.cfg")
    with pytest.raises(ConfigError, match=r"zoo\.cfg:3: initLimit=-4 leaves"):
        with_dynamic_config(static, THREE, "/c/members")


@pytest.mark.parametrize(
    ("setting", "told", "used"),
    [
        ("observerMasterPort=65536", "zoo.cfg:5: observerMasterPort=65536 is no port: using 0, observers", 0),
        ("observerMasterPort=-1", "zoo.cfg:5: observerMasterPort=-1 is less than 0: using 0", 0),
        (
            "leader.maxConcurrentSnapSyncs=0",
            "zoo.cfg:5: leader.maxConcurrentSnapSyncs=0 is less than 1: using 10",
            10,
        ),
        (
            "leader.maxConcurrentDiffSyncs=-1",
            "leader.maxConcurrentDiffSyncs=-1 is less than 1: using 100",
            100,
        ),
        ("connectToLearnerMasterLimit=-1", "connectToLearnerMasterLimit=-1 is less than 0: using 0", 0),
    ],
)
def test_numbers_that_cannot_be_meant_are_replaced(setting: str, told: str, used: int) -> None:
    config = parse(f"{setting}\n{THREE}")
    (warning,) = config.warnings
    assert told in warning
    ensemble = config.ensemble
    assert (
        used
        == {
            "observerMasterPort": ensemble.observer_master_port,
            "leader.maxConcurrentSnapSyncs": ensemble.leader_max_concurrent_snap_syncs,
            "leader.maxConcurrentDiffSyncs": ensemble.leader_max_concurrent_diff_syncs,
            "connectToLearnerMasterLimit": ensemble.connect_to_learner_master_limit_ticks,
        }[setting.partition("=")[0]]
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "observerMasterPort=9\nserver.1=h:1:2\nserver.2=H:3:4\nserver.3=c:1:2\n",
            "zoo.cfg:5: observerMasterPort=9: only one of server.1, server.2 can listen there, for all",
        ),
        (
            f"observerMasterPort=2\n{THREE}",
            "zoo.cfg:5: observerMasterPort=2 is the election port of server.1, which cannot listen there for"
            " observers (a). Choose another port",
        ),
        (
            "observerMasterPort=7\nserver.1=a:1:2;7\nserver.2=b:1:2\nserver.3=c:1:2\n",
            "observerMasterPort=7 is the client port of server.1, which cannot listen there for observers",
        ),
    ],
)
def test_observer_masters_that_cannot_listen_are_named(lines: str, told: str) -> None:
    assert any(told in warning for warning in parse(lines).warnings)


@pytest.mark.parametrize("port", [0, 1, 9])  # 1: followers do not listen on their quorum port
def test_observer_masters_with_addresses_of_their_own_are_fine(port: int) -> None:
    observer = "server.4=a:5:6:observer\n"
    assert not parse(f"observerMasterPort={port}\n{THREE}{observer}").warnings


TWO = "server.1=a:1:2\nserver.2=b:1:2\n"


def test_two_voters_bear_a_failure_only_with_an_oracle() -> None:
    assert parse(TWO).warnings == ("No server failure will be tolerated. You need at least 3 servers.",)
    assert not parse(f"oraclePath=/o\n{TWO}").warnings


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            THREE,
            "zoo.cfg:5: oraclePath has no effect with 3 voters: an oracle is asked only where there are two",
        ),
        ("standaloneEnabled=false\nserver.1=a:1:2", "zoo.cfg:5: oraclePath has no effect with 1 voter: an"),
        (f"{TWO}group.1=1:2", "zoo.cfg:5: beside oraclePath group and weight lines do not count"),
    ],
)
def test_an_oracle_that_does_not_fit_is_said(lines: str, told: str) -> None:
    assert any(warning.startswith(told) for warning in parse(f"oraclePath=/o\n{lines}").warnings)


def test_a_list_that_the_ensemble_has_agreed_on_is_not_refused() -> None:
    members = "server.1=a:1:2\nserver.2=a:1:3\nserver.3=c:1:2\n"
    static = parse_config(BASE + "dynamicConfigFile=/c/zoo.cfg.dynamic.100000002\n", "zoo.cfg")
    agreed = with_dynamic_config(static, members, "/c/zoo.cfg.dynamic.100000002")
    assert any("a:1 is the quorum port of server.1" in warning for warning in agreed.warnings)
    with pytest.raises(ConfigError, match="A reconfig has removed this server: the servers are 1, 2, 3"):
        with_myid(agreed, "4")
