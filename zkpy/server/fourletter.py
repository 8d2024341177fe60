"""Four-letter words: four bytes instead of a ConnectRequest, a text and the end of the stream as the answer.

::

    client          server
      word     →
               ←    text, end of stream

Formats are those of ZooKeeper 3.9.5 to the byte, its inconsistent last newlines included: programs read
them. Everything is computed from what there is at that moment; nothing here waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

from zkpy.config import Config
from zkpy.pipeline.sessions import NO_BUCKET
from zkpy.pipeline.zookeeperserver import ZooKeeperServer
from zkpy.server import facts, mntr
from zkpy.server.cnxn import DRAINING, ClientCnxn
from zkpy.server.service import Service

logger: Final = logging.getLogger("zkpy.server")

Answer = Callable[[Service, ClientCnxn, bytes], bytes | None]

_MASK_64: Final = (1 << 64) - 1
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_READING: Final = 1
_WRITING: Final = 4
_mask: Final = Struct(">q")


def answer(service: Service, cnxn: ClientCnxn, word: str, rest: bytes) -> bytes | None:
    """The answer to *word*, None for closing without one; *rest* is what arrived behind the word."""
    logger.info("Processing %s command from %s", word, _peer(cnxn))
    if not service.server.config.allows_word(word):
        return f"{word} is not executed because it is not in the whitelist.\n".encode()
    return _ANSWERS[word](service, cnxn, rest)


# -- the state of the server -------------------------------------------------------------------------------


def _ruok(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return b"imok"


def _isro(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return b"rw"


def _gtmk(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return b"%d" % service.trace_mask


def _stmk(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes | None:
    if len(rest) < _mask.size:
        return None
    (service.trace_mask,) = _mask.unpack_from(rest)
    return _gtmk(service, cnxn, rest)


def _srvr(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return f"Zookeeper version: {facts.version_text()}\n{_summary(service)}".encode()


def _stat(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    clients = "".join(f"{_brief(service, each)})\n" for each in service.cnxns)
    return (f"Zookeeper version: {facts.version_text()}\nClients:\n{clients}\n{_summary(service)}").encode()


def _summary(service: Service) -> str:
    server = service.server
    stats = server.stats
    average = mntr.average(stats.total_latency, stats.count)
    return (
        f"Latency min/avg/max: {stats.min_latency}/{average}/{stats.max_latency}\n"
        f"Received: {stats.packets_received}\n"
        f"Sent: {stats.packets_sent}\n"
        f"Connections: {len(service.cnxns)}\n"
        f"Outstanding: {server.outstanding}\n"
        f"Zxid: 0x{server.tree.last_zxid:x}\n"
        f"Mode: {server.mode}\n"
        f"Node count: {mntr.node_count(server.tree)}\n"
        f"{_proposal_sizes(server)}"
    )


def _srst(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    service.server.stats.reset()
    service.facts.reset(mntr.totals(service))
    return b"Server stats reset.\n"


def _conf(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    config = service.server.config
    around = service.facts
    data_size, log_size = around.sizes()
    return (
        f"clientPort={around.client_port}\n"
        f"secureClientPort={around.secure_client_port}\n"
        f"dataDir={around.data_dir}\n"
        f"dataDirSize={data_size}\n"
        f"dataLogDir={around.log_dir}\n"
        f"dataLogSize={log_size}\n"
        f"tickTime={config.tick_time_ms}\n"
        f"maxClientCnxns={config.max_client_cnxns}\n"
        f"minSessionTimeout={config.min_session_timeout_ms}\n"
        f"maxSessionTimeout={config.max_session_timeout_ms}\n"
        f"clientPortListenBacklog={config.client_port_listen_backlog}\n"
        f"serverId={config.ensemble.my_id if config.is_quorum else 0}\n"
        f"{_membership(config) if config.is_quorum else ''}"
    ).encode()


def _proposal_sizes(server: ZooKeeperServer) -> str:
    sizes = server.proposal_sizes
    return f"Proposal sizes last/min/max: {sizes[0]}/{sizes[1]}/{sizes[2]}\n" if sizes else ""


def _membership(config: Config) -> str:
    """What ``conf`` says of an ensemble; the text has no line end."""
    from zkpy.quorum.quorumconfig import QuorumConfig

    ensemble = config.ensemble
    members = QuorumConfig.from_ensemble(ensemble)
    own = members.member(ensemble.my_id or 0)
    addresses = own.addresses if own is not None else ()
    return (
        f"initLimit={ensemble.init_limit_ticks}\n"
        f"syncLimit={ensemble.sync_limit_ticks}\n"
        f"electionAlg={ensemble.election_alg}\n"
        f"electionPort={'|'.join(str(address.election_port) for address in addresses) or -1}\n"
        f"quorumPort={'|'.join(str(address.quorum_port) for address in addresses) or -1}\n"
        f"peerType={int(own is not None and own.role == 'observer')}\n"
        f"membership: \n{members.text()}"
    )


def _dirs(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return b"datadir_size: %d\nlogdir_size: %d\n" % service.facts.sizes()


def _envi(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    lines = "".join(f"{key}={value}\n" for key, value in facts.environment())
    return f"Environment:\n{lines}".encode("utf-8", "surrogateescape")


def _mntr(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return mntr.render(service).encode()


def _hash(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    # Java's digest is a signed number; ours may lack its last reduction modulo 2**64.
    lines = (
        f"{zxid:x}: {(digest + (1 << 63) & _MASK_64) - (1 << 63)}\n"
        for zxid, digest in service.server.digest_log.items()
    )
    return "".join(lines).encode()


# -- connections -------------------------------------------------------------------------------------------


def _peer(cnxn: ClientCnxn) -> str:
    address = cnxn.address
    return f"/[{address}]:{cnxn.port}" if ":" in address else f"/{address}:{cnxn.port}"


def _hex(session_id: int) -> str:
    return f"0x{session_id & _MASK_64:x}"


def _brief(service: Service, cnxn: ClientCnxn) -> str:
    if cnxn.state >= DRAINING:
        interest = 0
    else:
        interest = (0 if cnxn in service.paused else _READING) | (_WRITING if cnxn.out_size else 0)
    return f" {_peer(cnxn)}[{interest:x}](queued={cnxn.queued},recved={cnxn.received},sent={cnxn.sent}"


def _full(service: Service, cnxn: ClientCnxn) -> str:
    text = _brief(service, cnxn)
    if not cnxn.session_id:
        return f"{text})\n"
    cxid = f",lcxid=0x{cnxn.last_cxid:x}" if cnxn.last_cxid >= 0 else ""
    average = cnxn.total_latency // cnxn.total_count if cnxn.total_count else 0
    return (
        f"{text},sid={_hex(cnxn.session_id)},lop={cnxn.last_op},est={cnxn.established_ms}"
        f",to={cnxn.timeout_ms}{cxid},lzxid={_hex(cnxn.last_zxid)}"
        f",lresp={int(cnxn.last_response * 1000)},llat={cnxn.last_latency},minlat={cnxn.min_latency}"
        f",avglat={average},maxlat={cnxn.max_latency})\n"
    )


def _cons(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    return ("".join(_full(service, each) for each in service.cnxns) + "\n").encode()


def _crst(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    for each in service.cnxns:
        each.reset_stats()
    return b"Connection stats reset.\n"


# -- sessions and watches ----------------------------------------------------------------------------------


def _dump(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    server = service.server
    now_ms = server.now_ms()
    to_wall = server.wall_ms() - now_ms
    if server.mode in ("follower", "observer"):
        tracked = _global_sessions(server)
    else:
        sessions = ((deadline, map(_hex, members)) for deadline, members in server.tracker.buckets())
        tracked = b"Session %b" % _expiry_sets(sessions, to_wall)
    ephemerals = server.tree.ephemerals
    parts = [
        b"SessionTracker dump:\n%b" % tracked,
        b"ephemeral nodes dump:\nSessions with Ephemerals (%d):\n" % len(ephemerals),
    ]
    for session_id, paths in ephemerals.items():
        parts.append(f"{_hex(session_id)}:\n".encode())
        parts += [b"\t%b\n" % _shown(path) for path in paths]
    parts.append(b"Connections dump:\nConnections %b" % _expiry_sets(_idle_sets(service), to_wall))
    return b"".join(parts)


def _global_sessions(server: ZooKeeperServer) -> bytes:
    """A learner does not expire sessions; it knows all of them and their time-outs."""
    known = sorted(server.tree.sessions.items())
    lines = "".join(f"{_hex(session_id)}\t{timeout_ms}ms\n" for session_id, timeout_ms in known)
    return f"Global Sessions({len(known)}):\n{lines}".encode()


def _expiry_sets(sets: Iterable[tuple[int, Iterable[str]]], to_wall: int) -> bytes:
    """``Sets (buckets)/(members):`` and each bucket; deadlines are in monotonic ms, ascending."""
    lines: list[str] = []
    buckets = 0
    total = 0
    for deadline, members in sets:
        names = list(members)
        buckets += 1
        total += len(names)
        lines.append(f"{len(names)} expire at {_java_date(deadline + to_wall)}:\n")
        lines += [f"\t{name}\n" for name in names]
    return f"Sets ({buckets})/({total}):\n{''.join(lines)}".encode()


def _idle_sets(service: Service) -> list[tuple[int, list[str]]]:
    """When Java would close each connection for its silence: its time-out, rounded up to whole intervals.

    Here connections end with their sessions and nothing keeps such a queue, so the moment of the last packet
    is taken from the statistics and the session.
    """
    server = service.server
    interval = max(1, server.config.sessionless_cnxn_timeout_ms)
    sets: dict[int, list[str]] = {}
    for cnxn in service.cnxns:
        heard_ms = int(max(cnxn.opened, cnxn.last_response) * 1000)
        session = cnxn.session
        if session is not None and session.bucket != NO_BUCKET:
            heard_ms = max(heard_ms, session.bucket - server.config.tick_time_ms - cnxn.timeout_ms)
        deadline = ((heard_ms + cnxn.timeout_ms) // interval + 1) * interval
        name = f"ip: {_peer(cnxn)} sessionId: {_hex(cnxn.session_id)}"
        sets.setdefault(deadline, []).append(name)
    return sorted(sets.items())


def _java_date(epoch_ms: int) -> str:
    """``EEE MMM dd HH:mm:ss zzz yyyy`` in the server's time zone, with English names whatever the locale."""
    at = time.localtime(epoch_ms // 1000)
    return (
        f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday:02d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {at.tm_zone} {at.tm_year}"
    )


def _wchs(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    watches = service.server.watches
    return b"%d connections watching %d paths\nTotal watches:%d\n" % (
        watches.data_watcher_count,
        watches.data_path_count,
        watches.data_count,
    )


def _wchc(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    parts: list[bytes] = []
    for watcher, paths in service.server.watches.data_by_watcher():
        parts.append(f"{_hex(watcher.session_id)}\n".encode())
        parts += [b"\t%b\n" % _shown(path) for path in paths]
    parts.append(b"\n")
    return b"".join(parts)


def _wchp(service: Service, cnxn: ClientCnxn, rest: bytes) -> bytes:
    parts: list[bytes] = []
    for path, watchers in service.server.watches.data_by_path():
        parts.append(b"%b\n" % _shown(path))
        parts += [f"\t{_hex(watcher.session_id)}\n".encode() for watcher in watchers]
    parts.append(b"\n")
    return b"".join(parts)


def _shown(path: bytes) -> bytes:
    """A watched path as text: what is kept as two surrogates for clients is one character here."""
    if path.isascii():
        return path
    units = path.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass")
    return units.decode("utf-16", "replace").encode()


_ANSWERS: Final[dict[str, Answer]] = {
    "conf": _conf,
    "cons": _cons,
    "crst": _crst,
    "dirs": _dirs,
    "dump": _dump,
    "envi": _envi,
    "gtmk": _gtmk,
    "hash": _hash,
    "isro": _isro,
    "mntr": _mntr,
    "ruok": _ruok,
    "srst": _srst,
    "srvr": _srvr,
    "stat": _stat,
    "stmk": _stmk,
    "wchc": _wchc,
    "wchp": _wchp,
    "wchs": _wchs,
}
