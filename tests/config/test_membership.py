"""Member lines: their forms, their errors in ZooKeeper's words, and the canonical text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.config.membership import parse_membership, parse_server
from zkpy.config.properties import parse_properties
from zkpy.config.settings import QuorumAddress, ServerSpec
from zkpy.errors import ConfigError

FORM = "does not have the form server_config or server_config;client_config where server_config is the pipe"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("a:1:2", "a:1:2:participant"),
        ("a:1:2:", "a:1:2:participant"),
        ("a:1:2:OBSERVER", "a:1:2:observer"),
        ("a:1:2: observer", "a:1:2:observer"),
        ("a:1:2;5", "a:1:2:participant;0.0.0.0:5"),
        ("a:1:2:participant;h:5", "a:1:2:participant;h:5"),
        ("a:1:2;", "a:1:2:participant"),
        ("a:+1:2;+3", "a:1:2:participant;0.0.0.0:3"),
        ("[::1]:1:2;[::2]:5", "[0:0:0:0:0:0:0:1]:1:2:participant;[0:0:0:0:0:0:0:2]:5"),
        ("[x::y]:1:2", "[x::y]:1:2:participant"),
        ("[fe80::1%eth0]:1:2", "[fe80::1%eth0]:1:2:participant"),
        (":1:2", "localhost:1:2:participant"),
        ("b:1:2|a:3:4:observer;8", "a:3:4|b:1:2:observer;0.0.0.0:8"),
    ],
)
def test_a_member_line_has_one_canonical_text(value: str, canonical: str) -> None:
    spec = parse_server(1, value, "f", 3, True)
    assert spec.value() == canonical
    assert parse_server(1, canonical, "f", 3, True).value() == canonical


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", FORM),
        (";", FORM),
        (";5", FORM),
        ("a:1", FORM),
        ("a:1:2:observer:x", FORM),
        ("a:1:2;h:1:2", FORM),
        ("a:1:2;:", FORM),
        ("a:1:2;5;6", FORM),
        ("a:1:2||b:1:2", FORM),
        ("::1:1:2", FORM),
        ("a:x:1", "Address unresolved: a:x"),
        ("a:1:x", "Address unresolved: a:x"),
        ("a:1:2;x", "Address unresolved: null:x"),
        ("a:1:2;[::1]", "Address unresolved: null:::1"),
        ("[::1]x:1:2", "Address unresolved: ::1:"),
        ("a:1:99999", "port out of range:99999"),
        ("a:-1:5", "port out of range:-1"),
        ("a:1:2;70000", "port out of range:70000"),
        (
            "a:1:1",
            "Client and election port must be different! Please update the configuration file on server.1",
        ),
        ("a:1:2:foo", "Unrecognised peertype: foo"),
        ("a:1:2:observer|b:1:2:participant", "Multiple addresses should have similar roles: "),
        ("[::1:1:2", "[::1:1:2 starts with '[' but has no matching ']:'"),
    ],
)
def test_a_wrong_member_line_is_refused_in_zookeepers_words(value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_server(1, value, "f", 3, True)
    assert why in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("f", 3)
    assert caught.value.remedy


def test_several_addresses_need_the_java_property() -> None:
    with pytest.raises(ConfigError, match=r"Multiple address feature is disabled, .* for sid 7"):
        parse_server(7, "a:1:2|b:1:2", "f", 1, False)


def membership_error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_membership(parse_properties(text, "f"), "f", False)
    return str(caught.value)


TWO = "server.1=a:1:2\nserver.2=b:1:2\n"


def test_groups_and_weights_make_quorums_hierarchical() -> None:
    members = parse_membership(parse_properties(TWO + "group.5=1:2\nweight.2=0\nx=y"), None, False)
    assert [server.sid for server in members.servers] == [1, 2]
    assert members.groups == {5: (1, 2)}
    assert members.weights == {1: 1, 2: 0}
    assert members.hierarchical


def test_an_observer_needs_no_group() -> None:
    text = TWO + "server.3=c:1:2:observer\ngroup.1=1:2"
    members = parse_membership(parse_properties(text), None, False)
    assert members.weights == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TWO + "group.1=1", "f:2: Server 2is not in a group"),
        (TWO + "group.1=1:2\ngroup.2=2", "f:4: Server 2is in multiple groups"),
        (TWO + "group.1=1:2:3", "3, which is no voter and has no weight"),
        (TWO + "group.1=1: 2", 'f:3: For input string: " 2"'),
        ("weight.1=x", 'f:1: For input string: "x"'),
        ("groupies=1", 'f:1: For input string: "groupies"'),
        ("server.=a:1:2", 'f:1: For input string: ""'),
        ("server.realm=X", 'f:1: For input string: "realm". A realm cannot be set in the file'),
        ("server.9223372036854775808=a:1:2", 'For input string: "9223372036854775808"'),
    ],
)
def test_a_wrong_member_list_is_refused_in_zookeepers_words(text: str, why: str) -> None:
    assert why in membership_error(text)


_PORTS = st.integers(0, 65535)
_HOSTS = st.sampled_from(["a", "zk-1.example", "10.0.0.1", "0:0:0:0:0:0:0:1"])


@given(st.data())
def test_any_member_survives_its_canonical_text(data: st.DataObject) -> None:
    addresses = data.draw(
        st.lists(st.tuples(_HOSTS, _PORTS, _PORTS), min_size=1, max_size=3, unique_by=lambda a: a[0])
    )
    addresses = [a for a in addresses if a[1] != a[2]] or [("a", 1, 2)]
    client = data.draw(st.none() | st.tuples(_HOSTS, _PORTS))
    spec = ServerSpec(
        3,
        tuple(QuorumAddress(*address) for address in sorted(addresses)),
        data.draw(st.sampled_from(["participant", "observer"])),
        *(client or (None, None)),
    )
    assert parse_server(3, spec.value(), None, None, True) == spec


@given(st.text() | st.text("a1:;|[]. "))
def test_any_member_text_parses_or_is_a_configuration_error(value: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_server(1, value, "f", 1, True).addresses
