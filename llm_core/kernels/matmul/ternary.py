"""Products with weights of three levels: TQ1_0 TQ2_0, and IQ1_S IQ1_M, which shift them by an eighth up or down; and of
two: Q1_0.

A file's 1.6 to 1.7 bits a value become 2 (q = 0, 1, 2), as TQ2_0 has them already: see `iquants.py`. A packed block is
256 values: 8 times 2 units (32 values; unit u of 8 in bits 2 (u mod 4) of unit u / 4), then what the format needs for
each row, then d. Q1_0: 128 values in 4 units, unit u of 8 of 32 values in bit u.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.dot import dot_end, dot_start, dot_u
from llm_core.kernels.jit import inline, op, static
from llm_core.kernels.matmul.blocks32 import scaled
from llm_core.kernels.matmul.iquants import BIT_WORDS, as_units, crumbs, in_pairs, merged, parts_of
from llm_core.kernels.matmul.panels import PanelFormat, assemble, fetch, lanes, run_panels
from llm_core.kernels.quantize import at_scale, at_sum16, at_sum32
from llm_core.kernels.simd import (
    constant,
    fill,
    fma,
    high_nibbles,
    less,
    load_f16,
    load_u8x64,
    low_nibbles,
    per_column,
    spread_bit,
    to_f32,
    wide,
    zeros,
)
from llm_core.quants import FORMATS as STORAGE
from llm_core.quants.iquants import IQ1_DELTA


@inline
def block_dots(w, at, x, k, stride, columns):
    """int32 dots of 32 values of 0, 1, 2 from k on."""
    acc = dot_start(columns)
    for half in range(2):
        unit = load_u8x64(w, at + half * 64)
        for u in range(4):
            acc = dot_u(acc, (unit >> (u * 2)) & 3, x, k + half * 16 + u * 4, stride)
    return dot_end(acc)


@static
def panel_tq2_0(w, k, x, stride, columns):
    """w = d (q - 1)"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1056
        sums = zeros(columns)
        for j in range(8):
            fetch(w, at + j * 132, 132, columns)
            b = s * 8 + j
            dots = to_f32(block_dots(w, at + j * 128, x, b * 32, stride, columns))
            sums = fma(dots, per_column(x, at_scale(k, b), stride, columns), sums)
            sums = sums - per_column(x, at_sum32(k, b), stride, columns)
        acc = fma(sums, wide(load_f16(w, at + 1024), columns), acc)
    return acc


@static
def panel_iq1_s(w, k, x, stride, columns):
    """w = d (2 scale + 1) (q - 1 + delta); scales 64 bytes: 4 bits for 32 values, the highest one for delta = -1/8"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1120
        sums = zeros(columns)
        for j in range(8):
            fetch(w, at + j * 140, 140, columns)
            b, here = s * 8 + j, at + 1024 + (j >> 1) * 16
            bits = high_nibbles(w, here) if j & 1 else low_nibbles(w, here)
            eight = fill(np.float32(8))
            offset = less(bits, eight, fill(np.float32(-1 + IQ1_DELTA)), fill(np.float32(-1 - IQ1_DELTA)))
            scale = less(bits, eight, bits, bits - eight)
            scale = scale + scale + fill(np.float32(1))
            dots = to_f32(block_dots(w, at + j * 128, x, b * 32, stride, columns))
            value = dots * per_column(x, at_scale(k, b), stride, columns)
            value = fma(per_column(x, at_sum32(k, b), stride, columns), wide(offset, columns), value)
            sums = fma(value, wide(scale, columns), sums)
        acc = fma(sums, wide(load_f16(w, at + 1088), columns), acc)
    return acc


@inline
def shifted_half(w, units, bits, first, x, k, stride, columns):
    """int32 dots of 16 values from k on with 8 (q - 1 + delta) + 9, which is 8 q, and 2 more where delta is 1/8."""
    acc = dot_start(columns)
    unit = load_u8x64(w, units)
    for u in range(4):
        plus = spread_bit(w, bits, first + (u >> 1)) & 2
        acc = dot_u(acc, (((unit >> (u * 2)) & 3) << 3) | plus, x, k + u * 4, stride)
    return dot_end(acc)


@static
def panel_iq1_m(w, k, x, stride, columns):
    """w = d (2 scale + 1) (q - 1 + delta); scales 128 bytes, 4 bits for 16 values; 32 bits a row, bit i set for
    delta = 1/8 in values 8 i … 8 i + 7"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1248
        sums = zeros(columns)
        for j in range(8):
            fetch(w, at + j * 156, 156, columns)
            b, here = s * 8 + j, at + 1024 + j * 16
            for half in range(2):
                units, first = at + j * 128 + half * 64, j * 4 + half * 2
                dots = shifted_half(w, units, at + 1152, first, x, b * 32 + half * 16, stride, columns)
                value = to_f32(dots) * per_column(x, at_scale(k, b), stride, columns)
                nine = constant(-9.0, columns)
                value = fma(per_column(x, at_sum16(k, b * 2 + half), stride, columns), nine, value)
                scale = high_nibbles(w, here) if half else low_nibbles(w, here)
                scale = scale + scale + fill(np.float32(1))
                sums = fma(value, wide(scale, columns), sums)
        d = load_f16(w, at + 1216) * fill(np.float32(0.125))
        acc = fma(sums, wide(d, columns), acc)
    return acc


