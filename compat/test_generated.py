"""Generated scripts, a few of each kind of server: ``make compat-long`` plays many more."""

from __future__ import annotations

import pytest

from compat.generated.block import Block, play_block
from compat.generated.generate import PROFILES

SCRIPTS = {"main": 40}
STEPS = 120


@pytest.mark.parametrize("profile", list(PROFILES))
def test_generated_scripts_have_the_same_answers(profile: str) -> None:
    played = play_block(Block(profile, tuple(range(SCRIPTS.get(profile, 8))), STEPS))
    assert played.replies > played.scripts * STEPS
    assert not played.failures, "\n\n".join(str(failure["text"]) for failure in played.failures)
