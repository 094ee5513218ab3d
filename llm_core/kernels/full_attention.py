"""Attention of all rows of a segment over each other, as vision towers have it: no cache, no mask, heads of any size up
to 128. A segment is all rows, or those of a window.

`pack_heads` copies each head's keys and values to where the register tile reads them (keys as panels of 16 rows over
the head's values, values as panels of 16 over the rows), `full_attention` takes tiles of queries: scores, softmax,
weighted sum, all in scratch memory of the thread. The threads draw (segment, head, tile) triples.
"""

from collections.abc import Callable, Sequence

import numpy as np

from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.maths import exp
from llm_core.kernels.matmul.tile import CHUNK, COLUMNS, PANELS, X_BYTES, multiply
from llm_core.kernels.simd import (
    fill,
    get_f32,
    get_i32,
    get_i64,
    lane_numbers,
    largest,
    less,
    load_f32,
    put_f32,
    store,
    to_f32,
    total,
)
from llm_core.kernels.tickets import draw

# Words of the operations' rows: float rows Q, K, V → OUT; PACKED: the heads' keys and values, `packed_bytes`; SCRATCH:
# SCRATCH_BYTES a thread; TICKETS counts. SEGMENTS: the table that `segments` makes; N_SEGMENTS of them.
(
    Q,
    Q_STRIDE,
    K,
    K_STRIDE,
    V,
    V_STRIDE,
    OUT,
    OUT_STRIDE,
    N_HEAD,
    HEAD_DIM,
    SCALE,
    PACKED,
    SCRATCH,
    SCRATCH_BYTES,
    TICKETS,
    SEGMENTS,
    N_SEGMENTS,
) = (8 * i for i in range(2, 19))

MAX_HEAD_DIM = CHUNK
MASKED = np.float32(-1e30)
TILE = COLUMNS * X_BYTES


