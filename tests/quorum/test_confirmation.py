"""A leader that makes sure that it still leads."""

from __future__ import annotations

import pytest

from tests.quorum.mesh import members
from zkpy.quorum.confirmation import Confirmation
from zkpy.quorum.quorumconfig import Configs


class Asked:
    def __init__(self, *sids: int, observers: tuple[int, ...] = ()) -> None:
        self.marks: list[int] = []
        self.session_id = 0
        self.released = 0
        self.confirmation = Confirmation(1, Configs(members(*sids, observers=observers)), self.marks.append)

    def up_to_date(self) -> None:
        self.released += 1

    def read(self) -> None:
        self.confirmation.gate.enter(self)
        self.confirmation.gate.start()


def test_a_quorum_has_to_answer() -> None:
    asked = Asked(1, 2, 3, 4, 5)
    asked.read()
    (mark,) = asked.marks
    assert asked.confirmation.mark == mark < 0
    asked.confirmation.answered(2, mark)
    asked.confirmation.answered(2, mark)
    assert not asked.released
    asked.confirmation.answered(3, mark)
    assert asked.released == 1
    assert asked.confirmation.mark == 0


def test_older_and_ordinary_answers_do_not_count() -> None:
    asked = Asked(1, 2, 3)
    asked.read()
    asked.confirmation.answered(2, asked.marks[0])
    asked.read()
    assert asked.marks[1] != asked.marks[0]
    asked.confirmation.answered(3, asked.marks[0])
    asked.confirmation.answered(3, 0x100000005)
    asked.confirmation.answered(3, 0)
    assert asked.released == 1
    asked.confirmation.answered(3, asked.marks[1])
    assert asked.released == 2


@pytest.mark.parametrize("sid", [4, 9])
def test_who_does_not_vote_does_not_count(sid: int) -> None:
    asked = Asked(1, 2, 3, observers=(4,))
    asked.read()
    asked.confirmation.answered(sid, asked.marks[0])
    assert not asked.released


def test_alone_it_is_a_quorum() -> None:
    asked = Asked(1, observers=(4,))
    asked.read()
    assert asked.released == 1
