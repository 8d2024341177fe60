"""How to start a member that is a Java server, found where kazoo's test harness looks for it."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from zkpy.ensemble.layout import EnsembleError, Layout, Member

MAIN: Final = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
VARIABLES: Final = ("ZOOKEEPER_CLASSPATH", "ZOOKEEPER_HOME", "ZOOKEEPER_PATH")
# A test server: it should be there soon and need little.
JVM_OPTIONS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")

_LOGGING: Final = {
    "log4j2.properties": """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
""",
    "log4j.properties": """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %-5p %c{1}: %m%n
""",
    "logback.xml": """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5level %logger{1}: %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="console"/></root>
</configuration>
""",
}


@attrs.frozen
class Java:
    """A Java program and the class path of a ZooKeeper."""

    program: str
    classpath: str

    def command(self, layout: Layout, member: Member, defines: Mapping[str, str]) -> list[str]:
        """The command line of a member."""
        folder = layout.root / "java-logging"
        folder.mkdir(exist_ok=True)
        for name, text in _LOGGING.items():
            (folder / name).write_text(text)
        properties = {
            "log4j2.configurationFile": str(folder / "log4j2.properties"),
            "log4j.configuration": (folder / "log4j.properties").as_uri(),
            "logback.configurationFile": str(folder / "logback.xml"),
            **defines,
        }
        return [
            self.program,
            *JVM_OPTIONS,
            "-cp",
            self.classpath,
            *(f"-D{name}={value}" for name, value in properties.items()),
            MAIN,
            str(layout.config_file(member)),
        ]


def find() -> Java:
    """Java and ZooKeeper as the environment names them. Raises EnsembleError."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if program is None:
        where = f"JAVA_HOME ({home})" if home else "PATH"
        raise EnsembleError(f"--java: there is no java in {where}; install one, or set JAVA_HOME")
    for variable in VARIABLES:
        value = os.environ.get(variable)
        if not value:
            continue
        if variable == "ZOOKEEPER_CLASSPATH":
            classpath = value
        else:
            classpath = os.pathsep.join(str(Path(value).absolute() / folder / "*") for folder in ("lib", ""))
        if not _has_server(classpath):
            raise EnsembleError(f"--java: {variable}={value} has no zookeeper jar; name a ZooKeeper release")
        return Java(program, classpath)
    raise EnsembleError(
        f"--java: no ZooKeeper is named; set {VARIABLES[0]} to its jars, or {VARIABLES[1]} or {VARIABLES[2]} "
        "to an unpacked release"
    )


def _has_server(classpath: str) -> bool:
    for entry in classpath.split(os.pathsep):
        if entry.endswith("*"):
            jars = glob.glob(f"{glob.escape(entry[:-1])}*.jar")
        else:
            jars = [entry] if Path(entry).exists() else []
        for jar in jars:
            name = Path(jar).name
            if name == "zookeeper.jar" or name.startswith("zookeeper-3") or Path(jar).is_dir():
                return True
    return False
