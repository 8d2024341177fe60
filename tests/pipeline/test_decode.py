"""Decoding of write requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.wire import CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL, OPEN, create_body, multi_body
from zkpy import opcodes
from zkpy.errors import MarshallingError
from zkpy.jute.records import CreateRequest, CreateTTLRequest, DeleteRequest
from zkpy.pipeline.decode import RawAcl, decode_create, decode_multi, decode_path_version

path = st.one_of(st.none(), st.text(alphabet="/a\u00e9", max_size=6).map(str.encode))
data = st.one_of(st.none(), st.binary(max_size=6))
ints = st.integers(-(2**31), 2**31 - 1)
acl = st.one_of(
    st.none(),
    st.lists(
        st.tuples(ints, st.sampled_from([None, "world", "ip"]), st.sampled_from([None, "anyone", "x"])),
        max_size=2,
    ).map(tuple),
    st.just(((31, "world", "anyone"),)),
)


@given(path, data, acl, ints, st.integers(-(2**63), 2**63 - 1))
def test_creates_are_read_as_the_records_write_them(
    path: bytes | None, data: bytes | None, acl: RawAcl, flags: int, ttl: int
) -> None:
    body = CreateRequest(path, data, acl, flags).encode()
    assert decode_create(b"xx" + body, 2, with_ttl=False) == (path, data, acl, flags, -1)
    body = CreateTTLRequest(path, data, acl, flags, ttl).encode()
    assert decode_create(body, 0, with_ttl=True) == (path, data, acl, flags, ttl)


@given(path, ints)
def test_paths_with_a_version_are_read(path: bytes | None, version: int) -> None:
    assert decode_path_version(DeleteRequest(path, version).encode(), 0) == (path, version)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    for decode in (
        lambda: decode_create(body, 0, with_ttl=True),
        lambda: decode_multi(body, 0),
        lambda: decode_path_version(body, 0),
    ):
        try:
            decode()
        except MarshallingError:
            continue


@pytest.mark.parametrize(
    ("type", "flags", "kind"),
    [
        (CREATE, 0, opcodes.CREATE),
        (CREATE2, 3, opcodes.CREATE2),
        (CREATE, 4, opcodes.CREATE_CONTAINER),
        (CREATE2, 4, opcodes.CREATE_CONTAINER),
        (CREATE_CONTAINER, 0, opcodes.CREATE_CONTAINER),
        (CREATE_TTL, 5, opcodes.CREATE_TTL),
        (CREATE_TTL, 0, opcodes.CREATE),
        (CREATE_TTL, 4, opcodes.CREATE_CONTAINER),
        (CREATE_TTL, 9, opcodes.CREATE_TTL),
    ],
)
def test_type_and_flags_decide_what_a_multi_creates(type: int, flags: int, kind: int) -> None:
    ttl = 5 if type == CREATE_TTL else None
    (op,) = decode_multi(multi_body([(type, create_body("/a", b"", OPEN, flags, ttl))]), 0)
    assert op.type == kind and op.flags == flags
