"""multiRead: answers and partial bodies."""

from __future__ import annotations

from compat.scripts.registry import MARSHALLING, NO_WATCHER, fresh, main
from compat.wire import (
    CHECK,
    CHECK_WATCHES,
    CREATE,
    CREATE_TTL,
    DELETE,
    EXISTS,
    GET_ACL,
    GET_CHILDREN,
    GET_CHILDREN2,
    GET_DATA,
    MULTI_READ,
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
@fresh
def multi_read_answers_each_op(s: Script) -> None:
    a = s.session()
    a.create(s / "x", b"data")
    a.create(s / "x/c")
    a.create(s / "hidden", acl=[(30, "world", "anyone")])
    a.call(MULTI_READ, multi_body([]))
    ops = [(GET_DATA, read_body(s / name, 1)) for name in ("x", "no", "hidden", "x/c")]
    ops += [(GET_CHILDREN, read_body(s / name, 1)) for name in ("x", "no", "hidden", "x/c")]
    ops += [(GET_DATA, read_body("")), (GET_DATA, read_body("odd")), (GET_DATA, read_body("/zookeeper"))]
    del ops[-3]
    a.call(MULTI_READ, multi_body(ops), err=0)
    a.call(CHECK_WATCHES, text(s / "x") + i32(3), err=NO_WATCHER)


@main
def multi_read_breaks_off_with_a_partial_body(s: Script) -> None:
    a = s.session()
    good = (GET_DATA, read_body(s.root))
    a.call(MULTI_READ, multi_body([good, (GET_DATA, read_body(None)), good]), err=MARSHALLING)
    a.call(MULTI_READ, multi_body([good, (GET_CHILDREN, read_body(None)), good]), err=MARSHALLING)
    a.call(MULTI_READ, multi_body([(GET_DATA, read_body(None))]), err=MARSHALLING)
    for write in (
        (CREATE, create_body(s / "x")),
        (DELETE, text(s / "x") + i32(-1)),
        (SET_DATA, text(s / "x") + text(b"") + i32(-1)),
        (CHECK, text(s.root) + i32(-1)),
        (CREATE_TTL, create_body(s / "x", flags=5, ttl=10)),
    ):
        a.call(MULTI_READ, multi_body([write]), err=MARSHALLING)
        a.call(MULTI_READ, multi_body([good, write]))
        a.call(MULTI_READ, multi_body([write, good]))
    for type in (EXISTS, GET_CHILDREN2, GET_ACL, 99, -1):
        a.call(MULTI_READ, multi_body([(type, read_body(s.root))]))
        a.call(MULTI_READ, multi_body([good, (type, read_body(s.root))]))
    a.call(MULTI_READ, multi_body([good])[:-3])
    a.call(MULTI_READ, multi_body([(CREATE, create_body(s / "x", flags=5))]))
    a.call(MULTI_READ, multi_body([(CREATE, create_body(s / "x", flags=9))]))
    a.call(MULTI_READ, header(GET_DATA, True))
