"""The table of every configuration key that ZooKeeper 3.9 knows, as data, and how to look a name up.

``KEYS`` is what documentation is written from; the parser reads values, ranges and fields from the same rows.
Keys of Java clients, which no server reads, are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zkpy.config.key import Key
from zkpy.config.keys_access import ADMIN, AUTH, TLS
from zkpy.config.keys_ensemble import MEMBERS, QUORUM_SASL, TIMING
from zkpy.config.keys_server import BASICS, LIMITS, NETWORK, STORAGE

KEYS: Final[tuple[Key, ...]] = (
    *BASICS,
    *MEMBERS,
    *QUORUM_SASL,
    *STORAGE,
    *NETWORK,
    *TIMING,
    *LIMITS,
    *AUTH,
    *TLS,
    *ADMIN,
)

BY_NAME: Final[Mapping[str, Key]] = {key.name: key for key in KEYS if not key.family}
FAMILIES: Final[tuple[Key, ...]] = tuple(key for key in KEYS if key.family)

# Section titles of the administrator documentation which look like keys and are none.
DOCUMENTED_AS: Final[Mapping[str, str]] = {
    "requestThrottleLimit": "request_throttle_max_requests",
    "requestThrottleStallTime": "request_throttle_stall_time",
    "requestThrottleDropStale": "request_throttle_drop_stale",
    "requestStaleLatencyCheck": "request_stale_latency_check",
    "requestStaleConnectionCheck": "request_stale_connection_check",
    "requestThrottlerShutdownTimeout": "request_throttler.shutdownTimeout",
    "throttledOpWaitTime": "throttled_op_wait_time",
    "connectionMaxTokens": "connection_throttle_tokens",
    "connectionTokenFillTime": "connection_throttle_fill_time",
    "connectionTokenFillCount": "connection_throttle_fill_count",
    "connectionFreezeTime": "connection_throttle_freeze_time",
    "connectionDropIncrease": "connection_throttle_drop_increase",
    "connectionDropDecrease": "connection_throttle_drop_decrease",
    "connectionDecreaseRatio": "connection_throttle_decrease_ratio",
}

# Read by Java clients and command-line tools: nothing to say about them on a server's command line.
CLIENT_PROPERTIES: Final = frozenset(
    f"zookeeper.{name}"
    for name in (
        "client.secure",
        "clientCnxnSocket",
        "sasl.client",
        "sasl.clientconfig",
        "sasl.client.username",
        "sasl.client.canonicalize.hostname",
        "server.principal",
        "request.timeout",
        "disableAutoWatchReset",
    )
)


def is_membership(name: str) -> bool:
    """Whether a key belongs to the member list, and so to a dynamic file once there is one."""
    return name.startswith(("server.", "group", "weight"))


def find_key(name: str) -> Key | None:
    """The row of a name as written in a file (or of a full property name for class J); None: unknown."""
    exact = BY_NAME.get(name)
    if exact is not None:
        return exact
    for family in FAMILIES:
        if name.startswith(family.name):
            return family
    return None


def closest_name(name: str) -> str | None:
    """The known key that an unknown name was probably meant to be; None: nothing comes near."""
    if name in DOCUMENTED_AS:
        return DOCUMENTED_AS[name]
    stripped = name.removeprefix("zookeeper.")
    if stripped != name and find_key(stripped) is not None:
        return stripped
    folded = {known.lower(): known for known in BY_NAME}
    if stripped.lower() in folded:
        return folded[stripped.lower()]
    # Looking for near misses is rare and its module is large: it is loaded when there is one.
    from difflib import get_close_matches

    near = get_close_matches(stripped.lower(), folded, n=1, cutoff=0.8)
    return folded[near[0]] if near else None
