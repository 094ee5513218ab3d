"""Recording: an architecture calls these methods once, and they write down a program. Nothing is computed here.

A `Value` is a matrix of activations (one row per token in flight); it can be read as floats or, by integer kernels,
in quantized form. Norms and gates are lazy: they are recorded in the form that is first asked for, so that a norm
whose only reader is a quantized product writes quantized rows and no floats. Weights stay where they are until the
program is linked (`program/link.py`), so recording also serves to check a model file without touching its tensors.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_core.kernels import activation, attention, gather, norm, quantize, rope
from llm_core.kernels import step as header
from llm_core.kernels.jit import Op
from llm_core.kernels.matmul import PANEL_FORMATS, ROWS, panels
from llm_core.program.params import Param

OUTPUT = "output.weight"  # the output matrix's name, also where it is the token embedding


@dataclass(eq=False)
class Buffer:
    """Memory for one form of one value: `stride` bytes per row. The linker gives it an address."""

    stride: int
    count: int
    """The word of the step's header that says how many rows there are: ROWS, OUTPUTS or OUTPUT_PAIRS."""


@dataclass(frozen=True)
class Address:
    """The place of a buffer (plus bytes), of a parameter or of a named piece of memory, as a word of a program."""

    target: object
    offset: int = 0


@dataclass(eq=False)
class Value:
    """Activations of `width` columns. `make` records the operation that fills a buffer in the given form."""

    width: int
    count: int = header.ROWS
    floats_at: Address | None = None
    stride: int = 0
    quantized_at: Buffer | None = None
    make: Callable[["Value", bool], None] | None = None


@dataclass(eq=False)
class Step:
    """One recorded operation: the words of its row, and what it reads and writes (buffers and caches)."""

    op: Op
    words: dict[int, object]
    reads: tuple
    writes: tuple


@dataclass(eq=False)
class Linear:
    """A product that adapters may add to (`program/lora.py`): `out` = `x` · W^T, between the steps `first` and `last`;
    `name`: that of W in GGUF; `shape`: of W; `quantized`: the form in which x is read."""

    name: str
    shape: tuple[int, int]
    x: Value
    quantized: bool
    out: Value
    first: Step
    last: Step


@dataclass(frozen=True)
class AttentionSpec:
    """How one layer attends: scale of q·k, window (0: everything), soft cap (0: none), and which rope table it uses."""

    scale: float
    window: int = 0
    soft_cap: float = 0.0
    rope: str = "global"


@dataclass(eq=False)
class Cache:
    """K or V of one layer; the linker gives it an address."""

    layer: int
    kind: str


