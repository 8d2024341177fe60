"""Preparation: a write request and the state it will meet become a transaction.

Here a write is decoded, checked in ZooKeeper's order (the first failing check decides the error), and given
its zxid and time. A request that fails is a transaction too, of type error; only one that cannot be decoded
consumes nothing. Order of checks: ``PrepRequestProcessor`` of ZooKeeper 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zkpy import opcodes, paths
from zkpy.errors import (
    BadArgumentsError,
    BadVersionError,
    Code,
    KeeperError,
    MarshallingError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    QuotaExceededError,
    ReconfigDisabledError,
    UnimplementedError,
)
from zkpy.jute import archive
from zkpy.pipeline.decode import (
    EPHEMERAL_FLAGS,
    MULTI_READS,
    RawAcl,
    ReconfigBody,
    SubRequest,
    Undecodable,
    check_mode,
    decode_create,
    decode_multi,
    decode_path_version,
    decode_reconfig,
    plain_create,
)
from zkpy.pipeline.options import PrepOptions
from zkpy.pipeline.outstanding import RECOMPUTE_EVERY, Outstanding, Pending
from zkpy.pipeline.request import Request
from zkpy.ports import WallClock
from zkpy.tree import txns
from zkpy.tree.acl import ADMIN, ALL, CREATE, DELETE, READ, WRITE, AccessControl, AclEntry, Identities
from zkpy.tree.datatree import DataTree
from zkpy.tree.digest import VERSION, signed
from zkpy.tree.quota import MalformedQuotaError
from zkpy.tree.txns import DIGEST, HEADER, Txn, TxnHeader
from zkpy.tree.znode import CONTAINER_OWNER, ZNode, ttl_owner

_SEQUENTIAL_FLAGS: Final = (2, 3, 6)

_OPEN: Final[tuple[AclEntry, ...]] = ((ALL, "world", "anyone"),)

_ENTRY_OVERHEAD: Final = 100
"""More than a log entry has beside what the client sent: two headers, a digest, a sequence number."""

_pack_header: Final = HEADER.pack
_pack_digest: Final = DIGEST.pack


class Preparer:
    """Turns writes into transactions, one after the other, in the order of their zxids."""

    __slots__ = ("_access", "_grown", "_options", "_tree", "_wall_ms", "outstanding", "reconfigure", "zxid")

    def __init__(
        self, tree: DataTree, access: AccessControl, wall_ms: WallClock, options: PrepOptions | None = None
    ) -> None:
        self._tree: Final = tree
        self._access: Final = access
        self._wall_ms: Final = wall_ms
        self._options: Final = options or PrepOptions()
        self._grown = 0  # bytes by which the ACL lists of the present request exceed what was sent
        self.outstanding = Outstanding(tree)
        self.reconfigure: Callable[[ReconfigBody, int], bytes] | None = None
        """A leader's: the configuration text that a request makes at a zxid; raises KeeperError."""
        self.zxid = tree.last_zxid

    def prepare(self, request: Request) -> bool:
        """Give *request* its transaction and log payload; False when it consumes no zxid (``err`` is set)."""
        op = request.op
        zxid = self.zxid + 1
        time = self._wall_ms()
        outstanding = self.outstanding
        txn: Txn
        with_digest = True
        try:
            if op == opcodes.SET_DATA:
                txn = self._set_data(request, zxid, time)
            elif op == opcodes.MULTI:
                txn = self._multi(request, zxid, time)
            elif op in _CREATE_OPS:
                plain = plain_create(request.frame, 8) if op != opcodes.CREATE_TTL else None
                if plain is not None:
                    path, data, flags = plain
                    txn = self._create(
                        request, op, path, data, archive.OPEN_ACLS, flags, -1, zxid, time, None
                    )
                else:
                    txn = self._create_request(request, zxid, time)
            elif op == opcodes.DELETE:
                txn = self._delete_request(request, zxid)
            elif op == opcodes.SET_ACL:
                txn = self._set_acl(request, zxid)
            elif op == opcodes.CLOSE_SESSION:
                txn = self._close_session(request.session_id, zxid)
                with_digest = isinstance(txn, txns.CloseSession) and txn.paths is not None
            elif op == opcodes.CREATE_SESSION:
                txn = txns.CreateSession(archive.read_int(request.frame, 0)[0])
            elif op == opcodes.DELETE_CONTAINER:
                txn = self._delete_container(request.frame, zxid)
            else:
                assert op == opcodes.RECONFIG, op
                txn = self._reconfig(request, zxid, time)
        except Undecodable as error:
            request.err = error.code
            return False
        except KeeperError as error:
            txn = txns.Error(int(error.code))
            with_digest = False
        self.zxid = zxid
        header = request.header = TxnHeader(request.session_id, request.xid, zxid, time)
        request.txn = txn
        payload = _pack_header(header.client_id, header.cxid, zxid, time, txn.type) + txn.encode()
        if with_digest and self._tree.digest_enabled:
            digest = request.digest = outstanding.digest
            payload += _pack_digest(VERSION, signed(digest))
        request.payload = payload
        return True

    def refuse(self, request: Request, code: int) -> None:
        """Give *request* the transaction of a failure that was found before it was looked at."""
        self.zxid += 1
        header = request.header = TxnHeader(request.session_id, request.xid, self.zxid, self._wall_ms())
        txn = request.txn = txns.Error(code)
        request.payload = _pack_header(header.client_id, header.cxid, header.zxid, header.time, txn.type)
        request.payload += txn.encode()

    # -- create --------------------------------------------------------------------------------------------

    def _create_request(self, request: Request, zxid: int, time: int) -> Txn:
        op = request.op
        try:
            path, data, acl, flags, ttl = decode_create(request.frame, 8, with_ttl=op == opcodes.CREATE_TTL)
        except MarshallingError as error:
            raise Undecodable(str(error)) from None
        self._grown = 0
        return self._create(request, op, path, data, acl, flags, ttl, zxid, time, None)

    def _create(
        self,
        request: Request,
        op: int,
        path: bytes | None,
        data: bytes | None,
        raw_acl: RawAcl,
        flags: int,
        ttl: int,
        zxid: int,
        time: int,
        undo: list[tuple[bytes, Pending | None]] | None,
    ) -> txns.Create:
        if not 0 <= flags <= 3 or op == opcodes.CREATE_TTL or request.ephemeral_err:
            check_mode(op, flags, ttl, self._options.extended_types, request.ephemeral_err)
        if path is None:
            raise MarshallingError("path is null")
        parent_path = paths.parent_of_new(path)
        identities = request.identities
        entries = _OPEN if raw_acl is archive.OPEN_ACLS else self._stored_acl(raw_acl, request)
        outstanding = self.outstanding
        found = outstanding.find(parent_path)
        if found is None:
            raise NoNodeError("no parent")
        parent, siblings = found
        if not (parent.acl.world & CREATE or self._access.allows(parent.acl, CREATE, identities)):
            raise NoAuthError("CREATE on the parent")
        if flags in _SEQUENTIAL_FLAGS:
            path += b"%010d" % parent.cversion
        paths.validate(path)
        if outstanding.find(path) is not None:
            raise NodeExistsError("exists")
        if parent.owner and self._tree.owners.session(parent.owner):
            raise NoChildrenForEphemeralsError("the parent is an ephemeral")
        if self._options.enforce_quota:
            self._check_quota(path, 1, len(data) if data else 0)

        owner: int | None = None if flags in EPHEMERAL_FLAGS else 0
        if op == opcodes.CREATE_CONTAINER:
            owner = CONTAINER_OWNER
        elif op == opcodes.CREATE_TTL:
            owner = ttl_owner(ttl)
        changed = parent.copy()
        counted = parent.cversion + 1
        if counted > 0x7FFFFFFF:
            counted -= 0x100000000
        if counted > parent.cversion:
            changed.cversion = counted
            changed.pzxid = zxid
        stored = request.session_id if owner is None else owner
        node = ZNode(data, self._tree.acls.peek(entries), zxid, zxid, time, time, 0, 0, 0, stored, zxid)
        parent_before = outstanding.put(zxid, parent_path, changed, siblings + 1)
        before = outstanding.put(zxid, path, node, 0)
        if undo is not None:
            undo += ((parent_path, parent_before), (path, before))
        txn = txns.Create(op, path, data, entries, owner, counted)
        if changed.digest is not None and zxid % RECOMPUTE_EVERY:
            txn.foretold = (changed.digest, node)
        return txn

    def _stored_acl(self, raw: RawAcl, request: Request) -> tuple[AclEntry, ...]:
        """The list to store; one that makes the log entry too long to be read back is refused.

        ``auth`` entries multiply by the client's identities, malformed text triples.
        """
        entries = self._access.fix(raw, request.identities)
        if raw is not archive.OPEN_ACLS and raw != archive.OPEN_ACLS:
            sent = sum(len(scheme or "") + len(ident or "") + 12 for _, scheme, ident in raw or ())
            self._grown += max(0, len(archive.acls(entries)) - 4 - sent)
            if len(request.frame) + self._grown + _ENTRY_OVERHEAD > self._options.max_entry:
                raise MarshallingError("the ACL list is too long")
        return entries

    def _put(
        self,
        zxid: int,
        path: bytes,
        node: ZNode | None,
        children: int,
        undo: list[tuple[bytes, Pending | None]] | None,
    ) -> None:
        previous = self.outstanding.put(zxid, path, node, children)
        if undo is not None:
            undo.append((path, previous))

    # -- the other single writes ---------------------------------------------------------------------------

    def _delete_request(self, request: Request, zxid: int) -> Txn:
        try:
            path, version = decode_path_version(request.frame, 8)
        except MarshallingError as error:
            raise Undecodable(str(error)) from None
        return self._delete(request.identities, path, version, zxid)

    def _delete(
        self,
        identities: Identities,
        path: bytes | None,
        version: int,
        zxid: int,
        undo: list[tuple[bytes, Pending | None]] | None = None,
    ) -> Txn:
        if path is None:
            raise MarshallingError("path is null")
        parent_path = self._deletable(path)
        outstanding = self.outstanding
        found_parent = outstanding.find(parent_path)
        if found_parent is None:
            raise NoNodeError("no parent")
        parent, siblings = found_parent
        if not (parent.acl.world & DELETE or self._access.allows(parent.acl, DELETE, identities)):
            raise NoAuthError("DELETE on the parent")
        found = outstanding.find(path)
        if found is None:
            raise NoNodeError("no node")
        node, children = found
        if version not in (-1, node.version):
            raise BadVersionError("version")
        if children:
            raise NotEmptyError("has children")
        self._remove(zxid, path, parent_path, parent, siblings, undo)
        return txns.Delete(opcodes.DELETE, path)

    @staticmethod
    def _deletable(path: bytes) -> bytes:
        parent_path = paths.parent_of_new(path)
        if path in paths.SPECIAL:
            raise BadArgumentsError("this znode cannot be deleted")
        return parent_path

    def _remove(
        self,
        zxid: int,
        path: bytes,
        parent_path: bytes,
        parent: ZNode,
        siblings: int,
        undo: list[tuple[bytes, Pending | None]] | None,
    ) -> None:
        changed = parent.copy()
        if zxid > changed.pzxid:
            changed.pzxid = zxid
        self._put(zxid, parent_path, changed, siblings - 1, undo)
        self._put(zxid, path, None, 0, undo)

    def _delete_container(self, frame: bytes, zxid: int) -> Txn:
        path, _ = archive.read_path(frame, 8)
        assert path is not None, "only the server itself deletes containers"
        parent_path = self._deletable(path)
        found = self.outstanding.find(path)
        if found is None:
            raise NoNodeError("no node")
        node, children = found
        if children:
            raise NotEmptyError("has children")
        if self._tree.owners.session(node.owner):
            raise BadVersionError("an ephemeral")
        found_parent = self.outstanding.find(parent_path)
        if found_parent is None:
            raise NoNodeError("no parent")
        self._remove(zxid, path, parent_path, found_parent[0], found_parent[1], None)
        return txns.Delete(opcodes.DELETE_CONTAINER, path)

    def _set_data(self, request: Request, zxid: int, time: int) -> Txn:
        frame = request.frame
        try:
            path, pos = archive.read_path(frame, 8)
            data, pos = archive.read_buffer(frame, pos)
            version, pos = archive.read_int(frame, pos)
        except MarshallingError as error:
            raise Undecodable(str(error)) from None
        return self._set(request.identities, path, data, version, zxid, time, None)

    def _set(
        self,
        identities: Identities,
        path: bytes | None,
        data: bytes | None,
        version: int,
        zxid: int,
        time: int,
        undo: list[tuple[bytes, Pending | None]] | None,
    ) -> Txn:
        path = paths.validate(path)
        found = self.outstanding.find(path)
        if found is None:
            raise NoNodeError("no node")
        node, children = found
        if not (node.acl.world & WRITE or self._access.allows(node.acl, WRITE, identities)):
            raise NoAuthError("WRITE")
        if self._options.enforce_quota:
            committed = self._tree.nodes.get(path)
            old = len(committed.data) if committed is not None and committed.data else 0
            self._check_quota(path, 0, (len(data) if data else 0) - old)
        new_version = _next_version(node.version, version)
        changed = node.copy()
        changed.data = data
        changed.version = new_version
        changed.mzxid = zxid
        changed.mtime = time
        self._put(zxid, path, changed, children, undo)
        txn = txns.SetData(opcodes.SET_DATA, path, data, new_version)
        if zxid % RECOMPUTE_EVERY:
            txn.foretold = changed.digest
        return txn

    def _set_acl(self, request: Request, zxid: int) -> Txn:
        frame = request.frame
        try:
            raw_path, pos = archive.read_path(frame, 8)
            raw_acl, pos = archive.read_acls(frame, pos)
            version, pos = archive.read_int(frame, pos)
        except MarshallingError as error:
            raise Undecodable(str(error)) from None
        path = paths.validate(raw_path)
        self._grown = 0
        entries = self._stored_acl(raw_acl, request)
        found = self.outstanding.find(path)
        if found is None:
            raise NoNodeError("no node")
        node, children = found
        if not (node.acl.world & ADMIN or self._access.allows(node.acl, ADMIN, request.identities)):
            raise NoAuthError("ADMIN")
        new_version = _next_version(node.aversion, version)
        changed = node.copy()
        changed.aversion = new_version
        changed.acl = self._tree.acls.peek(entries)
        self._put(zxid, path, changed, children, None)
        return txns.SetAcl(path, entries, new_version)

    def _check(self, identities: Identities, path: bytes | None, version: int) -> Txn:
        path = paths.validate(path)
        found = self.outstanding.find(path)
        if found is None:
            raise NoNodeError("no node")
        node = found[0]
        if not (node.acl.world & READ or self._access.allows(node.acl, READ, identities)):
            raise NoAuthError("READ")
        return txns.Check(path, _next_version(node.version, version))

    def _reconfig(self, request: Request, zxid: int, time: int) -> Txn:
        try:
            wanted = decode_reconfig(request.frame, 8)
        except MarshallingError as error:
            raise Undecodable(str(error)) from None
        if not self._options.reconfig_enabled:
            raise ReconfigDisabledError("reconfigEnabled is off")
        if self.reconfigure is None:
            raise UnimplementedError("a standalone server has no ensemble to reconfigure")
        text = self.reconfigure(wanted, zxid)
        found = self.outstanding.find(paths.CONFIG)
        assert found is not None, "every member has this znode"
        node, children = found
        if not (node.acl.world & WRITE or self._access.allows(node.acl, WRITE, request.identities)):
            raise NoAuthError("WRITE")
        changed = node.copy()
        changed.data, changed.version, changed.mzxid, changed.mtime = text, -1, zxid, time
        self._put(zxid, paths.CONFIG, changed, children, None)
        return txns.SetData(opcodes.RECONFIG, paths.CONFIG, text, -1)

    def _close_session(self, session_id: int, zxid: int) -> Txn:
        outstanding = self.outstanding
        gone = outstanding.ephemerals_of(session_id)
        for path in gone:
            parent_path = paths.parent(path)
            found = outstanding.find(parent_path)
            assert found is not None, "an ephemeral without a parent"
            self._remove(zxid, path, parent_path, found[0], found[1], None)
        # An entry that could not be read back must never be written: then the tree itself knows the paths.
        size = sum(len(path) + 4 for path in gone)
        if not self._options.close_session_lists or size + 64 > self._options.max_entry:
            return txns.CloseSession(None)
        return txns.CloseSession(gone)

    def _check_quota(self, path: bytes, count: int, size: int) -> None:
        try:
            over = self._tree.quotas.exceeded(path, count, size)
        except MalformedQuotaError as error:
            raise MarshallingError(str(error)) from None
        if over:
            raise QuotaExceededError("a hard quota")

    # -- multi ---------------------------------------------------------------------------------------------

    def _multi(self, request: Request, zxid: int, time: int) -> Txn:
        ops = decode_multi(request.frame, 8)  # a multi that cannot be decoded does consume a zxid
        if ops and ops[0].type in MULTI_READS:
            return txns.Error(int(Code.MARSHALLING_ERROR))  # unlike other failures, logged with a digest
        if any(op.path is None for op in ops):
            raise MarshallingError("a path is null")
        outstanding = self.outstanding
        undo: list[tuple[bytes, Pending | None]] = []
        digest = outstanding.digest
        prepared: list[Txn] = []
        self._grown = 0
        try:
            for op in ops:
                prepared.append(self._multi_op(request, op, zxid, time, undo))
            if 2 * len(request.frame) + self._grown > self._options.max_entry:
                # Sequence numbers make it longer than it came.
                size = len(txns.Multi(prepared).encode())
                if size + _ENTRY_OVERHEAD > self._options.max_entry:
                    raise MarshallingError("the transaction is too long for the log")
        except MarshallingError:
            # Not a result of one operation: the request as a whole is answered so, and consumes its zxid.
            outstanding.restore(undo, digest)
            raise
        except KeeperError as error:
            outstanding.restore(undo, digest)
            prepared.append(txns.Error(int(error.code)))
            while len(prepared) < len(ops):
                prepared.append(txns.Error(int(Code.RUNTIME_INCONSISTENCY)))
        return txns.Multi(prepared)

    def _multi_op(
        self,
        request: Request,
        op: SubRequest,
        zxid: int,
        time: int,
        undo: list[tuple[bytes, Pending | None]],
    ) -> Txn:
        identities = request.identities
        if op.type == opcodes.DELETE:
            return self._delete(identities, op.path, op.version, zxid, undo)
        if op.type == opcodes.SET_DATA:
            return self._set(identities, op.path, op.data, op.version, zxid, time, undo)
        if op.type == opcodes.CHECK:
            return self._check(identities, op.path, op.version)
        return self._create(request, op.type, op.path, op.data, op.acl, op.flags, op.ttl, zxid, time, undo)


def _next_version(current: int, expected: int) -> int:
    """The version after a change; -1 expects any."""
    if expected not in (-1, current):
        raise BadVersionError(f"{expected} expected, {current} found")
    return current + 1 if current != 0x7FFFFFFF else -0x80000000


_CREATE_OPS: Final = frozenset(
    {opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER, opcodes.CREATE_TTL}
)
