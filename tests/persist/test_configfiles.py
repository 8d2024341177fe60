"""The files around a member's zoo.cfg, on a disk that can lose and refuse."""

from __future__ import annotations

import errno
import logging

import pytest

from zkpy.errors import ConfigError
from zkpy.persist.configfiles import ConfigFiles
from zkpy.persist.memorydisk import MemoryDisk

FILE = "/conf/zoo.cfg"
TEXT = b"# mine\nclientPort=2181\nserver.1=a:1:2\n"


@pytest.fixture
def disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.put(FILE, TEXT)
    return disk


def test_everything_survives_a_power_cut(disk: MemoryDisk) -> None:
    files = ConfigFiles(disk, FILE)
    files.back_up()
    files.see(["server.2=b:1:2", "server.1=a:1:2"], 0x2F)
    disk.crash()
    assert disk.read_bytes(f"{FILE}.bak") == TEXT
    assert files.last_seen() == "server.1=a:1:2\nserver.2=b:1:2\nversion=2f"
    files.activate(["server.1=a:1:2"], 0x2F, drop_client_port=True)
    files.forget_seen()
    files.forget_seen()
    disk.crash()
    assert disk.read_bytes(f"{FILE}.dynamic.2f") == b"server.1=a:1:2"
    assert disk.read_bytes(FILE) == f"dynamicConfigFile={FILE}.dynamic.2f\n".encode()
    assert disk.list_dir("/conf") == ["zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.2f"]


@pytest.mark.parametrize("step", ["write", "sync", "rename", "sync_dir"])
def test_a_file_is_never_half_there(disk: MemoryDisk, step: str, caplog: pytest.LogCaptureFixture) -> None:
    files = ConfigFiles(disk, FILE)

    def fail(operation: str, path: str) -> None:
        if operation == step:
            raise OSError(errno.ENOSPC, "no space")

    disk.fault = fail
    with caplog.at_level(logging.ERROR):
        files.see(["server.1=a:1:2"], 1)
        files.activate(["server.1=a:1:2"], 1, drop_client_port=False)
    assert len(caplog.records) == 2
    disk.fault = None
    disk.crash()
    assert disk.read_bytes(FILE) == TEXT


def test_without_a_copy_of_the_file_nothing_begins(disk: MemoryDisk) -> None:
    def fail(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(errno.EROFS, "read-only")

    disk.fault = fail
    with pytest.raises(ConfigError, match=r"zoo\.cfg\.bak cannot be written: read-only.*writable"):
        ConfigFiles(disk, FILE).back_up()


def test_nothing_was_seen(disk: MemoryDisk) -> None:
    files = ConfigFiles(disk, FILE)
    assert files.last_seen() is None
