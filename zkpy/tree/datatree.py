"""The znodes, and the one way to change them: `DataTree.apply`.

``apply`` is a pure function of the tree and the transaction: no clock, no I/O, no randomness, so the same
transactions give the same tree and the same digest on every server. It never raises for what a log may hold:
a transaction that does not fit the tree (as happens when a snapshot already has its effects) gives an error
code and leaves the repairs that replay needs, by the rules of ZooKeeper's fuzzy snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from zkpy import opcodes, paths
from zkpy.errors import Code
from zkpy.tree.accounting import QuotaBook
from zkpy.tree.acl import READ, Acl, AclCache
from zkpy.tree.digest import EMPTY_TREE, MASK, node_digest
from zkpy.tree.txns import (
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    Multi,
    SetAcl,
    SetData,
    Txn,
    TxnHeader,
)
from zkpy.tree.view import TreeView
from zkpy.tree.znode import VISIBLE_STAT, OwnerRules, ZNode

CREATED: Final = 1
DELETED: Final = 2
DATA_CHANGED: Final = 3
CHILDREN_CHANGED: Final = 4

Change = tuple[int, bytes, Acl, Acl]
"""What happened (an event type), the path, its ACL (that it had, when deleted) and its parent's ACL."""

_OK: Final = int(Code.OK)
_NO_NODE: Final = int(Code.NO_NODE)
_NODE_EXISTS: Final = int(Code.NODE_EXISTS)
_RUNTIME_INCONSISTENCY: Final = int(Code.RUNTIME_INCONSISTENCY)


class Result:
    """What one transaction, or one operation of a multi, came to.

    ``stat`` is the encoded Stat of the znode right after it; ``parts`` are the results of a multi. For a
    reconfig ``path`` is the new text instead.
    """

    __slots__ = ("err", "parts", "path", "stat", "type")

    def __init__(self, type: int, err: int = _OK, path: bytes = b"", stat: bytes | None = None) -> None:
        self.type = type
        self.err = err
        self.path = path
        self.stat = stat
        self.parts: list[Result] | None = None


