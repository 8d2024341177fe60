"""Error classes: who has to act, and which code travels to the client."""

from __future__ import annotations

from zkpy import errors
from zkpy.errors import Code, ConfigError, CorruptLogError, KeeperError


def subclasses(cls: type[KeeperError]) -> list[type[KeeperError]]:
    return [cls, *[deeper for direct in cls.__subclasses__() for deeper in subclasses(direct)]]


def test_every_keeper_error_has_a_negative_code_of_the_protocol() -> None:
    for cls in subclasses(KeeperError):
        assert cls.code in list(Code) and cls.code < 0


def test_each_code_is_named_by_one_class_of_this_module() -> None:
    own = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, KeeperError)]
    codes = [cls.code for cls in own]
    assert len(codes) == len(set(codes))


def test_a_config_error_names_file_line_and_remedy() -> None:
    assert str(ConfigError("zoo.cfg", 3, "it is wrong", "Mend it.")) == "zoo.cfg:3: it is wrong. Mend it."
    assert str(ConfigError("zoo.cfg", None, "wrong", "Mend it.")) == "zoo.cfg: wrong. Mend it."
    assert str(ConfigError(None, None, "wrong", "Mend it.")) == "wrong. Mend it."


def test_a_corrupt_log_names_file_and_offset() -> None:
    error = CorruptLogError("log.1", 16, "bad checksum", "Remove it.")
    assert str(error) == "log.1: offset 16: bad checksum. Remove it."
    assert (error.file, error.offset, error.why, error.remedy) == ("log.1", 16, "bad checksum", "Remove it.")
