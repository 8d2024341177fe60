"""exists, getACL, getAllChildrenNumber, getEphemerals, sync and ping."""

from __future__ import annotations

from compat.scripts.registry import NO_AUTH, NO_NODE, NO_WATCHER, digest_id, fresh, in_group, main
from compat.wire import (
    CHECK_WATCHES,
    EXISTS,
    GET_ALL_CHILDREN_NUMBER,
    GET_EPHEMERALS,
    PING,
    SET_DATA,
    SYNC,
    Path,
    Script,
    i32,
    read_body,
    text,
)


@main
def exists_leaves_a_watch_on_a_missing_znode_only_when_readable(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.exists(s / "no", 1, err=NO_NODE)
    a.call(CHECK_WATCHES, text(s / "no") + i32(2), err=0)
    a.create(s / "hidden", acl=[(30, "world", "anyone")])
    b.exists(s / "hidden", 1, err=NO_AUTH)
    b.get(s / "hidden", 1, err=NO_AUTH)
    b.children(s / "hidden", 1, err=NO_AUTH)
    b.call(CHECK_WATCHES, text(s / "hidden") + i32(3), err=NO_WATCHER)
    b.get(s / "no", 1, err=NO_NODE)
    b.call(CHECK_WATCHES, text(s / "no") + i32(3), err=NO_WATCHER)


@main
def the_watch_flag_is_any_non_zero_byte(s: Script) -> None:
    a = s.session()
    a.get(s.root, 2)
    a.call(CHECK_WATCHES, text(s.root) + i32(2))
    a.exists(s / "x", 255)
    a.call(CHECK_WATCHES, text(s / "x") + i32(2))


@main
def get_acl_masks_digests_without_admin(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.auth("digest", "u:p", err=0)
    a.create(s / "m", acl=[(31, "digest", digest_id("u:p")), (1, "world", "anyone"), (31, "digest", "x:y")])
    a.get_acl(s / "m", err=0)
    b.get_acl(s / "m", err=0)
    a.create(s / "n", acl=[(16, "world", "anyone"), (31, "digest", ":b")])
    b.get_acl(s / "n", err=0)
    a.create(s / "o", acl=[(14, "world", "anyone"), (1, "digest", digest_id("u:p"))])
    b.get_acl(s / "o", err=NO_AUTH)
    a.get_acl(s / "o", err=0)
    b.auth("digest", "super:secret", err=0)
    b.get_acl(s / "o", err=0)
    b.get_acl(s / "m", err=0)


@main
@fresh
def get_all_children_number_counts_descendants(s: Script) -> None:
    a = s.session()
    for name in ("a", "a/b", "a/b/c", "a2", "a/b/d"):
        a.create(s / name)
    a.set_acl(s / "a/b", [(30, "world", "anyone")])
    for path in (s.root, s / "a", s / "a2", s / "a/b", s / "a/b/c", s / "no", "/zookeeper", s.root + "/"):
        a.call(GET_ALL_CHILDREN_NUMBER, text(path))


@in_group("plain")
@fresh
def get_all_children_number_of_the_root_counts_the_built_in_znodes(s: Script) -> None:
    a = s.session()
    a.call(GET_ALL_CHILDREN_NUMBER, text("/zookeeper"))
    for path in ("/", ""):
        body = a.call(GET_ALL_CHILDREN_NUMBER, text(path)).body
        assert isinstance(body, int)
    a.call(GET_ALL_CHILDREN_NUMBER, text(None))


@main
def get_ephemerals_uses_a_text_prefix(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.create(s / "d")
    for name in ("e1", "e2", "d/e3", "x"):
        a.create(s / name, flags=1)
    b.create(s / "other", flags=1)
    prefixes: list[Path] = [None, "", " ", "/", " / ", "\t", "\x00", "\u00a0", s.root, s / "e", s / "e1"]
    prefixes += [s / "e1/", s / "d", s / "d/", s / "no", "e", " " + s.root, s.root + " ", "\x1f/", "/ ", "//"]
    for prefix in prefixes:
        a.call(GET_EPHEMERALS, text(prefix))
    b.call(GET_EPHEMERALS, text(s.root))
    s.base.call(GET_EPHEMERALS, text(s.root))


@main
def sync_echoes_any_text(s: Script) -> None:
    a = s.session()
    for path in (
        None,
        "",
        "x",
        "/\x00",
        b"/\xff\xfe",
        "/\U0001f600",
        b"\xed\xa0\x80",
        "/\ue000",
        b"\xf0\x9f\x98",
    ):
        a.call(SYNC, text(path))


@main
def ping_replies_have_xid_minus_2(s: Script) -> None:
    a = s.session()
    for xid in (-2, 0, 5, -1, -4):
        a.call(PING, xid=xid)


@main
def xids_are_echoed_whatever_they_are(s: Script) -> None:
    a = s.session()
    for xid in (0, -1, -2, -4, -8, 7, 7, 2147483647, -2147483648):
        a.call(EXISTS, read_body(s.root), xid=xid)
        a.call(SET_DATA, text(s.root) + text(b"x") + i32(-1), xid=xid)
