"""The leader's choice of how to bring one learner up to date: DIFF, TRUNC or SNAP, and what follows.

`plan_sync` decides from the learner's last zxid, the leader's recent transactions and, if need be, the
transaction log on disk. Read the committed log and register the learner for live traffic in the same step,
from the plan's sync point on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from zkpy.errors import ProtocolError
from zkpy.quorum.packets import DIFF, SNAP, TRUNC
from zkpy.zxid import continues, counter_of, epoch_of, follows

COMMIT_LOG_COUNT: Final = 500
"""``zookeeper.commitLogCount``'s default."""

Txn = tuple[int, bytes]
"""(zxid, payload as it is logged and sent)."""


class CommittedLog:
    """The latest applied transactions without gaps, for learners that were away only briefly."""

    __slots__ = ("_txns", "limit")

    def __init__(self, limit: int = COMMIT_LOG_COUNT) -> None:
        assert limit > 0, "the committed log holds at least one transaction"
        self.limit: Final = limit
        self._txns: deque[Txn] = deque()

    def add(self, zxid: int, payload: bytes) -> None:
        """Append what was applied; the oldest makes room.

        Raises:
            ProtocolError: *zxid* leaves a gap, or goes back: what this server was sent is no history.
        """
        if self._txns and not follows(self._txns[-1][0], zxid):
            raise ProtocolError(f"0x{zxid:x} applied after 0x{self._txns[-1][0]:x}")
        self._txns.append((zxid, payload))
        if len(self._txns) > self.limit:
            self._txns.popleft()

    def clear(self) -> None:
        """Forget everything: the tree was replaced or truncated."""
        self._txns.clear()

    def bounds(self, last_processed: int) -> tuple[int, int]:
        """The lowest and the highest zxid held; both are *last_processed* when nothing is."""
        if not self._txns:
            return last_processed, last_processed
        return self._txns[0][0], self._txns[-1][0]

    def __len__(self) -> int:
        return len(self._txns)

    def __iter__(self) -> Iterator[Txn]:
        return iter(self._txns)


class DiskHistory(NamedTuple):
    """The transaction log on disk from the file on that contains a zxid."""

    transactions: Iterable[Txn]
    """From that file's first entry on, in order. Read only if the sizes allow it."""
    later_log_bytes: int
    """Lengths of the log files after that one, padding included."""
    snapshot_bytes: int
    """Length of the newest snapshot."""


Disk = Callable[[int], DiskHistory | None]
"""Gives the history from the file with a zxid on; None: there is no such file."""


class SyncPlan(NamedTuple):
    """What to send a learner before NEWLEADER."""

    type: int
    """DIFF, TRUNC or SNAP."""
    zxid: int
    """Of the opening packet. For SNAP the snapshot is taken at this zxid or later."""
    transactions: list[Txn]
    """To be sent as PROPOSAL and COMMIT each, observers included."""
    sync_point: int
    """The learner gets what was proposed or committed beyond this zxid from the live traffic."""


def disk_sync_allowed(later_log_bytes: int, snapshot_bytes: int, snapshot_size_factor: float) -> bool:
    """Whether reading the log is thought cheaper than sending a snapshot; a negative factor: never."""
    return snapshot_size_factor >= 0 and later_log_bytes <= snapshot_size_factor * snapshot_bytes


def plan_sync(
    peer_last: int,
    last_processed: int,
    log: CommittedLog,
    disk: Disk | None = None,
    *,
    snapshot_size_factor: float = 0.33,
    force_snapshot: bool = False,
) -> SyncPlan:
    """Choose for a learner whose last zxid is *peer_last*; the leader's tree is at *last_processed*.

    A learner that is beyond it is cut back within an epoch. One of another epoch need not hold the
    transaction to which it would be cut, and gets a snapshot; Java's leader trusts it.
    """
    snap = SyncPlan(SNAP, last_processed, [], last_processed)
    low, high = log.bounds(last_processed)
    if force_snapshot:
        return snap
    if peer_last == last_processed:
        return SyncPlan(DIFF, peer_last, [], peer_last)
    if peer_last > high and counter_of(peer_last) != 0:
        if epoch_of(peer_last) != epoch_of(high):
            return snap
        return SyncPlan(TRUNC, high, [], high)
    if low <= peer_last <= high:
        return _from_list(peer_last, high, log) or snap
    if peer_last < low and disk is not None and snapshot_size_factor >= 0:
        older = _from_disk(peer_last, low, disk, snapshot_size_factor)
        if older is not None:
            return _from_list(peer_last, high, [*older, *_beyond(older[-1][0], log)]) or snap
    return snap


def _from_list(peer_last: int, high: int, txns: Iterable[Txn]) -> SyncPlan | None:
    """The plan for a learner whose last zxid lies within *txns*; None when its history is not ours."""
    walk = iter(txns)
    fresh = counter_of(peer_last) == 0  # a leadership without transactions: nothing to cut off
    previous: int | None = None
    for txn in walk:
        zxid = txn[0]
        if zxid < peer_last:
            previous = zxid
            continue
        if zxid == peer_last:
            return SyncPlan(DIFF, high, list(walk), high)
        if fresh:
            return SyncPlan(DIFF, high, [txn, *walk], high)
        if previous is not None and epoch_of(zxid) == epoch_of(peer_last):
            return SyncPlan(TRUNC, previous, [txn, *walk], high)
        return None
    return SyncPlan(DIFF, high, [], high) if fresh else None


def _from_disk(peer_last: int, low: int, disk: Disk, factor: float) -> list[Txn] | None:
    """What the disk has from before *peer_last* up to *low*; None unless that is a history without gaps.

    A snapshot received from a leader leaves a gap between two log files: then the chain is broken.
    """
    history = disk(peer_last)
    if history is None or not disk_sync_allowed(history.later_log_bytes, history.snapshot_bytes, factor):
        return None
    txns: list[Txn] = []
    for txn in history.transactions:
        zxid = txn[0]
        if not txns and zxid > peer_last:
            return None
        if txns and not continues(txns[-1][0], zxid):
            return None
        if zxid > low:
            return None  # low itself must be there, or the log on disk is not what the tree was made from
        txns.append(txn)
        if zxid == low:
            return txns
    return None


def _beyond(zxid: int, txns: Iterable[Txn]) -> Iterator[Txn]:
    return (txn for txn in txns if txn[0] > zxid)
