"""``zkpy snapshot print`` and ``summary``: znodes as text or JSON, and how much lies where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from zkpy.persist.snapstream import Ending, NodeRecord, SnapshotReader
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_OK, Progress, ToolError, out, printing, say
from zkpy.toolkit.locate import name_zxid, snapshot_file
from zkpy.toolkit.render import (
    RULES,
    Clock,
    Json,
    acl_json,
    acl_text,
    data_json,
    data_text,
    hex_id,
    json_line,
    owner_text,
    path_bytes,
    path_text,
)
from zkpy.toolkit.render import path_of as text_of
from zkpy.tree.acl import AclEntry
from zkpy.tree.znode import CONTAINER_OWNER, STORED_STAT

OPEN_NUMBER: Final = -1
OPEN_LIST: Final[tuple[AclEntry, ...]] = ((31, "world", "anyone"),)
"""What the ACL number -1 means; no table has it."""

EVERY: Final = 4096
"""Znodes between two looks at the clock for the progress."""


LARGEST: Final = 0xFFFFF
"""The default of ``jute.maxbuffer``."""


def say_large(path: str, largest: int) -> None:
    """Note when the *largest* data of a znode in *path* needs other settings."""
    if largest > LARGEST:
        say(
            f"{path}: note: a znode has {largest} bytes of data, over the default of jute.maxbuffer "
            f"({LARGEST}); servers and clients need a larger one to handle it"
        )


@attrs.define
class Opened:
    """A snapshot with its header, sessions and ACL table read; the znodes come next."""

    reader: SnapshotReader
    path: str
    zxid: int
    sessions: list[tuple[int, int]]
    acls: dict[int, tuple[AclEntry, ...]]
    progress: Progress

    def nodes(self) -> Iterator[NodeRecord]:
        """The znodes, with the progress through the file."""
        progress, reader = self.progress, self.reader
        for count, record in enumerate(reader.nodes()):
            if count % EVERY == 0:
                progress.at(reader.offset)
            yield record
        progress.end()

    def finish(self) -> Ending:
        """What follows the znodes, once all of them were taken."""
        self.progress.end()
        return self.reader.finish()

    def acl(self, number: int) -> tuple[AclEntry, ...] | None:
        """The ACL list of that number, None if the table lacks it."""
        return self.acls.get(number)


def open_snapshot(disk: Disk, path: str, *, quiet: bool = False) -> Opened:
    """Open the snapshot that *path* stands for (a file, or a directory's newest valid one).

    Raises:
        ToolError: there is none.
        CorruptLogError: it is damaged as far as it was read.
    """
    path = snapshot_file(disk, path)
    reader = SnapshotReader(disk, path)
    reader.open()
    sessions = list(reader.sessions())
    acls = dict(reader.acls())
    acls[OPEN_NUMBER] = OPEN_LIST
    compressed = path.endswith((".gz", ".snappy"))
    progress = Progress(path, 0 if compressed else disk.size(path), quiet=quiet)
    return Opened(reader, path, name_zxid(path), sessions, acls, progress)


def subtree(text: str | None) -> bytes | None:
    """A path of the command line as snapshots have it (the root is empty), None for all znodes.

    Raises:
        ToolError: it is no path.
    """
    if text is None:
        return None
    if not text.startswith("/"):
        raise ToolError(f"{text}: a znode's path begins with /")
    return path_bytes(text.rstrip("/"))


def print_snapshot(
    disk: Disk, path: str, *, clock: Clock, below: bytes | None, data: str, as_json: bool
) -> int:
    """Print a snapshot; *data* is ``text``, ``hex`` or ``none``, *below* limits the znodes to a subtree."""
    opened = open_snapshot(disk, path, quiet=printing())
    reader = opened.reader
    if as_json:
        _header_json(opened)
    else:
        zxid = "zxid unknown (by the file name)" if opened.zxid < 0 else f"zxid {hex_id(opened.zxid)}"
        out(f"{opened.path}: {zxid}, format {reader.version}, dbid {reader.dbid}")
        out(f"{len(opened.sessions)} sessions")
        for session, timeout_ms in opened.sessions:
            out(f"  {hex_id(session)} timeout {timeout_ms} ms")
    prefix = None if below is None else below + b"/"
    count = 0
    for record in opened.nodes():
        found = record[1]
        if prefix is not None and found != below and not found.startswith(prefix):
            continue
        count += 1
        if as_json:
            out(json_line(node_json(record, opened.acl(record[3]), clock)))
        else:
            out(_node_text(record, opened.acl(record[3]), clock, data))
    ending = opened.finish()
    if as_json:
        out(json_line({"kind": "end", "znodes": count, **ending_json(ending)}))
    else:
        out(f"{count} znodes")
        if ending.digest is not None:
            out(f"digest {hex_id(ending.digest)} at zxid {hex_id(ending.digest_zxid)}")
        if ending.last_zxid is not None:
            out(f"last zxid {hex_id(ending.last_zxid)}")
    if below is not None and not count:
        raise ToolError(f"{opened.path} has no znode {path_text(below)}")
    return EXIT_OK


def _header_json(opened: Opened) -> None:
    zxid = None if opened.zxid < 0 else hex_id(opened.zxid)
    out(json_line({"kind": "snapshot", "file": opened.path, "zxid": zxid}))
    for session, timeout_ms in opened.sessions:
        out(json_line({"kind": "session", "id": hex_id(session), "timeout_ms": timeout_ms}))


def ending_json(ending: Ending) -> Json:
    """The sections behind the znodes."""
    return {
        "digest": None if ending.digest is None else hex_id(ending.digest),
        "digest_zxid": hex_id(ending.digest_zxid) if ending.digest_zxid else None,
        "last_zxid": None if ending.last_zxid is None else hex_id(ending.last_zxid),
    }


def owner_json(owner: int) -> Json:
    """What a stored owner means; nothing for an ordinary znode."""
    if owner == 0:
        return {}
    if owner == CONTAINER_OWNER:
        return {"container": True}
    ttl_ms = RULES.ttl_ms(owner)
    return {"ttl_ms": ttl_ms} if ttl_ms else {"ephemeral_owner": hex_id(owner)}


def node_json(record: NodeRecord, acl: tuple[AclEntry, ...] | None, clock: Clock) -> Json:
    """One znode, complete."""
    _, path, data, _, packed = record
    czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid = STORED_STAT.unpack(packed)
    return {
        "kind": "znode",
        "path": text_of(path),
        **data_json(data),
        "acl": None if acl is None else acl_json(acl),
        **owner_json(owner),
        "czxid": hex_id(czxid),
        "mzxid": hex_id(mzxid),
        "pzxid": hex_id(pzxid),
        "ctime": clock.text(ctime),
        "mtime": clock.text(mtime),
        "ctime_ms": ctime,
        "mtime_ms": mtime,
        "version": version,
        "cversion": cversion,
        "aversion": aversion,
    }


def _node_text(record: NodeRecord, acl: tuple[AclEntry, ...] | None, clock: Clock, data: str) -> str:
    _, path, content, number, packed = record
    czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid = STORED_STAT.unpack(packed)
    kind = owner_text(owner)
    lines = [path_text(path) + (f" {kind}" if kind else "")]
    size = "null" if content is None else f"{len(content)} bytes"
    shown = ""
    if data == "hex" and content:
        shown = f" 0x{content.hex()}"
    elif data == "text" and content:
        shown = f" {data_text(content, len(content))}"
    lines.append(f"  data {size}{shown}")
    lines.append(f"  acl {f'number {number}, which is missing' if acl is None else acl_text(acl)}")
    lines.append(
        f"  created {clock.text(ctime)} zxid {hex_id(czxid)}, modified {clock.text(mtime)} "
        f"zxid {hex_id(mzxid)}, children zxid {hex_id(pzxid)}"
    )
    lines.append(f"  version {version} cversion {cversion} aversion {aversion}")
    return "\n".join(lines)


# -- summary -----------------------------------------------------------------------------------------------


@attrs.define
class Total:
    """What lies at and below a znode: direct children, znodes below, bytes of data (its own included)."""

    children: int = 0
    below: int = 0
    size: int = 0


def summarize(disk: Disk, path: str, *, start: str, depth: int, as_json: bool) -> int:
    """Print the totals of *start* and of what is at most *depth* levels below it and has children.

    Depth 0 is without limit. Memory: the znodes down to that depth.
    """
    top = subtree(start)
    assert top is not None
    opened = open_snapshot(disk, path)
    totals = collect(opened, top, depth)
    opened.finish()
    if top not in totals:
        raise ToolError(f"{opened.path} has no znode {path_text(top)}")
    for found in sorted(totals, key=lambda path: path.split(b"/")):
        total = totals[found]
        if not total.children and found != top:
            continue
        if as_json:
            out(json_line({"path": text_of(found), **attrs.asdict(total)}))
        else:
            level = found.count(b"/") - top.count(b"/")
            text = f"{total.children} children, {total.below} znodes below, {total.size} bytes"
            out(f"{'  ' * level}{path_text(found)}: {text}")
    return EXIT_OK


def collect(opened: Opened, top: bytes, depth: int) -> dict[bytes, Total]:
    """The totals by path, down to *depth* levels below *top* (0: all)."""
    prefix = top + b"/"
    deepest = top.count(b"/") + depth if depth else 1 << 30
    totals: dict[bytes, Total] = {}
    for _, path, data, _, _ in opened.nodes():
        if path != top and not path.startswith(prefix):
            continue
        size = len(data) if data else 0
        level = path.count(b"/")
        if level <= deepest:
            totals[path] = Total(size=size)
        if path == top:
            continue
        above = path[: path.rfind(b"/")]
        if (parent := totals.get(above)) is not None:
            parent.children += 1
        _add_above(totals, above, top, size)
    return totals


def _add_above(totals: dict[bytes, Total], path: bytes, top: bytes, size: int) -> None:
    while True:
        total = totals.get(path)
        if total is not None:
            total.below += 1
            total.size += size
        if path == top:
            return
        path = path[: path.rfind(b"/")]
