"""Messages of the election port: the opening message of a connection and the notifications after it.

    dialler                                   receiver
      | -- version, sid, address text -------> |     once; there is no reply
      | <--- int length, notification -------> |     both ways, as often as needed

A notification is a vote with the state of who sends it. Older servers send shorter ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from zkpy.errors import ProtocolError

MESSAGE_LIMIT_BYTES: Final = 524288
"""A message whose announced length is above this, or not positive, ends the connection."""

ADDRESS_LIMIT_BYTES: Final = 2048
SINGLE_ADDRESS: Final = -65536
MULTI_ADDRESS: Final = -65535
ANONYMOUS: Final = (1 << 63) - 1
"""The sid of observers without a number; the receiver gives them negative ones."""

NO_CANDIDATE: Final = -(1 << 63)
"""Leader, zxid and epoch in the vote of a server that has no vote."""

_CURRENT: Final = 2
_BASE: Final = Struct(">iqqq")
_FULL: Final = Struct(">iqqqqii")
_LONG: Final = Struct(">q")
_INT: Final = Struct(">i")
_OPENING: Final = Struct(">qqi")
_ANY_HOSTS: Final = ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")


class PeerState(IntEnum):
    """What a server is doing."""

    LOOKING = 0
    FOLLOWING = 1
    LEADING = 2
    OBSERVING = 3


class Notification(NamedTuple):
    """A vote and its sender's state; the sender itself is known from the connection."""

    state: PeerState
    leader: int
    zxid: int
    election_epoch: int
    """The round the vote belongs to."""
    peer_epoch: int
    """The epoch of the candidate."""
    version: int = _CURRENT
    """0: an old sender, whose epochs cannot be compared."""
    config: str | None = None
    """The sender's committed configuration as text; None: an old sender."""

    def encode(self) -> bytes:
        """The message in the current layout, without the length in front."""
        text = (self.config or "").encode("utf-8", "replace")
        head = _FULL.pack(
            self.state, self.leader, self.zxid, self.election_epoch, self.peer_epoch, _CURRENT, len(text)
        )
        return head + text


def decode_notification(data: bytes) -> Notification:
    """A notification in any layout.

    Raises:
        ProtocolError: the message is to be dropped (the connection stays).
    """
    size = len(data)
    if size < 40 and size != 28:
        raise ProtocolError(f"notification of {size} bytes")
    number, leader, zxid, round_ = _BASE.unpack_from(data)
    try:
        state = PeerState(number)
    except ValueError:
        raise ProtocolError(f"notification with unknown state {number}") from None
    if size == 28:
        return Notification(state, leader, zxid, round_, zxid >> 32, 0)
    peer_epoch = _LONG.unpack_from(data, 28)[0]
    if size == 40:
        return Notification(state, leader, zxid, round_, peer_epoch, 0)
    version = _INT.unpack_from(data, 36)[0]
    if version < _CURRENT:
        return Notification(state, leader, zxid, round_, peer_epoch, version)
    length = _INT.unpack_from(data, 40)[0] if size >= 44 else -1
    if not 0 <= length <= size - 44:
        raise ProtocolError(f"notification of {size} bytes announces a configuration of {length}")
    text = data[44 : 44 + length].decode("utf-8", "replace")
    return Notification(state, leader, zxid, round_, peer_epoch, version, text)


class Opening(NamedTuple):
    """The first message of an election connection."""

    sid: int
    addresses: tuple[tuple[str, int], ...]
    """Election addresses (host, port) to dial back to, wildcards left out; empty: use the configured ones."""
    size: int
    """Bytes the message takes; what follows belongs to the authentication or is notifications."""


def encode_opening(sid: int, addresses: Sequence[tuple[str, int]], multi_address: bool = False) -> bytes:
    """The dialler's first message. Send it with one write: Java reads the address with a single read."""
    shown = addresses if multi_address else addresses[:1]
    text = "|".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in shown).encode()
    assert 1 <= len(text) <= ADDRESS_LIMIT_BYTES, "an election address is between 1 and 2048 bytes"
    return _OPENING.pack(MULTI_ADDRESS if multi_address else SINGLE_ADDRESS, sid, len(text)) + text


def decode_opening(data: bytes) -> Opening | None:
    """The opening message at the start of *data*; None until all of it has arrived.

    Raises:
        ProtocolError: the connection is to be closed.
    """
    if len(data) < 8:
        return None
    version = _LONG.unpack_from(data)[0]
    if version >= 0:  # the oldest form is the bare sid
        return Opening(version, (), 8)
    if version not in (SINGLE_ADDRESS, MULTI_ADDRESS):
        raise ProtocolError(f"election connection opened with version {version}")
    if len(data) < 20:
        return None
    _, sid, length = _OPENING.unpack_from(data)
    if not 1 <= length <= ADDRESS_LIMIT_BYTES:
        raise ProtocolError(f"election connection opened with an address of {length} bytes")
    end = 20 + length
    if len(data) < end:
        return None
    text = data[20:end].decode("utf-8", "replace")
    parts = text.split("|") if version == MULTI_ADDRESS else [text]
    found = tuple(address for address in map(_address, parts) if address[0] not in _ANY_HOSTS)
    return Opening(sid, found, end)


def _address(text: str) -> tuple[str, int]:
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        raise ProtocolError(f"election address without host or port: {text!r}")
    port = int(digits)
    if port > 0xFFFF:
        raise ProtocolError(f"election address with port {port}")
    return host, port
