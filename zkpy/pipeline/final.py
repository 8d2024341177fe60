"""The last stage: reads are answered from the committed tree, applied writes get their replies.

A reply's frame is a 4-byte length, the header (xid, zxid, err) and a body. Reads never look at pending
changes; whoever calls has seen to it that no earlier write of the same session is unfinished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final

from zkpy import opcodes
from zkpy.errors import (
    BadArgumentsError,
    Code,
    KeeperError,
    MarshallingError,
    NoAuthError,
    NoNodeError,
    NoWatcherError,
)
from zkpy.javaorder import copied_paths
from zkpy.jute import archive
from zkpy.jute.archive import pack_int, read_bool, read_int, read_long, read_path
from zkpy.pipeline.decode import MULTI_READS, decode_multi
from zkpy.pipeline.notify import encode_event
from zkpy.tree.acl import ADMIN, READ
from zkpy.tree.datatree import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, Result
from zkpy.tree.znode import ZNode

if TYPE_CHECKING:
    from zkpy.pipeline.zookeeperserver import Client, ZooKeeperServer

REPLY: Final = Struct(">iiqi")
"""Frame length, xid, zxid, err: 20 bytes before the body."""

MULTI_HEADER: Final = Struct(">i?i")
MULTI_READ_LIMIT: Final = 16 << 20
"""Bytes of the longest answer to a multiRead: a small request could ask for any number of large znodes."""

_MULTI_END: Final = MULTI_HEADER.pack(-1, True, -1)
_NULL: Final = archive.NULL

_pack_reply: Final = REPLY.pack


def reply(xid: int, zxid: int, err: int, body: bytes = b"") -> bytes:
    """A whole reply frame."""
    return _pack_reply(16 + len(body), xid, zxid, err) + body


# -- writes ------------------------------------------------------------------------------------------------


def write_body(op: int, result: Result) -> bytes:
    """The body of the reply to an applied write."""
    if op == opcodes.MULTI:
        return _multi_body(result)
    if op == opcodes.CREATE:
        return pack_int(len(result.path)) + result.path
    if op in _CREATE2S or op == opcodes.RECONFIG:  # a reconfig answers with the text instead of the path
        return pack_int(len(result.path)) + result.path + (result.stat or b"")
    return result.stat or b""


_CREATE2S: Final = (opcodes.CREATE2, opcodes.CREATE_CONTAINER, opcodes.CREATE_TTL)


def _multi_body(result: Result) -> bytes:
    out: list[bytes] = []
    for part in result.parts or ():
        if part.type == opcodes.ERROR or part.err:
            out += (MULTI_HEADER.pack(-1, False, part.err), pack_int(part.err))
        elif part.type in _CREATE2S:
            out += (MULTI_HEADER.pack(opcodes.CREATE2, False, 0), write_body(opcodes.CREATE2, part))
        else:
            out += (MULTI_HEADER.pack(part.type, False, 0), write_body(part.type, part))
    out.append(_MULTI_END)
    return b"".join(out)


# -- reads -------------------------------------------------------------------------------------------------


def data_body(node: ZNode, stat: bytes) -> bytes:
    """A GetDataResponse."""
    data = node.data
    if data is None:
        return _NULL + stat
    return b"".join((pack_int(len(data)), data, stat))


def listing(node: ZNode) -> bytes:
    """The encoded names of a znode's children, kept until they change."""
    encoded = node.listing
    if encoded is None:
        encoded = node.listing = archive.vector(list(node.children or ()))
    return encoded


def readable(server: ZooKeeperServer, client: Client, path: bytes | None) -> ZNode:
    """The znode at *path*, which the client may READ. Raises KeeperError."""
    if path is None:
        raise MarshallingError("path is null")
    node = server.tree.get(path)
    if node is None:
        raise NoNodeError("no node")
    if not (node.acl.world & READ or server.access.allows(node.acl, READ, client.identities)):
        raise NoAuthError("READ")
    return node


