"""Snapshots: writing a tree piecemeal, and loading one as fast as Python can.

::

    header "ZKSN" 2 -1 | sessions | ACL table | nodes ... "/" | seal
    digest section: zxid, 2, digest                           | seal
    last-zxid section: zxid                                   | seal

Each seal is the Adler-32 of everything before it, earlier seals included, and the string "/". Both sections
are left out when no digests are kept. The file gets its name only when it is on the medium; it is written
from a view of one moment, so it is never fuzzy. Those of a Java server can be: then the digest section names
a later zxid than the file.
"""

from __future__ import annotations

import gc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple
from zlib import adler32

import trio

from zkpy import paths
from zkpy.errors import StorageError
from zkpy.jute.archive import decode_text
from zkpy.persist import snappy
from zkpy.persist.content import MAGIC, READ_ERRORS, SEAL_BYTES, compression_of, pieces, seal
from zkpy.persist.content import SEAL_END as _END
from zkpy.persist.names import SNAPSHOT, TEMPORARY
from zkpy.ports import Disk, DiskFile
from zkpy.tree.acl import Acl, AclCache, AclEntry
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK, VERSION, signed
from zkpy.tree.view import NODE_TAIL, TreeView
from zkpy.tree.znode import StoredNode, ZNode

HEADER: Final = MAGIC + b"\0\0\0\2" + b"\xff" * 8
SUFFIXES: Final = {"": "", "gz": ".gz", "snappy": ".snappy"}
"""File name endings by ``zookeeper.snapshot.compression.method``."""

SLICE_RECORDS: Final = 256

_SLICE_BYTES: Final = 1 << 17
_SYNC_BYTES: Final = 8 << 20
_INT: Final = Struct(">i")
_LONG: Final = Struct(">q")
_SESSION: Final = Struct(">qi")
_DIGEST: Final = Struct(">qiq")
_SIZES: Final = Struct(">ii")
_ZXID_VERSION: Final = Struct(">qi")
_NODE: Final = ">i%dsi%dsq60s"
_CHUNK: Final = 1 << 24
_NO_OWNER: Final = bytes(8)


class SnapshotError(Exception):
    """The file is no valid snapshot; an older one may be."""


def snapshot_name(zxid: int, compression: str = "") -> str:
    """The name of the snapshot that covers *zxid*."""
    return f"{SNAPSHOT}.{zxid:x}{SUFFIXES[compression]}"


