"""ConnectRequest and ConnectResponse, with and without the read-only byte.

Clients up to 3.3 do not know that byte: it is optional in the request, and the response has it when the
request had.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from zkpy.errors import MarshallingError, ProtocolError
from zkpy.jute import archive
from zkpy.pipeline.sessions import PASSWORD_LENGTH, password

if TYPE_CHECKING:
    from zkpy.pipeline.zookeeperserver import ZooKeeperServer

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


def check_connect(request: ConnectRequest, server: ZooKeeperServer) -> None:
    """Whether *server* is the right one for this client. Raises ProtocolError when it has to try another."""
    if server.read_only and not request.read_only:
        raise ProtocolError("this server is read-only at the moment, which the client does not accept")
    if request.last_zxid_seen > server.tree.last_zxid:
        raise ProtocolError(
            f"the client has seen zxid 0x{request.last_zxid_seen:x}, our last is "
            f"0x{server.tree.last_zxid:x}: it must try another server"
        )
    if not server.throttle.admits(renewal=request.session_id != 0, now_ms=server.now_ms()):
        raise ProtocolError("too many sessions are being opened (connection_throttle_tokens)")


def connect_response(timeout_ms: int, session_id: int, read_only: bytes) -> bytes:
    """The frame that tells a client its session; *read_only* is the byte for that, or empty."""
    head = _RESPONSE.pack(36 + len(read_only), 0, timeout_ms, session_id, PASSWORD_LENGTH)
    return head + password(session_id) + read_only


def invalid_session(read_only: bytes) -> bytes:
    """The frame that tells a client that its session is gone."""
    return _RESPONSE.pack(36 + len(read_only), 0, 0, 0, PASSWORD_LENGTH) + bytes(PASSWORD_LENGTH) + read_only
