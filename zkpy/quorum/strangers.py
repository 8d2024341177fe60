"""What a server's own ports have to bear: connections that say nothing, and peers that talk nonsense."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

WAITING_LIMIT: Final = 100
"""Connections that may be about to introduce themselves at a time."""

REPEAT_S: Final = 60.0
LINES_PER_HOST: Final = 5
HOSTS_LIMIT: Final = 1000


class WaitingRoom:
    """Connections that have not shown yet who they are; beyond *limit* the one that came first has to go.

    Who means it needs a moment only, so that even behind many silent ones a real peer gets through.
    """

    __slots__ = ("_limit", "_scopes")

    def __init__(self, limit: int = WAITING_LIMIT) -> None:
        self._limit: Final = limit
        self._scopes: dict[trio.CancelScope, None] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def enter(self, scope: trio.CancelScope) -> None:
        """The connection that lives in *scope* waits; the scope is cancelled when its place is needed."""
        self._scopes[scope] = None
        if len(self._scopes) > self._limit:
            first = next(iter(self._scopes))
            del self._scopes[first]
            first.cancel()

    def leave(self, scope: trio.CancelScope) -> None:
        """It has introduced itself, or is over. May be called twice."""
        self._scopes.pop(scope, None)

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """Wait for the time of the block, which ends early when the place is needed."""
        with trio.CancelScope() as scope:
            self.enter(scope)
            try:
                yield scope
            finally:
                self.leave(scope)


class Complaints:
    """Log lines about what peers do wrong: each once a minute and host, and not many different ones.

    The rest is logged at debug level, and its number added to the host's next line.
    """

    __slots__ = ("_hosts", "_logger")

    def __init__(self, logger: logging.Logger) -> None:
        self._logger: Final = logger
        self._hosts: dict[str, _Host] = {}

    def tell(self, host: str, text: str) -> None:
        """Log *text*, which names the host."""
        now = trio.current_time()
        found = self._hosts.get(host)
        if found is None:
            if len(self._hosts) >= HOSTS_LIMIT:
                del self._hosts[next(iter(self._hosts))]
            found = self._hosts[host] = _Host(now)
        left_out = found.begin_anew(now)
        if text in found.told or len(found.told) >= LINES_PER_HOST:
            found.left_out += 1
            self._logger.debug("%s", text)
            return
        found.told.add(text)
        more = f" ({left_out} more like this from {host} before)" if left_out else ""
        self._logger.warning("%s%s", text, more)


class _Host:
    """What was logged about one host within a minute."""

    __slots__ = ("left_out", "since", "told")

    def __init__(self, now: float) -> None:
        self.since = now
        self.told: set[str] = set()
        self.left_out = 0

    def begin_anew(self, now: float) -> int:
        """After a minute everything may be said again; how much was not said meanwhile."""
        if now - self.since < REPEAT_S:
            return 0
        left_out, self.left_out = self.left_out, 0
        self.since = now
        self.told.clear()
        return left_out


class Reachability:
    """Whether a peer can be reached: said once when it has taken *patience_s*, and when it is over.

    Members of an ensemble do not start at the same moment.
    """

    __slots__ = ("_logger", "_name", "_patience_s", "_reported", "_since")

    def __init__(self, name: str, patience_s: float, logger: logging.Logger) -> None:
        self._name: Final = name
        self._patience_s: Final = patience_s
        self._logger: Final = logger
        self._since: float | None = None
        self._reported = False

    def failed(self, why: str, *, hopeless: bool = False) -> None:
        """An attempt ended without a connection; *hopeless*: waiting will probably not help."""
        now = trio.current_time()
        if self._since is None:
            self._since = now
        lasting = now - self._since
        if not self._reported and (hopeless or lasting >= self._patience_s):
            self._reported = True
            time = f" for {lasting:.0f} s" if lasting >= 1 else ""
            self._logger.warning("cannot reach %s%s: %s", self._name, time, why)
        else:
            self._logger.debug("cannot reach %s: %s", self._name, why)

    @property
    def failing(self) -> bool:
        """Whether the last attempt ended without a connection."""
        return self._since is not None

    def reached(self) -> None:
        """There is a connection."""
        if self._reported:
            self._logger.info("%s can be reached again", self._name)
        self._since = None
        self._reported = False
