"""The jars of a real ZooKeeper: found on this machine, or fetched into the user's cache directory."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from compat.java import ZooKeeperUnavailable

VERSION = "3.9.5"
DEBIAN_VERSION = "3.8.0"
DEBIAN_FOLDER = Path("/usr/share/java")

_SOURCE = "pyspark==4.3.0"
_SOURCE_SHA256 = "e8c517948eff7088a7aa07449aa8eafa4a15a8d50319de2525a6fd26622476c6"
_SOURCE_FOLDER = "/deps/jars/"

# What the server, the command line and Curator need of the source distribution: the beginnings of the names.
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

# Debian's jars, each with its package: the server's own and those of the packages it depends on.
_DEBIAN_JARS = {
    "zookeeper": "libzookeeper-java",
    "zookeeper-jute": "libzookeeper-java",
    "netty-buffer": "libnetty-java",
    "netty-codec": "libnetty-java",
    "netty-common": "libnetty-java",
    "netty-handler": "libnetty-java",
    "netty-resolver": "libnetty-java",
    "netty-transport": "libnetty-java",
    "netty-transport-native-epoll": "libnetty-java",
    "netty-transport-native-unix-common": "libnetty-java",
    "slf4j-api": "libslf4j-java",
    "slf4j-log4j12": "libslf4j-java",
    "log4j-1.2": "liblog4j1.2-java",
    "snappy-java": "libsnappy-java",
    "jackson-core": "libjackson2-core-java",
    "jackson-databind": "libjackson2-databind-java",
    "jackson-annotations": "libjackson2-annotations-java",
    "metrics-core": "libdropwizard-metrics-java",
    "commons-cli": "libcommons-cli-java",
    "commons-io": "libcommons-io-java",
    "jetty9-http": "libjetty9-java",
    "jetty9-io": "libjetty9-java",
    "jetty9-security": "libjetty9-java",
    "jetty9-server": "libjetty9-java",
    "jetty9-servlet": "libjetty9-java",
    "jetty9-util": "libjetty9-java",
    "jetty9-util-ajax": "libjetty9-java",
    "servlet-api": "libservlet-api-java",
    "findbugs-annotations": "libfindbugs-annotations-java",
    "jline2": "libjline2-java",
}
_DEBIAN_OPTIONAL = {"jline2", "netty-transport-native-epoll", "netty-transport-native-unix-common"}

_SERVER = "org/apache/zookeeper/server/ZooKeeperServerMain.class"
# Without one of these the server does not start.
_NEEDED_CLASSES = {
    "org/apache/jute/Record.class": "zookeeper-jute",
    "org/slf4j/LoggerFactory.class": "slf4j-api",
    "com/codahale/metrics/Reservoir.class": "metrics-core",
    "org/xerial/snappy/SnappyInputStream.class": "snappy-java",
}


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


def classpath(version: str = VERSION) -> str:
    """The class path of a ZooKeeper of this version, fetched if it must be."""
    return find(version).classpath


def curator_classpath(version: str = VERSION) -> str:
    """The same, from a source which has Curator as well."""
    return find(version, curator=True).classpath


def find(version: str | None = VERSION, *, curator: bool = False, fetching: bool = True) -> Installation:
    """The first source which has this version (None: any version), and Curator if that is asked for.

    What the environment names is looked at first, then the cache and Debian's package. At last the version is
    fetched (unless *fetching* is off): 3.9.5 from PyPI, 3.8.0 from Debian's archive.
    """
    tried: list[str] = []
    for origin, entries in _installed(version):
        try:
            installation = inspect(origin, entries)
        except ZooKeeperUnavailable as error:
            tried.append(f"{origin}: {error}")
            continue
        if version is not None and installation.version != version:
            tried.append(f"{origin}: version {installation.version}, not {version}")
        elif curator and not installation.has_curator:
            tried.append(f"{origin}: without Curator")
        else:
            return installation
    wanted = version or VERSION
    if not fetching:
        tried.append("nothing was fetched, as that was not wanted")
    elif wanted not in _FETCHED:
        tried.append(f"to be fetched are only {' and '.join(sorted(_FETCHED))}")
    elif curator and wanted != VERSION:
        tried.append(f"Curator can be fetched only with {VERSION}")
    elif cache_folder(wanted).is_dir():
        tried.append(f"nothing was fetched, as {cache_folder(wanted)} is there: remove it to fetch it again")
    else:
        try:
            return inspect(f"fetched {wanted}", sorted(fetch(wanted).glob("*.jar")))
        except ZooKeeperUnavailable as error:
            tried.append(f"{_FETCHED[wanted].origin}: {error}")
    if not os.environ.keys() & {"ZOOKEEPER_CLASSPATH", "ZOOKEEPER_HOME", "ZOOKEEPER_PATH"}:
        tried.insert(0, "ZOOKEEPER_CLASSPATH, ZOOKEEPER_HOME, ZOOKEEPER_PATH: not set")
    what = f"ZooKeeper {version or '(any version)'}{' with Curator' if curator else ''}"
    lines = "\n".join(f"  {line}" for line in tried)
    raise ZooKeeperUnavailable(f"{what} was not found:\n{lines}\n{_advice(wanted)}")


def _advice(version: str) -> str:
    advice = f"Set ZOOKEEPER_HOME to an unpacked release {version}, or ZOOKEEPER_CLASSPATH to its jars"
    if version == DEBIAN_VERSION:
        advice += "; or apt-get install zookeeper (its jars alone: libzookeeper-java)"
    if version == VERSION:
        advice += f"; or download the source distribution of {_SOURCE} elsewhere, and give it here with "
        advice += "python -m compat.realzk --archive FILE"
    return f"{advice}."


def cache_folder(version: str = VERSION) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zkpy" / f"zookeeper-{version}"


def _installed(version: str | None) -> Iterator[tuple[str, list[Path]]]:
    """The places which may have a ZooKeeper already, each with its class path's entries."""
    if paths := os.environ.get("ZOOKEEPER_CLASSPATH"):
        yield "ZOOKEEPER_CLASSPATH", expand(paths)
    for name in ("ZOOKEEPER_HOME", "ZOOKEEPER_PATH"):
        if home := os.environ.get(name):
            yield name, [jar for folder in ("lib", ".") for jar in sorted(Path(home, folder).glob("*.jar"))]
    for cached in (VERSION, DEBIAN_VERSION) if version is None else (version,):
        if (folder := cache_folder(cached)).is_dir():
            yield str(folder), sorted(folder.glob("*.jar"))
    if (DEBIAN_FOLDER / "zookeeper.jar").exists():
        yield "Debian's package", _debian_jars(DEBIAN_FOLDER)


