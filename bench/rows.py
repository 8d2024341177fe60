"""What is measured: every row of the table, and how it is taken from a running server."""

from __future__ import annotations

import fnmatch
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from bench import snapshot, wire
from bench.load import COUNTER, Generator, Job, counted
from bench.servers import BenchError, Kind, Server, running

DATA = b"0123456789" * 10
NODES = 1_000  # read and written in turn
LISTERS = 100  # parents whose children are listed in turn
CHILDREN = 10  # of each of them
SHAPES = ((1, 1), (10, 1), (50, 1), (10, 100))  # connections, requests outstanding on each
OPS = ("getData", "exists", "getChildren", "setData", "create")
CALM_SHARE = 0.1  # of one core

Sample = dict[str, Any]
"""``value`` in the row's unit, and whatever else was seen in the same measurement."""


@attrs.frozen
class Row:
    name: str
    title: str
    unit: str
    more_is_better: bool = False

    def matches(self, patterns: list[str]) -> bool:
        """A pattern is a glob over the whole name, or simply a part of it."""
        return not patterns or any(
            fnmatch.fnmatchcase(self.name, pattern) or pattern in self.name for pattern in patterns
        )


@attrs.frozen
class Settings:
    directory: Path
    generator: Generator
    warmup_s: float
    measure_s: float
    starts: int
    loads: int
    firings: int
    snapshot_nodes: int
    watches: int
    retries: int
    kills: int

    @classmethod
    def make(cls, directory: Path, generator: Generator, quick: bool, retries: int) -> Settings:
        if quick:
            return cls(directory, generator, 1.0, 1.0, 3, 1, 3, 1_000_000, 10_000, retries, 10)
        return cls(directory, generator, 3.0, 3.0, 7, 3, 7, 1_000_000, 10_000, retries, 30)


Results = Iterator[tuple[Row, Sample]]


@attrs.frozen
class Group:
    """Rows that share server starts. ``run(kind, settings, wanted rows)`` yields their samples."""

    rows: tuple[Row, ...]
    run: Callable[[Kind, Settings, list[Row]], Results]


# ---- throughput --------------------------------------------------------------------------------------------


def _throughput_row(op: str, connections: int, depth: int) -> Row:
    plural = "" if connections == 1 else "s"
    deep = "" if depth == 1 else f", {depth} outstanding each"
    return Row(f"{op} {connections}x{depth}", f"{op}, {connections} connection{plural}{deep}", "ops/s", True)


def _node(counter: int | str) -> str:
    return f"/bench/data/n{counter:0>10}"


def _lister(counter: int | str) -> str:
    return f"/bench/parents/p{counter:0>10}"


def _parent(number: int) -> str:
    return f"/bench/new/{number:04d}"


def _populate(client: wire.Client) -> None:
    for path in ("/bench", "/bench/data", "/bench/new", "/bench/parents"):
        client.ensure(path)
    for number in range(NODES):
        client.ensure(_node(number), DATA)
    for number in range(LISTERS):
        client.ensure(_lister(number))
        for child in range(CHILDREN):
            client.ensure(f"{_lister(number)}/child-{child:04d}", DATA)
    for number in range(max(connections for connections, _ in SHAPES)):
        client.ensure(_parent(number))


def _job(op: str, number: int) -> Job:
    """The requests of connection `number`: round and round over shared nodes, from a start of its own."""
    match op:
        case "getData":
            frame, nodes, body = (
                wire.read(wire.GET_DATA, _node(COUNTER)),
                NODES,
                4 + len(DATA) + wire.STAT_BYTES,
            )
        case "exists":
            frame, nodes, body = wire.read(wire.EXISTS, _node(COUNTER)), NODES, wire.STAT_BYTES
        case "getChildren":
            names = CHILDREN * (4 + len("child-0000"))
            frame, nodes, body = wire.read(wire.GET_CHILDREN, _lister(COUNTER)), LISTERS, 4 + names
        case "setData":
            frame, nodes, body = wire.set_data(_node(COUNTER), DATA), NODES, wire.STAT_BYTES
        case "create":
            path = f"{_parent(number)}/n{COUNTER}"
            frame, nodes, body = wire.create(path, DATA.replace(b"0", b"x")), 0, 4 + len(path)
        case _:
            raise ValueError(op)
    return counted(frame, modulus=nodes, start=number * 19, reply_bytes=wire.HEADER_BYTES + body)


