"""Activations for the integer kernels: int8 with one float scale per 32 values, and the sums that offsets need.

A quantized row of k values is one record of `row_bytes(k)`: int8 q[k], float d[k / 32] (scales), float s32[k / 32] (d
times the sum of q over the block) and float s16[k / 16] (the same over each half of it). Rounding is to nearest even,
q is in -127…127. The sums let a kernel use unsigned weights: sum((w - offset) * x) = sum(w * x) - offset * sum(x).
"""

import numpy as np

from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.simd import (
    absolute,
    fill,
    get_f32,
    get_i64,
    largest,
    load_f32,
    load_i8,
    maximum,
    put_f32,
    rint,
    store_i8,
    to_i32,
    total_i32,
)

# Words of the operation's row.
X, X_STRIDE, OUT, OUT_STRIDE, K, ROW_COUNT = (8 * i for i in range(2, 8))


def row_bytes(k: int) -> int:
    """Bytes from one quantized row of `k` values (a multiple of 32) to the next: an odd number of cache lines, so that
    the rows of a tile do not meet in the same sets of the cache."""
    return ((k + k // 8 + k // 8 + k // 4 + 63) // 64 | 1) * 64


@inline
def at_scale(k, block):
    """Offset of the scale of 32-value block `block` in a row of k."""
    return k + block * 4


@inline
def at_sum32(k, block):
    """Offset of the sum of block `block`."""
    return k + (k >> 3) + block * 4


@inline
def at_sum16(k, half):
    """Offset of the sum of 16-value half block `half`."""
    return k + (k >> 2) + half * 4


@inline
def quantize_block(low, high, out, k, block):
    """Quantize 32 values (two vectors) as block `block` of the row at `out`."""
    peak = largest(maximum(absolute(low), absolute(high)))
    scale = peak * np.float32(1 / 127)
    # A subnormal scale's inverse overflows; such a block is zero to every kernel.
    inverse = np.float32(1.0) / scale if scale > np.float32(1e-37) else np.float32(0.0)
    a, b = to_i32(rint(low * fill(inverse))), to_i32(rint(high * fill(inverse)))
    store_i8(out, block * 32, a)
    store_i8(out, block * 32 + 16, b)
    sum_a, sum_b = scale * np.float32(total_i32(a)), scale * np.float32(total_i32(b))
    put_f32(out, at_scale(k, block), scale)
    put_f32(out, at_sum32(k, block), sum_a + sum_b)
    put_f32(out, at_sum16(k, block * 2), sum_a)
    put_f32(out, at_sum16(k, block * 2 + 1), sum_b)


@op
def quantize(op, ctx, tid, n_threads):
    """float32 rows → quantized rows; the blocks of each row are split over the threads."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    x, x_stride = get_i64(op, X), get_i64(op, X_STRIDE)
    out, out_stride = get_i64(op, OUT), get_i64(op, OUT_STRIDE)
    first, last = share(rows * (k >> 5), tid, n_threads)
    blocks = k >> 5
    for i in range(first, last):
        row, block = i // blocks, i % blocks
        at = row * x_stride + block * 128
        quantize_block(load_f32(x, at), load_f32(x, at + 64), out + row * out_stride, k, block)


@op
def quantize_pairs(op, ctx, tid, n_threads):
    """Each float row → two quantized rows, 2 i and 2 i + 1: the row rounded to int8, and what that left over."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    out_stride, blocks = get_i64(op, OUT_STRIDE), k >> 5
    first, last = share(rows * blocks, tid, n_threads)
    for i in range(first, last):
        row, block = i // blocks, i % blocks
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE) + block * 128
        out = get_i64(op, OUT) + 2 * row * out_stride
        low, high = load_f32(x, 0), load_f32(x, 64)
        quantize_block(low, high, out, k, block)
        scale = fill(get_f32(out, at_scale(k, block)))
        left_low, left_high = low - load_i8(out, block * 32) * scale, high - load_i8(out, block * 32 + 16) * scale
        quantize_block(left_low, left_high, out + out_stride, k, block)
