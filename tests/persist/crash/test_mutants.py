"""Each fault put in on purpose is found; without any, the same campaigns find nothing."""

from __future__ import annotations

import pytest

from tests.persist.crash.mutants import MUTANTS, Mutant
from tests.persist.crash.rule import Counts, Violation


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_is_found(mutant: Mutant) -> None:
    with pytest.raises(Violation):
        mutant.hunt()


@pytest.mark.parametrize("campaign", [mutant for mutant in MUTANTS if not mutant.name.startswith("acknow")])
def test_its_campaign_finds_nothing_else(campaign: Mutant) -> None:
    Mutant(campaign.name, [], campaign.campaign).hunt()


def test_counts_are_told() -> None:
    counts = Counts(3, 2, 5, 1, 4)
    assert str(counts) == "3 crash points, 2 different directories, 5 recoveries, 1 refusals, 4 failed calls"
