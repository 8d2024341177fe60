"""The few client requests that the benchmark sends, as bytes, and a small blocking client for set-up.

Independent of zkpy's own codec on purpose: a benchmark that shares code with one of its subjects would share
its faults, and would start slower with it.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

CREATE, EXISTS, GET_DATA, SET_DATA, GET_CHILDREN, DELETE, CLOSE = 1, 3, 4, 5, 8, 2, -11
NODE_EXISTS = -110
HEADER_BYTES, STAT_BYTES = 20, 68  # HEADER_BYTES with the length prefix
SESSION_TIMEOUT_MS = 60_000

_INT = struct.Struct(">i")
_HEADER = struct.Struct(">ii")
_REPLY = struct.Struct(">iqi")
_STAT = struct.Struct(">qqqqiiiqiiq")
_OPEN_ACL = _INT.pack(1) + _INT.pack(31) + b"\0\0\0\5world" + b"\0\0\0\6anyone"


class ServerError(Exception):
    """The server answered a request of the benchmark with an error code."""

    def __init__(self, op: int, code: int) -> None:
        super().__init__(f"operation {op} failed with code {code}")
        self.code = code


def buffer(data: bytes) -> bytes:
    """A jute buffer or string: length, then the bytes."""
    return _INT.pack(len(data)) + data


def frame(op: int, body: bytes, xid: int = 0) -> bytes:
    """A whole request frame with its length prefix."""
    return _INT.pack(8 + len(body)) + _HEADER.pack(xid, op) + body


def connect_request(session: int = 0, password: bytes = bytes(16)) -> bytes:
    """The first frame of a connection, asking for a new session or to go on with one."""
    return buffer(struct.pack(">iqiq", 0, 0, SESSION_TIMEOUT_MS, session) + buffer(password) + b"\0")


def receive(sock: socket.socket) -> bytes:
    """The next frame without its length. Raises ConnectionError when the server hung up."""
    return _exactly(sock, _INT.unpack(_exactly(sock, 4))[0])


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the server closed the connection")
        data += chunk
    return data


def create(path: str, data: bytes) -> bytes:
    return frame(CREATE, buffer(path.encode()) + buffer(data) + _OPEN_ACL + _INT.pack(0))


def delete(path: str) -> bytes:
    return frame(DELETE, buffer(path.encode()) + _INT.pack(-1))


def read(op: int, path: str, watch: bool = False) -> bytes:
    """getData, exists or getChildren."""
    return frame(op, buffer(path.encode()) + bytes([watch]))


def set_data(path: str, data: bytes) -> bytes:
    return frame(SET_DATA, buffer(path.encode()) + buffer(data) + _INT.pack(-1))


class Client:
    """One blocking session; use as a context manager."""

    def __init__(self, port: int, timeout_s: float = 60.0) -> None:
        self._xid = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(connect_request())
            _, negotiated_ms = _HEADER.unpack_from(receive(self._socket))
            if negotiated_ms <= 0:
                raise ConnectionError("session refused")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.call(frame(CLOSE, b""))
        finally:
            self._socket.close()

    def call(self, request: bytes) -> bytes:
        """Sends a frame made by one of the functions above; returns the reply's body."""
        self._xid += 1
        self._socket.sendall(request[:4] + _INT.pack(self._xid) + request[8:])
        reply = receive(self._socket)
        xid, _, code = _REPLY.unpack_from(reply)
        if xid != self._xid:
            raise ConnectionError(f"reply to {xid} instead of {self._xid}")
        if code:
            raise ServerError(_HEADER.unpack_from(request, 4)[1], code)
        return reply[_REPLY.size :]

    def ensure(self, path: str, data: bytes = b"") -> None:
        """Creates a node unless it is there."""
        try:
            self.call(create(path, data))
        except ServerError as error:
            if error.code != NODE_EXISTS:
                raise

    def version(self, path: str) -> int:
        return int(_STAT.unpack(self.call(read(EXISTS, path)))[4])

    def child_count(self, path: str) -> int:
        return int(_STAT.unpack(self.call(read(EXISTS, path)))[9])

    def data(self, path: str) -> bytes:
        body = self.call(read(GET_DATA, path))
        return body[4 : 4 + _INT.unpack_from(body)[0]]
