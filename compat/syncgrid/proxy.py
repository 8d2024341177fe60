"""A proxy on a quorum port, which stops one learner's synchronisation after a chosen packet."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from compat.process import HOST
from compat.syncgrid.conversation import FromLeader, FromLearner, Piece, Step

_CHUNK_BYTES: Final = 1 << 16
_HOLD_S: Final = 10.0
_DIAL_S: Final = 2.0


class Trap:
    """Stops *learner* right after *step* has been passed on to the other side; once.

    From then on nothing goes through that connection any more, in neither direction, but it stays open until
    `spring` closes it.
    """

    def __init__(self, learner: int, step: Step) -> None:
        self.learner: Final = learner
        self.step: Final = step
        self.opening = 0
        """DIFF, TRUNC or SNAP, once ``opened`` is set."""
        self.opened: Final = threading.Event()
        self.stopped: Final = threading.Event()
        self._relay: Relay | None = None

    def hold(self, relay: Relay, step: Step) -> None:
        """Before a step is passed on: the ACK of NEWLEADER waits until a proposal has gone the other way."""
        if relay.sid == self.learner and step is Step.NEWLEADER_ACK and self.step is Step.PROPOSAL:
            self.stopped.wait(_HOLD_S)

    def stops(self, relay: Relay, step: Step) -> bool:
        """Whether this step is the last one that is passed on."""
        return relay.sid == self.learner and step is self.step and not self.stopped.is_set()

    def has_passed(self, relay: Relay, step: Step, stopped: bool) -> None:
        """After a step was passed on."""
        if step is Step.OPENING and relay.sid == self.learner and not self.opening:
            self.opening = relay.opening
            self.opened.set()
        if stopped:
            self._relay = relay
            self.stopped.set()

    def spring(self) -> None:
        """Close the stopped connection on both sides."""
        assert self._relay is not None, "nothing was stopped"
        self._relay.close()


class Relay:
    """One connection of a learner to the leader, through the proxy."""

    def __init__(self, proxy: QuorumProxy, learner: socket.socket, leader: socket.socket) -> None:
        self._proxy = proxy
        self._learner, self._leader = learner, leader
        self._from_learner, self._from_leader = FromLearner(), FromLeader()
        self._lock = threading.Lock()
        self._frozen = False
        ways = (
            (learner, leader, self._from_learner.feed),
            (leader, learner, self._from_leader.feed),
        )
        self._threads = [threading.Thread(target=self._pump, args=way, daemon=True) for way in ways]
        for thread in self._threads:
            thread.start()

    @property
    def sid(self) -> int:
        return self._from_learner.sid

    @property
    def opening(self) -> int:
        return self._from_leader.opening

    def close(self) -> None:
        for side in (self._learner, self._leader):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._learner.close()
        self._leader.close()

    def _pump(
        self, source: socket.socket, sink: socket.socket, feed: Callable[[bytes], Iterator[Piece]]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                for piece, step in feed(data):
                    if not self._pass(piece, step, sink):
                        return
        if not self._frozen:
            self.close()

    def _pass(self, piece: bytes, step: Step | None, sink: socket.socket) -> bool:
        """False: the connection is stopped, nothing passes any more."""
        trap = self._proxy.trap
        if trap is None or step is None:
            with self._lock:
                if not self._frozen:
                    sink.sendall(piece)
            return not self._frozen
        trap.hold(self, step)
        with self._lock:  # the answer to the last packet must not pass before it is known to be the last
            if self._frozen:
                return False
            self._frozen = trap.stops(self, step)
            sink.sendall(piece)
        trap.has_passed(self, step, self._frozen)
        return True


class QuorumProxy:
    """Listens on ``port`` for those who look for the leader at *target*; ``trap`` can be set at any time."""

    def __init__(self, target: int) -> None:
        self._target: Final = target
        self._listener = socket.create_server((HOST, 0))
        self.port: Final[int] = self._listener.getsockname()[1]
        self.trap: Trap | None = None
        self._relays: list[Relay] = []
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut_all(self) -> None:
        """End every connection; new ones can be made."""
        relays, self._relays = self._relays, []
        for relay in relays:
            relay.close()
        for relay in relays:
            relay.join()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while not self._closed:
            try:
                learner, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(learner,), daemon=True).start()

    def _connect(self, learner: socket.socket) -> None:
        """A leader that was just elected does not listen yet: a refusal is tried again for a while."""
        deadline = time.monotonic() + _DIAL_S
        while not self._closed:
            try:
                leader = socket.create_connection((HOST, self._target), timeout=_DIAL_S)
            except OSError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            else:
                leader.settimeout(None)
                for side in (learner, leader):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._relays.append(Relay(self, learner, leader))
                return
        learner.close()
