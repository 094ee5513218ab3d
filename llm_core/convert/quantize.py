"""A GGUF file in other types: metadata carried over, matrices written as a mix says, vectors as they were.

`quantize_model(source, target, "Q4_K_M")` reads any file whose types we can read, a slab of rows at a time, on all
threads, and writes `target` complete or not at all. A matrix that has its type already is copied byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llm_core.convert import mixes
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFFile, GGUFWriter, Tensor, escape, open_gguf
from llm_core.kernels import cpu
from llm_core.models.names import check_model
from llm_core.quants import FORMATS, quantize

QUANTIZATION_VERSION = 2  # of the block layouts, as ggml counts
MAX_THREADS = 256
# float32 values that a thread holds at a time
PIECE = 1 << 17
_REPLACED = ("general.file_type", "general.quantization_version", "general.alignment")


@dataclass
class Report:
    """What was written. `types`: GGMLType → (tensors, values, bytes)."""

    mix: str
    source_bytes: int = 0
    bytes: int = 0
    values: int = 0
    types: dict[GGMLType, list[int]] = field(default_factory=dict)
    requantized: list[str] = field(default_factory=list)
    """Matrices that were quantized before, and otherwise."""
    unweighted: list[str] = field(default_factory=list)
    """Matrices that the importance matrix does not know, or whose type cannot make use of it."""

    @property
    def bits_per_value(self) -> float:
        """Bits of tensor data per value."""
        return 8 * self.bytes / self.values

    def count(self, tensor: Tensor, kind: GGMLType) -> None:
        """Add a tensor that is written as `kind`."""
        nbytes = tensor.size // kind.block * kind.nbytes
        row = self.types.setdefault(kind, [0, 0, 0])
        for index, more in enumerate((1, tensor.size, nbytes)):
            row[index] += more
        self.source_bytes += tensor.nbytes
        self.bytes += nbytes
        self.values += tensor.size


def quantize_model(
    source: str | os.PathLike,
    target: str | os.PathLike,
    mix: str,
    *,
    rules: Iterable[mixes.Rule] = (),
    imatrix: Mapping[str, np.ndarray] | None = None,
    threads: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Report:
    """Write `source` as `target` in the mix of that name; see `mixes.MIXES` for names and `mixes.Rule` for exceptions.

    `imatrix`: importance of columns by matrix name (`read_imatrix`). `progress(tensor name, share done)` is called
    before every tensor, and with 1.0 at the end. Raises RequestError (names, rules,
    target) and ModelError (source, imatrix).
    """
    name, chosen = mixes.find_mix(mix)
    threads = cpu.default_threads() if threads is None else threads
    if not 1 <= threads <= MAX_THREADS:
        raise RequestError(f"threads = {threads}: must be from 1 to {MAX_THREADS}")
    target = Path(target)
    report = Report(name)
    with open_gguf(source) as file:
        if target.exists() and any(os.path.samefile(target, part) for part in file.parts):
            raise RequestError(f"{target} is the input itself: give another name")
        check_model(file.metadata)
        types = mixes.plan(file, chosen, rules, imatrix is not None)
        _check_imatrix(file, imatrix or {})
        total, done = sum(t.nbytes for t in file.tensors.values()), 0
        with GGUFWriter(target, alignment=file.alignment) as writer, ThreadPoolExecutor(threads) as pool:
            _copy_metadata(file, writer, chosen)
            for tensor in file.tensors.values():
                if progress:
                    progress(tensor.name, done / total)
                kind = types[tensor.name]
                _write(writer, tensor, kind, imatrix, pool, report)
                report.count(tensor, kind)
                tensor.release()
                done += tensor.nbytes
    if progress:
        progress("", 1.0)
    return report


def _check_imatrix(file: GGUFFile, imatrix: Mapping[str, np.ndarray]) -> None:
    for name, weights in imatrix.items():
        tensor = file.tensors.get(name)
        if tensor is not None and weights.shape != (tensor.columns,):
            raise ModelError(
                f"importance matrix: {escape(name, 120)} has {len(weights):,} columns, the model's {tensor.columns:,}"
            )


def _copy_metadata(file: GGUFFile, writer: GGUFWriter, mix: mixes.Mix) -> None:
    """All keys as they were, but for what describes the old file."""
    for key, value in file.metadata.items():
        if key not in _REPLACED and not key.startswith("split."):
            writer.add(key, value, *file.metadata.types[key])
    writer.add("general.quantization_version", QUANTIZATION_VERSION)
    writer.add("general.file_type", mix.file_type)


def _write(
    writer: GGUFWriter,
    tensor: Tensor,
    kind: GGMLType,
    imatrix: Mapping[str, np.ndarray] | None,
    pool: Executor,
    report: Report,
) -> None:
    """One tensor, as `kind`; each of the pool's threads holds a piece of its rows at a time as floats."""
    if kind is tensor.type:
        writer.add_tensor(tensor.name, tensor.data.reshape(-1), kind, tensor.shape)
        return
    form = FORMATS[kind]
    if tensor.type.block > 1:
        report.requantized.append(tensor.name)
    weights = imatrix.get(tensor.name) if imatrix and form.weighted else None
    if weights is not None and not weights.any():
        weights = None
    if imatrix is not None and weights is None and form.block > 1:
        report.unweighted.append(tensor.name)
    out = np.empty((tensor.rows, tensor.columns // form.block * form.nbytes), np.uint8)
    step = max(1, PIECE // tensor.columns)

    def work(start: int) -> None:
        rows = slice(start, start + step)
        out[rows] = quantize(tensor.dequantize(rows), kind, weights)

    try:
        for _ in pool.map(work, range(0, tensor.rows, step)):
            pass
    except ModelError as error:
        raise ModelError(f"tensor {escape(tensor.name, 120)}: {error}") from None
    writer.add_tensor(tensor.name, out.reshape(-1), kind, tensor.shape)
