"""Run kazoo's own test-suite, as it is in kazoo's wheel, against zkpy or the Java server.

``python -m compat.kazoo_suite [--server zkpy|java] [-- PYTEST ARGUMENTS]``

kazoo's harness starts ``java ... QuorumPeerMain zoo.cfg``. For zkpy, a stand-in for java which starts
``zkpy serve zoo.cfg`` comes first on PATH; the tests and the harness stay as they are.
The harness is told to use a cluster of one server.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from compat import realzk
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

ENSEMBLE = {
    "test_client.py::TestClient::test_update_host_list": "stops one server and goes on with another",
    "test_eventlet_handler.py::TestEventletClient::test_update_host_list": "the same",
    "test_gevent_handler.py::TestGeventClient::test_update_host_list": "the same",
    "test_client.py::TestReconfig::test_add_remove_observer": "a standalone server has no reconfig",
    "test_client.py::TestReconfig::test_bad_input": "a standalone server has no reconfig",
    "test_client.py::TestReconfig::test_no_super_auth": "a standalone server has no reconfig",
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
GROUPS: Mapping[str, Mapping[str, str]] = {
    "ensemble": ENSEMBLE,
    "kerberos": KERBEROS,
    "sasl": SASL,
    "tls": TLS,
}
ALWAYS_WITHOUT = ("ensemble", "kerberos")


@dataclass
class Results:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        counts = f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
        return f"{counts} in {self.seconds:.0f} s"


def read_results(report: Path) -> Results:
    results = Results()
    for case in ElementTree.parse(report).iter("testcase"):
        results.seconds += float(case.get("time", "0"))
        name = _node_id(case.get("classname", ""), case.get("name", ""))
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            results.failed.append(name)
        elif "skipped" in kinds:
            results.skipped.append(name)
        else:
            results.passed.append(name)
    return results


def _node_id(classname: str, name: str) -> str:
    """``kazoo.tests.test_x.Case`` and ``test_y`` as ``test_x.py::Case::test_y``."""
    parts = classname.split(".")
    index = next((i for i, part in enumerate(parts) if part.startswith("test_")), 0)
    return "::".join([f"{parts[index]}.py", *parts[index + 1 :], name])


class Suite:
    def __init__(self, server: str, groups: Iterable[str], folder: Path) -> None:
        self.folder = folder
        self.tests = self._tests_folder()
        self.left_out = {name: why for group in groups for name, why in GROUPS[group].items()}
        self.environment = {
            **environment(),
            "ZOOKEEPER_VERSION": realzk.VERSION,
            "ZOOKEEPER_CLUSTER_SIZE": "1",
            "ZOOKEEPER_PORT_OFFSET": str(_ports()),
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

    def run(self, arguments: list[str], *, only: list[str] | None = None, timeout: int = 120) -> Results:
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
        results = read_results(report)
        results.seconds = time.monotonic() - started
        return results


def _ports() -> int:
    """The first of the five neighbouring ports which kazoo's harness gives to a server."""
    for base in range(20000, 30000, 10):
        with ExitStack() as sockets:
            try:
                for port in range(base, base + 5):
                    sockets.enter_context(socket.socket()).bind((HOST, port))
            except OSError:
                continue
            return base
    raise RuntimeError("no five neighbouring ports are free")


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
    parser.add_argument("--retries", type=int, default=1, help="runs of the failed tests (default: 1)")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one test (default: 120)")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    options = parser.parse_args()
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"kazoo's tests need {', '.join(missing)}: {_INSTALL}")
    with tempfile.TemporaryDirectory(prefix="kazoo-suite-", ignore_cleanup_errors=True) as folder:
        suite = Suite(options.server, (*ALWAYS_WITHOUT, *options.without), Path(folder))
        results = suite.run(options.arguments, timeout=options.timeout)
        failed = results.failed
        for _ in range(options.retries):
            if failed:
                failed = suite.run([], only=failed, timeout=options.timeout).failed
    print(f"\nkazoo's tests against {options.server}: {results.summary()}")
    print(f"left out: {len(suite.left_out)}")
    for name, why in suite.left_out.items():
        print(f"  {name}: {why}")
    for name in results.failed:
        print(f"  {'FAILED' if name in failed else 'failed at first, then passed'}: {name}")
    if not results.passed:
        print("nothing passed: that is no result")
    return 1 if failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
