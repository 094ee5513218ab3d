"""Between the two products of a feed-forward layer: act(gate) * up or act(x), quantized for the product that follows or
left as floats."""

from llm_core.kernels.jit import Op, apply, inline, op
from llm_core.kernels.maths import exact_gelu, gelu, hard_sigmoid, hard_swish, quick_gelu, relu, silu
from llm_core.kernels.norm import ranges
from llm_core.kernels.quantize import quantize_block
from llm_core.kernels.simd import get_i64, load_f32, store

# Words of the operation's row; GATE and UP are rows of floats with one stride (an operation without gate has no UP).
GATE, UP, X_STRIDE, OUT, OUT_STRIDE, WIDTH, ROW_COUNT = (8 * i for i in range(2, 9))


@inline
def gated_quantize(act, op, ctx, tid, n_threads):
    """act(gate) * up → quantized rows (width a multiple of 32)."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    out, out_stride = get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, width >> 5, tid, n_threads):
        gate = get_i64(op, GATE) + row * get_i64(op, X_STRIDE)
        up = get_i64(op, UP) + row * get_i64(op, X_STRIDE)
        for block in range(first, last):
            at = block * 128
            low = apply(act, load_f32(gate, at)) * load_f32(up, at)
            high = apply(act, load_f32(gate, at + 64)) * load_f32(up, at + 64)
            quantize_block(low, high, out + row * out_stride, width, block)


@inline
def gated(act, op, ctx, tid, n_threads):
    """act(gate) * up → float rows; rows are padded to a multiple of 16 floats."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    out, out_stride = get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, (width + 15) >> 4, tid, n_threads):
        gate = get_i64(op, GATE) + row * get_i64(op, X_STRIDE)
        up = get_i64(op, UP) + row * get_i64(op, X_STRIDE)
        for block in range(first, last):
            store(out + row * out_stride, block * 64, apply(act, load_f32(gate, block * 64)) * load_f32(up, block * 64))


@op
def silu_gate(op, ctx, tid, n_threads):
    """silu(gate) * up, floats."""
    gated(silu, op, ctx, tid, n_threads)


@op
def silu_gate_quantize(op, ctx, tid, n_threads):
    """silu(gate) * up, quantized."""
    gated_quantize(silu, op, ctx, tid, n_threads)


@op
def gelu_gate(op, ctx, tid, n_threads):
    """gelu(gate) * up, floats."""
    gated(gelu, op, ctx, tid, n_threads)


@op
def gelu_gate_quantize(op, ctx, tid, n_threads):
    """gelu(gate) * up, quantized."""
    gated_quantize(gelu, op, ctx, tid, n_threads)


@inline
def activated_quantize(act, op, ctx, tid, n_threads):
    """act(gate) → quantized rows (width a multiple of 32)."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    out, out_stride = get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, width >> 5, tid, n_threads):
        x = get_i64(op, GATE) + row * get_i64(op, X_STRIDE)
        for block in range(first, last):
            low, high = apply(act, load_f32(x, block * 128)), apply(act, load_f32(x, block * 128 + 64))
            quantize_block(low, high, out + row * out_stride, width, block)


@inline
def activated(act, op, ctx, tid, n_threads):
    """act(gate) → float rows; rows are padded to a multiple of 16 floats."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    out, out_stride = get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, (width + 15) >> 4, tid, n_threads):
        x = get_i64(op, GATE) + row * get_i64(op, X_STRIDE)
        for block in range(first, last):
            store(out + row * out_stride, block * 64, apply(act, load_f32(x, block * 64)))


def _activation(act) -> tuple[Op, Op]:
    """The operation act(x), on floats and with quantized rows as its result."""

    def floats(op, ctx, tid, n_threads):
        activated(act, op, ctx, tid, n_threads)

    def quantized(op, ctx, tid, n_threads):
        activated_quantize(act, op, ctx, tid, n_threads)

    floats.__name__, quantized.__name__ = act.name, f"{act.name}_quantize"
    floats.__doc__ = quantized.__doc__ = act.function.__doc__
    return op(floats), op(quantized)


_PLAIN = (silu, gelu, quick_gelu, exact_gelu, relu, hard_sigmoid, hard_swish)
ACTIVATIONS = {act.name: _activation(act) for act in _PLAIN}
