"""Run cells of the grid: ``python -m compat.syncgrid [java-zkpy|zkpy-java] [--only WORD ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback

from compat.syncgrid.cell import Cell, all_cells, run
from compat.syncgrid.situations import Direction, Prepared


def chosen(direction: Direction | None, words: list[str]) -> list[Cell]:
    """The cells whose name has all the words."""
    return [cell for cell in all_cells(direction) if set(words) <= set(str(cell).split())]


def run_all(cells: list[Cell], times: int = 1) -> int:
    """Print a line for each; gives how many failed."""
    failed = 0
    for direction in Direction:
        mine = [cell for cell in cells if cell.direction is direction]
        if not mine:
            continue
        with Prepared(direction) as prepared:
            for cell in mine * times:
                started = time.monotonic()
                try:
                    run(prepared, cell)
                except Exception:
                    failed += 1
                    print(f"FAILED {cell} after {time.monotonic() - started:.1f} s", flush=True)
                    traceback.print_exc(file=sys.stdout)
                    print(prepared.ensemble.log(), flush=True)
                else:
                    print(f"ok {cell} {time.monotonic() - started:.1f} s", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.syncgrid", description=__doc__)
    parser.add_argument("direction", nargs="?", type=Direction, help="java-zkpy or zkpy-java (default: both)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="cells with this word in their name, such as TRUNC, NEWLEADER-ack or kill-leader",
    )
    parser.add_argument("--times", type=int, default=1, help="run each cell so often (default: 1)")
    options = parser.parse_args()
    cells = chosen(options.direction, options.only)
    if not cells:
        parser.error(f"no cell has all of {' '.join(options.only)}")
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # that connections break is what is done here
    started = time.monotonic()
    failed = run_all(cells, options.times)
    total = len(cells) * options.times
    print(f"{total - failed} of {total} cells passed in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
