"""Starting, measuring and stopping one server process, zkpy or Java, with the same zoo.cfg."""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from bench import wire
from bench.ready import wait_ready

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT, LAST_PORT = 26_000, 31_999
START_LIMIT_S = 300.0
STOP_LIMIT_S = 30.0
JAVA_HEAP = "-Xmx1000m"  # what zkServer.sh gives by default
VERSION = "3.9.5"

_ZOO_CFG = """\
tickTime=2000
dataDir={data}
clientPort={port}
clientPortAddress=127.0.0.1
maxClientCnxns=0
maxSessionTimeout=600000
admin.enableServer=false
forceSync=yes
"""

_LOG4J2 = """\
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{{1}} %m%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
logger.database.name = org.apache.zookeeper.server.ZKDatabase
logger.database.level = info
"""

_LOGBACK = """\
<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>{log}</file>
    <encoder><pattern>%d %p %c{{0}} %m%n</pattern></encoder>
  </appender>
  <logger name="org.apache.zookeeper.server.ZKDatabase" level="INFO"/>
  <root level="WARN"><appender-ref ref="file"/></root>
</configuration>
"""


class BenchError(Exception):
    """A row could not be measured; the message says why."""


@attrs.frozen
class Kind:
    """How one of the two servers is started: ``command(directory)`` may write helper files there."""

    name: str
    title: str
    command: Callable[[Path], list[str]]


def zkpy_kind(python: str) -> Kind:
    def command(directory: Path) -> list[str]:
        return [python, "-m", "zkpy", "serve", str(directory / "zoo.cfg")]

    return Kind("zkpy", "zkpy", command)


def java_kind() -> Kind:
    classpath = find_classpath()
    version = java_server_version(classpath)

    def command(directory: Path) -> list[str]:
        log = directory / "zookeeper.log"
        (directory / "log4j2.properties").write_text(_LOG4J2.format(log=log))
        (directory / "logback.xml").write_text(_LOGBACK.format(log=log))
        return [
            java_executable(),
            JAVA_HEAP,
            "-cp",
            classpath,
            f"-Dlog4j2.configurationFile={directory / 'log4j2.properties'}",
            f"-Dlogback.configurationFile={directory / 'logback.xml'}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.ZKDatabase=info",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(directory / "zoo.cfg"),
        ]

    return Kind("java", f"ZooKeeper {version}", command)


def java_executable() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def find_classpath() -> str:
    """Class path of a real ZooKeeper: from the environment, else from the compatibility suite's helper."""
    classpath = os.environ.get("ZOOKEEPER_CLASSPATH")
    if classpath:
        return classpath
    home = os.environ.get("ZOOKEEPER_HOME")
    if home:
        return f"{home}/lib/*:{home}/*"
    try:
        helper = importlib.import_module("compat.realzk")
    except ImportError as error:
        raise BenchError("no Java ZooKeeper: set ZOOKEEPER_CLASSPATH or ZOOKEEPER_HOME") from error
    return str(helper.classpath(version=VERSION))


def java_server_version(classpath: str) -> str:
    for entry in classpath.split(":"):
        for jar in glob.glob(entry + ".jar" if entry.endswith("*") else entry):
            match = re.fullmatch(r"zookeeper-(\d[\w.\-]*)\.jar", os.path.basename(jar))
            if match:
                return match[1]
    return "(version unknown)"


