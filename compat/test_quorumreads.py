"""Linearizable reads where some members are Java servers, which know nothing of them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from compat.ensemble import Ensemble
from compat.members import client, eventually, the_third_leads
from compat.test_ensemble import KINDS, SETTINGS


@pytest.mark.parametrize("case", ["jjz", "zzj"])
def test_reads_see_every_write_that_was_answered(case: str) -> None:
    """A zkpy leader asks its Java followers; zkpy followers ask a Java leader."""
    with Ensemble([KINDS[kind] for kind in case], {**SETTINGS, "quorumReads": "true"}) as ensemble:
        the_third_leads(ensemble)
        clients = {number: client(member.address) for number, member in ensemble.members.items()}
        try:
            ours = [number for number, kind in enumerate(case, 1) if kind == "z"]
            clients[3].create("/n", b"")
            order = [1, *ours, 2, *ours, 3, *ours] * 5
            for count, (writer, reader) in enumerate(pairwise(order)):
                text = b"%d" % count
                clients[writer].set("/n", text)
                if reader in ours:
                    assert clients[reader].get("/n")[0] == text
            waiting = [clients[ours[0]].get_async("/n") for _ in range(200)]
            assert {each.get(20)[0] for each in waiting} == {text}
            ensemble.kill(2 if case == "jjz" else 1)
            survivor = clients[ours[-1]]
            eventually("reads with one follower", lambda: survivor.retry(survivor.get, "/n")[0] == text)
        finally:
            for each in clients.values():
                each.stop()
                each.close()
