"""Transaction layouts: equal to the plain records, read back as written, old variants included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkpy import opcodes
from zkpy.errors import MarshallingError
from zkpy.jute import records
from zkpy.tree.txns import (
    DIGEST,
    Check,
    CloseSession,
    Create,
    CreateSession,
    Delete,
    Error,
    Multi,
    SetAcl,
    SetData,
    Txn,
    TxnHeader,
    decode_payload,
    decode_txn,
    encode_payload,
)
from zkpy.tree.znode import CONTAINER_OWNER, ttl_owner

ints = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
path = st.text(alphabet="/abc\u00e9", max_size=8).map(str.encode)
data = st.one_of(st.none(), st.binary(max_size=8))
text = st.text(alphabet="ab:\u00e9", max_size=5)
acl = st.lists(st.tuples(ints, text, text), max_size=3).map(tuple)
plain_creates = st.builds(
    Create,
    st.sampled_from([opcodes.CREATE, opcodes.CREATE2]),
    path,
    data,
    acl,
    st.sampled_from([0, None]),
    ints,
)
containers = st.builds(
    Create, st.just(opcodes.CREATE_CONTAINER), path, data, acl, st.just(CONTAINER_OWNER), ints
)
ttls = st.builds(
    Create, st.just(opcodes.CREATE_TTL), path, data, acl, st.integers(1, 2**40 - 1).map(ttl_owner), ints
)
deletes = st.builds(Delete, st.sampled_from([opcodes.DELETE, opcodes.DELETE_CONTAINER]), path)
sets = st.builds(SetData, st.sampled_from([opcodes.SET_DATA, opcodes.RECONFIG]), path, data, ints)
nested: st.SearchStrategy[Txn] = st.one_of(
    plain_creates, containers, ttls, deletes, sets, st.builds(Check, path, ints), st.builds(Error, ints)
)
txns: st.SearchStrategy[Txn] = st.one_of(
    nested.filter(lambda txn: not isinstance(txn, Check)),
    st.builds(SetAcl, path, acl, ints),
    st.builds(CreateSession, ints),
    st.builds(CloseSession, st.one_of(st.none(), st.lists(path, max_size=3))),
    st.builds(Multi, st.lists(nested, max_size=4)),
)


def plain(txn: Txn) -> bytes:
    """The same body by the generated records."""
    if isinstance(txn, Create):
        if txn.type == opcodes.CREATE_CONTAINER:
            return records.CreateContainerTxn(txn.path, txn.data, txn.acl, txn.parent_cversion).encode()
        if txn.type == opcodes.CREATE_TTL:
            assert txn.owner is not None
            ttl = txn.owner & (2**40 - 1)
            return records.CreateTTLTxn(txn.path, txn.data, txn.acl, txn.parent_cversion, ttl).encode()
        return records.CreateTxn(txn.path, txn.data, txn.acl, txn.owner is None, txn.parent_cversion).encode()
    if isinstance(txn, Delete):
        return records.DeleteTxn(txn.path).encode()
    if isinstance(txn, SetData):
        return records.SetDataTxn(txn.path, txn.data, txn.version).encode()
    if isinstance(txn, SetAcl):
        return records.SetACLTxn(txn.path, txn.acl, txn.version).encode()
    if isinstance(txn, Check):
        return records.CheckVersionTxn(txn.path, txn.version).encode()
    if isinstance(txn, Error):
        return records.ErrorTxn(txn.err).encode()
    if isinstance(txn, CreateSession):
        return records.CreateSessionTxn(txn.timeout_ms).encode()
    if isinstance(txn, CloseSession):
        return b"" if txn.paths is None else records.CloseSessionTxn(list(txn.paths)).encode()
    assert isinstance(txn, Multi)
    return records.MultiTxn([records.Txn(op.type, plain(op)) for op in txn.ops]).encode()


@given(txns)
def test_bodies_are_those_of_the_records(txn: Txn) -> None:
    assert txn.encode() == plain(txn)


@given(txns, longs, ints, longs, longs, st.one_of(st.none(), longs))
def test_payloads_are_read_back_as_written(
    txn: Txn, client: int, cxid: int, zxid: int, time: int, digest: int | None
) -> None:
    if isinstance(txn, CloseSession) and txn.paths is None:
        digest = None  # without a list nothing may follow
    header = TxnHeader(client, cxid, zxid, time)
    tail = b"" if digest is None else DIGEST.pack(2, digest)
    payload = encode_payload(header, txn.type, txn.encode(), tail)
    head = records.TxnHeader(client, cxid, zxid, time, txn.type).encode()
    assert payload == head + plain(txn) + tail
    entry = decode_payload(payload)
    assert entry.txn == txn and repr(entry.header) == repr(header)
    assert entry.digest_version == (None if digest is None else 2)
    assert entry.digest == (0 if digest is None else digest % 2**64)


@given(
    st.sampled_from([1, 2, 5, 7, 14, 15, 19, 20, 21, -1, -10, -11, 16, 13, 3]),
    st.binary(max_size=40),
    st.booleans(),
)
def test_any_bytes_are_decoded_or_refused(type: int, data: bytes, nested: bool) -> None:
    try:
        txn, pos = decode_txn(type, data, nested=nested)
    except MarshallingError:
        return
    assert pos <= len(data) and txn.encode() is not None


def test_creates_from_before_3_4_have_no_cversion() -> None:
    body = records.CreateTxnV0(b"/a", b"d", ((31, "world", "anyone"),), True).encode()
    txn, _ = decode_txn(opcodes.CREATE, body)
    assert isinstance(txn, Create) and txn.parent_cversion == -1 and txn.owner is None


@pytest.mark.parametrize(
    "type", [opcodes.CREATE_SESSION, opcodes.CLOSE_SESSION, opcodes.MULTI, opcodes.SET_ACL]
)
def test_a_multi_holds_no_sessions_multis_or_acls(type: int) -> None:
    with pytest.raises(MarshallingError):
        decode_txn(type, bytes(20), nested=True)


def test_payloads_shorter_than_a_header_are_refused() -> None:
    with pytest.raises(MarshallingError):
        decode_payload(bytes(31))


def test_transactions_compare_by_content() -> None:
    assert Delete(opcodes.DELETE, b"/a") == Delete(opcodes.DELETE, b"/a") != Delete(opcodes.DELETE, b"/b")
    assert Error(-1) != CreateSession(-1)
    assert "b'/a'" in repr(Delete(opcodes.DELETE, b"/a"))
