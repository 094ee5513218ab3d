"""Products with unquantized weights: F32 F16 BF16. Activations stay float32.

A panel holds, for each k, the 16 rows' values side by side. Many rows go through `many.py`, with the same sums.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.jit import inline, op, static
from llm_core.kernels.matmul import many
from llm_core.kernels.matmul.panels import LARGE, MEDIUM, PanelFormat, early, run_panels
from llm_core.kernels.simd import fma, load_bf16, load_f16, load_f32, per_column, prefetch, wide, zeros


@inline
def panel_of(load, size, w, end, then, k, x, stride, columns):
    """The product with values of `size` bytes that `load` turns into floats; one sum per lane, so that every tile
    width agrees bit for bit."""
    acc = zeros(columns)
    step = 16 * size
    for i in range(k):
        if len(columns) == 1 and i & 3 == 0:
            ahead = early(w + i * step, w, end, then)
            for line in range(0, 4 * step, 64):
                prefetch(ahead, line)
        acc = fma(wide(load(w, i * step), columns), per_column(x, i * 4, stride, columns), acc)
    return acc


@static
def panel_f32(w, end, then, k, x, stride, columns):
    """float32 weights"""
    return panel_of(load_f32, 4, w, end, then, k, x, stride, columns)


@static
def panel_f16(w, end, then, k, x, stride, columns):
    """half-precision weights"""
    return panel_of(load_f16, 2, w, end, then, k, x, stride, columns)


@static
def panel_bf16(w, end, then, k, x, stride, columns):
    """bfloat16 weights"""
    return panel_of(load_bf16, 2, w, end, then, k, x, stride, columns)


@op
def matmul_f32(op, ctx, tid, n_threads):
    """F32 weights."""
    if many.takes(op, ctx):
        many.run_many(load_f32, 4, op, ctx, tid, n_threads)
    else:
        run_panels(panel_f32, LARGE, MEDIUM, op, ctx, tid, n_threads)


@op
def matmul_f16(op, ctx, tid, n_threads):
    """F16 weights."""
    if many.takes(op, ctx):
        many.run_many(load_f16, 2, op, ctx, tid, n_threads)
    else:
        run_panels(panel_f16, LARGE, MEDIUM, op, ctx, tid, n_threads)


@op
def matmul_bf16(op, ctx, tid, n_threads):
    """BF16 weights."""
    if many.takes(op, ctx):
        many.run_many(load_bf16, 2, op, ctx, tid, n_threads)
    else:
        run_panels(panel_bf16, LARGE, MEDIUM, op, ctx, tid, n_threads)


def _packer(dtype):
    def pack(rows):
        values = np.ascontiguousarray(rows).view(dtype)
        grouped = values.reshape(values.shape[0] // 16, 16, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(grouped).view(np.uint8).reshape(values.shape[0] // 16, -1)

    return pack


FORMATS = {
    GGMLType.F32: PanelFormat(1, 64, _packer(np.uint32), matmul_f32, quantized=False),
    GGMLType.F16: PanelFormat(1, 32, _packer(np.uint16), matmul_f16, quantized=False),
    GGMLType.BF16: PanelFormat(1, 32, _packer(np.uint16), matmul_bf16, quantized=False),
}
