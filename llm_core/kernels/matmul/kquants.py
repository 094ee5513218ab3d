"""Products with the super-block formats of 256 values: Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS.

The quants keep the file's order inside a row and are only interleaved by rows (`panels.words`), so unit u of a group
holds bytes 4u…4u+3 of it for 16 rows. Scales are unpacked to one byte each, 16 rows wide, behind the quants; the
half-precision super scales come last. Layouts: ggml-quants of llama.cpp, as the `gguf` package dequantizes them.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.dot import SIGNED_BIAS, dot_end, dot_start, dot_u
from llm_core.kernels.jit import inline, op, static
from llm_core.kernels.matmul.blocks32 import iq4_values, scaled, table_nibbles
from llm_core.kernels.matmul.panels import PanelFormat, assemble, fetch, lanes, run_panels, words
from llm_core.kernels.quantize import at_scale, at_sum16, at_sum32
from llm_core.kernels.simd import (
    constant,
    fma,
    high_nibbles,
    load_f16,
    load_i8,
    load_u8,
    load_u8x64,
    low_nibbles,
    per_column,
    to_f32,
    wide,
    zeros,
)


@inline
def add_block(acc, dots, scales, x, k, block, stride, columns):
    """acc + row scales * activation scale * dots"""
    return fma(to_f32(dots) * per_column(x, at_scale(k, block), stride, columns), wide(scales, columns), acc)


@inline
def add_sum32(acc, scales, x, k, block, stride, columns):
    """acc + row scales * sum of the activations of a 32-value block"""
    return fma(per_column(x, at_sum32(k, block), stride, columns), wide(scales, columns), acc)


@inline
def add_sum16(acc, scales, x, k, half, stride, columns):
    """acc + row scales * sum of the activations of a 16-value half block"""
    return fma(per_column(x, at_sum16(k, half), stride, columns), wide(scales, columns), acc)


@static
def panel_q4_k(w, k, x, stride, columns):
    """w = d sc q - dmin mn; quants 2048 bytes (4 groups of 64 values: low nibbles, then high), 8 scales, 8 minima, d,
    dmin"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 2368
        scaled_dots, minima = zeros(columns), zeros(columns)
        for g in range(4):
            fetch(w, at + g * 512, 512, columns)
            b = s * 8 + g * 2
            dots = dot_start(columns)
            for u in range(8):
                dots = dot_u(dots, load_u8x64(w, at + g * 512 + u * 64) & 15, x, b * 32 + u * 4, stride)
            scaled_dots = add_block(
                scaled_dots, dot_end(dots), load_u8(w, at + 2048 + g * 32), x, k, b, stride, columns
            )
            minima = add_sum32(minima, load_u8(w, at + 2176 + g * 32), x, k, b, stride, columns)
            dots = dot_start(columns)
            for u in range(8):
                dots = dot_u(dots, load_u8x64(w, at + g * 512 + u * 64) >> 4, x, b * 32 + 32 + u * 4, stride)
            scaled_dots = add_block(
                scaled_dots, dot_end(dots), load_u8(w, at + 2064 + g * 32), x, k, b + 1, stride, columns
            )
            minima = add_sum32(minima, load_u8(w, at + 2192 + g * 32), x, k, b + 1, stride, columns)
        fetch(w, at + 2048, 320, columns)
        acc = fma(scaled_dots, wide(load_f16(w, at + 2304), columns), acc)
        acc = acc - minima * wide(load_f16(w, at + 2336), columns)
    return acc


@inline
def fifth_bit(w, at, u, shift):
    """Bit `shift` of unit u of the high bits, as bit 4."""
    return ((load_u8x64(w, at + u * 64) >> shift) & 1) << 4


@inline
def five_bit_sub_block(w, quants, bits, nibble, shift, x, k, stride, columns):
    """int32 dots of 8 units: nibbles at `quants` shifted by `nibble`, fifth bits at `bits` shifted by `shift`."""
    first, second = dot_start(columns), dot_start(columns)
    for u in range(4):
        unit = ((load_u8x64(w, quants + u * 64) >> nibble) & 15) | fifth_bit(w, bits, u, shift)
        first = dot_u(first, unit, x, k + u * 4, stride)
    for u in range(4, 8):
        unit = ((load_u8x64(w, quants + u * 64) >> nibble) & 15) | fifth_bit(w, bits, u, shift)
        second = dot_u(second, unit, x, k + u * 4, stride)
    return dot_end(first) + dot_end(second)


