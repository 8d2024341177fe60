"""Schemes, the permission decision, and the fix-up of ACL lists."""

from __future__ import annotations

import pytest

from zkpy.auth.access import SUPER, Access, Disconnected, Refused, add_identities
from zkpy.errors import InvalidAclError, MarshallingError
from zkpy.jute.archive import acls
from zkpy.tree.acl import ADMIN, ALL, READ, WRITE, Acl, AclEntry

HOME = (("ip", "127.0.0.1"),)
ALICE = "alice:hash"


def acl(*entries: AclEntry) -> Acl:
    return Acl(entries, 0)


def test_world_entries_hold_for_everyone() -> None:
    access = Access()
    readable = acl((READ, "world", "anyone"))
    assert access.allows(readable, READ, ())
    assert not access.allows(readable, WRITE, HOME)
    assert access.allows(readable, READ | WRITE, HOME)  # one of the bits is enough


def test_an_empty_list_allows_everything() -> None:
    assert Access().allows(acl(), ALL, ())


def test_digest_entries_are_compared_as_text() -> None:
    access = Access()
    entries = acl((WRITE, "digest", ALICE))
    assert access.allows(entries, WRITE, (*HOME, ("digest", ALICE)))
    assert not access.allows(entries, WRITE, (*HOME, ("digest", "alice:other")))
    assert not access.allows(entries, READ, (*HOME, ("digest", ALICE)))
    assert not Access(digest_enabled=False).allows(entries, WRITE, (("digest", ALICE),))


def test_ip_entries_are_prefixes() -> None:
    access = Access()
    assert access.allows(acl((READ, "ip", "127.0.0.0/8")), READ, HOME)
    assert not access.allows(acl((READ, "ip", "10.0.0.0/8")), READ, HOME)


def test_entries_of_schemes_without_a_provider_match_nobody() -> None:
    assert not Access().allows(acl((READ, "sasl", "bob")), READ, (("sasl", "bob"),))


def test_super_and_skip_acl_pass_every_check() -> None:
    nobody = acl((READ, "digest", ALICE))
    assert Access().allows(nobody, ALL, (*HOME, SUPER))
    assert Access(skip_acl=True).allows(nobody, ALL, ())


def test_fixing_drops_duplicates_and_keeps_the_order() -> None:
    entries = (
        (ALL, "world", "anyone"),
        (READ, "ip", "::1"),
        (ALL, "world", "anyone"),
        (READ, "world", "anyone"),
    )
    assert Access().fix(entries, HOME) == (entries[0], entries[1], entries[3])


def test_auth_becomes_an_entry_per_authenticated_identity() -> None:
    identities = (*HOME, SUPER, ("digest", "a:x"), ("digest", "b:y"))
    fixed = Access().fix(((READ, "auth", "whatever"), (READ, "digest", "a:x")), identities)
    assert fixed == ((READ, "digest", "a:x"), (READ, "digest", "b:y"), (READ, "digest", "a:x"))


@pytest.mark.parametrize(
    "entries",
    [
        None,
        (),
        ((ALL, None, "anyone"),),
        ((ALL, "world", "someone"),),
        ((ALL, "auth", ""),),
        ((ALL, "super", ""),),
        ((ALL, "sasl", "bob"),),
        ((ALL, "ensemble", "mine"),),
        ((ALL, "", ""),),
        ((ALL, "digest", "alice"),),
        ((ALL, "digest", "alice:"),),
        ((ALL, "digest", "a:b:c"),),
        ((ALL, "ip", "nowhere"),),
        ((ALL, "world", "anyone"), (ALL, "nobody", "x")),
    ],
)
def test_lists_that_cannot_be_used_are_invalid(
    entries: tuple[tuple[int, str | None, str | None], ...] | None,
) -> None:
    for access in (Access(), Access(ensemble_names=frozenset(["mine"])), Access(digest_enabled=False)):
        with pytest.raises(InvalidAclError):
            access.fix(entries, HOME)


@pytest.mark.parametrize("scheme", ["world", "digest", "ip"])
def test_a_null_id_does_not_decode(scheme: str) -> None:
    with pytest.raises(MarshallingError):
        Access().fix(((ALL, scheme, None),), HOME)


