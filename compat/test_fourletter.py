"""Four-letter words of the tested server and of a real one, after the same small history, are the same text.

What must differ is masked: times, ports, sizes of files, the version behind the release, session ids (by
their order of appearance), and everything that measures speed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest

import pytest
from kazoo.client import KazooClient

from compat import realzk, results
from compat.conftest import KINDS
from compat.process import HOST, ServerProcess, four_letters

# What zkpy does not measure, or measures elsewhere: see zkpy/server/mntr.py.
COMPARED = """
    zk_server_state zk_num_alive_connections zk_znode_count zk_ephemerals_count zk_watch_count
    zk_approximate_data_size zk_global_sessions zk_local_sessions zk_outstanding_requests
    zk_connection_request_count zk_connection_rejected zk_max_file_descriptor_count
    zk_a_quota_count_limit_per_namespace zk_a_quota_bytes_limit_per_namespace
    zk_a_quota_count_usage_per_namespace zk_a_quota_bytes_usage_per_namespace
"""

WORDS = """
    ruok isro gtmk srvr stat cons conf dirs dump envi mntr wchs wchc wchp hash
    crst srst
"""

BY_USE = re.compile(r"_(?:read|write)_per_namespace$")
Record = Callable[[str, object], None]

DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}"


@contextmanager
def history(server: ServerProcess) -> Iterator[list[KazooClient]]:
    """Two sessions with ephemerals, watches and a quota; gives the clients, and closes them afterwards."""

    def ignore(event: object) -> None:
        pass

    first = KazooClient(server.address, timeout=8)
    second = KazooClient(server.address, timeout=30)
    first.start()
    second.start()
    try:
        first.create("/a", b"xx")
        first.create("/a/e", ephemeral=True)
        second.create("/b", ephemeral=True)
        first.get("/a", watch=ignore)
        first.get_children("/a", watch=ignore)
        second.exists("/a", watch=ignore)
        second.exists("/none/ü", watch=ignore)
        first.create("/zookeeper/quota/a/zookeeper_limits", b"count=5,bytes=100", makepath=True)
        first.create("/zookeeper/quota/a/zookeeper_stats", b"count=0,bytes=0")
        for number in range(130):
            first.set("/a", b"%d" % number)
        first.get("/a", watch=ignore)
        yield [first, second]
    finally:
        for client in (first, second):
            client.stop()
            client.close()


def normalised(word: str, text: str, server: ServerProcess, sessions: list[int]) -> str:
    for number, session_id in enumerate(sessions):
        text = text.replace(f"0x{session_id & (1 << 64) - 1:x}", f"<session {number}>")
    text = text.replace(str(server.directory), "<directory>").replace(f"={server.port}\n", "=<port>\n")
    text = re.sub(r"(3\.9\.5-)\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC", r"\1<build>", text)
    text = re.sub(r"/127\.0\.0\.1:\d+", "/<peer>", text)
    text = re.sub(DATE, "<date>", text)
    text = re.sub(r"(Latency min/avg/max:) \d+/\d+\.\d{1,4}/\d+", r"\1 <times>", text)
    text = re.sub(r"(?<=[,(])(est|lresp|llat|minlat|avglat|maxlat)=\d+", r"\1=<number>", text)
    # A word counts as sent once per filled buffer, and clients may have pinged.
    text = re.sub(r"^(Sent|Received): \d+$", r"\1: <number>", text, flags=re.MULTILINE)
    text = re.sub(
        r"^(dataDirSize|dataLogSize|(?:data|log)dir_size)([=:] ?)\d+$", r"\1\2<size>", text, flags=re.M
    )
    if word == "envi":
        return re.sub(r"^((?:java|os|user|host)\.[a-z.]+)=.+$", r"\1=<text>", text, flags=re.MULTILINE)
    if word == "hash":
        return re.sub(r": -?\d+$", ": <digest>", text, flags=re.MULTILINE)
    if word == "dump":
        return sorted_dump(text)
    if word in ("cons", "stat"):
        # The order of the list is that of a hash table.
        lines = text.split("\n")
        listed = sorted(line for line in lines if line.startswith(" "))
        return "\n".join(listed.pop(0) if line.startswith(" ") else line for line in lines)
    if word in ("wchc", "wchp"):
        return "\n".join(sorted(blocks(text)))
    return text


def blocks(text: str) -> list[str]:
    """Lines that are not indented, each with the sorted indented ones below it."""
    found: list[list[str]] = []
    for line in text.split("\n"):
        if line.startswith("\t"):
            found[-1].append(line)
        else:
            found.append([line])
    return ["\n".join([block[0], *sorted(block[1:])]) for block in found]


def sorted_dump(text: str) -> str:
    """The three parts of ``dump``, sorted where Java's order is that of a hash table.

    Buckets that Java keeps after their last member has left are dropped, and so is their number. How
    connections share buckets depends on the moment: only the members are compared.
    """
    parts = re.fullmatch(
        r"(SessionTracker dump:\nSession Sets) \(\d+\)/\((\d+)\):\n((?:.*\n)*)"
        r"ephemeral nodes dump:\n(Sessions with Ephemerals \(\d+\):)\n((?:.*\n)*)"
        r"Connections dump:\nConnections Sets \(\d+\)/\((\d+)\):\n((?:\t.*\n|\d+ expire at <date>:\n)*)",
        text,
    )
    assert parts is not None, text
    sessions = re.sub(r"^0 expire at <date>:\n", "", parts[3], flags=re.MULTILINE)
    ephemerals = sorted(blocks(parts[5]))
    connections = sorted(line for line in parts[7].split("\n") if line.startswith("\t"))
    return "\n".join([parts[1], parts[2], sessions, parts[4], *ephemerals, parts[6], *connections])


def metrics(text: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in text.splitlines())


def ask(server: ServerProcess) -> dict[str, str]:
    """Every word's answer, all but mntr's normalised."""
    with history(server) as clients:
        answers = {word: four_letters(server.port, word) for word in WORDS.split()}
        assert clients[0].server_version() == (3, 9, 5)
        sessions = [client.client_id[0] for client in clients]
    return {
        word: text if word == "mntr" else normalised(word, text, server, sessions)
        for word, text in answers.items()
    }


@pytest.fixture
def tested(kind: str) -> Iterator[ServerProcess]:
    with KINDS[kind]({"tickTime": "3000"}, {}) as server:
        yield server


@pytest.fixture(scope="module")
def expected() -> Iterator[Mapping[str, str]]:
    with realzk.RealServer({"tickTime": "3000"}) as server:
        yield ask(server)


def problem_of(word: str, found: str, wanted: str) -> str | None:
    """What is wrong with a word's answer; None if nothing is."""
    if word == "mntr":
        return metrics_problem(metrics(found), metrics(wanted))
    if found == wanted:
        return None
    pairs = zip_longest(found.split("\n"), wanted.split("\n"), fillvalue="the end")
    return next(f"{mine!r}, not {theirs!r}" for mine, theirs in pairs if mine != theirs)


