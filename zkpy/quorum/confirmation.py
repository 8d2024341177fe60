"""A leader makes sure that it still leads, for the reads that wait at its gate.

It sends its followers a PING with a mark where the last proposal's zxid usually stands; they answer with what
they got, Java's too. Once a quorum has answered, no other leader can have been established before the PING
was sent: that would have needed one of those who answered, and they would have left this leader first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zkpy.pipeline.readgate import ReadGate
from zkpy.quorum.quorumconfig import Configs
from zkpy.quorum.verifier import AckSets


class Confirmation:
    """One confirmation after the other. *ask* sends a mark to the followers.

    ``mark`` is what the present one waits for, 0 when none is under way: a follower that came meanwhile has
    to get it as well, so it goes into every PING.
    """

    def __init__(self, sid: int, configs: Configs, ask: Callable[[int], None]) -> None:
        self._sid: Final = sid
        self._configs: Final = configs
        self._ask: Final = ask
        self.gate: Final = ReadGate(self._begin)
        self.mark = 0
        self._answers = AckSets(configs.verifiers())

    def _begin(self, number: int, session_id: int) -> None:
        self.mark = -number
        self._answers = AckSets(self._configs.verifiers())
        self._ask(self.mark)
        self.answered(self._sid, self.mark)

    def answered(self, sid: int, zxid: int) -> None:
        """A server has answered a PING that had this zxid."""
        if not self.mark or zxid != self.mark:
            return
        self._answers.add(sid)
        if self._answers.has_all_quorums():
            self.mark = 0
            self.gate.confirmed(-zxid)
