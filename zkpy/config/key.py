"""What is known about one configuration key: the shape of the rows in the key tables."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

import attrs

Value: TypeAlias = "bool | int | float | str | None"

Origin = Literal["P", "S", "J"]
"""Where a setting can come from.

P
    parsed: only ``key=value`` in the file counts; no Java property of that name exists.
S
    fall-through: ``key=value`` in the file is published as the property ``zookeeper.<key>`` and overwrites a
    ``-Dzookeeper.<key>=value`` of the command line.
J
    Java only: read under exactly this name, ``-D`` is the only way, the file has no effect.
"""


class Kind(Enum):
    """How the text of a value is read; the member's value is the name of the type in documentation."""

    STRICT_INT = "int"
    STRICT_LONG = "long"
    STRICT_BOOL = "true/false"
    INT = "int (lenient)"
    LONG = "long (lenient)"
    DECIMAL = "decimal int (lenient)"
    FLOAT = "number"
    LENIENT_FLOAT = "number (lenient)"
    BOOL = "true or else false"
    EXACT_TRUE = "true or else false (exact case)"
    NOT_NO = "on unless no"
    NOT_FALSE = "on unless false"
    YES = "off unless yes"
    TEXT = "text"


IMPLEMENTED: Final = "implemented"
NOT_YET: Final = "not yet"
NO_EFFECT: Final = "no effect here: "
"""The beginning of a third kind of status; the reason follows."""


@attrs.frozen(slots=True, order=False)
class Key:
    """One row: everything the parser and the documentation have to know about a key."""

    name: str
    """As written in the file (P, S), or the full property name (J); a ``family`` without its suffix."""
    origin: Origin
    kind: Kind
    default: Value = None
    """The value when nothing is set; None: there is none, or it is derived (see ``default_text``)."""
    unit: str = ""
    field: str | None = None
    """The field of ``Config`` or ``EnsembleConfig`` with the value; None: only ``properties`` has it."""
    status: str = IMPLEMENTED
    default_text: str | None = None
    """Documentation of a default which is not a constant."""
    least: int | None = None
    """Smaller values are replaced by ``instead``, or refused if there is a ``refusal``."""
    instead: int | None = None
    """Replaces values below ``least``; None: the default does."""
    refusal: str | None = None
    """Why a value below ``least`` (or a number which is none) stops the start."""
    family: bool = False
    """The key is a prefix: every longer name belongs to it."""
    also: str | None = None
    """An older property name that counts while the regular one is not set."""

    @property
    def property_name(self) -> str | None:
        """The Java property with the value: ``zookeeper.<name>`` for S, the name for J, none for P."""
        if self.origin == "P":
            return None
        return self.name if self.origin == "J" else f"zookeeper.{self.name}"

    @property
    def implemented(self) -> bool:
        """Whether this server honours the key now."""
        return self.status == IMPLEMENTED

    @property
    def documented_default(self) -> str:
        """The default as documentation shows it."""
        if self.default_text is not None:
            return self.default_text
        if self.default is None:
            return "none"
        if self.kind in (Kind.NOT_NO, Kind.YES):
            return "yes" if self.default else "no"
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)