def metrics_problem(found: Mapping[str, str], wanted: Mapping[str, str]) -> str | None:
    """The names must be the same, but for those which come with use, and some values."""
    names, others = ({key for key in keys if not BY_USE.search(key)} for keys in (found, wanted))
    if names != others:
        return f"names which only one has: {', '.join(sorted(names ^ others))}"
    different = [key for key in COMPARED.split() if found[key] != wanted[key]]
    return "; ".join(f"{key}: {found[key]}, not {wanted[key]}" for key in different) or None


def test_words_after_the_same_history(
    kind: str, tested: ServerProcess, expected: Mapping[str, str], record_property: Record
) -> None:
    found = ask(tested)
    problems = {word: problem_of(word, found[word], expected[word]) for word in WORDS.split()}
    for word, problem in problems.items():
        record_property(*results.of("fourletter", word, kind, problem))
    wrong = [word for word, problem in problems.items() if problem is not None]
    assert {word: found[word] for word in wrong} == {word: expected[word] for word in wrong}, problems
    assert not wrong


ARRIVALS = [
    (b"ruok\n", 1, b"imok"),
    (b"ruokruok", 1, b"imok"),
    (b"RUOK", 1, b""),
    (b"abcd", 1, b""),
    (b"\xff\xf4\xff\xfd\x06", 1, b""),
    (b"stmk\0\0\0\0\0\0\0\x05", 1, b"5"),
    (b"gtmk", 1, b"5"),
    (b"stmk", 1, b""),
    (b"ruok", 4, b"imok"),
    (b"isro", 2, b"rw"),
]


def test_arrival(kind: str, tested: ServerProcess, record_property: Record) -> None:
    wrong = []
    for sent, pieces, answer in ARRIVALS:
        found = arrive(tested, sent, pieces)
        if found != answer:
            wrong.append(f"{sent!r} in {pieces} pieces gives {found!r}, not {answer!r}")
    of_stmk = [line for line in wrong if line.startswith(("b'stmk", "b'gtmk"))]
    record_property(*results.of("fourletter", "stmk", kind, "; ".join(of_stmk) or None))
    record_property(*results.of("fourletter", "(how words arrive)", kind, "; ".join(wrong) or None))
    assert not wrong


def arrive(server: ServerProcess, sent: bytes, pieces: int) -> bytes:
    """What comes back until the end of the stream, which a reset also is."""
    size = len(sent) // pieces or 1
    answer = b""
    with socket.create_connection((HOST, server.port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), size):
            sock.sendall(sent[start : start + size])
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    return answer


def test_whitelist(kind: str, record_property: Record) -> None:
    texts = []
    for start in (KINDS[kind], realzk.RealServer):
        with start({"4lw.commands.whitelist": "ruok, srst"}, {}) as server:
            answers = [four_letters(server.port, word) for word in ("ruok", "srst", "stat", "isro", "mntr")]
            answers.append(four_letters(server.port, "srvr").split("\n")[-4])
            texts.append(answers)
    problem = None if texts[0] == texts[1] else f"{texts[0]}, not {texts[1]}"
    record_property(*results.of("fourletter", "(whitelist)", kind, problem))
    assert texts[0] == texts[1]
