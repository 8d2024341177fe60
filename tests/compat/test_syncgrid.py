"""What stands between a learner and its leader changes no byte, and knows each step of a synchronisation."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from compat.syncgrid.cell import all_cells
from compat.syncgrid.conversation import FromLeader, FromLearner, Piece, Step
from compat.syncgrid.proxy import QuorumProxy, Trap
from zkpy.persist.snapshot import tree_pieces
from zkpy.quorum.context import SIGNATURE
from zkpy.quorum.packets import (
    ACK,
    COMMIT,
    FOLLOWERINFO,
    NEWLEADER,
    PROPOSAL,
    SNAP,
    UPTODATE,
    LearnerInfo,
    QuorumPacket,
    ack_epoch,
    leader_info,
    ping_reply,
)
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules

EPOCH = 5 << 32


def packets(*some: QuorumPacket) -> bytes:
    return b"".join(packet.encode() for packet in some)


def sent_by_leader() -> bytes:
    view = DataTree(OwnerRules()).view()
    tree = b"".join(tree_pieces(view)) + b"\0\0\0\1/" + SIGNATURE
    view.close()
    return b"".join(
        (
            packets(leader_info(5), QuorumPacket(SNAP, 7)),
            tree,
            packets(
                QuorumPacket(PROPOSAL, EPOCH + 1, b"x"),
                QuorumPacket(COMMIT, EPOCH + 1),
                QuorumPacket(NEWLEADER, EPOCH, b"config"),
                QuorumPacket(UPTODATE, -1),
            ),
        )
    )


def sent_by_learner() -> bytes:
    return packets(
        QuorumPacket(FOLLOWERINFO, 4 << 32, LearnerInfo(1).encode()),
        ack_epoch(7, 4),
        QuorumPacket(ACK, EPOCH),
        QuorumPacket(ACK, EPOCH + 1),
        QuorumPacket(ACK, EPOCH),
        ping_reply(EPOCH, []),
    )


def cut(feed: Callable[[bytes], Iterator[Piece]], data: bytes, size: int) -> tuple[bytes, list[Step]]:
    pieces = [piece for at in range(0, len(data), size) for piece in feed(data[at : at + size])]
    return b"".join(piece for piece, _ in pieces), [step for _, step in pieces if step is not None]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_the_leaders_bytes_pass_unchanged_the_tree_included(size: int) -> None:
    data = sent_by_leader()
    leader = FromLeader()
    assert cut(leader.feed, data, size) == (
        data,
        [Step.LEADERINFO, Step.OPENING, Step.PROPOSAL, Step.NEWLEADER, Step.UPTODATE],
    )
    assert leader.opening == SNAP


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_the_acknowledgement_of_a_proposal_is_none_of_the_steps(size: int) -> None:
    data = sent_by_learner()
    learner = FromLearner()
    assert cut(learner.feed, data, size) == (
        data,
        [Step.FOLLOWERINFO, Step.ACKEPOCH, Step.NEWLEADER_ACK, Step.UPTODATE_ACK],
    )
    assert learner.sid == 1


def test_nothing_passes_after_the_step_at_which_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = QuorumProxy(listener.getsockname()[1])
        trap = proxy.trap = Trap(1, Step.ACKEPOCH)
        with socket.create_connection(("127.0.0.1", proxy.port)) as learner:
            leader, _ = listener.accept()
            with leader:
                learner.sendall(sent_by_learner())
                assert trap.stopped.wait(10)
                closer = threading.Timer(0.05, trap.spring)
                closer.start()
                received = b"".join(iter(lambda: leader.recv(1000), b""))
                closer.join()
        proxy.close()
    expected = packets(QuorumPacket(FOLLOWERINFO, 4 << 32, LearnerInfo(1).encode()), ack_epoch(7, 4))
    assert received == expected


def test_the_grid_has_162_cells() -> None:
    cells = list(all_cells())
    assert len({str(cell) for cell in cells}) == len(cells) == 162
