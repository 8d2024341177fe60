"""Which zkpy it is: its sources in one number, so that results are not taken for those of another one."""

from __future__ import annotations

import hashlib

from compat.zkpyserver import ROOT


def digest_of_sources() -> str:
    """The beginning of a hash of all modules of the package."""
    found = hashlib.sha256()
    for path in sorted((ROOT / "zkpy").rglob("*.py")):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]
