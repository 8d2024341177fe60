"""Driving the load generator, which is a process of its own: load.c compiled on first use, else pyload.py."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from bench.servers import ROOT, BenchError

_JOB = struct.Struct(">qIII")
_REQUEST = struct.Struct(">IiI")
COUNTER = "0" * 10
_SOURCE = Path(__file__).with_name("load.c")


@attrs.frozen
class Job:
    """One connection's requests.

    Request n is `frame` with the ten digits at `counter_at` (-1: none) replaced by ``(n + start) % modulus``,
    or by n where modulus is 0. At most `limit` are sent (-1: until time is up); each reply frame has
    `reply_bytes` (0: any length). With `every`, the last of each `every` requests is the one of `other`.
    """

    frame: bytes
    counter_at: int = -1
    limit: int = -1
    modulus: int = 0
    start: int = 0
    reply_bytes: int = 0
    every: int = 0
    other: Job | None = None


def counted(frame: bytes, *, limit: int = -1, modulus: int = 0, start: int = 0, reply_bytes: int = 0) -> Job:
    """A job whose frame holds `COUNTER` once, as the counter."""
    return Job(frame, frame.index(COUNTER.encode()), limit, modulus, start, reply_bytes)


@attrs.frozen
class Generator:
    command: list[str]
    language: str
    directory: Path

    def run(
        self,
        ports: Sequence[int],
        jobs: Sequence[Job],
        depth: int,
        warmup_s: float = 0.0,
        measure_s: float = 0.0,
        pids: Sequence[int] = (),
    ) -> dict[str, Any]:
        """Keeps `depth` requests outstanding per job until time is up or all limits are reached.

        Job i uses the (i % count)th of *ports*.
        """
        path = self._write(jobs)
        result = self._call("run", _list(ports), depth, warmup_s, measure_s, path, _list(pids) or "0")
        if result["errors"]:
            raise BenchError(f"{result['errors']} requests failed, the first with {result['first_error']}")
        return result

    def watch(
        self, port: int, connections: int, rounds: int, read: bytes, write: bytes, pids: Sequence[int]
    ) -> dict[str, Any]:
        """Every connection sends `read`, which sets a watch, then one sends `write`; once per round."""
        path = self._write([Job(read), Job(write)])
        return self._call("watch", port, connections, rounds, path, _list(pids))

    def start_echo(self, port: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.command, "echo", str(port)], cwd=ROOT)

    def _write(self, jobs: Sequence[Job]) -> Path:
        parts = [struct.pack(">I", len(jobs))]
        for job in jobs:
            parts.append(_JOB.pack(job.limit, job.modulus, job.start, job.every))
            for request in (job,) if job.other is None else (job, job.other):
                head = _REQUEST.pack(len(request.frame), request.counter_at, request.reply_bytes)
                parts += [head, request.frame]
        path = self.directory / "jobs"
        path.write_bytes(b"".join(parts))
        return path

    def _call(self, *arguments: object) -> dict[str, Any]:
        done = subprocess.run(
            [*self.command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchError(f"load generator: {done.stderr.strip()[-400:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def _list(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def generator(directory: Path, force_python: bool = False) -> Generator:
    """The C generator where there is a compiler, else the Python one."""
    directory.mkdir(parents=True, exist_ok=True)
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler and not force_python:
        binary = directory / f"load-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}"
        if not binary.exists():
            command = [compiler, "-O2", "-o", str(binary), str(_SOURCE)]
            built = subprocess.run(command, capture_output=True, text=True, check=False)
            if built.returncode:
                print(f"bench: cannot compile load.c, using Python: {built.stderr[:300]}", file=sys.stderr)
                return Generator([sys.executable, "-m", "bench.pyload"], "Python", directory)
        return Generator([str(binary)], "C", directory)
    return Generator([sys.executable, "-m", "bench.pyload"], "Python", directory)
