"""Products with the formats of 32-value blocks: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4.

A packed block is its units (nibbles: 4 units, low nibble k = 0…15, high nibble k = 16…31; bytes: 8 units), for 5-bit
formats one unit of fifth bits (bit u of a byte belongs to unit u of 8), then a scale (and a minimum) per row.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.dot import SIGNED_BIAS, byte_table, dot_end, dot_s, dot_start, dot_u, int_zeros
from llm_core.kernels.jit import inline, op, static
from llm_core.kernels.matmul.panels import PanelFormat, assemble, fetch, lanes, run_panels, words
from llm_core.kernels.quantize import at_scale, at_sum32
from llm_core.kernels.simd import constant, fma, load_bf16, load_f16, load_u8x64, per_column, to_f32, wide, zeros

iq4_values = byte_table((-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113))
mxfp4_values = byte_table((0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12))


@inline
def nibbles(w, at, x, k, stride, columns):
    """int32 dots of 4 units of nibbles with activations k…k+31 of each column."""
    acc = dot_start(columns)
    for u in range(4):
        unit = load_u8x64(w, at + u * 64)
        acc = dot_u(acc, unit & 15, x, k + u * 4, stride)
        acc = dot_u(acc, unit >> 4, x, k + 16 + u * 4, stride)
    return dot_end(acc)


@inline
def five_bits(w, at, x, k, stride, columns):
    """The same with fifth bits from the unit behind the nibbles; 4 units are all that 16-bit sums hold."""
    high = load_u8x64(w, at + 256)
    first, second = dot_start(columns), dot_start(columns)
    for u in range(4):
        unit = (load_u8x64(w, at + u * 64) & 15) | (((high >> u) & 1) << 4)
        first = dot_u(first, unit, x, k + u * 4, stride)
    for u in range(4):
        unit = (load_u8x64(w, at + u * 64) >> 4) | (((high >> (u + 4)) & 1) << 4)
        second = dot_u(second, unit, x, k + 16 + u * 4, stride)
    return dot_end(first) + dot_end(second)


@inline
def table_nibbles(table, w, at, x, k, stride, columns):
    """int32 dots (plus SIGNED_BIAS) of 4 units of nibbles that index `table`."""
    acc = int_zeros(columns)
    for u in range(4):
        unit = load_u8x64(w, at + u * 64)
        acc = dot_s(acc, table(unit & 15), x, k + u * 4, stride)
        acc = dot_s(acc, table(unit >> 4), x, k + 16 + u * 4, stride)
    return acc


@inline
def octets(w, at, x, k, stride, columns):
    """int32 dots (plus SIGNED_BIAS) of 8 units of signed bytes."""
    acc = int_zeros(columns)
    for u in range(8):
        acc = dot_s(acc, load_u8x64(w, at + u * 64), x, k + u * 4, stride)
    return acc


@inline
def scaled(dots, offset, x, k, block, stride, columns):
    """Activation scale times (dots - offset * sum of activations) of a block, as floats."""
    value = to_f32(dots) * per_column(x, at_scale(k, block), stride, columns)
    if offset != 0:
        value = fma(per_column(x, at_sum32(k, block), stride, columns), constant(-offset, columns), value)
    return value


@static
def panel_q4_0(w, k, x, stride, columns):
    """w = d (q - 8)"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 288
        fetch(w, at, 288, columns)
        value = scaled(nibbles(w, at, x, b * 32, stride, columns), 8, x, k, b, stride, columns)
        acc = fma(value, wide(load_f16(w, at + 256), columns), acc)
    return acc


@static
def panel_q4_1(w, k, x, stride, columns):
    """w = d q + m"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 320
        fetch(w, at, 320, columns)
        value = scaled(nibbles(w, at, x, b * 32, stride, columns), 0, x, k, b, stride, columns)
        acc = fma(value, wide(load_f16(w, at + 256), columns), acc)
        acc = fma(per_column(x, at_sum32(k, b), stride, columns), wide(load_f16(w, at + 288), columns), acc)
    return acc


@static
def panel_q5_0(w, k, x, stride, columns):
    """w = d (q - 16)"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 352
        fetch(w, at, 352, columns)
        value = scaled(five_bits(w, at, x, b * 32, stride, columns), 16, x, k, b, stride, columns)
        acc = fma(value, wide(load_f16(w, at + 320), columns), acc)
    return acc


@static
def panel_q5_1(w, k, x, stride, columns):
    """w = d q + m"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 384
        fetch(w, at, 384, columns)
        value = scaled(five_bits(w, at, x, b * 32, stride, columns), 0, x, k, b, stride, columns)
        acc = fma(value, wide(load_f16(w, at + 320), columns), acc)
        acc = fma(per_column(x, at_sum32(k, b), stride, columns), wide(load_f16(w, at + 352), columns), acc)
    return acc


@static
def panel_q8_0(w, k, x, stride, columns):
    """w = d q"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 544
        fetch(w, at, 544, columns)
        value = scaled(octets(w, at, x, b * 32, stride, columns), SIGNED_BIAS, x, k, b, stride, columns)
        acc = fma(value, wide(load_f16(w, at + 512), columns), acc)
    return acc


