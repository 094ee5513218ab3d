"""Products of half-precision weights with many rows as 16-bit integers, where the processor multiplies those two at a
time: twice as fast as floats, and closer than activations rounded to half precision.

Weights and activations are int16 with one scale for each row and CHUNK values of k. Scales keep the Euclidean norm of a
chunk below LIMIT_W and LIMIT_X, whose product is below 2^31: so by Cauchy and Schwarz no sum of products overflows 32
bits, and sums are exact. A chunk's sum becomes a float and is added to those before it.

A packed panel is a chunk after another: 16 float scales, then the 16 rows' values. So are activations: a chunk of all
rows after another, X_BYTES a row: its values, then its scale. In which order values lie, and how they are multiplied,
is the ISA level's (`words16.py`).
"""

import numpy as np
from llvmlite import ir

from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.matmul.integer import around
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
from llm_core.kernels.matmul.words16 import CHUNK, WEIGHT_BYTES, WORDS, X_BYTES
from llm_core.kernels.simd import (
    absolute,
    fill,
    fma,
    get_f32,
    get_i64,
    largest,
    load_f32,
    maximum,
    put_f32,
    rint,
    stack_area,
    store,
    to_i32,
    total,
)
from llm_core.kernels.tickets import draw
from llm_core.kernels.vectors import F32, I64, LANES, call, load_at, splat, store_at

AVAILABLE = WORDS is not None
COLUMNS = WORDS.columns if AVAILABLE else 1  # rows of a tile
CHUNK_BYTES = 64 + WEIGHT_BYTES  # of a packed panel
GROUP_BYTES = 1 << 20  # of activations that meet a strip of weights while they are in the second level
TICKETS = CHOOSES + 8  # a further word of the operation's row
LIMIT_W, LIMIT_X, PEAK = 32700.0, 65400.0, 32767.0

_FLOATS = ir.VectorType(F32, LANES)


