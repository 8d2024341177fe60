"""The fixtures, in pytest runs of their own."""

from __future__ import annotations

import subprocess
import sys

import kazoo.client  # noqa: F401
import pytest

# Loaded here, or each of the inner runs, which forget what they import, would load them again.
import zkpy.testing.server
import zkpy.testing.trioserver  # noqa: F401

pytest_plugins = ["pytester"]


def test_fixtures_give_a_server_its_address_and_a_client(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_all_of_them(zk_server, zk_hosts, zk_client):
            assert zk_server.running
            assert zk_hosts == zk_server.hosts
            assert zk_client.connected
            zk_client.create("/a")
    """)
    pytester.runpytest("-Werror").assert_outcomes(passed=1)


def test_each_test_gets_an_empty_tree_on_the_same_port(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        ports = []

        @pytest.mark.parametrize("turn", range(3))
        def test_empty(turn, zk_server, zk_client):
            assert zk_client.get_children("/") == ["zookeeper"]
            zk_client.create("/a")
            ports.append(zk_server.port)
            assert len(set(ports)) == 1
    """)
    pytester.runpytest("-Werror").assert_outcomes(passed=3)


def test_a_test_may_stop_restart_and_break_its_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_stop(zk_server):
            zk_server.stop()

        def test_restart(zk_server, zk_client):
            zk_server.restart()

        def test_crash(zk_server, monkeypatch):
            import socket
            from zkpy.server.transport import SocketChannel

            monkeypatch.setattr(SocketChannel, "read", lambda channel: 1 / 0)
            with socket.create_connection((zk_server.host, zk_server.port)) as sock:
                sock.sendall(b"ruok")
                sock.recv(1)

        def test_afterwards(zk_client):
            assert zk_client.get_children("/") == ["zookeeper"]
    """)
    result = pytester.runpytest("-Werror")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_crash*",
            "E *ServerCrashed: the server has ended: ZeroDivisionError: division by zero",
        ]
    )


def test_nothing_is_left_of_a_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import threading

        before = threading.active_count()

        def test_it(zk_client, zk_server_factory):
            zk_server_factory()

        def test_threads(request):
            request.config.pluginmanager.register(After())

        class After:
            def pytest_sessionfinish(self):
                # Fixtures have been torn down when the last test ended.
                print("threads left:", threading.active_count() - before)
    """)
    result = pytester.runpytest("-Werror", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*threads left: 0"])


def test_the_server_takes_options(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        @pytest.fixture(scope="session")
        def zk_server_options():
            return {"tick_time_ms": 100, "settings": {"4lw.commands.whitelist": "conf"}}
    """)
    pytester.makepyfile("""
        def test_conf(zk_client):
            assert "tickTime=100" in zk_client.command(b"conf").splitlines()
    """)
    pytester.runpytest("-Werror").assert_outcomes(passed=1)


def test_the_factory_starts_others(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        started = []

        def test_two(zk_server, zk_server_factory, tmp_path):
            one = zk_server_factory(tick_time_ms=100)
            two = zk_server_factory(data_dir=tmp_path)
            assert len({zk_server.port, one.port, two.port}) == 3
            started.extend([one, two])

        def test_they_were_stopped():
            assert not any(server.running for server in started)
    """)
    pytester.runpytest("-Werror").assert_outcomes(passed=2)


def test_without_kazoo_the_client_is_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kazoo.client", None)
    pytester.makepyfile("""
        def test_client(zk_client):
            raise AssertionError

        def test_server(zk_server):
            assert zk_server.running
    """)
    result = pytester.runpytest("-Werror", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*zk_client needs kazoo: pip install kazoo*"])


def test_workers_of_xdist_have_servers_of_their_own(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_empty(turn, zk_client):
            zk_client.create("/a")
    """)
    pytester.runpytest_subprocess("-Werror", "-n2", "-pxdist").assert_outcomes(passed=6)


def test_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--fixtures")
    for name in ("zk_server", "zk_hosts", "zk_client", "zk_server_factory", "zk_server_options"):
        result.stdout.fnmatch_lines([f"{name}*"])
    assert "no docstring available" not in result.stdout.str().partition("zk_server")[2].partition("\n---")[0]


def test_the_plugin_costs_a_run_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import zkpy.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["zkpy", "zkpy.testing", "zkpy.testing.plugin"]