@static
def panel_iq4_nl(w, k, x, stride, columns):
    """w = d table[q]"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 288
        fetch(w, at, 288, columns)
        dots = table_nibbles(iq4_values, w, at, x, b * 32, stride, columns)
        acc = fma(scaled(dots, SIGNED_BIAS, x, k, b, stride, columns), wide(load_f16(w, at + 256), columns), acc)
    return acc


@static
def panel_mxfp4(w, k, x, stride, columns):
    """w = 2^(e - 128) table[q]; the power of two is packed as bfloat16, which holds all of them"""
    acc = zeros(columns)
    for b in range(k >> 5):
        at = b * 288
        fetch(w, at, 288, columns)
        dots = table_nibbles(mxfp4_values, w, at, x, b * 32, stride, columns)
        acc = fma(scaled(dots, SIGNED_BIAS, x, k, b, stride, columns), wide(load_bf16(w, at + 256), columns), acc)
    return acc


@op
def matmul_q4_0(op, ctx, tid, n_threads):
    """Q4_0 weights."""
    run_panels(panel_q4_0, op, ctx, tid, n_threads)


@op
def matmul_q4_1(op, ctx, tid, n_threads):
    """Q4_1 weights."""
    run_panels(panel_q4_1, op, ctx, tid, n_threads)


@op
def matmul_q5_0(op, ctx, tid, n_threads):
    """Q5_0 weights."""
    run_panels(panel_q5_0, op, ctx, tid, n_threads)


@op
def matmul_q5_1(op, ctx, tid, n_threads):
    """Q5_1 weights."""
    run_panels(panel_q5_1, op, ctx, tid, n_threads)


@op
def matmul_q8_0(op, ctx, tid, n_threads):
    """Q8_0 weights."""
    run_panels(panel_q8_0, op, ctx, tid, n_threads)


@op
def matmul_iq4_nl(op, ctx, tid, n_threads):
    """IQ4_NL weights."""
    run_panels(panel_iq4_nl, op, ctx, tid, n_threads)


@op
def matmul_mxfp4(op, ctx, tid, n_threads):
    """MXFP4 weights."""
    run_panels(panel_mxfp4, op, ctx, tid, n_threads)


def _blocks(rows: np.ndarray, n_bytes: int) -> np.ndarray:
    return rows.reshape(rows.shape[0], -1, n_bytes)


def _half_then_quants(n_halves: int, n_bytes: int):
    """Packer of a block that is `n_halves` 16-bit scales followed by quants."""

    def pack(rows):
        b = _blocks(rows, n_bytes)
        return assemble(words(b[..., 2 * n_halves :]), lanes(b[..., : 2 * n_halves].copy().view(np.uint16)))

    return pack


def _fifth_bits(n_halves: int, n_bytes: int):
    """Packer of a block of `n_halves` scales, 32 fifth bits (bit k of a little-endian word belongs to value k) and
    nibbles."""

    def pack(rows):
        b = _blocks(rows, n_bytes)
        start = 2 * n_halves
        bits = np.unpackbits(b[..., start : start + 4], axis=2, bitorder="little")  # [rows, blocks, k = 4 u + lane]
        by_unit = bits.reshape(*bits.shape[:2], 8, 4).transpose(0, 1, 3, 2)  # [rows, blocks, lane, u]
        fifth = np.packbits(np.ascontiguousarray(by_unit), axis=3, bitorder="little")[..., 0]
        return assemble(words(b[..., start + 4 :]), words(fifth), lanes(b[..., :start].copy().view(np.uint16)))

    return pack


def _pack_mxfp4(rows):
    b = _blocks(rows, 17)
    exponent = b[..., :1].astype(np.uint32)
    # 2^(e - 128): normal numbers from e = 2 on, the two smallest are subnormal floats.
    bits = np.where(exponent < 2, np.uint32(0x00200000) << exponent, (exponent - np.uint32(1)) << np.uint32(23))
    return assemble(words(b[..., 1:]), lanes((bits >> np.uint32(16)).astype(np.uint16)))


FORMATS = {
    GGMLType.Q4_0: PanelFormat(32, 288, _half_then_quants(1, 18), matmul_q4_0),
    GGMLType.Q4_1: PanelFormat(32, 320, _half_then_quants(2, 20), matmul_q4_1),
    GGMLType.Q5_0: PanelFormat(32, 352, _fifth_bits(1, 22), matmul_q5_0),
    GGMLType.Q5_1: PanelFormat(32, 384, _fifth_bits(2, 24), matmul_q5_1),
    GGMLType.Q8_0: PanelFormat(32, 544, _half_then_quants(1, 34), matmul_q8_0),
    GGMLType.IQ4_NL: PanelFormat(32, 288, _half_then_quants(1, 18), matmul_iq4_nl),
    GGMLType.MXFP4: PanelFormat(32, 288, _pack_mxfp4, matmul_mxfp4),
}