@static
def panel_q1_0(w, k, x, stride, columns):
    """w = d (2 q - 1)"""
    acc = zeros(columns)
    for s in range(k >> 7):
        at = s * 288
        fetch(w, at, 288, columns)
        sums = zeros(columns)
        for j in range(4):
            b = s * 4 + j
            unit, dots = load_u8x64(w, at + j * 64), dot_start(columns)
            for u in range(8):
                dots = dot_u(dots, (unit >> u) & 1, x, b * 32 + u * 4, stride)
            sums = sums + scaled(dot_end(dots), 0.5, x, k, b, stride, columns)
        acc = fma(sums, wide(load_f16(w, at + 256) * fill(np.float32(2)), columns), acc)
    return acc


@op
def matmul_tq2_0(op, ctx, tid, n_threads):
    """TQ1_0 and TQ2_0 weights."""
    run_panels(panel_tq2_0, op, ctx, tid, n_threads)


@op
def matmul_iq1_s(op, ctx, tid, n_threads):
    """IQ1_S weights."""
    run_panels(panel_iq1_s, op, ctx, tid, n_threads)


@op
def matmul_iq1_m(op, ctx, tid, n_threads):
    """IQ1_M weights."""
    run_panels(panel_iq1_m, op, ctx, tid, n_threads)


@op
def matmul_q1_0(op, ctx, tid, n_threads):
    """Q1_0 weights."""
    run_panels(panel_q1_0, op, ctx, tid, n_threads)


def _pack_tq(kind):
    form, two_bits = STORAGE[kind], STORAGE[GGMLType.TQ2_0]

    def pack(rows):
        records = np.ascontiguousarray(rows).reshape(-1, form.nbytes).view(form.layout)[:, 0]
        packed = records["qs"] if form is two_bits else two_bits.bytes_of(form.digits(records))
        # byte m of a half holds values m, m + 32, …: its word u serves unit u of 4 blocks
        words = np.ascontiguousarray(packed).view(np.uint32).reshape(len(rows), -1, 2, 2, 4)
        blocks = [merged((words >> np.uint32(2 * i)) & np.uint32(0x03030303), 2) for i in range(4)]
        return assemble(as_units(np.stack(blocks, axis=3)), lanes(records["d"].reshape(len(rows), -1, 1)))

    return pack


def _pack_iq1_s(rows):
    parts = parts_of(GGMLType.IQ1_S, rows)
    bits = parts.scales | (parts.minus.view(np.uint8) << np.uint8(3))
    units = crumbs(STORAGE[GGMLType.IQ1_S].grid, parts.points)
    return assemble(as_units(units), in_pairs(bits), lanes(parts.d[..., None]))


def _pack_iq1_m(rows):
    parts = parts_of(GGMLType.IQ1_M, rows)
    plus = np.packbits(~parts.minus, axis=2, bitorder="little")
    units = crumbs(STORAGE[GGMLType.IQ1_M].grid, parts.points)
    return assemble(as_units(units), in_pairs(parts.scales), as_units(plus.view(np.uint32)), lanes(parts.d[..., None]))


def _pack_q1_0(rows):
    form = STORAGE[GGMLType.Q1_0]
    records = np.ascontiguousarray(rows).reshape(-1, form.nbytes).view(form.layout)[:, 0]
    units = merged(BIT_WORDS[records["qs"]].reshape(len(rows), -1, 4, 4), 2)
    return assemble(as_units(units), lanes(records["d"].reshape(len(rows), -1, 1)))


FORMATS = {
    GGMLType.Q1_0: PanelFormat(128, 288, _pack_q1_0, matmul_q1_0),
    GGMLType.TQ1_0: PanelFormat(256, 1056, _pack_tq(GGMLType.TQ1_0), matmul_tq2_0),
    GGMLType.TQ2_0: PanelFormat(256, 1056, _pack_tq(GGMLType.TQ2_0), matmul_tq2_0),
    GGMLType.IQ1_S: PanelFormat(256, 1120, _pack_iq1_s, matmul_iq1_s),
    GGMLType.IQ1_M: PanelFormat(256, 1248, _pack_iq1_m, matmul_iq1_m),
}
