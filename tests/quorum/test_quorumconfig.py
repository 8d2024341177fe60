"""Configurations as servers exchange them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.config import parse_config
from zkpy.errors import ProtocolError
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.verifier import HierarchicalVerifier, MajorityVerifier, OracleVerifier

TEXT = "server.1=127.0.0.1:25021:25031:participant\nserver.2=127.0.0.1:25022:25032:participant\nversion=0"


def test_captured_text() -> None:
    config = QuorumConfig.from_text(TEXT)
    assert config.voters == {1, 2}
    assert config.version == 0
    assert config.text() == TEXT
    assert config.quorum_addresses(2) == {("127.0.0.1", 25022)}
    assert config.quorum_addresses(3) == frozenset()


def test_texts_in_another_order_are_the_same_members() -> None:
    other = QuorumConfig.from_text("\n".join(reversed(TEXT.split("\n"))).replace("version=0", "version=1f"))
    config = QuorumConfig.from_text(TEXT)
    assert other.version == 0x1F
    assert config.same_members(other)
    assert config.with_version(0x1F).text() == other.text()
    assert not config.same_members(QuorumConfig.from_text(TEXT.replace("25022", "25023")))
    assert not config.same_members(QuorumConfig.from_text(TEXT.replace("2:participant", "2:observer")))


def test_groups_and_weights() -> None:
    text = f"{TEXT.removesuffix('version=0')}group.1=1:2\nweight.1=1\nweight.2=0\nversion=a"
    config = QuorumConfig.from_text(text)
    assert isinstance(config.verifier, HierarchicalVerifier)
    assert config.verifier.weight(2) == 0
    assert config.text() == text
    assert not config.same_members(QuorumConfig.from_text(TEXT))


def test_the_oracle_goes_before_groups() -> None:
    text = f"{TEXT}\ngroup.1=1:2"
    assert isinstance(QuorumConfig.from_text(text, lambda: True).verifier, OracleVerifier)


def test_from_the_servers_own_configuration() -> None:
    lines = "dataDir=/d\nclientPort=1\ninitLimit=5\nsyncLimit=5\n"
    lines += "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer"
    config = QuorumConfig.from_ensemble(parse_config(lines, "zoo.cfg").ensemble)
    assert config.voters == {1, 2}
    assert config.observers == {3}
    assert isinstance(config.verifier, MajorityVerifier)


@pytest.mark.parametrize(
    "text", ["server.1=a", "server.x=a:1:2", f"{TEXT}x", "server.1=a:1:2;3;4", "group.1=9"]
)
def test_broken_texts(text: str) -> None:
    with pytest.raises(ProtocolError):
        QuorumConfig.from_text(text)


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["server.", "1", "=", "a:1:2", "\n", ";", "|", "group", "weight", "version", "\\u", ":"]
        ),
        max_size=12,
    ).map("".join)
)
def test_garbage_raises_protocol_errors_only(text: str) -> None:
    with suppress(ProtocolError):
        QuorumConfig.from_text(text)


def test_two_configurations_are_in_force_while_the_newer_is_not_committed() -> None:
    old = QuorumConfig.from_text(TEXT)
    new = QuorumConfig.from_text("server.3=c:1:2\nversion=5")
    configs = Configs(old)
    assert configs.in_force() == [old]
    configs.last_seen = new
    assert configs.in_force() == [old, new]
    assert len(configs.verifiers()) == 2
    assert configs.voters() == {1, 2, 3}
    configs.committed = new
    assert configs.in_force() == [new]
