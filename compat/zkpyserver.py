"""zkpy as a server process: ``python -m zkpy serve zoo.cfg``."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from compat.process import ServerProcess

ROOT = Path(__file__).resolve().parent.parent
SOURCE_VARIABLE = "ZKPY_SOURCE"
"""The directory that holds the package to run, where it is not this checkout's."""
_READY = re.compile(r"zkpy ready (\S+):(\d+)")


def environment() -> dict[str, str]:
    """An environment in which this checkout's zkpy (or the one named instead) is imported."""
    paths = [os.environ.get(SOURCE_VARIABLE, str(ROOT)), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


class ZkpyServer(ServerProcess):
    """``zkpy serve`` with the same settings and properties which a Java server would get."""

    kind = "zkpy"

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(config, properties)
        self.log_level: str | None = None
        self._first_line: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._ready: subprocess.Popen[bytes] | None = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = [f"-D{name}={value}" for name, value in self.properties.items()]
        if self.log_level is not None:
            options += ["--log-level", self.log_level]
        log = self.log_path.open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "zkpy", "serve", *options, str(self.config_path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            cwd=self.directory,
        )
        assert process.stdout is not None
        self._first_line = queue.SimpleQueue()
        self._reader = threading.Thread(
            target=_copy_output, args=(process.stdout, log, self._first_line), daemon=True
        )
        self._reader.start()
        return process

    def _wait_until_serving(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        if self._ready is process:
            return
        try:
            line = self._first_line.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise self._failure("printed no ready line in time") from None
        if not line:
            raise self._failure(f"ended with status {process.wait()} before it was ready")
        ready = _READY.match(line)
        if ready is None:
            raise self._failure(f"its first line was {line!r}")
        self.port = int(ready[2])
        self._ready = process

    def stop(self) -> None:
        super().stop()
        if self._reader is not None:
            self._reader.join()
            self._reader = None


def _copy_output(output: IO[bytes], log: IO[bytes], first_line: queue.SimpleQueue[str]) -> None:
    """Hand over the first line (empty: there was none), and keep everything in the log."""
    with output, log:
        line = output.readline()
        first_line.put(line.decode("utf-8", "replace").rstrip("\n"))
        while line:
            log.write(line)
            log.flush()
            line = output.readline()
