"""Members that stand still for a while, as after SIGSTOP: links stay up, and time goes on without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import trio
import trio._core._run as trio_run

HOST: ContextVar[str] = ContextVar("HOST")
"""On which host a task runs; not set: outside."""


class Pauses:
    """Which hosts stand still. Their tasks are taken out of the loop's queue until the host goes on."""

    def __init__(self) -> None:
        self._tasks: dict[str, list[trio.lowlevel.Task]] = {}
        self._calls: dict[str, list[Callable[[], object]]] = {}

    @property
    def hosts(self) -> list[str]:
        return sorted(self._tasks)

    def pause(self, host: str) -> None:
        self._tasks.setdefault(host, [])
        self._calls.setdefault(host, [])

    def resume(self, *hosts: str) -> None:
        """Everything that became due meanwhile happens now."""
        for host in hosts:
            trio_run.GLOBAL_RUN_CONTEXT.runner.runq.extend(self._tasks.pop(host, []))
            for call in self._calls.pop(host, []):
                call()

    def call(self, host: str, call: Callable[[], object]) -> None:
        """Have something happen at a host, now or when it goes on."""
        waiting = self._calls.get(host)
        if waiting is None:
            call()
        else:
            waiting.append(call)

    @contextmanager
    def possible(self) -> Iterator[None]:
        """As long as this lasts, hosts can stand still; at its end all go on."""
        original = trio_run.Runner.reschedule

        def reschedule(runner: Any, task: trio.lowlevel.Task, *outcome: Any) -> None:
            original(runner, task, *outcome)
            if self._tasks:
                held = self._tasks.get(task.context.get(HOST, ""))
                if held is not None:
                    held.append(runner.runq.pop())

        trio_run.Runner.reschedule = reschedule  # type: ignore[method-assign]
        try:
            yield
        finally:
            trio_run.Runner.reschedule = original  # type: ignore[method-assign]
            for host in self.hosts:
                self._calls.pop(host)
                self.resume(host)
