"""Four-letter words: the exact text of each, the whitelist, and how a word may arrive."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from zkpy import COMPATIBLE_WITH, __version__
from zkpy.config import embedded_config
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.server import facts, mntr
from zkpy.server.cnxn import CLOSED, CLOSING, ClientCnxn
from zkpy.server.service import WORDS, Service
from zkpy.tree.datatree import DataTree

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "mntr-3.9.5.txt"
VERSION = (
    rf"{re.escape(COMPATIBLE_WITH)}-zkpy{re.escape(__version__)}-[0-9a-f]{{40}}, "
    r"built on \d{4}-\d\d-\d\d \d\d:\d\d UTC"
)
WALL_MS = 1_700_000_000_000  # Tue Nov 14 22:13:20 UTC 2023
ENVIRONMENT = """
    host.name java.version java.vendor java.home java.class.path java.library.path java.io.tmpdir
    java.compiler os.name os.arch os.version user.name user.home user.dir
"""
OPEN_ACL = pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")


class Wire:
    """A channel that only remembers."""

    def __init__(self) -> None:
        self.aborted = False

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


class World:
    """A memory-only server with a clock of its own."""

    def __init__(self, defines: Mapping[str, str] | None = None, **settings: Any) -> None:
        self.seconds = 100.0
        self.ports = iter(range(40001, 50000))
        settings.setdefault("four_letter_words", ("*",))
        self.server = ZooKeeperServer(
            embedded_config(defines=defines or {}, **settings),
            DataTree(),
            log=None,
            wall_ms=lambda: WALL_MS + int((self.seconds - 100) * 1000),
            clock=lambda: self.seconds,
            random=random.Random(0),
        )
        self.service = Service(self.server)

    def connect(self, address: str = "127.0.0.1") -> ClientCnxn:
        cnxn = ClientCnxn(self.service, Wire(), address, next(self.ports))
        self.service.register(cnxn)
        return cnxn

    def send(self, cnxn: ClientCnxn, data: bytes) -> bytes:
        """Everything that *cnxn* answers to *data*."""
        self.server.now = self.server.clock()  # as the transport does once a round
        cnxn.receive(data)
        self.server.flush()
        answer = b"".join(cnxn.out)
        cnxn.out.clear()
        cnxn.out_size = 0
        return answer

    def session(self, timeout_ms: int = 8000) -> ClientCnxn:
        cnxn = self.connect()
        frame = pack(">iqiqi16sb", 0, 0, timeout_ms, 0, 16, b"", 0)
        assert self.send(cnxn, pack(">i", len(frame)) + frame)
        return cnxn

    def request(self, cnxn: ClientCnxn, xid: int, op: int, body: bytes = b"") -> bytes:
        return self.send(cnxn, pack(">iii", 8 + len(body), xid, op) + body)

    def create(self, cnxn: ClientCnxn, xid: int, path: bytes, flags: int = 0) -> None:
        body = pack(">i", len(path)) + path + pack(">i1s", 1, b"x") + OPEN_ACL + pack(">i", flags)
        assert self.request(cnxn, xid, 1, body)

    def watch(self, cnxn: ClientCnxn, xid: int, path: bytes) -> None:
        """exists with a watch."""
        assert self.request(cnxn, xid, 3, pack(">i", len(path)) + path + b"\1")

    def ask(self, word: bytes) -> str:
        """Send a word on a connection of its own, which is gone afterwards."""
        cnxn = self.connect()
        answer = self.send(cnxn, word)
        assert cnxn.state in (CLOSING, CLOSED)
        cnxn.closed()
        return answer.decode()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def match_lines(text: str, *patterns: str) -> None:
    """Each line against its pattern; the last pattern is for what follows the last newline."""
    lines = text.split("\n")
    assert len(lines) == len(patterns), text
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


SUMMARY = (
    r"Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+",
    r"Received: \d+",
    r"Sent: \d+",
    r"Connections: \d+",
    r"Outstanding: 0",
    r"Zxid: 0x[0-9a-f]+",
    r"Mode: standalone",
    r"Node count: \d+",
)


# -- arrival and whitelist ---------------------------------------------------------------------------------


def test_every_known_word_is_answered(world: World) -> None:
    for word in WORDS:
        assert world.ask(word + bytes(8)) or word == b"hash"


@pytest.mark.parametrize("pieces", [(b"ruok",), (b"ru", b"ok"), (b"r", b"u", b"o", b"k"), (b"ruok\n",)])
def test_a_word_may_arrive_in_pieces_and_with_more_behind_it(world: World, pieces: tuple[bytes, ...]) -> None:
    cnxn = world.connect()
    assert b"".join(world.send(cnxn, piece) for piece in pieces) == b"imok"
    assert cnxn.state == CLOSING


@pytest.mark.parametrize("word", [b"RUOK", b"abcd", b"\xff\xf4\xff\xfd"])
def test_what_is_no_word_closes_without_an_answer(world: World, word: bytes) -> None:
    assert world.ask(word) == ""


def test_srvr_alone_is_allowed_by_default() -> None:
    world = World(four_letter_words=())
    assert world.ask(b"srvr").startswith("Zookeeper version: ")
    for word in WORDS - {b"srvr"}:
        name = word.decode()
        assert world.ask(word) == f"{name} is not executed because it is not in the whitelist.\n"


def test_listed_words_and_srvr_are_allowed() -> None:
    world = World(four_letter_words=("ruok", "isro"))
    assert world.ask(b"ruok") == "imok"
    assert world.ask(b"isro") == "rw"
    assert world.ask(b"srvr").startswith("Zookeeper version: ")
    assert world.ask(b"stat") == "stat is not executed because it is not in the whitelist.\n"


def test_isro_is_allowed_in_read_only_mode() -> None:
    assert World({"readonlymode.enabled": "true"}, four_letter_words=()).ask(b"isro") == "rw"


# -- the state of the server -------------------------------------------------------------------------------


def test_srvr(world: World) -> None:
    match_lines(world.ask(b"srvr"), f"Zookeeper version: {VERSION}", *SUMMARY, "")


def test_srvr_counts(world: World) -> None:
    cnxn = world.session()
    world.create(cnxn, 1, b"/a")
    lines = world.ask(b"srvr").splitlines()[1:]
    assert lines == [
        "Latency min/avg/max: 0/0.0/0",
        "Received: 3",
        "Sent: 2",
        "Connections: 2",
        "Outstanding: 0",
        "Zxid: 0x2",
        "Mode: standalone",
        "Node count: 6",
    ]


@pytest.mark.parametrize(
    "expression",
    [
        r"^Zookeeper version: (\d+(?:\.\d+)+)(?:-([0-9a-f]+))?",
        r"^Zookeeper version: ([A-Za-z0-9\.\-]+), built on ",
        r"^Zookeeper version: ([^.]+\.[^.]+\.[^-]+)-",
        r"^Zookeeper version: ([0-9.]+)-(.*), built on (.*)",
    ],
)
def test_clients_find_the_release_in_the_version(world: World, expression: str) -> None:
    found = re.match(expression, world.ask(b"srvr"))
    assert found is not None
    assert found[1].startswith(COMPATIBLE_WITH)


def test_the_build_date_of_an_archive_is_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> os.stat_result:
        raise NotADirectoryError(path)

    monkeypatch.setattr(os, "stat", refuse)
    assert facts.version_text().endswith(", built on 1970-01-01 00:00 UTC")


def test_stat_lists_connections_between_version_and_summary(world: World) -> None:
    world.session()
    match_lines(
        world.ask(b"stat"),
        f"Zookeeper version: {VERSION}",
        "Clients:",
        r" /127\.0\.0\.1:40001\[1\]\(queued=0,recved=1,sent=1\)",
        r" /127\.0\.0\.1:40002\[0\]\(queued=0,recved=1,sent=0\)",
        "",
        *SUMMARY,
        "",
    )


def test_srst_starts_all_counters_again(world: World) -> None:
    world.session()
    world.service.rejected = 7
    world.service.facts.observe("fsynctime", 5)
    assert "zk_connection_rejected\t7\n" in world.ask(b"mntr")
    assert world.ask(b"srst") == "Server stats reset.\n"
    text = world.ask(b"mntr")
    for line in (
        "zk_connection_rejected\t0",
        "zk_connection_request_count\t0",
        "zk_cnt_fsynctime\t0",
        "zk_packets_received\t1",
    ):
        assert f"\n{line}\n" in text
    world.service.rejected += 1
    assert "zk_connection_rejected\t1\n" in world.ask(b"mntr")


def test_the_trace_mask(world: World) -> None:
    assert world.ask(b"gtmk") == "306"
    assert world.ask(b"stmk" + pack(">q", -5) + b"more") == "-5"
    assert world.ask(b"gtmk") == "-5"
    assert world.ask(b"stmk") == ""
    assert world.ask(b"stmk\0\0\0") == ""


def test_conf_of_a_memory_only_server(world: World) -> None:
    assert world.ask(b"conf") == (
        "clientPort=-1\n"
        "secureClientPort=-1\n"
        "dataDir=\n"
        "dataDirSize=0\n"
        "dataLogDir=\n"
        "dataLogSize=0\n"
        "tickTime=2000\n"
        "maxClientCnxns=60\n"
        "minSessionTimeout=4000\n"
        "maxSessionTimeout=40000\n"
        "clientPortListenBacklog=-1\n"
        "serverId=0\n"
    )


def test_conf_and_dirs_show_the_directories(world: World, tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = tmp_path / "log"
    (data / "deeper").mkdir(parents=True)
    (data / "snapshot.0").write_bytes(bytes(300))
    (data / "deeper" / "other").write_bytes(bytes(30))
    (data / "dangling").symlink_to(tmp_path / "nowhere")
    log.mkdir()
    around = world.service.facts
    around.client_port = 2181
    around.data_dir = str(data)
    around.log_dir = str(log)
    assert world.ask(b"dirs") == "datadir_size: 330\nlogdir_size: 0\n"
    conf = world.ask(b"conf").splitlines()
    assert conf[0] == "clientPort=2181"
    assert conf[2:6] == [f"dataDir={data}", "dataDirSize=330", f"dataLogDir={log}", "dataLogSize=0"]
    around.log_dir = str(data)
    assert world.ask(b"dirs") == "datadir_size: 330\nlogdir_size: 330\n"
    around.log_dir = str(tmp_path / "gone")
    assert world.ask(b"dirs") == "datadir_size: 330\nlogdir_size: 0\n"


def test_envi(world: World) -> None:
    match_lines(
        world.ask(b"envi"),
        "Environment:",
        f"zookeeper.version={VERSION}",
        *(rf"{re.escape(key)}=.+" for key in ENVIRONMENT.split()),
        r"os\.memory\.free=\d+MB",
        r"os\.memory\.max=\d+MB",
        r"os\.memory\.total=\d+MB",
        "",
    )


def test_envi_survives_what_a_system_may_not_know(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.sysconf

    def sysconf(name: str) -> int:
        if name == "SC_AVPHYS_PAGES":
            raise ValueError(name)
        return real(name)

    monkeypatch.setattr(os, "sysconf", sysconf)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    text = world.ask(b"envi")
    assert "\nuser.name=?\n" in text
    assert "\nos.memory.free=0MB\n" in text


def test_hash_shows_digests_as_javas_signed_numbers(world: World) -> None:
    assert world.ask(b"hash") == ""
    world.server.digest_log.update({0x80: 17600565121, 0x100: (1 << 64) - 1, 0x180: -7})
    assert world.ask(b"hash") == "80: 17600565121\n100: -1\n180: -7\n"


# -- connections -------------------------------------------------------------------------------------------


def test_cons(world: World) -> None:
    cnxn = world.session()
    world.seconds += 1.5
    world.create(cnxn, 10, b"/a")
    sid = f"0x{cnxn.session_id:x}"
    assert world.ask(b"cons") == (
        f" /127.0.0.1:40001[1](queued=0,recved=2,sent=2,sid={sid},lop=CREA,est={WALL_MS},to=8000,lcxid=0xa,"
        "lzxid=0x2,lresp=101500,llat=0,minlat=0,avglat=0,maxlat=0)\n"
        " /127.0.0.1:40002[0](queued=0,recved=1,sent=0)\n"
        "\n"
    )


def test_cons_after_the_handshake_and_after_a_ping(world: World) -> None:
    cnxn = world.session()
    assert ",lop=SESS," in world.ask(b"cons")
    assert ",lcxid=0x0,lzxid=0x1," in world.ask(b"cons")
    world.request(cnxn, 5, 3, pack(">i1sb", 1, b"/", 0))
    world.request(cnxn, -2, 11)
    text = world.ask(b"cons")
    assert ",lop=PING," in text
    assert ",lcxid=0x5," in text, "a ping has no cxid"


def test_events_count_as_sent(world: World) -> None:
    watcher = world.session()
    world.watch(watcher, 1, b"/a")
    world.create(watcher, 2, b"/a")
    assert "(queued=0,recved=3,sent=4," in world.ask(b"cons")
    assert "\nSent: 5\n" in world.ask(b"srvr")  # with the answer to cons


def test_crst(world: World) -> None:
    world.session()
    assert world.ask(b"crst") == "Connection stats reset.\n"
    line = world.ask(b"cons").splitlines()[0]
    assert re.fullmatch(
        r" /127\.0\.0\.1:40001\[1\]\(queued=0,recved=0,sent=0,sid=0x[0-9a-f]+,lop=NA,est=\d+,to=8000,"
        r"lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0\)",
        line,
    )


def test_ipv6_addresses_stand_in_brackets(world: World) -> None:
    cnxn = world.connect("0:0:0:0:0:0:0:1")
    assert world.send(cnxn, b"cons") == b" /[0:0:0:0:0:0:0:1]:40001[0](queued=0,recved=1,sent=0)\n\n"


def test_interest_shows_paused_reading_and_unsent_output(world: World) -> None:
    cnxn = world.session()
    cnxn.out_size = 10
    assert world.ask(b"stat").splitlines()[2].startswith(" /127.0.0.1:40001[5](")
    world.service.paused[cnxn] = None
    assert world.ask(b"stat").splitlines()[2].startswith(" /127.0.0.1:40001[4](")


# -- sessions and watches ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("utc")
def test_dump_of_an_empty_server(world: World) -> None:
    assert world.ask(b"dump") == (
        "SessionTracker dump:\n"
        "Session Sets (0)/(0):\n"
        "ephemeral nodes dump:\n"
        "Sessions with Ephemerals (0):\n"
        "Connections dump:\n"
        "Connections Sets (1)/(1):\n"
        "1 expire at Tue Nov 14 22:13:30 UTC 2023:\n"
        "\tip: /127.0.0.1:40001 sessionId: 0x0\n"
    )


@pytest.mark.usefixtures("utc")
def test_dump(world: World) -> None:
    first = world.session()
    second = world.session(30000)
    world.create(first, 1, b"/e", 1)
    world.create(first, 2, b"/f", 1)
    a, b = (f"0x{cnxn.session_id:x}" for cnxn in (first, second))
    assert world.ask(b"dump") == (
        "SessionTracker dump:\n"
        "Session Sets (2)/(2):\n"
        "1 expire at Tue Nov 14 22:13:30 UTC 2023:\n"
        f"\t{a}\n"
        "1 expire at Tue Nov 14 22:13:52 UTC 2023:\n"
        f"\t{b}\n"
        "ephemeral nodes dump:\n"
        "Sessions with Ephemerals (1):\n"
        f"{a}:\n"
        "\t/e\n"
        "\t/f\n"
        "Connections dump:\n"
        "Connections Sets (2)/(3):\n"
        "2 expire at Tue Nov 14 22:13:30 UTC 2023:\n"
        f"\tip: /127.0.0.1:40001 sessionId: {a}\n"
        "\tip: /127.0.0.1:40003 sessionId: 0x0\n"
        "1 expire at Tue Nov 14 22:14:00 UTC 2023:\n"
        f"\tip: /127.0.0.1:40002 sessionId: {b}\n"
    )


@pytest.mark.usefixtures("utc")
def test_a_connection_whose_statistics_were_reset_is_still_known_to_live(world: World) -> None:
    cnxn = world.session()
    world.seconds += 20
    world.request(cnxn, -2, 11)
    world.ask(b"crst")
    # The ping came at :40; the session's deadline gives that back to within a tick.
    assert "2 expire at Tue Nov 14 22:13:50 UTC 2023:\n\tip: /127.0.0.1:40001 " in world.ask(b"dump")


def test_watches(world: World) -> None:
    assert world.ask(b"wchs") == "0 connections watching 0 paths\nTotal watches:0\n"
    assert world.ask(b"wchc") == world.ask(b"wchp") == "\n"
    first = world.session()
    second = world.session()
    world.watch(first, 1, b"/a")
    world.watch(first, 2, b"/b\xc3\xbc")
    world.watch(second, 1, b"/a")
    a, b = (f"0x{cnxn.session_id:x}" for cnxn in (first, second))
    assert world.ask(b"wchs") == "2 connections watching 2 paths\nTotal watches:3\n"
    assert world.ask(b"wchc") == f"{a}\n\t/a\n\t/bü\n{b}\n\t/a\n\n"
    assert world.ask(b"wchp") == f"/a\n\t{a}\n\t{b}\n/bü\n\t{a}\n\n"


# -- mntr --------------------------------------------------------------------------------------------------


def metrics(world: World) -> dict[str, str]:
    lines = world.ask(b"mntr").splitlines()
    pairs = [line.split("\t") for line in lines]
    assert all(len(pair) == 2 for pair in pairs)
    assert len({key for key, _ in pairs}) == len(pairs)
    assert [key for key, _ in pairs[:2]] == ["zk_version", "zk_server_state"]
    return dict(pairs)


def test_mntr_has_every_key_of_a_java_server(world: World) -> None:
    wanted = {line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")}
    found = metrics(world)
    assert not wanted - found.keys()
    assert not found.keys() - wanted


def test_mntr_prints_decimals_only_where_java_does(world: World) -> None:
    for key, value in metrics(world).items():
        if key in ("zk_version", "zk_server_state"):
            continue
        floating = key.startswith("zk_avg_") or key == "zk_connection_drop_probability"
        assert re.fullmatch(r"\d+\.\d{1,4}" if floating else r"-?\d+", value), (key, value)


def test_mntr_values(world: World) -> None:
    cnxn = world.session()
    world.create(cnxn, 1, b"/a")
    world.create(cnxn, 2, b"/a/e", 1)
    world.watch(cnxn, 3, b"/none")
    world.seconds += 2.5
    around = world.service.facts
    for took in (3, 9, 4):
        around.observe("fsynctime", took)
    around.count("stale_sessions_expired", 2)
    found = metrics(world)
    expected = {
        "version": facts.version_text(),
        "server_state": "standalone",
        "num_alive_connections": "2",
        "znode_count": "7",
        "ephemerals_count": "1",
        "watch_count": "1",
        "approximate_data_size": str(44 + 3 + 5),
        "global_sessions": "1",
        "packets_received": "5",
        "packets_sent": "4",
        "uptime": "2500",
        "connection_request_count": "1",
        "sync_processor_request_queued": "3",
        "stale_sessions_expired": "2",
        "avg_fsynctime": "5.3333",
        "min_fsynctime": "3",
        "max_fsynctime": "9",
        "cnt_fsynctime": "3",
        "sum_fsynctime": "16",
    }
    assert {name: found[f"zk_{name}"] for name in expected} == expected
    assert 0 < int(found["zk_open_file_descriptor_count"]) <= int(found["zk_max_file_descriptor_count"])


def test_mntr_adds_quotas_up_by_namespace(world: World) -> None:
    cnxn = world.session()
    quotas = {
        b"/q": b"count=5,bytes=100",
        b"/q/deep": b"count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=4",
        b"/bad": b"not a quota",
    }
    xid = iter(range(1, 100))

    def create(path: bytes, data: bytes) -> None:
        body = pack(">i", len(path)) + path + pack(">i", len(data)) + data + OPEN_ACL + pack(">i", 0)
        world.request(cnxn, next(xid), 1, body)

    for path, limits in quotas.items():
        create(path, b"123")
        create(b"/zookeeper/quota" + path, b"")
        create(b"/zookeeper/quota" + path + b"/zookeeper_limits", limits)
        if path != b"/bad":
            create(b"/zookeeper/quota" + path + b"/zookeeper_stats", b"count=0,bytes=0")
    found = {key: value for key, value in metrics(world).items() if "quota_" in key and "namespace" in key}
    found.pop("zk_quota_exceeded_error_per_namespace", None)
    assert found == {
        "zk_q_quota_count_limit_per_namespace": "9",
        "zk_q_quota_bytes_limit_per_namespace": "109",
        "zk_q_quota_count_usage_per_namespace": "3",
        "zk_q_quota_bytes_usage_per_namespace": "9",
    }


@pytest.mark.parametrize(
    ("total", "count", "text"),
    [
        (0, 0, "0.0"),
        (0, 3, "0.0"),
        (10, 5, "2.0"),
        (22, 7, "3.1429"),
        (1, 32, "0.0313"),  # 0.03125: half goes up
        (95, 138, "0.6884"),
        (1, 100_000, "0.0"),
        (123_456_789, 2, "61728394.5"),
    ],
)
def test_averages_are_rounded_as_java_does(total: int, count: int, text: str) -> None:
    assert mntr.average(total, count) == text


def test_descriptors_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    def refuse(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, 0))
    assert facts.descriptors() == (-1, (1 << 63) - 1)
