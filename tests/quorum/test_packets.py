"""Packets of the quorum port: captured bytes, arbitrary chunks, garbage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import ProtocolError
from zkpy.jute import records
from zkpy.quorum import packets
from zkpy.quorum.packets import LearnerInfo, PacketReader, QuorumPacket

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=80)

CONFIG = b"server.1=127.0.0.1:25021:25031:participant\nserver.2=127.0.0.1:25022:25032:participant\nversion=0"
CREATE = bytes.fromhex(
    "00000002 2f79 00000001 77 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000"
)

TRACE: list[tuple[str, QuorumPacket]] = [
    (
        "0000000b 0000000000000000 00000014 0000000000000001 00010000 0000000000000000 ffffffff",
        QuorumPacket(packets.FOLLOWERINFO, 0, LearnerInfo(1).encode()),
    ),
    ("00000011 0000000100000000 00000004 00010000 ffffffff", packets.leader_info(1)),
    ("00000012 0000000000000000 00000004 00000000 ffffffff", packets.ack_epoch(0, 0)),
    ("0000000d 0000000000000000 ffffffff ffffffff", QuorumPacket(packets.DIFF, 0)),
    (
        f"0000000a 0000000100000000 0000005f {CONFIG.hex()} ffffffff",
        QuorumPacket(packets.NEWLEADER, 1 << 32, CONFIG),
    ),
    ("00000003 0000000100000000 ffffffff ffffffff", QuorumPacket(packets.ACK, 1 << 32)),
    ("0000000c ffffffffffffffff ffffffff ffffffff", QuorumPacket(packets.UPTODATE, -1)),
    ("00000005 0000000100000000 ffffffff ffffffff", QuorumPacket(packets.PING, 1 << 32)),
    ("00000005 0000000100000000 00000000 ffffffff", packets.ping_reply(1 << 32, [])),
    (
        "00000005 0000000100000002 0000000c 0200003f1ede0000 00002710 ffffffff",
        packets.ping_reply(0x100000002, [(0x0200003F1EDE0000, 10000)]),
    ),
    (
        "00000001 ffffffffffffffff 0000003a 0100003f1ed60000 00000001 00000001"
        "00000002 2f79 00000001 77 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000"
        "00000001 00000002 6970 00000009 3132372e302e302e31",
        packets.ForwardedRequest(
            0x0100003F1ED60000,
            1,
            1,
            CREATE,
        ).packet((("ip", "127.0.0.1"),)),
    ),
]
"""Between two 3.9.4 servers, a follower joining an empty leader, then traffic."""


@pytest.mark.parametrize(("text", "packet"), TRACE, ids=lambda value: getattr(value, "name", ""))
def test_captured_packets(text: str, packet: QuorumPacket) -> None:
    raw = bytes.fromhex(text)
    assert packet.encode() == raw
    reader = PacketReader()
    reader.feed(raw)
    assert reader.next() == packet
    assert reader.pending_bytes == 0


def test_the_type_is_known_before_the_packet_is() -> None:
    reader = PacketReader()
    first, second = packets.ack_epoch(0, 0).encode(), QuorumPacket(packets.ACK, 1).encode()
    reader.feed(first[:3])
    assert reader.arriving is None
    reader.feed(first[3:] + second[:4])
    assert reader.arriving == packets.ACKEPOCH
    assert reader.next() == packets.ack_epoch(0, 0)
    assert reader.arriving == packets.ACK
    assert reader.next() is None


def test_the_generated_record_agrees() -> None:
    for text, packet in TRACE:
        record, end = records.QuorumPacket.decode(bytes.fromhex(text), 0)
        assert end == len(bytes.fromhex(text))
        assert (record.type, record.zxid, record.data) == (packet.type, packet.zxid, packet.data)


longs = st.integers(-(1 << 63), (1 << 63) - 1)
ints = st.integers(-(1 << 31), (1 << 31) - 1)
texts = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=9
)  # as Java's reader
authinfos = st.none() | st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
some_packets = st.builds(QuorumPacket, ints, longs, st.none() | st.binary(max_size=50), authinfos)


@deterministic
@given(st.lists(some_packets, max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_chunks_give_the_same_packets(sent: list[QuorumPacket], sizes: list[int]) -> None:
    stream = b"".join(packet.encode() for packet in sent)
    reader = PacketReader()
    got: list[QuorumPacket] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        reader.feed(memoryview(stream)[at : at + size])
        at += size
        turn += 1
        if turn % 3:
            got += iter(reader.next, None)
    got += iter(reader.next, None)
    assert got == sent
    assert reader.pending_bytes == 0


@deterministic
@given(st.binary(max_size=200))
def test_garbage_raises_protocol_errors_only(raw: bytes) -> None:
    reader = PacketReader(limit_bytes=50)
    reader.feed(raw)
    try:
        while reader.next() is not None:
            pass
    except ProtocolError:
        with pytest.raises(ProtocolError):
            reader.next()


@pytest.mark.parametrize(
    "tail",
    [
        "fffffffe ffffffff",
        "00000065 ffffffff",
        "7fffffff ffffffff",
        "ffffffff fffffffe",
        "ffffffff 7fffffff",
        "ffffffff 00000001 fffffffe",
        "ffffffff 00000001 00000065",
    ],
)
def test_impossible_lengths(tail: str) -> None:
    reader = PacketReader(limit_bytes=100)
    reader.feed(bytes(12) + bytes.fromhex(tail) + bytes(8))
    with pytest.raises(ProtocolError, match="announced"):
        reader.next()


def test_many_identities_are_bounded_in_sum() -> None:
    reader = PacketReader(limit_bytes=100)
    packet = QuorumPacket(1, -1, None, tuple(("digest", "x" * 90) for _ in range(5)))
    reader.feed(packet.encode())
    with pytest.raises(ProtocolError, match="identities"):
        reader.next()


def test_a_snapshot_may_follow_a_packet() -> None:
    snap, after = QuorumPacket(packets.SNAP, 7), QuorumPacket(packets.NEWLEADER, 1 << 32, b"x")
    reader = PacketReader()
    reader.feed(snap.encode() + b"snapshot data" + after.encode()[:9])
    assert reader.next() == snap
    assert reader.take(5) == b"snaps"
    rest = reader.rest()
    assert rest.startswith(b"hot data")
    assert reader.pending_bytes == 0
    reader.unread(rest[8:])
    reader.feed(after.encode()[9:])
    assert reader.next() == after
    assert reader.next() is None


def test_learner_info_of_old_learners() -> None:
    full = LearnerInfo(3, 0x10000, 5)
    decode = packets.decode_learner_info
    assert decode(full.encode()) == full
    assert decode(full.encode()[:12]) == LearnerInfo(3, 0x10000, None)
    assert decode(full.encode()[:8]) == LearnerInfo(3, 1, None)
    assert decode(b"abc") == LearnerInfo(0, 1, None)
    assert decode(None, -2) == LearnerInfo(-2, 1, None)


def test_data_of_each_packet_comes_back() -> None:
    assert packets.decode_leader_info(packets.leader_info(7)) == (7, packets.PROTOCOL_VERSION)
    assert packets.decode_ack_epoch(packets.ack_epoch(9, -1)) == (9, -1)
    request = packets.ForwardedRequest(-5, 0, -10, b"body")
    assert packets.decode_request(request.packet(None)) == request
    question = packets.revalidate(-7, 4000)
    assert packets.decode_revalidate(question) == (-7, 4000)
    answer = packets.revalidated(question, -7, True)
    assert packets.decode_revalidated(answer) == (-7, True)
    assert answer.data is not None and len(answer.data) == 9
    assert packets.decode_designated(packets.commit_and_activate(3, 2)) == (2, b"")
    assert packets.decode_designated(packets.inform_and_activate(3, 2, b"txn")) == (2, b"txn")
    touched = [(1, 2), (-3, 4)]
    assert packets.decode_touched(packets.ping_reply(0, touched).data) == touched
    assert packets.decode_touched(None) == []


@pytest.mark.parametrize(
    "decode",
    [
        packets.decode_leader_info,
        packets.decode_ack_epoch,
        packets.decode_request,
        packets.decode_revalidate,
        packets.decode_revalidated,
        packets.decode_designated,
        lambda packet: packets.decode_touched(packet.data or b"x"),
    ],
)
def test_short_data_is_a_protocol_error(decode: Callable[[QuorumPacket], object]) -> None:
    for data in (None, b"", b"abc"):
        with pytest.raises(ProtocolError):
            decode(QuorumPacket(packets.PING, 0, data))


def test_runs_of_bare_packets_come_as_one_and_nothing_else_does() -> None:
    proposal = QuorumPacket(packets.PROPOSAL, 9, b"x")
    odd = QuorumPacket(packets.ACK, 5, b"")  # with data, if empty
    data = (
        packets.encode_bare(packets.ACK, [1, 2, 3])
        + packets.encode_bare(packets.COMMIT, [4])
        + odd.encode()
        + packets.encode_bare(packets.PING, [6])
        + proposal.encode()
        + packets.encode_bare(packets.COMMIT, [7, 8])
    )
    whole = [
        packets.Run(packets.ACK, [1, 2, 3]),
        packets.Run(packets.COMMIT, [4]),
        odd,
        QuorumPacket(packets.PING, 6),
        proposal,
        packets.Run(packets.COMMIT, [7, 8]),
    ]
    reader = packets.PacketReader()
    reader.feed(data)
    assert reader.all() == whole
    for cut in range(len(data)):  # wherever the stream is cut, the same zxids come in the same order
        reader = packets.PacketReader()
        reader.feed(data[:cut])
        found = reader.all()
        reader.feed(data[cut:])
        found += reader.all()
        flat = [
            (packet.type, zxid)
            for packet in found
            for zxid in (packet.zxids if isinstance(packet, packets.Run) else [packet.zxid])
        ]
        assert flat == [(3, 1), (3, 2), (3, 3), (4, 4), (3, 5), (5, 6), (2, 9), (4, 7), (4, 8)]
        assert reader.pending_bytes == 0
