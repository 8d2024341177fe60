"""Scripts from a seed: what many clients might ask, right and wrong, with names that meet often.

Left out are only the requests that a real server does not withstand, and those whose answer depends on the
moment they arrive.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from compat import wire
from compat.generated.model import DEEPEST, PLAIN, ROOT, Model
from compat.generated.steps import (
    CREATES,
    Close,
    Expire,
    GeneratedScript,
    Op,
    Reap,
    Requests,
    Resume,
    Shake,
    Step,
)
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
_KINDLY: Final[tuple[tuple[tuple[int, Path, Path], ...], ...]] = (
    ((1, "world", "anyone"),),
    ((27, "world", "anyone"),),
    ((31, "world", "anyone"), (31, "ip", "10.0.0.0/8")),
    ((31, "ip", "127.0.0.0/8"),),
    ((0, "world", "anyone"),),
)
"""ACL lists that every session may give."""
_WATCHED_BY: Final = {
    wire.EXISTS: "exist",
    wire.GET_DATA: "data",
    wire.GET_CHILDREN: "child",
    wire.GET_CHILDREN2: "child",
}
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
    """Makes one script. Most requests should succeed in the tree that `Model` believes in."""

    def __init__(self, seed: int, profile: str | None = None) -> None:
        self.random = random.Random(seed)
        chosen = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        self.seed = seed
        self.profile = profile or chosen
        extended = PROFILES[self.profile][1].get("zookeeper.extendedTypesEnabled") == "true"
        self.model = Model(extended)
        self.session = SESSIONS[0]
        self.watched: dict[str, list[tuple[str, Path]]] = {name: [] for name in SESSIONS}
        self.odd = self.random.random() < 0.15
        self.expiries = 2
        self.count = 0
        self.next: list[Step] = []

    def script(self, length: int) -> GeneratedScript:
        steps: list[Step] = []
        if length:
            steps.append(Requests(SESSIONS[0], tuple(self._good_create() for _ in range(3))))
        if self.profile == "quota" and length:
            steps.append(Requests(self.random.choice(SESSIONS), (self._whole_quota(ROOT),)))
        while len(steps) < length:
            steps.append(self.next.pop() if self.next else self._step())
        return GeneratedScript(self.seed, self.profile, tuple(steps[:length]))

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # -- steps --

    def _step(self) -> Step:
        session = self.session = self.random.choice(SESSIONS)
        if self.profile == "quota" and self._chance(0.06):
            return Requests(session, (self._quota(),))
        ways: dict[Callable[[str], Step], float] = {
            self._single: 58,
            self._together: 24,
            lambda name: Requests(name, (self._alone(),)): 4,
            self._reconnect: 4,
            lambda name: Requests(name, (self._set_watches(),)): 2,
            self._closed: 1.5,
            lambda name: Requests(name, tuple(self._quota() for _ in range(2))): 0.5,
            lambda name: Requests(name, (self._unknown(),)): 0.4,
            self._shake: 0.6,
            self._reap: 1 if self.profile == "reaping" else 0,
            self._expire: 0.25 if self.expiries else 0,
        }
        return self.random.choices(list(ways), list(ways.values()))[0](session)

    def _single(self, session: str) -> Step:
        xid = self.random.choice((0, 1, -5, 2147483647, -2147483648)) if self._chance(0.02) else None
        return Requests(session, (self._op(),), xid)

    def _together(self, session: str) -> Step:
        return Requests(session, tuple(self._batch(self.random.randint(2, 8))))

    def _closed(self, session: str) -> Step:
        # How an end lists its ephemerals depends on which of the changes right before it are committed.
        ops = tuple(op for op in self._batch(3) if not touches_ephemerals(op)) if self._chance(0.3) else ()
        self.model.close(session)
        self.watched[session].clear()
        return Close(session, not ops and self._chance(0.3), ops)

    def _reconnect(self, session: str) -> Step:
        how = self.random.choice(("drop", "drop", "drop", "steal", "old", "password", "ahead"))
        if how in ("drop", "steal", "old") and self._chance(0.6):
            self.next.append(Requests(session, (self._rewatch(session),)))
        return Resume(session, how)

    def _shake(self, session: str) -> Step:
        choose = self.random.choice
        return Shake(
            protocol=choose((0, 0, 1, -1)),
            zxid=choose((0, 0, 1, -1)),
            timeout_ms=choose((-1, 0, 1, 39, 41, 30000, 60000, 60001, 2147483647)),
            session=choose((0, 0, 0, 1, -1, 0x7FFFFFFFFFFFFFFF)),
            password=choose((bytes(16), None, b"", b"short", b"x" * 40)),
            read_only=choose((b"", b"\0", b"\1")),
        )

    def _reap(self, session: str) -> Step:
        self.count += 1
        parent = self.random.choice(self.model.parents())
        return Reap(session, f"{parent}/r{self.count}", self._chance(0.5))

    def _expire(self, session: str) -> Step:
        self.expiries -= 1
        ops: list[Op] = []
        for _ in range(self.random.randint(0, 5)):
            believed = self.model.copy()
            kinds = (self._read, self._watch) if self._chance(0.4) else (self._good_create, self._create)
            ops.append(self.random.choice(kinds)())
            self.model.nodes = believed.nodes
        ops = [attrs.evolve(op, flags=self.random.choice((1, 3))) if _is_plain(op) else op for op in ops]
        return Expire(tuple(ops))

    def _batch(self, size: int) -> Iterator[Op]:
        """Up to *size* requests; what a real server prepares wrongly for a moment is the last one.

        It checks what comes right behind a setACL against the old or the new ACL, as it happens, and what
        comes behind a multi that it refuses as a whole against what that would have changed. Hard quotas are
        checked against what is committed, which depends on the moment.
        """
        if self._chance(0.03):
            yield self._set_watches()
        for _ in range(size):
            op = self._op()
            yield op
            if op.code == wire.SET_ACL or any(map(unreadable, op.ops)):
                return
            if self.profile == "quota" and op.code in wire.WRITES:
                return

    def _op(self) -> Op:
        good = self._chance(0.6)
        ways: dict[Callable[[], Op], int] = {
            self._good_create if good else self._create: 24,
            self._good_delete if good else self._delete: 9,
            self._good_set if good else self._set: 14,
            self._set_acl: 3,
            self._read: 26,
            self._multi: 12,
            self._multi_read: 4,
            self._watch: 6,
            self._damaged: 1,
        }
        op = self.random.choices(list(ways), list(ways.values()))[0]()
        if not good and op.code != wire.MULTI:
            self.model.apply(op, self.session)
        return op

    # -- requests that should succeed --

    def _good_create(self) -> Op:
        parent = self.random.choice(self.model.parents())
        flag = self.random.choice((0, 0, 0, 0, 1, 1, 2, 3))
        code, ttl = self.random.choice((wire.CREATE, wire.CREATE2)), -1
        roll = self.random.random()
        if roll < 0.08 and self.profile != "reaping":
            code, flag = wire.CREATE_CONTAINER, 4
        elif roll < 0.16 and self.model.extended:
            code, flag, ttl = wire.CREATE_TTL, self.random.choice((5, 6)), 10**9
        path = f"{parent}/{self.random.choice(_NAMES)}"
        while path in self.model.nodes:
            path += self.random.choice("xyz")
        acl = self.random.choice(_KINDLY) if self._chance(0.15) else PLAIN
        op = Op(code, path, self._data(path), acl, flag, ttl=ttl)
        self.model.apply(op, self.session)
        return op

    def _good_delete(self) -> Op:
        leaves = self.model.leaves()
        if not leaves:
            return self._good_create()
        path = self.random.choice(leaves)
        op = Op(wire.DELETE, path, version=self.random.choice((-1, self.model.nodes[path].version)))
        self.model.apply(op, self.session)
        return op

    def _good_set(self) -> Op:
        path = self.random.choice(self.model.writable() or [ROOT])
        version = self.random.choice((-1, self.model.nodes[path].version))
        op = Op(wire.SET_DATA, path, self._data(path), version=version)
        self.model.apply(op, self.session)
        return op

    def _good_check(self) -> Op:
        path = self.random.choice(self.model.writable() or [ROOT])
        return Op(wire.CHECK, path, version=self.random.choice((-1, self.model.nodes[path].version)))

    # -- requests of any kind --

    def _create(self) -> Op:
        path = self._new_path()
        data = self._data(path)
        acl = self.random.choice(_ACLS)
        flag = self.random.choice((0, 0, 0, 0, 0, 1, 1, 2, 3))
        code = self.random.choice((wire.CREATE, wire.CREATE2))
        roll = self.random.random()
        ttl = -1
        if roll < 0.06 and self.profile != "reaping":
            code, flag = wire.CREATE_CONTAINER, 4
        elif roll < 0.16:
            code, flag = wire.CREATE_TTL, self.random.choice((5, 6))
            ttl = self.random.choice((10**9, 10**9, 1099511627775, 1099511627776, 0, -1, -5))
        elif roll < 0.19:
            flag = self.random.choice((5, 6, 7, 9, -1, 100))
        elif roll < 0.29 and self.odd and self.profile != "reaping":
            code, flag = self.random.choice(((wire.CREATE, 4), (wire.CREATE2, 4), (wire.CREATE_CONTAINER, 0)))
        elif roll < 0.31:
            code, ttl = wire.CREATE_TTL, self.random.choice((0, 5, 10**9))
        if ttl < 0 and code == wire.CREATE_TTL and flag not in (5, 6):
            ttl = 10**9
        return Op(code, path, data, acl, flag, ttl=ttl)

    def _delete(self) -> Op:
        path = self._path()
        while path == ROOT and not self.model.nodes[ROOT].children:
            path = self._path()
        return Op(wire.DELETE, path, version=self._version(path))

    def _set(self) -> Op:
        path = self._path()
        return Op(wire.SET_DATA, path, self._data(path), version=self._version(path))

    def _set_acl(self) -> Op:
        version = self.random.choice((-1, -1, -1, 0, 1, -2, 7))
        path = self._path()
        # The root stays open, or nothing would succeed any more.
        acl = PLAIN if path in (ROOT, "/") else self.random.choice(_ACLS)
        op = Op(wire.SET_ACL, path, acl=acl, version=version)
        self.model.apply(op, self.session)
        return op

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
        kind = _WATCHED_BY.get(code)
        if watch and kind is not None:
            if code == wire.EXISTS and path in self.model.nodes:
                kind = "data"
            self.watched[self.session].append((kind, path))
        return Op(code, path, watch=watch)

    def _watch(self) -> Op:
        code = self.random.choice((wire.ADD_WATCH, wire.ADD_WATCH, wire.CHECK_WATCHES, wire.REMOVE_WATCHES))
        modes = (0, 0, 1, 1, 1, 0, 2, -1) if code == wire.ADD_WATCH else (1, 2, 3, 3, 1, 2, 4, 5, 0, -1)
        mode = self.random.choice(modes)
        mine = self.watched[self.session]
        if code == wire.ADD_WATCH:
            path = self._path() if self._chance(0.9) else "/"
            if mode in (0, 1):
                mine.append((("persistent", "recursive")[mode], path))
        else:
            path = self.random.choice(mine[-12:])[1] if mine and self._chance(0.8) else self._path()
        # A real server does not forget the watch of a null path when its connection ends.
        return Op(code, "" if path is None else path, mode=mode)

    def _set_watches(self) -> Op:
        code = self.random.choice((wire.SET_WATCHES, wire.SET_WATCHES2))
        lists: list[tuple[Path, ...] | None] = [
            tuple(self._path() for _ in range(self.random.choice((0, 1, 1, 2, 4))))
            for _ in range(3 if code == wire.SET_WATCHES else 5)
        ]
        lists = [None if paths and None in paths else paths for paths in lists]
        return Op(code, lists=tuple(lists), behind=self.random.choice((0, 0, 1, 2, 5, 20, -5)))

    def _rewatch(self, session: str) -> Op:
        """As a client does after a lost connection: exactly what it watched."""
        mine = self.watched[session]
        lists = tuple(
            tuple(dict.fromkeys(path for kind, path in mine if kind == wanted and path is not None))
            for wanted in ("data", "exist", "child", "persistent", "recursive")
        )
        code = wire.SET_WATCHES2 if lists[3] or lists[4] else wire.SET_WATCHES
        return Op(
            code,
            lists=lists[: 5 if code == wire.SET_WATCHES2 else 3],
            behind=self.random.choice((0, 0, 1, 3)),
        )

    def _multi(self) -> Op:
        """All should succeed, or one at a chosen place should not; rarely anything goes."""
        size = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 8, 12))
        if self._chance(0.15):
            op = Op(wire.MULTI, ops=tuple(self._inner() for _ in range(size)))
            self.model.apply(op, self.session)
            return op
        before = self.model.copy()
        ops = [self._good_inner() for _ in range(size)]
        if size and self._chance(0.45):
            ops.insert(self.random.randrange(size + 1), self._failing())
            self.model.nodes = before.nodes
        return Op(wire.MULTI, ops=tuple(ops))

    def _good_inner(self) -> Op:
        ways = (self._good_create, self._good_create, self._good_delete, self._good_set, self._good_check)
        return self.random.choice(ways)()

    def _inner(self) -> Op:
        ways = (self._create, self._create, self._delete, self._set, self._good_check, self._read)
        if self._chance(0.03):
            return self.random.choice((self._set_acl, self._watch, self._multi, self._multi_read))()
        return self.random.choice(ways if self._chance(0.1) else ways[:5])()

    def _failing(self) -> Op:
        path = self.random.choice([*self.model.nodes])
        failing = (
            Op(wire.CHECK, "/t/none", version=-1),
            Op(wire.CHECK, path, version=77),
            Op(wire.DELETE, "/t/none"),
            Op(wire.DELETE, "/zookeeper"),
            Op(wire.SET_DATA, path, b"never", version=77),
            Op(wire.CREATE, ROOT, b""),
            Op(wire.CREATE2, "/t/none/x", b""),
            Op(wire.CREATE2, "/t/bad", b"", acl=()),
            Op(wire.CREATE, "/t/bad/", b""),
            Op(wire.CREATE_CONTAINER, "/t/none/k", b"", flags=4),
            Op(wire.CREATE_TTL, "/t/none/t", b"", flags=5, ttl=10**9),
        )
        return self.random.choice(failing)

    def _multi_read(self) -> Op:
        codes = (wire.GET_DATA, wire.GET_CHILDREN)
        size = self.random.randint(0, 5)
        ops = [
            Op(self.random.choice(codes), self._path(), watch=self.random.choice((0, 1))) for _ in range(size)
        ]
        if self._chance(0.05):
            ops.insert(self.random.randint(0, size), self._good_check())
        return Op(wire.MULTI_READ, ops=tuple(ops))

    def _damaged(self) -> Op:
        """A body that is too short or too long."""
        before = self.model.copy()
        ways = (self._create, self._delete, self._set, self._read, self._multi, self._watch, self._set_acl)
        op = self.random.choice((*ways, self._multi_read, self._set_watches))()
        self.model.nodes = before.nodes
        if self._chance(0.4):
            return attrs.evolve(op, extra=self.random.choice((b"more", b"\0", b"\xff" * 9)))
        return attrs.evolve(op, cut=self.random.choice((0, 1, 3, 4, 5, 7, 9, 12, 20)))

    def _alone(self) -> Op:
        """What is answered out of order, and so is sent with nothing before or behind it."""
        roll = self.random.random()
        if roll < 0.03:
            scheme, credentials = self.random.choice(_AUTHS_THAT_FAIL)
            return Op(wire.AUTH, scheme, credentials)
        if roll < 0.05:
            return Op(wire.SASL, data=self.random.choice((b"", b"token")))
        if roll < 0.92:
            scheme, credentials = self.random.choice(_AUTHS)
            return Op(wire.AUTH, scheme, credentials)
        text = self.random.choice((None, b"", b"server.1=a:1:2;3", b"1", b"nonsense"))
        return Op(wire.RECONFIG, data=text, version=self.random.choice((-1, 0, 5)))

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
        if roll < 0.75:
            return self.random.choice([*self.model.nodes])
        if roll < 0.93:
            return self._new_path()
        return self.random.choice(_ODD_PATHS)

    def _new_path(self) -> Path:
        roll = self.random.random()
        if roll < 0.08:
            return self.random.choice(_ODD_PATHS)
        parent = self.random.choice(
            [path for path in self.model.nodes if path.count("/") < DEEPEST] or [ROOT]
        )
        if roll < 0.12:
            return f"{parent}/s-{self.random.randrange(6):010}"
        if roll < 0.14:
            return f"{parent}/"
        return f"{parent}/{self.random.choice(_NAMES)}"

    def _version(self, path: Path) -> int:
        roll = self.random.random()
        if roll < 0.4:
            return -1
        believed = self.model.nodes.get(path) if isinstance(path, str) else None
        if roll < 0.75 and believed is not None:
            return believed.version
        return self.random.choice((0, 1, 2, 3, -2, 2147483647, -2147483648))

    def _data(self, path: Path) -> Path:
        if path is not None and "zookeeper_stats" in str(path):
            return self.random.choice(_USAGES)
        return self.random.choice(_DATA)


def _is_plain(op: Op) -> bool:
    return op.code in (wire.CREATE, wire.CREATE2) and op.flags in (0, 2)


def generate(seed: int, length: int, profile: str | None = None) -> GeneratedScript:
    """The script of a seed; with another length or profile it is another script."""
    script = Generator(seed, profile).script(length)
    assert all(withstood(op) for step in script.steps for op in getattr(step, "ops", ())), script
    return script


def touches_ephemerals(op: Op) -> bool:
    """Whether an ephemeral may come or go."""
    if op.code == wire.DELETE or (op.code in CREATES and op.flags in (1, 3)):
        return True
    return any(map(touches_ephemerals, op.ops))


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
