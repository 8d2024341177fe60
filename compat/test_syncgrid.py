"""A selection of the sync grid: each step, and each pair of a situation and a fault, at least once.

``python -m compat.syncgrid`` runs all 162 cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from compat.syncgrid.cell import Cell, Fault, run
from compat.syncgrid.conversation import Step
from compat.syncgrid.situations import Direction, Prepared, Situation

STEPS = list(Step)
PAIRS = list(itertools.product(Situation, Fault))


def selected(direction: Direction) -> list[Cell]:
    """Six cells; the twelve of both directions have every step and every pair of a situation and a fault."""
    first = list(Direction).index(direction)
    numbers = range(first, 12, len(Direction))
    pairs = ((number, *PAIRS[4 * number % 9]) for number in numbers)
    return [Cell(direction, situation, STEPS[number % 9], fault) for number, situation, fault in pairs]


@pytest.fixture
def prepared(direction: Direction, classpath: str) -> Iterator[Prepared]:
    with Prepared(direction) as ready:
        yield ready


@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.value)
def test_an_ensemble_gets_over_a_fault_in_the_middle_of_synchronisation(
    direction: Direction, prepared: Prepared
) -> None:
    for cell in selected(direction):
        try:
            run(prepared, cell)
        except BaseException as error:
            error.add_note(f"in the cell {cell}\n{prepared.ensemble.log()}")
            raise
