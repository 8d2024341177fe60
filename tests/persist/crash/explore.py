"""Campaigns: which crashes, failures and damages are tried on which histories."""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs
import trio

from tests.persist.crash.disk import SECTOR, Image
from tests.persist.crash.history import ACTIONS, BASE, Run, Settings
from tests.persist.crash.rule import Counts, Judge, Refused, Violation, judge_of
from zkpy.errors import CorruptLogError, DataDirError, StorageError
from zkpy.persist.logreader import MAGIC, LogReader

NewRun = Callable[[Settings, int], Run]

LAYOUTS: Final = (
    Settings(),
    Settings(separate=True),
    Settings(prealloc=8192, size=400),
    Settings(separate=True, prealloc=4096, size=300, compression="gz"),
)
ZEROS: Final = Settings(prealloc=4096, size=1500, zeros=True)
"""For damage only: a lost sector with a single bit in it cannot be told from that bit turned over."""

SMALL: Final = LAYOUTS[:2]


async def play(run: Run, actions: Iterable[str]) -> None:
    """One action after the other."""
    for action in actions:
        await ACTIONS[action](run)


def prepared(new_run: NewRun, settings: Settings, seed: int, base: Sequence[str] = BASE) -> Run:
    run = new_run(settings, seed)
    trio.run(play, run, base)
    return run


@attrs.define
class Watch:
    """Recovers what a crash would leave at every call of a run's disk."""

    run: Run
    judge: Judge
    limit: int
    chance: random.Random
    label: str = ""
    torn: int = 1
    _seen: int = -1

    def __call__(self, operation: str, path: str) -> None:
        disk = self.run.disk
        if disk.changed == self._seen:
            return
        self._seen = disk.changed
        allowed = self.run.allowed()
        where = f"{self.label}, at {operation} {path}"
        for image in disk.images(self.limit, self.chance):
            self.judge.crash(image, allowed, where)
        if self.torn:
            for image in disk.torn(self.torn):
                self.judge.crash(image, allowed, f"{where}, torn")

    def now(self) -> None:
        """Between two calls."""
        self._seen = -1
        self("the end", "")


def crash_everywhere(
    new_run: NewRun,
    sequence: Sequence[str],
    settings: Settings,
    counts: Counts,
    *,
    limit: int = 64,
    second: int = 0,
    torn: int = 7,
    seed: int = 1,
) -> None:
    """Play *sequence* after the base, with a crash at every call. Raises Violation."""
    run = prepared(new_run, settings, seed)
    judge = judge_of(run, counts, seed, second)
    watch = Watch(run, judge, limit, random.Random(seed), " ".join(sequence), torn)
    run.disk.on_call = watch

    async def play() -> None:
        for action in sequence:
            await ACTIONS[action](run)
            watch.now()

    _unwrapped(play)


def _unwrapped(play: Callable[[], object]) -> None:
    trio.run(play)  # type: ignore[arg-type]


def all_sequences(length: int) -> Iterator[tuple[str, ...]]:
    """Every sequence of *length* actions."""
    return itertools.product(ACTIONS, repeat=length)


def sequences(
    new_run: NewRun,
    tried: Iterable[Sequence[str]],
    counts: Counts,
    *,
    layouts: Sequence[Settings] = SMALL,
    limit: int = 64,
    second: int = 0,
    torn: int = 7,
) -> None:
    """`crash_everywhere` for each sequence, in the layouts by turns."""
    for at, sequence in enumerate(tried):
        settings = layouts[at % len(layouts)]
        crash_everywhere(new_run, sequence, settings, counts, limit=limit, second=second, torn=torn, seed=at)


# -- failing calls -----------------------------------------------------------------------------------------


class _Injected(Exception):
    pass


def fail_everywhere(
    new_run: NewRun,
    sequence: Sequence[str],
    settings: Settings,
    counts: Counts,
    *,
    error: int = errno.EIO,
    limit: int = 8,
    sticky: bool = False,
    stride: int = 1,
) -> None:
    """Play *sequence* once for each of its calls, and let that call fail (*sticky*: all later ones, too).

    The server stops there: what a power cut leaves must fit, and so must what the next process finds and
    serves, whatever the system's cache said, and what is left of that by a power cut.
    """
    at = 0
    while _fail_at(new_run, sequence, settings, counts, at, error, limit, sticky):
        at += stride


