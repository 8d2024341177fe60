"""Packets of the quorum port, between a leader and its learners.

A stream is a sequence of QuorumPacket records without any length in front:

    int type | long zxid | buffer data | vector<Id> authinfo

Absent data and authinfo are null, which differs from empty (the reply to a PING is empty). After a SNAP
packet follows a snapshot of unknown length, which is no packet: `PacketReader.rest` hands over what has
arrived of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple

from zkpy import opcodes
from zkpy.errors import ProtocolError
from zkpy.jute.archive import NULL, buffer, decode_text, pack_int, pack_long, ustring
from zkpy.jute.framing import LIMIT_BYTES

REQUEST: Final = 1
PROPOSAL: Final = 2
ACK: Final = 3
COMMIT: Final = 4
PING: Final = 5
REVALIDATE: Final = 6
SYNC: Final = 7
INFORM: Final = 8
COMMITANDACTIVATE: Final = 9
NEWLEADER: Final = 10
FOLLOWERINFO: Final = 11
UPTODATE: Final = 12
DIFF: Final = 13
TRUNC: Final = 14
SNAP: Final = 15
OBSERVERINFO: Final = 16
LEADERINFO: Final = 17
ACKEPOCH: Final = 18
INFORMANDACTIVATE: Final = 19

NAMES: Final = {
    REQUEST: "REQUEST",
    PROPOSAL: "PROPOSAL",
    ACK: "ACK",
    COMMIT: "COMMIT",
    PING: "PING",
    REVALIDATE: "REVALIDATE",
    SYNC: "SYNC",
    INFORM: "INFORM",
    COMMITANDACTIVATE: "COMMITANDACTIVATE",
    NEWLEADER: "NEWLEADER",
    FOLLOWERINFO: "FOLLOWERINFO",
    UPTODATE: "UPTODATE",
    DIFF: "DIFF",
    TRUNC: "TRUNC",
    SNAP: "SNAP",
    OBSERVERINFO: "OBSERVERINFO",
    LEADERINFO: "LEADERINFO",
    ACKEPOCH: "ACKEPOCH",
    INFORMANDACTIVATE: "INFORMANDACTIVATE",
}
"""The name of each packet type."""

PROTOCOL_VERSION: Final = 0x10000
"""What both sides of the quorum port speak: LEADERINFO and ACKEPOCH are part of it."""

PACKET_LIMIT_BYTES: Final = 2 * LIMIT_BYTES
"""Default limit of a packet's data: ``jute.maxbuffer`` plus as much again for what a transaction adds."""

IDS_MAX: Final = 4096
"""More identities than one client has."""

Authinfo = tuple[tuple[str, str], ...]
"""The (scheme, id) pairs of the client whose request is forwarded."""

_HEAD: Final = Struct(">iqi")
_BARE: Final = Struct(">iqii")
_INT: Final = Struct(">i")
_SESSION_TIMEOUT: Final = Struct(">qi")
_SESSION_VALID: Final = Struct(">qb")
_REQUEST: Final = Struct(">qii")
_LEARNER_INFO: Final = Struct(">qiq")
_LONG: Final = Struct(">q")


@lru_cache(maxsize=64)
def _encoded_ids(authinfo: Authinfo) -> bytes:
    """Clients are few, their requests many."""
    out = [pack_int(len(authinfo))]
    for scheme, ident in authinfo:
        out += (ustring(scheme), ustring(ident))
    return b"".join(out)


