"""Read-only service while there is no leader (``readonlymode.enabled``).

A member that has been LOOKING for a while lets clients read what it has, if they said that they are content
with that. Their sessions are local ones, and end with the election; a session of the ensemble is nobody's to
renew meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from zkpy import opcodes
from zkpy.errors import Code, ProtocolError
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session
from zkpy.pipeline.zookeeperserver import Client
from zkpy.quorum.context import Context
from zkpy.quorum.quorumserver import QuorumServer

logger: Final = logging.getLogger("zkpy.quorum")

LEAST_DELAY_MS: Final = 2000
"""How long there has to be no leader, if a tick is not longer."""


class ReadOnlyServer(QuorumServer):
    """Answers reads from the tree as it is, refuses everything else."""

    mode = "read-only"
    read_only = True
    expires_sessions = False
    queued = opcodes.WRITES | {opcodes.SYNC, opcodes.DELETE_CONTAINER}

    def __init__(self, *args: Any, sid: int, **kwargs: Any) -> None:
        super().__init__(*args, server_id=sid, **kwargs)
        self.local_sessions = True

    def track_stored_sessions(self) -> None:
        """They are the next leader's."""

    def submit(self, request: Request) -> None:
        """Refuse a write; only the end of a session is carried out."""
        if request.op != opcodes.CLOSE_SESSION:
            request.err = Code.NOT_READ_ONLY
        self.count_in(request)
        self.commit([request])

    def resume_session(
        self, client: Client, session_id: int, password: bytes | None, timeout_ms: int
    ) -> Session | None:
        """Only sessions that began here go on. Raises ProtocolError for one of the ensemble."""
        if session_id in self.tree.sessions:
            raise ProtocolError("a session of the ensemble cannot be resumed in read-only mode")
        return super().resume_session(client, session_id, password, timeout_ms)

    def collectable(self) -> list[bytes]:
        """Only the leader deletes containers."""
        return []


@asynccontextmanager
async def serving_reads(context: Context, hide: Callable[[], None]) -> AsyncIterator[None]:
    """While the block, an election, takes long, serve reads; *hide* ends that, before a role begins."""
    if not context.config.read_only_mode:
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, context)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()
            hide()


async def _serve(context: Context) -> None:
    await trio.sleep(max(LEAST_DELAY_MS, context.config.tick_time_ms) / 1000)
    logger.warning("still without a leader: serving read-only clients")
    context.serve(ReadOnlyServer(**context.arguments(), sid=context.sid))
