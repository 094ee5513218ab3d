"""Layer normalisation (Ba et al., 2016): rows to mean 0 and variance 1, then scaled and shifted; floats, or quantized
for the product that follows.

Every thread takes whole rows where there are enough of them, else computes mean and variance itself and writes only its
own blocks, so that no barrier is needed inside.
"""

import math

import numpy as np

from llm_core.kernels.jit import inline, op
from llm_core.kernels.norm import ranges
from llm_core.kernels.quantize import quantize_block
from llm_core.kernels.simd import fill, fma, get_f32, get_i64, load_f32, put_f32, store, total

# Words of the operation's row. BIAS, RESIDUAL (rows as those of OUT) 0: nothing is added.
X, X_STRIDE, OUT, OUT_STRIDE, WEIGHT, BIAS, WIDTH, EPS, RESIDUAL, ROW_COUNT = (8 * i for i in range(2, 12))


@inline
def mean_of(x, width):
    """The mean of `width` floats at address x."""
    a, b = fill(np.float32(0.0)), fill(np.float32(0.0))
    i = 0
    while i + 32 <= width:
        a, b = a + load_f32(x, i * 4), b + load_f32(x, i * 4 + 64)
        i += 32
    rest = np.float32(0.0)
    while i < width:
        rest += get_f32(x, i * 4)
        i += 1
    return (total(a + b) + rest) / np.float32(width)


@inline
def inverse_deviation(x, mean, width, eps):
    """1 / sqrt(mean squared distance from `mean` + eps)."""
    a, b, middle = fill(np.float32(0.0)), fill(np.float32(0.0)), fill(mean)
    i = 0
    while i + 32 <= width:
        u, v = load_f32(x, i * 4) - middle, load_f32(x, i * 4 + 64) - middle
        a, b = fma(u, u, a), fma(v, v, b)
        i += 32
    rest = np.float32(0.0)
    while i < width:
        value = get_f32(x, i * 4) - mean
        rest += value * value
        i += 1
    variance = (total(a + b) + rest) / np.float32(width)
    return np.float32(1.0) / np.float32(math.sqrt(variance + eps))


@inline
def normal(x, at, mean, scale, weight, bias):
    """16 values from byte `at` on: (x - mean) * scale * weight + bias."""
    value = (load_f32(x, at) - fill(mean)) * fill(scale) * load_f32(weight, at)
    return value + load_f32(bias, at) if bias != 0 else value


@op
def layer_norm_quantize(op, ctx, tid, n_threads):
    """(x - mean) / deviation * weight (+ bias) → quantized rows (width a multiple of 32)."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    weight, bias, out, out_stride = get_i64(op, WEIGHT), get_i64(op, BIAS), get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    for row, first, last in ranges(rows, width >> 5, tid, n_threads):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        mean = mean_of(x, width)
        scale = inverse_deviation(x, mean, width, get_f32(op, EPS))
        for block in range(first, last):
            low = normal(x, block * 128, mean, scale, weight, bias)
            high = normal(x, block * 128 + 64, mean, scale, weight, bias)
            quantize_block(low, high, out + row * out_stride, width, block)


@op
def layer_norm(op, ctx, tid, n_threads):
    """(x - mean) / deviation * weight (+ bias) (+ residual) → float rows of any width; rows are padded to a multiple of
    16 floats."""
    rows, width = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, WIDTH)
    weight, bias, residual = get_i64(op, WEIGHT), get_i64(op, BIAS), get_i64(op, RESIDUAL)
    for row, first, last in ranges(rows, (width + 15) >> 4, tid, n_threads):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        at_row = row * get_i64(op, OUT_STRIDE)
        out = get_i64(op, OUT) + at_row
        mean = mean_of(x, width)
        scale = inverse_deviation(x, mean, width, get_f32(op, EPS))
        for block in range(first, last):
            at = block * 64
            if block * 16 + 16 <= width:
                value = normal(x, at, mean, scale, weight, bias)
                store(out, at, value + load_f32(residual, at_row + at) if residual != 0 else value)
            else:
                for i in range(at, width * 4, 4):
                    number = (get_f32(x, i) - mean) * scale * get_f32(weight, i)
                    if bias != 0:
                        number += get_f32(bias, i)
                    if residual != 0:
                        number += get_f32(residual, at_row + i)
                    put_f32(out, i, number)
