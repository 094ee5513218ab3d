"""Rotary position embedding (Su et al., 2021), head normalisation and the write into the KV cache, in one operation.

Takes rows of q, k and v as the projections left them; optionally normalises every q and k head (qwen3, gemma3), turns
them by the position's angle (cos and sin tables, computed once in double precision) and stores q back, k and v into
the cache (`kv.py` says how they lie there).
"""

import numpy as np

from llm_core.kernels.jit import apply, inline, op, share
from llm_core.kernels.kv import BLOCK, write_f16, write_q8_0
from llm_core.kernels.norm import inverse_rms
from llm_core.kernels.simd import get_f32, get_i32, get_i64, put_f32
from llm_core.kernels.step import PLACES, POSITIONS, ROWS, SEQUENCES, TABLE_STRIDE, TABLES

# Words of the operation's row. Q, K, V: float rows (strides in bytes). Norm weights 0: no head norm. K_CACHE, V_CACHE:
# this layer's pieces of block 0; HEAD_BYTES: a kv head's piece; BLOCK_BYTES: from block to block. SECTIONS: three
# words, the pair at which each section of PLACES ends.
(
    Q,
    K,
    V,
    Q_STRIDE,
    K_STRIDE,
    V_STRIDE,
    N_HEAD,
    N_KV,
    HEAD_DIM,
    TABLE,
    N_ROT,
    INTERLEAVED,
    Q_NORM,
    K_NORM,
    EPS,
    K_CACHE,
    V_CACHE,
    HEAD_BYTES,
    BLOCK_BYTES,
    SECTIONS,
) = (8 * i for i in range(2, 22))
N_SECTIONS = 3


@inline
def normalise(x, width, weight, eps):
    """x *= inverse_rms(x) * weight, in place"""
    factor = inverse_rms(x, width, eps)
    for i in range(0, width * 4, 4):
        put_f32(x, i, get_f32(x, i) * factor * get_f32(weight, i))


@inline
def rotate(x, table, half, first, last, interleaved):
    """Turn pairs first…last - 1 of one head in place; table: `half` cosines, then as many sines."""
    for i in range(first, last):
        one = i * 8 if interleaved != 0 else i * 4
        other = one + 4 if interleaved != 0 else (i + half) * 4
        c, s = get_f32(table, i * 4), get_f32(table, (half + i) * 4)
        a, b = get_f32(x, one), get_f32(x, other)
        put_f32(x, one, a * c - b * s)
        put_f32(x, other, a * s + b * c)


@inline
def turn(op, ctx, x, row, position):
    """Turn a head of a row by its position, or by the row's places, section by section."""
    n_rot, interleaved, places = get_i64(op, N_ROT), get_i64(op, INTERLEAVED), get_i64(ctx, PLACES)
    half, first = n_rot >> 1, np.int64(0)
    if places == 0:
        rotate(x, get_i64(op, TABLE) + position * n_rot * 4, half, first, half, interleaved)
        return
    for section in range(N_SECTIONS):
        last = get_i64(op, SECTIONS + section * 8)
        place = np.int64(get_i32(places, (section * get_i64(ctx, ROWS) + row) * 4))
        rotate(x, get_i64(op, TABLE) + place * n_rot * 4, half, first, last, interleaved)
        first = last


@inline
def turn_and_write(write, op, ctx, tid, n_threads):
    """The heads of all rows (q heads, then kv heads) are split over the threads."""
    n_head, n_kv, head_dim = get_i64(op, N_HEAD), get_i64(op, N_KV), get_i64(op, HEAD_DIM)
    eps, heads = get_f32(op, EPS), n_head + n_kv
    first, last = share(get_i64(ctx, ROWS) * heads, tid, n_threads)
    for i in range(first, last):
        row, head = i // heads, i % heads
        position = np.int64(get_i32(get_i64(ctx, POSITIONS), row * 4))
        if head < n_head:
            x = get_i64(op, Q) + row * get_i64(op, Q_STRIDE) + head * head_dim * 4
            if get_i64(op, Q_NORM) != 0:
                normalise(x, head_dim, get_i64(op, Q_NORM), eps)
            turn(op, ctx, x, row, position)
        else:
            head -= n_head
            x = get_i64(op, K) + row * get_i64(op, K_STRIDE) + head * head_dim * 4
            if get_i64(op, K_NORM) != 0:
                normalise(x, head_dim, get_i64(op, K_NORM), eps)
            turn(op, ctx, x, row, position)
            sequence = np.int64(get_i32(get_i64(ctx, SEQUENCES), row * 4))
            entry = sequence * get_i64(ctx, TABLE_STRIDE) + position // BLOCK * 4
            block = np.int64(get_i32(get_i64(ctx, TABLES), entry))
            v = get_i64(op, V) + row * get_i64(op, V_STRIDE) + head * head_dim * 4
            at = block * get_i64(op, BLOCK_BYTES) + head * get_i64(op, HEAD_BYTES)
            apply(write, x, v, position % BLOCK, get_i64(op, K_CACHE) + at, get_i64(op, V_CACHE) + at, head_dim)


@op
def rope_and_store_f16(op, ctx, tid, n_threads):
    """Turn q and k; k and v go to a cache of halves."""
    turn_and_write(write_f16, op, ctx, tid, n_threads)


@op
def rope_and_store_q8_0(op, ctx, tid, n_threads):
    """Turn q and k; k and v go to a cache of bytes and scales."""
    turn_and_write(write_q8_0, op, ctx, tid, n_threads)


@op
def turn_heads(op, ctx, tid, n_threads):
    """Turn the N_HEAD heads of Q's rows in place; TABLE: the angles of each row."""
    n_head, n_rot = get_i64(op, N_HEAD), get_i64(op, N_ROT)
    first, last = share(get_i64(ctx, ROWS) * n_head, tid, n_threads)
    for i in range(first, last):
        row, head = i // n_head, i % n_head
        x = get_i64(op, Q) + row * get_i64(op, Q_STRIDE) + head * get_i64(op, HEAD_DIM) * 4
        rotate(x, get_i64(op, TABLE) + row * n_rot * 4, n_rot >> 1, 0, n_rot >> 1, get_i64(op, INTERLEAVED))


ROPE_AND_STORE = {"f16": rope_and_store_f16, "q8_0": rope_and_store_q8_0}
