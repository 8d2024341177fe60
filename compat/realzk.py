"""A real ZooKeeper server: started for a check, or one which somebody else runs.

``python -m compat.realzk`` prints the class path, and fetches the jars if it must.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from compat.jars import (
    DEBIAN_VERSION,
    VERSION,
    Installation,
    cache_folder,
    classpath,
    curator_classpath,
    fetch,
    find,
)
from compat.java import JVM_OPTIONS, SHIMS, ZooKeeperUnavailable, java_program
from compat.process import PortTaken, ServerProcess, four_letters

__all__ = [
    "ADDRESS_VARIABLE",
    "DEBIAN_VERSION",
    "JVM_OPTIONS",
    "SHIMS",
    "VERSION",
    "GivenServer",
    "Installation",
    "RealServer",
    "ZooKeeperUnavailable",
    "cache_folder",
    "check_given",
    "classpath",
    "curator_classpath",
    "fetch",
    "find",
    "java_program",
]

ADDRESS_VARIABLE = "ZKPY_REAL"

_LOG4J2 = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
_LOG4J1 = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{HH:mm:ss,SSS} %-5p %c{1}: %m%n
"""


class RealServer(ServerProcess):
    """A Java server with the given zoo.cfg settings and system properties.

    *version* is found or fetched, unless *jars* is a class path.
    """

    kind = "java"

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        version: str = VERSION,
        jars: str | None = None,
    ) -> None:
        self.java = java_program()
        self.classpath = jars or classpath(version)
        super().__init__({"admin.serverPort": "0"} | dict(config or {}), properties)

    def _spawn(self) -> subprocess.Popen[bytes]:
        logging, old_logging = self.directory / "log4j2.properties", self.directory / "log4j.properties"
        logging.write_text(_LOG4J2)
        old_logging.write_text(_LOG4J1)
        properties = {
            "zookeeper.admin.enableServer": "false",
            "log4j2.configurationFile": str(logging),
            "log4j.configuration": old_logging.as_uri(),
            "file.encoding": "UTF-8",
            **self.properties,
        }
        command = [self.java, *JVM_OPTIONS, "-cp", self.classpath]
        command += [f"-D{name}={value}" for name, value in properties.items()]
        command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self.config_path)]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )

    def _wait_until_serving(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Ask until it answers: the JVM reports nothing when it is ready."""
        answer = "nothing"
        while time.monotonic() < deadline:
            try:
                status = process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
            else:
                raise self._failure(f"ended with status {status} before it served")
            try:
                answer = four_letters(self.port, "srvr")
                if answer.startswith("Zookeeper version:"):
                    self._check_identity()
                    return
            except OSError as error:
                answer = str(error)
            if "ddress already in use" in self.log_of_this_run():
                raise self._failure("one of its ports is taken")
        raise self._failure(f"did not serve in time (srvr: {answer.strip()})")

    def _check_identity(self) -> None:
        """It may be another's server which answers at the port."""
        answer = four_letters(self.port, "conf")
        if "dataDir=" in answer and str(self.data) not in answer:
            raise PortTaken(f"another server answers at {self.address}")


@dataclass(frozen=True)
class GivenServer:
    """A server which somebody else runs."""

    address: str

    def log(self) -> str:
        return f"(the log of {self.address} is not here)"


def check_given(address: str) -> None:
    """Raise ZooKeeperUnavailable unless a real server serves at the address."""
    host, _, port = address.rpartition(":")
    try:
        answer = four_letters(int(port), "srvr", host=host)
    except (OSError, ValueError) as error:
        raise ZooKeeperUnavailable(
            f"no server answers at {address!r}: {error}; start it, or leave out --real and {ADDRESS_VARIABLE}"
        ) from error
    if "is not executed because it is not in the whitelist" not in answer and not answer.startswith("Zook"):
        raise ZooKeeperUnavailable(f"what answers at {address!r} does not serve: {answer.strip()[:200]!r}")


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Print the class path of a real ZooKeeper.")
    parser.add_argument(
        "--version", default=VERSION, help=f"{VERSION} (default), {DEBIAN_VERSION}, or another"
    )
    parser.add_argument("--curator", action="store_true", help="with Curator's jars")
    parser.add_argument(
        "--archive", type=Path, help="pyspark's source distribution, if it was downloaded already"
    )
    options = parser.parse_args()
    try:
        if options.archive is not None:
            fetch(VERSION, options.archive)
        print(find(options.version, curator=options.curator).classpath)
    except ZooKeeperUnavailable as error:
        sys.exit(str(error))
    sys.exit(0)


if __name__ == "__main__":
    main()