# -- writing -----------------------------------------------------------------------------------------------


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def tree_pieces(view: TreeView, slice_records: int = SLICE_RECORDS) -> Iterator[bytes]:
    """Sessions, ACL table and znodes in pieces that take a millisecond or so each, terminator excluded.

    So they stand in a file, and so a leader sends them.
    """
    sessions, acls = view.sessions, view.acls
    yield _INT.pack(len(sessions))
    for at in range(0, len(sessions), 4 * slice_records):
        yield b"".join([_SESSION.pack(*session) for session in sessions[at : at + 4 * slice_records]])
    yield _INT.pack(len(acls))
    for at in range(0, len(acls), 4 * slice_records):
        some = acls[at : at + 4 * slice_records]
        yield b"".join([_LONG.pack(acl.number) + acl.encoded for acl in some])
    count = min(16, slice_records)
    while piece := view.records(count):
        yield piece
        # Large data: fewer records per slice.
        count = max(1, min(slice_records, _SLICE_BYTES * count // len(piece), 2 * count))


def _stream(view: TreeView, slice_records: int) -> Iterator[bytes]:
    """The uncompressed file in pieces."""
    zxid, digest = view.zxid, view.digest
    adler = adler32(HEADER)
    yield HEADER
    for piece in tree_pieces(view, slice_records):
        adler = adler32(piece, adler)
        yield piece
    tail = _END
    # Sections carry no tag: a Java server that keeps no digests takes whatever comes first for the last zxid,
    # while it does without both.
    known = () if digest is None else (_DIGEST.pack(zxid, VERSION, signed(digest)), _LONG.pack(zxid))
    for section in (*known, b""):
        adler = adler32(tail, adler)
        sealed = seal(adler)
        adler = adler32(sealed, adler)
        yield tail + sealed
        tail = section


def _compressed(view: TreeView, compression: str, slice_records: int) -> Iterator[bytes]:
    out: _Plain | snappy.Compressor | zlib._Compress
    if compression == "gz":
        out = zlib.compressobj(1, zlib.DEFLATED, 31)  # writes no time: equal trees give equal files
    elif compression == "snappy":
        out = snappy.Compressor()
    else:
        out = _Plain()
    for piece in _stream(view, slice_records):
        yield out.compress(piece)
    yield out.flush()


@contextmanager
def _unfinished(disk: Disk, temporary: str, view: TreeView) -> Iterator[DiskFile]:
    """A file that vanishes again when writing it fails."""
    try:
        file = disk.create(temporary)
        try:
            yield file
        finally:
            file.close()
    except BaseException as error:
        with suppress(OSError):
            disk.remove(temporary)
        if isinstance(error, OSError):
            raise StorageError(f"snapshot {temporary}: {error}") from error
        raise
    finally:
        view.close()


async def write_snapshot(
    disk: Disk,
    directory: str,
    view: TreeView,
    *,
    compression: str = "",
    slice_records: int = SLICE_RECORDS,
) -> str:
    """Write *view* out while other tasks go on; gives the file's name once file and name are durable.

    Raises:
        StorageError: it could not be written; nothing of it is left.
    """
    name = snapshot_name(view.zxid, compression)
    temporary = f"{directory}/{TEMPORARY}{name}"
    with _unfinished(disk, temporary, view) as file:
        unsynced = 0
        for piece in _compressed(view, compression, slice_records):
            file.write(piece)
            unsynced += len(piece)
            if unsynced >= _SYNC_BYTES:  # else the last sync holds up those of the transaction log
                await file.sync()
                unsynced = 0
            await trio.lowlevel.checkpoint()
        await file.sync()
        disk.rename(temporary, f"{directory}/{name}")
        await disk.sync_dir(directory)
    return name


def write_snapshot_now(disk: Disk, directory: str, view: TreeView, *, compression: str = "") -> str:
    """As `write_snapshot`, but blocking: for start-up."""
    name = snapshot_name(view.zxid, compression)
    temporary = f"{directory}/{TEMPORARY}{name}"
    with _unfinished(disk, temporary, view) as file:
        for piece in _compressed(view, compression, SLICE_RECORDS):
            file.write(piece)
        file.sync_now()
        disk.rename(temporary, f"{directory}/{name}")
        disk.sync_dir_now(directory)
    return name


# -- loading -----------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """What a snapshot says beside its tree.

    ``digest_zxid`` is that of the last transaction of which it can have effects (0: not said), ``digest``
    the tree's digest there, None when it is not known.
    """

    digest_zxid: int
    digest: int | None


def load_snapshot(
    disk: Disk, directory: str, name: str, zxid: int, tree: DataTree, *, lenient: bool = False
) -> Stored:
    """Fill the fresh *tree* from a file; its zxid becomes *zxid*, that of the file's name.

    A snapshot that a Java server took while ACLs came in can lack some of them, and replaying the log after
    it gives them to its znodes. *lenient* accepts that: ``tree.acls.lacking`` counts these znodes.

    Raises:
        SnapshotError: the file is damaged in any way; the tree must not be used.
        OSError: it cannot be read, which says nothing about it.
    """
    collecting = gc.isenabled()
    gc.disable()  # else it visits all the znodes again and again while they come into being
    try:
        stored = parse_snapshot(_content(disk, f"{directory}/{name}"), zxid, tree)
        if tree.acls.lacking.refs and not lenient:
            raise SnapshotError(f"znodes have ACL numbers that it does not explain: {tree.acls.lacking.refs}")
        return stored
    except SnapshotError:
        raise
    except OSError as error:
        error.filename = error.filename or f"{directory}/{name}"
        raise
    except READ_ERRORS as error:
        raise SnapshotError(str(error)) from error
    except (struct_error, ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise SnapshotError(f"{type(error).__name__}: {error}") from error
    finally:
        if collecting:
            gc.enable()


def _content(disk: Disk, path: str) -> bytes:
    return b"".join(pieces(disk, path)) if compression_of(path) else disk.read_bytes(path)


def parse_snapshot(raw: bytes, zxid: int, tree: DataTree) -> Stored:
    """As `load_snapshot` for the content of a file; may raise any ``ValueError`` or lookup error as well."""
    if not raw.startswith(MAGIC):
        raise SnapshotError("this is not a snapshot (wrong magic)")
    pos = _read_tree(raw, len(HEADER), tree)
    stored, digest_version = _read_sections(raw, pos)
    tree.last_zxid = zxid
    if tree.digest_enabled:
        exact = stored.digest_zxid == zxid != 0 and digest_version == VERSION
        if exact and stored.digest is not None:
            tree.digest = stored.digest
        else:
            tree.digest = tree.recompute_digest()
    _count_quotas(tree)
    return stored


def load_tree(raw: bytes, zxid: int, tree: DataTree) -> None:
    """Fill the fresh *tree* from what `tree_pieces` gave a leader, terminator included.

    Raises:
        SnapshotError: it is no such stream.
    """
    try:
        _read_tree(raw, 0, tree)
    except (struct_error, ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise SnapshotError(f"{type(error).__name__}: {error}") from error
    tree.last_zxid = zxid
    if tree.digest_enabled:
        tree.digest = tree.recompute_digest()
    _count_quotas(tree)


def _count_quotas(tree: DataTree) -> None:
    quota = tree.nodes.get(paths.QUOTA)
    if quota is not None and quota.children:
        tree.quotas.rebuild()


def _read_tree(raw: bytes, pos: int, tree: DataTree) -> int:
    pos = _read_sessions(raw, pos, tree)
    pos = _read_acls(raw, pos, tree)
    pos = _read_nodes(raw, pos, tree)
    tree.acls.drop_unused()
    return pos


def _read_sessions(raw: bytes, pos: int, tree: DataTree) -> int:
    count: int = _INT.unpack_from(raw, pos)[0]
    pos += 4
    end = pos + count * _SESSION.size
    if count < 0 or end > len(raw):
        raise SnapshotError(f"{count} sessions do not fit")
    tree.sessions.clear()
    tree.sessions.update(_SESSION.iter_unpack(raw[pos:end]))
    return end


def _read_acls(raw: bytes, pos: int, tree: DataTree) -> int:
    acls = tree.acls = AclCache()
    (count,) = _INT.unpack_from(raw, pos)
    pos += 4
    for _ in range(count):
        (number,) = _LONG.unpack_from(raw, pos)
        (size,) = _INT.unpack_from(raw, pos + 8)
        pos += 12
        entries: list[AclEntry] = []
        for _ in range(size):
            (perms,) = _INT.unpack_from(raw, pos)
            scheme, pos = _read_text(raw, pos + 4)
            ident, pos = _read_text(raw, pos)
            entries.append((perms, scheme, ident))
        acls.restore(number, tuple(entries))
    return pos


def _read_text(raw: bytes, pos: int) -> tuple[str, int]:
    (size,) = _INT.unpack_from(raw, pos)
    pos += 4
    if size < 0:
        return "", pos
    if pos + size > len(raw):
        raise SnapshotError("a string runs past the file")
    return decode_text(bytes(raw[pos : pos + size])), pos + size


def _read_nodes(raw: bytes, pos: int, tree: DataTree) -> int:
    """Enter all znodes into *tree*; gives the position behind the terminating "/".

    Neighbours mostly have paths and data of equal length. So a layout is made for the lengths of one record
    and tried on those that follow until one has others; then no length is unpacked on its own, and nothing is
    called per record but what makes a znode.
    """
    nodes = tree.nodes
    nodes.clear()
    pos, data_size = _read_root(raw, pos, tree)
    records = 1
    users = 0
    acl, acl_number = tree.acls.open, -1
    parent_path: bytes | None = None
    siblings: dict[bytes, None] = {}
    layouts: dict[tuple[int, int], Struct] = {}
    new_node = ZNode.__new__
    view = memoryview(raw)
    while True:
        (path_size,) = _INT.unpack_from(raw, pos)
        if path_size == 1 and raw[pos + 4] == 0x2F:
            break
        (held,) = _INT.unpack_from(raw, pos + 4 + path_size)
        if path_size <= 0 or held < -1:
            raise SnapshotError(f"unreasonable length at offset {pos}")
        null = held == -1
        layout = layouts.get((path_size, held))
        if layout is None:
            layout = layouts[path_size, held] = Struct(_NODE % (path_size, 0 if null else held))
        size, start = layout.size, pos
        stop = pos + (len(raw) - pos) // size * size
        if stop == start:
            raise SnapshotError("the file ends inside a znode")
        for length, path, data_length, data, number, packed in layout.iter_unpack(view[start:stop]):
            if length != path_size or data_length != held:
                break
            if number != acl_number:
                acl.refs += users
                users = 0
                acl, acl_number = _known_acl(tree, number), number
            users += 1
            node = new_node(ZNode)
            node.data = None if null else data
            node.acl = acl
            node.packed = packed
            node.children = node.stat = node.digest = node.listing = None
            node.__class__ = StoredNode
            above, slash, name = path.rpartition(b"/")
            if above != parent_path:
                siblings = _children_of(tree, above, slash)
                parent_path = above or None  # a path without any slash must come here, too
            siblings[name] = None
            nodes[path] = node
            data_size -= 0 if path.isascii() else path_size - paths.length(path)
            if packed[44:52] != _NO_OWNER:
                tree.index_owner(path, _LONG.unpack_from(packed, 44)[0])
            pos += size
        records += (pos - start) // size
        data_size += (pos - start) // size * (path_size + (0 if null else held))
    acl.refs += users
    if len(nodes) != records:
        raise SnapshotError("a path occurs twice")
    tree.data_size = data_size
    return pos + len(_END)


def _read_root(raw: bytes, pos: int, tree: DataTree) -> tuple[int, int]:
    """Enter the root, which comes first and has the empty path."""
    path_size, held = _SIZES.unpack_from(raw, pos)
    if path_size != 0 or held < -1:
        raise SnapshotError("the root does not come first")
    pos += _SIZES.size
    end = pos + max(held, 0)
    number, *stat = NODE_TAIL.unpack_from(raw, end)
    acl = _known_acl(tree, number)
    tree.acls.retain(acl)
    tree.root = tree.nodes[paths.ROOT] = ZNode(None if held < 0 else raw[pos:end], acl, *stat)
    return end + NODE_TAIL.size, len(paths.ROOT) + end - pos


def _known_acl(tree: DataTree, number: int) -> Acl:
    return tree.acls.by_number(number) or tree.acls.lacking


def _children_of(tree: DataTree, path: bytes, slash: bytes) -> dict[bytes, None]:
    parent = tree.nodes.get(path or paths.ROOT)
    if parent is None or not slash:
        raise SnapshotError(f"a znode comes before its parent {path!r}")
    if parent.children is None:
        parent.children = {}
    return parent.children


def _read_sections(raw: bytes, pos: int) -> tuple[Stored, int]:
    """Check all seals; *pos* is behind the terminator of the nodes. Gives the digest and its version.

    The sections carry no tag, so their presence is told from how much is left.
    """
    adler = _checked(raw, 0, pos, 1)
    pos += SEAL_BYTES
    left = len(raw) - pos
    if left == 0:
        return Stored(0, None), VERSION
    if left == _LONG.size + SEAL_BYTES:
        _checked(raw, pos - SEAL_BYTES, pos + _LONG.size, adler)
        return Stored(0, None), VERSION
    zxid, version = _ZXID_VERSION.unpack_from(raw, pos)
    start, digest = pos, None
    if version < VERSION:
        pos = _read_text(raw, pos + _ZXID_VERSION.size)[1]
    else:
        digest = _LONG.unpack_from(raw, pos + _ZXID_VERSION.size)[0] & MASK
        pos += _ZXID_VERSION.size + _LONG.size
    adler = _checked(raw, start - SEAL_BYTES, pos, adler)
    start, pos = pos, pos + SEAL_BYTES
    if pos < len(raw):  # whatever stands behind the last section, ZooKeeper does not look at it
        _checked(raw, start, pos + _LONG.size, adler)
    return Stored(zxid, digest if zxid else None), version


def _checked(raw: bytes, start: int, end: int, adler: int) -> int:
    """The checksum *adler* carried on over bytes *start* to *end*, if the seal that follows agrees."""
    view = memoryview(raw)
    for at in range(start, end, _CHUNK):
        adler = adler32(view[at : min(at + _CHUNK, end)], adler)
    if raw[end : end + SEAL_BYTES] != seal(adler):
        raise SnapshotError(f"seal at offset {end} does not match")
    return adler
