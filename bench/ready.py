"""Waiting for the first answered request of a server that is starting.

One patient connection is not enough: a Java server that is still starting may accept a connection and then
forget it. So attempts are opened one after the other while the earlier ones stay open, and the first answer
counts.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable

from bench import wire

REFUSED_PAUSE_S = 0.001
PATIENCE_S = 0.02
PATIENCE_SHARE = 0.02  # of the time waited so far; bounds the error that a forgotten connection causes
MAX_ATTEMPTS = 32


class _Attempt:
    """One connection: handshake, then getData of the root."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.broken = self.socket.connect_ex(("127.0.0.1", port)) not in (0, errno.EINPROGRESS)
        self._stage = 0  # 0 connecting, 1 handshake sent, 2 request sent
        self._received = b""

    def advance(self) -> bool:
        """Does what the socket is ready for; True when the request was answered."""
        try:
            if self._stage == 0:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.send(wire.connect_request())
                self._stage = 1
                return False
            data = self.socket.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            self.broken = True
            return False
        self._received += data
        self.broken = not data
        whole = len(self._received) >= 4 and len(self._received) >= 4 + int.from_bytes(self._received[:4])
        if not whole or self.broken:
            return False
        if self._stage == 1:
            self._received = b""
            self._stage = 2
            self.socket.send(wire.read(wire.GET_DATA, "/"))
            return False
        return True

    def events(self) -> int:
        return selectors.EVENT_WRITE if self._stage == 0 else selectors.EVENT_READ


def wait_ready(port: int, check_alive: Callable[[], None], limit_s: float) -> bool:
    """True once a getData was answered, False after `limit_s`; `check_alive` raises if the server ended."""
    began = opened = time.monotonic()
    attempts: list[_Attempt] = []
    with selectors.DefaultSelector() as selector:

        def drop(attempt: _Attempt) -> None:
            selector.unregister(attempt.socket)
            attempt.socket.close()
            attempts.remove(attempt)

        try:
            while (now := time.monotonic()) - began < limit_s:
                patience_s = max(PATIENCE_S, PATIENCE_SHARE * (now - began))
                if not attempts or now - opened > patience_s:
                    check_alive()
                    attempt = _Attempt(port)
                    if attempt.broken:
                        attempt.socket.close()
                        time.sleep(REFUSED_PAUSE_S)
                        continue
                    if len(attempts) >= MAX_ATTEMPTS:
                        drop(attempts[0])
                    attempts.append(attempt)
                    opened = now
                    selector.register(attempt.socket, attempt.events(), attempt)
                for key, _ in selector.select(patience_s):
                    attempt = key.data
                    if attempt.advance():
                        return True
                    if attempt.broken:
                        drop(attempt)
                        time.sleep(REFUSED_PAUSE_S)
                    else:
                        selector.modify(attempt.socket, attempt.events(), attempt)
            return False
        finally:
            for attempt in attempts:
                attempt.socket.close()
