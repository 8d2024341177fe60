"""The server core as a whole: random writes of several sessions, and what must hold after each of them."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from compat.wire import (
    CHECK,
    CLOSE_SESSION,
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    GET_DATA,
    MULTI,
    OPEN,
    SET_ACL,
    SET_DATA,
    acls,
    connect_frame,
    create_body,
    i32,
    multi_body,
    read_body,
    text,
)
from tests.harness import Peer, World
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import decode_payload
from zkpy.tree.view import TreeView, encode_node
from zkpy.tree.znode import OwnerRules

NAMES = st.sampled_from(["a", "b", "a/b", "a/c", "b/a", "a/b/c", "", "zookeeper/quota/a"])
PATHS = NAMES.map(lambda name: "/" + name)
DATA = st.one_of(st.none(), st.binary(max_size=6))
VERSIONS = st.sampled_from([-1, -1, -1, 0, 1, 2])
ACLS = st.sampled_from(
    [OPEN, OPEN, [(1, "world", "anyone")], [(31, "digest", "x:y")], [], [(31, "ip", "127.0.0.1")]]
)

creates = st.one_of(
    st.builds(
        lambda op, path, data, acl, flags: (op, create_body(path, data, acl, flags)),
        st.sampled_from([CREATE, CREATE2]),
        PATHS,
        DATA,
        ACLS,
        st.integers(0, 4),
    ),
    st.builds(lambda path: (CREATE_CONTAINER, create_body(path, b"", OPEN, 4)), PATHS),
    st.builds(
        lambda path, flags: (CREATE_TTL, create_body(path, b"", OPEN, flags, 5)), PATHS, st.integers(5, 6)
    ),
)
simple = st.one_of(
    creates,
    creates,
    st.builds(lambda path, version: (DELETE, text(path) + i32(version)), PATHS, VERSIONS),
    st.builds(
        lambda path, data, version: (SET_DATA, text(path) + text(data) + i32(version)), PATHS, DATA, VERSIONS
    ),
)
checks = st.builds(lambda path, version: (CHECK, text(path) + i32(version)), PATHS, VERSIONS)
multis = st.lists(st.one_of(simple, simple, checks), max_size=5).map(lambda ops: (MULTI, multi_body(ops)))
set_acls = st.builds(
    lambda path, acl, version: (SET_ACL, text(path) + acls(acl) + i32(version)), PATHS, ACLS, VERSIONS
)
broken = st.builds(
    lambda op, body: (op, body), st.sampled_from([CREATE, MULTI, DELETE, SET_DATA]), st.binary(max_size=9)
)
requests = st.lists(st.one_of(simple, simple, multis, set_acls, broken), min_size=1, max_size=6)


def contents(tree: DataTree) -> list[tuple[bytes, bytes, object, set[bytes]]]:
    """Everything that two equal trees agree on."""
    return sorted(
        (
            path,
            encode_node(path, node)[:-68] + encode_node(path, node)[-60:],
            node.acl.entries,
            set(node.children or ()),
        )
        for path, node in tree.nodes.items()
    )


class Writes(RuleBasedStateMachine):
    """Sessions come and go and write; a twin tree replays the log, a view is read while the tree changes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(extended_types_enabled=True, max_client_cnxns=0)
        self.clients: list[Peer] = [self.world.client()]
        self.twin = DataTree(OwnerRules(extended=True))
        self.replayed = 0
        self.view: TreeView | None = None
        self.expected: list[bytes] = []
        self.read = b""

    @rule()
    @precondition(lambda self: len(self.clients) < 4)
    def a_client_connects(self) -> None:
        self.clients.append(self.world.client())

    @rule(which=st.integers(0, 3), batch=requests)
    def a_client_writes(self, which: int, batch: list[tuple[int, bytes]]) -> None:
        client = self.clients[which % len(self.clients)]
        self.world.wall += 1
        replies = client.pipeline(*batch)
        assert len(replies) == len(batch)
        zxids = [reply.zxid for reply in replies]
        assert zxids == sorted(zxids)

    @rule(which=st.integers(0, 3), last=simple)
    @precondition(lambda self: len(self.clients) > 1)
    def a_client_closes(self, which: int, last: tuple[int, bytes]) -> None:
        client = self.clients.pop(which % len(self.clients))
        replies = client.pipeline(last, (CLOSE_SESSION, b""), (GET_DATA, read_body("/")))
        assert len(replies) == 2 and client.closed
        assert client.session_id not in self.world.tree.sessions

    @rule()
    def silent_sessions_expire(self) -> None:
        self.world.seconds += 100
        self.world.server.expire_sessions()
        self.world.settle()
        assert not self.world.tree.ephemerals and not self.world.tree.sessions
        assert all(client.closed for client in self.clients)
        self.clients = [self.world.client()]

    @rule()
    def containers_are_swept(self) -> None:
        self.world.wall += 10
        for path in self.world.server.collectable():
            self.world.server.delete_container(path)
        self.world.settle()

    @rule()
    @precondition(lambda self: self.view is None)
    def a_view_opens(self) -> None:
        tree = self.world.tree
        self.view = tree.view()
        self.expected = [encode_node(path, node) for path, node in tree.nodes.items()]
        self.read = b""

    @rule(count=st.integers(1, 4))
    @precondition(lambda self: self.view is not None)
    def the_view_is_read(self, count: int) -> None:
        assert self.view is not None
        part = self.view.records(count)
        self.read += part
        if not part:
            assert self.read == b"".join(self.expected)
            self.view = None

    @invariant()
    def everything_agrees(self) -> None:
        tree, server = self.world.tree, self.world.server
        tree.check_invariants()
        server.watches.check_invariants()
        server.tracker.check_invariants()
        assert len(server.preparer.outstanding) == 0
        assert server.preparer.outstanding.digest == tree.digest
        assert server.preparer.zxid == tree.last_zxid and server.outstanding == 0
        for payload in self.world.log.payloads[self.replayed :]:
            entry = decode_payload(payload)
            assert entry.header.zxid == self.twin.last_zxid + 1
            self.twin.apply(entry.header, entry.txn)
            assert entry.digest_version is None or entry.digest == self.twin.digest
        self.replayed = len(self.world.log.payloads)
        assert self.twin.digest == tree.digest and self.twin.last_zxid == tree.last_zxid
        assert contents(self.twin) == contents(tree)
        assert self.twin.sessions == tree.sessions


