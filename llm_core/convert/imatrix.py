"""Reads importance matrices: how strongly a model's inputs drive each column of its matrices, from `llama-imatrix`.

In: a GGUF file (`general.type` "imatrix", tensors `<matrix>.in_sum2` and `<matrix>.counts`) or the older binary
one. Out: per matrix the mean square of each input, float32 [columns], finite and >= 0. Quantizers weigh errors by it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import GGUFFile, escape, open_gguf

_SUMS, _COUNTS = ".in_sum2", ".counts"
_MAX_BYTES = 1 << 30
_MAX_NAME = 1024


def read_imatrix(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Matrix name → importance of its columns. Raises ModelError (GGUFError) for anything else than such a file."""
    path = Path(path)
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == b"GGUF":
        with open_gguf(path) as opened:
            found = _from_gguf(opened)
    else:
        found = _from_binary(path)
    if not found:
        raise ModelError(f"{escape(str(path))}: holds no importance matrix")
    for name, values in found.items():
        if not np.isfinite(values).all() or (values < 0).any():
            raise ModelError(f"{escape(str(path))}: {escape(name, 120)}: importances must be finite and not negative")
    return found


def _from_gguf(file: GGUFFile) -> dict[str, np.ndarray]:
    file.metadata.str("general.type", choices=("imatrix",))
    found = {}
    for name, sums in file.tensors.items():
        if not name.endswith(_SUMS):
            continue
        matrix = name.removesuffix(_SUMS)
        counts = file.tensor(matrix + _COUNTS)
        if counts.size != sums.rows:
            raise ModelError(f"{escape(str(file.path))}: {escape(name, 120)}: {sums.rows} rows, {counts.size} counts")
        if sums.rows == 1:  # several: one of each expert, for matrices that are not quantized here
            found[matrix] = sums.dequantize().reshape(-1) / np.maximum(counts.dequantize().reshape(-1), 1)
    return found


def _from_binary(path: Path) -> dict[str, np.ndarray]:
    """int32 entries; each: name (int32 length, bytes), int32 calls, int32 n, n float32 of mean square times calls."""
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ModelError(f"{escape(str(path))}: {size:,} bytes are too many for an importance matrix")
    data, at, found = path.read_bytes(), 0, {}

    def take(nbytes: int) -> bytes:
        nonlocal at
        if nbytes < 0 or at + nbytes > len(data):
            raise ModelError(f"{escape(str(path))}: not an importance matrix, or cut short (byte {at:,} of {size:,})")
        at += nbytes
        return data[at - nbytes : at]

    def number(low: int, high: int) -> int:
        value = struct.unpack("<i", take(4))[0]
        if not low <= value <= high:
            raise ModelError(f"{escape(str(path))}: not an importance matrix ({value} at byte {at - 4:,})")
        return value

    for _ in range(number(1, 1 << 16)):
        name = take(number(1, _MAX_NAME)).decode("utf-8", "replace")
        calls = number(0, (1 << 31) - 1)
        found[name] = np.frombuffer(take(4 * number(1, 1 << 24)), "<f4") / np.float32(max(calls, 1))
    return found
