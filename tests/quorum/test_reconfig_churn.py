"""Members that come, go, change and die at random: nothing acknowledged is lost, and in the end all agree."""

from __future__ import annotations

from random import Random

import trio
from trio.testing import MockClock

from compat import wire
from tests.quorum.mesh import members
from tests.quorum.rolemesh import Zoo
from tests.quorum.test_reconfig_roles import a_zoo, body, line
from tests.quorum.test_roles import same
from zkpy.quorum.quorumconfig import QuorumConfig

SEEDS = 20
STEPS = 14
PAUSES_S = (0.0, 0.05, 0.3, 3.0)


class Churn:
    """One run. Server 5 is no member at first; of the four that are, at most two are down at a time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.zoo: Zoo = a_zoo(1, 2, 3, observers=(4,))
        self.down: set[int] = set()
        self.acknowledged: list[bytes] = []
        self.changes = 0

    async def run(self) -> None:
        zoo = self.zoo
        async with zoo.running(1, 2, 3, 4):
            await zoo.serve()
            present, zoo.config = zoo.config, members(1, 2, 3, 5)
            zoo.start(5)
            zoo.config = present
            await trio.sleep(2)
            acts = [self.change, self.change, self.write, self.write, self.kill, self.start]
            for _ in range(STEPS):
                await self.random.choice(acts)()
                await trio.sleep(self.random.choice(PAUSES_S))
                assert not [member.error for member in zoo.members.values() if member.error]
            for sid in sorted(self.down):
                self.start_again(sid)
            await self.agree()

    async def call(self, op: int, data: bytes) -> bool:
        """Whether some member that serves did it; none may, or it may be over before there is an answer."""
        serving = [sid for sid, member in self.zoo.members.items() if sid not in self.down and member.mode]
        if not serving:
            return False
        try:
            client = await self.zoo.members[self.random.choice(serving)].client()
            with trio.move_on_after(4):
                return (await client.call(op, data)).err == 0
        except (ValueError, trio.TooSlowError):  # hung up on
            pass
        return False

    async def change(self) -> None:
        sid = self.random.randint(1, 5)
        wanted = [
            body(line(sid)),
            body(line(sid, "observer")),
            body(None, str(sid)),
            body(line(sid, client=self.random.randint(3000, 9000))),
        ]
        self.changes += await self.call(wire.RECONFIG, self.random.choice(wanted))

    async def write(self) -> None:
        path = f"/w{len(self.acknowledged)}-{self.random.random()}"
        if await self.call(wire.CREATE, wire.create_body(path, b"")):
            self.acknowledged.append(path.encode())

    async def kill(self) -> None:
        if len(self.down) < 2:
            sid = self.random.choice(sorted(self.zoo.members.keys() - self.down))
            self.down.add(sid)
            await self.zoo.kill(sid)

    async def start(self) -> None:
        if self.down:
            self.start_again(self.random.choice(sorted(self.down)))

    def start_again(self, sid: int) -> None:
        """With the files that it has; without itself in them it cannot be started."""
        if self.zoo.configuration(sid).ensemble.member(sid) is not None:
            self.down.discard(sid)
            self.zoo.start(sid)

    async def agree(self) -> None:
        """The members that are up come to serve under one configuration, with one tree."""
        await trio.sleep(1)
        with trio.fail_after(300):
            while not (agreed := self.agreed()):
                await trio.sleep(0.5)
        client = await self.zoo.members[agreed[0]].client()
        assert (await client.create("/in-the-end")).err == 0
        await trio.sleep(1)
        same(self.zoo, *agreed)
        there = self.zoo.members[agreed[0]].tree.nodes
        assert not [path for path in self.acknowledged if path not in there]

    def agreed(self) -> list[int]:
        """The members that a leader's configuration has, if all that are up serve under it."""
        up = {sid: member for sid, member in self.zoo.members.items() if sid not in self.down}
        led = [sid for sid, member in up.items() if member.mode == "leader"]
        if not led:
            return []
        versions = {sid: self.config(sid).version for sid in up}
        newest = max(led, key=lambda sid: versions[sid])
        wanted = [server.sid for server in self.config(newest).servers if server.sid in up]
        ready = all(up[sid].mode and versions[sid] == versions[newest] for sid in wanted)
        return wanted if ready else []

    def config(self, sid: int) -> QuorumConfig:
        config = self.zoo.members[sid].service.facts.members
        assert config is not None
        return config


def test_members_that_change_at_random_agree_in_the_end() -> None:
    changes = 0
    for seed in range(SEEDS):
        churn = Churn(seed)
        try:
            trio.run(churn.run, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        changes += churn.changes
    assert changes > SEEDS
