"""``zkpy cleanup``: snapshots and logs that no recovery needs any more, removed as zkCleanup.sh does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import attrs
import trio

from zkpy.config import parse_config
from zkpy.errors import ConfigError
from zkpy.persist.names import SNAPSHOT, named
from zkpy.persist.purge import LEAST_KEPT, remove, superfluous
from zkpy.ports import Disk
from zkpy.toolkit.console import EXIT_OK, ToolError, out, say, size_text
from zkpy.toolkit.locate import version_dir
from zkpy.toolkit.render import Clock

ADVICE: Final = f"Keep at least {LEAST_KEPT}: the newest snapshot may turn out to be damaged."


@attrs.frozen
class Places:
    """Where to clean up, and how many snapshots to keep if the configuration says so."""

    data_dir: str
    log_dir: str
    keep: int | None = None


def from_config(name: str) -> Places:
    """The directories of a zoo.cfg.

    Raises:
        ConfigError: it cannot be read, or names no data directory.
    """
    config = parse_config(Path(name).read_text("iso-8859-1"), name, {})
    if config.data_dir is None:
        raise ConfigError(name, None, "dataDir is not set", "Add it, or name the directories themselves.")
    return Places(config.data_dir, config.data_log_dir or config.data_dir, config.autopurge_snap_retain_count)


def cleanup(disk: Disk, places: Places, keep: int, *, dry_run: bool, utc: bool = False) -> int:
    """Keep the newest *keep* good snapshots and the logs from the oldest of them on; prints what goes.

    Raises:
        ToolError: *keep* is too small, or a directory is none.
    """
    if keep < LEAST_KEPT:
        raise ToolError(f"count should be greater than or equal to {LEAST_KEPT}. {ADVICE}")
    snap_dir, log_dir = version_dir(disk, places.data_dir), version_dir(disk, places.log_dir)
    doomed: list[str] = trio.run(superfluous, disk, snap_dir, log_dir, keep)
    if not doomed and not named(disk, snap_dir, SNAPSHOT):
        say(
            f"{snap_dir}: no snapshots, nothing is removed. If zoo.cfg has dataDir and dataLogDir, name both."
        )
        return EXIT_OK
    clock = Clock(utc)
    size = 0
    word = "Would remove file" if dry_run else "Removing file"
    for path in doomed:
        found = os.stat(path)
        size += found.st_blocks * 512
        out(f"{word}: {clock.text(found.st_mtime_ns // 1_000_000)}\t{path}")
    if doomed and not dry_run:
        trio.run(remove, disk, snap_dir, doomed)
    if doomed:
        say(f"{len(doomed)} files, {size_text(size)} on the disk")
    return EXIT_OK
