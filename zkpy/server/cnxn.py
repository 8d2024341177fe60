"""One client connection, without I/O: bytes come in, bytes come out.

::

    client                         server
      ConnectRequest          →
                              ←    ConnectResponse          (or a four-letter word and its answer)
      header, request         →
      header, request ...     →
                              ←    header, response ...     in order of the requests
                              ←    notifications            before the reply that could reveal the change
      closeSession            →
                              ←    header, end of stream

``receive`` cuts all complete frames out of what arrived and answers what can be answered at once; the
transport then sends everything with one call. The commonest reads are answered here from bytes that the
znodes keep ready, and give the same bytes as the handlers in ``zkpy.pipeline.final``.

A read behind an unfinished write of the same session waits for it in ``_queue``.
"""

from __future__ import annotations

import logging
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Final

from zkpy import opcodes
from zkpy.errors import Code, KeeperError, ProtocolError
from zkpy.pipeline import final
from zkpy.pipeline.readgate import Barrier
from zkpy.pipeline.request import Request
from zkpy.pipeline.sessions import Session
from zkpy.pipeline.zookeeperserver import ASKED
from zkpy.server import authentication, handshake
from zkpy.server.channel import GONE, Channel
from zkpy.tree.acl import READ, Identities
from zkpy.tree.datatree import Result

if TYPE_CHECKING:
    from zkpy.server.service import Service

logger: Final = logging.getLogger("zkpy.server")

UNSENT_PAUSE: Final = 4 << 20
"""With more bytes than this unsent, or owed to waiting reads, no further request of it is handled."""

UNSENT_CLOSE: Final = 16 << 20
"""With more unsent bytes than this the connection is closed."""

NEW: Final = 0  # nothing but the first frame or word is expected
CONNECTING: Final = 1  # its session is being created
OPEN: Final = 2
DRAINING: Final = 3  # no more input is handled, unfinished writes are still answered
CLOSING: Final = 4  # what is queued goes out, then the end
CLOSED: Final = 5

_head: Final = Struct(">iii").unpack_from  # frame length, xid, opcode
_length: Final = Struct(">i").unpack_from
_pack_reply: Final = final.REPLY.pack
_pack_data: Final = Struct(">iiqii").pack  # a reply header and the length of the data behind it

_OK: Final = 0


