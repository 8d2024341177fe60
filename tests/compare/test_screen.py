"""What is not passed on, and what travels together (``zkpy.compare.screen``)."""

from __future__ import annotations

from struct import pack

import pytest

from compat import wire
from zkpy import opcodes
from zkpy.compare.screen import (
    BATCH_REQUESTS,
    CONTAINER_REFUSED,
    NOT_WITHSTOOD,
    SESSION_REFUSED,
    Request,
    cut_batches,
    read_request,
)

LIMITS = "/zookeeper/quota/zookeeper_limits"
STATS = "/zookeeper/quota/a/zookeeper_stats"


def made(opcode: int, body: bytes = b"") -> Request:
    return read_request(pack(">ii", 1, opcode) + body)


def set_body(path: str, data: bytes | None) -> bytes:
    return wire.text(path) + wire.text(data) + wire.i32(-1)


DANGEROUS = [
    *((opcode, wire.create_body(LIMITS)) for opcode in (1, 15, 19)),
    (opcodes.CREATE_TTL, wire.create_body(LIMITS, flags=5, ttl=1000)),
    *((opcodes.CREATE_TTL, wire.create_body("/a", flags=flags, ttl=-1)) for flags in range(5)),
    (opcodes.SET_DATA, set_body(STATS, b"count=x")),
    (opcodes.SET_DATA, set_body(STATS, None)),
]
HARMLESS = [
    (opcodes.CREATE, wire.create_body("/zookeeper/quota/a/zookeeper_limits")),
    (opcodes.CREATE, wire.create_body("/a/zookeeper_stats", b"nonsense")),
    (opcodes.CREATE, wire.create_body(STATS, b"count=1,bytes=2")),
    (opcodes.CREATE, wire.create_body(None)),
    (opcodes.CREATE_TTL, wire.create_body("/a", flags=5, ttl=-1)),
    (opcodes.CREATE_TTL, wire.create_body("/a", flags=0, ttl=0)),
    (opcodes.CREATE_TTL, wire.create_body("/a", flags=9, ttl=-1)),
    (opcodes.CREATE, wire.create_body(STATS, b"nonsense")),
    (opcodes.SET_DATA, set_body(STATS, b"count=1,bytes=2")),
    (opcodes.SET_DATA, b"cut"),
    (opcodes.GET_DATA, wire.read_body(STATS)),
]


@pytest.mark.parametrize(("opcode", "body"), DANGEROUS)
def test_what_the_real_server_does_not_withstand_is_kept_back(opcode: int, body: bytes) -> None:
    assert made(opcode, body).withheld == NOT_WITHSTOOD
    inner = [(opcodes.CHECK, wire.text("/a") + wire.i32(1)), (opcode, body)]
    assert made(opcodes.MULTI, wire.multi_body(inner)).withheld == NOT_WITHSTOOD


@pytest.mark.parametrize(("opcode", "body"), HARMLESS)
def test_everything_else_is_sent(opcode: int, body: bytes) -> None:
    assert made(opcode, body).withheld is None
    assert made(opcodes.MULTI, wire.multi_body([(opcode, body)])).withheld is None


def test_what_zkpy_refuses_and_the_real_server_does() -> None:
    assert made(opcodes.DELETE_CONTAINER, wire.text("/a")).withheld == CONTAINER_REFUSED
    assert made(opcodes.CREATE_SESSION).withheld == SESSION_REFUSED


@pytest.mark.parametrize("body", [b"", b"\0", wire.header(21), wire.header(1) + b"\0\0"])
def test_multis_that_nobody_can_read(body: bytes) -> None:
    assert made(opcodes.MULTI, body).withheld is None


def names(batches: list[list[Request]]) -> list[list[int]]:
    return [[request.opcode for request in batch] for batch in batches]


def test_what_is_answered_out_of_turn_goes_alone() -> None:
    requests = [made(opcode) for opcode in (4, 4, 100, 4, 77, 4, 102, 13)]
    assert names(list(cut_batches(requests))) == [[4, 4], [100], [4], [77], [4], [102], [13]]
    short = [made(4), read_request(b"\0"), made(4)]
    assert [len(batch) for batch in cut_batches(short)] == [1, 1, 1]


def test_a_set_acl_ends_a_batch() -> None:
    assert names(list(cut_batches([made(opcode) for opcode in (4, 7, 1)]))) == [[4, 7], [1]]


def test_what_is_behind_a_close_goes_with_it() -> None:
    requests = [made(opcode) for opcode in (4, -11, 4, 4)]
    assert names(list(cut_batches(requests))) == [[4], [-11, 4, 4]]
    assert [request.behind_close for request in requests] == [False, False, True, True]
    assert [request.answered for request in requests] == [True, True, False, False]


def test_batches_are_bounded() -> None:
    many = [made(opcodes.PING) for _ in range(2 * BATCH_REQUESTS + 1)]
    assert [len(batch) for batch in cut_batches(many)] == [BATCH_REQUESTS, BATCH_REQUESTS, 1]
    large = [made(opcodes.SET_DATA, set_body("/a", bytes(1 << 19))) for _ in range(4)]
    assert [len(batch) for batch in cut_batches(large)] == [2, 2]
    assert list(cut_batches([])) == []
