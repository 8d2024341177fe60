"""Elections: the order of candidates, every rule of receiving and of tallying, and whole elections."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.config.settings import PeerType, QuorumAddress, ServerSpec
from zkpy.quorum.notification import NO_CANDIDATE, Notification, PeerState
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.votes import (
    Action,
    ActivateConfig,
    Decided,
    Deserted,
    DialAll,
    FastLeaderElection,
    Send,
    Vote,
    Wait,
)

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=150)
LOOKING, FOLLOWING, LEADING, OBSERVING = PeerState


def config(voters: int, observers: int = 0, version: int = 0, **more: object) -> QuorumConfig:
    def server(sid: int, role: PeerType) -> ServerSpec:
        return ServerSpec(sid, (QuorumAddress(f"h{sid}", 2888, 3888),), role)

    servers = [server(sid, "participant") for sid in range(1, voters + 1)]
    servers += (server(voters + sid, "observer") for sid in range(1, observers + 1))
    return QuorumConfig(tuple(servers), version, **more)  # type: ignore[arg-type]


def looking(leader: int, zxid: int = 0, round_: int = 1, epoch: int = 0) -> Notification:
    return Notification(LOOKING, leader, zxid, round_, epoch)


def election(sid: int = 1, voters: int = 3, zxid: int = 0, epoch: int = 0) -> FastLeaderElection:
    fle = FastLeaderElection(sid, Configs(config(voters, 1)))
    fle.start(zxid, epoch)
    return fle


def told(fle: FastLeaderElection, sid: int, n: Notification) -> list[Action]:
    return fle.on_notification(sid, n)


votes = st.builds(
    Vote, st.integers(1, 3), st.integers(-1, 2), st.just(1), st.integers(0, 2), st.just(LOOKING), st.just(0)
)


@deterministic
@given(votes, votes, votes)
def test_the_order_of_candidates_is_total(a: Vote, b: Vote, c: Vote) -> None:
    assert (a == b) + a.better_than(b) + b.better_than(a) == 1
    assert not (a.better_than(b) and b.better_than(c)) or a.better_than(c)


def test_epoch_goes_before_zxid_and_zxid_before_sid() -> None:
    assert Vote(1, 0, 1, 2).better_than(Vote(2, 9, 1, 1))
    assert Vote(1, 2, 1, 1).better_than(Vote(2, 1, 1, 1))
    assert Vote(2, 1, 1, 1).better_than(Vote(1, 1, 1, 1))


def test_which_votes_match() -> None:
    vote = Vote(1, 2, 3, 4, LOOKING, 2)
    assert vote.matches(Vote(1, 2, 3, 4, FOLLOWING, 0))
    for other in (Vote(2, 2, 3, 4), Vote(1, 9, 3, 4), Vote(1, 2, 9, 4), Vote(1, 2, 3, 9)):
        assert not vote.matches(other)
    report = Vote(1, 2, 3, 4, FOLLOWING, 2)
    assert report.matches(Vote(1, 9, 9, 4, LEADING, 2))
    assert not report.matches(Vote(1, 2, 3, 5, LEADING, 2))
    assert not report.matches(Vote(2, 2, 3, 4, LEADING, 2))
    assert report.matches(Vote(1, 9, 9, 9, LEADING, 0))
    assert not report._replace(version=0).matches(Vote(1, 9, 9, 9, LEADING, 0))


def test_start_tells_all_voters() -> None:
    fle = FastLeaderElection(2, Configs(config(3, 1)))
    send, wait = fle.start(7, 5)
    assert send == Send((1, 3), Notification(LOOKING, 2, 7, 1, 5, 2, config(3, 1).text()))
    assert wait == Wait(200)
    fle.start(7, 5)
    assert fle.round == 2


def test_the_captured_election_of_two() -> None:
    one, two = (FastLeaderElection(sid, Configs(config(2))) for sid in (1, 2))
    (first, _), (second, _) = one.start(0, 0), two.start(0, 0)
    assert isinstance(first, Send) and isinstance(second, Send)
    adopted, wait = one.on_notification(2, second.message)
    assert isinstance(adopted, Send) and adopted.message.leader == 2
    assert wait == Wait(0)  # all voters agree: nobody else is to be waited for
    again, _ = two.on_notification(1, first.message)
    assert again == second._replace(sids=(1,))
    assert two.on_notification(1, adopted.message) == [Wait(0)]
    assert one.on_timeout(True) == [Decided(2, FOLLOWING)]
    assert two.on_timeout(True) == [Decided(2, LEADING)]
    two.set_epoch(1)
    assert two.current_vote[:4] == (2, 0, 1, 1)
    (answer,) = two.on_notification(3, looking(NO_CANDIDATE))  # a server that we do not know
    assert answer == Send((3,), Notification(LEADING, 2, 0, 1, 1, 2, config(2).text()))


def test_a_single_voter_decides_for_itself() -> None:
    fle = FastLeaderElection(1, Configs(config(1)))
    assert fle.start(0, 0)[-1] == Wait(0)
    assert fle.on_timeout(True) == [Decided(1, LEADING)]


def test_a_decision_waits_for_those_who_may_still_vote() -> None:
    fle = election(2)
    assert told(fle, 1, looking(2))[-1] == Wait(200)  # server 3 may know of a better one
    assert fle.on_lost() == []
    fle.gone = frozenset({3})
    assert fle.on_lost() == [Wait(0)]
    assert told(fle, 1, looking(2))[-1] == Wait(0)
    assert told(fle, 3, looking(3))[-1] == Wait(200)  # it is back, and server 1 may not agree


def test_who_is_gone_does_not_make_a_quorum() -> None:
    fle = election(2)
    fle.gone = frozenset({1, 3})
    assert fle.start(0, 0)[-1] == Wait(200)
    assert fle.on_lost() == []
    assert fle.on_timeout(True)[-1] == Wait(400)


def test_a_worse_vote_of_the_same_round_is_answered_once() -> None:
    fle = election(2)  # what it said at first may have come while server 1 still had a leader, who is gone
    mine = Send((1,), Notification(LOOKING, 2, 0, 1, 0, 2, config(3, 1).text()))
    assert mine in told(fle, 1, looking(1))
    assert mine not in told(fle, 1, looking(1))
    assert all(not isinstance(action, Send) or action.sids != (3,) for action in told(fle, 3, looking(3)))
    fle.start(0, 0)
    assert [a.sids for a in told(fle, 1, looking(1, round_=2)) if isinstance(a, Send)] == [(1,)]


def test_the_time_out_doubles_up_to_its_limit() -> None:
    fle = FastLeaderElection(1, Configs(config(3)), max_interval_ms=1000)
    fle.start(0, 0)
    waits = [fle.on_timeout(True)[-1] for _ in range(4)]
    assert waits == [Wait(400), Wait(800), Wait(1000), Wait(1000)]
    assert fle.on_timeout(False) == [DialAll(), Wait(1000)]
    assert told(fle, 2, looking(1, round_=0))[-1] == Wait(1000)  # never reset by what comes
    assert fle.start(0, 0)[-1] == Wait(200)


def test_rounds() -> None:
    fle = election(2)
    assert told(fle, 3, looking(3, round_=4))[0] == Send(
        (1, 3), Notification(LOOKING, 3, 0, 4, 0, 2, config(3, 1).text())
    )
    assert fle.round == 4
    assert fle.proposal[:4] == (3, 0, 4, 0)
    fle = election(2, zxid=9)
    told(fle, 1, looking(1, zxid=5, round_=4))
    assert fle.round == 4 and fle.proposal[:4] == (2, 9, 4, 0)
    answer, wait = told(fle, 3, looking(3, zxid=99, round_=3))
    assert isinstance(answer, Send) and answer.sids == (3,) and answer.message.election_epoch == 4
    assert wait == Wait(200) and fle.proposal.leader == 2


def test_votes_of_an_older_round_do_not_count() -> None:
    fle = election(2, voters=5, zxid=9)
    told(fle, 1, looking(2, 9))
    told(fle, 3, looking(1, round_=2))
    told(fle, 4, looking(2, 9, round_=2))
    assert fle.on_timeout(True)[-1] == Wait(400)  # not decided: the first vote was of round 1
    told(fle, 5, looking(2, 9, round_=2))
    assert fle.on_timeout(True) == [Decided(2, LEADING)]


def test_a_new_round_begins_with_the_better_of_its_vote_and_the_own_one() -> None:
    """What was adopted in the old round is forgotten."""
    fle = election(2, voters=5, zxid=5)
    told(fle, 5, looking(5, zxid=9))
    assert fle.proposal.leader == 5
    told(fle, 3, looking(3, zxid=1, round_=2))
    assert fle.proposal[:4] == (2, 5, 2, 0)
    told(fle, 4, looking(4, zxid=9, round_=3))
    assert fle.proposal[:4] == (4, 9, 3, 0)
    told(fle, 3, looking(3, zxid=7, round_=4))
    assert fle.proposal[:4] == (3, 7, 4, 0)


def test_a_late_copy_of_an_old_vote_does_not_replace_the_present_one() -> None:
    fle = election(5, voters=5)
    told(fle, 1, looking(5))
    told(fle, 1, looking(1, round_=0))
    told(fle, 2, looking(5))
    assert fle.on_timeout(True) == [Decided(5, LEADING)]


def test_reports_of_an_older_round_do_not_count_in_the_new_one() -> None:
    fle = election(1, voters=5)
    for sid in (2, 4):
        told(fle, sid, report(FOLLOWING, 3, 1, epoch=1))
    told(fle, 5, looking(1, round_=2))
    assert told(fle, 3, report(LEADING, 3, 2, epoch=2)) == [Wait(200)]


def test_nothing_is_heard_before_the_first_start() -> None:
    fle = FastLeaderElection(1, Configs(config(3)))
    assert told(fle, 2, looking(2)) == []
    assert fle.start(0, 0)[0] == Send((2, 3), Notification(LOOKING, 1, 0, 1, 0, 2, config(3).text()))


def test_a_leader_that_was_designated_is_joined_and_looking_goes_on_afterwards() -> None:
    """Its followers report no round; whoever joins by that must be able to look again."""
    fle = election(sid=1)
    told(fle, 2, Notification(FOLLOWING, 3, 0, -1, 4))
    assert Decided(3, FOLLOWING) in told(fle, 3, Notification(LEADING, 3, 0, -1, 4))
    fle.start(0, 4)
    told(fle, 2, looking(2, 7, round_=fle.round, epoch=4))
    assert fle.proposal.leader == 2


def test_an_unknown_history_is_ignored() -> None:
    fle = election(1)
    told(fle, 2, looking(2, zxid=-1, epoch=3))
    assert fle.proposal.leader == 1
    fle = election(1, zxid=-1, voters=1)
    assert isinstance(fle.on_timeout(True)[0], Send)


def test_candidates_and_senders_must_be_voters() -> None:
    fle = election(1)
    told(fle, 2, looking(4, zxid=99))
    assert fle.proposal.leader == 1
    (answer,) = told(fle, 4, looking(2, zxid=99))  # the observer
    assert answer == Send((4,), Notification(LOOKING, 1, 0, 1, 0, 2, config(3, 1).text()))


def test_weight_zero_never_wins() -> None:
    members = config(3, groups={1: (1, 2, 3)}, weights={1: 1, 2: 1, 3: 0}, hierarchical=True)
    fle = FastLeaderElection(1, Configs(members))
    fle.start(0, 0)
    told(fle, 3, looking(3, zxid=99))
    assert fle.proposal.leader == 1
    told(fle, 2, looking(2))
    assert fle.proposal.leader == 2


def test_a_better_vote_ends_the_final_wait_and_others_are_dropped() -> None:
    fle = election(2, voters=5)
    told(fle, 1, looking(2))
    assert fle.on_notification(4, looking(2, round_=0))[-1] == Wait(200)
    told(fle, 3, looking(2))
    assert told(fle, 5, Notification(LEADING, 1, 0, 1, 0)) == [Wait(200)]  # dropped
    assert told(fle, 5, looking(5))[-1] == Wait(200)
    assert fle.proposal.leader == 5
    assert isinstance(fle.on_timeout(True)[0], Send)  # the quorum was for another candidate


def test_an_outdated_better_vote_only_delays() -> None:
    fle = election(3)
    told(fle, 1, looking(3))
    fle.round = 1
    out = told(fle, 2, looking(2, zxid=99, round_=0))
    assert out[-1] == Wait(200) and fle.proposal.leader == 3
    assert fle.on_timeout(True) == [Decided(3, LEADING)]


def report(
    state: PeerState, leader: int, round_: int, epoch: int = 4, zxid: int = 9, version: int = 2
) -> Notification:
    return Notification(state, leader, zxid, round_, epoch, version)


def test_joining_needs_a_quorum_of_reports_with_the_leaders_own() -> None:
    fle = election(1, voters=5)
    assert told(fle, 3, report(LEADING, 3, 8)) == [Wait(200)]
    assert told(fle, 2, report(FOLLOWING, 3, 7, zxid=1)) == [Wait(200)]
    assert told(fle, 4, report(FOLLOWING, 3, 8, epoch=3)) == [Wait(200)]
    assert told(fle, 5, report(FOLLOWING, 3, 8)) == [Decided(3, FOLLOWING)]
    assert fle.current_vote[:4] == (3, 9, 8, 4) and fle.round == 8
    fle = election(1, voters=5)
    for sid in (2, 4, 5):
        assert told(fle, sid, report(FOLLOWING, 3, 8)) == [Wait(200)]  # of a leader that may be dead
    assert told(fle, 3, report(FOLLOWING, 3, 8)) == [Wait(200)]
    assert told(fle, 3, report(LEADING, 3, 8)) == [Decided(3, FOLLOWING)]


def test_reports_of_the_own_round_need_the_same_leader_only() -> None:
    fle = election(1)
    assert told(fle, 2, report(FOLLOWING, 3, 1, epoch=1)) == [Wait(200)]
    assert told(fle, 3, report(LEADING, 3, 1, epoch=2)) == [Decided(3, FOLLOWING)]


def test_reports_of_old_servers() -> None:
    fle = election(1)
    told(fle, 2, report(FOLLOWING, 3, 8, epoch=1, version=0))
    assert told(fle, 3, report(LEADING, 3, 8, epoch=2)) == [Decided(3, FOLLOWING)]
    fle = election(1)
    told(fle, 2, report(FOLLOWING, 3, 8, epoch=1, version=0))
    assert told(fle, 3, report(LEADING, 3, 8, epoch=2, version=0)) == [Wait(200)]


def test_being_named_leader_by_others_counts_in_the_own_round_only() -> None:
    fle = election(1)
    told(fle, 2, report(FOLLOWING, 1, 8))
    assert told(fle, 3, report(FOLLOWING, 1, 8)) == [Wait(200)]
    fle = election(1)
    told(fle, 2, report(FOLLOWING, 1, 1))
    assert told(fle, 3, report(FOLLOWING, 1, 1)) == [Decided(1, LEADING)]


def test_reports_of_observers_are_ignored() -> None:
    fle = election(1)
    for sid in (2, 3):
        assert told(fle, sid, report(OBSERVING, 3, 1)) == [Wait(200)]
    assert isinstance(fle.on_timeout(True)[0], Send)


def test_an_observer_listens() -> None:
    fle = FastLeaderElection(4, Configs(config(3, 1)), observer=True)
    send = fle.start(9, 9)[0]
    assert send == Send(
        (1, 2, 3), Notification(LOOKING, NO_CANDIDATE, NO_CANDIDATE, 1, NO_CANDIDATE, 2, config(3, 1).text())
    )
    told(fle, 2, report(FOLLOWING, 3, 8))
    assert told(fle, 3, report(LEADING, 3, 8)) == [Decided(3, OBSERVING)]


def test_answers_of_a_settled_server() -> None:
    fle = election(1)
    told(fle, 2, report(FOLLOWING, 3, 8))
    told(fle, 3, report(LEADING, 3, 8))
    text = config(3, 1).text()
    assert told(fle, 2, looking(2)) == [Send((2,), Notification(FOLLOWING, 3, 9, 8, 4, 2, text))]
    assert told(fle, 2, report(FOLLOWING, 3, 8)) == []
    fle.set_epoch(5)
    fle.round = 11
    assert told(fle, 4, looking(NO_CANDIDATE)) == [Send((4,), Notification(FOLLOWING, 3, 9, 11, 5, 2, text))]
    assert told(fle, 4, report(OBSERVING, 3, 8)) == []
    fle.assume(LEADING, Vote(1, 9, 8, 5))
    assert told(fle, 2, looking(2)) == [Send((2,), Notification(LEADING, 1, 9, 8, 5, 2, text))]


@pytest.mark.parametrize("state", [LOOKING, FOLLOWING])
def test_two_servers_without_a_vote_do_not_answer_one_another_for_ever(state: PeerState) -> None:
    servers = {sid: FastLeaderElection(sid, Configs(config(3, 2)), observer=True) for sid in (4, 5)}
    for fle in servers.values():
        fle.start(0, 0)
    if state is FOLLOWING:
        servers[5].assume(FOLLOWING, Vote(3, 9, 1, 1))
    sent = [(4, 5, looking(NO_CANDIDATE, NO_CANDIDATE, 1, NO_CANDIDATE))]
    for _ in range(5):
        told_now, sent = sent, []
        for sender, to, message in told_now:
            for action in servers[to].on_notification(sender, message):
                if isinstance(action, Send):
                    sent += ((to, sid, action.message) for sid in action.sids if sid in servers)
    assert sent == []


def test_a_leader_knows_when_those_who_elected_it_and_stay_are_no_quorum() -> None:
    fle = election(5, 5)
    for sid in (1, 2):
        told(fle, sid, looking(5))
    assert Decided(5, LEADING) in fle.on_timeout(False)

    def deserted(sid: int, n: Notification) -> list[Action]:
        return [action for action in told(fle, sid, n) if isinstance(action, Deserted)]

    assert deserted(1, looking(1, round_=1)) == [Deserted(1, True)], "what comes late means nothing"
    assert deserted(3, looking(3, round_=2)) == [], "it never voted for this server"
    assert deserted(4, looking(5, round_=1)) == [Deserted(4, True)], "it has just done so"
    assert deserted(1, looking(1, round_=2)) == [Deserted(1, True)]
    assert deserted(1, looking(1, round_=3)) == [Deserted(1, True)]
    assert deserted(2, looking(2, round_=2)) == [Deserted(2, False)]
    fle = election(3)
    fle.assume(LEADING, Vote(3, 0, -1, -1))
    assert deserted(1, looking(3, round_=1)) == [Deserted(1, True)], "designated, it has nobody's vote yet"


def test_a_server_without_a_vote_does_not_correct_one_that_has() -> None:
    observer = FastLeaderElection(4, Configs(config(3, 1)), observer=True)
    for _ in range(3):
        observer.start(0, 0)
    assert not [each for each in told(observer, 1, looking(1)) if isinstance(each, Send)]


def test_a_server_that_will_have_a_vote_does_not_correct_one_that_does_not_know_it() -> None:
    joining = FastLeaderElection(4, Configs(config(3), config(4, version=1)))
    for _ in range(3):
        joining.start(0, 0)
    assert not [each for each in told(joining, 1, looking(1)) if isinstance(each, Send)]


def test_newer_configurations() -> None:
    fle = election(1)
    same = config(3, 1, version=5)
    newer = looking(2)._replace(config=same.text())
    first, *others = told(fle, 2, newer)
    assert isinstance(first, ActivateConfig) and not first.restart and first.config.version == 5
    assert isinstance(others[0], Send) and fle.proposal.leader == 2
    other = looking(3)._replace(config=config(4, version=5).text())
    (restart,) = told(fle, 3, other)
    assert isinstance(restart, ActivateConfig) and restart.restart
    assert fle.proposal.leader == 2
    told(fle, 3, looking(3)._replace(config="nonsense"))
    assert fle.proposal.leader == 3
    fle.on_timeout(True)
    assert fle.state is FOLLOWING
    (answer,) = told(fle, 3, other)
    assert isinstance(answer, Send)


def test_both_configurations_must_agree() -> None:
    configs = Configs(config(3), config(5, version=7))
    fle = FastLeaderElection(3, configs)
    assert fle.start(0, 0)[0][0] == (1, 2, 4, 5)  # type: ignore[misc]
    told(fle, 1, looking(3))
    assert isinstance(fle.on_timeout(True)[0], Send)
    told(fle, 5, looking(3))
    assert fle.on_timeout(True) == [Decided(3, LEADING)]


def test_the_oracle_is_asked_again_when_nothing_comes() -> None:
    answers = [False]
    fle = FastLeaderElection(1, Configs(config(2, oracle=lambda: answers[0])))
    fle.start(0, 0)
    assert fle.on_timeout(True)[-1] == Wait(400)
    answers[0] = True
    assert fle.on_timeout(True)[-1] == Decided(1, LEADING)


@pytest.mark.parametrize("answer", [True, False])
def test_a_leader_without_a_quorum_of_reports_is_followed_when_there_is_an_oracle(answer: bool) -> None:
    """Denied, because the other one leads; granted, because one report is then a quorum."""
    fle = FastLeaderElection(1, Configs(config(2, oracle=lambda: answer)))
    fle.start(0, 0)
    assert told(fle, 2, report(LEADING, 2, 8)) == [Decided(2, FOLLOWING)]


class World:
    """Servers and the notifications between them, delivered in any order."""

    def __init__(self, random: Random, histories: list[tuple[int, int]]) -> None:
        self.random = random
        self.histories = dict(enumerate(histories, 1))
        self.configs = Configs(config(len(histories)))
        self.peers = {sid: FastLeaderElection(sid, self.configs) for sid in self.histories}
        self.wire: list[tuple[int, int, Notification]] = []
        self.backed: dict[tuple[int, int], set[int]] = {}  # who has ever advertised (leader, round)
        self.joined: set[int] = set()
        self.decided: dict[tuple[int, int], set[int]] = {}

    def start(self, sid: int) -> None:
        epoch, zxid = self.histories[sid]
        self.act(sid, self.peers[sid].start(zxid, epoch))

    def act(self, sid: int, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                assert sid not in action.sids
                self.wire += ((sid, to, action.message) for to in action.sids)
                if action.message.state is LOOKING and len(action.sids) == len(self.peers) - 1:
                    key = action.message.leader, action.message.election_epoch
                    self.backed.setdefault(key, set()).add(sid)
            elif isinstance(action, Decided):
                vote = self.peers[sid].current_vote
                assert vote.leader == action.leader
                key = vote.leader, vote.round
                assert 2 * len(self.backed.get(key, ())) > len(self.peers), "decided without a quorum's votes"
                self.decided.setdefault(key, set()).add(sid)
        if self.peers[sid].state is LOOKING and self.peers[sid].round:
            assert isinstance(actions[-1], Wait)

    def deliver(self, keep: bool = False, drop: bool = False) -> None:
        index = self.random.randrange(len(self.wire))
        sender, to, message = self.wire[index] if keep else self.wire.pop(index)
        if not drop:
            self.act(to, self.peers[to].on_notification(sender, message))

    def time_out(self, sid: int) -> None:
        if self.peers[sid].state is LOOKING and self.peers[sid].round:
            self.act(sid, self.peers[sid].on_timeout(True))

    def check(self) -> None:
        supported = [
            key for key, who in self.decided.items() if 2 * len(who) > len(self.peers) and key[0] in who
        ]
        rounds = [round_ for _, round_ in supported]
        assert len(rounds) == len(set(rounds)), f"two leaders with a quorum in one round: {supported}"


histories = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=5)


@deterministic
@given(histories, st.integers(0, 1 << 32))
def test_without_loss_the_best_server_is_elected(peers: list[tuple[int, int]], seed: int) -> None:
    world = World(Random(seed), peers)
    for sid in world.random.sample(sorted(world.peers), len(peers)):
        world.start(sid)
    for _ in range(8):
        while world.wire:
            world.deliver()
        for sid in world.peers:
            world.time_out(sid)
    best = max((history, sid) for sid, history in world.histories.items())[1]
    for sid, peer in world.peers.items():
        assert peer.current_vote.leader == best
        assert peer.state is (LEADING if sid == best else FOLLOWING)
    world.check()


@deterministic
@given(histories, st.integers(0, 1 << 32))
def test_never_two_supported_leaders_in_a_round(peers: list[tuple[int, int]], seed: int) -> None:
    random = Random(seed)
    world = World(random, peers)
    for sid in world.peers:
        if random.random() < 0.9:
            world.start(sid)
    for _ in range(120):
        choice = random.random()
        if world.wire and choice < 0.75:
            world.deliver(keep=random.random() < 0.1, drop=random.random() < 0.15)
        elif choice < 0.97:
            world.time_out(random.choice(sorted(world.peers)))
        else:
            sid = random.choice(sorted(world.peers))
            if not world.peers[sid].round:
                world.start(sid)
        world.check()


def test_a_restarted_server_joins_the_leader_that_the_others_follow() -> None:
    for order in permutations([1, 2, 3]):
        world = World(Random(1), [(1, 5), (1, 4), (1, 3)])
        for sid in (1, 2):
            world.start(sid)
        for _ in range(3):
            while world.wire:
                world.deliver()
            for sid in order:
                world.time_out(sid)
        assert world.peers[1].state is LEADING
        for sid in (1, 2):
            world.peers[sid].set_epoch(2)
        world.start(3)
        while world.wire:
            world.deliver()
        assert world.peers[3].state is FOLLOWING
        assert world.peers[3].current_vote.leader == 1
