"""Three servers of one kind on this machine, measured together: rows of ``python -m bench --ensemble``."""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from bench import snapshot, wire
from bench.load import COUNTER, Job, counted
from bench.rows import CALM_SHARE, DATA, NODES, Group, Results, Row, Sample, Settings, throughput_sample
from bench.servers import BenchError, Kind, Process, free_ports, settle

MEMBERS = 3
CONNECTIONS = 10  # spread over the three
WRITE_LIMIT_S = 60.0
KILOBYTE = b"0123456789abcdef" * 64
PAUSE_S = 0.01


class Ensemble:
    """Three running members on fresh directories. ``start_s``: start of the first to the first write."""

    def __init__(self, kind: Kind, directory: Path, snapshot_file: Path | None = None) -> None:
        ports = free_ports(3 * MEMBERS)
        self.members = {
            number: Process(kind, directory / f"{kind.name}-{number}", ports[number - 1])
            for number in range(1, MEMBERS + 1)
        }
        quorum, election = ports[MEMBERS : 2 * MEMBERS], ports[2 * MEMBERS :]
        self._more = "initLimit=10\nsyncLimit=5\n" + "".join(
            f"server.{number}=127.0.0.1:{quorum[number - 1]}:{election[number - 1]}\n"
            for number in self.members
        )
        for number, member in self.members.items():
            (member.data / "myid").write_text(f"{number}\n")
            if snapshot_file is not None:
                member.put_snapshot(snapshot_file)
        self.ports = [member.port for member in self.members.values()]
        began = time.monotonic()
        try:
            for number in self.members:
                self.launch(number)
            Writer(self.ports).write()
            self.start_s = time.monotonic() - began
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def launch(self, number: int) -> None:
        self.members[number].launch(self._more)

    def wait_ready(self) -> None:
        """Returns when all three serve."""
        for member in self.members.values():
            member.wait_ready()

    def leader(self) -> int:
        """The number of the member that leads."""
        for number, member in self.members.items():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", member.port), 5) as asked,
            ):
                asked.sendall(b"srvr")
                answer = b""
                while piece := asked.recv(4096):
                    answer += piece
                if b"Mode: leader" in answer:
                    return number
        raise BenchError("no leader")

    def pids(self) -> list[int]:
        return [pid for member in self.members.values() for pid in member.pids()]

    def rss_mb(self) -> list[float]:
        return [member.rss_mb() for member in self.members.values()]

    def settle(self) -> None:
        settle(lambda: sum(member.cpu_s() for member in self.members.values()), idle_share=0.2)

    def client(self) -> wire.Client:
        """At the leader: what it shows is what was committed."""
        return wire.Client(self.members[self.leader()].port)

    def stop(self) -> None:
        for member in self.members.values():
            if hasattr(member, "process"):
                member.stop()


@contextlib.contextmanager
def running(kind: Kind, settings: Settings, snapshot_file: Path | None = None) -> Iterator[Ensemble]:
    ensemble = Ensemble(kind, settings.directory, snapshot_file)
    try:
        yield ensemble
    finally:
        ensemble.stop()


class Writer:
    """One session that goes from server to server until its write is answered, as a client does.

    A real client waits up to a second between two rounds through its list of servers; this one `PAUSE_S`,
    since that wait and not the servers would be measured.
    """

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._next = 0
        self._session, self._password = 0, bytes(16)
        self._socket: socket.socket | None = None

    def write(self, path: str = "/zookeeper/quota", limit_s: float = WRITE_LIMIT_S) -> None:
        """Returns when a setData has been answered, whatever the number of attempts and servers."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                if self._socket is None:
                    self._connect()
                assert self._socket is not None
                self._socket.sendall(wire.set_data(path, DATA))
                _, _, code = struct.unpack_from(">iqi", self._receive())
            except OSError:
                self.close()
                self._next += 1
                if self._next % len(self._ports) == 0:
                    time.sleep(PAUSE_S)
                continue
            if code:
                raise BenchError(f"a write was answered with code {code}")
            return
        raise BenchError(f"no write was answered within {limit_s:.0f} s")

    def _connect(self) -> None:
        address = ("127.0.0.1", self._ports[self._next % len(self._ports)])
        self._socket = made = socket.create_connection(address, 2.0)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.sendall(wire.connect_request(self._session, self._password))
        _, timeout_ms, session = struct.unpack_from(">iiq", answer := self._receive())
        if timeout_ms <= 0:
            raise BenchError("the session was lost")
        self._session, self._password = session, answer[20:36]

    def _receive(self) -> bytes:
        assert self._socket is not None
        return wire.receive(self._socket)

    def close(self) -> None:
        """Drops the connection, not the session."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


