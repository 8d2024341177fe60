"""Scripts from a seed: what many clients might ask, right and wrong, with names that meet often.

Left out are only the requests that a real server does not withstand, and those whose answer depends on the
moment they arrive.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from compat import wire
from compat.generated.player import ROOT
from compat.generated.steps import CREATES, Close, Expire, GeneratedScript, Op, Reap, Requests, Resume, Step
from compat.wire import OPEN, Path

PROFILES: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "main": ({}, {"zookeeper.extendedTypesEnabled": "true"}),
    "plain": ({"reconfigEnabled": "true"}, {}),
    "quota": ({}, {"zookeeper.extendedTypesEnabled": "true", "zookeeper.enforceQuota": "true"}),
    "enforced": (
        {},
        {
            "zookeeper.extendedTypesEnabled": "true",
            "zookeeper.enforce.auth.enabled": "true",
            "zookeeper.enforce.auth.schemes": "digest",
        },
    ),
    "no_acl": ({"skipACL": "yes"}, {"zookeeper.extendedTypesEnabled": "true"}),
    "reaping": ({}, {"zookeeper.extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "100"}),
}
"""Settings of the servers that a script is for: zoo.cfg and system properties."""

COMMON: Final[tuple[dict[str, str], dict[str, str]]] = (
    {"tickTime": "20", "maxSessionTimeout": "60000"},
    {
        "zookeeper.DigestAuthenticationProvider.superDigest": "super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
        "znode.container.checkIntervalMs": "86400000",
    },
)
_WEIGHTS: Final = {"main": 10, "plain": 2, "quota": 3, "enforced": 2, "no_acl": 1, "reaping": 2}

SESSIONS: Final = ("a", "b", "c")
_NAMES: Final = ("a", "b", "e", "s-", "k")
_ODD_PATHS: Final[tuple[Path, ...]] = (
    None, "", "/", "//", "t", "/t/", "/t//a", "/t/./a", "/t/..", "/t/a\0", "/t/a\x01", "/t/\x7f", "/t/\x9f",
    "/t/\ue000", "/t/\U0001f600", "/t/\ufff0", "/t/a b", "/t/\u00e9", "/t/...", "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config", "/zookeeper/x", "/zookeeper/quota/x", "/x", "/x/y", b"/t/\xff", b"/t/\xed\xa0\x80",
)  # fmt: skip
_DATA: Final[tuple[Path, ...]] = (None, b"", b"x", b"data", b"0123456789" * 5, bytes(range(256)), b"z" * 3000)
_USERS: Final = ("u:p", "v:q")


def _digest_id(credentials: str) -> str:
    hashed = base64.b64encode(hashlib.sha1(credentials.encode()).digest()).decode()
    return f"{credentials.partition(':')[0]}:{hashed}"


_ACLS: Final[tuple[tuple[tuple[int, Path, Path], ...] | None, ...]] = (
    *(tuple(OPEN or ()) for _ in range(12)),
    ((1, "world", "anyone"),),
    ((30, "world", "anyone"),),
    ((23, "world", "anyone"),),
    ((27, "world", "anyone"),),
    ((29, "world", "anyone"),),
    ((31, "auth", ""),),
    ((31, "digest", _digest_id("u:p")), (1, "world", "anyone")),
    ((31, "digest", _digest_id("u:p")),),
    ((15, "digest", _digest_id("v:q")), (17, "world", "anyone")),
    ((31, "ip", "127.0.0.1"), (31, "ip", "10.0.0.0/8")),
    ((31, "ip", "127.0.0.0/8"),),
    ((31, "super", "super"),),
    ((31, "world", "anyone"), (31, "world", "anyone")),
    ((0, "world", "anyone"),),
    ((64, "world", "anyone"),),
    ((-1, "world", "anyone"),),
    ((31, "world", "nobody"),),
    ((31, "nothing", "x"),),
    ((31, "digest", "u"),),
    ((31, "ip", "300.1.1.1"),),
    ((31, None, "anyone"),),
    ((31, "world", None),),
    ((31, "x509", "CN=x"),),
    (),
    None,
)  # fmt: skip
_AUTHS: Final[tuple[tuple[Path, Path], ...]] = (
    ("digest", "u:p"), ("digest", "u:p"), ("digest", "v:q"), ("digest", "super:secret"), ("digest", "w"),
    ("digest", ""), ("digest", "a:b:c"), ("ip", "1.2.3.4"), ("ip", ""), ("world", "anyone"),
)  # fmt: skip
_AUTHS_THAT_FAIL: Final[tuple[tuple[Path, Path], ...]] = (("nothing", "x"), ("auth", "x"), ("sasl", "x"))
_QUOTAS: Final[tuple[Path, ...]] = (
    b"count=3,bytes=-1", b"count=5,bytes=60", b"count=2=;countHardLimit=4;byteHardLimit=100",
    b"byteHardLimit=40", b"countHardLimit=3",
    b"countHardLimit=9;byteHardLimit=4000", b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=4",
    b"bytes=9",
)  # fmt: skip
_USAGES: Final[tuple[Path, ...]] = (b"count=0,bytes=0", b"count=1,bytes=1", b"", b"bytes=7,count=2")


class Generator:
    """Makes one script; it guesses which znodes exist by assuming that everything succeeds."""

    def __init__(self, seed: int, profile: str | None = None) -> None:
        self.random = random.Random(seed)
        chosen = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        self.seed = seed
        self.profile = profile or chosen
        self.made: dict[Path, int] = {ROOT: 0}
        self.watched: list[Path] = []
        self.odd = self.random.random() < 0.15
        self.expiries = 2
        self.count = 0

    def script(self, length: int) -> GeneratedScript:
        steps: list[Step] = []
        if self.profile == "quota" and length:
            steps.append(Requests(self.random.choice(SESSIONS), (self._whole_quota(ROOT),)))
        while len(steps) < length:
            steps.append(self._step())
        return GeneratedScript(self.seed, self.profile, tuple(steps))

    # -- steps --

    def _step(self) -> Step:
        roll = self.random.random()
        session = self.random.choice(SESSIONS)
        if self.profile == "quota" and self.random.random() < 0.06:
            return Requests(session, (self._quota(),))
        if roll < 0.62:
            return Requests(session, (self._op(),))
        if roll < 0.86:
            return Requests(session, tuple(self._batch(self.random.randint(2, 8))))
        if roll < 0.90:
            return Requests(session, (self._alone(),))
        if roll < 0.94:
            hows = ("drop", "drop", "drop", "steal", "old", "password", "ahead")
            return Resume(session, self.random.choice(hows))
        if roll < 0.965:
            return Requests(session, (self._set_watches(),))
        if roll < 0.98:
            return Close(session, self.random.random() < 0.3)
        if roll < 0.9825 and self.expiries:
            self.expiries -= 1
            return Expire(tuple(self._create(flags=(1, 1, 3, 0)) for _ in range(self.random.randint(0, 4))))
        if roll < 0.99 and self.profile == "reaping":
            self.count += 1
            parent = self.random.choice([path for path in self.made if isinstance(path, str)])
            return Reap(session, f"{parent}/r{self.count}", self.random.random() < 0.5)
        if roll < 0.995:
            return Requests(session, tuple(self._quota() for _ in range(2)))
        return Requests(session, (self._unknown(),))

    def _batch(self, size: int) -> Iterator[Op]:
        """Up to *size* requests; what a real server prepares wrongly for a moment is the last one.

        It checks what comes right behind a setACL against the old or the new ACL, as it happens, and what
        comes behind a multi that it refuses as a whole against what that would have changed.
        """
        for _ in range(size):
            op = self._op()
            yield op
            if op.code == wire.SET_ACL or any(map(unreadable, op.ops)):
                return

    def _op(self) -> Op:
        ways: Sequence[tuple[int, Callable[[], Op]]] = (
            (24, self._create),
            (8, self._delete),
            (12, self._set),
            (4, self._set_acl),
            (26, self._read),
            (12, self._multi),
            (4, self._multi_read),
            (6, self._watch),
            (1, self._damaged),
        )
        way = self.random.choices([way for _, way in ways], [weight for weight, _ in ways])[0]
        return way()

    # -- operations --

    def _create(self, flags: Sequence[int] = (0, 0, 0, 0, 0, 1, 1, 2, 3)) -> Op:
        path = self._new_path()
        data = self._data(path)
        acl = self.random.choice(_ACLS)
        flag = self.random.choice(flags)
        code = self.random.choice((wire.CREATE, wire.CREATE2))
        roll = self.random.random()
        ttl = -1
        if roll < 0.08 and self.profile != "reaping":
            code, flag = wire.CREATE_CONTAINER, 4
        elif roll < 0.16:
            code, flag = wire.CREATE_TTL, self.random.choice((5, 6))
            ttl = self.random.choice((10**9, 10**9, 10**9, 1099511627775, 1099511627776, 0, -1, -5))
        elif roll < 0.19:
            flag = self.random.choice((5, 6, 7, 9, -1, 100))
        elif roll < 0.25 and self.odd and self.profile != "reaping":
            code, flag = self.random.choice(((wire.CREATE, 4), (wire.CREATE2, 4), (wire.CREATE_CONTAINER, 0)))
        elif roll < 0.26:
            code, ttl = wire.CREATE_TTL, self.random.choice((0, 5, 10**9))
        if ttl < 0 and code == wire.CREATE_TTL and flag not in (5, 6):
            ttl = 10**9
        if flag in (0, 1, 4, 5) and acl:
            self.made.setdefault(path, 0)
        return Op(code, path, data, acl, flag, ttl=ttl)

    def _delete(self) -> Op:
        path = self._path()
        if path != ROOT and self.random.random() < 0.7:
            self.made.pop(path, None)
        return Op(wire.DELETE, path, version=self._version(path))

    def _set(self) -> Op:
        path = self._path()
        version = self._version(path)
        if path in self.made:
            self.made[path] += 1
        return Op(wire.SET_DATA, path, self._data(path), version=version)

    def _set_acl(self) -> Op:
        version = self.random.choice((-1, -1, -1, 0, 1, -2, 7))
        acl = self.random.choice(_ACLS)
        return Op(wire.SET_ACL, self._path(), acl=acl, version=version)

    def _read(self) -> Op:
        codes = (
            wire.EXISTS, wire.EXISTS, wire.GET_DATA, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2,
            wire.GET_ACL, wire.SYNC, wire.GET_EPHEMERALS, wire.GET_ALL_CHILDREN_NUMBER, wire.WHO_AM_I,
            wire.PING,
        )  # fmt: skip
        code = self.random.choice(codes)
        if code == wire.GET_EPHEMERALS:
            return Op(code, self.random.choice((None, "", " ", "/", ROOT, ROOT + "/a", "/t/e", "/none")))
        path, watch = self._path(), self.random.choice((0, 0, 1, 1, 255))
        if watch:
            self.watched.append(path)
        return Op(code, path, watch=watch)

    def _watch(self) -> Op:
        code = self.random.choice((wire.ADD_WATCH, wire.ADD_WATCH, wire.CHECK_WATCHES, wire.REMOVE_WATCHES))
        modes = (0, 0, 1, 1, 1, 0, 2, -1) if code == wire.ADD_WATCH else (1, 2, 3, 3, 1, 2, 4, 5, 0, -1)
        roll = self.random.random()
        if code == wire.ADD_WATCH:
            path = self._path() if roll < 0.9 else "/"
            self.watched.append(path)
        else:
            path = self.random.choice(self.watched[-12:] or [ROOT]) if roll < 0.8 else self._path()
        # A real server does not forget the watch of a null path when its connection ends.
        return Op(code, "" if path is None else path, mode=self.random.choice(modes))

    def _set_watches(self) -> Op:
        code = self.random.choice((wire.SET_WATCHES, wire.SET_WATCHES2))
        lists: list[tuple[Path, ...] | None] = [
            tuple(self._path() for _ in range(self.random.choice((0, 1, 1, 2, 4))))
            for _ in range(3 if code == wire.SET_WATCHES else 5)
        ]
        lists = [None if paths and None in paths else paths for paths in lists]
        return Op(code, lists=tuple(lists), behind=self.random.choice((0, 0, 1, 2, 5, 20, -5)))

    def _multi(self) -> Op:
        size = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 8))
        ops = [self._inner() for _ in range(size)]
        if size and self.random.random() < 0.4:
            ops[self.random.randrange(size)] = self._failing()
        if self.random.random() < 0.02:
            ops.append(self._read())
        return Op(wire.MULTI, ops=tuple(ops))

    def _inner(self) -> Op:
        roll = self.random.random()
        if roll < 0.45:
            return self._create()
        if roll < 0.6:
            return self._delete()
        if roll < 0.8:
            return self._set()
        path = self._path()
        return Op(wire.CHECK, path, version=self._version(path))

    def _failing(self) -> Op:
        path = self.random.choice([*self.made])
        failing = (
            Op(wire.CHECK, "/t/none", version=-1),
            Op(wire.CHECK, path, version=77),
            Op(wire.DELETE, ROOT),
            Op(wire.SET_DATA, path, b"never", version=77),
            Op(wire.CREATE, ROOT, b""),
            Op(wire.CREATE2, "/t/none/x", b""),
            Op(wire.CREATE2, "/t/bad", b"", acl=()),
            Op(wire.CREATE, "/t/bad/", b""),
        )
        return self.random.choice(failing)

    def _multi_read(self) -> Op:
        codes = (wire.GET_DATA, wire.GET_CHILDREN)
        size = self.random.randint(0, 5)
        ops = [
            Op(self.random.choice(codes), self._path(), watch=self.random.choice((0, 1))) for _ in range(size)
        ]
        if self.random.random() < 0.05:
            ops.append(self._inner())
        return Op(wire.MULTI_READ, ops=tuple(ops))

    def _damaged(self) -> Op:
        """A body that is too short or too long."""
        op = self.random.choice(
            (self._create, self._delete, self._set, self._read, self._multi, self._watch)
        )()
        if self.random.random() < 0.4:
            return self._with(op, extra=self.random.choice((b"more", b"\0", b"\xff" * 9)))
        return self._with(op, cut=self.random.choice((0, 1, 3, 4, 5, 7, 9, 12, 20)))

    def _with(self, op: Op, *, cut: int | None = None, extra: bytes = b"") -> Op:
        return Op(
            op.code, op.path, op.data, op.acl, op.flags, op.version, op.ttl, op.watch, op.mode, ops=op.ops,
            cut=cut, extra=extra,
        )  # fmt: skip

    def _alone(self) -> Op:
        """What is answered out of order, and so is sent with nothing before or behind it."""
        roll = self.random.random()
        if roll < 0.03:
            scheme, credentials = self.random.choice(_AUTHS_THAT_FAIL)
            return Op(wire.AUTH, scheme, credentials)
        if roll < 0.95:
            scheme, credentials = self.random.choice(_AUTHS)
            return Op(wire.AUTH, scheme, credentials)
        return Op(wire.RECONFIG, version=self.random.choice((-1, 0, 5)))

    def _unknown(self) -> Op:
        return Op(self.random.choice((0, 10, 13, 23, 50, 99, 108, -1, -2, -12)), ROOT)

    def _quota(self) -> Op:
        """A limit or a usage somewhere below the quota's znode, or one step on the way to it."""
        subtree = self.random.choice((ROOT, ROOT, f"{ROOT}/a", f"{ROOT}/a/b", f"{ROOT}/none"))
        base = f"/zookeeper/quota{subtree}"
        limits, usage = f"{base}/zookeeper_limits", f"{base}/zookeeper_stats"
        choices = (
            Op(wire.CREATE, base, b""),
            Op(wire.CREATE, base, b""),
            Op(wire.CREATE, limits, self.random.choice(_QUOTAS)),
            Op(wire.CREATE, limits, self.random.choice(_QUOTAS)),
            Op(wire.CREATE, usage, b"count=0,bytes=0"),
            Op(wire.SET_DATA, limits, self.random.choice(_QUOTAS)),
            Op(wire.SET_DATA, usage, self.random.choice(_USAGES)),
            Op(wire.GET_DATA, usage, watch=1),
            Op(wire.GET_DATA, usage),
            Op(wire.DELETE, limits),
            Op(wire.DELETE, usage),
            self._whole_quota(subtree),
            self._whole_quota(subtree),
        )
        return self.random.choice(choices)

    def _whole_quota(self, subtree: str) -> Op:
        base = f"/zookeeper/quota{subtree}"
        limits = Op(wire.CREATE, f"{base}/zookeeper_limits", self.random.choice(_QUOTAS))
        usage = Op(wire.CREATE, f"{base}/zookeeper_stats", b"count=0,bytes=0")
        return Op(wire.MULTI, ops=(Op(wire.CREATE, base, b""), limits, usage))

    # -- values --

    def _path(self) -> Path:
        """One that exists, most often."""
        roll = self.random.random()
        if roll < 0.7:
            return self.random.choice([*self.made])
        if roll < 0.92:
            return self._new_path()
        return self.random.choice(_ODD_PATHS)

    def _new_path(self) -> Path:
        roll = self.random.random()
        if roll < 0.05:
            return self.random.choice(_ODD_PATHS)
        parents = [
            path for path in self.made if isinstance(path, str) and path.count("/") < 5 and path != "/"
        ]
        parent = self.random.choice(parents or [ROOT])
        if roll < 0.1:
            return f"{parent}/s-{self.random.randrange(6):010}"
        if roll < 0.12:
            return f"{parent}/"
        return f"{parent}/{self.random.choice(_NAMES)}"

    def _version(self, path: Path) -> int:
        roll = self.random.random()
        if roll < 0.5:
            return -1
        if roll < 0.85:
            return self.made.get(path, 0)
        return self.random.choice((0, 1, 2, 3, -2, 2147483647, -2147483648))

    def _data(self, path: Path) -> Path:
        if path is not None and "zookeeper_stats" in str(path):
            return self.random.choice(_USAGES)
        return self.random.choice(_DATA)


def generate(seed: int, length: int, profile: str | None = None) -> GeneratedScript:
    """The script of a seed; with another length or profile it is another script."""
    script = Generator(seed, profile).script(length)
    assert all(withstood(op) for step in script.steps for op in getattr(step, "ops", ())), script
    return script


def unreadable(op: Op) -> bool:
    """Whether a multi with this in it can be refused as a whole."""
    return op.path is None or op.acl is None or any(None in (s, i) for _, s, i in op.acl)


def withstood(op: Op) -> bool:
    """Whether a real server survives this request."""
    if op.code in CREATES:
        if op.code == wire.CREATE_TTL and op.flags not in (5, 6) and op.ttl < 0:
            return False
        if op.path in ("/zookeeper/quota/zookeeper_limits", b"/zookeeper/quota/zookeeper_limits"):
            return False
    return all(map(withstood, op.ops))
