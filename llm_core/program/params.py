"""Parameters of a model as a program names them: a tensor of the file, its checked shape, and how it is packed, piece
by piece, into the bytes that kernels read."""

from dataclasses import dataclass, field

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, Tensor
from llm_core.kernels.matmul import PANEL_FORMATS, ROWS

# A matrix is packed in pieces of about this many bytes: what is under way stays in the processor's cache.
PIECE_BYTES = 1 << 20


@dataclass(eq=False)
class Param:
    """A tensor that a program reads: a matrix (packed into panels) or a vector (float32)."""

    tensor: Tensor
    is_vector: bool = False
    packed: np.ndarray | None = field(default=None, repr=False)
    """uint8 of `packed_shape`, a part of the program's `Weights`."""

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

    @property
    def layout(self) -> str:
        """What, besides its tensor, says how it is packed; two parameters of a tensor may differ in it."""
        return "vector" if self.is_vector else "panels"

    @property
    def packed_shape(self) -> tuple[int, int]:
        """Panels and bytes of each, as kernels read them; a vector is one panel: float32, padded to whole vectors."""
        if self.is_vector:
            return 1, self._panels_of(self.tensor.size) * ROWS * 4
        return self._panels_of(self.rows), PANEL_FORMATS[self.type].panel_bytes(self.tensor.shape[1])

    def pieces(self) -> list[range]:
        """The panels in pieces that may be packed in any order and at the same time."""
        n_panels = self.packed_shape[0]
        step = max(1, PIECE_BYTES // (ROWS * self.tensor.row_bytes))
        return [range(first, min(first + step, n_panels)) for first in range(0, n_panels, step)]

    def pack(self, panels: range) -> None:
        """Write one of the `pieces` into `packed`, and give the file's pages back."""
        if self.is_vector:
            values = self.tensor.dequantize().reshape(-1)
            out = self.packed.reshape(-1).view(np.float32)
            out[: len(values)], out[len(values) :] = values, 0
            self.tensor.release()
            return
        rows = slice(panels.start * ROWS, panels.stop * ROWS)
        piece = self.tensor.data[rows]
        missing = -len(piece) % ROWS
        if missing:
            piece = np.concatenate([piece, np.zeros((missing, piece.shape[1]), np.uint8)])
        self.packed[panels.start : panels.stop] = PANEL_FORMATS[self.type].pack(piece)
        self.tensor.release(rows)

    @staticmethod
    def _panels_of(rows: int) -> int:
        return -(-rows // ROWS)