def _fail_at(
    new_run: NewRun,
    sequence: Sequence[str],
    settings: Settings,
    counts: Counts,
    at: int,
    error: int,
    limit: int,
    sticky: bool,
) -> bool:
    run = prepared(new_run, settings, 5)
    chance = random.Random(at)
    judge = judge_of(run, counts, at)
    label = f"{' '.join(sequence)}, call {at} fails"
    left = at
    failed = ""

    def fault(operation: str, path: str) -> None:
        nonlocal left, failed
        left -= 1
        if left == -1 or (sticky and left < 0 and operation not in ("read", "list")):
            failed = failed or f"{operation} {path}"
            raise OSError(error, "injected")

    run.disk.on_call = fault
    try:
        trio.run(play, run, sequence)
        stopped = False
    except (StorageError, CorruptLogError, DataDirError, OSError):
        stopped = True
    run.disk.on_call = None
    if not failed:
        return False
    counts.faults += 1
    allowed = run.allowed()
    for image in (*run.disk.images(limit, chance), run.disk.shown()):
        judge.crash(image, allowed, f"{label} ({failed}), then the power")
    if stopped:
        after_failure(run, judge, allowed, f"{label} ({failed})", limit, chance)
    return True


def after_failure(
    run: Run, judge: Judge, allowed: list[int], label: str, limit: int, chance: random.Random
) -> None:
    """The next process opens what the system shows, serves it, writes on; then the power goes."""
    try:
        run.restart()
    except (CorruptLogError, DataDirError, StorageError) as error:
        raise Violation(f"{label}: the next process refuses: {error}") from None
    if run.last not in allowed:
        raise Violation(f"{label}: the next process ends with {run.last:#x}")
    for image in run.disk.images(limit, chance):
        judge.crash(image, run.allowed(), f"{label}, recovered, then the power")
    trio.run(play, run, ("write", "append"))
    for image in run.disk.images(limit, chance):
        judge.crash(image, run.allowed(), f"{label}, recovered, written, then the power")


# -- long random histories ---------------------------------------------------------------------------------

_WEIGHTS: Final = {
    "append": 6,
    "commit": 6,
    "commit-blocking": 2,
    "write": 6,
    "single": 4,
    "overlap": 2,
    "overlap-name": 1,
    "overlap-reported": 1,
    "roll": 2,
    "snapshot": 2,
    "slow-snapshot": 2,
    "purge": 1,
    "truncate": 1,
    "kill": 1,
}


def long_history(
    new_run: NewRun, seed: int, steps: int, counts: Counts, *, limit: int = 6, second: int = 0
) -> None:
    """*steps* random actions with power cuts and failing calls, going on with what they left."""
    chance = random.Random(seed)
    settings = LAYOUTS[seed % len(LAYOUTS)]
    run = new_run(settings, seed)
    names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    for step in range(steps):
        action = chance.choices(names, weights)[0]
        label = f"seed {seed}, step {step} ({action})"
        judge = judge_of(run, counts, seed + step, second)
        watch = Watch(run, judge, limit, chance, label, torn=61)
        fail_at = chance.randrange(40) if chance.random() < 0.15 else -1
        failed = _step(run, action, watch, fail_at)
        counts.faults += failed
        if not failed and chance.random() < 0.85:
            continue
        if failed and chance.random() < 0.5:  # only the process ends
            _resumed(run, label)
            continue
        image = chance.choice(list(run.disk.images(12, chance)))
        judge.crash(image, run.allowed(), label)
        run.power_cut(image)
        _resumed(run, label)


def _resumed(run: Run, label: str) -> None:
    allowed = run.allowed()
    try:
        run.restart()
    except (CorruptLogError, DataDirError, StorageError) as error:
        raise Violation(f"{label}: the next process refuses: {error}") from None
    if run.last not in allowed:
        raise Violation(f"{label}: the next process ends with {run.last:#x}")


def _step(run: Run, action: str, watch: Watch, fail_at: int) -> bool:
    disk, left = run.disk, fail_at

    def on_call(operation: str, path: str) -> None:
        nonlocal left
        watch(operation, path)
        left -= 1
        if left == -1:
            raise OSError(errno.EIO, "injected")

    disk.on_call = on_call
    try:
        trio.run(ACTIONS[action], run)
    except (StorageError, OSError, CorruptLogError, DataDirError):
        if left >= 0 or fail_at < 0:
            raise
        return True
    finally:
        disk.on_call = None
    return False


# -- damage ------------------------------------------------------------------------------------------------


