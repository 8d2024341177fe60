"""How many learners are brought up to date at a time: a snapshot or a long history each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zkpy.errors import ProtocolError
from zkpy.quorum.context import Context
from zkpy.quorum.packets import SNAP


class SyncThrottle:
    """Synchronisations of one kind. Followers are never turned away: the quorum depends on them."""

    __slots__ = ("_context", "_gauge", "_limit", "_setting", "running")

    def __init__(self, context: Context, setting: str, gauge: str, limit: int) -> None:
        self._context: Final = context
        self._setting: Final = setting
        self._gauge: Final = gauge
        self._limit: Final = limit
        self.running = 0

    @contextmanager
    def one_more(self, *, exempt: bool) -> Iterator[None]:
        """Count one for the time of the block. Raises ProtocolError when there are enough already."""
        if not exempt and self.running >= self._limit:
            raise ProtocolError(f"{self.running} are being synchronised, {self._setting} is {self._limit}")
        self.running += 1
        self._context.facts.observe(self._gauge, self.running)
        try:
            yield
        finally:
            self.running -= 1
            self._context.facts.observe(self._gauge, self.running)


class SyncThrottles:
    """Those of one leader or observer master."""

    __slots__ = ("_diff", "_snap")

    def __init__(self, context: Context) -> None:
        ensemble = context.config.ensemble
        self._snap: Final = SyncThrottle(
            context,
            "leader.maxConcurrentSnapSyncs",
            "inflight_snap_count",
            ensemble.leader_max_concurrent_snap_syncs,
        )
        self._diff: Final = SyncThrottle(
            context,
            "leader.maxConcurrentDiffSyncs",
            "inflight_diff_count",
            ensemble.leader_max_concurrent_diff_syncs,
        )

    def of(self, opening: int) -> SyncThrottle:
        """For synchronisations that begin with this packet type."""
        return self._snap if opening == SNAP else self._diff
