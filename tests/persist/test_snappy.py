"""The snappy stream: what other writers make, and what this one makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy.persist.snappy import BLOCK, Compressor, SnappyError, decode_block, decode_stream, literal_block


@given(st.binary(max_size=70_000), st.integers(1, 5000))
def test_round_trip_in_pieces(data: bytes, step: int) -> None:
    out = Compressor()
    stream = b"".join(out.compress(data[at : at + step]) for at in range(0, len(data), step)) + out.flush()
    if data:
        assert decode_stream(stream) == data


@given(st.binary(max_size=65536))
def test_literal_block(data: bytes) -> None:
    assert decode_block(literal_block(data)) == data


@pytest.mark.parametrize(
    ("block", "content"),
    [
        ("00", b""),
        ("0410" + b"hello".hex()[:8] + "", None),
        ("050c68656c6c00", None),
        (
            "0b0c61626364" + "0d04",
            b"abcdabcdabc",
        ),  # copy with an 11-bit offset, overlapping: 7 bytes from 4 back
        ("0a0c61626364" + "160400", b"abcdabcdab"),  # 16-bit offset: 6 bytes from 4 back
        ("080c61626364" + "0f04000000", b"abcdabcd"),  # 32-bit offset
        ("3df03c" + "61" * 61, b"a" * 61),  # length of the literal in one byte
    ],
)
def test_raw_blocks(block: str, content: bytes | None) -> None:
    raw = bytes.fromhex(block)
    if content is None:
        with pytest.raises(SnappyError):
            decode_block(raw)
    else:
        assert decode_block(raw) == content


@given(st.binary(max_size=300))
def test_rubbish_is_an_error_and_nothing_else(raw: bytes) -> None:
    for data in (raw, b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + raw):
        try:
            decode_stream(data)
        except SnappyError:
            continue


def test_blocks_are_of_the_usual_size() -> None:
    out = Compressor()
    assert out.compress(bytes(BLOCK - 1))[:1] == b"\x82"
    assert len(out.compress(b"\0")) > 4