@pytest.mark.parametrize("ident", ["a:b", ":b", "a:b:", "a:b::"])
def test_digest_ids_have_two_parts(ident: str) -> None:
    assert Access().fix(((ALL, "digest", ident),), HOME) == ((ALL, "digest", ident),)


def test_hashes_are_shown_with_admin_only() -> None:
    access = Access()
    entries = ((READ, "world", "anyone"), (ADMIN, "digest", ALICE), (READ, "digest", "plain"))
    shown = access.shown(acl(*entries), HOME)
    assert shown == acls((entries[0], (ADMIN, "digest", "alice:x"), entries[2]))
    assert access.shown(acl(*entries), (("digest", ALICE),)) == acls(entries)
    assert access.shown(acl(entries[0]), HOME) == acls((entries[0],))


def test_digest_identities_are_hashed_credentials() -> None:
    access = Access()
    assert access.digest_id(b"u:p") == "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="
    assert access.digest_id(b"super:secret") == "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
    assert access.digest_id(b"nocolon").startswith("nocolon:")
    assert access.digest_id(b"\xff:\xfe") == access.digest_id("\ufffd:\ufffd".encode())


def test_an_unknown_hash_fails_at_construction() -> None:
    with pytest.raises(ValueError, match="unsupported"):
        Access(digest_alg="NOPE-1")
    assert Access(digest_alg="SHA-256").digest_id(b"a:b") != Access().digest_id(b"a:b")


def test_auth_packets_add_identities_once() -> None:
    access = Access(super_digest="super:lK75jTNcA+U9vtVEw5vB51mj/w4=")
    once = access.authenticate("digest", b"u:p", "127.0.0.1", HOME)
    assert once == (*HOME, ("digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="))
    assert access.authenticate("digest", b"u:p", "127.0.0.1", once) == once
    assert access.authenticate("ip", None, "127.0.0.1", once) == once
    assert SUPER in access.authenticate("digest", b"super:secret", "127.0.0.1", once)
    assert SUPER not in once


@pytest.mark.parametrize("scheme", ["world", "auth", "super", "sasl", "x509", "ensemble", "", None, "nobody"])
def test_schemes_without_a_provider_refuse(scheme: str | None) -> None:
    with pytest.raises(Refused):
        Access().authenticate(scheme, b"x", "127.0.0.1", HOME)


def test_digest_refuses_null_and_may_be_switched_off() -> None:
    with pytest.raises(Refused):
        Access().authenticate("digest", None, "127.0.0.1", HOME)
    off = Access(digest_enabled=False)
    assert not off.offers("digest") and off.offers("ip")
    with pytest.raises(Refused):
        off.authenticate("digest", b"u:p", "127.0.0.1", HOME)


def test_a_client_of_another_ensemble_is_disconnected() -> None:
    access = Access(ensemble_names=frozenset(["mine"]))
    for name in (b"mine", b"", None):
        assert access.authenticate("ensemble", name, "127.0.0.1", HOME) == HOME
    with pytest.raises(Disconnected):
        access.authenticate("ensemble", b"yours", "127.0.0.1", HOME)
    assert Access(ensemble_names=frozenset()).authenticate("ensemble", b"any", "127.0.0.1", HOME) == HOME


def test_who_am_i_shows_no_hash() -> None:
    access = Access()
    assert access.user_of("digest", ALICE) == "alice"
    assert access.user_of("ip", "1.2.3.4") == "1.2.3.4"
    assert access.user_of("super", "") == ""


def test_identities_are_in_the_order_of_a_java_hash_table() -> None:
    """As 3.9.5 expanded an ``auth`` entry."""
    first, second = ("digest", "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0="), ("digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=")
    assert add_identities((), second, first) == (first, second)
    assert add_identities(add_identities((), first), second) == (first, second)


def test_identities_are_a_set_however_many() -> None:
    many = [("digest", f"u{n}:x") for n in range(400)]
    found = add_identities(HOME, *many, *many, HOME[0])
    assert len(found) == 401 and set(found) == {*HOME, *many}
