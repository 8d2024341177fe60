"""Fixtures for pytest: a ZooKeeper server for tests, without any setting up.

==================  ====================================================================================
``zk_server``       a running ``zkpy.testing.Server`` with an empty tree
``zk_hosts``        its connect string, ``127.0.0.1:PORT``
``zk_client``       a started ``kazoo.client.KazooClient`` connected to it
``zk_server_factory``  starts more servers, with options of their own
``zk_server_options``  override it to give options to the server behind ``zk_server``
==================  ====================================================================================

pytest loads this module in every run, so nothing is imported here that a run without ZooKeeper does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kazoo.client import KazooClient

    from zkpy.testing.server import Server


@pytest.fixture(scope="session")
def zk_server_options() -> dict[str, Any]:
    """The options of the server behind ``zk_server``; override it in ``conftest.py``::

    @pytest.fixture(scope="session")
    def zk_server_options():
        return {"tick_time_ms": 200, "settings": {"extendedTypesEnabled": True}}
    """
    return {}


@pytest.fixture(scope="session")
def _zkpy_session_server(zk_server_options: dict[str, Any]) -> Iterator[Server]:
    from zkpy.testing.server import Server

    with Server(**zk_server_options) as server:
        yield server


@pytest.fixture
def zk_server(_zkpy_session_server: Server) -> Iterator[Server]:
    """A running server with an empty tree (``zkpy.testing.Server``).

    One server serves the whole session (one per worker with pytest-xdist) and is emptied after each test,
    which takes about a millisecond and cuts what connections are left. A test may stop or restart it. An
    error that ended it fails the test in which that came to light.
    """
    server = _zkpy_session_server
    if not server.running:
        server.renew()
    yield server
    server.renew()


@pytest.fixture
def zk_hosts(zk_server: Server) -> str:
    """The connect string of ``zk_server``, for any client."""
    return zk_server.hosts


@pytest.fixture
def zk_client(zk_hosts: str) -> Iterator[KazooClient]:
    """A started kazoo client of ``zk_server``, closed after the test; skips the test without kazoo."""
    pytest.importorskip("kazoo.client", reason="the fixture zk_client needs kazoo: pip install kazoo")
    from zkpy.testing.server import kazoo_client

    with kazoo_client(zk_hosts) as client:
        yield client


@pytest.fixture
def zk_server_factory() -> Iterator[Callable[..., Server]]:
    """Starts servers with the options of ``zkpy.testing.Server``; all are stopped after the test::

    def test_expiry(zk_server_factory, tmp_path):
        server = zk_server_factory(tick_time_ms=100, data_dir=tmp_path)
    """
    from zkpy.testing.server import server_factory

    with server_factory() as start:
        yield start