def exists(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """ExistsResponse; the watch is also set when the znode is absent."""
    path, pos = read_path(frame, 8)
    watch, pos = read_bool(frame, pos)
    if path is None:
        raise MarshallingError("path is null")
    if b"\0" in path:
        raise BadArgumentsError("NUL in path")
    node = server.tree.get(path)
    if node is not None and not (
        node.acl.world & READ or server.access.allows(node.acl, READ, client.identities)
    ):
        raise NoAuthError("READ")
    if watch:
        server.watches.add_data(path, client)
    if node is None:
        raise NoNodeError("no node")
    return server.tree.stat(node)


def get_data(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """GetDataResponse."""
    path, pos = read_path(frame, 8)
    watch, pos = read_bool(frame, pos)
    node = readable(server, client, path)
    if watch and path is not None:
        server.watches.add_data(path, client)
    return data_body(node, server.tree.stat(node))


def get_children(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """GetChildrenResponse."""
    path, pos = read_path(frame, 8)
    watch, pos = read_bool(frame, pos)
    node = readable(server, client, path)
    if watch and path is not None:
        server.watches.add_child(path, client)
    return listing(node)


def get_children2(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """GetChildren2Response."""
    names = get_children(server, client, frame)
    node = server.tree.get(read_path(frame, 8)[0] or b"")
    assert node is not None
    return names + server.tree.stat(node)


def get_acl(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """GetACLResponse; needs READ or ADMIN, and shows hashes only with ADMIN."""
    path, _ = read_path(frame, 8)
    if path is None:
        raise MarshallingError("path is null")
    node = server.tree.get(path)
    if node is None:
        raise NoNodeError("no node")
    if not server.access.allows(node.acl, READ | ADMIN, client.identities):
        raise NoAuthError("READ or ADMIN")
    return server.access.shown(node.acl, client.identities) + server.tree.stat(node)


def get_all_children_number(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """The number of all descendants; permissions of descendants do not matter."""
    path, _ = read_path(frame, 8)
    node = readable(server, client, path)
    nodes = server.tree.nodes
    if node is server.tree.root:
        # The empty path is an alias of the root, which then counts itself.
        return pack_int(len(nodes) - (1 if path else 0))
    total = 0
    todo = [(path or b"", node)]
    while todo:
        base, node = todo.pop()
        if node.children:
            total += len(node.children)
            for name in node.children:
                child = base + b"/" + name
                below = nodes[child]
                if below.children:
                    todo.append((child, below))
    return pack_int(total)


_BLANK: Final = bytes(range(0x21))


def get_ephemerals(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """The session's ephemerals whose path starts with the given text."""
    prefix = read_path(frame, 8)[0] or b""
    tree = server.tree
    most = tree.most_ephemerals.get(client.session_id, 0)
    found = copied_paths(list(tree.session_ephemerals(client.session_id)), most)
    if prefix.strip(_BLANK) in (b"", b"/"):
        return archive.vector(found)
    return archive.vector([path for path in found if path.startswith(prefix)])


def sync(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """SyncResponse: the path as it came."""
    return archive.buffer(read_path(frame, 8)[0])


def ping(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """No body."""
    return b""


def who_am_i(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """One ClientInfo per identity of the connection."""
    out = [pack_int(len(client.identities))]
    for scheme, ident in client.identities:
        out += (archive.ustring(scheme), archive.ustring(server.access.user_of(scheme, ident)))
    return b"".join(out)


def add_watch(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """ErrorResponse holding 0; neither existence nor permission is looked at."""
    path, pos = read_path(frame, 8)
    mode, pos = read_int(frame, pos)
    if mode == 0:
        server.watches.add_persistent(path or b"", client)
    elif mode == 1:
        server.watches.add_recursive(path or b"", client)
    else:
        raise MarshallingError(f"unknown watch mode {mode}")
    return b"\0\0\0\0"


def check_watches(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """NoWatcherError when the connection has no such watch."""
    path, pos = read_path(frame, 8)
    kind, pos = read_int(frame, pos)
    if not server.watches.contains(path or b"", client, kind):
        raise NoWatcherError("no such watch")
    return b""


def remove_watches(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """NoWatcherError when the connection has no such watch."""
    path, pos = read_path(frame, 8)
    kind, pos = read_int(frame, pos)
    if not server.watches.remove(path or b"", client, kind):
        raise NoWatcherError("no such watch")
    return b""


def set_watches(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """Re-arm the watches of a client that reconnected; what changed meanwhile is told at once."""
    _set_watches(server, client, frame, 3)
    return b""


def set_watches2(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """As setWatches, with persistent and recursive watches."""
    _set_watches(server, client, frame, 5)
    return b""


def _set_watches(server: ZooKeeperServer, client: Client, frame: bytes, lists: int) -> None:
    seen, pos = read_long(frame, 8)
    wanted: list[list[bytes | None] | None] = []
    for _ in range(lists):
        watched, pos = archive.read_paths(frame, pos)
        wanted.append(watched)
    get = server.tree.get
    watches = server.watches
    # These events carry zxid -1 and are not subject to ACLs. A null stops here, what came before it counts.
    for path in _not_null(wanted[0]):
        node = get(path)
        if node is None:
            client.notify(encode_event(-1, DELETED, path))
        elif node.mzxid > seen:
            client.notify(encode_event(-1, DATA_CHANGED, path))
        else:
            watches.add_data(path, client)
    for path in _not_null(wanted[1]):
        if get(path) is None:
            watches.add_data(path, client)
        else:
            client.notify(encode_event(-1, CREATED, path))
    for path in _not_null(wanted[2]):
        node = get(path)
        if node is None:
            client.notify(encode_event(-1, DELETED, path))
        elif node.pzxid > seen:
            client.notify(encode_event(-1, CHILDREN_CHANGED, path))
        else:
            watches.add_child(path, client)
    if lists == 5:
        for path in _not_null(wanted[3], b""):
            watches.add_persistent(path, client)
        for path in _not_null(wanted[4], b""):
            watches.add_recursive(path, client)


def _not_null(paths: list[bytes | None] | None, instead: bytes | None = None) -> Iterator[bytes]:
    if paths is None:
        raise MarshallingError("a list of watches is null")
    for path in paths:
        if path is None:
            path = instead
            if path is None:
                raise MarshallingError("a watched path is null")
        yield path


class PartialBody(KeeperError):
    """A multiRead that broke off: the reply carries the error and what was answered so far."""

    code = Code.MARSHALLING_ERROR

    def __init__(self, body: bytes) -> None:
        super().__init__("multiRead broke off")
        self.body = body


def multi_read(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """Several getData and getChildren; each succeeds or fails on its own, watch flags are ignored.

    Refused as a whole when the answer gets out of all proportion.
    """
    out: list[bytes] = []
    total = 0
    for op in decode_multi(frame, 8):
        type = op.type
        try:
            if type not in MULTI_READS:
                raise MarshallingError("a multiRead cannot write")
            node = readable(server, client, op.path)
        except MarshallingError:
            out.append(_MULTI_END)
            raise PartialBody(b"".join(out)) from None
        except KeeperError as error:
            out += (MULTI_HEADER.pack(-1, False, error.code), pack_int(error.code))
            continue
        if type == opcodes.GET_DATA:
            body = data_body(node, server.tree.stat(node))
        else:
            body = listing(node)
        total += len(body)
        if total > MULTI_READ_LIMIT:
            raise MarshallingError("the answer to a multiRead is too long")
        out += (MULTI_HEADER.pack(type, False, 0), body)
    out.append(_MULTI_END)
    return b"".join(out)


def delete_container(server: ZooKeeperServer, client: Client, frame: bytes) -> bytes:
    """Refused: Java deletes without looking at permissions, but containers are the server's own business."""
    raise NoAuthError("only the server itself deletes containers")


def estimate(server: ZooKeeperServer, op: int, frame: bytes) -> int:
    """About how long the answer to a read will be, so that not too many are kept waiting."""
    if op == opcodes.GET_DATA:
        found = server.preparer.outstanding.find(frame[12:-1])
        return 88 + len(found[0].data or b"") if found is not None else 88
    if op == opcodes.GET_CHILDREN or op == opcodes.GET_CHILDREN2:
        node = server.tree.nodes.get(frame[12:-1])
        return 88 + (24 * len(node.children) if node is not None and node.children else 0)
    if op == opcodes.MULTI_READ:
        return MULTI_READ_LIMIT // 4
    return 88 + len(frame)


Handler = Callable[["ZooKeeperServer", "Client", bytes], bytes]

READ_HANDLERS: Final[dict[int, Handler]] = {
    opcodes.EXISTS: exists,
    opcodes.GET_DATA: get_data,
    opcodes.GET_ACL: get_acl,
    opcodes.GET_CHILDREN: get_children,
    opcodes.GET_CHILDREN2: get_children2,
    opcodes.SYNC: sync,
    opcodes.PING: ping,
    opcodes.MULTI_READ: multi_read,
    opcodes.SET_WATCHES: set_watches,
    opcodes.SET_WATCHES2: set_watches2,
    opcodes.GET_EPHEMERALS: get_ephemerals,
    opcodes.GET_ALL_CHILDREN_NUMBER: get_all_children_number,
    opcodes.ADD_WATCH: add_watch,
    opcodes.CHECK_WATCHES: check_watches,
    opcodes.REMOVE_WATCHES: remove_watches,
    opcodes.WHO_AM_I: who_am_i,
    opcodes.DELETE_CONTAINER: delete_container,
}
