"""The rule: recovery gives exactly the state after a transaction at or after the last acknowledged one.

After a crash nothing else will do, not even a refusal, and what was served once stays: a second crash right
after the recovery, or at any call of it, changes nothing. Damage may be refused, naming file, offset, zxid
and remedy, but never lose anything without a word.
"""

from __future__ import annotations

import random
import re
from typing import Final

import attrs

from tests.persist.crash.disk import Image
from tests.persist.crash.history import Run, Settings, State, state_of
from tests.persist.records import new_tree
from zkpy.errors import CorruptLogError, DataDirError, StorageError

NO_SNAPSHOT_LOST: Final = "is not a valid snapshot"
_ZXID: Final = re.compile(r"zxid 0x[0-9a-f]+")


class Violation(AssertionError):
    """The rule was broken."""


class Refused(Violation):
    """A start was refused after nothing but a crash."""


@attrs.define
class Counts:
    """What was looked at: places, different directories, recoveries of any kind, refusals."""

    points: int = 0
    images: int = 0
    recoveries: int = 0
    refusals: int = 0
    faults: int = 0

    def add(self, other: Counts) -> None:
        for field in attrs.fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def __str__(self) -> str:
        return (
            f"{self.points} crash points, {self.images} different directories, "
            f"{self.recoveries} recoveries, {self.refusals} refusals, {self.faults} failed calls"
        )


class Judge:
    """Recovers what crashes leave. *second* is how many images per call of a recovery are recovered again."""

    def __init__(
        self, settings: Settings, states: dict[int, State], counts: Counts, seed: int = 0, second: int = 0
    ) -> None:
        self._settings = settings
        self._states = states
        self._second = second
        self._chance = random.Random(seed)
        self._known: dict[int, frozenset[int]] = {}
        self.counts = counts

    def crash(self, image: Image, allowed: list[int], where: str) -> None:
        """*image* is what a crash left. Raises Violation."""
        self.counts.points += 1
        key = hash(tuple(sorted(image.items())))
        ends = self._known.get(key)
        try:
            if ends is None:
                self.counts.images += 1
                ends = self._known[key] = self._ends(image)
        except Violation as violation:
            raise type(violation)(f"{where}: {violation}\n{describe(image)}") from None
        wrong = ends.difference(allowed)
        if wrong:
            ends_with = ", ".join(f"{zxid:#x}" for zxid in sorted(wrong))
            told = [f"{zxid:#x}" for zxid in (allowed[0], allowed[-1])]
            raise Violation(f"{where}: ends with {ends_with}, not {' to '.join(told)}\n{describe(image)}")

    def _ends(self, image: Image) -> frozenset[int]:
        """The zxids that recoveries of *image* end with, interrupted or not."""
        ends = set()
        disk = self._settings.disk(image)
        seen = -1

        def interrupted(operation: str, path: str) -> None:
            nonlocal seen
            if disk.changed != seen:
                seen = disk.changed
                for again in disk.images(self._second, self._chance):
                    self.counts.points += 1
                    ends.add(self.recover(again))

        if self._second:
            disk.on_call = interrupted
        self.counts.recoveries += 1
        try:
            restored = self._settings.open(disk).restore(new_tree)
        except (CorruptLogError, DataDirError, StorageError) as error:
            raise Refused(f"refused though only a crash happened: {error}") from None
        disk.on_call = None
        self._compare(restored.last_zxid, state_of(restored.tree))
        self._only_whole(restored.warnings)
        if restored.digest_mismatches:
            raise Violation(f"digests do not match: {restored.warnings}")
        after = [disk.least(), *disk.images(max(2, self._second), self._chance)]
        for again in {hash(tuple(sorted(found.items()))): found for found in after}.values():
            end = self.recover(again)
            if end != restored.last_zxid:
                raise Violation(f"served {restored.last_zxid:#x}; after one more crash it is {end:#x}")
        ends.add(restored.last_zxid)
        return frozenset(ends)

    def recover(self, image: Image) -> int:
        """One recovery of what a crash left."""
        self.counts.recoveries += 1
        try:
            restored = self._settings.open(self._settings.disk(image)).restore(new_tree)
        except (CorruptLogError, DataDirError, StorageError) as error:
            raise Violation(f"refused though only crashes happened: {error}\n{describe(image)}") from None
        self._compare(restored.last_zxid, state_of(restored.tree))
        return restored.last_zxid

    def _compare(self, zxid: int, state: State) -> None:
        if zxid not in self._states:
            raise Violation(f"ends with {zxid:#x}, which never was")
        if state != self._states[zxid]:
            raise Violation(
                f"the state at {zxid:#x} is not what it was: {_difference(state, self._states[zxid])}"
            )

    def _only_whole(self, warnings: list[str]) -> None:
        for warning in warnings:
            if NO_SNAPSHOT_LOST in warning:
                raise Violation(f"an unfinished file has the name of a snapshot: {warning}")

    def damage(self, image: Image, end: int, where: str) -> bool:
        """*image* was damaged after everything up to *end* was safe: True when refused. Raises Violation."""
        self.counts.points += 1
        self.counts.images += 1
        self.counts.recoveries += 1
        disk = self._settings.disk(image)
        try:
            restored = self._settings.open(disk).restore(new_tree)
        except CorruptLogError as error:
            self.counts.refusals += 1
            self._clear(error)
            if disk.shown() != image:
                raise Violation(f"{where}: refused, but the directory was changed") from None
            return True
        self._compare(restored.last_zxid, state_of(restored.tree))
        if restored.last_zxid != end:
            raise Violation(f"{where}: lost without a word: {restored.last_zxid:#x} instead of {end:#x}")
        return False

    def _clear(self, error: CorruptLogError) -> None:
        text = str(error)
        if not (error.file and "offset" in text and error.remedy and _ZXID.search(text)):
            raise Violation(f"the message does not name file, offset, zxid and remedy: {text}")


def _difference(found: State, expected: State) -> str:
    if found[1] != expected[1]:
        return f"sessions {found[1]} instead of {expected[1]}"
    wrong = [path for path in {*found[0], *expected[0]} if found[0].get(path) != expected[0].get(path)]
    return f"znodes {sorted(wrong)[:5]}, digest {found[2]:#x} instead of {expected[2]:#x}"


def describe(image: Image) -> str:
    """The files of an image, for a report."""
    return "\n".join(f"  {path}: {len(content)} bytes" for path, content in sorted(image.items()))


def judge_of(run: Run, counts: Counts, seed: int = 0, second: int = 0) -> Judge:
    return Judge(run.settings, run.states, counts, seed, second)
