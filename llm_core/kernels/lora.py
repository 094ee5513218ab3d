"""Low-rank adapters (LoRA; Hu et al., 2021): OUT += scale * factor * B (A x), where A [rank, k] and B [n, rank].

Two operations beside a product: `lora_down` makes T = A x of the same activations, `lora_up` adds B T to the product's
outputs. Both look up the row's scale for their adapter in the step's table (`step.ADAPTERS`) and leave rows alone whose
scale is 0, so these stay what they are without adapters. A row's arithmetic depends on nothing else in the step.

A and B are half precision, each scaled by a power of two to a largest value of 1 to 2 (`factor` takes that back). A is
packed in groups of FOUR ranks: for every 16 values of k the 16 halves of each rank; B in panels of 16 rows: for every
rank 16 halves. Ranks are padded with zeros to a multiple of FOUR, rows of B to 16.
"""

import numpy as np

from llm_core.kernels import cpu
from llm_core.kernels.jit import apply, inline, op, share, static
from llm_core.kernels.quantize import at_scale
from llm_core.kernels.simd import (
    fill,
    fma,
    get_f32,
    get_i32,
    get_i64,
    lane_numbers,
    less,
    load_columns,
    load_f16,
    load_i8_columns,
    per_column,
    put_totals,
    store_columns,
    wide,
    zeros,
)
from llm_core.kernels.step import ADAPTERS, OUTPUT_ROWS, OUTPUTS, ROWS
from llm_core.kernels.vectors import Columns

FOUR, LANES = 4, 16

# Words of the operations' rows. `lora_down`: X, X_STRIDE, K and how many RANKS of A at WEIGHT; OUT is T, float32.
# `lora_up`: X is T at the adapter's first rank, WEIGHT is B of N_PANELS panels, FACTOR a float32; OUT the product's
# outputs. SLOT: the adapter's row in the step's table.
X, X_STRIDE, OUT, OUT_STRIDE, WEIGHT, K, RANKS, SLOT, ROW_COUNT, N_PANELS, FACTOR = (8 * i for i in range(2, 13))

# Activation rows of a tile; FOUR accumulators each.
TILE, ONE = Columns(max(1, cpu.isa().max_columns // 2)), Columns(1)


@inline
def scale_of(op, ctx, row):
    """The scale of the operation's adapter for one of its rows."""
    if get_i64(op, ROW_COUNT) == OUTPUTS:
        row = np.int64(get_i32(get_i64(ctx, OUTPUT_ROWS), row * 4))
    return get_f32(get_i64(ctx, ADAPTERS), (get_i64(op, SLOT) * get_i64(ctx, ROWS) + row) * 4)


@inline
def alike(op, ctx, row, last):
    """Do the rows of a tile from `row` on lie before `last` and have one scale?"""
    if row + len(TILE) > last:
        return False
    scale = scale_of(op, ctx, row)
    for other in range(row + 1, row + len(TILE)):
        if scale_of(op, ctx, other) != scale:
            return False
    return True


@static
def read_floats(x, i, k, stride, columns):
    """16 float activations from value i on; zeros beyond k."""
    values = load_columns(x, i * 4, stride, columns)
    if i + LANES > k:
        lanes, end = wide(lane_numbers(), columns), wide(fill(np.int32(k - i)), columns)
        values = less(lanes, end, values, zeros(columns))
    return values


@static
def read_quantized(x, i, k, stride, columns):
    """16 activations from value i on of quantized rows."""
    return load_i8_columns(x, i, stride, columns) * per_column(x, at_scale(k, i >> 5), stride, columns)


@inline
def down(read, op, x, out, first, last, columns):
    """T of a tile of rows at x, ranks FOUR * first … FOUR * last."""
    k, stride, out_stride = get_i64(op, K), get_i64(op, X_STRIDE), get_i64(op, OUT_STRIDE)
    steps = (k + LANES - 1) // LANES
    for group in range(first, last):
        w = get_i64(op, WEIGHT) + group * steps * (FOUR * LANES * 2)
        a, b, c, d = zeros(columns), zeros(columns), zeros(columns), zeros(columns)
        for i in range(steps):
            values = apply(read, x, i * LANES, k, stride, columns)
            at = i * (FOUR * LANES * 2)
            a = fma(wide(load_f16(w, at), columns), values, a)
            b = fma(wide(load_f16(w, at + 32), columns), values, b)
            c = fma(wide(load_f16(w, at + 64), columns), values, c)
            d = fma(wide(load_f16(w, at + 96), columns), values, d)
        at = group * FOUR * 4
        put_totals(out, at, out_stride, a)
        put_totals(out, at + 4, out_stride, b)
        put_totals(out, at + 8, out_stride, c)
        put_totals(out, at + 12, out_stride, d)


@inline
def run_down(read, op, ctx, tid, n_threads):
    """This thread's share of T: of the rows where there are many, else of the ranks."""
    rows, groups = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, RANKS) // FOUR
    row, last_row, first, last = np.int64(0), rows, np.int64(0), groups
    if rows >= 2 * n_threads:
        row, last_row = share(rows, tid, n_threads)
    else:
        first, last = share(groups, tid, n_threads)
    while row < last_row:
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        out = get_i64(op, OUT) + row * get_i64(op, OUT_STRIDE)
        if scale_of(op, ctx, row) == np.float32(0.0):
            row += 1
        elif alike(op, ctx, row, last_row):
            down(read, op, x, out, first, last, TILE)
            row += len(TILE)
        else:
            down(read, op, x, out, first, last, ONE)
            row += 1


@op
def lora_down(op, ctx, tid, n_threads):
    """T = A x of float rows."""
    run_down(read_floats, op, ctx, tid, n_threads)


@op
def lora_down_quantized(op, ctx, tid, n_threads):
    """T = A x of quantized rows."""
    run_down(read_quantized, op, ctx, tid, n_threads)


@inline
def up(op, w, t, out, factor, columns):
    """OUT += factor * B T of a tile of rows: one panel."""
    stride, out_stride = get_i64(op, X_STRIDE), get_i64(op, OUT_STRIDE)
    sums = zeros(columns)
    for j in range(get_i64(op, RANKS)):
        sums = fma(wide(load_f16(w, j * 32), columns), per_column(t, j * 4, stride, columns), sums)
    store_columns(out, 0, out_stride, fma(sums, wide(fill(factor), columns), load_columns(out, 0, out_stride, columns)))


@op
def lora_up(op, ctx, tid, n_threads):
    """OUT += scale * factor * B T"""
    rows, size = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, RANKS) * 32
    first, last = share(get_i64(op, N_PANELS), tid, n_threads)
    for panel in range(first, last):
        w, row = get_i64(op, WEIGHT) + panel * size, np.int64(0)
        while row < rows:
            t = get_i64(op, X) + row * get_i64(op, X_STRIDE)
            out = get_i64(op, OUT) + row * get_i64(op, OUT_STRIDE) + panel * 64
            scale = scale_of(op, ctx, row)
            if scale == np.float32(0.0):
                row += 1
            elif alike(op, ctx, row, rows):
                up(op, w, t, out, scale * get_f32(op, FACTOR), TILE)
                row += len(TILE)
            else:
                up(op, w, t, out, scale * get_f32(op, FACTOR), ONE)
                row += 1
