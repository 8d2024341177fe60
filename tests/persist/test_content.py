"""A snapshot's content in pieces, and the check of its seal."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tests.persist.test_snapshot import EMPTY
from zkpy.persist import snappy
from zkpy.persist.content import READ_ERRORS, SealCheck, compression_of, is_sealed, pieces
from zkpy.persist.memorydisk import MemoryDisk


def stored(name: str, content: bytes) -> MemoryDisk:
    disk = MemoryDisk()
    disk.put(name, content)
    return disk


def snappy_of(content: bytes) -> bytes:
    out = snappy.Compressor()
    return out.compress(content) + out.flush()


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".SNAPPY", snappy_of)])
def test_the_name_says_how_to_decompress(suffix: str, pack: object) -> None:
    assert callable(pack)
    content = bytes(range(256)) * 4000
    disk = stored(f"/s/snapshot.0{suffix}", pack(content))
    got = list(pieces(disk, f"/s/snapshot.0{suffix}"))
    assert b"".join(got) == content
    assert max(map(len, got)) <= 1 << 18


def test_compression_of() -> None:
    assert [compression_of(name) for name in ("snapshot.1", "a.GZ", "b.snappy", "c.gz.old")] == [
        "",
        "gz",
        "snappy",
        "",
    ]


@pytest.mark.parametrize("size", [1, 5, 100, 478])
def test_a_seal_fits_all_that_stands_before_it(size: int) -> None:
    for content, sealed in ((EMPTY, True), (EMPTY[:-1], False), (b"x" + EMPTY[1:], False), (b"", False)):
        check = SealCheck()
        for at in range(0, len(content), size):
            check.feed(content[at : at + size])
        assert check.sealed is sealed


def test_no_flipped_bit_is_sealed() -> None:
    for at in range(len(EMPTY)):
        damaged = bytearray(EMPTY)
        damaged[at] ^= 4
        assert not is_sealed(stored("/s/snapshot.0", bytes(damaged)), "/s/snapshot.0"), at


def test_cut_streams_are_errors() -> None:
    for suffix, packed in ((".gz", gzip.compress(EMPTY)), (".snappy", snappy_of(EMPTY))):
        disk = stored(f"/s/snapshot.0{suffix}", packed[:-9])
        with pytest.raises(READ_ERRORS):
            list(pieces(disk, f"/s/snapshot.0{suffix}"))
        assert not is_sealed(disk, f"/s/snapshot.0{suffix}")
    assert zlib.error in READ_ERRORS
