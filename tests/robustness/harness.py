"""A server process under attack, and what can be seen of it from outside.

`Server` runs ``python -m zkpy serve`` (or `broken`, the same with a fault) and reads its ``/proc`` entries.
`Client` is a blocking raw client: it sends bytes and reads frames, nothing else.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from compat import wire

SUPER: Final = "super:secret"
SUPER_DIGEST: Final = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
REPOSITORY: Final = Path(__file__).resolve().parents[2]
HEADER: Final = struct.Struct(">iqi")
START_TIMEOUT_S: Final = 60.0


class Failure(AssertionError):
    """The server did what it must not do."""


class Server:
    """One server process; as a context manager it is killed in the end.

    *fault* names one of the faults of `broken`. stderr goes to a file that `stderr` reads.
    *limit* is a resource limit (``resource.RLIMIT_...``) and its value.
    """

    def __init__(
        self,
        work: Path,
        *args: str,
        fault: str | None = None,
        wait: bool = True,
        limit: tuple[int, int] | None = None,
    ) -> None:
        module = ["zkpy"] if fault is None else ["tests.robustness.broken", fault]
        self.work = work
        self._stderr = work / "stderr"
        with self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module, "serve", "--port", "0", *args],
                cwd=work,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                preexec_fn=None if limit is None else _limiter(*limit),  # noqa: PLW1509
            )
        self.pid = self.process.pid
        self.host, self.port = "127.0.0.1", 0
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def wait_ready(self) -> None:
        """Return when clients can connect."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], START_TIMEOUT_S)[0]:
            raise Failure(f"no ready line after {START_TIMEOUT_S} s\n{self.stderr()}")
        words = self.process.stdout.readline().split()
        if words[:2] != [b"zkpy", b"ready"]:
            raise Failure(f"the server did not start, status {self.process.wait()}\n{self.stderr()}")
        self.host, _, port = words[2].decode().rpartition(":")
        self.port = int(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.kill()
        return status

    def stderr(self) -> str:
        return self._stderr.read_text("utf-8", "replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def whereabouts(self) -> str:
        """What the process and its threads are doing, for a report about one that does not answer."""
        out = []
        with contextlib.suppress(OSError):
            for task in sorted(Path(f"/proc/{self.pid}/task").iterdir()):
                parts = [(task / name).read_text().strip() for name in ("comm", "wchan", "syscall")]
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                out.append(" ".join((task.name, state, *parts)))
        return "\n".join(out)

    # -- seen from outside ---------------------------------------------------------------------------------

    def rss(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Failure("the process is gone")

    def peak_rss(self) -> int:
        """Most resident bytes since `reset_peak`."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise Failure("the process is gone")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connect(self, timeout_s: float = 10.0, source: str | None = None) -> socket.socket:
        sock = socket.create_connection(
            (self.host, self.port), timeout_s, None if source is None else (source, 0)
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def word(self, word: str) -> str:
        """The answer to a four-letter word."""
        with self.connect() as sock:
            sock.sendall(word.encode())
            return read_to_end(sock).decode()

    def monitor(self) -> dict[str, str]:
        """``mntr`` as a mapping."""
        pairs = (line.partition("\t") for line in self.word("mntr").splitlines())
        return {name: value for name, _, value in pairs}

    def client(self, **fields: object) -> Client:
        return Client(self.connect(), **fields)


def _limiter(kind: int, value: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(kind, (value, value))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    return limit


def read_to_end(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream, a reset counting as one. Raises TimeoutError."""
    out = bytearray()
    while True:
        try:
            chunk = sock.recv(65536)
        except (ConnectionError, BrokenPipeError):
            return bytes(out)
        if not chunk:
            return bytes(out)
        out += chunk


def until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Poll for something that cannot be waited for otherwise."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)


class Answer(NamedTuple):
    """One frame from the server."""

    xid: int
    zxid: int
    err: int
    body: bytes


class Client:
    """A session on a raw socket. Requests have increasing xids; `call` skips notifications."""

    def __init__(self, sock: socket.socket, **fields: object) -> None:
        self.sock = sock
        self.xid = 0
        self.events: list[bytes] = []
        self._buffer = bytearray()
        try:
            sock.sendall(wire.connect_frame(**fields))  # type: ignore[arg-type]
            payload = self.frame()
            if payload is None:
                raise ConnectionError("closed instead of a session")
        except BaseException:
            sock.close()
            raise
        _, self.timeout_ms, self.session = struct.unpack_from(">iiq", payload)
        self.password = payload[20:36]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.sock.close()

    def send(self, *requests: tuple[int, bytes]) -> None:
        """Pipeline requests."""
        out = []
        for op, body in requests:
            self.xid += 1
            out.append(wire.request(self.xid, op, body))
        self.sock.sendall(b"".join(out))

    def frame(self) -> bytes | None:
        """The next frame; None at the end of the stream."""
        buffer = self._buffer
        while True:
            if len(buffer) >= 4:
                size = int.from_bytes(buffer[:4], "big")
                if len(buffer) >= size + 4:
                    payload = bytes(buffer[4 : size + 4])
                    del buffer[: size + 4]
                    return payload
            try:
                chunk = self.sock.recv(1 << 18)
            except ConnectionError:
                return None
            if not chunk:
                return None
            buffer += chunk

    def answer(self) -> Answer:
        """The next reply; notifications are put aside. Raises ConnectionError at the end of the stream."""
        while True:
            payload = self.frame()
            if payload is None:
                raise ConnectionError("the server closed the connection")
            xid, zxid, err = HEADER.unpack_from(payload)
            if xid != -1:
                return Answer(xid, zxid, err, payload[16:])
            self.events.append(payload)

    def call(self, op: int, body: bytes = b"") -> Answer:
        self.send((op, body))
        got = self.answer()
        assert got.xid == self.xid or op == wire.PING, (got, self.xid)
        return got

    def ok(self, op: int, body: bytes = b"") -> bytes:
        """The body of a reply that must not be an error."""
        got = self.call(op, body)
        assert got.err == 0, (op, got.err)
        return got.body

    def auth(self, credentials: str = SUPER) -> None:
        self.sock.sendall(
            wire.request(-4, wire.AUTH, wire.i32(0) + wire.text("digest") + wire.text(credentials))
        )
        assert self.answer().err == 0

    def create(self, path: bytes | str, data: bytes | None = b"", flags: int = 0) -> int:
        """The error code."""
        return self.call(wire.CREATE, wire.create_body(path, data, flags=flags)).err

    def set(self, path: bytes | str, data: bytes) -> int:
        return self.call(wire.SET_DATA, wire.text(path) + wire.text(data) + wire.i32(-1)).err

    def get(self, path: bytes | str) -> bytes | None:
        body = self.ok(wire.GET_DATA, wire.read_body(path))
        return wire_text(body)

    def children(self, path: bytes | str) -> list[bytes]:
        """Names of the children, sorted; none for a missing znode."""
        got = self.call(wire.GET_CHILDREN, wire.read_body(path))
        return sorted(texts(got.body)) if not got.err else []

    def ping(self) -> float:
        """Seconds until the answer."""
        started = time.monotonic()
        self.call(wire.PING)
        return time.monotonic() - started

    def close(self) -> None:
        """closeSession and the end of the stream."""
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            self.send((wire.CLOSE_SESSION, b""))
            while self.frame() is not None:
                pass
        self.sock.close()

    def drop(self) -> None:
        """Only the TCP connection."""
        self.sock.close()


def wire_text(body: bytes, pos: int = 0) -> bytes | None:
    (size,) = struct.unpack_from(">i", body, pos)
    return None if size < 0 else body[pos + 4 : pos + 4 + size]


def texts(body: bytes) -> Iterator[bytes]:
    (count,) = struct.unpack_from(">i", body)
    pos = 4
    for _ in range(count):
        value = wire_text(body, pos)
        assert value is not None
        yield value
        pos += 4 + len(value)


def defines(**properties: object) -> Sequence[str]:
    """Options for ``zookeeper.*`` properties, ``__`` standing for a dot."""
    return [f"-Dzookeeper.{name.replace('__', '.')}={value}" for name, value in properties.items()]
