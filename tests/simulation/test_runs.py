"""Ensembles that lose power, links and time: nothing acknowledged is lost, nobody reads what was not."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, seeds_survived
from tests.simulation.run import run

SEEDS_PER_TEST = 4


@pytest.mark.parametrize("first", range(0, 16, SEEDS_PER_TEST))
def test_acknowledged_writes_survive_and_histories_agree(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        run(seed)


def test_a_seed_is_played_the_same_way_every_time() -> None:
    assert run(7) == run(7)


@pytest.mark.parametrize(
    "mistake",
    [
        "half of the voters are a quorum",
        "a follower carries out what is not committed",
        "the accepted epoch is not stored",
        "the highest number leads, and nobody compares histories",
    ],
)
def test_a_mistake_is_noticed(mistake: str) -> None:
    assert mistake in MUTANTS
    assert seeds_survived(mistake, 10) is not None
