"""``python -m compat.damage``: what becomes of a damaged data directory, in zkpy and in a real ZooKeeper.

Builds small data directories, damages them in every place, lets zkpy recover each, and, where its jars are
found, the classes with which a ZooKeeper server opens its database at start. What comes out is compared with
the state after each transaction:

- *recovered*: the last transaction's state, or, where a crash is all that happened, that of the last one
  that is complete;
- *refused*: the start fails;
- *hole*: a state that never was: later transactions were applied, earlier ones are missing;
- *dropped*: transactions at the end are missing without a word.

Exit status 1 when zkpy shows a hole, drops something, or refuses what a crash can leave.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import attrs
import trio

from compat import realzk
from tests.persist.crash.disk import Image
from tests.persist.crash.explore import play
from tests.persist.crash.history import Run, Settings
from tests.persist.records import new_tree
from zkpy.errors import CorruptLogError
from zkpy.persist.logreader import MAGIC, LogReader
from zkpy.tree.digest import MASK

SETTINGS: Final = Settings()
FOLDER: Final = SETTINGS.snap_dir
OLDER: Final = "write write snapshot roll write write write snapshot roll write write write"
DRIVER: Final = Path(__file__).resolve().parent / "OpenDatabase.java"


class Found(NamedTuple):
    """What a recovery ended with."""

    zxid: int
    digest: int
    znodes: int
    sessions: int


class Case(NamedTuple):
    """A damaged directory, and the zxid of the last transaction that is still complete in it."""

    image: Image
    last: int


@attrs.define
class Score:
    """How the recoveries of one kind of damage ended."""

    recovered: int = 0
    refused: int = 0
    hole: int = 0
    dropped: int = 0

    def cells(self) -> list[str]:
        return [f"{number:,}" for number in (self.recovered, self.refused, self.hole, self.dropped)]


class World:
    """A directory of twenty transactions in two logs, and the state after each."""

    def __init__(self, actions: str, settings: Settings = SETTINGS) -> None:
        run = Run(settings, 11)
        trio.run(play, run, actions.split())
        self.image: Image = run.disk.shown()
        self.last = run.last
        self.found = {
            zxid: Found(zxid, digest, len(znodes), len(sessions))
            for zxid, (znodes, sessions, digest) in run.states.items()
        }
        self.logs = [f"{FOLDER}/{file.name}" for file in run.dirs.logs()]
        self.snapshots = [f"{FOLDER}/{file.name}" for file in run.dirs.snapshots()]
        self.ends: dict[str, list[tuple[int, int]]] = {}
        for path in self.logs:
            reader = LogReader(run.disk, path)
            self.ends[path] = [(reader.end, entry.zxid) for entry in reader]

    def with_file(self, path: str, content: bytes | None, last: int | None = None) -> Case:
        image = dict(self.image)
        image.pop(path, None)
        if content is not None:
            image[path] = content
        return Case(image, self.last if last is None else last)

    def complete(self, path: str, size: int) -> int:
        """The zxid of the last record of the log *path* that ends within *size* bytes."""
        before = self.ends[path][0][1] - 1
        return max([before, *(zxid for end, zxid in self.ends[path] if end <= size)])


Kind = tuple[str, bool, World, Callable[[World, int], Iterator[Case]]]
"""Name, whether a crash can leave it, the directory, and its damaged versions (every n-th)."""


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _cuts(
    which: int, more: Callable[[int], bytes], crash: bool, start: int = 0
) -> Callable[[World, int], Iterator[Case]]:
    """The log number *which* cut at every byte from *start*, and *more* (given how much) behind it."""

    def cases(world: World, step: int) -> Iterator[Case]:
        path = world.logs[which]
        content = world.image[path]
        for cut in range(start, len(content), step):
            rest = more(len(content) - cut)
            last = world.complete(path, cut) if crash else None
            yield world.with_file(path, content[:cut] + rest, last)

    return cases


def _flips(path_of: Callable[[World], str], stride: int = 1) -> Callable[[World, int], Iterator[Case]]:
    def cases(world: World, step: int) -> Iterator[Case]:
        path = path_of(world)
        content = bytearray(world.image[path])
        for bit in range(0, len(content) * 8, step * stride):
            content[bit // 8] ^= 1 << bit % 8
            yield world.with_file(path, bytes(content))
            content[bit // 8] ^= 1 << bit % 8

    return cases


def _short(path_of: Callable[[World], str]) -> Callable[[World, int], Iterator[Case]]:
    def cases(world: World, step: int) -> Iterator[Case]:
        path = path_of(world)
        for cut in range(0, len(world.image[path]), step):
            yield world.with_file(path, world.image[path][:cut])

    return cases


def _blocks(which: int, size: int) -> Callable[[World, int], Iterator[Case]]:
    def cases(world: World, step: int) -> Iterator[Case]:
        path = world.logs[which]
        content = world.image[path]
        for start in range(0, len(content), size):
            broken = content[:start] + bytes(len(content[start : start + size])) + content[start + size :]
            yield world.with_file(path, broken)

    return cases


def _missing(paths_of: Callable[[World], list[str]]) -> Callable[[World, int], Iterator[Case]]:
    def cases(world: World, step: int) -> Iterator[Case]:
        for path in paths_of(world):
            yield world.with_file(path, None)

    return cases


def _no_snapshots(world: World, step: int) -> Iterator[Case]:
    yield Case({path: data for path, data in world.image.items() if path not in world.snapshots}, world.last)


def _empty_snapshots(world: World, step: int) -> Iterator[Case]:
    emptied = {path: b"" if path in world.snapshots else data for path, data in world.image.items()}
    yield Case(emptied, world.last)


def _new_log(world: World, step: int) -> Iterator[Case]:
    """The next log was begun: some bytes of its header are there, or only zeros."""
    path = f"{FOLDER}/log.{world.last + 1:x}"
    header = world.image[world.logs[0]][:16]
    for size in range(17):
        yield world.with_file(path, header[:size])
        yield world.with_file(path, header[:size].ljust(16, b"\0"))
        yield world.with_file(path, header[:size].ljust(4096, b"\0"))


def _rubbish(world: World, step: int) -> Iterator[Case]:
    """Nothing of the newest log is left but its length, or less, and room for a header."""
    path = world.logs[-1]
    for size in range(16, len(world.image[path]), step):
        yield world.with_file(path, _noise(size))


def _leftovers(world: World, step: int) -> Iterator[Case]:
    """A snapshot that was being written, under the temporary names of both servers."""
    finished = World(f"{OLDER} snapshot")
    assert finished.last == world.last
    content = finished.image[finished.snapshots[-1]]
    for name in (f".tmp-snapshot.{world.last:x}", f"snapshot.{world.last:x}.tmp"):
        for cut in range(0, len(content), step):
            yield world.with_file(f"{FOLDER}/{name}", content[:cut])


def _newest(world: World) -> str:
    return world.snapshots[-1]


def _log(which: int) -> Callable[[World], str]:
    return lambda world: world.logs[which]


def kinds() -> list[Kind]:
    """Every kind of damage."""
    plain = World(" ".join(["write"] * 5 + ["roll"] + ["write"] * 5))
    zeros = World(" ".join(["write"] * 5 + ["roll"] + ["write"] * 5), Settings(size=1500, zeros=True))
    older = World(OLDER)
    purged = World(
        "write snapshot roll write snapshot roll write snapshot roll write snapshot roll write purge "
        "snapshot roll write"
    )
    epochs = World("write write roll write write truncate write write roll write write")
    return [
        ("last log cut", True, plain, _cuts(-1, lambda rest: b"", True)),
        ("last log zeros from a byte on", True, plain, _cuts(-1, bytes, True)),
        ("last log cut, rubbish behind", True, plain, _cuts(-1, _noise, True, len(MAGIC))),
        ("next log begun", True, plain, _new_log),
        ("unfinished snapshot left over", True, older, _leftovers),
        ("last log rubbish from the start", False, plain, _rubbish),
        ("last log, a bit flipped", False, plain, _flips(_log(-1))),
        ("last log of zeros, a bit flipped", False, zeros, _flips(_log(-1), 7)),
        ("earlier log cut", False, plain, _cuts(0, lambda rest: b"", False)),
        ("earlier log zeros from a byte on", False, plain, _cuts(0, bytes, False)),
        ("earlier log, 64 bytes zeroed", False, plain, _blocks(0, 64)),
        ("earlier log, a bit flipped", False, plain, _flips(_log(0))),
        ("earlier log cut, new epoch follows", False, epochs, _cuts(1, lambda rest: b"", False)),
        ("earlier log missing", False, plain, _missing(lambda world: world.logs[:-1])),
        ("log missing behind a snapshot", False, older, _missing(lambda world: world.logs[1:-1])),
        ("only snapshot, a bit flipped", False, plain, _flips(_newest)),
        ("only snapshot cut", False, plain, _short(_newest)),
        ("newest snapshot, a bit flipped", False, older, _flips(_newest)),
        ("newest snapshot cut", False, older, _short(_newest)),
        ("newest snapshot missing", False, older, _missing(lambda world: world.snapshots[-1:])),
        ("log missing after a purge", False, purged, _missing(lambda world: world.logs[:-1])),
        ("snapshots missing, logs there", False, plain, _no_snapshots),
        ("snapshots empty, logs there", False, plain, _empty_snapshots),
    ]


# -- the two servers ---------------------------------------------------------------------------------------


def recover(image: Image) -> tuple[Found | str, Image]:
    """zkpy's recovery, or a text when it refuses; and the directory after it."""
    disk = SETTINGS.disk(image)
    try:
        restored = SETTINGS.open(disk).restore(new_tree)
    except CorruptLogError as error:
        return str(error), image
    tree = restored.tree
    found = Found(restored.last_zxid, tree.digest & MASK, len(tree.nodes), len(tree.sessions))
    return found, disk.shown()


