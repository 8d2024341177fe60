"""``python -m tests.robustness.kill --rounds 1000``: SIGKILL under load, and what is there afterwards.

Each of several connections keeps its session over all rounds, pipelines writes into a subtree of its own and
knows what that looks like after each of them (`Model`). After a kill the subtree must be what it was after a
*prefix* of what was sent, and everything acknowledged belongs to that prefix: so nothing acknowledged is
lost, nothing is done twice or by half, and what was not acknowledged is there in order or not at all.

::

    start (now and then killed while it recovers) → write → SIGKILL → read the rest of the answers
      → read the directory: digest as recomputed, no hole → start → compare → next round
"""

from __future__ import annotations

import argparse
import random
import select
import socket
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import trio

from compat import wire
from tests.robustness.harness import HEADER, Client, Failure, Server, defines, texts, wire_text
from zkpy.persist.purge import purge
from zkpy.persist.txnsnaplog import DataDir, Restored
from zkpy.realports import RealDisk
from zkpy.tree.datatree import DataTree

WRITERS: Final = 3
DEPTH: Final = 48
"""Unanswered requests per connection."""

MOST_NODES: Final = 100
"""From so many on a writer deletes more than it creates."""

SETTINGS: Final = defines(snapCount=50, preAllocSize=64)
PURGE_EVERY: Final = 10
EPHEMERAL, SEQUENTIAL = 1, 2

State = dict[bytes, bytes]
"""Paths below a writer's root, and their data."""


class Op(NamedTuple):
    """One request: what to send, what it changes (data None: deleted), the created name to expect."""

    op: int
    body: bytes
    changes: tuple[tuple[bytes, bytes | None], ...]
    name: bytes | None = None
    fails: bool = False


class Model:
    """What one writer does, and what its subtree holds after the first *applied* of its requests."""

    def __init__(self, number: int, seed: int) -> None:
        self.root = b"/w%d" % number
        self.random = random.Random(seed * 1009 + number)
        self.applied: State = {}
        self.planned: State = {}
        self.sequence = 0
        self.counter = 0

    def setup(self) -> list[Op]:
        """The znodes that are always there."""
        ops = []
        for path, data in (
            (b"", b""),
            *((p, b"0") for p in (b"/n", b"/a", b"/b", b"/c", b"/s", b"/k", b"/e")),
        ):
            path = self.root + path
            ops.append(Op(wire.CREATE, wire.create_body(path, data), ((path, data),), path))
        return ops

    def next(self) -> Op:
        """The next request; ``planned`` is as after it."""
        r, root = self.random, self.root
        self.counter += 1
        data = b"%d" % self.counter
        kind = r.randrange(10)
        if kind < 3:
            path = root + b"/n"
            return self._plan(
                Op(wire.SET_DATA, wire.text(path) + wire.text(data) + wire.i32(-1), ((path, data),))
            )
        if kind < 6:
            paths = [root + name for name in (b"/a", b"/b", b"/c")]
            changes: list[tuple[bytes, bytes | None]] = [(path, data) for path in paths]
            ops = [(wire.SET_DATA, wire.text(path) + wire.text(data) + wire.i32(-1)) for path in paths]
            marker = root + b"/a/m" + data
            changes.append((marker, data))
            ops.insert(1, (wire.CREATE, wire.create_body(marker, data)))
            for path in [path for path in self.planned if path.startswith(root + b"/a/m")][:2]:
                changes.append((path, None))
                ops.append((wire.DELETE, wire.text(path) + wire.i32(-1)))
            if kind == 5 and r.random() < 0.5:
                ops.append((wire.CHECK, wire.text(root) + wire.i32(77)))  # wrong: nothing of it may happen
                return Op(wire.MULTI, wire.multi_body(ops), (), None, True)
            return self._plan(Op(wire.MULTI, wire.multi_body(ops), tuple(changes)))
        old = [
            path for path in self.planned if path.startswith((root + b"/s/", root + b"/e/", root + b"/k/"))
        ]
        if old and (kind == 9 or len(old) > MOST_NODES):
            path = r.choice(old)
            return self._plan(Op(wire.DELETE, wire.text(path) + wire.i32(-1), ((path, None),)))
        if kind == 6:
            path = root + b"/s/x-%010d" % self.sequence
            self.sequence += 1
            body = wire.create_body(root + b"/s/x-", data, flags=SEQUENTIAL)
            return self._plan(Op(wire.CREATE, body, ((path, data),), path))
        if kind == 7:
            path = root + b"/e/" + data
            body = wire.create_body(path, data, flags=EPHEMERAL)
            return self._plan(Op(wire.CREATE, body, ((path, data),), path))
        path = root + b"/k/" + data
        return self._plan(Op(wire.CREATE, wire.create_body(path, data * 20), ((path, data * 20),), path))

    def _plan(self, op: Op) -> Op:
        _change(self.planned, op)
        return op

    def settle(self, done: Sequence[Op], lost: Sequence[Op]) -> None:
        """The server has carried out *done* and not *lost*: go on from there."""
        for op in done:
            _change(self.applied, op)
        self.planned = dict(self.applied)
        self.sequence -= sum(op.name is not None and b"/s/x-" in op.name for op in lost)


