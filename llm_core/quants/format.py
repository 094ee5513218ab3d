"""What a storage format is: a block layout, `dequantize`, and for some `quantize`; and the table of all of them.

A format is a class in one of this folder's files: it names its `GGMLType`, declares its block's bytes as a numpy record
(`layout`), and turns records into values. Subclassing registers it in `FORMATS`; sizes come from the one table in
`llm_core.gguf.types`. Everything is readable numpy, equal bit for bit to the `gguf` package where that can do it; the
kernels are tested against it. K-quants and IQ4, which the package only reads, are written by our own search (`fit.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf.types import GGMLType

FORMATS: dict[GGMLType, Format] = {}

# float32 values worked on at a time: the temporaries stay in the cache, whatever the tensor's size
_CHUNK = 1 << 17


class Format:
    """Base of the formats; the instances are in `FORMATS`.

    A subclass gives `layout` (the numpy record dtype of a block), `decode(records) -> float32 [n, block]` and, if it
    can be written, `encode(float32 [n, block]) -> records`; blocks are independent of each other. With `weighted`,
    `encode` takes a second argument: how much each value's squared error counts, float32 [n, block], or None.
    """

    type: GGMLType
    layout: np.dtype
    encode: Callable[..., np.ndarray] | None = None
    takes_nonfinite = False
    weighted = False

    def __init_subclass__(cls, type: GGMLType | None = None):
        if type is None:  # a shared base of some formats, no format itself
            return
        cls.type = type
        if cls.layout.itemsize != type.nbytes or type in FORMATS:
            raise TypeError(f"{cls.__name__}: layout of {cls.layout.itemsize} bytes, or {type.name} is there already")
        FORMATS[type] = cls()

    @property
    def name(self) -> str:
        """The type's name, e.g. "Q4_K"."""
        return self.type.name

    @property
    def block(self) -> int:
        """Values per block."""
        return self.type.block

    @property
    def nbytes(self) -> int:
        """Bytes per block."""
        return self.type.nbytes

    @property
    def can_quantize(self) -> bool:
        """Whether floats can be written in this format."""
        return self.encode is not None

    def pack(self, **fields: np.ndarray) -> np.ndarray:
        """Records of `layout` from arrays [n, k]; a field that is a single number takes [n, 1]."""
        records = np.empty(len(next(iter(fields.values()))), self.layout)
        for name, values in fields.items():
            records[name] = values if records[name].ndim == 2 else values[:, 0]
        return records

    def decode(self, records: np.ndarray) -> np.ndarray:
        """Records of `layout` [n] to float32 [n, block]."""
        raise NotImplementedError

    def dequantize(self, blocks: np.ndarray) -> np.ndarray:
        """uint8 [n, nbytes] to float32 [n, block], bit for bit as the `gguf` package does, NaN and infinities too."""
        if blocks.dtype != np.uint8 or blocks.ndim != 2 or blocks.shape[1] != self.nbytes:
            raise ModelError(
                f"{self.name} blocks must be uint8 [n, {self.nbytes}], found {blocks.dtype} {blocks.shape}"
            )
        with np.errstate(all="ignore"):
            return self.decode(np.ascontiguousarray(blocks).view(self.layout)[:, 0])

    def quantize(self, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """float32 [n, block] to uint8 [n, nbytes], bit for bit as the `gguf` package does if it can.

        `weights` float32 [n, block], finite and >= 0, say how much each value's squared error counts. Raises ModelError
        for a format that cannot be written or takes no weights and, but for the float formats, for NaN and infinities.
        """
        if self.encode is None:
            writable = ", ".join(f.name for f in FORMATS.values() if f.can_quantize)
            raise ModelError(f"{self.name} cannot be quantized to (possible: {writable})")
        if values.dtype != np.float32 or values.ndim != 2 or values.shape[1] != self.block:
            raise ModelError(
                f"{self.name} values must be float32 [n, {self.block}], found {values.dtype} {values.shape}"
            )
        if not self.takes_nonfinite and not np.isfinite(values).all():
            bad = np.argwhere(~np.isfinite(values))[0]
            raise ModelError(f"{self.name} cannot hold {values[tuple(bad)]} (block {bad[0]}, value {bad[1]})")
        if weights is not None and (not self.weighted or weights.shape != values.shape):
            raise ModelError(f"{self.name} takes no weights of shape {weights.shape} for values of {values.shape}")
        with np.errstate(all="ignore"):
            more = () if weights is None else (weights,)
            records = self.encode(np.ascontiguousarray(values), *more)
        return records.view(np.uint8).reshape(len(values), self.nbytes)


def format_of(type: GGMLType) -> Format:
    """The format of a tensor type; raises ModelError with the type's name when it is one that we do not run."""
    if type not in FORMATS:
        raise ModelError(
            f"type {type.name} is not supported (supported: {', '.join(f.name for f in FORMATS.values())})"
        )
    return FORMATS[type]


def dequantize(data: np.ndarray, type: GGMLType) -> np.ndarray:
    """uint8 [rows, bytes per row] to a fresh float32 [rows, columns], in chunks: no large temporaries."""
    form = format_of(type)
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] % form.nbytes:
        raise ModelError(f"{form.name} rows must be uint8 [rows, k * {form.nbytes}], found {data.dtype} {data.shape}")
    rows, columns = data.shape[0], data.shape[1] // form.nbytes * form.block
    out = np.empty((rows, columns), np.float32)
    blocks, values = np.ascontiguousarray(data).reshape(-1, form.nbytes), out.reshape(-1, form.block)
    step = max(1, _CHUNK // form.block)
    for start in range(0, len(blocks), step):
        values[start : start + step] = form.dequantize(blocks[start : start + step])
    return out


def quantize(values: np.ndarray, type: GGMLType, weights: np.ndarray | None = None) -> np.ndarray:
    """float [rows, columns] to uint8 [rows, bytes per row]; columns must be a multiple of the format's block.

    `weights`: float32 [columns], how much an error in each column counts, not all 0 (see `Format.quantize`).
    """
    form = format_of(type)
    if values.ndim != 2 or values.shape[1] % form.block:
        raise ModelError(f"{form.name} needs [rows, k * {form.block}] values, found shape {values.shape}")
    if weights is not None and weights.shape != values.shape[1:]:
        raise ModelError(f"{form.name}: {values.shape[1]} columns, but weights of shape {weights.shape}")
    out = np.empty((values.shape[0], values.shape[1] // form.block * form.nbytes), np.uint8)
    blocks = np.ascontiguousarray(values).reshape(-1, form.block)
    packed = out.reshape(-1, form.nbytes)
    by_block = None if weights is None else (weights / weights.max()).astype(np.float32).reshape(-1, form.block)
    step = max(1, _CHUNK // form.block)
    for start in range(0, len(blocks), step):
        chunk = blocks[start : start + step].astype(np.float32, copy=False)
        of_chunk = None if by_block is None else by_block[np.arange(start, start + len(chunk)) % len(by_block)]
        packed[start : start + step] = form.quantize(chunk, of_chunk)
    return out


def halves(packed: np.ndarray) -> np.ndarray:
    """uint8 [..., k] to uint8 [..., 2 * k]: all low nibbles, then all high nibbles."""
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)


def join_halves(nibbles: np.ndarray) -> np.ndarray:
    """The inverse of `halves`."""
    low, high = np.split(nibbles, 2, axis=-1)
    return (low & 0x0F) | (high << 4)


def columns(values: np.ndarray) -> np.ndarray:
    """A fresh [block, n] of [n, block]: with the blocks side by side numpy works on whole rows of them at once."""
    return np.array(values.T, order="C")


def inverse(d: np.ndarray) -> np.ndarray:
    """1 / d, and 0 where d is 0."""
    return np.where(d == 0, np.float32(0), np.float32(1) / d)


def round_away(values: np.ndarray) -> np.ndarray:
    """The nearest whole numbers, ties away from zero as C's roundf has it; numpy's rint would go to even."""
    whole = np.trunc(values)
    rest = values - whole
    rest += rest
    whole += np.trunc(rest, out=rest)
    return whole
