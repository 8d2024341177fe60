"""Summaries of ``mntr``."""

from __future__ import annotations

from zkpy.server.facts import LATEST, Quantiles, ServerFacts


def test_percentiles_are_those_of_the_latest_observations() -> None:
    quantiles = Quantiles()
    assert quantiles.percentiles((0.5, 0.999)) == [0, 0]
    for value in range(1000, 1000 + LATEST):
        quantiles.add(value)
    for value in range(LATEST):
        quantiles.add(value)
    assert quantiles.percentiles((0.5, 0.99, 0.999, 1)) == [512, 1013, 1022, 1023]
    assert (quantiles.min, quantiles.max, quantiles.count) == (0, 999 + LATEST, 2 * LATEST)


def test_reset_forgets_observations() -> None:
    facts = ServerFacts(0.0)
    facts.observe_often("quorum_ack_latency", 3)
    facts.observe_often("quorum_ack_latency", 5)
    assert facts.quantiles["quorum_ack_latency"].total == 8
    facts.reset({})
    assert not facts.quantiles
