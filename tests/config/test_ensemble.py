"""Member lists as part of a configuration: standalone or quorum, myid, dynamic files, checks between them."""

from __future__ import annotations

import pytest

from zkpy.config import Config, parse_config, with_dynamic_config, with_myid
from zkpy.errors import ConfigError

ONE = "server.1=a:1:2\n"
TWO = ONE + "server.2=b:1:2\n"
THREE = TWO + "server.3=c:1:2\n"
LIMITS = "initLimit=10\nsyncLimit=5\n"


def parse(text: str, **defines: str) -> Config:
    return parse_config("dataDir=/d\n" + text, "zoo.cfg", defines)


def error(text: str, myid: str | None = "1", **defines: str) -> str:
    with pytest.raises(ConfigError) as caught:
        with_myid(parse(text, **defines), myid)
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "quorum"),
    [
        ("", False),
        (ONE, False),
        (LIMITS + TWO, True),
        (LIMITS + ONE + "standaloneEnabled=false", True),
    ],
)
def test_more_than_one_voter_or_no_standalone_makes_a_quorum(text: str, quorum: bool) -> None:
    assert parse(text).is_quorum == quorum


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (ONE, "Invalid configuration, only one server specified (ignoring)"),
        (
            LIMITS + ONE + "standaloneEnabled=false",
            "No server failure will be tolerated. You need at least 3 servers.",
        ),
        (LIMITS + TWO, "No server failure will be tolerated. You need at least 3 servers."),
        (LIMITS + THREE + "server.4=d:1:2", "Non-optimal configuration, consider an odd number of servers."),
    ],
)
def test_an_unwise_number_of_voters_is_pointed_out(text: str, warning: str) -> None:
    assert parse(text).warnings[-1] == warning


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TWO, "initLimit is not set"),
        ("initLimit=0\n" + TWO, "zoo.cfg:2: initLimit is not set"),
        (TWO + "initLimit=5", "syncLimit is not set"),
        ("server.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
        (ONE + "server.2=b:1:2:observer", "Observers w/o quorum is an invalid configuration"),
        (
            "standaloneEnabled=false",
            "zoo.cfg:2: standaloneEnabled = false then number of participants should",
        ),
        ("electionAlg=2", "zoo.cfg:2: Invalid electionAlg value. Only 3 is supported."),
        ("electionAlg=x", 'zoo.cfg:2: For input string: "x"'),
        ("peerType=zzz", "zoo.cfg:2: Unrecognised peertype: zzz"),
        ("version=zz", 'zoo.cfg:2: For input string: "zz" under radix 16'),
        (
            "dynamicConfigFile=x\n" + ONE,
            "zoo.cfg:3: parameter: server.1 must be in a separate dynamic config file",
        ),
        ("dynamicConfigFile=x\ngroup.1=1", "parameter: group.1 must be in a separate dynamic config file"),
        (
            "quorum.auth.learnerRequireSasl=true",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.learnerRequireSasl",
        ),
        (
            "quorum.auth.serverRequireSasl=true",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (
            "quorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true",
            "quorum.auth.learnerRequireSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (LIMITS + TWO + "cnxTimeout=x", 'For input string: "x"'),
        (LIMITS + "server.1=a:1:2|b:1:2", "Multiple address feature is disabled"),
        ("multiAddress.enabled=true\nserver.1=a:1:2|b:1:2", "Multiple address feature is disabled"),
    ],
)
def test_an_impossible_ensemble_is_refused_in_zookeepers_words(text: str, why: str) -> None:
    assert why in error(text)


def test_the_java_property_allows_several_addresses() -> None:
    config = parse("server.1=a:1:2|b:1:2", **{"zookeeper.multiAddress.enabled": "true"})
    assert len(config.ensemble.servers[0].addresses) == 2


def test_the_observer_property_beats_the_key() -> None:
    assert not parse("syncEnabled=true\nobserver.syncEnabled=false").ensemble.sync_enabled
    defines = {"zookeeper.observer.syncEnabled": "true"}
    assert parse("syncEnabled=false", **defines).ensemble.sync_enabled


def test_roles_split_the_member_list() -> None:
    ensemble = parse(LIMITS + THREE + "server.9=z:1:2:observer").ensemble
    assert [server.sid for server in ensemble.voters] == [1, 2, 3]
    assert [server.sid for server in ensemble.observers] == [9]
    assert ensemble.member(2) == ensemble.servers[1]
    assert ensemble.member(7) is None


@pytest.mark.parametrize(
    ("text", "myid", "why"),
    [
        (LIMITS + TWO, None, "myid file is missing"),
        (LIMITS + TWO, "xx\n", "serverid xx is not a number"),
        ("", "xx", "serverid xx is not a number"),
        ("", "", "serverid  is not a number"),
        (LIMITS + TWO, "7", "My id 7 not in the peer list"),
        (
            LIMITS + TWO + "server.255=z:1:2\nextendedTypesEnabled=true",
            "255",
            "extendedTypesEnabled is true but Server ID is too large. Cannot be larger than 254",
        ),
        (
            "clientPort=6\nserver.1=a:1:2;5",
            "1",
            "client address for this server (id = 1) in static config file is 0.0.0.0/0.0.0.0:6 is different"
            " from client address found in dynamic file: /0.0.0.0:5",
        ),
        (
            "clientPort=5\nclientPortAddress=127.0.0.2\nserver.1=a:1:2;127.0.0.1:5",
            "1",
            "static config file is /127.0.0.2:5 is different from client address found in dynamic file:"
            " /127.0.0.1:5",
        ),
    ],
)
def test_a_server_that_does_not_fit_its_ensemble_is_refused(text: str, myid: str | None, why: str) -> None:
    assert why in error(text, myid)


def test_myid_is_the_first_line_and_optional_for_a_server_on_its_own() -> None:
    assert with_myid(parse(""), "3\r\nnotes\n").ensemble.my_id == 3
    assert with_myid(parse(""), None).ensemble.my_id is None


def test_the_own_member_line_gives_the_client_address() -> None:
    config = with_myid(parse("server.1=a:1:2;5"), "1")
    assert (config.client_port, config.client_port_address) == (5, None)
    config = with_myid(parse("server.1=a:1:2;127.0.0.1:5\nclientPort=5"), "1")
    assert (config.client_port, config.client_port_address) == (5, "127.0.0.1")
    config = with_myid(parse("server.1=a:1:2;127.0.0.1:5\nclientPort=5\nclientPortAddress=localhost"), "1")
    assert config.client_port_address == "127.0.0.1"


def test_the_member_list_knows_the_role_better_than_peer_type() -> None:
    config = with_myid(parse("peerType=observer\n" + LIMITS + THREE), "1")
    assert config.ensemble.peer_type == "participant"
    assert config.warnings[-1].startswith("Peer type from servers list (PARTICIPANT) doesn't match peerType")
    config = with_myid(parse("peerType=observer\n" + LIMITS + THREE + "server.4=d:1:2:observer"), "4")
    assert config.ensemble.peer_type == "observer"
    assert with_myid(parse("peerType=observer"), None).ensemble.peer_type == "participant"


def test_a_dynamic_file_brings_the_members_and_its_name_the_version() -> None:
    static = parse(LIMITS + "dynamicConfigFile=/c/zoo.cfg.dynamic.1f")
    assert not static.is_quorum
    config = with_dynamic_config(static, TWO, "/c/zoo.cfg.dynamic.1f")
    assert config.is_quorum
    assert config.ensemble.version == 0x1F
    assert with_dynamic_config(static, TWO, "./dynamic").ensemble.version == 0
    assert with_dynamic_config(static, TWO, "dynamic").ensemble.version == 0


@pytest.mark.parametrize(
    ("dynamic", "why"),
    [
        ("version=3\n" + TWO, "dyn:1: dynamic file shouldn't have version inside"),
        (TWO + "tickTime=3", "dyn:3: Unrecognised parameter: tickTime"),
        ("server.1=a:1", "dyn:1: a:1 does not have the form"),
        ("server.1=a:1:2:observer", "dyn: Observers w/o participants is an invalid configuration"),
    ],
)
def test_a_wrong_dynamic_file_is_refused_in_zookeepers_words(dynamic: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_dynamic_config(parse(LIMITS + "dynamicConfigFile=dyn"), dynamic, "dyn")
    assert str(caught.value).startswith(why)


def test_the_limits_belong_to_the_static_file() -> None:
    with pytest.raises(ConfigError, match="initLimit is not set"):
        with_dynamic_config(parse("dynamicConfigFile=dyn"), TWO, "dyn")
