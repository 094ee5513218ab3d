"""What the tests of kernels share: random weights of every format, and calling one operation as a program does."""

import numpy as np
from tiny_models import put_half

from llm_core.kernels import quantize, step
from llm_core.kernels.matmul import PANEL_FORMATS, panels
from llm_core.kernels.threads import ROW_WORDS, entry
from llm_core.quants import dequantize, format_of

# Where each format keeps its half-precision scales, so that random blocks get sane ones.
HALVES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "IQ4_NL": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "IQ4_XS": (0,),
    "IQ2_XXS": (0,),
    "IQ2_XS": (0,),
    "IQ2_S": (0,),
    "IQ3_XXS": (0,),
    "IQ3_S": (0,),
    "IQ1_S": (0,),
    "IQ1_M": ((49, 51, 53, 55),),
    "Q1_0": (0,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}


def random_weights(kind, rows, k, rng):
    """Raw bytes of a random matrix and its values."""
    if kind.name in ("F32", "F16", "BF16"):
        values = rng.standard_normal((rows, k)).astype(np.float32)
        raw = {
            "F32": values,
            "F16": values.astype(np.float16),
            "BF16": (values.view(np.uint32) >> 16).astype(np.uint16),
        }[kind.name]
        raw = np.ascontiguousarray(raw).view(np.uint8)
    else:
        layout = format_of(kind)
        blocks = rng.integers(0, 256, (rows, k // layout.block, layout.nbytes), dtype=np.uint8)
        for at in HALVES.get(kind.name, ()):
            put_half(blocks, at, rng.uniform(0.01, 0.1, blocks.shape[:2]))
        if kind.name == "MXFP4":
            blocks[..., 0] = rng.integers(118, 130, blocks.shape[:2])
            blocks[0, 0, 0], blocks[1, 0, 0] = 0, 1  # the two subnormal powers of two
        raw = blocks.reshape(rows, -1)
    return raw, dequantize(raw, kind)


def call(op, words, rows=1, n_threads=1, extra=None):
    """Run one operation on all its threads, one after the other."""
    header = np.zeros(step.N_WORDS, np.int64)
    header[step.ROWS // 8] = rows
    for at, value in (extra or {}).items():
        header[at // 8] = value
    row = np.zeros(ROW_WORDS, np.int64)
    for at, value in words.items():
        row[at // 8] = value
    function = entry(op)
    for tid in range(n_threads):
        function(row.ctypes.data, header.ctypes.data, tid, n_threads)


def quantized(x):
    """Rows of x as the kernels take them, and the values that the int8 form stands for."""
    m, k = x.shape
    out = np.zeros((m, quantize.row_bytes(k)), np.uint8)
    call(
        quantize.quantize,
        {
            quantize.X: x.ctypes.data,
            quantize.X_STRIDE: k * 4,
            quantize.OUT: out.ctypes.data,
            quantize.OUT_STRIDE: out.shape[1],
            quantize.K: k,
            quantize.ROW_COUNT: step.ROWS,
        },
        m,
        n_threads=3,
    )
    q = out[:, :k].view(np.int8).reshape(m, -1, 32).astype(np.float32)
    scales = out[:, k : k + k // 8].copy().view(np.float32)
    return out, (q * scales[..., None]).reshape(m, k), q, scales


def packed(kind, raw):
    """Rows of raw bytes, padded to whole panels, as the kernels take them."""
    padding = np.zeros((-len(raw) % panels.ROWS, raw.shape[1]), np.uint8)
    return np.ascontiguousarray(PANEL_FORMATS[kind].pack(np.concatenate([raw, padding])))


def multiply(kind, weights, k, rows, bias=None, residual=None, n_threads=1):
    """Our product of packed weights (`packed`) and rows: float32, or quantized where the format wants that; float32
    [rows, panels * 16]."""
    out = np.zeros((len(rows), len(weights) * panels.ROWS), np.float32)
    call(
        PANEL_FORMATS[kind].op,
        {
            panels.X: rows.ctypes.data,
            panels.X_STRIDE: rows.strides[0],
            panels.OUT: out.ctypes.data,
            panels.OUT_STRIDE: out.strides[0],
            panels.WEIGHT: weights.ctypes.data,
            panels.PANEL_BYTES: weights.shape[1],
            panels.N_PANELS: len(weights),
            panels.K: k,
            panels.BIAS: 0 if bias is None else bias.ctypes.data,
            panels.RESIDUAL: 0 if residual is None else residual.ctypes.data,
            panels.ROW_COUNT: step.ROWS,
        },
        len(rows),
        n_threads,
    )
    return out
