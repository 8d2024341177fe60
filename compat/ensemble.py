"""An ensemble of servers on this machine, each a process of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from compat.jars import VERSION, classpath
from compat.process import (
    HOST,
    START_TIMEOUT,
    PortTaken,
    ServerFailed,
    ServerProcess,
    four_letters,
    free_port,
)
from compat.realzk import RealServer

MemberFactory = Callable[[Mapping[str, str], Mapping[str, str]], ServerProcess]
"""Makes a member from its settings and system properties."""

SERVING_MODES = ("leader", "follower", "observer")
_ATTEMPTS = 3


class Ensemble:
    """Servers with ids from 1 on, each made by a factory; as a context manager they are started and ended.

    All get the same settings and properties. A member's own go into ``members[n].config`` and
    ``members[n].properties`` before ``start``. Directories and ports stay until ``close``, so a member which
    was stopped or killed continues with its data, and so do all of them when ``start`` follows ``stop_all``.
    """

    def __init__(
        self,
        factories: Sequence[MemberFactory],
        config: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        observers: Collection[int] = (),
    ) -> None:
        if not set(observers) < set(range(1, len(factories) + 1)):
            raise ValueError(f"observers {sorted(observers)} of {len(factories)} members")
        if own := {"dataDir", "dataLogDir", "clientPort"} & set(config or {}):
            raise ValueError(f"members cannot share {', '.join(sorted(own))}")
        self.observers = frozenset(observers)
        self._has_ports = False
        settings = {"initLimit": "10", "syncLimit": "5", **(config or {})}
        self.members: dict[int, ServerProcess] = {}
        try:
            for number, factory in enumerate(factories, 1):
                self.members[number] = factory(settings, properties or {})
        except BaseException:
            self.close()
            raise

    @property
    def hosts(self) -> str:
        """The connect string of all members."""
        return ",".join(member.address for member in self.members.values())

    def start(self) -> None:
        """Start all members and wait until all of them serve; at the first time with ports which are free."""
        attempts = 1 if self._has_ports else _ATTEMPTS
        for attempt in range(attempts):
            try:
                if not self._has_ports:
                    self._configure()
                for member in self.members.values():
                    member.launch()
                self.wait_until_serving()
            except PortTaken:
                self.stop_all()
                if attempt + 1 == attempts:
                    raise
                self._has_ports = False
            except BaseException:
                self.stop_all()
                raise
            else:
                return

    def _configure(self) -> None:
        """Give every member its ports, its id and the list of all."""
        lines: dict[str, str] = {}
        for number, member in self.members.items():
            member.port = free_port()
            role = ":observer" if number in self.observers else ""
            lines[f"server.{number}"] = f"{HOST}:{free_port()}:{free_port()}{role};{HOST}:{member.port}"
        for number, member in self.members.items():
            member.config.update(lines)
            if number in self.observers:
                member.config["peerType"] = "observer"
            member.config_path.unlink(missing_ok=True)
            member.data.mkdir(parents=True, exist_ok=True)
            (member.data / "myid").write_text(f"{number}\n")
        self._has_ports = True

    def wait_until_serving(self, timeout: float = START_TIMEOUT) -> None:
        """Return when every running member leads, follows or observes."""
        deadline = time.monotonic() + timeout
        for number, member in self._running():
            member.wait_until_serving(max(0.1, deadline - time.monotonic()))
            while (mode := self.mode(number)) not in SERVING_MODES:
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"member {number} does not serve (mode: {mode}):\n{member.log()[-4000:]}"
                    )
                time.sleep(0.05)

    def mode(self, number: int) -> str | None:
        """What ``srvr`` calls the member; None: it is not running, or does not serve."""
        try:
            answer = four_letters(self.members[number].port, "srvr")
        except OSError:
            return None
        for line in answer.splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").strip()
        return None

    def leader(self, timeout: float = START_TIMEOUT) -> int:
        """The id of the leader; waits for one to be elected."""
        deadline = time.monotonic() + timeout
        while True:
            modes = {number: self.mode(number) for number, _ in self._running()}
            for number, mode in modes.items():
                if mode == "leader":
                    return number
            if time.monotonic() > deadline:
                raise ServerFailed(f"no leader in {timeout:g} s: {modes}")
            time.sleep(0.05)

    def stop(self, number: int) -> None:
        self.members[number].stop()

    def kill(self, number: int) -> None:
        """As kill -9 does."""
        self.members[number].kill()

    def restart(self, number: int, *, wait: bool = True) -> None:
        """Start a member which was stopped or killed; it serves only with a majority: else do not *wait*."""
        self.members[number].launch()
        if wait:
            self.members[number].wait_until_serving()

    def replace(self, number: int, factory: MemberFactory) -> None:
        """Put a member of another kind in the place of one which was stopped or killed; it is not started.

        It has the same number, addresses, settings and data.
        """
        old = self.members[number]
        if old.process is not None:
            raise RuntimeError(f"member {number} is running")
        new = factory(old.config, old.properties)
        new.port = old.port
        shutil.move(old.data, new.data)
        new.log_path.write_text(old.log())
        self.members[number] = new
        old.close()

    def stop_all(self) -> None:
        for member in self.members.values():
            member.stop()

    def close(self) -> None:
        for member in self.members.values():
            member.close()

    def log(self, size: int = 4000) -> str:
        """The ends of all members' logs, *size* characters of each."""
        return "\n".join(f"-- {number}:\n{member.log()[-size:]}" for number, member in self.members.items())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            error.add_note(self.log())
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _running(self) -> Iterator[tuple[int, ServerProcess]]:
        return ((number, member) for number, member in self.members.items() if member.process is not None)


class RealEnsemble(Ensemble):
    """Java servers of one version."""

    def __init__(
        self,
        size: int = 3,
        config: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        observers: Collection[int] = (),
        version: str = VERSION,
        jars: str | None = None,
    ) -> None:
        path = jars or classpath(version)

        def member(config: Mapping[str, str], properties: Mapping[str, str]) -> ServerProcess:
            return RealServer(config, properties, jars=path)

        super().__init__([member] * size, config, properties, observers=observers)
