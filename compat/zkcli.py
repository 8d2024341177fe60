"""ZooKeeper's command line, ``ZooKeeperMain``, fed with a script: what it printed for every command."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

from compat import realzk

_MAIN = "org.apache.zookeeper.ZooKeeperMain"
_PROPERTIES = {
    "user.timezone": "UTC",
    "user.language": "en",
    "file.encoding": "UTF-8",
    "org.jline.terminal.dumb": "true",
    "log4j2.level": "OFF",
}
_PROMPT = re.compile(r"\[zk: [^\]\n]*\] ")
_EVENT = re.compile(r"WatchedEvent (state:\S+ type:(\S+) path:.*)")
_MASKS = (
    (re.compile(r"\b127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"^([cm]time = )(?!Thu Jan 01 00:00:00 UTC 1970).*", re.MULTILINE), r"\1TIME"),
    # A session's id has 14 or 15 digits; a container's and a TTL node's owner has 16 and is kept.
    (re.compile(r"^(ephemeralOwner = 0x)[1-9a-f][0-9a-f]{13,14}$", re.MULTILINE), r"\1SESSION"),
)


@dataclass(frozen=True)
class Exchange:
    """A command and what was printed for it (without watch events and blank lines)."""

    command: str
    output: tuple[str, ...]


@dataclass
class Transcript:
    exchanges: list[Exchange] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    status: int = 0

    def __str__(self) -> str:
        lines = []
        for exchange in self.exchanges:
            lines += [f"> {exchange.command}", *exchange.output]
        return "\n".join([*lines, "EVENTS", *self.events, f"STATUS {self.status}"])

    def output(self, command: str) -> str:
        """What the first such command printed."""
        for exchange in self.exchanges:
            if exchange.command == command:
                return "\n".join(exchange.output)
        raise KeyError(command)


@dataclass(frozen=True)
class Compared:
    """What two transcripts have of one command: how often, and the first difference (None without one)."""

    name: str
    answers: int
    problem: str | None


def compare(found: Transcript, expected: Transcript, *, events: str, status: str) -> list[Compared]:
    """By command, in the order of their first use; then what *events* and *status* name."""
    counts: dict[str, int] = {}
    problems: dict[str, str] = {}
    for mine, theirs in zip_longest(found.exchanges, expected.exchanges):
        command = (theirs or mine).command
        name = command.split()[0]
        counts[name] = counts.get(name, 0) + 1
        if mine != theirs and name not in problems:
            shown = [" / ".join(one.output) if one is not None else "nothing" for one in (mine, theirs)]
            problems[name] = f"`{command}` printed {shown[0]!r}, not {shown[1]!r}"
    if found.events or expected.events:
        counts[events] = len(expected.events)
        for event, other in zip_longest(found.events, expected.events):
            if event != other:
                problems.setdefault(events, f"{event or 'no event'}, not {other or 'no event'}")
    counts[status] = 1
    if found.status != expected.status:
        problems[status] = f"{found.status}, not {expected.status}"
    return [Compared(name, count, problems.get(name)) for name, count in counts.items()]


class CommandLineFailed(RuntimeError):
    """ZooKeeperMain did not end, or did not take every command."""


def _command(classpath: str, address: str) -> list[str]:
    properties = [f"-D{name}={value}" for name, value in _PROPERTIES.items()]
    command = [realzk.java_program(), *realzk.JVM_OPTIONS, *properties, "-cp", classpath]
    return [*command, _MAIN, "-waitforconnection", "-server", address]


def run_script(classpath: str, address: str, commands: Sequence[str], *, timeout: float = 60.0) -> Transcript:
    """One session: the commands by standard input, with ``{address}`` replaced by the server's."""
    given = "".join(f"{command.replace('{address}', address)}\n" for command in commands)
    printed, status = _run(_command(classpath, address), given, timeout)
    greeting, *outputs = _PROMPT.split(printed)
    if len(outputs) != len(commands):
        raise CommandLineFailed(f"{len(outputs)} prompts for {len(commands)} commands:\n{printed}")
    transcript = Transcript(status=status)
    for command, output in zip(("(start)", *commands), (greeting, *outputs), strict=True):
        _add(transcript, command, output)
    _sort_removals(transcript.events)
    return transcript


def run_command(classpath: str, address: str, *arguments: str, timeout: float = 30.0) -> Transcript:
    """One command given as arguments: no prompt, and an exit status which tells of its success."""
    printed, status = _run([*_command(classpath, address), *arguments], "", timeout)
    transcript = Transcript(status=status)
    _add(transcript, " ".join(arguments), printed)
    return transcript


def _run(command: list[str], given: str, timeout: float) -> tuple[str, int]:
    try:
        done = subprocess.run(
            command,
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode("utf-8", "replace")
        raise CommandLineFailed(f"not at its end after {timeout:.0f} s; printed:\n{printed}") from None
    return done.stdout.decode("utf-8", "replace"), done.returncode


def _add(transcript: Transcript, command: str, output: str) -> None:
    """Watch events come from another thread, anywhere in the output: their order is kept apart."""
    for pattern, replacement in _MASKS:
        output = pattern.sub(replacement, output)
    lines = []
    for line in output.splitlines():
        event = _EVENT.search(line)
        if event is not None:
            if event[2] != "None":
                transcript.events.append(event[1])
        elif line.strip() and "WATCHER::" not in line:
            lines.append(line.rstrip())
    # These two are printed in the order of a Java hash set.
    if command.startswith("getEphemerals"):
        lines = [_sorted_list(line) for line in lines]
    elif command == "whoami":
        lines.sort()
    transcript.exchanges.append(Exchange(command, tuple(lines)))


def _sort_removals(events: list[str]) -> None:
    """The client itself makes the events of one removal (without a zxid), in the order of a hash set."""
    for _, run in groupby(range(len(events)), key=lambda index: events[index].endswith(" zxid: -1")):
        indices = list(run)
        if events[indices[0]].endswith(" zxid: -1"):
            events[indices[0] : indices[-1] + 1] = sorted(events[index] for index in indices)


def _sorted_list(line: str) -> str:
    listed = re.fullmatch(r"\[(.*)\]", line)
    return f"[{', '.join(sorted(listed[1].split(', ')))}]" if listed else line
