"""Malformed and half-right client traffic, reproducible from a seed and a number.

`make` gives an `Input`: what to send on a new connection, and whether it is a handshake of its own or comes
behind a proper one. Most inputs begin as valid traffic of every operation and are then damaged where a
decoder decides something: lengths, counts, opcodes, flags, ends of frames.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from compat import wire

LIMIT: Final = 32768
"""``jute.maxbuffer`` of the server that is attacked: small, so that the limit itself is hit often."""

LENGTHS: Final = (-(2**31), -2, -1, 0, 1, 2, 2**31 - 1, LIMIT, LIMIT + 1, 2 * LIMIT, 0x7FFFFF00)
WORDS: Final = (
    b"conf cons crst dirs dump envi gtmk ruok stmk srvr srst stat wchc wchp wchs mntr isro hash".split()
)
OPS: Final = (*range(-1, 23), *range(99, 109), -10, -11, -2, 127, 0x72756F6B, 2**31 - 1, -(2**31))
INTS: Final = (0, 1, -1, 2, 3, 4, 5, 6, 7, 2**31 - 1, -(2**31), 255)
LONGS: Final = (0, 1, -1, 2**63 - 1, -(2**63), 1 << 40, (1 << 40) - 1, -(1 << 56))


class Input(NamedTuple):
    """Pieces to send one after the other; *handshake*: behind a proper ConnectRequest."""

    kind: str
    handshake: bool
    pieces: list[bytes]


class Maker:
    """The inputs of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.random = random.Random()
        self.known: tuple[int, bytes] = (0x10000000000, bytes(16))
        """Id and password of a session that exists, for attempts to resume it."""

    def make(self, number: int) -> Input:
        """Input *number*; depends on nothing else but the seed and ``known``."""
        r = self.random
        r.seed(self._seed * 1_000_003 + number)
        (kind, maker, _) = r.choices(_KINDS, _SHARES)[0]
        handshake, pieces = maker(self)
        if r.random() < 0.15:
            pieces = self._cut_up(pieces)
        return Input(kind, handshake, pieces)

    # -- values --------------------------------------------------------------------------------------------

    def name(self) -> bytes:
        r = self.random
        return r.choice(
            (b"a", b"b", b"c", b"x-", b"%d" % r.randrange(50), "ü".encode(), "中".encode(), b"q q")
        )

    def path(self) -> bytes | None:
        r = self.random
        dice = r.random()
        if dice < 0.6:
            return b"/open/" + b"/".join(self.name() for _ in range(r.choice((1, 1, 1, 2, 3))))
        if dice < 0.7:
            return r.choice(
                (b"/", b"/open", b"/guard", b"/guard/a", b"/guard/b/c", b"/zookeeper", b"/zookeeper/quota")
            )
        if dice < 0.8:
            subtree = r.choice((b"", b"/open", b"/open/a", b"/guard", b"/open/a/b"))
            last = r.choice((b"", b"/zookeeper_limits", b"/zookeeper_stats"))
            return b"/zookeeper/quota" + subtree + last
        if dice < 0.83:
            return None
        if dice < 0.86:
            return b"/open" + b"/d" * r.choice((1, 10, 1000, 8000))
        return r.choice(
            (
                b"",
                b"x",
                b"//",
                b"/open/",
                b"/open//a",
                b"/open/.",
                b"/open/../guard/a",
                b"/open/a\0b",
                b"/open/\x01",
                b"/open/\xff\xfe",
                b"/open/\xed\xa0\x80",
                "/open/\U0001f600".encode(),
                b"/open/\xc3",
                b"\0",
                b"/open/" + b"n" * r.randrange(1, 4000),
                r.randbytes(r.randrange(40)),
                b"/zookeeper/config",
            )
        )

    def data(self) -> bytes | None:
        r = self.random
        return r.choice(
            (
                None,
                b"",
                b"v",
                r.randbytes(r.randrange(200)),
                b"count=5,bytes=10",
                b"count=1,bytes=-1=;byteHardLimit=100;countHardLimit=1",
                b"count=99999999999999999999",
                b"=,;,=count=",
                bytes(r.choice((100, 5000, LIMIT - 100))) if r.random() < 0.2 else b"w",
            )
        )

    def acl(self) -> wire.Acl:
        r = self.random
        if r.random() < 0.75:
            return wire.OPEN
        entry: list[tuple[int, str | bytes | None, str | bytes | None]] = [
            (31, "world", "anyone"),
            (r.choice(INTS), "world", "anyone"),
            (1, "world", None),
            (31, "auth", ""),
            (r.randrange(32), "auth", None),
            (31, "digest", "a:b"),
            (31, "digest", b"\xff" * r.choice((1, 100, 9000)) + b":x"),
            (31, "digest", None),
            (31, "ip", "127.0.0.1/8"),
            (31, "ip", "127.0.0.1/999"),
            (31, "ip", "::1/64"),
            (31, "ip", b"\xff"),
            (31, None, "x"),
            (31, "sasl", "x"),
            (31, "super", ""),
            (31, "x509", "CN=x"),
            (31, "", ""),
        ]
        dice = r.random()
        if dice < 0.1:
            return None
        if dice < 0.15:
            return []
        if dice < 0.2:
            return [(n, "auth", str(n)) for n in range(r.choice((10, 500)))]
        return [r.choice(entry) for _ in range(r.choice((1, 1, 2, 5)))]

    def flags(self) -> int:
        return self.random.choice((0, 0, 0, 1, 2, 3, 4, 5, 6, 7, -1, 2**31 - 1))

    def version(self) -> int:
        return self.random.choice((-1, -1, -1, 0, 1, 2**31 - 1, -(2**31)))

    # -- requests ------------------------------------------------------------------------------------------

    def body(self, op: int) -> bytes:
        """A body that fits *op*; random for one that does not exist."""
        r = self.random
        if op in (wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER):
            return wire.create_body(self.path(), self.data(), self.acl(), self.flags())
        if op == wire.CREATE_TTL:
            return wire.create_body(
                self.path(), self.data(), self.acl(), r.choice((5, 6, self.flags())), r.choice(LONGS)
            )
        if op in (wire.DELETE, wire.CHECK):
            return wire.text(self.path()) + wire.i32(self.version())
        if op == wire.SET_DATA:
            return wire.text(self.path()) + wire.text(self.data()) + wire.i32(self.version())
        if op == wire.SET_ACL:
            return wire.text(self.path()) + wire.acls(self.acl()) + wire.i32(self.version())
        if op in (wire.EXISTS, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2):
            return wire.read_body(self.path(), r.choice((0, 0, 1, 255)))
        if op in (
            wire.GET_ACL,
            wire.SYNC,
            wire.GET_EPHEMERALS,
            wire.GET_ALL_CHILDREN_NUMBER,
            wire.DELETE_CONTAINER,
        ):
            return wire.text(self.path())
        if op in (wire.ADD_WATCH, wire.CHECK_WATCHES, wire.REMOVE_WATCHES):
            return wire.text(self.path()) + wire.i32(r.choice(INTS))
        if op in (wire.MULTI, wire.MULTI_READ):
            return self.multi(op)
        if op in (wire.SET_WATCHES, wire.SET_WATCHES2):
            lists = [self.paths() for _ in range(r.choice((3, 5, 5, 2, 0)))]
            return wire.i64(r.choice(LONGS)) + b"".join(lists)
        if op == wire.AUTH:
            scheme = r.choice(
                ("digest", "digest", "ip", "world", "super", "sasl", "x509", "", None, b"\xff", "ensemble")
            )
            secret = r.choice((b"a:b", b"", None, b"u:" + r.randbytes(20), b"\xff\xfe", b":", b"super:wrong"))
            return wire.i32(r.choice(INTS)) + wire.text(scheme) + wire.text(secret)
        if op == wire.SASL:
            return wire.text(r.choice((None, b"", r.randbytes(50))))
        if op == wire.RECONFIG:
            servers = [r.choice((None, "", "server.1=h:1:2", "\n")) for _ in range(3)]
            return b"".join(map(wire.text, servers)) + wire.i64(r.choice(LONGS))
        if op in (wire.PING, wire.CLOSE_SESSION, wire.WHO_AM_I):
            return b""
        return r.randbytes(r.randrange(60))

    def paths(self) -> bytes:
        r = self.random
        if r.random() < 0.1:
            return wire.i32(r.choice(LENGTHS))
        return wire.texts(self.path() for _ in range(r.choice((0, 1, 3, 40))))

    def multi(self, op: int, depth: int = 0) -> bytes:
        r = self.random
        if op == wire.MULTI_READ:
            choices: tuple[int, ...] = (wire.GET_DATA, wire.GET_CHILDREN)
        else:
            choices = (
                wire.CREATE,
                wire.CREATE2,
                wire.DELETE,
                wire.SET_DATA,
                wire.CHECK,
                wire.CREATE_CONTAINER,
            )
        ops: list[tuple[int, bytes]] = []
        for _ in range(r.choice((0, 1, 2, 3, 10, 300 if r.random() < 0.2 else 5))):
            kind = r.choice(choices) if r.random() < 0.95 else r.choice(OPS)
            ops.append((kind, self.body(kind) if kind not in (wire.MULTI, wire.MULTI_READ) else b""))
        if depth < 3 and r.random() < 0.08:
            ops.append((r.choice((wire.MULTI, wire.MULTI_READ)), self.multi(op, depth + 1)))
        body = wire.multi_body(ops)
        if r.random() < 0.1:
            body = body[:-9]  # without an end
        if r.random() < 0.05:
            body += body
        return body

    def frame(self) -> bytes:
        r = self.random
        dice = r.random()
        if dice < 0.3:
            op = r.choice((wire.CREATE, wire.CREATE2, wire.SET_DATA, wire.DELETE, wire.MULTI, wire.GET_DATA))
        else:
            op = r.choice(OPS) if dice < 0.45 else r.choice(OPS[2:24]) if dice < 0.8 else r.choice(OPS[25:33])
        xid = r.choice((1, 2, 3, 0, -1, -2, -4, -8, r.getrandbits(31)))
        return wire.request(xid, op, self.body(op))

    def frames(self) -> list[bytes]:
        return [self.frame() for _ in range(self.random.choice((1, 1, 1, 2, 4, 12)))]

    # -- damage --------------------------------------------------------------------------------------------

    def damage(self, data: bytes, keep: int = 0) -> bytes:
        """*data* with one or a few faults, not in its first *keep* bytes."""
        r = self.random
        out = bytearray(data)
        for _ in range(r.choice((1, 1, 1, 2, 5))):
            if len(out) <= keep:
                break
            at = r.randrange(keep, len(out))
            fault = r.randrange(7)
            if fault == 0:
                out[at] ^= 1 << r.randrange(8)
            elif fault == 1:
                del out[at:]
            elif fault == 2:
                out[at:at] = r.randbytes(r.choice((1, 4, 30)))
            elif fault == 3:
                del out[at : at + r.choice((1, 2, 4, 8))]
            elif fault == 4 and len(out) - keep >= 4:
                # Lengths lie wherever a small big-endian int does.
                spots = [i for i in range(keep, len(out) - 3) if not out[i] and not out[i + 1]] or [keep]
                struct.pack_into(">i", out, min(r.choice(spots), len(out) - 4), r.choice(LENGTHS))
            elif fault == 5:
                out[at] = r.choice((0, 0xFF, 0x7F, 0x80))
            else:
                end = min(len(out), at + r.randrange(1, 40))
                out[at:end] = out[at:end] * 2
        return bytes(out)

    def _cut_up(self, pieces: list[bytes]) -> list[bytes]:
        r = self.random
        data = b"".join(pieces)
        out = []
        for _ in range(r.choice((1, 3, 8))):
            size = r.choice((1, 2, 3, 4, 5, 11, 12, 13, 100))
            out.append(data[:size])
            data = data[size:]
        return [piece for piece in (*out, data) if piece]

    # -- kinds of inputs: (behind a handshake, pieces) -----------------------------------------------------

    def noise(self) -> tuple[bool, list[bytes]]:
        r = self.random
        return r.random() < 0.5, [r.randbytes(r.choice((0, 1, 3, 4, 5, 12, 50, 500, 5000)))]

    def valid(self) -> tuple[bool, list[bytes]]:
        return True, self.frames()

    def mutated(self) -> tuple[bool, list[bytes]]:
        frames = self.frames()
        victim = self.random.randrange(len(frames))
        # Half of the time the frame's own length stays right, so that the record's decoder gets the damage.
        if self.random.random() < 0.5:
            damaged = self.damage(frames[victim][4:], 8)
            frames[victim] = wire.i32(len(damaged)) + damaged
        else:
            frames[victim] = self.damage(frames[victim])
        return True, frames

    def length(self) -> tuple[bool, list[bytes]]:
        r = self.random
        frame = self.frame()
        return r.random() < 0.7, [wire.i32(r.choice(LENGTHS)) + frame[4:], *self.frames()]

    def opcode(self) -> tuple[bool, list[bytes]]:
        r = self.random
        frame = bytearray(self.frame())
        struct.pack_into(">i", frame, 8, r.choice(OPS))
        return True, [bytes(frame), *self.frames()]

    def order(self) -> tuple[bool, list[bytes]]:
        r = self.random
        frames = self.frames() + self.frames()
        r.shuffle(frames)
        frames += frames[: r.randrange(4)]
        if r.random() < 0.5:
            frames[-1] = frames[-1][: r.randrange(len(frames[-1]))]
        if r.random() < 0.3:
            frames.insert(r.randrange(len(frames)), self.connect_frame())
        if r.random() < 0.3:
            frames.insert(r.randrange(len(frames)), wire.request(9, wire.CLOSE_SESSION))
        return r.random() < 0.9, frames

    def big(self) -> tuple[bool, list[bytes]]:
        r = self.random
        size = r.choice((LIMIT - 1, LIMIT, LIMIT + 1, LIMIT - 8))
        op = r.choice((wire.CREATE, wire.SET_DATA, wire.SET_WATCHES, wire.MULTI, wire.AUTH, wire.GET_DATA))
        body = self.body(op)[:size]
        body += r.choice((b"\0", b"\xff", b"/"))[:1] * max(0, size - 8 - len(body))
        return r.random() < 0.9, [wire.request(1, op, body), self.frame()]

    def connect_frame(self) -> bytes:
        r = self.random
        session, password = self.known
        return wire.connect_frame(
            protocol=r.choice(INTS),
            zxid=r.choice((0, 0, 0, *LONGS)),
            timeout_ms=r.choice((4000, 0, -1, 2**31 - 1, -(2**31))),
            session=r.choice((0, 0, 0, session, session + 1, *LONGS)),
            password=r.choice((bytes(16), None, b"", password, r.randbytes(40))),
            read_only=r.choice((b"", b"\0", b"\1", b"\xff", b"\0\0\0")),
        )

    def handshake(self) -> tuple[bool, list[bytes]]:
        r = self.random
        data = self.connect_frame()
        if r.random() < 0.5:
            data = self.damage(data)
        return False, [data, *self.frames()]

    def word(self) -> tuple[bool, list[bytes]]:
        r = self.random
        word = r.choice((*WORDS, b"\xff\xf4\xff\xfd", b"RUOK", b"kill", b"ruo"))
        return r.random() < 0.05, [word + r.choice((b"", b"\n", r.randbytes(8), b"\0" * 8, self.frame()))]

    def other_protocol(self) -> tuple[bool, list[bytes]]:
        r = self.random
        return r.random() < 0.2, [
            r.choice(
                (
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"POST /commands/stat HTTP/1.0\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + r.randbytes(100),
                    b"SSH-2.0-OpenSSH_9\r\n",
                    b"*1\r\n$4\r\nPING\r\n",
                    struct.pack(">qqi", 1, -65536, 20) + b"host:3888",
                )
            )
        ]


Kind = Callable[[Maker], tuple[bool, list[bytes]]]
_KINDS: Final[tuple[tuple[str, Kind, float], ...]] = (
    ("mutated", Maker.mutated, 0.35),
    ("valid", Maker.valid, 0.15),
    ("handshake", Maker.handshake, 0.12),
    ("length", Maker.length, 0.10),
    ("order", Maker.order, 0.08),
    ("opcode", Maker.opcode, 0.06),
    ("word", Maker.word, 0.05),
    ("noise", Maker.noise, 0.05),
    ("big", Maker.big, 0.02),
    ("other protocol", Maker.other_protocol, 0.02),
)
_SHARES: Final = [share for _, _, share in _KINDS]
