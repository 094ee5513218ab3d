"""Products of half-precision weights with many rows as 16-bit integers, where the processor multiplies those two at a
time: twice as fast as floats, and closer than activations rounded to half precision.

Weights and activations are int16 with one scale for each row and CHUNK values of k, such that no sum of products
overflows: sums are exact. A chunk's sum becomes a float and is added to those before it.

A packed panel is a chunk after another: 16 float scales, then what the 16 rows' values become. Activations are a tile
of rows after another, each a chunk after another. In which order values lie within, and how they are multiplied, is the
ISA level's (`words16.py`).
"""

import numpy as np
from llvmlite import ir

from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.matmul.panels import (
    BIAS,
    CHOOSES,
    N_PANELS,
    OUT,
    OUT_STRIDE,
    PANEL_BYTES,
    RESIDUAL,
    ROW_COUNT,
    WEIGHT,
    X_STRIDE,
    K,
    X,
)
from llm_core.kernels.matmul.tile import PANELS, STRIP, copy_rows
from llm_core.kernels.matmul.wide import around
from llm_core.kernels.matmul.words16 import SPAN, WORDS
from llm_core.kernels.simd import (
    absolute,
    fill,
    fma,
    get_f32,
    get_i64,
    largest,
    load_f32,
    maximum,
    nearest,
    put_f32,
    stack_area,
    store,
    total,
)
from llm_core.kernels.tickets import draw
from llm_core.kernels.vectors import F32, I64, LANES, call, load_at, splat, store_at

AVAILABLE = WORDS is not None
# Values of a chunk; rows of a tile, bytes of its chunk.
CHUNK, COLUMNS, TILE_BYTES = (WORDS.chunk, WORDS.columns, WORDS.tile_bytes) if AVAILABLE else (1, 1, 1)
NORM_W, NORM_X, PEAK = (*WORDS.norms, WORDS.peak) if AVAILABLE else (1.0, 1.0, 1.0)
CHUNK_BYTES = 64 + (WORDS.panel_bytes if AVAILABLE else 0)  # of a packed panel
GROUP_BYTES = 1 << 20  # of activations that meet a strip of weights while they are in the second level
TICKETS = CHOOSES + 8  # a further word of the operation's row

_FLOATS = ir.VectorType(F32, LANES)


