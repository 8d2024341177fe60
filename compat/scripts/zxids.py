"""Which requests consume a zxid: failed writes do, bodies that do not decode mostly do not."""

from __future__ import annotations

from compat.scripts.registry import (
    BAD_ARGUMENTS,
    BAD_VERSION,
    EXISTS_ALREADY,
    INVALID_ACL,
    MARSHALLING,
    NO_NODE,
    fresh,
    main,
)
from compat.wire import (
    ADD_WATCH,
    CHECK_WATCHES,
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    EXISTS,
    GET_ACL,
    GET_ALL_CHILDREN_NUMBER,
    GET_CHILDREN,
    GET_CHILDREN2,
    GET_DATA,
    GET_EPHEMERALS,
    MULTI,
    MULTI_READ,
    OPEN,
    PING,
    RECONFIG,
    REMOVE_WATCHES,
    SET_ACL,
    SET_DATA,
    SET_WATCHES,
    SET_WATCHES2,
    SYNC,
    WHO_AM_I,
    Script,
    create_body,
    i32,
    multi_body,
    read_body,
    text,
)


@main
@fresh
def a_fresh_server_shows_these_built_in_znodes(s: Script) -> None:
    a = s.session()
    for path in ("/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
        a.get(path)
        a.children(path)
        a.get_acl(path)


@main
def every_failed_write_consumes_a_zxid(s: Script) -> None:
    a = s.session()
    a.create(s / "x", err=0)
    a.create(s / "x", err=EXISTS_ALREADY)
    a.create(s / "no/x", err=NO_NODE)
    a.delete(s / "no", err=NO_NODE)
    a.set(s / "no", b"", err=NO_NODE)
    a.set(s / "x", b"", version=7, err=BAD_VERSION)
    a.set_acl(s / "no", OPEN, err=NO_NODE)
    a.create("relative", err=BAD_ARGUMENTS)
    a.create(s / "y", acl=[], err=INVALID_ACL)
    a.create(s / "y", flags=7, err=BAD_ARGUMENTS)
    a.ping()


@main
def null_paths_of_writes(s: Script) -> None:
    a = s.session()
    a.create(None, op=CREATE)
    a.create(None)
    a.create(None, op=CREATE_CONTAINER, flags=4)
    a.create(None, op=CREATE_TTL, flags=5, ttl=1000)
    a.create(None, flags=9)
    a.create(None, acl=[])
    a.create(None, acl=None)
    a.delete(None)
    a.set(None, b"")
    a.set_acl(None, OPEN)
    a.set_acl(None, [])
    a.ping()


@main
def bodies_that_do_not_decode_consume_nothing_but_multis_do(s: Script) -> None:
    a = s.session()
    for op in (CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL, DELETE, SET_DATA, SET_ACL, MULTI, RECONFIG):
        for body in (b"", b"\0", i32(5), i32(-2), i32(3) + b"/a", i32(0x7FFFFFFF) + b"/a"):
            a.call(op, body)
        a.ping()
    full = create_body(s / "cut", b"data")
    for size in range(len(full)):
        a.call(CREATE, full[:size], err=MARSHALLING)
    a.ping()
    a.exists(s / "cut", err=NO_NODE)
    for count in (2, 3, 1 << 20, -2):
        a.call(
            CREATE,
            text(s / "counts") + text(b"") + i32(count) + i32(31) + text("world") + text("anyone") + i32(0),
        )
    a.ping()


@main
def bodies_of_reads_that_do_not_decode(s: Script) -> None:
    a = s.session()
    ops = [EXISTS, GET_DATA, GET_ACL, GET_CHILDREN, SYNC, GET_CHILDREN2, CHECK_WATCHES, REMOVE_WATCHES]
    ops += [MULTI_READ, SET_WATCHES, SET_WATCHES2, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, ADD_WATCH]
    for op in ops:
        for body in (b"", b"\0", i32(5), i32(-2), i32(3) + b"/a", text("/zookeeper")[:-1], i32(0x7FFFFFFF)):
            a.call(op, body)
    a.call(PING, b"junk")
    a.call(WHO_AM_I, b"junk")


@main
def trailing_bytes_are_ignored(s: Script) -> None:
    a = s.session()
    a.call(CREATE, create_body(s / "t", b"d") + b"more", err=0)
    a.call(GET_DATA, read_body(s / "t") + b"more", err=0)
    a.call(EXISTS, read_body(s / "t") + b"more", err=0)
    a.call(GET_CHILDREN2, read_body(s / "t") + b"more", err=0)
    a.call(GET_CHILDREN, read_body(s / "t") + b"more", err=0)
    a.call(SET_DATA, text(s / "t") + text(b"e") + i32(-1) + b"more", err=0)
    a.call(MULTI, multi_body([(SET_DATA, text(s / "t") + text(b"f") + i32(-1))]) + b"more", err=0)
    a.call(SYNC, text(s / "t") + b"more", err=0)
    a.call(DELETE, text(s / "t") + i32(-1) + b"more", err=0)


@main
def reads_and_watches_consume_nothing(s: Script) -> None:
    a = s.session()
    for _ in range(2):
        a.get(s.root, 1)
        a.exists(s / "no", 1, err=NO_NODE)
        a.children(s.root, 1)
        a.call(SYNC, text("/"))
        a.call(WHO_AM_I)
        a.add_watch(s.root, 1)
        a.call(GET_EPHEMERALS, text("/"))
        a.call(GET_ALL_CHILDREN_NUMBER, text(s.root))
        a.ping()
