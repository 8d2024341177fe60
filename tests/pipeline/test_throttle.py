"""The token bucket that limits how fast sessions are opened."""

from __future__ import annotations

import random

import attrs

from zkpy.config import Config, embedded_config
from zkpy.pipeline.throttle import ConnectionThrottle


def throttle(**settings: object) -> ConnectionThrottle:
    config: Config = attrs.evolve(embedded_config(), **settings)  # type: ignore[arg-type]
    return ConnectionThrottle(config, random.Random(1), 0)


def admitted(bucket: ConnectionThrottle, count: int, now_ms: int, renewal: bool = False) -> int:
    return sum(bucket.admits(renewal=renewal, now_ms=now_ms) for _ in range(count))


def test_without_tokens_configured_every_session_is_admitted() -> None:
    assert admitted(throttle(), 1000, 0) == 1000


def test_a_full_bucket_admits_as_many_sessions_as_it_has_tokens() -> None:
    bucket = throttle(connection_throttle_tokens=5)
    assert admitted(bucket, 10, 0) == 5


def test_tokens_come_back_at_the_configured_rate_up_to_the_limit() -> None:
    bucket = throttle(
        connection_throttle_tokens=5, connection_throttle_fill_time_ms=10, connection_throttle_fill_count=2
    )
    assert admitted(bucket, 10, 0) == 5
    assert admitted(bucket, 10, 9) == 0
    assert admitted(bucket, 10, 10) == 2
    assert admitted(bucket, 10, 10_000) == 5


def test_weights_make_a_renewal_cheaper_than_a_new_session() -> None:
    settings = {"connection_throttle_tokens": 2, "connection_throttle_weight_enabled": True}
    assert admitted(throttle(**settings), 10, 0) == 2
    assert admitted(throttle(**settings), 10, 0, renewal=True) == 3


def test_sessions_are_dropped_early_while_tokens_keep_running_out_and_again_admitted_later() -> None:
    bucket = throttle(
        connection_throttle_tokens=20,
        connection_throttle_freeze_time_ms=5,
        connection_throttle_fill_time_ms=1000,
        connection_throttle_fill_count=20,
        connection_throttle_drop_increase=0.5,
        connection_throttle_drop_decrease=0.5,
    )
    assert admitted(bucket, 30, 0) == 20
    for now in (6, 12, 18):
        bucket.admits(renewal=False, now_ms=now)
    assert bucket.drop_probability == 1.0
    assert admitted(bucket, 1, 20) == 0
    for now in (1000, 1010, 1020, 1030):
        bucket.admits(renewal=False, now_ms=now)
    assert bucket.drop_probability == 0.0
