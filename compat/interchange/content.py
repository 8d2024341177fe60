"""What is written into a data directory: in every round some of each kind, and changes of what was there.

Each group keeps to a subtree of its own, so that a difference tells which kind of content was not kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from compat import wire
from compat.interchange.client import Answer, Client, Request, made_path
from compat.wire import CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL, OPEN, Acl
from compat.wire import Path as Text

PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = range(7)
CONTAINER_OWNER: Final = -0x8000000000000000
_TTL_TAG: Final = -0x0100000000000000
_TTL_MS: Final = 3_600_000

NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
NODE_EXISTS, NOT_EMPTY, INVALID_ACL, QUOTA_EXCEEDED = -110, -111, -114, -125

LARGEST_REQUEST: Final = 0xFFFFF
"""Java's ``jute.maxbuffer``."""


@attrs.define
class Story:
    """What outlives a server: the facts about znodes which clients cannot see, and what went wrong."""

    extended: bool
    """Whether TTL znodes can be made."""
    enforced: bool
    """Whether hard quotas are."""
    old: bool = False
    """Whether a server of 3.8.0 takes part: see `compat.interchange.explained`."""
    owners: dict[str, int] = attrs.field(factory=dict)
    """The stored owners of containers and TTL znodes."""
    made: dict[str, int] = attrs.field(factory=dict)
    """How many children were ever created in the parents of sequential znodes."""
    problems: list[tuple[str, str]] = attrs.field(factory=list)
    """Group and description."""


@attrs.define
class Author:
    """Writes one round into a server, as the session of *client*."""

    client: Client
    address: str
    story: Story
    round: int
    group: str = ""

    def write(self) -> None:
        """All groups."""
        for name, play in GROUPS.items():
            self.group = name
            if self.round == 1:
                self.create(f"/{name}")
            play(self)

    def all(self, requests: Iterable[Request], err: int = 0) -> list[Answer]:
        """Every one of them must get this error (0: none)."""
        answers = self.client.calls(requests)
        for number, answer in enumerate(answers, 1):
            if answer.err != err:
                self.problem(f"request {number} of {len(answers)} got error {answer.err}, not {err}")
        return answers

    def do(self, op: int, body: bytes, err: int = 0) -> Answer:
        return self.all([(op, body)], err)[0]

    def create(
        self,
        path: str,
        data: Text = b"",
        acl: Acl = OPEN,
        flags: int = 0,
        *,
        op: int = CREATE2,
        ttl: int | None = None,
        err: int = 0,
    ) -> str:
        answer = self.do(op, wire.create_body(path, data, acl, flags, ttl), err)
        return made_path(answer) if not answer.err else path

    def container(self, path: str) -> str:
        self.story.owners[path] = CONTAINER_OWNER
        return self.create(path, flags=CONTAINER, op=CREATE_CONTAINER)

    def ttl(self, path: str, flags: int = TTL) -> str:
        made = self.create(path, b"for an hour", flags=flags, op=CREATE_TTL, ttl=_TTL_MS)
        self.story.owners[made] = _TTL_TAG | _TTL_MS
        return made

    def set(self, path: str, data: Text, version: int = -1, err: int = 0) -> None:
        self.do(wire.SET_DATA, set_body(path, data, version), err)

    def set_acl(self, path: str, acl: Acl, err: int = 0) -> None:
        self.do(wire.SET_ACL, acl_body(path, acl), err)

    def delete(self, path: str, version: int = -1, err: int = 0) -> None:
        self.do(wire.DELETE, delete_body(path, version), err)
        if not err:
            self.story.owners.pop(path, None)

    def sequential(self, parent: str, flags: int = SEQUENTIAL, count: int = 3) -> None:
        """The numbers go on where they stood, however often the server has changed meanwhile."""
        made = self.story.made
        for _ in range(count):
            number = made.get(parent, 0)
            extended = flags == TTL_SEQUENTIAL
            name = f"{parent}/s-"
            path = self.ttl(name, flags) if extended else self.create(name, b"s", flags=flags)
            if path != f"{name}{number:010d}":
                self.problem(f"{path} was made, not {name}{number:010d}")
            made[parent] = number + 1

    def problem(self, text: str) -> None:
        self.story.problems.append((self.group, f"round {self.round}: {text}"))


