"""Auth and sasl packets: they are answered at once, before whatever the connection still waits for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from zkpy.auth.access import Disconnected, Refused
from zkpy.errors import Code, MarshallingError, ProtocolError
from zkpy.jute import archive
from zkpy.pipeline import final

if TYPE_CHECKING:
    from zkpy.server.cnxn import ClientCnxn
    from zkpy.server.service import Service

logger: Final = logging.getLogger("zkpy.server")


def auth(cnxn: ClientCnxn, service: Service, xid: int, frame: bytes) -> None:
    """Give the connection another identity, or close it behind a refusal. Raises ProtocolError."""
    try:
        _, pos = archive.read_int(frame, 8)
        scheme, pos = archive.read_ustring(frame, pos)
        credentials, pos = archive.read_buffer(frame, pos)
    except MarshallingError:
        raise ProtocolError("an auth packet does not decode") from None
    try:
        cnxn.identities = service.server.access.authenticate(
            scheme, credentials, cnxn.address, cnxn.identities
        )
    except Refused as why:
        logger.info("%r failed to authenticate: %s", cnxn, why)
        cnxn.send(final.reply(xid, 0, Code.AUTH_FAILED))
        cnxn.close_after_flush()
    except Disconnected as why:
        raise ProtocolError(str(why)) from None
    else:
        logger.debug("Session 0x%x: auth success for scheme %s", cnxn.session_id, scheme)
        cnxn.send(final.reply(xid, 0, 0))


def sasl(cnxn: ClientCnxn, xid: int, frame: bytes) -> None:
    """Without a JAAS section the exchange has no other side: a null token, and nothing happens."""
    try:
        token, _ = archive.read_buffer(frame, 8)
    except MarshallingError:
        token = None
    if token is None:
        raise ProtocolError("a sasl packet has no token")
    cnxn.send(final.reply(xid, 0, 0, archive.NULL))
