"""What goes wrong in a run. What a nemesis does is undone by `heal`, whatever it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import attrs
import trio

from compat.faults.cluster import Cluster
from compat.faults.links import Channel

Inject = Callable[[Cluster, Random], Awaitable[str]]

_ROLE_LIMIT_S = 20.0


@attrs.define(frozen=True)
class Nemesis:
    """One kind of fault; *inject* tells in words what it has done.

    *deposes*: a leader may be deposed without knowing it. Until it finds out it answers a sync, as
    ZooKeeper's does, so that what is read behind a sync can be old.
    """

    inject: Inject
    deposes: bool = False
    alone: bool = False
    """Not together with another one."""
    least: int = 3
    """So many members are needed."""


def _some(cluster: Cluster, random: Random, count: int = 1) -> list[int]:
    running = cluster.running()
    return random.sample(running, min(count, len(running)))


async def _leader(cluster: Cluster, random: Random) -> int:
    leader = await cluster.leader()
    return leader if leader is not None else random.choice(list(cluster.members))


async def _follower(cluster: Cluster, random: Random) -> int:
    leader = await _leader(cluster, random)
    return random.choice([number for number in cluster.members if number != leader])


async def _kill_one(cluster: Cluster, random: Random) -> str:
    chosen = _some(cluster, random)
    cluster.kill(chosen)
    return f"kill {chosen}"


async def _kill_leader(cluster: Cluster, random: Random) -> str:
    leader = await _leader(cluster, random)
    cluster.kill([leader])
    return f"kill leader {leader}"


async def _kill_majority(cluster: Cluster, random: Random) -> str:
    chosen = _some(cluster, random, cluster.majority)
    cluster.kill(chosen)
    return f"kill {chosen}"


async def _kill_all(cluster: Cluster, random: Random) -> str:
    cluster.kill(cluster.members)
    return "kill all"


async def _kill_during_start(cluster: Cluster, random: Random) -> str:
    chosen = _some(cluster, random)
    for _ in range(3):
        cluster.kill(chosen)
        cluster.start(chosen)
        await trio.sleep(random.uniform(0, 0.5))
    cluster.kill(chosen)
    return f"kill {chosen} while it starts"


async def _rolling(cluster: Cluster, random: Random) -> str:
    order = random.sample(list(cluster.members), len(cluster.members))
    for number in order:
        await cluster.terminate(number)
        await trio.sleep(random.uniform(0, 1))
        cluster.start([number])
        with trio.move_on_after(_ROLE_LIMIT_S):
            while number not in await cluster.states():
                await trio.sleep(0.1)
    return f"restart {order} one by one"


async def _stop_leader(cluster: Cluster, random: Random) -> str:
    leader = await _leader(cluster, random)
    if leader in cluster.running():
        cluster.pause(leader)
    return f"stop leader {leader}"


async def _stop_follower(cluster: Cluster, random: Random) -> str:
    number = await _follower(cluster, random)
    if number in cluster.running():
        cluster.pause(number)
    return f"stop follower {number}"


def _isolate(cluster: Cluster, number: int) -> None:
    cluster.links.cut([number], cluster.members)
    cluster.links.cut(cluster.members, [number])


async def _isolate_leader(cluster: Cluster, random: Random) -> str:
    leader = await _leader(cluster, random)
    _isolate(cluster, leader)
    return f"isolate leader {leader}"


async def _isolate_follower(cluster: Cluster, random: Random) -> str:
    number = await _follower(cluster, random)
    _isolate(cluster, number)
    return f"isolate follower {number}"


async def _halves(cluster: Cluster, random: Random) -> str:
    order = random.sample(list(cluster.members), len(cluster.members))
    one, other = order[: len(order) // 2], order[len(order) // 2 :]
    cluster.links.cut(one, other)
    cluster.links.cut(other, one)
    return f"halves {one} {other}"


async def _bridge(cluster: Cluster, random: Random) -> str:
    bridge, *rest = random.sample(list(cluster.members), len(cluster.members))
    one, other = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    cluster.links.cut(one, other)
    cluster.links.cut(other, one)
    return f"bridge {one} {bridge} {other}"


async def _mute(cluster: Cluster, random: Random) -> str:
    number = random.choice([await _leader(cluster, random), await _follower(cluster, random)])
    cluster.links.cut([number], cluster.members)
    return f"nothing leaves {number}"


async def _deaf(cluster: Cluster, random: Random) -> str:
    number = random.choice([await _leader(cluster, random), await _follower(cluster, random)])
    cluster.links.cut(cluster.members, [number])
    return f"nothing reaches {number}"


async def _one_channel(cluster: Cluster, random: Random) -> str:
    channel = random.choice(list(Channel))
    number = random.choice([await _leader(cluster, random), await _follower(cluster, random)])
    cluster.links.cut([number], cluster.members, frozenset({channel}))
    cluster.links.cut(cluster.members, [number], frozenset({channel}))
    return f"cut {number}'s {channel.value} links"


async def _slow(cluster: Cluster, random: Random) -> str:
    chosen = _some(cluster, random, random.randint(1, len(cluster.members)))
    delay = random.uniform(0.01, 0.2)
    cluster.links.slow(chosen, cluster.members, delay, delay / 2)
    return f"slow links from {chosen} ({delay * 1000:.0f} ms)"


async def _resets(cluster: Cluster, random: Random) -> str:
    for _ in range(random.randint(3, 10)):
        cluster.links.reset_next(_some(cluster, random), cluster.members)
        await trio.sleep(random.uniform(0, 0.3))
    return "resets inside of frames"


async def _wipe(cluster: Cluster, random: Random) -> str:
    """Only who does not lead, and while all others have what it had: else it is right to lose data."""
    leader = await cluster.leader()
    if leader is None:
        return "nothing"
    number = random.choice([number for number in cluster.members if number != leader])
    cluster.kill([number])
    cluster.wipe(number)
    await trio.sleep(random.uniform(0, 1))
    cluster.start([number])
    return f"wipe {number}"


NEMESES = {
    "kill-one": Nemesis(_kill_one),
    "kill-leader": Nemesis(_kill_leader),
    "kill-majority": Nemesis(_kill_majority),
    "kill-all": Nemesis(_kill_all),
    "kill-start": Nemesis(_kill_during_start),
    "rolling": Nemesis(_rolling),
    "stop-leader": Nemesis(_stop_leader, deposes=True),
    "stop-follower": Nemesis(_stop_follower),
    "isolate-leader": Nemesis(_isolate_leader, deposes=True),
    "isolate-follower": Nemesis(_isolate_follower),
    "halves": Nemesis(_halves, deposes=True),
    "bridge": Nemesis(_bridge, deposes=True),
    "mute": Nemesis(_mute, deposes=True),
    "deaf": Nemesis(_deaf, deposes=True),
    "one-channel": Nemesis(_one_channel, deposes=True),
    "slow": Nemesis(_slow),
    "resets": Nemesis(_resets, deposes=True),
    "wipe": Nemesis(_wipe, alone=True),
}


def heal(cluster: Cluster, random: Random) -> None:
    """Everything is in order again: links, processes."""
    cluster.links.heal(reset=random.random() < 0.5)
    cluster.resume_all()
    cluster.start(cluster.members)
