"""One directory's way: written, stopped, read by the other server, written on, and taken back."""

from __future__ import annotations

import os
import re
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import attrs

from compat import realzk, txnlogs, wire
from compat.interchange import tools
from compat.interchange.cases import EXTENDED, KILL, ZKPY, Case
from compat.interchange.client import (
    SUPER_DIGEST,
    Client,
    Tree,
    Unanswered,
    differences,
    digest,
    nodes_at,
    picture,
)
from compat.interchange.content import CONTAINER_OWNER, EPHEMERAL, GROUPS, Author, Story, group_of
from compat.process import ServerFailed, ServerProcess, four_letters
from compat.zkpyserver import ZkpyServer

FACTS: Final = ("sessions", "in flight", "zxid", "digest", "files", "tools", "start")
COLUMNS: Final = (*GROUPS, *FACTS)

OK, FAILED, NOT_REACHED, NOT_LOOKED_AT = "ok", "FAILED", "-", ""

SNAP_COUNT: Final = 300
OLD_SNAP_COUNT: Final = 1_000_000
"""3.8.0 can lose ACLs out of snapshots that it takes while requests come in; it takes one at every start."""
SHORT_TIMEOUT_MS: Final = 6_000
"""Of the session that nobody resumes; a server that has just started must answer twice in this time."""
KEPT_TIMEOUT_MS, ALONE_TIMEOUT_MS, LATER_TIMEOUT_MS = 70_000, 80_000, 90_000
"""Of those that are resumed: more than a server takes for its part of a case, on a slow machine too."""
IN_FLIGHT: Final = 400
_CONFIG: Final = {"tickTime": "500", "minSessionTimeout": "1000", "maxSessionTimeout": "90000"}
_DIGEST: Final = struct.Struct(">iq")
_HEADER: Final = struct.Struct(">qiqqi")
_DIGEST_VERSION: Final = 2
_ATTEMPTS: Final = 5
_LACKING_ACL: Final = "Failed to fetch acls for"
_DATA: Final = b"in flight " * 30
_MASK: Final = (1 << 64) - 1


@attrs.frozen
class Difference:
    """Something that should have been the same."""

    column: str
    where: str
    text: str


@attrs.define
class Outcome:
    """What a case showed."""

    case: Case
    found: list[Difference] = attrs.field(factory=list)
    looked_at: set[str] = attrs.field(factory=set)
    seconds: float = 0.0
    nodes: int = 0
    transactions: int = 0
    log_files: int = 0
    snapshots: int = 0
    log_only: int = 0
    """Transactions which the reader found in no snapshot."""

    @property
    def ok(self) -> bool:
        return not self.found

    def cell(self, column: str) -> str:
        """The table's word for a column."""
        if any(one.column == column for one in self.found):
            return FAILED
        if column in self.looked_at:
            return OK
        return NOT_LOOKED_AT if self.ok else NOT_REACHED

    def add(self, column: str, where: str, text: str) -> None:
        self.found.append(Difference(column, where, text))

    def expect(self, column: str, where: str, what: str, found: object, expected: object) -> None:
        self.looked_at.add(column)
        if found != expected:
            self.add(column, where, f"{what} is {found}, not {expected}")


@attrs.define
class _Session:
    """A session which outlives servers."""

    id: int
    password: bytes
    timeout_ms: int
    ephemerals: list[str]


@attrs.define
class _State:
    """A server's last moment, as its clients saw it."""

    tree: Tree
    zxid: int
    parent: str = ""
    """Where znodes were being made when the process was killed."""
    answered: int = 0
    """How many of them were acknowledged."""


def run_case(case: Case) -> Outcome:
    """Start the servers of a case, one after the other, and tell what differed."""
    started = time.monotonic()
    for _ in range(_ATTEMPTS):
        outcome = Outcome(case)
        folder = Path(tempfile.mkdtemp(prefix="interchange-"))
        try:
            _Play(case, outcome, folder).run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not _refused_its_own(outcome):
            break
    outcome.seconds = time.monotonic() - started
    return outcome


