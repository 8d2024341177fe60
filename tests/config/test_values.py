"""Numbers and booleans as Java reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.config.values import INT_MAX, LONG_MAX, decode, parse_decimal, parse_float, parse_true_false


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("+5", 5),
        ("-5", -5),
        ("010", 10),
        ("2147483647", INT_MAX),
        ("-2147483648", -(2**31)),
        ("٢", 2),
        ("2147483648", None),
        ("-2147483649", None),
        ("", None),
        ("-", None),
        ("+-5", None),
        (" 5", None),
        ("1_0", None),
        ("0x10", None),
        ("\U0001d7d9", None),
        ("1h", None),
    ],
)
def test_keys_of_the_parser_are_strictly_decimal(text: str, value: int | None) -> None:
    assert parse_decimal(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("010", 8),
        ("-010", -8),
        ("0x10", 16),
        ("0X1f", 31),
        ("#1F", 31),
        ("-#1F", -31),
        ("0", 0),
        ("+0", 0),
        ("00", 0),
        ("-0x80000000", -(2**31)),
        ("08", None),
        ("0x", None),
        ("#", None),
        ("0x-5", None),
        ("0x80000000", None),
        ("", None),
        ("1 ", None),
        ("0xß", None),
    ],
)
def test_properties_are_decoded_with_radix_prefixes(text: str, value: int | None) -> None:
    assert decode(text) == value


@given(st.integers(-(2**63), LONG_MAX))
def test_every_long_reads_back(number: int) -> None:
    assert parse_decimal(str(number), LONG_MAX) == number
    assert decode(f"{number:#x}", LONG_MAX) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("-1e-3", -0.001), ("2f", 2.0), ("2D", 2.0)]
    + [(bad, None) for bad in ("", ".", "1_0", "nan", "inf", "1,5", "e5", "1e")],
)
def test_floating_point_numbers_have_java_form(text: str, value: float | None) -> None:
    assert parse_float(text) == value


def test_floating_point_words_are_javas() -> None:
    assert parse_float("-Infinity") == -math.inf
    assert math.isnan(parse_float("NaN") or 0.0)


@given(st.text())
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (parse_decimal, decode, parse_float):
        assert read(text) is None or isinstance(read(text), (int, float))


def test_strict_booleans_know_two_words() -> None:
    assert [parse_true_false(text) for text in ("true", "FALSE", "True", "yes", "", "1")] == [
        True,
        False,
        True,
        None,
        None,
        None,
    ]
