"""Products of unquantized weights with many rows: rows in groups, k in chunks, weights expanded to floats once a group.

For each group the rows' chunk is copied to where the tiles read it; for each strip of panels its chunk becomes floats
in the first-level cache and meets all tiles of the group. Sums wait in OUT from chunk to chunk.
"""

from llm_core.kernels.jit import inline, share
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
from llm_core.kernels.matmul.tile import CHUNK, COLUMNS, PANELS, STRIP, X_BYTES, copy_rows, multiply
from llm_core.kernels.simd import get_i64, load_f32, stack_area, store
from llm_core.kernels.step import CHOSEN

GROUP = -(-240 // COLUMNS) * COLUMNS  # rows that share an expanded strip: with a chunk of k they fit the second level
MANY = 2 * COLUMNS  # from so many rows on this is faster than `run_panels`

_area = stack_area(GROUP * X_BYTES + CHUNK * STRIP + COLUMNS * STRIP)


@inline
def takes(op, ctx):
    """Are there rows enough? (The output layer that chooses its panels is left to `run_panels`.)"""
    chosen = get_i64(ctx, CHOSEN) if get_i64(op, CHOOSES) != 0 else 0
    return get_i64(ctx, get_i64(op, ROW_COUNT)) >= MANY and chosen == 0


@inline
def expand(load, size, w, panel_bytes, n_panels, n, strip):
    """n values of each of the panels from w on become floats, the panels side by side."""
    for i in range(n):
        for p in range(n_panels):
            store(strip, (i * n_panels + p) * 64, load(w, p * panel_bytes + i * 16 * size))


@inline
def finish(op, panel, n_panels, first, count):
    """Add bias and residual to the sums of `count` rows."""
    bias, residual, stride = get_i64(op, BIAS), get_i64(op, RESIDUAL), get_i64(op, OUT_STRIDE)
    if bias == 0 and residual == 0:
        return
    for row in range(first, first + count):
        for p in range(panel, panel + n_panels):
            at = row * stride + p * 64
            value = load_f32(get_i64(op, OUT), at)
            if bias != 0:
                value = value + load_f32(bias, p * 64)
            if residual != 0:
                value = value + load_f32(residual, at)
            store(get_i64(op, OUT), at, value)


@inline
def run_strip(op, w, n, x, sums, panel, n_panels, group, count, fresh):
    """A strip's chunk, expanded at w, times all rows of a group."""
    stride = get_i64(op, OUT_STRIDE)
    out = get_i64(op, OUT) + group * stride + panel * 64
    for m in range(0, count, COLUMNS):
        if m + COLUMNS <= count:
            multiply(n_panels == PANELS, fresh, w, n, x + m * X_BYTES, out + m * stride, stride)
        else:  # OUT has no rows for the whole tile
            copy_rows(out + m * stride, stride, sums, STRIP, count - m, n_panels * 64)
            multiply(n_panels == PANELS, fresh, w, n, x + m * X_BYTES, sums, STRIP)
            copy_rows(sums, STRIP, out + m * stride, stride, count - m, n_panels * 64)


@inline
def run_many(load, size, op, ctx, tid, n_threads):
    """This thread's strips of a product with weights of `size` bytes that `load` turns into floats."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    weight, panel_bytes, n_panels = get_i64(op, WEIGHT), get_i64(op, PANEL_BYTES), get_i64(op, N_PANELS)
    first, last = share((n_panels + PANELS - 1) // PANELS, tid, n_threads)
    x = _area()
    strip = x + GROUP * X_BYTES
    sums = strip + CHUNK * STRIP
    groups = (rows + GROUP - 1) // GROUP
    each = ((rows + groups - 1) // groups + COLUMNS - 1) // COLUMNS * COLUMNS
    for group in range(0, rows, each):
        count = min(each, rows - group)
        for start in range(0, k, CHUNK):
            n = min(CHUNK, k - start)
            source = get_i64(op, X) + group * get_i64(op, X_STRIDE) + start * 4
            copy_rows(source, get_i64(op, X_STRIDE), x, X_BYTES, count, n * 4)
            for s in range(first, last):
                panel = s * PANELS
                wide = min(PANELS, n_panels - panel)
                w = weight + panel * panel_bytes + start * 16 * size
                if wide == PANELS:
                    expand(load, size, w, panel_bytes, PANELS, n, strip)
                else:
                    expand(load, size, w, panel_bytes, 1, n, strip)
                run_strip(op, strip, n, x, sums, panel, wide, group, count, start == 0)
                if start + n == k:
                    finish(op, panel, wide, group, count)
