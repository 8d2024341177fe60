"""Frames of the client port, however they arrive."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import ProtocolError
from zkpy.jute.framing import LIMIT_BYTES, FrameReader, frame

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=60)


def drain(reader: FrameReader) -> list[bytes]:
    return list(iter(reader.next_frame, None))


def test_frame_does_not_count_its_length() -> None:
    assert frame(b"") == b"\0\0\0\0"
    assert frame(b"abc") == b"\0\0\0\x03abc"


@deterministic
@given(st.lists(st.binary(max_size=30), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_chunks_give_the_same_frames(payloads: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(map(frame, payloads))
    reader = FrameReader()
    got: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        reader.feed(memoryview(stream)[at : at + size])
        if turn % 3:  # also let frames pile up
            got += drain(reader)
        at += size
        turn += 1
    assert got + drain(reader) == payloads
    assert reader.pending_bytes == 0


def test_frames_are_bytes_of_their_own() -> None:
    chunk = bytearray(frame(b"abc"))
    reader = FrameReader()
    reader.feed(chunk)
    chunk[:] = bytes(len(chunk))
    got = reader.next_frame()
    assert type(got) is bytes
    assert got == b"abc"


def test_an_incomplete_frame_is_pending() -> None:
    reader = FrameReader()
    assert reader.next_frame() is None
    assert reader.pending_bytes == 0
    reader.feed(frame(b"abc") + b"\0\0\0")
    assert reader.next_frame() == b"abc"
    assert reader.next_frame() is None
    assert reader.pending_bytes == 3
    reader.feed(b"\x02x")
    assert reader.next_frame() is None
    reader.feed(b"y")
    assert reader.next_frame() == b"xy"
    assert reader.pending_bytes == 0


def test_default_limit_is_jute_maxbuffer() -> None:
    """Exactly 1048575 is accepted, 1048576 is refused (client protocol, 1)."""
    reader = FrameReader()
    reader.feed(frame(bytes(1048575)))
    assert reader.next_frame() == bytes(LIMIT_BYTES)
    reader.feed(b"\0\x10\0\0")
    with pytest.raises(ProtocolError, match="1048576"):
        reader.next_frame()


@pytest.mark.parametrize(
    "length", [b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"ruok", b"\0\0\0\x09"]
)
def test_bad_lengths_are_refused_as_soon_as_they_are_known(length: bytes) -> None:
    reader = FrameReader(limit_bytes=8)
    reader.feed(frame(b"whole") + length[:3])
    assert reader.next_frame() == b"whole"
    assert reader.next_frame() is None
    reader.feed(length[3:])
    for _ in range(2):  # and it stays so
        with pytest.raises(ProtocolError, match="peer announced"):
            reader.next_frame()


def test_limit_may_be_raised_for_replies() -> None:
    reader = FrameReader(limit_bytes=2**31 - 1)
    reader.feed(frame(bytes(LIMIT_BYTES + 33)))
    assert reader.next_frame() == bytes(LIMIT_BYTES + 33)


def seconds_for_single_bytes(count: int) -> float:
    stream = frame(bytes(count))
    begin = process_time()
    reader = FrameReader()
    for at in range(len(stream)):
        reader.feed(stream[at : at + 1])
        got = reader.next_frame()
    assert got == bytes(count)
    return process_time() - begin


def test_single_bytes_cost_no_more_than_their_number() -> None:
    """Twenty times the bytes may take twenty times as long, not four hundred times."""
    small = min(seconds_for_single_bytes(10_000) for _ in range(3))
    assert seconds_for_single_bytes(200_000) < small * 20 * 10


def test_many_frames_in_one_chunk_cost_no_more_than_their_number() -> None:
    reader = FrameReader()
    reader.feed(frame(b"x") * 100_000)
    begin = process_time()
    for _ in range(50_000):
        assert reader.next_frame() == b"x"
        reader.feed(b"")
    assert reader.pending_bytes == 250_000
    assert process_time() - begin < 5
