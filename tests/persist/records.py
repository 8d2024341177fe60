"""Small histories for the persistence tests: every transaction type, applied and encoded."""

from __future__ import annotations

from collections.abc import Iterable

from zkpy import opcodes
from zkpy.persist.logreader import HEADER
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.txnlog import TxnLogWriter
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, signed
from zkpy.tree.txns import (
    DIGEST,
    Check,
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    Multi,
    SetAcl,
    SetData,
    Txn,
    TxnHeader,
    encode_payload,
)
from zkpy.tree.znode import CONTAINER_OWNER, OwnerRules, ttl_owner

OPEN = ((31, "world", "anyone"),)
SESSION = 0x1000
MS = 1_700_000_000_000

EXAMPLE = bytes.fromhex(
    "5a4b4c47000000020000000000000000"
    "00000000a89f09a800000030"
    "010000153e5f0000000000000000000000000001"
    "000001a2036ba3c6fffffff600002710000000020000000051c6d66042"
    "00000000b3500be60000005b"
    "010000153e5f0000000000010000000000000002000001a2036ba40d00000001"
    "000000022f610000000568656c6c6f"
    "000000010000001f00000005776f726c6400000006616e796f6e65"
    "00000000010000000200000000b9052cf742"
)
"""The first 181 bytes of a log written by ZooKeeper 3.9.4."""


def new_tree() -> DataTree:
    return DataTree(OwnerRules(extended=True))


def payload(tree: DataTree, zxid: int, txn: Txn, session: int = SESSION) -> bytes:
    """Apply *txn* and give the log entry that a leader writes for it."""
    header = TxnHeader(session, zxid & 0xFFFF, zxid, MS + (zxid & 0xFFFF))
    tree.apply(header, txn)
    tree.changes.clear()
    digest = DIGEST.pack(2, signed(tree.digest & MASK))
    return encode_payload(header, txn.type, txn.encode(), digest)


def create(
    path: str,
    data: bytes | None = b"",
    owner: int | None = 0,
    type: int = opcodes.CREATE,
    parent_cversion: int = -1,
) -> Create:
    return Create(type, path.encode(), data, OPEN, owner, parent_cversion)


def all_kinds() -> list[Txn]:
    """One after the other a valid history with every type of transaction."""
    reader = ((1, "digest", "user:hash"), (31, "ip", "127.0.0.1"))
    return [
        CreateSession(10_000),
        create("/a", b"hello"),
        create("/a/b", None, type=opcodes.CREATE2),
        create("/e", b"", None),
        create("/c", b"", CONTAINER_OWNER, opcodes.CREATE_CONTAINER),
        create("/t", b"x", ttl_owner(60_000), opcodes.CREATE_TTL),
        SetData(opcodes.SET_DATA, b"/a", b"more", 1),
        SetAcl(b"/a/b", reader, 1),
        Error(-110),
        Multi([Check(b"/a", 2), create("/m", b"1"), SetData(opcodes.SET_DATA, b"/m", b"2", 1)]),
        Multi([create("/n"), Error(-103), Error(-2)]),
        SetData(opcodes.RECONFIG, b"/zookeeper/config", b"server.1=a:1:2:participant", -1),
        Delete(opcodes.DELETE, b"/a/b"),
        Delete(opcodes.DELETE_CONTAINER, b"/c"),
        create("/zookeeper/quota/a"),
        create("/\u4e2d", b"\xff\0"),
        CloseSession([b"/e"]),
    ]


def history(
    txns: Iterable[Txn], first: int = 1, tree: DataTree | None = None
) -> tuple[list[bytes], DataTree]:
    tree = tree or new_tree()
    return [payload(tree, first + at, txn) for at, txn in enumerate(txns)], tree


def log_bytes(payloads: list[bytes], first: int = 1) -> bytes:
    """A log file of these entries without padding, as the writer makes it."""
    disk = MemoryDisk()
    disk.make_dirs("/l")
    writer = TxnLogWriter(disk, "/l", prealloc_bytes=0, last_zxid=first - 1)
    for at, entry in enumerate(payloads):
        writer.append(first + at, entry)
    writer.flush()
    writer.commit_now()
    writer.close()
    content = disk.read_bytes(f"/l/log.{first:x}")
    assert content.startswith(HEADER)
    return content


def contents(tree: DataTree) -> dict[bytes, tuple[object, ...]]:
    """Everything that two equal trees agree in."""
    return {
        path: (
            node.data,
            node.acl.entries,
            node.czxid,
            node.mzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.cversion,
            node.aversion,
            node.owner,
            node.pzxid,
            set(node.children or ()),
        )
        for path, node in tree.nodes.items()
    }
