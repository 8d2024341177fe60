"""One cell of the grid: a synchronisation, stopped and ended by a fault; then all has to be well again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from compat.members import Writer, client, eventually, gauge, same_logs, same_on_disk, same_trees
from compat.process import ServerProcess
from compat.syncgrid.conversation import Step
from compat.syncgrid.proxy import Trap
from compat.syncgrid.situations import (
    LEADER,
    LEARNER,
    LONELY,
    ROOT,
    THIRD,
    Direction,
    Prepared,
    ProxiedEnsemble,
    Situation,
)

STOP_S: Final = 30.0
"""So long may it take until the learner has come to the step."""
_TAKEN_S: Final = 0.05
_ACKED: Final = "/acked"


class Fault(Enum):
    """What happens when the synchronisation has stopped."""

    LEADER = "kill-leader"
    LEARNER = "kill-learner"
    CUT = "cut"


class Cell(NamedTuple):
    """A cell's four coordinates."""

    direction: Direction
    situation: Situation
    step: Step
    fault: Fault

    def __str__(self) -> str:
        return f"{self.direction.value} {self.situation.name} {self.step.value} {self.fault.value}"


def all_cells(direction: Direction | None = None) -> Iterator[Cell]:
    """The 162, or the 81 of one direction."""
    directions: Iterable[Direction] = Direction if direction is None else (direction,)
    return (Cell(*each) for each in itertools.product(directions, Situation, Step, Fault))


class Wrong(AssertionError):
    """Something is not as it has to be."""


def run(prepared: Prepared, cell: Cell) -> None:
    """Raises AssertionError (`Wrong`) or ServerFailed when the ensemble did not get over the fault."""
    ensemble = prepared.ensemble
    prepared.restore(cell.situation)
    for member in ensemble.members.values():
        member.log_path.unlink(missing_ok=True)
    try:
        _run(ensemble, cell)
    finally:
        for number, proxy in ensemble.proxies.items():
            proxy.trap = None
            ensemble.kill(number)
            proxy.cut_all()


def _run(ensemble: ProxiedEnsemble, cell: Cell) -> None:
    members = ensemble.members
    ensemble.restart(THIRD, wait=False)
    ensemble.restart(LEADER, wait=False)
    ensemble.wait_until_serving()
    if (leader := ensemble.leader()) != LEADER:
        raise Wrong(f"server {leader} leads instead of {LEADER}")
    epochs = {number: _epochs(member) for number, member in members.items()}
    trap = ensemble.proxies[LEADER].trap = Trap(LEARNER, cell.step)
    ensemble.restart(LEARNER, wait=False)
    writer = None
    try:
        writer = _wait_for_stop(ensemble, trap, cell)
        time.sleep(_TAKEN_S)  # the last packet is not only sent but taken in
        _fault(ensemble, trap, cell)
        if writer is None:
            writer = _writer(ensemble)
        _heals(ensemble, writer, cell)
    finally:
        acknowledged = writer.stop() if writer is not None else []
    _all_is_well(ensemble, acknowledged, epochs)


def _writer(ensemble: ProxiedEnsemble) -> Writer:
    return Writer(f"{ensemble.members[THIRD].address},{ensemble.members[LEADER].address}", _ACKED)


def _wait_for_stop(ensemble: ProxiedEnsemble, trap: Trap, cell: Cell) -> Writer | None:
    """Writes begin with the synchronisation: earlier ones would turn a TRUNC into a SNAP."""
    opens = list(Step).index(cell.step) >= list(Step).index(Step.OPENING)
    writer = None
    if opens:
        if not trap.opened.wait(STOP_S):
            raise Wrong(f"no synchronisation in {STOP_S:g} s")
        if trap.opening != cell.situation.value:
            raise Wrong(f"opened with packet type {trap.opening} instead of {cell.situation.name}")
        if cell.step is not Step.OPENING:
            writer = _writer(ensemble)
    if not trap.stopped.wait(STOP_S):
        if writer is not None:
            writer.stop()
        raise Wrong(f"{cell.step.value} was not sent in {STOP_S:g} s")
    return writer


def _fault(ensemble: ProxiedEnsemble, trap: Trap, cell: Cell) -> None:
    if cell.fault is Fault.LEADER:
        ensemble.kill(LEADER)
    elif cell.fault is Fault.LEARNER:
        ensemble.kill(LEARNER)
    trap.spring()


def _heals(ensemble: ProxiedEnsemble, writer: Writer, cell: Cell) -> None:
    """The two others go on, whoever was hurt; then all three do."""
    _writes_go_on(writer)
    if cell.fault is Fault.LEADER:
        ensemble.wait_until_serving()
        ensemble.restart(LEADER, wait=False)
    elif cell.fault is Fault.LEARNER:
        ensemble.restart(LEARNER, wait=False)
    ensemble.wait_until_serving()
    _writes_go_on(writer)


def _writes_go_on(writer: Writer) -> None:
    before = len(writer.acknowledged)
    eventually("writes go on", lambda: len(writer.acknowledged) > before + 5, 30.0)


def _all_is_well(
    ensemble: ProxiedEnsemble, acknowledged: list[str], epochs: dict[int, tuple[int, int]]
) -> None:
    members = ensemble.members
    for number, member in members.items():
        reader = client(member.address)
        reader.sync("/")
        there = {f"{_ACKED}/{name}" for name in reader.get_children(_ACKED)}
        lonely = reader.exists(LONELY)
        names = reader.get_children(ROOT)
        reader.stop()
        reader.close()
        if lost := set(acknowledged) - there:
            raise Wrong(f"server {number} lost {len(lost)} of {len(acknowledged)}: {sorted(lost)[:5]}")
        if lonely is not None:
            raise Wrong(f"server {number} has {LONELY}, which was never committed")
        if len(names) < 15:
            raise Wrong(f"server {number} lost earlier writes: {names}")
    same_trees(ensemble, same_config=False)
    same_on_disk(ensemble)
    same_logs(ensemble)
    now = {number: _epochs(member) for number, member in members.items()}
    for number, member in members.items():
        if gauge(member, "digest_mismatches_count") != "0":
            raise Wrong(f"server {number} has another digest")
        if member.kind == "zkpy" and "Traceback" in member.log():
            raise Wrong(f"server {number} has logged a traceback")
        (accepted, current), (accepted_before, current_before) = now[number], epochs[number]
        if accepted < accepted_before or current < current_before or current > accepted:
            raise Wrong(f"server {number}: epochs {epochs[number]} became {now[number]}")
    if len(set(now.values())) != 1:
        raise Wrong(f"epochs (accepted, current) at the end: {now}")


def _epochs(member: ServerProcess) -> tuple[int, int]:
    """(accepted, current) as they are on disk."""
    folder = member.data / "version-2"
    accepted, current = (int((folder / name).read_text()) for name in ("acceptedEpoch", "currentEpoch"))
    return accepted, current
