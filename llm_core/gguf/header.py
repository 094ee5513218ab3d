"""The bytes before the tensor data → keys, values and tensor layout, every one of them checked.

The file is somebody else's: each count, length and offset is compared, as an unbounded integer, with the bytes that are
really there before anything is read or allocated for it. The header is read with pread(2) into a window that grows only
as far as valid content leads, so a file that shrinks meanwhile is an error and not a bus error. Errors name the file,
the byte offset, and the key or tensor.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm_core.gguf import types as t
from llm_core.gguf.types import GGMLType, GGUFError, ValueType, escape, quoted

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_SCALARS = {kind: struct.Struct("<" + code) for kind, code in t.SCALAR_CODES.items()}
_WINDOW = 1 << 20
# an array in an array counts as this many elements: it takes that much longer to read
_ARRAY_COST = 32

# what other files people hand over by mistake begin with
_OTHER_FILES = {
    b"FUGG": "a GGUF file of the other byte order",
    b"tjgg": "an old GGJT model file, from before GGUF",
    b"lmgg": "an old GGML model file, from before GGUF",
    b"fmgg": "an old GGMF model file, from before GGUF",
    b"algg": "an old GGLA adapter file, from before GGUF",
    b"vers": "a Git LFS pointer (the model itself was not downloaded)",
    b"PK\x03\x04": "a zip archive or a PyTorch checkpoint",
    b"<!DO": "an HTML page",
    b"<htm": "an HTML page",
    b"\x1f\x8b\x08\x00": "a gzip archive",
    b"\x1f\x8b\x08\x08": "a gzip archive",
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor's line of the header. `shape` in numpy order, `offset` from the start of the file."""

    name: str
    type: GGMLType
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """What the header of one file says. `types`: each key's value type and, for arrays, element type."""

    version: int
    values: dict[str, Any]
    types: dict[str, tuple[ValueType, ValueType | None]]
    tensors: list[TensorInfo]
    alignment: int
    data_offset: int


@dataclass
class Budget:
    """What is left of the array elements that the headers of one model may hold in all."""

    elements: int = field(default=t.MAX_ELEMENTS)