def chunks_of(k: int) -> int:
    """Chunks that hold k values."""
    return -(-k // CHUNK)


def x_stride(k: int) -> int:
    """Bytes from one tile of activations to the next."""
    return chunks_of(k) * TILE_BYTES


def x_bytes(rows: int, k: int) -> int:
    """Bytes of so many rows of activations: whole tiles."""
    return -(-rows // COLUMNS) * x_stride(k)


def panel_bytes(k: int) -> int:
    """Bytes of a packed panel."""
    return chunks_of(k) * CHUNK_BYTES


def pack(values: np.ndarray) -> np.ndarray:
    """float32 [rows, k] (rows a multiple of 16) → uint8 [panels, panel_bytes(k)]."""
    rows, k = values.shape
    padded = np.zeros((rows, chunks_of(k) * CHUNK), np.float32)
    padded[:, :k] = values
    parts = padded.reshape(rows // LANES, LANES, -1, CHUNK)
    norm = np.sqrt(np.square(parts, dtype=np.float64).sum(-1))
    scale = np.maximum(norm / NORM_W, np.abs(parts).max(-1) / PEAK)
    scale = np.where(scale > 1e-30, scale, 1).astype(np.float32)
    q = np.rint(parts / scale[..., None]).astype(np.int16)
    out = np.empty((rows // LANES, chunks_of(k), CHUNK_BYTES), np.uint8)
    out[..., :64] = np.ascontiguousarray(scale.transpose(0, 2, 1)).view(np.uint8)
    out[..., 64:] = WORDS.arrange(q)
    return out.reshape(rows // LANES, -1)


@intrinsic
def store_words(_ctx, tile, c, i, values):
    """Values i … i + 15 of row c of a tile, int32 (the caller has them in the range of int16)."""

    def generate(context, builder, _sig, args):
        WORDS.store(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, values), generate


@intrinsic
def row_stored(_ctx, tile, c, n):
    """All n values of row c of a tile are stored, and zeros behind them."""

    def generate(context, builder, _sig, args):
        WORDS.stored(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def turn_row(_ctx, tile, c, n, panel, lane):
    """n values of row c of a tile, of a norm up to NORM_W, become row `lane` of a packed panel's chunk."""

    def generate(context, builder, _sig, args):
        tile, c, n, panel, lane = args
        at = builder.add(panel, builder.shl(lane, I64(2)))
        store_at(builder, at, load_at(builder, WORDS.scale(builder, tile, c), F32))
        WORDS.turn(builder, tile, c, builder.add(at, I64(64)), n)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def store_four(_ctx, panel, i, a, b, c, d):
    """Values i … i + 3 of the 16 rows of a packed panel's chunk, from the first to the last four."""

    def generate(context, builder, _sig, args):
        panel, i, *values = args
        WORDS.four(builder, builder.add(panel, I64(64)), i, values)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, a, b, c, d), generate


@intrinsic
def scale_of(_ctx, tile, c):
    """Where the scale of row c of a tile is."""
    return types.int64(types.int64, types.int64), lambda _context, builder, _sig, args: WORDS.scale(builder, *args)


@inline
def quantize_chunk(x, n, out, c, most):
    """n floats from x on, at most CHUNK, become row c of a tile, zeros behind them; its norm is at most `most`."""
    whole = n & ~15
    squares, peaks = fill(np.float32(0.0)), fill(np.float32(0.0))
    for i in range(0, whole, 16):
        value = load_f32(x, i * 4)
        squares, peaks = fma(value, value, squares), maximum(peaks, absolute(value))
    norm, peak = total(squares), largest(peaks)
    for i in range(whole, n):
        value = get_f32(x, i * 4)
        norm += value * value
        peak = max(peak, abs(value))
    store_chunk(x, n, out, c, norm, peak, most)


@inline
def store_chunk(x, n, out, c, squares, peak, most):
    """`quantize_chunk` where the sum of the squares and the largest value are known."""
    whole = n & ~15
    scale = max(np.float32(np.sqrt(squares)) / np.float32(most), peak / np.float32(PEAK))
    inverse = fill(np.float32(1.0) / scale if scale > np.float32(1e-30) else np.float32(0.0))
    if squares != squares:
        scale = squares  # a NaN shows in the result
    for i in range(0, whole, 16):
        store_words(out, c, i, nearest(load_f32(x, i * 4), inverse))
    if n % SPAN != 0:
        _last_values(x, out, c, whole, n, inverse)
    row_stored(out, c, n)
    put_f32(scale_of(out, c), 0, scale)


@inline
def _last_values(x, out, c, whole, n, inverse):
    """The end of a row, up to whole spans: what is behind its last value counts as zero."""
    area = _edge()
    store(area, 0, fill(np.float32(0.0)))
    for i in range(whole, n):
        put_f32(area, (i - whole) * 4, get_f32(x, i * 4))
    for i in range(whole, (n + SPAN - 1) // SPAN * SPAN, 16):
        store_words(out, c, i, nearest(load_f32(area, 0), inverse))
        store(area, 0, fill(np.float32(0.0)))


@op
def quantize_int16(op, ctx, tid, n_threads):
    """float rows → tiles of int16 rows, one every OUT_STRIDE bytes; K values a row, zeros after them."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    first, last = share(rows, tid, n_threads)
    for row in range(first, last):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        out = get_i64(op, OUT) + row // COLUMNS * get_i64(op, OUT_STRIDE)
        for chunk in range((k + CHUNK - 1) // CHUNK):
            start = chunk * CHUNK
            quantize_chunk(x + start * 4, min(CHUNK, k - start), out + chunk * TILE_BYTES, row % COLUMNS, NORM_X)


def _tile(panels: int, fresh: bool):
    """tile(w, bytes from panel to panel, x, n, out, stride): OUT += (`fresh`: =) products of a chunk of n values."""

    @intrinsic
    def tile(_ctx, w, panel_size, x, n, out, stride):
        def generate(context, builder, _sig, args):
            w, panel_size, x, n, out, stride = args
            bases = [builder.add(w, builder.mul(panel_size, I64(p))) for p in range(panels)]
            sums = WORDS.sums(builder, [builder.add(base, I64(64)) for base in bases], x, n)
            for p in range(panels):
                scales = load_at(builder, bases[p], _FLOATS)
                for c in range(COLUMNS):
                    own = load_at(builder, WORDS.scale(builder, x, I64(c)), F32)
                    scale = builder.fmul(scales, splat(builder, own, LANES))
                    place = builder.add(builder.add(out, builder.mul(stride, I64(c))), I64(p * 64))
                    if fresh:
                        value = builder.fmul(sums(p, c), scale)
                    else:
                        old = load_at(builder, place, _FLOATS)
                        value = call(builder, f"llvm.fma.v{LANES}f32", _FLOATS, sums(p, c), scale, old)
                    store_at(builder, place, value)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return tile


_strip_fresh, _strip_more = _tile(PANELS, True), _tile(PANELS, False)
_panel_fresh, _panel_more = _tile(1, True), _tile(1, False)
enter, leave = around(WORDS.begin, WORDS.end) if AVAILABLE else (None, None)


@inline
def multiply(wide, fresh, w, panel_size, x, n, out, stride):
    """`tile` of a strip of panels (`wide`) or of one."""
    if wide:
        if fresh:
            _strip_fresh(w, panel_size, x, n, out, stride)
        else:
            _strip_more(w, panel_size, x, n, out, stride)
    elif fresh:
        _panel_fresh(w, panel_size, x, n, out, stride)
    else:
        _panel_more(w, panel_size, x, n, out, stride)


@inline
def begin(op, panel, n_panels, row, count, sums):
    """SUMS = bias + residual of a tile."""
    bias, residual, stride = get_i64(op, BIAS), get_i64(op, RESIDUAL), get_i64(op, OUT_STRIDE)
    for c in range(count):
        for p in range(n_panels):
            value = fill(np.float32(0.0))
            if bias != 0:
                value = value + load_f32(bias, (panel + p) * 64)
            if residual != 0:
                value = value + load_f32(residual, (row + c) * stride + (panel + p) * 64)
            store(sums, c * STRIP + p * 64, value)


_area = stack_area(COLUMNS * STRIP)
_edge = stack_area(64)


@op
def matmul_int16(op, ctx, tid, n_threads):
    """A product of packed weights with rows of `quantize_int16`; threads draw groups of rows and strips."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    n_panels, chunks = get_i64(op, N_PANELS), (k + CHUNK - 1) // CHUNK
    size, stride = get_i64(op, PANEL_BYTES), get_i64(op, OUT_STRIDE)
    strips = (n_panels + PANELS - 1) // PANELS
    sums = _area()
    tiles = (rows + COLUMNS - 1) // COLUMNS
    groups = (tiles * chunks * TILE_BYTES + GROUP_BYTES - 1) // GROUP_BYTES
    each = (tiles + groups - 1) // groups * COLUMNS
    n_items = strips * ((rows + each - 1) // each)
    before = enter()
    item = draw(op, TICKETS, ctx, n_items, n_threads)
    while item < n_items:
        group, panel = item // strips * each, item % strips * PANELS
        n = min(PANELS, n_panels - panel)
        w = get_i64(op, WEIGHT) + panel * size
        for row in range(group, min(group + each, rows), COLUMNS):
            count, x = min(COLUMNS, rows - row), get_i64(op, X) + row // COLUMNS * get_i64(op, X_STRIDE)
            begin(op, panel, n, row, count, sums)
            for chunk in range(chunks):
                values = min(CHUNK, k - chunk * CHUNK)
                multiply(n == PANELS, False, w + chunk * CHUNK_BYTES, size, x + chunk * TILE_BYTES, values, sums, STRIP)
            copy_rows(sums, STRIP, get_i64(op, OUT) + row * stride + panel * 64, stride, count, n * 64)
        item = draw(op, TICKETS, ctx, n_items, n_threads)
    leave(before)
