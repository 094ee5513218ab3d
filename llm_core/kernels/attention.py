"""Causal attention over the paged KV cache, with grouped queries, sliding window, soft cap and online softmax.

Work is cut into tiles of up to C queries that share a kv head: the queries of one sequence, row after row. A tile
walks the blocks of its sequence once: scores of a block (16 positions a load, no horizontal sums), running maximum
and sum (Milakov and Gimelshein, 2018), then the weighted sum of V. Tiles go round the threads in turn, so that the
long rows of a prompt are shared evenly. Scratch is one slice per thread. The cache's layout is described in
`rope.py`.
"""

import numpy as np

from llm_core.kernels.jit import inline, op
from llm_core.kernels.maths import exp, like, tanh
from llm_core.kernels.matmul.panels import LARGE, ONE
from llm_core.kernels.simd import (
    fill,
    fma,
    get_f32,
    get_i32,
    get_i64,
    lane_numbers,
    largest,
    less,
    load_columns,
    load_f16,
    load_f32,
    maximum,
    per_column,
    put_f32,
    store,
    store_columns,
    to_f32,
    total,
    wide,
    zeros,
)
from llm_core.kernels.step import N_SEQUENCES, POSITIONS, STARTS, TABLE_STRIDE, TABLES

# Words of the operation's row. Q and OUT: float rows; WINDOW 0: all positions; SOFT_CAP 0: none; SCRATCH:
# SCRATCH_BYTES per thread.
(
    Q,
    Q_STRIDE,
    OUT,
    OUT_STRIDE,
    N_HEAD,
    N_KV,
    HEAD_DIM,
    K_CACHE,
    V_CACHE,
    BLOCK_SIZE,
    SCALE,
    WINDOW,
    SOFT_CAP,
    SCRATCH,
    SCRATCH_BYTES,
) = (8 * i for i in range(2, 17))

MASKED = np.float32(-1e30)


def scratch_bytes(head_dim: int, block_size: int) -> int:
    """Bytes of scratch per thread: per query of a tile q, the sum, a block's scores, first and last position,
    maximum, sum of weights."""
    return 4 * LARGE.count * (2 * head_dim + block_size + 4) + 256


@inline
def load_queries(op, ctx, scratch, first_row, kv_head, first, count, columns):
    """Copy a tile's queries, scaled, and set its masks and sums; a tile that is not full repeats its last query."""
    head_dim, block_size, window = get_i64(op, HEAD_DIM), get_i64(op, BLOCK_SIZE), get_i64(op, WINDOW)
    group = get_i64(op, N_HEAD) // get_i64(op, N_KV)
    n = len(columns)
    acc = scratch + n * head_dim * 4
    bounds = acc + n * (head_dim + block_size) * 4
    scale = fill(get_f32(op, SCALE))
    for c in range(n):
        j = first + min(c, count - 1)
        row, head = first_row + j // group, kv_head * group + j % group
        q = get_i64(op, Q) + row * get_i64(op, Q_STRIDE) + head * head_dim * 4
        for d in range(0, head_dim * 4, 64):
            store(scratch, c * head_dim * 4 + d, load_f32(q, d) * scale)
            store(acc, c * head_dim * 4 + d, fill(np.float32(0.0)))
        position = get_i32(get_i64(ctx, POSITIONS), row * 4)
        oldest = max(position - window + 1, 0) if window != 0 else 0
        put_f32(bounds, c * 4, np.float32(oldest))
        put_f32(bounds, (n + c) * 4, np.float32(position))
        put_f32(bounds, (2 * n + c) * 4, MASKED)
        put_f32(bounds, (3 * n + c) * 4, np.float32(0.0))


@inline
def score_block(k_block, scratch, scores, bounds, base, n_panels, head_dim, row_bytes, soft_cap, columns):
    """Scores of the tile's queries with the 16 * n_panels positions from `base`; positions that a query may not see
    are MASKED."""
    n = len(columns)
    for panel in range(n_panels):
        k = k_block + panel * head_dim * 32
        s = zeros(columns)
        for d in range(head_dim):
            s = fma(wide(load_f16(k, d * 32), columns), per_column(scratch, d * 4, head_dim * 4, columns), s)
        if soft_cap != np.float32(0.0):
            s = tanh(s * like(s, np.float32(1.0) / soft_cap)) * like(s, soft_cap)
        start = base + panel * 16
        # Positions only grow along a tile: its first query bounds what all may see, its last one what is out of the
        # window.
        if np.float32(start + 15) > get_f32(bounds, n * 4) or np.float32(start) < get_f32(bounds, (n - 1) * 4):
            at = wide(to_f32(lane_numbers()) + fill(np.float32(start)), columns)
            hidden = like(s, MASKED)
            s = less(per_column(bounds, n * 4, 4, columns), at, hidden, s)
            s = less(at, per_column(bounds, 0, 4, columns), hidden, s)
        store_columns(scores, panel * 64, row_bytes, s)


