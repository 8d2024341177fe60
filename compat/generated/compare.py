"""A pair of servers with the same settings, and everything that must be equal after a script."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from difflib import ndiff
from types import TracebackType
from typing import Final, Self

import attrs

from compat import realzk
from compat.generated.generate import COMMON, PROFILES
from compat.generated.player import Answers, Stage
from compat.generated.steps import GeneratedScript
from compat.process import ServerProcess, four_letters
from compat.wire import first_differing
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
        self.started_s = time.time()
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
    words = _ask(server, answers.ids, stage.connections(), expected)
    stage.leave()
    return answers, words, stage.norm.base


def first_difference(ours: Answers, theirs: Answers) -> Difference | None:
    """The first answer that differs, with what came before it; None when all are equal."""
    found = first_differing(ours.replies, theirs.replies)
    if found is None:
        return None
    n, lines = found
    step = min(side.steps[n] for side in (ours, theirs) if n < len(side.steps))
    reply = next(side.replies[n] for side in (ours, theirs) if n < len(side.replies))
    kind = re.match(r"\w+: (reply to op -?\d+|\w+)", reply.note)
    assert kind is not None, reply.note
    return Difference(kind[1], step, "\n".join(lines))


# -- four-letter words -------------------------------------------------------------------------------------


def _ask(
    server: ServerProcess, ids: list[int], connections: int, expected: dict[str, str] | None
) -> dict[str, str]:
    """The words' answers once the server has noticed which connections are gone."""
    deadline = time.monotonic() + SETTLE_S
    alive = f"zk_num_alive_connections\t{connections}\n"
    while alive not in four_letters(server.port, "mntr") and time.monotonic() < deadline:
        time.sleep(0.005)
    while True:
        words = {word: _normalised(word, four_letters(server.port, word), ids) for word in _WORDS}
        if expected is None or words == expected or time.monotonic() > deadline:
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
            changes = ndiff(theirs[word].split("\n"), ours[word].split("\n"))
            lines = [line.replace("\t", "    ") for line in changes if line[0] in "+-"]
            return Difference(f"word {word}", step, "\n".join(["- real, + zkpy:", *lines]))
    return None
