"""YAML as configuration: every value remembers its line, and every mistake is one error with file, line and key.

In: a path or a text. Out: a `Section` tree from which a schema takes keys one by one; whatever is left at the end is an
unknown key. Aliases, tags, duplicate keys, deep nesting and oversized files are refused before anything is built, so a
hostile file costs neither memory nor time. Knows nothing of skills or worlds.
"""

from __future__ import annotations

import math
from pathlib import Path

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_NODES = 10_000
MAX_NAME = 80
_MISSING = object()


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message is `file:line: key: what is wrong`."""


class Section:
    """A mapping of a YAML file. `take*` reads keys and checks their types; `done` refuses the keys nobody took."""

    def __init__(self, node: yaml.Node, where: str, file: str):
        self.where, self.file, self.line = where, file, node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise self.error(f"expected a mapping, got {_kind(node)}")
        self._nodes: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            name = _scalar(key) if isinstance(key, yaml.ScalarNode) else None
            line = key.start_mark.line + 1
            if not isinstance(name, str):
                hint = " (quote it)" if isinstance(key, yaml.ScalarNode) else ""
                raise self.error(f"a key must be a string, got {_kind(key)}{hint}", line=line)
            if name in self._nodes:
                raise self.error("given twice", name, line)
            self._nodes[name], self._lines[name] = value, line

    def error(self, message: str, key: str = "", line: int | None = None) -> ConfigError:
        """A `ConfigError` at this section, or at one of its keys."""
        path = ".".join(part for part in (self.where, key) if part)
        line = line or (self._lines.get(key) if key else None) or self.line
        return ConfigError(f"{self.file}:{line}: {path + ': ' if path else ''}{message}")

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def keys(self) -> list[str]:
        """The keys that have not been taken yet, in file order."""
        return list(self._nodes)

    def section(self, key: str, required: bool = False) -> Section | None:
        """A nested mapping; None where the key is missing and not required. An empty value is an empty mapping."""
        node = self._take(key, required)
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode) and _scalar(node) is None:
            node = yaml.MappingNode(node.tag, [], node.start_mark, node.end_mark)
        return Section(node, ".".join(p for p in (self.where, key) if p), self.file)

    def name(self, key: str, default=_MISSING) -> str | None:
        """A single name: see `check_name`."""
        value = self._value(key, default)
        return value if value is default else self.check_name(value, key)

    def text(self, key: str, default=_MISSING, max_length: int = 1000) -> str | None:
        """A text of at most `max_length` characters."""
        value = self._value(key, default)
        if value is not default and (not isinstance(value, str) or len(value) > max_length):
            raise self.error(f"expected a text of at most {max_length} characters, got {_show(value)}", key)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.error(f"expected true or false, got {_show(value)}", key)
        return value

    def number(self, key: str, default=_MISSING) -> float | None:
        """A finite number."""
        value = self._value(key, default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.error(f"expected a number, got {_show(value)}", key)
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        values = self._list(key, False)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise self.error(f"expected numbers, got {_show(value)}", key)
        return tuple(float(value) for value in values)

    def choice(self, key: str, allowed: tuple[str, ...], default=_MISSING) -> str | None:
        """One of the `allowed` words."""
        value = self._value(key, default)
        if value is not default and value not in allowed:
            raise self.error(f"expected one of {', '.join(allowed)}, got {_show(value)}", key)
        return value

    def names(self, key: str, required: bool = False) -> tuple[str, ...]:
        """A list of different names (a single name counts as a list of one)."""
        values = self._list(key, required)
        names = tuple(self.check_name(value, key) for value in values)
        for name in names:
            if names.count(name) > 1:
                raise self.error(f"{name!r} is listed twice", key)
        return names

    def texts(self, key: str, max_length: int = 300) -> tuple[str, ...]:
        """A list of texts."""
        values = self._list(key, False)
        for value in values:
            if not isinstance(value, str) or not value.strip() or len(value) > max_length:
                raise self.error(f"expected texts of 1 to {max_length} characters, got {_show(value)}", key)
        return tuple(values)

    def tree(self, key: str, check) -> dict:
        """A mapping as plain nested mappings, lists and scalars. `check(value)` sees every scalar and raises
        ValueError for one that cannot be used; an error names its line.
        """
        node = self._take(key, False)
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.error(f"expected a mapping, got {_kind(node)}", key)
        return self._branch(node, key, check)

    def _branch(self, node: yaml.Node, path: str, check):
        if isinstance(node, yaml.SequenceNode):
            return [self._branch(item, f"{path}[{number}]", check) for number, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            found = {}
            for key, value in node.value:
                name = _scalar(key) if isinstance(key, yaml.ScalarNode) else None
                if not isinstance(name, str):
                    raise self.error("a key must be a string", path, key.start_mark.line + 1)
                if name in found:
                    raise self.error("given twice", f"{path}.{name}", key.start_mark.line + 1)
                found[name] = self._branch(value, f"{path}.{name}", check)
            return found
        value = _scalar(node)
        try:
            check(value)
        except ValueError as error:
            raise self.error(str(error), path, node.start_mark.line + 1) from error
        return value

    def scalar(self, key: str, default=_MISSING):
        """A single value of whatever type."""
        return self._value(key, default)

    def check_name(self, value, key: str) -> str:
        """A name: 1 to 80 letters, digits, spaces or one of _-'. that starts and ends with a letter or digit."""
        if not isinstance(value, str):
            hint = " (quote it)" if isinstance(value, (bool, int, float)) or value is None else ""
            raise self.error(f"expected a name, got {_show(value)}{hint}", key)
        if (
            len(value) > MAX_NAME
            or not value
            or not (value[0].isalnum() and value[-1].isalnum())
            or not all(char.isalnum() or char in " _-'." for char in value)
        ):
            raise self.error(f"{_show(value)} is no name: 1 to {MAX_NAME} letters, digits, spaces or _-'.", key)
        return value

    def check_keys(self) -> None:
        """Checks every key of a mapping from names to something, as names."""
        for key in self._nodes:
            self.check_name(key, key)

    def done(self, *known: str) -> None:
        """Refuses the first key that was never taken; `known` are the keys to offer instead."""
        for key in self._nodes:
            raise self.error(f"unknown key{'; known: ' + ', '.join(known) if known else ''}", key)

    def _take(self, key: str, required: bool) -> yaml.Node | None:
        if key in self._nodes:
            return self._nodes.pop(key)
        if required:
            raise self.error(f"missing key {key!r}")
        return None

    def _value(self, key: str, default):
        node = self._take(key, default is _MISSING)
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(f"expected a single value, got {_kind(node)}", key)
        return _scalar(node)

    def _list(self, key: str, required: bool) -> list:
        node = self._take(key, required)
        if node is None:
            return []
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node)
            return [] if value is None else [value]
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(f"expected a list, got {_kind(node)}", key)
        for item in node.value:
            if not isinstance(item, yaml.ScalarNode):
                raise self.error(f"expected a list of single values, got {_kind(item)}", key, item.start_mark.line + 1)
        return [_scalar(item) for item in node.value]


