"""Malformed input: the server closes or answers, and is as good as new afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.fuzz import CHECK_EVERY, Fuzzer
from tests.robustness.generator import Maker
from tests.robustness.harness import Failure

SEED = 20261


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    fuzzer = Fuzzer(tmp_path_factory.mktemp("fuzz"), SEED)
    yield fuzzer
    fuzzer.close()


@pytest.mark.parametrize("part", range(3))
def test_malformed_input_leaves_no_trace(fuzzer: Fuzzer, part: int) -> None:
    fuzzer.run(part * CHECK_EVERY, CHECK_EVERY)


def test_what_is_no_handshake_changes_nothing(fuzzer: Fuzzer) -> None:
    cases = (Maker(SEED).make(number) for number in range(4000))
    kinds = ("noise", "word", "other protocol")
    rejected = [case for case in cases if case.kind in kinds and not case.handshake]
    before = _state(fuzzer)
    for case in rejected[:200]:
        fuzzer.send(case)
    assert _state(fuzzer) == before


def _state(fuzzer: Fuzzer) -> list[str]:
    """zxid, znodes, sessions, connections."""
    monitor = fuzzer.server.monitor()
    names = ("zk_znode_count", "zk_approximate_data_size", "zk_global_sessions", "zk_num_alive_connections")
    zxid = next(line for line in fuzzer.server.word("srvr").splitlines() if line.startswith("Zxid"))
    return [zxid, *(monitor[name] for name in names)]


def test_after_it_the_server_stops_properly_and_its_directory_reads_back(fuzzer: Fuzzer) -> None:
    fuzzer.finish()


def test_a_seed_gives_the_same_inputs() -> None:
    one, other, third = Maker(7), Maker(7), Maker(8)
    assert [one.make(n) for n in range(50)] == [other.make(n) for n in range(50)]
    assert one.make(3) == other.make(3) != third.make(3)
    assert {one.make(n).kind for n in range(400)} >= {"mutated", "handshake", "big", "other protocol", "word"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("crash", "the server ended|reset|refused|status"),
        ("traceback", "traceback"),
        ("memory", "resident memory"),
        ("descriptors", "descriptors"),
        ("tree", "nobody may write"),
        ("silence", "not closed"),
    ],
)
def test_the_checks_see_a_planted_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setattr("tests.robustness.fuzz.CLOSE_WITHIN_S", 1.0)
    fuzzer = Fuzzer(tmp_path, SEED, fault, every=150)
    try:
        with pytest.raises(Failure, match=told) as caught:
            fuzzer.run(0, 450)
        assert f"--seed {SEED} --first " in str(caught.value)
    finally:
        fuzzer.close()
