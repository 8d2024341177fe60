"""What ``mntr`` shows of a member's role beside what every server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkpy.quorum.context import Context
from zkpy.server.facts import Gauges

if TYPE_CHECKING:
    from zkpy.quorum.leader import Leader


def of_member(context: Context, state: str) -> Gauges:
    """For every role; *state* is the word for it in ``peer_state``."""
    return [
        ("peer_state", f"{state} - broadcast"),
        ("quorum_size", len(context.configs.committed.voters)),
    ]


def of_leader(leader: Leader, serving_since: float) -> Gauges:
    """For the leader, which serves since *serving_since* (monotonic seconds)."""
    context = leader.context
    server = leader.server
    assert server is not None
    voters = context.configs.committed.voters
    last, least, most = server.proposal_sizes
    return [
        *of_member(context, "leading"),
        ("learners", len(leader.handlers)),
        ("synced_followers", len(leader.followers)),
        ("synced_observers", len(leader.observers)),
        ("synced_non_voting_followers", sum(handler.sid not in voters for handler in leader.followers)),
        ("pending_syncs", server.pending_syncs()),
        ("leader_uptime", int((context.clock() - serving_since) * 1000)),
        ("last_proposal_size", last),
        ("min_proposal_size", least),
        ("max_proposal_size", most),
    ]