def _change(state: State, op: Op) -> None:
    for path, data in op.changes:
        if data is None:
            state.pop(path, None)
        else:
            state[path] = data


class Writer:
    """A model, its session, and the requests that have no answer."""

    def __init__(self, number: int, seed: int) -> None:
        self.model = Model(number, seed)
        self.session = 0
        self.password = bytes(16)
        self.xid = 0
        self.pending: deque[tuple[int, Op]] = deque()
        self.acknowledged = 0
        self.last_zxid = 0
        self._buffer = bytearray()
        self.sock: socket.socket | None = None

    def connect(self, server: Server) -> Client:
        """Take up the session on a new connection, or open it."""
        client = server.client(session=self.session, password=self.password, timeout_ms=40000)
        if self.session and client.session != self.session:
            raise Failure(f"session 0x{self.session:x} is gone")
        self.session, self.password = client.session, client.password
        self._buffer.clear()
        self.sock = client.sock
        client.xid = self.xid
        return client

    def send(self, ops: Sequence[Op]) -> None:
        out = []
        for op in ops:
            self.xid += 1
            self.pending.append((self.xid, op))
            out.append(wire.request(self.xid, op.op, op.body))
        assert self.sock is not None
        try:
            self.sock.sendall(b"".join(out))
        except OSError:
            return  # killed; the answers that got through are read later

    def receive(self) -> bool:
        """Take in what arrived; False at the end of the stream. Raises Failure for a wrong answer."""
        assert self.sock is not None
        try:
            chunk = self.sock.recv(1 << 18)
        except OSError:
            return False
        self._buffer += chunk
        buffer = bytes(self._buffer)
        at = 0
        while len(buffer) - at >= 4:
            end = at + 4 + int.from_bytes(buffer[at : at + 4], "big")
            if end > len(buffer):
                break
            self._acknowledge(buffer[at + 4 : end])
            at = end
        self._buffer = bytearray(buffer[at:])
        return bool(chunk)

    def _acknowledge(self, payload: bytes) -> None:
        xid, zxid, err = HEADER.unpack_from(payload)
        expected, op = self.pending.popleft()
        if xid != expected or zxid <= self.last_zxid:
            raise Failure(f"answer {xid} at zxid 0x{zxid:x} instead of {expected} after 0x{self.last_zxid:x}")
        self.last_zxid = zxid
        failed = err != 0 or (op.op == wire.MULTI and struct.unpack_from(">i", payload, 16)[0] == -1)
        if failed != op.fails:
            raise Failure(f"request {op} was answered {err}")
        if op.name is not None and wire_text(payload, 16) != op.name:
            raise Failure(f"created {wire_text(payload, 16)!r} instead of {op.name!r}")
        self.acknowledged += 1
        _change(self.model.applied, op)

    def verify(self, found: State) -> int:
        """How many unacknowledged requests were carried out. Raises Failure unless that fits."""
        state = dict(self.model.applied)
        ops = [op for _, op in self.pending]
        for count in range(len(ops) + 1):
            if state == found and not (count < len(ops) and not ops[count].changes):
                self.model.settle(ops[:count], ops[count:])
                self.pending.clear()
                return count
            if count < len(ops):
                _change(state, ops[count])
        applied = self.model.applied
        raise Failure(
            f"{self.model.root.decode()}: what is there is no state between the last acknowledged "
            f"write and the last one sent ({len(ops)} open)\n"
            f" missing {sorted(applied.items() - found.items())[:5]}\n"
            f" surplus {sorted(found.items() - applied.items())[:5]}"
        )


