"""What a server does to its directories, action by action, with a model beside it that knows every state.

`Run` uses the real writer, snapshots, purge, truncation and recovery on a `CrashDisk`; the model is a second
tree. It knows the state after each transaction, which of them the history consists of at the moment
(``branch``), and how far they were acknowledged (``floor``).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from tests.persist.crash.disk import CrashDisk, Image
from tests.persist.records import MS, contents, create, new_tree, payload
from zkpy import opcodes
from zkpy.errors import StorageError
from zkpy.persist.purge import purge
from zkpy.persist.snapshot import write_snapshot
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.persist.txnsnaplog import DataDir, Restored
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK
from zkpy.tree.txns import Check, CloseSession, CreateSession, Delete, Error, Multi, SetAcl, SetData, Txn
from zkpy.tree.txns import TxnHeader as Header
from zkpy.zxid import epoch_of

State = tuple[dict[bytes, tuple[object, ...]], dict[int, int], int]
"""Znodes, sessions and digest."""


def state_of(tree: DataTree) -> State:
    return contents(tree), dict(tree.sessions), tree.digest & MASK


@attrs.frozen
class Settings:
    """How the directories are laid out and written.

    ``size`` is that of the data of a znode at most; with ``zeros`` it is all zeros.
    """

    separate: bool = False
    prealloc: int = 0
    size: int = 40
    compression: str = ""
    zeros: bool = False

    @property
    def snap_dir(self) -> str:
        return "/d/version-2"

    @property
    def log_dir(self) -> str:
        return "/l/version-2" if self.separate else "/d/version-2"

    def open(self, disk: CrashDisk) -> DataDir:
        return DataDir(disk, "/d", "/l" if self.separate else "/d", compression=self.compression)

    def disk(self, image: Image | None = None) -> CrashDisk:
        return CrashDisk(image, (self.snap_dir, self.log_dir))


class Run:
    """One server's life on one disk. Actions are the methods named in `ACTIONS`."""

    def __init__(self, settings: Settings, seed: int = 0) -> None:
        self.settings: Final = settings
        self.chance: Final = random.Random(seed)
        self.disk = settings.disk()
        self.dirs = settings.open(self.disk)
        self.states: dict[int, State] = {}
        self.branch: list[int] = [0]
        self.floor = 0
        self.writer: TxnLogWriter
        self.tree: DataTree
        self._ahead: DataTree
        self._logged: list[tuple[int, Txn, int]] = []
        self._counter = 0
        self.restart()
        self.states[0] = state_of(self.tree)

    # -- life ----------------------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        return self.branch[-1]

    def allowed(self) -> list[int]:
        """The zxids that a recovery may end with now."""
        return [zxid for zxid in self.branch if zxid >= self.floor]

    def restore(self) -> Restored:
        return self.dirs.restore(new_tree)

    def new_writer(self, zxid: int) -> TxnLogWriter:
        return TxnLogWriter(
            self.disk, self.settings.log_dir, last_zxid=zxid, prealloc_bytes=self.settings.prealloc
        )

    def restart(self) -> None:
        """Recover from what the system shows, and go on: what is served then, is acknowledged by that."""
        restored = self.restore()
        self.resume(restored)

    def resume(self, restored: Restored) -> None:
        zxid = restored.last_zxid
        self.tree = restored.tree
        self._ahead = self._copy(zxid)
        self._logged.clear()
        self.branch = [known for known in self.branch if known <= zxid]
        self.floor = zxid
        self.writer = self.new_writer(zxid)

    def _copy(self, zxid: int) -> DataTree:
        """A second tree of the same state, read from the same disk without changing it."""
        disk = self.settings.disk(self.disk.shown())
        return self.settings.open(disk).restore(new_tree, repair=False).tree

    # -- actions -------------------------------------------------------------------------------------------

    async def append(self) -> None:
        """Two transactions are written, not synced."""
        for _ in range(2):
            self.log_one()
        self.writer.flush()

    def log_one(self) -> None:
        zxid = self.last + 1
        if self._new_epoch:
            zxid = (epoch_of(self.last) + 1 << 32) + 1
            self._new_epoch = False
        txn, session = self._next_txn()
        entry = payload(self._ahead, zxid, txn, session)
        self.states[zxid] = state_of(self._ahead)
        self.branch.append(zxid)
        self._logged.append((zxid, txn, session))
        self.writer.append(zxid, entry)

    _new_epoch = False

    async def commit(self) -> None:
        """What was written becomes durable, is acknowledged and applied."""
        self.writer.flush()
        await self.writer.commit()
        self.acknowledge(self.writer.durable_zxid)

    async def commit_blocking(self) -> None:
        self.writer.flush()
        self.writer.commit_now()
        self.acknowledge(self.writer.durable_zxid)

    def acknowledge(self, upto: int) -> None:
        """The clients hear of everything up to *upto*."""
        self.floor = max(self.floor, upto)
        while self._logged and self._logged[0][0] <= upto:
            zxid, txn, session = self._logged.pop(0)
            self.tree.apply(Header(session, zxid & 0xFFFF, zxid, MS + (zxid & 0xFFFF)), txn)
            self.tree.changes.clear()

    async def write(self) -> None:
        await self.append()
        await self.commit()

    def _more(self) -> None:
        """Two transactions go to this file and two to the next one."""
        for _ in range(2):
            self.log_one()
            self.log_one()
            self.writer.flush()
            self.writer.roll()

    async def single(self) -> None:
        """One transaction."""
        self.log_one()
        await self.commit()

    async def overlap(self) -> None:
        """While a commit waits for the file, the log goes on."""
        await self.append()
        self.disk.during = [self._more]
        await self.writer.commit()
        self.disk.during = []
        self.acknowledge(self.writer.durable_zxid)

    async def overlap_name(self) -> None:
        """While a commit waits for the name of a new file, the log goes on in the next ones."""
        self.writer.roll()
        await self.append()
        self.disk.during = [lambda: None, self._more]
        await self.writer.commit()
        self.disk.during = []
        self.acknowledge(self.writer.durable_zxid)

    async def overlap_reported(self) -> None:
        """As overlap, with the sync that reports its end."""
        await self.write()
        await self.append()
        self.disk.reporting = True
        errors: list[StorageError | None] = []
        begun = self.writer.start_commit(errors.append)
        assert begun
        self._more()
        self.disk.reports.pop()()
        self.disk.reporting = False
        self.acknowledge(self.writer.durable_zxid)
        if errors[0] is not None:
            raise errors[0]

    async def roll(self) -> None:
        self.writer.roll()

    async def snapshot(self) -> None:
        await write_snapshot(
            self.disk, self.settings.snap_dir, self.tree.view(), compression=self.settings.compression
        )

    async def slow_snapshot(self) -> None:
        """The view is taken, the log goes on in a new file, and the snapshot is written after that."""
        view = self.tree.view()
        self.writer.roll()
        await self.write()
        await write_snapshot(
            self.disk, self.settings.snap_dir, view, compression=self.settings.compression, slice_records=4
        )

    async def purge(self) -> None:
        await purge(self.disk, self.settings.snap_dir, self.settings.log_dir)

    async def truncate(self) -> None:
        """The last three transactions are taken back; a new epoch begins."""
        self.writer.close()
        oldest = min(file.zxid for file in self.dirs.snapshots())
        targets = [zxid for zxid in self.branch[-6:-2] if zxid >= oldest]
        if targets:
            target = targets[-1]
            self.floor = min(self.floor, target)
            if self.dirs.truncate(target):
                self.branch = [zxid for zxid in self.branch if zxid <= target]
                self.floor = target
                self._new_epoch = True
        self.restart()

    async def kill(self) -> None:
        """The process ends; the system goes on."""
        self.restart()

    def power_cut(self, image: Image) -> None:
        """Only *image* is left."""
        self.disk = self.settings.disk(image)
        self.dirs = self.settings.open(self.disk)

    # -- transactions --------------------------------------------------------------------------------------

    def _next_txn(self) -> tuple[Txn, int]:
        """One that fits the state, deterministic for a seed."""
        r, tree = self.chance, self._ahead
        self._counter += 1
        number = self._counter
        session = 0x1000 + number // 7
        size = r.randrange(self.settings.size)
        data = bytes(size) if self.settings.zeros else bytes(r.randrange(1, 256) for _ in range(size))
        mine = [path for path in tree.nodes if path.startswith(b"/n")]
        kind = r.randrange(9)
        if session not in tree.sessions:
            return CreateSession(10_000), session
        if kind == 0 and len(tree.sessions) > 1:
            old = min(tree.sessions)
            return CloseSession(sorted(tree.session_ephemerals(old))), old
        if kind == 1 and mine:
            return Multi(
                [
                    Check(mine[0], 1),
                    create(f"/n{number}", data),
                    SetData(opcodes.SET_DATA, mine[0], data, number),
                ]
            ), session
        if kind == 2 and len(mine) > 3:
            return Delete(opcodes.DELETE, r.choice(mine)), session
        if kind == 3 and mine:
            return SetAcl(r.choice(mine), ((1 + number % 31, "ip", "10.0.0.1"),), 1), session
        if kind == 4 and mine:
            return SetData(opcodes.SET_DATA, r.choice(mine), data, number), session
        if kind == 5:
            return Error(-110), session
        if kind == 6:
            return create(f"/e{number}", data, None), session
        return create(f"/n{number}", data), session


ACTIONS: Final[dict[str, Callable[[Run], Awaitable[None]]]] = {
    "append": Run.append,
    "commit": Run.commit,
    "commit-blocking": Run.commit_blocking,
    "write": Run.write,
    "single": Run.single,
    "overlap": Run.overlap,
    "overlap-name": Run.overlap_name,
    "overlap-reported": Run.overlap_reported,
    "roll": Run.roll,
    "snapshot": Run.snapshot,
    "slow-snapshot": Run.slow_snapshot,
    "purge": Run.purge,
    "truncate": Run.truncate,
    "kill": Run.kill,
}

BASE: Final = (
    *("write", "snapshot", "write", "roll", "write", "snapshot", "roll", "write"),
    *("slow-snapshot", "write", "slow-snapshot", "write"),
)
"""Four snapshots and as many logs, so that a purge finds something and a truncation can cross a file."""
