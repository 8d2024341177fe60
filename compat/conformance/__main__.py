"""``python -m compat.conformance --run`` runs every suite on both servers and writes the document.

Without ``--run`` the document is made of the results that are there. No figure in it is written by hand.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from compat import results
from compat.conformance.document import render
from compat.conformance.found import read_all
from compat.conformance.suites import BY_NAME, ROOT, SUITES, run
from compat.results import MalformedResults

OUTPUT: Final = Path("docs/conformance.md")


def main(arguments: Sequence[str] | None = None) -> int:
    takes = "\n".join(f"  {suite.name:<12}{suite.takes}" for suite in SUITES)
    parser = argparse.ArgumentParser(
        prog="python -m compat.conformance",
        description="Write the conformance document, from the present results or from new ones.",
        epilog=f"What the suites take with --run, on both servers:\n{takes}\n\nExit status: 1 when a suite "
        "could not be run, 2 when results cannot be read; failed checks are in the document.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", action="store_true", help="run the suites first")
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), metavar="SUITE", help="run only these")
    default = Path(os.environ.get(results.VARIABLE, ROOT / results.FOLDER))
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        default=default,
        help=f"default: ${results.VARIABLE}, otherwise {results.FOLDER}",
    )
    parser.add_argument("--output", type=Path, default=ROOT / OUTPUT, help=f"default: {OUTPUT}")
    options = parser.parse_args(arguments)
    folder = options.results.resolve()
    problems: list[str] = []
    if options.run:
        for name in options.only or BY_NAME:
            problems += run(BY_NAME[name], folder)
    try:
        text = render(read_all(folder))
    except MalformedResults as error:
        print(error, file=sys.stderr)
        return 2
    options.output.write_text(text, "utf-8")
    print(f"written: {options.output}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
