"""Rows made of other rows, by a list of numbers: neighbours side by side, or their mean.

INDEXES: int32 [rows out, COUNT], the rows of X that become one row of OUT.
"""

import numpy as np

from llm_core.kernels.jit import op, share
from llm_core.kernels.simd import fill, get_i32, get_i64, load_f32, store

# Words of the operations' rows; WIDTH in floats, of a row of X. Rows are padded to a multiple of 16 floats.
X, X_STRIDE, OUT, OUT_STRIDE, WIDTH, INDEXES, COUNT, ROW_COUNT = (8 * i for i in range(2, 10))


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