def expand(paths: str) -> list[Path]:
    """A class path with its ``folder/*`` entries replaced by the folder's jars."""
    entries: list[Path] = []
    for path in paths.split(os.pathsep):
        if path.endswith("*"):
            entries.extend(Path(jar) for jar in sorted(glob.glob(f"{glob.escape(path[:-1])}*.jar")))
        elif path:
            entries.append(Path(path))
    return entries


def inspect(origin: str, entries: Sequence[Path]) -> Installation:
    """The ZooKeeper which these jars and directories are, or what is missing."""
    version: str | None = None
    missing = dict(_NEEDED_CLASSES)
    for entry in entries:
        if entry.is_dir():
            missing = {file: jar for file, jar in missing.items() if not (entry / file).exists()}
            continue
        if not entry.exists():
            continue
        try:
            with zipfile.ZipFile(entry) as jar:
                names = set(jar.namelist())
                if version is None and _SERVER in names:
                    version = _version(jar)
        except (OSError, zipfile.BadZipFile) as error:
            raise ZooKeeperUnavailable(f"{entry} cannot be read: {error}") from error
        missing = {file: name for file, name in missing.items() if file not in names}
    if version is None:
        raise ZooKeeperUnavailable(
            f"no ZooKeeper server in its {len(entries)} jars" if entries else "no jars there"
        )
    if missing:
        raise ZooKeeperUnavailable(
            f"ZooKeeper {version}, but these jars are missing: {', '.join(missing.values())}"
        )
    return Installation(tuple(entries), version, origin)


