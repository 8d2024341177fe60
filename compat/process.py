"""What every server under test has: a temporary directory, a zoo.cfg, a port, a log and an end."""

from __future__ import annotations

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


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


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

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def log(self) -> str:
        try:
            return self.log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def start(self) -> None:
        if self.process is not None:
            raise RuntimeError("the server is already running")
        attempts = 1 if self.port else 3
        for attempt in range(attempts):
            self._write_config(self.port or free_port())
            try:
                self.process = self._spawn()
                self._wait_until_serving(self.process, time.monotonic() + START_TIMEOUT)
            except PortTaken:
                self.stop()
                self.port = 0
                if attempt + 1 == attempts:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

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

    def _failure(self, reason: str) -> ServerFailed:
        tail = "\n".join(self.log().splitlines()[-40:])
        kind = PortTaken if "ddress already in use" in tail else ServerFailed
        return kind(f"{self.kind} server: {reason}; the end of its log:\n{tail}")

    def _write_config(self, port: int) -> None:
        self.port = port
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
