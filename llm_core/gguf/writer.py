"""Writes GGUF version 3: metadata of every type, tensors from arrays or raw blocks, atomically, one file or split.

Tensors are streamed to a scratch file beside the target as they come, so nothing but their names and shapes is held;
`close` then writes the header and copies the data behind it into a temporary file, which takes the target's name only
when it is complete. Leaving a `with` block by an exception leaves no file behind.
"""

from __future__ import annotations

import math
import os
import secrets
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import types as t
from llm_core.gguf.types import GGMLType, ValueType, quoted
from llm_core.paths import check_output

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_COPY = 8 << 20

_NUMPY_TYPES = {
    np.dtype(np.float32): GGMLType.F32,
    np.dtype(np.float16): GGMLType.F16,
    np.dtype(np.float64): GGMLType.F64,
    np.dtype(np.int8): GGMLType.I8,
    np.dtype(np.int16): GGMLType.I16,
    np.dtype(np.int32): GGMLType.I32,
    np.dtype(np.int64): GGMLType.I64,
}

_NUMPY_VALUES = {
    np.dtype(np.bool_): ValueType.BOOL,
    np.dtype(np.uint8): ValueType.UINT8,
    np.dtype(np.int8): ValueType.INT8,
    np.dtype(np.uint16): ValueType.UINT16,
    np.dtype(np.int16): ValueType.INT16,
    np.dtype(np.uint32): ValueType.UINT32,
    np.dtype(np.int32): ValueType.INT32,
    np.dtype(np.uint64): ValueType.UINT64,
    np.dtype(np.int64): ValueType.INT64,
    np.dtype(np.float32): ValueType.FLOAT32,
    np.dtype(np.float64): ValueType.FLOAT64,
}


@dataclass(frozen=True)
class _Written:
    """A tensor that is in the scratch file."""

    name: str
    type: GGMLType
    shape: tuple[int, ...]
    start: int
    nbytes: int


