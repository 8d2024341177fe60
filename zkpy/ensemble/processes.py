"""The members' processes: started together, watched, and ended together whatever happens to this one.

A member is in a process group of its own, so that Ctrl-C reaches only this process, which ends them in order.
When this process is killed the kernel kills them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

import zkpy
from zkpy.ensemble import asking
from zkpy.ensemble.layout import Layout, Member

START_S: Final = 120.0
STOP_S: Final = 10.0

AGAIN_S: Final = 1.0
"""How long after the first signal another one counts as impatience."""
POLL_S: Final = 0.1
TAIL_LINES: Final = 20
TAIL_BYTES: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1

Say = Callable[[str], None]


def zkpy_command(
    layout: Layout, member: Member, defines: Mapping[str, str], log_level: str | None = None
) -> list[str]:
    """The command line of a member that is a zkpy server; without *log_level* the command's own default."""
    options = [f"-D{name}={value}" for name, value in defines.items()]
    if log_level is not None:
        options += ["--log-level", log_level]
    return [sys.executable, "-m", "zkpy", "serve", *options, str(layout.config_file(member))]


class Server:
    """One member's process."""

    def __init__(self, layout: Layout, member: Member, command: Sequence[str]) -> None:
        self.member: Final = member
        self.log_file: Final = layout.log_file(member)
        self.ready: Final = trio.Event()
        """It has reported that it serves."""
        self.role = "?"
        self.status: int | None = None
        """How it ended; None: it has not."""
        self._command: Final = list(command)
        self._directory: Final = layout.directory(member)
        self._process: subprocess.Popen[bytes] | None = None
        self._output: trio.lowlevel.FdStream | None = None
        self._ended: int | None = None
        self._log_start = 0

    def start(self) -> None:
        """Start the process. In this thread: the kernel kills it when the thread that started it ends."""
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def tie() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        read_end, write_end = os.pipe()
        self._output = trio.lowlevel.FdStream(read_end)
        try:
            with self.log_file.open("ab") as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log if self.member.java else write_end,
                    stderr=log,
                    cwd=self._directory,
                    env=_environment(),
                    process_group=0,
                    preexec_fn=tie,  # noqa: PLW1509 — it only calls the kernel, and trio has started no thread
                )
        finally:
            os.close(write_end)
        self._ended = os.pidfd_open(self._process.pid)

    async def wait_ended(self) -> int:
        """Return the status when the process has ended; negative: the signal that killed it."""
        process, ended = self._process, self._ended
        assert process is not None and ended is not None
        if self.status is None:
            await trio.lowlevel.wait_readable(ended)
            self.status = process.wait()
        return self.status

    async def wait_serving(self) -> None:
        """Set ``ready`` when it serves."""
        if self.member.java:
            await self._poll()
        else:
            await self._read_output()

    async def _poll(self) -> None:
        """A Java server does not report anything: it is asked."""
        member = self.member
        asked = asking.Asked(member.host, member.client_port, member.number)
        while not self.ready.is_set():
            (answer,) = await asking.ask_all([asked])
            if answer.role is not None:
                self._is_ready(answer.role)
            else:
                await trio.sleep(POLL_S)

    async def _read_output(self) -> None:
        """Wait for the ready line; what comes else goes to the log."""
        assert self._output is not None
        seen = b""
        async for chunk in self._output:
            seen += chunk
            line, newline, rest = seen.partition(b"\n")
            words = line.decode("utf-8", "replace").split()
            if not self.ready.is_set() and newline and words[:2] == ["zkpy", "ready"]:
                self._is_ready(words[3])
                seen = rest
            if self.ready.is_set() or newline:
                self._log(seen)
                seen = b""
        self._log(seen)

    def _is_ready(self, role: str) -> None:
        self.role = role
        self.ready.set()

    def _log(self, data: bytes) -> None:
        if data:
            with self.log_file.open("ab") as log:
                log.write(data)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None and self.status is None:
            self._process.send_signal(number)

    async def close(self) -> None:
        """Give back what the ended process leaves here."""
        if self._output is not None:
            await self._output.aclose()
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None

    @property
    def started(self) -> bool:
        return self._ended is not None

    def end_of_log(self) -> str:
        """The last lines that this run has written."""
        try:
            with self.log_file.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError as error:
            return f"  (cannot read {self.log_file}: {error.strerror or error})"
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it wrote nothing)"

    def how_it_ended(self) -> str:
        """For people."""
        assert self.status is not None
        if self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}"


