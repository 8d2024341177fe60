"""A real server which somebody else runs: how to leave nothing on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

SUPER_CREDENTIALS = "super:secret"
"""Of the super user, if the server has one."""


def sweep(address: str, name: str) -> None:
    """Remove a script's subtree, and the quotas in it."""
    with _client(address) as client:
        for path in (f"/zookeeper/quota/{name}", f"/{name}"):
            with suppress(NoNodeError):
                client.delete(path, recursive=True)


@contextmanager
def leaving_nothing(address: str) -> Iterator[None]:
    """Remove at the end what has come into the root meanwhile."""
    with _client(address) as client:
        before = set(client.get_children("/"))
    try:
        yield
    finally:
        with _client(address) as client:
            for name in set(client.get_children("/")) - before:
                with suppress(NoNodeError):  # an ephemeral may go by itself
                    client.delete(f"/{name}", recursive=True)


@contextmanager
def _client(address: str) -> Iterator[KazooClient]:
    client = KazooClient(address)
    client.start()
    try:
        client.add_auth("digest", SUPER_CREDENTIALS)
        yield client
    finally:
        client.stop()
        client.close()
