"""A disk for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zkpy.realports import RealDisk


@pytest.fixture
def disk() -> Iterator[RealDisk]:
    with RealDisk() as disk:
        yield disk