@static
def panel_q5_k(w, k, x, stride, columns):
    """w = d sc q - dmin mn; nibbles 2048 bytes as in Q4_K, fifth bits 512 (bit j: sub-block j), 8 scales, 8 minima,
    d, dmin"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 2880
        scaled_dots, minima = zeros(columns), zeros(columns)
        for j in range(8):
            fetch(w, at + j * 320, 320, columns)
            b = s * 8 + j
            dots = five_bit_sub_block(w, at + (j >> 1) * 512, at + 2048, (j & 1) * 4, j, x, b * 32, stride, columns)
            scaled_dots = add_block(scaled_dots, dots, load_u8(w, at + 2560 + j * 16), x, k, b, stride, columns)
            minima = add_sum32(minima, load_u8(w, at + 2688 + j * 16), x, k, b, stride, columns)
        fetch(w, at + 2560, 320, columns)
        acc = fma(scaled_dots, wide(load_f16(w, at + 2816), columns), acc)
        acc = acc - minima * wide(load_f16(w, at + 2848), columns)
    return acc


@inline
def six_bit_quarter(w, low, high, u, nibble, shift):
    """Unit u of six-bit quants: nibble from `low`, two more bits from `high`."""
    nibbles = (load_u8x64(w, low + u * 64) >> nibble) & 15
    return nibbles | (((load_u8x64(w, high + u * 64) >> shift) & 3) << 4)


@static
def panel_q6_k(w, k, x, stride, columns):
    """w = d sc (q - 32), a scale per 16 values; nibbles 2048 bytes, two high bits 1024, 16 signed scales, d

    Half h (128 values): sub-block j of 32 has nibbles in group j & 1 (low for j < 2, else high) and high bits 2j, 2j+1.
    """
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 3360
        scaled_dots, sums = zeros(columns), zeros(columns)
        for j in range(8):
            fetch(w, at + j * 384, 384, columns)
            b = s * 8 + j
            low, high = at + (j >> 2) * 1024 + (j & 1) * 512, at + 2048 + (j >> 2) * 512
            nibble, shift = ((j >> 1) & 1) * 4, (j & 3) * 2
            for half in range(2):
                first, second = dot_start(columns), dot_start(columns)
                for u in range(half * 4, half * 4 + 2):
                    first = dot_u(first, six_bit_quarter(w, low, high, u, nibble, shift), x, b * 32 + u * 4, stride)
                for u in range(half * 4 + 2, half * 4 + 4):
                    second = dot_u(second, six_bit_quarter(w, low, high, u, nibble, shift), x, b * 32 + u * 4, stride)
                scales = load_i8(w, at + 3072 + (j * 2 + half) * 16)
                scaled_dots = add_block(scaled_dots, dot_end(first) + dot_end(second), scales, x, k, b, stride, columns)
                sums = add_sum16(sums, scales, x, k, b * 2 + half, stride, columns)
        fetch(w, at + 3072, 288, columns)
        value = fma(sums, constant(-32.0, columns), scaled_dots)
        acc = fma(value, wide(load_f16(w, at + 3328), columns), acc)
    return acc


@static
def panel_q2_k(w, k, x, stride, columns):
    """w = d sc q - dmin mn, a scale and a minimum per 16 values; quants 1024 bytes, 16 scales (low) and minima
    (high), d, dmin"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1344
        fetch(w, at, 1344, columns)
        scaled_dots, minima = zeros(columns), zeros(columns)
        for j in range(8):
            b, quants, shift = s * 8 + j, at + (j >> 2) * 512, (j & 3) * 2
            for half in range(2):
                dots = dot_start(columns)
                for u in range(half * 4, half * 4 + 4):
                    dots = dot_u(dots, (load_u8x64(w, quants + u * 64) >> shift) & 3, x, b * 32 + u * 4, stride)
                pair = at + 1024 + (j * 2 + half) * 16
                scaled_dots = add_block(scaled_dots, dot_end(dots), low_nibbles(w, pair), x, k, b, stride, columns)
                minima = add_sum16(minima, high_nibbles(w, pair), x, k, b * 2 + half, stride, columns)
        acc = fma(scaled_dots, wide(load_f16(w, at + 1280), columns), acc)
        acc = acc - minima * wide(load_f16(w, at + 1312), columns)
    return acc


@static
def panel_q3_k(w, k, x, stride, columns):
    """w = d sc (q - 4), a scale per 16 values; two low bits 1024 bytes, third bits 512 (bit j: sub-block j), 16
    signed scales, d"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1824
        fetch(w, at, 1824, columns)
        scaled_dots, sums = zeros(columns), zeros(columns)
        for j in range(8):
            b, quants, shift = s * 8 + j, at + (j >> 2) * 512, (j & 3) * 2
            for half in range(2):
                dots = dot_start(columns)
                for u in range(half * 4, half * 4 + 4):
                    third = ((load_u8x64(w, at + 1024 + u * 64) >> j) & 1) << 2
                    dots = dot_u(
                        dots, ((load_u8x64(w, quants + u * 64) >> shift) & 3) | third, x, b * 32 + u * 4, stride
                    )
                scales = load_i8(w, at + 1536 + (j * 2 + half) * 16)
                scaled_dots = add_block(scaled_dots, dot_end(dots), scales, x, k, b, stride, columns)
                sums = add_sum16(sums, scales, x, k, b * 2 + half, stride, columns)
        value = fma(sums, constant(-4.0, columns), scaled_dots)
        acc = fma(value, wide(load_f16(w, at + 1792), columns), acc)
    return acc


@static
def panel_iq4_xs(w, k, x, stride, columns):
    """w = d sc table[q], a scale per 32 values; 8 sub-blocks of nibbles (16 low, 16 high), 8 signed scales, d"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 2208
        scaled_dots = zeros(columns)
        for j in range(8):
            fetch(w, at + j * 276, 276, columns)
            b = s * 8 + j
            dots = table_nibbles(iq4_values, w, at + j * 256, x, b * 32, stride, columns)
            value = scaled(dots, SIGNED_BIAS, x, k, b, stride, columns)
            scaled_dots = fma(value, wide(load_i8(w, at + 2048 + j * 16), columns), scaled_dots)
        acc = fma(scaled_dots, wide(load_f16(w, at + 2176), columns), acc)
    return acc


