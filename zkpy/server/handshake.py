"""ConnectRequest and ConnectResponse, with and without the read-only byte.

Clients up to 3.3 do not know that byte: it is optional in the request, and the response has it when the
request had.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from zkpy.errors import MarshallingError, ProtocolError
from zkpy.jute import archive
from zkpy.pipeline.sessions import PASSWORD_LENGTH, password

_FIXED: Final = Struct(">iqiq")
_RESPONSE: Final = Struct(">iiiqi")
"""Frame length; protocol version, timeout, session id, password length."""


class ConnectRequest:
    """What a client opens its connection with; ``password`` may be null, ``timeout_ms`` is what it asks."""

    __slots__ = (
        "last_zxid_seen",
        "password",
        "protocol_version",
        "read_only",
        "session_id",
        "timeout_ms",
        "with_read_only",
    )

    def __init__(
        self,
        protocol_version: int,
        last_zxid_seen: int,
        timeout_ms: int,
        session_id: int,
        password: bytes | None,
        read_only: bool | None,
    ) -> None:
        self.protocol_version = protocol_version
        self.last_zxid_seen = last_zxid_seen
        self.timeout_ms = timeout_ms
        self.session_id = session_id
        self.password = password
        self.read_only = bool(read_only)
        self.with_read_only = read_only is not None


def decode_connect(payload: bytes) -> ConnectRequest:
    """Decode the first frame of a connection. Raises ProtocolError when it is too short."""
    if len(payload) < _FIXED.size:
        raise ProtocolError("the first frame is too short for a ConnectRequest")
    version, zxid, timeout, session_id = _FIXED.unpack_from(payload)
    try:
        secret, pos = archive.read_buffer(payload, _FIXED.size)
    except MarshallingError:
        raise ProtocolError("the first frame is not a ConnectRequest") from None
    read_only = payload[pos] != 0 if pos < len(payload) else None
    return ConnectRequest(version, zxid, timeout, session_id, secret, read_only)


def connect_response(timeout_ms: int, session_id: int, with_read_only: bool) -> bytes:
    """The frame that tells a client its session."""
    size = 36 + with_read_only
    return (
        _RESPONSE.pack(size, 0, timeout_ms, session_id, PASSWORD_LENGTH)
        + password(session_id)
        + (b"\0" if with_read_only else b"")
    )


def invalid_session(with_read_only: bool) -> bytes:
    """The frame that tells a client that its session is gone."""
    return (
        _RESPONSE.pack(36 + with_read_only, 0, 0, 0, PASSWORD_LENGTH)
        + bytes(PASSWORD_LENGTH)
        + (b"\0" if with_read_only else b"")
    )