def set_body(path: str, data: Text, version: int = -1) -> bytes:
    return wire.text(path) + wire.text(data) + wire.i32(version)


def delete_body(path: str, version: int = -1) -> bytes:
    return wire.text(path) + wire.i32(version)


def acl_body(path: str, acl: Acl) -> bytes:
    return wire.text(path) + wire.acls(acl) + wire.i32(-1)


def _creates(paths: Iterable[str], data: Text = b"") -> list[Request]:
    return [(CREATE2, wire.create_body(path, data)) for path in paths]


# -- the groups --------------------------------------------------------------------------------------------


def _kinds(a: Author) -> None:
    """Every kind of znode; those of an earlier round change or go."""
    at, n = "/kinds", a.round
    a.create(f"{at}/plain{n}", b"by create", op=CREATE)
    a.create(f"{at}/e{n}", b"mine", flags=EPHEMERAL)
    a.create(f"{at}/old-e{n}", b"mine", flags=EPHEMERAL, op=CREATE)
    a.container(f"{at}/c{n}")
    a.container(f"{at}/filled{n}")
    a.all(_creates(f"{at}/filled{n}/{name}" for name in "abc"))
    a.delete(f"{at}/filled{n}/b")
    for parent in ("seq", "eseq", *(["tseq"] if a.story.extended else [])):
        if f"{at}/{parent}" not in a.story.made:
            a.create(f"{at}/{parent}")
            a.story.made[f"{at}/{parent}"] = 0
    a.sequential(f"{at}/seq")
    a.sequential(f"{at}/eseq", EPHEMERAL_SEQUENTIAL)
    if a.story.extended:
        a.sequential(f"{at}/tseq", TTL_SEQUENTIAL)
        a.ttl(f"{at}/ttl{n}")
        a.ttl(f"{at}/ttl-gone{n}")
        a.set(f"{at}/ttl{n}", b"set")
        a.delete(f"{at}/ttl-gone{n}")
    if n > 1:
        a.set(f"{at}/e{n - 1}", b"set by a later server")
        a.set(f"{at}/c{n - 1}", b"a container's data")
        a.delete(f"{at}/old-e{n - 1}")
        a.create(f"{at}/filled{n - 1}/d")
        a.delete(f"{at}/plain{n - 1}")
        a.create(f"{at}/plain{n - 1}", b"again")


def _deep(a: Author) -> None:
    """Long branches, and one parent of many."""
    path = f"/deep/n{a.round}"
    branch = []
    for depth in range(60):
        branch.append(path)
        path += f"/{depth}"
    a.all(_creates(branch, b"d"))
    a.create(f"/deep/wide{a.round}")
    a.all(_creates(f"/deep/wide{a.round}/{number:03}" for number in range(60)))
    if a.round > 1:
        a.all(
            (wire.DELETE, delete_body(f"/deep/wide{a.round - 1}/{number:03}")) for number in range(0, 60, 2)
        )
        bottom = f"/deep/n{a.round - 1}" + "".join(f"/{depth}" for depth in range(59))
        a.set(bottom, b"changed")
        a.create(f"{bottom}/deeper")


def _large(a: Author) -> None:
    """A request of just the size that is let through, and data that later become smaller or larger."""
    noise = random.Random(a.round).randbytes
    path = f"/large/l{a.round}"
    overhead = 8 + len(wire.create_body(path))
    a.create(path, noise(300_000) + bytes(LARGEST_REQUEST - overhead - 300_000))
    a.create(f"/large/m{a.round}", noise(40_000))
    if a.round > 1:
        a.set(f"/large/l{a.round - 1}", noise(50_000))
        a.set(f"/large/m{a.round - 1}", noise(90_000))


