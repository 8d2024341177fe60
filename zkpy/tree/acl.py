"""ACL lists as values: interned once, encoded once, shared by all znodes that have them."""

from __future__ import annotations

from typing import Final, Protocol

from zkpy.jute.archive import acls

READ: Final = 1
WRITE: Final = 2
CREATE: Final = 4
DELETE: Final = 8
ADMIN: Final = 16
ALL: Final = 31

AclEntry = tuple[int, str, str]
"""Permission bits, scheme, id."""

Identity = tuple[str, str]
"""Scheme and id of somebody who is connected."""

Identities = tuple[Identity, ...]


class Acl:
    """One ACL list.

    ``world`` holds the permission bits that anyone has by it, so that the ordinary open node is decided by
    one AND; an empty list means no restriction at all.
    """

    __slots__ = ("encoded", "entries", "number", "refs", "world")

    def __init__(self, entries: tuple[AclEntry, ...], number: int) -> None:
        self.entries = entries
        self.number = number
        self.refs = 0
        self.encoded = acls(entries)
        self.world = -1
        if entries:
            self.world = 0
            for perms, scheme, ident in entries:
                if scheme == "world" and ident == "anyone":
                    self.world |= perms

    def __repr__(self) -> str:
        return f"Acl({self.number}, {self.entries!r})"


class AclCache:
    """All ACL lists in use, numbered from 1 upwards as snapshots number them.

    Number -1 is the open list of the built-in znodes, which snapshots do not store. While logs are replayed
    onto a Java server's snapshot, ``lacking`` stands for the lists of which it has only the numbers.
    """

    __slots__ = ("_by_entries", "_by_number", "_next", "lacking", "open")

    def __init__(self) -> None:
        self.open = Acl(((ALL, "world", "anyone"),), -1)
        self.lacking = Acl((), 0)
        self._by_entries: dict[tuple[AclEntry, ...], Acl] = {}
        self._by_number: dict[int, Acl] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._by_entries)

    def intern(self, entries: tuple[AclEntry, ...]) -> Acl:
        """The shared list of these entries; a znode that keeps it has to `retain` it."""
        acl = self._by_entries.get(entries)
        if acl is None:
            acl = self._add(entries, self._next)
        return acl

    def peek(self, entries: tuple[AclEntry, ...]) -> Acl:
        """A list of these entries for looking at, not entered into the cache (its number may be 0)."""
        return self._by_entries.get(entries) or Acl(entries, 0)

    def restore(self, number: int, entries: tuple[AclEntry, ...]) -> None:
        """Take over an entry of a snapshot's table under its number."""
        self._add(entries, number)

    def _add(self, entries: tuple[AclEntry, ...], number: int) -> Acl:
        acl = Acl(entries, number)
        self._by_entries.setdefault(entries, acl)
        self._by_number[number] = acl
        if number >= self._next:
            self._next = number + 1
        return acl

    def by_number(self, number: int) -> Acl | None:
        """The list that a snapshot's node record refers to; None when the table lacks it."""
        if number == -1:
            return self.open
        return self._by_number.get(number)

    def retain(self, acl: Acl) -> None:
        """One more znode has *acl*."""
        acl.refs += 1

    def release(self, acl: Acl) -> None:
        """One znode less has *acl*; the last one drops it."""
        acl.refs -= 1
        if acl.refs <= 0 and acl.number != -1:
            self._by_number.pop(acl.number, None)
            if self._by_entries.get(acl.entries) is acl:
                del self._by_entries[acl.entries]

    def drop_unused(self) -> None:
        """Forget the entries that no znode refers to, as after loading a snapshot."""
        for acl in [acl for acl in self._by_number.values() if acl.refs <= 0]:
            self.release(acl)

    def table(self) -> list[Acl]:
        """The lists that a snapshot has to store, by number."""
        return [self._by_number[number] for number in sorted(self._by_number)]


class AccessControl(Protocol):
    """What preparation and reads ask about permissions; implemented by ``zkpy.auth``."""

    def allows(self, acl: Acl, perms: int, identities: Identities) -> bool:
        """Whether one of *identities* has one of the permission bits *perms* by *acl*."""

    def fix(
        self, entries: tuple[tuple[int, str | None, str | None], ...] | None, identities: Identities
    ) -> tuple[AclEntry, ...]:
        """The list to store for a list that a client sent. Raises InvalidAclError, MarshallingError."""
