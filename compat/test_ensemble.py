"""Ensembles of zkpy and Java servers: one workload through all members, and members that come and go.

The letters of a case are the kinds of servers 1, 2 and 3 (z: zkpy, j: Java, o: an old Java server), then that
of an observer. With empty data the highest id of the voters leads at first. ``ENSEMBLE_ALL=1`` takes every
case through everything; else each part is done where it tells most.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from operator import eq

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoAuthError, NoNodeError, RolledBackError
from kazoo.security import make_acl, make_digest_acl

from compat import wire
from compat.ensemble import Ensemble, MemberFactory
from compat.members import (
    TIMEOUT_S,
    RawSession,
    Writer,
    all_is_equal,
    client,
    eventually,
    same_trees,
    the_third_leads,
)
from compat.realzk import DEBIAN_VERSION, RealServer
from compat.zkpyserver import ZkpyServer

KINDS: dict[str, MemberFactory] = {
    "z": ZkpyServer,
    "j": RealServer,
    "o": partial(RealServer, version=DEBIAN_VERSION),
}
ALL = bool(os.environ.get("ENSEMBLE_ALL"))
COMMIT_LOG = 500
READABLE = make_acl("world", "anyone", read=True)
SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8"}
PROPERTIES = {"zookeeper.commitLogCount": str(COMMIT_LOG), "zookeeper.snapshotSizeFactor": "-1"}

CASES = ["zzzj", "jzz", "zjz", "zzj", "jjzz", "jzj", "zjjz", "ojz", *(("zoj", "zjo") if ALL else ())]
COME_AND_GO = CASES if ALL else ["zjz", "jzj"]

pytestmark = pytest.mark.timeout(300)  # a wait for a server gives up after 60 s, and says more than pytest


def started(case: str) -> Ensemble:
    observers = (4,) if len(case) == 4 else ()
    return Ensemble([KINDS[kind] for kind in case], SETTINGS, PROPERTIES, observers=observers)


class Clients:
    """One client per member, by the member's number."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.by_member = {number: client(member.address) for number, member in ensemble.members.items()}

    def __enter__(self) -> dict[int, KazooClient]:
        return self.by_member

    def __exit__(self, *error: object) -> None:
        for each in self.by_member.values():
            each.stop()
            each.close()


def through_every_member(ensemble: Ensemble) -> None:
    """All kinds of writes through each member; reads elsewhere see them after a sync."""
    with Clients(ensemble) as clients:
        clients[1].create("/all", b"")
        for number, each in clients.items():
            base = f"/all/n{number}"
            each.sync("/")
            each.create(base, b"one")
            for count in range(5):
                each.set(base, b"%d" % count)
                each.create(f"{base}/s-", b"", sequence=True)
            each.create(f"{base}/e", b"here", ephemeral=True)
            each.create(f"{base}/gone", b"", acl=[make_digest_acl("maja", "secret", all=True)])
            each.set_acls(f"{base}/s-0000000001", [make_digest_acl("maja", "secret", all=True)])
            each.create(f"{base}/other", b"", acl=[make_digest_acl("other", "x", all=True), READABLE])
            with pytest.raises(NoAuthError):
                each.set(f"{base}/other", b"no")
            multi = each.transaction()
            multi.create(f"{base}/m", b"multi")
            multi.check(base, 5)
            multi.set_data(base, b"by multi")
            multi.delete(f"{base}/s-0000000000")
            assert not [x for x in multi.commit() if isinstance(x, Exception)]
            multi = each.transaction()
            multi.create(f"{base}/never", b"")
            multi.check(base, 99)
            assert [type(x) for x in multi.commit()] == [RolledBackError, BadVersionError]
            with pytest.raises(BadVersionError):
                each.delete(f"{base}/m", version=7)
            with pytest.raises(NoNodeError):
                each.set(f"{base}/never", b"")
            each.delete(f"{base}/gone")
        for each in clients.values():
            each.sync("/")
            for number in clients:
                assert each.get(f"/all/n{number}")[0] == b"by multi"
                assert each.get(f"/all/n{number}/e")[0] == b"here"
        watches_across_members(clients)
        same_trees(ensemble)


def watches_across_members(clients: dict[int, KazooClient]) -> None:
    """Each member's client is told of what another's does."""
    numbers = list(clients)
    for at, number in enumerate(numbers):
        told: list[object] = []
        other = clients[numbers[at - 1]]
        mine = clients[number]
        mine.get(f"/all/n{number}", watch=lambda event, told=told: told.append(event.type))
        mine.exists(f"/all/w{number}", watch=lambda event, told=told: told.append(event.type))
        other.set(f"/all/n{number}", b"watched")
        other.create(f"/all/w{number}", b"")
        eventually(f"watches at {number}", partial(eq, told, ["CHANGED", "CREATED"]))


def is_gone(client: KazooClient, path: str) -> bool:
    return client.exists(path) is None


