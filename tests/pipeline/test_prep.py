"""Preparation: which check decides, what is consumed, and what is logged."""

from __future__ import annotations

import pytest

from compat.wire import (
    CHECK,
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    GET_DATA,
    MULTI,
    OPEN,
    READ_ONLY,
    RECONFIG,
    SET_ACL,
    SET_DATA,
    Acl,
    acls,
    create_body,
    header,
    i32,
    i64,
    multi_body,
    read_body,
    text,
)
from tests.harness import Peer, World, multi_results
from zkpy.tree.txns import Error, Multi, decode_payload
from zkpy.tree.znode import CONTAINER_OWNER, ttl_owner

MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS, INVALID_ACL, QUOTA = -5, -6, -8, -114, -125
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN, EXISTS, NOT_EMPTY = -101, -102, -103, -108, -110, -111
NOBODY: Acl = [(31, "nobody", "x")]


@pytest.fixture
def world() -> World:
    return World(extended_types_enabled=True, enforce_quota=True)


@pytest.fixture
def client(world: World) -> Peer:
    client = world.client()
    client.create("/a", b"1")
    client.create("/a/b")
    client.create("/e", flags=1)
    client.create("/locked", acl=READ_ONLY)
    return client


FAILING = [
    (CREATE, create_body("bad", flags=9), BAD_ARGUMENTS),
    (CREATE, create_body("bad", acl=NOBODY), BAD_ARGUMENTS),
    (CREATE, create_body("/no/x", acl=NOBODY), INVALID_ACL),
    (CREATE, create_body("/no/\1"), NO_NODE),
    (CREATE, create_body("/locked/."), NO_AUTH),
    (CREATE, create_body("/e/."), BAD_ARGUMENTS),
    (CREATE, create_body("/e/x"), NO_CHILDREN),
    (CREATE, create_body("/a", acl=None), INVALID_ACL),
    (CREATE, create_body("/a"), EXISTS),
    (CREATE, create_body(None), MARSHALLING),
    (CREATE2, create_body("/t", flags=5), BAD_ARGUMENTS),
    (CREATE_TTL, create_body("/t", flags=5, ttl=0), BAD_ARGUMENTS),
    (CREATE_TTL, create_body("/t", flags=0, ttl=-1), BAD_ARGUMENTS),
    (DELETE, text("/no/x") + i32(-1), NO_NODE),
    (DELETE, text("/locked/none") + i32(-1), NO_AUTH),
    (DELETE, text("/none") + i32(-1), NO_NODE),
    (DELETE, text("/a") + i32(7), BAD_VERSION),
    (DELETE, text("/a") + i32(0), NOT_EMPTY),
    (DELETE, text("/zookeeper") + i32(-1), BAD_ARGUMENTS),
    (DELETE, text("relative") + i32(-1), BAD_ARGUMENTS),
    (DELETE, text(None) + i32(-1), MARSHALLING),
    (SET_DATA, text(None) + text(b"") + i32(-1), BAD_ARGUMENTS),
    (SET_DATA, text("/none") + text(b"") + i32(9), NO_NODE),
    (SET_DATA, text("/locked") + text(b"") + i32(9), NO_AUTH),
    (SET_DATA, text("/a") + text(b"") + i32(9), BAD_VERSION),
    (SET_ACL, text("/none/") + acls([]) + i32(-1), BAD_ARGUMENTS),
    (SET_ACL, text("/none") + acls([]) + i32(-1), INVALID_ACL),
    (SET_ACL, text("/none") + acls(OPEN) + i32(-1), NO_NODE),
    (SET_ACL, text("/locked") + acls(OPEN) + i32(9), NO_AUTH),
    (SET_ACL, text("/a") + acls(OPEN) + i32(9), BAD_VERSION),
    (RECONFIG, text(None) * 3 + i64(-1), -123),
]


@pytest.mark.parametrize(("op", "body", "err"), FAILING)
def test_the_first_failing_check_decides_and_the_failure_is_a_transaction(
    world: World, client: Peer, op: int, body: bytes, err: int
) -> None:
    before = world.tree.last_zxid
    reply = client.call(op, body)
    assert (reply.err, reply.zxid, reply.body) == (err, before + 1, b"")
    entry = decode_payload(world.log.payloads[-1])
    assert entry.txn == Error(err) and entry.header.zxid == before + 1 and entry.digest_version is None


