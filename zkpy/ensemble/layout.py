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
from zkpy.errors import ConfigError

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
OBSERVERS: Final = "observerMasterPort"
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
    peer_host: str = HOST
    """Where the other servers reach it."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.client_port}"

    @property
    def ports(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports at which it listens."""
        peers = self.peer_host
        return (self.host, self.client_port), (peers, self.quorum_port), (peers, self.election_port)

    def line(self) -> str:
        """What follows ``server.N=``."""
        role = "observer" if self.observer else "participant"
        return f"{self.peer_host}:{self.quorum_port}:{self.election_port}:{role};{self.address}"


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
    size: int,
    observers: int,
    java: int,
    base: int | None,
    reserved: contextlib.ExitStack,
    apart: bool = False,
) -> tuple[Member, ...]:
    """New members: the first *java* are Java servers, the last *observers* observe.

    The ports are *base*, *base* + 1 and so on, or free ones. They are kept until *reserved* is closed. With
    *apart* each has a `peer_address` of its own. Raises EnsembleError when a port is in use.
    """
    members = []
    for index in range(size):
        peer_host = peer_address(index + 1) if apart else HOST
        if base is None:
            hosts = HOST, peer_host, peer_host
            client, quorum, election = (reserved.enter_context(_free_port(host)) for host in hosts)
        else:
            client, quorum, election = (base + index + more for more in (0, QUORUM_OFFSET, ELECTION_OFFSET))
        observer = index >= size - observers
        members.append(
            Member(index + 1, client, quorum, election, observer, java=index < java, peer_host=peer_host)
        )
    if base is not None:
        reserve(members, reserved)
    return tuple(members)


def reserve(members: Sequence[Member], reserved: contextlib.ExitStack) -> None:
    """Keep the ports of *members* from others: the servers can still listen on them.

    Followers do so on their quorum ports when they come to lead. Raises EnsembleError when one is in use.
    """
    for member in members:
        for host, port in member.ports:
            _keep(member, host, port, "give another --port (with a new --dir)", reserved)


def reserve_for_observers(members: Sequence[Member], port: int, reserved: contextlib.ExitStack) -> None:
    """The same for *port*, at which observers come to those who follow."""
    for member in members:
        if not member.observer:
            _keep(member, member.peer_host, port, f"give another port than {OBSERVERS}={port}", reserved)


def _keep(member: Member, host: str, port: int, other: str, reserved: contextlib.ExitStack) -> None:
    sock = reserved.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise EnsembleError(
            f"port {port} of server {member.number} at {host} cannot be used: {error.strerror or error};"
            f" stop what uses it, or {other}"
        ) from None


def peer_address(number: int) -> str:
    """An address of this machine for one server only: all of 127.0.0.0/8 is."""
    return f"127.0.0.{number}"


def observers_port(settings: Mapping[str, str]) -> int:
    """Where followers listen for observers as *settings* say; 0: they do not."""
    text = settings.get(OBSERVERS, "")
    port = int(text) if text.isascii() and text.isdigit() else 0  # what is no number is refused later
    return port if port <= 65535 else 0


def apart(found: Layout) -> Layout:
    """The same members, each with an address of its own for the other servers.

    Raises EnsembleError when their addresses are the servers' own business already.
    """
    for member in found.members:
        if "dynamicConfigFile" in _entries(found.config_file(member)):
            raise EnsembleError(
                f"{OBSERVERS} needs members with an address of their own, and those of {found.root} share one"
                " since before a reconfig; begin with a new --dir"
            )
    members = tuple(attrs.evolve(each, peer_host=peer_address(each.number)) for each in found.members)
    return attrs.evolve(found, members=members)


def _entries(file: Path) -> dict[str, str]:
    """What a zoo.cfg says; nothing when it is not there."""
    try:
        text = file.read_text("iso-8859-1")
    except FileNotFoundError:
        return {}
    return {name: entry.value for name, entry in parse_properties(text, str(file)).items()}


def has_oracle(found: Layout, member: Member) -> bool:
    """Whether the member's zoo.cfg names an oracle."""
    try:
        return "oraclePath" in _entries(found.config_file(member))
    except (OSError, ConfigError):
        return False


@contextlib.contextmanager
def _free_port(host: str) -> Iterator[int]:
    for _ in range(200):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as sock:
            try:
                sock.bind((host, port))  # not yet reusable: else two could reserve the same one
            except OSError:
                continue
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            yield port
            return
    raise EnsembleError(f"no free port was found between {_FIRST_PORT} and {_LAST_PORT}; give --port")


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise EnsembleError for a setting that is not for all members together."""
    for name in settings:
        if name in _OWN or name.startswith("server."):
            raise EnsembleError(f"--set {name} is not for all members: the command writes it for each itself")


def write(layout: Layout, settings: Mapping[str, str], defines: Mapping[str, str]) -> list[str]:
    """Make what is missing, and put *settings* into every zoo.cfg.

    Returns what servers will warn of in *settings* and *defines*.

    Raises:
        EnsembleError: the files cannot be written, or servers would refuse one of *settings*.
        ConfigError: servers would refuse something else.
    """
    new = {layout.config_file(member): _config_text(layout, member, settings) for member in layout.members}
    warnings: dict[str, None] = {}
    for member in layout.members:
        file = layout.config_file(member)
        try:
            config = check(new[file], str(file), member.number, defines)
        except ConfigError as error:
            raise _as_typed(error, new[file], file, settings) from None
        warnings.update(dict.fromkeys(_typed_warnings(config, new[file], file, settings, defines)))
    data = {"format": FORMAT, "members": [attrs.asdict(member) for member in layout.members]}
    try:
        for member in layout.members:
            layout.directory(member).mkdir(exist_ok=True)
            _replace(layout.directory(member) / "myid", f"{member.number}\n")
            _replace(layout.config_file(member), new[layout.config_file(member)])
        _replace(layout.root / FILE, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise EnsembleError(f"cannot write {error.filename}: {error.strerror or error}") from None
    return [*warnings]


def _options(text: str, settings: Mapping[str, str]) -> dict[int, str]:
    """The options of the command line that a zoo.cfg's lines come from."""
    return {
        entry.line: f"--set {name}={settings[name]}"
        for name, entry in parse_properties(text, "zoo.cfg").items()
        if name in settings
    }


def _as_typed(error: ConfigError, text: str, file: Path, settings: Mapping[str, str]) -> Exception:
    """The error with the option instead of the line that it became."""
    if error.file != str(file):
        return error
    option = _options(text, settings).get(error.line or 0)
    if option is not None:
        return EnsembleError(f"{option}: {error.why}. {error.remedy}")
    if not file.exists():  # nobody has written that line
        return EnsembleError(f"{error.why}. {error.remedy}")
    return error


def _typed_warnings(
    config: Config, text: str, file: Path, settings: Mapping[str, str], defines: Mapping[str, str]
) -> Iterator[str]:
    """Warnings about what was typed; what else there is stands in the server's log."""
    options = _options(text, settings)
    for warning in config.warnings:
        number, _, rest = warning.removeprefix(f"{file}:").partition(": ")
        if number.isdecimal() and int(number) in options:
            yield f"{options[int(number)]}: {rest}"
        elif any(f"-D{name}" in warning for name in defines):
            yield warning


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
    file = layout.config_file(member)
    try:
        text = file.read_text("iso-8859-1")
    except FileNotFoundError:
        return format_properties(DEFAULTS | wanted)
    present = _entries(file)
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
