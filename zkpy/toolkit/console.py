"""What every data tool does with its terminal: lines out, errors and progress to stderr, one exit status."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from zkpy.errors import ConfigError, CorruptLogError, DataDirError, StorageError

EXIT_OK: Final = 0
EXIT_FOUND: Final = 1
"""Damage, or a difference, was found."""
EXIT_USAGE: Final = 2
"""The command line, or what it names, cannot be used."""
EXIT_PIPE: Final = 141
"""Whoever read the output went away; what a shell shows for a program that SIGPIPE ended."""

_FIRST_S: Final = 1.0
_EVERY_S: Final = 0.25


class ToolError(Exception):
    """What was asked for cannot be done: says what, why and what to do instead (exit status 2)."""


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def out(text: str) -> None:
    """A line of output."""
    if sys.stdout is None:
        raise ToolError("there is no stdout to write to")
    sys.stdout.write(text + "\n")


def flush() -> None:
    """Hand on what was put out so far."""
    if sys.stdout is not None:
        sys.stdout.flush()


def guarded(name: str, work: Callable[[], int]) -> int:
    """Run *work* of command *name*; gives the exit status, with every expected error as one line."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        status = work()
        flush()
    except BrokenPipeError:
        # Nobody reads any more: the interpreter must not find anything left to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        return 130
    except (ToolError, DataDirError, ConfigError, StorageError) as error:
        return _failed(name, str(error), EXIT_USAGE)
    except CorruptLogError as error:
        return _failed(name, str(error), EXIT_FOUND)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(name, f"{where}{error.strerror or error}", EXIT_USAGE)
    return status


def _failed(name: str, text: str, status: int) -> int:
    try:
        flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    say(f"zkpy {name}: {text}")
    return status


class Progress:
    """How far long work has come, on stderr if that is a terminal that shows nothing else meanwhile.

    *total* is in bytes, 0 when it is not known.
    """

    __slots__ = ("_next", "_shown", "_total", "_what")

    def __init__(self, what: str, total: int = 0, *, quiet: bool = False) -> None:
        self._what = what
        self._total = total
        self._shown = False
        on = sys.stderr is not None and sys.stderr.isatty() and not quiet
        self._next = time.monotonic() + _FIRST_S if on else float("inf")

    def at(self, done: int) -> None:
        """*done* bytes were worked through."""
        if self._next == float("inf"):
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._shown = True
        part = (
            f"{100 * done // self._total} % of {size_text(self._total)}" if self._total else size_text(done)
        )
        print(f"\r\x1b[K{self._what}: {part}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away again."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def printing() -> bool:
    """Whether stdout is a terminal, where progress would get between the lines."""
    return sys.stdout is not None and sys.stdout.isatty()


def size_text(size: int) -> str:
    """A number of bytes for reading."""
    if size < 10_000:
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.1f} kB"
