"""What a change does to a Stat; delete, setData and setACL with the order of their checks."""

from __future__ import annotations

from compat.scripts.registry import BAD_ARGUMENTS, BAD_VERSION, INVALID_ACL, NO_AUTH, NO_NODE, NOT_EMPTY, main
from compat.wire import CREATE_CONTAINER, CREATE_TTL, OPEN, READ_ONLY, Script


@main
def stat_effects_of_each_change(s: Script) -> None:
    a = s.session()
    a.create(s / "p", b"1")
    a.exists(s.root)
    a.create(s / "p/c1")
    a.exists(s / "p")
    a.create(s / "p/c2")
    a.delete(s / "p/c1")
    a.exists(s / "p")
    a.set(s / "p", b"22")
    a.set_acl(s / "p", [(31, "world", "anyone"), (1, "ip", "127.0.0.1")])
    a.exists(s / "p")
    a.set(s / "p/c2", b"3")
    a.set_acl(s / "p/c2", READ_ONLY)
    a.exists(s / "p")
    a.delete(s / "p/c2")
    a.exists(s / "p")
    a.create(s / "p/e", flags=1)
    a.create(s / "p/k", flags=4, op=CREATE_CONTAINER)
    a.create(s / "p/t", flags=5, op=CREATE_TTL, ttl=100000)
    a.children(s / "p")
    for name in ("e", "k", "t"):
        a.exists(f"{s / 'p'}/{name}")


@main
def delete_checks_in_this_order(s: Script) -> None:
    a = s.session()
    a.create(s / "p")
    a.create(s / "p/c")
    a.delete(s / "no/x", err=NO_NODE)
    a.delete(s / "no", 3, err=NO_NODE)
    a.delete(s / "p", 3, err=BAD_VERSION)
    a.delete(s / "p", -2, err=BAD_VERSION)
    a.delete(s / "p", 0, err=NOT_EMPTY)
    a.set_acl(s / "p", READ_ONLY)
    a.delete(s / "p/none", err=NO_AUTH)
    a.delete(s / "p/c", 9, err=NO_AUTH)
    for path in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
        a.delete(path, err=BAD_ARGUMENTS)
    a.delete(s / "p/")
    a.delete(s.root + "//p")


@main
def set_data_checks_in_this_order(s: Script) -> None:
    a = s.session()
    a.create(s / "d", b"0")
    a.set(s / "no", b"", 5, err=NO_NODE)
    a.set(s / "d", b"1", 1, err=BAD_VERSION)
    a.set(s / "d", b"1", -2, err=BAD_VERSION)
    a.set(s / "d", b"1", 0, err=0)
    a.set(s / "d", b"22", 1, err=0)
    a.set(s / "d", None, -1, err=0)
    a.get(s / "d")
    a.set_acl(s / "d", READ_ONLY)
    a.set(s / "d", b"", 77, err=NO_AUTH)
    a.set("/zookeeper/config", b"", err=NO_AUTH)


@main
def set_acl_checks_in_this_order(s: Script) -> None:
    a = s.session()
    a.create(s / "d")
    a.set(s / "d", b"")
    a.set_acl(s / "no", [], err=INVALID_ACL)
    a.set_acl("no", [], err=BAD_ARGUMENTS)
    a.set_acl(s / "no", OPEN, 8, err=NO_NODE)
    a.set_acl(s / "d", OPEN, 1, err=BAD_VERSION)
    a.set_acl(s / "d", OPEN, 0, err=0)
    a.set_acl(s / "d", [(1, "world", "anyone")], 1, err=0)
    a.set_acl(s / "d", OPEN, 99, err=NO_AUTH)
    a.set_acl(s / "d", None, err=INVALID_ACL)
    a.get_acl(s / "d")


@main
def set_acl_fires_no_watch_and_leaves_mzxid_alone(s: Script) -> None:
    a = s.session()
    a.create(s / "d")
    a.get(s / "d", 1)
    a.children(s / "d", 1)
    a.add_watch(s / "d", 0)
    a.set_acl(s / "d", READ_ONLY)
    a.exists(s / "d")


@main
def pipelined_writes_see_a_pending_set_acl(s: Script) -> None:
    a = s.session()
    a.create(s / "d")
    a.set_acl(s / "d", READ_ONLY, err=0)
    a.set(s / "d", b"", err=NO_AUTH)
