"""``python -m tests.robustness.broken FAULT serve ...``: a server with one fault built in.

A check that never failed has shown nothing: the canary tests run the same checks against these.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from zkpy.cli import main
from zkpy.persist.store import Store
from zkpy.pipeline import final
from zkpy.pipeline.request import Request
from zkpy.pipeline.sync import SyncStage
from zkpy.server.cnxn import ClientCnxn
from zkpy.server.transport import SocketChannel
from zkpy.tree.datatree import DataTree

_kept: list[object] = []


def _crash() -> None:
    """One operation raises what nobody expects."""

    def get_ephemerals(server: Any, client: Any, frame: bytes) -> bytes:
        raise IndexError("planted")

    final.READ_HANDLERS[103] = get_ephemerals


def _traceback() -> None:
    """An error that is caught and printed."""
    original = ClientCnxn.disconnect

    def disconnect(self: ClientCnxn, why: str) -> None:
        if "malformed" in why:
            print("Traceback (most recent call last):", file=sys.stderr, flush=True)
        original(self, why)

    ClientCnxn.disconnect = disconnect  # type: ignore[method-assign]


def _hang() -> None:
    """The loop stops for a long time."""

    def sync(server: Any, client: Any, frame: bytes) -> bytes:
        time.sleep(30)
        return b""

    final.READ_HANDLERS[9] = sync


def _silence() -> None:
    """A connection that is refused is not closed."""
    ClientCnxn.disconnect = lambda self, why: None  # type: ignore[method-assign]


def _memory() -> None:
    """Input is kept."""
    original = ClientCnxn.receive

    def receive(self: ClientCnxn, data: bytes) -> None:
        _kept.append(bytes(65536))
        original(self, data)

    ClientCnxn.receive = receive  # type: ignore[method-assign]


def _descriptors() -> None:
    """Closed connections leave a descriptor behind."""
    original = SocketChannel.abort

    def abort(self: SocketChannel) -> None:
        if self.fd >= 0 and len(_kept) < 500:
            _kept.append(socket.socket(fileno=os.dup(self.fd)))
        original(self)

    SocketChannel.abort = abort  # type: ignore[method-assign]


def _tree() -> None:
    """A refused write leaves a trace: it changes a znode that nobody may write."""
    original = DataTree.apply

    def apply(self: DataTree, header: Any, txn: Any) -> Any:
        if txn.type == -1 and b"/guard/a" in self.nodes:
            self.nodes[b"/guard/a"].data = b"spoilt"
        return original(self, header, txn)

    DataTree.apply = apply  # type: ignore[method-assign]


def _early() -> None:
    """Writes are acknowledged before they are written: the mutant that kill -9 has to catch."""

    def flush(self: SyncStage, *, idle: bool = False) -> None:
        batch: list[Request]
        batch, self._batch = self._batch, []
        if batch:
            self._commit(batch)
            server: Any = self._commit.__self__  # type: ignore[attr-defined]
            server.send_some()
            time.sleep(0.01)
            assert self._log is not None
            self._log.flush()

    SyncStage.flush = flush  # type: ignore[method-assign]
    Store._after_batch = lambda self: None  # type: ignore[method-assign]


def _torn() -> None:
    """A multi is logged as single transactions would be: its first operation only."""
    from zkpy.tree.txns import Multi

    original = Multi.encode

    def encode(self: Multi) -> bytes:
        return original(Multi(self.ops[:1])) if len(self.ops) > 1 else original(self)

    Multi.encode = encode  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    "crash": _crash,
    "traceback": _traceback,
    "hang": _hang,
    "silence": _silence,
    "memory": _memory,
    "descriptors": _descriptors,
    "tree": _tree,
    "early": _early,
    "torn": _torn,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
