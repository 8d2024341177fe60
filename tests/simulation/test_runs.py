"""Ensembles that lose power, links and time: nothing acknowledged is lost, and every answer is true."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, seeds_survived
from tests.simulation.run import run
from tests.simulation.world import KINDS

SEEDS_PER_KIND = 2


@pytest.mark.parametrize("kind", KINDS)
def test_acknowledged_writes_survive_and_histories_agree(kind: str) -> None:
    first = KINDS.index(kind)
    for seed in range(first, first + SEEDS_PER_KIND * len(KINDS), len(KINDS)):
        run(seed)


def test_a_seed_is_played_the_same_way_every_time() -> None:
    """Also where members change and stand still."""
    assert run(149) == run(149)


@pytest.mark.parametrize(
    "mistake",
    [
        "half of the voters are a quorum",
        "the accepted epoch is not stored",
        "the highest number leads, and nobody compares histories",
        "members are in force as soon as they are seen",
        "nobody is told of new children",
    ],
)
def test_a_mistake_is_noticed(mistake: str) -> None:
    assert mistake in MUTANTS
    assert seeds_survived(mistake, 10) is not None