class Java:
    """One JVM that opens one directory after the other, as a server does at its start."""

    def __init__(self) -> None:
        self.version = ""
        self._directory = Path(tempfile.mkdtemp(prefix="damage-"))
        self._files: dict[str, bytes] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        installation = realzk.find()
        self.version = installation.version
        (self._directory / "version-2").mkdir()
        classes = self._directory / "classes"
        compiler = [realzk.java_program("javac"), "-nowarn", "-d", str(classes)]
        subprocess.run(
            [*compiler, "-cp", installation.classpath, str(DRIVER)], check=True, capture_output=True
        )
        command = [realzk.java_program(), *realzk.JVM_OPTIONS, "-Dlog4j2.level=OFF"]
        command += ["-cp", f"{classes}:{installation.classpath}", "OpenDatabase", str(self._directory)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)

    def recover(self, image: Image) -> Found | str:
        """What the directory opens as; a text when it does not."""
        folder = self._directory / "version-2"
        for path in folder.iterdir():
            path.unlink()
        for name, content in image.items():
            (folder / name.rpartition("/")[2]).write_bytes(content)
        assert self._process is not None and self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("open\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the JVM ended with status {self._process.wait()}")
        word, _, rest = line.rstrip("\n").partition(" ")
        if word != "opened":
            return rest
        zxid, digest, znodes, sessions = rest.split()
        return Found(int(zxid), int(digest) & MASK, int(znodes), int(sessions))


