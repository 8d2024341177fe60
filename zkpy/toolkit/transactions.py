"""Transactions of the log as lines of text and as JSON objects, and the choice of those that are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from struct import Struct
from typing import Final

import attrs

from zkpy import opcodes
from zkpy.persist.logreader import LogEntry
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.render import (
    Clock,
    Json,
    acl_json,
    acl_text,
    data_json,
    data_text,
    error_text,
    hex_id,
    owner_text,
    path_of,
    path_text,
)
from zkpy.tree.txns import (
    Check,
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    Logged,
    Multi,
    SetAcl,
    SetData,
    Txn,
)
from zkpy.tree.znode import TTL_MAX

NAMES: Final = {
    opcodes.CREATE_SESSION: "createSession",
    opcodes.CLOSE_SESSION: "closeSession",
    opcodes.ERROR: "error",
    opcodes.CREATE: "create",
    opcodes.CREATE2: "create2",
    opcodes.CREATE_CONTAINER: "createContainer",
    opcodes.CREATE_TTL: "createTTL",
    opcodes.DELETE: "delete",
    opcodes.DELETE_CONTAINER: "deleteContainer",
    opcodes.SET_DATA: "setData",
    opcodes.RECONFIG: "reconfig",
    opcodes.SET_ACL: "setACL",
    opcodes.MULTI: "multi",
    opcodes.CHECK: "check",
}
"""Transaction types by name."""

HEADER: Final = Struct(">qiqqi")

_REPLACED: Final = b"\xef\xbf\xbd"  # U+FFFD: what stands for it in the file is another thing

_RELATIVE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)").fullmatch
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def txn_text(txn: Txn, data_limit: int) -> str:
    """Type and body of one transaction; *data_limit* is how many bytes of data are shown (0: none)."""
    name = NAMES.get(txn.type, str(txn.type))
    if isinstance(txn, Create):
        kind = "ephemeral" if txn.owner is None else owner_text(txn.owner)
        flags = f" {kind}" if kind else ""
        data = f" data={data_text(txn.data, data_limit)}" if data_limit else ""
        acl = f" acl={acl_text(txn.acl)}"
        return f"{name} {path_text(txn.path)}{data}{acl}{flags} parentCversion={txn.parent_cversion}"
    if isinstance(txn, SetData):
        data = f" data={data_text(txn.data, data_limit)}" if data_limit else ""
        return f"{name} {path_text(txn.path)}{data} version={txn.version}"
    if isinstance(txn, Delete):
        return f"{name} {path_text(txn.path)}"
    if isinstance(txn, SetAcl):
        return f"{name} {path_text(txn.path)} acl={acl_text(txn.acl)} aversion={txn.version}"
    if isinstance(txn, Check):
        return f"{name} {path_text(txn.path)} version={txn.version - 1}"
    if isinstance(txn, Error):
        return f"{name} {error_text(txn.err)}"
    if isinstance(txn, CreateSession):
        return f"{name} timeout={txn.timeout_ms}ms"
    if isinstance(txn, CloseSession):
        if txn.paths is None:
            return f"{name} (its ephemerals are not listed)"
        return f"{name} deletes=[{', '.join(path_text(path) for path in txn.paths)}]"
    if isinstance(txn, Multi):
        failed = "FAILED " if is_failed(txn) else ""
        return f"{name} {failed}[{'; '.join(txn_text(op, data_limit) for op in txn.ops)}]"
    return name


def is_failed(txn: Multi) -> bool:
    """Whether nothing of a multi was carried out."""
    return any(isinstance(op, Error) for op in txn.ops)


def txn_json(txn: Txn) -> Json:
    """All of one transaction's body."""
    item: Json = {"type": NAMES.get(txn.type, txn.type)}
    if isinstance(txn, Create):
        item["path"] = path_of(txn.path)
        item |= data_json(txn.data)
        item["acl"] = acl_json(txn.acl)
        item["ephemeral"] = txn.owner is None
        if txn.type == opcodes.CREATE_TTL:
            item["ttl_ms"] = (txn.owner or 0) & TTL_MAX
        item["parent_cversion"] = txn.parent_cversion
    elif isinstance(txn, SetData):
        item["path"] = path_of(txn.path)
        item |= data_json(txn.data)
        item["version"] = txn.version
    elif isinstance(txn, SetAcl):
        item |= {"path": path_of(txn.path), "acl": acl_json(txn.acl), "aversion": txn.version}
    elif isinstance(txn, Delete):
        item["path"] = path_of(txn.path)
    elif isinstance(txn, Check):
        item |= {"path": path_of(txn.path), "version": txn.version - 1}
    elif isinstance(txn, Error):
        item |= {"code": txn.err, "error": error_text(txn.err)}
    elif isinstance(txn, CreateSession):
        item["timeout_ms"] = txn.timeout_ms
    elif isinstance(txn, CloseSession):
        item["deletes"] = None if txn.paths is None else [path_of(path) for path in txn.paths]
    elif isinstance(txn, Multi):
        item |= {"failed": is_failed(txn), "ops": [txn_json(op) for op in txn.ops]}
    return item


