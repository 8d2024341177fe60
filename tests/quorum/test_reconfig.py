"""Which membership a request makes, and what is wrong with the others, in ZooKeeper's order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import Code, KeeperError
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.reconfig import ReconfigRequest, next_config

ZXID = (1 << 32) + 9
LINES = (
    "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181\n"
    "server.2=10.0.0.2:2888:3888:participant;0.0.0.0:2181\n"
    "server.3=10.0.0.3:2888:3888:observer;0.0.0.0:2181\n"
)
PRESENT = QuorumConfig.from_text(f"{LINES}version=100000000")
FOURTH = "server.4=10.0.0.4:2888:3888;2181"


def made(
    *lists: str | None,
    version: int = -1,
    configs: Configs | None = None,
    standalone: bool = True,
    synced: bool = True,
) -> QuorumConfig:
    joining, leaving, members = (*lists, None, None, None)[:3]
    return next_config(
        ReconfigRequest(joining, leaving, members, version),
        configs or Configs(PRESENT),
        ZXID,
        standalone_enabled=standalone,
        multi_address=False,
        is_synced=lambda config: synced,
    )


def refused(*lists: str | None, **how: object) -> int:
    with pytest.raises(KeeperError) as caught:
        made(*lists, **how)  # type: ignore[arg-type]
    return caught.value.code


def test_servers_leave_first_and_then_join() -> None:
    new = made(f"{FOURTH},server.2=10.0.0.2:1:2:observer;3", "3,2,77")
    assert new.version == ZXID
    assert new.voters == {1, 4}
    assert new.observers == {2}
    assert new.lines()[1] == "server.2=10.0.0.2:1:2:observer;0.0.0.0:3"


def test_the_same_members_under_a_new_version() -> None:
    new = made()
    assert new.same_members(PRESENT)
    assert new.version == ZXID


def test_a_whole_list_counts_alone() -> None:
    text = "server.1=a:1:2,server.2=b:1:2\nversion=5,group.1=1:2,weight.2=3"
    new = made("nonsense", "nonsense", text)
    assert new.hierarchical
    assert new.weights == {1: 1, 2: 3}
    assert new.version == ZXID


def test_one_after_the_other() -> None:
    configs = Configs(PRESENT, PRESENT.with_version(ZXID - 1))
    assert refused("nonsense", configs=configs) == Code.RECONFIG_IN_PROGRESS


def test_the_first_fault_decides() -> None:
    assert refused("nonsense", version=5) == Code.BAD_VERSION
    assert refused("nonsense", synced=False) == Code.BAD_ARGUMENTS
    assert refused(None, "1,2", synced=False) == Code.BAD_ARGUMENTS
    assert refused(None, "3", synced=False) == Code.NEW_CONFIG_NO_QUORUM
    assert made(None, "3", version=1 << 32).voters == {1, 2}


@pytest.mark.parametrize(("standalone", "least"), [(True, 2), (False, 1)])
def test_how_few_may_be_left(standalone: bool, least: int) -> None:
    assert refused(None, "1,2", standalone=standalone) == Code.BAD_ARGUMENTS
    if least == 2:
        assert refused(None, "1", standalone=standalone) == Code.BAD_ARGUMENTS
    else:
        assert made(None, "1", standalone=standalone).voters == {2}


@pytest.mark.parametrize(
    ("joining", "code"),
    [
        ("server.4=10.0.0.4:1:2", Code.BAD_ARGUMENTS),
        ("server.4", Code.BAD_ARGUMENTS),
        ("server.4=a=b", Code.BAD_ARGUMENTS),
        ("server.x=10.0.0.4:1:2;3", Code.MARSHALLING_ERROR),
        ("server.4=10.0.0.4:1:70000;3", Code.MARSHALLING_ERROR),
        ("server.4=10.0.0.4:1:x;3", Code.BAD_ARGUMENTS),
        ("server.4=10.0.0.1:2888:1;3", Code.BAD_ARGUMENTS),
        ("server.4=10.0.0.4:1:2;10.0.0.1:3888", Code.BAD_ARGUMENTS),
        ("server.4=h\nx:1:2;3", Code.BAD_ARGUMENTS),
        ("server.4=h\\x:1:2;3", Code.BAD_ARGUMENTS),
    ],
)
def test_who_cannot_join(joining: str, code: Code) -> None:
    assert refused(joining) == code


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]"])
def test_addresses_that_mean_another_machine_for_each_do_not_clash(host: str) -> None:
    assert made(f"server.4={host}:1:2;3,server.5={host}:1:2;3").voters == {1, 2, 4, 5}


def test_hierarchical_quorums_change_as_a_whole_only() -> None:
    present = QuorumConfig.from_text(f"{LINES}group.1=1:2\nversion=1")
    assert refused(None, "3", configs=Configs(present)) == Code.BAD_ARGUMENTS
    assert made(None, None, LINES, configs=Configs(present)).same_members(PRESENT)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ("", Code.BAD_ARGUMENTS),
        ("server.1=a:1:2:observer", Code.MARSHALLING_ERROR),
        ("server.1=a:1:2,server.2=b:1:2:observer", Code.MARSHALLING_ERROR),
        ("server.1=a:1:2", Code.BAD_ARGUMENTS),
        ("server.1=a:1:2,tickTime=5", Code.BAD_ARGUMENTS),
        ("server.1=a:1:2,server.2=b:1:2,version=x", Code.MARSHALLING_ERROR),
        ("server.1=a:1:2,server.2=b:1:2,group.1=1", Code.BAD_ARGUMENTS),
        ("server.1=\\u12", Code.MARSHALLING_ERROR),
    ],
)
def test_whole_lists_that_cannot_be(members: str, code: Code) -> None:
    assert refused(None, None, members) == code


def test_nobody_at_all() -> None:
    assert refused(None, None, "", standalone=False) == Code.MARSHALLING_ERROR


_TEXTS = st.none() | st.text(st.sampled_from("server.=1234:;,\n\\#!gowpiht \t|[]"), max_size=40)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(_TEXTS, _TEXTS, _TEXTS)
def test_whatever_is_accepted_is_read_alike_by_everybody(
    joining: str | None, leaving: str | None, members: str | None
) -> None:
    try:
        new = made(joining, leaving, members, standalone=False)
    except KeeperError:
        return
    again = QuorumConfig.from_text(new.text())
    assert again.same_members(new)
    assert again.version == ZXID
