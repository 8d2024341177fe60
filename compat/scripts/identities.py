"""Identities and ACLs: auth packets, schemes, permissions."""

from __future__ import annotations

from compat.scripts.registry import INVALID_ACL, NO_AUTH, in_group, main
from compat.wire import (
    AUTH,
    CHECK,
    CLOSE_SESSION,
    CREATE,
    GET_ALL_CHILDREN_NUMBER,
    GET_DATA,
    MULTI,
    OPEN,
    PING,
    SASL,
    SET_WATCHES,
    WHO_AM_I,
    Acl,
    Script,
    create_body,
    i32,
    i64,
    multi_body,
    read_body,
    text,
    texts,
)


@main
def acl_lists_are_fixed_up(s: Script) -> None:
    a = s.session()
    lists: list[Acl] = [
        None,
        [],
        [(31, "world", "anyone")],
        [(31, "world", "anyone"), (31, "world", "anyone")],
        [(31, "world", "anyone"), (1, "world", "anyone"), (31, "world", "anyone")],
        [(0, "world", "anyone")],
        [(0x7FFFFFFF, "world", "anyone")],
        [(-1, "world", "anyone")],
        [(31, "world", "someone")],
        [(31, "world", None)],
        [(31, None, "anyone")],
        [(31, None, None)],
        [(31, "", "")],
        [(31, "auth", "")],
        [(31, "auth", None)],
        [(31, "super", "")],
        [(31, "sasl", "bob")],
        [(31, "x509", "CN=a")],
        [(31, "digest", None)],
        [(31, "digest", "")],
        [(31, "digest", "a")],
        [(31, "digest", "a:")],
        [(31, "digest", ":b")],
        [(31, "digest", ":")],
        [(31, "digest", "::b")],
        [(31, "digest", "a:b")],
        [(31, "digest", "a:b:")],
        [(31, "digest", "a:b::")],
        [(31, "digest", "a:b:c")],
        [(31, "digest", "a:\U0001f600")],
        [(31, "digest", b"a:\xff")],
        [(31, "ip", None)],
        [(31, "Digest", "a:b")],
        [(31, "world", "anyone"), (31, "nobody", "x")],
        [(31, "world", "anyone"), (31, "ip", None)],
    ]
    for n, acl in enumerate(lists):
        a.create(s / f"n{n}", acl=acl)
        a.get_acl(s / f"n{n}")
        a.call(MULTI, multi_body([(CREATE, create_body(s / f"m{n}", acl=acl))]))
    a.create(s / "x")
    for acl in lists:
        a.set_acl(s / "x", acl)


IP_IDS = [
    "127.0.0.1",
    "127.0.0.1/32",
    "127.0.0.0/8",
    "127.0.0.1/0",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "127.0.0.1/33",
    "127.0.0.1/-1",
    "127.0.0.1/",
    "127.0.0.1/x",
    "127.0.0.1/8/8",
    "127.0.0",
    "127.0.0.256",
    "127.0.0.01",
    "127.0.0.1.",
    ".127.0.0.1",
    "127..0.1",
    " 127.0.0.1",
    "127.0.0.+1",
    "127.0.0.-1",
    "localhost",
    "",
    "/8",
    "::1",
    "::",
    "::/0",
    "::1/128",
    "::1/129",
    "fe80::1%1",
    "1::2::3",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "12345::",
    "g::1",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1::2:3:4:5:6:7:8",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    ":::",
    "127.0.0.1/08",
    "127.0.0.1/+8",
    "127.0.0.1/31",
    "127.0.0.0/31",
    "126.0.0.0/7",
    "128.0.0.0/1",
    "0::0",
    "+1::",
    "-1::",
    "1:2:3:4:5:6:7:8/64",
    "/",
    "1/2",
    "127.0.0.1/ 8",
    "+1234::",
    "-0::",
    "::-fff",
    "::+-1",
    "1:2:3:4:5:6::8",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "::1:2:3:4:5:6:7",
    "1::3:4:5:6:7:8",
    "+127.0.0.1",
    "127.0.0.1/+0",
    "127.0.0.-0",
    "::1/",
    "::1/+8",
    "::g/8",
    "0127.0.0.1",
    "127.0.0.1000",
    "127.1",
    ":",
    "1:",
    "::1:",
]


@main
def ip_acls(s: Script) -> None:
    a = s.session()
    for n, ident in enumerate(IP_IDS):
        a.create(s / f"n{n}", acl=[(31, "ip", ident)])
        a.get(s / f"n{n}")