TestRandomWrites = Writes.TestCase
TestRandomWrites.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_writes_of_a_round_are_prepared_before_the_first_of_them_is_applied() -> None:
    world = World()
    client = world.client()
    world.log.held = True
    assert client.pipeline((CREATE, create_body("/a")), (SET_DATA, text("/a") + text(b"1") + i32(0))) == []
    assert b"/a" not in world.tree.nodes
    world.log.release()
    world.settle()
    assert [reply.err for reply in client.replies()] == [0, 0]


def test_reads_wait_for_earlier_writes_of_their_session_only() -> None:
    world = World()
    a, b = world.client(), world.client()
    world.log.held = True
    assert a.pipeline((CREATE, create_body("/a", b"1")), (GET_DATA, read_body("/a"))) == []
    assert b.get("/a").err == -101
    world.log.release()
    world.settle()
    create, read = a.replies()
    assert create.err == 0 and read.err == 0 and read.body[4:5] == b"1"


def test_the_server_keeps_the_digests_of_every_128th_zxid() -> None:
    world = World()
    client = world.client()
    for n in range(300):
        client.create(f"/n{n}")
    assert list(world.server.digest_log) == [128, 256]


def test_sessions_of_the_tree_are_tracked_from_the_start() -> None:
    first = World()
    client = first.client()
    second = World(tree=first.tree)
    assert second.server.tracker.get(client.session_id) is not None
    again = second.client(session=client.session_id, password=client.password)
    assert again.session_id == client.session_id


def test_a_never_used_container_is_collected_only_with_a_limit() -> None:
    for limit, due in ((0, []), (100, [b"/k"])):
        world = World(container_max_never_used_ms=limit)
        world.client().call(CREATE_CONTAINER, create_body("/k", b"", OPEN, 4))
        world.wall += 1000
        assert world.server.collectable() == due


def test_a_container_that_is_in_use_again_is_not_deleted() -> None:
    world = World()
    client = world.client()
    client.call(CREATE_CONTAINER, create_body("/k", b"", OPEN, 4))
    client.create("/k/a")
    client.delete("/k/a")
    assert world.server.collectable() == [b"/k"]
    client.create("/k/b")
    world.server.delete_container(b"/k")
    world.settle()
    assert client.exists("/k").err == 0


@pytest.mark.parametrize("lists", [True, False])
def test_closing_a_session_deletes_its_ephemerals_with_and_without_a_list(lists: bool) -> None:
    world = World(close_session_txn_enabled=lists)
    a, b = world.client(), world.client()
    a.create("/e", flags=1)
    assert a.call(CLOSE_SESSION).err == 0
    assert b.exists("/e").err == -101
    entry = decode_payload(world.log.payloads[-1])
    assert (entry.digest_version is not None) == lists


def test_large_requests_are_limited_together() -> None:
    world = World(large_request_threshold_bytes=100, large_request_max_bytes=150)
    client = world.client()
    world.log.held = True
    client.pipeline((CREATE, create_body("/a", b"x" * 90)))
    client.pipeline((CREATE, create_body("/b", b"x" * 90)))
    assert client.closed


def test_a_server_without_a_log_commits_at_the_end_of_the_round() -> None:
    world = World(logged=False)
    client = world.client()
    assert [
        reply.err for reply in client.pipeline((CREATE, create_body("/a")), (CREATE, create_body("/a")))
    ] == [0, -110]


def test_a_resumed_session_takes_over_from_its_old_connection() -> None:
    world = World()
    a = world.client()
    b = world.client(session=a.session_id, password=a.password, timeout_ms=7000)
    assert a.closed and not b.closed
    session = world.server.tracker.get(a.session_id)
    assert session is not None and session.owner is b.cnxn and session.current_timeout_ms == 7000
    c = Peer(world)
    c.feed(connect_frame(session=a.session_id, password=b"wrong"))
    assert c.closed and b.closed
    assert c.channel.frames()[0] == pack(">iiqi", 0, 0, 0, 16) + bytes(17)
