"""A client's end of a connection to a simulated member."""

from __future__ import annotations

from collections import deque
from struct import unpack_from

import trio

from tests.harness import Peer
from tests.quorum.rolemesh import Member
from tests.simulation.disk import SimDisk
from tests.simulation.pauses import Pauses


class SimPeer(Peer):
    """It can be waited for. A member that stands still gets to see what was sent when it goes on."""

    def __init__(self, member: Member, pauses: Pauses) -> None:
        super().__init__(member)  # type: ignore[arg-type]
        self.sid = member.sid
        self._member = member
        self._pauses = pauses
        self.stirred = trio.Event()
        self._frames: deque[bytes] = deque()
        flush, abort = self.channel.flush, self.channel.abort

        def flushed() -> None:
            flush()
            self.stirred.set()

        def aborted() -> None:
            abort()
            self.stirred.set()

        self.channel.flush = flushed  # type: ignore[method-assign]
        self.channel.abort = aborted  # type: ignore[method-assign]

    @property
    def up(self) -> bool:
        """Whether the member still has power."""
        disk = self._member.disk
        assert isinstance(disk, SimDisk)
        return not disk.dead and not self._member.ended.is_set()

    def feed(self, data: bytes) -> None:
        """Bytes are sent; whether they arrive is another matter."""

        def arrive() -> None:
            if self.up and not self.closed:
                Peer.feed(self, data)

        self._pauses.call(f"h{self.sid}", arrive)

    def hang_up(self) -> None:
        """End the connection from here."""

        def arrive() -> None:
            if self.up and not self.closed:
                self.cnxn.closed()

        self._pauses.call(f"h{self.sid}", arrive)

    async def frame(self, limit_s: float) -> bytes | None:
        """The next answer; None: the connection ended, or nothing came in time."""
        with trio.move_on_after(limit_s):
            while True:
                self._frames += self.channel.frames()
                if self._frames:
                    return self._frames.popleft()
                if self.closed:
                    return None
                self.stirred = trio.Event()
                await self.stirred.wait()
        return None


def session_of(response: bytes) -> int:
    """The session id of a ConnectResponse."""
    (session,) = unpack_from(">q", response, 8)
    return int(session)
