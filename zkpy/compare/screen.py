"""Which requests are not passed on to the real server, and which may travel together."""

from __future__ import annotations

from collections.abc import Iterator
from struct import error as struct_error
from typing import Final

import attrs

from zkpy import opcodes
from zkpy.compare.fields import OPERATIONS, REQUEST_HEADER_BYTES
from zkpy.errors import MarshallingError
from zkpy.jute import archive
from zkpy.jute.records import CreateRequest, CreateTTLRequest, MultiHeader, SetDataRequest
from zkpy.paths import QUOTA
from zkpy.tree.quota import LIMITS_NAME, STATS_NAME, MalformedQuotaError, StatsTrack

NOT_WITHSTOOD: Final = "not sent: the real server does not withstand it"
CONTAINER_REFUSED: Final = (
    "not sent: zkpy refuses deleteContainer to clients, the real server deletes the znode without asking"
)
SESSION_REFUSED: Final = (
    "not sent: createSession is unknown to zkpy when a client sends it, the real server acts on it"
)
BEHIND_CLOSE: Final = "behind closeSession: whether it is still answered is a matter of timing"

CONNECT: Final = 1 << 32
"""Stands for the opcode of a ConnectRequest, which has none; no int of the protocol."""

BATCH_REQUESTS: Final = 100
BATCH_BYTES: Final = 1 << 20

_PLAIN_MODES: Final = range(5)
_ROOT_LIMITS: Final = QUOTA + b"/" + LIMITS_NAME
_CREATES: Final = (opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER)
_WRITES: Final = (*_CREATES, opcodes.CREATE_TTL, opcodes.SET_DATA)
_MULTI_RECORDS: Final = {opcodes.DELETE: 4, opcodes.CHECK: 4, opcodes.GET_DATA: 1, opcodes.GET_CHILDREN: 1}
"""Sub-requests that are a path and this many bytes more."""


@attrs.define(eq=False)
class Request:
    """One frame from a client. ``withheld`` is why the real server does not get it."""

    frame: bytes
    xid: int
    opcode: int
    withheld: str | None = None
    behind_close: bool = False

    @property
    def answered(self) -> bool:
        """Whether a reply can be expected: a frame without a header gets none."""
        return len(self.frame) >= REQUEST_HEADER_BYTES and not self.behind_close


def read_request(frame: bytes) -> Request:
    """A request after the handshake."""
    if len(frame) < REQUEST_HEADER_BYTES:
        return Request(frame, 0, 0)
    xid, opcode = archive.read_int(frame, 0)[0], archive.read_int(frame, 4)[0]
    return Request(frame, xid, opcode, why_withheld(opcode, frame))


def why_withheld(opcode: int, frame: bytes) -> str | None:
    """Why the real server must not get this request; None when it may."""
    if opcode == opcodes.DELETE_CONTAINER:
        return CONTAINER_REFUSED
    if opcode == opcodes.CREATE_SESSION:
        return SESSION_REFUSED
    try:
        if opcode == opcodes.MULTI:
            dangerous = _is_multi_dangerous(frame)
        else:
            dangerous = opcode in _WRITES and _write(opcode, frame, REQUEST_HEADER_BYTES)[0]
    except (MarshallingError, struct_error):
        return None  # neither server can read it
    return NOT_WITHSTOOD if dangerous else None


def _write(type: int, data: bytes, pos: int) -> tuple[bool, int]:
    """Whether a write must not be sent, and its end."""
    if type == opcodes.SET_DATA:
        change, pos = SetDataRequest.decode(data, pos)
        return _is_spoilt(change.path, change.data), pos
    if type == opcodes.CREATE_TTL:
        timed, pos = CreateTTLRequest.decode(data, pos)
        at_odds = timed.flags in _PLAIN_MODES and timed.ttl < 0
        return at_odds or timed.path == _ROOT_LIMITS, pos
    create, pos = CreateRequest.decode(data, pos)
    return create.path == _ROOT_LIMITS, pos


def _is_spoilt(path: bytes | None, data: bytes | None) -> bool:
    """Whether *path* is that of a quota's usage and *data* is none. (A create's data is not kept there.)"""
    if path is None or not path.startswith(QUOTA) or not path.endswith(b"/" + STATS_NAME):
        return False
    try:
        StatsTrack.parse(data)
    except MalformedQuotaError:
        return True
    return data is None


def _is_multi_dangerous(frame: bytes) -> bool:
    """The same for a multi, as far as servers read it."""
    pos = REQUEST_HEADER_BYTES
    while True:
        header, pos = MultiHeader.decode(frame, pos)
        if header.done:
            return False
        if header.type in _WRITES:
            dangerous, pos = _write(header.type, frame, pos)
            if dangerous:
                return True
        elif header.type in _MULTI_RECORDS:
            pos = archive.read_path(frame, pos)[1] + _MULTI_RECORDS[header.type]
        else:
            return False  # a multi cannot hold it: neither server reads on


_ALONE: Final = frozenset({opcodes.AUTH, opcodes.SASL, opcodes.CHECK, opcodes.CREATE_SESSION})
"""Answered outside the queue of ordinary requests: among others, the order of answers would be chance."""


def cut_batches(requests: list[Request]) -> Iterator[list[Request]]:
    """Requests in portions, each of which both servers have answered before the next one is sent.

    What a server answers out of turn goes alone. So does what comes behind a setACL: whether the real server
    checks it against the old list or the new one is a matter of timing. What is behind a closeSession goes
    with it.
    """
    batch: list[Request] = []
    size = 0
    for number, request in enumerate(requests):
        opcode = request.opcode
        if opcode == opcodes.CLOSE_SESSION and request.answered:
            if batch:
                yield batch
            for late in requests[number + 1 :]:
                late.behind_close = True
            yield requests[number:]
            return
        if opcode in _ALONE or opcode not in OPERATIONS or not request.answered:
            if batch:
                yield batch
            yield [request]
            batch, size = [], 0
            continue
        batch.append(request)
        size += len(request.frame)
        if opcode == opcodes.SET_ACL or len(batch) == BATCH_REQUESTS or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
