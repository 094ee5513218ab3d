"""The recorder for vision towers: `program.Graph` with layer norms, plain activations, attention of all rows over all,
and rows that are made of other rows. Body rows are patches, head rows (`OUTPUTS`) are what becomes of them.
"""

from collections.abc import Sequence

import numpy as np

from llm_core.gguf import GGMLType
from llm_core.kernels import activation, full_attention, layer_norm, rows
from llm_core.kernels import step as header
from llm_core.kernels.matmul import ROWS, int16, panels
from llm_core.program.graph import Address, Buffer, Graph, Value, float_bits, padded
from llm_core.program.params import PIECE_BYTES, Param
from llm_core.vision.tensors import vector


class Int16Param(Param):
    """A matrix of half-precision numbers, packed as 16-bit integers with scales (`kernels/matmul/int16.py`)."""

    layout = "int16"

    @property
    def packed_shape(self) -> tuple[int, int]:
        """Panels and bytes of each."""
        return self._panels_of(self.rows), int16.panel_bytes(self.tensor.shape[1])

    def pieces(self) -> list[range]:
        """The panels in pieces that may be packed in any order and at the same time."""
        n_panels = self.packed_shape[0]
        step = max(1, PIECE_BYTES // (ROWS * self.tensor.shape[1] * 4))
        return [range(first, min(first + step, n_panels)) for first in range(0, n_panels, step)]

    def pack(self, panels: range) -> None:
        """Write one of the `pieces` into `packed`, and give the file's pages back."""
        rows = slice(panels.start * ROWS, panels.stop * ROWS)
        values = self.tensor.dequantize(rows)
        values = np.concatenate([values, np.zeros((-len(values) % ROWS, values.shape[1]), np.float32)])
        self.packed[panels.start : panels.stop] = int16.pack(values)
        self.tensor.release(rows)


class VisionGraph(Graph):
    """`n_rows`: rows of the body, the same in every step. `lists`: the numbers that row operations read. `exact`: half-
    precision weights meet floats, not 16-bit integers."""

    def __init__(self, n_rows: int, n_head: int, head_dim: int, eps: float, exact: bool = False):
        super().__init__(n_head, n_head, head_dim, eps, 0, False)
        self.n_rows, self.n_outputs = n_rows, n_rows
        self.lists: dict[str, np.ndarray] = {}
        self._exact = exact or not int16.AVAILABLE
        self._int16: dict[Value, Buffer] = {}

    def linear(self, x: Value, weight: Param, n_out=None, *, bias=None, residual=None, chooses=False) -> Value:
        """As in `Graph`; half-precision weights take rows as 16-bit integers."""
        n_out = weight.rows if n_out is None else n_out
        weight.expect(n_out, x.width)
        if self._exact or weight.type not in (GGMLType.F16, GGMLType.BF16):
            return super().linear(x, weight, n_out, bias=bias, residual=residual)
        source = self._as_int16(x)
        out = Value(n_out, x.count)
        buffer = self._buffer(out)
        words = {
            panels.X: Address(source),
            panels.X_STRIDE: int16.chunk_bytes(self._rows(x)),
            panels.OUT: out.floats_at,
            panels.OUT_STRIDE: out.stride,
            panels.WEIGHT: Address(self._param16(weight)),
            panels.PANEL_BYTES: int16.panel_bytes(x.width),
            panels.N_PANELS: -(-n_out // ROWS),
            panels.K: x.width,
        }
        reads = [source]
        if bias is not None:
            bias.expect(n_out)
            words[panels.BIAS] = Address(bias)
        if residual is not None:
            words[panels.RESIDUAL] = self._floats(residual)
            reads.append(residual.floats_at.target)
        self._record(out, int16.matmul_int16, words, panels.ROW_COUNT, tuple(reads), (buffer,))
        return out

    def _rows(self, x: Value) -> int:
        return self.n_rows if x.count == header.ROWS else self.n_outputs

    def _param16(self, weight: Param) -> Param:
        return Int16Param(weight.tensor)

    def _as_int16(self, x: Value) -> Buffer:
        if x not in self._int16:
            source = self._floats(x)
            rows, chunk = self._rows(x), int16.chunk_bytes(self._rows(x))
            buffer = self._int16[x] = Buffer(-(-chunk * int16.chunks_of(x.width) // rows), x.count)
            words = {
                panels.X: source,
                panels.X_STRIDE: x.stride,
                panels.OUT: Address(buffer),
                panels.OUT_STRIDE: chunk,
                panels.K: x.width,
            }
            self._record(x, int16.quantize_int16, words, panels.ROW_COUNT, (source.target,), (buffer,))
        return self._int16[x]

    def constant(self, name: str, values: np.ndarray) -> Value:
        """Rows float32 [n, width] that are there from the start."""
        n, width = values.shape
        room = np.zeros((n, padded(width) // 4), np.float32)
        room[:, :width] = values
        param = Param(vector(name, room))
        param.expect(room.size)
        return Value(width, floats_at=Address(param), stride=padded(width))

    def layer_norm(self, x: Value, weight: Param, bias: Param | None) -> Value:
        """(x - mean(x)) / deviation(x) * weight (+ bias)."""
        weight.expect(x.width)
        source = self._floats(x)
        words = {
            layer_norm.X: source,
            layer_norm.X_STRIDE: x.stride,
            layer_norm.WEIGHT: Address(weight),
            layer_norm.WIDTH: x.width,
            layer_norm.EPS: float_bits(self.eps),
        }
        if bias is not None:
            bias.expect(x.width)
            words[layer_norm.BIAS] = Address(bias)

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and out.width % 32 == 0
            op = layer_norm.layer_norm_quantize if quantized else layer_norm.layer_norm
            self._fill(out, quantized, op, dict(words), layer_norm, [source.target])

        return Value(x.width, x.count, make=make)

    def activate(self, kind: str, x: Value) -> Value:
        """act(x), where kind is one of `activation.ACTIVATIONS`."""
        plain, fused = activation.ACTIVATIONS[kind]
        source = self._floats(x)
        words = {activation.GATE: source, activation.X_STRIDE: x.stride, activation.WIDTH: x.width}

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and out.width % 32 == 0
            self._fill(out, quantized, fused if quantized else plain, dict(words), activation, [source.target])

        return Value(x.width, x.count, make=make)

    def attend_all(self, q: Value, k: Value, v: Value, scale: float) -> Value:
        """softmax(scale q·k) v, every row over all rows, head by head."""
        at_q, at_k, at_v = self._floats(q), self._floats(k), self._floats(v)
        size = full_attention.packed_bytes(self.n_head, self.head_dim, self.n_rows)
        packed = Buffer(-(-size // self.n_rows // 64) * 64 + 64, header.ROWS)
        out = Value(self.n_head * self.head_dim)
        buffer = self._buffer(out)
        words = {
            full_attention.Q: at_q,
            full_attention.Q_STRIDE: q.stride,
            full_attention.K: at_k,
            full_attention.K_STRIDE: k.stride,
            full_attention.V: at_v,
            full_attention.V_STRIDE: v.stride,
            full_attention.OUT: out.floats_at,
            full_attention.OUT_STRIDE: out.stride,
            full_attention.N_HEAD: self.n_head,
            full_attention.HEAD_DIM: self.head_dim,
            full_attention.SCALE: float_bits(scale),
            full_attention.PACKED: Address(packed),
            full_attention.SCRATCH: Address("scratch"),
            full_attention.SCRATCH_BYTES: Address("scratch_bytes"),
        }
        self._record(out, full_attention.pack_heads, dict(words), None, (at_k.target, at_v.target), (packed,))
        self._record(out, full_attention.full_attention, words, None, (at_q.target, packed), (buffer,))
        return out

    def concat_rows(self, x: Value, name: str, indexes: Sequence) -> Value:
        """Head rows that are rows of x side by side: row numbers [n, count] of x."""
        indexes = np.ascontiguousarray(indexes, np.int32)
        return self._from_rows(x, name, indexes, rows.concat_rows, x.width * indexes.shape[1])

    def mean_rows(self, x: Value, name: str, indexes: Sequence) -> Value:
        """Head rows that are means of rows of x: row numbers [n, count] of x."""
        return self._from_rows(x, name, np.ascontiguousarray(indexes, np.int32), rows.mean_rows, x.width)

    def _from_rows(self, x: Value, name: str, indexes: np.ndarray, op, width: int) -> Value:
        self.lists[name], self.n_outputs = indexes, len(indexes)
        out = Value(width, header.OUTPUTS)
        source = self._floats(x)
        words = {
            rows.X: source,
            rows.X_STRIDE: x.stride,
            rows.WIDTH: x.width,
            rows.INDEXES: Address(("list", name)),
            rows.COUNT: indexes.shape[1],
        }
        self._fill(out, False, op, words, rows, [source.target])
        return out
