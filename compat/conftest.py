"""Options and fixtures: which server is tested, and how it is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from compat import realzk
from compat.process import ServerProcess, Serving
from compat.zkpyserver import ZkpyServer

KINDS: dict[str, Callable[[dict[str, str], dict[str, str]], ServerProcess]] = {
    "zkpy": ZkpyServer,
    "java": realzk.RealServer,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("compat")
    group.addoption(
        "--server",
        choices=("zkpy", "java", "both"),
        default="zkpy",
        help="the server to test (default: zkpy); java checks the checks themselves",
    )
    group.addoption(
        "--java-address",
        metavar="HOST:PORT",
        help=f"a running Java server for the checks which do not need a fresh one "
        f"(default: ${realzk.ADDRESS_VARIABLE}, otherwise one is started)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--server")
        metafunc.parametrize("kind", list(KINDS) if chosen == "both" else [chosen], scope="session")


@pytest.fixture(scope="session")
def classpath() -> str:
    """ZooKeeper's and Curator's jars; without them no check of this folder means anything."""
    return realzk.curator_classpath()


@pytest.fixture
def serving(kind: str, request: pytest.FixtureRequest) -> Iterator[Serving]:
    """A server of the tested kind which has TTL nodes."""
    properties = {"zookeeper.extendedTypesEnabled": "true"}
    if kind == "java":
        with realzk.real_server({}, properties, address=request.config.getoption("--java-address")) as server:
            yield server
    else:
        with KINDS[kind]({}, properties) as started:
            yield started
