"""A client's watches: who sees a change has been told of it before."""

from __future__ import annotations

from struct import unpack_from

from compat import wire
from tests.harness import Reply
from tests.simulation.history import Operation, Violation

DELETED, DATA_CHANGED, CHILDREN_CHANGED = 2, 3, 4


class Watching:
    """By kind of read and path: what it showed when the watch was set."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], int] = {}
        self._asked: set[Operation] = set()

    def __bool__(self) -> bool:
        return bool(self._set)

    def clear(self) -> None:
        self._set.clear()
        self._asked.clear()

    def asked(self, operation: Operation) -> None:
        """This read sets a watch."""
        self._asked.add(operation)

    def read(self, operation: Operation) -> None:
        """A read was answered. Raises Violation if it shows something new and nothing was told."""
        reply = operation.reply
        if operation.kind not in ("get", "list") or reply is None or reply.err:
            return
        at = operation.kind, operation.path
        shown = _changed_at(operation.kind, reply)
        before = self._set.get(at)
        if before is not None and shown > before:
            raise Violation(
                f"0x{shown:x} is seen, and the watch set at 0x{before:x} has not fired: {operation}"
            )
        if operation in self._asked:
            self._asked.discard(operation)
            self._set.setdefault(at, shown)

    def fired(self, event: bytes) -> None:
        """The server tells of a change."""
        kind, _, size = unpack_from(">iii", event)
        path = event[12 : 12 + size].decode()
        if self._set.pop(("list" if kind == CHILDREN_CHANGED else "get", path), None) is None:
            raise Violation(f"event {kind} for {path}, which is not watched")

    def again(self, seen: int) -> bytes:
        """SetWatches: what changed after zxid *seen* is told at once."""
        data = [path for kind, path in self._set if kind == "get"]
        children = [path for kind, path in self._set if kind == "list"]
        return wire.i64(seen) + wire.texts(data) + wire.texts([]) + wire.texts(children)


def _changed_at(kind: str, reply: Reply) -> int:
    """The last zxid that changed the data, or the children."""
    body = reply.body
    if kind == "get":
        (size,) = unpack_from(">i", body)
        (mzxid,) = unpack_from(">q", body, 4 + size + 8)
        return int(mzxid)
    (pzxid,) = unpack_from(">q", body, len(body) - 8)
    return int(pzxid)