def float_bits(value: float) -> int:
    """A float32 as the low bits of a program word."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def padded(width: int) -> int:
    """Bytes of a row of `width` floats, padded to whole vectors; where rows are long an odd number of cache lines, so
    that the rows of a tile do not meet in the same sets of the cache."""
    lines = -(-width // ROWS)
    return (lines if lines < 16 else lines | 1) * ROWS * 4


@dataclass(eq=False)
class Graph:
    """The recorder. `n_head`, `n_kv`, `head_dim`, `eps`: what every layer of the model shares; `kv_type`: how the cache
    holds keys and values (`kernels/kv.py`); `sections`: pairs that turn by positions of their own (`step.PLACES`)."""

    n_head: int
    n_kv: int
    head_dim: int
    eps: float
    n_rot: int
    interleaved: bool
    kv_type: str = "f16"
    sections: tuple[int, ...] = ()
    body: list[Step] = field(default_factory=list)
    head: list[Step] = field(default_factory=list)
    linears: list[Linear] = field(default_factory=list)
    caches: dict[tuple[int, str], Cache] = field(default_factory=dict)
    windows: dict[int, int] = field(default_factory=dict)  # layer → positions it attends to, 0: all
    embedding: Value | None = None
    logits: Value | None = None

    # --- values -------------------------------------------------------------------------------------------------------

    def _buffer(self, value: Value) -> Buffer:
        buffer = Buffer(padded(value.width), value.count)
        value.floats_at, value.stride = Address(buffer), buffer.stride
        return buffer

    def input(self, width: int) -> Value:
        """The embeddings of the step's tokens, written by the runner."""
        self.embedding = Value(width)
        self._buffer(self.embedding)
        return self.embedding

    def _floats(self, value: Value) -> Address:
        if value.floats_at is None:
            value.make(value, False)
        return value.floats_at

    def _quantized(self, value: Value) -> Buffer:
        if value.quantized_at is None:
            value.quantized_at = Buffer(quantize.row_bytes(value.width), value.count)
            if value.floats_at is None:
                value.make(value, True)
            else:
                self._record(
                    value,
                    quantize.quantize,
                    {
                        quantize.X: value.floats_at,
                        quantize.X_STRIDE: value.stride,
                        quantize.OUT: Address(value.quantized_at),
                        quantize.OUT_STRIDE: value.quantized_at.stride,
                        quantize.K: value.width,
                    },
                    quantize.ROW_COUNT,
                    reads=(value.floats_at.target,),
                    writes=(value.quantized_at,),
                )
        return value.quantized_at

    def _record(self, value: Value, op: Op, words: dict, row_count: int | None, reads: tuple, writes: tuple) -> Step:
        if row_count is not None:
            words[row_count] = value.count
        step = Step(op, words, reads, writes)
        (self.body if value.count == header.ROWS else self.head).append(step)
        return step

    def split(self, value: Value, *widths: int) -> list[Value]:
        """Neighbouring column ranges of a value, without a copy."""
        base, parts, start = self._floats(value), [], 0
        for width in widths:
            parts.append(Value(width, value.count, Address(base.target, base.offset + start * 4), value.stride))
            start += width
        return parts

    # --- operations ---------------------------------------------------------------------------------------------------

    def linear(
        self,
        x: Value,
        weight: Param,
        n_out: int | None = None,
        *,
        bias: Param | None = None,
        residual: Value | None = None,
        chooses: bool = False,
    ) -> Value:
        """x · weight^T (+ bias) (+ residual); weight [n_out, x.width]. `chooses`: only the panels of 16 outputs are
        computed that the step asks for. Raises ModelError when the tensor has another shape."""
        n_out = weight.rows if n_out is None else n_out
        out, step = self._product(x, weight, n_out, bias, residual, chooses)
        quantized = PANEL_FORMATS[weight.type].quantized
        self.linears.append(Linear(weight.tensor.name, (n_out, x.width), x, quantized, out, step, step))
        return out

    def _product(
        self, x: Value, weight: Param, n_out: int, bias: Param | None, residual: Value | None, chooses: bool
    ) -> tuple[Value, Step]:
        weight.expect(n_out, x.width)
        out = Value(n_out, x.count)
        layout = PANEL_FORMATS[weight.type]
        source = self._quantized(x) if layout.quantized else self._floats(x).target
        at, stride = (Address(source), source.stride) if layout.quantized else (x.floats_at, x.stride)
        buffer = self._buffer(out)
        words = {
            panels.X: at,
            panels.X_STRIDE: stride,
            panels.OUT: out.floats_at,
            panels.OUT_STRIDE: out.stride,
            panels.WEIGHT: Address(weight),
            panels.PANEL_BYTES: layout.panel_bytes(x.width),
            panels.N_PANELS: -(-n_out // ROWS),
            panels.K: x.width,
            panels.CHOOSES: int(chooses),
        }
        reads = [source]
        if bias is not None:
            bias.expect(n_out)
            words[panels.BIAS] = Address(bias)
        if residual is not None:
            words[panels.RESIDUAL] = self._floats(residual)
            reads.append(residual.floats_at.target)
        return out, self._record(out, layout.op, words, panels.ROW_COUNT, tuple(reads), (buffer,))

    def precise_linear(self, x: Value, weight: Param, n_out: int, *, bias: Param | None = None) -> Value:
        """The output layer: `linear` for output rows and the panels that the step has chosen, with activations of 16
        bits where the kernel takes 8: each row goes in twice, once rounded and once as what rounding left over, and
        the two products are added. Weights are still read once.

        The output layer is where rounding shows most (a quarter of all KL divergence in SmolLM2); see docs/accuracy.md.
        """
        weight.expect(n_out, x.width)
        source = self._floats(x)
        if not PANEL_FORMATS[weight.type].quantized:
            out, step = self._product(x, weight, n_out, bias, None, chooses=True)
            self.linears.append(Linear(OUTPUT, (n_out, x.width), x, False, out, step, step))
            return out
        pairs = Value(x.width, header.OUTPUT_PAIRS)
        pairs.quantized_at = Buffer(quantize.row_bytes(x.width), pairs.count)
        words = {
            quantize.X: source,
            quantize.X_STRIDE: x.stride,
            quantize.OUT: Address(pairs.quantized_at),
            quantize.OUT_STRIDE: pairs.quantized_at.stride,
            quantize.K: x.width,
        }
        reads, writes = (source.target,), (pairs.quantized_at,)
        first = self._record(x, quantize.quantize_pairs, words, quantize.ROW_COUNT, reads, writes)
        halves, _ = self._product(pairs, weight, n_out, None, None, chooses=True)
        out = Value(n_out, x.count)
        buffer = self._buffer(out)
        words = {
            gather.X: halves.floats_at,
            gather.X_STRIDE: halves.stride,
            gather.OUT: out.floats_at,
            gather.OUT_STRIDE: out.stride,
            gather.WIDTH: n_out,
        }
        reads = (halves.floats_at.target,)
        if bias is not None:
            bias.expect(n_out)
            words[gather.BIAS] = Address(bias)
        last = self._record(out, gather.add_pairs, words, None, reads, (buffer,))
        self.linears.append(Linear(OUTPUT, (n_out, x.width), x, False, out, first, last))
        return out

    def rms_norm(self, x: Value, weight: Param, *, residual: Value | None = None) -> Value:
        """x / rms(x) * weight (+ residual)."""
        weight.expect(x.width)
        source = self._floats(x)

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and residual is None and out.width % 32 == 0
            words = {
                norm.X: source,
                norm.X_STRIDE: x.stride,
                norm.WEIGHT: Address(weight),
                norm.WIDTH: x.width,
                norm.EPS: float_bits(self.eps),
            }
            reads = [source.target]
            if residual is not None:
                words[norm.RESIDUAL] = self._floats(residual)
                reads.append(residual.floats_at.target)
            self._fill(out, quantized, norm.rms_norm_quantize if quantized else norm.rms_norm, words, norm, reads)

        out = Value(x.width, x.count, make=make)
        if residual is not None:
            make(out, False)
        return out

    def _fill(self, out: Value, quantized: bool, op: Op, words: dict, module, reads: list) -> None:
        """Record an operation that writes `out` in one of its two forms."""
        if quantized:
            words |= {module.OUT: Address(out.quantized_at), module.OUT_STRIDE: out.quantized_at.stride}
            self._record(out, op, words, module.ROW_COUNT, tuple(reads), (out.quantized_at,))
        else:
            buffer = self._buffer(out)
            words |= {module.OUT: out.floats_at, module.OUT_STRIDE: out.stride}
            self._record(out, op, words, module.ROW_COUNT, tuple(reads), (buffer,))

    def gate(self, kind: str, gate: Value, up: Value) -> Value:
        """act(gate) * up, where kind is "silu" or "gelu"."""
        plain, fused = {
            "silu": (activation.silu_gate, activation.silu_gate_quantize),
            "gelu": (activation.gelu_gate, activation.gelu_gate_quantize),
        }[kind]
        gate_at, up_at = self._floats(gate), self._floats(up)
        # Two buffers of one shape have one stride; so have two parts of one buffer.
        words = {
            activation.GATE: gate_at,
            activation.UP: up_at,
            activation.X_STRIDE: gate.stride,
            activation.WIDTH: up.width,
        }

        def make(out: Value, quantized: bool) -> None:
            quantized = quantized and out.width % 32 == 0
            self._fill(
                out, quantized, fused if quantized else plain, dict(words), activation, [gate_at.target, up_at.target]
            )

        return Value(up.width, up.count, make=make)

    def attention(
        self,
        q: Value,
        k: Value,
        v: Value,
        layer: int,
        spec: AttentionSpec,
        *,
        q_norm: Param | None = None,
        k_norm: Param | None = None,
    ) -> Value:
        """Normalise heads (if asked), turn q and k by their positions, store k and v in the cache, attend over all
        that is there."""
        for weight in (q_norm, k_norm):
            if weight is not None:
                weight.expect(self.head_dim)
        self.windows[layer] = spec.window
        k_cache, v_cache = (self.caches.setdefault((layer, kind), Cache(layer, kind)) for kind in "kv")
        at_q, at_k, at_v = self._floats(q), self._floats(k), self._floats(v)
        words = {
            rope.Q: at_q,
            rope.K: at_k,
            rope.V: at_v,
            rope.Q_STRIDE: q.stride,
            rope.K_STRIDE: k.stride,
            rope.V_STRIDE: v.stride,
            rope.N_HEAD: self.n_head,
            rope.N_KV: self.n_kv,
            rope.HEAD_DIM: self.head_dim,
            rope.TABLE: Address(("rope", spec.rope)),
            rope.N_ROT: self.n_rot,
            rope.INTERLEAVED: int(self.interleaved),
            rope.EPS: float_bits(self.eps),
            rope.K_CACHE: Address(k_cache),
            rope.V_CACHE: Address(v_cache),
            rope.HEAD_BYTES: Address("head_bytes"),
            rope.BLOCK_BYTES: Address("block_bytes"),
        }
        words |= {rope.SECTIONS + 8 * i: sum(self.sections[: i + 1]) for i in range(len(self.sections))}
        if q_norm is not None:
            words |= {rope.Q_NORM: Address(q_norm), rope.K_NORM: Address(k_norm)}
        turned = tuple({at_q.target, at_k.target, at_v.target})
        self._record(q, rope.ROPE_AND_STORE[self.kv_type], words, None, turned, (*turned, k_cache, v_cache))
        out = Value(self.n_head * self.head_dim)
        buffer = self._buffer(out)
        words = {
            attention.Q: at_q,
            attention.Q_STRIDE: q.stride,
            attention.OUT: out.floats_at,
            attention.OUT_STRIDE: out.stride,
            attention.N_HEAD: self.n_head,
            attention.N_KV: self.n_kv,
            attention.HEAD_DIM: self.head_dim,
            attention.K_CACHE: Address(k_cache),
            attention.V_CACHE: Address(v_cache),
            attention.HEAD_BYTES: Address("head_bytes"),
            attention.BLOCK_BYTES: Address("block_bytes"),
            attention.SCALE: float_bits(spec.scale),
            attention.WINDOW: spec.window,
            attention.SOFT_CAP: float_bits(spec.soft_cap),
            attention.SCRATCH: Address("scratch"),
            attention.SCRATCH_BYTES: Address("scratch_bytes"),
            attention.RECORDS: Address("records"),
            attention.RECORDS_BYTES: Address("records_bytes"),
        }
        reads = (at_q.target, k_cache, v_cache)
        self._record(out, attention.ATTENTION[self.kv_type], words, None, reads, (buffer, "records"))
        self._record(out, attention.combine, dict(words), None, ("records",), (buffer,))
        return out

    def outputs(self, x: Value) -> Value:
        """The rows whose logits are wanted; what follows runs on these alone."""
        out = Value(x.width, header.OUTPUTS)
        source = self._floats(x)
        buffer = self._buffer(out)
        self._record(
            out,
            gather.gather_outputs,
            {
                gather.X: source,
                gather.X_STRIDE: x.stride,
                gather.OUT: out.floats_at,
                gather.OUT_STRIDE: out.stride,
                gather.WIDTH: x.width,
            },
            None,
            (source.target,),
            (buffer,),
        )
        return out

    def soft_cap(self, x: Value, cap: float) -> Value:
        """cap * tanh(x / cap), in place; x: output rows."""
        at = self._floats(x)
        self._record(
            x,
            gather.soft_cap_outputs,
            {gather.X: at, gather.X_STRIDE: x.stride, gather.WIDTH: x.width, gather.CAP: float_bits(cap)},
            None,
            (at.target,),
            (at.target,),
        )
        return x
