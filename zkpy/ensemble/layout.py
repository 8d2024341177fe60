"""The directory of a local ensemble: who its members are, where they listen, what their zoo.cfg says.

::

    ROOT/ensemble.json         members, ports and roles
    ROOT/server-1/zoo.cfg      its own directory is the dataDir, so myid and version-2 are beside it
    ROOT/server-1/myid
    ROOT/server-1/server.log   what the process writes to stdout and stderr
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from zkpy.config import (
    Config,
    format_properties,
    parse_config,
    parse_properties,
    with_dynamic_config,
    with_myid,
)

HOST: Final = "127.0.0.1"
FILE: Final = "ensemble.json"
LOCK: Final = ".zkpy-ensemble.lock"
TEMPORARY: Final = "zkpy-ensemble-"
FORMAT: Final = 1

MOST_MEMBERS: Final = 50
QUORUM_OFFSET: Final = 707
"""From the client port to the quorum port: 2181 has 2888, as everywhere."""
ELECTION_OFFSET: Final = 1707

# Below the range from which systems take the ports of outgoing connections.
_FIRST_PORT: Final = 10_000
_LAST_PORT: Final = 32_000

DEFAULTS: Final = {
    "tickTime": "2000",
    "initLimit": "10",
    "syncLimit": "5",
    "4lw.commands.whitelist": "*",
    "admin.enableServer": "false",
}
_OWN: Final = (
    "dataDir",
    "dataLogDir",
    "clientPort",
    "clientPortAddress",
    "dynamicConfigFile",
    "peerType",
    "standaloneEnabled",
)


class EnsembleError(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


@attrs.frozen
class Member:
    """One server and its ports."""

    number: int
    client_port: int
    quorum_port: int
    election_port: int
    observer: bool
    java: bool
    host: str = HOST

    @property
    def address(self) -> str:
        return f"{self.host}:{self.client_port}"

    @property
    def ports(self) -> tuple[int, int, int]:
        return self.client_port, self.quorum_port, self.election_port

    def line(self) -> str:
        """What follows ``server.N=``."""
        role = "observer" if self.observer else "participant"
        return f"{self.host}:{self.quorum_port}:{self.election_port}:{role};{self.address}"


@attrs.frozen
class Layout:
    """An ensemble's members and the directory that holds theirs."""

    root: Path
    members: tuple[Member, ...]

    @property
    def hosts(self) -> str:
        """The connect string."""
        return ",".join(member.address for member in self.members)

    @property
    def voters(self) -> int:
        return sum(not member.observer for member in self.members)

    def directory(self, member: Member) -> Path:
        return self.root / f"server-{member.number}"

    def config_file(self, member: Member) -> Path:
        return self.directory(member) / "zoo.cfg"

    def log_file(self, member: Member) -> Path:
        return self.directory(member) / "server.log"

    def settings(self, member: Member) -> dict[str, str]:
        """What only this member, or this ensemble, can say."""
        own = {"dataDir": str(self.directory(member))}
        if self.voters == 1:
            own["standaloneEnabled"] = "false"  # else it would not be an ensemble
        if member.observer:
            own["peerType"] = "observer"
        return own | {f"server.{each.number}": each.line() for each in self.members}


