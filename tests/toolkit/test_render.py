"""Values as text that no terminal obeys, and as JSON that loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.toolkit.render import (
    Clock,
    acl_from_json,
    acl_json,
    acl_text,
    data_from_json,
    data_json,
    data_text,
    error_text,
    hex_id,
    json_line,
    owner_text,
    path_bytes,
    path_of,
    path_text,
    perms_text,
)
from zkpy.tree.znode import CONTAINER_OWNER, ttl_owner


@given(
    st.none() | st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_data_comes_back_from_json(data: bytes | None) -> None:
    item = json.loads(json_line(data_json(data)))
    assert data_from_json(item) == data


@given(st.binary(max_size=60), st.integers(1, 80))
def test_text_is_one_printable_line(data: bytes, limit: int) -> None:
    assert data_text(data, limit).isprintable()
    assert path_text(data).isprintable()


def test_data_is_shortened_and_says_so() -> None:
    assert data_text(b"hello", 5) == '"hello"'
    assert data_text(b"hello", 4) == '"hell"...(5 bytes)'
    assert data_text("größe".encode(), 3) == '"gr"...(7 bytes)'
    assert data_text(b"\xff\0", 9) == "0xff00"
    assert data_text(b'say "a\nb"\\', 99) == '"say \\"a\\nb\\"\\\\"'
    assert (data_text(None, 9), data_text(b"", 9)) == ("null", '""')


@given(st.binary(max_size=20).map(lambda raw: b"/" + raw))
def test_paths_come_back_whatever_they_are(raw: bytes) -> None:
    assert path_bytes(json.loads(json_line({"path": path_of(raw)}))["path"]) == raw


def test_a_path_cannot_reach_the_terminal() -> None:
    assert path_text(b"/a\x1b[2J\xff") == "/a\\x1b[2J\\xff"
    assert path_of(b"") == "/"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 31), texts, texts), max_size=4))
def test_acl_lists_come_back(entries: list[tuple[int, str, str]]) -> None:
    assert acl_from_json(json.loads(json_line({"acl": acl_json(tuple(entries))}))["acl"]) == tuple(entries)


def test_acl_as_text() -> None:
    assert acl_text(((31, "world", "anyone"), (3, "digest", "u:h="))) == "world:anyone:cdrwa,digest:u:h=:rw"
    assert acl_text(()) == "none"
    assert (perms_text(0), perms_text(64)) == ("", "64")


@pytest.mark.parametrize("item", ["world:anyone", "world:anyone:xyz", 7, {"scheme": "ip"}])
def test_what_is_no_acl_entry(item: object) -> None:
    with pytest.raises(ValueError, match="scheme:id:perms"):
        acl_from_json([item])


def test_owners_errors_and_ids() -> None:
    assert [owner_text(o) for o in (0, CONTAINER_OWNER, ttl_owner(60_000), 0x10)] == [
        "",
        "container",
        "ttl=60000ms",
        "ephemeral=0x10",
    ]
    assert (error_text(-101), error_text(-999)) == ("NO_NODE(-101)", "-999")
    assert hex_id(-1) == "0xffffffffffffffff"


def test_times() -> None:
    clock = Clock(utc=True)
    assert clock.text(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert clock.text(1_700_000_000_004) == "2023-11-14T22:13:20.004Z"
    assert clock.text(1 << 62) == f"{1 << 62}ms"
    assert Clock(utc=False).text(1_700_000_000_123)[-6] in "+-"
