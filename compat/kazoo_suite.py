"""Run kazoo's own test-suite, as it is in kazoo's wheel, against zkpy or the Java server.

``python -m compat.kazoo_suite [--server zkpy|java] [--cluster N] [--results DIR] [-- PYTEST ARGUMENTS]``

kazoo's harness starts ``java ... QuorumPeerMain zoo.cfg``. For zkpy, a stand-in for java which starts
``zkpy serve zoo.cfg`` comes first on PATH; the tests and the harness stay as they are.
The harness is told to use a cluster of one server, or of as many as ``--cluster`` says.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from compat import realzk, results
from compat.process import HOST
from compat.zkpyserver import environment

# kazoo's test dependencies, by the name under which they are imported; without some of them kazoo's
# tests would be skipped in silence.
_NEEDED = (
    "pytest",
    "pytest_timeout",
    "kazoo",
    "OpenSSL",
    "jks",
    "objgraph",
    "gevent",
    "eventlet",
    "puresasl",
)
_INSTALL = 'pip install "kazoo[test,gevent,eventlet,sasl]" pytest-timeout "pyOpenSSL<25"'

_TWO = "stops one server and goes on with another"
ENSEMBLE = {
    "test_client.py::TestClient::test_update_host_list": _TWO,
    "test_eventlet_handler.py::TestEventletClient::test_update_host_list": _TWO,
    "test_gevent_handler.py::TestGeventClient::test_update_host_list": _TWO,
    "test_client.py::TestReconfig::test_add_remove_observer": "it has no reconfig",
    "test_client.py::TestReconfig::test_bad_input": "it has no reconfig",
    "test_client.py::TestReconfig::test_no_super_auth": "it has no reconfig",
    "test_connection.py::TestReadOnlyMode::test_read_only": "stops two of three servers",
}
KERBEROS = {
    "test_sasl.py::TestSASLGSSAPIAuthentication::test_connect_gssapi_auth": "needs a Kerberos KDC",
    "test_sasl.py::TestSASLGSSAPIAuthentication::test_invalid_gssapi_auth": "needs a Kerberos KDC",
}
# These pass with a standalone Java server: a zkpy without the feature leaves them out by name.
SASL = {
    f"test_sasl.py::{name}::{test}": "SASL DIGEST-MD5, from a JAAS file"
    for name in ("TestLegacySASLDigestAuthentication", "TestSASLDigestAuthentication")
    for test in ("test_connect_sasl_auth", "test_invalid_sasl_auth")
}
TLS = {"test_client.py::TestSSLClient::test_create": "a TLS port, with a Java key store"}
MISSING = ("sasl", "tls")
"""Groups of tests which a standalone server can answer: to leave them out is to lack the feature."""
GROUPS: Mapping[str, Mapping[str, str]] = {
    "ensemble": ENSEMBLE,
    "kerberos": KERBEROS,
    "sasl": SASL,
    "tls": TLS,
}
ALWAYS_WITHOUT = ("ensemble", "kerberos")


@dataclass
class Outcomes:
    """Test names by outcome, with the reasons of those which did not pass."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def summary(self) -> str:
        counts = f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
        return f"{counts} in {self.seconds:.0f} s"


def read_report(report: Path) -> Outcomes:
    found = Outcomes()
    for case in ElementTree.parse(report).iter("testcase"):
        found.seconds += float(case.get("time", "0"))
        name = _node_id(case.get("classname", ""), case.get("name", ""))
        reasons = {child.tag: child.get("message", "") for child in case}
        if reasons.keys() & {"failure", "error"}:
            found.failed[name] = reasons.get("failure") or reasons.get("error") or ""
        elif "skipped" in reasons:
            found.skipped[name] = reasons["skipped"]
        else:
            found.passed.append(name)
    return found


def as_results(
    server: str, found: Outcomes, left_out: Mapping[str, str], failed_again: Collection[str]
) -> list[results.Result]:
    """One result for each test, those that were left out included."""

    def result(name: str, outcome: str, reason: str = "") -> results.Result:
        module = name.partition("::")[0]
        return results.Result(
            "kazoo", name, results.server_of(server), outcome, results.short(reason), module
        )

    made = [result(name, results.PASSED) for name in found.passed]
    for name, reason in found.failed.items():
        if name in failed_again:
            made.append(result(name, results.FAILED, reason))
        else:
            made.append(result(name, results.PASSED, "failed at first, passed when it was run again"))
    made += [result(name, results.NOT_APPLICABLE, reason) for name, reason in found.skipped.items()]
    features = {name for group in MISSING for name in GROUPS[group]}
    for name, reason in left_out.items():
        if name in features:
            made.append(result(name, results.FAILED, f"not run, the feature is missing: {reason}"))
        else:
            standalone = "standalone: " if name in ENSEMBLE else ""
            made.append(result(name, results.NOT_APPLICABLE, standalone + reason))
    return sorted(made, key=lambda one: one.item)


def _node_id(classname: str, name: str) -> str:
    """``kazoo.tests.test_x.Case`` and ``test_y`` as ``test_x.py::Case::test_y``."""
    parts = classname.split(".")
    index = next((i for i, part in enumerate(parts) if part.startswith("test_")), 0)
    return "::".join([f"{parts[index]}.py", *parts[index + 1 :], name])


