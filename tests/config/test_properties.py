"""The properties format: what ZooKeeper's configuration reader takes for keys and values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zkpy.config.properties import format_properties, parse_properties, trim
from zkpy.errors import ConfigError


def values(text: str) -> dict[str, str]:
    return {key: entry.value for key, entry in parse_properties(text, "f").items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", {"a": "b"}),
        ("a:b", {"a": "b"}),
        ("a b", {"a": "b"}),
        ("a\tb", {"a": "b"}),
        ("  a  =  b  ", {"a": "b"}),
        ("a = = b", {"a": "= b"}),
        ("a", {"a": ""}),
        ("=b", {"": "b"}),
        ("a=b=c", {"a": "b=c"}),
        ("server.1=h:1:2;3", {"server.1": "h:1:2;3"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("# a=1\n ! b=2\n\nc=3#4", {"c": "3#4"}),
        ("a=b # no comment", {"a": "b # no comment"}),
        (r"a\=b=c", {"a=b": "c"}),
        (r"a\ b=c", {"a b": "c"}),
        (r"dir=C:\data", {"dir": "C:data"}),
        (r"dir=C:\\data", {"dir": r"C:\data"}),
        (r"a=x\ty\qz", {"a": "x\tyqz"}),
        (r"a=\u00e9\u20AC", {"a": "é€"}),
        (r"a=\ud83d\ude00", {"a": "\U0001f600"}),
        (r"a=\ud83d", {"a": "\ufffd"}),
        ("a=\xe9", {"a": "é"}),
        ("a=1,\\\n   2,\\\r\n\t3", {"a": "1,2,3"}),
        ("a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        ("a=1\\\n#2", {"a": "1#2"}),
        ("# a\\\nb=2", {"b": "2"}),
        ("a=1\\", {"a": "1"}),
        ("a=1\\\n\nb=2", {"a": "1", "b": "2"}),
        ("\\\n# still a comment", {}),
        ("\\\n", {"": ""}),
        ("\\\r\n", {}),
        ("", {}),
    ],
)
def test_text_means_what_java_properties_say(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "line"), [("a=\\u12", 1), ("\n\nb=\\u12g4", 3), ("a=\\\n\\u", 1), ("x\\u 123=1", 1)]
)
def test_a_malformed_unicode_escape_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=r"f:\d+: Malformed \\uxxxx encoding") as caught:
        parse_properties(text, "f")
    assert caught.value.line == line


def test_an_entry_remembers_the_line_it_begins_on_and_the_last_duplicate_counts() -> None:
    entries = parse_properties("# c\na=1\\\n 2\n\nb=3\na=4\n", "f")
    assert entries["b"].line == 5
    assert entries["a"] == ("4", 6)


def test_trimming_cuts_control_characters_but_no_other_blanks() -> None:
    assert trim(" \x00\x1f\ta\xa0 ") == "a\xa0"


# Lone surrogates are no text, and control characters at the ends are trimmed: neither can survive.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(trim)


@given(st.dictionaries(_TEXTS, _TEXTS))
@example({"a b": " x".strip(), "=": "\\", "#": "!", "": "a\nb"})
def test_what_is_written_reads_back(entries: dict[str, str]) -> None:
    assert values(format_properties(entries)) == entries


@given(st.text() | st.text("\\\n\r#!=: \tu09af"))
def test_any_text_parses_or_is_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        entries = parse_properties(text, "f")
        assert all(entry.line >= 1 for entry in entries.values())
