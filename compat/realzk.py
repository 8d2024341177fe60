"""A real ZooKeeper: find its jars or fetch them, and run its server.

``python -m compat.realzk`` prints the class path.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from compat.process import ServerProcess, Serving, four_letters

VERSION = "3.9.5"
SHIMS = Path(__file__).resolve().parent / "shims"
ADDRESS_VARIABLE = "ZKPY_JAVA_ADDRESS"

_SOURCE = "pyspark==4.3.0"
_SOURCE_SHA256 = "e8c517948eff7088a7aa07449aa8eafa4a15a8d50319de2525a6fd26622476c6"
_SOURCE_FOLDER = "/deps/jars/"
_DEBIAN_FOLDER = Path("/usr/share/java")

# The jars which the server, the command line and Curator need, as the beginning of their names.
_REQUIRED = (
    "zookeeper-3",
    "zookeeper-jute-",
    "netty-buffer-",
    "netty-codec-base-",
    "netty-common-",
    "netty-handler-4",
    "netty-resolver-4",
    "netty-transport-4",
    "slf4j-api-",
    "log4j-api-",
    "log4j-core-",
    "log4j-slf4j2-impl-",
    "snappy-java-",
    "jackson-core-",
    "jackson-databind-",
    "jackson-annotations-",
    "metrics-core-",
    "commons-cli-",
    "commons-io-",
    "jline-3",
    "audience-annotations-",
    "curator-client-",
    "curator-framework-",
    "curator-recipes-",
    "guava-",
    "failureaccess-",
)
_WANTED = (*_REQUIRED, "netty-")
_DEBIAN_JARS = (
    "zookeeper",
    "zookeeper-jute",
    "netty-all",
    "netty",
    "slf4j-api",
    "slf4j-log4j12",
    "log4j-1.2",
    "snappy-java",
    "jackson-core",
    "jackson-databind",
    "jackson-annotations",
    "metrics-core",
    "commons-cli",
    "commons-io",
    "jline3",
    "jline2",
    "spotbugs-annotations",
    "guava",
    "failureaccess",
)
# A short-lived JVM is mostly start-up time.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")


class ZooKeeperUnavailable(RuntimeError):
    """No real ZooKeeper could be found or fetched; the message says what was tried."""


@dataclass(frozen=True)
class Installation:
    """The jars (and directories) of one ZooKeeper."""

    entries: tuple[Path, ...]
    version: str
    origin: str

    @property
    def classpath(self) -> str:
        return os.pathsep.join(str(entry) for entry in self.entries)

    @property
    def has_curator(self) -> bool:
        return any(entry.name.startswith("curator-recipes") for entry in self.entries)


def java_program(name: str = "java") -> str:
    """The path of java or javac; never this package's own stand-in for java."""
    home = os.environ.get("JAVA_HOME")
    folders = [Path(home, "bin")] if home else []
    folders += [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    for folder in folders:
        if folder.resolve() == SHIMS:
            continue
        found = shutil.which(name, path=str(folder))
        if found is not None:
            return found
    raise ZooKeeperUnavailable(f"no {name!r} in JAVA_HOME or on PATH: install a JDK (Java 11 or newer)")


def cache_folder(version: str = VERSION) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zkpy" / f"zookeeper-{version}"


def classpath(version: str = VERSION) -> str:
    """The class path of a ZooKeeper of this version, fetched if it must be."""
    return find(version).classpath


def curator_classpath(version: str = VERSION) -> str:
    """The same, from a source which has Curator as well."""
    return find(version, curator=True).classpath


def find(version: str | None = VERSION, *, curator: bool = False) -> Installation:
    """The first source which has this version (None: any version), and Curator if that is asked for.

    What the environment names is looked at first, then the cache, Debian's package, and PyPI.
    """
    tried: list[str] = []
    for origin, entries in _installed():
        found = _zookeeper_version(entries)
        if found is None:
            tried.append(f"{origin}: no ZooKeeper there")
        elif version is not None and found != version:
            tried.append(f"{origin}: version {found}, not {version}")
        else:
            installation = Installation(tuple(entries), found, origin)
            if installation.has_curator or not curator:
                return installation
            tried.append(f"{origin}: without Curator")
    if version in (None, VERSION):
        try:
            folder = fetch()
        except ZooKeeperUnavailable as error:
            tried.append(f"PyPI's {_SOURCE}: {error}")
        else:
            return Installation(tuple(sorted(folder.glob("*.jar"))), VERSION, f"PyPI's {_SOURCE}")
    else:
        tried.append(f"PyPI's {_SOURCE}: version {VERSION}, not {version}")
    wanted = f"ZooKeeper {version or '(any version)'}{' with Curator' if curator else ''}"
    raise ZooKeeperUnavailable(f"{wanted} was not found:\n" + "\n".join(f"  {line}" for line in tried))


def _installed() -> Iterator[tuple[str, list[Path]]]:
    """The places which may have a ZooKeeper already, each with its class path's entries."""
    if paths := os.environ.get("ZOOKEEPER_CLASSPATH"):
        yield "ZOOKEEPER_CLASSPATH", _expand(paths)
    for name in ("ZOOKEEPER_HOME", "ZOOKEEPER_PATH"):
        if home := os.environ.get(name):
            yield name, [jar for folder in ("lib", ".") for jar in sorted(Path(home, folder).glob("*.jar"))]
    cache = cache_folder()
    if cache.is_dir():
        yield str(cache), sorted(cache.glob("*.jar"))
    if (_DEBIAN_FOLDER / "zookeeper.jar").exists():
        jars = [_DEBIAN_FOLDER / f"{name}.jar" for name in _DEBIAN_JARS]
        yield "Debian's package", [jar for jar in jars if jar.exists()]


def _expand(paths: str) -> list[Path]:
    """A class path with its ``folder/*`` entries replaced by the folder's jars."""
    entries: list[Path] = []
    for path in paths.split(os.pathsep):
        if path.endswith("*"):
            entries.extend(Path(jar) for jar in sorted(glob.glob(f"{path}.jar")))
        elif path:
            entries.append(Path(path))
    return entries


def _zookeeper_version(entries: Sequence[Path]) -> str | None:
    """The version in the manifest of the jar which holds ZooKeeper's server; None without one."""
    for entry in entries:
        if not entry.is_file() or not zipfile.is_zipfile(entry):
            continue
        with zipfile.ZipFile(entry) as jar:
            if "org/apache/zookeeper/server/ZooKeeperServerMain.class" not in jar.namelist():
                continue
            manifest = jar.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
        for line in manifest.splitlines():
            name, _, value = line.partition(":")
            if name == "Implementation-Version":
                return value.strip()
        return "unknown"
    return None


def fetch(archive: Path | None = None) -> Path:
    """Make the cache directory from the source distribution (downloaded unless it is given)."""
    target = cache_folder()
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as temporary:
            if archive is None:
                archive = _download(Path(temporary, "download"))
            _check_digest(archive)
            jars = Path(temporary, "jars")
            jars.mkdir()
            _extract(archive, jars)
            try:
                jars.rename(target)
            except OSError:
                if not target.is_dir():  # else: another process was faster, with the same files
                    raise
    except (OSError, tarfile.TarError) as error:
        raise ZooKeeperUnavailable(f"cannot fill {target}: {error}") from error
    return target


def _download(folder: Path) -> Path:
    folder.mkdir()
    print(f"fetching {_SOURCE} (456 MB, once) for its ZooKeeper {VERSION} jars", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--quiet"]
    command += ["--disable-pip-version-check", "--no-binary", "pyspark", "--dest", str(folder), _SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or len(archives) != 1:
        tail = "\n    ".join((done.stderr + done.stdout).strip().splitlines()[-4:])
        raise ZooKeeperUnavailable(f"the download failed (pip's status {done.returncode}):\n    {tail}")
    return archives[0]


def _check_digest(archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SOURCE_SHA256:
        raise ZooKeeperUnavailable(f"{archive.name} has the SHA-256 {digest}, not {_SOURCE_SHA256}")


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            _, found, name = member.name.partition(_SOURCE_FOLDER)
            if not found or not member.isfile() or "/" in name or not _is_wanted(name):
                continue
            content = members.extractfile(member)
            if content is not None:
                with content, (folder / name).open("wb") as output:
                    shutil.copyfileobj(content, output)
    names = [path.name for path in folder.iterdir()]
    missing = [prefix for prefix in _REQUIRED if not any(name.startswith(prefix) for name in names)]
    if missing:
        raise ZooKeeperUnavailable(f"{archive.name} lacks these jars: {', '.join(missing)}")


def _is_wanted(name: str) -> bool:
    foreign = "tcnative" in name or "-osx-" in name or "-windows-" in name or "-linux-" in name
    return name.endswith(".jar") and name.startswith(_WANTED) and not foreign


_LOG4J2 = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


class RealServer(ServerProcess):
    """A standalone Java server with the given zoo.cfg settings and system properties."""

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
        logging = self.directory / "log4j2.properties"
        logging.write_text(_LOG4J2)
        properties = {
            "zookeeper.admin.enableServer": "false",
            "log4j2.configurationFile": str(logging),
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
            except OSError as error:
                answer = str(error)
            if answer.startswith("Zookeeper version:"):
                return
        raise self._failure(f"did not serve in time (srvr: {answer})")


@dataclass(frozen=True)
class GivenServer:
    """A server which somebody else runs."""

    address: str

    def log(self) -> str:
        return f"(the log of {self.address} is not here)"


@contextmanager
def real_server(
    config: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    *,
    address: str | None = None,
) -> Iterator[Serving]:
    """The real server at the given address (or the environment's), otherwise one started for this."""
    address = address or os.environ.get(ADDRESS_VARIABLE)
    if address:
        host, _, port = address.rpartition(":")
        try:
            four_letters(int(port), "srvr", host=host)
        except (OSError, ValueError) as error:
            raise ZooKeeperUnavailable(f"no server answers at {address!r}: {error}") from error
        yield GivenServer(address)
        return
    with RealServer(config, properties) as server:
        yield server


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Print the class path of a real ZooKeeper.")
    parser.add_argument("--version", default=VERSION, help=f"default: {VERSION}")
    parser.add_argument("--curator", action="store_true", help="with Curator's jars")
    parser.add_argument("--archive", type=Path, help=f"{_SOURCE}'s archive, if it was downloaded already")
    options = parser.parse_args()
    try:
        if options.archive is not None:
            fetch(options.archive)
        print(find(options.version, curator=options.curator).classpath)
    except ZooKeeperUnavailable as error:
        sys.exit(str(error))
    sys.exit(0)


if __name__ == "__main__":
    main()
