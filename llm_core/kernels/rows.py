"""Rows made of other rows, by a list of numbers: neighbours side by side, their mean, or their weighted sum, which is a
convolution of each column by itself; and rows times one row.

INDEXES: int32 [rows out, COUNT], the rows of X that become one row of OUT.
"""

import numpy as np

from llm_core.kernels.jit import op, share
from llm_core.kernels.simd import fill, fma, get_i32, get_i64, load_f32, store

# Words of the operations' rows; WIDTH in floats, of a row of X. Rows are padded to a multiple of 16 floats. WEIGHT: one
# row, or COUNT rows behind each other; BIAS a row, RESIDUAL rows as those of OUT; 0: nothing is added.
X, X_STRIDE, OUT, OUT_STRIDE, WIDTH, INDEXES, COUNT, WEIGHT, BIAS, RESIDUAL, ROW_COUNT = (8 * i for i in range(2, 13))


@op
def concat_rows(op, ctx, tid, n_threads):
    """OUT[i] = X[a] ++ X[b] ++ …, one after the other (WIDTH a multiple of 16 where COUNT is above 1)."""
    width, count = get_i64(op, WIDTH), get_i64(op, COUNT)
    first, last = share(get_i64(ctx, get_i64(op, ROW_COUNT)), tid, n_threads)
    for i in range(first, last):
        out = get_i64(op, OUT) + i * get_i64(op, OUT_STRIDE)
        for j in range(count):
            row = np.int64(get_i32(get_i64(op, INDEXES), (i * count + j) * 4))
            x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
            for at in range(0, width * 4, 64):
                store(out, j * width * 4 + at, load_f32(x, at))


@op
def mean_rows(op, ctx, tid, n_threads):
    """OUT[i] = (X[a] + X[b] + …) / COUNT"""
    width, count = get_i64(op, WIDTH), get_i64(op, COUNT)
    first, last = share(get_i64(ctx, get_i64(op, ROW_COUNT)), tid, n_threads)
    weight = fill(np.float32(1.0) / np.float32(count))
    for i in range(first, last):
        for at in range(0, width * 4, 64):
            sums = fill(np.float32(0.0))
            for j in range(count):
                row = np.int64(get_i32(get_i64(op, INDEXES), (i * count + j) * 4))
                sums = sums + load_f32(get_i64(op, X) + row * get_i64(op, X_STRIDE), at)
            store(get_i64(op, OUT) + i * get_i64(op, OUT_STRIDE), at, sums * weight)


@op
def filter_rows(op, ctx, tid, n_threads):
    """OUT[i] = WEIGHT[0] * X[a] + WEIGHT[1] * X[b] + … (+ BIAS) (+ RESIDUAL[i]); a number below 0 is a row of zeros"""
    width, count, bias, residual = get_i64(op, WIDTH), get_i64(op, COUNT), get_i64(op, BIAS), get_i64(op, RESIDUAL)
    first, last = share(get_i64(ctx, get_i64(op, ROW_COUNT)), tid, n_threads)
    line = (width + 15) >> 4 << 6
    for i in range(first, last):
        at_row = i * get_i64(op, OUT_STRIDE)
        for at in range(0, width * 4, 64):
            sums = load_f32(bias, at) if bias != 0 else fill(np.float32(0.0))
            for j in range(count):
                row = np.int64(get_i32(get_i64(op, INDEXES), (i * count + j) * 4))
                if row >= 0:
                    x = load_f32(get_i64(op, X) + row * get_i64(op, X_STRIDE), at)
                    sums = fma(x, load_f32(get_i64(op, WEIGHT), j * line + at), sums)
            if residual != 0:
                sums = sums + load_f32(residual, at_row + at)
            store(get_i64(op, OUT), at_row + at, sums)


@op
def scale_rows(op, ctx, tid, n_threads):
    """OUT[i] = X[i] * WEIGHT, column by column"""
    first, last = share(get_i64(ctx, get_i64(op, ROW_COUNT)), tid, n_threads)
    for i in range(first, last):
        x, out = get_i64(op, X) + i * get_i64(op, X_STRIDE), get_i64(op, OUT) + i * get_i64(op, OUT_STRIDE)
        for at in range(0, get_i64(op, WIDTH) * 4, 64):
            store(out, at, load_f32(x, at) * load_f32(get_i64(op, WEIGHT), at))