@pytest.mark.parametrize(
    "op", [CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL, DELETE, SET_DATA, SET_ACL, RECONFIG]
)
@pytest.mark.parametrize("body", [b"", i32(9), text("/a"), i32(-2)])
def test_a_write_that_does_not_decode_consumes_nothing(
    world: World, client: Peer, op: int, body: bytes
) -> None:
    before, entries = world.tree.last_zxid, len(world.log.payloads)
    reply = client.call(op, body)
    assert (reply.err, reply.zxid) == (MARSHALLING, before)
    assert len(world.log.payloads) == entries


NULL_ACL = (CREATE, create_body("/x", acl=None))
UNDECODABLE = [
    multi_body([(SET_ACL, b"")]),
    multi_body([(CREATE, create_body("/x", flags=9))]),
    multi_body([(CREATE, create_body("/x", flags=5))]),
    multi_body([(CREATE, create_body("/x")), (GET_DATA, read_body("/x"))]),
    multi_body([(GET_DATA, read_body("/x")), (CREATE, create_body("/x"))]),
    multi_body([(GET_DATA, read_body("/x"))]),
    multi_body([(SET_ACL, b""), NULL_ACL]),
    header(CREATE),
    b"",
    multi_body([(CREATE, create_body("/x")), (DELETE, text(None) + i32(-1))]),
    multi_body([(CREATE, create_body("/x")), (CREATE, create_body("/y", acl=[(31, "ip", None)]))]),
]


@pytest.mark.parametrize("body", UNDECODABLE)
def test_a_multi_that_cannot_be_used_at_all_consumes_a_zxid(world: World, client: Peer, body: bytes) -> None:
    before = world.tree.last_zxid
    reply = client.call(MULTI, body)
    assert (reply.err, reply.zxid, reply.body) == (MARSHALLING, before + 1, b"")
    assert decode_payload(world.log.payloads[-1]).txn == Error(MARSHALLING)
    assert client.create("/x").err == 0


@pytest.mark.parametrize("type", [CREATE, CREATE2, CREATE_CONTAINER])
@pytest.mark.parametrize("flags", [0, 4, 5])
def test_a_multi_with_a_null_acl_list_consumes_nothing(
    world: World, client: Peer, type: int, flags: int
) -> None:
    before = world.tree.last_zxid
    body = multi_body(
        [(CREATE, create_body("/y")), (type, create_body("/x", acl=None, flags=flags)), (SET_ACL, b"")]
    )
    reply = client.call(MULTI, body)
    assert (reply.err, reply.zxid) == (MARSHALLING, before)


def test_a_failed_multi_is_logged_with_the_digest_and_leaves_nothing_behind(
    world: World, client: Peer
) -> None:
    digest = world.tree.digest
    reply = client.multi(
        (CREATE, create_body("/x")),
        (SET_DATA, text("/a") + text(b"2") + i32(0)),
        (CHECK, text("/a") + i32(0)),
        (DELETE, text("/a") + i32(-1)),
    )
    assert reply.err == 0
    assert multi_results(reply) == [(-1, 0, 0), (-1, 0, 0), (-1, -103, -103), (-1, -2, -2), ("end", -1, -1)]
    entry = decode_payload(world.log.payloads[-1])
    assert isinstance(entry.txn, Multi) and entry.digest == digest == world.tree.digest


def test_ops_of_a_multi_see_each_other_and_so_do_pipelined_writes(client: Peer) -> None:
    replies = client.pipeline(
        (CREATE, create_body("/q")),
        (CREATE, create_body("/q/n-", flags=2)),
        (
            MULTI,
            multi_body(
                [
                    (CREATE, create_body("/q/n-", flags=2)),
                    (CHECK, text("/q") + i32(0)),
                    (CHECK, text("/no") + i32(0)),
                ]
            ),
        ),
        (
            MULTI,
            multi_body([(CREATE, create_body("/q/n-", flags=2)), (CREATE, create_body("/q/n-", flags=2))]),
        ),
        (DELETE, text("/q/n-0000000000") + i32(0)),
        (SET_ACL, text("/q") + acls(READ_ONLY) + i32(0)),
        (CREATE, create_body("/q/late")),
    )
    assert [reply.err for reply in replies] == [0, 0, 0, 0, 0, 0, NO_AUTH]
    assert client.children("/q") == [b"n-0000000001", b"n-0000000002"]


