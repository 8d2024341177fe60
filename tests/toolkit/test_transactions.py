"""Every kind of transaction has its line and its JSON; a choice picks the right ones."""

from __future__ import annotations

import attrs
import pytest

from tests.persist.records import MS, all_kinds, history
from zkpy import opcodes
from zkpy.persist.logreader import LogEntry
from zkpy.toolkit.console import ToolError
from zkpy.toolkit.render import Clock
from zkpy.toolkit.transactions import (
    Choice,
    Moment,
    entry_json,
    entry_text,
    moment,
    op_codes,
    txn_json,
    txn_text,
)
from zkpy.tree.txns import CloseSession, Delete, Multi, Txn, decode_payload

UTC = Clock(utc=True)

LINES = """\
createSession timeout=10000ms
create /a data="hello" acl=world:anyone:cdrwa parentCversion=-1
create2 /a/b data=null acl=world:anyone:cdrwa parentCversion=-1
create /e data="" acl=world:anyone:cdrwa ephemeral parentCversion=-1
createContainer /c data="" acl=world:anyone:cdrwa container parentCversion=-1
createTTL /t data="x" acl=world:anyone:cdrwa ttl=60000ms parentCversion=-1
setData /a data="more" version=1
setACL /a/b acl=digest:user:hash:r,ip:127.0.0.1:cdrwa aversion=1
error NODE_EXISTS(-110)
multi [check /a version=1; create /m data="1" acl=world:anyone:cdrwa parentCversion=-1; \
setData /m data="2" version=1]
multi FAILED [create /n data="" acl=world:anyone:cdrwa parentCversion=-1; error BAD_VERSION(-103); \
error RUNTIME_INCONSISTENCY(-2)]
reconfig /zookeeper/config data="server.1=a:1:2:participant" version=-1
delete /a/b
deleteContainer /c
create /zookeeper/quota/a data="" acl=world:anyone:cdrwa parentCversion=-1
create /\u4e2d data=0xff00 acl=world:anyone:cdrwa parentCversion=-1
closeSession deletes=[/e]
""".splitlines()


def test_every_type_has_its_line() -> None:
    assert [txn_text(txn, 64) for txn in all_kinds()] == LINES


def test_json_is_complete() -> None:
    items = [txn_json(txn) for txn in all_kinds()]
    assert items[5] == {
        "type": "createTTL",
        "path": "/t",
        "data": "x",
        "acl": ["world:anyone:cdrwa"],
        "ephemeral": False,
        "ttl_ms": 60_000,
        "parent_cversion": -1,
    }
    assert items[10]["failed"] and [op["type"] for op in items[10]["ops"]] == ["create", "error", "error"]
    assert items[15]["data64"] == "/wA="
    assert items[16] == {"type": "closeSession", "deletes": ["/e"]}
    assert txn_json(CloseSession(None))["deletes"] is None
    assert "not listed" in txn_text(CloseSession(None), 64)


def entries() -> list[LogEntry]:
    payloads, _ = history(all_kinds())
    return [LogEntry(100 * at, at + 1, payload) for at, payload in enumerate(payloads)]


def chosen(choice: Choice) -> list[int]:
    found = [entry for entry in entries() if choice.may_fit(entry)]
    return [entry.zxid for entry in found if choice.fits(decode_payload(entry.payload).txn)]


ALL = Choice()


@pytest.mark.parametrize(
    ("choice", "zxids"),
    [
        (ALL, list(range(1, 18))),
        (attrs.evolve(ALL, path=b"/a"), [2, 7, 10]),
        (attrs.evolve(ALL, path=b"/a", below=True), [2, 3, 7, 8, 10, 13]),
        (attrs.evolve(ALL, path=b"/", below=True), [2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17]),
        (attrs.evolve(ALL, path=b"/m"), [10]),
        (attrs.evolve(ALL, path=b"/e"), [4, 17]),
        (attrs.evolve(ALL, path=b"/a", ops=frozenset({opcodes.SET_DATA})), [7]),
        (attrs.evolve(ALL, path=b"/m", ops=frozenset({opcodes.MULTI})), [10]),
        (attrs.evolve(ALL, ops=op_codes("delete,closeSession")), [13, 14, 17]),
        (attrs.evolve(ALL, ops=op_codes("create"), path=b"/", below=True), [2, 3, 4, 5, 6, 10, 11, 15, 16]),
        (attrs.evolve(ALL, ops=op_codes("check")), [10]),
        (attrs.evolve(ALL, since=Moment(zxid=15)), [15, 16, 17]),
        (attrs.evolve(ALL, since=Moment(zxid=2), until=Moment(zxid=3)), [2, 3]),
        (attrs.evolve(ALL, since=Moment(ms=MS + 15), until=Moment(ms=MS + 16)), [15, 16]),
        (attrs.evolve(ALL, session=0x1000, until=Moment(zxid=1)), [1]),
        (attrs.evolve(ALL, session=0x1001), []),
    ],
)
def test_choices(choice: Choice, zxids: list[int]) -> None:
    assert chosen(choice) == zxids


def test_below_ends_at_a_slash() -> None:
    assert attrs.evolve(ALL, path=b"/a", below=True).fits(Delete(opcodes.DELETE, b"/a/b"))
    assert not attrs.evolve(ALL, path=b"/a", below=True).fits(Delete(opcodes.DELETE, b"/ab"))


def test_path_and_operation_must_fit_the_same_one() -> None:
    txn: Txn = Multi([Delete(opcodes.DELETE, b"/x"), *all_kinds()[1:2]])
    assert not attrs.evolve(ALL, path=b"/x", ops=op_codes("create")).fits(txn)
    assert attrs.evolve(ALL, path=b"/x", ops=op_codes("delete")).fits(txn)


def test_a_line_and_an_object() -> None:
    entry = entries()[1]
    logged = decode_payload(entry.payload)
    line = entry_text(logged, UTC, 0, False)
    assert line == (
        "2023-11-14T22:13:20.002Z session 0x1000 cxid 0x2 zxid 0x2 create /a acl=world:anyone:cdrwa "
        "parentCversion=-1"
    )
    assert entry_text(logged, UTC, 0, True) == f"{line} digest=0x{logged.digest:x}"
    item = entry_json("log.1", entry, logged, UTC)
    assert (item["zxid"], item["session"], item["cxid"], item["file"], item["offset"]) == (
        "0x2",
        "0x1000",
        2,
        "log.1",
        100,
    )
    assert item["time_ms"] == MS + 2 and item["digest"] == f"0x{logged.digest:x}"


def test_moments() -> None:
    now = 1_700_000_000_000
    assert moment("0x1F", now, True) == Moment(zxid=31)
    assert moment("10m", now, True) == Moment(ms=now - 600_000)
    assert moment("1.5h", now, True) == Moment(ms=now - 5_400_000)
    assert moment("2023-11-14", now, True) == Moment(ms=1_699_920_000_000)
    assert moment("2023-11-14T22:13:20.5+01:00", now, True) == Moment(ms=now - 3_600_000 + 500)
    assert moment("2023-11-14T22:13:20Z", now, False) == Moment(ms=now)


@pytest.mark.parametrize("text", ["", "0xz", "10", "yesterday", "3x", "2023-13-01", "99999-01-01"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ToolError, match="no moment"):
        moment(text, 0, True)


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(ToolError, match=r"'creat'.*setData"):
        op_codes("delete,creat")
