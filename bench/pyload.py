"""The load generator in Python, for machines without a C compiler: same arguments and output as load.c.

It is far slower than a pipelined server, so that its own share of the CPU must be watched.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import attrs

from bench.load import Job

CONNECT_WINDOW = 32
SESSION_TIMEOUT_MS = 300_000
STALL_S = 120.0

_INT = struct.Struct(">i")
_HEADER = struct.Struct(">iiqi")  # length prefix and ReplyHeader
_JOB = struct.Struct(">qIII")
_REQUEST = struct.Struct(">IiI")
_CONNECT = _INT.pack(45) + struct.pack(">iqiqi", 0, 0, SESSION_TIMEOUT_MS, 0, 16) + bytes(17)


class Connection:
    def __init__(self, sock: socket.socket, job: Job) -> None:
        self.socket = sock
        self.requests = (job, job.other or job)
        self.every = job.every or sys.maxsize
        self.limit = job.limit if job.limit >= 0 else sys.maxsize
        self.modulus = job.modulus or sys.maxsize
        self.start = job.start if job.modulus else 0
        self.sent = self.done = 0
        self.stamps: deque[int] = deque()
        self.incoming = b""
        self.outgoing = b""

    def fill(self, depth: int, now: int) -> None:
        """Tops up to `depth` unanswered requests."""
        count = min(depth - (self.sent - self.done), self.limit - self.sent)
        if count > 0:
            for number in range(self.sent, self.sent + count):
                request = self.nth(number)
                frame, at = request.frame, request.counter_at
                self.outgoing += frame[:4] + _INT.pack(number + 1 & 0x7FFFFFFF)
                if at < 0:
                    self.outgoing += frame[8:]
                else:
                    counter = (number + self.start) % self.modulus
                    self.outgoing += frame[8:at] + b"%010d" % counter + frame[at + 10 :]
            self.stamps.extend([now] * count)
            self.sent += count
        if self.outgoing:
            with contextlib.suppress(BlockingIOError):
                self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]

    def nth(self, number: int) -> Job:
        return self.requests[number % self.every == self.every - 1]

    def frames(self) -> list[tuple[int, int, int]]:
        """Every whole frame that has arrived: xid, error, event type (of notifications)."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return []
        if not data:
            sys.exit("load: the server closed a connection")
        buffer = self.incoming + data
        at = 0
        found: list[tuple[int, int, int]] = []
        while len(buffer) - at >= 20:
            length, xid, _, error = _HEADER.unpack_from(buffer, at)
            if len(buffer) - at < length + 4:
                break
            wanted = self.nth(self.done + len(found)).reply_bytes
            if wanted and not error and length + 4 != wanted:
                sys.exit(f"load: reply of {length + 4} bytes instead of {wanted}")
            found.append((xid, error, buffer[at + 23] if xid == -1 else 0))
            at += length + 4
        self.incoming = buffer[at:]
        return found


def machine_s() -> float:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    values = [int(field) for field in fields]
    return (sum(values) - values[3] - values[4]) / 100


