"""Which packet is which step of a learner's synchronisation, read from the bytes between the two."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from zkpy.persist.treescan import TreeScanner
from zkpy.quorum.context import SIGNATURE
from zkpy.quorum.packets import (
    ACK,
    ACKEPOCH,
    DIFF,
    FOLLOWERINFO,
    LEADERINFO,
    NEWLEADER,
    OBSERVERINFO,
    PROPOSAL,
    SNAP,
    TRUNC,
    UPTODATE,
    PacketReader,
    decode_learner_info,
)


class Step(Enum):
    """The packets after which a synchronisation can be stopped, in their order."""

    FOLLOWERINFO = "FOLLOWERINFO"
    LEADERINFO = "LEADERINFO"
    ACKEPOCH = "ACKEPOCH"
    OPENING = "opening"
    PROPOSAL = "PROPOSAL"
    NEWLEADER = "NEWLEADER"
    NEWLEADER_ACK = "NEWLEADER-ack"
    UPTODATE = "UPTODATE"
    UPTODATE_ACK = "UPTODATE-ack"


Piece = tuple[bytes, Step | None]
"""Bytes to pass on whole, and the step that they are."""

_LIMIT_BYTES: Final = 16 << 20
_FROM_LEADER: Final = {
    LEADERINFO: Step.LEADERINFO,
    DIFF: Step.OPENING,
    TRUNC: Step.OPENING,
    SNAP: Step.OPENING,
    PROPOSAL: Step.PROPOSAL,
    NEWLEADER: Step.NEWLEADER,
    UPTODATE: Step.UPTODATE,
}


class FromLearner:
    """What a learner sends, cut into packets."""

    def __init__(self) -> None:
        self._reader = PacketReader(_LIMIT_BYTES)
        self._acks = iter((Step.NEWLEADER_ACK, Step.UPTODATE_ACK))
        self.sid = -1
        """The learner's number, from its first packet on."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        self._reader.feed(data)
        while (packet := self._reader.next()) is not None:
            step = None
            if packet.type in (FOLLOWERINFO, OBSERVERINFO):
                self.sid = decode_learner_info(packet.data).sid
                step = Step.FOLLOWERINFO
            elif packet.type == ACKEPOCH:
                step = Step.ACKEPOCH
            elif packet.type == ACK and not packet.zxid & 0xFFFFFFFF:
                step = next(self._acks, None)
            yield packet.encode(), step


class FromLeader:
    """What a leader sends, cut into packets, and the tree that follows SNAP."""

    def __init__(self) -> None:
        self._reader = PacketReader(_LIMIT_BYTES)
        self._tree: TreeScanner | None = None
        self._tree_bytes = b""
        self._after_tree: bytes | None = None
        self.opening = 0
        """DIFF, TRUNC or SNAP, as soon as it was sent."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        self._reader.feed(data)
        while True:
            if self._tree is not None:
                if (tree := self._whole_tree(self._reader.rest())) is None:
                    return
                yield tree, None
            if (packet := self._reader.next()) is None:
                return
            step = _FROM_LEADER.get(packet.type)
            if step is Step.OPENING:
                self.opening = packet.type
                if packet.type == SNAP:
                    self._tree = TreeScanner(_LIMIT_BYTES)
                    self._after_tree = None
            yield packet.encode(), step

    def _whole_tree(self, data: bytes) -> bytes | None:
        """The tree with its signature when it is there; what follows is put back."""
        assert self._tree is not None
        if self._after_tree is not None:
            self._after_tree += data
        elif (found := self._tree.feed(data)) is not None:
            self._tree_bytes, self._after_tree = found
        if self._after_tree is None or len(self._after_tree) < len(SIGNATURE):
            return None
        self._tree = None
        self._reader.unread(self._after_tree[len(SIGNATURE) :])
        return self._tree_bytes + self._after_tree[: len(SIGNATURE)]
