"""The settings that preparation obeys, apart from the configuration they come from."""

from __future__ import annotations


class PrepOptions:
    """The settings that preparation obeys."""

    __slots__ = ("close_session_lists", "enforce_quota", "extended_types", "max_entry", "reconfig_enabled")

    def __init__(
        self,
        *,
        extended_types: bool = False,
        enforce_quota: bool = False,
        close_session_lists: bool = True,
        reconfig_enabled: bool = False,
        max_entry: int = 2 * 0xFFFFF,
    ) -> None:
        self.extended_types = extended_types
        self.enforce_quota = enforce_quota
        self.close_session_lists = close_session_lists
        self.reconfig_enabled = reconfig_enabled
        self.max_entry = max_entry
