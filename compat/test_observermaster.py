"""Observers that follow followers: zkpy's behind Java's and Java's behind zkpy's.

The letters of a case are the kinds of servers 1, 2 and 3 (z: zkpy, j: Java), then that of the observer.
"""

from __future__ import annotations

from functools import partial

import pytest
from kazoo.client import KazooClient

from compat.ensemble import Ensemble, MemberFactory
from compat.members import RawSession, client, eventually, gauge, same_logs, same_trees
from compat.process import HOST, free_port
from compat.realzk import RealServer
from compat.zkpyserver import ZkpyServer

KINDS: dict[str, MemberFactory] = {"z": ZkpyServer, "j": RealServer}
SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8", "quorumListenOnAllIPs": "true"}
OBSERVER = 4


def gone(reader: KazooClient, path: str) -> bool:
    reader.sync("/")
    return reader.exists(path) is None


@pytest.mark.parametrize("case", ["zzzj", "jjzz"])
def test_an_observer_behind_a_follower(case: str) -> None:
    """All kinds of traffic through the observer, and what it is told of its master's end."""
    ensemble = Ensemble([KINDS[kind] for kind in case], SETTINGS, observers=(OBSERVER,))
    try:
        # One port on one machine: only server 1 and the observer know it. With empty data 1 does not lead.
        port = str(free_port())
        for number in (1, OBSERVER):
            ensemble.members[number].config["observerMasterPort"] = port
        ensemble.start()
        assert ensemble.leader() != 1
        observer = ensemble.members[OBSERVER]
        # By which number it knows its master is chance: all have the same address for it.
        assert gauge(observer, "observer_master_id") in ("1", "2", "3")
        eventually("it follows server 1", lambda: gauge(ensemble.members[1], "synced_observers") == "1")
        traffic(ensemble)
        same_trees(ensemble)
        ensemble.kill(OBSERVER)
        away = client(ensemble.members[2].address)
        for number in range(20):
            away.create(f"/away-{number}")
        ensemble.restart(OBSERVER)
        ensemble.wait_until_serving()
        same_trees(ensemble)
        assert same_logs(ensemble)
        away.stop()
        away.close()
    finally:
        ensemble.close()


def traffic(ensemble: Ensemble) -> None:
    """Writes, reads behind syncs, watches, sessions that move, stay and expire."""
    members = ensemble.members
    here, there = client(members[OBSERVER].address), client(members[2].address)
    try:
        told: list[str] = []
        here.create("/o", b"")
        here.exists("/told", watch=lambda event: told.append(event.type))
        for number in range(30):
            here.create("/o/s-", b"x" * number, sequence=True)
            there.create(f"/t-{number}")
            here.sync("/")
            assert here.exists(f"/t-{number}")
        there.create("/told")
        eventually("the watch", partial(bool, told))
        multi = here.transaction()
        multi.create("/multi")
        multi.delete("/o/s-0000000000")
        assert not [result for result in multi.commit() if isinstance(result, Exception)]
        moving = RawSession(members[OBSERVER], 2000)
        assert moving.create("/moving", flags=1) == 0
        for number in (2, OBSERVER, 1, OBSERVER):
            moving.close()
            assert moving.move(members[number]), f"the session did not go on at {number}"
            assert moving.create(f"/moved-{number}") in (0, -110)
        moving.close()
        here.create("/mine", ephemeral=True)
        eventually("the silent session's end", partial(gone, there, "/moving"))
        there.sync("/")
        assert there.exists("/mine"), "a session that is heard of at the observer only"
    finally:
        for each in (here, there):
            each.stop()
            each.close()


assert HOST == "127.0.0.1", "members share one host, and so one observerMasterPort"
