"""The recorder for vision towers: `program.Graph` with layer norms, plain activations, attention of all rows over all
or in segments, and rows that are made of other rows. Of those there may be any number: the step's header has a word
for each number that occurs, behind its own.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType
from llm_core.kernels import activation, full_attention, full_attention16, layer_norm, rope, rows
from llm_core.kernels import step as header
from llm_core.kernels.jit import Op
from llm_core.kernels.matmul import ROWS, int16, panels
from llm_core.program.graph import Address, Buffer, Graph, Step, Value, float_bits, padded
from llm_core.program.params import PIECE_BYTES, Param
from llm_core.vision.config import VisionConfig
from llm_core.vision.layout import squares, windows
from llm_core.vision.tensors import vector


class Int16Param(Param):
    """A matrix of half-precision numbers, packed as 16-bit integers with scales (`kernels/matmul/int16.py`)."""

    layout = f"int16 {type(int16.WORDS).__name__}"

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
    """`grid`: rows and columns of patches; `first`: rows before them; `window`: patches of a window's side, 0: none.

    `order`: which patch each row after the first ones is, window by window; `starts`: the first row of each window, and
    the number of rows. `counts`: how many rows there are, by the header's word; `lists`: the numbers that operations on
    rows read. `packed16`: forms of weights that graphs of one model share. `exact`: half-precision weights meet floats,
    not 16-bit integers, and so do keys and values where weights are no float32.
    """

    def __init__(
        self,
        config: VisionConfig,
        grid: tuple[int, int],
        first: int,
        window: int,
        packed16: dict[Param, Int16Param],
        exact: bool = False,
    ):
        super().__init__(config.n_head, config.n_head, config.head_dim, config.eps, 0, False)
        self.grid, self.first = grid, first
        self.n_rows = first + grid[0] * grid[1]
        self.order, self.starts = windows(grid, window or max(grid))
        self.counts = {header.ROWS: self.n_rows}
        self.lists: dict[str, np.ndarray] = {}
        self._packed16 = packed16
        self._exact = exact or not int16.AVAILABLE
        self._full = True  # all weights so far are float32
        self._int16: dict[Value, Buffer] = {}

    def squares(self, merge: int) -> np.ndarray:
        """int [tokens, merge * merge]: the rows of each square of patches, square after square as they are seen. Raises
        ModelError when they do not fill the grid."""
        high, wide = self.grid
        if high % merge or wide % merge:
            raise ModelError(f"'clip.vision.projector.scale_factor' = {merge} does not divide {high} patches a side")
        row_of = np.empty(high * wide, np.int32)
        row_of[self.order] = np.arange(self.first, self.n_rows)
        return row_of[squares(high, wide, merge)]

    def patches(self, x: Value) -> Value:
        """The rows of patches, without those before them."""
        return self.concat_rows(x, "patches", np.arange(self.first, self.n_rows)[:, None]) if self.first else x

    def rows_of(self, x: Value) -> int:
        """How many rows a value has."""
        return self.counts[x.count]

    def _counted(self, rows: int) -> int:
        """The header's word for so many rows."""
        for word, count in self.counts.items():
            if count == rows:
                return word
        word = 8 * (header.N_WORDS + len(self.counts) - 1)
        self.counts[word] = rows
        return word

    def _record(self, value: Value, op: Op, words: dict, row_count: int | None, reads: tuple, writes: tuple) -> None:
        """All in one part, in the order in which it is recorded."""
        if row_count is not None:
            words[row_count] = value.count
        self.body.append(Step(op, words, reads, writes))

    def finish(self, x: Value) -> None:
        """x is what the program computes."""
        self._floats(x)
        self.logits = x

    def linear(self, x: Value, weight: Param, n_out=None, *, bias=None, residual=None, chooses=False) -> Value:
        """As in `Graph`; half-precision weights take rows as 16-bit integers."""
        n_out = weight.rows if n_out is None else n_out
        weight.expect(n_out, x.width)
        self._full &= weight.type is GGMLType.F32
        if self._exact or weight.type not in (GGMLType.F16, GGMLType.BF16):
            return super().linear(x, weight, n_out, bias=bias, residual=residual)
        source = self._as_int16(x)
        out = Value(n_out, x.count)
        buffer = self._buffer(out)
        words = {
            panels.X: Address(source),
            panels.X_STRIDE: int16.x_stride(x.width),
            panels.OUT: out.floats_at,
            panels.OUT_STRIDE: out.stride,
            panels.WEIGHT: Address(self._packed16.setdefault(weight, Int16Param(weight.tensor))),
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

    def _as_int16(self, x: Value) -> Buffer:
        if x not in self._int16:
            source = self._floats(x)
            rows = self.rows_of(x)
            buffer = self._int16[x] = Buffer(-(-int16.x_bytes(rows, x.width) // rows), x.count)
            words = {
                panels.X: source,
                panels.X_STRIDE: x.stride,
                panels.OUT: Address(buffer),
                panels.OUT_STRIDE: int16.x_stride(x.width),
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

    def layer_norm(self, x: Value, weight: Param, bias: Param | None, *, residual: Value | None = None) -> Value:
        """(x - mean(x)) / deviation(x) * weight (+ bias) (+ residual)."""
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

        reads = [source.target]
        if residual is not None:
            words[layer_norm.RESIDUAL] = self._floats(residual)
            reads.append(residual.floats_at.target)

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and residual is None and out.width % 32 == 0
            op = layer_norm.layer_norm_quantize if quantized else layer_norm.layer_norm
            self._fill(out, quantized, op, dict(words), layer_norm, reads)

        out = Value(x.width, x.count, make=make)
        if residual is not None:
            make(out, False)
        return out

    def activate(self, kind: str, x: Value) -> Value:
        """act(x), where kind is one of `activation.ACTIVATIONS`."""
        plain, fused = activation.ACTIVATIONS[kind]
        source = self._floats(x)
        words = {activation.GATE: source, activation.X_STRIDE: x.stride, activation.WIDTH: x.width}

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and out.width % 32 == 0
            self._fill(out, quantized, fused if quantized else plain, dict(words), activation, [source.target])

        return Value(x.width, x.count, make=make)

    def turn(self, x: Value, name: str) -> None:
        """Turn every head of x in place by its row's angles: the list `name`, float32 [rows, head size], cosines of the
        pairs, then sines; a pair is a value of the first half and one of the second."""
        at = self._floats(x)
        words = {
            rope.Q: at,
            rope.Q_STRIDE: x.stride,
            rope.N_HEAD: self.n_head,
            rope.HEAD_DIM: self.head_dim,
            rope.N_ROT: self.head_dim,
            rope.TABLE: Address(("list", name)),
        }
        self._record(x, rope.turn_heads, words, None, (at.target,), (at.target,))

    def attend(self, q: Value, k: Value, v: Value, scale: float, starts: Sequence[int] | None = None) -> Value:
        """softmax(scale q·k) v, head by head: every row over all rows of its segment, of which the first rows are
        `starts` (and the number of rows at the end); None: one of all rows."""
        at_q, at_k, at_v = self._floats(q), self._floats(k), self._floats(v)
        n_rows = self.rows_of(q)
        kind = full_attention if self._exact or self._full else full_attention16
        n_bytes = partial(kind.packed_bytes, self.n_head, self.head_dim)
        table = full_attention.segments(starts or (0, n_rows), kind.COLUMNS, n_bytes)
        name = f"segments of {starts and tuple(starts)}"
        self.lists[name] = table
        packed = Buffer(-(-int(table[-1, 2]) // n_rows) * 64 + 64, q.count)
        out = Value(self.n_head * self.head_dim, q.count)
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
            full_attention.SEGMENTS: Address(("list", name)),
            full_attention.N_SEGMENTS: len(table) - 1,
        }
        pack, attend = kind.OPS
        self._record(out, pack, dict(words), None, (at_k.target, at_v.target), (packed,))
        self._record(out, attend, words, None, (at_q.target, packed), (buffer,))
        return out

    def concat_rows(self, x: Value, name: str, indexes: Sequence) -> Value:
        """Rows that are rows of x side by side: row numbers [n, count] of x."""
        indexes = np.ascontiguousarray(indexes, np.int32)
        if x.width % 16 and indexes.shape[1] > 1:
            raise ModelError(f"rows of {x.width} values cannot be put side by side (multiples of 16 can)")
        return self._from_rows(x, name, indexes, rows.concat_rows, x.width * indexes.shape[1], {}, [])

    def mean_rows(self, x: Value, name: str, indexes: Sequence) -> Value:
        """Rows that are means of rows of x: row numbers [n, count] of x."""
        return self._from_rows(x, name, indexes, rows.mean_rows, x.width, {}, [])

    def filter_rows(
        self, x: Value, name: str, indexes: Sequence, weight: Param, bias: Param | None, residual: Value | None = None
    ) -> Value:
        """Rows that are weighted sums of rows of x: row numbers [n, count] of x (below 0: zeros); weight: `count` rows,
        as one vector of rows of whole vectors (+ bias) (+ residual)."""
        words, reads = {rows.WEIGHT: Address(weight)}, []
        weight.expect(np.shape(indexes)[1] * -(-x.width // 16) * 16)
        if bias is not None:
            bias.expect(x.width)
            words[rows.BIAS] = Address(bias)
        if residual is not None:
            words[rows.RESIDUAL] = self._floats(residual)
            reads.append(residual.floats_at.target)
        return self._from_rows(x, name, indexes, rows.filter_rows, x.width, words, reads)

    def scale_rows(self, x: Value, factors: Value) -> Value:
        """Every row of x times the one row of `factors`."""
        at_x, at_factors = self._floats(x), self._floats(factors)
        out = Value(x.width, x.count)
        words = {rows.X: at_x, rows.X_STRIDE: x.stride, rows.WIDTH: x.width, rows.WEIGHT: at_factors}
        self._fill(out, False, rows.scale_rows, words, rows, [at_x.target, at_factors.target])
        return out

    def _from_rows(self, x: Value, name: str, indexes: Sequence, op: Op, width: int, words: dict, reads: list) -> Value:
        indexes = self.lists[name] = np.ascontiguousarray(indexes, np.int32)
        out = Value(width, self._counted(len(indexes)))
        source = self._floats(x)
        words |= {
            rows.X: source,
            rows.X_STRIDE: x.stride,
            rows.WIDTH: x.width,
            rows.INDEXES: Address(("list", name)),
            rows.COUNT: indexes.shape[1],
        }
        self._fill(out, False, op, words, rows, [source.target, *reads])
        return out
