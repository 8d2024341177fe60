"""Data directories for the tests of the tools: the golden one, and ones made of given transactions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.persist.records import history, log_bytes, new_tree, payload
from zkpy.persist.snapshot import write_snapshot_now
from zkpy.realports import RealDisk
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import Txn

JAVA = Path(__file__).resolve().parent.parent / "golden" / "data-3.9.5"
"""See tests/golden/README.md."""

FILES = JAVA / "version-2"


def write_log(directory: Path, txns: Iterable[Txn], first: int = 1, tree: DataTree | None = None) -> Path:
    """The log of *txns* in ``version-2`` of *directory*."""
    payloads, _ = history(txns, first, tree)
    path = directory / "version-2" / f"log.{first:x}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(log_bytes(payloads, first))
    return path


def write_snapshot(directory: Path, tree: DataTree, compression: str = "") -> Path:
    """A snapshot of *tree* in ``version-2`` of *directory*."""
    below = directory / "version-2"
    below.mkdir(parents=True, exist_ok=True)
    with RealDisk() as disk:
        return below / write_snapshot_now(disk, str(below), tree.view(), compression=compression)


def tree_of(txns: Iterable[Txn]) -> DataTree:
    tree = new_tree()
    for zxid, txn in enumerate(txns, 1):
        payload(tree, zxid, txn)
    return tree


def flipped(path: Path, offset: int) -> Path:
    """The file with one bit turned over."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(bytes(content))
    return path
