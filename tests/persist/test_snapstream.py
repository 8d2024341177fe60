"""The streaming reader sees what the loader sees, and says where a file is damaged."""

from __future__ import annotations

from zlib import adler32

import pytest

from tests.persist.records import all_kinds, create, history, payload
from tests.persist.test_snapshot import EMPTY, saved
from zkpy.errors import CorruptLogError
from zkpy.persist.content import seal
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.snapshot import SnapshotError, load_snapshot
from zkpy.persist.snapstream import Ending, NodeRecord, SnapshotReader
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK
from zkpy.tree.txns import SetAcl
from zkpy.tree.view import NODE_TAIL, encode_node
from zkpy.tree.znode import STORED_STAT

Content = tuple[list[tuple[int, int]], dict[int, object], list[NodeRecord], Ending]


def read(content: bytes, suffix: str = "") -> Content:
    disk = MemoryDisk()
    disk.put(f"/s/snapshot.1{suffix}", content)
    reader = SnapshotReader(disk, f"/s/snapshot.1{suffix}")
    reader.open()
    sessions, acls = list(reader.sessions()), dict(reader.acls())
    nodes = list(reader.nodes())
    return sessions, acls, nodes, reader.finish()


def a_tree() -> DataTree:
    return history(all_kinds()[:-1])[1]


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_everything_is_given(compression: str) -> None:
    tree = a_tree()
    sessions, acls, nodes, ending = read(saved(tree, compression), compression and f".{compression}")
    assert dict(sessions) == tree.sessions
    assert acls == {acl.number: acl.entries for acl in tree.acls.table()}
    assert [path or b"/" for _, path, _, _, _ in nodes] == list(tree.nodes)
    plain = saved(tree)
    for offset, path, data, number, packed in nodes:
        node = tree.nodes[path or b"/"]
        assert (data, number) == (node.data, node.acl.number)
        record = encode_node(path, node)
        assert plain[offset : offset + len(record)] == record
        assert NODE_TAIL.pack(number, *STORED_STAT.unpack(packed)) == record[-NODE_TAIL.size :]
    assert ending == Ending(tree.last_zxid, tree.digest & MASK, tree.last_zxid)


def test_many_and_large_znodes_across_the_chunks() -> None:
    tree = DataTree()
    for zxid in range(1, 3000):
        payload(tree, zxid, create(f"/n{zxid}", bytes(zxid)))
    payload(tree, 3000, create("/large", b"x" * 1_500_000))
    nodes = read(saved(tree))[2]
    assert [(path or b"/", data) for _, path, data, _, _ in nodes] == [
        (path, node.data) for path, node in tree.nodes.items()
    ]


def test_text_beyond_the_basic_plane_is_as_it_was_written() -> None:
    tree = DataTree()
    payload(tree, 1, SetAcl(b"/", ((1, "digest", "\U00010000:\u4e2d"),), 1))
    assert ((1, "digest", "\U00010000:\u4e2d"),) in read(saved(tree))[1].values()


def test_sections_that_are_missing() -> None:
    cut = EMPTY.index(seal(0xB8A23B49))
    assert read(EMPTY)[3] == Ending(0, None, 0)
    assert read(EMPTY[: cut + 13])[3] == Ending()
    assert read(EMPTY[: cut + 13 + 33])[3] == Ending(0, None, None)
    last_only = EMPTY[: cut + 13] + bytes(7) + b"\7"
    assert read(last_only + seal(adler32(last_only)))[3] == Ending(0, None, 7)
    assert read(EMPTY + b"more")[3] == Ending(0, None, 0, True)


def test_it_refuses_where_the_loader_refuses() -> None:
    """Every cut and every flipped byte; the loader also checks references, which are not looked at here."""
    content = saved(history(all_kinds()[:5])[1])
    for at in range(0, len(content), 3):
        for damaged in (content[:at], content[:at] + bytes([content[at] ^ 0x81]) + content[at + 1 :]):
            disk = MemoryDisk()
            disk.put("/s/snapshot.5", damaged)
            try:
                load_snapshot(disk, "/s", "snapshot.5", 5, DataTree())
            except SnapshotError:
                with pytest.raises(CorruptLogError) as caught:
                    read(damaged)
                assert caught.value.file == "/s/snapshot.1"
                assert 0 <= caught.value.offset <= len(damaged)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"ZKS", "header is not complete"),
        (b"ZKSN\0\0", "header is not complete"),
        (bytes(600), "begins with zeros"),
        (b"hello" * 9, "does not begin"),
        (EMPTY[:60], "ends inside"),
        (EMPTY[:16] + b"\xff\xff\xff\0", "sessions"),
    ],
)
def test_what_is_no_snapshot(content: bytes, said: str) -> None:
    with pytest.raises(CorruptLogError, match=said):
        read(content)


def test_a_broken_stream_says_so() -> None:
    with pytest.raises(CorruptLogError, match=r"decompression fails.*after decompression"):
        read(saved(a_tree(), "gz")[:-20], ".gz")
