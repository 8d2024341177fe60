"""Conversations of the election and the quorum port, good ones and damaged ones, from a seed and a number.

A conversation is what one side sends, from its first byte on; nothing of it depends on the answers, so it
can be sent at once. Damage goes where a decoder decides something: lengths, types, versions, order, ends.
"""

from __future__ import annotations

import struct
from random import Random
from typing import Final

from compat import wire
from tests.robustness.generator import LENGTHS, LONGS, OPS, Maker
from zkpy.persist.snapshot import tree_pieces
from zkpy.quorum import packets
from zkpy.quorum.context import SIGNATURE
from zkpy.quorum.notification import ANONYMOUS, encode_opening
from zkpy.quorum.packets import LearnerInfo, QuorumPacket, ack_epoch, leader_info
from zkpy.tree.datatree import DataTree

SIDS: Final = (1, 2, 3, 4, 9, 200, 0, -1, ANONYMOUS, 2**62)
FOREIGN: Final = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    bytes.fromhex("16030100c8010000c40303") + bytes(64),
    b"ruok",
    b"mntr\n",
    b"SSH-2.0-OpenSSH_9.0\r\n",
    wire.connect_frame(),
    b"\0" * 64,
    b"\xff" * 64,
    b"",
)
CONFIG: Final = b"server.1=h1:1:2:participant\nserver.2=h2:1:2:participant\nversion=0"
EPOCH: Final = 1


def damaged(r: Random, pieces: list[bytes]) -> list[bytes]:
    """A conversation with one to three faults."""
    pieces = list(pieces)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        at = r.randrange(len(pieces)) if pieces else 0
        fault = r.randrange(8)
        if fault == 0 and pieces:
            del pieces[at]
        elif fault == 1 and pieces:
            pieces.insert(at, pieces[r.randrange(len(pieces))])
        elif fault == 2:
            r.shuffle(pieces)
        elif fault == 3:
            pieces = pieces[:at]
        elif fault == 4:
            pieces.insert(at, r.randbytes(r.choice((1, 4, 20, 300))))
        elif pieces:
            pieces[at] = _damaged_bytes(r, pieces[at])
    return pieces


def _damaged_bytes(r: Random, data: bytes) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    at = r.randrange(len(changed))
    fault = r.randrange(5)
    if fault == 0:
        changed[at] ^= 1 << r.randrange(8)
    elif fault == 1:
        del changed[at:]
    elif fault == 2 and len(changed) >= 4:
        struct.pack_into(">i", changed, r.randrange(0, len(changed) - 3), r.choice(LENGTHS))
    elif fault == 3 and len(changed) >= 8:
        struct.pack_into(">q", changed, r.randrange(0, len(changed) - 7), r.choice(LONGS))
    else:
        changed[at:at] = r.randbytes(r.randrange(1, 9))
    return bytes(changed)


# -- the election port -------------------------------------------------------------------------------------


def notification(r: Random) -> bytes:
    """One message, in any of the layouts."""
    size = r.choice((28, 36, 40, 44, 44, 44))
    state = r.choice((0, 0, 1, 2, 3, 7))
    vote = struct.pack(">iqqq", state, r.choice(SIDS), r.choice(LONGS), r.choice(LONGS))
    data = vote + struct.pack(">q", r.choice(LONGS))
    if size == 28:
        data = vote
    elif size == 40:
        data += struct.pack(">i", r.choice((1, 2)))
    elif size == 44:
        text = r.choice((CONFIG, b"", b"\xff\xfe", b"server.1=", b"version=ffff", r.randbytes(40)))
        length = r.choice((len(text), len(text), *LENGTHS))
        data += struct.pack(">ii", r.choice((1, 2, 2, 2, 3)), length) + text
    return struct.pack(">i", r.choice((len(data), len(data), len(data), *LENGTHS))) + data


def election(r: Random) -> list[bytes]:
    """What a peer says on the election port."""
    if r.random() < 0.15:
        return [r.choice(FOREIGN)]
    opening = encode_opening(r.choice(SIDS), [("stranger", r.choice((1, 25031, 65535)))], r.random() < 0.2)
    if r.random() < 0.1:
        opening = struct.pack(">q", r.choice((0, 1, 2, 3, 9)))
    pieces = [opening, *(notification(r) for _ in range(r.randrange(4)))]
    return pieces if r.random() < 0.3 else damaged(r, pieces)


# -- the quorum port, from a learner -----------------------------------------------------------------------


