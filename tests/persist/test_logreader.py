"""What the reader takes for a log, for the end of one, and for damage."""

from __future__ import annotations

import pytest

from tests.persist.records import EXAMPLE, all_kinds, history, log_bytes, payload
from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import HEADER, LogReader, read_log
from zkpy.persist.memorydisk import MemoryDisk
from zkpy.persist.torn import UNSYNCED_LIMIT
from zkpy.tree.datatree import DataTree
from zkpy.tree.txns import CreateSession, SetData, Txn, decode_payload


def read_all(content: bytes, last: bool = True) -> list[tuple[int, bytes]]:
    disk = MemoryDisk()
    disk.put("/l/log.1", content)
    return [(entry.zxid, entry.payload) for entry in read_log(disk, "/l/log.1", last=last)]


def a_log() -> tuple[bytes, list[bytes]]:
    payloads, _ = history(all_kinds())
    return log_bytes(payloads), payloads


def test_a_file_of_zookeeper_is_read_and_written_again_byte_for_byte() -> None:
    entries = read_all(EXAMPLE)
    assert [zxid for zxid, _ in entries] == [1, 2]
    assert log_bytes([entry for _, entry in entries]) == EXAMPLE
    tree = DataTree()
    for _, entry in entries:
        logged = decode_payload(entry)
        tree.apply(logged.header, logged.txn)
        assert tree.digest == logged.digest


def test_every_type_survives() -> None:
    content, payloads = a_log()
    assert [entry for _, entry in read_all(content, last=False)] == payloads
    assert [decode_payload(entry).txn for entry in payloads] == all_kinds()


def test_a_last_log_may_be_cut_anywhere() -> None:
    content, payloads = a_log()
    ends = [len(HEADER)]
    for entry in payloads:
        ends.append(ends[-1] + len(entry) + 13)
    for padding in (0, 700):
        for cut in range(len(content) + 1):
            whole = sum(end <= cut for end in ends) - 1
            got = read_all(content[:cut] + bytes(padding))
            assert [entry for _, entry in got] == payloads[: max(whole, 0)], cut


def test_an_earlier_log_may_end_only_between_records() -> None:
    content, payloads = a_log()
    clean = {len(HEADER)}
    for entry in payloads:
        clean.add(max(clean) + len(entry) + 13)
    for cut in range(len(content)):
        if clean & set(range(cut - 4, cut + 1)):  # a record begins with four zeros
            read_all(content[:cut], last=False)
        else:
            with pytest.raises(CorruptLogError):
                read_all(content[:cut], last=False)


def test_no_flipped_bit_passes_or_shortens_a_log() -> None:
    content, payloads = a_log()
    for padding in (0, 4096):
        for bit in range(len(content) * 8):
            damaged = bytearray(content + bytes(padding))
            damaged[bit // 8] ^= 1 << bit % 8
            try:
                got = [entry for _, entry in read_all(bytes(damaged))]
            except CorruptLogError:
                continue
            assert got == payloads  # version and dbid are not looked at
            assert 4 <= bit // 8 < 16


def test_no_zeroed_block_in_the_middle_passes() -> None:
    content, payloads = a_log()
    last_record = len(content) - len(payloads[-1]) - 13
    for at in range(len(HEADER), last_record - 64, 8):
        damaged = content[:at] + bytes(64) + content[at + 64 :]
        if damaged != content and at % 512 < 512 - 64:  # not up to the end of a sector
            with pytest.raises(CorruptLogError):
                read_all(damaged)


def test_a_missing_sector_of_the_last_batch_is_a_crash() -> None:
    payloads = [payload(DataTree(), zxid, CreateSession(zxid)) + bytes([zxid]) * 300 for zxid in range(1, 9)]
    content = log_bytes(payloads)
    assert len(content) > 4 * 512
    kept = read_all(content[:512] + bytes(512) + content[1024:])
    assert [entry for _, entry in kept] == payloads[:1]


def test_more_than_a_batch_after_the_damage_is_no_crash() -> None:
    payloads, _ = history([CreateSession(1), SetData(5, b"/", b"x" * 1_000_000, 1)])
    tree = DataTree()
    payloads += [payload(tree, zxid, SetData(5, b"/", b"x" * 1_000_000, 1)) for zxid in range(3, 10)]
    content = bytearray(log_bytes(payloads))
    assert len(content) > UNSYNCED_LIMIT + 2_200_000
    content[512:1536] = bytes(1024)
    with pytest.raises(CorruptLogError, match="unsynced"):
        read_all(bytes(content))


def test_rubbish_after_the_cut_is_no_reason_to_refuse() -> None:
    content, payloads = a_log()
    rubbish = bytes((17 * at * at + 5) % 251 | 1 for at in range(300)).replace(b"B", b"C")
    assert [entry for _, entry in read_all(content + rubbish)] == payloads
    assert [entry for _, entry in read_all(content[:-30] + rubbish)] == payloads[:-1]


@pytest.mark.parametrize("content", [b"", b"ZK", b"rubbish", bytes(16), bytes(70_000), HEADER[:15]])
def test_a_header_that_never_got_there_is_an_empty_last_log(content: bytes) -> None:
    assert read_all(content) == []
    with pytest.raises(CorruptLogError):
        read_all(content, last=False)


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(CorruptLogError, match="magic"):
        read_all(b"ZKSN" + EXAMPLE[4:])


def test_reader_is_bounded_and_says_where_the_file_ended() -> None:
    content, payloads = a_log()
    disk = MemoryDisk()
    disk.put("/l/log.1", content + bytes(1_000_000))
    reader = LogReader(disk, "/l/log.1")
    assert len(list(reader)) == len(payloads)
    assert (reader.end, reader.torn) == (len(content), "")
    assert len(list(reader)) == len(payloads), "it can be read again"


def test_types_are_distinct() -> None:
    kinds: set[type[Txn]] = {type(txn) for txn in all_kinds()}
    assert len(kinds) == 8
