"""Java servers are replaced by zkpy servers one by one, and these by Java servers again, under load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from compat.ensemble import Ensemble, MemberFactory
from compat.members import Writer, all_is_equal, client, eventually
from compat.realzk import RealServer
from compat.zkpyserver import ZkpyServer

SETTINGS = {"tickTime": "500", "initLimit": "20", "syncLimit": "8"}
SIZES = [3, 5] if os.environ.get("ENSEMBLE_ALL") else [3]
WRITERS = 3

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def ensemble(size: int, classpath: str) -> Iterator[Ensemble]:
    with Ensemble([RealServer] * size, SETTINGS) as running:
        yield running


def replace_all(ensemble: Ensemble, kind: MemberFactory, writers: list[Writer], *, killing: bool) -> None:
    """One after another; all serve, and every writer gets on, before the next one has its turn."""
    for number in ensemble.members:
        (ensemble.kill if killing else ensemble.stop)(number)
        ensemble.replace(number, kind)
        before = [len(writer.acknowledged) for writer in writers]
        ensemble.restart(number, wait=False)
        ensemble.wait_until_serving()
        for writer, count in zip(writers, before, strict=True):
            eventually(f"writes with the new server {number}", partial(has_written, writer, count + 10))


def has_written(writer: Writer, count: int) -> bool:
    return len(writer.acknowledged) > count


def in_order_everywhere(ensemble: Ensemble, acknowledged: list[str]) -> None:
    """Each member has every acknowledged write, and has them in the order in which they were made."""
    for number, member in ensemble.members.items():
        reader = client(member.address)
        reader.sync("/")
        asked = [(path, reader.exists_async(path)) for path in acknowledged]
        stats = [(path, answer.get(timeout=20)) for path, answer in asked]
        reader.stop()
        reader.close()
        lost = [path for path, stat in stats if stat is None]
        assert not lost, f"server {number} lost {len(lost)} of {len(acknowledged)} writes: {lost[:5]}"
        zxids = [stat.czxid for _, stat in stats]
        assert zxids == sorted(set(zxids)), f"server {number} has the writes in another order"


@pytest.mark.parametrize("size", SIZES)
def test_no_acknowledged_write_is_lost_while_every_server_is_replaced_twice(ensemble: Ensemble) -> None:
    writers = [Writer(ensemble.hosts, f"/by-{number}") for number in range(WRITERS)]
    try:
        replace_all(ensemble, ZkpyServer, writers, killing=False)
        replace_all(ensemble, RealServer, writers, killing=True)
    finally:
        acknowledged = [writer.stop() for writer in writers]
    assert {member.kind for member in ensemble.members.values()} == {"java"}
    for paths in acknowledged:
        assert len(paths) > 60
        in_order_everywhere(ensemble, paths)
    all_is_equal(ensemble)
