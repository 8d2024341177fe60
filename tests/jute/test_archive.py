"""Jute's primitives against the encodings of the client protocol."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import MarshallingError
from zkpy.jute import archive
from zkpy.jute.archive import NULL, OPEN_ACLS

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=60)

OPEN = bytes.fromhex("00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65")
BMP = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
Read = Callable[[bytes, int], tuple[object, int]]
LENGTHS = [-(2**31), -2, 2**31 - 1, 5]


def text(alphabet: st.SearchStrategy[str] = BMP) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=12)


acl_lists = st.lists(
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.none() | text(), st.none() | text()), max_size=4
).map(tuple)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\0\0\0\0", 0),
        (b"\x7f\xff\xff\xff", 2**31 - 1),
        (b"\x80\0\0\0", -(2**31)),
        (b"\xff\xff\xff\xfe", -2),
    ],
)
def test_int(encoded: bytes, value: int) -> None:
    assert archive.read_int(b"x" + encoded + b"y", 1) == (value, 5)
    assert archive.pack_int(value) == encoded


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 0x010000056F3901C2])
def test_long(value: int) -> None:
    encoded = value.to_bytes(8, "big", signed=True)
    assert archive.read_long(b"x" + encoded + b"y", 1) == (value, 9)
    assert archive.pack_long(value) == encoded


@pytest.mark.parametrize(("byte", "value"), [(0, False), (1, True), (2, True), (255, True)])
def test_any_non_zero_byte_is_true(byte: int, value: bool) -> None:
    assert archive.read_bool(bytes([7, byte]), 1) == (value, 2)


@pytest.mark.parametrize("data", [None, b"", b"\0", b"hello", bytes(range(256))])
def test_buffer_keeps_null_and_empty_apart(data: bytes | None) -> None:
    encoded = archive.buffer(data)
    assert encoded == (NULL if data is None else pack(">i", len(data)) + data)
    assert archive.read_buffer(b"x" + encoded + b"y", 1) == (data, 1 + len(encoded))


@deterministic
@given(st.none() | text())
def test_ustring_round_trip(value: str | None) -> None:
    encoded = archive.ustring(value)
    assert encoded == (NULL if value is None else pack(">i", len(value.encode())) + value.encode())
    assert archive.read_ustring(encoded, 0) == (value, len(encoded))


def test_writer_splits_characters_above_the_basic_plane() -> None:
    """An ACL id with U+1F600 is sent as four bytes and comes back as two surrogates (client protocol, 2)."""
    assert archive.read_ustring(b"\0\0\0\x04\xf0\x9f\x98\x80", 0) == ("\U0001f600", 8)
    assert archive.encode_text("\U0001f600") == bytes.fromhex("eda0bd edb880")
    assert archive.ustring("é\U0001f600z") == bytes.fromhex("00000009 c3a9 eda0bdedb880 7a")


def test_writer_keeps_lone_surrogates() -> None:
    assert archive.encode_text("a\ud83d") == b"a\xed\xa0\xbd"


@deterministic
@given(text(st.characters()))
def test_writer_agrees_with_utf16_units(value: str) -> None:
    raw = value.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    assert archive.encode_text(value) == "".join(map(chr, units)).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("raw", "units"),
    [
        ("fffe", "fffd fffd"),
        ("41c0af", "0041 fffd fffd"),
        ("e18041", "fffd 0041"),
        ("f0908041", "fffd 0041"),
        ("f4908080", "fffd fffd fffd fffd"),
        ("eda0bdedb880", "fffd fffd"),
        ("eda041", "fffd 0041"),
        ("eda0", "fffd"),
        ("ed41", "fffd 0041"),
        ("80eda0c0", "fffd fffd fffd"),
    ],
)
def test_malformed_text_is_replaced_as_java_does(raw: str, units: str) -> None:
    """Expected values: what a Java 17 runtime made of these bytes."""
    value = "".join(chr(int(unit, 16)) for unit in units.split())
    assert archive.decode_text(bytes.fromhex(raw)) == value
    assert archive.clean_path(bytes.fromhex(raw)) == value.encode()


@deterministic
@given(st.binary(max_size=12))
def test_any_bytes_are_text_and_a_path(raw: bytes) -> None:
    path, end = archive.read_path(archive.buffer(raw), 0)
    assert path is not None
    assert end == 4 + len(raw)
    assert path == archive.encode_text(archive.decode_text(raw))
    assert raw.isascii() <= (path == raw)


def test_null_path() -> None:
    assert archive.read_path(NULL, 0) == (None, 4)


@deterministic
@given(st.none() | st.lists(st.none() | text().map(str.encode), max_size=6))
def test_paths_round_trip(paths: list[bytes | None] | None) -> None:
    encoded = archive.vector(paths)
    assert archive.read_paths(b"x" + encoded + b"y", 1) == (paths, 1 + len(encoded))
    if paths is not None:
        assert encoded == pack(">i", len(paths)) + b"".join(map(archive.buffer, paths))


@deterministic
@given(st.none() | acl_lists)
def test_acls_round_trip(entries: archive.Acls | None) -> None:
    encoded = archive.acls(entries)
    assert archive.read_acls(b"x" + encoded + b"y", 1) == (entries, 1 + len(encoded))
    if entries is not None:
        fields = [pack(">i", perms) + archive.ustring(s) + archive.ustring(i) for perms, s, i in entries]
        assert encoded == pack(">i", len(entries)) + b"".join(fields)


def test_the_open_list() -> None:
    assert archive.acls(((31, "world", "anyone"),)) == OPEN
    assert archive.read_acls(b"x" + OPEN + b"y", 1) == (OPEN_ACLS, 1 + len(OPEN))
    assert archive.read_acls(OPEN[:-1] + b"E", 0)[0] == ((31, "world", "anyonE"),)


@pytest.mark.parametrize("perms", [2**31, -(2**31) - 1])
def test_permission_bits_have_to_be_an_int(perms: int) -> None:
    with pytest.raises(MarshallingError, match="ACL"):
        archive.acls(((perms, "world", "anyone"),))


@pytest.mark.parametrize("count", [-2, -(2**31)])
def test_negative_counts_other_than_null_are_empty(count: int) -> None:
    encoded = pack(">i", count)
    assert archive.read_count(encoded, 0, 4) == (0, 4)
    assert archive.read_paths(encoded, 0) == ([], 4)
    assert archive.read_acls(encoded, 0) == ((), 4)


@pytest.mark.parametrize("read", [archive.read_buffer, archive.read_ustring, archive.read_path])
@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_that_do_not_fit(read: Read, length: int) -> None:
    with pytest.raises(MarshallingError, match=str(length)):
        read(pack(">i", length) + b"four", 0)


@pytest.mark.parametrize("read", [archive.read_paths, archive.read_acls])
@pytest.mark.parametrize("count", [2**31 - 1, 3])
def test_counts_that_do_not_fit(read: Read, count: int) -> None:
    with pytest.raises(MarshallingError, match=f"vector of {count}"):
        read(pack(">i", count) + bytes(8), 0)


@pytest.mark.parametrize(
    ("read", "encoded"),
    [
        (archive.read_int, bytes(4)),
        (archive.read_long, bytes(8)),
        (archive.read_bool, bytes(1)),
        (archive.read_buffer, archive.buffer(b"hello")),
        (archive.read_ustring, archive.ustring("hello")),
        (archive.read_path, archive.buffer(b"/a")),
        (archive.read_paths, archive.vector([b"/a", None, b""])),
        (archive.read_acls, OPEN),
        (archive.read_acls, archive.acls(((1, "digest", "a:b"), (31, None, "")))),
    ],
)
def test_every_truncation_is_an_error(read: Read, encoded: bytes) -> None:
    for end in range(len(encoded)):
        with pytest.raises(MarshallingError):
            read(encoded[:end], 0)
    assert read(encoded, 0)[1] == len(encoded)