def sessions_that_move(ensemble: Ensemble) -> None:
    """A session goes on wherever its client comes; when nobody hears of it, the leader ends it everywhere."""
    members = ensemble.members
    numbers = list(members)
    with Clients(ensemble) as clients:
        moving = RawSession(members[1])
        assert moving.create("/moving", flags=1) == 0
        for number in (*numbers[1:], 1):
            old = moving.wire
            assert moving.move(members[number]), f"the session did not go on at {number}"
            assert moving.create(f"/moved-{number}") == 0
            old.close()
            clients[number].sync("/")
            assert clients[number].exists("/moving").ephemeralOwner == moving.id
        silent = [RawSession(members[number], 1000) for number in numbers]
        for number, session in zip(numbers, silent, strict=True):
            assert session.create(f"/silent-{number}", flags=1) == 0
        assert moving.call(wire.CLOSE_SESSION, b"") == 0
        for each in clients.values():
            each.sync("/")
            assert each.exists("/moving") is None
            for number in numbers:
                eventually(f"/silent-{number}", partial(is_gone, each, f"/silent-{number}"))
        for number, session in zip(numbers, silent, strict=True):
            session.close()
            assert not session.move(members[numbers[number % len(numbers)]]), "an expired session goes on"
            session.close()
        moving.close()


def bodies_that_do_not_decode(ensemble: Ensemble) -> None:
    """They are answered with an error, by a member that takes them in or by the leader that gets them.

    Java's servers are not asked to pass them on to Java.
    """
    leader = ensemble.members[ensemble.leader()].kind
    for number, member in ensemble.members.items():
        if member.kind == leader == "java":
            continue
        session = RawSession(member)
        for op in (wire.CREATE, wire.SET_DATA, wire.MULTI):
            assert session.call(op, b"\0\0\0\x7fabc") == -5
        assert session.create(f"/after-garbage-{number}") == 0
        assert session.call(wire.CLOSE_SESSION, b"") == 0
        session.close()


def the_leader_dies(ensemble: Ensemble) -> int:
    """kill -9 under writes: none that was acknowledged is lost; the killed one comes back."""
    leader = ensemble.leader()
    others = [member.address for number, member in ensemble.members.items() if number != leader]
    writer = Writer(",".join(others), "/acked")
    eventually("writes", lambda: len(writer.acknowledged) > 20)
    before = len(writer.acknowledged)
    ensemble.kill(leader)
    eventually("writes after the leader's death", lambda: len(writer.acknowledged) > before + 20)
    ensemble.restart(leader)
    before = len(writer.acknowledged)
    eventually("writes after its return", lambda: len(writer.acknowledged) > before + 5)
    acknowledged = writer.stop()
    ensemble.wait_until_serving()
    lost_nothing(ensemble, acknowledged)
    return leader


def lost_nothing(ensemble: Ensemble, acknowledged: list[str]) -> None:
    for number, member in ensemble.members.items():
        reader = client(member.address)
        reader.sync("/")
        there = {f"/acked/{name}" for name in reader.get_children("/acked")}
        reader.stop()
        reader.close()
        assert not set(acknowledged) - there, f"server {number} lost acknowledged writes"


def away_for_long(ensemble: Ensemble, number: int) -> None:
    """A member that misses more than the committed log holds is sent the tree."""
    ensemble.kill(number)
    writer = client(ensemble.members[ensemble.leader()].address)
    writer.ensure_path("/away")
    made = [writer.create_async(f"/away/{number}-{count}", b"x") for count in range(COMMIT_LOG + 20)]
    for one in made:
        one.get(timeout=TIMEOUT_S)
    writer.stop()
    writer.close()
    ensemble.restart(number)
    ensemble.wait_until_serving()


def proposed_alone(ensemble: Ensemble, time: int) -> int:
    """A leader logs what nobody else has and dies; the others go on without it, and it has to forget."""
    leader = ensemble.leader()
    followers = [number for number in (1, 2, 3) if number != leader]
    lonely = RawSession(ensemble.members[leader])
    assert lonely.create(f"/before-{time}") == 0
    for number in followers:
        ensemble.members[number].process.kill()  # type: ignore[union-attr]
    log = ensemble.members[leader].data
    lonely.wire.send(wire.request(99, wire.CREATE, wire.create_body("/lonely", b"LONELY%d" % time)))
    eventually(
        "the proposal in the leader's log",
        lambda: any(b"LONELY%d" % time in file.read_bytes() for file in (log / "version-2").glob("log.*")),
    )
    ensemble.kill(leader)
    lonely.close()
    for number in followers:
        ensemble.kill(number)
        ensemble.restart(number, wait=False)
    ensemble.wait_until_serving()
    writer = client(ensemble.members[followers[0]].address)
    for count in range(3):
        writer.create(f"/after-{time}-{count}", b"x")
    ensemble.restart(leader)
    ensemble.wait_until_serving()
    assert writer.exists("/lonely") is None
    writer.stop()
    writer.close()
    return leader


@pytest.fixture
def ensemble(case: str, classpath: str) -> Iterator[Ensemble]:
    with started(case) as running:
        try:
            yield running
        finally:
            RawSession.close_all()


@pytest.mark.parametrize("case", CASES)
def test_a_workload_and_a_leader_that_dies(case: str, ensemble: Ensemble) -> None:
    the_third_leads(ensemble)
    through_every_member(ensemble)
    sessions_that_move(ensemble)
    bodies_that_do_not_decode(ensemble)
    the_leader_dies(ensemble)
    znodes, transactions = all_is_equal(ensemble)
    assert znodes > 60
    assert transactions > 100


@pytest.mark.parametrize("case", COME_AND_GO)
def test_members_that_were_away(case: str, ensemble: Ensemble) -> None:
    for number in (1, 2) if ALL else (1,):
        away_for_long(ensemble, number)
    for time in range(2 if ALL else 1):
        proposed_alone(ensemble, time)
    all_is_equal(ensemble)
