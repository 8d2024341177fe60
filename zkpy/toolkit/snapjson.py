"""``zkpy snapshot export`` and ``import``: a snapshot as JSON that people can read and change, and back.

::

    {"format": "zkpy snapshot 1", "zxid": "0x5",
     "sessions": [{"id": "0x1000", "timeout_ms": 10000}],
     "nodes": [{"path": "/", "data": "", "acl": ["world:anyone:cdrwa"], "acl_id": -1, "czxid": ...}, ...],
     "digest": "0x51c6d660"}

One znode per line. Data that is no text is base64 in ``data64``. ``acl_id`` is the number in the file, kept
so that the way back gives the same bytes; it may be left out. ``digest`` only serves to say whether something
was changed. Export streams; import builds the tree, as a server does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from zkpy.errors import BadArgumentsError
from zkpy.paths import validate
from zkpy.persist.names import LOG, SNAPSHOT, named
from zkpy.persist.snapshot import snapshot_name, write_snapshot_now
from zkpy.persist.snapstream import NodeRecord
from zkpy.persist.store import LOCK_NAME
from zkpy.persist.txnsnaplog import VERSION_DIR, sync_names
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_OK, ToolError, out, say
from zkpy.toolkit.jsonstream import JsonStream
from zkpy.toolkit.render import (
    RULES,
    Json,
    acl_from_json,
    acl_json,
    data_from_json,
    data_json,
    hex_id,
    json_line,
    path_bytes,
    path_of,
)
from zkpy.toolkit.snapview import OPEN_LIST, OPEN_NUMBER, Opened, open_snapshot, owner_json, say_large
from zkpy.tree.acl import Acl, AclCache, AclEntry
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import MASK
from zkpy.tree.znode import CONTAINER_OWNER, STORED_STAT, TTL_MAX, ZNode, ttl_owner

FORMAT: Final = "zkpy snapshot 1"

_LONGS: Final = ("czxid", "mzxid", "pzxid", "ctime_ms", "mtime_ms")
_INTS: Final = ("version", "cversion", "aversion")


# -- export ------------------------------------------------------------------------------------------------


def export_snapshot(disk: Disk, path: str, target: str) -> int:
    """Write the snapshot that *path* stands for as JSON into the new file *target* (``-``: stdout).

    Raises:
        ToolError: *target* exists, or nothing says which zxid the snapshot has.
    """
    opened = open_snapshot(disk, path)
    if target == "-":
        for line in _export(opened):
            out(line)
        return EXIT_OK
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            for line in _export(opened):
                file.write(line + "\n")
    except BaseException:
        os.unlink(target)
        raise
    return EXIT_OK


def _export(opened: Opened) -> Iterator[str]:
    head = f'{{"format": "{FORMAT}",'
    if opened.zxid >= 0:
        head += f' "zxid": "{hex_id(opened.zxid)}",'
    yield head
    sessions = [json_line({"id": hex_id(id), "timeout_ms": timeout}) for id, timeout in opened.sessions]
    yield '"sessions": [' + "".join(f"\n  {item}," for item in sessions)[:-1] + "],"
    line = '"nodes": ['
    largest = 0
    for record in opened.nodes():
        yield line
        largest = max(largest, len(record[2] or b""))
        line = "  " + json_line(_node(record, opened)) + ","
    ending = opened.finish()
    yield line.rstrip(",")
    say_large(opened.path, largest)
    zxid = opened.zxid
    if zxid < 0:
        if ending.last_zxid is None:
            raise ToolError(
                f"{opened.path}: neither the name nor the file says its zxid; name it snapshot.<zxid in hex>"
            )
        zxid = ending.last_zxid
        yield f'], "zxid": "{hex_id(zxid)}",'
    else:
        yield "],"
    if ending.digest_zxid > zxid:
        say(
            f"{opened.path}: note: it was written while transactions went on, up to zxid "
            f"{hex_id(ending.digest_zxid)}; without the logs after it the znodes are not those of one moment"
        )
    digest = None if ending.digest is None or ending.digest_zxid != zxid else hex_id(ending.digest)
    yield f'"digest": {json.dumps(digest)}}}'


def _node(record: NodeRecord, opened: Opened) -> Json:
    offset, path, data, number, packed = record
    czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid = STORED_STAT.unpack(packed)
    acl = opened.acl(number)
    if acl is None:
        opened.reader.fail(f"a znode has the unknown ACL number {number}", offset)
    return {
        "path": path_of(path),
        **data_json(data),
        "acl": acl_json(acl),
        "acl_id": number,
        **owner_json(owner),
        "czxid": hex_id(czxid),
        "mzxid": hex_id(mzxid),
        "pzxid": hex_id(pzxid),
        "ctime_ms": ctime,
        "mtime_ms": mtime,
        "version": version,
        "cversion": cversion,
        "aversion": aversion,
    }


# -- import ------------------------------------------------------------------------------------------------


@attrs.define
class Builder:
    """A tree out of the JSON."""

    tree: DataTree = attrs.field(factory=lambda: DataTree(RULES))
    zxid: int = -1
    digest: int | None = None
    largest: int = 0
    _given: set[str] = attrs.field(factory=set)
    _highest: int = 0
    _out_of_order: bool = False
    _numbers: dict[int, tuple[AclEntry, ...]] = attrs.field(factory=lambda: {OPEN_NUMBER: OPEN_LIST})
    _unnumbered: list[tuple[ZNode, tuple[AclEntry, ...]]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.tree.nodes.clear()
        self.tree.acls = AclCache()
        self.tree.data_size = 0

    def read(self, stream: JsonStream) -> None:
        """Take everything in. Raises ToolError with the line where the JSON cannot be used."""
        for name in stream.members():
            try:
                self._member(stream, name)
            except ValueError as error:
                stream.fail(str(error))
        self._finish(stream)

    def _member(self, stream: JsonStream, name: str) -> None:
        if name in self._given:
            raise ValueError(f"the member {name!r} comes twice")
        self._given.add(name)
        if name == "nodes":
            for item in stream.elements():
                self._node(item)
        elif name == "sessions":
            for item in stream.elements():
                self._session(item)
        elif name == "zxid":
            self.zxid = _number({name: stream.value()}, name, None)
        elif name == "digest":
            value = stream.value()
            self.digest = None if value is None else _number({name: value}, name, None) & MASK
        elif name == "format":
            value = stream.value()
            if value != FORMAT:
                raise ValueError(f"the format is {value!r}, this release reads {FORMAT!r}")
        else:
            raise ValueError(f"unknown member {name!r}; there are format, zxid, sessions, nodes, digest")

    def _session(self, item: Json) -> None:
        session, timeout = _number(item, "id", None), _number(item, "timeout_ms", None, bits=32)
        unknown = item.keys() - {"id", "timeout_ms"}
        if unknown:
            raise ValueError(f"session {hex_id(session)} has the unknown member {min(unknown)!r}")
        if timeout < 0:
            raise ValueError(f'session {hex_id(session)}: "timeout_ms" is negative')
        if session in self.tree.sessions:
            raise ValueError(f"session {hex_id(session)} occurs twice")
        self.tree.sessions[session] = timeout

    def _node(self, item: Json) -> None:
        path = item.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f'"path" is {path!r}, not text that begins with /')
        raw = path_bytes(path)
        if raw in self.tree.nodes:
            raise ValueError(f"{path} occurs twice")
        try:
            validate(raw)
        except BadArgumentsError as error:
            raise ValueError(f"{path!r} is no path that a client can name: {error}") from None
        unknown = item.keys() - _MEMBERS
        if unknown:
            raise ValueError(f"{path} has the unknown member {min(unknown)!r}")
        try:
            values = {name: _number(item, name, 0) for name in _LONGS}
            values |= {name: _number(item, name, 0, bits=32) for name in _INTS}
            acl = acl_from_json(item.get("acl", ["world:anyone:cdrwa"]))
            data, owner = data_from_json(item), _owner(item)
            number = None if item.get("acl_id") is None else _number(item, "acl_id", None)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        node = ZNode(
            data,
            self.tree.acls.open,
            values["czxid"],
            values["mzxid"],
            values["ctime_ms"],
            values["mtime_ms"],
            values["version"],
            values["cversion"],
            values["aversion"],
            owner,
            values["pzxid"],
        )
        if number is not None and self._numbers.setdefault(number, acl) == acl:
            self._set_acl(node, number, acl)
        else:
            self._unnumbered.append((node, acl))
        self.largest = max(self.largest, len(data or b""))
        self._highest = max(self._highest, node.czxid, node.mzxid, node.pzxid)
        self._out_of_order |= raw != b"/" and _parent(raw) not in self.tree.nodes
        self.tree.nodes[raw] = node
        self.tree.data_size += len(raw) + len(data or b"")
        if owner:
            self.tree.index_owner(raw, owner)

    def _set_acl(self, node: ZNode, number: int, acl: tuple[AclEntry, ...]) -> None:
        cache = self.tree.acls
        found: Acl | None = cache.by_number(number)
        if found is None:
            cache.restore(number, acl)
            found = cache.by_number(number)
            assert found is not None
        node.acl = found
        cache.retain(found)

    def _finish(self, stream: JsonStream) -> None:
        tree = self.tree
        for node, acl in self._unnumbered:
            node.acl = tree.acls.intern(acl)
            tree.acls.retain(node.acl)
        if self.zxid < 0:
            stream.fail('"zxid" is missing')
        if b"/" not in tree.nodes:
            stream.fail('"nodes" has no root: an object with the path "/"')
        if self._out_of_order:
            ordered = sorted(
                tree.nodes.items(), key=lambda item: item[0].count(b"/") if item[0] != b"/" else 0
            )
            tree.nodes.clear()
            tree.nodes.update(ordered)
            for path in tree.nodes:
                if path != b"/" and _parent(path) not in tree.nodes:
                    stream.fail(f"{path_of(path)} has no parent {path_of(_parent(path))}")
        if self._highest > self.zxid:
            say(
                f"note: zxid raised from {hex_id(self.zxid)} to {hex_id(self._highest)}, the highest "
                "in the znodes"
            )
            self.zxid = self._highest
        tree.root = tree.nodes[b"/"]
        tree.last_zxid = self.zxid
        tree.digest = tree.recompute_digest()


_MEMBERS: Final = {
    "path",
    "data",
    "data64",
    "acl",
    "acl_id",
    "ephemeral_owner",
    "container",
    "ttl_ms",
    *_LONGS,
    *_INTS,
}


def _parent(path: bytes) -> bytes:
    return path[: path.rfind(b"/")] or b"/"


def _number(item: Json, name: str, default: int | None, bits: int = 64) -> int:
    """A member that is a number, or hexadecimal text. Raises ValueError."""
    value = item.get(name, default)
    if isinstance(value, str):
        try:
            value = int(value, 16)
        except ValueError:
            value = None
        else:
            value -= 1 << 64 if value >> 63 == 1 else 0
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value >> (bits - 1) <= 0:
        raise ValueError(f'"{name}" is {item.get(name)!r}, not a number of {bits} bits (text is hexadecimal)')
    return value


def _owner(item: Json) -> int:
    kinds = [name for name in ("ephemeral_owner", "container", "ttl_ms") if item.get(name)]
    if len(kinds) > 1:
        raise ValueError(f"it cannot have both {kinds[0]} and {kinds[1]}")
    if not kinds:
        return 0
    if kinds[0] == "container":
        return CONTAINER_OWNER
    value = _number(item, kinds[0], None)
    if kinds[0] == "ttl_ms":
        if not 0 < value <= TTL_MAX:
            raise ValueError(f'"ttl_ms" is {value}, not from 1 to {TTL_MAX}')
        return ttl_owner(value)
    return value


def import_snapshot(disk: Disk, source: str, directory: str, compression: str) -> int:
    """Make the JSON file *source* the only snapshot of the data directory *directory*.

    Raises:
        ToolError: the JSON cannot be used, or the directory holds data.
    """
    check_empty(disk, directory)
    builder = Builder()
    with Path(source).open(encoding="utf-8") as file:
        try:
            builder.read(JsonStream(source, file))
        except UnicodeDecodeError as error:
            raise ToolError(f"{source}: this is no UTF-8 text: {error.reason}") from None
    if builder.digest is not None and builder.digest != builder.tree.digest & MASK:
        say("note: the digest is another one than when it was exported: znodes were changed")
    say_large(source, builder.largest)
    lost = [session for session in builder.tree.ephemerals if session not in builder.tree.sessions]
    if lost:
        count = sum(len(builder.tree.ephemerals[session]) for session in lost)
        say(f'note: {count} ephemerals have no session in "sessions": a server removes them when it starts')
    name = write_into(disk, directory, builder.tree, compression)
    out(f"{name}: {len(builder.tree.nodes)} znodes, {len(builder.tree.sessions)} sessions")
    return EXIT_OK


def check_empty(disk: Disk, directory: str) -> None:
    """Refuse a data directory that holds snapshots or logs. Raises ToolError."""
    below = f"{directory}/{VERSION_DIR}"
    if not disk.is_dir(below):
        return
    for prefix in (SNAPSHOT, LOG):
        files = named(disk, below, prefix)
        if files:
            raise ToolError(
                f"{below} already holds data ({files[0].name}); name another directory, or move that away"
            )


def write_into(disk: Disk, directory: str, tree: DataTree, compression: str) -> str:
    """Write *tree* as a snapshot into the data directory *directory*, which is made; gives the file's path.

    Raises:
        ToolError: a server uses the directory, or the file is there.
        StorageError: it could not be written.
    """
    below = f"{directory}/{VERSION_DIR}"
    disk.make_dirs(below)
    unlock = disk.lock(f"{directory}/{LOCK_NAME}")
    if unlock is None:
        raise ToolError(f"{directory} is in use by a running zkpy; stop it first, or name another directory")
    try:
        path = f"{below}/{snapshot_name(tree.last_zxid, compression)}"
        if disk.exists(path):
            raise ToolError(f"{path} exists and is not overwritten")
        write_snapshot_now(disk, below, tree.view(), compression=compression)
        sync_names(disk, below)
        return path
    finally:
        unlock()
