"""The generated records: against the schema, against worked examples, and against another implementation."""

from __future__ import annotations

import importlib.util
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from types import ModuleType
from zlib import adler32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kazoo.protocol import serialization as kz
from kazoo.security import ACL as KazooACL
from kazoo.security import Id as KazooId

from zkpy.errors import MarshallingError
from zkpy.jute import archive, records, schema
from zkpy.jute.archive import OPEN_ACLS
from zkpy.jute.records import ACL, Id, Stat, Txn
from zkpy.jute.schema import RECORDS

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=8)
every_record = pytest.mark.parametrize("name", sorted(RECORDS))

TOOL = Path(__file__).resolve().parents[2] / "tools" / "generate_records.py"
WIRE = {"int": ">i", "long": ">q", "boolean": ">?"}
STAT = Stat(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)


def tool() -> ModuleType:
    """The generator, loaded by its path: it is no part of the package."""
    spec = importlib.util.spec_from_file_location("generate_records", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def attribute(name: str) -> str:
    return "".join(
        f"_{char.lower()}" if char.isupper() and not name[at - 1].isupper() else char.lower()
        for at, char in enumerate(name)
    )


TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
PATH = st.none() | TEXT.map(str.encode)
INT = st.integers(-(2**31), 2**31 - 1)
STRATEGIES: dict[str, st.SearchStrategy] = {
    "int": INT,
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "boolean?": st.none() | st.booleans(),
    "buffer": st.none() | st.binary(max_size=8),
    "ustring": st.none() | TEXT,
    "path": PATH,
    "acls": st.none()
    | st.just(OPEN_ACLS)
    | st.lists(st.tuples(INT, st.none() | TEXT, st.none() | TEXT), max_size=3).map(tuple),
    "vector<path>": st.none() | st.lists(PATH, max_size=3),
}


def strategy(kind: str) -> st.SearchStrategy:
    """Values of a type of the schema."""
    if kind in STRATEGIES:
        return STRATEGIES[kind]
    if kind.startswith("vector<"):
        made = st.none() | st.lists(strategy(kind[7:-1]), max_size=3)
    else:
        made = st.builds(getattr(records, kind), *(strategy(field.type) for field in RECORDS[kind]))
    return STRATEGIES.setdefault(kind, made)


def reference(kind: str, value) -> bytes:
    """The bytes of a value, field by field, straight from the table of encodings."""
    if kind in WIRE:
        return pack(WIRE[kind], value)
    if kind == "boolean?":
        return b"" if value is None else pack(">?", value)
    if kind in RECORDS:
        return b"".join(reference(type_, getattr(value, attribute(name))) for type_, name in RECORDS[kind])
    if value is None:
        return pack(">i", -1)
    if kind == "acls":
        return reference("vector<ACL>", [ACL(perms, Id(scheme, ident)) for perms, scheme, ident in value])
    if kind.startswith("vector<"):
        return pack(">i", len(value)) + b"".join(reference(kind[7:-1], item) for item in value)
    raw = value.encode() if kind == "ustring" else value
    return pack(">i", len(raw)) + raw


# Every record, by the schema.


@every_record
@deterministic
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    cls = getattr(records, name)
    value = data.draw(strategy(name))
    encoded = value.encode()
    assert encoded == reference(name, value)
    decoded, end = cls.decode(b"ab" + encoded, 2)
    assert decoded == value
    assert type(decoded) is cls
    assert end == 2 + len(encoded)
    if "boolean?" not in [field.type for field in RECORDS[name]]:
        assert cls.decode(encoded + b"\x01\xff", 0) == (value, len(encoded))


@every_record
@deterministic
@given(data=st.data())
def test_every_truncation_is_an_error(name: str, data: st.DataObject) -> None:
    cls = getattr(records, name)
    value = data.draw(strategy(name))
    encoded = value.encode()
    whole = len(encoded)
    if getattr(value, "read_only", None) is not None:
        whole -= 1  # the byte that old clients do not send
        assert cls.decode(encoded[:whole])[0].read_only is None
    for end in range(whole):
        with pytest.raises(MarshallingError):
            cls.decode(encoded[:end])


@every_record
@deterministic
@given(data=st.data())
def test_damaged_lengths_never_surprise(name: str, data: st.DataObject) -> None:
    """Whatever four bytes turn into: a record, or a MarshallingError."""
    cls = getattr(records, name)
    encoded = data.draw(strategy(name)).encode()
    wrong = data.draw(INT)
    for at in range(len(encoded) - 3):
        for value in (-1, -2, -(2**31), 2**31 - 1, 0, 1, len(encoded) - at - 3, wrong):
            damaged = encoded[:at] + pack(">i", value) + encoded[at + 4 :]
            try:
                decoded, end = cls.decode(damaged)
            except MarshallingError:
                continue
            assert end <= len(damaged)
            assert cls.decode(decoded.encode())[0] == decoded


def lengths(kind: str, at: int = 0) -> Iterator[int]:
    """Where the lengths of strings and buffers are in an encoding that is all zeros."""
    for field in RECORDS[kind]:
        if field.type in ("buffer", "ustring", "path"):
            yield at
        elif field.type in RECORDS:
            yield from lengths(field.type, at)
        if field.type in RECORDS:
            at += len(getattr(records, field.type).decode(bytes(200))[0].encode())
        else:
            at += {"long": 8, "boolean": 1}.get(field.type, 4)


@every_record
def test_minus_one_is_null_and_other_negative_lengths_are_errors(name: str) -> None:
    cls = getattr(records, name)
    encoded = cls.decode(bytes(200))[0].encode()
    for at in lengths(name):
        for wrong in (-2, -(2**31)):
            with pytest.raises(MarshallingError, match=str(wrong)):
                cls.decode(encoded[:at] + pack(">i", wrong) + encoded[at + 4 :])
        null = encoded[:at] + archive.NULL + encoded[at + 4 :]
        assert cls.decode(null)[0].encode() == null


@every_record
@deterministic
@given(junk=st.binary(max_size=64))
def test_junk_never_surprises(name: str, junk: bytes) -> None:
    cls = getattr(records, name)
    try:
        decoded, end = cls.decode(junk)
    except MarshallingError:
        return
    assert end <= len(junk)
    assert cls.decode(decoded.encode())[0] == decoded


@every_record
@deterministic
@given(data=st.data())
def test_equality_looks_at_every_field(name: str, data: st.DataObject) -> None:
    value, other = data.draw(strategy(name)), data.draw(strategy(name))
    assert value != object()
    assert (value == other) == (value.encode() == other.encode())


@every_record
@deterministic
@given(data=st.data())
def test_repr_shows_every_field_but_secrets(name: str, data: st.DataObject) -> None:
    value = data.draw(strategy(name))
    shown = []
    for field in RECORDS[name]:
        target = attribute(field.name)
        secret = field.name in schema.SECRETS
        shown.append(f"{target}={'...' if secret else repr(getattr(value, target))}")
    assert repr(value) == f"{name}({', '.join(shown)})"


@every_record
def test_a_number_that_does_not_fit_is_an_error(name: str) -> None:
    cls = getattr(records, name)
    sample = cls.decode(bytes(200))[0]
    for kind, jute_name in RECORDS[name]:
        if kind in ("int", "long"):
            value = cls(*(getattr(sample, attribute(field.name)) for field in RECORDS[name]))
            setattr(value, attribute(jute_name), 2 ** (31 if kind == "int" else 63))
            with pytest.raises(MarshallingError, match=name):
                value.encode()


@every_record
def test_records_have_slots_in_place_of_a_dict(name: str) -> None:
    assert not hasattr(getattr(records, name).decode(bytes(200))[0], "__dict__")


def test_announced_lengths_cost_nothing() -> None:
    huge = pack(">i", 2**31 - 1)
    hopeless = [
        (records.SetDataRequest, huge),
        (records.GetChildrenResponse, huge + bytes(64)),
        (records.GetACLResponse, huge + bytes(64)),
        (records.MultiTxn, huge + bytes(64)),
        (records.QuorumPacket, bytes(16) + huge + bytes(64)),
    ]
    tracemalloc.start()
    try:
        for cls, encoded in hopeless:
            with pytest.raises(MarshallingError):
                cls.decode(encoded)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


# The generator.


def test_generated_file_is_up_to_date() -> None:
    assert tool().main(["--check"]) == 0


def test_generator_notices_drift_and_repairs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "records.py"
    options = ["--output", str(output)]
    generator = tool()
    assert generator.main(["--check", *options]) == 1
    assert generator.main(options) == 0
    assert generator.main(["--check", *options]) == 0
    assert output.read_text().startswith("# Written by tools/generate_records.py")
    output.write_text(output.read_text() + "\n")
    assert generator.main(["--check", *options]) == 1
    assert "out of date" in capsys.readouterr().err


def made(text: str) -> tuple[str, type]:
    """The source and the class of a record that the schema does not have."""
    generator = tool()
    lines = "\n".join(generator.record("test", "Made", text, schema.fields_of(text)))
    source = "\n".join([generator.HEAD, *generator.structs(lines), generator.HELPER, lines])
    names: dict[str, type] = {}
    exec(compile(source, "made", "exec"), names)
    return lines, names["Made"]


def test_generator_keeps_lines_short() -> None:
    text = ", ".join(f"int quiteALongFieldName{number}" for number in range(6)) + ", buffer size"
    lines, cls = made(text)
    assert max(map(len, lines.splitlines())) <= 110
    value = cls(1, 2, 3, 4, 5, 6, b"abc")
    assert value.encode() == pack(">7i", 1, 2, 3, 4, 5, 6, 3) + b"abc"
    assert cls.decode(value.encode()) == (value, 31)


def test_generator_knows_the_least_size_of_everything() -> None:
    generator = tool()
    assert generator.least("Stat") == 68
    assert generator.least("ACL") == 12
    assert generator.least("ConnectRequest") == 28
    assert generator.least("QuorumPacket") == 20


def test_only_the_last_field_may_be_optional() -> None:
    with pytest.raises(ValueError, match="optional"):
        made("boolean? first, int second")


def test_names_follow_the_schema() -> None:
    generator = tool()
    names = {field.name for fields in RECORDS.values() for field in fields}
    assert {generator.snake(name) for name in names} == {attribute(name) for name in names}
    assert generator.snake("parentCVersion") == "parent_cversion"
    assert generator.snake("lastZxidSeen") == "last_zxid_seen"
    assert generator.snake("paths2Delete") == "paths2_delete"


# Worked examples of the client protocol.


@pytest.mark.parametrize(
    ("name", "size"), [("Stat", 68), ("RequestHeader", 8), ("ReplyHeader", 16), ("MultiHeader", 9)]
)
def test_sizes_on_the_wire(name: str, size: int) -> None:
    record, end = getattr(records, name).decode(bytes(100))
    assert end == size == len(record.encode())


def test_connect_request_of_a_new_session() -> None:
    """Typical payload: 45 bytes; clients up to 3.3 leave out the last one (client protocol, 5.1)."""
    request = records.ConnectRequest(0, 0, 10000, 0, bytes(16), False)
    encoded = request.encode()
    assert encoded.hex() == f"{0:08x}{0:016x}{10000:08x}{0:016x}{16:08x}{0:032x}00"
    assert len(encoded) == 45
    assert records.ConnectRequest.decode(encoded + b"extra") == (request, 45)
    old, end = records.ConnectRequest.decode(encoded[:44])
    assert (old.read_only, end) == (None, 44)
    assert old.encode() == encoded[:44]


def test_invalid_session_response() -> None:
    """Client protocol, 5.4: 37 bytes for a client that knows read-only mode, 36 for others."""
    golden = bytes.fromhex("00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00")
    assert len(golden) == 37
    assert records.ConnectResponse(0, 0, 0, bytes(16), False).encode() == golden
    assert records.ConnectResponse(0, 0, 0, bytes(16), None).encode() == golden[:36]
    response, end = records.ConnectResponse.decode(golden)
    assert (response.time_out, response.session_id, response.read_only, end) == (0, 0, False, 37)


def test_end_of_a_multi() -> None:
    assert records.MultiHeader(-1, True, -1).encode().hex() == "ffffffff01ffffffff"


def test_acl_id_above_the_basic_plane() -> None:
    """Sent as f0 9f 98 80 it comes back as ed a0 bd ed b8 80 (client protocol, 2)."""
    sent = bytes.fromhex("00000001 00000001 00000002 6970 00000004 f09f9880") + bytes(68)
    response, _ = records.GetACLResponse.decode(sent)
    assert response.acl == ((1, "ip", "\U0001f600"),)
    assert response.encode() == sent.replace(
        b"\0\0\0\x04\xf0\x9f\x98\x80", b"\0\0\0\x06\xed\xa0\xbd\xed\xb8\x80"
    )


def test_malformed_path_is_replaced() -> None:
    assert records.SyncRequest.decode(b"\0\0\0\x03/\xff\xfe")[0].path == "/\ufffd\ufffd".encode()


def test_acl_lists_are_vectors_of_acl_records() -> None:
    entries = ((31, "world", "anyone"), (1, "digest", "a:b"), (4, None, ""))
    encoded = archive.acls(entries)
    pos = 4
    for perms, scheme, ident in entries:
        record, pos = ACL.decode(encoded, pos)
        assert record == ACL(perms, Id(scheme, ident))
    assert pos == len(encoded)


# Worked examples of the transaction log and the quorum port.

LOG = bytes.fromhex(
    """
    5a4b4c47 00000002 0000000000000000
    00000000a89f09a8 00000030
      010000153e5f0000 00000000 0000000000000001 000001a2036ba3c6 fffffff6
      00002710
      00000002 0000000051c6d660
    42
    00000000b3500be6 0000005b
      010000153e5f0000 00000001 0000000000000002 000001a2036ba40d 00000001
      00000002 2f61
      00000005 68656c6c6f
      00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
      00
      00000001
      00000002 00000000b9052cf7
    42
    """
)
"""The first 181 bytes of a log that ZooKeeper 3.9.4 wrote (persistence, 3.9)."""


def test_transaction_log() -> None:
    assert len(LOG) == 181
    header, pos = records.FileHeader.decode(LOG)
    assert header == records.FileHeader(0x5A4B4C47, 2, 0)
    entries = [
        [
            records.TxnHeader(0x010000153E5F0000, 0, 1, 0x1A2036BA3C6, -10),
            records.CreateSessionTxn(10000),
            records.TxnDigest(2, 0x51C6D660),
        ],
        [
            records.TxnHeader(0x010000153E5F0000, 1, 2, 0x1A2036BA40D, 1),
            records.CreateTxn(b"/a", b"hello", OPEN_ACLS, False, 1),
            records.TxnDigest(2, 0xB9052CF7),
        ],
    ]
    for expected in entries:
        crc, pos = archive.read_long(LOG, pos)
        payload, pos = archive.read_buffer(LOG, pos)
        assert payload is not None
        assert crc == adler32(payload)
        assert LOG[pos : pos + 1] == b"B"
        pos += 1
        at = 0
        for record in expected:
            decoded, at = type(record).decode(payload, at)
            assert decoded == record
        assert at == len(payload)
        assert b"".join(record.encode() for record in expected) == payload
    assert pos == len(LOG)


def test_create_before_3_4_lacks_the_parent_version() -> None:
    """Readers fall back to CreateTxnV0 when a create ends too early (persistence, 4.1)."""
    old = records.CreateTxnV0(b"/a", None, None, True)
    with pytest.raises(MarshallingError, match="CreateTxn"):
        records.CreateTxn.decode(old.encode())
    assert records.CreateTxn(b"/a", None, None, True, 7).encode() == old.encode() + b"\0\0\0\x07"


def test_multi_transaction() -> None:
    multi = records.MultiTxn([Txn(1, b"abc"), Txn(-1, pack(">i", -2)), Txn(2, None)])
    golden = "00000003 00000001 00000003 616263 ffffffff 00000004 fffffffe 00000002 ffffffff"
    assert multi.encode() == bytes.fromhex(golden)
    assert records.MultiTxn(None).encode() == archive.NULL


def test_stat_persisted_has_pzxid_last() -> None:
    """Persistence, 5.3: 60 bytes."""
    stat = records.StatPersisted(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert stat.encode() == pack(">4q3i2q", 1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert len(stat.encode()) == 60


def test_follower_joins() -> None:
    """FOLLOWERINFO, LEADERINFO and NEWLEADER's ACK as captured (replication, 18.2)."""
    info = records.LearnerInfo(1, 0x10000, 0)
    packets = {
        "0000000b 0000000000000000 00000014 0000000000000001 00010000 0000000000000000 ffffffff": (
            records.QuorumPacket(11, 0, info.encode(), None)
        ),
        "00000011 0000000100000000 00000004 00010000 ffffffff": (
            records.QuorumPacket(17, 1 << 32, pack(">i", 0x10000), None)
        ),
        "00000003 0000000100000000 ffffffff ffffffff": records.QuorumPacket(3, 1 << 32, None, None),
    }
    for golden, packet in packets.items():
        encoded = bytes.fromhex(golden)
        assert packet.encode() == encoded
        assert records.QuorumPacket.decode(encoded) == (packet, len(encoded))
    assert len(packets.popitem()[1].encode()) == 20


def test_quorum_auth_packet() -> None:
    """The magic number is positive on the wire (replication, TLS and SASL)."""
    packet = records.QuorumAuthPacket(0x5F2435013501EDCC, 0, b"abc")
    assert packet.encode().hex() == "5f2435013501edcc00000000" + "00000003616263"
    assert "abc" not in repr(packet)


# Another implementation of the same protocol.

KAZOO_ACL = [KazooACL(31, KazooId("world", "anyone")), KazooACL(5, KazooId("digest", "u:hash"))]
ACLS = ((31, "world", "anyone"), (5, "digest", "u:hash"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            kz.Connect(0, 77, 6000, 0x1234, bytes(range(16)), True),
            records.ConnectRequest(0, 77, 6000, 0x1234, bytes(range(16)), True),
        ),
        (kz.Create("/a/ü", b"data", KAZOO_ACL, 3), records.CreateRequest("/a/ü".encode(), b"data", ACLS, 3)),
        (kz.Create2("/a", b"", KAZOO_ACL[:1], 0), records.CreateRequest(b"/a", b"", OPEN_ACLS, 0)),
        (kz.Delete("/a", -1), records.DeleteRequest(b"/a", -1)),
        (kz.Exists("/a", object()), records.ExistsRequest(b"/a", True)),
        (kz.GetData("/a", None), records.GetDataRequest(b"/a", False)),
        (kz.SetData("/a", None, 4), records.SetDataRequest(b"/a", None, 4)),
        (kz.SetData("/a", b"\0\xff", -1), records.SetDataRequest(b"/a", b"\0\xff", -1)),
        (kz.GetACL("/a"), records.GetACLRequest(b"/a")),
        (kz.SetACL("/a", KAZOO_ACL, 2), records.SetACLRequest(b"/a", ACLS, 2)),
        (kz.GetChildren("/a", object()), records.GetChildrenRequest(b"/a", True)),
        (kz.GetChildren2("/a", None), records.GetChildren2Request(b"/a", False)),
        (kz.Sync("/a"), records.SyncRequest(b"/a")),
        (kz.CheckVersion("/a", 9), records.CheckVersionRequest(b"/a", 9)),
        (kz.Reconfig("a", "b", "c", -1), records.ReconfigRequest("a", "b", "c", -1)),
        (kz.Auth(0, "digest", "u:p"), records.AuthPacket(0, "digest", b"u:p")),
        (kz.SASL(b"token"), records.GetSASLRequest(b"token")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_requests_as_kazoo_writes_them(theirs, ours) -> None:
    encoded = bytes(theirs.serialize())
    assert ours.encode() == encoded
    assert type(ours).decode(encoded) == (ours, len(encoded))


def test_responses_as_kazoo_reads_them() -> None:
    connect = records.ConnectResponse(0, 4000, 0x1234, bytes(16), True).encode()
    theirs, end = kz.Connect.deserialize(connect, 0)
    assert (theirs.time_out, theirs.session_id, theirs.read_only, end) == (4000, 0x1234, True, 37)
    header, end = kz.ReplyHeader.deserialize(records.ReplyHeader(3, 1 << 40, -101).encode(), 0)
    assert (*header, end) == (3, 1 << 40, -101, 16)
    data, stat = kz.GetData.deserialize(records.GetDataResponse(b"abc", STAT).encode(), 0)
    assert data == b"abc"
    assert tuple(stat)[:11] == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    names, stat = kz.GetChildren2.deserialize(
        records.GetChildren2Response([b"x", "ü".encode()], STAT).encode(), 0
    )
    assert (names, stat.pzxid) == (["x", "ü"], 11)
    acl, stat = kz.GetACL.deserialize(records.GetACLResponse(ACLS, STAT).encode(), 0)
    assert acl == KAZOO_ACL
    assert kz.Create2.deserialize(records.Create2Response(b"/a", STAT).encode(), 0)[0] == "/a"
    event, end = kz.Watch.deserialize(records.WatcherEvent(4, 3, b"/a").encode(), 0)
    assert (event.type, event.state, event.path) == (4, 3, "/a")
