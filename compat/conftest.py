"""Options and fixtures: which server is tested, and how it is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from compat import realzk
from compat.ensemble import Ensemble
from compat.given import leaving_nothing
from compat.process import ServerProcess, Serving
from compat.zkpyserver import ZkpyServer

pytest.register_assert_rewrite("compat.scripts", "compat.wire")

KINDS: dict[str, Callable[[dict[str, str], dict[str, str]], ServerProcess]] = {
    "zkpy": ZkpyServer,
    "java": realzk.RealServer,
}


_LOG_SIZE = 20_000


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("compat")
    group.addoption(
        "--server",
        choices=("zkpy", "java", "both"),
        default="zkpy",
        help="the server to test (default: zkpy); java checks the checks themselves",
    )
    group.addoption(
        "--real",
        metavar="HOST:PORT",
        help=f"a running real server for the checks which do not need one of their own "
        f"(default: ${realzk.ADDRESS_VARIABLE}, otherwise one is started)",
    )


def given(config: pytest.Config) -> str | None:
    """The address of the real server which was given, if one was."""
    return config.getoption("--real") or os.environ.get(realzk.ADDRESS_VARIABLE)


def pytest_configure(config: pytest.Config) -> None:
    if address := given(config):
        try:
            realzk.check_given(address)
        except realzk.ZooKeeperUnavailable as error:
            raise pytest.UsageError(str(error)) from error


def _without_java(item: pytest.Item) -> Generator[None]:
    """With a given server the rest runs without Java too; otherwise a missing ZooKeeper is a failure."""
    try:
        return (yield)
    except realzk.ZooKeeperUnavailable as error:
        address = given(item.config)
        if address is None:
            raise
        pytest.skip(f"needs Java or a server of its own, not {address}: {error}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    return (yield from _without_java(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    return (yield from _without_java(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the members of a test's ensemble have logged; its fixture learns nothing of a failure."""
    report = yield
    ensemble = getattr(item, "funcargs", {}).get("ensemble")
    if report.failed and isinstance(ensemble, Ensemble):
        report.sections.append(("logs of the members", ensemble.log(_LOG_SIZE)))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--server")
        metafunc.parametrize("kind", list(KINDS) if chosen == "both" else [chosen], scope="session")


@pytest.fixture(scope="session")
def classpath() -> str:
    """ZooKeeper's and Curator's jars; without them no check of this folder means anything."""
    realzk.java_program()  # before hundreds of megabytes are fetched for nothing
    return realzk.curator_classpath()


@pytest.fixture
def serving(kind: str, request: pytest.FixtureRequest) -> Iterator[Serving]:
    """A server of the tested kind which has TTL nodes."""
    properties = {"zookeeper.extendedTypesEnabled": "true"}
    if kind != "java":
        with KINDS[kind]({}, properties) as started:
            yield started
    elif address := given(request.config):
        with leaving_nothing(address):
            yield realzk.GivenServer(address)
    else:
        with realzk.RealServer({}, properties) as server:
            yield server
