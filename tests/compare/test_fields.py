"""Frames taken apart (``zkpy.compare.fields``); the encoder of ``compat.wire`` makes them."""

from __future__ import annotations

from struct import pack

from compat import wire
from zkpy import opcodes
from zkpy.compare.fields import (
    Field,
    Kind,
    event_fields,
    json_value,
    operation,
    record_fields,
    reply_fields,
    request_fields,
    text_value,
)

STAT = pack(">qqqqiiiqiiq", 1, 2, 3, 4, 5, 6, 7, -8, 9, 10, 11)


def request(opcode: int, body: bytes = b"") -> dict[str, Field]:
    fields = request_fields(opcode, pack(">ii", 1, opcode) + body)
    return {field.name: field for field in fields}


def reply(opcode: int, body: bytes = b"", err: int = 0) -> dict[str, Field]:
    return {field.name: field for field in reply_fields(opcode, pack(">iqi", 1, 20, err) + body)}


def test_arguments() -> None:
    fields = request(opcodes.CREATE, wire.create_body("/a", b"x", wire.OPEN, 3))
    assert {name: json_value(field) for name, field in fields.items()} == {
        "path": "/a",
        "data": "x",
        "acl": [[31, "world", "anyone"]],
        "flags": 3,
    }
    assert text_value(fields["acl"]) == "world:anyone 31"
    assert request(opcodes.PING) == {}


def test_secrets_are_not_shown() -> None:
    fields = request(opcodes.AUTH, wire.i32(0) + wire.text("digest") + wire.text("u:p"))
    assert json_value(fields["auth"]) == "(hidden)"
    assert "u:p" not in text_value(fields["auth"])


def test_a_stat_has_kinds() -> None:
    fields = reply(opcodes.EXISTS, STAT)
    kinds = {name: field.kind for name, field in fields.items()}
    assert kinds["zxid"] is kinds["stat.mzxid"] is Kind.ZXID
    assert kinds["stat.ctime"] is Kind.TIME
    assert kinds["stat.version"] is Kind.EXACT
    assert kinds["stat.ephemeralOwner"] is Kind.SESSION
    assert json_value(fields["stat.ephemeralOwner"]) == "0xfffffffffffffff8"


def test_lists_without_order_are_sorted_and_others_are_not() -> None:
    one, two = (reply(opcodes.GET_CHILDREN, wire.texts(names)) for names in (("b", "a"), ("a", "b")))
    assert one["children"].raw == two["children"].raw
    assert json_value(one["children"]) == ["a", "b"]
    three, four = (
        reply(opcodes.GET_ACL, wire.acls(entries) + STAT)
        for entries in ([(1, "ip", "::1"), (2, "ip", "::1")], [(2, "ip", "::1"), (1, "ip", "::1")])
    )
    assert three["acl"].raw != four["acl"].raw


def test_null_and_empty_differ() -> None:
    null, empty = (reply(opcodes.GET_DATA, wire.text(data) + STAT)["data"] for data in (None, b""))
    assert null.raw != empty.raw
    assert (text_value(null), text_value(empty)) == ("null", "''")


def test_multis() -> None:
    ops = [(opcodes.CREATE, wire.create_body("/a")), (opcodes.CHECK, wire.text("/a") + wire.i32(0))]
    fields = request(opcodes.MULTI, wire.multi_body(ops))
    assert fields["operation1.path"].value == b"/a"
    assert fields["operation2.version"].value == 0
    body = wire.header(opcodes.CREATE, err=0) + wire.text("/a") + wire.header(opcodes.CHECK, err=0)
    answer = reply(opcodes.MULTI, body + wire.header(-1, True))
    assert answer["result1.path"].value == b"/a"
    assert answer["end.result.done"].value is True


def test_what_does_not_decode_is_bytes() -> None:
    assert request(opcodes.EXISTS, b"\0\0\0\x05/")["bytes"].value == "000000052f"
    assert reply(opcodes.GET_DATA, b"\0\0\0\x05/")["bytes"].raw == b"\0\0\0\x05/"
    assert reply(opcodes.DELETE, b"more")["bytes"].raw == b"more"
    assert [field.name for field in reply_fields(opcodes.DELETE, b"short")] == ["bytes"]
    assert [field.name for field in record_fields("ConnectResponse", b"short")] == ["bytes"]


def test_events_are_told_from_replies() -> None:
    event = pack(">iqi", -1, 5, 0) + pack(">ii", 3, 3) + wire.text("/a")
    fields = event_fields(event)
    assert fields is not None
    assert fields[-1].value == b"/a"
    assert event_fields(pack(">iqi", -1, 5, 0)) is None
    assert event_fields(pack(">iqi", -1, 5, 0) + wire.text("/created")) is None
    assert event_fields(pack(">iqi", 7, 5, 0) + event[16:]) is None
    assert event_fields(b"") is None


def test_texts_for_people() -> None:
    assert text_value(Field("err", Kind.EXACT, -101, b"")) == "-101 (NO_NODE)"
    assert text_value(Field("watch", Kind.EXACT, True, b"")) == "true"
    assert text_value(Field("data", Kind.EXACT, b"\xff\0", b"")) == "0xff00"
    assert text_value(Field("data", Kind.EXACT, b"x" * 1000, b"")).endswith("... (1002 characters)")
    assert operation(opcodes.GET_DATA) == "getData"
    assert operation(77) == "operation 77"
