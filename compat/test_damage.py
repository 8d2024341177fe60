"""Damaged directories: nothing is lost without a word, and hardly anything refused that ZooKeeper saves."""

from __future__ import annotations

import attrs

from compat.damage import Case, Java, Score, World, judge, kinds, main, recover, table


def test_zkpy_alone() -> None:
    lines = table(None, 61)
    assert [line.text() for line in lines if line.bad] == []
    assert len({line.name for line in lines}) == len(kinds())


def test_beside_a_real_zookeeper(classpath: str) -> None:
    with Java() as java:
        lines = table(java, 61)
    assert [line.text() for line in lines if line.bad] == []
    assert sum(line.stricter for line in lines) <= 1
    whole = next(line for line in lines if line.name == "newest snapshot missing")
    assert whole.java == Score(recovered=1), "both must agree where nothing is wrong"


def test_endings_are_told_apart() -> None:
    world = World("write write roll write")
    score = Score()
    found, _ = recover(world.image)
    assert not isinstance(found, str)
    case = Case(world.image, world.last)
    ends = [judge(score, world, case, end) for end in (found, world.found[2], found._replace(digest=1), "no")]
    assert ends == ["recovered", "dropped", "hole", "refused"]
    assert attrs.astuple(score) == (1, 1, 1, 1)


def test_the_command() -> None:
    assert main(["--no-java", "--step", "997"]) == 0
