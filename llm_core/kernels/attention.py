"""Causal attention over the paged KV cache, with grouped queries, sliding window, soft cap and online softmax; rows
of a group (`step.SEES`) see each other.

The queries of one sequence that share a kv head are cut into strips of STRIP, and the positions that a strip sees into
chunks of CHUNK. A strip meets a chunk in three passes, each over the chunk's cache blocks: scores (16 positions a load,
no horizontal sums), softmax weights, weighted sum of V; what comes out is a *record* of each query: the sum, its
maximum score and its sum of weights. The records of a query are merged in the order of its chunks (Milakov and
Gimelshein, 2018), so its result depends on nothing but its own positions: not on its neighbours, not on the threads.

Threads share all (strip, chunk) pairs of a step by cost. A strip that two or more threads work on (a long context that
few queries read: Dao et al., Flash-Decoding, 2023) leaves its records in memory that all see, and the operation
`combine` merges them after a barrier. A strip that one thread has to itself is merged on the way.
"""

import numpy as np

from llm_core.kernels.jit import apply, inline, op
from llm_core.kernels.kv import BLOCK, add_f16, add_q8_0, score_f16, score_q8_0
from llm_core.kernels.maths import exp, like, tanh
from llm_core.kernels.matmul.panels import LARGE, MEDIUM, ONE
from llm_core.kernels.simd import (
    fill,
    fma,
    get_f32,
    get_i32,
    get_i64,
    lane_numbers,
    largest,
    less,
    load_f32,
    per_column,
    put_f32,
    store,
    store_columns,
    to_f32,
    total,
    wide,
)
from llm_core.kernels.step import N_SEQUENCES, STARTS, TABLE_STRIDE, TABLES, first_seen, last_seen

# Words of the operation's row. Q and OUT: float rows; K_CACHE, V_CACHE: this layer's pieces of block 0, HEAD_BYTES a kv
# head, BLOCK_BYTES from block to block; WINDOW 0: all positions; SOFT_CAP 0: none; SCRATCH: SCRATCH_BYTES per thread;
# RECORDS: RECORDS_BYTES per split strip. `combine` has the same row.
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
    HEAD_BYTES,
    BLOCK_BYTES,
    SCALE,
    WINDOW,
    SOFT_CAP,
    SCRATCH,
    SCRATCH_BYTES,
    RECORDS,
    RECORDS_BYTES,
) = (8 * i for i in range(2, 20))

CHUNK = 128
STRIP = 4 * LARGE.count
ROW = CHUNK * 4  # bytes of a query's scores
MASKED = np.float32(-1e30)


def record_bytes(head_dim: int) -> int:
    """Bytes of a record: the sum of values, then maximum and sum of weights, then padding to whole lines."""
    return head_dim * 4 + 64


def scratch_bytes(head_dim: int) -> int:
    """Bytes of scratch per thread: for each query of a strip q, scores, oldest and own position, and two records; for
    each query of a tile a block's weights."""
    return STRIP * (head_dim * 4 + ROW + 2 * 4 + 2 * record_bytes(head_dim)) + LARGE.count * BLOCK * 4


