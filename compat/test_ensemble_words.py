"""Four-letter words of a leader, a follower and an observer are those of a real server in the same role.

Both ensembles are started beside each other and get the same short history. Masked is what `test_fourletter`
masks; of ``mntr`` the names are compared, and the values that follow from the history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kazoo.client import KazooClient

from compat.ensemble import Ensemble, MemberFactory
from compat.members import client
from compat.process import four_letters
from compat.realzk import RealServer
from compat.test_fourletter import BY_USE, metrics, normalised
from compat.zkpyserver import ZkpyServer

SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8"}
WORDS = ["srvr", "stat", "conf", "cons", "dump", "wchs", "wchc", "wchp", "isro", "ruok", "hash", "mntr"]
ROLES = ("leader", "follower", "observer")
VALUES = [
    "zk_server_state",
    "zk_peer_state",
    "zk_quorum_size",
    "zk_observer_master_id",
    "zk_learners",
    "zk_synced_followers",
    "zk_synced_observers",
    "zk_synced_non_voting_followers",
    "zk_pending_syncs",
    "zk_last_proposal_size",
    "zk_min_proposal_size",
    "zk_max_proposal_size",
    "zk_proposal_count",
    "zk_commit_count",
    "zk_looking_count",
    "zk_learner_proposal_received_count",
    "zk_learner_commit_received_count",
    "zk_cnt_election_time",
    "zk_cnt_follower_sync_time",
    "zk_cnt_observer_sync_time",
    "zk_cnt_quorum_ack_latency",
    "zk_global_sessions",
    "zk_znode_count",
    "zk_ephemerals_count",
    "zk_watch_count",
    "zk_approximate_data_size",
    "zk_num_alive_connections",
]
OF_LEARNERS = re.compile(r"zk_(?:avg|min|max|cnt|sum|p\d+)_(\d)_learner_handler_qp_")


@contextmanager
def running(factory: MemberFactory) -> Iterator[Ensemble]:
    """Three voters and an observer."""
    ensemble = Ensemble([factory] * 4, SETTINGS, observers=(4,))
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.close()


def numbers(ensemble: Ensemble) -> dict[str, int]:
    """One member per role."""
    found = {ensemble.mode(number): number for number in (4, 2, 1, 3)}
    return {role: found[role] for role in ROLES}


def answers(ensemble: Ensemble) -> dict[tuple[str, str], str]:
    """By role and word, after a history in which each role had a client."""
    by_role = numbers(ensemble)
    clients: list[KazooClient] = []
    found = {}
    try:
        for role, number in by_role.items():
            each = client(ensemble.members[number].address)
            clients.append(each)
            each.create(f"/{role}", b"x")
            each.create(f"/{role}/e", ephemeral=True)
            each.get_children(f"/{role}", watch=lambda event: None)
            for count in range(5):
                each.set(f"/{role}", b"%d" % count)
        for each in clients:
            each.sync("/")
        sessions = [each.client_id[0] for each in clients]
        for role, number in by_role.items():
            member = ensemble.members[number]
            for word in WORDS:
                text = four_letters(member.port, word)
                found[role, word] = (
                    text if word == "mntr" else masked(word, text, ensemble, number, by_role, sessions)
                )
    finally:
        for each in clients:
            each.stop()
            each.close()
    return found


def masked(
    word: str, text: str, ensemble: Ensemble, number: int, by_role: dict[str, int], sessions: list[int]
) -> str:
    """Without what differs between two runs: the members' ports and numbers, times, session ids."""
    named = {each: role for role, each in by_role.items()}
    text = re.sub(r"^(server)\.(\d)=.*:(participant|observer);.*$", r"\1.\2=<at>:\3", text, flags=re.M)
    text = re.sub(r"^(electionPort|quorumPort)=\d+$", r"\1=<port>", text, flags=re.M)
    text = text.replace(f"serverId={number}\n", f"serverId=<{named[number]}>\n")
    if word == "dump":
        return dump(text, sessions)
    return normalised(word, text, ensemble.members[number], sessions)


def dump(text: str, sessions: list[int]) -> str:
    for at, session_id in enumerate(sessions):
        text = text.replace(f"0x{session_id & (1 << 64) - 1:x}", f"<session {at}>")
    text = re.sub(r"^\d+ expire at .*\n", "", text, flags=re.M)  # the buckets depend on the moment
    text = re.sub(r"Sets \(\d+\)/", "Sets (<n>)/", text)
    text = re.sub(r"/127\.0\.0\.1:\d+", "/<peer>", text)
    parts = re.split(r"^(?=ephemeral|Connections dump)", text, flags=re.M)
    return "".join("\n".join(sorted(part.splitlines())) for part in parts)


def test_words_in_every_role() -> None:
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(running(factory)) for factory in (ZkpyServer, RealServer))
        found, wanted = answers(ours), answers(theirs)
    for key in wanted:
        if key[1] != "mntr":
            assert found[key] == wanted[key], key
    for role in ROLES:
        compare(role, metrics(found[role, "mntr"]), metrics(wanted[role, "mntr"]))


def compare(role: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    names, others = (
        {OF_LEARNERS.sub("learner_", key) for key in keys if not BY_USE.search(key)}
        for keys in (found, wanted)
    )
    assert names == others, f"{role}: {sorted(names ^ others)}"
    # The leader depends on who started first: then there were more elections, and another number.
    by_chance = {"zk_looking_count", "zk_observer_master_id", "zk_cnt_election_time"}
    different = {
        key: (found[key], wanted[key])
        for key in VALUES
        if key in wanted and key not in by_chance and found[key] != wanted[key]
    }
    assert not different, (role, different)