def free_port() -> int:
    """A port below the kernel's ephemeral range that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Several of them."""
    start = FIRST_PORT + os.getpid() % 4_000
    found: list[int] = []
    for port in range(start, LAST_PORT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        if len(found) == count:
            return found
    raise BenchError("no free port")


class Process:
    """One server process on its own directory, which can be stopped and started again."""

    process: subprocess.Popen[bytes]

    def __init__(self, kind: Kind, directory: Path, port: int) -> None:
        self.kind = kind
        self.directory = directory
        self.port = port
        self.data = directory / "data"
        shutil.rmtree(directory, ignore_errors=True)
        self.data.mkdir(parents=True)

    def put_snapshot(self, snapshot: Path) -> None:
        """A copy of a snapshot, to be found at the start."""
        (self.data / "version-2").mkdir()
        shutil.copyfile(snapshot, self.data / "version-2" / snapshot.name)
        os.sync()  # so that the write-back of the copy does not fall into the measured start

    def launch(self, more: str = "") -> None:
        """Starts it; *more* is appended to the zoo.cfg."""
        (self.directory / "zoo.cfg").write_text(_ZOO_CFG.format(data=self.data, port=self.port) + more)
        command = self.kind.command(self.directory)
        with (self.directory / "out.log").open("ab") as out:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Returns when it has answered a request."""
        if not wait_ready(self.port, self._check_alive, START_LIMIT_S):
            raise BenchError(f"not ready after {START_LIMIT_S:.0f} s")

    def _check_alive(self) -> None:
        if self.process.poll() is not None:
            last_line = (self.log().strip().splitlines() or ["no output"])[-1]
            raise BenchError(f"exited with status {self.process.returncode} at its start: {last_line[:300]}")

    def client(self) -> wire.Client:
        return wire.Client(self.port)

    def log(self) -> str:
        texts = []
        for name in ("out.log", "zookeeper.log"):
            with contextlib.suppress(FileNotFoundError):
                texts.append((self.directory / name).read_text(errors="replace"))
        return "".join(texts)

    def pids(self) -> list[int]:
        """The server's process and all its descendants."""
        children: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def rss_mb(self) -> float:
        total_kb = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc", str(pid), "status").read_text())
                total_kb += int(match[1]) if match else 0
        return total_kb / 1024

    def cpu_s(self) -> float:
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As kill -9 does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends it and removes its data."""
        self.end()
        shutil.rmtree(self.data, ignore_errors=True)

    def end(self) -> None:
        """Ends it as an operator would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Server(Process):
    """A running server on its own fresh directory. ``ready_s`` is process start to first answered request."""

    def __init__(self, kind: Kind, directory: Path, snapshot: Path | None = None, more: str = "") -> None:
        """*more* is appended to the zoo.cfg."""
        super().__init__(kind, directory, free_port())
        if snapshot is not None:
            self.put_snapshot(snapshot)
        began = time.monotonic()
        self.launch(more)
        try:
            self.wait_ready()
            self.ready_s = time.monotonic() - began
        except BaseException:
            self.stop()
            raise

    def snapshot_files(self) -> list[Path]:
        """Those that are whole and those being written, whatever they are called meanwhile."""
        found = (self.data / "version-2").iterdir()
        return [path for path in found if "snapshot." in path.name]

    def own_load_ms(self) -> float | None:
        """The server's own figure for loading its snapshot, where its log states one."""
        match = re.search(r"[Ss]napshot loaded in ([\d.]+) ?ms", self.log())
        return float(match[1]) if match else None

    def settle(self) -> None:
        """Waits until background work (a snapshot, a collection, compilation) has ended."""
        settle(self.cpu_s)


def settle(cpu_s: Callable[[], float], limit_s: float = 15.0, idle_share: float = 0.08) -> None:
    """Returns when processes whose CPU time is *cpu_s* have come to rest, or after *limit_s*."""
    deadline = time.monotonic() + limit_s
    before = cpu_s()
    while time.monotonic() < deadline:
        time.sleep(0.25)
        after = cpu_s()
        if after - before <= 0.25 * idle_share:
            return
        before = after


@contextlib.contextmanager
def running(kind: Kind, directory: Path, snapshot: Path | None = None, more: str = "") -> Iterator[Server]:
    server = Server(kind, directory / kind.name, snapshot, more)
    try:
        yield server
    finally:
        server.stop()


def file_system(directory: Path) -> str:
    """Type of the file system that holds a directory, from the mount table."""
    best, kind = "", "unknown"
    real = str(directory.resolve())
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, point, fs_type = line.split()[:3]
            if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, kind = point, fs_type
    return kind


def python_title() -> str:
    return f"{sys.implementation.name} {sys.version.split()[0]}"