def _data(a: Author) -> None:
    """Empty, null, and every byte."""
    at = f"/data/{a.round}"
    a.create(at, None)
    a.create(f"{at}-empty", b"")
    a.create(f"{at}-null-once", None, op=CREATE)
    a.create(f"{at}-null-later", b"something")
    a.create(f"{at}-bytes", bytes(range(256)))
    a.set(f"{at}-null-later", None)
    a.set(f"{at}-null-once", b"\0")
    if a.round > 1:
        a.set(f"/data/{a.round - 1}", b"")
        a.set(f"/data/{a.round - 1}-null-later", b"no longer")
        a.set(f"/data/{a.round - 1}-bytes", None)


_NAMES: Final = (
    "é",
    "ß",
    "Ωmega",
    "данные",
    "漢字",
    "데이터",
    "اسم",
    "שם",
    "a b",
    "n…",
    "é\u0301",
    "\u00a0x",
    "¿¡",
)


def _unicode(a: Author) -> None:
    """Names of many scripts, and data outside the first plane."""
    at = f"/unicode/ü{a.round}"
    a.create(at)
    for name in _NAMES:
        a.create(f"{at}/{name}", f"{name} 😀 𝄞")
        a.create(f"{at}/{name}/{name}{name}", name)
    if a.round > 1:
        a.set(f"/unicode/ü{a.round - 1}/漢字", "変わる 🦓")
        a.delete(f"/unicode/ü{a.round - 1}/é/éé")


def _acls(a: Author) -> None:
    """Many lists, some of several entries, some shared."""
    at = f"/acls/{a.round}"
    a.create(at)
    lists: list[Acl] = [[(perms, "world", "anyone")] for perms in range(1, 32)]
    lists += [[(31, "ip", ip)] for ip in ("127.0.0.1", "10.0.0.0/8", "192.168.1.0/24")]
    lists += [[(31, "ip", "10.9.8.7" if a.story.old else "::1")]]
    lists += [[(31, "digest", f"user{a.round}-{number}:{number:027d}=")] for number in range(5)]
    lists += [[(31, "digest", "üser:Zażółć=")], [(31, "auth", "")]]
    lists += [
        [(1, "world", "anyone"), (31, "digest", "a:b"), (7, "ip", "10.1.2.3")],
        [(31, "digest", "a:b"), (1, "world", "anyone"), (7, "ip", "10.1.2.3")],
        [(1, "world", "anyone"), *((3, "digest", f"many{number}:x") for number in range(40))],
    ]
    a.all((CREATE2, wire.create_body(f"{at}/{number:02}", b"", acl)) for number, acl in enumerate(lists))
    for number in range(0, 30, 3):
        a.set_acl(f"{at}/{number:02}", lists[number + 1])
    if a.round > 1:
        before = f"/acls/{a.round - 1}"
        a.set_acl(f"{before}/01", lists[-1])
        a.set_acl(f"{before}/01", lists[-2])
        a.set_acl(f"{before}/40", lists[3])
        a.delete(f"{before}/41")
        a.create(f"{before}/like-before", acl=lists[7])


def _quotas(a: Author) -> None:
    """Limits that are and that are not kept to, with the usage below them."""
    n = a.round
    if n == 1:
        a.create("/zookeeper/quota/quotas")
    soft, hard = f"/quotas/soft{n}", f"/quotas/hard{n}"
    for path, limits in (
        (soft, b"count=2,bytes=10"),
        (hard, b"count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=4"),
    ):
        a.create(path, b"root")
        a.create(f"/zookeeper/quota{path}")
        a.create(f"/zookeeper/quota{path}/zookeeper_limits", limits)
        a.create(f"/zookeeper/quota{path}/zookeeper_stats", b"count=0,bytes=0")
    a.all(_creates([f"{soft}/{name}" for name in "abc"], b"more than ten"))
    a.all(_creates([f"{hard}/{name}" for name in "abc"], b"12345"))
    refused = QUOTA_EXCEEDED if a.story.enforced else 0
    a.create(f"{hard}/fifth", b"", err=refused)
    a.set(f"{hard}/a", bytes(200), err=refused)
    a.create(f"{soft}/e", b"ephemeral", flags=EPHEMERAL)
    if n > 1:
        a.delete(f"/quotas/hard{n - 1}/b")
        a.delete(f"/quotas/hard{n - 1}/c")
        a.create(f"/quotas/hard{n - 1}/room", b"")
        a.set(
            f"/zookeeper/quota/quotas/hard{n - 1}/zookeeper_limits",
            b"count=9,bytes=900=;byteHardLimit=-1;countHardLimit=9",
        )
        a.set(f"/quotas/hard{n - 1}/a", bytes(150))
        a.set(f"/quotas/soft{n - 1}/a", b"less")
        a.delete(f"/zookeeper/quota/quotas/soft{n - 1}/zookeeper_limits")


