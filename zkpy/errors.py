"""What can go wrong, by who has to act on it.

``KeeperError`` is a *result*: its code travels to the client in a reply header. ``ProtocolError`` ends one
connection. ``ConfigError``, ``DataDirError`` and ``CorruptLogError`` end a start-up with a remedy that a
person can follow. Codes are those of ZooKeeper's ``KeeperException``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Error codes of reply headers (protocol constants, 3.9)."""

    OK = 0
    SYSTEM_ERROR = -1
    RUNTIME_INCONSISTENCY = -2
    DATA_INCONSISTENCY = -3
    CONNECTION_LOSS = -4
    MARSHALLING_ERROR = -5
    UNIMPLEMENTED = -6
    OPERATION_TIMEOUT = -7
    BAD_ARGUMENTS = -8
    UNKNOWN_SESSION = -12
    NEW_CONFIG_NO_QUORUM = -13
    RECONFIG_IN_PROGRESS = -14
    API_ERROR = -100
    NO_NODE = -101
    NO_AUTH = -102
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    INVALID_CALLBACK = -113
    INVALID_ACL = -114
    AUTH_FAILED = -115
    SESSION_MOVED = -118
    NOT_READ_ONLY = -119
    EPHEMERAL_ON_LOCAL_SESSION = -120
    NO_WATCHER = -121
    REQUEST_TIMEOUT = -122
    RECONFIG_DISABLED = -123
    SESSION_CLOSED_REQUIRE_SASL_AUTH = -124
    QUOTA_EXCEEDED = -125
    THROTTLED_OP = -127


class KeeperError(Exception):
    """A request's negative answer; ``code`` is what the reply header carries."""

    code: int = Code.SYSTEM_ERROR


class MarshallingError(KeeperError):
    """The request's body does not decode, or a value that must be there is null."""

    code = Code.MARSHALLING_ERROR


class EphemeralRefusedError(KeeperError):
    """The session cannot have ephemerals, since not all servers know it; *code* can say so differently."""

    code: int = Code.EPHEMERAL_ON_LOCAL_SESSION

    def __init__(self, code: int) -> None:
        super().__init__("this session cannot have ephemerals")
        self.code = code


class UnimplementedError(KeeperError):
    """The server does not offer this operation in its present configuration."""

    code = Code.UNIMPLEMENTED


class BadArgumentsError(KeeperError):
    """A path, flag, TTL or configuration text breaks a rule."""

    code = Code.BAD_ARGUMENTS


class NoNodeError(KeeperError):
    """The znode, or the parent of a new one, does not exist."""

    code = Code.NO_NODE


class NoAuthError(KeeperError):
    """No identity of the connection has the permission that the ACL asks for."""

    code = Code.NO_AUTH


class BadVersionError(KeeperError):
    """The expected version differs from the actual one."""

    code = Code.BAD_VERSION


class NoChildrenForEphemeralsError(KeeperError):
    """An ephemeral znode cannot have children."""

    code = Code.NO_CHILDREN_FOR_EPHEMERALS


class NodeExistsError(KeeperError):
    """The znode to be created is already there."""

    code = Code.NODE_EXISTS


class NotEmptyError(KeeperError):
    """The znode to be deleted has children."""

    code = Code.NOT_EMPTY


class InvalidAclError(KeeperError):
    """The ACL list is empty, or an entry is not acceptable."""

    code = Code.INVALID_ACL


class NoWatcherError(KeeperError):
    """No watch of the asked kind is registered by this connection."""

    code = Code.NO_WATCHER


class ReconfigDisabledError(KeeperError):
    """``reconfigEnabled`` is not set."""

    code = Code.RECONFIG_DISABLED


class ReconfigInProgressError(KeeperError):
    """An earlier reconfiguration is not committed yet."""

    code = Code.RECONFIG_IN_PROGRESS


class NewConfigNoQuorumError(KeeperError):
    """No quorum of the configuration that is asked for follows the leader."""

    code = Code.NEW_CONFIG_NO_QUORUM


class QuotaExceededError(KeeperError):
    """A hard quota would be exceeded."""

    code = Code.QUOTA_EXCEEDED


class ProtocolError(Exception):
    """The peer broke the protocol; its connection is closed without an answer."""


class ConfigError(Exception):
    """A setting cannot be used: names the place, what is wrong, and what to do."""

    def __init__(self, file: str | None, line: int | None, why: str, remedy: str) -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{why}. {remedy}".rstrip())
        self.file: Final = file
        self.line: Final = line
        self.why: Final = why
        self.remedy: Final = remedy


class UnexplainedError(ConfigError):
    """A value at which a Java server fails without a sentence: refused in a reconfig by another code."""


class DataDirError(Exception):
    """The data directory cannot be used (exit status 3)."""


class CorruptLogError(Exception):
    """Stored data cannot be trusted: names file, offset, what was found, and what to do."""

    def __init__(self, file: str, offset: int, why: str, remedy: str) -> None:
        super().__init__(f"{file}: offset {offset}: {why}. {remedy}".rstrip())
        self.file: Final = file
        self.offset: Final = offset
        self.why: Final = why
        self.remedy: Final = remedy


class CommitMismatch(Exception):
    """The leader commits something else than this server has logged: it must not go on (exit status 12)."""


class SyncFailed(Exception):
    """The leader's history could not be taken over: a truncation failed, say (exit status 13)."""


class ElectionPortTaken(Exception):
    """The election port cannot be listened on (exit status 14)."""


class StorageError(Exception):
    """Writing or syncing failed: nothing may be acknowledged any more, the server has to stop."""
