"""Rules of znode paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy import paths
from zkpy.errors import BadArgumentsError

GOOD = [
    "/",
    "/a",
    "/a/b",
    "/a b",
    "/...",
    "/.x",
    "/a..",
    "/a/.b",
    "/\u00e9",
    "/\ud7ff",
    "/\uf900",
    "/\uffef",
    "/~",
]
BAD = [
    "",
    "a",
    "a/b",
    "/a/",
    "//",
    "//a",
    "/a//b",
    "/.",
    "/..",
    "/./a",
    "/a/..",
    "/a/../b",
    "/\x00",
    "/a\x01",
]
BAD += ["/a\x1f", "/a\x7f", "/a\x9f", "/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/\U0001f600"]


@pytest.mark.parametrize("path", GOOD)
def test_valid_paths_are_accepted_unchanged(path: str) -> None:
    assert paths.validate(path.encode()) == path.encode()


@pytest.mark.parametrize("path", [*BAD, None])
def test_paths_against_the_rules_are_bad_arguments(path: str | None) -> None:
    with pytest.raises(BadArgumentsError):
        paths.validate(None if path is None else path.encode())


def forbidden(unit: int) -> bool:
    return unit < 0x20 or 0x7F <= unit <= 0x9F or 0xD800 <= unit <= 0xF8FF or unit >= 0xFFF0


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12))
def test_validation_follows_the_rules_for_every_text(text: str) -> None:
    path = "/" + text
    parts = text.split("/")
    good = path == "/" or (
        all(part not in ("", ".", "..") for part in parts) and not any(forbidden(ord(char)) for char in text)
    )
    try:
        paths.validate(path.encode())
        accepted = True
    except BadArgumentsError:
        accepted = False
    assert accepted == good


def test_creates_and_deletes_only_need_a_slash_and_no_nul() -> None:
    assert paths.parent_of_new(b"/a") == b"/"
    assert paths.parent_of_new(b"/a/b") == b"/a"
    assert paths.parent_of_new(b"x/b") == b"x"
    assert paths.parent_of_new(b"/a/") == b"/a"
    for path in (b"", b"a", b"/a\0"):
        with pytest.raises(BadArgumentsError):
            paths.parent_of_new(path)


def test_parents_and_names() -> None:
    assert paths.parent(b"/a") == b"/" and paths.parent(b"/a/b") == b"/a"
    assert paths.name(b"/a/b") == b"b"


def test_malformed_utf8_is_replaced() -> None:
    assert paths.normalize(b"/a") == b"/a"
    assert paths.normalize(b"/\xff") == "/\ufffd".encode()
