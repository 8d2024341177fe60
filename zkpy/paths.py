"""Rules of znode paths.

Inside the server a path is its UTF-8 ``bytes``: that is how it arrives, how it is stored, logged and hashed,
and it saves decoding on every request. The root is ``b"/"`` here; in snapshots and digests it is ``b""``.
"""

from __future__ import annotations

import re
from typing import Final

from zkpy.errors import BadArgumentsError

ROOT: Final = b"/"
ZOOKEEPER: Final = b"/zookeeper"
QUOTA: Final = b"/zookeeper/quota"
CONFIG: Final = b"/zookeeper/config"
SPECIAL: Final = frozenset({ROOT, ZOOKEEPER, QUOTA, CONFIG})
"""The paths that cannot be deleted."""

# One regular expression decides the ordinary case (printable ASCII); the rest is looked at unit by unit.
_PLAIN: Final = re.compile(rb"(?:/[!-.0-~ ]+)+", re.DOTALL).fullmatch
_DOTS: Final = re.compile(rb"/\.{1,2}(?:/|$)").search
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]").search


def normalize(raw: bytes) -> bytes:
    """*raw* as ZooKeeper's reader sees it: malformed UTF-8 becomes U+FFFD."""
    if raw.isascii():
        return raw
    return raw.decode("utf-8", "replace").encode()


def validate(path: bytes | None) -> bytes:
    """Full validation, as for setData, setACL, check and the final name of a create.

    Raises:
        BadArgumentsError: null, empty, relative, trailing slash, empty or dot component, forbidden character.
    """
    if path is None:
        raise BadArgumentsError("path is null")
    if _PLAIN(path) and (b"/." not in path or not _DOTS(path)):
        return path
    if path == ROOT:
        return path
    if not path.startswith(b"/"):
        raise BadArgumentsError("path must start with /")
    if path.endswith(b"/"):
        raise BadArgumentsError("path must not end with /")
    if b"//" in path:
        raise BadArgumentsError("path has an empty component")
    if _DOTS(path):
        raise BadArgumentsError("path has a relative component")
    if _FORBIDDEN(path.decode("utf-8", "replace")):
        raise BadArgumentsError("path has a forbidden character")
    return path


def parent_of_new(path: bytes) -> bytes:
    """Light validation, as for the first step of creates and for deletes; returns the parent's path.

    Raises:
        BadArgumentsError: no slash, or a NUL.
    """
    cut = path.rfind(b"/")
    if cut < 0 or b"\0" in path:
        raise BadArgumentsError("not a path")
    return path[:cut] if cut else ROOT


def parent(path: bytes) -> bytes:
    """The parent's path of a valid path other than the root."""
    cut = path.rfind(b"/")
    return path[:cut] if cut > 0 else ROOT


def name(path: bytes) -> bytes:
    """The last component."""
    return path[path.rfind(b"/") + 1 :]


def length(path: bytes) -> int:
    """Characters of a valid path, as ZooKeeper counts them in sizes."""
    return len(path) if path.isascii() else len(path.decode("utf-8", "replace"))
