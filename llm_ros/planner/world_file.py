"""A world together with the file it came from: changed, checked like a file, written back with its comments.

In: a path and changes. Out: a new `WorldFile`; the old one stays as it is. Writing replaces the file in one move and
touches only the entries that changed; a file that somebody else has changed meanwhile is not overwritten.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from llm_ros.planner.strictyaml import ConfigError, load_yaml, parse_yaml, read_text
from llm_ros.planner.world import World, parse_world, read_world
from llm_ros.planner.world_edit import Change, ChangeError, edited, is_lasting


@dataclass(frozen=True)
class WorldFile:
    """path: of the file. text: what it holds. tree: the world as plain values, with all changes. world: the same."""

    path: str
    text: str
    tree: dict
    world: World

    @classmethod
    def load(cls, path: str | Path) -> WorldFile:
        """Raises ConfigError naming file, line and key."""
        text = read_text(path)
        world = parse_world(text, str(path))
        return cls(str(path), text, yaml.safe_load(text), world)

    def changed(self, changes: Iterable[Change]) -> WorldFile:
        """The world after all changes. Raises ChangeError: which one cannot be made, and why."""
        changes = tuple(changes)
        if not any(map(is_lasting, changes)):
            return self
        try:
            return self._after(changes)
        except ConfigError as error:
            for number in range(len(changes)):  # the first change after which the world is none
                try:
                    self._after(changes[: number + 1])
                except ConfigError as first:
                    raise ChangeError(f"changes[{number}]: {changes[number]}: {_without_file(first)}") from None
            raise ChangeError(_without_file(error)) from None

    def _after(self, changes: tuple[Change, ...]) -> WorldFile:
        tree = edited(self.tree, changes)
        return replace(self, tree=tree, world=parse_world(_dump(tree), _UNSAVED))

    def yaml(self) -> str:
        """The world as the text of a world file: the file's own text where nothing was changed, comments and all."""
        if self.tree == yaml.safe_load(self.text):
            return self.text
        try:
            text = merged(self.text, self.tree)
            if parse_world(text) == self.world:
                return text
        except (ConfigError, yaml.YAMLError):
            pass
        return _dump(self.tree)  # a layout that cannot be kept: better no comments than another world

    def save(self, path: str | Path | None = None) -> WorldFile:
        """Writes it to its own file, or to another one (which then is not its own). Raises ConfigError, OSError."""
        target = Path(path or self.path)
        if target.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"{target}: the name of a world file ends with .yaml")
        if path is None or target.exists() and target.samefile(self.path):
            if read_text(target) != self.text:
                raise ConfigError(f"{target}: was changed by somebody else since it was read; reload first")
        elif target.exists():
            read_world(load_yaml(target))  # nothing but a world file is overwritten
        text = self.yaml()
        _replace(target, text)
        return replace(self, text=text) if path is None or target.samefile(self.path) else self


_UNSAVED = "<changed world>"


def _without_file(error: ConfigError) -> str:
    """The error without the place in a file that nobody has seen."""
    return str(error).split(": ", 1)[-1]


def _dump(value) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def _flow(value) -> str:
    """A value in one line."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def merged(text: str, tree: dict) -> str:
    """`text` with the values of `tree`: entries that are equal keep their lines, the others are written in one line."""
    parse_yaml(text)
    edits: list[tuple[int, int, str]] = []
    _merge(text, yaml.compose(text, Loader=yaml.SafeLoader), tree, edits)
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _merge(text: str, node: yaml.Node, value, edits: list) -> None:
    """Collects the (start, end, new text) that turn the node's text into one of `value`."""
    if _plain(node) == value:
        return
    block = isinstance(node, yaml.MappingNode) and not node.flow_style
    if not (block and isinstance(value, dict) and value and node.value):
        start = node.start_mark.index
        before = text[_line_start(text, start) : start]
        # A list may stand right below its key; in one line it has to be further to the right. "key:" has no blank yet.
        gap = "  " if not before.strip() else " " if before[-1:] == ":" else ""
        edits.append((start, _end(text, node), gap + _flow(value)))
        return
    old = {key.value: (key, child) for key, child in node.value}
    for name, (key, child) in old.items():
        if name in value:
            _merge(text, child, value[name], edits)
        else:
            edits.append((_line_start(text, key.start_mark.index), _line_end(text, _end(text, child)), ""))
    added = {name: item for name, item in value.items() if name not in old}
    if added:
        place = _line_end(text, _end(text, node))
        indent = " " * node.start_mark.column
        lines = "".join(f"{indent}{_flow(name)}: {_flow(item)}\n" for name, item in added.items())
        edits.append((place, place, lines if text[:place].endswith("\n") else "\n" + lines))


def _plain(node: yaml.Node):
    return yaml.constructor.SafeConstructor().construct_document(node)


def _end(text: str, node: yaml.Node) -> int:
    """Where the last character of a node's content is; a block's own mark lies behind the comments that follow it."""
    if not isinstance(node, yaml.ScalarNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = node.end_mark.index
    return len(text[:end].rstrip()) if getattr(node, "style", None) in ("|", ">") else end


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Behind the end of the line of `index`."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _replace(path: Path, text: str) -> None:
    """The whole new file or the old one; its permissions stay."""
    path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


__all__ = ["Change", "ChangeError", "WorldFile", "merged"]
