"""How the members of an ensemble are, from the four-letter words that each answers for itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from zkpy.ensemble.layout import EnsembleError, Layout

WAIT_S: Final = 3.0
MOST_BYTES: Final = 1 << 20
DEFAULT_PORT: Final = 2181
VOTING: Final = ("leader", "follower")
NOT_SERVING: Final = "This ZooKeeper instance is not currently serving requests"


@attrs.frozen
class Asked:
    """A member to ask, and what is known about it beforehand."""

    host: str
    port: int
    number: int | None = None
    observer: bool | None = None
    epoch_file: Path | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class Answer:
    """What a member said; *role* None: it does not serve, and *problem* says more."""

    asked: Asked
    number: int | None = None
    role: str | None = None
    epoch: int | None = None
    zxid: int | None = None
    connections: int | None = None
    problem: str | None = None


@attrs.frozen
class Status:
    """All answers together."""

    answers: tuple[Answer, ...]

    @property
    def leader(self) -> Answer | None:
        """The leader; of two that claim to lead, the one of the newer epoch."""
        leaders = [answer for answer in self.answers if answer.role == "leader"]
        return max(leaders, key=lambda answer: answer.zxid or 0, default=None)

    @property
    def voters(self) -> int:
        """Members that vote; one of which nothing is known is taken for a voter."""
        return sum(
            not (answer.asked.observer if answer.role is None else answer.role == "observer")
            for answer in self.answers
        )

    @property
    def serving_voters(self) -> int:
        return sum(answer.role in VOTING for answer in self.answers)

    @property
    def healthy(self) -> bool:
        """There is a leader, and a quorum answers."""
        return self.leader is not None and self.serving_voters > self.voters // 2

    def lag(self, answer: Answer) -> int | None:
        """Transactions that the leader has and this member has not.

        A member that serves was synchronised in the leader's epoch: with a zxid of an earlier one it lacks
        what came in this one, and nothing else.
        """
        leader = self.leader
        if leader is None or leader.zxid is None or answer.zxid is None or answer.role is None:
            return None
        counter = leader.zxid & 0xFFFFFFFF
        if answer.zxid >> 32 != leader.zxid >> 32:
            return counter if answer.zxid < leader.zxid else 0
        return max(0, counter - (answer.zxid & 0xFFFFFFFF))


def members_of(layout: Layout) -> list[Asked]:
    """The members of an ensemble on this machine."""
    return [
        Asked(
            member.host,
            member.client_port,
            member.number,
            member.observer,
            layout.directory(member) / "version-2" / "currentEpoch",
        )
        for member in layout.members
    ]


def members_in(hosts: str) -> list[Asked]:
    """The members that a connect string names. Raises EnsembleError."""
    found = []
    for part in hosts.partition("/")[0].split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or part.strip().endswith("]"):
            host, port = part.strip(), str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
            raise EnsembleError(f"{part.strip()!r} is no address; give HOST:PORT,HOST:PORT,...")
        found.append(Asked(host, int(port)))
    return found


async def ask_all(members: Sequence[Asked], wait_s: float = WAIT_S) -> Status:
    """Ask all members at the same time; each may take *wait_s* seconds."""
    answers: dict[int, Answer] = {}

    async def ask(index: int, member: Asked) -> None:
        answers[index] = await _ask(member, wait_s)

    async with trio.open_nursery() as nursery:
        for index, member in enumerate(members):
            nursery.start_soon(ask, index, member)
    return Status(tuple(answers[index] for index in range(len(members))))


async def _ask(member: Asked, wait_s: float) -> Answer:
    number = member.number
    try:
        with trio.fail_after(wait_s):
            text = await four_letters(member.host, member.port, "srvr")
            if number is None:
                conf = fields(await four_letters(member.host, member.port, "conf"), "=")
                number = _number(conf.get("serverId", "")) or None
    except trio.TooSlowError:
        return Answer(member, number, problem=f"does not answer (nothing came in {wait_s:g} s)")
    except OSError as error:
        return Answer(member, number, problem=f"does not answer ({_reason(error)})")
    except trio.BrokenResourceError:
        return Answer(member, number, problem="does not answer (the connection broke)")
    said = fields(text, ":")
    zxid = _number(said.get("Zxid", ""))
    if text.strip() == NOT_SERVING:
        return Answer(member, number, problem="does not serve: it is looking for a leader")
    if "Mode" not in said or zxid is None:
        return Answer(member, number, problem=f"does not tell: {text.strip()[:80]!r}")
    connections = _number(said.get("Connections", ""))
    return Answer(
        member,
        number,
        said["Mode"],
        max(zxid >> 32, _stored_epoch(member.epoch_file)),
        zxid,
        max(0, connections - 1) if connections is not None else None,  # one is the question's own
    )


async def four_letters(host: str, port: int, word: str) -> str:
    """A server's answer to a word."""
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(word.encode())
        answer = bytearray()
        async for chunk in stream:
            answer += chunk
            if len(answer) > MOST_BYTES:
                break
    return answer.decode("utf-8", "replace")