# ---- throughput and memory ---------------------------------------------------------------------------------


@attrs.frozen
class _Load:
    """One row of throughput: 10 connections with *depth* requests outstanding on each."""

    op: str
    depth: int
    size: int = 100

    @property
    def row(self) -> Row:
        size = "" if self.size == 100 else " 1 KB"
        what = {"mixed": "90 % getData, 10 % setData"}.get(self.op, self.op + size)
        how = f"{self.depth} outstanding each" if self.depth > 1 else "one at a time"
        name = f"ensemble {self.op}{size.replace(' ', '').replace('B', '')} {CONNECTIONS}x{self.depth}"
        return Row(name, f"{what}, {CONNECTIONS} connections, {how}", "ops/s", True)


# Last what makes the nodes larger.
LOADS = (
    _Load("getData", 1),
    _Load("getData", 100),
    _Load("mixed", 1),
    _Load("mixed", 100),
    _Load("setData", 1),
    _Load("setData", 100),
    _Load("create", 1),
    _Load("create", 100),
    _Load("setData", 1, 1024),
    _Load("setData", 100, 1024),
)
MEMORY_IDLE = Row("ensemble memory idle", "resident memory of each server, idle after start", "MiB")
MEMORY_AFTER = Row("ensemble memory after", "resident memory of each server after the rows above", "MiB")


def _node(counter: int | str) -> str:
    return f"/bench/n{counter:0>10}"


def _parent(number: int) -> str:
    return f"/bench/new{number:02d}"


def _job(load: _Load, number: int) -> Job:
    """The requests of connection `number`: round and round over shared nodes, or creates below its own."""
    start = number * 19
    if load.op == "create":
        path = f"{_parent(number)}/n{COUNTER}"
        return counted(
            wire.create(path, DATA.replace(b"0", b"x")), reply_bytes=wire.HEADER_BYTES + 4 + len(path)
        )
    data = DATA if load.size == 100 else KILOBYTE
    set_data = counted(
        wire.set_data(_node(COUNTER), data.replace(b"0", b"x")),
        modulus=NODES,
        start=start,
        reply_bytes=wire.HEADER_BYTES + wire.STAT_BYTES,
    )
    if load.op == "setData":
        return set_data
    reply_bytes = wire.HEADER_BYTES + 4 + load.size + wire.STAT_BYTES
    get_data = counted(
        wire.read(wire.GET_DATA, _node(COUNTER)), modulus=NODES, start=start, reply_bytes=reply_bytes
    )
    return get_data if load.op == "getData" else attrs.evolve(get_data, every=10, other=set_data)


