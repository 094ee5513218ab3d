"""`full_attention` with queries, keys, values and softmax weights as 16-bit integers (`matmul/int16.py`), for towers
whose weights are no float32.

`pack_heads16` makes of each head's keys panels over the head's values, and of its values panels over the rows, as of
weights; `full_attention16` quantizes a tile of queries, and their softmax weights.
"""

import numpy as np

from llm_core.kernels.full_attention import (
    HEAD_DIM,
    K_STRIDE,
    MAX_HEAD_DIM,
    N_HEAD,
    N_SEGMENTS,
    OUT,
    OUT_STRIDE,
    Q_STRIDE,
    SCALE,
    SCRATCH,
    SCRATCH_BYTES,
    TICKETS,
    V_STRIDE,
    K,
    Q,
    V,
    highest,
    panels_of,
    put_row,
    segment,
    tiles_before,
)
from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.maths import exp
from llm_core.kernels.matmul.int16 import (
    CHUNK,
    CHUNK_BYTES,
    COLUMNS,
    NORM_W,
    NORM_X,
    PEAK,
    TILE_BYTES,
    chunks_of,
    enter,
    leave,
    multiply,
    quantize_chunk,
    scale_of,
    store_chunk,
    store_four,
    turn_row,
)
from llm_core.kernels.matmul.tile import PANELS
from llm_core.kernels.matmul.words16 import SPAN
from llm_core.kernels.simd import (
    absolute,
    fill,
    fma,
    get_f32,
    get_i64,
    largest,
    less,
    load_f32,
    maximum,
    nearest,
    put_f32,
    root,
    stack_area,
    store,
    total,
)
from llm_core.kernels.tickets import draw


