"""Quotas: usage, hard and soft limits, odd texts."""

from __future__ import annotations

from compat.scripts.registry import BAD_VERSION, EXISTS_ALREADY, QUOTA, fresh, in_group, main
from compat.wire import CREATE, DELETE, Path, Script, Session, create_body, i32, text


def quota(a: Session, path: str, limits: Path, stats: Path = b"") -> str:
    """A quota on *path*; gives the place of its two znodes."""
    at = "/zookeeper/quota"
    for part in path.strip("/").split("/"):
        at += "/" + part
        a.create(at)
    a.create(at + "/zookeeper_limits", limits)
    a.create(at + "/zookeeper_stats", stats)
    return at


def end_quota(a: Session, at: str) -> None:
    a.delete(at + "/zookeeper_limits")
    a.delete(at + "/zookeeper_stats")
    a.delete(at)


@main
def quota_stats_follow_the_subtree_without_any_trace(s: Script) -> None:
    a, b = s.session(), s.session("b")
    a.create(s / "u", b"1234")
    a.create(s / "u/c", b"12")
    at = quota(a, s / "u", b"count=1000,bytes=100000")
    stats = at + "/zookeeper_stats"
    a.get(stats)
    b.get(stats, 1)
    b.add_watch(at, 1)
    a.create(s / "u/d", b"123")
    a.get(stats)
    a.set(s / "u/d", b"1")
    a.get(stats)
    a.set(s / "u", None)
    a.get(stats)
    a.delete(s / "u/d")
    a.get(stats)
    a.create(s / "u/e", b"e" * 10, flags=1)
    a.create(s / "u2", b"not counted")
    a.get(stats)
    a.multi((CREATE, create_body(s / "u/m", b"mm")), (DELETE, text(s / "u/c") + i32(-1)))
    a.get(stats)
    b.ping()
    a.set(stats, b"count=100,bytes=5")
    a.create(s / "u/f", b"1")
    a.get(stats)
    a.set(stats, b"bytes=5;x=7,,y=8")
    a.create(s / "u/g", b"1")
    a.get(stats)
    a.delete(stats)
    a.create(s / "u/h", b"1")
    a.create(stats, b"whatever")
    a.get(stats)
    a.delete(at + "/zookeeper_limits")
    a.create(s / "u/i", b"1")
    a.get(stats)
    a.create(at + "/zookeeper_limits", b"")
    a.create(s / "u/j", b"1")
    a.get(stats)
    end_quota(a, at)


@main
def only_the_deepest_quota_is_adjusted(s: Script) -> None:
    a = s.session()
    a.create(s / "o")
    a.create(s / "o/i")
    outer = quota(a, s / "o", b"count=-1,bytes=-1")
    inner = quota(a, s / "o/i", b"count=-1,bytes=-1")
    a.create(s / "o/i/x", b"1")
    a.create(s / "o/y", b"22")
    a.set(s / "o/i", b"333")
    a.get(outer + "/zookeeper_stats")
    a.get(inner + "/zookeeper_stats")
    end_quota(a, inner)
    a.create(s / "o/i/z", b"1")
    a.get(outer + "/zookeeper_stats")
    end_quota(a, outer)


@main
def a_quota_of_an_absent_subtree_counts_zero(s: Script) -> None:
    a = s.session()
    at = quota(a, s / "absent", b"count=1,bytes=1")
    a.get(at + "/zookeeper_stats")
    a.create(s / "absent", b"12")
    a.get(at + "/zookeeper_stats")
    a.delete(s / "absent")
    a.get(at + "/zookeeper_stats")
    end_quota(a, at)


@main
def session_close_lowers_the_quota_usage(s: Script) -> None:
    a, b = s.session(), s.session("b")
    b.create(s / "u")
    at = quota(b, s / "u", b"count=5")
    a.create(s / "u/e", b"123", flags=1)
    b.get(at + "/zookeeper_stats")
    a.close()
    b.get(at + "/zookeeper_stats")
    end_quota(b, at)