def _version(jar: zipfile.ZipFile) -> str:
    """As the manifest has it, or (Debian's manifest does not) Maven's description."""
    for file, name, separator in (
        ("META-INF/MANIFEST.MF", "Implementation-Version", ":"),
        ("META-INF/maven/org.apache.zookeeper/zookeeper/pom.properties", "version", "="),
    ):
        try:
            lines = jar.read(file).decode("utf-8", "replace").splitlines()
        except KeyError:
            continue
        for line in lines:
            key, _, value = line.partition(separator)
            if key.strip() == name and value.strip():
                return value.strip()
    return "unknown"


def fetch(version: str = VERSION, archive: Path | None = None) -> Path:
    """Make the version's cache directory; *archive* is PyPI's, if it was downloaded already."""
    target = cache_folder(version)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as temporary:
            jars, download = Path(temporary, "jars"), Path(temporary, "download")
            jars.mkdir()
            download.mkdir()
            if archive is not None:
                _unpack_pypi(archive, jars)
            else:
                _FETCHED[version].fill(jars, download)
            found = inspect(str(jars), sorted(jars.glob("*.jar"))).version
            if found != version:
                raise ZooKeeperUnavailable(f"what was fetched is version {found}, not {version}")
            try:
                jars.rename(target)
            except OSError:
                if not target.is_dir():  # else: another process was faster, with the same files
                    raise
    except (OSError, tarfile.TarError) as error:
        raise ZooKeeperUnavailable(f"cannot fill {target}: {error}") from error
    return target


# -- PyPI --------------------------------------------------------------------------------------------------


def _from_pypi(jars: Path, download: Path) -> None:
    print(f"fetching {_SOURCE} (456 MB, once) for its ZooKeeper {VERSION} jars", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--quiet"]
    command += ["--disable-pip-version-check", "--no-binary", "pyspark", "--dest", str(download), _SOURCE]
    _run(command, download)
    archives = list(download.glob("*.tar.gz"))
    if len(archives) != 1:
        raise ZooKeeperUnavailable(f"pip downloaded {len(archives)} archives, not one")
    _unpack_pypi(archives[0], jars)


def _unpack_pypi(archive: Path, jars: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SOURCE_SHA256:
        raise ZooKeeperUnavailable(f"{archive.name} has the SHA-256 {digest}, not {_SOURCE_SHA256}")
    _extract(archive, jars)


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


# -- Debian ------------------------------------------------------------------------------------------------


def _debian_jars(folder: Path) -> list[Path]:
    return [jar for name in _DEBIAN_JARS if (jar := folder / f"{name}.jar").exists()]


def _from_debian(jars: Path, download: Path) -> None:
    """Debian's packages, downloaded and unpacked without being installed; apt checks where they come from."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ZooKeeperUnavailable(f"no {tool} here")
    print(f"fetching Debian's packages of ZooKeeper {DEBIAN_VERSION} (17 MB, once)", file=sys.stderr)
    packages = sorted(set(_DEBIAN_JARS.values()))
    _run(["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *packages], download)
    unpacked = download / "unpacked"
    for package in sorted(download.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(unpacked)], download)
    for jar in _debian_jars(unpacked / "usr/share/java"):
        shutil.copyfile(jar, jars / jar.name)
    missing = [
        f"{name}.jar (of {package})"
        for name, package in _DEBIAN_JARS.items()
        if name not in _DEBIAN_OPTIONAL and not (jars / f"{name}.jar").exists()
    ]
    if missing:
        raise ZooKeeperUnavailable(f"these jars were not in the packages: {', '.join(missing)}")


def _run(command: Sequence[str], folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        tail = "\n      ".join((done.stdout + done.stderr).strip().splitlines()[-4:])
        name = "pip" if command[1:3] == ["-m", "pip"] else command[0]
        raise ZooKeeperUnavailable(f"{name} ended with status {done.returncode}:\n      {tail}")


@dataclass(frozen=True)
class _Source:
    """Where a version can be fetched."""

    origin: str
    fill: Callable[[Path, Path], None]
    """Puts the jars into the first directory; the second is for what is downloaded."""


_FETCHED = {
    VERSION: _Source(f"PyPI's {_SOURCE}", _from_pypi),
    DEBIAN_VERSION: _Source("Debian's archive", _from_debian),
}
