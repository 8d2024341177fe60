"""Which servers a script runs against, and the names which all chapters use.

A script is a function which plays one rule. Its name is the test's and that of the subtree it uses, so one
pair of servers, fresh at the beginning, serves all scripts of a group.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from compat.wire import Play

MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN, EXISTS_ALREADY, NOT_EMPTY = -101, -102, -103, -108, -110, -111
INVALID_ACL, NO_WATCHER, RECONFIG_DISABLED, QUOTA = -114, -121, -123, -125

SUPER = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="  # super:secret

GROUPS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "main": (
        {},
        {
            "zookeeper.extendedTypesEnabled": "true",
            "zookeeper.DigestAuthenticationProvider.superDigest": SUPER,
        },
    ),
    "plain": ({}, {}),
    "quota": ({"reconfigEnabled": "true"}, {"zookeeper.enforceQuota": "true"}),
    "quick": (
        {"tickTime": "100", "maxClientCnxns": "6"},
        {"zookeeper.extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "300"},
    ),
    "enforced": (
        {},
        {"zookeeper.enforce.auth.enabled": "true", "zookeeper.enforce.auth.schemes": "digest"},
    ),
    "no_acl": ({"skipACL": "yes"}, {}),
}
"""Settings of the server pairs: zoo.cfg and system properties."""

CREDENTIALS = {"enforced": "u:p"}
"""What the sessions of a group show with the digest scheme before anything else."""

SCRIPTS: dict[str, list[Play]] = {name: [] for name in GROUPS}
FRESH: set[Play] = set()
OURS: list[Play] = []
"""Scripts of inputs that must not be sent to the real server, or where the answer differs on purpose."""


def main(script: Play) -> Play:
    """A script for the group in which most are."""
    return _add(script, SCRIPTS["main"])


def in_group(name: str) -> Callable[[Play], Play]:
    """A script for servers of the settings of that group."""
    return lambda script: _add(script, SCRIPTS[name])


def fresh(script: Play) -> Play:
    """Marks a script which sees what others leave in the root or in /zookeeper.

    It is run only with servers on which nothing but these scripts was done, in the same order.
    """
    FRESH.add(script)
    return script


def ours(script: Play) -> Play:
    """A script for zkpy alone, with a server of the main group."""
    return _add(script, OURS)


def _add(script: Play, scripts: list[Play]) -> Play:
    if any(script.__name__ == other.__name__ for group in (*SCRIPTS.values(), OURS) for other in group):
        raise ValueError(f"there are two scripts {script.__name__}")
    scripts.append(script)
    return script


def digest_id(credentials: str) -> str:
    """The id of ``user:password`` in the digest scheme."""
    hashed = base64.b64encode(hashlib.sha1(credentials.encode()).digest()).decode()
    return f"{credentials.partition(':')[0]}:{hashed}"
