"""The deliberate mistakes that the comparison with a real server has to notice."""

# ruff: noqa: E501 (the places are quoted as they are)

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Mutant:
    """One deliberate mistake: *old* in *file* becomes *new*."""

    name: str
    file: str
    old: str
    new: str
    profile: str = "main"
    """Where generated scripts look for it."""


PREP: Final = "pipeline/prep.py"
FINAL: Final = "pipeline/final.py"
TREE: Final = "tree/datatree.py"
WATCHES: Final = "tree/watches.py"

MUTANTS: Final = (
    Mutant("create looks for the znode before its parent's ACL", PREP,
           "        if not (parent.acl.world & CREATE or",
           "        if outstanding.find(path) is not None:\n"
           "            raise NodeExistsError(\"exists\")\n"
           "        if not (parent.acl.world & CREATE or"),
    Mutant("create checks the parent before the ACL list", PREP,
           "        entries = _OPEN if raw_acl is archive.OPEN_ACLS else self._stored_acl(raw_acl, request)\n"
           "        outstanding = self.outstanding\n"
           "        found = outstanding.find(parent_path)\n"
           "        if found is None:\n"
           "            raise NoNodeError(\"no parent\")\n",
           "        outstanding = self.outstanding\n"
           "        found = outstanding.find(parent_path)\n"
           "        if found is None:\n"
           "            raise NoNodeError(\"no parent\")\n"
           "        entries = _OPEN if raw_acl is archive.OPEN_ACLS else self._stored_acl(raw_acl, request)\n"),
    Mutant("delete complains about children before the version", PREP,
           "        if version not in (-1, node.version):\n"
           "            raise BadVersionError(\"version\")\n"
           "        if children:\n"
           "            raise NotEmptyError(\"has children\")\n"
           "        self._remove(zxid, path, parent_path, parent",
           "        if children:\n"
           "            raise NotEmptyError(\"has children\")\n"
           "        if version not in (-1, node.version):\n"
           "            raise BadVersionError(\"version\")\n"
           "        self._remove(zxid, path, parent_path, parent"),
    Mutant("delete looks for the znode before permission", PREP,
           "        if not (parent.acl.world & DELETE or",
           "        if outstanding.find(path) is None:\n"
           "            raise NoNodeError(\"no node\")\n"
           "        if not (parent.acl.world & DELETE or"),
    Mutant("delete needs the permission of the znode, not of the parent", PREP,
           "        if not (parent.acl.world & DELETE or self._access.allows(parent.acl, DELETE, identities)):",
           "        own = (outstanding.find(path) or found_parent)[0].acl\n"
           "        if not (own.world & DELETE or self._access.allows(own, DELETE, identities)):"),
    Mutant("setACL needs WRITE instead of ADMIN", PREP,
           "        if not (node.acl.world & ADMIN or self._access.allows(node.acl, ADMIN, request.identities)):",
           "        if not (node.acl.world & WRITE or self._access.allows(node.acl, WRITE, request.identities)):"),
    Mutant("version -2 means any", PREP,
           "    if expected not in (-1, current):", "    if expected not in (-1, -2, current):"),
    Mutant("a failed write consumes no zxid", PREP,
           "        except KeeperError as error:\n"
           "            txn = txns.Error(int(error.code))\n"
           "            with_digest = False\n",
           "        except NotEmptyError as error:\n"
           "            request.err = error.code\n"
           "            return False\n"
           "        except KeeperError as error:\n"
           "            txn = txns.Error(int(error.code))\n"
           "            with_digest = False\n"),
    Mutant("ephemerals may have children", PREP,
           "        if parent.owner and self._tree.owners.session(parent.owner):\n", "        if False:\n"),
    Mutant("sequence numbers have nine digits", PREP, 'b"%010d"', 'b"%09d"'),
    Mutant("a quota of exactly the limit is refused", "tree/quota.py",
           "usage.count + count_diff > count_limit", "usage.count + count_diff >= count_limit", "quota"),
    Mutant("setData checks the quota after the version", PREP,
           "        if self._options.enforce_quota:\n"
           "            committed =",
           "        _next_version(node.version, version)\n"
           "        if self._options.enforce_quota:\n"
           "            committed =", "quota"),
    Mutant("a failed multi says 0 behind the failure", PREP,
           "prepared.append(txns.Error(int(Code.RUNTIME_INCONSISTENCY)))", "prepared.append(txns.Error(0))"),
    Mutant("a failed multi keeps its pending changes", PREP,
           "        except KeeperError as error:\n"
           "            outstanding.restore(undo, digest)\n",
           "        except KeeperError as error:\n"),
    Mutant("check in a multi needs no READ", PREP,
           "        if not (node.acl.world & READ or self._access.allows(node.acl, READ, identities)):\n"
           "            raise NoAuthError(\"READ\")\n"
           "        return txns.Check",
           "        return txns.Check"),
    Mutant("the visible cversion counts creations only", TREE,
           "(2 * node.cversion - children + 0x80000000 & 0xFFFFFFFF) - 0x80000000", "node.cversion"),
    Mutant("deleting a child leaves the parent's pzxid", TREE,
           "        if zxid > parent.pzxid:\n            parent.pzxid = zxid\n        self._redigest(parent_path, parent)\n"
           "        node = self.nodes.get(path)",
           "        self._redigest(parent_path, parent)\n        node = self.nodes.get(path)"),
    Mutant("setData leaves mtime", TREE, "        node.mtime = header.time\n", ""),
    Mutant("setData sets pzxid", TREE,
           "        node.mzxid = header.zxid\n", "        node.mzxid = header.zxid\n        node.pzxid = header.zxid\n"),
    Mutant("the owner of a container is shown", TREE,
           "self.owners.session(owner) if owner else 0", "owner - (1 << 64) if owner >> 63 else owner"),
    Mutant("a null is stored as empty data", TREE,
           "        data = node.data = txn.data\n", "        data = node.data = txn.data or b\"\"\n"),
    Mutant("recursive watches miss the root's children", WATCHES,
           "watchers = by_path.get(path[:cut] if cut else ROOT)", "watchers = by_path.get(path[:cut])"),
    Mutant("an exists watch is lost when the znode is absent", FINAL,
           "    if watch:\n        server.watches.add_data(path, client)\n    if node is None:",
           "    if watch and node is not None:\n        server.watches.add_data(path, client)\n    if node is None:"),
    Mutant("a persistent watch is used up", WATCHES, "            modes &= ~ONE_SHOT\n", "            modes = 0\n"),
    Mutant("an unreadable event leaves its watch", "pipeline/notify.py",
           "        told = watches.trigger_data(path)\n",
           "        told = watches.trigger_data(path) if acl.world & READ else ()\n"),
    Mutant("a deletion is told twice to who watches data and children", "pipeline/notify.py",
           "watches.trigger_child(path, told)", "watches.trigger_child(path)"),
    Mutant("the parent is told before the znode", "pipeline/notify.py",
           "    for kind, path, acl, parent_acl in changes:\n",
           "    for kind, path, acl, parent_acl in changes:\n"
           "        early = watches.trigger_child(paths.parent(path)) if kind == CREATED else ()\n"
           "        _send(early, access, parent_acl, encode_event(zxid, CHILDREN_CHANGED, paths.parent(path)))\n"),
    Mutant("events carry zxid -1", "pipeline/notify.py",
           "_send(told, access, acl, encode_event(zxid, kind, path))",
           "_send(told, access, acl, encode_event(-1, kind, path))"),
    Mutant("setWatches tells of children by mzxid", FINAL, "elif node.pzxid > seen:", "elif node.mzxid > seen:"),
    Mutant("setWatches looks at the zxid one too early", FINAL, "elif node.mzxid > seen:", "elif node.mzxid >= seen:"),
    Mutant("removeWatches leaves the children's table", WATCHES,
           "        from_child = self._child.discard(path, watcher, child)\n", "        from_child = 0\n"),
    Mutant("getACL shows hashes to readers", "auth/access.py",
           "        if self.allows(acl, ADMIN, identities):\n            return acl.encoded",
           "        if self.allows(acl, ADMIN | 1, identities):\n            return acl.encoded"),
    Mutant("duplicates stay in an ACL list", "auth/access.py",
           "in dict.fromkeys(entries):", "in entries:"),
    Mutant("a closed session is still counted", TREE,
           "        self.most_ephemerals.pop(session_id, None)\n        self.sessions.pop(session_id, None)\n",
           "        self.most_ephemerals.pop(session_id, None)\n"),
    Mutant("the end of a session does not list its ephemerals", PREP,
           "        return txns.CloseSession(gone)\n", "        return txns.CloseSession(None)\n"),
    Mutant("the empty path is not the root", TREE,
           "        if node is None and not path:\n            return self.root\n", ""),
    Mutant("a read shows the zxid before the last", "server/cnxn.py",
           "self.send(final.reply(-2 if op == opcodes.PING else xid, server.tree.last_zxid, err, body))",
           "self.send(final.reply(-2 if op == opcodes.PING else xid, server.tree.last_zxid - 1, err, body))"),
    Mutant("a wrong password is as good as the right one", "pipeline/zookeeperserver.py",
           "            or password != sessions.password(session_id)\n", ""),
    Mutant("a usage does not count bytes", "tree/accounting.py", "usage.add(count, size)", "usage.add(count, 0)",
           "quota"),
    Mutant("the digest leaves out the data", "tree/digest.py",
           "    if node.data:\n        crc = crc32(node.data, crc)\n", ""),
    Mutant("a log entry has another cxid", PREP,
           "TxnHeader(request.session_id, request.xid, zxid, time)",
           "TxnHeader(request.session_id, request.xid + 1, zxid, time)"),
    Mutant("a container is created as a plain znode", PREP,
           "            owner = CONTAINER_OWNER\n", "            owner = 0\n"),
    Mutant("whoAmI shows the whole id", "auth/access.py", 'return ident.split(":", 1)[0]', "return ident"),
    Mutant("a multi of four or more gives its results in reverse", FINAL,
           "    for part in result.parts or ():\n",
           "    parts = result.parts or []\n"
           "    for part in parts if len(parts) < 4 else parts[::-1]:\n"),
    Mutant("a failed multi undoes only its last changes", "pipeline/outstanding.py",
           "        for path, previous in reversed(replaced):\n", "        for path, previous in reversed(replaced[-5:]):\n"),
    Mutant("the ephemerals of a session go in the order of creation", "pipeline/outstanding.py",
           "        return [path for path in listed if path in found]\n", "        return list(found)\n"),
    Mutant("a refused auth leaves the connection open", "server/authentication.py",
           "        cnxn.send(final.reply(xid, 0, Code.AUTH_FAILED))\n        cnxn.close_after_flush()\n",
           "        cnxn.send(final.reply(xid, 0, Code.AUTH_FAILED))\n"),
)  # fmt: skip
"""The deliberate mistakes."""
