"""The handshake: time-outs, forms of the request, resumed and unknown sessions."""

from __future__ import annotations

from compat.scripts.registry import main
from compat.wire import CREATE, GET_DATA, Script, connect_frame, create_body, read_body, request


@main
def connect_requests_negotiate_the_timeout(s: Script) -> None:
    for n, timeout_ms in enumerate((0, -1, 1, 3999, 4000, 4001, 40000, 40001, 2147483647, -2147483648)):
        s.session(f"a{n}", timeout_ms=timeout_ms)


@main
def connect_requests_of_every_form(s: Script) -> None:
    forms: list[dict[str, object]] = [
        {"read_only": b""},
        {"read_only": b"\1"},
        {"read_only": b"\7"},
        {"read_only": b"\0more"},
        {"protocol": 5},
        {"protocol": -1},
        {"password": None},
        {"password": b""},
        {"password": b"x" * 40},
        {"zxid": -1},
        {"zxid": s.last_zxid()},
    ]
    for n, form in enumerate(forms):
        a = s.session(f"a{n}", **form)
        a.ping()


@main
def a_client_that_has_seen_more_is_turned_away(s: Script) -> None:
    a = s.session()
    b = s.session("b", zxid=s.last_zxid() + 1000)
    assert b.id == 0
    c = s.session("c", zxid=1 << 62, session=a.id, password=a.password)
    assert c.id == 0
    a.ping()


@main
def sessions_are_resumed_with_their_password(s: Script) -> None:
    a = s.session()
    a.create(s / "e", flags=1)
    b = s.session("b", session=a.id, password=a.password, timeout_ms=5000)
    a.until_end()
    b.exists(s / "e")
    c = s.session("c", session=a.id, password=a.password, read_only=b"")
    b.until_end()
    c.exists(s / "e", err=0)
    c.drop()
    d = s.session("d", session=a.id, password=a.password)
    d.exists(s / "e", err=0)


@main
def a_wrong_password_disconnects_the_rightful_client(s: Script) -> None:
    for n, wrong in enumerate((bytes(16), b"", None, b"x" * 16, b"x" * 40)):
        a = s.session(f"a{n}")
        a.create(s / f"e{n}", flags=1)
        b = s.session(f"b{n}", session=a.id, password=wrong)
        assert b.id == 0
        b.until_end()
        a.until_end()
        c = s.session(f"c{n}", session=a.id, password=a.password)
        c.exists(s / f"e{n}", err=0)


@main
def unknown_sessions_are_answered_as_expired(s: Script) -> None:
    for n, session_id in enumerate((1, -1, 0x7FFFFFFFFFFFFFFF)):
        a = s.session(f"a{n}", session=session_id)
        a.until_end()
        b = s.session(f"b{n}", session=session_id, read_only=b"")
        b.until_end()


@main
def closed_sessions_cannot_be_resumed(s: Script) -> None:
    a = s.session()
    a.close()
    b = s.session("b", session=a.id, password=a.password)
    b.until_end()


@main
def requests_may_be_pipelined_behind_the_handshake(s: Script) -> None:
    a = s.unconnected()
    a.wire.send(
        connect_frame() + request(1, CREATE, create_body(s / "x")) + request(2, GET_DATA, read_body(s / "x"))
    )
    a.expect((1, CREATE), (2, GET_DATA))
    a.connected()
    a.receive_all(2)
