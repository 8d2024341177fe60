"""What must not be sent to the real server, and where zkpy differs on purpose."""

from __future__ import annotations

from compat.scripts.quotas import end_quota, quota
from compat.scripts.registry import BAD_ARGUMENTS, NO_AUTH, NO_NODE, UNIMPLEMENTED, ours
from compat.wire import (
    CLOSE_SESSION,
    CREATE,
    CREATE_CONTAINER,
    CREATE_SESSION,
    CREATE_TTL,
    DELETE_CONTAINER,
    GET_DATA,
    PING,
    Script,
    create_body,
    i32,
    read_body,
    text,
)


@ours
def a_negative_ttl_without_the_ttl_flag_is_a_bad_argument(s: Script) -> None:
    a = s.session()
    for flags in (0, 1, 2, 3, 4):
        a.create(s / "x", op=CREATE_TTL, flags=flags, ttl=-1, err=BAD_ARGUMENTS)
    a.exists(s / "x", err=NO_NODE)


@ours
def a_quota_on_the_root_is_a_plain_znode(s: Script) -> None:
    a = s.session()
    a.create("/zookeeper/quota/zookeeper_limits", b"count=1", err=0)
    a.create(s / "x", err=0)
    a.create("/zookeeper/quota/zookeeper_stats", b"", err=0)
    a.create(s / "y", err=0)
    a.get("/zookeeper/quota/zookeeper_stats", err=0)
    a.delete("/zookeeper/quota/zookeeper_limits", err=0)
    a.delete("/zookeeper/quota/zookeeper_stats", err=0)


@ours
def unreadable_usage_counts_as_empty(s: Script) -> None:
    a = s.session()
    a.create(s / "u", err=0)
    at = quota(a, s / "u", b"count=5")
    a.set(at + "/zookeeper_stats", b"garbage", err=0)
    a.create(s / "u/x", b"123", err=0)
    body = a.get(at + "/zookeeper_stats", err=0).body
    assert isinstance(body, tuple) and body[0] == b"count=1,bytes=3"
    end_quota(a, at)


@ours
def create_session_from_a_client_is_an_unknown_operation(s: Script) -> None:
    a = s.session()
    a.send((CREATE_SESSION, i32(5000)))
    replies = a.until_end()
    assert [reply.err for reply in replies] == [UNIMPLEMENTED, None]


@ours
def requests_behind_close_session_get_no_reply(s: Script) -> None:
    """The real server may still answer the first of them with SessionExpired, and log that."""
    a, b = s.session(), s.session("b")
    a.send(
        (CREATE, create_body(s / "x")),
        (GET_DATA, read_body(s / "x")),
        (CLOSE_SESSION, b""),
        (CREATE, create_body(s / "y")),
        (GET_DATA, read_body(s / "x")),
        (PING, b""),
    )
    assert [reply.err for reply in a.until_end()] == [0, 0, 0, None]
    s.closed(a)
    assert b.exists(s / "y").err == NO_NODE
    again = s.session("again", session=a.id, password=a.password)
    assert again.id == 0


@ours
def delete_container_from_a_client_is_refused(s: Script) -> None:
    a = s.session()
    a.create(s / "k", flags=4, op=CREATE_CONTAINER, err=0)
    a.call(DELETE_CONTAINER, text(s / "k"), err=NO_AUTH)
    a.exists(s / "k", err=0)
