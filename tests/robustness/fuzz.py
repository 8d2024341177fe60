"""``python -m tests.robustness.fuzz --count 100000``: malformed input against a real server process.

::

    each input     a connection, perhaps a handshake, the bytes, end of stream; the server has to close
    every 1,000    a clean client is answered quickly, memory, descriptors, connections and sessions are back,
                   what nobody may write is as it was, stderr shows no traceback
    in the end     the server stops when told, and its directory reads back with the digest it says

A failure names seed and number of the input and shows its bytes; ``--seed S --first N --count 1`` sends it
again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from compat import wire
from tests.robustness.generator import LIMIT, Input, Maker
from tests.robustness.harness import SUPER_DIGEST, Client, Failure, Server, defines, read_to_end, until

CLOSE_WITHIN_S: Final = 10.0
QUIET_S: Final = 0.005
CLEAN_WITHIN_S: Final = 0.5
WARM_UP: Final = 10
"""Checks until every table and arena has its size."""
WARM_UP_MARGIN: Final = 16 << 20
RSS_MARGIN: Final = 4 << 20
FD_MARGIN: Final = 4
CHECK_EVERY: Final = 1000
PROTECTED: Final[wire.Acl] = [(1, "world", "anyone"), (31, "digest", SUPER_DIGEST)]

SETTINGS: Final = (
    f"-Djute.maxbuffer={LIMIT}",
    *defines(
        snapCount=1000,
        preAllocSize=64,
        forceSync="no",
        extendedTypesEnabled="true",
        DigestAuthenticationProvider__superDigest=SUPER_DIGEST,
    ),
)


class Fuzzer:
    """One server and the inputs it was sent. *work* is an empty directory."""

    def __init__(self, work: Path, seed: int, fault: str | None = None, every: int = CHECK_EVERY) -> None:
        config = work / "zoo.cfg"
        config.write_text(
            f"dataDir={work / 'data'}\ntickTime=200\nmaxSessionTimeout=800\nmaxClientCnxns=0\nclientPort=0\n"
            "clientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\nadmin.enableServer=false\n"
        )
        self.seed = seed
        self.every = every
        self.count = 0
        self.slowest_s = 0.0
        self.rss: list[int] = []
        self.server = Server(work, *SETTINGS, str(config), fault=fault)
        self._work = work
        self._maker = Maker(seed)
        self._last = -1
        with self._guard() as guard:
            for path in ("/guard", "/guard/a", "/guard/b", "/guard/b/c"):
                guard.ok(wire.CREATE, wire.create_body(path, path * 3, PROTECTED))
            guard.ok(wire.CREATE, wire.create_body("/open", b""))
            for path in ("/", "/zookeeper"):
                guard.ok(wire.SET_ACL, wire.text(path) + wire.acls(PROTECTED) + wire.i32(-1))
            self._print = self._fingerprint(guard)
            _furnish(guard)
        self._fds = self.server.fds()

    def _guard(self) -> Client:
        client = self.server.client(timeout_ms=60000)
        client.auth()
        return client

    # -- attacking -----------------------------------------------------------------------------------------

    def run(self, first: int, count: int) -> None:
        """Send inputs *first* to *first* + *count* - 1, checking on the way and at the end."""
        for number in range(first, first + count):
            self._last = number
            case = self._maker.make(number)
            try:
                self.send(case)
            except (OSError, Failure) as error:
                raise self._failure(case, error) from error
            self.count += 1
            if self.count % self.every == 0 or number == first + count - 1:
                try:
                    self.check()
                except (OSError, Failure, AssertionError) as error:
                    raise self._failure(case, error) from error

    def _failure(self, case: Input, error: BaseException) -> Failure:
        if not isinstance(error, Failure):
            with contextlib.suppress(subprocess.TimeoutExpired):  # it may be dying
                self.server.process.wait(2)
        data = b"".join(case.pieces).hex()
        shown = data if len(data) < 4000 else f"{data[:4000]}... ({len(data) // 2} bytes)"
        return Failure(
            f"{error or type(error).__name__}\nafter input --seed {self.seed} --first {self._last} "
            f"({case.kind}, {'behind a handshake' if case.handshake else 'alone'}): {shown}\n"
            f"the server's stderr ends with:\n{self.server.stderr()[-3000:]}"
        )

    def send(self, case: Input) -> None:
        """One input on a connection of its own. Raises Failure when the server does not close that."""
        sock = self.server.connect(CLOSE_WITHIN_S)
        try:
            if case.handshake:
                client = Client(sock)
                self._maker.known = client.session, client.password
            many = len(case.pieces) > 1 and max(map(len, case.pieces)) < 1000
            for piece in case.pieces if many else [b"".join(case.pieces)]:
                _feed(sock, piece)
            if self._last % 4 == 0:
                # Let it answer: else the end of the stream mostly comes before the writes are synced.
                while select.select([sock], [], [], QUIET_S)[0] and sock.recv(65536):
                    pass
            sock.shutdown(socket.SHUT_WR)
            read_to_end(sock)
        except (BrokenPipeError, ConnectionError) as error:
            if not self.server.alive():
                raise Failure("the server ended") from error
        except TimeoutError:
            raise Failure(f"not closed within {CLOSE_WITHIN_S} s") from None
        except OSError:  # shutdown after the server's reset
            if not self.server.alive():
                raise
        finally:
            sock.close()

    # -- checking ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The server is as good as new. Raises Failure."""
        server = self.server
        if not server.alive():
            raise Failure(f"the server ended with status {server.process.poll()}")
        until(
            lambda: (
                server.monitor()["zk_global_sessions"] == "0"
                and server.monitor()["zk_num_alive_connections"] == "1"
            ),
            "sessions and connections back to none",
        )
        with self._guard() as guard:
            took = min(guard.ping() for _ in range(3))
            self.slowest_s = max(self.slowest_s, took)
            if took > CLEAN_WITHIN_S:
                raise Failure(f"a clean client waits {took:.3f} s")
            if self._fingerprint(guard) != self._print:
                raise Failure("what nobody may write has changed")
            for root in (b"/open", b"/zookeeper/quota"):
                _clear(guard, root)
            _furnish(guard)
        monitor = server.monitor()
        if monitor["zk_watch_count"] != "0" or monitor["zk_ephemerals_count"] != "0":
            raise Failure("watches or ephemerals are left")
        if monitor["zk_outstanding_requests"] != "0":
            raise Failure("requests are left")
        if server.fds() > self._fds + FD_MARGIN:
            raise Failure(f"{server.fds()} descriptors instead of {self._fds}")
        if "Traceback" in server.stderr():
            raise Failure("a traceback on stderr")
        self.rss.append(server.rss())
        if len(self.rss) <= WARM_UP:
            bound = self.rss[0] + WARM_UP_MARGIN
        else:
            bound = max(self.rss[:WARM_UP]) + RSS_MARGIN
        if self.rss[-1] > bound:
            raise Failure(f"resident memory went from {self.rss[0] >> 10} KiB to {self.rss[-1] >> 10} KiB")

    def _fingerprint(self, client: Client) -> str:
        found = hashlib.sha256()
        todo = [b"/"]
        while todo:
            path = todo.pop()
            data = client.ok(wire.GET_DATA, wire.read_body(path))
            if path in (b"/", b"/zookeeper"):
                data = b""  # their own children come and go
            found.update(path + b"\0" + data + client.ok(wire.GET_ACL, wire.text(path))[:-68])
            for name in reversed(client.children(path)):
                child = (b"" if path == b"/" else path) + b"/" + name
                if child not in (b"/open", b"/zookeeper/quota"):
                    todo.append(child)
        return found.hexdigest()

    def finish(self) -> None:
        """Stop the server and read its directory."""
        from zkpy.persist.txnsnaplog import DataDir
        from zkpy.realports import RealDisk
        from zkpy.tree.datatree import DataTree
        from zkpy.tree.znode import OwnerRules

        if self.server.terminate() != 0:
            raise Failure(f"the server did not stop properly\n{self.server.stderr()}")
        with RealDisk() as disk:
            data = DataDir(disk, str(self._work / "data"), max_entry=2 * LIMIT)
            restored = data.restore(lambda: DataTree(OwnerRules(True)), repair=False)
        tree = restored.tree
        if restored.digest_mismatches or tree.recompute_digest() != tree.digest:
            raise Failure("the directory reads back with another digest")

    def close(self) -> None:
        self.server.kill()


