"""What the tests of ensembles ask of one member: a raw session, the whole tree, the log."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import ClassVar

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from compat import txnlogs, wire
from compat.ensemble import Ensemble
from compat.process import ServerProcess, four_letters
from zkpy.persist.txnsnaplog import DataDir
from zkpy.realports import RealDisk
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules

AUTH = ("digest", "maja:secret")
CONFIG = "/zookeeper/config"
TIMEOUT_S = 20.0
_HEADER, _MULTI, _ERROR = 32, 14, -1


def eventually(what: str, check: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Return when *check* gives something true; AssertionError when it does not in time."""
    deadline = time.monotonic() + timeout_s
    found = check()
    while not found:
        assert time.monotonic() < deadline, f"{what}: {found!r} after {timeout_s:g} s"
        time.sleep(0.02)
        found = check()


class RawSession:
    """A session that is moved, dropped and left alone by hand."""

    _opened: ClassVar[list[wire.Wire]] = []

    def __init__(self, member: ServerProcess, timeout_ms: int = 10_000) -> None:
        self.timeout_ms = timeout_ms
        self.id = 0
        self.password = bytes(16)
        self.xid = 0
        assert self.move(member), "no session"

    def move(self, member: ServerProcess) -> bool:
        """Connect to *member*, the old connection is left open; whether the session goes on there."""
        self.wire = wire.Wire(member.address)
        self._opened.append(self.wire)
        body = struct.pack(">iqiqi", 0, 0, self.timeout_ms, self.id, 16) + self.password
        self.wire.send(struct.pack(">i", len(body)) + body)
        answer = self.wire.receive()
        assert answer is not None, "hung up on"
        _, timeout_ms, session_id = struct.unpack_from(">iiq", answer)
        if not timeout_ms:
            return False
        assert self.id in (0, session_id)
        self.id, self.password = session_id, answer[20:36]
        return True

    def call(self, op: int, body: bytes) -> int:
        """The error code of the answer."""
        self.xid += 1
        self.wire.send(wire.request(self.xid, op, body))
        answer = self.wire.receive()
        assert answer is not None, "hung up on"
        xid, _, err = struct.unpack_from(">iqi", answer)
        assert xid == self.xid
        return int(err)

    def create(self, path: str, flags: int = 0) -> int:
        return self.call(wire.CREATE, wire.create_body(path, b"raw", flags=flags))

    def close(self) -> None:
        """Close the connection; the session stays."""
        self.wire.close()

    @classmethod
    def close_all(cls) -> None:
        """Close what a test that failed has left."""
        while cls._opened:
            cls._opened.pop().close()


def client(address: str, timeout_s: float = 10.0) -> KazooClient:
    """A connected client with the identity to which some of the test's ACLs give access."""
    made = KazooClient(address, timeout=timeout_s, auth_data=[AUTH])
    made.start(timeout=TIMEOUT_S)
    return made


class Writer:
    """Creates znodes one after another through all members, and knows which were acknowledged."""

    def __init__(self, hosts: str, path: str) -> None:
        self._client = client(hosts)
        self._path = path
        self._client.ensure_path(path)
        self.acknowledged: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        count = 0
        while not self._stopped.is_set():
            path = f"{self._path}/{count}"
            count += 1
            try:
                self._client.create(path, b"x")
            except KazooException:
                time.sleep(0.02)
            else:
                self.acknowledged.append(path)

    def stop(self) -> list[str]:
        self._stopped.set()
        self._thread.join()
        self._client.stop()
        self._client.close()
        return self.acknowledged


def tree(address: str) -> dict[str, object]:
    """Every path with data, Stat and ACL, as an independent client sees them at one member."""
    reader = client(address)
    try:
        reader.sync("/")
        found: dict[str, object] = {}
        todo = ["/"]
        while todo:
            path = todo.pop()
            data, stat = reader.get(path)
            acl, _ = reader.get_acls(path)
            shown: object = data
            if path == CONFIG:  # each server's own: the order of lines and the time are its business
                shown, stat = sorted(data.splitlines()), stat._replace(mtime=0)
            found[path] = shown, stat, acl
            todo += (f"{path.rstrip('/')}/{name}" for name in reader.get_children(path))
        return found
    finally:
        reader.stop()
        reader.close()


