"""A pair of servers with the same settings, and everything that must be equal after a script."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import attrs

from compat import realzk
from compat.generated.generate import COMMON, PROFILES
from compat.generated.player import Answers, Stage
from compat.generated.steps import GeneratedScript
from compat.process import ServerProcess, four_letters
from compat.wire import Reply
from compat.zkpyserver import ZkpyServer

METRICS: Final = (
    "zk_server_state", "zk_znode_count", "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size",
    "zk_global_sessions", "zk_a_quota_count_limit_per_namespace", "zk_a_quota_bytes_limit_per_namespace",
    "zk_a_quota_count_usage_per_namespace", "zk_a_quota_bytes_usage_per_namespace",
)  # fmt: skip
SETTLE_S: Final = 1.0


@attrs.frozen
class Difference:
    """The first difference between two servers, for a person."""

    what: str
    step: int
    """Number of the step at which it showed, from 0; the number of steps for what was asked at the end."""
    text: str


@attrs.define
class Played:
    """What a script did on both servers."""

    replies: int
    first_zxid: int
    last_zxid: int
    difference: Difference | None


class Pair:
    """zkpy and a real server with the settings of one profile, both fresh."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        config, properties = PROFILES[self.profile]
        config, properties = COMMON[0] | config, COMMON[1] | properties
        with self._stack as stack:
            self.java: ServerProcess = stack.enter_context(realzk.RealServer(config, properties))
            self.zkpy: ServerProcess = stack.enter_context(ZkpyServer(config, properties))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def play(self, script: GeneratedScript) -> Played:
        """Play a script on both servers, and compare."""
        enforced = self.profile == "enforced"
        theirs, their_words, start = _on(self.java, script, enforced)
        ours, our_words, _ = _on(self.zkpy, script, enforced, their_words)
        found = first_difference(ours, theirs) or _words_difference(our_words, their_words, len(script.steps))
        return Played(len(theirs.replies), start, theirs.last_zxid, found)


def _on(
    server: ServerProcess, script: GeneratedScript, enforced: bool, expected: dict[str, str] | None = None
) -> tuple[Answers, dict[str, str], int]:
    stage = Stage(server.address, enforced)
    answers = stage.play(script)
    words = _ask(server, answers.ids, expected)
    stage.leave()
    return answers, words, stage.norm.base


def first_difference(ours: Answers, theirs: Answers) -> Difference | None:
    """The first answer that differs, with what came before it; None when all are equal."""
    for n in range(max(len(ours.replies), len(theirs.replies))):
        mine = ours.replies[n] if n < len(ours.replies) else None
        other = theirs.replies[n] if n < len(theirs.replies) else None
        if mine is not None and other is not None and mine.raw == other.raw and mine.note == other.note:
            continue
        step = min(side.steps[n] for side in (ours, theirs) if n < len(side.steps))
        lines = [f"after   {reply.note}" for reply in theirs.replies[max(0, n - 3) : n]]
        for who, reply in (("zkpy", mine), ("real", other)):
            lines.append(f"{who}    {'nothing more' if reply is None else reply.note}")
            if reply is not None and mine is not None and other is not None and mine.note == other.note:
                lines.append(f"        {reply.raw.hex()}")
        kind = _kind(mine or other)
        return Difference(kind, step, "\n".join(lines))
    return None


def _kind(reply: Reply | None) -> str:
    assert reply is not None
    return reply.note.split(": ", 1)[1].split(" xid", 1)[0].split(" zxid", 1)[0]


# -- four-letter words -------------------------------------------------------------------------------------


def _ask(server: ServerProcess, ids: list[int], expected: dict[str, str] | None) -> dict[str, str]:
    """The words' answers; connections that were lost may take a moment to go."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        words = {word: _normalised(word, four_letters(server.port, word), ids) for word in _WORDS}
        if expected is None:
            time.sleep(0.002)
            again = {word: _normalised(word, four_letters(server.port, word), ids) for word in _WORDS}
            if again == words:
                return words
        elif words == expected:
            return words
        if time.monotonic() > deadline:
            return words
        time.sleep(0.01)


_WORDS: Final = ("wchs", "wchp", "wchc", "dump", "srvr", "mntr")


def _normalised(word: str, text: str, ids: list[int]) -> str:
    if word == "mntr":
        lines = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
        return "\n".join(f"{key} {lines.get(key)}" for key in METRICS)
    if word == "srvr":
        return "\n".join(line for line in text.splitlines() if line.startswith(("Mode", "Node count")))
    for number, session_id in enumerate(ids):
        text = text.replace(f"0x{session_id & (1 << 64) - 1:x}", f"session {number}")
    if word == "dump":
        text = text.partition("ephemeral nodes dump:\n")[2].partition("Connections dump:")[0]
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        if line.startswith("\t") and blocks:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return "\n".join(sorted("\n".join([block[0], *sorted(block[1:])]) for block in blocks))


def _words_difference(ours: dict[str, str], theirs: dict[str, str], step: int) -> Difference | None:
    for word in _WORDS:
        if ours[word] != theirs[word]:
            mine, other = set(ours[word].split("\n")), set(theirs[word].split("\n"))
            lines = [f"zkpy only: {line}" for line in sorted(mine - other)]
            lines += [f"real only: {line}" for line in sorted(other - mine)]
            return Difference(f"word {word}", step, re.sub(r"\t", "    ", "\n".join(lines)))
    return None
