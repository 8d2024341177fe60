"""Elections among Java servers and one of ours that does nothing but elect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio

from compat.ensemble import Ensemble, RealEnsemble
from compat.process import HOST, free_port
from zkpy.quorum.cnxmanager import CnxManager
from zkpy.quorum.election import Election
from zkpy.quorum.notification import PeerState
from zkpy.quorum.quorumconfig import Configs, QuorumConfig
from zkpy.quorum.votes import FastLeaderElection, Vote
from zkpy.realnetwork import RealNetwork

LIMIT_S = 40.0


@pytest.fixture(
    params=[(3, "participant"), (0, "participant"), (7, "observer")], ids=["larger", "smaller", "observer"]
)
def member(request: pytest.FixtureRequest) -> Iterator[tuple[int, Ensemble, QuorumConfig]]:
    """Java servers 1 and 2, and the sid of ours in their configuration."""
    sid, role = request.param
    line = f"{HOST}:{free_port()}:{free_port()}:{role}"
    with RealEnsemble(2, {f"server.{sid}": line}) as ensemble:
        settings = ensemble.members[1].config
        lines = [f"{key}={value}" for key, value in settings.items() if key.startswith("server.")]
        yield sid, ensemble, QuorumConfig.from_text("\n".join(lines))


def with_election(sid: int, config: QuorumConfig, use: Callable[[Election], Awaitable[None]]) -> None:
    """Run *use* while our server takes part in elections."""

    async def main() -> None:
        configs = Configs(config)
        cnx = CnxManager(sid, lambda: configs, RealNetwork())
        election = Election(sid, FastLeaderElection(sid, configs, observer=sid in config.observers), cnx)
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                await nursery.start(cnx.run)
                await nursery.start(election.run)
                await use(election)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_we_learn_the_leader_of_java_servers_and_elect_one_with_them(
    member: tuple[int, Ensemble, QuorumConfig],
) -> None:
    sid, ensemble, config = member
    role = PeerState.OBSERVING if sid in config.observers else PeerState.FOLLOWING

    async def use(election: Election) -> None:
        vote = await election.look_for_leader(0, 0)
        leader = await trio.to_thread.run_sync(ensemble.leader)
        assert (vote.leader, vote.epoch) == (leader, 1)
        assert election.state is role
        if role is PeerState.OBSERVING:
            return

        # One Java server is no quorum: it needs our vote.
        election.set_state(PeerState.LOOKING)
        await trio.to_thread.run_sync(ensemble.stop_all)
        votes: list[Vote] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ensemble_restart(ensemble))
            votes.append(await election.look_for_leader(0, 0))
        assert votes[0].leader == 2
        assert election.state is role

    with_election(sid, config, use)


async def ensemble_restart(ensemble: Ensemble) -> None:
    """Server 2 alone, without waiting: it can be elected, but not serve."""
    await trio.to_thread.run_sync(lambda: ensemble.restart(2, wait=False))


def test_java_elects_us_when_our_history_is_longer() -> None:
    line = f"{HOST}:{free_port()}:{free_port()}:participant"
    with RealEnsemble(2, {"server.3": line}) as ensemble:
        settings = ensemble.members[1].config
        lines = [f"{key}={value}" for key, value in settings.items() if key.startswith("server.")]

        async def use(election: Election) -> None:
            await trio.to_thread.run_sync(ensemble.stop_all)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: ensemble_restart(ensemble))
                vote = await election.look_for_leader(0x900000001, 9)
            assert vote.leader == 3
            assert election.state is PeerState.LEADING
            java = ensemble.members[2]
            while "FOLLOWING - LEADER ELECTION TOOK" not in java.log_of_this_run():
                await trio.sleep(0.05)

        with_election(3, QuorumConfig.from_text("\n".join(lines)), use)
