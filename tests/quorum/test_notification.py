"""Messages of the election port: captured bytes, old layouts, garbage."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import ProtocolError
from zkpy.quorum.notification import (
    MULTI_ADDRESS,
    Notification,
    Opening,
    PeerState,
    decode_notification,
    decode_opening,
    encode_opening,
)

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=80)

CONFIG = "server.1=127.0.0.1:25021:25031:participant\nserver.2=127.0.0.1:25022:25032:participant\nversion=0"


def test_captured_notification() -> None:
    raw = bytes.fromhex(
        "00000000 0000000000000001 0000000000000000 0000000000000001 0000000000000000 00000002 0000005f"
    )
    expected = Notification(PeerState.LOOKING, 1, 0, 1, 0, 2, CONFIG)
    assert expected.encode() == raw + CONFIG.encode()
    assert decode_notification(expected.encode()) == expected


def test_captured_opening() -> None:
    raw = bytes.fromhex("ffffffffffff0000 0000000000000001 0000000f 3132372e302e302e313a3235303331")
    assert encode_opening(1, [("127.0.0.1", 25031)]) == raw
    assert decode_opening(raw + b"next") == Opening(1, (("127.0.0.1", 25031),), len(raw))


OLD = struct.Struct(">iqqq").pack(2, 3, 0x500000007, 9)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", Notification(PeerState.LEADING, 3, 0x500000007, 9, 5, 0)),
        (struct.pack(">qi", 6, 2), Notification(PeerState.LEADING, 3, 0x500000007, 9, 6, 0)),
        (struct.pack(">qi", 6, 1) + b"rest", Notification(PeerState.LEADING, 3, 0x500000007, 9, 6, 1)),
        (struct.pack(">qii", 6, 2, 0), Notification(PeerState.LEADING, 3, 0x500000007, 9, 6, 2, "")),
        (
            struct.pack(">qii", 6, 3, 2) + b"\xff!?",
            Notification(PeerState.LEADING, 3, 0x500000007, 9, 6, 3, "�!"),
        ),
    ],
)
def test_layouts(tail: bytes, expected: Notification) -> None:
    assert decode_notification(OLD + tail) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        OLD[:27],
        OLD + b"x",
        OLD + bytes(8),
        OLD + struct.pack(">qi", 6, 2) + b"abc",
        OLD + struct.pack(">qii", 6, 2, -1),
        OLD + struct.pack(">qii", 6, 2, 3) + b"ab",
        struct.pack(">iqqq", 4, 3, 0, 0),
        struct.pack(">iqqq", -1, 3, 0, 0),
    ],
)
def test_malformed_notifications(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_notification(raw)


longs = st.integers(-(1 << 63), (1 << 63) - 1)


@deterministic
@given(st.builds(Notification, st.sampled_from(PeerState), longs, longs, longs, longs, st.just(2), st.text()))
def test_notifications_come_back(notification: Notification) -> None:
    assert decode_notification(notification.encode()) == notification


@deterministic
@given(st.binary(max_size=120), st.sampled_from([b"", OLD[:4], b"\xff" * 6 + b"\0\0", b"\xff" * 7 + b"\x01"]))
def test_garbage_raises_protocol_errors_only(raw: bytes, start: bytes) -> None:
    for decode in (decode_notification, decode_opening):
        with suppress(ProtocolError):
            decode(start + raw)


def test_openings_come_back_whole_only() -> None:
    many = [("zk1.example", 3888), ("::1", 3889)]
    raw = encode_opening(7, many, multi_address=True)
    assert raw.startswith(struct.pack(">q", MULTI_ADDRESS))
    for size in range(len(raw)):
        assert decode_opening(raw[:size]) is None
    assert decode_opening(raw) == Opening(7, tuple(many), len(raw))
    assert decode_opening(encode_opening(7, many)) == Opening(7, (many[0],), 20 + len("zk1.example:3888"))


def test_the_oldest_opening_is_a_bare_sid() -> None:
    assert decode_opening(struct.pack(">q", 5) + b"tail") == Opening(5, (), 8)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[0:0:0:0:0:0:0:0]"])
def test_wildcards_cannot_be_dialled(host: str) -> None:
    text = f"{host}:3888|b:1".encode()
    raw = struct.pack(">qqi", MULTI_ADDRESS, 1, len(text)) + text
    assert decode_opening(raw) == Opening(1, (("b", 1),), len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">q", -1),
        struct.pack(">q", -65537),
        struct.pack(">qqi", -65536, 1, 0),
        struct.pack(">qqi", -65536, 1, -1),
        struct.pack(">qqi", -65536, 1, 2049),
        *(
            struct.pack(">qqi", -65536, 1, len(text)) + text
            for text in (b"host", b"host:", b":1", b"host:x", b"host:65536", b"a:1|b", b"host:\xd9\xa1")
        ),
    ],
)
def test_malformed_openings(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_opening(raw)