def _multis(a: Author) -> None:
    """Such that are carried out, and such that are not."""
    at, n = "/multis", a.round
    done: list[Request] = [
        (CREATE, wire.create_body(f"{at}/m{n}", b"1")),
        (wire.SET_DATA, set_body(f"{at}/m{n}", b"2", 0)),
        (wire.CHECK, wire.text(f"{at}/m{n}") + wire.i32(1)),
        (CREATE if a.story.old else CREATE2, wire.create_body(f"{at}/m{n}/child", b"c")),
        (CREATE, wire.create_body(f"{at}/m{n}/e", b"e", flags=EPHEMERAL)),
        (CREATE, wire.create_body(f"{at}/m{n}/s-", b"s", flags=SEQUENTIAL)),
        (CREATE_CONTAINER, wire.create_body(f"{at}/m{n}/box", b"", flags=CONTAINER)),
        (wire.DELETE, delete_body(f"{at}/m{n}/child", 0)),
    ]
    a.story.owners[f"{at}/m{n}/box"] = CONTAINER_OWNER
    if a.story.extended:
        body = wire.create_body(f"{at}/m{n}/ttl", b"t", flags=TTL, ttl=_TTL_MS)
        done.append((CREATE_TTL, body))
        a.story.owners[f"{at}/m{n}/ttl"] = _TTL_TAG | _TTL_MS
    if n > 1:
        done.append((wire.SET_DATA, set_body(f"{at}/m{n - 1}", b"of the next round")))
        done.append((wire.DELETE, delete_body(f"{at}/m{n - 1}/e")))
    not_done: list[list[Request]] = [
        [(CREATE, wire.create_body(f"{at}/no{n}")), (wire.CHECK, wire.text(f"{at}/m{n}") + wire.i32(99))],
        [
            (wire.SET_DATA, set_body(f"{at}/m{n}", b"never")),
            (wire.DELETE, delete_body(f"{at}/absent")),
            (CREATE, wire.create_body(f"{at}/no{n}")),
        ],
    ]
    for ops, fails in ((done, False), (not_done[0], True), (not_done[1], True)):
        answer = a.client.call(wire.MULTI, wire.multi_body(ops))
        failed = bool(answer.err) or answer.body[:4] == wire.i32(-1)
        if failed != fails:
            a.problem(f"a multi {'failed' if failed else 'did not fail'}: {answer.body[:60].hex()}")
    a.client.call(wire.MULTI, wire.multi_body([]))


def _errors(a: Author) -> None:
    """Requests that are refused, which the log keeps as such."""
    at = f"/errors/{a.round}"
    a.create(at)
    a.create(f"{at}/there", b"x")
    a.create(f"{at}/e", flags=EPHEMERAL)
    a.create(f"{at}/there", err=NODE_EXISTS)
    a.create(f"{at}/no/parent", err=NO_NODE)
    a.create(f"{at}/e/below", err=NO_CHILDREN_FOR_EPHEMERALS)
    a.create(f"{at}/bad", acl=[], err=INVALID_ACL)
    a.delete(f"{at}/absent", err=NO_NODE)
    a.delete(at, err=NOT_EMPTY)
    a.set(f"{at}/there", b"y", version=7, err=BAD_VERSION)
    a.set(f"{at}/absent", b"", err=NO_NODE)
    a.set_acl(f"{at}/absent", OPEN, err=NO_NODE)
    a.create(f"{at}/locked", acl=[(31, "digest", "nobody:nothing")])
    guest = Client.connect(a.address, 20_000)
    if guest is None:
        a.problem("no session for a guest")
        return
    answers = guest.calls(
        [
            (wire.SET_DATA, set_body(f"{at}/locked", b"")),
            (CREATE2, wire.create_body(f"{at}/locked/in")),
            (CREATE2, wire.create_body(f"{at}/of-a-guest", b"", flags=EPHEMERAL)),
            (CREATE2, wire.create_body(f"{at}/of-a-guest-too", b"", flags=EPHEMERAL_SEQUENTIAL)),
        ]
    )
    if [answer.err for answer in answers] != [NO_AUTH, NO_AUTH, 0, 0]:
        a.problem(f"a guest got the errors {[answer.err for answer in answers]}")
    guest.close()
    a.create(f"{at}/of-a-guest", b"now persistent")