def _refused_its_own(outcome: Outcome) -> bool:
    """Whether a Java server could not read a snapshot of its own, before anybody else had the directory."""
    return outcome.case.writer != ZKPY and any(
        (one.column, one.where) == ("start", "writing") and _LACKING_ACL in one.text for one in outcome.found
    )


class _Play:
    def __init__(self, case: Case, outcome: Outcome, folder: Path) -> None:
        self.case = case
        self.outcome = outcome
        self.data = folder / "data"
        self.logs = folder / "logs" if case.settings.separate_logs else self.data
        self.sessions: dict[str, _Session] = {}
        self.clients: list[Client] = []
        self.story = Story(
            case.settings.extended(reader=False), case.stop == KILL, old=case.java == realzk.DEBIAN_VERSION
        )
        self.replayable = case.settings.extended(reader=True) == case.settings.extended(reader=False)
        self._extended = self.story.extended

    def run(self) -> None:
        where = "writing"
        try:
            state = self._written()
            self._note_files()
            where = f"on {self.case.reader}"
            if self.case.refused:
                self._refused(where)
            else:
                state = self._on_the_reader(where, state)
            where = f"back on {self.case.writer}"
            self._back(where, state)
            self._replay()
        except (ServerFailed, Unanswered, OSError) as error:
            self.outcome.add("start", where, str(error))
        for group, text in self.story.problems:
            self.outcome.add(group, "writing", text)

    # -- the stations --

    def _written(self) -> _State:
        with self._server(self.case.writer, reader=False) as server:
            first = self._new_session(server, "kept", KEPT_TIMEOUT_MS)
            self._author(first, server, 1)
            self._new_session(server, "alone", ALONE_TIMEOUT_MS).drop()
            first.drop()
        with self._server(self.case.writer, reader=False, killed=self.case.stop == KILL) as server:
            kept = self._resumed(server, "kept", "writing")
            self._author(kept, server, 2)
            self._new_session(server, "short", SHORT_TIMEOUT_MS)
            self._hold(server, "short")
            return self._end(server, kept, "/in-flight-first")

    def _on_the_reader(self, where: str, state: _State) -> _State:
        case, outcome = self.case, self.outcome
        self.story.extended = case.settings.extended(reader=True)
        if self._extended and not self.story.extended:
            self._forget_ttl(state)
        with self._server(case.reader, reader=True, killed=case.stop == KILL) as server:
            kept = self._compare(server, where, state, "kept", reader=True)
            alone = self.sessions["alone"]
            stranger = Client.connect(
                server.address, alone.timeout_ms, session=alone.id, password=b"not the password"
            )
            outcome.expect("sessions", where, "a wrong password's session", stranger, None)
            self._new_session(server, "later", LATER_TIMEOUT_MS).drop()
            self._author(kept, server, 3)
            self._mismatches(server, where)
            return self._end(server, kept, "/in-flight-then")

    def _refused(self, where: str) -> None:
        """The reader must not start; what it leaves is as it was."""
        self.outcome.looked_at.add("start")
        try:
            with self._server(self.case.reader, reader=True):
                self.outcome.add("start", where, "it started, which was not expected")
        except ServerFailed:
            return

    def _back(self, where: str, state: _State) -> None:
        self.story.extended = self._extended
        with self._server(self.case.writer, reader=False) as server:
            kept = self._compare(server, where, state, "kept", reader=False)
            for name in ("alone", "later"):
                if name in self.sessions:
                    self._resumed(server, name, where).drop()
            self._author(kept, server, 3 if self.case.refused else 4)
            self._mismatches(server, where)
            state = self._last(kept)
            kept.drop()
        self.outcome.nodes = len(state.tree)
        self.outcome.transactions = state.zxid
        if self.case.tools:
            self._tools(where)

    # -- what is done on a server --

    @contextmanager
    def _server(self, kind: str, *, reader: bool, killed: bool = False) -> Iterator[ServerProcess]:
        server = self._make(kind, reader)
        try:
            server.start()
            yield server
            if killed:
                server.kill()
        except Unanswered as error:
            status = server.process.poll() if server.process is not None else None
            state = "runs" if status is None else f"has ended with status {status}"
            tail = "\n".join(server.log().splitlines()[-30:])
            raise Unanswered(f"{error}; the server {state}, the end of its log:\n{tail}") from error
        finally:
            server.close()
            for client in self.clients:
                client.drop()
            self.clients.clear()

    def _make(self, kind: str, reader: bool) -> ServerProcess:
        case = self.case
        config = {**_CONFIG, "dataDir": str(self.data), "dataLogDir": str(self.logs)}
        properties = {
            EXTENDED: "true",
            "zookeeper.DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
            "zookeeper.snapCount": str(OLD_SNAP_COUNT if kind == realzk.DEBIAN_VERSION else SNAP_COUNT),
            "zookeeper.preAllocSize": "512",
            "zookeeper.enforceQuota": "true" if self.story.enforced else "false",
            "zookeeper.snapshot.compression.method": case.compression,
            **case.settings.both,
            **(case.settings.reader if reader else {}),
        }
        if not case.compression:
            del properties["zookeeper.snapshot.compression.method"]
        if kind == ZKPY:
            return ZkpyServer(config, properties)
        return realzk.RealServer(config, properties, jars=java_classpath(kind))

    def _author(self, client: Client, server: ServerProcess, number: int) -> None:
        Author(client, server.address, self.story, number).write()
        path = f"/sessions/of-round-{number}"
        client.call(wire.CREATE2, wire.create_body(path, b"", flags=EPHEMERAL))

    def _new_session(self, server: ServerProcess, name: str, timeout_ms: int) -> Client:
        """A session with some ephemerals."""
        client = Client.fresh(server.address, timeout_ms)
        self.clients.append(client)
        client.call(wire.CREATE2, wire.create_body("/sessions"))
        paths = [f"/sessions/{name}-{number}" for number in range(3)]
        client.calls((wire.CREATE2, wire.create_body(path, name, flags=EPHEMERAL)) for path in paths)
        self.sessions[name] = _Session(client.id, client.password, client.timeout_ms, paths)
        if client.timeout_ms != timeout_ms:
            self.outcome.add("sessions", "writing", f"the timeout of {name} is {client.timeout_ms}")
        return client

    def _hold(self, server: ServerProcess, name: str) -> None:
        """Keep a session from expiring on this server; the timeout that is stored stays the same."""
        session = self.sessions[name]
        client = Client.connect(
            server.address, LATER_TIMEOUT_MS, session=session.id, password=session.password
        )
        if client is None:
            raise Unanswered(f"the session {name} (0x{session.id:x}) expired while it was made")
        self.clients.append(client)

    def _last(self, client: Client) -> _State:
        tree = picture(client)
        self.outcome.looked_at.update(group_of(path) for path in tree if path.count("/") > 1)
        return _State(tree, client.ping())

    def _end(self, server: ServerProcess, kept: Client, parent: str) -> _State:
        """The last moment; a process that is to be killed is killed while it writes."""
        if self.case.stop != KILL:
            return self._last(kept)
        client = Client.fresh(server.address)
        self.clients.append(client)
        client.call(wire.CREATE2, wire.create_body(parent))
        state = self._last(kept)
        state.parent = parent
        creates = (wire.create_body(_in_flight(parent, number), _DATA) for number in range(IN_FLIGHT))
        state.answered = client.cut_off(((wire.CREATE2, body) for body in creates), server.kill)
        return state

    def _arrived(self, where: str, state: _State, tree: Tree, zxid: int) -> None:
        """Of what was under way the first requests count, with all that were acknowledged."""
        count = zxid - state.zxid
        self.outcome.expect(
            "in flight", where, f"{state.answered} answered, {count} there", state.answered <= count, True
        )
        for number in range(min(count, IN_FLIGHT)):
            path = _in_flight(state.parent, number)
            node = tree.get(path)
            if node is None or (node.data, node.stat.czxid) != (_DATA, state.zxid + 1 + number):
                self.outcome.add("in flight", where, f"{path} is {'there' if node else 'missing'}")
            else:
                state.tree[path] = node
        if count:
            before = state.tree[state.parent]
            stat = before.stat._replace(children=count, cversion=count, pzxid=zxid)
            state.tree[state.parent] = before._replace(stat=stat)
        state.zxid = zxid

    def _resumed(self, server: ServerProcess, name: str, where: str) -> Client:
        session = self.sessions[name]
        client = Client.connect(
            server.address, session.timeout_ms, session=session.id, password=session.password
        )
        if client is None:
            raise Unanswered(f"the session {name} (0x{session.id:x}) cannot be resumed")
        self.clients.append(client)
        self.outcome.expect(
            "sessions", where, f"the timeout of {name}", client.timeout_ms, session.timeout_ms
        )
        self.outcome.expect("sessions", where, f"the id of {name}", client.id, session.id)
        client.become_super()
        found = set(client.ephemerals())
        missing = [path for path in session.ephemerals if path not in found]
        self.outcome.expect("sessions", where, f"lost ephemerals of {name}", missing, [])
        return client

    def _compare(
        self, server: ServerProcess, where: str, state: _State, name: str, *, reader: bool
    ) -> Client:
        """What the server shows must be *state*; gives the resumed session."""
        outcome = self.outcome
        outcome.looked_at.add("start")
        found = re.search(r"^Zxid: 0x([0-9a-f]+)$", four_letters(server.port, "srvr"), re.MULTILINE)
        zxid = int(found[1], 16) if found else -1
        client = self._resumed(server, name, where)
        short = self.sessions.pop("short", None)
        if short is not None:
            self._expiry(server, where, state, client, short)
        tree = picture(client)
        if state.parent:
            self._arrived(where, state, tree, zxid)
        outcome.expect("zxid", where, "the last zxid", f"{zxid:x}", f"{state.zxid:x}")
        if short is not None:
            self._forget_short(state, short)
        for path, text in differences(state.tree, tree):
            outcome.add(group_of(path), where, f"{path} {text}")
        owned = sorted(path for path, node in state.tree.items() if node.stat.owner == client.id)
        outcome.expect("sessions", where, f"the ephemerals of {name}", client.ephemerals(), owned)
        if self.case.settings.digests(reader=reader):
            self._digest(server, where, client)
        return client

    def _expiry(
        self, server: ServerProcess, where: str, state: _State, client: Client, short: _Session
    ) -> None:
        """A session that nobody resumes is there first, and goes when the timeout that was stored is over."""
        expected = {path: state.tree[path] for path in short.ephemerals}
        for path, text in differences(expected, nodes_at(client, short.ephemerals)):
            self.outcome.add("sessions", where, f"{path} {text}")
        for path in short.ephemerals:
            client.wait_until_gone(path)
        late = Client.connect(server.address, short.timeout_ms, session=short.id, password=short.password)
        self.outcome.expect("sessions", where, "an expired session", late, None)

    def _forget_short(self, state: _State, short: _Session) -> None:
        """What a session's end changes."""
        state.zxid += 1
        for path in short.ephemerals:
            _forget(state, path)

    def _digest(self, server: ServerProcess, where: str, client: Client) -> None:
        """The server logs its tree's digest with every new session, which does not change the tree."""
        for _ in range(_ATTEMPTS):
            last = client.ping()
            tree = picture(client)
            checker = Client.fresh(server.address)
            checker.close()
            for entry in reversed(tools.all_entries(self.logs)):
                owner, _, zxid, _, type = _HEADER.unpack_from(entry)
                if (owner, type, zxid) == (checker.id, wire.CREATE_SESSION, last + 1):
                    version, logged = _DIGEST.unpack(entry[-_DIGEST.size :])
                    seen = digest(tree, self.story.owners)
                    self.outcome.expect("digest", where, "its version", version, _DIGEST_VERSION)
                    self.outcome.expect("digest", where, "the logged one", f"{logged & _MASK:x}", f"{seen:x}")
                    return
            # Another session has expired meanwhile.
        self.outcome.add("digest", where, "the log has no session of the checking client after the last zxid")

    def _mismatches(self, server: ServerProcess, where: str) -> None:
        """None, but for one where a Java server's snapshot has effects of a transaction after its digest."""
        found = re.search(
            r"^zk_digest_mismatches_count\s+(\S+)$", four_letters(server.port, "mntr"), re.MULTILINE
        )
        count = float(found[1]) if found else -1.0
        if count == 1.0 and any(map(tools.is_fuzzy, tools.snapshots(self.data))):
            count = 0.0
        self.outcome.expect("digest", where, "zk_digest_mismatches_count", count, 0.0)

    def _forget_ttl(self, state: _State) -> None:
        """To a server without extended types TTL znodes are ephemerals of lost sessions: it removes them."""
        gone = [path for path, owner in self.story.owners.items() if owner != CONTAINER_OWNER]
        for path in gone:
            self.story.owners.pop(path)
            _forget(state, path)

    # -- files --

    def _note_files(self) -> None:
        """The content stands in several files, and some of it (mostly) in the last log alone."""
        logs, snapshots = tools.log_files(self.logs), tools.snapshots(self.data)
        self.outcome.log_files, self.outcome.snapshots = len(logs), len(snapshots)
        newest = tools.zxid_of(snapshots[-1])
        self.outcome.log_only = txnlogs.zxid(tools.all_entries(self.logs)[-1]) - newest
        enough = len(logs) > 1 and len(snapshots) > 1 and newest > 0
        self.outcome.expect("files", "writing", "what is in several files", enough, True)
        suffix = f".{self.case.compression}" if self.case.compression else ""
        plain = [file.name for file in snapshots if file.name.count(".") != suffix.count(".") + 1]
        self.outcome.expect("files", "writing", "snapshots that are not compressed as told", plain, [])

    def _tools(self, where: str) -> None:
        self.outcome.looked_at.add("tools")
        classpath = java_classpath(self.case.java)
        problems = [tools.snapshot_problem(classpath, tools.snapshots(self.data)[-1])]
        problems += [tools.log_problem(classpath, file) for file in tools.log_files(self.logs)[-2:]]
        for problem in filter(None, problems):
            self.outcome.add("tools", where, problem)

    def _replay(self) -> None:
        """Both servers' transactions in one log, whose digests must follow from each other."""
        settings = self.case.settings
        if not self.replayable or not (settings.digests(reader=False) and settings.digests(reader=True)):
            return
        extended = settings.extended(reader=False)
        for odd in txnlogs.digest_differences(tools.all_entries(self.logs), extended=extended):
            self.outcome.add(
                "digest", "replaying the log", f"another one at 0x{odd.header.zxid:x}: {odd.txn}"
            )


def _forget(state: _State, path: str) -> None:
    """A znode is deleted, by the last transaction."""
    state.tree.pop(path, None)
    parent = path.rpartition("/")[0]
    node = state.tree[parent]
    stat = node.stat
    state.tree[parent] = node._replace(
        stat=stat._replace(children=stat.children - 1, cversion=stat.cversion + 1, pzxid=state.zxid)
    )


def _in_flight(parent: str, number: int) -> str:
    return f"{parent}/{number:04}"


@cache
def java_classpath(version: str) -> str:
    """With snappy's native library: Debian has it in a package apart, the newer jar brings it along."""
    found = realzk.find(version)
    if version == realzk.VERSION:
        return found.classpath
    newer = realzk.find(realzk.VERSION)
    snappy = [str(entry) for entry in newer.entries if entry.name.startswith("snappy-java")]
    return os.pathsep.join([*snappy, found.classpath])
