"""Servers inside a test process.

From plain synchronous code::

    with zkpy.testing.Server() as server:
        client = KazooClient(server.hosts)

from trio code::

    async with zkpy.testing.open_server() as server:
        ...

and in pytest with the fixtures of ``zkpy.testing.plugin``, which is loaded by itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zkpy.testing.server import Server, ServerCrashed
    from zkpy.testing.trioserver import TrioServer, open_server

__all__ = ["Server", "ServerCrashed", "TrioServer", "open_server"]


def __getattr__(name: str) -> object:
    # Every pytest run of every user imports this package for its plugin: what costs time waits to be used.
    if name in ("Server", "ServerCrashed"):
        from zkpy.testing import server

        return getattr(server, name)
    if name in ("TrioServer", "open_server"):
        from zkpy.testing import trioserver

        return getattr(trioserver, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
