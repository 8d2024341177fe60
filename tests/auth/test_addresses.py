"""Addresses and prefixes in ``ip`` ACLs, as ZooKeeper reads them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.auth.addresses import matches, parse_address, parse_prefix


@given(st.ip_addresses(v=4))
def test_dotted_quads_are_four_bytes(address: ipaddress.IPv4Address) -> None:
    assert parse_address(str(address)) == address.packed


@given(st.ip_addresses(v=6))
def test_ipv6_is_read_in_short_and_long_form(address: ipaddress.IPv6Address) -> None:
    assert parse_address(address.exploded) == address.packed
    assert parse_address(str(address)) == address.packed


@pytest.mark.parametrize(
    "text",
    [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1", "1.2.3.x", "1..2.3", " 1.2.3.4", "localhost",
        "1.2.3.\u0661\u0662\u0663x", ":", "1:", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
        "12345::", "g::1", "::1.2.3.4", "fe80::1%1", "1::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::",
        ":1:2:3:4:5:6:7", "+1234::", "::+-1",
    ],
)  # fmt: skip
def test_other_texts_are_no_addresses(text: str) -> None:
    assert parse_address(text) is None
    assert parse_prefix(text) is None


def test_numbers_may_have_a_sign_as_for_javas_parser() -> None:
    assert parse_address("+127.0.0.-0") == bytes([127, 0, 0, 0])
    assert parse_address("-1::") == b"\xff\xff" + bytes(14)
    assert parse_prefix("127.0.0.1/+8") == (bytes([127, 0, 0, 1]), 8)


@pytest.mark.parametrize("bits", ["", "x", "-1", "33", " 8", "8/8"])
def test_a_prefix_length_must_fit_the_family(bits: str) -> None:
    assert parse_prefix(f"10.0.0.0/{bits}") is None


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_matches_the_prefixes_it_lies_in(
    address: ipaddress.IPv4Address, other: ipaddress.IPv4Address, bits: int
) -> None:
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    assert matches(f"{address}/{bits}", str(address))
    assert matches(f"{address}/{bits}", str(other)) == (other in network)


def test_families_do_not_mix() -> None:
    assert not matches("0.0.0.0/0", "::1")
    assert not matches("::/0", "127.0.0.1")
    assert not matches("nonsense", "127.0.0.1")
    assert matches("::/0", "0:0:0:0:0:0:0:1")