def packed_bytes(n_head: int, head_dim: int, rows: int) -> int:
    """Bytes of the packed keys and values of a segment of so many rows: whole cache lines."""
    return n_head * (-(-rows // 16) + -(-head_dim // 16) * chunks_of(rows)) * CHUNK_BYTES


def scratch_bytes(rows: int) -> int:
    """Bytes of scratch per thread: a chunk of queries, softmax weights as integers, scores, outputs."""
    return (1 + chunks_of(rows)) * TILE_BYTES + COLUMNS * ((-(-rows // 16) | 1) * 64 + MAX_HEAD_DIM * 4)


@inline
def scores_stride(rows):
    """Bytes from one query's scores to the next's: an odd number of cache lines."""
    return (panels_of(rows) | 1) * 64


@inline
def head_at(packed, head, rows, d):
    """Where a head's keys begin, and its values."""
    keys, chunks = panels_of(rows) * CHUNK_BYTES, (rows + CHUNK - 1) // CHUNK
    start = packed + head * (keys + panels_of(d) * chunks * CHUNK_BYTES)
    return start, start + keys


FLAT = 1 << 40  # scores lie in one piece
_row, _sums = stack_area(TILE_BYTES), stack_area(COLUMNS * 64)


@op
def pack_heads16(op, ctx, tid, n_threads):
    """K and V of all rows → PACKED."""
    d, row = get_i64(op, HEAD_DIM), _row()
    for s in range(get_i64(op, N_SEGMENTS)):
        start, rows, packed = segment(op, s)
        chunks = (rows + CHUNK - 1) // CHUNK
        first, last = share(get_i64(op, N_HEAD) * chunks, tid, n_threads)
        for i in range(first, last):
            head, chunk = i // chunks, i % chunks
            keys, values = head_at(packed, head, rows, d)
            begin, count = chunk * CHUNK, min(CHUNK, rows - chunk * CHUNK)
            for r in range(begin, begin + count):
                quantize_chunk(get_i64(op, K) + (start + r) * get_i64(op, K_STRIDE) + head * d * 4, d, row, 0, NORM_W)
                turn_row(row, 0, d, keys + (r >> 4) * CHUNK_BYTES, r & 15)
            source = get_i64(op, V) + (start + begin) * get_i64(op, V_STRIDE) + head * d * 4
            for panel in range(panels_of(d)):
                out = values + (panel * chunks + chunk) * CHUNK_BYTES
                pack_values(source + panel * 64, get_i64(op, V_STRIDE), count, out)


@inline
def pack_values(source, stride, count, panel):
    """16 values side by side of `count` rows become a panel's chunk. (Beyond a head's last value they are others'.)"""
    zero = fill(np.float32(0.0))
    squares, peaks = zero, zero
    for r in range(count):
        value = load_f32(source, r * stride)
        squares, peaks = fma(value, value, squares), maximum(peaks, absolute(value))
    scale = maximum(root(squares) * fill(np.float32(1 / NORM_W)), peaks * fill(np.float32(1 / PEAK)))
    inverse = less(fill(np.float32(1e-30)), scale, fill(np.float32(1.0)) / scale, zero)
    store(panel, 0, scale)
    for r in range(0, (count + SPAN - 1) // SPAN * SPAN, 4):
        store_four(
            panel, r, whole(source, stride, r, count, inverse), whole(source, stride, r + 1, count, inverse),
            whole(source, stride, r + 2, count, inverse), whole(source, stride, r + 3, count, inverse),
        )  # fmt: skip


@inline
def whole(source, stride, r, count, inverse):
    """The values of a row as integers; zeros behind the last row."""
    return nearest(load_f32(source, min(r, count - 1) * stride), inverse if r < count else fill(np.float32(0.0)))


@inline
def products(fresh, panels, n_panels, size, x, n, out, stride):
    """`multiply` of a chunk of all panels, `size` bytes apart."""
    panel = 0
    while panel < n_panels:
        wide = panel + PANELS <= n_panels
        multiply(wide, fresh, panels + panel * size, size, x, n, out + panel * 64, stride)
        panel += PANELS if wide else 1


@inline
def softmax16(scores, rows, weights, c):
    """Scores of one query → row c of the tiles of weights, unscaled; returns their sum."""
    peak, sums = fill(highest(scores, rows, FLAT, 0)), fill(np.float32(0.0))
    for start in range(0, rows, CHUNK):
        n, at = min(CHUNK, rows - start), start * 4
        squares, largest_one = fill(np.float32(0.0)), fill(np.float32(0.0))
        for i in range(0, n, 16):
            w = exp(load_f32(scores, at + i * 4) - peak)
            store(scores, at + i * 4, w)
            sums, squares, largest_one = sums + w, fma(w, w, squares), maximum(largest_one, w)
        out = weights + start // CHUNK * TILE_BYTES
        store_chunk(scores + at, n, out, c, total(squares), largest(largest_one), NORM_X)
    return total(sums)


@op
def full_attention16(op, ctx, tid, n_threads):
    """softmax(scale q·k) v of every row and head over all rows of its segment."""
    n_head, d = get_i64(op, N_HEAD), get_i64(op, HEAD_DIM)
    q = get_i64(op, SCRATCH) + tid * get_i64(op, SCRATCH_BYTES)
    outputs = q + TILE_BYTES
    weights = outputs + COLUMNS * MAX_HEAD_DIM * 4
    sums, s, before = _sums(), np.int64(0), enter()
    n_items = tiles_before(op, get_i64(op, N_SEGMENTS)) * n_head
    i = draw(op, TICKETS, ctx, n_items, n_threads)
    while i < n_items:
        while i >= tiles_before(op, s + 1) * n_head:  # tickets of a thread only grow
            s += 1
        start, rows, packed = segment(op, s)
        tiles, chunks = (rows + COLUMNS - 1) // COLUMNS, (rows + CHUNK - 1) // CHUNK
        item = i - tiles_before(op, s) * n_head
        head, query = item // tiles, item % tiles * COLUMNS
        count, stride = min(COLUMNS, rows - query), scores_stride(rows)
        keys, values = head_at(packed, head, rows, d)
        scores = weights + chunks * TILE_BYTES
        for c in range(count):
            source = get_i64(op, Q) + (start + query + c) * get_i64(op, Q_STRIDE) + head * d * 4
            quantize_chunk(source, d, q, c, NORM_X)
            put_f32(scale_of(q, c), 0, get_f32(scale_of(q, c), 0) * get_f32(op, SCALE))
        products(True, keys, panels_of(rows), CHUNK_BYTES, q, d, scores, stride)
        for c in range(count):
            put_f32(sums, c * 4, softmax16(scores + c * stride, rows, weights, c))
        for chunk in range(chunks):
            n = min(CHUNK, rows - chunk * CHUNK)
            x, w = weights + chunk * TILE_BYTES, values + chunk * CHUNK_BYTES
            products(chunk == 0, w, panels_of(d), chunks * CHUNK_BYTES, x, n, outputs, MAX_HEAD_DIM * 4)
        for c in range(count):
            out = get_i64(op, OUT) + (start + query + c) * get_i64(op, OUT_STRIDE) + head * d * 4
            put_row(out, outputs + c * MAX_HEAD_DIM * 4, np.float32(1.0) / get_f32(sums, c * 4), d)
        i = draw(op, TICKETS, ctx, n_items, n_threads)
    leave(before)


OPS = pack_heads16, full_attention16
