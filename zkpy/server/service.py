"""All client connections of one server: limits, four-letter words, and who has something to send."""

from __future__ import annotations

import logging
from typing import Final

from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.server.cnxn import CLOSED, CLOSING, NEW, ClientCnxn
from zkpy.server.facts import ServerFacts, descriptors
from zkpy.tree.acl import Identities

logger: Final = logging.getLogger("zkpy.server")

WORDS: Final = frozenset(
    b"conf cons crst dirs dump envi gtmk ruok stmk srvr srst stat wchc wchp wchs mntr isro hash".split()
)
WORDS_WITHOUT_SERVICE: Final = frozenset(b"envi gtmk isro stmk ruok".split())
NOT_SERVING: Final = b"This ZooKeeper instance is not currently serving requests\n"
TELNET_INTERRUPT: Final = b"\xff\xf4\xff\xfd"

RESERVED_DESCRIPTORS: Final = 16
"""File descriptors that no client gets."""

WARNED_ADDRESSES: Final = 1000
"""Refused addresses that are remembered at a time."""

SEND_BATCH: Final = 256
"""Connections that are sent to before others get a turn: firing 10,000 watches must not stop the loop."""


class Service:
    """The connections that one server serves.

    ``dirty`` lists connections with queued output, ``overdue`` those to be closed because they do not read,
    ``paused`` those that are not read from for the time being. ``facts`` are the
    surroundings (directories, listeners) that four-letter words show.
    """

    def __init__(self, server: ZooKeeperServer) -> None:
        config = server.config
        self.server = server
        self.serving = True
        """False while a member of an ensemble has no role, or one without clients: they are turned away."""
        self.active = True
        """False while a member has no role: nothing expires."""
        self.max_frame: Final = config.jute_max_buffer
        self.outstanding_limit: Final = config.global_outstanding_limit
        self.enforced_schemes: Final[tuple[str, ...]] = (
            config.enforce_auth_schemes if config.enforce_auth_enabled else ()
        )
        self.gated: Final = config.is_quorum and config.ensemble.quorum_reads
        """Reads may have to wait: none is answered on the fast path."""
        self.cnxns: Final[dict[ClientCnxn, None]] = {}
        self.dirty: list[ClientCnxn] = []
        self.overdue: list[ClientCnxn] = []
        self.paused: Final[dict[ClientCnxn, None]] = {}
        self.rejected = 0
        self._per_address: Final[dict[str, int]] = {}
        self._warned: Final[dict[str, float]] = {}
        self._leaving: dict[ClientCnxn, tuple[float, int]] = {}
        self.trace_mask = 306
        self.facts: Final = ServerFacts(server.clock())
        self._highest_fd: Final = descriptors()[1] - RESERVED_DESCRIPTORS

    # -- admission -----------------------------------------------------------------------------------------

    def admits(self, address: str, fd: int = -1) -> bool:
        """Whether a new connection from *address* is within ``maxClientCnxns`` and ``maxCnxns``.

        *fd* is its file descriptor: the last ones are for the log, which must not fail for want of one.
        """
        config = self.server.config
        why = None
        if config.max_cnxns and len(self.cnxns) >= config.max_cnxns:
            why = f"Too many connections max allowed is {config.max_cnxns}"
        elif config.max_client_cnxns and self._per_address.get(address, 0) >= config.max_client_cnxns:
            why = f"Too many connections from /{address} - max is {config.max_client_cnxns}"
        elif fd > self._highest_fd:
            why = "file descriptors run out (ulimit -n)"
        if why is None:
            return True
        self.rejected += 1
        now = self.server.clock()
        # One line a second and address: a client that retries in a loop must not fill the log.
        if now - self._warned.get(address, -1.0) >= 1.0:
            if len(self._warned) >= WARNED_ADDRESSES:
                self._warned.clear()
            self._warned[address] = now
            logger.warning("Error accepting new connection: %s", why)
        return False

    def register(self, cnxn: ClientCnxn) -> None:
        """A connection was accepted."""
        self.cnxns[cnxn] = None
        self._per_address[cnxn.address] = self._per_address.get(cnxn.address, 0) + 1

    def forget(self, cnxn: ClientCnxn) -> None:
        """A connection is gone."""
        if self.cnxns.pop(cnxn, cnxn) is cnxn:
            return
        self.paused.pop(cnxn, None)
        left = self._per_address[cnxn.address] - 1
        if left:
            self._per_address[cnxn.address] = left
        else:
            del self._per_address[cnxn.address]
            self._warned.pop(cnxn.address, None)

    def passes_enforcement(self, identities: Identities) -> bool:
        """Whether a connection has an identity of a scheme that ``enforce.auth.schemes`` lists."""
        return any(scheme in self.enforced_schemes for scheme, _ in identities)

    def drop_sessionless(self) -> None:
        """Close connections that have not shaken hands in time, and closing ones that take nothing more."""
        limit = self.server.config.sessionless_cnxn_timeout_ms / 1000
        now = self.server.clock()
        for cnxn in [c for c in self.cnxns if c.state == NEW and now - c.opened > limit]:
            cnxn.disconnect("no ConnectRequest came in time")
        # No session's end closes one that does not read its last answer.
        before, self._leaving = self._leaving, {}
        for cnxn in [c for c in self.cnxns if c.state == CLOSING]:
            since, unsent = before.get(cnxn, (now, -1))
            if unsent != cnxn.out_size:
                since = now
            elif now - since > limit:
                cnxn.disconnect("it does not read its last answer")
                continue
            self._leaving[cnxn] = since, cnxn.out_size

    # -- output --------------------------------------------------------------------------------------------

    def next_dirty(self) -> list[ClientCnxn]:
        """Up to `SEND_BATCH` connections with output, marked clean; the slow ones are closed."""
        while self.overdue:
            cnxn = self.overdue.pop()
            if cnxn.state != CLOSED:
                logger.warning("%r does not read: %d bytes unsent, closing", cnxn, cnxn.out_size)
                cnxn.disconnect("it does not read")
        dirty = self.dirty
        if len(dirty) > SEND_BATCH:
            self.dirty = dirty[SEND_BATCH:]
            dirty = dirty[:SEND_BATCH]
        else:
            self.dirty = []
        for cnxn in dirty:
            cnxn.dirty = False
        return dirty

    def resume_ready(self) -> None:
        """Let paused connections go on that no longer have a reason to wait."""
        if self.paused:
            for cnxn in [c for c in self.paused if c.ready()]:
                if cnxn in self.paused:
                    cnxn.go_on()
                    self.server.flush()

    def take_over(self, server: ZooKeeperServer) -> None:
        """Serve clients with *server*, a new role's, from now on, if it admits any."""
        server.send_some = self.server.send_some
        server.sync.on_sync = self.server.sync.on_sync
        self.server = server
        self.active = True
        self.serving = server.admits_clients

    def hide(self) -> None:
        """Turn clients away: there is no role to serve them."""
        self.active = self.serving = False
        self.close_all()

    def close_all(self) -> None:
        """Drop every connection."""
        for cnxn in list(self.cnxns):
            cnxn.disconnect("the server stops")

    # -- four-letter words ---------------------------------------------------------------------------------

    def is_word(self, data: bytes) -> bool:
        """Whether the first bytes of a connection are a known word."""
        return data[:4] in WORDS or data[:4] == TELNET_INTERRUPT

    def answer_word(self, cnxn: ClientCnxn, data: bytes) -> bytes | None:
        """The answer to a word, None where there is none and the connection just closes."""
        if data[:4] == TELNET_INTERRUPT:
            return None
        if not self.serving and data[:4] not in WORDS_WITHOUT_SERVICE:
            return NOT_SERVING
        from zkpy.server.fourletter import answer

        return answer(self, cnxn, data[:4].decode(), data[4:])