def load(root: Path) -> Layout | None:
    """The ensemble in a directory; None: there is none. Raises EnsembleError when it cannot be read."""
    file = root / FILE
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise EnsembleError(f"{file} has format {data['format']!r}; this zkpy knows {FORMAT}")
        return Layout(root, tuple(Member(**each) for each in data["members"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnsembleError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise EnsembleError(f"{file} was not written by zkpy ensemble; name another directory") from None


def running() -> list[Path]:
    """Directories of ensembles that run in temporary directories of this machine."""
    found = sorted(Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*/{FILE}"))
    return [file.parent for file in found if _is_locked(file.parent)]


def _is_locked(root: Path) -> bool:
    try:
        with (root / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """The directory for this command alone. Raises EnsembleError."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((root / LOCK).open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnsembleError(f"the ensemble in {root} is running already; stop that one first") from None
        except OSError as error:
            raise EnsembleError(f"cannot use {root}: {error.strerror or error}") from None
        yield


def choose_members(
    size: int, observers: int, java: int, base: int | None, reserved: contextlib.ExitStack
) -> tuple[Member, ...]:
    """New members: the first *java* are Java servers, the last *observers* observe.

    The ports are *base*, *base* + 1 and so on, or free ones. They are kept until *reserved* is closed.
    Raises EnsembleError when one is in use.
    """
    members = []
    for index in range(size):
        if base is None:
            client, quorum, election = (reserved.enter_context(_free_port()) for _ in range(3))
        else:
            client, quorum, election = (base + index + more for more in (0, QUORUM_OFFSET, ELECTION_OFFSET))
        observer = index >= size - observers
        members.append(Member(index + 1, client, quorum, election, observer, java=index < java))
    if base is not None:
        reserve(members, reserved)
    return tuple(members)


def reserve(members: Sequence[Member], reserved: contextlib.ExitStack) -> None:
    """Keep the ports of *members* from others: the servers can still listen on them.

    Followers do so on their quorum ports when they come to lead. Raises EnsembleError when one is in use.
    """
    for member in members:
        for port in member.ports:
            sock = reserved.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((member.host, port))
            except OSError as error:
                raise EnsembleError(
                    f"port {port} of server {member.number} cannot be used: {error.strerror or error}; "
                    "stop what uses it, or give another --port (with a new --dir)"
                ) from None


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    for _ in range(200):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as sock:
            try:
                sock.bind((HOST, port))  # not yet reusable: else two could reserve the same one
            except OSError:
                continue
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            yield port
            return
    raise EnsembleError(f"no free port was found between {_FIRST_PORT} and {_LAST_PORT}; give --port")


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise EnsembleError for a setting that is not for all members together."""
    for name in settings:
        if name in _OWN or name.startswith(("server.", "group", "weight")):
            raise EnsembleError(f"--set {name} is not for all members: the command writes it for each itself")


def write(layout: Layout, settings: Mapping[str, str], defines: Mapping[str, str]) -> None:
    """Make what is missing, and put *settings* into every zoo.cfg.

    Raises:
        EnsembleError: the files cannot be written.
        ConfigError: a setting or define that servers would refuse.
    """
    new = {layout.config_file(member): _config_text(layout, member, settings) for member in layout.members}
    for member in layout.members:
        file = layout.config_file(member)
        check(new[file], str(file), member.number, defines)
    data = {"format": FORMAT, "members": [attrs.asdict(member) for member in layout.members]}
    try:
        for member in layout.members:
            layout.directory(member).mkdir(exist_ok=True)
            _replace(layout.directory(member) / "myid", f"{member.number}\n")
            _replace(layout.config_file(member), new[layout.config_file(member)])
        _replace(layout.root / FILE, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise EnsembleError(f"cannot write {error.filename}: {error.strerror or error}") from None


def check(text: str, file: str, number: int, defines: Mapping[str, str]) -> Config:
    """The configuration that a member reads. Raises ConfigError."""
    config = parse_config(text, file, defines)
    dynamic = config.ensemble.dynamic_config_file
    if dynamic is not None:  # the members have been changed since the file was written
        try:
            config = with_dynamic_config(config, Path(dynamic).read_text("iso-8859-1"), dynamic)
        except OSError as error:
            raise EnsembleError(f"cannot read {dynamic}: {error.strerror or error}") from None
    return with_myid(config, f"{number}\n")


def _config_text(layout: Layout, member: Member, settings: Mapping[str, str]) -> str:
    """The member's zoo.cfg: as it is, but for what has to change."""
    wanted = {**layout.settings(member), **settings}
    try:
        text = layout.config_file(member).read_text("iso-8859-1")
    except FileNotFoundError:
        return format_properties(DEFAULTS | wanted)
    present = {name: entry.value for name, entry in parse_properties(text, "zoo.cfg").items()}
    if "dynamicConfigFile" in present:  # the members are the servers' own business by now
        moved = ("server.", "peerType")
        wanted = {name: value for name, value in wanted.items() if not name.startswith(moved)}
    changed = {name: value for name, value in wanted.items() if present.get(name) != value}
    if not changed:
        return text
    kept = text if text.endswith("\n") or not text else text + "\n"
    for name in changed:
        kept = "".join(line for line in kept.splitlines(keepends=True) if not line.startswith(f"{name}="))
    return kept + format_properties(changed)


def _replace(file: Path, text: str) -> None:
    """Write a file at once; one that says the same is left alone."""
    try:
        if file.read_text("iso-8859-1") == text:
            return
    except FileNotFoundError:
        pass
    temporary = file.with_name(f".tmp-{file.name}")
    temporary.write_text(text, "iso-8859-1")
    os.replace(temporary, file)
