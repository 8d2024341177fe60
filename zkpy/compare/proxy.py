"""The proxy: what all its connections share, and where clients connect."""

from __future__ import annotations

import contextlib
import errno
import logging
from typing import Final

import attrs
import trio

from zkpy.compare.link import Link
from zkpy.compare.pairs import Pairs
from zkpy.compare.report import Address, Finding, Report
from zkpy.jute.framing import LIMIT_BYTES

logger: Final = logging.getLogger("zkpy.compare")

WAIT_S: Final = 5.0
PROBE_S: Final = 2.0
PROBE_AGAIN_S: Final = 0.1
PORTS_TO_TRY: Final = 100


@attrs.define(eq=False)
class Comparison:
    """One run: two servers and everything that is known about them.

    ``gate`` keeps both servers in the same order: whoever holds it has sent a batch, and gives it back when
    both have answered.
    """

    zkpy: Address
    real: Address
    report: Report
    pairs: Pairs = attrs.Factory(Pairs)
    wait_s: float = WAIT_S
    """How long an answer of the real server, or an event, may be later than zkpy's."""
    limit_bytes: int = LIMIT_BYTES
    """The longest frame (``jute.maxbuffer``)."""
    gate: trio.Lock = attrs.Factory(trio.Lock)
    links: set[Link] = attrs.Factory(set)
    stopped: str | None = None
    """Why nothing is compared any more."""

    def stop(self, reason: str) -> None:
        """Compare nothing any more; clients go on with zkpy."""
        if self.stopped is not None:
            return
        self.stopped = reason
        self.report.note(f"the comparison has ended ({reason}); clients go on with zkpy alone")
        for link in list(self.links):
            link.drop_real()

    async def finish(self) -> None:
        """Compare what is under way to its end, and let nothing new begin; cancelled, it ends at once."""
        try:
            with trio.move_on_after(self.wait_s):
                await self.gate.acquire()
            async with trio.open_nursery() as nursery:
                for link in self.links:
                    nursery.start_soon(link.settle)
        finally:
            for link in self.links:
                link.give_up()

    async def real_is_there(self) -> bool:
        """Whether the real server is at work: it answers a four-letter word, which changes nothing there.

        The port of a server that is just ending may still accept connections, so one that accepts and closes
        is asked again. One that goes on with that is there, and has too many connections.
        """
        closes = False
        with trio.move_on_after(min(PROBE_S, self.wait_s)):
            while True:
                try:
                    async with await trio.open_tcp_stream(*self.real) as stream:
                        with contextlib.suppress(trio.BrokenResourceError):
                            await stream.send_all(b"srvr")
                            if await stream.receive_some(100):
                                return True
                except OSError:
                    return False
                closes = True
                await trio.sleep(PROBE_AGAIN_S)
        return closes

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Take clients until cancelled."""
        await trio.serve_listeners(self._serve_client, listeners)

    async def _serve_client(self, client: trio.SocketStream) -> None:
        try:
            link = Link(self, client)
        except OSError:
            await client.aclose()  # gone before it began
            return
        try:
            await link.run()
        except Exception:
            logger.exception("a connection ended by an error of the comparison")
            self.report.add(
                Finding("the comparison itself has failed, see the log", "connection", 0, link.name)
            )


async def listen(host: str, port: int, *, any_port: bool = False) -> list[trio.SocketListener]:
    """Listening sockets on *host*; with *any_port* on the next free port if this one is in use.

    Raises:
        OSError: the address cannot be used.
    """
    last = min(port + PORTS_TO_TRY, 65536) - 1 if any_port and port else port
    for number in range(port, last + 1):
        try:
            return await trio.open_tcp_listeners(number, host=host)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or number == last:
                raise
    raise AssertionError("no port was tried")
