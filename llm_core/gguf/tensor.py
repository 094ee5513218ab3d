"""Tensors as views of a mapped file: name, type, shape, and bytes that are never copied unless asked for.

A `Tensor` keeps its `Mapping` (the mmap of one file) alive, so its data outlives the `GGUFFile` it came from. Each time
`data` is asked for, the file's size is looked up again: a file that was cut short under us gives an error instead of a
crash on the first missing page.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass, field

import numpy as np

from llm_core.errors import RequestError
from llm_core.gguf.types import GGMLType, GGUFError, escape, quoted


class Mapping:
    """One file mapped read-only: `view` gives uint8 arrays, `release` gives the pages back to the kernel."""

    def __init__(self, fd: int, size: int, source: str):
        self.source = source
        self.size = size
        try:
            self._mmap: mmap.mmap | None = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise GGUFError(f"{escape(source)}: cannot be mapped: {error}") from error

    def view(self, offset: int, nbytes: int) -> np.ndarray:
        """Read-only uint8 [nbytes] at `offset`; raises GGUFError when closed or when the file has shrunk."""
        if self._mmap is None:
            raise GGUFError(f"{escape(self.source)}: the file was closed")
        if self._mmap.size() < self.size:
            raise GGUFError(
                f"{escape(self.source)}: the file shrank from {self.size:,} to {self._mmap.size():,} bytes while in use"
            )
        return np.frombuffer(self._mmap, np.uint8, nbytes, offset)

    def advise(self, offset: int, nbytes: int, advice: int) -> None:
        """madvise(2) on the whole pages inside the span (pages shared with a neighbour are left alone)."""
        start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (offset + nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - start
        if self._mmap is not None and length > 0:
            self._mmap.madvise(advice, start, length)

    def close(self) -> None:
        """Unmaps, or, while arrays still show the mapping, leaves that to the last of them."""
        mapped, self._mmap = self._mmap, None
        if mapped is not None:
            try:
                mapped.close()
            except BufferError:
                # some array still points here; the map goes when that array goes
                del mapped


@dataclass(frozen=True)
class Tensor:
    """One named tensor. `shape` is in numpy order, (rows, columns) for a matrix: GGUF's dimensions reversed."""

    name: str
    type: GGMLType
    shape: tuple[int, ...]
    offset: int
    """First byte in the file (absolute)."""
    mapping: Mapping = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        """Values per row: the last dimension (1 for a scalar)."""
        return self.shape[-1] if self.shape else 1

    @property
    def rows(self) -> int:
        """All dimensions but the last, multiplied."""
        return self.size // self.columns

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the file."""
        return self.columns // self.type.block * self.type.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor in the file."""
        return self.rows * self.row_bytes

    @property
    def data(self) -> np.ndarray:
        """Read-only uint8 [rows, bytes per row], a view of the mapped file. Always two-dimensional."""
        return self.mapping.view(self.offset, self.nbytes).reshape(self.rows, self.row_bytes)

    def dequantize(self, rows: slice | np.ndarray | list[int] | None = None) -> np.ndarray:
        """The values as a fresh float32 array: of `self.shape` for rows=None, else [rows selected, columns].

        `rows`: a slice, or integers with 0 <= i < self.rows. Raises GGUFError (a type that we do not run, named) and
        RequestError (a row that does not exist).
        """
        # at call time: quants names its formats with our GGMLType, so it imports this package
        from llm_core.quants import dequantize, format_of

        try:
            format_of(self.type)
        except ValueError as error:
            raise GGUFError(f"{escape(self.mapping.source)}: tensor {quoted(self.name)}: {error}") from error
        if rows is None:
            return dequantize(self.data, self.type).reshape(self.shape)
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
                raise RequestError(f"tensor {quoted(self.name)}: rows must be a slice or a list of integers")
            if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= self.rows):
                bad = int(rows.min()) if int(rows.min()) < 0 else int(rows.max())
                raise RequestError(f"tensor {quoted(self.name)}: row {bad} does not exist (it has {self.rows:,})")
            rows = rows.astype(np.int64)
        return dequantize(self.data[rows], self.type)

    def release(self, rows: slice = slice(None)) -> None:
        """Gives the pages of these rows back (after repacking): memory shrinks now, a later access reads the file
        again."""
        first, last, _ = rows.indices(self.rows)
        self.mapping.advise(self.offset + first * self.row_bytes, (last - first) * self.row_bytes, mmap.MADV_DONTNEED)

    def prefetch(self) -> None:
        """Asks the kernel to start reading this tensor's pages."""
        self.mapping.advise(self.offset, self.nbytes, mmap.MADV_WILLNEED)