def judge(score: Score, world: World, case: Case, found: Found | str) -> str:
    """How one recovery ended, counted."""
    if isinstance(found, str):
        end = "refused"
    elif world.found.get(found.zxid) != found:
        end = "hole"
    elif found.zxid < case.last:
        end = "dropped"
    else:
        end = "recovered"
    setattr(score, end, getattr(score, end) + 1)
    return end


HEAD: Final = ["damage", "cases", *["recovered", "refused", "hole", "dropped"] * 2]


def table(java: Java | None, step: int = 1, show: Callable[[str], None] | None = None) -> list[Line]:
    """All kinds; *step* leaves places out."""
    lines = []
    for name, crash, world, cases in kinds():
        line = Line(name, crash, 0, Score(), Score() if java else None)
        for case in cases(world, step):
            line.cases += 1
            found, repaired = recover(case.image)
            mine = judge(line.zkpy, world, case, found)
            if java is not None and line.java is not None:
                other = judge(line.java, world, case, java.recover(case.image))
                line.stricter += mine == "refused" and other == "recovered"
                line.unlike += crash and java.recover(repaired) != found
        lines.append(line)
        if show is not None:
            show(line.text())
    return lines


@attrs.define
class Line:
    """One row of the table.

    ``stricter``: how often zkpy refuses what ZooKeeper recovers rightly; ``unlike``: how often ZooKeeper
    finds another state than zkpy in a directory that zkpy has recovered from a crash.
    """

    name: str
    crash: bool
    cases: int
    zkpy: Score
    java: Score | None
    stricter: int = 0
    unlike: int = 0

    def text(self) -> str:
        java = self.java.cells() if self.java is not None else ["-"] * 4
        name = f"{self.name} (crash)" if self.crash else self.name
        return "| " + " | ".join([name, f"{self.cases:,}", *self.zkpy.cells(), *java]) + " |"

    @property
    def bad(self) -> bool:
        """zkpy lost something without a word, refused after a crash, or left what ZooKeeper cannot use."""
        refused = self.crash and self.zkpy.refused
        return bool(self.zkpy.hole or self.zkpy.dropped or refused or self.unlike)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", type=int, default=1, help="damage only every n-th place")
    parser.add_argument("--no-java", action="store_true", help="zkpy alone")
    args = parser.parse_args(argv)
    started = time.monotonic()
    java: Java | None = None
    if not args.no_java:
        try:
            java = Java().__enter__()
        except (realzk.ZooKeeperUnavailable, OSError, subprocess.CalledProcessError) as error:
            print(f"without Java: {error}", file=sys.stderr)
    try:
        right = f"ZooKeeper {java.version}" if java is not None else "ZooKeeper (not found)"
        print(f"| | | zkpy | | | | {right} | | | |")
        print("|" + "---|" * len(HEAD))
        print("| " + " | ".join(HEAD) + " |")
        lines = table(java, args.step, lambda text: print(text, flush=True))
    finally:
        if java is not None:
            java.close()
    stricter = sum(line.stricter for line in lines)
    print(
        f"{sum(line.cases for line in lines):,} directories, {time.monotonic() - started:.0f} s; "
        f"refused by zkpy though ZooKeeper recovers them: {stricter}; recovered from a crash by zkpy, and "
        f"another state for ZooKeeper after that: {sum(line.unlike for line in lines)}"
    )
    return int(any(line.bad for line in lines))


if __name__ == "__main__":
    sys.exit(main())
