"""RMS normalisation (Zhang and Sennrich, 2019), fused with what follows it: quantization or a residual sum.

Every thread computes the row's mean square itself and writes only its own blocks, so that no barrier is needed inside.
"""

import math

import numpy as np

from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.quantize import quantize_block
from llm_core.kernels.simd import fill, fma, get_f32, get_i64, load_f32, put_f32, store, total

# Words of the operation's row. RESIDUAL 0: nothing is added.
X, X_STRIDE, OUT, OUT_STRIDE, WEIGHT, WIDTH, EPS, RESIDUAL, ROW_COUNT = (8 * i for i in range(2, 11))


@inline
def inverse_rms(x, width, eps):
    """1 / sqrt(mean of squares + eps) of `width` floats at address x."""
    a, b = fill(np.float32(0.0)), fill(np.float32(0.0))
    i = 0
    while i + 32 <= width:
        u, v = load_f32(x, i * 4), load_f32(x, i * 4 + 64)
        a, b = fma(u, u, a), fma(v, v, b)
        i += 32
    rest = np.float32(0.0)
    while i < width:
        value = get_f32(x, i * 4)
        rest += value * value
        i += 1
    mean = (total(a + b) + rest) / np.float32(width)
    return np.float32(1.0) / np.float32(math.sqrt(mean + eps))


@op
def rms_norm_quantize(op, ctx, tid, n_threads):
    """x * inverse_rms(x) * weight → quantized rows (width a multiple of 32)."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    weight, out, out_stride = get_i64(op, WEIGHT), get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, width >> 5, tid, n_threads):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        scale = fill(inverse_rms(x, width, get_f32(op, EPS)))
        for block in range(first, last):
            low = load_f32(x, block * 128) * scale * load_f32(weight, block * 128)
            high = load_f32(x, block * 128 + 64) * scale * load_f32(weight, block * 128 + 64)
            quantize_block(low, high, out + row * out_stride, width, block)


@inline
def ranges(rows, blocks, tid, n_threads):
    """(row, first block, last block) of this thread: whole rows when there are enough of them, else a part of each
    row."""
    if rows >= 2 * n_threads:
        first, last = share(rows, tid, n_threads)
        for row in range(first, last):
            yield row, 0, blocks
    else:
        first, last = share(blocks, tid, n_threads)
        for row in range(rows):
            if last > first:
                yield row, first, last


@op
def rms_norm(op, ctx, tid, n_threads):
    """x * inverse_rms(x) * weight (+ residual) → float rows of any width; rows are padded to a multiple of 16
    floats."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    weight, residual = get_i64(op, WEIGHT), get_i64(op, RESIDUAL)
    for row, first, last in ranges(rows, (width + 15) >> 4, tid, n_threads):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        at_row = row * get_i64(op, OUT_STRIDE)
        factor = inverse_rms(x, width, get_f32(op, EPS))
        scale = fill(factor)
        for block in range(first, last):
            at = block * 64
            if block * 16 + 16 <= width:
                value = load_f32(x, at) * scale * load_f32(weight, at)
                if residual != 0:
                    value = value + load_f32(residual, at_row + at)
                store(get_i64(op, OUT), at_row + at, value)
            else:
                for i in range(at, width * 4, 4):
                    number = get_f32(x, i) * factor * get_f32(weight, i)
                    if residual != 0:
                        number += get_f32(residual, at_row + i)
                    put_f32(get_i64(op, OUT), at_row + i, number)
