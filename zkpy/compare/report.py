"""What was found: counted, printed for a person, written as JSON lines for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from zkpy.compare.fields import Field, json_value, text_value

RAW_SHOWN_BYTES: Final = 512

Address = tuple[str, int]


def address_text(address: Address) -> str:
    """``host:port``, an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.define(eq=False)
class Finding:
    """One difference. ``explained`` is its reason when zkpy differs on purpose or timing decides."""

    what: str
    operation: str
    session_id: int
    client: str
    request: Sequence[Field] = ()
    zkpy: Sequence[Field] | None = None
    """The fields of zkpy's frame; None: there is none."""
    real: Sequence[Field] | None = None
    differing: Sequence[int] = ()
    """Indexes of the fields that differ."""
    zkpy_frame: bytes = b""
    real_frame: bytes = b""
    explained: str | None = None


class Report:
    """Takes findings and counts what was compared.

    Args:
        say: takes the text of a finding or note, without a line end at its end; None prints nothing.
        record: takes one JSON object as a line without its end.
    """

    def __init__(
        self,
        say: Callable[[str], None] | None = None,
        record: Callable[[str], None] | None = None,
        *,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._say: Final = say
        self._record: Final = record
        self._note: Final = note or say
        self.compared: Final[Counter[str]] = Counter()
        self.explained: Final[Counter[str]] = Counter()
        self.differences = 0

    @property
    def requests(self) -> int:
        """How many requests had both answers compared."""
        return sum(number for name, number in self.compared.items() if name != "event")

    def count(self, operation: str) -> None:
        """Both servers' answers to one request (or one event) were compared."""
        self.compared[operation] += 1

    def note(self, text: str) -> None:
        """Say something that is no difference."""
        if self._note is not None:
            self._note(f"note: {text}")

    def add(self, finding: Finding) -> None:
        """Count a finding and pass it on."""
        if finding.explained is None:
            self.differences += 1
        else:
            self.explained[finding.explained] += 1
        if self._say is not None:
            self._say(self._text(finding))
        if self._record is not None:
            self._record(json.dumps(_object(finding), ensure_ascii=False))

    def _text(self, finding: Finding) -> str:
        if finding.explained is None:
            title = f"difference {self.differences}"
        else:
            title = "explained"
        session = f"session 0x{finding.session_id & (1 << 64) - 1:x}" if finding.session_id else "no session"
        lines = [f"{title}: {finding.operation}, {session}, client {finding.client}", f"  {finding.what}"]
        if finding.explained is not None:
            lines.append(f"  reason: {finding.explained}")
        lines += [f"    {field.name} = {text_value(field)}" for field in finding.request]
        lines += _columns(finding)
        return "\n".join(lines)

    def summary(self) -> str:
        """Everything in figures."""
        lines = [f"requests compared: {self.requests}, events: {self.compared['event']}"]
        for name, number in sorted(self.compared.items()):
            lines.append(f"  {name:<22}{number:>9}")
        lines.append(f"explained differences: {self.explained.total()}")
        for reason, number in sorted(self.explained.items()):
            lines.append(f"  {number:>5} {reason}")
        lines.append(f"differences: {self.differences}")
        return "\n".join(lines)


def _columns(finding: Finding) -> list[str]:
    """Both answers field by field; a differing one has a star, and its bytes when its text is the same."""
    ours, theirs = finding.zkpy, finding.real
    if ours is None or theirs is None:
        only = ours if ours is not None else theirs
        if only is None:
            return []
        who = "zkpy" if ours is not None else "real server"
        return [f"  {who}:"] + [f"    {field.name} = {text_value(field)}" for field in only]
    lines = ["  answers, zkpy | real server:"]
    for number in range(max(len(ours), len(theirs))):
        mine = ours[number] if number < len(ours) else None
        other = theirs[number] if number < len(theirs) else None
        differs = number in finding.differing
        name = (mine or other or ours[0]).name
        if mine is not None and other is not None and mine.name != other.name:
            name = f"{mine.name} | {other.name}"
        left = "nothing" if mine is None else text_value(mine)
        right = "nothing" if other is None else text_value(other)
        if not differs:
            lines.append(f"    {name} = {left}")
            continue
        lines.append(f"  * {name}: {left} | {right}")
        if left == right and mine is not None and other is not None:
            lines.append(f"      bytes: {_hex(mine.raw)} | {_hex(other.raw)}")
    return lines


def _hex(raw: bytes) -> str:
    more = "" if len(raw) <= RAW_SHOWN_BYTES else f"... ({len(raw)} bytes)"
    return raw[:RAW_SHOWN_BYTES].hex() + more


def _object(finding: Finding) -> dict[str, object]:
    ours, theirs = finding.zkpy, finding.real
    names = []
    for number in finding.differing:
        longer = ours if ours is not None and number < len(ours) else theirs
        assert longer is not None
        names.append(longer[number].name)
    return {
        "kind": "difference" if finding.explained is None else "explained",
        "reason": finding.explained,
        "what": finding.what,
        "operation": finding.operation,
        "session": f"0x{finding.session_id & (1 << 64) - 1:x}",
        "client": finding.client,
        "request": {field.name: json_value(field) for field in finding.request},
        "zkpy": None if ours is None else {field.name: json_value(field) for field in ours},
        "real": None if theirs is None else {field.name: json_value(field) for field in theirs},
        "differing": names,
        "zkpy_bytes": finding.zkpy_frame.hex(),
        "real_bytes": finding.real_frame.hex(),
    }
