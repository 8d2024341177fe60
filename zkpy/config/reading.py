"""From text to typed values: looks every known key up where its class allows, and says what looks wrong.

Nothing here depends on how settings combine; that is ``parse``'s subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from zkpy.config.key import NOT_YET, Key, Kind, Value
from zkpy.config.keys import BY_NAME, CLIENT_PROPERTIES, KEYS, closest_name, find_key, is_membership
from zkpy.config.properties import Entry
from zkpy.config.values import INT_MAX, LONG_MAX, decode, parse_decimal, parse_float, parse_true_false
from zkpy.errors import ConfigError

_OFF = frozenset({"false", "no", "0", "-1", ""})
_PREFIX: Final = "zookeeper."


class Reader:
    """One pass over a file's entries and the command line's defines; collects warnings on the way."""

    def __init__(self, entries: Mapping[str, Entry], file: str | None, defines: Mapping[str, str]) -> None:
        self.entries: Final = entries
        self.file: Final = file
        self.defines: Final = defines
        self.warnings: Final[list[str]] = []
        self.properties: Final = self._publish()

    def read_fields(self) -> dict[str, Value]:
        """The value of every key that has a field, by field name. Raises ``ConfigError`` for fatal values."""
        values: dict[str, Value] = {}
        for key in KEYS:
            if key.family:
                continue
            found = self._look_up(key)
            value = key.default if found is None else self._read(key, *found)
            if key.field is not None:
                values[key.field] = value
        return values

    def line(self, *names: str) -> int | None:
        """The line of the first of these keys that the file has."""
        return next((self.entries[name].line or None for name in names if name in self.entries), None)

    def fail(self, why: str, remedy: str, *names: str) -> NoReturn:
        """Refuse the configuration; the place is that of the first of these keys that the file has."""
        raise ConfigError(self.file, self.line(*names), why, remedy)

    def warn(self, text: str, *names: str) -> None:
        """Note a line for the log, at the place of the first of these keys that the file has."""
        self._warn(text, self.line(*names))

    def check_names(self) -> None:
        """Warn about names that do nothing: misspelt, not implemented, or only valid in the other place."""
        for name, entry in self.entries.items():
            self._check_file_name(name, entry.line)
        for name in self.defines:
            self._check_define(name)

    def _check_file_name(self, name: str, line: int) -> None:
        key = find_key(name)
        if key is None:
            self._warn(f"unknown key {name}{_suggestion(name)}", line)
        elif key.origin == "J":
            self._warn(
                f"{name} has no effect in {self.file or 'a file'}; pass it with -D{name}=<value>", line
            )
        elif key.status == NOT_YET and not _asks_for_nothing(key, self.entries[name].value):
            self._warn(f"{name} is not implemented yet: the setting is ignored", line)

    def _check_define(self, name: str) -> None:
        if name in CLIENT_PROPERTIES:
            return
        key = BY_NAME.get(name)
        if key is not None and key.origin != "J":
            # A few S settings are read under their bare name too; the others need the prefix.
            if key.also != name:
                self._warn(f"-D{name} has no effect{_where_instead(key)}", None)
            return
        if key is None and name.startswith(_PREFIX):
            key = find_key(name.removeprefix(_PREFIX))
            if key is None or key.origin == "J":
                closest = closest_name(name.removeprefix(_PREFIX))
                if closest is not None:
                    known = BY_NAME[closest]
                    meant = closest if known.origin == "P" else f"-D{known.property_name}"
                    self._warn(f"unknown property -D{name}: did you mean {meant}?", None)
                return
            if key.origin == "P" and key.also != name and name != "zookeeper.multiAddress.enabled":
                self._warn(f"-D{name} has no effect{_where_instead(key)}", None)
                return
        if key is not None and key.status == NOT_YET and not _asks_for_nothing(key, self.defines[name]):
            self._warn(f"-D{name} is not implemented yet: the setting is ignored", None)

    def _publish(self) -> dict[str, str]:
        """The system properties as Java would have them after parsing."""
        properties = dict(self.defines)
        for name, entry in self.entries.items():
            key = find_key(name)
            # Member entries and the version are parsed, and published all the same.
            if key is None or key.origin != "P" or is_membership(name) or name == "version":
                properties[_PREFIX + name] = entry.value
        return properties

    def _look_up(self, key: Key) -> tuple[str, int | None, str] | None:
        """Text, line in the file (None: from the command line) and the name it was written under."""
        if key.origin != "J" and key.name in self.entries:
            value, line = self.entries[key.name]
            return value, line or None, key.name
        for name in (key.property_name, key.also):
            if name is not None and name in self.defines:
                return self.defines[name], None, f"-D{name}"
        return None

    def _read(self, key: Key, text: str, line: int | None, name: str) -> Value:
        match key.kind:
            case Kind.TEXT:
                return text
            case Kind.STRICT_BOOL:
                flag = parse_true_false(text)
                if flag is None:
                    why = f"Invalid option {text} for {key.name}. Choose 'true' or 'false.'"
                    raise ConfigError(self.file, line, why, f"Correct or remove the line with {key.name}")
                return flag
            case Kind.BOOL | Kind.EXACT_TRUE | Kind.NOT_NO | Kind.NOT_FALSE | Kind.YES:
                return self._lenient_flag(key.kind, text, line, name)
            case Kind.FLOAT | Kind.LENIENT_FLOAT:
                return self._float(key, text, line, name)
            case _:
                return self._integer(key, text, line, name)

    def _integer(self, key: Key, text: str, line: int | None, name: str) -> Value:
        match key.kind:
            case Kind.STRICT_INT | Kind.STRICT_LONG:
                number = parse_decimal(text, INT_MAX if key.kind is Kind.STRICT_INT else LONG_MAX)
                if number is None:
                    why, unit = f'For input string: "{text}"', f" ({key.unit})" if key.unit else ""
                    raise ConfigError(
                        self.file, line, why, f"Write {key.name} as a plain decimal number{unit}"
                    )
            case Kind.DECIMAL:
                number = parse_decimal(text, LONG_MAX)
            case _:
                number = decode(text, INT_MAX if key.kind is Kind.INT else LONG_MAX)
                digits = text.lstrip("+-")
                if number is not None and digits.isdecimal() and digits[0] == "0" and len(digits) > 1:
                    self._warn(f"{name}={text} begins with a zero and therefore is octal: {number}", line)
        if number is None:
            return self._not_a_number(key, text, line, name)
        if key.least is not None and number < key.least:
            if key.refusal is not None:
                raise ConfigError(
                    self.file, line, key.refusal, f"Set {key.name} to {key.least} or more, or remove it"
                )
            used = key.instead if key.instead is not None else key.default
            self._warn(f"{name}={text} is less than {key.least}: using {used}", line)
            return used
        return number

    def _float(self, key: Key, text: str, line: int | None, name: str) -> Value:
        number = parse_float(text)
        if number is None:
            return self._not_a_number(key, text, line, name)
        if key.kind is Kind.LENIENT_FLOAT and not number <= 1.0:
            self._warn(f"{name}={text} is more than 1: using {key.default}", line)
            return key.default
        return number

    def _not_a_number(self, key: Key, text: str, line: int | None, name: str) -> Value:
        if key.kind is Kind.FLOAT or (key.kind is Kind.DECIMAL and key.refusal is not None):
            why = f'For input string: "{text}": {key.refusal}'
            raise ConfigError(self.file, line, why, f"Write {key.name} as a decimal number, or remove it")
        self._warn(
            f"{name}={text} is not a number and is ignored: the default is {key.documented_default}", line
        )
        return key.default

    def _lenient_flag(self, kind: Kind, text: str, line: int | None, name: str) -> bool:
        match kind:
            case Kind.BOOL:
                flag, plain = text.lower() == "true", text.lower() in ("true", "false")
            case Kind.EXACT_TRUE:
                flag, plain = text == "true", text in ("true", "false")
            case Kind.NOT_FALSE:
                flag, plain = text != "false", text in ("true", "false")
            case Kind.NOT_NO:
                flag, plain = text != "no", text in ("yes", "no")
            case _:
                flag, plain = text == "yes", text in ("yes", "no")
        if not plain:
            self._warn(f"{name}={text} counts as {'on' if flag else 'off'}: {kind.value}", line)
        return flag

    def _warn(self, text: str, line: int | None) -> None:
        place = f"{self.file}:{line}: " if self.file and line else ""
        self.warnings.append(place + text)


def _suggestion(name: str) -> str:
    closest = closest_name(name)
    if closest is None:
        return ": neither ZooKeeper nor zkpy reads it"
    key = BY_NAME[closest]
    return f": did you mean -D{closest}?" if key.origin == "J" else f": did you mean {closest}?"


def _where_instead(key: Key) -> str:
    if key.origin == "P":
        return f"; write {key.name}=<value> in the configuration file"
    return f"; the property is called {key.property_name}"


def _asks_for_nothing(key: Key, value: str) -> bool:
    """Whether a setting only says that a feature is off, or names what there is anyway."""
    return value.strip().lower() in _OFF or (key.kind is Kind.TEXT and value.strip() == key.default)