class Campaign:
    """Rounds on one directory."""

    def __init__(self, work: Path, seed: int, fault: str | None = None, *args: str) -> None:
        self.work = work
        self.data = work / "data"
        self.seed = seed
        self.random = random.Random(seed)
        self.rounds = 0
        self.start_kills = 0
        self.zxid = 0
        self.recovered = 0
        self._args = (*SETTINGS, "--data", str(self.data), *args)
        self._fault = fault
        self.writers = [Writer(number, seed) for number in range(WRITERS)]

    @property
    def acknowledged(self) -> int:
        return sum(writer.acknowledged for writer in self.writers)

    def run(self, rounds: int) -> None:
        """Raises Failure, naming seed and round."""
        try:
            self._run(rounds)
        finally:
            for writer in self.writers:
                if writer.sock is not None:
                    writer.sock.close()

    def _run(self, rounds: int) -> None:
        for _ in range(rounds):
            try:
                self.round()
            except (Failure, AssertionError, ConnectionError) as error:
                log = (self.work / "stderr").read_text()[-2000:]
                raise Failure(f"seed {self.seed}, round {self.rounds}: {error!r}\n{log}") from error
            self.rounds += 1
        with self._start() as server:
            self._check(server)

    def _start(self) -> Server:
        return Server(self.work, *self._args, fault=self._fault)

    def round(self) -> None:
        r = self.random
        while r.random() < 0.25:
            # Killed while it starts: importing, recovering, or serving already.
            self.start_kills += 1
            with Server(self.work, *self._args, fault=self._fault, wait=False):
                time.sleep(r.uniform(0.0, 0.5))
        with self._start() as server:
            try:
                self._check(server)
                self._load(server, r.uniform(0.0, 0.25))
            except TimeoutError:
                raise Failure(f"no answer; its threads:\n{server.whereabouts()}") from None
            server.kill()
        self._drain()
        self._read_directory()
        if self.rounds % PURGE_EVERY == PURGE_EVERY - 1:
            self._purge()

    def _check(self, server: Server) -> None:
        """Everything acknowledged is there, under the sessions that wrote it."""
        for writer in self.writers:
            client = writer.connect(server)
            if writer.last_zxid:
                self.recovered += writer.verify(_subtree(client, writer.model.root))
                writer.xid = client.xid
            else:
                writer.send(writer.model.setup())
                writer.model.planned = {
                    path: data or b"" for _, op in writer.pending for path, data in op.changes
                }
                while writer.pending:
                    if not writer.receive():
                        raise Failure("closed during set-up")
            got = client.call(wire.PING)
            if got.zxid < max(self.zxid, writer.last_zxid):
                raise Failure(f"zxid went back to 0x{got.zxid:x}")
            self.zxid = got.zxid
            # An unacknowledged write may have happened after all.
            writer.last_zxid = max(writer.last_zxid, got.zxid)
            writer.xid = client.xid

    def _load(self, server: Server, seconds: float) -> None:
        by_socket = {writer.sock: writer for writer in self.writers if writer.sock is not None}
        deadline = time.monotonic() + seconds
        for writer in self.writers:
            self._fill(writer)
        while (left := deadline - time.monotonic()) > 0:
            for sock in select.select(list(by_socket), [], [], left)[0]:
                writer = by_socket[sock]
                if not writer.receive():
                    raise Failure("closed under load")
                self._fill(writer)

    def _fill(self, writer: Writer) -> None:
        room = DEPTH - len(writer.pending)
        if room > DEPTH // 4:
            writer.send([writer.model.next() for _ in range(room)])

    def _drain(self) -> None:
        """What was acknowledged before the kill may still be on its way."""
        for writer in self.writers:
            while writer.receive():
                pass
            assert writer.sock is not None
            writer.sock.close()

    def _read_directory(self) -> Restored:
        with RealDisk() as disk:
            restored = DataDir(disk, str(self.data)).restore(DataTree, repair=False)
        tree = restored.tree
        if restored.digest_mismatches or tree.digest != tree.recompute_digest():
            raise Failure("the digest is not that of the tree")
        acknowledged = max(writer.last_zxid for writer in self.writers)
        if restored.last_zxid < acknowledged:
            raise Failure(f"0x{acknowledged:x} was acknowledged, the log ends at 0x{restored.last_zxid:x}")
        return restored

    def _purge(self) -> None:
        directory = str(self.data / "version-2")

        async def run() -> None:
            with RealDisk() as disk:
                await purge(disk, directory, directory, 3)

        trio.run(run)


def _subtree(client: Client, root: bytes) -> State:
    """Everything from *root* on, read with few round trips."""
    found: State = {}
    level = [root]
    while level:
        client.send(*[(wire.GET_DATA, wire.read_body(path)) for path in level])
        client.send(*[(wire.GET_CHILDREN, wire.read_body(path)) for path in level])
        for path in level:
            got = client.answer()
            if got.err:
                raise Failure(f"{path!r} cannot be read: {got.err}")
            found[path] = wire_text(got.body) or b""
        below: list[bytes] = []
        for path in level:
            below += [path + b"/" + name for name in texts(client.answer().body)]
        level = below
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", help="a fault of tests.robustness.broken")
    args = parser.parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zkpy-kill-") as work:
        campaign = Campaign(Path(work), args.seed, args.fault)
        try:
            while campaign.rounds < args.rounds:
                campaign.run(min(50, args.rounds - campaign.rounds))
                print(
                    f"{campaign.rounds} rounds, {campaign.start_kills} kills while starting, "
                    f"{campaign.acknowledged} acknowledged writes, {campaign.recovered} unacknowledged ones "
                    f"kept, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"{campaign.rounds} rounds, seed {args.seed}: {campaign.acknowledged} acknowledged writes, 0 lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
