"""What ZooKeeper's operations mean: each rule played against zkpy and a real ZooKeeper, the answers compared.

The rules are the functions of `compat.scripts`. Each runs against both servers of a pair, and everything they
send must be the same after the mapping that `compat.wire` describes. Errors named in a script are asserted on
both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property

import pytest

from compat import realzk, txnlogs
from compat.conftest import given
from compat.given import SUPER_CREDENTIALS, sweep
from compat.process import ServerProcess, Serving, four_letters
from compat.scripts.registry import CREDENTIALS, FRESH, GROUPS, OURS, SCRIPTS
from compat.wire import CREATE_TTL, READ_ONLY, Play, Script, difference, play
from compat.zkpyserver import ZkpyServer

PROBE = "probe_of_settings"
ODD_CREATES = ("create_flags_by_opcode", "sequence_numbers_count_creations", "multi_kinds_are_normalised")
"""The real server's own digest is wrong after a create whose operation and flag do not match."""


def group_of(address: str) -> str | None:
    """The group of scripts whose settings the server seems to have; None: no group's."""
    found = {"extended types": False, "super user": False}

    def probe(s: Script) -> None:
        a = s.session()
        found["extended types"] = a.create(s / "ttl", op=CREATE_TTL, flags=5, ttl=60000).err == 0
        a.create(s / "locked", acl=READ_ONLY)
        a.auth("digest", SUPER_CREDENTIALS)
        found["super user"] = a.set(s / "locked", b"").err == 0

    sweep(address, PROBE)
    play(address, PROBE, probe)
    sweep(address, PROBE)
    if all(found.values()):
        return "main"
    return None if any(found.values()) else "plain"


class Pair:
    """zkpy and a real server with the same settings, each started when it is first used."""

    def __init__(self, group: str, address: str | None, stack: ExitStack) -> None:
        self.settings = GROUPS[group]
        self.given = address
        self.stack = stack

    @cached_property
    def real(self) -> Serving:
        if self.given:
            return realzk.GivenServer(self.given)
        return self.stack.enter_context(realzk.RealServer(*self.settings))

    @cached_property
    def zkpy(self) -> ZkpyServer:
        return self.stack.enter_context(ZkpyServer(*self.settings))


class Pairs:
    """Server pairs by group."""

    def __init__(self, given: str | None, stack: ExitStack) -> None:
        self.stack = stack
        self.given = given
        self.given_group = group_of(given) if given else None
        self.started: dict[tuple[str, str | None], Pair] = {}

    def of(self, group: str, *, fresh: bool) -> Pair:
        """The pair for this group; *fresh*: never with a given server."""
        address = self.given if group == self.given_group and not fresh else None
        if (group, address) not in self.started:
            self.started[group, address] = Pair(group, address, self.stack)
        return self.started[group, address]


@pytest.fixture(scope="module")
def pairs(request: pytest.FixtureRequest) -> Iterator[Pairs]:
    with ExitStack() as stack:
        yield Pairs(given(request.config), stack)


@pytest.mark.parametrize(
    ("group", "script"),
    [pytest.param(group, script, id=script.__name__) for group, plays in SCRIPTS.items() for script in plays],
)
def test_both_servers_answer_the_same(pairs: Pairs, group: str, script: Play) -> None:
    pair = pairs.of(group, fresh=script in FRESH)
    name, credentials = script.__name__, CREDENTIALS.get(group)
    if pair.given:
        sweep(pair.given, name)
    theirs = play(pair.real.address, name, script, credentials)
    if pair.given:
        sweep(pair.given, name)
    ours = play(pair.zkpy.address, name, script, credentials)
    assert theirs, "the script compared nothing"
    found = difference(ours, theirs)
    assert found is None, found


def logged(server: Serving) -> list[txnlogs.Entry]:
    assert isinstance(server, ServerProcess)
    return txnlogs.entries(server.data)


def test_transaction_logs_are_the_same_after_all_scripts(pairs: Pairs) -> None:
    pair = pairs.of("main", fresh=True)
    theirs = txnlogs.comparable(txnlogs.new_entries(logged(pair.real)))
    ours = txnlogs.comparable(logged(pair.zkpy))
    assert theirs, "nothing was logged"
    found = txnlogs.first_difference(ours, theirs)
    assert found is None, found


def test_replaying_the_real_log_gives_the_real_digests(pairs: Pairs) -> None:
    real = pairs.of("main", fresh=True).real
    found = list(txnlogs.digest_differences(txnlogs.new_entries(logged(real))))
    for odd in found:
        assert any(script in repr(odd.txn) for script in ODD_CREATES), odd
    assert not found or found[-1].off_by == 0, "the digests differ to the end"


@pytest.mark.parametrize("script", [pytest.param(script, id=script.__name__) for script in OURS])
def test_inputs_that_are_not_for_the_real_server(pairs: Pairs, script: Play) -> None:
    zkpy = pairs.of("main", fresh=True).zkpy
    play(zkpy.address, script.__name__, script)
    assert "Zookeeper version" in four_letters(zkpy.port, "srvr")
