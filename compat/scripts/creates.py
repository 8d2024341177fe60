"""create in all its forms: replies, flags, TTLs, the order of its checks, sequence numbers."""

from __future__ import annotations

from compat.scripts.registry import (
    BAD_ARGUMENTS,
    EXISTS_ALREADY,
    INVALID_ACL,
    NO_AUTH,
    NO_CHILDREN,
    NO_NODE,
    UNIMPLEMENTED,
    in_group,
    main,
)
from compat.wire import (
    CHECK,
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    GET_CHILDREN2,
    MULTI,
    READ_ONLY,
    Acl,
    Script,
    create_body,
    i32,
    multi_body,
    read_body,
    text,
)


@main
def create_replies_by_opcode(s: Script) -> None:
    a = s.session()
    a.create(s / "1", op=CREATE, err=0)
    a.create(s / "2", op=CREATE2, err=0)
    a.create(s / "3", op=CREATE_CONTAINER, flags=4, err=0)
    a.create(s / "4", op=CREATE_TTL, flags=5, ttl=5000, err=0)
    a.create(s / "5", op=CREATE_TTL, flags=6, ttl=5000, err=0)
    for name in ("1", "2", "3", "4"):
        a.get(s / name)


@main
def create_flags_by_opcode(s: Script) -> None:
    a = s.session()
    for op in (CREATE, CREATE2, CREATE_CONTAINER):
        for flags in (-1, 0, 1, 2, 3, 4, 5, 6, 7, 100):
            a.create(s / f"n{op}f{flags}", op=op, flags=flags)
            a.exists(s / f"n{op}f{flags}")
    a.children(s.root)


@main
def ttl_values(s: Script) -> None:
    a = s.session()
    for flags in (5, 6):
        for ttl in (-2, -1, 0, 1, 1099511627775, 1099511627776, 1 << 62):
            a.create(s / f"t{flags}.{ttl}", op=CREATE_TTL, flags=flags, ttl=ttl)
    for flags in (-1, 0, 1, 2, 3, 4, 7):
        a.create(s / f"p{flags}", op=CREATE_TTL, flags=flags, ttl=1000)
        a.create(s / f"z{flags}", op=CREATE_TTL, flags=flags, ttl=0)
    a.children(s.root)


@in_group("plain")
def ttl_znodes_need_extended_types(s: Script) -> None:
    a = s.session()
    for op, ttl in ((CREATE_TTL, 1000), (CREATE_TTL, -5), (CREATE, None), (CREATE_CONTAINER, None)):
        for flags in (5, 6):
            a.create(s / "t", op=op, flags=flags, ttl=ttl, err=UNIMPLEMENTED)
    a.create(None, op=CREATE_TTL, flags=5, ttl=1000)
    a.create(s / "t", acl=None, op=CREATE_TTL, flags=5, ttl=1000)
    a.create(s / "t", op=CREATE_TTL, flags=7, ttl=1000, err=BAD_ARGUMENTS)
    a.create(s / "t", op=CREATE_TTL, flags=0, ttl=1000, err=BAD_ARGUMENTS)
    a.create(s / "c", op=CREATE_CONTAINER, flags=4, err=0)
    a.call(MULTI, multi_body([(CREATE_TTL, create_body(s / "t", flags=5, ttl=1000))]))
    a.call(MULTI, multi_body([(CREATE, create_body(s / "t", flags=5))]))
    a.ping()


@main
def create_checks_in_this_order(s: Script) -> None:
    a = s.session()
    bad: Acl = [(31, "nobody", "x")]
    a.create("bad", flags=9, err=BAD_ARGUMENTS)
    a.create("bad", acl=bad, err=BAD_ARGUMENTS)
    a.create(s / "no/x", acl=bad, err=INVALID_ACL)
    a.create(s / "no/\x01", err=NO_NODE)
    a.create(s / "no/.", err=NO_NODE)
    a.create(s / "locked", acl=READ_ONLY, err=0)
    a.create(s / "locked/.", err=NO_AUTH)
    a.create(s / "locked/x", err=NO_AUTH)
    a.create(s / "e", flags=1, err=0)
    a.create(s / "e/.", err=BAD_ARGUMENTS)
    a.create(s / "e/x", err=NO_CHILDREN)
    a.create(s / "e/x", flags=1, err=NO_CHILDREN)
    a.create(s / "e/x", flags=2, err=NO_CHILDREN)
    a.create(s / "e", err=EXISTS_ALREADY)
    a.create(s / "e", acl=bad, err=INVALID_ACL)
    a.create(s / "k", flags=4, op=CREATE_CONTAINER, err=0)
    a.create(s / "k/x", flags=1, err=0)
    a.create(s / "t", flags=5, op=CREATE_TTL, ttl=60000, err=0)
    a.create(s / "t/x", flags=1, err=0)


@main
def sequence_numbers_count_creations(s: Script) -> None:
    a = s.session()
    a.create(s / "q", err=0)
    base = s / "q"
    a.create(f"{base}/a-", flags=2)
    a.create(f"{base}/plain")
    a.create(f"{base}/b-", flags=3)
    a.create(f"{base}/", flags=2)
    a.delete(f"{base}/plain")
    a.create(f"{base}/plain/x", err=NO_NODE)
    a.create(f"{base}/b-", flags=2)
    a.create(f"{base}/t-", flags=6, op=CREATE_TTL, ttl=100000)
    a.create(f"{base}/k-", flags=2, op=CREATE_CONTAINER)
    a.multi((CREATE, create_body(f"{base}/m-", flags=2)), (CREATE2, create_body(f"{base}/m-", flags=2)))
    a.multi((CREATE, create_body(f"{base}/m-", flags=2)), (DELETE, text(f"{base}/none") + i32(-1)))
    a.create(f"{base}/z-", flags=2)
    a.children(base)


@main
def pipelined_sequences_are_exact(s: Script) -> None:
    a = s.session()
    a.send(
        (CREATE, create_body(s / "q")),
        *[(CREATE, create_body(s / "q/n-", flags=2)) for _ in range(10)],
        (MULTI, multi_body([(CREATE, create_body(s / "q/m-", flags=2)), (CHECK, text(s / "no") + i32(-1))])),
        (CREATE, create_body(s / "q/n-", flags=2)),
        (DELETE, text(s / "q/n-0000000003") + i32(-1)),
        (CREATE2, create_body(s / "q/n-", flags=3)),
        (GET_CHILDREN2, read_body(s / "q")),
        (DELETE, text(s / "q") + i32(-1)),
    )
    a.receive_all(17)