class ClientCnxn:
    """The server's side of one client connection.

    ``out`` holds encoded frames for the transport to take; ``out_size`` counts them and what the transport
    could not send yet. *address* is the peer's address as ACLs write it, *port* completes it for ``cons``.
    """

    __slots__ = (
        "_barrier",
        "_buffer",
        "_owed",
        "_paused",
        "_plain",
        "_queue",
        "_read_only",
        "_service",
        "_want",
        "address",
        "channel",
        "dirty",
        "established_ms",
        "identities",
        "last_cxid",
        "last_latency",
        "last_op",
        "last_response",
        "last_zxid",
        "max_latency",
        "min_latency",
        "number",
        "opened",
        "out",
        "out_size",
        "port",
        "received",
        "sent",
        "session",
        "session_id",
        "state",
        "timeout_ms",
        "total_count",
        "total_latency",
    )

    def __init__(self, service: Service, channel: Channel, address: str, port: int) -> None:
        self._service = service
        self.channel: Channel = channel
        self.address = address
        self.port = port
        self.number = 0
        self.identities: Identities = (("ip", address),)
        self.session: Session | None = None
        self.session_id = 0
        self.timeout_ms = 0
        self._read_only = b""  # the last byte of the answer to a ConnectRequest, if its client knows it
        self.state = NEW
        self.out: list[bytes] = []
        self.out_size = 0
        self.dirty = False
        self._queue: deque[Request | Barrier | tuple[int, int, bytes, int]] = deque()
        self._owed = 0  # bytes that the answers to waiting reads will have, roughly
        self._buffer = bytearray()
        self._want = 4
        self._paused = False
        self._plain = not (service.enforced_schemes or service.gated)
        self._barrier: Barrier | None = None  # before the newest read that has to be confirmed
        self.opened = service.server.clock()
        self.received = 0
        self.sent = 0
        self.established_ms = service.server.wall_ms()
        self.reset_stats()

    def reset_stats(self) -> None:
        """``crst``."""
        self.received = 0
        self.sent = 0
        self.last_op = "NA"
        self.last_cxid = -1
        self.last_zxid = -1
        self.last_response = 0.0
        self.last_latency = 0
        self.min_latency = 0
        self.max_latency = 0
        self.total_latency = 0
        self.total_count = 0

    def __repr__(self) -> str:
        return f"<ClientCnxn /{self.address}:{self.port} session 0x{self.session_id & (1 << 64) - 1:x}>"

    @property
    def queued(self) -> int:
        """Requests that were read and not answered."""
        return len(self._queue)

    # -- input ---------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Handle what arrived."""
        if self.state >= DRAINING:
            return
        buffer = self._buffer
        if buffer:
            # A frame that comes in many pieces costs by its length, not by the number of its pieces.
            buffer += data
            if len(buffer) < self._want or self._paused:
                return
            data = bytes(buffer)
            buffer.clear()
        try:
            if self.state == OPEN:
                self._process(data)
            else:
                self._process_first(data)
        except ProtocolError as error:
            self.disconnect(str(error))

    def _keep(self, rest: bytes) -> None:
        """Keep an incomplete frame, whose length is checked before anything is allocated for it."""
        self._want = 4
        if len(rest) >= 4:
            (size,) = _length(rest)
            if not 8 <= size <= self._service.max_frame:
                raise ProtocolError(
                    f"a frame of {size} bytes is malformed or larger than jute.maxbuffer="
                    f"{self._service.max_frame}"
                )
            self._want = size + 4
        self._buffer += rest

    def _process(self, data: bytes) -> None:
        service = self._service
        server = service.server
        session = self.session
        assert session is not None
        if session.closing:
            return
        tree = server.tree
        nodes_get = tree.nodes.get
        stat_of = tree.stat
        watches = server.watches
        zxid = tree.last_zxid
        queue = self._queue
        plain = self._plain
        out = self.out
        append = out.append
        allowance = UNSENT_PAUSE - self.out_size
        spent = 0
        max_frame = service.max_frame
        pos = 0
        end = len(data)
        count = 0
        answered = 0
        xid = 0
        op = 0
        while end - pos >= 12:
            size, xid, op = _head(data, pos)
            stop = pos + 4 + size
            if size < 8 or stop > end or size > max_frame:
                break
            count += 1
            if plain and not queue and 2 < op < 13:
                if op == 11:
                    append(_pack_reply(16, -2, zxid, _OK))
                    answered += 1
                    pos = stop
                    spent += 20
                    if spent > allowance:
                        break
                    continue
                (length,) = _length(data, pos + 12) if size >= 12 else (-1,)
                cut = pos + 16 + length
                if length > 0 and cut + 1 == stop:
                    path = data[pos + 16 : cut]
                    node = nodes_get(path)
                    if node is not None and node.acl.world & READ:
                        if op == 4:
                            if data[cut]:
                                watches.add_data(path, self)
                            value = node.data
                            stat = node.stat or stat_of(node)
                            if value:
                                length = len(value)
                                append(_pack_data(88 + length, xid, zxid, _OK, length))
                                append(value)
                                append(stat)
                                spent += length
                            else:
                                append(_pack_data(88, xid, zxid, _OK, -1 if value is None else 0) + stat)
                        elif op == 3:
                            if data[cut]:
                                watches.add_data(path, self)
                            append(_pack_reply(84, xid, zxid, _OK) + (node.stat or stat_of(node)))
                        elif op == 8 or op == 12:
                            if data[cut]:
                                watches.add_child(path, self)
                            names = node.listing or final.listing(node)
                            length = len(names)
                            if op == 8:
                                append(_pack_reply(16 + length, xid, zxid, _OK))
                                append(names)
                            else:
                                append(_pack_reply(84 + length, xid, zxid, _OK))
                                append(names)
                                append(node.stat or stat_of(node))
                            spent += length
                        else:
                            self._dispatch(op, xid, data[pos + 4 : stop])
                            pos = stop
                            continue
                        answered += 1
                        pos = stop
                        spent += 104
                        if spent > allowance:
                            break
                        continue
            if self._barrier is not None and self._holds(op):
                count -= 1
                break
            self._dispatch(op, xid, data[pos + 4 : stop])
            pos = stop
            if self.state != OPEN:
                break
            if self.out_size > UNSENT_PAUSE or self._owed > UNSENT_PAUSE:
                break
        if count:
            self.received += count
            if xid >= 0:
                self.last_cxid = xid
            self.last_op = opcodes.SHORT_NAMES.get(op, "NA")
            stats = server.stats
            stats.packets_received += count
            now = server.now
            server.tracker.touch(session, int(now * 1000))
            if answered:
                self.sent += answered
                stats.packets_sent += answered
                stats.add_latency(0, answered)
                self.last_zxid = zxid
                self.last_response = now
                self.total_count += answered
                self.last_latency = 0
                self.min_latency = 0
                self.out_size += spent
                if not self.dirty:
                    self.dirty = True
                    service.dirty.append(self)
        if self.state != OPEN:
            return
        rest = data[pos:] if pos else data
        if rest:
            if self.out_size > UNSENT_PAUSE or self._owed > UNSENT_PAUSE or self._holds(op):
                self._want = 0
                self._buffer += rest
                self._pause()
            else:
                self._keep(rest)
        if queue and server.outstanding > service.outstanding_limit:
            self._pause()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._service.paused[self] = None
            self.channel.pause()

    def ready(self) -> bool:
        """Whether a paused connection may go on: little is unsent, and it is not one that overloads us."""
        service = self._service
        return (
            self.out_size <= UNSENT_PAUSE // 2
            and self._owed <= UNSENT_PAUSE // 2
            and self.state != CONNECTING
            and (self._barrier is None or self._barrier.passed)
            and (not self._queue or service.server.outstanding <= service.outstanding_limit)
        )

    def progressed(self) -> None:
        """The client took some bytes: while it is paused that is its sign of life, its pings are not read."""
        session = self.session
        if self._paused and session is not None and self.state == OPEN:
            server = self._service.server
            server.tracker.touch(session, server.now_ms())

    def go_on(self) -> None:
        """Handle what a pause left over."""
        self._paused = False
        self._service.paused.pop(self, None)
        if self.state >= DRAINING:
            return
        self.channel.resume()
        if self._buffer and len(self._buffer) >= self._want:
            self.receive(b"")

    def _dispatch(self, op: int, xid: int, frame: bytes) -> None:
        service = self._service
        queue = self._queue
        if op == opcodes.AUTH:
            authentication.auth(self, service, xid, frame)
            return
        if op == opcodes.SASL:
            authentication.sasl(self, xid, frame)
            return
        if service.enforced_schemes and not service.passes_enforcement(self.identities):
            logger.info("%r sent a request without an identity of %s", self, service.enforced_schemes)
            self.send(final.reply(xid, 0, Code.SESSION_CLOSED_REQUIRE_SASL_AUTH))
            self.close_after_flush()
            return
        if op in service.server.queued:
            server = service.server
            if not server.admits_large(len(frame)):
                raise ProtocolError("too many bytes of large requests are outstanding (largeRequestMaxBytes)")
            request = Request(self, self.session_id, xid, op, frame, self.identities, server.now)
            queue.append(request)
            if op == opcodes.CLOSE_SESSION:
                # Nothing behind it is answered; the touch of this batch must not matter either.
                assert self.session is not None
                server.submit(request)
                self.session.closing = True
                if self.state == OPEN:
                    self.state = DRAINING
                return
            server.submit(request)
        elif op in final.READ_HANDLERS:
            gate = service.server.gate
            if gate is not None and op != opcodes.PING:
                barrier = gate.enter(self)
                if barrier is not self._barrier:
                    self._barrier = barrier
                    queue.append(barrier)
            if queue:
                service.server.outstanding += 1
                size = final.estimate(service.server, op, frame)
                self._owed += size
                queue.append((op, xid, frame, size))
            else:
                self._answer(op, xid, frame)
        else:
            logger.info("%r sent the unknown operation %d", self, op)
            self.send(final.reply(xid, -1, Code.UNIMPLEMENTED))
            self.close_after_flush()

    def _answer(self, op: int, xid: int, frame: bytes) -> None:
        server = self._service.server
        err = _OK
        try:
            body = final.READ_HANDLERS[op](server, self, frame)
        except final.PartialBody as error:
            err = error.code
            body = error.body
        except KeeperError as error:
            err = error.code
            body = b""
        self.send(final.reply(-2 if op == opcodes.PING else xid, server.tree.last_zxid, err, body))
        server.stats.add_latency(0)
        self.last_latency = 0
        self.min_latency = 0
        self.total_count += 1

    # -- completion of writes ------------------------------------------------------------------------------

    def complete(self, request: Request, result: Result | None, latency_ms: int) -> None:
        """The oldest unfinished write of this connection is committed: answer it and the reads behind it."""
        if self.state == CLOSED:
            return
        queue = self._queue
        oldest = queue.popleft()
        assert oldest is request, "writes complete in order"
        server = self._service.server
        if request.op == opcodes.CREATE_SESSION:
            self._session_created(request.started)
            return
        if latency_ms != self.last_latency or not self.total_count:
            self._note_latency(latency_ms)
        self.total_count += 1
        self.total_latency += latency_ms
        zxid = server.tree.last_zxid
        if (request.err if result is None else result.err) == Code.SESSION_MOVED:
            self.disconnect("its session moved to another server")
            return
        if result is None:
            if request.op == opcodes.SYNC and not request.err:
                self.send(final.reply(request.xid, zxid, _OK, final.sync(server, self, request.frame)))
            else:
                self.send(_pack_reply(16, request.xid, zxid, request.err))
        elif result.err:
            # What the server had found before it forwarded the request says more than the leader's answer.
            self.send(_pack_reply(16, request.xid, zxid, request.err or result.err))
        elif request.op == opcodes.SET_DATA:
            assert result.stat is not None
            self.send(_pack_reply(84, request.xid, zxid, _OK) + result.stat)
        elif request.op == opcodes.CREATE:
            path = result.path
            self.send(_pack_data(20 + len(path), request.xid, zxid, _OK, len(path)) + path)
        else:
            self.send(final.reply(request.xid, zxid, _OK, final.write_body(request.op, result)))
        if request.op == opcodes.CLOSE_SESSION and (result is None or not result.err):
            self.close_after_flush()
            return
        self.up_to_date()

    def up_to_date(self) -> None:
        """Answer the reads that have nothing to wait for any more."""
        queue = self._queue
        server = self._service.server
        while queue:
            waiting = queue[0]
            if isinstance(waiting, Request) or (isinstance(waiting, Barrier) and not waiting.passed):
                break
            queue.popleft()
            if isinstance(waiting, tuple):
                server.outstanding -= 1
                op, xid, frame, size = waiting
                self._owed -= size
                if self.state < CLOSING:
                    self._answer(op, xid, frame)

    def _holds(self, op: int) -> bool:
        """Whether a read before this write is not confirmed yet: the read must not see the write."""
        return self._barrier is not None and not self._barrier.passed and op in self._service.server.queued

    def _note_latency(self, latency_ms: int) -> None:
        self.last_latency = latency_ms
        if latency_ms > self.max_latency:
            self.max_latency = latency_ms
        if latency_ms < self.min_latency or not self.total_count:
            self.min_latency = latency_ms

    # -- handshake -----------------------------------------------------------------------------------------

    def _process_first(self, data: bytes) -> None:
        if self.state != NEW:
            # The session is being created: what comes behind the ConnectRequest waits.
            self._buffer += data
            self._want = 0
            if len(self._buffer) > UNSENT_PAUSE:
                self._pause()
            return
        if len(data) < 4:
            self._buffer += data
            self._want = 4
            return
        service = self._service
        if service.is_word(data):
            self.received += 1
            service.server.stats.packets_received += 1
            self.state = DRAINING
            answer = service.answer_word(self, data)
            if answer is None:
                self.disconnect("telnet interrupt")
                return
            self.send(answer)
            self.close_after_flush()
            return
        (size,) = _length(data)
        if not 0 <= size <= service.max_frame:
            raise ProtocolError(
                f"a first frame of {size} bytes is malformed or larger than "
                f"jute.maxbuffer={service.max_frame}"
            )
        if len(data) < size + 4:
            self._buffer += data
            self._want = size + 4
            return
        rest = data[size + 4 :]
        request = handshake.decode_connect(data[4 : size + 4])
        if rest:
            self._buffer += rest
            self._want = 0
        self.received += 1
        service.server.stats.packets_received += 1
        self._connect(request)

    def _connect(self, request: handshake.ConnectRequest) -> None:
        service = self._service
        server = service.server
        if not service.serving:
            raise ProtocolError("this server has no leader at the moment")
        handshake.check_connect(request, server)
        self._read_only = bytes((server.read_only,)) if request.with_read_only else b""
        self.timeout_ms = server.negotiate(request.timeout_ms)
        self.last_op = "SESS"
        service.facts.count("connection_request_count")
        if request.session_id == 0:
            self.state = CONNECTING
            self.last_cxid = 0
            self.session, created = server.create_session(self, self.timeout_ms)
            self.session_id = self.session.id
            if created is None:
                self._session_created(server.now)
            else:
                self._queue.append(created)
            return
        service.facts.count("connection_revalidate_count")
        session = server.resume_session(self, request.session_id, request.password, self.timeout_ms)
        if session is ASKED:
            self.session_id = request.session_id
            self.state = CONNECTING
        else:
            self._resumed(request.session_id, session)

    def resumed(self, session: Session | None) -> bool:
        """Another server has said whether the session goes on; False: nobody is here any more."""
        if waits := self.state == CONNECTING:
            self._resumed(self.session_id, session)
        return waits

    def _resumed(self, session_id: int, session: Session | None) -> None:
        if session is None:
            logger.info(
                "Invalid session 0x%x for client /%s:%d, probably expired",
                session_id & (1 << 64) - 1,
                self.address,
                self.port,
            )
            self.send(handshake.invalid_session(self._read_only))
            self.close_after_flush()
            return
        self.session = session
        self.session_id = session.id
        self._established()

    def _session_created(self, asked: float) -> None:
        if self.state == CONNECTING:
            latency = int((self._service.server.now - asked) * 1000)
            self.last_latency = self.min_latency = self.max_latency = self.total_latency = latency
            self.total_count = 1
            self._established()

    def _established(self) -> None:
        self.state = OPEN
        self.send(handshake.connect_response(self.timeout_ms, self.session_id, self._read_only))
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._want = 0
            if data:
                try:
                    self._process(data)
                except ProtocolError as error:
                    self.disconnect(str(error))
            # Writes that came behind the handshake may belong to a round that was flushed already.
            self._service.server.flush()

    # -- output --------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Queue an encoded reply."""
        service = self._service
        server = service.server
        self.last_response = server.now
        self.last_zxid = server.tree.last_zxid
        if self.state != OPEN or self.out_size > UNSENT_CLOSE:
            self.notify(frame)
            return
        self.sent += 1
        server.stats.packets_sent += 1
        self.out.append(frame)
        self.out_size += len(frame)
        if not self.dirty:
            self.dirty = True
            service.dirty.append(self)

    def notify(self, event: bytes) -> None:
        """Queue an encoded watch event."""
        if self.state >= CLOSING and (self.state == CLOSED or self.out_size > UNSENT_PAUSE):
            return
        if self.out_size > UNSENT_CLOSE and self.state == OPEN:
            # The bytes before this one decide: a single frame may be as long as it likes.
            self.state = CLOSING
            self._service.overdue.append(self)
            return
        self.sent += 1
        self._service.server.stats.packets_sent += 1
        self.out.append(event)
        self.out_size += len(event)
        if not self.dirty:
            self.dirty = True
            self._service.dirty.append(self)

    def close_after_flush(self) -> None:
        """Handle no more input, send what is queued, then close."""
        self.state = CLOSING
        self._buffer.clear()
        if not self.dirty:
            self.dirty = True
            self._service.dirty.append(self)

    def disconnect(self, why: str) -> None:
        """Close now, without a message."""
        if self.state != CLOSED:
            logger.info("%r is closed: %s", self, why)
            self.channel.abort()
            self.closed()

    def closed(self) -> None:
        """The connection is gone: its watches with it, its session goes on until its time-out."""
        if self.state == CLOSED:
            return
        self.state = CLOSED
        service = self._service
        for item in self._queue:
            if isinstance(item, tuple):
                service.server.outstanding -= 1
        self._queue.clear()
        self._buffer.clear()
        self.out.clear()
        self.out_size = 0
        self.channel = GONE
        service.server.watches.remove_watcher(self)
        session = self.session or service.server.tracker.get(self.session_id)  # it may be about to arrive
        if session is not None and session.owner is self:
            session.owner = None
        service.forget(self)
