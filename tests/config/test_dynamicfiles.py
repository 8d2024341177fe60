"""What a server writes into its configuration files when its members change."""

from __future__ import annotations

import pytest

from zkpy.config import parse_properties
from zkpy.config.dynamicfiles import dynamic_text, repointed

STATIC = """\
# the author's own words
tickTime=2000
dataDir=C:\\\\zk
clientPort=2181
clientPortAddress = 10.0.0.1
peerType=observer
server.1=a:1:2
group.1=1
weight.1=1
dynamicConfigFile=/old
"""


@pytest.mark.parametrize("drop", [False, True])
def test_members_leave_the_static_file_and_everything_else_stays(drop: bool) -> None:
    text = repointed(STATIC, "zoo.cfg", "/conf/zoo.cfg.dynamic.1", drop_client_port=drop)
    values = {name: entry.value for name, entry in parse_properties(text).items()}
    ports = {} if drop else {"clientPort": "2181", "clientPortAddress": "10.0.0.1"}
    assert values == {
        "tickTime": "2000",
        "dataDir": "C:\\zk",
        **ports,
        "dynamicConfigFile": "/conf/zoo.cfg.dynamic.1",
    }
    assert text.endswith("\ndynamicConfigFile=/conf/zoo.cfg.dynamic.1\n")


def test_plain_values_are_written_as_their_author_wrote_them() -> None:
    text = repointed("metrics=a:b=c#d!e f\n", "zoo.cfg", "/d", drop_client_port=False)
    assert text == "metrics=a:b=c#d!e f\ndynamicConfigFile=/d\n"


def test_a_dynamic_file_is_sorted_and_ends_without_a_newline() -> None:
    assert dynamic_text(["weight.1=1", "server.2=b", "server.10=c"]) == "server.10=c\nserver.2=b\nweight.1=1"
