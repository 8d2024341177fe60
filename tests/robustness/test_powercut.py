"""Power cuts on a real ext4: nothing acknowledged is lost; without syncs it is, and that is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.harness import Failure, defines
from tests.robustness.powercut import Ext4, NoMeans, PowerCuts, ext4

SEED = 4101


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Ext4]:
    try:
        with ext4(tmp_path) as found:
            yield found
    except NoMeans as error:
        pytest.skip(str(error))


def test_a_power_cut_loses_nothing(tmp_path: Path, disk: Ext4) -> None:
    campaign = PowerCuts(tmp_path, SEED, disk)
    campaign.run(3)
    assert campaign.cuts == 3
    assert campaign.acknowledged > 100


def test_without_syncs_a_power_cut_is_seen(tmp_path: Path, disk: Ext4) -> None:
    campaign = PowerCuts(tmp_path, SEED, disk, *defines(forceSync="no"))
    with pytest.raises(Failure):
        campaign.run(5)
