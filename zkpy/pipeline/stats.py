"""The counters that ``srvr``, ``stat`` and ``mntr`` show."""

from __future__ import annotations


class ServerStats:
    """Requests and their latency (ms, from arrival to answer) since the start or the last reset."""

    __slots__ = (
        "count",
        "max_latency",
        "min_latency",
        "packets_received",
        "packets_sent",
        "responses_last",
        "responses_max",
        "responses_min",
        "total_latency",
    )

    def __init__(self) -> None:
        self.responses_last = -1
        self.responses_max = -1
        self.responses_min = -1
        self.reset()

    def reset(self) -> None:
        """``srst``."""
        self.packets_received = 0
        self.packets_sent = 0
        self.count = 0
        self.total_latency = 0
        self.min_latency = 0
        self.max_latency = 0

    def add_latency(self, ms: int, count: int = 1) -> None:
        """Count *count* requests that took *ms* each."""
        if ms < self.min_latency or not self.count:
            self.min_latency = ms
        if ms > self.max_latency:
            self.max_latency = ms
        self.count += count
        self.total_latency += ms * count

    def average_latency(self) -> float:
        """Mean in ms, 0 when nothing was counted."""
        return self.total_latency / self.count if self.count else 0.0
