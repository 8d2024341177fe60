"""Reads that wait for a confirmation: who shares which, and in what order they go on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkpy.pipeline.readgate import Barrier, ReadGate


class Waiting:
    def __init__(self, session_id: int, released: list[int]) -> None:
        self.session_id = session_id
        self._released = released

    def up_to_date(self) -> None:
        self._released.append(self.session_id)


class Rounds:
    """A gate whose confirmations come when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.released: list[int] = []
        self.gate = ReadGate(lambda number, session: self.begun.append((number, session)))

    def reader(self, session_id: int) -> Waiting:
        return Waiting(session_id, self.released)


def test_readers_share_a_confirmation() -> None:
    rounds = Rounds()
    readers = [rounds.reader(number) for number in (5, 6, 7)]
    barriers = [rounds.gate.enter(reader) for reader in readers]
    assert rounds.gate.enter(readers[0]) is barriers[0]
    assert rounds.begun == []
    rounds.gate.start()
    assert rounds.begun == [(1, 5)]
    rounds.gate.confirmed(1)
    assert rounds.released == [5, 6, 7]
    assert all(barrier.passed for barrier in barriers)


def test_a_confirmation_covers_only_what_came_before_it_began() -> None:
    rounds = Rounds()
    early, late = rounds.reader(1), rounds.reader(2)
    rounds.gate.enter(early)
    rounds.gate.start()
    barrier = rounds.gate.enter(late)
    second = rounds.gate.enter(early)
    rounds.gate.start()
    assert rounds.begun == [(1, 1)], "one at a time"
    rounds.gate.confirmed(1)
    assert rounds.released == [1]
    assert not barrier.passed and not second.passed
    assert rounds.begun == [(1, 1), (2, 2)], "the next begins by itself"
    rounds.gate.confirmed(1)
    assert rounds.released == [1], "the answer to an older question"
    rounds.gate.confirmed(2)
    assert rounds.released == [1, 2, 1]


def test_a_confirmation_on_the_spot() -> None:
    released: list[int] = []
    gate = ReadGate(lambda number, session: gate.confirmed(number))
    gate.enter(Waiting(1, released))
    gate.start()
    gate.start()
    assert released == [1]


@given(st.lists(st.one_of(st.integers(1, 4), st.sampled_from(["start", "confirm", "stale"]))))
def test_no_read_passes_without_a_confirmation_that_began_after_it(steps: list[int | str]) -> None:
    rounds = Rounds()
    readers = {number: rounds.reader(number) for number in range(1, 5)}
    entered: list[tuple[Barrier, int]] = []  # with the number of confirmations begun before
    confirmed = 0
    for step in steps:
        if isinstance(step, int):
            entered.append((rounds.gate.enter(readers[step]), len(rounds.begun)))
        elif step == "start":
            rounds.gate.start()
        elif step == "stale":
            rounds.gate.confirmed(confirmed)
        elif confirmed < len(rounds.begun):
            confirmed += 1
            rounds.gate.confirmed(confirmed)
        for barrier, before in entered:
            assert not barrier.passed or confirmed > before
    for _ in range(2):
        rounds.gate.start()
        rounds.gate.confirmed(len(rounds.begun))
    assert all(barrier.passed for barrier, _ in entered)
