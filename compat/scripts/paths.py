"""Which paths each operation takes, and the difference between null and empty data."""

from __future__ import annotations

from compat.scripts.registry import fresh, main
from compat.wire import (
    CHECK,
    CHECK_WATCHES,
    GET_ALL_CHILDREN_NUMBER,
    GET_CHILDREN,
    GET_EPHEMERALS,
    OPEN,
    SYNC,
    Path,
    Script,
    i32,
    read_body,
    text,
)

ODD_PATHS: list[Path] = [
    "",
    "/",
    "//",
    "x",
    "a/b",
    "{}/",
    "{}//x",
    "{}/x/",
    "{}/.",
    "{}/..",
    "{}/./x",
    "{}/../x",
    "{}/...",
    "{}/.x",
    "{}/a..",
    "{}/a b",
    "{}/\x00",
    "{}/a\x01",
    "{}/a\x1f",
    "{}/a\x7f",
    "{}/a\x80",
    "{}/a\x9f",
    "{}/a\xa0",
    "{}/\u00e9",
    "{}/\ud7ff",
    "{}/\ue000",
    "{}/\uf8ff",
    "{}/\uf900",
    "{}/\uffef",
    "{}/\ufff0",
    "{}/\ufffd",
    "{}/\U0001f600",
    "{}/\u2028",
    "{}/~",
    "no/{}",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
]
ODD_BYTES = [b"/\xff\xfe", b"/\xed\xa0\x80", b"/\xc0\x80", b"/\xf0\x9f", b"/\xe2\x28\xa1"]


def odd_paths(s: Script) -> list[Path]:
    paths: list[Path] = [p.replace("{}", s.root) for p in ODD_PATHS if isinstance(p, str)]
    paths += [s.root.encode() + raw for raw in ODD_BYTES]
    return paths


@main
def creates_validate_paths(s: Script) -> None:
    a = s.session()
    for path in odd_paths(s):
        a.create(path, b"x")
    a.children(s.root)


@main
def sequential_creates_validate_the_final_path(s: Script) -> None:
    a = s.session()
    for path in odd_paths(s):
        if path not in ("/", "", "//", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
            a.create(path, b"x", flags=2)
    a.children(s.root)


@main
def deletes_validate_lightly(s: Script) -> None:
    a = s.session()
    for path in odd_paths(s):
        a.delete(path)


@main
def set_data_set_acl_and_check_validate_fully(s: Script) -> None:
    a = s.session()
    for path in odd_paths(s):
        if path not in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
            a.set(path, b"x")
            a.set_acl(path, OPEN)
        a.multi((CHECK, text(path) + i32(-1)))


@main
@fresh
def reads_do_not_validate_paths(s: Script) -> None:
    a = s.session()
    for path in [*odd_paths(s), None]:
        if path in ("", "/"):
            continue
        a.exists(path, 1)
        a.get(path, 1)
        a.call(GET_CHILDREN, read_body(path, 1))
        a.children(path, 1)
        a.get_acl(path)
        a.call(GET_ALL_CHILDREN_NUMBER, text(path))
        a.call(SYNC, text(path))
        a.call(GET_EPHEMERALS, text(path))


@main
@fresh
def the_empty_path_reads_the_root_and_its_watches_never_fire(s: Script) -> None:
    a, b = s.session(), s.session("b")
    for path in ("", "/"):
        assert a.exists(path, 1).err == 0
        assert a.get(path, 1).err == 0
    assert a.call(GET_CHILDREN, read_body("", 1)).err == 0
    for kind in (1, 2, 3):
        a.call(CHECK_WATCHES, text("") + i32(kind))
        a.call(CHECK_WATCHES, text("/") + i32(kind))
    b.set("/", b"")
    a.ping()


@main
def long_components_are_accepted(s: Script) -> None:
    a = s.session()
    a.create(s / ("n" * 5000), err=0)
    a.create(s / ("n" * 5000) + "/c", err=0)
    a.children(s.root)


@main
def null_and_empty_data_differ(s: Script) -> None:
    a = s.session()
    a.create(s / "null", None)
    a.create(s / "empty", b"")
    a.get(s / "null")
    a.get(s / "empty")
    a.set(s / "null", b"")
    a.get(s / "null")
    a.set(s / "empty", None)
    a.get(s / "empty")
