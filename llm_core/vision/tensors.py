"""Tensors that are not read as they lie in the file: seen in another shape, transposed, or computed at load."""

from dataclasses import dataclass, field

import numpy as np

from llm_core.gguf import GGMLType, Tensor
from llm_core.quants import dequantize, quantize


@dataclass(frozen=True)
class ArrayTensor:
    """What `Param` needs of a tensor, over an array: `data` uint8 [rows, bytes per row]."""

    name: str
    type: GGMLType
    shape: tuple[int, ...]
    data: np.ndarray = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def rows(self) -> int:
        """All dimensions but the last, multiplied."""
        return self.size // self.shape[-1]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.data.shape[1]

    def dequantize(self, rows=slice(None)) -> np.ndarray:
        """The values, float32."""
        values = dequantize(self.data[rows], self.type)
        return values.reshape(self.shape) if rows == slice(None) else values

    def release(self, rows: slice = slice(None)) -> None:
        """Nothing: the array is the tensor."""


def flat_rows(tensor: Tensor) -> ArrayTensor:
    """A tensor as a matrix: one row for each index of its first dimension. For types without blocks."""
    shape = (tensor.shape[0], tensor.size // tensor.shape[0])
    return ArrayTensor(tensor.name, tensor.type, shape, tensor.data.reshape(shape[0], -1))


def transposed(tensor: Tensor) -> ArrayTensor:
    """A matrix's transpose; a quantized one becomes F16."""
    kind = tensor.type if tensor.type in (GGMLType.F32, GGMLType.F16, GGMLType.BF16) else GGMLType.F16
    values = np.ascontiguousarray(tensor.dequantize().T)
    return ArrayTensor(f"{tensor.name}.transposed", kind, values.shape, quantize(values, kind))


def matrix(name: str, values: np.ndarray) -> ArrayTensor:
    """A float32 array [rows, columns] as a matrix."""
    rows = np.ascontiguousarray(values, np.float32)
    return ArrayTensor(name, GGMLType.F32, rows.shape, rows.view(np.uint8))


def vector(name: str, values: np.ndarray) -> ArrayTensor:
    """A float32 array as a vector."""
    flat = np.ascontiguousarray(values, np.float32).reshape(1, -1)
    return ArrayTensor(name, GGMLType.F32, (flat.size,), flat.view(np.uint8))
