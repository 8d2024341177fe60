"""Abnormal input: frames, lengths, unknown operations; reconfig of a standalone server."""

from __future__ import annotations

from compat.scripts.registry import RECONFIG_DISABLED, in_group, main
from compat.wire import (
    AUTH,
    CHECK,
    CREATE,
    GET_DATA,
    RECONFIG,
    SET_DATA,
    SYNC,
    Script,
    create_body,
    i32,
    i64,
    read_body,
    request,
    text,
)


@main
def first_frames_that_are_no_connect_request_close(s: Script) -> None:
    frames = [
        i32(0),
        i32(-1),
        i32(4) + b"abcd",
        i32(8) + bytes(8),
        i32(27) + bytes(27),
        i32(0xFFFFF + 1),
        i32(0x7FFFFFFF),
        b"GET / HTTP/1.1\r\n",
        b"zzzz",
        request(-4, AUTH, i32(0) + text("digest") + text("u:p")),
    ]
    for frame in frames:
        wire = s.raw()
        wire.send(frame)
        rest = wire.rest()
        s.note(f"{frame[:16].hex()} is answered {len(rest)} bytes", rest[:4])


@main
def frames_of_bad_lengths_close(s: Script) -> None:
    for n, frame in enumerate(
        (
            i32(-1),
            i32(0),
            i32(-2147483648),
            i32(0x7FFFFFFF),
            i32(0xFFFFF + 1),
            i32(4) + b"abcd",
            i32(7) + bytes(7),
            i32(1) + b"x",
            b"ruok",
            b"srvr",
        )
    ):
        a = s.session(f"a{n}")
        a.wire.send(frame)
        a.until_end()


@main
def bad_frames_behind_good_requests(s: Script) -> None:
    a = s.session()
    a.send((SYNC, text("/")))
    a.receive()
    a.wire.send(i32(-5))
    a.until_end()


@main
def the_largest_frame_is_accepted(s: Script) -> None:
    a = s.session()
    body = create_body(s / "big", b"")
    room = 0xFFFFF - 8 - len(body)
    a.create(s / "big", b"x" * room, op=CREATE, err=0)
    a.call(GET_DATA, read_body(s / "big"), err=0)
    a.send((SET_DATA, text(s / "big") + text(b"y" * (0xFFFFF - 8 - 12 - len(s / "big") + 1)) + i32(-1)))
    a.until_end()


@main
def unknown_operations_are_refused_and_close(s: Script) -> None:
    for op in (0, 10, CHECK, 23, 50, 99, 108, 1000, -1, -12, -2, -100, 2147483647, -2147483648):
        a = s.session(f"op{op}")
        a.send((op, text(s.root) + i32(-1)))
        a.until_end()
    s.base.ping()


@main
def an_unknown_operation_behind_reads(s: Script) -> None:
    a = s.session()
    a.call(GET_DATA, read_body(s.root))
    a.send((99, b""))
    a.until_end()


@in_group("plain")
def reconfig_is_disabled(s: Script) -> None:
    a = s.session()
    a.call(RECONFIG, text(None) + text(None) + text(None) + i64(-1), err=RECONFIG_DISABLED)
    a.call(RECONFIG, text("x") + text("1") + text(None) + i64(5), err=RECONFIG_DISABLED)
    a.call(RECONFIG, b"")
    a.ping()


@in_group("quota")
def reconfig_of_a_standalone_server(s: Script) -> None:
    a = s.session()
    a.call(RECONFIG, text(None) + text(None) + text(None) + i64(-1))
    a.call(RECONFIG, text("server.1=a:1:2;3") + text(None) + text(None) + i64(-1))
    a.call(RECONFIG, b"")
    a.ping()