def records_bytes(head_dim: int, n_ctx: int) -> int:
    """Bytes of the records of one split strip. At most n_threads - 1 strips of a step are split."""
    return -(-n_ctx // CHUNK) * STRIP * record_bytes(head_dim)


@inline
def record_size(head_dim):
    """record_bytes, for kernels"""
    return head_dim * 4 + 64


@inline
def width_of(left):
    """How many queries the next tile takes when so many are left."""
    if left > len(MEDIUM):
        return len(LARGE)
    return len(MEDIUM) if left > 1 else 1


@inline
def extent(op, ctx, sequence, first, count):
    """Positions that queries first…first+count-1 of a sequence see together: the start of their first block, the
    end."""
    group = get_i64(op, N_HEAD) // get_i64(op, N_KV)
    row = np.int64(get_i32(get_i64(ctx, STARTS), sequence * 4))
    oldest = first_seen(ctx, row + first // group, get_i64(op, WINDOW))
    return oldest // BLOCK * BLOCK, last_seen(ctx, row + (first + count - 1) // group) + 1


@inline
def queries_of(op, ctx, sequence):
    """Queries of a sequence that share a kv head."""
    starts = get_i64(ctx, STARTS)
    rows = np.int64(get_i32(starts, sequence * 4 + 4)) - np.int64(get_i32(starts, sequence * 4))
    return rows * (get_i64(op, N_HEAD) // get_i64(op, N_KV))


@inline
def price(count):
    """What one position costs a strip of `count` queries."""
    return (count + len(LARGE) - 1) // len(LARGE)


@inline
def total_cost(op, ctx):
    """The cost of all strips of the step."""
    cost = 0
    for sequence in range(get_i64(ctx, N_SEQUENCES)):
        queries = queries_of(op, ctx, sequence)
        for first in range(0, queries, STRIP):
            count = min(STRIP, queries - first)
            start, end = extent(op, ctx, sequence, first, count)
            cost += (end - start) * price(count)
    return cost * get_i64(op, N_KV)


@inline
def load_queries(op, ctx, scratch, sequence, kv_head, first, count):
    """Copy a strip's queries, scaled, with the positions that each may see; its last tile is filled up with its last
    query."""
    head_dim, window = get_i64(op, HEAD_DIM), get_i64(op, WINDOW)
    group = get_i64(op, N_HEAD) // get_i64(op, N_KV)
    first_row = np.int64(get_i32(get_i64(ctx, STARTS), sequence * 4))
    bounds = scratch + STRIP * (head_dim * 4 + ROW)
    scale = fill(get_f32(op, SCALE))
    for c in range(price(count) * len(LARGE)):
        j = first + min(c, count - 1)
        row, head = first_row + j // group, kv_head * group + j % group
        q = get_i64(op, Q) + row * get_i64(op, Q_STRIDE) + head * head_dim * 4
        for d in range(0, head_dim * 4, 64):
            store(scratch, c * head_dim * 4 + d, load_f32(q, d) * scale)
        put_f32(bounds, c * 4, np.float32(first_seen(ctx, row, window)))
        put_f32(bounds, (STRIP + c) * 4, np.float32(last_seen(ctx, row)))


@inline
def clear(records, count, head_dim):
    """Make `count` records those of no positions."""
    size = record_size(head_dim)
    for c in range(count):
        for d in range(0, head_dim * 4, 64):
            store(records, c * size + d, fill(np.float32(0.0)))
        put_f32(records, c * size + head_dim * 4, MASKED)
        put_f32(records, c * size + head_dim * 4 + 4, np.float32(0.0))


@inline
def score_tile(score, piece, base, end, q, scores, bounds, ahead, head_dim, soft_cap, columns):
    """Scores of a tile's queries with the positions base…end-1 of a block; those that a query may not see are
    MASKED."""
    n = len(columns)
    for panel in range((end - base + 15) >> 4):
        s = apply(score, piece, panel, q, head_dim * 4, ahead, head_dim, columns)
        if soft_cap != np.float32(0.0):
            s = tanh(s * like(s, np.float32(1.0) / soft_cap)) * like(s, soft_cap)
        start = base + panel * 16
        # Positions only grow along a tile: its first query bounds what all may see, its last one what is out of the
        # window.
        if np.float32(start + 15) > get_f32(bounds, STRIP * 4) or np.float32(start) < get_f32(bounds, (n - 1) * 4):
            at = wide(to_f32(lane_numbers()) + fill(np.float32(start)), columns)
            hidden = like(s, MASKED)
            s = less(per_column(bounds, STRIP * 4, 4, columns), at, hidden, s)
            s = less(at, per_column(bounds, 0, 4, columns), hidden, s)
        store_columns(scores, panel * 64, ROW, s)


@inline
def weigh(scores, record, n_panels, head_dim):
    """Softmax of one query's scores in a chunk: scores → weights in place; maximum and sum go to the record."""
    top = load_f32(scores, 0)
    for panel in range(1, n_panels):
        s = load_f32(scores, panel * 64)
        top = less(top, s, s, top)
    peak = largest(top)
    weights = fill(np.float32(0.0))
    for panel in range(n_panels):
        w = exp(load_f32(scores, panel * 64) - fill(peak))
        store(scores, panel * 64, w)
        weights = weights + w
    put_f32(record, head_dim * 4, peak)
    put_f32(record, head_dim * 4 + 4, total(weights))


@inline
def merge(into, record, head_dim):
    """Add a chunk's record to the record of the chunks before it."""
    old, new = get_f32(into, head_dim * 4), get_f32(record, head_dim * 4)
    if new == MASKED:  # the query saw nothing of this chunk
        return
    peak = max(old, new)
    fade, share_of = exp(fill(old - peak)), exp(fill(new - peak))
    for d in range(0, head_dim * 4, 64):
        store(into, d, fma(load_f32(record, d), share_of, load_f32(into, d) * fade))
    put_f32(into, head_dim * 4, peak)
    weights = fma(fill(get_f32(record, head_dim * 4 + 4)), share_of, fill(get_f32(into, head_dim * 4 + 4)) * fade)
    put_f32(into, head_dim * 4 + 4, total(weights) * np.float32(1 / 16))


@inline
def meet(score, add, op, ctx, scratch, records, sequence, kv_head, count, start, end, see):
    """A strip, whose queries are in `scratch`, meets the positions start…end-1 of a chunk; fills a record per query.
    see: the end of all positions that the strip sees."""
    head_dim, head_bytes, soft_cap = get_i64(op, HEAD_DIM), get_i64(op, HEAD_BYTES), get_f32(op, SOFT_CAP)
    size, block_bytes = record_size(head_dim), get_i64(op, BLOCK_BYTES)
    scores = scratch + STRIP * head_dim * 4
    bounds = scores + STRIP * ROW
    room = bounds + STRIP * (2 * 4 + 2 * size)
    table = get_i64(ctx, TABLES) + sequence * get_i64(ctx, TABLE_STRIDE)
    k, v = get_i64(op, K_CACHE) + kv_head * head_bytes, get_i64(op, V_CACHE) + kv_head * head_bytes
    # Blocks are scattered: while one is read the next one in the order of use is asked for, by the first tile.
    for base in range(start, end, BLOCK):
        piece = k + np.int64(get_i32(table, base // BLOCK * 4)) * block_bytes
        if base + BLOCK < end:
            ahead = k + np.int64(get_i32(table, (base // BLOCK + 1) * 4)) * block_bytes
        else:
            ahead = v + np.int64(get_i32(table, start // BLOCK * 4)) * block_bytes
        c = 0
        while c < count:
            q, to, limits = scratch + c * head_dim * 4, scores + c * ROW + (base - start) * 4, bounds + c * 4
            width, last = width_of(count - c), min(base + BLOCK, end)
            if width == len(LARGE):
                score_tile(score, piece, base, last, q, to, limits, ahead, head_dim, soft_cap, LARGE)
            elif width == len(MEDIUM):
                score_tile(score, piece, base, last, q, to, limits, ahead, head_dim, soft_cap, MEDIUM)
            else:
                score_tile(score, piece, base, last, q, to, limits, ahead, head_dim, soft_cap, ONE)
            ahead = piece
            c += width
    clear(records, price(count) * len(LARGE), head_dim)
    for c in range(count):
        weigh(scores + c * ROW, records + c * size, (end - start + 15) >> 4, head_dim)
    for base in range(start, end, BLOCK):
        piece = v + np.int64(get_i32(table, base // BLOCK * 4)) * block_bytes
        ahead = piece
        if base + BLOCK < end:
            ahead = v + np.int64(get_i32(table, (base // BLOCK + 1) * 4)) * block_bytes
        elif end < see:
            ahead = k + np.int64(get_i32(table, end // BLOCK * 4)) * block_bytes
        n_positions, c = min(BLOCK, end - base), 0
        while c < count:
            weights, to, width = scores + c * ROW + (base - start) * 4, records + c * size, width_of(count - c)
            if width == len(LARGE):
                apply(add, piece, weights, ROW, n_positions, to, size, ahead, room, head_dim, LARGE)
            elif width == len(MEDIUM):
                apply(add, piece, weights, ROW, n_positions, to, size, ahead, room, head_dim, MEDIUM)
            else:
                apply(add, piece, weights, ROW, n_positions, to, size, ahead, room, head_dim, ONE)
            ahead = piece
            c += width


@inline
def finish(op, ctx, record, sequence, kv_head, query):
    """The output of one query: its record's sum over its weights."""
    head_dim = get_i64(op, HEAD_DIM)
    group = get_i64(op, N_HEAD) // get_i64(op, N_KV)
    row = np.int64(get_i32(get_i64(ctx, STARTS), sequence * 4)) + query // group
    out = get_i64(op, OUT) + row * get_i64(op, OUT_STRIDE) + (kv_head * group + query % group) * head_dim * 4
    share_of = fill(np.float32(1.0) / get_f32(record, head_dim * 4 + 4))
    for d in range(0, head_dim * 4, 64):
        store(out, d, load_f32(record, d) * share_of)


@inline
def owner(offset, cost, n_threads):
    """The thread in whose share of the step's cost `offset` lies."""
    return offset * n_threads // cost


@inline
def owners(offset, start, end, each, cost, n_threads):
    """The threads that have a strip's first and last chunk; the strip's cost begins at `offset`."""
    last = max((end - 1) // CHUNK * CHUNK, start)
    return owner(offset, cost, n_threads), owner(offset + (last - start) * each, cost, n_threads)


@inline
def attend_strip(score, add, op, ctx, tid, n_threads, sequence, kv_head, first, count, offset, cost):
    """This thread's chunks of one strip."""
    head_dim = get_i64(op, HEAD_DIM)
    size, each = record_size(head_dim), price(count)
    start, end = extent(op, ctx, sequence, first, count)
    low, high = owners(offset, start, end, each, cost, n_threads)
    if tid < low or tid > high:
        return
    scratch = get_i64(op, SCRATCH) + tid * get_i64(op, SCRATCH_BYTES)
    sums = scratch + STRIP * (head_dim * 4 + ROW + 2 * 4)
    load_queries(op, ctx, scratch, sequence, kv_head, first, count)
    if low == high:
        records, step = sums + STRIP * size, 0
        clear(sums, count, head_dim)
    else:
        records, step = get_i64(op, RECORDS) + low * get_i64(op, RECORDS_BYTES), STRIP * size
    for chunk in range(start // CHUNK, (end - 1) // CHUNK + 1):
        begin = max(chunk * CHUNK, start)
        if owner(offset + (begin - start) * each, cost, n_threads) == tid:
            stop = min(chunk * CHUNK + CHUNK, end)
            meet(score, add, op, ctx, scratch, records, sequence, kv_head, count, begin, stop, end)
            if low == high:
                for c in range(count):
                    merge(sums + c * size, records + c * size, head_dim)
        records += step
    if low == high:
        for c in range(count):
            finish(op, ctx, sums + c * size, sequence, kv_head, first + c)


@inline
def attend(score, add, op, ctx, tid, n_threads):
    """This thread's chunks of all strips."""
    cost, offset = total_cost(op, ctx), 0
    for sequence in range(get_i64(ctx, N_SEQUENCES)):
        queries = queries_of(op, ctx, sequence)
        for kv_head in range(get_i64(op, N_KV)):
            for first in range(0, queries, STRIP):
                count = min(STRIP, queries - first)
                attend_strip(score, add, op, ctx, tid, n_threads, sequence, kv_head, first, count, offset, cost)
                start, end = extent(op, ctx, sequence, first, count)
                offset += (end - start) * price(count)


@op
def attention_f16(op, ctx, tid, n_threads):
    """softmax(scale q·k) v for every row and head, but for strips that several threads share: those are left to
    `combine`."""
    attend(score_f16, add_f16, op, ctx, tid, n_threads)


@op
def attention_q8_0(op, ctx, tid, n_threads):
    """As `attention_f16`."""
    attend(score_q8_0, add_q8_0, op, ctx, tid, n_threads)


ATTENTION = {"f16": attention_f16, "q8_0": attention_q8_0}


@inline
def combine_strip(op, ctx, tid, n_threads, sequence, kv_head, first, count, offset, cost):
    """This thread's queries of a strip, if it is split."""
    head_dim = get_i64(op, HEAD_DIM)
    size = record_size(head_dim)
    start, end = extent(op, ctx, sequence, first, count)
    low, high = owners(offset, start, end, price(count), cost, n_threads)
    if low == high:
        return
    sums = get_i64(op, SCRATCH) + tid * get_i64(op, SCRATCH_BYTES)
    records = get_i64(op, RECORDS) + low * get_i64(op, RECORDS_BYTES)
    for c in range(tid, count, n_threads):
        clear(sums, 1, head_dim)
        for chunk in range((end - 1) // CHUNK - start // CHUNK + 1):
            merge(sums, records + (chunk * STRIP + c) * size, head_dim)
        finish(op, ctx, sums, sequence, kv_head, first + c)


@op
def combine(op, ctx, tid, n_threads):
    """Merge the records of the strips that `attention` split."""
    cost, offset = total_cost(op, ctx), 0
    for sequence in range(get_i64(ctx, N_SEQUENCES)):
        queries = queries_of(op, ctx, sequence)
        for kv_head in range(get_i64(op, N_KV)):
            for first in range(0, queries, STRIP):
                count = min(STRIP, queries - first)
                combine_strip(op, ctx, tid, n_threads, sequence, kv_head, first, count, offset, cost)
                start, end = extent(op, ctx, sequence, first, count)
                offset += (end - start) * price(count)
