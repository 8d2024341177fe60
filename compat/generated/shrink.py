"""Cuts a script that shows a difference down to what the difference needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from compat import wire
from compat.generated.generate import withstood
from compat.generated.steps import (
    Close,
    Expire,
    GeneratedScript,
    Op,
    Requests,
    Resume,
    Shake,
    Step,
    requests_of,
)
from compat.wire import OPEN

Shows = Callable[[GeneratedScript], bool]
"""Plays a script and says whether it still shows the difference."""

PLAIN_ACL = tuple(OPEN or ())


def shrink(script: GeneratedScript, shows: Shows, attempts: int = 600) -> GeneratedScript:
    """The shortest script found that still shows it, after at most so many plays."""
    budget = [attempts]

    def still(steps: tuple[Step, ...]) -> bool:
        if budget[0] <= 0 or not all(withstood(op) for step in steps for op in requests_of(step)):
            return False
        budget[0] -= 1
        return shows(attrs.evolve(script, steps=steps))

    steps = _fewer(script.steps, still)
    while budget[0] > 0:
        for simpler in _simpler_scripts(steps):
            if still(simpler):
                steps = simpler
                break
        else:
            break
    return attrs.evolve(script, steps=_fewer(steps, still))


def _fewer(steps: tuple[Step, ...], still: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """Leave out runs of steps, long ones first, until no single one can be spared."""
    size = max(1, len(steps) // 2)
    while True:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if fewer and still(fewer):
                steps = fewer
            else:
                start += size
        if size == 1:
            return steps
        size //= 2


def _simpler_scripts(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    names = sorted({step.session for step in steps if not isinstance(step, Expire | Shake)})
    for name in names[1:]:
        yield tuple(
            step
            if isinstance(step, Expire | Shake) or step.session != name
            else attrs.evolve(step, session=names[0])
            for step in steps
        )
    for n, step in enumerate(steps):
        for simpler in _simpler_steps(step):
            yield (*steps[:n], simpler, *steps[n + 1 :])


def _simpler_steps(step: Step) -> Iterator[Step]:
    match step:
        case Requests() | Expire() | Close(_, False):
            for ops in _simpler_ops(step.ops):
                if ops or not isinstance(step, Requests):
                    yield attrs.evolve(step, ops=ops)
            if isinstance(step, Requests) and step.xid is not None:
                yield attrs.evolve(step, xid=None)
        case Resume(_, how) if how != "drop":
            yield attrs.evolve(step, how="drop")
        case Close(_, True):
            yield attrs.evolve(step, drop=False)


def _simpler_ops(ops: tuple[Op, ...]) -> Iterator[tuple[Op, ...]]:
    for n in range(len(ops)):
        yield ops[:n] + ops[n + 1 :]
    for n, op in enumerate(ops):
        for simpler in _simpler(op):
            yield (*ops[:n], simpler, *ops[n + 1 :])


def _simpler(op: Op) -> Iterator[Op]:
    """Requests with one field nearer to its plainest value."""
    if op.code in (wire.MULTI, wire.MULTI_READ):
        for ops in _simpler_ops(op.ops):
            yield attrs.evolve(op, ops=ops)
    for n, paths in enumerate(op.lists):
        for left in range(len(paths or ())):
            assert paths is not None
            fewer = paths[:left] + paths[left + 1 :]
            yield attrs.evolve(op, lists=(*op.lists[:n], fewer, *op.lists[n + 1 :]))
    plain = Op(op.code)
    for name in ("data", "acl", "flags", "version", "watch", "behind", "cut", "extra"):
        if getattr(op, name) != getattr(plain, name):
            yield attrs.evolve(op, **{name: getattr(plain, name)})
