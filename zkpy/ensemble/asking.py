"""Asking servers how they are, by the four-letter words that each answers for itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from zkpy.config.settings import ServerSpec
from zkpy.ensemble.layout import EnsembleError, Layout, has_oracle
from zkpy.errors import ProtocolError
from zkpy.quorum.quorumconfig import QuorumConfig

WAIT_S: Final = 3.0
MOST_BYTES: Final = 1 << 20
DEFAULT_PORT: Final = 2181
NOT_SERVING: Final = "This ZooKeeper instance is not currently serving requests"
MEMBERSHIP: Final = "membership:"
ANY_ADDRESS: Final = ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")


@attrs.frozen
class Asked:
    """A member to ask, and what is known about it beforehand."""

    host: str
    port: int
    """0: nothing is known where it could be asked."""
    number: int | None = None
    observer: bool | None = None
    epoch_file: Path | None = None
    oracle: bool | None = None
    """Whether its zoo.cfg names an oracle."""

    @property
    def address(self) -> str:
        if not self.port:
            return "-"
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
    config: QuorumConfig | None = None
    """The members as it states them; None: it does not."""


def members_of(layout: Layout) -> list[Asked]:
    """The members of an ensemble on this machine."""
    return [
        Asked(
            member.host,
            member.client_port,
            member.number,
            member.observer,
            layout.directory(member) / "version-2" / "currentEpoch",
            has_oracle(layout, member),
        )
        for member in layout.members
    ]


def members_in(hosts: str) -> list[Asked]:
    """The members that a connect string names. Raises EnsembleError."""
    found: dict[tuple[str, int], Asked] = {}
    for part in hosts.partition("/")[0].split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or part.strip().endswith("]"):
            host, port = part.strip(), str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
            raise EnsembleError(f"{part.strip()!r} is no address; give HOST:PORT,HOST:PORT,...")
        found[host, int(port)] = Asked(host, int(port))
    return [*found.values()]


async def ask_all(members: Sequence[Asked], wait_s: float = WAIT_S) -> tuple[Answer, ...]:
    """Ask all members at the same time; each may take *wait_s* seconds."""
    answers: dict[int, Answer] = {}

    async def ask(index: int, member: Asked) -> None:
        answers[index] = await _ask(member, wait_s)

    async with trio.open_nursery() as nursery:
        for index, member in enumerate(members):
            nursery.start_soon(ask, index, member)
    return tuple(answers[index] for index in range(len(members)))


async def survey(members: Sequence[Asked], wait_s: float = WAIT_S) -> tuple[Answer, ...]:
    """The answers of *members*, and behind them those of the servers that only their configuration names."""
    answers = await ask_all(members, wait_s)
    while (config := newest(answers)) is not None:
        answers = tuple(_with_number(answer, config) for answer in answers)
        known = {answer.number for answer in answers}
        missing = [server for server in config.servers if server.sid not in known]
        if not missing:
            break
        answers += await ask_all([_from_line(server) for server in missing], wait_s)
    return answers


def newest(answers: Iterable[Answer]) -> QuorumConfig | None:
    """The configuration with the highest version that anybody states; of the same version the leader's."""
    found: QuorumConfig | None = None
    for answer in sorted(answers, key=lambda answer: answer.role != "leader"):
        if answer.config is not None and (found is None or answer.config.version > found.version):
            found = answer.config
    return found


def _from_line(server: ServerSpec) -> Asked:
    host, port = _client_address(server)
    return Asked(host, port, server.sid)


def _client_address(server: ServerSpec) -> tuple[str, int]:
    """Where clients find a server, as its line says; port 0: it does not."""
    if server.client_port is None or server.client_host is None:
        return "", 0
    host = server.addresses[0].host if server.client_host in ANY_ADDRESS else server.client_host
    return host, server.client_port


def _with_number(answer: Answer, config: QuorumConfig) -> Answer:
    """A server that does not tell its number has the one of whom the configuration places there."""
    if answer.number is not None:
        return answer
    place = answer.asked.host, answer.asked.port
    number = next((server.sid for server in config.servers if _client_address(server) == place), None)
    return attrs.evolve(answer, number=number)


async def _ask(member: Asked, wait_s: float) -> Answer:
    number = member.number
    if not member.port:
        return Answer(
            member, number, problem="was not asked: its line in the configuration has no client port"
        )
    try:
        with trio.fail_after(wait_s):
            text = await four_letters(member.host, member.port, "srvr")
            conf = await four_letters(member.host, member.port, "conf")
    except trio.TooSlowError:
        return Answer(member, number, problem=f"does not answer (nothing came in {wait_s:g} s)")
    except OSError as error:
        return Answer(member, number, problem=f"does not answer ({_reason(error)})")
    except trio.BrokenResourceError:
        return Answer(member, number, problem="does not answer (the connection broke)")
    stated = _number(fields(conf, "=").get("serverId", "")) or None
    if number is not None and stated not in (None, number):
        return Answer(member, number, problem=f"is not there: server {stated} answers")
    said = fields(text, ":")
    zxid = _number(said.get("Zxid", ""))
    number = number if number is not None else stated
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
        config=_stated_members(conf),
    )


def _stated_members(conf: str) -> QuorumConfig | None:
    _, found, text = conf.partition(MEMBERSHIP)
    if not found:
        return None
    try:
        return QuorumConfig.from_text(text.strip(), multi_address=True)
    except ProtocolError:
        return None


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
