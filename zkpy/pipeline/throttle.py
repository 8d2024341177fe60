"""Limiting how fast sessions are opened: a token bucket that also drops early when it runs dry often.

Settings ``connection_throttle_*``. The early drop follows the BLUE scheme: a probability rises each period in
which tokens were missing and falls when enough were left.
"""

from __future__ import annotations

from typing import Final

from zkpy.config import Config
from zkpy.ports import Random

_SCALE: Final = 1_000_000


class ConnectionThrottle:
    """Decides about ConnectRequests; off while ``connection_throttle_tokens`` is 0. Told the time in ms."""

    __slots__ = ("_config", "_filled_ms", "_frozen_ms", "_limit", "_random", "_tokens", "drop_probability")

    def __init__(self, config: Config, random: Random, now_ms: int) -> None:
        self._config: Final = config
        self._random: Final = random
        weight = (
            config.connection_throttle_global_session_weight
            if config.connection_throttle_weight_enabled
            else 1
        )
        self._limit: Final = config.connection_throttle_tokens * weight
        self._tokens = self._limit
        self._filled_ms = now_ms
        self._frozen_ms = now_ms
        self.drop_probability = 0.0

    def admits(self, *, renewal: bool, now_ms: int) -> bool:
        """Whether a session may be opened (or renewed) now; takes its tokens if so."""
        if self._limit <= 0:
            return True
        config = self._config
        weight = 1
        if config.connection_throttle_weight_enabled:
            weight = (
                config.connection_throttle_renew_session_weight
                if renewal
                else config.connection_throttle_global_session_weight
            )
        self._refill(now_ms)
        self._adjust(weight, now_ms)
        if self.drop_probability > 0 and self._random.randrange(0, _SCALE) < self.drop_probability * _SCALE:
            return False
        if self._tokens < weight:
            return False
        self._tokens -= weight
        return True

    def _refill(self, now_ms: int) -> None:
        config = self._config
        periods = (now_ms - self._filled_ms) // max(1, config.connection_throttle_fill_time_ms)
        if periods > 0:
            self._tokens = min(self._limit, self._tokens + periods * config.connection_throttle_fill_count)
            self._filled_ms = now_ms

    def _adjust(self, weight: int, now_ms: int) -> None:
        config = self._config
        period = config.connection_throttle_freeze_time_ms
        if period < 0 or now_ms - self._frozen_ms <= period:
            return
        if self._tokens < weight:
            self.drop_probability = min(1.0, self.drop_probability + config.connection_throttle_drop_increase)
        elif self._tokens >= self._limit * config.connection_throttle_decrease_ratio:
            self.drop_probability = max(0.0, self.drop_probability - config.connection_throttle_drop_decrease)
        self._frozen_ms = now_ms
