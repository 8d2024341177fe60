"""Snapshots: the bytes of ZooKeeper's, everything in a tree, and nothing damaged that loads."""

from __future__ import annotations

import errno
import gzip
from zlib import adler32

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.persist.records import all_kinds, contents, create, history, new_tree, payload
from zkpy import opcodes, paths
from zkpy.errors import StorageError
from zkpy.jute import archive
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.snapshot import (
    SnapshotError,
    load_snapshot,
    seal,
    snapshot_name,
    write_snapshot,
    write_snapshot_now,
)
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import EMPTY_TREE, MASK
from zkpy.tree.txns import Create, Delete, SetData, TxnHeader
from zkpy.tree.znode import StoredNode, ZNode

SMALL = bytes(60)
CONFIG_STAT = bytes(40) + b"\xff" * 4 + bytes(16)
EMPTY = (
    bytes.fromhex("5a4b534e00000002ffffffffffffffff00000000000000010000000000000001")
    + bytes.fromhex("000000010000000100000005776f726c6400000006616e796f6e65")
    + bytes.fromhex("0000000000000000ffffffffffffffff")
    + SMALL
    + bytes.fromhex("0000000a2f7a6f6f6b656570657200000000ffffffffffffffff")
    + SMALL
    + bytes.fromhex("000000112f7a6f6f6b65657065722f636f6e666967000000000000000000000001")
    + CONFIG_STAT
    + bytes.fromhex("000000102f7a6f6f6b65657065722f71756f746100000000ffffffffffffffff")
    + SMALL
    + bytes.fromhex("000000012f00000000b8a23b49000000012f")
    + bytes.fromhex("00000000000000000000000200000000000000000000000095b93d59000000012f")
    + bytes.fromhex("000000000000000000000000bde83f6d000000012f")
)
"""``snapshot.0`` of an empty ZooKeeper 3.9.4."""


def saved(tree: DataTree, compression: str = "") -> bytes:
    disk = MemoryDisk()
    disk.make_dirs("/s")
    name = write_snapshot_now(disk, "/s", tree.view(), compression=compression)
    assert disk.list_dir("/s") == [name] == [snapshot_name(tree.last_zxid, compression)]
    return disk.read_bytes(f"/s/{name}")


def loaded(content: bytes, zxid: int, suffix: str = "") -> DataTree:
    disk = MemoryDisk()
    disk.put(f"/s/snapshot.{zxid:x}{suffix}", content)
    tree = new_tree()
    load_snapshot(disk, "/s", f"snapshot.{zxid:x}{suffix}", zxid, tree)
    return tree


def a_tree() -> DataTree:
    return history(all_kinds()[:-1])[1]


def test_snapshot_of_zookeeper_loads() -> None:
    assert len(EMPTY) == 478
    tree = loaded(EMPTY, 0)
    assert tree.digest == EMPTY_TREE
    assert contents(tree) == contents(new_tree())
    tree.check_invariants()


def test_an_empty_tree_is_written_as_zookeeper_does() -> None:
    ours = saved(new_tree())
    # The digest section differs: ZooKeeper does not know the digest of a tree without a transaction yet.
    cut = EMPTY.index(b"\0\0\0\1/" + seal(0xB8A23B49)) + 18
    assert ours[:cut] == EMPTY[:cut]
    assert len(ours) == len(EMPTY)
    assert ours[-13:] == seal(adler32(ours[:-13]))


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_everything_comes_back(compression: str) -> None:
    tree = a_tree()
    suffix = compression and "." + compression
    copy = loaded(saved(tree, compression), tree.last_zxid, suffix)
    assert contents(copy) == contents(tree)
    assert copy.sessions == tree.sessions
    assert copy.ephemerals == tree.ephemerals and copy.ttls == tree.ttls
    assert copy.containers == tree.containers
    assert (copy.digest & MASK, copy.data_size, copy.last_zxid) == (
        tree.digest & MASK,
        tree.data_size,
        tree.last_zxid,
    )
    copy.check_invariants()


def test_equal_trees_give_equal_files() -> None:
    assert saved(a_tree(), "gz") == saved(a_tree(), "gz")
    assert gzip.decompress(saved(a_tree(), "gz")) == saved(a_tree())