def _drive(
    server: Server, settings: Settings, op: str, shape: tuple[int, int], warmup_s: float, measure_s: float
) -> dict[str, Any]:
    """One run of one operation, with the server's state checked afterwards."""
    connections, depth = shape
    with server.client() as client:
        versions = _versions(client) if op == "setData" else 0
    jobs = [_job(op, number) for number in range(connections)]
    result = settings.generator.run([server.port], jobs, depth, warmup_s, measure_s, server.pids())
    totals = result["totals"]
    with server.client() as client:
        if op == "setData" and _versions(client) != versions + sum(totals):
            raise BenchError("setData: the versions do not match the requests answered")
        if op == "create" and any(client.child_count(_parent(i)) != total for i, total in enumerate(totals)):
            raise BenchError("create: the children do not match the requests answered")
    if op == "create":
        _remove(server, settings, totals)
    return result


def _versions(client: wire.Client) -> int:
    return sum(client.version(_node(number)) for number in range(NODES))


def _remove(server: Server, settings: Settings, totals: list[int]) -> None:
    """Takes the created nodes away again, so that every row meets the same tree."""
    jobs = [
        counted(wire.delete(f"{_parent(number)}/n{COUNTER}"), limit=total)
        for number, total in enumerate(totals)
    ]
    settings.generator.run([server.port], jobs, 100)


