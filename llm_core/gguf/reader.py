"""Opens a GGUF file, or all parts of a split one, as metadata and named tensors.

`open_gguf(path)` looks before it opens (a FIFO or a device is refused, not waited for), reads and checks the header
(`header.py`), and maps the data read-only. No tensor is read and nothing is copied. Little-endian versions 2 and 3;
version 1 and big-endian files are refused by name. Every failure is one `GGUFError`.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from llm_core.gguf import types as t
from llm_core.gguf.header import Budget, Header, read_header
from llm_core.gguf.metadata import Metadata
from llm_core.gguf.tensor import Mapping, Tensor
from llm_core.gguf.types import GGUFError, escape, quoted

_PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<suffix>\.gguf)", re.DOTALL)

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


@dataclass
class GGUFFile:
    """An open model file. Use as a context manager, or `close()`; tensors' arrays stay valid after that."""

    path: Path
    """The (first part's) file."""
    version: int
    alignment: int
    metadata: Metadata
    tensors: dict[str, Tensor] = field(repr=False)
    """By name, in file order."""
    parts: list[Path]
    """All files of the set, in order; one for a file that is not split."""
    size: int
    """Bytes of all files together."""
    _mappings: list[Mapping] = field(default_factory=list, repr=False)

    def tensor(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """The tensor of that name; raises GGUFError when it is missing or, with `shape`, when it has another shape."""
        if name not in self.tensors:
            raise GGUFError(f"{escape(str(self.path))}: tensor {quoted(name)} is missing")
        found = self.tensors[name]
        if shape is not None and found.shape != tuple(shape):
            raise GGUFError(
                f"{escape(str(self.path))}: tensor {quoted(name)} has shape {found.shape}, expected {tuple(shape)}"
            )
        return found

    def close(self) -> None:
        """Unmaps the files as soon as no array shows them any more. May be called twice."""
        for mapping in self._mappings:
            mapping.close()

    def __enter__(self) -> GGUFFile:
        return self

    def __exit__(self, *exc) -> None:
        self.close()


def open_gguf(path: str | os.PathLike) -> GGUFFile:
    """Opens and checks the file at `path`; any part of a split set opens the whole set. Raises GGUFError."""
    path = Path(path)
    budget = Budget()
    mappings: list[Mapping] = []
    try:
        header, mapping = _open_one(path, budget)
        mappings.append(mapping)
        count = header.values.get("split.count", 1)
        if type(count) is not int or not 0 <= count <= t.MAX_PARTS:
            raise _split_error(path, "split.count", f"{escape(repr(count), 60)} is not a count of 1 to {t.MAX_PARTS}")
        if count <= 1:
            headers, paths = [header], [path]
        else:
            headers, paths = _open_set(path, header, count, budget, mappings)
        return _assemble(paths, headers, mappings)
    except BaseException:
        for mapping in mappings:
            mapping.close()
        raise


def _open_one(path: Path, budget: Budget) -> tuple[Header, Mapping]:
    source = str(path)
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        return read_header(fd, size, source, budget), Mapping(fd, size, source)
    except OSError as error:
        raise GGUFError(f"{escape(source)}: cannot be read: {error.strerror or error}") from error
    finally:
        os.close(fd)


def open_regular(path: Path) -> int:
    """A file descriptor of a regular file; anything else is refused without touching it."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            # non-blocking: should it have become a FIFO since the look above, opening must not wait for a writer
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                return fd
            os.close(fd)
    except OSError as error:
        raise GGUFError(f"{escape(str(path))}: cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a NUL, or something that the file system cannot encode
        raise GGUFError(f"{escape(str(path))}: cannot be opened: {error}") from error
    kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
    raise GGUFError(f"{escape(str(path))}: is {kind}, not a regular file")


def _split_error(path: Path, key: str, problem: str) -> GGUFError:
    return GGUFError(f"{escape(str(path))}: key {quoted(key)}: {problem}")


def _open_set(
    path: Path, header: Header, count: int, budget: Budget, mappings: list[Mapping]
) -> tuple[list[Header], list[Path]]:
    """Opens the other parts of the split set that `path` is of; puts their mappings in the order of the parts."""
    match = _PART.fullmatch(path.name)
    if not match:
        raise _split_error(
            path, "split.count", f"one of {count} parts, but not named like '…-00001-of-{count:05}.gguf'"
        )
    if int(match["count"]) != count:
        raise _split_error(path, "split.count", f"is {count}, but the file's name says {int(match['count'])} parts")
    paths = [
        path.with_name(f"{match['stem']}-{number:05}-of-{count:05}{match['suffix']}") for number in range(1, count + 1)
    ]
    for number, part in enumerate(paths, 1):
        if not os.path.exists(part):
            raise GGUFError(f"{escape(str(path))}: part {number} of {count} is missing: {escape(str(part))}")
    own = int(match["number"]) - 1
    headers = []
    first_mapping = mappings.pop()
    for number, part in enumerate(paths):
        found, mapping = (header, first_mapping) if number == own else _open_one(part, budget)
        headers.append(found)
        mappings.append(mapping)
        if found.values.get("split.count") != count:
            raise _split_error(
                part,
                "split.count",
                f"is {escape(repr(found.values.get('split.count')), 60)}, but {count} in {escape(path.name)}",
            )
        if type(found.values.get("split.no")) is not int or found.values["split.no"] != number:
            raise _split_error(
                part,
                "split.no",
                f"is {escape(repr(found.values.get('split.no')), 60)}, "
                f"but the file's name says part {number + 1} (number {number})",
            )
    total = sum(len(found.tensors) for found in headers)
    said = headers[0].values.get("split.tensors.count", total)
    if type(said) is not int or said != total:
        raise _split_error(paths[0], "split.tensors.count", f"is {escape(repr(said), 60)}, but the parts hold {total}")
    return headers, paths


def _assemble(paths: list[Path], headers: list[Header], mappings: list[Mapping]) -> GGUFFile:
    tensors: dict[str, Tensor] = {}
    for header, mapping in zip(headers, mappings, strict=True):
        for info in header.tensors:
            if info.name in tensors:
                raise GGUFError(f"{escape(mapping.source)}: tensor {quoted(info.name)} is in another part too")
            tensors[info.name] = Tensor(info.name, info.type, info.shape, info.offset, mapping)
    first = headers[0]
    metadata = Metadata(first.values, str(paths[0]), first.types)
    size = sum(mapping.size for mapping in mappings)
    return GGUFFile(paths[0], first.version, first.alignment, metadata, tensors, paths, size, mappings)
