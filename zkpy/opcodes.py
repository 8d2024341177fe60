"""Operation codes of request headers and transaction headers, and the names `cons` shows for them."""

from __future__ import annotations

from typing import Final

NOTIFICATION: Final = 0
CREATE: Final = 1
DELETE: Final = 2
EXISTS: Final = 3
GET_DATA: Final = 4
SET_DATA: Final = 5
GET_ACL: Final = 6
SET_ACL: Final = 7
GET_CHILDREN: Final = 8
SYNC: Final = 9
PING: Final = 11
GET_CHILDREN2: Final = 12
CHECK: Final = 13
MULTI: Final = 14
CREATE2: Final = 15
RECONFIG: Final = 16
CHECK_WATCHES: Final = 17
REMOVE_WATCHES: Final = 18
CREATE_CONTAINER: Final = 19
DELETE_CONTAINER: Final = 20
CREATE_TTL: Final = 21
MULTI_READ: Final = 22
AUTH: Final = 100
SET_WATCHES: Final = 101
SASL: Final = 102
GET_EPHEMERALS: Final = 103
GET_ALL_CHILDREN_NUMBER: Final = 104
SET_WATCHES2: Final = 105
ADD_WATCH: Final = 106
WHO_AM_I: Final = 107
CREATE_SESSION: Final = -10
CLOSE_SESSION: Final = -11
ERROR: Final = -1

XID_NOTIFICATION: Final = -1
XID_PING: Final = -2
XID_AUTH: Final = -4
XID_SET_WATCHES: Final = -8

WRITES: Final = frozenset(
    {
        CREATE,
        CREATE2,
        CREATE_CONTAINER,
        CREATE_TTL,
        DELETE,
        SET_DATA,
        SET_ACL,
        MULTI,
        RECONFIG,
        CLOSE_SESSION,
    }
)
"""Client operations that go through the write pipeline and consume a zxid."""

READS: Final = frozenset(
    {
        EXISTS,
        GET_DATA,
        GET_ACL,
        GET_CHILDREN,
        GET_CHILDREN2,
        SYNC,
        PING,
        CHECK_WATCHES,
        REMOVE_WATCHES,
        MULTI_READ,
        SET_WATCHES,
        SET_WATCHES2,
        GET_EPHEMERALS,
        GET_ALL_CHILDREN_NUMBER,
        ADD_WATCH,
        WHO_AM_I,
    }
)
"""Client operations answered from the committed tree."""

SHORT_NAMES: Final = {
    CREATE: "CREA",
    CREATE2: "CREA",
    CREATE_CONTAINER: "CREA",
    CREATE_TTL: "CREA",
    DELETE: "DELE",
    DELETE_CONTAINER: "DELE",
    EXISTS: "EXIS",
    GET_DATA: "GETD",
    SET_DATA: "SETD",
    GET_ACL: "GETA",
    SET_ACL: "SETA",
    GET_CHILDREN: "GETC",
    GET_CHILDREN2: "GETC",
    GET_ALL_CHILDREN_NUMBER: "GETACN",
    GET_EPHEMERALS: "GETE",
    SYNC: "SYNC",
    PING: "PING",
    CHECK: "CHEC",
    MULTI: "MULT",
    MULTI_READ: "MLTR",
    SET_WATCHES: "SETW",
    SET_WATCHES2: "STW2",
    ADD_WATCH: "ADDW",
    CHECK_WATCHES: "CHKW",
    REMOVE_WATCHES: "REMW",
    RECONFIG: "RECO",
    WHO_AM_I: "HOMI",
    CREATE_SESSION: "SESS",
    CLOSE_SESSION: "CLOS",
}
"""Last-operation names in the answers of the words ``cons`` and ``stat``."""