def mark(pids: list[int]) -> tuple[float, float, float, float]:
    """Time, then CPU seconds of this process, of the server and of the machine."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    server = 0.0
    for pid in pids:
        try:
            server += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue
    return time.monotonic(), usage.ru_utime + usage.ru_stime, server, machine_s()


def spent(a: tuple[float, ...], b: tuple[float, ...]) -> dict[str, float]:
    seconds, own, server, machine = (after - before for before, after in zip(a, b, strict=True))
    return {
        "seconds": seconds,
        "generator_cpu_s": own,
        "server_cpu_s": server,
        "other_cpu_s": max(0.0, machine - own - server),
    }


def open_sessions(ports: list[int], count: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    for number in range(count + CONNECT_WINDOW):
        if number < count:
            sock = socket.create_connection(("127.0.0.1", ports[number % len(ports)]), STALL_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(_CONNECT)
            sockets.append(sock)
        if 0 <= number - CONNECT_WINDOW < count:
            sock = sockets[number - CONNECT_WINDOW]
            if len(sock.recv(41, socket.MSG_WAITALL)) != 41:
                sys.exit("load: session refused")
            sock.setblocking(False)
    return sockets


def read_jobs(path: str) -> list[Job]:
    data = Path(path).read_bytes()
    at, jobs = 4, []

    def request() -> Job:
        nonlocal at
        length, counter_at, reply_bytes = _REQUEST.unpack_from(data, at)
        at += _REQUEST.size + length
        return Job(data[at - length : at], counter_at, reply_bytes=reply_bytes)

    for _ in range(_INT.unpack_from(data)[0]):
        limit, modulus, start, every = _JOB.unpack_from(data, at)
        at += _JOB.size
        usual = request()
        other = request() if every else None
        jobs.append(attrs.evolve(usual, limit=limit, modulus=modulus, start=start, every=every, other=other))
    return jobs


def run(
    ports: list[int], depth: int, warmup_s: float, measure_s: float, path: str, pids: list[int]
) -> dict[str, Any]:
    jobs = read_jobs(path)
    sockets = open_sessions(ports, len(jobs))
    connections = [Connection(sock, job) for sock, job in zip(sockets, jobs, strict=True)]
    timed = any(job.limit < 0 for job in jobs)
    poll = select.epoll()
    by_fd = {connection.socket.fileno(): connection for connection in connections}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    began = progress = time.monotonic()
    begin = end = mark(pids)
    phase, errors, first_error = "warming", 0, 0
    latencies: list[int] = []
    for connection in connections:
        connection.fill(depth, time.monotonic_ns())
    while True:
        ready = poll.poll(0.1)
        now = time.monotonic()
        if phase == "warming" and timed and now >= began + warmup_s:
            latencies, begin, phase = [], mark(pids), "measuring"
        elif phase == "measuring" and now >= begin[0] + measure_s:
            end, phase, measured = mark(pids), "draining", latencies
            latencies = []
        for fd, events in ready:
            connection = by_fd[fd]
            taken = connection.frames() if events & ~select.EPOLLOUT else []
            stamp = time.monotonic_ns()
            for xid, error, _ in taken:
                connection.done += 1
                if xid != connection.done & 0x7FFFFFFF:
                    sys.exit("load: reply out of order")
                if error:
                    first_error = first_error or error
                    errors += 1
                latencies.append(stamp - connection.stamps.popleft())
            progress = now if taken else progress
            had = bool(connection.outgoing)
            connection.fill(depth if phase != "draining" else 0, stamp)
            if had or connection.outgoing:
                poll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if connection.outgoing else 0))
        if now - progress > STALL_S:
            sys.exit("load: no reply")
        goal = (connection.sent if phase == "draining" else connection.limit for connection in connections)
        if (not timed or phase == "draining") and all(
            connection.done == wanted for connection, wanted in zip(connections, goal, strict=True)
        ):
            break
    if not timed:
        end, measured = mark(pids), latencies
    for connection in connections:
        connection.socket.setblocking(True)
        connection.socket.sendall(struct.pack(">iii", 8, 0x7FFFFFFF, -11))
        connection.socket.recv(20, socket.MSG_WAITALL)
        connection.socket.close()
    measured.sort()
    count = len(measured)
    return {
        "replies": count,
        "errors": errors,
        "first_error": first_error,
        "p50_us": measured[count // 2] / 1000 if count else 0,
        "p99_us": measured[count * 99 // 100] / 1000 if count else 0,
        "max_us": measured[-1] / 1000 if count else 0,
        **spent(begin, end),
        "totals": [connection.done for connection in connections],
    }


def watch(ports: list[int], count: int, rounds: int, path: str, pids: list[int]) -> dict[str, Any]:
    read, write = (job.frame for job in read_jobs(path))
    began = time.monotonic()
    sockets = open_sessions(ports, count + 1)
    open_s = time.monotonic() - began
    poll = select.epoll()
    by_fd = {sock.fileno(): Connection(sock, Job(b"")) for sock in sockets}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    counts = [0, 0]  # notifications, replies

    def wait(notified: int, answered: int) -> None:
        deadline = time.monotonic() + STALL_S
        while counts[0] < notified or counts[1] < answered:
            if time.monotonic() > deadline:
                sys.exit(f"load: {counts[0]} events and {counts[1]} replies")
            for fd, _ in poll.poll(1.0, 1024):
                for xid, error, kind in by_fd[fd].frames():
                    if error or (xid == -1 and kind != 3):
                        sys.exit(f"load: error {error}")
                    counts[xid != -1] += 1

    fired = []
    for _ in range(rounds):
        counts[:] = [0, 0]
        for sock in sockets[:-1]:
            sock.sendall(read)
        wait(0, count)
        time.sleep(0.3)
        begin = mark(pids)
        sockets[-1].sendall(write)
        wait(count, count)
        fired.append(spent(begin, mark(pids)))
        wait(count, count + 1)
    return {"connections": count, "open_s": open_s, "rounds": fired}


def numbers(text: str) -> list[int]:
    return [int(item) for item in text.split(",")]


def main(arguments: list[str]) -> int:
    match arguments:
        case ["run", ports, depth, warmup, measure, path, pids]:
            result = run(numbers(ports), int(depth), float(warmup), float(measure), path, numbers(pids))
        case ["watch", ports, count, rounds, path, pids]:
            result = watch(numbers(ports), int(count), int(rounds), path, numbers(pids))
        case _:
            print("load: unknown arguments", file=sys.stderr)
            return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
