"""All connections of a server: admission, output, and who waits."""

from __future__ import annotations

import pytest

from compat.wire import GET_DATA, connect_frame, read_body
from tests.harness import Peer, World
from zkpy.server import service as service_module


def test_connections_per_address_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    world = World(max_client_cnxns=2)
    kept = [Peer(world, "10.0.0.1") for _ in range(2)]
    assert not world.service.admits("10.0.0.1") and world.service.admits("10.0.0.2")
    assert not world.service.admits("10.0.0.1") and world.service.rejected == 2
    assert len(caplog.records) == 1  # once a second and address
    kept[0].cnxn.disconnect("test")
    assert world.service.admits("10.0.0.1")
    kept[1].cnxn.disconnect("test")
    assert world.service.cnxns == {}


def test_connections_of_the_whole_server_are_limited() -> None:
    world = World(max_cnxns=1, max_client_cnxns=0)
    Peer(world, "10.0.0.1")
    assert not world.service.admits("10.0.0.2")


def test_no_limit_is_the_default_of_zero() -> None:
    world = World(max_client_cnxns=0)
    for _ in range(200):
        Peer(world)
    assert world.service.admits("127.0.0.1")


def test_connections_that_do_not_shake_hands_in_time_are_dropped() -> None:
    world = World(sessionless_cnxn_timeout_ms=10_000)
    silent, shaken = Peer(world), world.client()
    world.seconds += 9
    world.server.now = world.seconds
    world.service.drop_sessionless()
    assert not silent.closed
    world.seconds += 2
    world.server.now = world.seconds
    world.service.drop_sessionless()
    assert silent.closed and not shaken.closed


def test_output_is_sent_to_a_bounded_number_of_connections_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "SEND_BATCH", 2)
    world = World(max_client_cnxns=0)
    peers = [Peer(world) for _ in range(5)]
    for peer in peers:
        peer.cnxn.receive(connect_frame())
    world.server.flush()
    rounds = 1
    while world.send_some():
        rounds += 1
    assert rounds == 3
    assert all(len(peer.channel.frames()) == 1 for peer in peers)


def test_enforced_schemes_decide_who_passes() -> None:
    world = World(enforce_auth_enabled=True, enforce_auth_schemes=("digest", "x509"))
    service = world.service
    assert service.passes_enforcement((("ip", "::1"), ("x509", "CN=a")))
    assert not service.passes_enforcement((("ip", "::1"),))
    assert World(enforce_auth_schemes=("digest",)).service.enforced_schemes == ()


def test_stopping_closes_everything() -> None:
    world = World()
    peers = [world.client(), Peer(world)]
    world.service.close_all()
    assert all(peer.closed for peer in peers) and world.service.cnxns == {}


def test_paused_connections_are_forgotten_with_their_end() -> None:
    world = World(global_outstanding_limit=1)
    client = world.client()
    world.log.held = True
    client.pipeline(*[(1, b"")] * 5, (GET_DATA, read_body("/")))
    client.cnxn.disconnect("test")
    assert not world.service.paused


def test_words_are_known_by_their_first_four_bytes() -> None:
    service = World().service
    assert service.is_word(b"ruok") and service.is_word(b"srvrXX") and service.is_word(b"\xff\xf4\xff\xfd")
    assert not service.is_word(b"nope") and not service.is_word(b"\0\0\0\x2d")
