"""A look at both servers before anything is compared: are they there, and do their trees look alike?"""

from __future__ import annotations

from struct import pack
from typing import Final

import attrs
import trio

from zkpy import opcodes
from zkpy.compare.fields import Field, reply_fields
from zkpy.compare.proxy import Comparison
from zkpy.compare.report import Address, address_text
from zkpy.errors import Code, MarshallingError, ProtocolError
from zkpy.jute.framing import FrameReader, frame
from zkpy.jute.records import (
    ConnectRequest,
    ConnectResponse,
    ExistsRequest,
    GetAllChildrenNumberRequest,
)

_TIMEOUT_MS: Final = 10_000


class NoServer(Exception):
    """There is no server at an address, or something else than ZooKeeper; the message says what."""


@attrs.define
class Look:
    """What one server says of itself."""

    znodes: int | None
    """All but the root. None, as for the other fields: it tells only those who have authenticated."""
    root_version: int | None
    """The root's cversion: which sequence number comes next."""
    zxid: int | None


async def look(address: Address, wait_s: float) -> Look:
    """Ask a server about its tree, with a session that is closed again.

    Raises:
        NoServer: it is not there, or does not answer as ZooKeeper does.
    """
    try:
        with trio.fail_after(wait_s):
            async with await trio.open_tcp_stream(*address) as stream:
                return await _look(stream)
    except trio.TooSlowError:
        raise NoServer(f"no answer within {wait_s:g} s") from None
    except OSError as error:
        raise NoServer(str(error)) from None
    except (MarshallingError, ProtocolError, trio.BrokenResourceError, EOFError):
        raise NoServer("what answers there is no ZooKeeper server, or it serves nobody just now") from None


async def _look(stream: trio.SocketStream) -> Look:
    reader = FrameReader((1 << 31) - 1)

    async def ask(payload: bytes) -> bytes:
        await stream.send_all(frame(payload))
        while (answer := reader.next_frame()) is None:
            chunk = await stream.receive_some(65536)
            if not chunk:
                raise EOFError
            reader.feed(chunk)
        return answer

    async def call(opcode: int, body: bytes) -> dict[str, Field]:
        fields = reply_fields(opcode, await ask(pack(">ii", 1, opcode) + body))
        return {field.name: field for field in fields}

    response, _ = ConnectResponse.decode(
        await ask(ConnectRequest(0, 0, _TIMEOUT_MS, 0, bytes(16), False).encode())
    )
    if not response.session_id:
        raise EOFError
    root = await call(opcodes.EXISTS, ExistsRequest(b"/", False).encode())
    if "err" in root and root["err"].value == Code.SESSION_CLOSED_REQUIRE_SASL_AUTH:
        return Look(None, None, None)
    count = await call(opcodes.GET_ALL_CHILDREN_NUMBER, GetAllChildrenNumberRequest(b"/").encode())
    number = count.get("totalNumber")
    if "stat.cversion" not in root or number is None:
        raise EOFError
    closed = await call(opcodes.CLOSE_SESSION, b"")
    return Look(number.value, root["stat.cversion"].value, closed["zxid"].value)


async def survey(comparison: Comparison) -> list[str]:
    """Begin: ask both servers, pair their zxids; returns what the user should know.

    Raises:
        NoServer: one of them cannot be used.
    """
    found = []
    for name, address in (("zkpy", comparison.zkpy), ("the real server", comparison.real)):
        try:
            found.append(await look(address, comparison.wait_s))
        except NoServer as error:
            raise NoServer(f"cannot use {name} at {address_text(address)}: {error}") from None
    zkpy, real = found
    if zkpy.zxid is None or real.zxid is None:
        comparison.pairs.zxids.drift_allowed = True  # the first pair shows how far apart they are
        return []
    comparison.pairs.zxids.begin(zkpy.zxid, real.zxid)
    if zkpy.znodes != real.znodes:
        return [
            f"the trees differ from the start: zkpy has {zkpy.znodes} znodes, the real server {real.znodes}. "
            "Differences will follow from that: begin with an empty real server"
        ]
    if zkpy.root_version != real.root_version:
        return [
            "the real server's tree has a history: sequence numbers below / and cversion of / differ from "
            "the start. Begin with an empty real server"
        ]
    return []
