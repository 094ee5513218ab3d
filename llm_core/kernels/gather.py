"""Output rows: copied out of all rows, so that the output layer runs on nothing else; halves added, logits capped.

What makes logits touches only the panels of 16 that the step has chosen (`step.CHOSEN`).
"""

from llm_core.kernels.jit import op, share
from llm_core.kernels.maths import like, tanh
from llm_core.kernels.simd import get_f32, get_i32, get_i64, load_f32, store
from llm_core.kernels.step import CHOSEN, OUTPUT_ROWS, OUTPUTS, panel_at, panel_count

# Words of the operations' rows. WIDTH in floats; rows are padded to a multiple of 16 floats.
X, X_STRIDE, OUT, OUT_STRIDE, WIDTH, CAP, BIAS = (8 * i for i in range(2, 9))


@op
def gather_outputs(op, ctx, tid, n_threads):
    """OUT[i] = X[output row i]"""
    first, last = share((get_i64(op, WIDTH) + 15) >> 4, tid, n_threads)
    for i in range(get_i64(ctx, OUTPUTS)):
        source = get_i64(op, X) + get_i32(get_i64(ctx, OUTPUT_ROWS), i * 4) * get_i64(op, X_STRIDE)
        for block in range(first, last):
            store(get_i64(op, OUT) + i * get_i64(op, OUT_STRIDE), block * 64, load_f32(source, block * 64))


@op
def add_pairs(op, ctx, tid, n_threads):
    """OUT[i] = X[2 i] + X[2 i + 1] (+ BIAS)"""
    chosen = get_i64(ctx, CHOSEN)
    first, last = share(panel_count(chosen, (get_i64(op, WIDTH) + 15) >> 4), tid, n_threads)
    bias, stride = get_i64(op, BIAS), get_i64(op, X_STRIDE)
    for i in range(get_i64(ctx, OUTPUTS)):
        x = get_i64(op, X) + 2 * i * stride
        out = get_i64(op, OUT) + i * get_i64(op, OUT_STRIDE)
        for n in range(first, last):
            block = panel_at(chosen, n)
            value = load_f32(x, block * 64) + load_f32(x, stride + block * 64)
            if bias != 0:
                value = value + load_f32(bias, block * 64)
            store(out, block * 64, value)


@op
def soft_cap_outputs(op, ctx, tid, n_threads):
    """X = cap * tanh(X / cap), in place, on the output rows"""
    chosen = get_i64(ctx, CHOSEN)
    first, last = share(panel_count(chosen, (get_i64(op, WIDTH) + 15) >> 4), tid, n_threads)
    cap = get_f32(op, CAP)
    for i in range(get_i64(ctx, OUTPUTS)):
        x = get_i64(op, X) + i * get_i64(op, X_STRIDE)
        for n in range(first, last):
            block = panel_at(chosen, n)
            value = load_f32(x, block * 64)
            store(x, block * 64, tanh(value / like(value, cap)) * like(value, cap))