def test_a_loaded_tree_goes_on_like_the_original() -> None:
    tree = a_tree()
    copy = loaded(saved(tree), tree.last_zxid)
    for zxid, txn in enumerate(
        [
            SetData(opcodes.SET_DATA, b"/a", b"third", 2),
            create("/a/next"),
            Delete(opcodes.DELETE, b"/a/next"),
            Delete(opcodes.DELETE, b"/a"),
            all_kinds()[-1],
        ],
        tree.last_zxid + 1,
    ):
        assert payload(tree, zxid, txn) == payload(copy, zxid, txn)
    assert contents(copy) == contents(tree)
    copy.check_invariants()
    assert saved(copy) == saved(tree)


names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, blacklist_characters="/."), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), names, st.none() | st.binary(max_size=40)), max_size=30),
    st.sampled_from(["", "gz", "snappy"]),
    st.booleans(),
)
def test_any_tree(rows: list[tuple[int, str, bytes | None]], compression: str, digest: bool) -> None:
    tree = DataTree(digest_enabled=digest)
    above = [""]
    for zxid, (parent, name, data) in enumerate(rows, 1):
        path = f"{above[parent % len(above)]}/{name}"
        payload(tree, zxid, create(path, data, None if zxid % 3 == 0 else 0))
        above.append(path)
    suffix = compression and "." + compression
    copy = loaded(saved(tree, compression), tree.last_zxid, suffix)
    assert contents(copy) == contents(tree)
    copy.check_invariants()


def test_no_flipped_bit_loads() -> None:
    content = saved(a_tree())
    for bit in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SnapshotError):
            loaded(bytes(damaged), 16)


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_no_cut_file_loads_but_one_that_only_lacks_sections(compression: str) -> None:
    tree = a_tree()
    content = saved(tree, compression)
    suffix = compression and "." + compression
    good = []
    for cut in range(len(content)):
        try:
            copy = loaded(content[:cut], tree.last_zxid, suffix)
        except SnapshotError:
            continue
        assert contents(copy) == contents(tree)
        good.append(len(content) - cut)
    assert good == ([54, 21] if not compression else [])


def sections(body: bytes, *parts: bytes) -> bytes:
    out = body
    for part in parts:
        out += part
        out += seal(adler32(out))
    return out


def test_sections_are_told_by_length() -> None:
    tree = a_tree()
    whole = saved(tree)
    body, zxid = whole[:-54], whole[-21:-13]
    digest = whole[-54:-34]
    assert contents(loaded(sections(body, zxid), 16)) == contents(tree)  # written with digests off
    assert contents(loaded(sections(body, digest, zxid) + b"junk\0\0\0\1/", 16)) == contents(tree)
    old = digest[:8] + b"\0\0\0\1" + b"\0\0\0\4abcd"
    assert contents(loaded(sections(body, old, zxid), 16)) == contents(tree)
    with pytest.raises(SnapshotError):
        loaded(body + b"junk", 16)


def test_digest_of_a_later_zxid_is_a_target_only() -> None:
    tree = a_tree()
    disk = MemoryDisk()
    disk.put("/s/snapshot.f", saved(tree))
    copy = new_tree()
    stored = load_snapshot(disk, "/s", "snapshot.f", 15, copy)
    assert (stored.digest_zxid, stored.digest) == (16, tree.digest & MASK)
    assert copy.digest == copy.recompute_digest()
    assert copy.last_zxid == 15


def rewritten(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return sections(content[:-67].replace(old, new), b"", content[-54:-34], content[-21:-13])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\0\0\0\2/a", b"\0\0\0\2za"),  # no slash
        (b"\0\0\0\2/a", b"\0\0\0\2/e"),  # a path twice, and /a/b without parent
        (b"\0\0\0\4/a/b\xff", b"\0\0\0\4/y/b\xff"),  # no parent
        (b"\0\0\0\2/e", b"\xff\xff\xff\xf0/e"),
        (b"\0\0\0\2/e\0\0\0\0", b"\0\0\0\2/e\xff\xff\xff\xfe"),
        (b"\0\0\0\2/e\0\0\0\0", b"\0\0\0\2/e\x7f\xff\xff\xfe"),
        (b"\0\0\0\5hello", b"\0\0\0\5hello"),
    ],
)
def test_well_sealed_nonsense_is_refused(old: bytes, new: bytes) -> None:
    kinds = all_kinds()[:5]
    content = saved(history(kinds)[1])
    if old == new:
        loaded(rewritten(content, old, new), 5)
        return
    with pytest.raises(SnapshotError):
        loaded(rewritten(content, old, new), 5)


