"""What the members' answers amount to."""

from __future__ import annotations

import pytest

from zkpy.ensemble import status
from zkpy.ensemble.asking import Answer, Asked
from zkpy.ensemble.status import NO_MEMBER, OBSERVER, UNKNOWN, VOTER, Status, summary, table
from zkpy.quorum.quorumconfig import QuorumConfig


def members(*voters: int, observers: tuple[int, ...] = (), version: int = 0, more: str = "") -> QuorumConfig:
    lines = [f"server.{sid}=h:{sid}:{sid + 100}:participant;{sid}" for sid in voters]
    lines += [f"server.{sid}=h:{sid}:{sid + 100}:observer;{sid}" for sid in observers]
    return QuorumConfig.from_text("\n".join([*lines, more, f"version={version:x}"]))


def answer(
    number: int | None,
    role: str | None = "follower",
    config: QuorumConfig | None = None,
    *,
    oracle: bool | None = None,
    observer: bool | None = None,
) -> Answer:
    asked = Asked("h", number or 99, number, observer, oracle=oracle)
    problem = None if role else "does not answer (Connection refused)"
    return Answer(asked, number, role, 2, 0x200000005 if role else None, 0, problem, config)


THREE = members(1, 2, 3)


def test_the_configuration_says_who_votes() -> None:
    newer = members(1, 2, observers=(3,), version=0x100000005)
    older = members(1, 2, 3, 4, 5, version=0x100000000)
    found = Status(
        (
            answer(1, "leader", newer, observer=True),
            answer(2, "follower", older),
            answer(3, "observer", newer, observer=False),
            answer(4, "follower", newer, observer=False),
            answer(5, None),
            answer(None, None),
        )
    )
    assert [found.configured(each) for each in found.answers] == [
        VOTER,
        VOTER,
        OBSERVER,
        NO_MEMBER,
        NO_MEMBER,
        UNKNOWN,
    ]
    assert (found.voters, found.serving_voters, found.quorum, found.healthy) == (2, 2, True, True)
    assert summary(found) == "led by server 1; 2 of 2 voters of configuration 100000005 serve: a quorum"
    assert found.notes() == [
        "server 2 still goes by configuration 100000000",
        "server 4 serves and is not in the configuration: its vote does not count",
    ]
    assert "5   h:5      no member   does not answer (Connection refused)" in table(found).splitlines()


@pytest.mark.parametrize(
    ("serving", "quorum"), [((1, 2, 4, 5), True), ((1, 2, 3, 4), False), ((1, 4, 5, 7, 8), True)]
)
def test_groups_and_weights_decide_where_there_are_any(serving: tuple[int, ...], quorum: bool) -> None:
    weights = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.9=0"
    config = members(*range(1, 10), more=weights)
    answers = [answer(sid, "follower" if sid in serving else None) for sid in range(1, 10)]
    answers[0] = answer(1, "leader", config)
    found = Status(tuple(answers))
    assert (found.quorum, found.healthy) == (quorum, quorum)
    judged = "a quorum" if quorum else "no quorum"
    assert (
        summary(found) == f"led by server 1; {len(serving)} of 9 voters serve: {judged} by groups and weights"
    )


@pytest.mark.parametrize(("oracle", "healthy"), [(True, True), (False, False), (None, False)])
def test_one_of_two_voters_leads_alone_by_its_oracle(oracle: bool | None, healthy: bool) -> None:
    leader = answer(1, "leader", members(1, 2), oracle=oracle)
    found = Status((leader, answer(2, None, oracle=oracle)))
    assert (found.quorum, found.healthy) == (healthy, healthy)
    if healthy:
        assert summary(found) == "led by server 1; 1 of 2 voters serve: a quorum, as the oracle allows"
        assert found.notes() == []
    else:
        assert summary(found) == "led by server 1; 1 of 2 voters serve: no quorum"
        assert found.notes() == [
            "one of two voters leads alone: only an oracle can have allowed that, if there is one"
        ]


def test_an_oracle_makes_no_quorum_of_one_that_looks_for_a_leader() -> None:
    found = Status((answer(1, None, oracle=True), answer(2, None, oracle=True)))
    assert (found.quorum, found.healthy) == (False, False)


def test_a_server_that_was_asked_twice_is_counted_once() -> None:
    found = Status((answer(1, "leader", THREE), answer(1, "leader", THREE), answer(2, None), answer(3, None)))
    assert (found.serving_voters, found.quorum) == (1, False)


def test_a_standalone_server_is_said_to_be_one() -> None:
    alone = Status((answer(None, "standalone"),))
    assert alone.healthy
    assert alone.configured(alone.answers[0]) == UNKNOWN
    assert summary(alone) == "a standalone server, which serves; no ensemble"
    assert alone.notes() == []
    two = Status((answer(None, "standalone"), answer(None, "standalone")))
    assert not two.healthy
    assert summary(two) == "standalone servers; no ensemble"
    among = Status((answer(1, "leader", THREE), answer(2), answer(3), answer(None, "standalone")))
    assert among.healthy
    assert among.configured(among.answers[3]) == NO_MEMBER
    assert among.lag(among.answers[3]) is None
    assert among.notes() == ["h:99 is a standalone server: it belongs to no ensemble"]


def test_members_that_list_others_are_named() -> None:
    found = Status((answer(1, "leader", THREE), answer(2, "follower", members(1, 2, 3, 4)), answer(3)))
    assert found.voters == 3, "the leader's counts"
    assert found.notes() == [
        "server 2: the configuration there lists other members; compare the server lines"
    ]


def test_without_a_configuration_those_count_who_were_asked() -> None:
    found = Status(
        (answer(1, "leader"), answer(2, None), answer(3, "observer"), answer(4, None, observer=True))
    )
    assert [found.configured(each) for each in found.answers] == [VOTER, VOTER, OBSERVER, OBSERVER]
    assert summary(found) == "led by server 1; 1 of 2 voters serve: no quorum"
    assert found.notes()[0].startswith("no member states the configuration (the word conf has to be allowed)")
    assert Status((answer(1, None),)).notes() == []


def test_the_same_for_programs() -> None:
    found = Status((answer(1, "leader", THREE), answer(2, "follower", THREE), answer(3, None)))
    data = status.as_data(found)
    members_told = data.pop("members")
    assert data == {
        "healthy": True,
        "leader": "h:1",
        "configuration": "0",
        "voters": 3,
        "serving_voters": 2,
        "quorum": True,
        "notes": [],
    }
    assert members_told[2] == {
        "id": 3,
        "address": "h:3",
        "configured": "voter",
        "role": None,
        "epoch": 2,
        "zxid": None,
        "lag": None,
        "connections": 0,
        "problem": "does not answer (Connection refused)",
    }


def test_what_each_member_lacks() -> None:
    def at(role: str | None, zxid: int | None, observer: bool = False) -> Answer:
        return Answer(Asked("h", 1, observer=observer), role=role, epoch=2, zxid=zxid)

    found = Status(
        (
            at("follower", 0x200000003),
            at("leader", 0x200000005),
            at("follower", 0x100000009),  # synchronised in epoch 2, nothing applied since
            at("observer", 0x200000006, observer=True),  # asked a moment later than the leader
            at(None, None),
        )
    )
    assert [found.lag(each) for each in found.answers] == [2, 0, 5, 0, None]
    assert (found.voters, found.serving_voters, found.healthy) == (4, 3, True)
    assert not Status((found.answers[1], found.answers[4], found.answers[4])).healthy
    assert not Status(found.answers[::2]).healthy