def settled(new_run: NewRun, settings: Settings, seed: int = 3, *, whole: bool = False) -> Run:
    """A run whose every transaction is safe; *whole* without purged files."""
    base = [action for action in BASE if not (whole and "snapshot" in action)]
    return prepared(new_run, settings, seed, base)


def cuts(run: Run, counts: Counts, step: int = 1) -> None:
    """The newest log cut at every byte: what is complete is recovered, nothing is refused.

    Behind the cut the file ends, or there are zeros, or what the blocks held before. The last may look like
    a damaged record, head and end of it where they belong: then, and only then, it may be refused.
    """
    judge = judge_of(run, counts)
    path, content, ends = newest_log(run)
    image = dict(run.disk.shown())
    older = image[f"{run.settings.log_dir}/{run.dirs.logs()[0].name}"]
    for cut in range(0, min(ends[-1][0] + SECTOR, len(content)) + 1, step):
        size = len(content) - cut
        for what, rest in (
            ("cut", b""),
            ("zeros", bytes(size)),
            ("ones", b"\xff" * size),
            ("an older log", older[cut:] or older[-size:]),
        ):
            if cut < len(MAGIC) and any(rest):
                continue  # no log at all: refused
            image[path] = content[:cut] + rest
            complete = [zxid for end, zxid in ends if image[path][:end] == content[:end]]
            try:
                judge.crash(image, complete[-1:], f"{path}, {what} from {cut} on")
            except Refused as refused:
                if what != "an older log" or not any(told in str(refused) for told in _LIKE_DAMAGE):
                    raise
                counts.refusals += 1


_LIKE_DAMAGE: Final = ("checksum does not match", "end-of-record byte is damaged")


def newest_log(run: Run) -> tuple[str, bytes, list[tuple[int, int]]]:
    """Path and content of the newest log, and where each of its records ends; first what came before it."""
    file = run.dirs.logs()[-1]
    path = f"{run.settings.log_dir}/{file.name}"
    reader = LogReader(run.disk, path)
    before = [zxid for zxid in run.branch if zxid < file.zxid]
    ends = [(0, before[-1])]
    for entry in reader:
        ends.append((reader.end, entry.zxid))
    return path, bytes(run.disk.read_bytes(path)), ends


def flips(run: Run, paths: Iterable[str], counts: Counts, step: int = 1) -> dict[str, int]:
    """Every (*step*-th) bit of these files turned over: the whole state, or a refusal; refusals by path."""
    judge = judge_of(run, counts)
    image: dict[str, bytes] = dict(run.disk.shown())
    refused: dict[str, int] = {}
    for path in paths:
        content = image[path]
        used = len(content.rstrip(b"\0")) + 8
        for bit in range(0, min(used, len(content)) * 8, step):
            broken = bytearray(content)
            broken[bit // 8] ^= 1 << bit % 8
            image[path] = bytes(broken)
            refused[path] = refused.get(path, 0) + judge.damage(image, run.last, f"{path}, bit {bit}")
        image[path] = content
    return refused


def sectors(run: Run, paths: Iterable[str], counts: Counts) -> None:
    """In each of these earlier logs every 512-byte sector is zeroed, replaced by another, or exchanged."""
    judge = judge_of(run, counts)
    image: dict[str, bytes] = dict(run.disk.shown())
    for path in paths:
        content = image[path]
        starts = range(0, len(content), SECTOR)
        for first, second in itertools.product(starts, starts):
            one, other = content[first : first + SECTOR], content[second : second + SECTOR]
            if first == second:
                broken = _put(content, first, bytes(len(one)))
            elif len(one) == len(other) and first < second:
                broken = _put(_put(content, first, other), second, one)
            else:
                broken = _put(content, first, other)
            if len(broken) == len(content) and broken != content:
                image[path] = broken
                judge.damage(image, run.last, f"{path}, sectors {first} and {second}")
        image[path] = content


def _put(content: bytes, start: int, piece: bytes) -> bytes:
    return content[:start] + piece + content[start + len(piece) :]


def missing(run: Run, paths: Iterable[str], counts: Counts) -> dict[str, bool]:
    """Each of these files gone: whether that was refused."""
    judge = judge_of(run, counts)
    image: dict[str, bytes] = dict(run.disk.shown())
    out = {}
    for path in paths:
        less: Image = {name: content for name, content in image.items() if name != path}
        out[path] = judge.damage(less, run.last, f"{path} missing")
    return out
