"""Parameters of a model as a program names them: a tensor of the file, its checked shape, its packed bytes once
linked."""

from dataclasses import dataclass, field

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, Tensor
from llm_core.kernels.matmul import PANEL_FORMATS, ROWS

# Weights are packed in pieces of about this many bytes, so that packing needs little memory beside the result.
PIECE_BYTES = 16 << 20


@dataclass(eq=False)
class Param:
    """A tensor that a program reads: a matrix (packed into panels) or a vector (float32)."""

    tensor: Tensor
    is_vector: bool = False
    packed: np.ndarray | None = field(default=None, repr=False)

    @property
    def rows(self) -> int:
        """Rows of the matrix: outputs of the product."""
        return self.tensor.rows

    @property
    def type(self) -> GGMLType:
        """The storage type; raises ModelError for one that no kernel runs."""
        if self.tensor.type not in PANEL_FORMATS:
            raise ModelError(
                f"tensor {self.tensor.name!r}: type {self.tensor.type.name} is not supported; "
                f"supported: {', '.join(t.name for t in PANEL_FORMATS)}"
            )
        return self.tensor.type

    def expect(self, *shape: int) -> None:
        """Raise ModelError unless the tensor has this shape, (rows, columns) or (length,)."""
        if tuple(self.tensor.shape) != shape:
            raise ModelError(f"tensor {self.tensor.name!r}: shape {tuple(self.tensor.shape)}, expected {shape}")
        self.is_vector = len(shape) == 1
        if not self.is_vector:
            layout = PANEL_FORMATS[self.type]
            if shape[1] % layout.block:
                raise ModelError(
                    f"tensor {self.tensor.name!r}: rows of {shape[1]} values do not fill blocks of {layout.block}"
                )

    def pack(self) -> np.ndarray:
        """The bytes that kernels read, made once: float32 padded to whole vectors, or a matrix's panels."""
        if self.packed is None:
            self.packed = self._vector() if self.is_vector else self._panels()
            self.tensor.release()
        return self.packed

    def _vector(self) -> np.ndarray:
        values = self.tensor.dequantize().reshape(-1)
        out = np.zeros(-(-len(values) // ROWS) * ROWS, np.float32)
        out[: len(values)] = values
        return out

    def _panels(self) -> np.ndarray:
        layout, data = PANEL_FORMATS[self.type], self.tensor.data
        n_panels = -(-self.rows // ROWS)
        out = np.empty((n_panels, layout.panel_bytes(self.tensor.shape[1])), np.uint8)
        step = max(1, PIECE_BYTES // (ROWS * data.shape[1]))
        for first in range(0, n_panels, step):
            piece = data[first * ROWS : (first + step) * ROWS]
            missing = -len(piece) % ROWS
            if missing:
                piece = np.concatenate([piece, np.zeros((missing, data.shape[1]), np.uint8)])
            out[first : first + step] = layout.pack(piece)
        return out