class _Window:
    """The first bytes of the file, loaded on demand; `need` is the only door, and it checks."""

    def __init__(self, fd: int, size: int, source: str):
        self.fd, self.size, self.source = fd, size, source
        self.buffer = b""
        self.position = 0
        # what errors are about, and its name if it has one already
        self.subject: tuple[str, str | None] = ("header", None)

    def error(self, problem: str, offset: int | None = None) -> GGUFError:
        """The error to raise about what is being read, at `offset` or here."""
        where = self.position if offset is None else offset
        what, name = self.subject
        subject = what if name is None else f"{what} {quoted(name)}"
        return GGUFError(f"{escape(self.source)}: {subject} at byte {where:,}: {problem}")

    def load(self, end: int) -> bytes:
        """Makes bytes [0, end) available; the caller has checked end <= size."""
        if end > t.MAX_HEADER_BYTES:
            raise self.error(f"the header is longer than {t.MAX_HEADER_BYTES:,} bytes, more than any model needs")
        if end > len(self.buffer):
            chunks = [self.buffer]
            have, want = len(self.buffer), min(self.size, t.MAX_HEADER_BYTES, max(end, 2 * len(self.buffer), _WINDOW))
            while have < want:
                try:
                    chunk = os.pread(self.fd, want - have, have)
                except OSError as error:
                    raise self.error(f"cannot be read: {error.strerror}", have) from error
                if not chunk:
                    raise self.error(f"the file ended early: it shrank from {self.size:,} bytes while being read", have)
                chunks.append(chunk)
                have += len(chunk)
            self.buffer = b"".join(chunks)
        return self.buffer

    def need(self, nbytes: int, what: str) -> int:
        """Steps over `nbytes`, checked and loaded; returns where they start."""
        start = self.position
        if nbytes > self.size - start:
            raise self.error(f"{what} needs {nbytes:,} bytes, but the file ends after {self.size - start:,} more")
        if start + nbytes > len(self.buffer):
            self.load(start + nbytes)
        self.position = start + nbytes
        return start

    def u32(self, what: str) -> int:
        """The next four bytes as a number."""
        start = self.need(4, what)
        return _U32.unpack_from(self.buffer, start)[0]

    def u64(self, what: str) -> int:
        """The next eight bytes as a number."""
        start = self.need(8, what)
        return _U64.unpack_from(self.buffer, start)[0]

    def text(self, what: str, most: int) -> str:
        """A length-prefixed UTF-8 string of at most `most` bytes."""
        at = self.position
        length = self.u64(f"the length of {what}")
        if length > self.size - self.position:
            left = self.size - self.position
            raise self.error(f"{what} is said to be {length:,} bytes long, but the file ends after {left:,} more", at)
        if length > most:
            raise self.error(f"{what} is {length:,} bytes long, at most {most:,} are allowed", at)
        start = self.need(length, what)
        try:
            return self.buffer[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is not UTF-8 (byte {start + error.start:,})", at) from None


def read_header(fd: int, size: int, source: str, budget: Budget) -> Header:
    """Reads and checks the whole header of an open regular file of `size` bytes.

    Raises GGUFError. `source` is the name that errors use; `budget` is shared by the parts of a split model.
    """
    window = _Window(fd, size, source)
    version = _read_version(window)
    n_tensors = window.u64("the number of tensors")
    n_keys = window.u64("the number of keys")
    # the least a tensor (name of 1, no dimensions) and a key (name of 1, one byte) take
    for count, least, most, what in (
        (n_tensors, 25, t.MAX_TENSORS, "tensors"),
        (n_keys, 14, t.MAX_KEYS, "keys"),
    ):
        if count > most:
            raise window.error(
                f"{count:,} {what} announced, at most {most:,} are allowed", 8 if what == "tensors" else 16
            )
        if count * least > size - window.position:
            at = 8 if what == "tensors" else 16
            raise window.error(f"{count:,} {what} announced, which cannot fit in the file's {size:,} bytes", at)
    values: dict[str, Any] = {}
    types: dict[str, tuple[ValueType, ValueType | None]] = {}
    for index in range(n_keys):
        _read_pair(window, index, values, types, budget)
    alignment = _alignment(window, values, types)
    infos = [_read_tensor(window, index, alignment) for index in range(n_tensors)]
    window.subject = ("tensor data", None)
    data_offset = -(-window.position // alignment) * alignment
    tensors = _place(window, infos, data_offset)
    return Header(version, values, types, tensors, alignment, data_offset)


def _read_version(window: _Window) -> int:
    if window.size == 0:
        raise GGUFError(f"{escape(window.source)}: the file is empty")
    magic = os.pread(window.fd, 4, 0)
    if magic != t.MAGIC:
        looks = next((f": it looks like {name}" for start, name in _OTHER_FILES.items() if magic == start), "")
        raise GGUFError(
            f"{escape(window.source)}: not a GGUF file: it begins with {magic!r} instead of {t.MAGIC!r}{looks}"
        )
    window.need(4, "the magic")
    at = window.position
    version = window.u32("the version")
    if version not in t.VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if swapped in (1, *t.VERSIONS):
            raise window.error(
                f"big-endian GGUF (version {swapped}) is not supported: convert it with gguf_convert_endian", at
            )
        known = " and ".join(map(str, t.VERSIONS))
        raise window.error(f"GGUF version {version} is not supported (versions {known} are)", at)
    return version


def _read_pair(window: _Window, index: int, values: dict, types: dict, budget: Budget) -> None:
    at = window.position
    window.subject = (f"key number {index}", None)
    key = window.text("its name", t.MAX_NAME_BYTES)
    if not key:
        raise window.error("its name is empty", at)
    window.subject = ("key", key)
    if key in values:
        raise window.error("is there twice", at)
    kind = _value_type(window, "the value type")
    if kind is ValueType.ARRAY:
        values[key], element = _read_array(window, budget, 1)
        types[key] = (kind, element)
    else:
        values[key] = _read_scalar(window, kind)
        types[key] = (kind, None)


def _value_type(window: _Window, what: str) -> ValueType:
    at = window.position
    number = window.u32(what)
    try:
        return ValueType(number)
    except ValueError:
        raise window.error(f"{what} {number} is unknown (0 to {max(ValueType)} are)", at) from None


def _read_scalar(window: _Window, kind: ValueType) -> Any:
    if kind is ValueType.STRING:
        return window.text("the string", t.MAX_STRING_BYTES)
    packed = _SCALARS[kind]
    start = window.need(packed.size, f"a value of type {kind.name}")
    value = packed.unpack_from(window.buffer, start)[0]
    if kind is ValueType.BOOL:
        if value > 1:
            raise window.error(f"a bool must be 0 or 1, found {value}", start)
        return bool(value)
    return value


def _read_array(window: _Window, budget: Budget, depth: int) -> tuple[list, ValueType]:
    at = window.position
    element = _value_type(window, "the array's element type")
    count = window.u64("the array's length")
    left = window.size - window.position
    if count * t.MIN_BYTES[element] > left:
        raise window.error(
            f"an array of {count:,} × {element.name} is announced, but the file ends after {left:,} more bytes", at
        )
    cost = count * (_ARRAY_COST if element is ValueType.ARRAY else 1)
    if cost > budget.elements:
        raise window.error(f"an array of {count:,} × {element.name} is more than the metadata of any model need", at)
    budget.elements -= cost
    if element is ValueType.STRING:
        return _read_strings(window, count), element
    if element is ValueType.ARRAY:
        if depth >= t.MAX_NESTING:
            raise window.error(f"arrays are nested more than {t.MAX_NESTING} deep", at)
        return [_read_array(window, budget, depth + 1)[0] for _ in range(count)], element
    code = "<" + t.SCALAR_CODES[element]
    start = window.need(count * t.MIN_BYTES[element], "the array")
    array = np.frombuffer(window.buffer, code, count, start)
    if element is ValueType.BOOL:
        if count and array.max() > 1:
            bad = int(np.argmax(array > 1))
            raise window.error(f"element {bad}: a bool must be 0 or 1, found {array[bad]}", start + bad)
        array = array.astype(bool)
    return array.tolist(), element


def _read_strings(window: _Window, count: int) -> list[str]:
    """`count` strings. A vocabulary has hundreds of thousands, so this loop keeps everything in local variables."""
    strings: list[str] = []
    append, unpack, size = strings.append, _U64.unpack_from, window.size
    position, buffer = window.position, window.buffer
    loaded = len(buffer)
    for index in range(count):
        start = position + 8
        if start > loaded:
            if start > size:
                raise window.error(f"string {index} of {count:,} begins past the end of the file", position)
            buffer = window.load(start)
            loaded = len(buffer)
        length = unpack(buffer, position)[0]
        end = start + length
        if end > loaded:
            if end > size:
                raise window.error(
                    f"string {index} of {count:,} is said to be {length:,} bytes long, "
                    f"but the file ends after {size - start:,} more",
                    position,
                )
            if length > t.MAX_STRING_BYTES:
                raise window.error(
                    f"string {index} of {count:,} is {length:,} bytes long, at most {t.MAX_STRING_BYTES:,} are allowed",
                    position,
                )
            buffer = window.load(end)
            loaded = len(buffer)
        try:
            append(buffer[start:end].decode())
        except UnicodeDecodeError as error:
            raise window.error(
                f"string {index} of {count:,} is not UTF-8 (byte {start + error.start:,})", position
            ) from None
        position = end
    window.position = position
    return strings


def _alignment(window: _Window, values: dict, types: dict) -> int:
    key = "general.alignment"
    if key not in values:
        return t.DEFAULT_ALIGNMENT
    window.subject = ("key", key)
    alignment, (kind, _) = values[key], types[key]
    if kind is not ValueType.UINT32:
        raise window.error(f"must be of type UINT32, found {kind.name}")
    if alignment == 0 or alignment & (alignment - 1):
        raise window.error(f"must be a power of two, found {alignment}")
    return alignment


def _read_tensor(window: _Window, index: int, alignment: int) -> tuple[TensorInfo, int]:
    """One tensor's line, its offset still relative to the data; and where in the header it stands."""
    at = window.position
    window.subject = (f"tensor number {index}", None)
    name = window.text("its name", t.MAX_NAME_BYTES)
    if not name:
        raise window.error("its name is empty", at)
    window.subject = ("tensor", name)
    n_dims = window.u32("the number of dimensions")
    if n_dims > t.MAX_DIMS:
        raise window.error(f"has {n_dims:,} dimensions, at most {t.MAX_DIMS} are allowed", at)
    start = window.need(8 * n_dims, "the dimensions")
    dims = struct.unpack_from(f"<{n_dims}Q", window.buffer, start)
    if 0 in dims:
        raise window.error(f"dimension {dims.index(0)} is 0", start)
    number = window.u32("the tensor type")
    if number not in _TYPES:
        known = f" ({t.RETIRED_TYPES[number]}, which ggml has removed)" if number in t.RETIRED_TYPES else ""
        raise window.error(f"tensor type {number}{known} is unknown", window.position - 4)
    kind = GGMLType(number)
    row = dims[0] if dims else 1
    if row % kind.block:
        raise window.error(f"a row of {row:,} values is not a multiple of {kind.name}'s block of {kind.block}", start)
    size = math.prod(dims)
    nbytes = size // kind.block * kind.nbytes
    if nbytes > window.size:
        shape = " × ".join(map(str, dims))
        raise window.error(f"{shape} values of {kind.name} take {nbytes:,} bytes, the file has {window.size:,}", start)
    offset = window.u64("the data offset")
    if offset % alignment:
        raise window.error(f"offset {offset:,} is not a multiple of the alignment {alignment}", window.position - 8)
    return TensorInfo(name, kind, dims[::-1], offset, nbytes), at


_TYPES = frozenset(map(int, GGMLType))


def _place(window: _Window, infos: list[tuple[TensorInfo, int]], data_offset: int) -> list[TensorInfo]:
    """Offsets made absolute; every tensor inside the file, no two of one name, no two on the same bytes."""
    placed: list[TensorInfo] = []
    names: set[str] = set()
    for info, at in infos:
        window.subject = ("tensor", info.name)
        if info.name in names:
            raise window.error("is there twice", at)
        names.add(info.name)
        start = data_offset + info.offset
        if start + info.nbytes > window.size:
            raise window.error(
                f"its data (bytes {start:,} to {start + info.nbytes:,}) runs past the end of the file "
                f"({window.size:,} bytes): truncated?",
                at,
            )
        placed.append(TensorInfo(info.name, info.type, info.shape, start, info.nbytes))
    ordered = sorted(placed, key=lambda info: info.offset)
    for before, after in itertools.pairwise(ordered):
        if before.offset + before.nbytes > after.offset:
            window.subject = ("tensor", after.name)
            raise window.error(f"its data overlaps that of tensor {quoted(before.name)}", after.offset)
    return placed
