"""What must hold after a run, from the clients' and from the observer's point of view."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from struct import unpack_from

from tests.simulation.history import History, Operation, Violation
from tests.simulation.world import KEYS, World
from zkpy import opcodes
from zkpy.errors import Code
from zkpy.node import new_tree
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Create, Error, Logged, decode_payload
from zkpy.zxid import counter_of

READS = ("get", "list", "sync", "close")
"""Operations whose answer names a state, not a place in the history."""
OUTCOMES = (0, Code.NO_NODE, Code.NODE_EXISTS)
"""Answers that a write gets from its transaction."""


class Model:
    """The tree after each committed transaction, replayed in the order of zxids."""

    def __init__(self, world: World) -> None:
        self.tree: DataTree = new_tree(world.configuration(1))
        self.payloads = _history(world)
        self.logged: dict[int, Logged] = {}
        self.zxids = sorted(self.payloads)
        self.values: dict[str, list[tuple[int, object]]] = {key: [(0, None)] for key in [*KEYS, "/c"]}
        """By path what it held from which zxid on: ``/c`` its children's names, the others their data."""
        for zxid in self.zxids:
            logged = decode_payload(self.payloads[zxid])
            if logged.header.zxid != zxid:
                raise Violation(f"transaction 0x{logged.header.zxid:x} was carried out as 0x{zxid:x}")
            self.logged[zxid] = logged
            self.tree.apply(logged.header, logged.txn)
            self.tree.changes.clear()
            for key, values in self.values.items():
                found = self._held(key)
                if values[-1][1] != found:
                    values.append((zxid, found))

    def _held(self, key: str) -> object:
        node = self.tree.nodes.get(key.encode())
        if node is None or key != "/c":
            return None if node is None else node.data
        return frozenset(node.children or ())

    def value(self, key: str, zxid: int) -> object:
        """What *key* held after transaction *zxid*."""
        values = self.values[key]
        return values[bisect_right(values, zxid, key=lambda at: at[0]) - 1][1]


def _history(world: World) -> dict[int, bytes]:
    """The transactions that count, by zxid, going back from the last leader.

    Each leader brings a history and adds to it; what it adds counts up to where that history ends
    that the next leader brings.
    """
    history = world.history
    ends = {sid: member.tree.last_zxid for sid, member in world.members.items()}
    if len({*ends.values()}) > 1:
        raise Violation(f"the members' histories end at different places: {ends}")
    last = next(iter(ends.values()))
    found: dict[int, bytes] = {}
    while last:
        epoch = last >> 32
        found.update((z, payload) for z, payload in history.proposed.items() if epoch << 32 < z <= last)
        _, last = history.leaders[epoch]
    return found


def check(world: World) -> Model:
    """Raises Violation."""
    history = world.history
    model = Model(world)
    _lives_are_slices(history, model.zxids)
    _members_hold_all(world, model)
    _answers_are_outcomes(history, model)
    _reads_are_of_their_zxid(history, model)
    _sessions_never_go_back(history)
    _nothing_is_older_than_what_was_answered(history, world.sure)
    _members_are_the_last_ones(world, model)
    return model


def _lives_are_slices(history: History, zxids: list[int]) -> None:
    """Whoever carried out two transactions carried out all between them, in order."""
    index = {zxid: at for at, zxid in enumerate(zxids)}
    for life in history.lives:
        lost = [hex(zxid) for zxid in life if zxid not in index]
        if lost:
            raise Violation(f"a server carried out what did not last: {lost[:5]}")
        places = [index[zxid] for zxid in life]
        for at, (one, other) in enumerate(itertools.pairwise(places)):
            if other != one + 1:
                missed = zxids[one + 1 : other]
                raise Violation(
                    f"a server carried out 0x{life[at]:x} and then 0x{life[at + 1]:x};"
                    f" others carried out {[hex(zxid) for zxid in missed[:5]]} between"
                )


def _members_hold_all(world: World, model: Model) -> None:
    """Every member's tree is what the committed transactions make, and its log agrees with them."""
    wanted = {path: node.data for path, node in model.tree.nodes.items() if path != b"/zookeeper/config"}
    for sid, member in world.members.items():
        tree = member.tree
        found = {path: node.data for path, node in tree.nodes.items() if path != b"/zookeeper/config"}
        if found != wanted:
            lost = sorted(set(wanted.items()) ^ set(found.items()), key=str)
            raise Violation(f"server {sid} does not hold what was committed: {lost[:6]}")
        if tree.digest % 2**64 != model.tree.digest % 2**64:
            raise Violation(f"server {sid} has another digest")
        if tree.sessions != model.tree.sessions:
            raise Violation(f"server {sid} knows other sessions: {tree.sessions} {model.tree.sessions}")
        if member.server.digest_mismatches:
            raise Violation(f"server {sid} saw another digest than its leader")
        for entry in member.store.dirs.entries_after(member.store.last_snapshot_zxid):
            if model.payloads.get(entry.zxid) != entry.payload:
                raise Violation(f"server {sid} has something else in its log as 0x{entry.zxid:x}")