def _changes(a: Author) -> None:
    """Znodes that change often, go, and come again."""
    at = f"/changes/{a.round}"
    a.create(at)
    names = [f"{at}/{number}" for number in range(12)]
    a.all(_creates(names, b"0"))
    a.all((wire.SET_DATA, set_body(path, f"{turn}")) for turn in range(3) for path in names[::2])
    a.all(
        (wire.SET_ACL, acl_body(path, [(turn, "world", "anyone")])) for turn in (1, 3) for path in names[1::3]
    )
    a.all((wire.DELETE, delete_body(path)) for path in names[::3])
    a.all(_creates(names[::6], b"again"))
    if a.round > 1:
        before = f"/changes/{a.round - 1}"
        a.set(f"{before}/0", b"later")
        a.set(f"{before}/2", b"later", version=3)
        a.delete(f"{before}/10", version=3)
        a.create(f"{before}/3", b"again")
        a.set(before, f"round {a.round}")


def _built_in(a: Author) -> None:
    """The znodes that every server has from the beginning."""
    n = a.round
    a.set("/zookeeper", f"round {n}")
    a.set("/", f"root of round {n}")
    a.set_acl("/", [(31, "world", "anyone"), (1, "digest", f"round{n}:x")])
    a.set_acl("/zookeeper/quota", [(31, "world", "anyone"), (1, "ip", f"10.0.0.{n}")])
    a.set_acl("/zookeeper/config", [(1 + n, "world", "anyone")])
    a.create(f"/zookeeper/own{n}", b"unusual")
    if n > 1:
        a.set(f"/zookeeper/own{n - 1}", b"changed")


GROUPS: Final[dict[str, Callable[[Author], None]]] = {
    "kinds": _kinds,
    "deep": _deep,
    "large": _large,
    "data": _data,
    "unicode": _unicode,
    "acls": _acls,
    "quotas": _quotas,
    "multis": _multis,
    "errors": _errors,
    "changes": _changes,
    "built-in": _built_in,
}
"""What is written, by the name of its group; its subtree has the same name."""

DESCRIPTIONS: Final = {
    "kinds": "persistent, ephemeral, sequential, container and TTL znodes",
    "deep": "branches of 60 znodes, parents of 60 children",
    "large": "requests as large as `jute.maxbuffer` lets through",
    "data": "empty data, null, every byte; from one to the other",
    "unicode": "names of many scripts, data outside the first plane",
    "acls": "world with all permissions, digest, ip, auth; up to 41 entries; shared and changed lists",
    "quotas": "soft and hard limits with their usage, enforced where the process is killed",
    "multis": "carried out, and refused as a whole",
    "errors": "refused requests, which stand in the log; sessions that end",
    "changes": "znodes that are set, get other ACLs, go and come again",
    "built-in": "`/`, `/zookeeper`, `/zookeeper/quota`, `/zookeeper/config`, and new ones below `/zookeeper`",
}


def group_of(path: str) -> str:
    """The group which a path belongs to."""
    first = path.split("/")[1]
    if path.startswith("/zookeeper/quota/"):
        return "quotas"
    if first.startswith("in-flight"):
        return "in flight"
    return first if first in GROUPS or first == "sessions" else "built-in"