class DataTree:
    """All znodes and global sessions at ``last_zxid``.

    ``changes`` collects what the transactions since the last clearing did, in order, for whoever fires
    watches.
    """

    __slots__ = (
        "_views",
        "acls",
        "changes",
        "containers",
        "data_size",
        "digest",
        "digest_enabled",
        "ephemerals",
        "last_zxid",
        "most_ephemerals",
        "nodes",
        "owners",
        "quotas",
        "root",
        "sessions",
        "ttls",
        "unsized",
    )

    def __init__(self, owners: OwnerRules | None = None, digest_enabled: bool = True) -> None:
        self.owners = owners or OwnerRules()
        self.digest_enabled = digest_enabled
        self.acls = AclCache()
        self.root = self._built_in(self.acls.open)
        self.nodes: dict[bytes, ZNode] = {paths.ROOT: self.root}
        self.sessions: dict[int, int] = {}
        self.ephemerals: dict[int, dict[bytes, None]] = {}
        self.most_ephemerals: dict[int, int] = {}
        """How many each session had at a time: the size of a Java server's set, hence its order."""
        self.containers: dict[bytes, None] = {}
        self.ttls: dict[bytes, None] = {}
        self.last_zxid = 0
        self.digest = EMPTY_TREE
        self.data_size = len(paths.ROOT)
        self.unsized = 0
        self.changes: list[Change] = []
        self._views: list[TreeView] = []
        for path, acl in (
            (paths.ZOOKEEPER, self.acls.open),
            (paths.CONFIG, self.acls.intern(((READ, "world", "anyone"),))),
            (paths.QUOTA, self.acls.open),
        ):
            node = self._built_in(acl)
            self._link(path, node)
        self.nodes[paths.CONFIG].aversion = -1
        self.quotas = QuotaBook(self.nodes, self._rewrite)

    def _built_in(self, acl: Acl) -> ZNode:
        self.acls.retain(acl)
        return ZNode(b"", acl, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def _link(self, path: bytes, node: ZNode) -> None:
        self.nodes[path] = node
        self.data_size += paths.length(path) + len(node.data or b"")
        cut = path.rfind(b"/")
        parent = self.nodes[path[:cut] if cut else b"/"]
        if parent.children is None:
            parent.children = {}
        parent.children[path[cut + 1 :]] = None
        if node.owner:
            self.index_owner(path, node.owner)

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, path: bytes) -> ZNode | None:
        """The znode a client means by *path*; the empty path is an alias of the root."""
        node = self.nodes.get(path)
        if node is None and not path:
            return self.root
        return node

    def stat(self, node: ZNode) -> bytes:
        """The Stat that clients see of *node* (68 bytes).

        The visible cversion counts creations and deletions, the visible owner is that of ephemerals only.
        """
        stat = node.stat
        if stat is None:
            children = len(node.children) if node.children else 0
            owner = node.owner
            stat = node.stat = VISIBLE_STAT.pack(
                node.czxid,
                node.mzxid,
                node.ctime,
                node.mtime,
                node.version,
                (2 * node.cversion - children + 0x80000000 & 0xFFFFFFFF) - 0x80000000,
                node.aversion,
                self.owners.session(owner) if owner else 0,
                len(node.data) if node.data else 0,
                children,
                node.pzxid,
            )
        return stat

    def session_ephemerals(self, session_id: int) -> Iterable[bytes]:
        """Paths of the committed ephemerals of a session, oldest first."""
        return self.ephemerals.get(session_id, ())

    def view(self) -> TreeView:
        """The tree of this moment, to be written out while transactions go on."""
        digest = self.digest & MASK if self.digest_enabled else None
        view = TreeView(self.last_zxid, digest, self.nodes, self.acls, self.sessions)
        self._views.append(view)
        return view

    # -- changing ------------------------------------------------------------------------------------------

    def show_config(self, text: bytes, version: int, time_ms: int) -> None:
        """Make ``/zookeeper/config`` hold *text*, outside any transaction; no digest covers it."""
        node = self.nodes.get(paths.CONFIG)
        if node is None:
            node = self._built_in(self.acls.intern(((READ, "world", "anyone"),)))
            self._link(paths.CONFIG, node)
        self._touch(paths.CONFIG, node)
        self.data_size += len(text) - len(node.data or b"")
        node.data = text
        node.version = -1
        node.mzxid = version
        node.mtime = time_ms
        node.stat = None

    def apply(self, header: TxnHeader, txn: Txn) -> Result:
        """Carry out one transaction; ``last_zxid`` moves after all of it."""
        if self._views:
            self._views = [view for view in self._views if not view.done]
        if isinstance(txn, SetData):
            result = self._set_data(header, txn)
        elif isinstance(txn, Create):
            result = self._create(header, txn)
        else:
            result = self._apply_one(header, txn)
        if header.zxid > self.last_zxid:
            self.last_zxid = header.zxid
        return result

    def _apply_one(self, header: TxnHeader, txn: Txn) -> Result:
        if isinstance(txn, SetData):
            return self._set_data(header, txn)
        if isinstance(txn, Create):
            return self._create(header, txn)
        if isinstance(txn, Delete):
            return Result(txn.type, self._delete(txn.path, header.zxid))
        if isinstance(txn, Multi):
            return self._multi(header, txn)
        if isinstance(txn, SetAcl):
            return self._set_acl(txn)
        if isinstance(txn, Error):
            return Result(opcodes.ERROR, txn.err)
        if isinstance(txn, CreateSession):
            self.sessions[header.client_id] = txn.timeout_ms
        elif isinstance(txn, CloseSession):
            self._close_session(header, txn)
        return Result(txn.type)

    def _multi(self, header: TxnHeader, txn: Multi) -> Result:
        result = Result(opcodes.MULTI)
        parts = result.parts = []
        failed = any(isinstance(op, Error) for op in txn.ops)
        before_failure = True
        for op in txn.ops:
            if not failed:
                parts.append(self._apply_one(header, op))
            elif isinstance(op, Error):
                before_failure = False
                parts.append(Result(opcodes.ERROR, op.err))
            else:
                parts.append(Result(opcodes.ERROR, _OK if before_failure else _RUNTIME_INCONSISTENCY))
        return result

    def _create(self, header: TxnHeader, txn: Create) -> Result:
        path = txn.path
        cut = path.rfind(b"/")
        parent_path = path[:cut] if cut else b"/"
        parent = self.nodes.get(parent_path)
        if parent is None:
            return Result(txn.type, _NO_NODE)
        zxid = header.zxid
        acl = self.acls.intern(txn.acl)
        counted = txn.parent_cversion if txn.parent_cversion != -1 else parent.cversion + 1
        self._touch(parent_path, parent)
        if counted > parent.cversion:
            parent.cversion = counted
            parent.pzxid = zxid
        existing = self.nodes.get(path)
        if existing is not None:
            self._redigest(parent_path, parent)
            self._touch(path, existing)
            self._set_node_acl(existing, acl)
            self._redigest(path, existing)
            return Result(txn.type, _NODE_EXISTS)
        owner = txn.owner if txn.owner is not None else header.client_id
        foretold = txn.foretold
        if foretold is None:
            time = header.time
            node = ZNode(txn.data, acl, zxid, zxid, time, time, 0, 0, 0, owner, zxid)
            self._redigest(parent_path, parent)
            self._redigest(path, node)
        else:
            parent.digest, node = foretold
            node.acl = acl
            self.digest = (self.digest + parent.digest + (node.digest or 0)) & MASK
        self.acls.retain(acl)
        if parent.children is None:
            parent.children = {}
        parent.children[path[cut + 1 :]] = None
        self.nodes[path] = node
        if owner:
            self.index_owner(path, owner)
        self.data_size += paths.length(path) + (len(txn.data) if txn.data else 0)
        # The reply (a plain create's has no Stat) shows the znode before quotas are looked at, which fill it
        # if it keeps a usage.
        stat = None if txn.type == opcodes.CREATE else self.stat(node)
        if path.startswith(b"/zookeeper/quota/") or self.quotas.active:
            self.quotas.created(path, node)
        self.changes.append((CREATED, path, acl, parent.acl))
        return Result(txn.type, _OK, path, stat)

    def _delete(self, path: bytes, zxid: int) -> int:
        cut = path.rfind(b"/")
        parent_path = path[:cut] if cut else b"/"
        parent = self.nodes.get(parent_path)
        if parent is None:
            return _NO_NODE
        self._touch(parent_path, parent)
        if parent.children:
            parent.children.pop(path[cut + 1 :], None)
        if zxid > parent.pzxid:
            parent.pzxid = zxid
        self._redigest(parent_path, parent)
        node = self.nodes.get(path)
        if node is None:
            return _NO_NODE
        self._touch(path, node)
        del self.nodes[path]
        self.acls.release(node.acl)
        self.data_size -= paths.length(path) + (len(node.data) if node.data else 0)
        if node.owner:
            self._unindex_owner(path, node.owner)
        if path.startswith(b"/zookeeper/quota/") or self.quotas.active:
            self.quotas.deleted(path, node)
        self.changes.append((DELETED, path, node.acl, parent.acl))
        return _OK

    def _set_data(self, header: TxnHeader, txn: SetData) -> Result:
        path = txn.path
        node = self.nodes.get(path)
        if node is None:
            return Result(txn.type, _NO_NODE)
        self._touch(path, node)
        old = node.data
        data = node.data = txn.data
        node.version = txn.version
        node.mzxid = header.zxid
        node.mtime = header.time
        if txn.foretold is None:
            self._redigest(path, node)
        else:
            node.digest = txn.foretold
            self.digest = (self.digest + txn.foretold) & MASK
        growth = (len(data) if data else 0) - (len(old) if old else 0)
        self.data_size += growth
        stat = self.stat(node)
        if self.quotas.active:
            self.quotas.resized(path, growth)
        self.changes.append((DATA_CHANGED, path, node.acl, node.acl))
        return Result(txn.type, _OK, path if txn.type == opcodes.SET_DATA else data or b"", stat)

    def _set_acl(self, txn: SetAcl) -> Result:
        node = self.nodes.get(txn.path)
        if node is None:
            return Result(txn.type, _NO_NODE)
        self._touch(txn.path, node)
        self._set_node_acl(node, self.acls.intern(txn.acl))
        node.aversion = txn.version
        self._redigest(txn.path, node)
        return Result(txn.type, _OK, txn.path, self.stat(node))

    def _set_node_acl(self, node: ZNode, acl: Acl) -> None:
        self.acls.retain(acl)
        self.acls.release(node.acl)
        node.acl = acl

    def _close_session(self, header: TxnHeader, txn: CloseSession) -> None:
        session_id = header.client_id
        for path in txn.paths or ():
            self._delete(path, header.zxid)
        for path in list(self.ephemerals.get(session_id, ())):
            self._delete(path, header.zxid)
        self.ephemerals.pop(session_id, None)
        self.most_ephemerals.pop(session_id, None)
        self.sessions.pop(session_id, None)

    def drop_orphans(self) -> list[bytes]:
        """Remove the ephemerals of sessions that no longer exist, as after loading; returns their paths."""
        gone: list[bytes] = []
        for session_id in [s for s in self.ephemerals if s not in self.sessions]:
            for path in list(self.ephemerals[session_id]):
                self._delete(path, self.last_zxid)
                gone.append(path)
            self.ephemerals.pop(session_id, None)
        self.changes.clear()
        return gone

    def _rewrite(self, path: bytes, data: bytes) -> None:
        node = self.nodes[path]
        self._touch(path, node)
        self.unsized += len(data) - len(node.data or b"")
        node.data = data
        self._redigest(path, node)

    # -- bookkeeping ---------------------------------------------------------------------------------------

    def _touch(self, path: bytes, node: ZNode) -> None:
        """Before *node* changes: keep its old state for an open view, take it out of the digest."""
        for view in self._views:
            view.preserve(path, node)
        if self.digest_enabled:
            digest = node.digest
            self.digest -= node_digest(path, node) if digest is None else digest
        node.stat = None
        node.listing = None

    def _redigest(self, path: bytes, node: ZNode) -> None:
        """After *node* changed: put it into the digest again."""
        if self.digest_enabled:
            digest = node.digest = node_digest(path, node)
            self.digest = (self.digest + digest) & MASK

    def index_owner(self, path: bytes, owner: int) -> None:
        """Enter a znode whose stored owner is not 0 where containers, TTLs and ephemerals are found."""
        session_id = self.owners.session(owner)
        if session_id:
            of_session = self.ephemerals.get(session_id)
            if of_session is None:
                of_session = self.ephemerals[session_id] = {}
            of_session[path] = None
            if len(of_session) > self.most_ephemerals.get(session_id, 0):
                self.most_ephemerals[session_id] = len(of_session)
        elif self.owners.ttl_ms(owner):
            self.ttls[path] = None
        else:
            self.containers[path] = None

    def _unindex_owner(self, path: bytes, owner: int) -> None:
        session_id = self.owners.session(owner)
        if session_id:
            of_session = self.ephemerals.get(session_id)
            if of_session is not None:
                of_session.pop(path, None)  # `dump` lists the session until its end, as a Java server does
        else:
            self.ttls.pop(path, None)
            self.containers.pop(path, None)

    def recompute_digest(self) -> int:
        """The digest from all znodes, O(n): for loading and for checks."""
        total = 0
        for path, node in self.nodes.items():
            total += node_digest(path, node)
        return total & MASK

    def check_invariants(self) -> None:
        """Assert what always holds; O(n), for tests and simulation."""
        assert not self.digest_enabled or self.digest & MASK == self.recompute_digest()
        size = 0
        for path, node in self.nodes.items():
            size += paths.length(path) + len(node.data or b"")
            for name in node.children or ():
                assert (path if path != b"/" else b"") + b"/" + name in self.nodes, (path, name)
            if path != paths.ROOT:
                children = self.nodes[paths.parent(path)].children
                assert children is not None and paths.name(path) in children, path
            session_id = self.owners.session(node.owner)
            assert (not session_id) or path in self.ephemerals[session_id], path
        assert size == self.data_size + self.unsized, (size, self.data_size, self.unsized)