def _environment() -> dict[str, str]:
    """An environment in which Python imports this zkpy, also when it is not installed."""
    paths = [str(Path(zkpy.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


class Processes:
    """All members' processes; ``run`` starts them and returns when all have ended."""

    def __init__(self, layout: Layout, servers: Sequence[Server], say: Say, complain: Say) -> None:
        self.failed = False
        """Something went wrong: a member ended by itself, or did not start or end as it should."""
        self.refused = False
        """A member did not accept its configuration."""
        self._layout: Final = layout
        self._servers: Final = servers
        self._say: Final = say
        self._complain: Final = complain
        self._all_serve = False

    async def run(self, signals: AsyncIterator[int]) -> None:
        """Run until a signal comes or all members have ended by themselves."""
        try:
            for server in self._servers:
                server.start()
            async with trio.open_nursery() as nursery:
                for server in self._servers:
                    nursery.start_soon(server.wait_serving)
                    nursery.start_soon(self._watch, server, nursery.cancel_scope)
                nursery.start_soon(self._announce, nursery.cancel_scope)
                async for _ in signals:
                    break
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._end(signals)

    async def _announce(self, scope: trio.CancelScope) -> None:
        with trio.move_on_after(START_S):
            for server in self._servers:
                await server.ready.wait()
            self._all_serve = True
            answers = await asking.ask_all(asking.members_of(self._layout))
        if not self._all_serve:
            for server in self._servers:
                if not server.ready.is_set():
                    self._report(server, f"does not serve after {START_S:g} s")
            scope.cancel()
            return
        self._say(f"zkpy ensemble ready {self._layout.hosts} {self._layout.root}")
        for server, answer in zip(self._servers, answers, strict=True):
            kind = "java" if server.member.java else "zkpy"
            role = answer.role or server.role
            self._say(f"server {server.member.number} {server.member.address} {role} {kind}")

    async def _watch(self, server: Server, scope: trio.CancelScope) -> None:
        """Report a member that ends by itself; the others go on once all have served."""
        await server.wait_ended()
        self._report(server, server.how_it_ended())
        self.refused = self.refused or (server.status == 2 and not self._all_serve)
        if not self._all_serve:
            scope.cancel()
        elif all(each.status is not None for each in self._servers):
            self._complain("no member is left")
            scope.cancel()

    def _report(self, server: Server, what: str) -> None:
        self.failed = True
        self._complain(
            f"server {server.member.number} {what}; the end of its log ({server.log_file}):\n"
            f"{server.end_of_log()}"
        )

    async def _end(self, signals: AsyncIterator[int]) -> None:
        """Terminate all and wait for them; kill after a time or at another signal."""
        servers = [server for server in self._servers if server.started]
        for server in servers:
            server.signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S) as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at, signals, waiting)
                async with trio.open_nursery() as ends:
                    for server in servers:
                        ends.start_soon(server.wait_ended)
                nursery.cancel_scope.cancel()
        for server in servers:
            if server.status is None:
                self._report(server, "did not end and is killed")
                server.signal(signal.SIGKILL)
                await server.wait_ended()
        for server in self._servers:
            await server.close()


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    """At another signal, unless it comes at once: some tools signal a process twice."""
    began = trio.current_time()
    async for _ in signals:
        if trio.current_time() - began >= AGAIN_S:
            scope.cancel()
