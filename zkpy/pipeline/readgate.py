"""Linearizable reads (``quorumReads``): a read waits until its server knows that it is up to date.

One confirmation serves all reads that came before it began, whoever asked; those that come meanwhile wait for
the next. What a confirmation is, the role knows: a leader hears from a quorum, a learner from its leader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol


class Reader(Protocol):
    """Who has reads that wait."""

    session_id: int

    def up_to_date(self) -> None:
        """A `Barrier` was passed."""


class Barrier:
    """Stands before the reads that wait for one confirmation."""

    __slots__ = ("passed",)

    def __init__(self) -> None:
        self.passed = False


class ReadGate:
    """*begin* starts a confirmation; it gets its number and the session of one who waits for it."""

    __slots__ = ("_asked", "_begin", "_number", "_waiting")

    def __init__(self, begin: Callable[[int, int], None]) -> None:
        self._begin: Final = begin
        self._number = 0
        self._waiting: dict[Reader, Barrier] = {}
        self._asked: dict[Reader, Barrier] = {}

    def enter(self, reader: Reader) -> Barrier:
        """The barrier for a read of *reader* that came just now; the same until a confirmation begins."""
        barrier = self._waiting.get(reader)
        if barrier is None:
            barrier = self._waiting[reader] = Barrier()
        return barrier

    def start(self) -> None:
        """A round of input was handled: have all that wait confirmed, unless a confirmation is under way."""
        if self._waiting and not self._asked:
            self._asked, self._waiting = self._waiting, {}
            self._number += 1
            self._begin(self._number, next(iter(self._asked)).session_id)

    def confirmed(self, number: int) -> None:
        """The confirmation with this number has come; that of another one is of no concern."""
        if number != self._number:
            return
        asked, self._asked = self._asked, {}
        for barrier in asked.values():
            barrier.passed = True
        for reader in asked:
            reader.up_to_date()
        self.start()
