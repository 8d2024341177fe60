"""Plays a generated script against one server, a step at a time.

A step ends when everything it asked for is answered. A server sends the events of a change before it answers
whoever made it, so what each connection receives, and in which order, depends on the script alone.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from typing import Final

import attrs

from compat import wire
from compat.generated.model import ROOT
from compat.generated.steps import (
    NAMES,
    Close,
    Expire,
    GeneratedScript,
    Op,
    Reap,
    Requests,
    Resume,
    Shake,
    Step,
    body,
)
from compat.process import four_letters
from compat.wire import OPEN, READ_ONLY, Normaliser, Reply, Session

SUPER_CREDENTIALS: Final = "super:secret"
SESSION_TIMEOUT_MS: Final = 60_000
SHORT_TIMEOUT_MS: Final = 100
_SPECIAL_XIDS: Final = {wire.AUTH: -4, wire.SET_WATCHES: -8, wire.SET_WATCHES2: -8, wire.PING: -2}
UNIMPLEMENTED: Final = -6
NEEDS_AUTH: Final = -124
PATIENCE_S: Final = 20.0
BUILT_IN: Final = {"/": OPEN, "/zookeeper": OPEN, "/zookeeper/quota": OPEN, "/zookeeper/config": READ_ONLY}


def closes(op: Op, reply: Reply) -> bool:
    """Whether the server closes the connection behind this reply to the first request of a batch."""
    if reply.err == NEEDS_AUTH or (op.code == wire.AUTH and reply.err):
        return True
    return reply.err == UNIMPLEMENTED and (op.code not in NAMES or op.code == wire.CHECK)


class TooSlow(RuntimeError):
    """The machine was too busy for what a script wants; play it again with fresh servers."""


class Stuck(RuntimeError):
    """The server did not do in time what a script waits for."""


@attrs.define
class Answers:
    """What a server sent during a script."""

    replies: list[Reply]
    steps: list[int]
    """The step during which each of them was read."""
    ids: list[int]
    """Session ids by order of appearance."""
    last_zxid: int


class Stage:
    """One server's side of a play: its connections by session name, and everything they received."""

    def __init__(self, address: str, enforced: bool = False) -> None:
        self.address = address
        self._port = int(address.rpartition(":")[2])
        self.enforced = enforced
        self.norm = Normaliser(0)
        self.notes: list[Reply] = []
        self._step = 0
        self._tagged: list[int] = []
        self._sessions: dict[str, Session | None] = {}
        self._known: dict[str, tuple[int, bytes]] = {}
        self._count = 0
        self._seen: dict[str, int] = {}
        self._base = self._connection("base")
        self._base.connect(timeout_ms=SESSION_TIMEOUT_MS)
        self._base.auth("digest", SUPER_CREDENTIALS, err=0)
        self._base.create(ROOT, err=0)
        self.norm.base = self.last_zxid()
        self.notes.clear()

    # -- what compat.wire.Session calls --

    def opened(self, session: Session) -> None:
        self.norm.sessions.setdefault(session.id, len(self.norm.sessions))

    def closed(self, session: Session) -> None:
        """Nothing to keep: a script names its sessions itself."""

    # -- playing --

    def play(self, script: GeneratedScript) -> Answers:
        for number, step in enumerate(script.steps):
            self._step = number
            self._one(step)
            self._tag()
        self._step = len(script.steps)
        for session in list(self._sessions.values()):
            if session is not None and session.id:
                session.ping()
        self._tag()
        return Answers(list(self.notes), self._tagged, list(self.norm.sessions), self.last_zxid())

    def _tag(self) -> None:
        self._tagged += [self._step] * (len(self.notes) - len(self._tagged))

    def _one(self, step: Step) -> None:
        match step:
            case Requests(name, ops, xid):
                self._requests(name, self._ready(name), ops, xid)
            case Resume(name, how):
                self._resume(name, how)
            case Shake():
                self._shake(step)
            case Close(name, drop, ops):
                session = self._ready(name)
                if drop:
                    self._resume(name, "drop")
                    session = self._ready(name)
                self._close(name, session, ops)
            case Expire(ops):
                self._expire(ops)
            case Reap(name, path, ttl):
                self._reap(self._ready(name), path, ttl)

    def _requests(self, name: str, session: Session, ops: tuple[Op, ...], xid: int | None = None) -> None:
        expected = len(ops)
        self._send(name, session, ops, xid)
        while expected:
            reply = session.receive()
            if reply.err is None:
                session.drop()
                self._sessions[name] = None
                return
            if reply.xid != -1:
                expected -= 1
            self._saw(name, reply)
            if closes(ops[0], reply):
                session.until_end()
                session.drop()
                self._sessions[name] = None
                return

    def _send(self, name: str, session: Session, ops: tuple[Op, ...], xid: int | None = None) -> None:
        for op in ops:
            special = _SPECIAL_XIDS.get(op.code, xid)
            session.send((op.code, body(op, self._seen.get(name, 0))), xid=special)

    def _saw(self, name: str, reply: Reply) -> None:
        zxid = struct.unpack_from(">q", reply.raw, 4)[0] if len(reply.raw) >= 16 else 0
        if zxid >= 0x1000:  # mapped, and of this script
            self._seen[name] = max(self._seen.get(name, 0), zxid - 0x1000 + self.norm.base)

    def _ready(self, name: str) -> Session:
        """The session's connection: as it is, resumed when it was lost, or a new session."""
        session = self._sessions.get(name)
        if session is not None:
            return session
        session = self._connection(name)
        if name in self._known:
            id, password = self._known[name]
            session.connect(timeout_ms=SESSION_TIMEOUT_MS, session=id, password=password)
        if not session.id:
            if name in self._known:
                session.drop()
                session = self._connection(name)
            session.connect(timeout_ms=SESSION_TIMEOUT_MS)
            self._seen[name] = self.norm.base
        self._keep(name, session)
        if self.enforced:
            session.auth("digest", "u:p")
        return session

    def _keep(self, name: str, session: Session) -> None:
        self._sessions[name] = session
        if session.id:
            self._known[name] = (session.id, session.password)

    def _resume(self, name: str, how: str) -> None:
        old = self._ready(name)
        id, password = self._known[name]
        fields: dict[str, object] = {"timeout_ms": SESSION_TIMEOUT_MS, "session": id, "password": password}
        if how == "password":
            fields["password"] = b"not the password"
        elif how == "old":
            fields["read_only"] = b""
        elif how == "ahead":
            fields["zxid"] = 1 << 60
        if how in ("drop", "old"):
            # A real server that notices the loss after the new connection may forget about that one.
            old.drop()
            self._sessions[name] = None
            alive = f"zk_num_alive_connections\t{self.connections()}\n"
            self._until(
                lambda: alive in four_letters(self._port, "mntr"), "the connection is noticed as lost"
            )
        elif how != "ahead":
            old.ping()  # a real server can close for another only a connection that it has taken in
        new = self._connection(name)
        new.connect(**fields)
        if how == "ahead":
            new.drop()
            return
        if how in ("steal", "password"):
            old.until_end()
            old.drop()
        if new.id:
            self._keep(name, new)
            if self.enforced:
                new.auth("digest", "u:p")
        else:
            new.drop()
            self._sessions[name] = None

    def _shake(self, step: Shake) -> None:
        session = self._connection("shake")
        reply = session.connect(
            protocol=step.protocol,
            zxid=step.zxid and self.norm.base + step.zxid,
            timeout_ms=step.timeout_ms,
            session=step.session,
            password=step.password,
            read_only=step.read_only,
        )
        if session.id:
            if self.enforced:
                session.auth("digest", "u:p")
            if session.call(wire.CLOSE_SESSION).err is None:
                raise TooSlow(f"{self.address}: a session expired before it could be closed")
        elif reply.err is None and not step.session and step.zxid <= 0:
            raise TooSlow(f"{self.address}: a session expired before it was opened")
        if reply.err is not None:
            session.until_end()
        session.drop()

    def _close(self, name: str, session: Session, ops: tuple[Op, ...] = ()) -> None:
        self._send(name, session, ops)
        reply = session.call(wire.CLOSE_SESSION)
        session.drop()
        self._sessions[name] = None
        if reply.err is None:  # the server had closed the connection before
            self._close(name, self._ready(name))
        self._known.pop(name, None)

    def _expire(self, ops: tuple[Op, ...]) -> None:
        before = self._sessions_alive()
        session = self._connection("short")
        session.connect(timeout_ms=SHORT_TIMEOUT_MS)
        if self.enforced and session.auth("digest", "u:p").err is None:
            raise TooSlow(f"{self.address}: a session expired before it could authenticate")
        self._sessions["short"] = session
        self._requests("short", session, ops)
        if self._sessions["short"] is None:
            raise TooSlow(f"{self.address}: a session expired before it was to fall silent")
        session.drop()
        self._sessions.pop("short", None)
        self._until(lambda: self._sessions_alive() == before, "the session expires")

    def _reap(self, session: Session, path: str, ttl: bool) -> None:
        if ttl:
            made = session.create(path, flags=5, op=wire.CREATE_TTL, ttl=1)
        else:
            made = session.create(path, flags=4, op=wire.CREATE_CONTAINER)
            if made.err == 0:
                session.create(path + "/c")
                session.delete(path + "/c")
        if made.err == 0:
            exists = (wire.EXISTS, wire.read_body(path))
            self._until(lambda: self._quietly(*exists)[1] != 0, f"{path} is deleted")

    # -- the server's own changes --

    def last_zxid(self) -> int:
        """The server's last zxid, unmapped."""
        self._base.wire.send(wire.request(-2, wire.PING))
        payload = self._base.wire.receive()
        assert payload is not None
        return int(struct.unpack_from(">q", payload, 4)[0])

    def _sessions_alive(self) -> str:
        found = re.search(r"zk_global_sessions\t(\d+)", four_letters(self._port, "mntr"))
        assert found is not None
        return found[1]

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            if time.monotonic() > deadline:
                raise Stuck(f"{self.address}: {PATIENCE_S} s have passed before {what}")
            time.sleep(0.005)

    # -- connections --

    def _connection(self, name: str) -> Session:
        self._count += 1
        return Session(self, f"{name}" if name == "base" else f"{name}{self._count}")

    def _quietly(self, op: int, body: bytes) -> tuple[bytes, int]:
        """Ask on the base connection, without a note: the reply's body and error."""
        self._base.wire.send(wire.request(7, op, body))
        payload = self._base.wire.receive()
        assert payload is not None, f"{self.address} closed the base connection"
        return payload[16:], struct.unpack_from(">i", payload, 12)[0]

    # -- the end --

    def leave(self) -> None:
        """Close all sessions and remove what the script made; the next one finds a clean tree."""
        for name in list(self._known):
            self._close(name, self._ready(name))
        paths = ["/"]
        for path in paths:
            paths += self._children(path)
        for path in reversed(paths):
            if path not in BUILT_IN:
                self._quietly(wire.DELETE, wire.text(path) + wire.i32(-1))
        for path, acl in BUILT_IN.items():
            found, _ = self._quietly(wire.GET_ACL, wire.text(path))
            if not found.startswith(wire.acls(acl)):
                self._quietly(wire.SET_ACL, wire.text(path) + wire.acls(acl) + wire.i32(-1))
            found, _ = self._quietly(wire.GET_DATA, wire.read_body(path))
            if not found.startswith(wire.i32(0)):
                self._quietly(wire.SET_DATA, wire.text(path) + wire.text(b"") + wire.i32(-1))
        self._quietly(wire.CLOSE_SESSION, b"")
        self._base.drop()

    def _children(self, path: str) -> list[str]:
        found, err = self._quietly(wire.GET_CHILDREN, wire.read_body(path))
        if err:
            return []
        reader = wire.Reader(found, self.norm)
        names = [name.decode("utf-8", "surrogatepass") for name in reader.names() if isinstance(name, bytes)]
        return [("" if path == "/" else path) + "/" + name for name in names]

    def connections(self) -> int:
        """How many connections the server should have, that of a four-letter word included."""
        return sum(session is not None for session in self._sessions.values()) + 2
