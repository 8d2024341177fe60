"""An ensemble whose members reach each other through proxies, driven from a trio program."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random

import trio

from compat.faults.links import Links, Ports
from compat.process import HOST, ServerProcess, free_port
from compat.realzk import RealServer
from compat.zkpyserver import ZkpyServer

KINDS: dict[str, type[ZkpyServer] | type[RealServer]] = {"z": ZkpyServer, "j": RealServer}
SERVING = ("leader", "follower")
_ASK_S = 1.0


class MemberEnded(Exception):
    """A member's process ended by itself."""


class Cluster:
    """Members with ids from 1 on; *kinds* has a letter for each: z (zkpy) or j (Java)."""

    def __init__(
        self,
        kinds: str,
        settings: Mapping[str, str],
        properties: Mapping[str, str],
        random: Random,
        log_level: str,
    ) -> None:
        self.kinds = kinds
        self.members: dict[int, ServerProcess] = {}
        self.true: dict[int, Ports] = {}
        self.paused: set[int] = set()
        self.kept: dict[int, dict[Path, int]] = {}
        """Logs that a member may delete: a second name of each, up to which zxid it was committed."""
        self.wiped: set[int] = set()
        try:
            for number, kind in enumerate(kinds, 1):
                member = self.members[number] = KINDS[kind](settings, properties)
                if isinstance(member, ZkpyServer):
                    member.log_level = log_level
                self.true[number] = Ports(free_port(), free_port())
                member.port = free_port()
                self.kept[number] = {}
            ways = {
                (a, b): Ports(free_port(), free_port()) for a in self.members for b in self.members if a != b
            }
            self.links = Links(self.true, ways, random)
            for number in self.members:
                self._configure(number)
        except BaseException:
            self.close()
            raise

    def _configure(self, number: int) -> None:
        member = self.members[number]
        for other in self.members:
            ports = self.true[number] if other == number else self.links.ways[number, other]
            member.config[f"server.{other}"] = f"{HOST}:{ports.quorum}:{ports.election}"
        self._prepare_directory(number)

    def _prepare_directory(self, number: int) -> None:
        data = self.members[number].data
        data.mkdir(parents=True, exist_ok=True)
        (data / "myid").write_text(f"{number}\n")

    @property
    def majority(self) -> int:
        return len(self.members) // 2 + 1

    def address(self, number: int) -> tuple[str, int]:
        return HOST, self.members[number].port

    def running(self) -> list[int]:
        return [number for number, member in self.members.items() if member.process is not None]

    # -- processes -----------------------------------------------------------------------------------------

    def start(self, numbers: Iterable[int]) -> None:
        """Start what does not run."""
        for number in numbers:
            if self.members[number].process is None:
                self.members[number].launch()

    def kill(self, numbers: Iterable[int]) -> None:
        """As kill -9 does; all of them before any is waited for."""
        chosen = [number for number in numbers if self.members[number].process is not None]
        for number in chosen:
            self.signal(number, signal.SIGKILL)
        for number in chosen:
            self.members[number].kill()
            self.paused.discard(number)

    async def terminate(self, number: int) -> None:
        """SIGTERM, and wait for the end."""
        await trio.to_thread.run_sync(self.members[number].stop)

    def signal(self, number: int, which: signal.Signals) -> None:
        process = self.members[number].process
        assert process is not None
        process.send_signal(which)

    def pause(self, number: int) -> None:
        self.signal(number, signal.SIGSTOP)
        self.paused.add(number)

    def resume_all(self) -> None:
        for number in self.paused:
            self.signal(number, signal.SIGCONT)
        self.paused.clear()

    def wipe(self, number: int) -> None:
        """An empty disk; the member must not run."""
        assert self.members[number].process is None
        shutil.rmtree(self.members[number].data)
        self._prepare_directory(number)
        self.wiped.add(number)

    def check_alive(self) -> None:
        """Raises MemberEnded."""
        for number, member in self.members.items():
            if member.process is not None and (status := member.process.poll()) is not None:
                raise MemberEnded(f"member {number} ended by itself with status {status}")

    # -- questions -----------------------------------------------------------------------------------------

    async def ask(self, number: int, word: bytes) -> str:
        """The answer to a four-letter word; "" when there is none."""
        answer = b""
        with trio.move_on_after(_ASK_S):
            try:
                stream = await trio.open_tcp_stream(*self.address(number))
                async with stream:
                    await stream.send_all(word)
                    while piece := await stream.receive_some(65536):
                        answer += piece
            except (OSError, trio.BrokenResourceError):
                return ""
        return answer.decode("utf-8", "replace")

    async def states(self) -> dict[int, tuple[str, int]]:
        """Mode and zxid of each member that serves."""
        found: dict[int, tuple[str, int]] = {}

        async def one(number: int) -> None:
            answer = await self.ask(number, b"srvr")
            mode = re.search(r"^Mode: (\w+)$", answer, re.MULTILINE)
            zxid = re.search(r"^Zxid: 0x([0-9a-f]+)$", answer, re.MULTILINE)
            if mode and zxid:
                found[number] = mode[1], int(zxid[1], 16)

        async with trio.open_nursery() as nursery:
            for number in self.running():
                if number not in self.paused:
                    nursery.start_soon(one, number)
        return found

    async def leader(self) -> int | None:
        """Who says that it leads; the one with the highest zxid if there are several."""
        leading = [
            (zxid, number) for number, (mode, zxid) in (await self.states()).items() if mode == "leader"
        ]
        return max(leading)[1] if leading else None

    async def wait_until_all_serve(self, timeout_s: float) -> dict[int, tuple[str, int]]:
        """Every member leads or follows, one of them leads. TimeoutError names those that do not."""
        deadline = trio.current_time() + timeout_s
        while True:
            self.check_alive()
            states = await self.states()
            modes = [mode for mode, _ in states.values()]
            if len(states) == len(self.members) and modes.count("leader") == 1:
                return states
            if trio.current_time() > deadline:
                shown = {number: states.get(number, ("no role",))[0] for number in self.members}
                raise TimeoutError(f"not everybody serves {timeout_s:g} s after the faults ended: {shown}")
            await trio.sleep(0.1)

    # -- logs ----------------------------------------------------------------------------------------------

    def keep_logs(self, states: Mapping[int, tuple[str, int]]) -> None:
        """Give the logs second names: who is sent a tree deletes them. What *states* says is committed."""
        for number, (_, zxid) in states.items():
            member = self.members[number]
            folder = member.directory / "kept"
            folder.mkdir(exist_ok=True)
            for path in (member.data / "version-2").glob("log.*"):
                second = folder / f"{path.name}.{path.stat().st_ino}"
                if not second.exists():
                    os.link(path, second)
                self.kept[number][second] = zxid

    def own_logs(self, number: int) -> list[tuple[Path, float]]:
        """The log files that a member has now; everything in them counts."""
        own = sorted((self.members[number].data / "version-2").glob("log.*"))
        return [(path, math.inf) for path in own]

    def logs(self, number: int) -> list[tuple[Path, float]]:
        """Also those that it had, and up to which zxid each counts."""
        own = self.own_logs(number)
        inodes = {path.stat().st_ino for path, _ in own}
        gone = [(path, zxid) for path, zxid in self.kept[number].items() if path.stat().st_ino not in inodes]
        return [*gone, *own]

    def move_to(self, folder: Path) -> None:
        """Keep everything of stopped members there."""
        for number, member in self.members.items():
            if member.directory.exists():
                shutil.move(member.directory, folder / f"server-{number}")

    def close(self) -> None:
        self.resume_all()
        for member in self.members.values():
            if member.process is not None:
                member.kill()
            member.close()