def _run_throughput(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    with running(kind, settings.directory) as server:
        with server.client() as client:
            _populate(client)
        for op in OPS:
            _drive(server, settings, op, (10, 100), settings.warmup_s / 3, settings.warmup_s / 3)
        for op in OPS:
            for shape in SHAPES:
                row = _throughput_row(op, *shape)
                if row not in wanted:
                    continue
                yield row, _calmest(server, settings, op, shape)


def _calmest(server: Server, settings: Settings, op: str, shape: tuple[int, int]) -> Sample:
    """Measures; again, if wanted, while other processes took their share of the machine."""
    samples: list[Sample] = []
    for _ in range(1 + settings.retries):
        server.settle()
        result = _drive(server, settings, op, shape, settings.warmup_s, settings.measure_s)
        samples.append(throughput_sample(result))
        if samples[-1]["other_cpu"] <= CALM_SHARE:
            break
    return min(samples, key=lambda sample: float(sample["other_cpu"]))


def throughput_sample(result: dict[str, Any]) -> Sample:
    seconds, replies = result["seconds"], max(1, result["replies"])
    return {
        "value": result["replies"] / seconds,
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "max_us": result["max_us"],
        "generator_cpu": result["generator_cpu_s"] / seconds,
        "server_cpu": result["server_cpu_s"] / seconds,
        "server_us_per_op": result["server_cpu_s"] / replies * 1e6,
        "other_cpu": result["other_cpu_s"] / seconds,
    }


THROUGHPUT = Group(tuple(_throughput_row(op, *shape) for op in OPS for shape in SHAPES), _run_throughput)


# ---- start, memory, load -----------------------------------------------------------------------------------

START = Row("start-up", "start to first answered request, empty directory", "s")
MEMORY_IDLE = Row("memory idle", "resident memory, idle after start", "MiB")
MEMORY_FULL = Row("memory 100k", "resident memory with 100,000 znodes of 100 bytes", "MiB")
MEMORY_NODES = 100_000
MEMORY_PARENTS = 10


def _run_start(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    times = []
    for _ in range(settings.starts):
        with running(kind, settings.directory) as server:
            times.append(server.ready_s)
    yield START, {"value": statistics.median(times), "best": min(times), "all": times}


def _run_memory(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    with running(kind, settings.directory) as server:
        server.settle()
        if MEMORY_IDLE in wanted:
            yield MEMORY_IDLE, {"value": server.rss_mb(), "processes": len(server.pids())}
        if MEMORY_FULL not in wanted:
            return
        each = MEMORY_NODES // MEMORY_PARENTS
        with server.client() as client:
            client.ensure("/bench")
            client.ensure("/bench/new")
            for number in range(MEMORY_PARENTS):
                client.ensure(_parent(number))
        jobs = [attrs.evolve(_job("create", number), limit=each) for number in range(MEMORY_PARENTS)]
        result = settings.generator.run([server.port], jobs, 100)
        server.settle()
        with server.client() as client:
            if sum(client.child_count(_parent(number)) for number in range(MEMORY_PARENTS)) != MEMORY_NODES:
                raise BenchError("not all nodes were created")
        yield MEMORY_FULL, {"value": server.rss_mb(), "create_ops_s": result["replies"] / result["seconds"]}


LOAD = Row("load 1M", "start to first answered request, snapshot of 1,000,000 znodes of 100 bytes", "s")
LOAD_OWN = Row("load 1M own figure", "the same load as the server's own log states it", "s")
LOAD_MEMORY = Row("memory 1M", "resident memory after that load", "MiB")
LOAD_PARENTS = 1_000


def _run_load(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    path = snapshot.write_snapshot(settings.directory, settings.snapshot_nodes, LOAD_PARENTS)
    times, own, memory = [], [], []
    for _ in range(settings.loads):
        with running(kind, settings.directory, path) as server:
            times.append(server.ready_s)
            server.settle()
            memory.append(server.rss_mb())
            stated_ms = server.own_load_ms()
            if stated_ms is not None:
                own.append(stated_ms / 1000)
            _check_loaded(server, settings.snapshot_nodes // LOAD_PARENTS)
    if LOAD in wanted:
        yield LOAD, {"value": statistics.median(times), "best": min(times), "all": times}
    if LOAD_OWN in wanted and own:
        yield LOAD_OWN, {"value": statistics.median(own), "best": min(own), "all": own}
    if LOAD_MEMORY in wanted:
        yield LOAD_MEMORY, {"value": statistics.median(memory), "all": memory}


SNAPSHOT = Row("snapshot 1M", "writing a snapshot of these while one client reads: the file's time", "s")
PAUSE = Row("snapshot 1M pause", "the longest that this client waits for an answer", "ms")
SNAP_COUNT = 1_000
"""A snapshot is due after half as many transactions at least."""
AFTER_S = 0.5
SNAPSHOT_LIMIT_S = 120.0
_END = b"\0\0\0\1/"


def _run_snapshot(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    path = snapshot.write_snapshot(settings.directory, settings.snapshot_nodes, LOAD_PARENTS)
    rounds = []
    for _ in range(settings.loads):
        with running(kind, settings.directory, path, f"snapCount={SNAP_COUNT}\n") as server:
            server.settle()
            rounds.append(_snapshot_meanwhile(server, settings))
    for row, key in ((SNAPSHOT, "seconds"), (PAUSE, "longest_ms")):
        if row in wanted:
            values = [found[key] for found in rounds]
            extra = {"value": statistics.median(values), "best": min(values), "all": values}
            yield row, extra | {"before_ms": [found["before_ms"] for found in rounds]}


def _snapshot_meanwhile(server: Server, settings: Settings) -> dict[str, float]:
    """Brings a snapshot about by writing gently, and reads all the time."""
    known = {path.name for path in server.snapshot_files()}
    request = wire.read(wire.GET_DATA, snapshot.node_path(0, 0))
    writes = Job(wire.set_data(snapshot.node_path(1, 1), DATA), limit=SNAP_COUNT)

    def longest_wait(until: float) -> float:
        longest = 0.0
        while (began := time.monotonic()) < until:
            client.call(request)
            longest = max(longest, time.monotonic() - began)
        return longest * 1000

    with server.client() as client, ThreadPoolExecutor(1) as beside:
        longest_wait(time.monotonic() + AFTER_S)
        before = longest_wait(time.monotonic() + AFTER_S)
        writing = beside.submit(settings.generator.run, [server.port], [writes], 1)
        deadline = time.monotonic() + SNAPSHOT_LIMIT_S
        longest, began, ended = 0.0, 0.0, 0.0
        while not ended:
            longest = max(longest, longest_wait(time.monotonic() + 0.002))
            new = [path for path in server.snapshot_files() if path.name not in known]
            began = began or (time.monotonic() if new else 0.0)
            if any(path.name.startswith("snapshot.") and _is_whole(path) for path in new):
                ended = time.monotonic()
            elif time.monotonic() > deadline:
                raise BenchError("no snapshot was taken")
        longest = max(longest, longest_wait(time.monotonic() + AFTER_S))
        writing.result()
    return {"seconds": ended - began, "longest_ms": longest, "before_ms": before}


def _is_whole(path: Path) -> bool:
    """Whether the file ends with a seal; Java writes it under its last name from the start."""
    with path.open("rb") as file:
        if file.seek(0, 2) < len(_END):
            return False
        file.seek(-len(_END), 2)
        return file.read() == _END


def _check_loaded(server: Server, per_parent: int) -> None:
    with server.client() as client:
        if client.child_count("/load") != LOAD_PARENTS:
            raise BenchError("the snapshot was not loaded")
        for parent in (0, LOAD_PARENTS // 2, LOAD_PARENTS - 1):
            zxid = 2 + parent * (per_parent + 1) + per_parent
            if client.child_count(f"/load/p{parent:04d}") != per_parent:
                raise BenchError("a parent lacks children")
            if client.data(snapshot.node_path(parent, per_parent - 1)) != snapshot.node_data(zxid):
                raise BenchError("a node has other data")


# ---- watches -----------------------------------------------------------------------------------------------

WATCHES = Row("watches 10k", "10,000 connections watch one node: setData sent to last event received", "ms")
SPARE_FILES = 300


def _run_watches(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    limit = raise_file_limit()
    connections = min(settings.watches, limit - SPARE_FILES)
    with running(kind, settings.directory) as server:
        with server.client() as client:
            client.ensure("/watched", DATA)
        result = settings.generator.watch(
            server.port,
            connections,
            settings.firings,
            wire.read(wire.GET_DATA, "/watched", watch=True),
            wire.set_data("/watched", DATA),
            server.pids(),
        )
        with server.client() as client:
            if client.version("/watched") != settings.firings:
                raise BenchError("the watched node has the wrong version")
        memory = server.rss_mb()
    rounds = result["rounds"]
    times = [fired["seconds"] * 1000 for fired in rounds]
    total = sum(fired["seconds"] for fired in rounds)
    yield (
        WATCHES,
        {
            "value": statistics.median(times),
            "best": min(times),
            "first": times[0],
            "all": times,
            "connections": connections,
            "open_s": result["open_s"],
            "memory_mb": memory,
            "generator_cpu": sum(fired["generator_cpu_s"] for fired in rounds) / total,
            "server_cpu": sum(fired["server_cpu_s"] for fired in rounds) / total,
            "server_us_per_op": sum(fired["server_cpu_s"] for fired in rounds)
            / (connections * len(rounds))
            * 1e6,
        },
    )


def raise_file_limit() -> int:
    """Raises the soft limit of open files to the hard one, for us and what we start; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


GROUPS = (
    THROUGHPUT,
    Group((START,), _run_start),
    Group((MEMORY_IDLE, MEMORY_FULL), _run_memory),
    Group((LOAD, LOAD_OWN, LOAD_MEMORY), _run_load),
    Group((SNAPSHOT, PAUSE), _run_snapshot),
    Group((WATCHES,), _run_watches),
)


def ceiling(settings: Settings, port: int) -> Results:
    """The generator against its own echo server: what it could measure at most."""
    process = settings.generator.start_echo(port)
    try:
        for connections, depth in SHAPES:
            jobs = [Job(wire.read(wire.GET_DATA, _node(number))) for number in range(connections)]
            for attempt in range(50):
                try:
                    result = settings.generator.run(
                        [port], jobs, depth, 0.5, settings.measure_s, [process.pid]
                    )
                    break
                except BenchError as error:
                    if attempt == 49 or "connect" not in str(error):
                        raise
            yield _throughput_row("echo", connections, depth), throughput_sample(result)
    finally:
        process.kill()
        process.wait()
