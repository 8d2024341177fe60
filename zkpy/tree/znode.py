"""One znode, and what its owner field means."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from zkpy.tree.acl import Acl

CONTAINER_OWNER: Final = -0x8000000000000000
"""Stored owner of a container znode."""

TTL_MAX: Final = 0xFFFFFFFFFF
"""Longest time to live in ms; the low 40 bits of a TTL znode's stored owner."""

_TTL_TAG: Final = -0x0100000000000000  # 0xff in the top byte, as a signed long

VISIBLE_STAT: Final = Struct(">qqqqiiiqiiq")
"""The Stat of replies (68 bytes): czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner,
dataLength, numChildren, pzxid."""

DIGEST_STAT: Final = Struct(">qqqqqiiiq")
"""The 60 bytes that enter a node digest: czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion,
owner."""

STORED_STAT: Final = Struct(">qqqqiiiqq")
"""The 60 bytes of a snapshot: czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid."""


def ttl_owner(ttl_ms: int) -> int:
    """The stored owner of a znode that lives *ttl_ms* after its last change."""
    return _TTL_TAG | ttl_ms


class OwnerRules:
    """How stored owners are understood: TTL tags only exist with ``extendedTypesEnabled``.

    ``emulate353TTLNodes`` also takes every other negative owner (but the container's) for a TTL, as
    written by 3.5.3.
    """

    __slots__ = ("emulate_353", "extended")

    def __init__(self, extended: bool = False, emulate_353: bool = False) -> None:
        self.extended = extended
        self.emulate_353 = emulate_353

    def ttl_ms(self, owner: int) -> int:
        """The time to live in ms, or 0 when *owner* does not mean a TTL."""
        if not self.extended or owner >= 0 or owner == CONTAINER_OWNER:
            return 0
        if owner >> 40 == -0x10000:  # 0xff, then two zero bytes
            return owner & TTL_MAX
        return owner & 0x0FFFFFFFFFFFFFFF if self.emulate_353 else 0

    def session(self, owner: int) -> int:
        """The session that owns an ephemeral znode, or 0 for all other kinds."""
        if owner == CONTAINER_OWNER or owner == 0:
            return 0
        if owner < 0 and self.ttl_ms(owner):
            return 0
        return owner


class ZNode:
    """A znode as stored: ``cversion`` counts creations of children only, ``owner`` includes the markers.

    ``children`` maps names to None, in order of creation, and exists only where there are (or were)
    children. ``stat``, ``digest`` and ``listing`` are kept encodings, None while not known.
    """

    __slots__ = (
        "acl",
        "aversion",
        "children",
        "ctime",
        "cversion",
        "czxid",
        "data",
        "digest",
        "listing",
        "mtime",
        "mzxid",
        "owner",
        "packed",
        "pzxid",
        "stat",
        "version",
    )

    def __init__(
        self,
        data: bytes | None,
        acl: Acl,
        czxid: int,
        mzxid: int,
        ctime: int,
        mtime: int,
        version: int,
        cversion: int,
        aversion: int,
        owner: int,
        pzxid: int,
    ) -> None:
        self.data = data
        self.acl = acl
        self.czxid = czxid
        self.mzxid = mzxid
        self.ctime = ctime
        self.mtime = mtime
        self.version = version
        self.cversion = cversion
        self.aversion = aversion
        self.owner = owner
        self.pzxid = pzxid
        self.children: dict[bytes, None] | None = None
        self.stat: bytes | None = None
        self.digest: int | None = None
        self.listing: bytes | None = None
        if TYPE_CHECKING:
            self.packed = b""  # only a StoredNode has it

    def copy(self) -> ZNode:
        """A znode of the same values, without children and kept encodings."""
        return ZNode(
            self.data,
            self.acl,
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            self.cversion,
            self.aversion,
            self.owner,
            self.pzxid,
        )


_PACKED: Final = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "pzxid")
_PACKED_SET: Final = frozenset(_PACKED)


class StoredNode(ZNode):
    """A znode as loaded: its numbers stay ``packed`` (`STORED_STAT`) until one is asked for or set.

    Then it turns into an ordinary ZNode for good. This halves the time to load a large snapshot, and saves
    nine integers for each znode that is never looked at.
    """

    __slots__ = ()

    def unpack(self) -> None:
        """Become an ordinary znode."""
        values = STORED_STAT.unpack(self.packed)
        self.__class__ = ZNode  # type: ignore[assignment]
        del self.packed
        for name, value in zip(_PACKED, values, strict=True):
            setattr(self, name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> int:
            if name not in _PACKED_SET:
                raise AttributeError(name)
            self.unpack()
            return getattr(self, name)

        def __setattr__(self, name: str, value: object) -> None:
            if name in _PACKED_SET:
                self.unpack()
            object.__setattr__(self, name, value)
