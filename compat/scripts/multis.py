"""multi: results, failures, odd operations, and what a failed one gives back."""

from __future__ import annotations

from compat.scripts.registry import MARSHALLING, NO_NODE, main
from compat.wire import (
    CHECK,
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    DELETE_CONTAINER,
    EXISTS,
    GET_CHILDREN,
    GET_DATA,
    MULTI,
    MULTI_READ,
    PING,
    READ_ONLY,
    RECONFIG,
    SET_ACL,
    SET_DATA,
    Script,
    create_body,
    header,
    i32,
    multi_body,
    read_body,
    text,
)


@main
def multi_results_of_every_kind(s: Script) -> None:
    a = s.session()
    a.multi()
    a.multi(
        (CREATE, create_body(s / "1")),
        (CREATE2, create_body(s / "2", b"x", flags=1)),
        (CREATE_CONTAINER, create_body(s / "3", flags=4)),
        (CREATE_TTL, create_body(s / "4", flags=5, ttl=9999)),
        (SET_DATA, text(s / "1") + text(b"data") + i32(0)),
        (CHECK, text(s / "1") + i32(1)),
        (DELETE, text(s / "1") + i32(1)),
    )
    for name in ("1", "2", "3", "4"):
        a.exists(s / name)


@main
def multi_ops_see_each_other(s: Script) -> None:
    a = s.session()
    a.multi(
        (CREATE, create_body(s / "x")),
        (SET_DATA, text(s / "x") + text(b"1") + i32(0)),
        (SET_DATA, text(s / "x") + text(b"2") + i32(1)),
        (CHECK, text(s / "x") + i32(2)),
        (DELETE, text(s / "x") + i32(2)),
        (CREATE2, create_body(s / "x")),
        (CREATE2, create_body(s / "x/q", flags=2)),
        (CREATE2, create_body(s / "x/q", flags=2)),
    )
    a.get(s / "x")
    a.multi((CREATE, create_body(s / "e", flags=1)), (CREATE, create_body(s / "e/c")))
    a.multi(
        (CREATE, create_body(s / "locked", acl=READ_ONLY)),
        (CHECK, text(s / "locked") + i32(0)),
        (CREATE, create_body(s / "locked/c")),
    )
    a.multi(
        (CREATE, create_body(s / "d")), (CREATE, create_body(s / "d/c")), (DELETE, text(s / "d") + i32(-1))
    )
    a.children(s.root)


@main
def a_failed_multi_reports_each_op(s: Script) -> None:
    a = s.session()
    ok = (CREATE, create_body(s / "ok"))
    failing = [
        (CREATE, create_body(s.root)),
        (DELETE, text(s / "no") + i32(-1)),
        (SET_DATA, text(s.root) + text(b"") + i32(99)),
        (CHECK, text(s.root) + i32(99)),
        (CHECK, text(s / "no") + i32(-1)),
        (CREATE, create_body("rel")),
        (CREATE, create_body(s / "y", acl=[])),
        (CREATE_TTL, create_body(s / "y", flags=5, ttl=0)),
        (CREATE_TTL, create_body(s / "y", flags=9, ttl=5)),
    ]
    for bad in failing:
        a.multi(bad)
        a.multi(ok, ok, ok)
        a.multi(ok, bad, ok, bad)
    a.exists(s / "ok", err=NO_NODE)
    a.exists(s.root)


@main
def multi_kinds_are_normalised(s: Script) -> None:
    a = s.session()
    for type in (CREATE, CREATE2, CREATE_CONTAINER):
        for flags in range(-1, 8):
            name = s / f"n{type}.{flags}"
            a.call(MULTI, multi_body([(type, create_body(name, b"d", flags=flags))]))
            a.exists(name)
    for flags in range(-1, 8):
        for ttl in (1000, 0):
            name = s / f"t{flags}.{ttl}"
            if flags == 4:
                continue
            a.call(MULTI, multi_body([(CREATE_TTL, create_body(name, b"d", flags=flags, ttl=ttl))]))
            a.exists(name)
    a.children(s.root)


@main
def a_multi_create_ttl_with_the_container_flag(s: Script) -> None:
    a = s.session()
    a.call(MULTI, multi_body([(CREATE_TTL, create_body(s / "k", b"d", flags=4, ttl=1000))]))
    a.exists(s / "k")