def same_trees(ensemble: Ensemble, numbers: Iterable[int] | None = None, *, same_config: bool = True) -> int:
    """All members show the same; gives the number of znodes.

    Without *same_config* each may know the others under different addresses.
    """
    chosen = list(numbers or ensemble.members)
    ignored = set() if same_config else {CONFIG}
    first = tree(ensemble.members[chosen[0]].address)
    for number in chosen[1:]:
        other = tree(ensemble.members[number].address)
        different = {path for path in first.keys() | other.keys() if first.get(path) != other.get(path)}
        different -= ignored
        assert not different, "\n".join(
            f"{path}\n  {chosen[0]}: {first.get(path)}\n  {number}: {other.get(path)}"
            for path in sorted(different)[:5]
        )
    return len(first)


def the_third_leads(ensemble: Ensemble) -> None:
    """It does, unless it started so slowly that the others had a leader before.

    Then the leader is killed. A write through the third makes sure that no other voter knows more: after an
    epoch without one, a voter that came late was sent a tree with a later zxid than those that came early.
    """
    if ensemble.leader() == 3:
        return
    with closing(client(ensemble.members[3].address)) as third:
        third.create("/the-third-knows", b"")
        third.stop()
    leader = ensemble.leader()
    ensemble.kill(leader)
    assert ensemble.leader() == 3
    ensemble.restart(leader)
    ensemble.wait_until_serving()


def last_zxid(member: ServerProcess) -> int:
    """What ``srvr`` gives as the zxid of the last transaction."""
    for line in four_letters(member.port, "srvr").splitlines():
        if line.startswith("Zxid: "):
            return int(line.removeprefix("Zxid: "), 16)
    raise AssertionError(f"{member.address} does not serve")


def gauge(member: ServerProcess, name: str) -> str:
    """One value of ``mntr``."""
    for line in four_letters(member.port, "mntr").splitlines():
        key, _, value = line.partition("\t")
        if key == f"zk_{name}":
            return value
    raise AssertionError(f"no {name}")


def _as_failed(entry: bytes) -> bytes:
    """A multi that failed, with all parts marked so: a Java server marks them while it logs the entry."""
    (type,) = struct.unpack_from(">i", entry, _HEADER - 4)
    if type != _MULTI:
        return entry
    marked = bytearray(entry)
    (count,) = struct.unpack_from(">i", entry, _HEADER)
    at = _HEADER + 4
    failed = False
    for _ in range(count):
        part, size = struct.unpack_from(">ii", entry, at)
        failed = failed or part == _ERROR
        struct.pack_into(">i", marked, at, _ERROR)
        at += 8 + size
    return bytes(marked) if failed else entry


def same_logs(ensemble: Ensemble) -> int:
    """Whatever two members have logged under one zxid is equal byte for byte; gives the number of zxids.

    But see `_as_failed`.
    """
    payloads: dict[int, tuple[int, bytes]] = {}
    for number, member in ensemble.members.items():
        for entry in txnlogs.entries(member.data):
            zxid = txnlogs.zxid(entry)
            other, payload = payloads.setdefault(zxid, (number, entry))
            same = payload == entry or _as_failed(payload) == _as_failed(entry)
            assert same, f"{zxid:x}\n {other}: {payload.hex()}\n {number}: {entry.hex()}"
    return len(payloads)


def stored(member: ServerProcess) -> tuple[int, int, frozenset[int]]:
    """What the member would start with: last zxid, the tree's digest, the sessions; it may be running."""
    with RealDisk() as disk:
        directory = DataDir(disk, str(member.data), autocreate_dirs=False)
        restored = directory.restore(lambda: DataTree(OwnerRules()), repair=False)
    assert not restored.digest_mismatches, f"{member.data}: its log does not lead to the digests in it"
    return restored.last_zxid, restored.tree.digest, frozenset(restored.tree.sessions)


def same_on_disk(ensemble: Ensemble) -> None:
    """Every member would come back with the same; its log is written a little after a commit is applied."""
    members = ensemble.members
    eventually("one zxid everywhere", lambda: len(set(map(last_zxid, members.values()))) == 1)
    eventually("all of it on every disk", lambda: len(set(map(stored, members.values()))) == 1)
    assert stored(members[1])[0] == last_zxid(members[1])


def all_is_equal(ensemble: Ensemble) -> tuple[int, int]:
    """Trees, logs, and the digests by which Java's members check every transaction."""
    znodes = same_trees(ensemble)
    for number, member in ensemble.members.items():
        assert gauge(member, "digest_mismatches_count") == "0", f"server {number}"
    same_on_disk(ensemble)
    return znodes, same_logs(ensemble)