class QuorumPacket:
    """One packet; equal when all fields are."""

    __slots__ = ("authinfo", "data", "type", "zxid")

    def __init__(
        self, type: int, zxid: int, data: bytes | None = None, authinfo: Authinfo | None = None
    ) -> None:
        self.type = type
        self.zxid = zxid
        self.data = data
        self.authinfo = authinfo

    @property
    def name(self) -> str:
        """The type's name, for messages to people."""
        return NAMES.get(self.type, f"type {self.type}")

    def encode(self) -> bytes:
        """The packet's bytes on the wire."""
        data = self.data
        if self.authinfo is None:
            if data is None:
                return _HEAD.pack(self.type, self.zxid, -1) + NULL
            return b"".join((_HEAD.pack(self.type, self.zxid, len(data)), data, NULL))
        return b"".join(
            (pack_int(self.type), pack_long(self.zxid), buffer(data), _encoded_ids(self.authinfo))
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuorumPacket):
            return NotImplemented
        return (self.type, self.zxid, self.data, self.authinfo) == (
            other.type,
            other.zxid,
            other.data,
            other.authinfo,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        size = "null" if self.data is None else f"{len(self.data)} bytes"
        return f"<{self.name} 0x{self.zxid:x} {size}>"


class Run(NamedTuple):
    """ACK or COMMIT packets without data, one behind the other: by far the most packets."""

    type: int
    zxids: list[int]


def encode_proposal(zxid: int, payload: bytes) -> bytes:
    """A PROPOSAL's bytes on the wire."""
    return b"".join((_HEAD.pack(PROPOSAL, zxid, len(payload)), payload, NULL))


def encode_bare(kind: int, zxids: Iterable[int]) -> bytes:
    """Packets of one type without data, such as ACK or COMMIT, one for each zxid."""
    pack = _BARE.pack
    return b"".join([pack(kind, zxid, -1, -1) for zxid in zxids])


class PacketReader:
    """Cuts packets out of a stream that arrives in arbitrary chunks.

    ``feed`` what arrived, then call ``next`` until it returns None. Only bytes that have arrived are held: an
    announced length is checked against *limit_bytes* and costs nothing.
    """

    __slots__ = ("_arrived", "_ids", "_need", "_start", "limit_bytes")

    def __init__(self, limit_bytes: int = PACKET_LIMIT_BYTES) -> None:
        self.limit_bytes: Final = limit_bytes
        self._arrived = bytearray()
        self._start = 0  # of the first packet that was not taken yet
        self._need = 20  # that packet has at least so many bytes
        self._ids: tuple[bytes, Authinfo] | None = None  # the last ones: clients are few, requests many

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait; 0 at the end of a stream means that it was not cut inside a packet."""
        return len(self._arrived) - self._start

    @property
    def arriving(self) -> int | None:
        """The type of the first packet that was not taken yet; None: fewer than its four bytes are there."""
        if self.pending_bytes < _INT.size:
            return None
        kind: int = _INT.unpack_from(self._arrived, self._start)[0]
        return kind

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes that arrived."""
        if self._start:
            del self._arrived[: self._start]
            self._start = 0
        self._arrived += data

    def next(self) -> QuorumPacket | None:
        """The next whole packet, or None until more bytes are fed.

        Raises:
            ProtocolError: an impossible length. The stream is lost from here on, and every further call says
                so again.
        """
        arrived = self._arrived
        start = self._start
        if len(arrived) - start < self._need:
            return None
        kind, zxid, size = _HEAD.unpack_from(arrived, start)
        begin = start + 16
        end = begin + self._length(size, "data")
        if end + 4 > len(arrived):
            self._need = end + 4 - start
            return None
        authinfo: Authinfo | None = None
        pos = end + 4
        count: int = _INT.unpack_from(arrived, end)[0]
        if count == -1:
            pass
        elif self._ids is not None and arrived.startswith(self._ids[0], end):
            authinfo = self._ids[1]
            pos = end + len(self._ids[0])
        else:
            if not 0 <= count <= IDS_MAX:
                raise ProtocolError(f"peer announced {count} identities in a packet")
            strings: list[str] = []
            for _ in range(2 * count):
                found = self._string(pos)
                if found is None:
                    return None
                text, pos = found
                strings.append(text)
            authinfo = tuple(zip(strings[::2], strings[1::2], strict=True))
            self._ids = bytes(memoryview(arrived)[end:pos]), authinfo
        data = None if size < 0 else bytes(memoryview(arrived)[begin:end])
        self._start = pos
        self._need = 20
        return QuorumPacket(kind, zxid, data, authinfo)

    def all(self) -> list[QuorumPacket | Run]:
        """All whole packets that have arrived. Raises as `next`."""
        found: list[QuorumPacket | Run] = []
        while (packet := self._run() or self.next()) is not None:
            found.append(packet)
        return found

    def _run(self) -> Run | None:
        arrived = self._arrived
        start = self._start
        count = (len(arrived) - start) // _BARE.size
        if not count or arrived[start + 3] not in (ACK, COMMIT):
            return None
        zxids: list[int] = []
        first: int = _INT.unpack_from(arrived, start)[0]
        with memoryview(arrived) as view, view[start : start + count * _BARE.size] as whole:
            for kind, zxid, size, ids in _BARE.iter_unpack(whole):
                if kind != first or size != -1 or ids != -1:
                    break
                zxids.append(zxid)
        if first not in (ACK, COMMIT) or not zxids:
            return None
        self._start = start + len(zxids) * _BARE.size
        self._need = 20
        return Run(first, zxids)

    def take(self, size: int) -> bytes:
        """Remove up to *size* raw bytes from the front: what follows a SNAP packet is no packet."""
        end = min(self._start + size, len(self._arrived))
        taken = bytes(memoryview(self._arrived)[self._start : end])
        self._start = end
        self._need = 20
        return taken

    def rest(self) -> bytes:
        """Remove and return all raw bytes that have arrived."""
        return self.take(self.pending_bytes)

    def unread(self, data: bytes) -> None:
        """Put bytes back at the front: a snapshot's reader had more than the snapshot."""
        self._arrived[: self._start] = data
        self._start = 0
        self._need = 20

    def _length(self, size: int, what: str) -> int:
        if size == -1:
            return 0
        if not 0 <= size <= self.limit_bytes:
            raise ProtocolError(f"peer announced {size} bytes of {what}, {self.limit_bytes} are allowed")
        return size

    def _string(self, pos: int) -> tuple[str, int] | None:
        arrived = self._arrived
        if pos + 4 > len(arrived):
            self._need = pos + 4 - self._start
            return None
        size = self._length(_INT.unpack_from(arrived, pos)[0], "identity")
        pos += 4
        end = pos + size
        if end - self._start > 2 * self.limit_bytes:
            raise ProtocolError(f"peer announced identities of more than {self.limit_bytes} bytes")
        if end > len(arrived):
            self._need = end - self._start
            return None
        return decode_text(bytes(memoryview(arrived)[pos:end])), end


class LearnerInfo(NamedTuple):
    """Data of FOLLOWERINFO and OBSERVERINFO."""

    sid: int
    protocol_version: int = PROTOCOL_VERSION
    config_version: int | None = 0
    """Of the learner's committed configuration; None: an old learner did not say."""

    def encode(self) -> bytes:
        """The 20 bytes of a complete record."""
        return _LEARNER_INFO.pack(self.sid, self.protocol_version, self.config_version or 0)


def decode_learner_info(data: bytes | None, unnamed_sid: int = -1) -> LearnerInfo:
    """What a learner tells about itself; old learners send less, and null data counts as *unnamed_sid*.

    Too little for a sid gives sid 0, too little for the protocol version gives version 1.
    """
    if data is None:
        return LearnerInfo(unnamed_sid, 1, None)
    if len(data) >= 20:
        return LearnerInfo(*_LEARNER_INFO.unpack_from(data))
    sid = _LONG.unpack_from(data)[0] if len(data) >= 8 else 0
    version = _INT.unpack_from(data, 8)[0] if len(data) >= 12 else 1
    return LearnerInfo(sid, version, None)


def leader_info(epoch: int) -> QuorumPacket:
    """LEADERINFO: the leader's new epoch."""
    return QuorumPacket(LEADERINFO, epoch << 32, pack_int(PROTOCOL_VERSION))


def decode_leader_info(packet: QuorumPacket) -> tuple[int, int]:
    """(epoch, protocol version) of LEADERINFO. Raises ProtocolError."""
    return packet.zxid >> 32, _unpack(_INT, packet)[0]


def ack_epoch(last_zxid: int, current_epoch: int) -> QuorumPacket:
    """ACKEPOCH: the learner's history; *current_epoch* -1 for a promise that was given before."""
    return QuorumPacket(ACKEPOCH, last_zxid, pack_int(current_epoch))


def decode_ack_epoch(packet: QuorumPacket) -> tuple[int, int]:
    """(last zxid, current epoch or -1) of ACKEPOCH. Raises ProtocolError."""
    return packet.zxid, _unpack(_INT, packet)[0]


READS_CXID: Final = 0
SYNC_CXID: Final = 1
"""The cxids of a SYNC that a server sends by itself: for reads that wait (``quorumReads``), and otherwise."""
READS_ZXID: Final = -1
"""The zxid of the answer to a SYNC for reads, if the leader said `READS_APART`; that of all others is 0."""
READS_APART: Final = b"reads apart"
"""Data of UPTODATE, from a leader with ``quorumReads``: it may answer later SYNCs before one for reads."""


class ForwardedRequest(NamedTuple):
    """Data of REQUEST: a client's request on its way to the leader."""

    session: int
    cxid: int
    opcode: int
    body: bytes
    """The request record as the client sent it, without the request header."""

    def packet(self, authinfo: Authinfo | None) -> QuorumPacket:
        """The REQUEST packet; *authinfo* is null for createSession."""
        data = _REQUEST.pack(self.session, self.cxid, self.opcode) + self.body
        return QuorumPacket(REQUEST, -1, data, authinfo)


def decode_request(packet: QuorumPacket) -> ForwardedRequest:
    """The forwarded request; its identities stay in the packet. Raises ProtocolError."""
    session, cxid, opcode = _unpack(_REQUEST, packet)
    assert packet.data is not None
    return ForwardedRequest(session, cxid, opcode, packet.data[16:])


def is_for_reads(forwarded: ForwardedRequest, authinfo: Authinfo | None) -> bool:
    """Whether it is a SYNC that a server sends for reads; a client's has at least its address as identity."""
    return forwarded.opcode == opcodes.SYNC and forwarded.cxid == READS_CXID and not authinfo


def revalidate(session: int, timeout_ms: int) -> QuorumPacket:
    """REVALIDATE: a learner asks whether a session that came to it is alive."""
    return QuorumPacket(REVALIDATE, -1, _SESSION_TIMEOUT.pack(session, timeout_ms))


def decode_revalidate(packet: QuorumPacket) -> tuple[int, int]:
    """(session, timeout in ms) of a learner's question. Raises ProtocolError."""
    session, timeout_ms = _unpack(_SESSION_TIMEOUT, packet)
    return session, timeout_ms


def revalidated(question: QuorumPacket, session: int, valid: bool) -> QuorumPacket:
    """The leader's answer to REVALIDATE."""
    return QuorumPacket(REVALIDATE, question.zxid, _SESSION_VALID.pack(session, valid), question.authinfo)


def decode_revalidated(packet: QuorumPacket) -> tuple[int, bool]:
    """(session, whether it is valid) of the leader's answer. Raises ProtocolError."""
    session, valid = _unpack(_SESSION_VALID, packet)
    return session, valid != 0


def ping_reply(zxid: int, touched: Iterable[tuple[int, int]]) -> QuorumPacket:
    """The answer to PING with the (session, timeout in ms) pairs heard from; empty data, never null."""
    return QuorumPacket(PING, zxid, b"".join(_SESSION_TIMEOUT.pack(*pair) for pair in touched))


def decode_touched(data: bytes | None) -> list[tuple[int, int]]:
    """The (session, timeout in ms) pairs of a PING reply. Raises ProtocolError for a broken table."""
    if not data:
        return []
    if len(data) % 12:
        raise ProtocolError(f"touch table of {len(data)} bytes")
    return list(_SESSION_TIMEOUT.iter_unpack(data))


def commit_and_activate(zxid: int, leader: int) -> QuorumPacket:
    """COMMITANDACTIVATE: a reconfiguration commits, *leader* is the designated one."""
    return QuorumPacket(COMMITANDACTIVATE, zxid, pack_long(leader))


def inform_and_activate(zxid: int, leader: int, payload: bytes) -> QuorumPacket:
    """INFORMANDACTIVATE: the same for observers, with the transaction."""
    return QuorumPacket(INFORMANDACTIVATE, zxid, pack_long(leader) + payload)


def decode_designated(packet: QuorumPacket) -> tuple[int, bytes]:
    """(designated leader, transaction payload if it is INFORMANDACTIVATE). Raises ProtocolError."""
    leader: int = _unpack(_LONG, packet)[0]
    assert packet.data is not None
    return leader, packet.data[8:]


def _unpack(layout: Struct, packet: QuorumPacket) -> tuple[int, ...]:
    try:
        return layout.unpack_from(packet.data or b"")
    except struct_error:
        raise ProtocolError(f"{packet.name} with too little data") from None
