"""Composition: everything a server consists of, built from a configuration, started and stopped."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from zkpy import realports
from zkpy.config import Config
from zkpy.errors import ConfigError
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.ports import Disk, MonotonicClock, Random, WallClock
from zkpy.server.service import Service
from zkpy.server.transport import EpollTransport
from zkpy.tree.datatree import DataTree
from zkpy.tree.znode import OwnerRules

if TYPE_CHECKING:
    from zkpy.persist.store import Store

logger: Final = logging.getLogger("zkpy")

LISTEN_BACKLOG: Final = 1024
PORTS_TO_TRY: Final = 100
ANY_ADDRESS: Final = ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")
"""Hosts that mean all addresses of this machine."""


class Node:
    """One running server.

    ``port`` is the port that is really listened on, ``hosts`` the connect string for clients on this machine.
    """

    def __init__(self, config: Config, service: Service, listener: socket.socket | None) -> None:
        self.config: Final = config
        self._listens_at = config.client_port, config.client_port_address
        self.service: Final = service
        self.ready: Final = trio.Event()
        """Clients can connect; a member of an ensemble waits for a leader first."""
        self.host, self.port = _bound_to(listener)

    def move_clients(self, transport: EpollTransport, host: str, port: int) -> None:
        """Listen for clients at *host* and *port* (an ensemble's members say so) and nowhere else.

        When that address cannot be used it is logged, and the server goes on without any.
        """
        config = attrs.evolve(
            self.config,
            client_port=port,
            client_port_address=None if host in ANY_ADDRESS else host,
        )
        if (config.client_port, config.client_port_address) == self._listens_at:
            return
        self._listens_at = config.client_port, config.client_port_address
        transport.listen_on([])
        try:
            listener = listen(config)
        except (ConfigError, OSError) as error:
            logger.error("clients cannot come any more: %s", error)
            self.service.facts.client_port = -1
            return
        transport.listen_on([listener])
        self.host, self.port = _bound_to(listener)
        self.service.facts.client_port = self.port
        logger.info("clients are listened for at %s", self.hosts)

    @property
    def server(self) -> ZooKeeperServer:
        """The core that serves at present."""
        return self.service.server

    @property
    def hosts(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def new_tree(config: Config) -> DataTree:
    """An empty tree that understands owners and digests as *config* says."""
    return DataTree(OwnerRules(config.extended_types_enabled, config.emulate_353_ttl), config.digest_enabled)


@contextlib.asynccontextmanager
async def running(
    config: Config,
    *,
    any_port: bool = False,
    listener: socket.socket | None = None,
    last_zxid: int = 0,
    own_loop: bool = False,
    disk: Disk | None = None,
    wall_ms: WallClock = realports.wall_ms,
    clock: MonotonicClock = realports.monotonic,
    random: Random | None = None,
) -> AsyncIterator[Node]:
    """A server for the time of the block; clients can connect when it begins.

    *any_port* takes the next free port when the configured one is in use; *listener* is listened on instead
    of the configured port, and closed in the end. A server in memory counts its zxids on from *last_zxid*.
    *own_loop* says that the event loop has nothing else to do than to run this server.

    Raises:
        ConfigError: the client port cannot be used.
        DataDirError, CorruptLogError: the stored data cannot be used.
        StorageError: while running, the log could not be written; nothing was acknowledged after that.
    """
    random = random or realports.new_random()
    with contextlib.ExitStack() as stack:
        if listener is not None:
            stack.enter_context(listener)
        elif config.client_port is not None:
            # The port first: two servers that are started on one directory by mistake must not both open it.
            listener = stack.enter_context(listen(config, any_port=any_port))
        store: Store | None = None
        own_disk: Disk | None = None
        if not config.memory_only:
            from zkpy.persist.store import Store

            own_disk = disk or stack.enter_context(contextlib.closing(realports.RealDisk()))
            store = Store(config, own_disk, random)
            stack.callback(store.close)
            tree = store.restore(lambda: new_tree(config))
        else:
            tree = new_tree(config)
            tree.last_zxid = last_zxid
        server = ZooKeeperServer(
            config,
            tree,
            log=store.log if store is not None else None,
            wall_ms=wall_ms,
            clock=clock,
            random=random,
        )
        service = Service(server)
        transport = EpollTransport(
            service,
            [listener] if listener is not None else [],
            keep_alive=config.client_tcp_keep_alive,
            linger=own_loop and not config.is_quorum,
            reports=own_disk.reports if isinstance(own_disk, realports.RealDisk) else None,
        )
        node = Node(config, service, listener)
        service.facts.client_port = node.port
        server.sync.on_sync = lambda took_ms: service.facts.observe("fsynctime", int(took_ms))
        if store is not None:
            service.facts.data_dir = store.dirs.snap_dir
            service.facts.log_dir = store.dirs.log_dir
            store.attach(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.run)
            _start(nursery, node, store)
            if config.is_quorum:
                from zkpy.member import member

                assert store is not None and own_disk is not None, "a member of an ensemble needs a disk"
                others = None, partial(node.move_clients, transport), transport
                nursery.start_soon(member, service, store, own_disk, random, node.ready, *others)
            else:
                nursery.start_soon(server.sync.run)
                node.ready.set()
            await node.ready.wait()
            yield node
            nursery.cancel_scope.cancel()


def _start(nursery: trio.Nursery, node: Node, store: Store | None) -> None:
    """What runs beside the requests."""
    nursery.start_soon(_tick, node.service)
    nursery.start_soon(_sweep, node.service)
    if node.config.jvm_pause_monitor:
        nursery.start_soon(_watch_pauses, node.config, node.server.clock)
    if store is not None:
        nursery.start_soon(store.run)


async def _tick(service: Service) -> None:
    """Expire sessions at the boundaries of ticks, where their buckets end; drop silent connections."""
    tick_ms = service.server.config.tick_time_ms
    while True:
        now = service.server.clock() * 1000
        await trio.sleep((tick_ms - now % tick_ms) / 1000 + 0.001)
        server = service.server
        if service.active and server.expire_sessions():
            while server.send_some():
                await trio.lowlevel.checkpoint()
        service.drop_sessionless()


async def _watch_pauses(config: Config, clock: MonotonicClock) -> None:
    """Log when the loop stood still (``jvm.pause.monitor``)."""
    period_ms = max(1, config.jvm_pause_sleep_time_ms)
    while True:
        before = clock()
        await trio.sleep(period_ms / 1000)
        paused_ms = (clock() - before) * 1000 - period_ms
        if paused_ms > config.jvm_pause_info_threshold_ms:
            level = logging.WARNING if paused_ms > config.jvm_pause_warn_threshold_ms else logging.INFO
            logger.log(level, "the event loop or the machine paused for approximately %d ms", paused_ms)


async def _sweep(service: Service) -> None:
    """Delete unused containers and outlived TTL znodes, at the configured period and pace."""
    config = service.server.config
    pace_s = 60 / config.container_max_per_minute if config.container_max_per_minute > 0 else 0.0
    while True:
        await trio.sleep(config.container_check_interval_ms / 1000)
        for path in service.server.collectable() if service.active else ():
            server = service.server
            logger.info("Deleting candidate container: %s", path.decode())
            server.delete_container(path)
            server.flush()
            while server.send_some():
                await trio.lowlevel.checkpoint()
            await trio.sleep(pace_s)


def listen(config: Config, *, any_port: bool = False) -> socket.socket:
    """The client port's listening socket. Raises ConfigError when the address cannot be used."""
    backlog = config.client_port_listen_backlog
    return _claim(config, any_port, backlog if backlog > 0 else LISTEN_BACKLOG)


def reserve(config: Config) -> socket.socket:
    """A socket that has the client port and does not listen: nobody else is given the port meanwhile.

    `listen` can still have it. Raises ConfigError when the address cannot be used.
    """
    return _claim(config, False, None)


def _claim(config: Config, any_port: bool, backlog: int | None) -> socket.socket:
    wanted = config.client_port
    assert wanted is not None
    ports = range(wanted, min(wanted + PORTS_TO_TRY, 65536)) if any_port and wanted else [wanted]
    for port in ports:
        try:
            sock = _bind(config.client_port_address, port, backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            line = config.lines.get("clientPort")
            raise ConfigError(
                config.file,
                line,
                f"cannot listen on {config.client_port_address or '*'}:{port}: {error.strerror or error}",
                "Choose another clientPort (0 = any free one), or stop what uses it.",
            ) from None
        if port != wanted:
            logger.warning("port %d is in use, listening on %d", wanted, port)
        return sock
    raise AssertionError("no port was tried")


def _bind(host: str | None, port: int, backlog: int | None) -> socket.socket:
    if host is None and socket.has_dualstack_ipv6():
        try:
            return _open(socket.AF_INET6, ("::", port), backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    if host is None:
        return _open(socket.AF_INET, ("0.0.0.0", port), backlog)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return _open(family, address, backlog)


def _open(family: int, address: tuple[str | int | bytes, ...], backlog: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.setblocking(False)
        sock.bind(address)
        if backlog is not None:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bound_to(listener: socket.socket | None) -> tuple[str, int]:
    if listener is None:
        return "", -1
    host, port = listener.getsockname()[:2]
    return ("127.0.0.1" if host in ("::", "0.0.0.0") else host), port