class Suite:
    def __init__(self, server: str, groups: Iterable[str], folder: Path, cluster: int = 1) -> None:
        self.folder = folder
        self.tests = self._tests_folder()
        self.left_out = {name: why for group in groups for name, why in GROUPS[group].items()}
        self.environment = {
            **environment(),
            "ZOOKEEPER_VERSION": realzk.VERSION,
            "ZOOKEEPER_CLUSTER_SIZE": str(cluster),
            "ZOOKEEPER_PORT_OFFSET": str(_ports(cluster)),
            # A test counts the TreeNode objects in this process, and Hypothesis's plugin has one.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "CI": "true",  # then the server's version is checked as well
            "TMPDIR": str(folder),
        }
        if server == "java":
            self.environment["ZOOKEEPER_CLASSPATH"] = realzk.classpath()
            first = Path(realzk.java_program()).parent
        else:
            self.environment["ZOOKEEPER_CLASSPATH"] = "zkpy"
            self.environment["ZKPY_PYTHON"] = sys.executable
            first = realzk.SHIMS
        self.environment["PATH"] = os.pathsep.join([str(first), os.environ.get("PATH", os.defpath)])
        (folder / "pytest.ini").write_text("[pytest]\n")

    @staticmethod
    def _tests_folder() -> Path:
        spec = importlib.util.find_spec("kazoo.tests")
        if spec is None or not spec.submodule_search_locations:
            sys.exit("this kazoo is without its tests: install it from its wheel")
        return Path(next(iter(spec.submodule_search_locations)))

    def run(self, arguments: list[str], *, only: Iterable[str] | None = None, timeout: int = 120) -> Outcomes:
        """One run of pytest over the whole suite, or over the named tests."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-c", str(self.folder / "pytest.ini")]
        command += ["-p", "no:cacheprovider", "-p", "pytest_timeout"]
        command += ["--rootdir", str(self.tests), "-q", "-ra"]
        command += ["--tb=short", "--show-capture=no", "--disable-warnings", f"--timeout={timeout}"]
        command += [f"--junit-xml={report}"]
        if only is None:
            command += [f"--deselect={name}" for name in self.left_out]
            command += [*arguments, str(self.tests)]
        else:
            command += [f"{self.tests}/{name}" for name in only]
        started = time.monotonic()
        done = subprocess.run(command, env=self.environment, cwd=self.folder, check=False)
        if not report.exists():
            sys.exit(f"pytest ended with status {done.returncode} and without a report")
        found = read_report(report)
        found.seconds = time.monotonic() - started
        return found


def _ports(cluster: int = 1) -> int:
    """The first of the neighbouring ports of which kazoo's harness gives ten to each server."""
    for base in range(20000, 30000, 10):
        with ExitStack() as sockets:
            try:
                for port in range(base, base + 10 * cluster):
                    sockets.enter_context(socket.socket()).bind((HOST, port))
            except OSError:
                continue
            return base
    raise RuntimeError(f"no {10 * cluster} neighbouring ports are free")


def left_out(options: argparse.Namespace) -> list[str]:
    """The groups of tests that mean nothing with these servers."""
    groups = ["kerberos"]
    if options.cluster == 1:
        groups.append("ensemble")
    return groups


def main() -> int:
    parser = argparse.ArgumentParser(description="Run kazoo's own test-suite against a server.")
    parser.add_argument("--server", choices=("zkpy", "java"), default="zkpy")
    parser.add_argument(
        "--without",
        action="append",
        choices=tuple(group for group in GROUPS if group not in ALWAYS_WITHOUT),
        default=[],
        help="leave these tests out as well",
    )
    parser.add_argument("--cluster", type=int, default=1, help="servers in the ensemble (default: 1)")
    parser.add_argument("--retries", type=int, default=1, help="runs of the failed tests (default: 1)")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one test (default: 120)")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    parser.add_argument("--results", type=Path, metavar="DIR", help="write a results file there as well")
    options = parser.parse_args()
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"kazoo's tests need {', '.join(missing)}: {_INSTALL}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kazoo-suite-", ignore_cleanup_errors=True) as folder:
        suite = Suite(options.server, (*left_out(options), *options.without), Path(folder), options.cluster)
        found = suite.run(options.arguments, timeout=options.timeout)
        failed = found.failed
        for _ in range(options.retries):
            if failed:
                failed = suite.run([], only=failed, timeout=options.timeout).failed
    print(f"\nkazoo's tests against {options.server}: {found.summary()}")
    print(f"left out: {len(suite.left_out)}")
    for name, why in suite.left_out.items():
        print(f"  {name}: {why}")
    for name in found.failed:
        print(f"  {'FAILED' if name in failed else 'failed at first, then passed'}: {name}")
    if not found.passed:
        print("nothing passed: that is no result")
    elif options.results is not None:
        command = shlex.join(["python", "-m", "compat.kazoo_suite", *sys.argv[1:]])
        server = results.server_of(options.server)
        header = results.header("kazoo", server, command, time.monotonic() - started)
        made = as_results(options.server, found, suite.left_out, failed)
        print(f"results: {results.write(options.results, header, made)}")
    return 1 if failed or not found.passed else 0


if __name__ == "__main__":
    sys.exit(main())
