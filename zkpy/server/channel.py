"""What carries a client connection: a socket, later a TLS or a simulated stream."""

from __future__ import annotations

from typing import Final, Protocol


class Channel(Protocol):
    """What a connection asks of the transport that carries it."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def flush(self) -> None:
        """Send what the connection queued, as far as possible; close when that was all of a closing one."""

    def abort(self) -> None:
        """Close now; unsent bytes are dropped."""


class _NoChannel:
    """The channel of a connection that is gone; having it breaks the circle of connection and channel."""

    def pause(self) -> None:
        """Nothing is read any more."""

    resume = flush = abort = pause


GONE: Final = _NoChannel()