@main
def multis_that_do_not_decode_consume_a_zxid(s: Script) -> None:
    a = s.session()
    for type in (SET_ACL, GET_DATA, GET_CHILDREN, EXISTS, DELETE_CONTAINER, RECONFIG, MULTI, 0, -1, 99, PING):
        a.call(MULTI, multi_body([(type, text(s.root) + i32(-1))]), err=MARSHALLING)
    a.call(MULTI, header(CREATE) + create_body(s / "x"), err=MARSHALLING)
    a.call(MULTI, multi_body([(CREATE, create_body(s / "x"))])[:-1], err=MARSHALLING)
    a.call(MULTI, multi_body([(CREATE, create_body(s / "x")), (GET_DATA, read_body(s / "x"))]))
    a.call(MULTI, header(CREATE, True))
    a.call(MULTI, header(-1, False) + header(-1, True))
    a.ping()


@main
def a_multi_with_a_null_acl_list_consumes_nothing(s: Script) -> None:
    a = s.session()
    for type in (CREATE, CREATE2, CREATE_CONTAINER):
        a.call(MULTI, multi_body([(type, create_body(s / "x", acl=None))]), err=MARSHALLING)
        a.call(MULTI, multi_body([(CREATE, create_body(s / "y")), (type, create_body(s / "x", acl=None))]))
    a.call(MULTI, multi_body([(CREATE_TTL, create_body(s / "x", acl=None, flags=5, ttl=10))]))
    a.call(
        MULTI,
        multi_body(
            [(CREATE, create_body(s / "x")), (CREATE_TTL, create_body(s / "x", acl=None, flags=5, ttl=10))]
        ),
    )
    a.call(MULTI, multi_body([(CREATE_TTL, create_body(s / "x", acl=None, flags=0, ttl=10))]))
    a.call(MULTI, multi_body([(CHECK, text(s / "no") + i32(1)), (CREATE, create_body(s / "x", acl=None))]))
    a.call(MULTI, multi_body([(CREATE, create_body("rel", acl=None))]))
    for flags in (1, 4, 5, 9, -1):
        a.call(MULTI, multi_body([(CREATE, create_body(s / "x", acl=None, flags=flags))]))
        a.call(MULTI, multi_body([(CREATE_CONTAINER, create_body(s / "x", acl=None, flags=flags))]))
    null_acl = (CREATE, create_body(s / "x", acl=None))
    a.call(MULTI, multi_body([null_acl, (SET_ACL, b"")]))
    a.call(MULTI, multi_body([null_acl, (GET_DATA, read_body("/"))]))
    a.call(MULTI, multi_body([(SET_ACL, b""), null_acl]))
    a.call(MULTI, multi_body([null_acl])[:-4])
    a.call(MULTI, multi_body([(CREATE, create_body(None, acl=None))]))
    a.call(MULTI, multi_body([(DELETE, text(None) + i32(-1)), null_acl]))
    a.call(MULTI_READ, multi_body([null_acl]))
    a.call(MULTI_READ, multi_body([(CREATE_TTL, create_body(s / "x", acl=None, flags=5, ttl=10))]))
    a.ping()
    a.create(s / "x")


@main
def multi_with_null_paths(s: Script) -> None:
    a = s.session()
    for op in (
        (CREATE, create_body(None)),
        (CREATE_TTL, create_body(None, flags=5, ttl=1000)),
        (DELETE, text(None) + i32(-1)),
        (SET_DATA, text(None) + text(b"") + i32(-1)),
        (CHECK, text(None) + i32(-1)),
    ):
        a.call(
            MULTI, multi_body([(CREATE, create_body(s / "before")), op, (CREATE, create_body(s / "after"))])
        )
    a.ping()
    a.children(s.root)


@main
def a_failed_multi_gives_everything_back_to_those_behind_it(s: Script) -> None:
    a = s.session()
    a.create(s / "p")
    a.send(
        (SET_DATA, text(s / "p") + text(b"1") + i32(0)),
        (
            MULTI,
            multi_body(
                [
                    (SET_DATA, text(s / "p") + text(b"2") + i32(1)),
                    (CREATE, create_body(s / "p/n-", flags=2)),
                    (DELETE, text(s / "p/n-0000000000") + i32(-1)),
                    (CHECK, text(s / "no") + i32(0)),
                ]
            ),
        ),
        (SET_DATA, text(s / "p") + text(b"3") + i32(1)),
        (CREATE, create_body(s / "p/n-", flags=2)),
        (DELETE, text(s / "p/n-0000000000") + i32(0)),
        (DELETE, text(s / "p") + i32(2)),
    )
    a.receive_all(6)