def test_sequence_numbers_stop_at_the_largest_int(world: World, client: Peer) -> None:
    world.tree.nodes[b"/a"].cversion = 0x7FFFFFFF
    first = client.call(CREATE, create_body("/a/s", flags=2))
    assert first.body[4:] == b"/a/s2147483647"
    assert client.call(CREATE, create_body("/a/s", flags=2)).err == EXISTS
    assert world.tree.nodes[b"/a"].cversion == 0x7FFFFFFF


def test_the_operation_decides_the_kind(world: World, client: Peer) -> None:
    client.call(CREATE, create_body("/p", flags=4))
    client.call(CREATE_CONTAINER, create_body("/k", flags=0))
    client.call(CREATE_TTL, create_body("/t", flags=5, ttl=7))
    client.multi((CREATE, create_body("/mk", flags=4)), (CREATE_TTL, create_body("/mp", flags=0, ttl=7)))
    client.multi(
        (CREATE_TTL, create_body("/mt", flags=6, ttl=9)), (CREATE_TTL, create_body("/mc", flags=4, ttl=7))
    )
    owners = {path: node.owner for path, node in world.tree.nodes.items() if path.count(b"/") == 1}
    assert owners[b"/p"] == owners[b"/mp"] == 0
    assert owners[b"/k"] == owners[b"/mk"] == owners[b"/mc"] == CONTAINER_OWNER
    (sequential,) = [path for path in owners if path.startswith(b"/mt")]
    assert owners[b"/t"] == ttl_owner(7) and owners[sequential] == ttl_owner(9)


def test_without_extended_types_a_ttl_is_not_implemented() -> None:
    client = World().client()
    assert client.call(CREATE_TTL, create_body("/t", flags=5, ttl=5)).err == UNIMPLEMENTED


def test_reconfig_on_a_standalone_server_is_not_implemented() -> None:
    client = World(reconfig_enabled=True).client()
    assert client.call(RECONFIG, text(None) * 3 + i64(-1)).err == UNIMPLEMENTED


def test_versions_wrap_around(world: World, client: Peer) -> None:
    world.tree.nodes[b"/a"].version = 0x7FFFFFFF
    assert client.set("/a", b"", 0x7FFFFFFF).err == 0
    assert world.tree.nodes[b"/a"].version == -0x80000000


def set_quota(client: Peer, limits: bytes | None) -> None:
    client.create("/zookeeper/quota/a")
    client.create("/zookeeper/quota/a/zookeeper_limits", limits)
    client.create("/zookeeper/quota/a/zookeeper_stats")


def test_hard_quotas_refuse_before_versions_are_compared(client: Peer) -> None:
    set_quota(client, b"countHardLimit=3;byteHardLimit=5")
    assert client.create("/a/c").err == 0
    assert client.create("/a/d").err == QUOTA
    assert client.create("/a/c", b"x" * 99).err == EXISTS
    assert client.set("/a", b"x" * 9, 99).err == QUOTA
    assert client.set("/a", b"xx", 99).err == BAD_VERSION
    assert client.create("/other", b"x" * 99).err == 0


@pytest.mark.parametrize("limits", [b"x", b"countHardLimit=x", None])
def test_unreadable_limits_refuse_the_write(client: Peer, limits: bytes | None) -> None:
    set_quota(client, limits)
    assert client.create("/a/c").err == MARSHALLING
    assert client.multi((CREATE, create_body("/a/c"))).err == MARSHALLING
    client.delete("/zookeeper/quota/a/zookeeper_stats")
    assert client.create("/a/c").err == 0


def test_a_session_with_too_many_ephemerals_is_closed_without_a_list() -> None:
    world = World(jute_max_buffer=300, jute_max_buffer_extra=0)
    client = world.client()
    for n in range(20):
        client.create(f"/ephemeral-{n:05}", flags=1)
    client.call(-11)
    assert decode_payload(world.log.payloads[-1]).txn.encode() == b""
    assert not world.tree.ephemerals
