"""Reads safetensors files: one, or the shards that an index names, as named tensors of a mapped file.

The file is somebody else's: the header's length, every shape and every span is checked against the bytes that are there
before anything is read for it. F32, F16 and BF16 can be read; a tensor of another type is refused when it is used. All
failures are ModelErrors that name the file and the tensor.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, escape
from llm_core.gguf.reader import open_regular
from llm_core.gguf.tensor import Mapping
from llm_core.quants import dequantize

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
MAX_HEADER_BYTES = 100 << 20
MAX_JSON_BYTES = 200 << 20
MAX_TENSORS = 65_536
MAX_DIMS = 8
READABLE = {"F32": GGMLType.F32, "F16": GGMLType.F16, "BF16": GGMLType.BF16}
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
    "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class SafeTensor:
    """One named tensor; `shape` in numpy order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """First byte in the file (absolute)."""
    mapping: Mapping = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """All dimensions but the last, multiplied."""
        return math.prod(self.shape[:-1])

    @property
    def columns(self) -> int:
        """Values of a row."""
        return self.shape[-1] if self.shape else 1

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some rows as a fresh float32 [rows selected, columns]; ModelError for a type that cannot be read."""
        kind = READABLE.get(self.dtype)
        if kind is None:
            raise ModelError(
                f"{escape(self.mapping.source)}: tensor '{escape(self.name, 120)}': type {self.dtype} cannot be read "
                f"(possible: {', '.join(READABLE)})"
            )
        data = self.mapping.view(self.offset, self.size * kind.nbytes).reshape(self.rows, -1)
        return dequantize(data[rows], kind)


def open_folder(folder: Path) -> dict[str, SafeTensor]:
    """All tensors of a model's folder, by name: of model.safetensors, or of the shards that its index names."""
    index = folder / INDEX
    if not index.exists():
        return open_safetensors(folder / SINGLE)
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ModelError(f"{escape(str(index))}: 'weight_map' must map tensor names to file names")
    tensors: dict[str, SafeTensor] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard or shard.startswith("."):
            raise ModelError(f"{escape(str(index))}: {escape(shard, 120)!r} is not the name of a file in the folder")
        for name, tensor in open_safetensors(folder / shard).items():
            if weight_map.get(name) != shard:
                raise ModelError(f"{escape(str(folder / shard))}: tensor '{escape(name, 120)}' is not so in {INDEX}")
            tensors[name] = tensor
    missing = next((name for name in weight_map if name not in tensors), None)
    if missing is not None:
        raise ModelError(f"{escape(str(folder))}: tensor '{escape(missing, 120)}' is in {INDEX}, but in no file")
    return tensors


def open_safetensors(path: Path) -> dict[str, SafeTensor]:
    """The tensors of one file, by name."""
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, 8, 0)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise ModelError(f"{escape(str(path))}: not a safetensors file (header of {length:,} bytes in {size:,})")
        header = _parse(os.pread(fd, length, 8), path)
        mapping = Mapping(fd, size, str(path))
    finally:
        os.close(fd)
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise ModelError(f"{escape(str(path))}: {len(header):,} tensors, at most {MAX_TENSORS:,} are allowed")
    tensors = {name: _tensor(name, entry, 8 + length, mapping) for name, entry in header.items()}
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise _error(mapping, tensor.name, "overlaps another one")
        end = tensor.offset + tensor.size * _ITEM_BYTES[tensor.dtype]
    return tensors


def _tensor(name: str, entry: Any, base: int, mapping: Mapping) -> SafeTensor:
    if not isinstance(entry, dict):
        raise _error(mapping, name, "its entry is no object")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise _error(mapping, name, f"unknown type {escape(repr(dtype), 60)}")
    if not _naturals(shape) or len(shape) > MAX_DIMS:
        raise _error(mapping, name, f"shape {escape(repr(shape), 60)} is no list of at most {MAX_DIMS} sizes")
    if not _naturals(span) or len(span) != 2 or not span[0] <= span[1] <= mapping.size - base:
        raise _error(mapping, name, f"bytes {escape(repr(span), 60)} do not lie in {mapping.size - base:,}")
    if math.prod(shape) * _ITEM_BYTES[dtype] != span[1] - span[0] or span[0] == span[1]:
        raise _error(mapping, name, f"{span[1] - span[0]:,} bytes do not hold {dtype} {escape(repr(shape), 60)}")
    return SafeTensor(name, dtype, tuple(shape), base + span[0], mapping)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 62 for v in values)


def _error(mapping: Mapping, name: str, problem: str) -> ModelError:
    return ModelError(f"{escape(mapping.source)}: tensor '{escape(name, 120)}': {problem}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; ModelError for anything else. FileNotFoundError is left to the caller."""
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise ModelError(f"{escape(str(path))}: {size:,} bytes are too many")
    return _parse(path.read_bytes(), path)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{escape(str(path))}: not JSON: {escape(str(error), 200)}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{escape(str(path))}: holds no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
