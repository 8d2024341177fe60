"""Writes zkpy/jute/records.py from the tables of zkpy/jute/schema.py.

    python -m tools.generate_records            write the file
    python -m tools.generate_records --check    write nothing; exit status 1 if the file is out of date

The classes are plain and slotted. Adjacent fields of fixed size are packed and unpacked by one precompiled
``Struct``, together with the length of the buffer, string or path that follows them.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from zkpy.jute.schema import RECORDS, SCHEMA, SECRETS, Field

OUTPUT: Final = Path(__file__).resolve().parent.parent / "zkpy" / "jute" / "records.py"
WIDTH: Final = 110
STEP: Final = "    "

CODES: Final = {"int": "i", "long": "q", "boolean": "?"}
SIZES: Final = {"i": 4, "q": 8, "?": 1}
PYTHON: Final = {
    "int": "int",
    "long": "int",
    "boolean": "bool",
    "boolean?": "bool | None",
    "buffer": "bytes | None",
    "ustring": "str | None",
    "path": "bytes | None",
    "acls": "Acls | None",
    "vector<path>": "list[bytes | None] | None",
}
SIZED: Final = {
    "buffer": "data[pos:end]",
    "ustring": "decode_text(data[pos:end])",
    "path": "data[pos:end]",
}
TAKEN: Final = frozenset({"cls", "count", "data", "end", "item", "pos", "size"})

HEAD: Final = '''\
# Written by tools/generate_records.py from zkpy/jute/schema.py: change those, not this file.
# ruff: noqa: PLW1641
"""ZooKeeper's records, as jute names them.

``encode`` gives a record's bytes. ``decode`` reads one at a position and returns it with the position after
it; bytes behind it are not looked at. Both raise `MarshallingError` for what does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Final, Protocol, Self

from zkpy.errors import MarshallingError
from zkpy.jute.archive import (
    NULL,
    Acls,
    acls,
    bad_length,
    clean_path,
    decode_text,
    encode_text,
    pack_int,
    read_acls,
    read_count,
    read_paths,
    vector,
)

'''

HELPER: Final = '''\
class _Encodable(Protocol):
    def encode(self) -> bytes: ...


def _records(items: Sequence[_Encodable] | None) -> bytes:
    """Encode a nullable vector of records."""
    if items is None:
        return NULL
    return pack_int(len(items)) + b"".join([item.encode() for item in items])
