"""Authentication schemes and the permission decision.

Schemes of a standalone server: ``world`` (no credentials), ``ip`` (automatic), ``digest``, ``ensemble``
(checks only that the client means this ensemble), and ``super``, which no client can claim: it comes with
the digest identity named by ``superDigest`` and passes every check.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from zkpy.auth import addresses
from zkpy.errors import InvalidAclError, MarshallingError
from zkpy.javaorder import SMALLEST_TABLE, in_table, string_hash
from zkpy.jute.archive import OPEN_ACLS, decode_text
from zkpy.tree.acl import ADMIN, ALL, Acl, AclEntry, Identities

SUPER: Final = ("super", "")

MAX_IDENTITIES: Final = 10_000
"""Of one connection; the next one is refused."""

_FEW: Final = 8

_ORDERED: Final = 100
"""So many identities are kept in a Java server's order; nobody has more but to see what happens."""

_OPEN: Final[tuple[AclEntry, ...]] = ((ALL, "world", "anyone"),)


class Refused(Exception):
    """The auth packet is answered AuthFailed and the connection closed."""


class Disconnected(Exception):
    """The auth packet closes the connection without an answer."""


class Access:
    """The schemes in force; decides about ACLs and auth packets. Stateless after construction."""

    __slots__ = (
        "_digest_alg",
        "_digest_enabled",
        "_ensembles",
        "_max_expansion",
        "_skip_acl",
        "_super_digest",
    )

    def __init__(
        self,
        *,
        skip_acl: bool = False,
        digest_enabled: bool = True,
        digest_alg: str = "SHA1",
        super_digest: str | None = None,
        ensemble_names: frozenset[str] | None = None,
        max_expansion: int = 0xFFFFF,
    ) -> None:
        """*max_expansion* bounds the characters that ``auth`` entries of one list may become."""
        self._skip_acl = skip_acl
        self._digest_enabled = digest_enabled
        self._digest_alg = digest_alg.replace("-", "").lower()
        self._super_digest = super_digest
        self._ensembles = ensemble_names
        self._max_expansion = max_expansion
        if digest_enabled:
            self.digest_id(b"probe:probe")  # an unknown algorithm has to fail now, not at the first client

    # -- permissions ---------------------------------------------------------------------------------------

    def allows(self, acl: Acl, perms: int, identities: Identities) -> bool:
        """Whether one of *identities* has one of the permission bits *perms* by *acl*."""
        if acl.world & perms or self._skip_acl:
            return True
        for identity in identities:
            if identity[0] == "super":
                return True
        if len(identities) > _FEW:
            # Both lists can be long: their product must not decide how long this takes.
            named = {ident for bits, scheme, ident in acl.entries if scheme == "digest" and bits & perms}
            if self._digest_enabled and any(s == "digest" and i in named for s, i in identities):
                return True
            identities = tuple([own for own in identities if own[0] == "ip"])
        for granted, scheme, ident in acl.entries:
            if not granted & perms:
                continue
            for own_scheme, own in identities:
                if own_scheme == scheme and self._matches(scheme, own, ident):
                    return True
        return False

    def _matches(self, scheme: str, own: str, wanted: str) -> bool:
        if scheme == "ip":
            return addresses.matches(wanted, own)
        return scheme == "digest" and self._digest_enabled and own == wanted

    def fix(
        self, entries: tuple[tuple[int, str | None, str | None], ...] | None, identities: Identities
    ) -> tuple[AclEntry, ...]:
        """The list to store for a list that a client sent.

        Exact duplicates go; ``auth`` entries become one entry per authenticated identity of the client.

        Raises:
            InvalidAclError: empty list, unknown scheme, unacceptable id, ``auth`` without an identity.
            MarshallingError: a null id where text is needed.
        """
        if entries == OPEN_ACLS:
            return _OPEN
        if not entries:
            raise InvalidAclError("the ACL list is empty")
        fixed: list[AclEntry] = []
        expansion = 0
        for perms, scheme, ident in dict.fromkeys(entries):
            if scheme is None:
                raise InvalidAclError("an ACL entry has no scheme")
            if scheme == "world" and ident is None:
                raise MarshallingError("an ACL id is null")
            if scheme == "world" and ident == "anyone":
                fixed.append((perms, scheme, ident))
            elif scheme == "auth":
                own = [(perms, s, i) for s, i in identities if s == "digest"]
                if not own:
                    raise InvalidAclError("the client has not authenticated")
                expansion += sum(len(i) + 18 for _, _, i in own)
                if expansion > self._max_expansion:
                    raise InvalidAclError("the ACL list becomes too long")
                fixed += own
            elif self._acceptable(scheme, ident):
                assert ident is not None
                fixed.append((perms, scheme, ident))
            else:
                raise InvalidAclError(f"the id {ident!r} of scheme {scheme!r} is not acceptable")
        return tuple(fixed)

    def _acceptable(self, scheme: str, ident: str | None) -> bool:
        if scheme == "ensemble" and self._ensembles is not None:
            return False
        if scheme not in ("ip", "digest") or (scheme == "digest" and not self._digest_enabled):
            return False
        if ident is None:
            raise MarshallingError("an ACL id is null")
        if scheme == "ip":
            return addresses.parse_prefix(ident) is not None
        return len(ident.rstrip(":").split(":")) == 2

    def shown(self, acl: Acl, identities: Identities) -> bytes:
        """The encoded list as getACL shows it: digests are masked for those without ADMIN."""
        if self.allows(acl, ADMIN, identities):
            return acl.encoded
        masked = tuple(
            (perms, scheme, ident.split(":", 1)[0] + ":x" if scheme == "digest" and ":" in ident else ident)
            for perms, scheme, ident in acl.entries
        )
        if masked == acl.entries:
            return acl.encoded
        return Acl(masked, 0).encoded

    def user_of(self, scheme: str, ident: str) -> str:
        """What whoAmI shows of an identity; empty for a scheme without a provider."""
        if scheme == "digest":
            return ident.split(":", 1)[0]
        return ident if scheme == "ip" else ""

    # -- authentication ------------------------------------------------------------------------------------

    def offers(self, scheme: str) -> bool:
        """Whether auth packets of *scheme* have a provider."""
        return scheme == "ip" or (scheme == "digest" and self._digest_enabled)

    def authenticate(
        self, scheme: str | None, credentials: bytes | None, peer: str, identities: Identities
    ) -> Identities:
        """The identities of a connection after an auth packet.

        Raises:
            Refused: no provider for the scheme, or it does not accept the credentials.
            Disconnected: the client means another ensemble.
        """
        if scheme == "ip":
            return add_identities(identities, ("ip", peer))
        if scheme == "digest" and self._digest_enabled:
            if credentials is None:
                raise Refused("no credentials")
            ident = self.digest_id(credentials)
            if ident == self._super_digest:
                identities = add_identities(identities, SUPER)
            if len(identities) >= MAX_IDENTITIES and ("digest", ident) not in identities:
                raise Refused("the connection has too many identities")
            return add_identities(identities, ("digest", ident))
        if scheme == "ensemble" and self._ensembles is not None:
            name = (credentials or b"").decode("utf-8", "replace")
            if name and self._ensembles and name not in self._ensembles:
                raise Disconnected(f"the client expects ensemble {name!r}")
            return identities
        raise Refused(f"no provider for scheme {scheme!r}")

    def digest_id(self, credentials: bytes) -> str:
        """``user:hash`` for ``user:password``; everything is the user when there is no colon."""
        from base64 import b64encode
        from hashlib import new

        text = decode_text(credentials)  # what does not decode is hashed as it was replaced
        user = text.split(":", 1)[0]
        hashed = new(self._digest_alg, text.encode(), usedforsecurity=False).digest()
        return f"{user}:{b64encode(hashed).decode()}"


def add_identities(identities: Identities, *added: tuple[str, str]) -> Identities:
    """The set of identities with *added*, in the order in which a Java server would list it."""
    found = list(dict.fromkeys((*identities, *added)))
    if len(found) == 1 or len(found) > _ORDERED:
        return tuple(found)
    size = SMALLEST_TABLE
    while len(found) * 4 >= size * 3:  # unlike other tables this kind grows when it is just full enough
        size *= 2
    return tuple(in_table(found, size, _identity_hash))


@lru_cache(maxsize=1024)
def _identity_hash(identity: tuple[str, str]) -> int:
    scheme, ident = identity
    return (37 * (37 * 17 + string_hash(scheme)) + string_hash(ident)) & 0xFFFFFFFF