def learner(r: Random, maker: Maker, last_zxid: int) -> list[bytes]:
    """What a learner says to the leader, whose history ends with *last_zxid*."""
    if r.random() < 0.1:
        return [r.choice(FOREIGN)]
    epoch = last_zxid >> 32
    kind = r.choice((packets.FOLLOWERINFO, packets.FOLLOWERINFO, packets.OBSERVERINFO))
    info = LearnerInfo(r.choice((1, 2, 4, 9, 9, 9, -5)), r.choice((0x10000,) * 9 + (0, 1, -1))).encode()
    if r.random() < 0.05:
        info = info[: r.choice((0, 4, 8, 12, 19))]
    ack = QuorumPacket(packets.ACK, epoch << 32).encode()
    zxid = r.choice((last_zxid, last_zxid, last_zxid - 1, 0, last_zxid + 7, -1, 5 << 32))
    pieces = [
        QuorumPacket(kind, r.choice((0, 0, epoch - 1)) << 32, info).encode(),
        ack_epoch(zxid, r.choice((-1, 0, epoch - 1))).encode(),
        ack,
        ack,
    ]
    pieces += (_from_learner(r, maker, last_zxid) for _ in range(r.randrange(6)))
    return pieces if r.random() < 0.2 else damaged(r, pieces)


def _from_learner(r: Random, maker: Maker, last_zxid: int) -> bytes:
    kind = r.randrange(8)
    if kind == 0:
        return QuorumPacket(packets.PING, last_zxid, r.randbytes(r.choice((0, 12, 24, 7)))).encode()
    if kind == 1:
        return packets.revalidate(r.choice(LONGS), r.choice((0, 1000, -1))).encode()
    if kind == 2:
        return QuorumPacket(
            packets.ACK, r.choice((last_zxid, last_zxid + 1, last_zxid + 99, *LONGS))
        ).encode()
    if kind == 3:
        return QuorumPacket(
            r.choice((*range(20), 99, -1)), r.choice(LONGS), r.choice((None, b"", b"?"))
        ).encode()
    op = r.choice((*range(1, 22), -10, -11, *OPS))
    body = r.randbytes(r.randrange(30))
    if op in (1, 2, 5, 7, 14, 15, 16, 19, 20, 21):
        body = maker.body(op) if r.random() < 0.7 else maker.damage(maker.body(op))
    head = struct.pack(">qii", r.choice(LONGS), r.randrange(-3, 9), op)
    ids = r.choice((None, (), (("ip", "127.0.0.1"),), (("digest", "x" * 300), ("", ""))))
    return QuorumPacket(packets.REQUEST, -1, head + body, ids).encode()


# -- the quorum port, from a leader ------------------------------------------------------------------------


def transaction(r: Random, zxid: int) -> bytes:
    """A transaction as it is logged, with any luck."""
    op = r.choice((-10, -10, 1, 5, 2, -11, -1, 14, 16, 99))
    body = struct.pack(">i", 30000)
    path = wire.text(b"/f%d" % r.randrange(3))
    if op == 1:
        body = path + wire.text(b"data") + wire.acls(wire.OPEN) + b"\0" + wire.i32(1)
    elif op == 5:
        body = path + wire.text(b"other") + wire.i32(1)
    elif op == 2:
        body = path
    elif op == 16:
        body = path + wire.text(r.choice((CONFIG, b"?"))) + wire.i32(-1)
    elif op == 14:
        body = wire.i32(1) + wire.i32(r.choice((1, -1, 77))) + wire.text(r.randbytes(9))
    elif op == -11:
        body = b""
    return struct.pack(">qiqqi", r.choice((7, 8)), 0, zxid, 1000, op) + body


def sent_tree(r: Random) -> bytes:
    """What follows a SNAP packet."""
    tree = DataTree()
    tree.sessions.update({7: 30000})
    data = b"".join(tree_pieces(tree.view())) + b"\0\0\0\1/" + SIGNATURE
    return data if r.random() < 0.4 else _damaged_bytes(r, data)


def leader(r: Random) -> list[bytes]:
    """What a leader of epoch 1 says to an empty follower."""
    if r.random() < 0.1:
        return [r.choice(FOREIGN)]
    first = EPOCH << 32
    last = first + r.randrange(5)
    history = []
    for zxid in range(first + 1, last + 1):
        payload = transaction(r, zxid)
        if r.random() < 0.2:
            history.append(QuorumPacket(packets.INFORM, zxid, payload).encode())
        else:
            history.append(QuorumPacket(packets.PROPOSAL, zxid, payload).encode())
            history.append(QuorumPacket(packets.COMMIT, zxid).encode())
    opening = r.choice((packets.DIFF, packets.DIFF, packets.SNAP, packets.TRUNC))
    pieces = [leader_info(r.choice((EPOCH, EPOCH, EPOCH, 0, 2))).encode()]
    pieces.append(QuorumPacket(opening, r.choice((0, last))).encode())
    if opening == packets.SNAP:
        pieces.append(sent_tree(r))
    cut = r.randrange(len(history) + 1)
    pieces += history[:cut]
    pieces.append(QuorumPacket(packets.NEWLEADER, first, r.choice((CONFIG, b"", None, b"\xff?"))).encode())
    pieces.append(QuorumPacket(packets.UPTODATE, -1).encode())
    pieces += history[cut:]
    for kind in (packets.PING, packets.SYNC, packets.REVALIDATE, r.randrange(25)):
        pieces.append(QuorumPacket(kind, last, r.choice((None, bytes(9)))).encode())
    return pieces if r.random() < 0.2 else damaged(r, pieces)