def chunks_of(k: int) -> int:
    """Chunks that hold k values."""
    return -(-k // CHUNK)


def chunk_bytes(rows: int) -> int:
    """Bytes of a chunk of so many rows of activations: whole tiles."""
    return -(-rows // COLUMNS) * COLUMNS * X_BYTES


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
    scale = np.maximum(norm / LIMIT_W, np.abs(parts).max(-1) / PEAK)
    scale = np.where(scale > 1e-30, scale, 1).astype(np.float32)
    q = np.rint(parts / scale[..., None]).astype(np.int16)
    out = np.empty((rows // LANES, chunks_of(k), CHUNK_BYTES), np.uint8)
    out[..., :64] = np.ascontiguousarray(scale.transpose(0, 2, 1)).view(np.uint8)
    out[..., 64:] = WORDS.arrange(q)
    return out.reshape(rows // LANES, -1)


@intrinsic
def store_words(_ctx, row, i, values):
    """Values i … i + 15 of a row's chunk, int32 (the caller has them in the range of int16)."""

    def generate(context, builder, _sig, args):
        WORDS.store(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, values), generate


@op
def quantize_int16(op, ctx, tid, n_threads):
    """float rows → int16 rows, OUT_STRIDE bytes a chunk; K values a row, zeros after them."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    chunks = (k + CHUNK - 1) // CHUNK
    first, last = share(rows, tid, n_threads)
    for row in range(first, last):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        for chunk in range(chunks):
            out = get_i64(op, OUT) + chunk * get_i64(op, OUT_STRIDE) + row * X_BYTES
            start = chunk * CHUNK
            n = min(CHUNK, k - start)
            whole = n & ~15
            squares, peaks = fill(np.float32(0.0)), fill(np.float32(0.0))
            for i in range(0, whole, 16):
                value = load_f32(x, (start + i) * 4)
                squares, peaks = fma(value, value, squares), maximum(peaks, absolute(value))
            norm, peak = total(squares), largest(peaks)
            for i in range(whole, n):
                value = get_f32(x, (start + i) * 4)
                norm += value * value
                peak = max(peak, abs(value))
            scale = max(np.float32(np.sqrt(norm)) / np.float32(LIMIT_X), peak / np.float32(PEAK))
            inverse = fill(np.float32(1.0) / scale if scale > np.float32(1e-30) else np.float32(0.0))
            if norm != norm:
                scale = norm  # a NaN shows in the result
            for i in range(0, whole, 16):
                store_words(out, i, to_i32(rint(load_f32(x, (start + i) * 4) * inverse)))
            if n < CHUNK:
                _last_values(x, out, start, whole, n, inverse)
            put_f32(out, CHUNK * 2, scale)


@inline
def _last_values(x, out, start, whole, n, inverse):
    """The end of a row: what is behind its last value counts as zero."""
    area = _edge()
    store(area, 0, fill(np.float32(0.0)))
    for i in range(whole, n):
        put_f32(area, (i - whole) * 4, get_f32(x, (start + i) * 4))
    for i in range(whole, CHUNK, 16):
        store_words(out, i, to_i32(rint(load_f32(area, 0) * inverse)))
        store(area, 0, fill(np.float32(0.0)))


def _tile(panels: int):
    """tile(w, bytes from panel to panel, x, out, stride): OUT += a chunk's products."""

    @intrinsic
    def tile(_ctx, w, panel_size, x, out, stride):
        def generate(context, builder, _sig, args):
            w, panel_size, x, out, stride = args
            bases = [builder.add(w, builder.mul(panel_size, I64(p))) for p in range(panels)]
            sums = WORDS.sums(builder, [builder.add(base, I64(64)) for base in bases], x)
            for p in range(panels):
                scales = load_at(builder, bases[p], _FLOATS)
                for c in range(COLUMNS):
                    own = load_at(builder, builder.add(x, I64(c * X_BYTES + CHUNK * 2)), F32)
                    scale = builder.fmul(scales, splat(builder, own, LANES))
                    place = builder.add(builder.add(out, builder.mul(stride, I64(c))), I64(p * 64))
                    value = builder.sitofp(sums(p, c), _FLOATS)
                    old = load_at(builder, place, _FLOATS)
                    store_at(builder, place, call(builder, f"llvm.fma.v{LANES}f32", _FLOATS, value, scale, old))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return tile


_strip, _panel = _tile(PANELS), _tile(1)
# Before the first and after the last tile of a product.
_set_up, _give_back = (around(way) for way in ((WORDS.begin, WORDS.end) if AVAILABLE else (None, None)))


@inline
def multiply(wide, w, panel_size, x, out, stride):
    """`tile` of a strip of panels (`wide`) or of one."""
    if wide:
        _strip(w, panel_size, x, out, stride)
    else:
        _panel(w, panel_size, x, out, stride)


@inline
def begin(op, panel, n_panels, first, count):
    """OUT = bias + residual, in the panels and rows of a group."""
    bias, residual, stride = get_i64(op, BIAS), get_i64(op, RESIDUAL), get_i64(op, OUT_STRIDE)
    for row in range(first, first + count):
        for p in range(panel, panel + n_panels):
            at = row * stride + p * 64
            value = fill(np.float32(0.0))
            if bias != 0:
                value = value + load_f32(bias, p * 64)
            if residual != 0:
                value = value + load_f32(residual, at)
            store(get_i64(op, OUT), at, value)


_area = stack_area(COLUMNS * STRIP)
_edge = stack_area(64)


@inline
def run_strip(op, w, x, sums, panel, n_panels, group, count):
    """A strip's chunk times all rows of a group."""
    stride, size = get_i64(op, OUT_STRIDE), get_i64(op, PANEL_BYTES)
    out = get_i64(op, OUT) + group * stride + panel * 64
    for m in range(0, count, COLUMNS):
        if m + COLUMNS <= count:
            multiply(n_panels == PANELS, w, size, x + m * X_BYTES, out + m * stride, stride)
        else:  # OUT has no rows for the whole tile
            copy_rows(out + m * stride, stride, sums, STRIP, count - m, n_panels * 64)
            multiply(n_panels == PANELS, w, size, x + m * X_BYTES, sums, STRIP)
            copy_rows(sums, STRIP, out + m * stride, stride, count - m, n_panels * 64)


@op
def matmul_int16(op, ctx, tid, n_threads):
    """A product of packed weights with rows of `quantize_int16`; threads draw groups of rows and strips."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    n_panels, chunks = get_i64(op, N_PANELS), (k + CHUNK - 1) // CHUNK
    strips = (n_panels + PANELS - 1) // PANELS
    sums = _area()
    groups = (rows * chunks * X_BYTES + GROUP_BYTES - 1) // GROUP_BYTES
    each = ((rows + groups - 1) // groups + COLUMNS - 1) // COLUMNS * COLUMNS
    n_items = strips * ((rows + each - 1) // each)
    _set_up()
    item = draw(op, TICKETS, ctx, n_items, n_threads)
    while item < n_items:
        group, panel = item // strips * each, item % strips * PANELS
        count, wide = min(each, rows - group), min(PANELS, n_panels - panel)
        begin(op, panel, wide, group, count)
        for chunk in range(chunks):
            w = get_i64(op, WEIGHT) + panel * get_i64(op, PANEL_BYTES) + chunk * CHUNK_BYTES
            x = get_i64(op, X) + chunk * get_i64(op, X_STRIDE) + group * X_BYTES
            run_strip(op, w, x, sums, panel, wide, group, count)
        item = draw(op, TICKETS, ctx, n_items, n_threads)
    _give_back()