class GGUFWriter:
    """`GGUFWriter(path).add(key, value).add_tensor(name, array).close()`; or as a context manager.

    `alignment`: a power of two, written as `general.alignment` when it is not 32. `max_part_bytes`: when the tensors'
    data exceed it, a split set `<stem>-00001-of-0000N.gguf` is written instead of `path` (see `paths` after closing).
    """

    def __init__(
        self, path: str | os.PathLike, *, alignment: int = t.DEFAULT_ALIGNMENT, max_part_bytes: int | None = None
    ):
        if alignment <= 0 or alignment & (alignment - 1) or alignment >= 1 << 32:
            raise ModelError(f"alignment must be a power of two below 2^32, found {alignment}")
        if max_part_bytes is not None and max_part_bytes <= 0:
            raise ModelError(f"max_part_bytes must be positive, found {max_part_bytes}")
        self.path = Path(path)
        check_output(self.path)
        self.paths: list[Path] = []
        """The files written, after `close`."""
        self.alignment = alignment
        self.max_part_bytes = max_part_bytes
        self._pairs: dict[str, bytes] = {}
        self._tensors: dict[str, _Written] = {}
        self._scratch: BinaryIO | None = tempfile.TemporaryFile(dir=self.path.parent)
        if alignment != t.DEFAULT_ALIGNMENT:
            self.add("general.alignment", alignment)

    def __enter__(self) -> GGUFWriter:
        return self

    def __exit__(self, kind, *exc) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def add(
        self, key: str, value: Any, type: ValueType | None = None, item_type: ValueType | None = None
    ) -> GGUFWriter:
        """Adds a key. Without `type`: bool → BOOL, int → UINT32 (INT32 if negative, 64 bits if too large), float →
        FLOAT32, str → STRING, list → ARRAY of the type that fits all its items (numpy values keep their own type; an
        empty list is one of strings). `item_type` is an array's element type. Raises ModelError: a key given twice, a
        value that the type cannot hold."""
        self._check_open()
        encoded_key = _string(key, "key")
        if not 1 <= len(encoded_key) - 8 <= t.MAX_NAME_BYTES:
            raise ModelError(f"key {quoted(key)}: a key has 1 to {t.MAX_NAME_BYTES} bytes")
        if key in self._pairs:
            raise ModelError(f"key {quoted(key)} is there already")
        if key == "general.alignment" and value != self.alignment:
            raise ModelError(f"key {quoted(key)}: give alignment={value} to GGUFWriter instead")
        try:
            kind = _infer(value) if type is None else ValueType(type)
            self._pairs[key] = encoded_key + _U32.pack(kind) + _value(value, kind, item_type)
        except (struct.error, OverflowError, TypeError, ValueError) as error:
            raise ModelError(f"key {quoted(key)}: {error}") from error
        return self

    def add_tensor(
        self, name: str, data: Any, type: GGMLType | None = None, shape: Sequence[int] | None = None
    ) -> GGUFWriter:
        """Adds a tensor, written at once to the scratch file.

        `data`: a float or integer array (stored as it is; with a quantized or other float `type`, converted to it), or
        raw blocks of `type`: bytes (then `shape`, numpy order, is required) or a uint8 array [..., bytes per row].
        Raises ModelError naming the tensor.
        """
        scratch = self._check_open()
        if name in self._tensors:
            raise ModelError(f"tensor {quoted(name)} is there already")
        if not 1 <= len(_string(name, "tensor")) - 8 <= t.MAX_NAME_BYTES:
            raise ModelError(f"tensor {quoted(name)}: a name has 1 to {t.MAX_NAME_BYTES} bytes")
        try:
            kind, dims, raw = _blocks(data, None if type is None else GGMLType(type), shape)
        except (TypeError, ValueError) as error:
            raise ModelError(f"tensor {quoted(name)}: {error}") from error
        start = scratch.tell()
        scratch.write(raw)
        scratch.write(bytes(-raw.nbytes % self.alignment))
        self._tensors[name] = _Written(name, kind, dims, start, raw.nbytes)
        return self

    def close(self) -> None:
        """Writes the file or files, complete or not at all. A second call does nothing."""
        if self._scratch is None:
            return
        temporary: list[tuple[Path, Path]] = []
        try:
            parts = self._divide()
            for number, tensors in enumerate(parts):
                target = self._part_path(number, len(parts))
                temporary.append((target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp"), target))
                self._write_part(temporary[-1][0], number, len(parts), tensors)
            # the first part last: without it nobody takes the others for a model
            for source, target in reversed(temporary):
                os.replace(source, target)
            self.paths = [target for _, target in temporary]
        finally:
            for source, _ in temporary:
                source.unlink(missing_ok=True)
            self.discard()

    def discard(self) -> None:
        """Forgets everything; no file is written."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()

    def _check_open(self) -> BinaryIO:
        if self._scratch is None:
            raise ModelError(f"{self.path}: the writer is closed")
        return self._scratch

    def _divide(self) -> list[list[_Written]]:
        parts: list[list[_Written]] = [[]]
        used = 0
        for tensor in self._tensors.values():
            if self.max_part_bytes is not None and parts[-1] and used + tensor.nbytes > self.max_part_bytes:
                parts.append([])
                used = 0
            parts[-1].append(tensor)
            used += tensor.nbytes
        if len(parts) > t.MAX_PARTS:
            raise ModelError(f"{self.path}: would take {len(parts)} parts, at most {t.MAX_PARTS} are allowed")
        return parts

    def _part_path(self, number: int, count: int) -> Path:
        if count == 1:
            return self.path
        stem = self.path.name.removesuffix(".gguf")
        return self.path.with_name(f"{stem}-{number + 1:05}-of-{count:05}.gguf")

    def _write_part(self, path: Path, number: int, count: int, tensors: list[_Written]) -> None:
        pairs = list(self._pairs.values()) if number == 0 else []
        if number and "general.alignment" in self._pairs:
            pairs = [self._pairs["general.alignment"]]
        if count > 1:
            for key, value, kind in (
                ("split.no", number, ValueType.UINT16),
                ("split.count", count, ValueType.UINT16),
                ("split.tensors.count", len(self._tensors), ValueType.INT32),
            ):
                pairs.append(_string(key, "key") + _U32.pack(kind) + _value(value, kind, None))
        header = [t.MAGIC, _U32.pack(3), _U64.pack(len(tensors)), _U64.pack(len(pairs)), *pairs]
        base = tensors[0].start if tensors else 0
        for tensor in tensors:
            header.append(_string(tensor.name, "tensor") + _U32.pack(len(tensor.shape)))
            header.append(struct.pack(f"<{len(tensor.shape)}Q", *reversed(tensor.shape)))
            header.append(_U32.pack(tensor.type) + _U64.pack(tensor.start - base))
        blob = b"".join(header)
        blob += bytes(-len(blob) % self.alignment)
        nbytes = tensors[-1].start + tensors[-1].nbytes - base if tensors else 0
        # created by open(2) with the usual mode, so that the process's umask decides who may read the model
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as out:
            out.write(blob)
            _copy(self._check_open(), base, nbytes + -nbytes % self.alignment, out)
            out.flush()
            os.fsync(out.fileno())


def _copy(source: BinaryIO, start: int, nbytes: int, out: BinaryIO) -> None:
    source.seek(start)
    while nbytes:
        chunk = source.read(min(nbytes, _COPY))
        if not chunk:
            raise OSError("the scratch file is shorter than what was written to it")
        out.write(chunk)
        nbytes -= len(chunk)


def _string(text: str, what: str) -> bytes:
    if not isinstance(text, str):
        raise ModelError(f"a {what} must be a string, found {text!r}")
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"{what} {quoted(text)} cannot be encoded as UTF-8: {error.reason}") from error
    return _U64.pack(len(raw)) + raw


def _infer(value: Any) -> ValueType:
    """The value type that fits a Python or numpy value."""
    if isinstance(value, np.generic) and value.dtype in _NUMPY_VALUES:
        return _NUMPY_VALUES[value.dtype]
    for python, kind in (
        (bool, ValueType.BOOL),
        (float, ValueType.FLOAT32),
        (str, ValueType.STRING),
        ((list, tuple, np.ndarray), ValueType.ARRAY),
    ):
        if isinstance(value, python):
            return kind
    if isinstance(value, int):
        for kind, low, high in (
            (ValueType.UINT32, 0, 1 << 32),
            (ValueType.INT32, -(1 << 31), 0),
            (ValueType.UINT64, 0, 1 << 64),
            (ValueType.INT64, -(1 << 63), 0),
        ):
            if low <= value < high:
                return kind
    raise TypeError(f"no value type holds {value!r:.80}")


def _infer_items(values: Sequence[Any]) -> ValueType:
    """The element type that fits all items of a list."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype in _NUMPY_VALUES:
        return _NUMPY_VALUES[values.dtype]
    if not len(values):
        return ValueType.STRING
    if all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        low, high = min(values), max(values)
        for kind, least, most in (
            (ValueType.INT32, -(1 << 31), 1 << 31),
            (ValueType.UINT32, 0, 1 << 32),
            (ValueType.INT64, -(1 << 63), 1 << 63),
            (ValueType.UINT64, 0, 1 << 64),
        ):
            if least <= low and high < most:
                return kind
    kinds = {_infer(v) for v in values}
    if len(kinds) != 1:
        raise TypeError(f"a list must hold one type, found {', '.join(sorted(kind.name for kind in kinds))}")
    return kinds.pop()


def _value(value: Any, kind: ValueType, item_type: ValueType | None) -> bytes:
    """A value's bytes; raises struct.error, TypeError or OverflowError when `kind` cannot hold it."""
    if kind is ValueType.STRING:
        return _string(value, "string")
    if kind is ValueType.ARRAY:
        item = _infer_items(value) if item_type is None else ValueType(item_type)
        head = _U32.pack(item) + _U64.pack(len(value))
        if item in t.SCALAR_CODES:
            _check_kind(value, item)
            return head + struct.pack(f"<{len(value)}{t.SCALAR_CODES[item]}", *value)
        return head + b"".join(_value(v, item, None) for v in value)
    _check_kind([value], kind)
    return struct.pack("<" + t.SCALAR_CODES[kind], value)


def _check_kind(values: Sequence[Any], kind: ValueType) -> None:
    """A bool is written as BOOL only and nothing else is, a float never as an integer; struct alone lets that pass."""
    if isinstance(values, np.ndarray) and values.dtype in _NUMPY_VALUES:
        values = values[:1]
    wanted = (bool, np.bool_) if kind is ValueType.BOOL else (int, np.integer)
    if kind in (ValueType.FLOAT32, ValueType.FLOAT64):
        wanted = (float, int, np.floating, np.integer)
    for v in values:
        if not isinstance(v, wanted) or (kind is not ValueType.BOOL and isinstance(v, bool)):
            raise TypeError(f"{v!r:.80} is no {kind.name}")


def _blocks(
    data: Any, kind: GGMLType | None, shape: Sequence[int] | None
) -> tuple[GGMLType, tuple[int, ...], memoryview]:
    """A tensor's type, shape (numpy order) and bytes."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        if kind is None or shape is None:
            raise ValueError("raw bytes need a type and a shape")
        return kind, *_checked(kind, tuple(map(int, shape)), memoryview(data).cast("B"))
    array = np.asarray(data)
    if array.dtype == np.uint8:
        if kind is None:
            raise ValueError("uint8 blocks need a type")
        if shape is None:
            if not array.ndim or array.shape[-1] % kind.nbytes:
                raise ValueError(f"rows of {array.shape[-1:]} bytes are no multiple of {kind.name}'s {kind.nbytes}")
            shape = (*array.shape[:-1], array.shape[-1] // kind.nbytes * kind.block)
        return kind, *_checked(kind, tuple(map(int, shape)), _raw(array))
    own = _NUMPY_TYPES.get(array.dtype.newbyteorder("="))
    if shape is not None:
        array = array.reshape(shape)
    if kind is None or kind is own:
        if own is None:
            raise ValueError(f"arrays of {array.dtype} cannot be stored")
        return own, *_checked(own, array.shape, _raw(array.astype(array.dtype.newbyteorder("<"), copy=False)))
    if array.dtype.kind != "f":
        raise ValueError(f"{array.dtype} values are not converted to {kind.name}: give floats, or raw blocks as uint8")
    # at call time: quants names its formats with our GGMLType, so it imports this package
    from llm_core.quants import quantize

    _check_shape(kind, array.shape)
    columns = array.shape[-1] if array.ndim else 1
    return kind, *_checked(kind, array.shape, _raw(quantize(array.reshape(-1, columns), kind)))


def _raw(array: np.ndarray) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _check_shape(kind: GGMLType, shape: tuple[int, ...]) -> None:
    if len(shape) > t.MAX_DIMS or any(n <= 0 for n in shape):
        raise ValueError(f"shape {shape}: at most {t.MAX_DIMS} dimensions, each at least 1")
    row = shape[-1] if shape else 1
    if row % kind.block:
        raise ValueError(f"rows of {row:,} values are not a multiple of {kind.name}'s block of {kind.block}")


def _checked(kind: GGMLType, shape: tuple[int, ...], raw: memoryview) -> tuple[tuple[int, ...], memoryview]:
    _check_shape(kind, shape)
    expected = math.prod(shape) // kind.block * kind.nbytes
    if raw.nbytes != expected:
        raise ValueError(f"shape {shape} of {kind.name} takes {expected:,} bytes, found {raw.nbytes:,}")
    return shape, raw
