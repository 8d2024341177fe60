"""Scripts of one profile in turn on one pair of servers, then their logs."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Final

import attrs

from compat import txnlogs
from compat.generated.compare import Difference, Pair
from compat.generated.generate import PROFILES, generate
from compat.generated.player import Stuck, TooSlow
from compat.generated.shrink import shrink
from compat.generated.steps import NAMES, GeneratedScript, Op, has_odd_create, requests_of
from compat.process import ServerFailed

SHRUNK_PER_BLOCK: Final = 3
SLOW_LIMIT: Final = 20
ODD_DIGESTS: Final = "digest-of-odd-creates"


@attrs.frozen
class Block:
    profile: str
    seeds: tuple[int, ...]
    length: int


@attrs.define
class Played:
    """What came of some scripts."""

    scripts: int = 0
    steps: int = 0
    replies: int = 0
    log_entries: int = 0
    digests: int = 0
    operations: Counter[str] = attrs.field(factory=Counter)
    profiles: Counter[str] = attrs.field(factory=Counter)
    explained: Counter[str] = attrs.field(factory=Counter)
    failures: list[dict[str, object]] = attrs.field(factory=list)

    def add(self, other: Played) -> None:
        self.scripts += other.scripts
        self.steps += other.steps
        self.replies += other.replies
        self.log_entries += other.log_entries
        self.digests += other.digests
        self.operations += other.operations
        self.profiles += other.profiles
        self.explained += other.explained
        self.failures += other.failures

    def requests(self) -> int:
        return self.operations.total()

    def failed(self, seed: int, what: str, text: str) -> None:
        code = re.search(r"op (-?\d+)", what)
        operation = NAMES.get(int(code[1]), what) if code else what
        self.failures.append({"seed": seed, "operation": operation, "text": text})


def play_block(block: Block) -> Played:
    """Play the block's scripts; differences are shrunk and kept as text."""
    played = Played()
    seeds = list(block.seeds)
    slow = 0
    while seeds:
        try:
            with Pair(block.profile) as pair:
                if not _play(pair, block, seeds, played):
                    continue  # these servers will not agree any more
        except TooSlow as error:
            slow += 1
            if slow > SLOW_LIMIT:
                played.failed(seeds.pop(0), "stuck", str(error))
        except Exception as error:  # whatever a server's answer led to is a difference
            # Go on with fresh servers, behind the script that these did not survive.
            failed = seeds.pop(0) if seeds else block.seeds[-1]
            script = generate(failed, block.length, block.profile)
            played.failed(failed, "stuck", f"{type(error).__name__}: {error}\nin {script}")
    return played


def _play(pair: Pair, block: Block, seeds: list[int], played: Played) -> bool:
    """Play the scripts of *seeds*, taking off the list what has been played.

    False: a difference lasts, even after it was cleaned up; the rest needs fresh servers.
    """
    ranges: list[tuple[int, int, GeneratedScript]] = []
    shrunk = 0
    while seeds:
        script = generate(seeds[0], block.length, block.profile)
        result = pair.play(script)
        ranges.append((result.first_zxid, result.last_zxid, script))
        played.scripts += 1
        played.steps += len(script.steps)
        played.replies += result.replies
        played.profiles[block.profile] += 1
        _count(script, played.operations)
        if result.difference is not None:
            shrunk += 1
            lasts = pair.play(attrs.evolve(script, steps=())).difference is not None
            text = _report(pair, script, result.difference, played, lasts)
            played.failed(script.seed, result.difference.what, text)
            if lasts:
                seeds.pop(0)
                return False
        seeds.pop(0)
    if not shrunk:
        compare_logs(pair, ranges, played)
    return True


def _count(script: GeneratedScript, operations: Counter[str]) -> None:
    def count(op: Op) -> None:
        operations[op.name if op.code in NAMES else "unknown operation"] += 1
        for inner in op.ops:
            count(inner)

    for step in script.steps:
        for op in requests_of(step):
            count(op)
        operations[type(step).__name__.lower()] += 1


def _report(pair: Pair, script: GeneratedScript, found: Difference, played: Played, lasts: bool) -> str:
    """The difference in words, with the shortest script that shows it."""
    if len(played.failures) >= SHRUNK_PER_BLOCK:
        return f"seed {script.seed}, profile {script.profile}: {found.what} differs too\n{found.text}"

    latest = found

    def shows(candidate: GeneratedScript) -> bool:
        nonlocal latest
        try:
            if lasts:
                with Pair(script.profile) as fresh:
                    result = fresh.play(candidate)
            else:
                result = pair.play(candidate)
        except (Stuck, TooSlow, ServerFailed, AssertionError, OSError):
            return False
        if result.difference is None or result.difference.what != found.what:
            return False
        latest = result.difference
        return True

    if not shows(script):
        return f"{found.what} differed once and not again\n{found.text}\nof {script}"
    small = shrink(script, shows, 60 if lasts else 600)
    return f"{latest.what} differs at step {latest.step + 1}\n{latest.text}\nin {small}"


def compare_logs(pair: Pair, ranges: list[tuple[int, int, GeneratedScript]], played: Played) -> None:
    """Compare the logs of both servers and replay them for their digests; failures go to *played*."""
    theirs = txnlogs.new_entries(txnlogs.entries(pair.java.directory / "data"))
    ours = txnlogs.entries(pair.zkpy.directory / "data")
    played.log_entries += len(ours)
    started_ms, ended_ms = pair.started_s * 1000 - 1, time.time() * 1000 + 1
    late = [entry for entry in ours if not started_ms <= txnlogs.time_ms(entry) <= ended_ms]
    if late:
        text = f"profile {pair.profile}: zkpy logs 0x{txnlogs.zxid(late[0]):x} with another time than its own"
        played.failed(ranges[0][2].seed, "transaction log", text)
    found = txnlogs.first_difference(txnlogs.comparable(ours), txnlogs.comparable(theirs))
    if found is not None:
        played.failed(ranges[0][2].seed, "transaction log", f"profile {pair.profile}: logs differ at {found}")
    extended = PROFILES[pair.profile][1].get("zookeeper.extendedTypesEnabled") == "true"
    for entries, who in ((theirs, "real"), (ours, "zkpy")):
        played.digests += len(entries)
        for wrong in txnlogs.digest_differences(entries, extended=extended):
            script = _script_of(wrong.header.zxid, ranges)
            # What changes such a znode later is off as well.
            odd = script is not None and has_odd_create(script)
            if who == "real" and (odd or wrong.off_by == 0):
                played.explained[ODD_DIGESTS] += 1
                continue
            text = f"profile {pair.profile}: {who}: the digest of 0x{wrong.header.zxid:x} {wrong.txn} is off"
            played.failed(script.seed if script else ranges[0][2].seed, "digest", text)


def _script_of(zxid: int, ranges: list[tuple[int, int, GeneratedScript]]) -> GeneratedScript | None:
    return next((script for first, last, script in ranges if first < zxid <= last), None)
