"""The checks of fault runs: every one of them can fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat.faults import checks, logs
from compat.faults.history import (
    BAD_VERSION,
    NO_NODE,
    OK,
    History,
    Kind,
    Operation,
    SessionRecord,
    WatchRecord,
)
from zkpy import opcodes
from zkpy.tree.txns import (
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    SetData,
    Txn,
    TxnHeader,
    encode_payload,
)

SESSION = 0x10000
ACL = ((31, "world", "anyone"),)
KEY = "/keys/1"
EPHEMERAL = f"/owners/{SESSION:x}"


class World:
    """A run without a flaw, to be spoilt."""

    def __init__(self) -> None:
        self.payloads: dict[int, bytes] = {}
        self.history = History()
        self.session = SessionRecord(SESSION, 1, 4.0, 0.0)
        self.history.sessions[SESSION] = self.session
        self.log_txn(1, 0, CreateSession(4000))
        self.log_txn(2, 1, create(EPHEMERAL, None, None))
        self.session.ephemeral = EPHEMERAL
        self.log_txn(3, 2, create(KEY, b"a", 0))
        self.log_txn(4, 3, SetData(opcodes.SET_DATA, KEY.encode(), b"b", 1))
        self.log_txn(5, 4, Error(BAD_VERSION))
        self.log_txn(6, 5, Delete(opcodes.DELETE, KEY.encode()))
        self.log_txn(7, 6, create(KEY, b"c", 0))
        self.log_txn(8, 7, CloseSession([EPHEMERAL.encode()]), time_ms=100_000)
        self.created = self.done(Kind.CREATE, 2, 3, 10, b"a")
        self.set = self.done(Kind.SET, 3, 4, 11, b"b")
        self.refused = self.done(Kind.SET, 4, 5, 12, b"x", error=BAD_VERSION)
        self.read = self.done(Kind.READ, 20, 5, 13, b"b")
        self.read.version, self.read.mzxid = 1, at(4)
        self.deleted = self.done(Kind.DELETE, 5, 6, 14)
        self.gone = self.done(Kind.PLAIN, 21, 6, 15, error=NO_NODE)
        for op in self.history.operations:
            self.session.answers.append((op.invoked, op.completed, op.zxid, "member 1"))
        self.watch = WatchRecord(KEY, at(3), begin=1, fired=1, kind=3)
        self.later = WatchRecord(KEY, at(5), begin=4, fired=4, kind=2)
        self.session.watches += [self.watch, self.later, WatchRecord(KEY, at(7), begin=6)]

    def log_txn(self, zxid: int, cxid: int, txn: Txn, session: int = SESSION, time_ms: int = 0) -> None:
        header = TxnHeader(session, cxid, 1 << 32 | zxid, time_ms)
        self.payloads[1 << 32 | zxid] = encode_payload(header, txn.type, txn.encode(), b"")

    def done(
        self, kind: Kind, xid: int, zxid: int, at: float, data: bytes | None = None, error: int = OK
    ) -> Operation:
        op = Operation(1, kind, KEY, at, data, session=SESSION, xid=xid, completed=at + 0.5, error=error)
        op.zxid = 1 << 32 | zxid
        self.history.operations.append(op)
        return op

    def wrong(self) -> list[str]:
        log = logs.replay(self.payloads)
        return [
            *log.wrong,
            *checks.session_order(self.history),
            *checks.writes_are_logged(self.history, log),
            *checks.reads_fit_their_zxid(self.history, log),
            *checks.order_of_time(self.history),
            *checks.sessions_live(self.history, log, slack_s=1.0),
            *checks.expiry_is_true(self.history, log),
            *checks.ephemerals_are_gone(self.history, log),
            *checks.watches_fire(self.history, log),
        ]


def create(path: str, data: bytes | None, owner: int | None) -> Create:
    return Create(opcodes.CREATE, path.encode(), data, ACL, owner, -1)


def at(zxid: int) -> int:
    return 1 << 32 | zxid


def lose_a_write(world: World) -> None:
    world.log_txn(4, 0, Error(OK), session=1)


def lose_the_last_write(world: World) -> None:
    world.done(Kind.SET, 9, 9, 16, b"d")


def another_clients_write(world: World) -> None:
    world.set.session += 1


def do_twice(world: World) -> None:
    world.log_txn(7, 5, create(KEY, b"c", 0))


def do_what_was_refused(world: World) -> None:
    world.refused.xid = 3


def refuse_without_a_transaction(world: World) -> None:
    world.refused.zxid = at(4)


def read_stale(world: World) -> None:
    world.read.data, world.read.version, world.read.mzxid = b"a", 0, at(3)


def read_a_value_of_the_future(world: World) -> None:
    world.read.zxid = at(3)


def read_another_stat(world: World) -> None:
    world.read.mzxid = at(3)


def miss_what_is_there(world: World) -> None:
    world.gone.zxid = at(5)


def see_what_is_gone(world: World) -> None:
    world.gone.error, world.gone.data, world.gone.version, world.gone.mzxid = OK, b"b", 1, at(4)


def miss_the_own_ephemeral(world: World) -> None:
    world.gone.key = EPHEMERAL


def go_back(world: World) -> None:
    world.session.answers.append((30, 31, at(4), "member 2"))


def give_a_session_twice(world: World) -> None:
    world.history.repeated_sessions.append(SESSION)


def reorder(world: World) -> None:
    world.created.zxid, world.set.zxid = world.set.zxid, world.created.zxid


def read_before_an_acknowledged_write(world: World) -> None:
    world.read.zxid = at(3)
    world.read.data, world.read.version, world.read.mzxid = b"a", 0, at(3)


def expire_a_session_that_lives(world: World) -> None:
    world.log_txn(8, 7, CloseSession([EPHEMERAL.encode()]), time_ms=17_000)


def call_expired_what_is_not(world: World) -> None:
    del world.payloads[at(8)]
    world.session.expired = 50.0
    world.session.ephemeral = None


def keep_the_ephemeral(world: World) -> None:
    del world.payloads[at(8)]


def write_after_the_end(world: World) -> None:
    world.log_txn(9, 8, SetData(opcodes.SET_DATA, KEY.encode(), b"late", 1))


def own_after_the_end(world: World) -> None:
    world.log_txn(9, 8, create(EPHEMERAL, None, None))


def delete_an_ephemeral(world: World) -> None:
    world.log_txn(7, 6, Delete(opcodes.DELETE, EPHEMERAL.encode()), session=1)


def skip_a_version(world: World) -> None:
    world.log_txn(4, 3, SetData(opcodes.SET_DATA, KEY.encode(), b"b", 2))


def create_what_is_there(world: World) -> None:
    world.log_txn(5, 4, create(KEY, b"c", 0))


def lose_an_event(world: World) -> None:
    world.watch.fired = None


def be_told_late(world: World) -> None:
    world.later.fired = 5


def be_told_something_else(world: World) -> None:
    world.later.kind = 3


def be_told_of_nothing(world: World) -> None:
    world.watch.zxid, world.watch.begin, world.watch.fired = at(7), 6, 6


def be_told_unasked(world: World) -> None:
    world.session.stray.append(KEY)


SPOILT: list[Callable[[World], None]] = [
    lose_a_write,
    lose_the_last_write,
    another_clients_write,
    do_twice,
    do_what_was_refused,
    refuse_without_a_transaction,
    lose_an_event,
    be_told_late,
    be_told_something_else,
    be_told_of_nothing,
    be_told_unasked,
    read_stale,
    read_a_value_of_the_future,
    read_another_stat,
    miss_what_is_there,
    see_what_is_gone,
    miss_the_own_ephemeral,
    go_back,
    give_a_session_twice,
    reorder,
    read_before_an_acknowledged_write,
    expire_a_session_that_lives,
    call_expired_what_is_not,
    keep_the_ephemeral,
    write_after_the_end,
    own_after_the_end,
    delete_an_ephemeral,
    skip_a_version,
    create_what_is_there,
]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_is_noticed(spoil: Callable[[World], None]) -> None:
    world = World()
    spoil(world)
    assert world.wrong()


def test_a_run_without_a_flaw_passes() -> None:
    world = World()
    assert world.wrong() == []


def test_what_has_no_answer_may_have_happened_or_not() -> None:
    world = World()
    for op, xid in ((Kind.SET, 6), (Kind.SET, 30)):
        lost = world.done(op, xid, 7, 16, b"c")
        lost.error, lost.zxid = None, -1
    assert world.wrong() == []


def test_an_old_plain_read_is_right_while_its_zxid_is_old_too() -> None:
    world = World()
    old = world.done(Kind.PLAIN, 40, 3, 30, b"a")
    old.version, old.mzxid = 0, at(3)
    assert world.wrong() == []


def test_members_must_have_logged_the_same() -> None:
    world = World()
    other = dict(world.payloads)
    merged, wrong = logs.merge({1: world.payloads, 2: other})
    assert not wrong and list(merged) == sorted(world.payloads)
    other[at(4)] = other[at(5)]
    assert logs.merge({1: world.payloads, 2: other})[1] == [
        "members 1 and 2 have different transactions 100000004"
    ]


def test_what_all_members_lack_is_noticed() -> None:
    payloads = World().payloads
    del payloads[at(4)]
    assert logs.merge({1: payloads, 2: payloads})[1] == [
        "no member has what was between 100000003 and 100000005"
    ]


def test_what_one_member_lacks_behind_its_first_entry_is_noticed() -> None:
    payloads = World().payloads
    assert (
        logs.missing(1, {zxid: payload for zxid, payload in payloads.items() if zxid > at(3)}, payloads) == []
    )
    assert logs.missing(1, {zxid: payload for zxid, payload in payloads.items() if zxid < at(8)}, payloads)
    holed = {zxid: payload for zxid, payload in payloads.items() if zxid != at(5)}
    assert logs.missing(1, holed, payloads) == [
        "member 1 has not logged 1 transactions behind 100000001: 100000005"
    ]


def test_what_was_never_committed_counts_only_where_the_others_have_a_hole() -> None:
    payloads = World().payloads
    later = {**payloads, 2 << 32 | 1: payloads[at(1)]}
    java = {**later, at(9): payloads[at(4)]}
    assert logs.merge({1: java, 2: later}, leftovers=[1]) == (later, [])
    assert at(9) in logs.merge({1: java, 2: later})[0]
    holed = {zxid: payload for zxid, payload in later.items() if zxid != at(4)}
    assert logs.merge({1: java, 2: holed}, leftovers=[1]) == (later, [])
    assert logs.merge({1: java, 2: later}, [1], answered=[at(8)]) == (later, [])
    assert at(9) in logs.merge({1: java, 2: later}, [1], answered=[at(3), at(9), at(5)])[0]