def test_unknown_acl_number_is_refused() -> None:
    tree = history(all_kinds()[:2])[1]
    content = saved(tree)
    old = b"\0\0\0\2/a\0\0\0\5hello" + tree.nodes[b"/a"].acl.number.to_bytes(8, "big")
    with pytest.raises(SnapshotError, match="ACL"):
        loaded(rewritten(content, old, old[:-1] + b"\x63"), 2)


def test_loaded_znodes_unpack_when_touched() -> None:
    tree = a_tree()
    copy = loaded(saved(tree), tree.last_zxid)
    node = copy.nodes[b"/a"]
    assert type(node) is StoredNode
    assert copy.stat(node) == tree.stat(tree.nodes[b"/a"])
    assert type(node) is ZNode
    other = copy.nodes[b"/m"]
    other.version = 7
    assert type(other) is ZNode and (other.version, other.czxid) == (7, tree.nodes[b"/m"].czxid)
    with pytest.raises(AttributeError):
        _ = copy.nodes[b"/t"].nonsense  # type: ignore[attr-defined]


def test_acl_texts_come_back_as_from_a_log() -> None:
    ident = "digest", "\U0001f600:x"
    tree = new_tree()
    tree.apply(TxnHeader(1, 1, 1, 5), Create(opcodes.CREATE, b"/a", b"", ((31, *ident),), 0, 1))
    raw = archive.ustring(ident[1])[4:]
    stored = loaded(saved(tree), 1).nodes[b"/a"].acl.entries
    assert stored == ((31, "digest", archive.decode_text(raw)),)


def test_quotas_are_registered_again() -> None:
    tree = new_tree()
    for zxid, path in enumerate(["/q", "/zookeeper/quota/q"], 1):
        payload(tree, zxid, create(path))
    payload(tree, 3, create("/zookeeper/quota/q/zookeeper_limits", b"count=5,bytes=-1"))
    assert tree.quotas.active
    assert loaded(saved(tree), 3).quotas.active


class TestWriting:
    def big(self) -> DataTree:
        tree = new_tree()
        for zxid in range(1, 3000):
            payload(tree, zxid, create(f"/n{zxid}", b"x" * 50))
        return tree

    @pytest.mark.trio
    async def test_others_run_and_change_the_tree_meanwhile(self) -> None:
        tree = self.big()
        before = contents(tree)
        disk = MemoryDisk()
        disk.make_dirs("/s")
        rounds = 0

        async def change() -> None:
            nonlocal rounds
            while True:
                rounds += 1
                payload(tree, tree.last_zxid + 1, Delete(opcodes.DELETE, b"/n%d" % rounds))
                payload(tree, tree.last_zxid + 1, create(f"/late{rounds}"))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            name = await write_snapshot(disk, "/s", tree.view(), slice_records=100)
            nursery.cancel_scope.cancel()
        assert rounds >= 25 and name == "snapshot.bb7"
        copy = new_tree()
        load_snapshot(disk, "/s", name, 0xBB7, copy)
        assert contents(copy) == before
        disk.crash()
        assert disk.list_dir("/s") == [name]

    @pytest.mark.trio
    @pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "sync_dir"])
    async def test_a_failure_leaves_nothing_unfinished(self, operation: str) -> None:
        tree = self.big()
        disk = MemoryDisk()
        disk.make_dirs("/s")

        def fault(what: str, path: str) -> None:
            if what == operation:
                raise OSError(errno.ENOSPC, "full")

        disk.fault = fault
        with pytest.raises(StorageError, match="full"):
            await write_snapshot(disk, "/s", tree.view())
        assert [name for name in disk.list_dir("/s") if name.startswith(".tmp-")] == []
        tree.view().close()

    @pytest.mark.trio
    async def test_cancelled_writing_leaves_nothing(self) -> None:
        disk = MemoryDisk()
        disk.make_dirs("/s")
        with trio.CancelScope() as scope:
            scope.cancel()
            await write_snapshot(disk, "/s", self.big().view())
        assert disk.list_dir("/s") == []


def test_root_data_and_acl_survive() -> None:
    tree = new_tree()
    payload(tree, 1, SetData(opcodes.SET_DATA, b"/", b"root", 1))
    copy = loaded(saved(tree), 1)
    assert copy.root is copy.nodes[paths.ROOT] and copy.root.data == b"root"
    copy.check_invariants()
