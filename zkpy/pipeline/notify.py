"""Watch events: from the changes of a transaction to the connections that watch."""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from typing import TYPE_CHECKING, Final

from zkpy import paths
from zkpy.tree.acl import READ, AccessControl, Acl
from zkpy.tree.datatree import CHILDREN_CHANGED, CREATED, DELETED, Change
from zkpy.tree.watches import Watches

if TYPE_CHECKING:
    from zkpy.pipeline.zookeeperserver import Client

_EVENT: Final = Struct(">iiqiiii")
"""Frame length; xid -1, zxid, err 0; type, state, path length."""

SYNC_CONNECTED: Final = 3


def encode_event(zxid: int, kind: int, path: bytes) -> bytes:
    """The frame of one notification."""
    return _EVENT.pack(28 + len(path), -1, zxid, 0, kind, SYNC_CONNECTED, len(path)) + path


def fire(watches: Watches[Client], access: AccessControl, zxid: int, changes: list[Change]) -> None:
    """Notify whoever watches *changes*, in the order that ZooKeeper gives.

    An event that a client may not READ is not sent to it; its one-shot watch is used up all the same.
    """
    for kind, path, acl, parent_acl in changes:
        told = watches.trigger_data(path)
        if told:
            _send(told, access, acl, encode_event(zxid, kind, path))
        if kind != CREATED and kind != DELETED:
            continue
        if kind == DELETED:
            also = watches.trigger_child(path, told)
            if also:
                _send(also, access, acl, encode_event(zxid, kind, path))
        above = paths.parent(path)
        watching = watches.trigger_child(above)
        if watching:
            _send(watching, access, parent_acl, encode_event(zxid, CHILDREN_CHANGED, above))


def _send(clients: Collection[Client], access: AccessControl, acl: Acl, event: bytes) -> None:
    if acl.world & READ:
        for client in clients:
            client.notify(event)
        return
    for client in clients:
        if access.allows(acl, READ, client.identities):
            client.notify(event)
