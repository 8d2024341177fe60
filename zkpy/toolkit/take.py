"""``zkpy snapshot take``: a snapshot of what a data directory's files amount to now."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from zkpy.persist.names import LOG, SNAPSHOT, named
from zkpy.persist.snapshot import write_snapshot_now
from zkpy.persist.store import LOCK_NAME
from zkpy.persist.txnsnaplog import VERSION_DIR, DataDir, Restored
from zkpy.ports import Disk
from zkpy.realports import RealDisk
from zkpy.toolkit.console import EXIT_OK, ToolError, out, say
from zkpy.toolkit.locate import version_dir
from zkpy.toolkit.render import RULES, hex_id
from zkpy.toolkit.snapjson import write_into
from zkpy.tree.datatree import DataTree

_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]*):\d+").fullmatch


class _ReadOnly(RealDisk):
    """Directories that nothing is written into need not be writable."""

    def is_writable(self, path: str) -> bool:
        return True


def take_snapshot(
    disk: Disk, directory: str, log_dir: str | None, target: str | None, compression: str, max_entry: int
) -> int:
    """Load *directory* (logs in *log_dir*) and write a snapshot there, or into the directory *target*.

    With a *target* nothing in *directory* is touched, so that a server may be using it.

    Raises:
        ToolError: there is no data, a server uses the directory, or an address was given.
        CorruptLogError: the data cannot be trusted.
    """
    if not disk.exists(directory) and _ADDRESS(directory):
        raise ToolError(
            f"{directory}: a running server cannot be asked for a snapshot yet. Name its data directory, "
            "with --to OTHERDIR while it runs: what its log holds by now is written to OTHERDIR."
        )
    if version_dir(disk, directory) != f"{directory.rstrip('/')}/{VERSION_DIR}":
        raise ToolError(f"{directory}: name the data directory that {VERSION_DIR} is in")
    if target is not None:
        return _copy(directory, log_dir, target, compression, max_entry)
    with ExitStack() as locks:
        for place in dict.fromkeys((directory.rstrip("/"), (log_dir or directory).rstrip("/"))):
            locks.callback(_claim(disk, place))
        restored = _load(disk, directory, log_dir, max_entry)
        below = f"{directory}/{VERSION_DIR}"
        if restored.snapshot_name is not None and restored.snapshot_zxid == restored.last_zxid:
            out(f"{below}/{restored.snapshot_name} already is of the last transaction, nothing to do")
            return EXIT_OK
        name = write_snapshot_now(disk, below, restored.tree.view(), compression=compression)
        _report(f"{below}/{name}", restored)
        return EXIT_OK


def _claim(disk: Disk, directory: str) -> Callable[[], None]:
    unlock = disk.lock(f"{directory}/{LOCK_NAME}")
    if unlock is None:
        raise ToolError(
            f"{directory} is in use by a running zkpy. Stop it, or write to another directory with --to "
            "OTHERDIR: that only reads here."
        )
    return unlock


def _copy(directory: str, log_dir: str | None, target: str, compression: str, max_entry: int) -> int:
    with _ReadOnly() as disk:
        below = f"{target}/{VERSION_DIR}"
        if disk.is_dir(below) and named(disk, below, LOG):
            raise ToolError(
                f"{below} holds logs, of which the new snapshot knows nothing; name another directory"
            )
        restored = _load(disk, directory, log_dir, max_entry)
        _report(write_into(disk, target, restored.tree, compression), restored)
    return EXIT_OK


def _load(disk: Disk, directory: str, log_dir: str | None, max_entry: int) -> Restored:
    data = DataDir(disk, directory, log_dir, autocreate_dirs=False, max_entry=max_entry)
    if not named(disk, data.snap_dir, SNAPSHOT) and not data.logs():
        raise ToolError(f"{data.snap_dir} holds no data. If zoo.cfg has a dataLogDir, name it with --logs.")
    restored = data.restore(lambda: DataTree(RULES), repair=False)
    for warning in restored.warnings:
        say(f"note: {warning}")
    return restored


def _report(path: str, restored: Restored) -> None:
    tree = restored.tree
    begun = restored.snapshot_name or "an empty tree"
    out(
        f"{path}: zxid {hex_id(tree.last_zxid)}, {len(tree.nodes)} znodes, {len(tree.sessions)} sessions, "
        f"from {begun} and {restored.entries} transactions of the log"
    )