@in_group("quota")
def hard_quotas_are_enforced(s: Script) -> None:
    a = s.session()
    a.create(s / "u", b"1234")
    at = quota(a, s / "u", b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3")
    a.create(s / "u/a", b"123", err=0)
    a.create(s / "u/b", b"1234", err=QUOTA)
    a.create(s / "u/b", b"123", err=0)
    a.create(s / "u/c", b"", err=QUOTA)
    a.create(s / "u/a", b"1" * 99, err=EXISTS_ALREADY)
    a.set(s / "u/a", b"12345", 99, err=QUOTA)
    a.set(s / "u/a", b"12", 99, err=BAD_VERSION)
    a.set(s / "u/a", b"12", err=0)
    a.set(s / "u", b"123456", err=QUOTA)
    a.set(s / "u", b"12345", err=0)
    a.delete(s / "u/b", err=0)
    a.get(at + "/zookeeper_stats")
    a.multi(
        (CREATE, create_body(s / "u/m1")),
        (CREATE, create_body(s / "u/m2")),
        (CREATE, create_body(s / "u/m3")),
    )
    a.get(at + "/zookeeper_stats")
    a.create(s / "u/z", err=QUOTA)
    a.set(s / "u/m1", b"1" * 50, err=QUOTA)
    a.set(at + "/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=2;countHardLimit=3")
    a.set(s / "u/a", b"1", err=QUOTA)
    a.set(s / "u/a", b"22", err=0)
    a.delete(s / "u/m1", err=0)
    end_quota(a, at)


@in_group("quota")
def soft_quotas_are_not_enforced(s: Script) -> None:
    a = s.session()
    a.create(s / "u")
    at = quota(a, s / "u", b"count=1,bytes=1")
    a.create(s / "u/a", b"123", err=0)
    a.set(s / "u/a", b"12345", err=0)
    end_quota(a, at)


@in_group("quota")
def quota_limits_of_zero_and_odd_texts(s: Script) -> None:
    a = s.session()
    a.create(s / "u")
    at = quota(a, s / "u", b"countHardLimit=1")
    limits = at + "/zookeeper_limits"
    for text_ in (
        b"",
        b"count=0,bytes=0",
        b"countHardLimit=0",
        b"byteHardLimit=0",
        b"countHardLimit=",
        b"countHardLimit==",
        b"count=-1,bytes=-1=;countHardLimit=1",
        b"countHardLimit=1;countHardLimit=50",
        b"countHardLimit=+1",
        b",countHardLimit=1",
        b";;",
        b"countHardLimit=-5",
        b"countHardLimit=1,",
    ):
        a.set(limits, text_)
        a.create(s / "u/n", b"12")
        a.set(s / "u", b"33")
        a.set(s / "u", b"")
        a.delete(s / "u/n")
    a.get(at + "/zookeeper_stats")
    end_quota(a, at)


@in_group("quota")
def unreadable_quota_texts_refuse_the_write(s: Script) -> None:
    a = s.session()
    a.create(s / "u")
    at = quota(a, s / "u", b"countHardLimit=50")
    for text_ in (
        b"x",
        b"countHardLimit=x",
        b"=",
        b"countHardLimit=99999999999999999999",
        b"countHardLimit=1 ",
        b"a=b=c",
    ):
        a.set(at + "/zookeeper_limits", text_)
        a.create(s / "u/n", b"12")
        a.set(s / "u", b"33")
        a.set(s / "u", b"")
        a.multi((CREATE, create_body(s / "u/m", b"12")), err=None)
        a.set(at + "/zookeeper_limits", b"")
        a.delete(s / "u/n")
        a.delete(s / "u/m")
    a.set(at + "/zookeeper_limits", None)
    a.create(s / "u/n", b"12")
    a.delete(s / "u/n")
    a.delete(at + "/zookeeper_limits")
    a.create(s / "u/n", b"12")
    a.delete(s / "u/n")
    a.create(at + "/zookeeper_limits", b"countHardLimit=1")
    a.delete(at + "/zookeeper_stats")
    a.create(s / "u/n", b"12")
    a.delete(s / "u/n")
    a.delete(at + "/zookeeper_limits")


@main
@fresh
def nodes_below_zookeeper_are_ordinary(s: Script) -> None:
    a = s.session()
    a.create("/zookeeper/mine", b"x", err=0)
    a.exists("/zookeeper/mine")
    a.exists("/zookeeper/quota")
    a.set("/zookeeper/quota", b"q")
    a.get("/zookeeper/quota")
    a.create("/zookeeper/config/c")
    a.delete("/zookeeper/mine", err=0)
