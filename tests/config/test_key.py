"""A row of the key table answers what documentation asks."""

from __future__ import annotations

import pytest

from zkpy.config import NO_EFFECT, NOT_YET, Key, Kind


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (Key("a", "S", Kind.NOT_NO, True), "yes"),
        (Key("a", "S", Kind.YES, False), "no"),
        (Key("a", "S", Kind.BOOL, False), "false"),
        (Key("a", "S", Kind.INT, 5), "5"),
        (Key("a", "S", Kind.TEXT), "none"),
        (Key("a", "S", Kind.INT, -1, default_text="derived"), "derived"),
    ],
)
def test_a_default_is_shown_as_it_would_be_written(key: Key, shown: str) -> None:
    assert key.documented_default == shown


def test_the_property_of_a_key_follows_its_class() -> None:
    assert Key("a", "P", Kind.TEXT).property_name is None
    assert Key("a", "S", Kind.TEXT).property_name == "zookeeper.a"
    assert Key("a", "J", Kind.TEXT).property_name == "a"


def test_only_one_status_means_that_it_works() -> None:
    assert Key("a", "P", Kind.TEXT).implemented
    assert not Key("a", "P", Kind.TEXT, status=NOT_YET).implemented
    assert not Key("a", "P", Kind.TEXT, status=NO_EFFECT + "why").implemented
