"""The seam for traffic between servers: connect and listen for byte streams.

Everything that members of an ensemble say to each other goes through a `Network`, so that a simulated one can
take its place. The real one is in ``zkpy.realnetwork``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

import trio

Address: TypeAlias = tuple[str, int]
"""Host (a name or an address without brackets) and port."""

STREAM_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What sending and receiving raise when the connection is gone."""


class UnknownHostError(OSError):
    """A host's name leads to no address."""


class Stream(Protocol):
    """One connection, both directions."""

    @property
    def peer(self) -> Address:
        """Where the other end is."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, in one piece where the network can. Raises one of `STREAM_ERRORS`."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What has arrived; ``b""`` when the other end has closed. Raises one of `STREAM_ERRORS`."""

    async def aclose(self) -> None:
        """Close at once, also when the calling task is cancelled. A second call does nothing."""


class DirectLine(Protocol):
    """A connection that the loop which serves clients reads and writes itself, without any task."""

    @property
    def stuck_at(self) -> int | None:
        """How many bytes the other end had taken when it took no more; None: it takes what it is sent."""

    def poke(self) -> None:
        """There is something to send: it goes at the end of the loop's round, or now when there is none."""

    def close(self) -> None:
        """Leave the connection to its owner again. A second call does nothing."""


@runtime_checkable
class DirectStream(Protocol):
    """A stream that can be given to that loop."""

    def direct(
        self, out: list[bytes], received: Callable[[bytes], None], lost: Callable[[str], None]
    ) -> DirectLine | None:
        """From now on *received* gets what arrives, and what is in *out* is sent; *lost* is told the end.

        None: there is no such loop.
        """


Handler: TypeAlias = Callable[[Stream], Awaitable[None]]
"""Takes over an accepted stream, which is closed when it returns."""


class Network(Protocol):
    """Opens and accepts connections."""

    async def connect(self, host: str, port: int, timeout_s: float) -> Stream:
        """A new connection. Raises OSError when there is none in time (then a TimeoutError) or at
        all; UnknownHostError when the name leads nowhere."""

    async def serve(
        self,
        host: str | None,
        port: int,
        handler: Handler,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled, with a task of *handler* for each accepted stream.

        *host* None: on all addresses; *port* 0: any free one. ``task_status`` is told the address once
        connections are accepted. Raises OSError when it cannot be bound.
        """
