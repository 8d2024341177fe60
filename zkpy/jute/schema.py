"""The wire and file records of ZooKeeper 3.9, as data: what `zkpy.jute.records` is generated from.

A record is written as its fields in order, each "type name", with jute's own field names. Types:

=============== ============================= =======================================================
type            Python                        bytes
=============== ============================= =======================================================
int, long       int                           4 or 8, signed
boolean         bool                          1, any non-zero byte is true
boolean?        bool | None                   as boolean, but the record may end before it (then None);
                                              only as the last field
buffer          bytes | None                  int length, bytes; length -1 is null
ustring         str | None                    as buffer, UTF-8
path            bytes | None                  as ustring; kept as UTF-8
acls            tuple of triples, or None     as vector<ACL>; kept as (perms, scheme, id)
vector<T>       list, or None                 int count, elements; T is path or a record
(a record)      that class                    its fields
=============== ============================= =======================================================

``path`` and ``acls`` are zkpy's refinements of jute's ``ustring`` and ``vector<ACL>``: the same bytes, in the
form that the server works with. Child names and lists of watched paths are ``vector<path>``.

Sources: client protocol (shared records; requests and responses; multi), persistence (log header,
transaction header, digest, bodies, StatPersisted), replication (quorum packet, learner info, SASL between
servers). Requests without a body (ping, closeSession, whoAmI) have no record, and records that never travel
are left out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SCHEMA: Final[dict[str, dict[str, str]]] = {
    "data": {
        "Id": "ustring scheme, ustring id",
        "ACL": "int perms, Id id",
        "Stat": "long czxid, long mzxid, long ctime, long mtime, int version, int cversion, int aversion, "
        "long ephemeralOwner, int dataLength, int numChildren, long pzxid",
        "ClientInfo": "ustring authScheme, ustring user",
    },
    "proto": {
        "ConnectRequest": "int protocolVersion, long lastZxidSeen, int timeOut, long sessionId, "
        "buffer passwd, boolean? readOnly",
        "ConnectResponse": "int protocolVersion, int timeOut, long sessionId, buffer passwd, "
        "boolean? readOnly",
        "RequestHeader": "int xid, int type",
        "ReplyHeader": "int xid, long zxid, int err",
        "MultiHeader": "int type, boolean done, int err",
        "WatcherEvent": "int type, int state, path path",
        "ErrorResponse": "int err",
        "AuthPacket": "int type, ustring scheme, buffer auth",
        "GetSASLRequest": "buffer token",
        "SetSASLResponse": "buffer token",
        "CreateRequest": "path path, buffer data, acls acl, int flags",
        "CreateResponse": "path path",
        "Create2Response": "path path, Stat stat",
        "CreateTTLRequest": "path path, buffer data, acls acl, int flags, long ttl",
        "DeleteRequest": "path path, int version",
        "DeleteContainerRequest": "path path",
        "ExistsRequest": "path path, boolean watch",
        "ExistsResponse": "Stat stat",
        "GetDataRequest": "path path, boolean watch",
        "GetDataResponse": "buffer data, Stat stat",
        "SetDataRequest": "path path, buffer data, int version",
        "SetDataResponse": "Stat stat",
        "GetACLRequest": "path path",
        "GetACLResponse": "acls acl, Stat stat",
        "SetACLRequest": "path path, acls acl, int version",
        "SetACLResponse": "Stat stat",
        "GetChildrenRequest": "path path, boolean watch",
        "GetChildrenResponse": "vector<path> children",
        "GetChildren2Request": "path path, boolean watch",
        "GetChildren2Response": "vector<path> children, Stat stat",
        "SyncRequest": "path path",
        "SyncResponse": "path path",
        "CheckVersionRequest": "path path, int version",
        "ReconfigRequest": "ustring joiningServers, ustring leavingServers, ustring newMembers, "
        "long curConfigId",
        "CheckWatchesRequest": "path path, int type",
        "RemoveWatchesRequest": "path path, int type",
        "SetWatches": "long relativeZxid, vector<path> dataWatches, vector<path> existWatches, "
        "vector<path> childWatches",
        "SetWatches2": "long relativeZxid, vector<path> dataWatches, vector<path> existWatches, "
        "vector<path> childWatches, vector<path> persistentWatches, vector<path> persistentRecursiveWatches",
        "AddWatchRequest": "path path, int mode",
        "GetEphemeralsRequest": "path prefixPath",
        "GetEphemeralsResponse": "vector<path> ephemerals",
        "GetAllChildrenNumberRequest": "path path",
        "GetAllChildrenNumberResponse": "int totalNumber",
        "WhoAmIResponse": "vector<ClientInfo> clientInfo",
    },
    "txn": {
        "TxnHeader": "long clientId, int cxid, long zxid, long time, int type",
        "TxnDigest": "int version, long treeDigest",
        "CreateSessionTxn": "int timeOut",
        "CloseSessionTxn": "vector<path> paths2Delete",
        "ErrorTxn": "int err",
        "CreateTxn": "path path, buffer data, acls acl, boolean ephemeral, int parentCVersion",
        "CreateTxnV0": "path path, buffer data, acls acl, boolean ephemeral",
        "CreateContainerTxn": "path path, buffer data, acls acl, int parentCVersion",
        "CreateTTLTxn": "path path, buffer data, acls acl, int parentCVersion, long ttl",
        "DeleteTxn": "path path",
        "SetDataTxn": "path path, buffer data, int version",
        "SetACLTxn": "path path, acls acl, int version",
        "SetMaxChildrenTxn": "path path, int max",
        "CheckVersionTxn": "path path, int version",
        "Txn": "int type, buffer data",
        "MultiTxn": "vector<Txn> txns",
    },
    "persistence": {
        "FileHeader": "int magic, int version, long dbid",
        "StatPersisted": "long czxid, long mzxid, long ctime, long mtime, int version, int cversion, "
        "int aversion, long ephemeralOwner, long pzxid",
    },
    "quorum": {
        "QuorumPacket": "int type, long zxid, buffer data, vector<Id> authinfo",
        "LearnerInfo": "long sid, int protocolVersion, long configVersion",
        "QuorumAuthPacket": "long magic, int status, buffer token",
    },
}

SECRETS: Final = frozenset({"passwd", "auth", "token"})
"""Fields that a record's ``repr`` does not show: representations end up in logs."""


class Field(NamedTuple):
    """One field: its type as in the table above and jute's name for it."""

    type: str
    name: str


def fields_of(text: str) -> tuple[Field, ...]:
    """A record's fields from their text."""
    return tuple(Field(*field.split()) for field in text.split(", "))


RECORDS: Final[dict[str, tuple[Field, ...]]] = {
    name: fields_of(text) for records in SCHEMA.values() for name, text in records.items()
}
"""All records by name."""