@main
def auth_packets_by_scheme(s: Script) -> None:
    packets: list[tuple[str | None, str | bytes | None]] = [
        ("digest", "u:p"),
        ("digest", ""),
        ("digest", "nocolon"),
        ("digest", ":"),
        ("digest", "u:p:q"),
        ("digest", b"\xff:\xfe"),
        ("digest", None),
        ("ip", "x"),
        ("ip", None),
        ("world", "anyone"),
        ("auth", ""),
        ("super", "x"),
        ("sasl", "x"),
        ("x509", "x"),
        ("nobody", "x"),
        ("", ""),
        (None, b""),
        ("Digest", "u:p"),
        ("ensemble", "x"),
    ]
    for n, (scheme, credentials) in enumerate(packets):
        a = s.session(f"a{n}")
        reply = a.auth(scheme, credentials)
        if reply.err:
            a.until_end()
        else:
            a.call(WHO_AM_I)
            a.create(s / f"n{n}", acl=[(31, "auth", "")])
            a.get_acl(s / f"n{n}")


@main
def auth_packets_take_any_xid_and_type(s: Script) -> None:
    a = s.session()
    for xid in (-4, 5, 0, -1):
        a.call(AUTH, i32(5) + text("digest") + text("u:p"), xid=xid, err=0)
    a.call(WHO_AM_I)


@main
def auth_packets_that_do_not_decode_close_the_connection(s: Script) -> None:
    for n, body in enumerate((b"", i32(0), i32(0) + text("digest"), i32(0) + text("digest") + i32(9))):
        a = s.session(f"a{n}")
        a.send((AUTH, body))
        a.until_end()


@main
def identities_accumulate_and_end_with_the_connection(s: Script) -> None:
    a = s.session()
    a.call(WHO_AM_I)
    a.auth("digest", "u:p", err=0)
    a.create(s / "one", acl=[(31, "auth", "ignored"), (1, "auth", ""), (31, "auth", "")])
    a.get_acl(s / "one")
    for credentials in ("u:p", "v:q", "u:other", "super:secret"):
        a.auth("digest", credentials, err=0)
        a.call(WHO_AM_I)
    again = s.session("again", session=a.id, password=a.password)
    again.call(WHO_AM_I)
    again.get(s / "one", err=NO_AUTH)


@main
def the_super_user_passes_every_check(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "none", acl=[(0, "world", "anyone")])
    b.get(s / "none", err=NO_AUTH)
    b.set_acl(s / "none", OPEN, err=NO_AUTH)
    b.create(s / "none/c", err=NO_AUTH)
    a.auth("digest", "super:secret")
    a.get(s / "none", err=0)
    a.create(s / "none/c", err=0)
    a.set(s / "none", b"x", err=0)
    a.set_acl(s / "none", [(1, "auth", "")], err=0)
    a.get_acl(s / "none")
    b.get_acl(s / "none", err=NO_AUTH)
    a.delete(s / "none/c", err=0)
    a.create(s / "s", acl=[(31, "super", "")], err=INVALID_ACL)


@main
def each_permission_guards_its_operations(s: Script) -> None:
    a = s.session()
    for perms in (1, 2, 4, 8, 16):
        path = s / f"p{perms}"
        a.create(path)
        a.create(path + "/old")
        a.set_acl(path, [(perms, "world", "anyone")])
        a.exists(path)
        a.get(path)
        a.children(path)
        a.get_acl(path)
        a.call(GET_ALL_CHILDREN_NUMBER, text(path))
        a.set(path, b"x")
        a.create(path + "/new")
        a.delete(path + "/old")
        a.multi((CHECK, text(path) + i32(-1)))
        a.set_acl(path, [(perms, "world", "anyone")])


@main
def sasl_without_a_configuration(s: Script) -> None:
    a = s.session()
    a.call(SASL, text(b"token"))
    a.call(SASL, text(b""))
    a.ping()
    a.send((SASL, text(None)))
    a.until_end()
    b = s.session("b")
    b.send((SASL, b""))
    b.until_end()


@in_group("enforced")
def enforced_authentication_rejects_everything_else(s: Script) -> None:
    for n, (op, body) in enumerate(
        (
            (PING, b""),
            (CLOSE_SESSION, b""),
            (GET_DATA, read_body("/")),
            (CREATE, create_body(s / "x")),
            (SET_WATCHES, i64(0) + texts([]) * 3),
            (99, b""),
        )
    ):
        a = s.session(f"a{n}")
        a.send((op, body), xid=n)
        a.until_end()
    b = s.session("b")
    b.auth("ip", b"")
    b.auth("digest", "u:p")
    b.create(s / "x")
    b.close()


@in_group("no_acl")
def skip_acl_allows_everything_but_bad_lists(s: Script) -> None:
    a = s.session()
    a.create(s / "x", acl=[(0, "world", "anyone")], err=0)
    a.get(s / "x", err=0)
    a.set(s / "x", b"1", err=0)
    a.create(s / "x/c", err=0)
    a.create(s / "y", acl=[], err=INVALID_ACL)
    a.create(s / "z", acl=[(31, "digest", "a:b")], err=0)
    a.get_acl(s / "z")
    a.set("/zookeeper/config", b"mine")
    a.get("/zookeeper/config")
