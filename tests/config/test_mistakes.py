"""Member lists that can be read and cannot work."""

from __future__ import annotations

import pytest

from zkpy.config import parse_config
from zkpy.config.ensemble import with_dynamic_config, with_myid
from zkpy.config.settings import Config
from zkpy.errors import ConfigError

BASE = "dataDir=/d\nclientPort=2181\ninitLimit=5\nsyncLimit=3\n"
THREE = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"


def parse(text: str) -> Config:
    return parse_config(BASE + text, "zoo.cfg")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "server.1=a:1:2\nserver.2=a:1:3\nserver.3=c:1:2",
            "zoo.cfg:6: a:1 is the quorum port of server.1 and the quorum port of server.2. Give every",
        ),
        (
            "server.1=a:1:2\nserver.2=A:2:3\nserver.3=c:1:2",
            "A:2 is the election port of server.1 and the quorum port of server.2",
        ),
        (
            "server.1=a:1:2;1\nserver.2=b:1:2\nserver.3=c:1:2",
            "a:1 is the quorum port of server.1 and the client port of server.1",
        ),
        (
            "server.1=a:1:2;a:5\nserver.2=a:5:2\nserver.3=c:1:2",
            "a:5 is the client port of server.1 and the quorum port of server.2",
        ),
        (
            THREE + "group.1=1:2:3\nweight.1=0\nweight.2=0\nweight.3=0",
            "No group has any weight, so no server can be elected. Give the voters",
        ),
    ],
)
def test_what_cannot_work_is_refused(lines: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(lines)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("group.1=1:2:3\nweight.3=0", "group.1 weighs 2 in all"),
        ("group.1=1:2\ngroup.2=3", "group.1 weighs 2 in all"),
        ("group.1=1:2\ngroup.2=3", "2 groups: more than half"),
    ],
)
def test_what_is_doubtful_is_said(lines: str, told: str) -> None:
    assert any(told in warning for warning in parse(THREE + lines).warnings)


@pytest.mark.parametrize("lines", ["", "group.1=1:2:3", "group.1=1\ngroup.2=2\ngroup.3=3"])
def test_what_is_as_it_should_be(lines: str) -> None:
    assert not parse(THREE + lines).warnings


def test_a_list_that_the_ensemble_has_agreed_on_is_not_refused() -> None:
    members = "server.1=a:1:2\nserver.2=a:1:3\nserver.3=c:1:2\n"
    static = parse_config(BASE + "dynamicConfigFile=/c/zoo.cfg.dynamic.100000002\n", "zoo.cfg")
    agreed = with_dynamic_config(static, members, "/c/zoo.cfg.dynamic.100000002")
    assert any("a:1 is the quorum port of server.1" in warning for warning in agreed.warnings)
    with pytest.raises(ConfigError, match="A reconfig has removed this server: the servers are 1, 2, 3"):
        with_myid(agreed, "4")