def entry_text(logged: Logged, clock: Clock, data_limit: int, digest: bool) -> str:
    """One line for a log entry."""
    header = logged.header
    line = (
        f"{clock.text(header.time)} session {hex_id(header.client_id)} cxid {hex_int(header.cxid)} "
        f"zxid {hex_id(header.zxid)} {txn_text(logged.txn, data_limit)}"
    )
    if digest:
        line += " digest=none" if logged.digest_version is None else f" digest={hex_id(logged.digest)}"
    return line


def entry_json(path: str, entry: LogEntry, logged: Logged, clock: Clock) -> Json:
    """A log entry, complete."""
    header = logged.header
    return {
        "zxid": hex_id(header.zxid),
        "time": clock.text(header.time),
        "time_ms": header.time,
        "session": hex_id(header.client_id),
        "cxid": header.cxid,
        **txn_json(logged.txn),
        "digest": None if logged.digest_version is None else hex_id(logged.digest),
        "digest_version": logged.digest_version,
        "file": path,
        "offset": entry.offset,
    }


def hex_int(value: int) -> str:
    """A cxid as ZooKeeper prints it."""
    return f"0x{value & 0xFFFFFFFF:x}"


@attrs.frozen
class Moment:
    """A bound for what is shown: a zxid or a time (ms since 1970); the other is None."""

    zxid: int | None = None
    ms: int | None = None


def moment(text: str, now_ms: int, utc: bool) -> Moment:
    """What a person writes for a moment: ``0x1f``, ``10m`` (ago), ``2024-05-01``, ``2024-05-01T12:00:00Z``.

    A time without an offset is local time, or UTC if *utc*.

    Raises:
        ToolError: it is none of these.
    """
    text = text.strip()
    if text.lower().startswith("0x"):
        try:
            return Moment(zxid=int(text, 16))
        except ValueError:
            pass
    relative = _RELATIVE(text)
    if relative is not None:
        return Moment(ms=now_ms - int(float(relative[1]) * _UNIT_MS[relative[2]]))
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and utc:
            found = found.replace(tzinfo=UTC)
        return Moment(ms=round(found.timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise ToolError(
            f"{text!r} is no moment: give a time like 2024-05-01T12:00:00, how long ago like 10m, 2h or 1d, "
            "or a zxid like 0x1f"
        ) from None


def op_codes(text: str) -> frozenset[int]:
    """The transaction types of a comma-separated list of names; ``create`` means all kinds of it.

    Raises:
        ToolError: a name is unknown.
    """
    by_name = {name.lower(): code for code, name in NAMES.items()}
    families = {
        "create": {opcodes.CREATE, opcodes.CREATE2, opcodes.CREATE_CONTAINER, opcodes.CREATE_TTL},
        "delete": {opcodes.DELETE, opcodes.DELETE_CONTAINER},
    }
    found: set[int] = set()
    for name in text.lower().split(","):
        if name.strip() not in by_name:
            raise ToolError(f"unknown operation {name.strip()!r}; there are {', '.join(NAMES.values())}")
        found |= families.get(name.strip(), {by_name[name.strip()]})
    return frozenset(found)


@attrs.frozen
class Choice:
    """Which entries are shown; None, or an empty bound, stands for all.

    With operations and a path both must fit the same operation: the transaction itself, one inside a multi,
    or the end of a session that deletes the path as an ephemeral.
    """

    since: Moment = Moment()
    until: Moment = Moment()
    session: int | None = None
    ops: frozenset[int] | None = None
    path: bytes | None = None
    below: bool = False

    def may_fit(self, entry: LogEntry) -> bool:
        """Whether the entry fits as far as can be seen without decoding its body; cheap."""
        client_id, _, zxid, time_ms, type = HEADER.unpack_from(entry.payload)
        since, until = self.since, self.until
        if (since.zxid is not None and zxid < since.zxid) or (since.ms is not None and time_ms < since.ms):
            return False
        if (until.zxid is not None and zxid > until.zxid) or (until.ms is not None and time_ms > until.ms):
            return False
        if self.session is not None and client_id != self.session:
            return False
        if self.ops is not None and type not in self.ops and type != opcodes.MULTI:
            return False
        path = self.path
        return path is None or path in entry.payload or _REPLACED in path

    def fits(self, txn: Txn) -> bool:
        """Whether the operations and paths of *txn*, which `may_fit`, are wanted."""
        if (self.ops is None or txn.type in self.ops) and self._touches(txn):
            return True
        return isinstance(txn, Multi) and any(self.fits(op) for op in txn.ops)

    def _touches(self, txn: Txn) -> bool:
        if self.path is None:
            return True
        if isinstance(txn, Multi):
            return any(self._touches(op) for op in txn.ops)
        if isinstance(txn, CloseSession):
            return any(self._is_wanted(path) for path in txn.paths or ())
        path = getattr(txn, "path", None)
        return path is not None and self._is_wanted(path)

    def _is_wanted(self, path: bytes) -> bool:
        wanted = self.path
        assert wanted is not None
        if path == wanted:
            return True
        return self.below and path.startswith(wanted if wanted == b"/" else wanted + b"/")
