"""The settings object: what it derives from its fields."""

from __future__ import annotations

import attrs

from zkpy.config import ALL_WORDS, QuorumAddress, ServerSpec, embedded_config


def test_a_configuration_without_a_data_directory_is_in_memory() -> None:
    assert embedded_config().memory_only
    assert not embedded_config("/d").memory_only


def test_a_star_allows_every_word() -> None:
    config = attrs.evolve(embedded_config(), four_letter_words=frozenset({ALL_WORDS}))
    assert config.allows_word("ruok") and config.allows_word("srvr")


def test_two_voters_make_a_quorum_and_observers_do_not_count() -> None:
    def member(sid: int, role: str = "participant") -> ServerSpec:
        return ServerSpec(sid, (QuorumAddress("h", 1, 2),), role)  # type: ignore[arg-type]

    config = embedded_config()
    alone = attrs.evolve(config.ensemble, servers=(member(1), member(2, "observer")))
    assert not attrs.evolve(config, ensemble=alone).is_quorum
    pair = attrs.evolve(alone, servers=(member(1), member(2)))
    assert attrs.evolve(config, ensemble=pair).is_quorum
    assert pair.member(2) == member(2)


def test_where_a_line_stands_does_not_make_members_different() -> None:
    address = (QuorumAddress("h", 1, 2),)
    assert ServerSpec(1, address, line=3) == ServerSpec(1, address, line=4)
