"""Java's own tools on the files of a data directory: what they count must be what is in there."""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compat import txnlogs
from compat.java import JVM_OPTIONS, java_program
from zkpy.errors import CorruptLogError
from zkpy.persist.snapstream import SnapshotReader
from zkpy.realports import RealDisk

LOG_TOOL: Final = "org.apache.zookeeper.server.persistence.TxnLogToolkit"
SNAPSHOT_TOOL: Final = "org.apache.zookeeper.server.SnapshotFormatter"
_HEADER_SIZE: Final = 16
_FRAME: Final = struct.Struct(">qi")
_TIMEOUT_S: Final = 60.0
_BAD_WORDS: Final = re.compile(r"CRC ERROR|CRC check failed|Exception in thread")


def log_files(root: Path) -> list[Path]:
    """The logs below a dataLogDir, oldest first."""
    return _by_zxid(root, "log.*")


def snapshots(root: Path) -> list[Path]:
    """The snapshots below a dataDir, oldest first."""
    return _by_zxid(root, "snapshot.*")


def zxid_of(file: Path) -> int:
    """The zxid in a file's name."""
    return int(file.name.split(".")[1], 16)


def _by_zxid(root: Path, pattern: str) -> list[Path]:
    return sorted((root / "version-2").glob(pattern), key=zxid_of)


def log_problem(classpath: str, file: Path) -> str | None:
    """What the tool for logs has against this one; None: nothing."""
    status, output = _run(classpath, LOG_TOOL, file)
    found = re.search(r"EOF reached after (\d+) txns", output)
    there = sum(1 for _ in entries(file))
    return _problem(LOG_TOOL, file, status, output, int(found[1]) if found else None, there)


def snapshot_problem(classpath: str, file: Path) -> str | None:
    """What the tool for snapshots has against this one; None: nothing."""
    reader = SnapshotReader(RealDisk(), str(file))
    reader.open()
    sessions = len(list(reader.sessions()))
    list(reader.acls())
    nodes = sum(1 for _ in reader.nodes())
    status, output = _run(classpath, SNAPSHOT_TOOL, file)
    found = len(re.findall(r"^\s+cZxid = ", output, re.MULTILINE))
    problem = _problem(SNAPSHOT_TOOL, file, status, output, found, nodes)
    listed = len(re.findall(r"^0x[0-9a-f]+, \d+, ", output, re.MULTILINE))
    if problem is None and listed != sessions:
        problem = f"{_name(SNAPSHOT_TOOL)} lists {listed} sessions in {file.name}, not {sessions}"
    return problem


def is_fuzzy(file: Path) -> bool:
    """Whether the snapshot may have effects of transactions after the one in its name."""
    reader = SnapshotReader(RealDisk(), str(file))
    try:
        reader.open()
        list(reader.sessions())
        list(reader.acls())
        list(reader.nodes())
        return reader.finish().digest_zxid > zxid_of(file)
    except CorruptLogError:
        return False  # its writer was ended meanwhile


def entries(file: Path) -> Iterator[txnlogs.Entry]:
    """What a log has, up to an entry that was not finished: a killed process may leave one."""
    data = file.read_bytes()
    at = _HEADER_SIZE
    while at + _FRAME.size <= len(data):
        checksum, size = _FRAME.unpack_from(data, at)
        payload = data[at + _FRAME.size : at + _FRAME.size + size]
        at += _FRAME.size + size + 1
        if not size or data[at - 1 : at] != b"B":
            return
        if zlib.adler32(payload) != checksum:
            raise ValueError(f"{file}: a damaged entry before {at}")
        yield payload


def all_entries(root: Path) -> list[txnlogs.Entry]:
    """The entries of all logs below a dataLogDir."""
    return [entry for file in log_files(root) for entry in entries(file)]


def _run(classpath: str, tool: str, file: Path) -> tuple[int, str]:
    done = subprocess.run(
        [java_program(), *JVM_OPTIONS, "-cp", classpath, "-Dfile.encoding=UTF-8", tool, str(file)],
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def _problem(tool: str, file: Path, status: int, output: str, found: int | None, there: int) -> str | None:
    if status:
        tail = " ".join(output.split()[-40:])
        return f"{_name(tool)} ended with status {status} on {file.name}: {tail}"
    if bad := _BAD_WORDS.search(output):
        return f"{_name(tool)} on {file.name}: {output[bad.start() :][:200]}"
    if found != there:
        return f"{_name(tool)} found {found} of {there} in {file.name}"
    return None


def _name(tool: str) -> str:
    return tool.rpartition(".")[2]
