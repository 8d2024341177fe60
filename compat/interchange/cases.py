"""Which directories move: every combination of servers, compressions and ends, and some other settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from compat.realzk import DEBIAN_VERSION, VERSION

ZKPY: Final = "zkpy"
PAIRS: Final = ((ZKPY, VERSION), (VERSION, ZKPY), (ZKPY, DEBIAN_VERSION), (DEBIAN_VERSION, ZKPY))
COMPRESSIONS: Final = ("", "gz", "snappy")
CLEAN, KILL = "clean", "kill"

DIGESTS: Final = "zookeeper.digest.enabled"
EXTENDED: Final = "zookeeper.extendedTypesEnabled"


@attrs.frozen
class Settings:
    """System properties that differ from those of most cases."""

    name: str
    both: dict[str, str] = attrs.field(factory=dict)
    reader: dict[str, str] = attrs.field(factory=dict)
    """Of the reader alone, over those of both."""
    separate_logs: bool = False

    def digests(self, *, reader: bool) -> bool:
        """Whether this side keeps digests."""
        return self._value(DIGESTS, reader) == "true"

    def extended(self, *, reader: bool) -> bool:
        """Whether this side knows TTL znodes."""
        return self._value(EXTENDED, reader) == "true"

    def _value(self, name: str, reader: bool) -> str:
        found = self.both.get(name, "true")
        return self.reader.get(name, found) if reader else found


USUAL: Final = Settings("")
OTHER: Final = (
    Settings("dataLogDir of its own", separate_logs=True),
    Settings("no digests", {DIGESTS: "false"}),
    Settings("no extended types", {EXTENDED: "false"}),
    Settings("no digests, the reader's on", {DIGESTS: "false"}, {DIGESTS: "true"}),
    Settings("digests, the reader's off", {}, {DIGESTS: "false"}),
    Settings("extended types, not the reader's", {}, {EXTENDED: "false"}),
)


@attrs.frozen
class Case:
    """One directory's way from *writer* to *reader* and back."""

    writer: str
    reader: str
    compression: str = ""
    stop: str = CLEAN
    settings: Settings = USUAL
    tools: bool = False
    """Whether Java's tools are run on the files, too."""

    @property
    def name(self) -> str:
        words = (
            f"{self.writer} -> {self.reader}",
            self.compression or "plain",
            self.stop,
            self.settings.name,
        )
        return ", ".join(filter(None, words))

    @property
    def java(self) -> str:
        """The Java server's version."""
        return self.reader if self.writer == ZKPY else self.writer

    @property
    def refused(self) -> bool:
        """Java 3.9 looks for the last zxid where the digest stands which it has been told not to expect."""
        return (
            self.reader == VERSION
            and self.settings.digests(reader=False)
            and not self.settings.digests(reader=True)
        )


def all_cases() -> list[Case]:
    """The whole matrix."""
    return list(_usual()) + list(_other())


def _usual() -> Iterator[Case]:
    for writer, reader in PAIRS:
        for compression in COMPRESSIONS:
            for stop in (CLEAN, KILL):
                yield Case(writer, reader, compression, stop, tools=stop == CLEAN)


def _other() -> Iterator[Case]:
    for number, settings in enumerate(OTHER):
        for writer, reader in PAIRS:
            stop = CLEAN if number % 2 else KILL
            yield Case(writer, reader, "", stop, settings, tools=settings.name == "no digests")


def telling_cases() -> list[Case]:
    """A few that together have every server on both sides, every compression and both ends."""
    return [
        Case(ZKPY, VERSION, "snappy", KILL),
        Case(VERSION, ZKPY, "gz", KILL),
        Case(ZKPY, DEBIAN_VERSION, "", CLEAN, tools=True),
        Case(DEBIAN_VERSION, ZKPY, "", KILL),
        Case(ZKPY, VERSION, "", CLEAN, OTHER[1]),
    ]
