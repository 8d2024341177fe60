"""What a server writes when its members change: the dynamic file, and the static one that points to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from zkpy.config.properties import format_properties, parse_properties

_MOVED: Final = ("server.", "group", "weight", "dynamicConfigFile", "peerType")


def dynamic_text(lines: Iterable[str]) -> str:
    """The content of a dynamic file: sorted, without a newline at the end."""
    return "\n".join(sorted(lines))


def repointed(text: str, file: str, dynamic_file: str, *, drop_client_port: bool) -> str:
    """The static file *text* with its members moved to *dynamic_file* (an absolute path).

    Comments are lost, as with ZooKeeper; entries stay in their order. *drop_client_port*: the server's own
    line in the dynamic file says where clients come. Raises ``ConfigError`` when *text* is malformed.
    """
    moved = (*_MOVED, "clientPort") if drop_client_port else _MOVED
    kept = {
        name: entry.value
        for name, entry in parse_properties(text, file).items()
        if not name.startswith(moved)
    }
    return format_properties({**kept, "dynamicConfigFile": dynamic_file})