def _drive(ensemble: Ensemble, settings: Settings, load: _Load, warmup_s: float, measure_s: float) -> Sample:
    """One run, with what the leader has afterwards compared with the answers."""
    with ensemble.client() as client:
        versions = _versions(client)
    jobs = [_job(load, number) for number in range(CONNECTIONS)]
    result = settings.generator.run(ensemble.ports, jobs, load.depth, warmup_s, measure_s, ensemble.pids())
    totals = result["totals"]
    with ensemble.client() as client:
        written = sum(total // 10 if load.op == "mixed" else total for total in totals)
        if load.op in ("setData", "mixed") and _versions(client) != versions + written:
            raise BenchError(f"{load.op}: the versions do not match the requests answered")
        if load.op == "create" and any(client.child_count(_parent(i)) != n for i, n in enumerate(totals)):
            raise BenchError("create: the children do not match the requests answered")
    if load.op == "create":
        removals = [
            counted(wire.delete(f"{_parent(number)}/n{COUNTER}"), limit=total)
            for number, total in enumerate(totals)
        ]
        settings.generator.run(ensemble.ports, removals, 100)
    return throughput_sample(result)


def _versions(client: wire.Client) -> int:
    return sum(client.version(_node(number)) for number in range(NODES))


def _calmest(ensemble: Ensemble, settings: Settings, load: _Load) -> Sample:
    samples: list[Sample] = []
    for _ in range(1 + settings.retries):
        ensemble.settle()
        samples.append(_drive(ensemble, settings, load, settings.warmup_s, settings.measure_s))
        if samples[-1]["other_cpu"] <= CALM_SHARE:
            break
    return min(samples, key=lambda sample: float(sample["other_cpu"]))


def _run_throughput(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    with running(kind, settings) as ensemble:
        ensemble.settle()
        if MEMORY_IDLE in wanted:
            yield MEMORY_IDLE, _memory(ensemble)
        with ensemble.client() as client:
            client.ensure("/bench")
            for number in range(NODES):
                client.ensure(_node(number), DATA)
            for number in range(CONNECTIONS):
                client.ensure(_parent(number))
        for load in (_Load("mixed", 100), _Load("setData", 100), _Load("create", 100)):
            _drive(ensemble, settings, load, settings.warmup_s, settings.warmup_s)
        for load in LOADS:
            if load.row in wanted:
                yield load.row, _calmest(ensemble, settings, load)
        if MEMORY_AFTER in wanted:
            ensemble.settle()
            yield MEMORY_AFTER, _memory(ensemble)


def _memory(ensemble: Ensemble) -> Sample:
    each = ensemble.rss_mb()
    return {"value": sum(each) / len(each), "each": each, "sum": sum(each)}


# ---- start, failover, joining ------------------------------------------------------------------------------

START = Row("ensemble start", "start of three processes to the first answered write", "s")
FAILOVER = Row("ensemble failover", "the leader's kill -9 to the next answered write, median", "s")
FAILOVER_WORST = Row("ensemble failover worst", "the same, longest", "s")
JOIN = Row("ensemble join 100k", "an empty server joins: its start to its first answer, 100,000 znodes", "s")
JOIN_MILLION = Row("ensemble join 1M", "the same with 1,000,000 znodes", "s")
JOIN_PARENTS = 1_000


def _run_start(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    times = []
    for _ in range(settings.starts):
        with running(kind, settings) as ensemble:
            times.append(ensemble.start_s)
    yield START, {"value": statistics.median(times), "best": min(times), "all": times}


def _run_failover(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    times = []
    with running(kind, settings) as ensemble:
        for _ in range(settings.kills):
            ensemble.settle()
            leader = ensemble.leader()
            writer = Writer(ensemble.ports)
            writer.write()
            began = time.monotonic()
            ensemble.members[leader].kill()
            writer.write()
            times.append(time.monotonic() - began)
            writer.close()
            ensemble.launch(leader)
            ensemble.wait_ready()
    for row, value in ((FAILOVER, statistics.median(times)), (FAILOVER_WORST, max(times))):
        if row in wanted:
            yield row, {"value": value, "best": min(times), "all": times}


def _run_join(kind: Kind, settings: Settings, wanted: list[Row]) -> Results:
    for row, nodes in ((JOIN, 100_000), (JOIN_MILLION, 1_000_000)):
        if row in wanted:
            path = snapshot.write_snapshot(settings.directory, nodes, JOIN_PARENTS)
            with running(kind, settings, path) as ensemble:
                times = [_join(ensemble, nodes // JOIN_PARENTS) for _ in range(settings.loads)]
            yield row, {"value": statistics.median(times), "best": min(times), "all": times}


def _join(ensemble: Ensemble, per_parent: int) -> float:
    ensemble.settle()
    leader = ensemble.leader()
    number = next(number for number in ensemble.members if number != leader)
    member = ensemble.members[number]
    member.end()
    shutil.rmtree(member.data / "version-2")
    began = time.monotonic()
    ensemble.launch(number)
    member.wait_ready()
    took_s = time.monotonic() - began
    with member.client() as client:
        if client.child_count(f"/load/p{JOIN_PARENTS - 1:04d}") != per_parent:
            raise BenchError("the server that joined lacks nodes")
    return took_s


GROUPS = (
    Group((MEMORY_IDLE, *(load.row for load in LOADS), MEMORY_AFTER), _run_throughput),
    Group((START,), _run_start),
    Group((FAILOVER, FAILOVER_WORST), _run_failover),
    Group((JOIN,), _run_join),
    Group((JOIN_MILLION,), _run_join),
)
OPTIONAL = (JOIN_MILLION,)
"""Only measured when they are asked for."""
