"""What ``conf``, ``dirs``, ``envi`` and ``mntr`` show beyond the connections and the tree.

Whoever builds a server fills this in; the defaults are those of a server that listens nowhere and stores
nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from zkpy import COMPATIBLE_WITH, __version__

if TYPE_CHECKING:
    from zkpy.quorum.quorumconfig import QuorumConfig

REVISION: Final = "0" * 40
"""Where a Java build names its commit: a checkout may have one, an installed package has not."""


Gauges = list[tuple[str, int | str]]
"""Names without ``zk_`` and values of the moment."""

LATEST: Final = 1024
"""So many observations make percentiles."""


class Summary:
    """Count, sum, least and greatest of some observations: a basic summary of ``mntr``."""

    __slots__ = ("count", "max", "min", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.min = 0
        self.max = 0

    def add(self, value: int) -> None:
        """Note one observation."""
        if not self.count or value < self.min:
            self.min = value
        if value > self.max:
            self.max = value
        self.count += 1
        self.total += value


class Quantiles(Summary):
    """A summary with the percentiles of the latest observations: an advanced summary of ``mntr``."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        super().__init__()
        self._latest: deque[int] = deque(maxlen=LATEST)

    def add(self, value: int) -> None:
        """Note one observation."""
        super().add(value)
        self._latest.append(value)

    def percentiles(self, shares: Iterable[float]) -> list[int]:
        """The values that such *shares* (0 to 1) of the latest observations do not exceed."""
        values = sorted(self._latest)
        return [values[min(len(values) - 1, int(share * len(values)))] if values else 0 for share in shares]


class ServerFacts:
    """The surroundings of one server.

    Attributes:
        started: when the server began to serve, on its monotonic clock in seconds.
        client_port, secure_client_port: the ports really listened on, -1 without such a listener.
        data_dir, log_dir: the absolute ``version-2`` directories, empty for a memory-only server.
        members: those of the ensemble at present; None for a server on its own.
        dir_size: bytes of the files below a directory; looked up for each answer, never for an empty name.
        counters: values since the start or the last ``srst``, by metric name without ``zk_``.
        summaries: the same for observations.
        quantiles: the same for observations with percentiles.
        gauges: what ``mntr`` shows of a member's role, as of the moment.
        learner_sets: ids of the learners of which summaries are shown, after their first synchronisation.
    """

    __slots__ = (
        "_baseline",
        "client_port",
        "counters",
        "data_dir",
        "dir_size",
        "gauges",
        "learner_sets",
        "log_dir",
        "members",
        "quantiles",
        "secure_client_port",
        "started",
        "summaries",
    )

    def __init__(self, started: float) -> None:
        self.started = started
        self.client_port = -1
        self.secure_client_port = -1
        self.data_dir = ""
        self.log_dir = ""
        self.members: QuorumConfig | None = None
        self.dir_size: Callable[[str], int] = directory_size
        self.counters: Final[dict[str, int]] = {}
        self.summaries: Final[dict[str, Summary]] = {}
        self.quantiles: Final[dict[str, Quantiles]] = {}
        self.gauges: Callable[[], Gauges] = list
        self.learner_sets: Final[set[int]] = set()
        self._baseline: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter, for instance ``stale_sessions_expired``."""
        self.counters[name] = self.counters.get(name, 0) + by

    def observe(self, name: str, value: int) -> None:
        """Add to a basic summary, for instance ``fsynctime``; times are whole milliseconds."""
        summary = self.summaries.get(name)
        if summary is None:
            summary = self.summaries[name] = Summary()
        summary.add(value)

    def observe_often(self, name: str, value: int) -> None:
        """Add to an advanced summary, for instance ``quorum_ack_latency``."""
        summary = self.quantiles.get(name)
        if summary is None:
            summary = self.quantiles[name] = Quantiles()
        summary.add(value)

    def sizes(self) -> tuple[int, int]:
        """Bytes in the data and in the log directory."""
        data = self.dir_size(self.data_dir) if self.data_dir else 0
        if self.log_dir == self.data_dir:
            return data, data
        return data, self.dir_size(self.log_dir) if self.log_dir else 0

    def since_reset(self, totals: dict[str, int]) -> dict[str, int]:
        """*totals*, which others count from the start, as they grew since the last `reset`."""
        baseline = self._baseline
        return {name: value - baseline.get(name, 0) for name, value in totals.items()}

    def reset(self, totals: dict[str, int]) -> None:
        """``srst``: counters and summaries begin anew, and *totals* count from here."""
        self.counters.clear()
        self.summaries.clear()
        self.quantiles.clear()
        self._baseline = dict(totals)


def version_text() -> str:
    """The version as ``srvr``, ``envi`` and ``mntr`` show it: ``<release>-<revision>, built on <date>``.

    The release is the one whose behaviour is the reference, because clients compare it; a qualifier behind a
    hyphen is what Java's own development builds have, so those who cut at the first or at the last hyphen
    both get on. The date is that of the installed files.
    """
    import time

    try:
        built = os.stat(__file__).st_mtime
    except OSError:  # inside an archive
        built = 0.0
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(built))
    return f"{COMPATIBLE_WITH}-zkpy{__version__}-{REVISION}, built on {date}"


def directory_size(path: str) -> int:
    """Bytes of all files below *path*; what disappears meanwhile, or is not there at all, counts nothing."""
    total = 0
    todo = [path]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                        else:
                            total += entry.stat().st_size
                    except FileNotFoundError:
                        pass
        except OSError:
            pass
    return total


def descriptors() -> tuple[int, int]:
    """File descriptors of this process: open ones (-1 where the system does not tell) and the limit."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        limit = (1 << 63) - 1
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1, limit  # without the one that listing takes
        except OSError:
            pass
    return -1, limit


def environment() -> list[tuple[str, str]]:
    """The keys of ``envi`` in Java's order.

    The keys that describe a Java machine say what this server runs on instead, ``<NA>`` where there is no
    such thing. Memory is the machine's: a Python process has no heap of a fixed size.
    """
    import platform
    import socket
    import sys
    import tempfile

    system = os.uname()
    page = os.sysconf("SC_PAGE_SIZE")
    memory = os.sysconf("SC_PHYS_PAGES") * page >> 20
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * page >> 20
    except (OSError, ValueError):
        free = 0
    return [
        ("zookeeper.version", version_text()),
        # Not the canonical name: that would ask name servers, and nothing else is served while they think.
        ("host.name", socket.gethostname()),
        ("java.version", platform.python_version()),
        ("java.vendor", platform.python_implementation()),
        ("java.home", sys.prefix),
        ("java.class.path", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))),
        ("java.library.path", "<NA>"),
        ("java.io.tmpdir", tempfile.gettempdir()),
        ("java.compiler", "<NA>"),
        ("os.name", system.sysname),
        ("os.arch", "amd64" if system.machine == "x86_64" else system.machine),
        ("os.version", system.release),
        ("user.name", _user_name()),
        ("user.home", os.path.expanduser("~")),
        ("user.dir", os.getcwd()),
        ("os.memory.free", f"{free}MB"),
        ("os.memory.max", f"{memory}MB"),
        ("os.memory.total", f"{memory}MB"),
    ]


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number without a name
        return "?"
