"""ConnectRequest and ConnectResponse, with and without the read-only byte."""

from __future__ import annotations

from struct import pack

import pytest

from compat.wire import connect_frame
from zkpy.errors import ProtocolError
from zkpy.jute.records import ConnectRequest as Record
from zkpy.pipeline.sessions import password
from zkpy.server.handshake import connect_response, decode_connect, invalid_session


@pytest.mark.parametrize(
    ("tail", "read_only", "known"),
    [(b"", False, False), (b"\0", False, True), (b"\1", True, True), (b"\7more", True, True)],
)
def test_the_read_only_byte_is_optional(tail: bytes, read_only: bool, known: bool) -> None:
    frame = connect_frame(protocol=3, zxid=5, timeout_ms=-1, session=-9, password=b"secret", read_only=tail)
    got = decode_connect(frame[4:])
    assert (got.protocol_version, got.last_zxid_seen, got.timeout_ms, got.session_id) == (3, 5, -1, -9)
    assert (got.password, got.read_only, got.with_read_only) == (b"secret", read_only, known)


def test_it_reads_what_the_generated_record_writes() -> None:
    got = decode_connect(Record(0, 1, 2, 3, None, True).encode())
    assert (got.last_zxid_seen, got.timeout_ms, got.session_id, got.password, got.read_only) == (
        1,
        2,
        3,
        None,
        True,
    )


@pytest.mark.parametrize(
    "payload", [b"", bytes(23), bytes(26), pack(">iqiq", 0, 0, 0, 0) + pack(">i", 9) + b"short"]
)
def test_a_frame_that_is_too_short_closes(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_connect(payload)


@pytest.mark.parametrize("with_read_only", [False, True])
def test_responses_have_the_byte_when_the_request_had_it(with_read_only: bool) -> None:
    size = 37 if with_read_only else 36
    tail = bytes(with_read_only)
    assert connect_response(4000, 7, tail) == (pack(">iiiqi", size, 0, 4000, 7, 16) + password(7) + tail)
    assert invalid_session(tail) == pack(">iiiqi", size, 0, 0, 0, 16) + bytes(16) + tail