def _acknowledged(history: History) -> list[Operation]:
    return [op for op in history.operations if op.reply is not None and op.reply.err == 0]


def _answers_are_outcomes(history: History, model: Model) -> None:
    """What was acknowledged is there, and every write was answered with what became of it."""
    for op in history.operations:
        reply = op.reply
        if op.kind in READS or reply is None or reply.err not in OUTCOMES:
            continue
        logged = model.logged.get(reply.zxid)
        if logged is None:
            raise Violation(f"answered and not there: {op}")
        if (logged.header.client_id, logged.header.cxid) != (op.session, op.xid):
            raise Violation(f"answered with what became of {logged.header}: {op}")
        if op.kind == "reconfig" and reply.err != 0:
            continue
        failed = logged.txn.err if isinstance(logged.txn, Error) else 0
        if reply.err != failed:
            raise Violation(f"answered {reply.err}, became {failed}: {op}")
        if not failed and op.kind != "drop" and op.value not in model.payloads[reply.zxid]:
            raise Violation(f"acknowledged and not there: {op}")
        if not failed:
            _describes(op, logged)


def _describes(op: Operation, logged: Logged) -> None:
    """The body of the answer is about this very transaction."""
    assert op.reply is not None
    body = op.reply.body
    if isinstance(logged.txn, Create):
        if body[4:] != logged.txn.path:
            raise Violation(f"the path is {logged.txn.path!r}: {op}")
    elif op.kind == "set":
        (mzxid,) = unpack_from(">q", body, 8)
        if mzxid != op.reply.zxid:
            raise Violation(f"the stat is of 0x{mzxid:x}: {op}")


def _reads_are_of_their_zxid(history: History, model: Model) -> None:
    """What a read gave is the state after the transaction that its answer names."""
    for op in _acknowledged(history):
        if op.kind not in ("get", "list"):
            continue
        assert op.reply is not None
        found: object
        if op.kind == "get":
            (size,) = unpack_from(">i", op.reply.body)
            found = op.reply.body[4 : 4 + size]
        else:
            found = frozenset(_names(op.reply.body))
        if found != model.value(op.path, op.reply.zxid):
            raise Violation(f"read {found!r}, it was {model.value(op.path, op.reply.zxid)!r}: {op}")


def _names(body: bytes) -> list[bytes]:
    (count,) = unpack_from(">i", body)
    found, at = [], 4
    for _ in range(count):
        (size,) = unpack_from(">i", body, at)
        found.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _sessions_never_go_back(history: History) -> None:
    """Answers of one session, across connections and members, never name an older state."""
    latest: dict[int, int] = {}
    for op in sorted((op for op in history.operations if op.ended is not None), key=lambda op: op.begun):
        if op.reply is None or op.reply.err in (-112, -118) or op.reply.zxid <= 0:
            continue
        if op.reply.zxid < latest.get(op.session, 0):
            raise Violation(f"session went back from 0x{latest[op.session]:x}: {op}")
        latest[op.session] = op.reply.zxid


def _nothing_is_older_than_what_was_answered(history: History, sure: set[int]) -> None:
    """Who writes after an acknowledgement has a later place; who reads at one of *sure* sees it, too."""
    done = _acknowledged(history)
    writes = [op for op in done if op.kind not in READS]
    ended = sorted(
        (op.ended, op.reply.zxid) for op in writes if op.ended is not None and op.reply is not None
    )
    highest, at = 0, 0
    seen = [op for op in done if op.kind not in READS or (op.at in sure and op.kind != "close")]
    for op in sorted(seen, key=lambda op: op.begun):
        while at < len(ended) and ended[at][0] < op.begun:
            highest = max(highest, ended[at][1])
            at += 1
        assert op.reply is not None
        if op.reply.zxid < highest or (op.reply.zxid == highest and op.kind not in READS):
            raise Violation(f"0x{highest:x} was answered before this began: {op}")


def _members_are_the_last_ones(world: World, model: Model) -> None:
    """Whatever was in force was committed, and all go by the last one."""
    if world.file is None:
        return
    changes = [zxid for zxid in model.zxids if model.logged[zxid].txn.type == opcodes.RECONFIG]
    for version in world.history.configs:
        if counter_of(version) and version not in changes:
            raise Violation(f"configuration {version:x} was in force, and did not last")
    last = max([*changes, *(version for version in world.history.configs if not counter_of(version))])
    for sid, member in world.members.items():
        found = member.service.facts.members
        if found is None or found.version != last:
            version = 0 if found is None else found.version
            raise Violation(f"server {sid} goes by configuration {version:x}, the last one is {last:x}")
