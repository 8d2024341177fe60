"""Local sessions at zkpy's servers and at Java's: the same answers in every role, in the same ensembles.

Servers 1 (Java) and 2 (zkpy) follow server 3, 4 (zkpy) and 5 (Java) observe. Where voters make a local
session global for its first ephemeral, the observers refuse that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest

from compat import wire
from compat.ensemble import Ensemble
from compat.members import eventually, gauge, same_logs, same_trees, the_third_leads
from compat.process import ServerProcess, four_letters
from compat.test_ensemble import KINDS, SETTINGS
from compat.wire import CLOSE_SESSION, CREATE, CREATE_CONTAINER, SET_DATA, Script, Session, create_body

LED_BY = {"java": "jzjzj", "zkpy": "jzzzj"}
UPGRADING = "localSessionsUpgradingEnabled"
_SETTINGS = {**SETTINGS, "localSessionsEnabled": "true", "4lw.commands.whitelist": "*"}


class Notes:
    """What clients of the members were told, by the kind of leader and the member."""

    def __init__(self) -> None:
        self.ensemble: Ensemble
        self.told: dict[tuple[str, int], list[wire.Reply]] = {}


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module", params=LED_BY)
def leader(request: pytest.FixtureRequest, notes: Notes) -> Iterator[str]:
    """The kind of the leader; its ensemble runs."""
    kind: str = request.param
    ensemble = Ensemble([KINDS[each] for each in LED_BY[kind]], _SETTINGS, observers=(4, 5))
    for number, member in ensemble.members.items():
        member.config[UPGRADING] = str(number <= 3).lower()
    with ensemble:
        the_third_leads(ensemble)
        notes.ensemble = ensemble
        for number in ensemble.members:
            script = partial(upgraded if number <= 3 else refused, ensemble, number)
            notes.told[kind, number] = wire.play(ensemble.members[number].address, f"n{number}", script)
        yield kind


def elsewhere(s: Script, ensemble: Ensemble, number: int, session: Session) -> Session:
    """The session at the next voter."""
    here, s.address = s.address, ensemble.members[number % 3 + 1].address
    moved = s.session("moved", session=session.id, password=session.password)
    s.address = here
    return moved


def shown(s: Script, ensemble: Ensemble, number: int) -> None:
    """Compare what the words tell of sessions."""
    member = ensemble.members[number]
    text = four_letters(member.port, "dump").partition("ephemeral nodes")[0]
    for line in text.splitlines():
        if "Local Session" in line or "Global Session Sets" in line:
            line = re.sub(r"\(\d+\)/", "", line)  # Java lists empty buckets, too
        elif found := re.fullmatch(r"(\t?)0x([0-9a-f]+)(.*)", line):
            line = f"{found[1]}{s.norm.session(int(found[2], 16)):x}{found[3]}"
        elif "expire" in line:
            continue
        s.note(f"dump {line}")
    for key in ("local_sessions", "global_sessions"):
        s.note(f"{key} {gauge(member, key)}")


def ordinary(s: Script, ensemble: Ensemble, number: int) -> Session:
    """What every local session can do; it goes on at the same server and at no other."""
    a = s.session("a", timeout_ms=9000)
    shown(s, ensemble, number)
    a.create(s / "n", b"data", err=0)
    a.get(s / "n", err=0)
    a.set(s / "n", b"more", err=0)
    a.call(CREATE_CONTAINER, create_body(s / "c", flags=1), err=-112)
    a.multi((CREATE, create_body(s / "m")), (SET_DATA, wire.text(s / "n") + wire.text(b"x") + wire.i32(-1)))
    elsewhere(s, ensemble, number, a)
    s.session("wrong", session=a.id, password=b"x" * 16)
    assert a.receive().err is None
    again = s.session("again", session=a.id, password=a.password, timeout_ms=8000)
    again.create(s / "n2", err=0)
    return again


def refused(ensemble: Ensemble, number: int, s: Script) -> None:
    a = ordinary(s, ensemble, number)
    a.create(s / "e", flags=1, err=-120)
    a.create(s / "e", flags=3, err=-120, op=CREATE)
    a.create("/absent/e", flags=1, err=-120)
    a.create(s / "e", flags=9, err=-8)
    a.create(s / "n", err=-110)
    a.multi(
        (CREATE, create_body(s / "m2")),
        (CREATE, create_body(s / "e", flags=1)),
        (CREATE, create_body(s / "m3")),
    )
    shown(s, ensemble, number)
    closed_at(s, a)


def upgraded(ensemble: Ensemble, number: int, s: Script) -> None:
    a = ordinary(s, ensemble, number)
    a.send((CREATE, create_body(s / "e", flags=1)), (CREATE, create_body(s / "e2", flags=1)))
    assert [reply.err for reply in a.receive_all(2)] == [0, 0]
    shown(s, ensemble, number)
    moved = elsewhere(s, ensemble, number, a)
    moved.create(s / "e3", flags=1, err=0)
    moved.close()
    b = s.session("b")
    b.multi((CREATE, create_body(s / "m4")), (CREATE, create_body(s / "e", flags=1)))
    b.close()
    c = s.session("c")
    c.create("/absent/e", flags=1, err=-101)
    shown(s, ensemble, number)
    c.close()
    closed_at(s, s.session("d"))


def closed_at(s: Script, session: Session) -> None:
    """The end of a local session is no transaction."""
    before = s.last_zxid()
    session.send((CLOSE_SESSION, b""))
    session.receive()
    assert session.receive().err is None
    assert s.last_zxid() == before
    s.closed(session)
    gone = s.session("gone", session=session.id, password=session.password)
    assert gone.id == 0


@pytest.mark.parametrize(("java", "zkpy"), [(1, 2), (5, 4)], ids=["followers", "observers"])
def test_learners_tell_the_same(leader: str, notes: Notes, java: int, zkpy: int) -> None:
    _same(notes.told[leader, java], notes.told[leader, zkpy])


def test_logs_and_trees_are_the_same(leader: str, notes: Notes) -> None:
    same_logs(notes.ensemble)
    same_trees(notes.ensemble)
    _expire(notes.ensemble)


def _expire(ensemble: Ensemble) -> None:
    for member in ensemble.members.values():
        before = gauge(member, "local_sessions")
        raw = wire.Wire(member.address)
        raw.send(wire.connect_frame(timeout_ms=1000))
        assert raw.receive()
        assert raw.receive() is None, "it has expired"
        raw.close()
        eventually("gone", partial(_has_local_sessions, member, before))


def _has_local_sessions(member: ServerProcess, number: str) -> bool:
    return gauge(member, "local_sessions") == number


def test_leaders_tell_the_same(leader: str, notes: Notes) -> None:
    if len(told := [notes.told[kind, 3] for kind in LED_BY if (kind, 3) in notes.told]) == len(LED_BY):
        _same(*told)


def _same(java: list[wire.Reply], zkpy: list[wire.Reply]) -> None:
    # The names of the two subtrees differ.
    def texts(replies: list[wire.Reply]) -> list[str]:
        return [re.sub(r"/n\d", "/n", reply.note) for reply in replies]

    assert texts(java) == texts(zkpy)
    assert len(java) > 20