@op
def matmul_q2_k(op, ctx, tid, n_threads):
    """Q2_K weights."""
    run_panels(panel_q2_k, op, ctx, tid, n_threads)


@op
def matmul_q3_k(op, ctx, tid, n_threads):
    """Q3_K weights."""
    run_panels(panel_q3_k, op, ctx, tid, n_threads)


@op
def matmul_q4_k(op, ctx, tid, n_threads):
    """Q4_K weights."""
    run_panels(panel_q4_k, op, ctx, tid, n_threads)


@op
def matmul_q5_k(op, ctx, tid, n_threads):
    """Q5_K weights."""
    run_panels(panel_q5_k, op, ctx, tid, n_threads)


@op
def matmul_q6_k(op, ctx, tid, n_threads):
    """Q6_K weights."""
    run_panels(panel_q6_k, op, ctx, tid, n_threads)


@op
def matmul_iq4_xs(op, ctx, tid, n_threads):
    """IQ4_XS weights."""
    run_panels(panel_iq4_xs, op, ctx, tid, n_threads)


def _blocks(rows, n_bytes):
    return rows.reshape(rows.shape[0], -1, n_bytes)


def _halves(b, at, count):
    """`count` half-precision numbers at byte `at` of each block, as 16-bit words."""
    return b[..., at : at + 2 * count].copy().view(np.uint16)


def _six_bit_pairs(packed):
    """The 8 scales and 8 minima (6 bits each) of Q4_K and Q5_K: uint8 [rows, blocks, 12] → two uint8 [rows, blocks,
    8]."""
    a, b, c = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scales = np.concatenate([a & 63, (c & 15) | ((a >> 6) << 4)], axis=2)
    minima = np.concatenate([b & 63, (c >> 4) | ((b >> 6) << 4)], axis=2)
    return scales, minima


def _pack_q4_k(rows):
    b = _blocks(rows, 144)
    scales, minima = _six_bit_pairs(b[..., 4:16])
    return assemble(words(b[..., 16:]), lanes(scales), lanes(minima), lanes(_halves(b, 0, 2)))


def _pack_q5_k(rows):
    b = _blocks(rows, 176)
    scales, minima = _six_bit_pairs(b[..., 4:16])
    return assemble(words(b[..., 48:]), words(b[..., 16:48]), lanes(scales), lanes(minima), lanes(_halves(b, 0, 2)))


def _pack_q6_k(rows):
    b = _blocks(rows, 210)
    return assemble(words(b[..., :128]), words(b[..., 128:192]), lanes(b[..., 192:208]), lanes(_halves(b, 208, 1)))


def _pack_q2_k(rows):
    b = _blocks(rows, 84)
    return assemble(words(b[..., 16:80]), lanes(b[..., :16]), lanes(_halves(b, 80, 2)))


def _pack_q3_k(rows):
    b = _blocks(rows, 110)
    a, c = b[..., 96:104], b[..., 104:108]
    low = np.concatenate([a & 15, a >> 4], axis=2)
    high = np.concatenate([(c >> shift) & 3 for shift in (0, 2, 4, 6)], axis=2)
    scales = (low | (high << 4)).astype(np.int8) - np.int8(32)
    return assemble(words(b[..., 32:96]), words(b[..., :32]), lanes(scales), lanes(_halves(b, 108, 1)))


def _pack_iq4_xs(rows):
    b = _blocks(rows, 136)
    high = _halves(b, 2, 1)
    low = np.stack([b[..., 4:8] & 15, b[..., 4:8] >> 4], axis=3).reshape(*b.shape[:2], 8)
    shifts = np.arange(0, 16, 2, dtype=np.uint16)
    scales = (low | (((high >> shifts) & 3) << 4).astype(np.uint8)).astype(np.int8) - np.int8(32)
    return assemble(words(b[..., 8:]), lanes(scales), lanes(_halves(b, 0, 1)))


FORMATS = {
    GGMLType.Q2_K: PanelFormat(256, 1344, _pack_q2_k, matmul_q2_k),
    GGMLType.Q3_K: PanelFormat(256, 1824, _pack_q3_k, matmul_q3_k),
    GGMLType.Q4_K: PanelFormat(256, 2368, _pack_q4_k, matmul_q4_k),
    GGMLType.Q5_K: PanelFormat(256, 2880, _pack_q5_k, matmul_q5_k),
    GGMLType.Q6_K: PanelFormat(256, 3360, _pack_q6_k, matmul_q6_k),
    GGMLType.IQ4_XS: PanelFormat(256, 2208, _pack_iq4_xs, matmul_iq4_xs),
}
