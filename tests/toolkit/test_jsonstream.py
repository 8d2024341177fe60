"""A JSON object in pieces: what json.loads gives, with the line of a mistake."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.toolkit import jsonstream
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.jsonstream import JsonStream


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "_CHUNK", 3)


def read(text: str) -> dict[str, object]:
    stream = JsonStream("f.json", io.StringIO(text))
    found: dict[str, object] = {}
    for name in stream.members():
        found[name] = list(stream.elements()) if stream.peek() == "[" else stream.value()
    return found


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4)
objects = st.dictionaries(st.text(max_size=3), values, max_size=3)


@given(
    st.dictionaries(
        st.text(max_size=4), st.lists(objects, max_size=4) | st.integers() | st.text(), max_size=4
    ),
    st.none() | st.integers(0, 3),
)
def test_it_reads_what_json_writes(item: dict[str, object], indent: int | None) -> None:
    assert read(json.dumps(item, indent=indent)) == item
    assert read(json.dumps(item, ensure_ascii=False)) == item


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.json:1: expected '{', found the end of the file"),
        ("[1]", "f.json:1: expected '{', found '\\['"),
        ('{"a": 1\n\n "b": 2}', "f.json:3: expected ','"),
        ('{"a":\n [{"x": 1},\n 5]}', "f.json:3: expected an object in braces"),
        ('{"a": [{"x": \n tru}]}', "f.json:2: this is no JSON"),
        ('{"a": [{"x": 1}', "f.json:1: expected ',', found the end"),
        ('{"a": 1} x', "f.json:1: something follows"),
        ("{1: 2}", "name of a member"),
        ('{"a": "' + "x" * 100, "this is no JSON"),
    ],
)
def test_mistakes_have_a_line(text: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        read(text)
