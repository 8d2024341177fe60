"""Servers that are asked how they are: real sockets, made-up servers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from zkpy.ensemble import asking, layout
from zkpy.ensemble.asking import Asked, members_in, newest, survey
from zkpy.ensemble.layout import EnsembleError

pytestmark = pytest.mark.trio

SRVR = "Zookeeper version: 3.9.5\nConnections: 3\nZxid: 0x200000005\nMode: {role}\nNode count: 5\n"


class Servers:
    """Made-up servers that answer words; *lines* are the members that all state."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.asked: list[int] = []

    async def add(self, words: Mapping[str, str]) -> int:
        """A server with these answers; returns its port."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port: int = listener.socket.getsockname()[1]
        handler = partial(self._answer, port, words)
        await self._nursery.start(trio.serve_listeners, handler, [listener])
        return port

    async def _answer(self, port: int, words: Mapping[str, str], stream: trio.SocketStream) -> None:
        self.asked.append(port)
        async with stream:
            word = (await stream.receive_some(4)).decode()
            await stream.send_all(words.get(word, f"{word} is not executed").encode())


def conf(sid: int, *members: str, version: int = 0) -> str:
    lines = "\n".join([*members, f"version={version:x}"])
    return f"clientPort=1\nserverId={sid}\ninitLimit=5\npeerType=0\nmembership: \n{lines}"


def member(sid: int, port: int, role: str = "participant") -> str:
    return f"server.{sid}=127.0.0.1:{sid}:{sid + 100}:{role};0.0.0.0:{port}"


async def closed_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port: int = listener.socket.getsockname()[1]
    return port


async def test_a_server_tells_its_number_role_and_members() -> None:
    async with trio.open_nursery() as nursery:
        servers = Servers(nursery)
        words = {"srvr": SRVR.format(role="leader"), "conf": conf(7, member(7, 1), version=0x100000000)}
        (answer,) = await asking.ask_all([Asked("127.0.0.1", await servers.add(words))])
        nursery.cancel_scope.cancel()
    assert (answer.number, answer.role, answer.epoch, answer.zxid) == (7, "leader", 2, 0x200000005)
    assert (answer.connections, answer.problem) == (2, None)
    assert answer.config is not None
    assert (answer.config.version, answer.config.voters) == (0x100000000, {7})


async def test_servers_that_only_the_configuration_names_are_asked_too() -> None:
    async with trio.open_nursery() as nursery:
        servers = Servers(nursery)
        newer: dict[str, str] = {"srvr": SRVR.format(role="follower")}
        second = await servers.add(newer)
        third = await closed_port()
        lines = [member(2, second), member(3, third), "server.4=h:5:6:observer"]
        newer["conf"] = conf(2, *lines, version=0x200000000)
        older = {
            "srvr": SRVR.format(role="follower"),
            "conf": conf(1, member(2, second), version=0x100000000),
        }
        first = await servers.add(older)
        answers = await survey([Asked("127.0.0.1", first)])
        nursery.cancel_scope.cancel()
    assert [(answer.number, answer.asked.address, answer.role) for answer in answers] == [
        (1, f"127.0.0.1:{first}", "follower"),
        (2, f"127.0.0.1:{second}", "follower"),
        (3, f"127.0.0.1:{third}", None),
        (4, "-", None),
    ]
    assert [answer.problem for answer in answers[2:]] == [
        "does not answer (Connection refused)",
        "was not asked: its line in the configuration has no client port",
    ]
    config = newest(answers)
    assert config is not None
    assert config.version == 0x200000000


async def test_who_does_not_tell_its_number_is_known_by_its_address() -> None:
    async with trio.open_nursery() as nursery:
        servers = Servers(nursery)
        silent = await servers.add({"srvr": SRVR.format(role="leader")})
        talking = {"srvr": SRVR.format(role="follower")}
        port = await servers.add(talking)
        talking["conf"] = conf(1, member(1, port), member(2, silent))
        answers = await survey([Asked("127.0.0.1", silent), Asked("127.0.0.1", port)])
        nursery.cancel_scope.cancel()
    assert [(answer.number, answer.role) for answer in answers] == [(2, "leader"), (1, "follower")]
    assert len(servers.asked) == 4, "nobody was asked again"


async def test_another_server_at_a_members_address_is_not_taken_for_it() -> None:
    async with trio.open_nursery() as nursery:
        servers = Servers(nursery)
        stranger = await servers.add({"srvr": SRVR.format(role="leader"), "conf": conf(9, member(9, 1))})
        (answer,) = await survey([Asked("127.0.0.1", stranger, 1)])
        nursery.cancel_scope.cancel()
    assert (answer.number, answer.role, answer.problem) == (1, None, "is not there: server 9 answers")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"srvr": asking.NOT_SERVING + "\n"}, "does not serve: it is looking for a leader"),
        ({}, "does not tell: 'srvr is not executed'"),
        ({"srvr": SRVR.format(role="follower"), "conf": "membership: \nserver.1=?"}, None),
    ],
)
async def test_what_is_no_answer(words: dict[str, str], problem: str | None) -> None:
    async with trio.open_nursery() as nursery:
        (answer,) = await survey([Asked("127.0.0.1", await Servers(nursery).add(words))])
        nursery.cancel_scope.cancel()
    assert (answer.problem, answer.config) == (problem, None)


async def test_the_noted_epoch_counts_when_it_is_newer(tmp_path: Path) -> None:
    file = tmp_path / "currentEpoch"
    file.write_text("5")
    async with trio.open_nursery() as nursery:
        port = await Servers(nursery).add({"srvr": SRVR.format(role="follower")})
        answers = await asking.ask_all([Asked("127.0.0.1", port, 1, epoch_file=file)])
        nursery.cancel_scope.cancel()
    assert answers[0].epoch == 5


async def test_connect_strings() -> None:
    assert [asked.address for asked in members_in("a, b:1,[::1]:2,[::1],b:1/chroot")] == [
        "a:2181",
        "b:1",
        "[::1]:2",
        "[::1]:2181",
    ]
    with pytest.raises(EnsembleError, match=r"'b:x' is no address; give HOST:PORT"):
        members_in("a,b:x")


async def test_the_members_of_a_directory_may_have_an_oracle(tmp_path: Path) -> None:
    with ExitStack() as reserved:
        found = layout.Layout(tmp_path, layout.choose_members(2, 0, 0, None, reserved))
    assert [asked.oracle for asked in asking.members_of(found)] == [False, False]
    layout.write(found, {"oraclePath": "oracle"}, {})
    assert [asked.oracle for asked in asking.members_of(found)] == [True, True]
