"""Connecting to a server that may have several addresses: whichever answers first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from zkpy.quorum.network import Address, Network, Stream, UnknownHostError

HEAD_START_S: Final = 0.25
"""How long an address may take before the next one is tried beside it."""


class DialError(OSError):
    """None of the addresses answered; says what happened at each."""

    def __init__(self, failures: Sequence[tuple[Address, OSError]]) -> None:
        told = ", ".join(f"{host}:{port}: {error.strerror or error}" for (host, port), error in failures)
        super().__init__(told or "no address is known")
        self.hopeless: Final = all(isinstance(error, UnknownHostError) for _, error in failures)
        """Nobody knows the names: that is a mistake rather than a server which is down."""


async def connect_first(network: Network, addresses: Sequence[Address], timeout_s: float) -> Stream:
    """A connection to the first of *addresses* that answers, each within *timeout_s*.

    They are tried in order, but one that is silent does not keep the next waiting.

    Raises:
        DialError: none of them did.
    """
    if len(addresses) == 1:
        try:
            return await network.connect(*addresses[0], timeout_s)
        except OSError as error:
            raise DialError([(addresses[0], error)]) from error
    race = _Race()
    async with trio.open_nursery() as nursery:
        for position, address in enumerate(addresses):
            ended = trio.Event()
            nursery.start_soon(race.run, network, address, timeout_s, ended, nursery.cancel_scope)
            if position + 1 < len(addresses):
                with trio.move_on_after(HEAD_START_S):
                    await ended.wait()
    if race.won is None:
        raise DialError(race.failures)
    return race.won


class _Race:
    """Attempts of which the first successful one counts."""

    def __init__(self) -> None:
        self.won: Stream | None = None
        self.failures: list[tuple[Address, OSError]] = []

    async def run(
        self, network: Network, address: Address, timeout_s: float, ended: trio.Event, all_: trio.CancelScope
    ) -> None:
        """One attempt; *ended* is set when it failed."""
        try:
            stream = await network.connect(*address, timeout_s)
        except OSError as error:
            self.failures.append((address, error))
        else:
            if self.won is None:
                self.won = stream
                all_.cancel()
            else:
                await stream.aclose()
        ended.set()