'''

ENCODE_FAILURE: Final = """\
except struct_error as error:
    raise MarshallingError(f"{0}: {{error}}") from None"""

DECODE_FAILURE: Final = """\
except struct_error:
    raise MarshallingError("{0} is cut short") from None"""


def snake(name: str) -> str:
    """A jute field name in snake_case: ``parentCVersion`` is ``parent_cversion``."""
    return re.sub(r"([a-z0-9])([A-Z]+)", r"\1_\2", name).lower()


def local(name: str) -> str:
    """The local variable for a field, kept apart from those that decoding uses itself."""
    name = snake(name)
    return f"{name}_" if name in TAKEN else name


def element(kind: str) -> str:
    """The record that a vector of records holds, or an empty string for another type."""
    return kind[7:-1] if kind.startswith("vector<") and kind not in PYTHON else ""


def python_type(kind: str) -> str:
    """The annotation of a field."""
    inner = element(kind)
    return f"list[{inner}] | None" if inner else PYTHON.get(kind, kind)


def least(kind: str) -> int:
    """The smallest encoding of a field or record, in bytes."""
    if kind in CODES:
        return SIZES[CODES[kind]]
    if kind == "boolean?":
        return 0
    if kind in PYTHON or element(kind):
        return 4
    return sum(least(field.type) for field in RECORDS[kind])


def exploded(room: int, head: str, items: Sequence[str], tail: str) -> Iterator[str]:
    """``head + items + tail`` on one line if that fits into *room* columns, else an item per line."""
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= room:
        yield line
        return
    yield head
    yield from (f"{STEP}{item}," for item in items)
    yield tail


def indented(depth: int, lines: Iterable[str]) -> Iterator[str]:
    """*lines*, *depth* steps to the right."""
    return (STEP * depth + line if line else line for line in lines)


class Run:
    """Adjacent fixed-size fields, and the length of the field behind them if it has one."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.sized: Field | None = None

    @property
    def codes(self) -> str:
        return "".join(CODES[field.type] for field in self.fields) + ("i" if self.sized else "")

    @property
    def size(self) -> int:
        return sum(SIZES[code] for code in self.codes)

    @property
    def suffix(self) -> str:
        return self.codes.replace("?", "b")

    def targets(self) -> list[str]:
        return [local(field.name) for field in self.fields] + (["size"] if self.sized else [])

    def pack(self) -> tuple[str, list[str]]:
        values = [f"self.{snake(field.name)}" for field in self.fields]
        if self.sized:
            name = local(self.sized.name)
            values.append(f"-1 if {name} is None else len({name})")
        return f"_pack_{self.suffix}(", values


def steps(fields: Sequence[Field]) -> list[Run | Field]:
    """A record as runs and, between them, the fields that are coded by themselves."""
    out: list[Run | Field] = []
    run = Run()
    for field in fields:
        if field.type in CODES:
            run.fields.append(field)
            continue
        if field.type in SIZED:
            run.sized = field
        if run.codes:
            out.append(run)
            run = Run()
        if field.type not in SIZED:
            out.append(field)
    return [*out, run] if run.codes else out


def docstring(module: str, text: str) -> Iterator[str]:
    """The class's docstring: its jute module and fields."""
    quotes = '"""'
    line = f"{quotes}{module}: {text}.{quotes}"
    if len(line) <= WIDTH - 4:
        yield line
        return
    yield from textwrap.wrap(f"{module}: {text}.", WIDTH - 4, initial_indent=quotes)
    yield quotes


def init(fields: Sequence[Field]) -> Iterator[str]:
    """``__init__``."""
    params = [f"{snake(field.name)}: {python_type(field.type)}" for field in fields]
    yield from exploded(WIDTH - 4, "def __init__(", ["self", *params], ") -> None:")
    for field in fields:
        yield f"{STEP}self.{snake(field.name)} = {snake(field.name)}"


def equality(name: str, fields: Sequence[Field]) -> Iterator[str]:
    """``__eq__``."""
    tests = [f"self.{snake(field.name)} == other.{snake(field.name)}" for field in fields]
    yield "def __eq__(self, other: object) -> bool:"
    yield f"{STEP}if not isinstance(other, {name}):"
    yield f"{STEP * 2}return NotImplemented"
    line = f"return {' and '.join(tests)}"
    if len(line) <= WIDTH - 8:
        yield STEP + line
        return
    yield f"{STEP}return ("
    yield f"{STEP * 2}{tests[0]}"
    yield from (f"{STEP * 2}and {test}" for test in tests[1:])
    yield f"{STEP})"


def representation(name: str, fields: Sequence[Field]) -> Iterator[str]:
    """``__repr__``, which leaves out secrets."""
    pieces = [
        f"{snake(field.name)}={'...' if field.name in SECRETS else f'{{self.{snake(field.name)}!r}}'}, "
        for field in fields
    ]
    pieces[0] = f"{name}({pieces[0]}"
    pieces[-1] = pieces[-1].removesuffix(", ") + ")"
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH - 15:
            lines.append("")
        lines[-1] += piece
    literals = [f'f"{line}"' if "{" in line else f'"{line}"' for line in lines]
    yield "def __repr__(self) -> str:"
    if len(literals) == 1 and len(literals[0]) <= WIDTH - 15:
        yield f"{STEP}return {literals[0]}"
        return
    yield f"{STEP}return ("
    yield from indented(2, literals)
    yield f"{STEP})"


def guarded(lines: Sequence[str], guard: bool, failure: str) -> Iterator[str]:
    """A method's body; if *guard*, struct's errors become `MarshallingError`."""
    if not guard:
        yield from indented(1, lines)
        return
    yield f"{STEP}try:"
    yield from indented(2, lines)
    yield from indented(1, failure.splitlines())


def encode_field(field: Field) -> str:
    """The bytes of a field that is no part of a run."""
    value = f"self.{snake(field.name)}"
    if field.type == "boolean?":
        return f'b"" if {value} is None else b"\\x01" if {value} else b"\\0"'
    if field.type == "acls":
        return f"acls({value})"
    if field.type == "vector<path>":
        return f"vector({value})"
    if element(field.type):
        return f"_records({value})"
    return f"{value}.encode()"


def encode(name: str, fields: Sequence[Field]) -> Iterator[str]:
    """``encode``: one bytes object, or the join of several."""
    guard = any(field.type in ("int", "long") for field in fields)
    room = WIDTH - (12 if guard else 8)
    body: list[str] = []
    parts: list[tuple[str, list[str], str]] = []
    for step in steps(fields):
        if isinstance(step, Field):
            parts.append((encode_field(step), [], ""))
            continue
        parts.append((*step.pack(), ")"))
        if step.sized:
            target, value = local(step.sized.name), f"self.{snake(step.sized.name)}"
            raw = (
                value
                if step.sized.type != "ustring"
                else f"None if {value} is None else encode_text({value})"
            )
            body.append(f"{target} = {raw}")
            parts.append((f'{target} or b""', [], ""))
    yield "def encode(self) -> bytes:"
    yield from guarded([*body, *joined(parts, room)], guard, ENCODE_FAILURE.format(name))


def joined(parts: Sequence[tuple[str, list[str], str]], room: int) -> Iterator[str]:
    """The return statement of ``encode``, from its parts as ``exploded`` takes them."""
    whole = [f"{head}{', '.join(items)}{tail}" for head, items, tail in parts]
    if len(whole) == 1:
        head, items, tail = parts[0]
        yield from exploded(room, f"return {head}", items, tail)
        return
    if len(whole) == 2:
        line = f"return {whole[0]} + {f'({whole[1]})' if ' or ' in whole[1] else whole[1]}"
        if len(line) <= room:
            yield line
            return
    line = f'return b"".join(({", ".join(whole)}))'
    if len(line) <= room:
        yield line
        return
    yield 'return b"".join('
    yield f"{STEP}("
    for head, items, tail in parts:
        yield from indented(2, exploded(room - 8, head, items, f"{tail},"))
    yield f"{STEP})"
    yield ")"


def decode_run(run: Run) -> Iterator[str]:
    """Statements that read a run, and the buffer, string or path whose length ends it."""
    targets = run.targets()
    call = f"_unpack_{run.suffix}(data, pos)"
    if len(targets) == 1:
        yield f"({targets[0]},) = {call}"
    elif len(line := f"{', '.join(targets)} = {call}") <= WIDTH - 12:
        yield line
    else:
        yield "("
        yield from (f"{STEP}{target}," for target in targets)
        yield f") = {call}"
    yield f"pos += {run.size}"
    if run.sized:
        target = local(run.sized.name)
        yield f"{target}: {python_type(run.sized.type)} = None"
        yield "if size >= 0:"
        yield f"{STEP}end = pos + size"
        yield f"{STEP}if end > len(data):"
        yield f"{STEP * 2}raise bad_length(size)"
        yield f"{STEP}{target} = {SIZED[run.sized.type]}"
        if run.sized.type == "path":
            yield f"{STEP}if not {target}.isascii():"
            yield f"{STEP * 2}{target} = clean_path({target})"
        yield f"{STEP}pos = end"
        yield "elif size != -1:"
        yield f"{STEP}raise bad_length(size)"


def decode_field(field: Field) -> Iterator[str]:
    """Statements that read a field that is no part of a run."""
    target = local(field.name)
    if field.type == "boolean?":
        yield f"{target}: bool | None = None"
        yield "if pos < len(data):"
        yield f"{STEP}{target} = data[pos] != 0"
        yield f"{STEP}pos += 1"
    elif field.type == "acls":
        yield f"{target}, pos = read_acls(data, pos)"
    elif field.type == "vector<path>":
        yield f"{target}, pos = read_paths(data, pos)"
    elif inner := element(field.type):
        yield f"count, pos = read_count(data, pos, {least(inner)})"
        yield f"{target}: {python_type(field.type)} = None"
        yield "if count is not None:"
        yield f"{STEP}{target} = []"
        yield f"{STEP}for _ in range(count):"
        yield f"{STEP * 2}item, pos = {inner}.decode(data, pos)"
        yield f"{STEP * 2}{target}.append(item)"
    else:
        yield f"{target}, pos = {field.type}.decode(data, pos)"


def decode(name: str, fields: Sequence[Field]) -> Iterator[str]:
    """``decode``."""
    parts = steps(fields)
    runs = [step for step in parts if isinstance(step, Run)]
    guard = bool(runs)
    body: list[str] = []
    if len(parts) == len(runs) == 1 and not runs[0].sized:
        body.append(f"return cls(*_unpack_{runs[0].suffix}(data, pos)), pos + {runs[0].size}")
    else:
        for step in parts:
            body += decode_run(step) if isinstance(step, Run) else decode_field(step)
        targets = [local(field.name) for field in fields]
        body += exploded(WIDTH - (12 if guard else 8), "return cls(", targets, "), pos")
    yield "@classmethod"
    yield "def decode(cls, data: bytes, pos: int = 0) -> tuple[Self, int]:"
    yield from guarded(body, guard, DECODE_FAILURE.format(name))


def record(module: str, name: str, text: str, fields: Sequence[Field]) -> Iterator[str]:
    """One class."""
    if any(field.type == "boolean?" for field in fields[:-1]):
        raise ValueError(f"{name}: only the last field may be optional")
    slots = sorted(f'"{snake(field.name)}"' for field in fields)
    parts = (
        exploded(WIDTH - 4, "__slots__ = (", slots, ",)" if len(slots) == 1 else ")"),
        init(fields),
        equality(name, fields),
        representation(name, fields),
        encode(name, fields),
        decode(name, fields),
    )
    yield f"class {name}:"
    yield from indented(1, docstring(module, text))
    for part in parts:
        yield ""
        yield from indented(1, part)


def structs(text: str) -> Iterator[str]:
    """The bound methods of all structs that *text* uses."""
    for name in sorted(set(re.findall(r"_(?:un)?pack_([iqb]+)\(", text))):
        layout = name.replace("b", "?")
        for method, way in (("pack", "pack"), ("unpack", "unpack_from")):
            if f"_{method}_{name}(" in text:
                yield f'_{method}_{name}: Final = Struct(">{layout}").{way}'


def generate() -> str:
    """The text of records.py."""
    classes = "\n\n\n".join(
        "\n".join(record(module, name, text, RECORDS[name]))
        for module, records in SCHEMA.items()
        for name, text in records.items()
    )
    bound = "\n".join(structs(classes))
    return f"{HEAD}{bound}\n\n\n{HELPER}\n\n{classes}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the file; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write zkpy/jute/records.py from zkpy/jute/schema.py.")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if the file is out of date")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write or check")
    options = parser.parse_args(argv)
    output: Path = options.output
    text = generate()
    if not options.check:
        output.write_text(text, encoding="utf-8")
        return 0
    if output.is_file() and output.read_text(encoding="utf-8") == text:
        return 0
    print(f"{output} is out of date: run python -m tools.generate_records", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