def fields(text: str, separator: str) -> dict[str, str]:
    """Names and values of an answer that has one pair per line."""
    pairs = (line.partition(separator) for line in text.splitlines())
    return {name.strip(): value.strip() for name, found, value in pairs if found}


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _stored_epoch(file: Path | None) -> int:
    """The epoch that the member has noted: after an election it is newer than its last transaction."""
    try:
        return int(file.read_text("ascii")) if file is not None else 0
    except (OSError, ValueError):
        return 0


def _reason(error: OSError) -> str:
    """The first cause in what trio makes of an attempt with several addresses."""
    cause: BaseException = error
    while True:
        inner = cause.__cause__
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        if inner is None:
            break
        cause = inner
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)  # the error's own text names the address again
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__


def table(status: Status) -> str:
    """One line per member, and one about the ensemble."""
    head = ("id", "address", "role", "epoch", "zxid", "lag", "connections")
    rows: list[tuple[str, ...]] = [head]
    for answer in status.answers:
        start = (_text(answer.number), answer.asked.address)
        if answer.role is None:
            rows.append((*start, answer.problem or ""))
            continue
        lag = "-" if answer is status.leader else _text(status.lag(answer))
        zxid = f"0x{answer.zxid:x}" if answer.zxid is not None else "-"
        rows.append((*start, answer.role, _text(answer.epoch), zxid, lag, _text(answer.connections)))
    widths = [max(len(row[at]) for row in rows if len(row) == len(head)) for at in range(len(head))]
    widths[:2] = [max(len(row[at]) for row in rows) for at in range(2)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)) for row in rows]
    return "\n".join(line.rstrip() for line in (*lines, summary(status)))


def summary(status: Status) -> str:
    """What it amounts to, in one line."""
    leader = status.leader
    led = f"led by {_name(leader)}" if leader is not None else "no leader"
    return f"{led}; {status.serving_voters} of {status.voters} voters serve: " + (
        "a quorum" if status.serving_voters > status.voters // 2 else "no quorum"
    )


def as_data(status: Status) -> dict[str, Any]:
    """The same for programs."""
    leader = status.leader
    return {
        "healthy": status.healthy,
        "leader": leader.asked.address if leader is not None else None,
        "voters": status.voters,
        "serving_voters": status.serving_voters,
        "members": [
            {
                "id": answer.number,
                "address": answer.asked.address,
                "role": answer.role,
                "epoch": answer.epoch,
                "zxid": f"0x{answer.zxid:x}" if answer.zxid is not None else None,
                "lag": status.lag(answer),
                "connections": answer.connections,
                "problem": answer.problem,
            }
            for answer in status.answers
        ],
    }


def _name(answer: Answer) -> str:
    return f"server {answer.number}" if answer.number is not None else answer.asked.address


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)
