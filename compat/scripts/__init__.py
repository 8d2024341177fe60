"""The scripts, a module for each chapter of the semantics; importing this package registers them all."""

from importlib import import_module

CHAPTERS = (
    "zxids",
    "paths",
    "changes",
    "creates",
    "reads",
    "watch_requests",
    "watches",
    "set_watches",
    "multis",
    "multi_reads",
    "ephemerals",
    "quotas",
    "identities",
    "handshakes",
    "frames",
    "expiry",
    "ours_only",
)
"""In the order in which they run: the first script wants fresh servers."""

for chapter in CHAPTERS:
    import_module(f"{__name__}.{chapter}")