def packed_bytes(n_head: int, head_dim: int, rows: int) -> int:
    """Bytes of the keys and values of a segment of so many rows: whole cache lines."""
    return n_head * (-(-rows // 16) * 16 * head_dim + -(-head_dim // 16) * 16 * rows) * 4


def segments(starts: Sequence[int], columns: int, n_bytes: Callable[[int], int]) -> np.ndarray:
    """int32 [segments + 1, 3] for segments of rows starts[s]…starts[s + 1] - 1: first row, tiles of `columns` queries
    before it and cache lines of PACKED before it, of which a segment of so many rows takes `n_bytes`."""
    table = np.zeros((len(starts), 3), np.int32)
    for s, (first, last) in enumerate(zip(starts, starts[1:], strict=False)):
        lines = n_bytes(last - first) // 64
        table[s + 1] = last, table[s, 1] - (first - last) // columns, table[s, 2] + lines
    return table


def scratch_bytes(rows: int) -> int:
    """Bytes of scratch per thread: a tile of queries, their scores with all rows, their outputs."""
    return (1 + -(-rows // CHUNK)) * TILE + COLUMNS * MAX_HEAD_DIM * 4


@inline
def panels_of(count):
    """Panels of 16 that hold `count`."""
    return (count + 15) >> 4


@inline
def segment(op, s):
    """First row of a segment, how many there are, and where its keys and values begin."""
    at, step = get_i64(op, SEGMENTS), s * 12
    first = np.int64(get_i32(at, step))
    return first, np.int64(get_i32(at, step + 12)) - first, get_i64(op, PACKED) + np.int64(get_i32(at, step + 8)) * 64


@inline
def tiles_before(op, s):
    """Tiles of all segments before this one."""
    return np.int64(get_i32(get_i64(op, SEGMENTS), s * 12 + 4))


@inline
def head_at(packed, head, rows, d):
    """Where a head's keys begin, and its values."""
    keys = panels_of(rows) * 16 * d * 4
    start = packed + head * (keys + panels_of(d) * 16 * rows * 4)
    return start, start + keys


@inline
def place(panel, n_panels, length):
    """Offset of a panel over `length`, and bytes from one of its vectors to the next: PANELS of them lie side by side
    as long as there are so many."""
    strip = panel // PANELS
    if strip < n_panels // PANELS:
        return strip * PANELS * length * 64 + panel % PANELS * 64, PANELS * 64
    return panel * length * 64, 64


@op
def pack_heads(op, ctx, tid, n_threads):
    """K and V of all rows → PACKED."""
    d = get_i64(op, HEAD_DIM)
    for s in range(get_i64(op, N_SEGMENTS)):
        start, rows, packed = segment(op, s)
        key_panels, value_panels = panels_of(rows), panels_of(d)
        first, last = share(get_i64(op, N_HEAD) * key_panels, tid, n_threads)
        for i in range(first, last):
            head, panel = i // key_panels, i % key_panels
            keys, values = head_at(packed, head, rows, d)
            at, step = place(panel, key_panels, d)
            for lane in range(16):
                row = panel * 16 + lane
                source = get_i64(op, K) + (start + row) * get_i64(op, K_STRIDE) + head * d * 4
                for j in range(d):
                    put_f32(keys, at + j * step + lane * 4, get_f32(source, j * 4) if row < rows else np.float32(0.0))
            for row in range(panel * 16, min(panel * 16 + 16, rows)):
                source = get_i64(op, V) + (start + row) * get_i64(op, V_STRIDE) + head * d * 4
                for p in range(value_panels):
                    at, step = place(p, value_panels, rows)
                    store(values, at + row * step, load_f32(source, p * 64))


@inline
def highest(scores, rows, chunk, step):
    """The largest score of one query, `chunk` of them every `step` bytes; the lanes behind the last row are masked."""
    last = rows & 15
    if last != 0:
        at = (rows >> 4 << 4) // chunk * step + (rows >> 4 << 4) % chunk * 4
        s = less(to_f32(lane_numbers()), fill(np.float32(last)), load_f32(scores, at), fill(MASKED))
        store(scores, at, s)
    top = fill(MASKED)
    for row in range(0, rows, 16):
        s = load_f32(scores, row // chunk * step + row % chunk * 4)
        top = less(top, s, s, top)
    return largest(top)


@inline
def softmax(scores, rows):
    """Scores of one query → weights, unscaled; returns their sum."""
    peak, sums = fill(highest(scores, rows, CHUNK, TILE)), fill(np.float32(0.0))
    for row in range(0, rows, 16):
        at = row // CHUNK * TILE + row % CHUNK * 4
        w = exp(load_f32(scores, at) - peak)
        store(scores, at, w)
        sums = sums + w
    return total(sums)


@inline
def load_queries(op, q, head, first, count):
    """Copy a tile's queries, scaled; where there are none, zeros."""
    d, scale = get_i64(op, HEAD_DIM), fill(get_f32(op, SCALE))
    for c in range(COLUMNS):
        source = get_i64(op, Q) + (first + c) * get_i64(op, Q_STRIDE) + head * d * 4
        for at in range(0, d * 4, 64):
            store(q, c * X_BYTES + at, load_f32(source, at) * scale if c < count else fill(np.float32(0.0)))


@inline
def put_row(out, source, factor, d):
    """A query's output: d floats and no more, others write beside them."""
    for at in range(0, d >> 4 << 6, 64):
        store(out, at, load_f32(source, at) * fill(factor))
    for j in range(d >> 4 << 4, d):
        put_f32(out, j * 4, get_f32(source, j * 4) * factor)


@op
def full_attention(op, ctx, tid, n_threads):
    """softmax(scale q·k) v of every row and head over all rows of its segment."""
    n_head, d, value_panels = get_i64(op, N_HEAD), get_i64(op, HEAD_DIM), panels_of(get_i64(op, HEAD_DIM))
    q = get_i64(op, SCRATCH) + tid * get_i64(op, SCRATCH_BYTES)
    outputs = q + TILE
    scores = outputs + COLUMNS * MAX_HEAD_DIM * 4
    s = np.int64(0)
    n_items = tiles_before(op, get_i64(op, N_SEGMENTS)) * n_head
    i = draw(op, TICKETS, ctx, n_items, n_threads)
    while i < n_items:
        while i >= tiles_before(op, s + 1) * n_head:  # tickets of a thread only grow
            s += 1
        start, rows, packed = segment(op, s)
        tiles, key_panels, item = (rows + COLUMNS - 1) // COLUMNS, panels_of(rows), i - tiles_before(op, s) * n_head
        head, query = item // tiles, item % tiles * COLUMNS
        count = min(COLUMNS, rows - query)
        keys, values = head_at(packed, head, rows, d)
        load_queries(op, q, head, start + query, count)
        panel = 0
        while panel < key_panels:
            at, step = place(panel, key_panels, d)
            out = scores + panel * 16 // CHUNK * TILE + panel * 16 % CHUNK * 4
            multiply(step == PANELS * 64, True, keys + at, d, q, out, X_BYTES)
            panel += step // 64
        # Sums take the place of the queries, which are not needed any more.
        for c in range(count):
            put_f32(q, c * 4, softmax(scores + c * X_BYTES, rows))
        panel = 0
        while panel < value_panels:
            at, step = place(panel, value_panels, rows)
            for row in range(0, rows, CHUNK):
                n = min(CHUNK, rows - row)
                out = outputs + panel * 64
                multiply(
                    step == PANELS * 64, row == 0, values + at + row * step, n, scores + row // CHUNK * TILE, out,
                    MAX_HEAD_DIM * 4,
                )  # fmt: skip
            panel += step // 64
        for c in range(count):
            out = get_i64(op, OUT) + (start + query + c) * get_i64(op, OUT_STRIDE) + head * d * 4
            put_row(out, outputs + c * MAX_HEAD_DIM * 4, np.float32(1.0) / get_f32(q, c * 4), d)
        i = draw(op, TICKETS, ctx, n_items, n_threads)


OPS = pack_heads, full_attention
