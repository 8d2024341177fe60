"""The floors of the package, read from the syntax trees: who may import whom, who may reach the world.

A module imports from lower floors, from its own room, and from the rooms named for it here. Only a few
modules, named below, open sockets or files, read clocks or start threads; everything else is given what it
needs through ``zkpy.ports``. Sizes are held by a ratchet: what is listed may shrink, nothing else may grow
over the limit.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "zkpy"

FLOORS = {
    "zkpy": 0,
    "zkpy.errors": 0,
    "zkpy.opcodes": 0,
    "zkpy.zxid": 0,
    "zkpy.paths": 0,
    "zkpy.javaorder": 0,
    "zkpy.ports": 0,
    "zkpy.jute": 1,
    "zkpy.config": 1,
    "zkpy.tree": 2,
    "zkpy.pipeline.sessions": 2,
    "zkpy.pipeline.throttle": 2,
    "zkpy.pipeline.decode": 2,
    "zkpy.pipeline.outstanding": 2,
    "zkpy.pipeline.request": 2,
    "zkpy.pipeline.options": 2,
    "zkpy.pipeline.prep": 2,
    "zkpy.pipeline.stats": 2,
    "zkpy.quorum.acks": 2,
    "zkpy.quorum.epochs": 2,
    "zkpy.quorum.learnersync": 2,
    "zkpy.quorum.notification": 2,
    "zkpy.quorum.packets": 2,
    "zkpy.quorum.quorumconfig": 2,
    "zkpy.quorum.reconfig": 2,
    "zkpy.quorum.syncplan": 2,
    "zkpy.quorum.verifier": 2,
    "zkpy.quorum.votes": 2,
    "zkpy.persist": 3,
    "zkpy.auth": 3,
    "zkpy.pipeline": 4,
    "zkpy.server.cnxn": 4,
    "zkpy.server.handshake": 4,
    "zkpy.server.authentication": 4,
    "zkpy.server.channel": 4,
    "zkpy.server.service": 4,
    "zkpy.server.facts": 4,
    "zkpy.quorum": 5,
    "zkpy.server": 6,
    "zkpy.admin": 6,
    "zkpy.client": 6,
    "zkpy.realports": 6,
    "zkpy.realnetwork": 6,
    "zkpy.uring": 6,
    "zkpy.node": 7,
    "zkpy.member": 7,
    "zkpy.toolkit": 7,
    "zkpy.cli": 7,
    "zkpy.compare": 7,
    "zkpy.ensemble": 7,
    "zkpy.__main__": 7,
    "zkpy.testing": 8,
    "zkpy.sim": 8,
}
"""The longest name that fits decides."""

SIBLINGS = {
    ("zkpy.paths", "zkpy.errors"),
    ("zkpy.pipeline", "zkpy.tree"),
    ("zkpy.realports", "zkpy.uring"),
    ("zkpy.server", "zkpy.pipeline"),
    ("zkpy.cli", "zkpy.node"),
    ("zkpy.node", "zkpy.member"),
    ("zkpy.cli", "zkpy.toolkit"),
    ("zkpy.cli", "zkpy.compare"),
    ("zkpy.cli", "zkpy.ensemble"),
    ("zkpy.__main__", "zkpy.cli"),
}
"""Rooms of the same floor that may be imported from: (who, from whom)."""

LATE = {
    ("zkpy.server.service", "zkpy.server.fourletter"): "words are loaded when the first one is asked",
}
"""Imports from a higher floor, made when they are needed."""

WORLD = {"socket", "ssl", "select", "selectors", "os", "io", "tempfile", "shutil", "pathlib", "mmap", "fcntl"}
WORLD |= {"time", "datetime", "random", "secrets", "threading", "subprocess", "multiprocessing", "asyncio"}
WORLD |= {"signal", "platform", "urllib", "http"}
PURE_TOO = {"logging", "trio"}
"""Not on floors 0 to 2."""

REACHES = {
    "zkpy.persist.snappy": {"io"},  # bytes in memory
    "zkpy.server.transport": {"socket", "select", "os"},
    "zkpy.server.facts": {"os", "platform", "time", "pathlib", "socket", "subprocess", "tempfile"},
    "zkpy.server.fourletter": {"time", "os", "platform"},
    "zkpy.realports": WORLD,
    "zkpy.realnetwork": {"socket"},
    "zkpy.uring": WORLD,
    "zkpy.node": {"socket", "os", "pathlib"},
}
"""What of the world a module below floor 7 may import."""

TRIO = {
    "Event",
    "Nursery",
    "CancelScope",
    "open_nursery",
    "sleep",
    "sleep_until",
    "sleep_forever",
    "current_time",
}
TRIO |= {
    "move_on_after",
    "move_on_at",
    "fail_after",
    "Cancelled",
    "lowlevel",
    "Condition",
    "Lock",
    "Semaphore",
}
TRIO |= {"MemorySendChannel", "MemoryReceiveChannel", "open_memory_channel", "WouldBlock", "EndOfChannel"}
TRIO |= {"TASK_STATUS_IGNORED", "TaskStatus", "BrokenResourceError", "ClosedResourceError"}
"""What floors 3 to 5 may use of trio: nothing that reaches the world."""

MODULE_LINES = 500
FUNCTION_LINES = 60
GENERATED = "Written by tools/"
LONG_MODULES = {"zkpy.server.cnxn": 680}
LONG_FUNCTIONS: dict[str, int] = {
    "zkpy.server.cnxn.ClientCnxn._process": 140,
    "zkpy.node.running": 80,
    "zkpy.persist.snapshot._read_nodes": 64,
    "zkpy.pipeline.zookeeperserver.ZooKeeperServer.__init__": 68,
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def floor(module: str) -> int:
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS[module]


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import that is made at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "imports are absolute"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield node.lineno, below if below in MODULES else node.module
        else:
            yield from imports(node)


def allowed(importer: str, imported: str) -> bool:
    mine, other = floor(importer), floor(imported)
    if (importer, imported) in LATE or other < mine:
        return True
    return other == mine and (
        room(importer) == room(imported) or (room(importer), room(imported)) in SIBLINGS
    )


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_from_lower_floors_and_named_rooms_only(module: str) -> None:
    path = MODULES[module]
    wrong = []
    for line, imported in imports(ast.parse(path.read_text())):
        if imported.startswith("zkpy") and not allowed(module, imported):
            floors = f"floor {floor(module)} imports floor {floor(imported)}"
            wrong.append(f"{path}:{line}: {module} imports {imported}: {floors}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", [module for module in MODULES if floor(module) < 7])
def test_only_named_modules_reach_the_world(module: str) -> None:
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    banned = WORLD - REACHES.get(module, set())
    if floor(module) <= 2:
        banned |= PURE_TOO
    wrong = [
        f"{path}:{line}: {module} imports {imported}"
        for line, imported in imports(tree)
        if imported.partition(".")[0] in banned
    ]
    for node in ast.walk(tree):
        if module == "zkpy.realports":
            break
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        ):
            wrong.append(f"{path}:{node.lineno}: {module} calls {node.func.id}()")
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "trio"
            and floor(module) <= 5
            and node.attr not in TRIO
        ):
            wrong.append(f"{path}:{node.lineno}: {module} uses trio.{node.attr}")
    assert not wrong, "\n".join(wrong)


def test_the_tables_name_what_exists() -> None:
    future = {"zkpy.admin", "zkpy.client", "zkpy.sim"}
    named = {*FLOORS, *REACHES, *LONG_MODULES, *(name for pair in LATE for name in pair)} - future
    assert named <= set(MODULES), named - set(MODULES)


def functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{prefix}.{node.name}", node.lineno, node.end_lineno - node.lineno + 1
            yield from functions(node, f"{prefix}.{node.name}")


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_small(module: str) -> None:
    path = MODULES[module]
    text = path.read_text()
    if GENERATED in text.partition("\n")[0]:
        return
    lines = text.count("\n")
    limit = LONG_MODULES.get(module, MODULE_LINES)
    assert lines <= limit, f"{path} has {lines} lines, {limit} are allowed: split it along a seam"
    for name, line, length in functions(ast.parse(text), module):
        limit = LONG_FUNCTIONS.get(name, FUNCTION_LINES)
        assert length <= limit, f"{path}:{line}: {name} has {length} lines, {limit} are allowed"
