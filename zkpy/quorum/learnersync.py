"""The learner's side of synchronisation: what to do on each packet from the opening one to UPTODATE.

    leader                                    learner
      | -- DIFF | TRUNC z | SNAP z, data ----> |  keep, cut or replace the database
      | -- PROPOSAL/COMMIT ... --------------> |  after DIFF: kept for the log; else: applied, not logged
      | -- NEWLEADER ------------------------> |  make all committed history durable, then the epoch, then ACK
      | -- PROPOSAL/COMMIT ... --------------> |  kept
      | -- UPTODATE -------------------------> |  ACK again, serve; what was kept goes the ordinary way

The answers are lists of actions, to be done completely and in order: an ACK stands for everything before it.

NEWLEADER names the members. A leader may name those of a reconfiguration that it has only proposed: they come
into force here when it commits, as everywhere else, and not with UPTODATE.
"""

from __future__ import annotations

import re
from collections import deque
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple

from zkpy.errors import MarshallingError, ProtocolError
from zkpy.jute.archive import pack_int, read_buffer
from zkpy.opcodes import RECONFIG
from zkpy.quorum.packets import (
    ACK,
    COMMIT,
    COMMITANDACTIVATE,
    DIFF,
    INFORM,
    INFORMANDACTIVATE,
    NEWLEADER,
    PROPOSAL,
    READS_APART,
    SNAP,
    TRUNC,
    UPTODATE,
    QuorumPacket,
    decode_designated,
)
from zkpy.zxid import continues, counter_of, epoch_of

Txn = tuple[int, bytes]
"""(zxid, payload as it is logged and sent)."""

TXN_HEADER: Final = Struct(">qiqqi")
"""How a transaction's payload begins: session, cxid, zxid, time (ms), type."""
_TYPE_AT: Final = TXN_HEADER.size - 4
_RECONFIG: Final = pack_int(RECONFIG)
_VERSION: Final = re.compile(r"^version=([0-9a-fA-F]{1,16})\s*$", re.MULTILINE)


class KeepDatabase(NamedTuple):
    """DIFF: go on with what is there."""

    zxid: int


class TruncateLog(NamedTuple):
    """TRUNC: cut the log after *zxid*, reload; *zxid* is then the last. Then call `LearnerSync.truncated`."""

    zxid: int


class ReadSnapshot(NamedTuple):
    """SNAP: drop the database, read the stream that follows the packet; *zxid* is then the last."""

    zxid: int


class ApplyUnlogged(NamedTuple):
    """Apply to the tree without logging; the snapshot written at NEWLEADER will cover it."""

    zxid: int
    payload: bytes


class SeeConfig(NamedTuple):
    """Make this configuration text the last seen one."""

    text: str


class ActivateConfig(NamedTuple):
    """Activate a configuration; leave when that changes the own role or the leader."""

    text: str
    designated: int | None
    """The server that leads from now on; None: the present one."""


class WriteSnapshot(NamedTuple):
    """Write a snapshot of the tree, named after what was applied last, and make it durable."""


class LogAndApply(NamedTuple):
    """Append to the log, apply to the tree, and sync the log; the list may be empty."""

    transactions: list[Txn]


class PersistCurrentEpoch(NamedTuple):
    """Make *epoch* durable as the current one."""

    epoch: int


class UseSyncLimit(NamedTuple):
    """The connection's read time-out is syncLimit ticks from here on."""


class SendAck(NamedTuple):
    """Send ACK with *zxid*."""

    zxid: int

    def packet(self) -> QuorumPacket:
        """The packet."""
        return QuorumPacket(ACK, self.zxid)


class Serve(NamedTuple):
    """Start the request pipeline and admit clients, then feed it what was kept.

    *proposals* are logged in order, each acknowledged after its sync (observers: not acknowledged); then
    *commits* go to the commit stage.
    """

    epoch: int
    proposals: list[Txn]
    commits: list[int]
    reads_apart: bool = False
    """The leader marks its answers to SYNCs for reads."""


