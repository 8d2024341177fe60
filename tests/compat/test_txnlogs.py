"""Comparing transaction logs, with logs written here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from compat import txnlogs
from compat.txnlogs import comparable, digest_differences, entries, first_difference, new_entries
from zkpy import opcodes
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import TxnHeader, decode_payload, encode_payload
from zkpy.tree.znode import OwnerRules

CREATE_SESSION = struct.pack(">i", 30000)


def create_body(path: str) -> bytes:
    name = path.encode()
    head = struct.pack(">i", len(name)) + name + struct.pack(">i", 0)
    acl = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")
    return head + acl + struct.pack(">?i", False, -1)


def entry(
    zxid: int, type: int, body: bytes, *, session: int = 7, time: int = 1, digest: bytes = b""
) -> bytes:
    return encode_payload(TxnHeader(session, zxid, zxid, time), type, body, digest)


def with_digests(payloads: list[bytes], *, wrong: int | None = None) -> list[bytes]:
    """The same with the digest that zkpy's tree has after each, but for the one at index *wrong*."""
    tree = DataTree(OwnerRules(extended=True))
    made = []
    for number, payload in enumerate(payloads):
        logged = decode_payload(payload)
        tree.apply(logged.header, logged.txn)
        value = (tree.digest + (number == wrong)) & (1 << 64) - 1
        made.append(payload + struct.pack(">iQ", 2, value))
    return made


def write(directory: Path, name: str, payloads: list[bytes]) -> Path:
    out = struct.pack(">4siq", b"ZKLG", 2, 0)
    for payload in payloads:
        out += struct.pack(">qi", zlib.adler32(payload), len(payload)) + payload + b"B"
    path = directory / "version-2" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(out + bytes(100))
    return path


def log(session: int = 7, time: int = 1) -> list[bytes]:
    return [
        entry(1, opcodes.CREATE_SESSION, CREATE_SESSION, session=session, time=time),
        entry(2, opcodes.CREATE, create_body("/a"), session=session, time=time),
        entry(3, opcodes.ERROR, struct.pack(">i", -101), session=session, time=time),
        entry(16, opcodes.CREATE, create_body("/b"), session=session, time=time),
    ]


def test_files_are_read_in_the_order_of_their_zxids(tmp_path: Path) -> None:
    payloads = log()
    write(tmp_path, "log.10", payloads[3:])
    write(tmp_path, "log.1", payloads[:2])
    write(tmp_path, "log.3", payloads[2:3])
    assert entries(tmp_path) == payloads
    assert [txnlogs.zxid(payload) for payload in payloads] == [1, 2, 3, 16]


@pytest.mark.parametrize("at", [16, 30, -101])
def test_damage_is_noticed(tmp_path: Path, at: int) -> None:
    path = write(tmp_path, "log.1", log())
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"log\.1: the entry at \d+ is damaged"):
        entries(tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "log.1", log()).write_bytes(b"ZKSN" + bytes(40))
    with pytest.raises(ValueError, match="does not begin as a transaction log"):
        entries(tmp_path)


def test_sessions_times_and_digests_do_not_count() -> None:
    ours, theirs = with_digests(log(5, 1)), with_digests(log(6, 2))
    assert ours != theirs
    assert comparable(ours) == comparable(theirs)
    assert first_difference(comparable(ours), comparable(theirs)) is None


def test_a_missing_digest_counts() -> None:
    ours = comparable([*with_digests(log())[:3], log()[3]])
    found = first_difference(ours, comparable(with_digests(log())))
    assert found is not None and found.startswith("entry 4:\n  zkpy session 0 cxid 16 zxid 10 type 1: ")


def test_differences_are_told() -> None:
    other = log()
    other[2] = entry(3, opcodes.ERROR, struct.pack(">i", -110))
    found = first_difference(comparable(log()), comparable(other))
    assert found is not None and found.startswith("entry 3:")
    found = first_difference(comparable(log()), comparable(log()[:2]))
    assert found is not None and found.startswith("only one has entry 3:\n  zkpy ")
    found = first_difference(comparable(log()[:3]), comparable(log()))
    assert found is not None and found.startswith("only one has entry 4:\n  real ")


def test_entries_under_an_old_zxid_are_not_new() -> None:
    old = entry(2, opcodes.ERROR, struct.pack(">i", -5))
    assert new_entries([*log(), old]) == log()
    assert first_difference(comparable([*log(), old]), comparable(log())) is not None


def test_digests_are_checked_by_replay() -> None:
    assert list(digest_differences(with_digests(log()))) == []
    found = list(digest_differences(with_digests(log(), wrong=1)))
    assert [(difference.header.zxid, difference.off_by) for difference in found] == [(2, -1), (16, 0)]
    with pytest.raises(ValueError, match="no entry of this log has a digest"):
        list(digest_differences(log()))
