"""Rotary position embedding (Su et al., 2021), head normalisation and the write into the KV cache, in one operation.

Takes rows of q, k and v as the projections left them; optionally normalises every q and k head (qwen3, gemma3), turns
them by the position's angle (cos and sin tables, computed once in double precision) and stores q back, k and v into
the cache.

KV cache of one layer, per block of `block_size` positions and kv head (halves):
  K: panels of 16 positions, [head_dim][16]: one load gives 16 positions' value of one dimension
  V: [block_size][head_dim]
"""

import numpy as np

from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.norm import inverse_rms
from llm_core.kernels.simd import get_f32, get_i32, get_i64, put_f16, put_f32
from llm_core.kernels.step import POSITIONS, ROWS, SEQUENCES, TABLE_STRIDE, TABLES

# Words of the operation's row. Q, K, V: float rows (strides in bytes). Norm weights 0: no head norm. Strides of the
# cache in bytes.
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
    BLOCK_SIZE,
) = (8 * i for i in range(2, 20))


@inline
def normalise(x, width, weight, eps):
    """x *= inverse_rms(x) * weight, in place"""
    factor = inverse_rms(x, width, eps)
    for i in range(0, width * 4, 4):
        put_f32(x, i, get_f32(x, i) * factor * get_f32(weight, i))


@inline
def rotate(x, table, n_rot, interleaved):
    """Turn the pairs of one head in place; table: n_rot / 2 cosines, then as many sines."""
    half = n_rot >> 1
    for i in range(half):
        first = i * 8 if interleaved != 0 else i * 4
        second = first + 4 if interleaved != 0 else (i + half) * 4
        c, s = get_f32(table, i * 4), get_f32(table, (half + i) * 4)
        a, b = get_f32(x, first), get_f32(x, second)
        put_f32(x, first, a * c - b * s)
        put_f32(x, second, a * s + b * c)


@op
def rope_and_store(op, ctx, tid, n_threads):
    """The heads of all rows (q heads, then kv heads) are split over the threads."""
    n_head, n_kv, head_dim = get_i64(op, N_HEAD), get_i64(op, N_KV), get_i64(op, HEAD_DIM)
    n_rot, interleaved, eps = get_i64(op, N_ROT), get_i64(op, INTERLEAVED), get_f32(op, EPS)
    block_size = get_i64(op, BLOCK_SIZE)
    heads = n_head + n_kv
    first, last = share(get_i64(ctx, ROWS) * heads, tid, n_threads)
    for i in range(first, last):
        row, head = i // heads, i % heads
        position = np.int64(get_i32(get_i64(ctx, POSITIONS), row * 4))
        table = get_i64(op, TABLE) + position * n_rot * 4
        if head < n_head:
            x = get_i64(op, Q) + row * get_i64(op, Q_STRIDE) + head * head_dim * 4
            if get_i64(op, Q_NORM) != 0:
                normalise(x, head_dim, get_i64(op, Q_NORM), eps)
            rotate(x, table, n_rot, interleaved)
        else:
            head -= n_head
            x = get_i64(op, K) + row * get_i64(op, K_STRIDE) + head * head_dim * 4
            if get_i64(op, K_NORM) != 0:
                normalise(x, head_dim, get_i64(op, K_NORM), eps)
            rotate(x, table, n_rot, interleaved)
            sequence = np.int64(get_i32(get_i64(ctx, SEQUENCES), row * 4))
            entry = sequence * get_i64(ctx, TABLE_STRIDE) + position // block_size * 4
            block = np.int64(get_i32(get_i64(ctx, TABLES), entry))
            slot = position % block_size
            base = (block * n_kv + head) * block_size * head_dim * 2
            v = get_i64(op, V) + row * get_i64(op, V_STRIDE) + head * head_dim * 4
            panel = get_i64(op, K_CACHE) + base + (slot >> 4) * head_dim * 32 + (slot & 15) * 2
            for d in range(head_dim):
                put_f16(panel, d * 32, get_f32(x, d * 4))
            store = get_i64(op, V_CACHE) + base + slot * head_dim * 2
            for d in range(head_dim):
                put_f16(store, d * 2, get_f32(v, d * 4))