Action = (
    KeepDatabase
    | TruncateLog
    | ReadSnapshot
    | ApplyUnlogged
    | SeeConfig
    | ActivateConfig
    | WriteSnapshot
    | LogAndApply
    | PersistCurrentEpoch
    | UseSyncLimit
    | SendAck
    | Serve
)


class BadOpeningError(ProtocolError):
    """The first packet is none of DIFF, TRUNC and SNAP; a server ends with status 13."""


class Mode(Enum):
    """What a commit leads to."""

    LOG = "log"
    MEMORY = "memory"


class LearnerSync:
    """Decides for one synchronisation; of no use after UPTODATE (`done`).

    *new_epoch* is that of LEADERINFO, *last_zxid* what was told in ACKEPOCH. Observers are treated as
    followers: what they have been sent as committed is in their log before the epoch is.
    """

    __slots__ = (
        "_committed",
        "_config",
        "_covered",
        "_epoch",
        "_newleader",
        "_opening",
        "_pending",
        "_previous",
        "_promised",
        "done",
        "mode",
    )

    def __init__(self, new_epoch: int, last_zxid: int) -> None:
        self._epoch = new_epoch
        self._opening: int | None = None
        self._previous: int | None = last_zxid  # the next transaction must follow it; None: any may come
        self._promised = last_zxid  # NEWLEADER comes after the history up to here
        self._pending: deque[Txn] = deque()  # proposals that are neither logged nor applied
        self._committed = 0  # so many of them have their commit
        self._covered = last_zxid  # everything up to here is known to be committed
        self._newleader = False
        self._config: str | None = None
        self.mode = Mode.LOG
        self.done = False

    def on_packet(self, packet: QuorumPacket) -> list[Action]:
        """What to do now. Packets that do not belong to synchronisation lead to nothing.

        Raises:
            BadOpeningError: nothing opens the synchronisation.
            ProtocolError: the stream is no history; leave this leader.
        """
        assert not self.done, "synchronisation is over"
        if self._opening is None:
            return [self._open(packet)]
        kind = packet.type
        if kind == PROPOSAL:
            return self._propose(packet.zxid, packet.data)
        if kind == COMMIT:
            return self._commit(packet.zxid)
        if kind == INFORM:
            return self._propose(packet.zxid, packet.data) + self._commit(packet.zxid)
        if kind == COMMITANDACTIVATE:
            return self._commit_config(packet.zxid, decode_designated(packet)[0])
        if kind == INFORMANDACTIVATE:
            designated, payload = decode_designated(packet)
            return self._propose(packet.zxid, payload) + self._commit_config(packet.zxid, designated)
        if kind == NEWLEADER:
            return self._new_leader(packet)
        if kind == UPTODATE:
            return self._up_to_date(packet)
        return []

    def truncated(self, last_logged: int) -> None:
        """Tell what the log ends with after `TruncateLog`.

        Raises:
            ProtocolError: not with the zxid asked for: this log holds another history.
        """
        zxid = self._promised
        assert self._opening == TRUNC
        if last_logged > zxid or (counter_of(zxid) != 0 and last_logged != zxid):
            raise ProtocolError(f"truncated to 0x{zxid:x}, but the log ends with 0x{last_logged:x}")

    def _open(self, packet: QuorumPacket) -> Action:
        zxid = packet.zxid
        if packet.type not in (DIFF, TRUNC, SNAP):
            raise BadOpeningError(f"{packet.name} instead of DIFF, TRUNC or SNAP")
        self._check_epoch(zxid)
        self._opening = packet.type
        self._promised = self._covered = zxid
        if packet.type == DIFF:
            return KeepDatabase(zxid)
        self.mode = Mode.MEMORY
        if packet.type == TRUNC:
            self._previous = zxid
            return TruncateLog(zxid)
        self._previous = None  # what the snapshot has already may come once more
        return ReadSnapshot(zxid)

    def _check_epoch(self, zxid: int) -> None:
        """A leader has no history of a later epoch than its own."""
        if epoch_of(zxid) > self._epoch:
            raise ProtocolError(f"0x{zxid:x} from a leader of epoch {self._epoch}")

    def _propose(self, zxid: int, payload: bytes | None) -> list[Action]:
        self._check_epoch(zxid)
        if self._previous is not None and not continues(self._previous, zxid):
            raise ProtocolError(f"proposal 0x{zxid:x} after 0x{self._previous:x}")
        if payload is None:
            raise ProtocolError(f"proposal 0x{zxid:x} without a transaction")
        self._previous = zxid
        text = reconfig_text(payload)
        self._pending.append((zxid, payload))
        return [] if text is None else [SeeConfig(text)]

    def _commit(self, zxid: int) -> list[Action]:
        if self._committed >= len(self._pending) or self._pending[self._committed][0] != zxid:
            raise ProtocolError(f"commit of 0x{zxid:x}, which is not the oldest pending proposal")
        self._covered = max(self._covered, zxid)
        if self.mode is Mode.MEMORY:
            return [ApplyUnlogged(*self._pending.popleft())]
        self._committed += 1
        return []

    def _commit_config(self, zxid: int, designated: int) -> list[Action]:
        text = next((reconfig_text(payload) for other, payload in self._pending if other == zxid), None)
        if text is None:
            raise ProtocolError(f"activation of 0x{zxid:x}, which is no pending reconfiguration")
        return [*self._commit(zxid), ActivateConfig(text, designated)]

    def _new_leader(self, packet: QuorumPacket) -> list[Action]:
        if packet.zxid != self._epoch << 32:
            raise ProtocolError(f"NEWLEADER 0x{packet.zxid:x} in epoch {self._epoch}")
        if self._newleader:
            raise ProtocolError("second NEWLEADER")
        if self._opening == DIFF and (self._previous is None or self._previous < self._promised):
            raise ProtocolError(f"NEWLEADER before the history up to 0x{self._promised:x} was sent")
        self._newleader = True
        actions: list[Action] = []
        if packet.data is not None and len(packet.data) > 1:
            self._config = packet.data.decode("utf-8", "replace")
            actions.append(SeeConfig(self._config))
            uncommitted = list(self._pending)[self._committed :]
            texts = [reconfig_text(payload) for _, payload in uncommitted]
            actions += [SeeConfig(text) for text in texts if text is not None]
        if self.mode is Mode.MEMORY:
            actions.append(WriteSnapshot())
            self.mode = Mode.LOG
        actions.append(LogAndApply([self._pending.popleft() for _ in range(self._committed)]))
        self._committed = 0
        return [*actions, PersistCurrentEpoch(self._epoch), UseSyncLimit(), SendAck(self._epoch << 32)]

    def _up_to_date(self, packet: QuorumPacket) -> list[Action]:
        if not self._newleader:
            raise ProtocolError("UPTODATE before NEWLEADER")
        self.done = True
        pending = list(self._pending)
        commits = [zxid for zxid, _ in pending[: self._committed]]
        actions: list[Action] = []
        if self._config is not None and not self._is_proposal_only(self._config):
            actions.append(ActivateConfig(self._config, None))
        reads_apart = packet.data == READS_APART
        return [*actions, SendAck(self._epoch << 32), Serve(self._epoch, pending, commits, reads_apart)]

    def _is_proposal_only(self, text: str) -> bool:
        """Whether these members are those of a reconfiguration of this epoch that has not been committed."""
        found = _VERSION.search(text)
        version = int(found[1], 16) if found is not None else 0
        return epoch_of(version) == self._epoch and counter_of(version) != 0 and version > self._covered


def reconfig_text(payload: bytes) -> str | None:
    """The configuration text if the transaction is a reconfiguration.

    Raises:
        ProtocolError: it cannot be decoded.
    """
    if len(payload) < TXN_HEADER.size:
        raise ProtocolError(f"transaction of {len(payload)} bytes")
    if not payload.startswith(_RECONFIG, _TYPE_AT):
        return None
    try:
        _, pos = read_buffer(payload, TXN_HEADER.size)  # the path
        data, _ = read_buffer(payload, pos)
    except MarshallingError as error:
        raise ProtocolError(f"reconfiguration: {error}") from None
    return (data or b"").decode("utf-8", "replace")