def _feed(sock: socket.socket, data: bytes) -> None:
    """Send, and read away what comes meanwhile: neither side may block the other."""
    rest = memoryview(data)
    while rest:
        readable, writable, _ = select.select([sock], [sock], [], CLOSE_WITHIN_S)
        if not readable and not writable:
            raise TimeoutError
        if readable and not sock.recv(65536):
            raise BrokenPipeError
        if writable:
            rest = rest[sock.send(rest[:65536]) :]


def _furnish(client: Client) -> None:
    """Something to read, change and delete."""
    for path in (b"/open/a", b"/open/a/b", b"/open/b", b"/open/b/a", b"/open/b/c", b"/open/c"):
        client.ok(wire.CREATE, wire.create_body(path, path))


def _clear(client: Client, root: bytes) -> None:
    """Delete everything below *root*, children first."""
    todo = [root]
    found: list[bytes] = []
    while todo:
        path = todo.pop()
        found.append(path)
        todo += [path + b"/" + name for name in client.children(path)]
    for path in reversed(found[1:]):
        client.ok(wire.DELETE, wire.text(path) + wire.i32(-1))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--fault", help="a fault of tests.robustness.broken")
    args = parser.parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zkpy-fuzz-") as work:
        fuzzer = Fuzzer(Path(work), args.seed, args.fault)
        try:
            done = 0
            while done < args.count:
                some = min(10 * CHECK_EVERY, args.count - done)
                fuzzer.run(args.first + done, some)
                done += some
                print(
                    f"{done} inputs, {time.monotonic() - started:.0f} s, RSS {fuzzer.rss[-1] >> 10} KiB, "
                    f"slowest clean answer {fuzzer.slowest_s * 1000:.2f} ms",
                    flush=True,
                )
            fuzzer.finish()
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
        finally:
            fuzzer.close()
    print(
        f"{done} inputs, seed {args.seed}: no crash, no hang; RSS {fuzzer.rss[0] >> 10} KiB at "
        f"the first check, {max(fuzzer.rss[:WARM_UP]) >> 10} KiB after {WARM_UP}, "
        f"{fuzzer.rss[-1] >> 10} KiB in the end"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
