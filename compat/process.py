"""What every server under test has: a temporary directory, a zoo.cfg, a port, a log and an end."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
HOST = "127.0.0.1"


class Serving(Protocol):
    """A server which answers at an address, however it was started."""

    @property
    def address(self) -> str: ...

    def log(self) -> str: ...


class ServerFailed(RuntimeError):
    """A server did not start, or ended before it was told to."""


class PortTaken(ServerFailed):
    """Somebody else took the port between its choice and its use."""


_FIRST_PORT, _LAST_PORT = 10_000, 32_000
_handed_out: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, and which this function has not given before.

    It is below the range from which systems take the ports of outgoing connections, so that a server which is
    stopped for a while finds it free afterwards. Another process may still be faster: `PortTaken`.
    """
    for _ in range(200):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        if port in _handed_out:
            continue
        with socket.socket() as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise ServerFailed(f"no free port found between {_FIRST_PORT} and {_LAST_PORT}")


def four_letters(port: int, command: str, *, host: str = HOST, timeout: float = 5.0) -> str:
    """Send a four-letter command; OSError if nobody listens."""
    with socket.create_connection((host, port), timeout=timeout) as sock:
        sock.sendall(command.encode())
        chunks = []
        while chunk := sock.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode("utf-8", "replace")


class ServerProcess(ABC):
    """A server process with its own directory; as a context manager it is started and ended.

    ``stop`` keeps the directory, so that ``start`` continues with the same data on the same port;
    ``close`` removes it.
    """

    kind: str

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.kind}-server-"))
        self.log_path = self.directory / "server.log"
        self.config_path = self.directory / "zoo.cfg"
        self.config = dict(config or {})
        self.properties = dict(properties or {})
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def log(self) -> str:
        try:
            return self.log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    @property
    def data(self) -> Path:
        """The dataDir."""
        return Path(self.config.get("dataDir", self.directory / "data"))

    def start(self) -> None:
        attempts = 1 if self.port else 3
        for attempt in range(attempts):
            try:
                self.launch()
                self.wait_until_serving()
            except PortTaken:
                if attempt + 1 == attempts:
                    raise
                self.port = 0
            else:
                return

    def launch(self) -> None:
        """Start the process without waiting until it serves: a member of an ensemble needs the others."""
        if self.process is not None:
            raise RuntimeError("the server is already running")
        self._write_config(self.port or free_port())
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.process = self._spawn()

    def wait_until_serving(self, timeout: float = START_TIMEOUT) -> None:
        """Return when the server answers; if it does not, it is stopped, and ServerFailed tells why."""
        if self.process is None:
            raise RuntimeError("the server is not running")
        try:
            self._wait_until_serving(self.process, time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the process without warning; its data stay, as with `stop`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.stop()

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def _wait_until_serving(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Return when the server answers; ServerFailed if it does not."""

    def log_of_this_run(self) -> str:
        """The log since the last start."""
        return self.log_path.read_bytes()[self._log_start :].decode("utf-8", "replace")

    def _failure(self, reason: str) -> ServerFailed:
        log = self.log_of_this_run()
        tail = "\n".join(log.splitlines()[-40:])
        kind = PortTaken if "ddress already in use" in log else ServerFailed
        return kind(f"{self.kind} server at {self.address}: {reason}; the end of its log:\n{tail}")

    def _write_config(self, port: int) -> None:
        self.port = port
        if self.config_path.exists() and "dynamicConfigFile=" in self.config_path.read_text():
            return  # the server has moved the ensemble's members to a file of its own
        settings = {
            "tickTime": "2000",
            "dataDir": str(self.directory / "data"),
            "clientPortAddress": HOST,
            "clientPort": str(port),
            "maxClientCnxns": "0",
            "4lw.commands.whitelist": "*",
            "admin.enableServer": "false",
        }
        settings.update(self.config)
        self.config_path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
