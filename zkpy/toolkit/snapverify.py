"""``zkpy snapshot verify``: checksum, structure, parents, ACL references, owners, digest.

Memory: the paths of all znodes, about 150 bytes for each, but not their data.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

import attrs

from zkpy.errors import CorruptLogError
from zkpy.persist.names import SNAPSHOT, named
from zkpy.persist.snapstream import Ending
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_FOUND, EXIT_OK, ToolError, out
from zkpy.toolkit.locate import version_dir
from zkpy.toolkit.render import RULES, hex_id, path_text
from zkpy.toolkit.snapview import Opened, open_snapshot, say_large
from zkpy.tree.digest import MASK

SHOWN: Final = 20
"""Problems of one kind that are printed one by one; the rest is counted."""

_OTHER = "use an older snapshot with the logs after it, or the data of another member"


@attrs.define
class Findings:
    """What was found wrong, printed as it comes."""

    path: str
    count: int = 0
    by_kind: dict[str, int] = attrs.field(factory=dict)

    def add(self, kind: str, offset: int | None, why: str, remedy: str) -> None:
        """One problem at *offset* of the uncompressed content."""
        self.count += 1
        number = self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        if number <= SHOWN:
            where = "" if offset is None else f" offset {offset}:"
            out(f"{self.path}:{where} {why}. To do: {remedy}.")

    def finish(self) -> None:
        """Say how many were not printed."""
        for kind, number in self.by_kind.items():
            if number > SHOWN:
                out(f"{self.path}: {number} times {kind}")


def verify_snapshots(disk: Disk, path: str) -> int:
    """Check one snapshot, or all of a directory; gives the exit status.

    Raises:
        ToolError: there is none.
    """
    if not disk.is_dir(path):
        return _verify(disk, path)
    directory = version_dir(disk, path)
    files = named(disk, directory, SNAPSHOT)
    if not files:
        raise ToolError(
            f"{directory}: no snapshots. If zoo.cfg has a dataDir beside the dataLogDir, name it."
        )
    return max(_verify(disk, f"{directory}/{file.name}") for file in files)


def _verify(disk: Disk, path: str) -> int:
    opened: Opened | None = None
    try:
        opened = open_snapshot(disk, path)
        found = Findings(opened.path)
        nodes, digest = _check_nodes(opened, found)
        ending = opened.finish()
    except CorruptLogError as error:
        if opened is not None:
            opened.progress.end()
        out(f"{error.file}: offset {error.offset}: {error.why}. To do: {_OTHER}.")
        return EXIT_FOUND
    _check_ending(opened, ending, digest, found)
    found.finish()
    word = "sound" if not found.count else f"{found.count} problems"
    out(f"{opened.path}: {nodes} znodes, {len(opened.sessions)} sessions: {word}")
    return EXIT_FOUND if found.count else EXIT_OK


def _check_nodes(opened: Opened, found: Findings) -> tuple[int, int]:
    """Look at every znode; gives how many there are, and the digest."""
    paths: set[bytes] = set()
    acls = opened.acls
    sessions = {session for session, _ in opened.sessions}
    last_above: bytes | None = None
    digest = largest = 0
    for offset, path, data, number, packed in opened.nodes():
        largest = max(largest, len(data or b""))
        if path in paths:
            found.add("a path twice", offset, f"{path_text(path)} occurs twice", _OTHER)
        paths.add(path)
        cut = path.rfind(b"/")
        above = path[:cut] if cut >= 0 else None
        if above is None:
            if path:
                found.add("no path", offset, f"{path_text(path)} is no path", _OTHER)
        elif above != last_above:
            last_above = above
            if above not in paths:
                found.add("no parent", offset, f"{path_text(path)} comes without its parent", _OTHER)
                last_above = None
        if number not in acls:
            why = f"{path_text(path)} has ACL number {number}, which is not in the table"
            found.add("an unknown ACL number", offset, why, _OTHER)
        if packed[44:52] != bytes(8):
            owner = RULES.session(int.from_bytes(packed[44:52], "big", signed=True))
            if owner and owner not in sessions:
                why = f"{path_text(path)} is an ephemeral of session {hex_id(owner)}, which does not exist"
                found.add(_ORPHAN, offset, why, "nothing: a server removes it when it starts")
        if not path.startswith(b"/zookeeper/"):
            crc = crc32(data, crc32(path)) if data else crc32(path)
            digest += crc32(packed[16:52], crc32(packed[52:], crc32(packed[:16], crc)))
    say_large(opened.path, largest)
    if b"" not in paths:
        found.add("no root", None, "there is no root znode", _OTHER)
    return len(paths), digest & MASK


_ORPHAN = "an ephemeral without session"


def _check_ending(opened: Opened, ending: Ending, digest: int, found: Findings) -> None:
    name = opened.path
    fuzzy = ending.digest_zxid > opened.zxid >= 0
    if fuzzy:
        out(
            f"{name}: note: written while transactions went on, up to zxid {hex_id(ending.digest_zxid)}; "
            "the digest can only be checked after the logs were replayed to there"
        )
    elif ending.digest is None:
        out(f"{name}: note: it has no digest to compare with")
    elif ending.digest != digest:
        why = f"the digest is {hex_id(digest)}, the file says {hex_id(ending.digest)}"
        found.add("a wrong digest", None, why, _OTHER)
    if ending.surplus:
        out(f"{name}: note: something follows the last section; servers do not look at it")
    if opened.zxid < 0:
        out(f"{name}: note: the name has no zxid; servers only take files named snapshot.<zxid>")