@inline
def weigh(scores, acc, peak_at, sum_at, n_panels, head_dim):
    """Online softmax of one query: scores → weights in place; the sums so far are scaled to the new maximum."""
    top = load_f32(scores, 0)
    for panel in range(1, n_panels):
        top = maximum(top, load_f32(scores, panel * 64))
    old = get_f32(peak_at, 0)
    peak = max(old, largest(top))
    weights = fill(np.float32(0.0))
    for panel in range(n_panels):
        w = exp(load_f32(scores, panel * 64) - fill(peak))
        store(scores, panel * 64, w)
        weights = weights + w
    if peak > old:
        fade = exp(fill(old - peak))
        for d in range(0, head_dim * 4, 64):
            store(acc, d, load_f32(acc, d) * fade)
        put_f32(sum_at, 0, get_f32(sum_at, 0) * total(fade) * np.float32(1 / 16))
        put_f32(peak_at, 0, peak)
    put_f32(sum_at, 0, get_f32(sum_at, 0) + total(weights))


@inline
def add_values(v_block, scores, acc, n_positions, head_dim, row_bytes, columns):
    """acc += weights · V of a block's first n_positions"""
    for d in range(0, head_dim, 16):
        a = load_columns(acc, d * 4, head_dim * 4, columns)
        for t in range(n_positions):
            a = fma(
                wide(load_f16(v_block, (t * head_dim + d) * 2), columns),
                per_column(scores, t * 4, row_bytes, columns),
                a,
            )
        store_columns(acc, d * 4, head_dim * 4, a)


@inline
def attend(op, ctx, scratch, sequence, first_row, kv_head, first, count, columns):
    """One tile: queries first…first+count-1 of a sequence's kv head against all blocks that they may see."""
    load_queries(op, ctx, scratch, first_row, kv_head, first, count, columns)
    n_kv, head_dim, block_size = get_i64(op, N_KV), get_i64(op, HEAD_DIM), get_i64(op, BLOCK_SIZE)
    n, row_bytes = len(columns), block_size * 4
    acc = scratch + n * head_dim * 4
    scores = acc + n * head_dim * 4
    bounds = scores + n * row_bytes
    last = np.int64(get_f32(bounds, (2 * n - 1) * 4))
    table = get_i64(ctx, TABLES) + sequence * get_i64(ctx, TABLE_STRIDE)
    for b in range(np.int64(get_f32(bounds, 0)) // block_size, last // block_size + 1):
        base = b * block_size
        at = (np.int64(get_i32(table, b * 4)) * n_kv + kv_head) * block_size * head_dim * 2
        n_positions = min(block_size, last + 1 - base)
        n_panels = (n_positions + 15) >> 4
        score_block(
            get_i64(op, K_CACHE) + at,
            scratch,
            scores,
            bounds,
            base,
            n_panels,
            head_dim,
            row_bytes,
            get_f32(op, SOFT_CAP),
            columns,
        )
        for c in range(n):
            weigh(
                scores + c * row_bytes,
                acc + c * head_dim * 4,
                bounds + (2 * n + c) * 4,
                bounds + (3 * n + c) * 4,
                n_panels,
                head_dim,
            )
        add_values(get_i64(op, V_CACHE) + at, scores, acc, n_positions, head_dim, row_bytes, columns)
    group = get_i64(op, N_HEAD) // n_kv
    for c in range(count):
        j = first + c
        out = (
            get_i64(op, OUT)
            + (first_row + j // group) * get_i64(op, OUT_STRIDE)
            + (kv_head * group + j % group) * head_dim * 4
        )
        share_of = fill(np.float32(1.0) / get_f32(bounds, (3 * n + c) * 4))
        for d in range(0, head_dim * 4, 64):
            store(out, d, load_f32(acc, c * head_dim * 4 + d) * share_of)


@op
def attention(op, ctx, tid, n_threads):
    """softmax(scale q·k) v for every row and head."""
    n_kv = get_i64(op, N_KV)
    group = get_i64(op, N_HEAD) // n_kv
    scratch = get_i64(op, SCRATCH) + tid * get_i64(op, SCRATCH_BYTES)
    turn = 0
    for sequence in range(get_i64(ctx, N_SEQUENCES)):
        first_row = np.int64(get_i32(get_i64(ctx, STARTS), sequence * 4))
        queries = (np.int64(get_i32(get_i64(ctx, STARTS), sequence * 4 + 4)) - first_row) * group
        width = len(LARGE) if queries > 1 else 1
        for kv_head in range(n_kv):
            for first in range(0, queries, width):
                turn += 1
                if turn % n_threads != tid:
                    continue
                count = min(width, queries - first)
                if width > 1:
                    attend(op, ctx, scratch, sequence, first_row, kv_head, first, count, LARGE)
                else:
                    attend(op, ctx, scratch, sequence, first_row, kv_head, first, count, ONE)