def load_yaml(source: str | Path) -> Section:
    """The top mapping of a YAML file. Raises `ConfigError` naming file, line and key."""
    return parse_yaml(read_text(source), str(source))


def read_text(source: str | Path) -> str:
    """The text of a file of at most MAX_BYTES. Raises `ConfigError` naming it."""
    file = str(source)
    try:
        path = Path(source)
        if not path.is_file():
            raise ConfigError(f"{file}: no such file" if not path.exists() else f"{file}: not a regular file")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file}: cannot read: {error}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from error


def parse_yaml(text: str, file: str = "<text>") -> Section:
    """The top mapping of a YAML text; `file` is the name used in errors."""
    try:
        _check_events(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise ConfigError(f"{file}: the file is empty")
        return Section(node, "", file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise ConfigError(f"{file}:{mark.line + 1 if mark else 1}: not valid YAML: {what}") from error


def _check_events(text: str, file: str) -> None:
    """Walks the event stream (no tree, no recursion) and refuses what a configuration never needs."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{file}:{line}: anchors and aliases are not allowed")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            tag = getattr(event, "tag", None)
            if tag not in (None, "!"):
                raise ConfigError(f"{file}:{line}: tags are not allowed, got {tag[:60]}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{file}:{line}: nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise ConfigError(f"{file}:{line}: more than {MAX_NODES} values")
        if documents > 1:
            raise ConfigError(f"{file}:{line}: more than one YAML document")


def _scalar(node: yaml.ScalarNode):
    """The Python value of a plain scalar; timestamps and other rarities stay texts."""
    if node.tag.rsplit(":", 1)[-1] in ("null", "bool", "int", "float"):
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError):
            return node.value
    return node.value


def _kind(node: yaml.Node) -> str:
    kinds = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}
    return kinds.get(type(node)) or _show(_scalar(node))


def _show(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
