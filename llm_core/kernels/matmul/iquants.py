"""Products with the grid formats IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S.

A file names 4 or 8 values by one number, which saves space and costs a look-up in a table of kilobytes for each. Here
the look-up is done once, when a weight is packed: what is left is an index per value into the few levels that there are
(IQ2: 6, 3 bits; IQ3: 16, 4 bits), which a byte shuffle turns into weights. So these formats, and only these and those
of `ternary.py`, take more memory than the file: docs/gguf.md says how much.

A packed block is 256 values: its units, 32 values at a time (IQ2: 2 units of magnitudes, 2 bits each, unit u of 8 in
bits 2 (u mod 4) of unit u / 4, then one of signs, bit u; IQ3: 4 units of nibbles, low k = 0…15, high k = 16…31), then
the scales, two in a byte, then d. Levels are made unsigned by an offset, which the sums of the activations take off.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.dot import NARROW, byte_table, dot_end, dot_start, dot_u, int_zeros
from llm_core.kernels.jit import apply, inline, op, static
from llm_core.kernels.matmul.blocks32 import nibbles, scaled
from llm_core.kernels.matmul.panels import PanelFormat, assemble, fetch, lanes, run_panels, words
from llm_core.kernels.quantize import at_scale, at_sum16
from llm_core.kernels.simd import (
    constant,
    fill,
    fma,
    high_nibbles,
    load_f16,
    load_u8x64,
    low_nibbles,
    per_column,
    to_f32,
    wide,
    zeros,
)
from llm_core.quants import FORMATS as STORAGE
from llm_core.quants.iquants import IQ2_MAGNITUDES, IQ3_XXS_MAGNITUDES

# levels by index, plus the largest: IQ2 magnitude + 4 * sign; IQ3_XXS in ascending order
IQ2_TOP, IQ3_XXS_TOP = 43, 62
iq2_levels = byte_table(
    [IQ2_TOP + s * m for s in (1, -1) for m in (*IQ2_MAGNITUDES.tolist(), -s * IQ2_TOP)] + [0] * 8
)
iq3_xxs_levels = byte_table(
    [IQ3_XXS_TOP + s * m for s, ms in ((-1, IQ3_XXS_MAGNITUDES[::-1]), (1, IQ3_XXS_MAGNITUDES)) for m in ms.tolist()]
)

if NARROW:

    @inline
    def add_unit(acc, unit, x, k, stride, columns):
        """int32 sums plus the dots of one unit of unsigned weights too large for two units in 16 bits."""
        return acc + dot_end(dot_u(dot_start(columns), unit, x, k, stride))

else:

    @inline
    def add_unit(acc, unit, x, k, stride, columns):
        """int32 sums plus the dots of one unit of unsigned weights."""
        return dot_u(acc, unit, x, k, stride)


@inline
def iq2_half(w, at, half, x, k, stride, columns):
    """int32 dots of half a block of IQ2 (16 values from k on) at byte `at` of the weights."""
    magnitudes, signs = load_u8x64(w, at + half * 64), load_u8x64(w, at + 128)
    acc = int_zeros(columns)
    for u in range(4):
        index = ((magnitudes >> (u * 2)) & 3) | (((signs >> (half * 4 + u)) & 1) << 2)
        acc = add_unit(acc, iq2_levels(index), x, k + u * 4, stride, columns)
    return acc


@inline
def plus_half(scales):
    """Scales are stored without their half."""
    return scales + fill(np.float32(0.5))


@static
def iq2_block(w, at, x, k, stride, columns):
    """int32 dots of 32 values."""
    return iq2_half(w, at, 0, x, k, stride, columns) + iq2_half(w, at, 1, x, k + 16, stride, columns)


@static
def iq3_xxs_block(w, at, x, k, stride, columns):
    """int32 dots of 32 values."""
    acc = int_zeros(columns)
    for u in range(4):
        unit = load_u8x64(w, at + u * 64)
        acc = add_unit(acc, iq3_xxs_levels(unit & 15), x, k + u * 4, stride, columns)
        acc = add_unit(acc, iq3_xxs_levels(unit >> 4), x, k + 16 + u * 4, stride, columns)
    return acc


@static
def iq3_s_block(w, at, x, k, stride, columns):
    """int32 dots of 32 values."""
    return nibbles(w, at, x, k, stride, columns)


@inline
def by_32(block_dots, size, top, step, w, k, x, stride, columns):
    """w = d (scale + 1/2) step (level - top), a scale per 32 values, `size` bytes of units for them"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * (size * 8 + 96)
        sums = zeros(columns)
        for pair in range(4):
            units, b = at + pair * 2 * size, s * 8 + pair * 2
            fetch(w, units, 2 * size, columns)
            for odd in range(2):
                dots = apply(block_dots, w, units + odd * size, x, (b + odd) * 32, stride, columns)
                value = scaled(dots, top, x, k, b + odd, stride, columns)
                here = at + size * 8 + pair * 16
                scales = plus_half(high_nibbles(w, here) if odd else low_nibbles(w, here))
                sums = fma(value, wide(scales, columns), sums)
        fetch(w, at + size * 8, 96, columns)
        acc = fma(sums, wide(load_f16(w, at + size * 8 + 64) * fill(np.float32(step)), columns), acc)
    return acc


@static
def panel_iq2_xxs(w, k, x, stride, columns):
    """by_32, levels ±8, ±25, ±43"""
    return by_32(iq2_block, 192, IQ2_TOP, 0.25, w, k, x, stride, columns)


@static
def panel_iq3_xxs(w, k, x, stride, columns):
    """by_32, 16 levels"""
    return by_32(iq3_xxs_block, 256, IQ3_XXS_TOP, 0.5, w, k, x, stride, columns)


@static
def panel_iq3_s(w, k, x, stride, columns):
    """by_32; the levels are -15, -13 … 15, so w = d (2 scale + 1) (2 q - 15) = 4 d (scale + 1/2) (q - 7.5)"""
    return by_32(iq3_s_block, 256, 7.5, 4.0, w, k, x, stride, columns)


@static
def panel_iq2_s(w, k, x, stride, columns):
    """IQ2_S and IQ2_XS: w = d (scale + 1/2) / 4 level, a scale per 16 values"""
    acc = zeros(columns)
    for s in range(k >> 8):
        at = s * 1696
        sums = zeros(columns)
        for j in range(8):
            fetch(w, at + j * 192, 192, columns)
            b = s * 8 + j
            for half in range(2):
                dots = iq2_half(w, at + j * 192, half, x, b * 32 + half * 16, stride, columns)
                value = to_f32(dots) * per_column(x, at_scale(k, b), stride, columns)
                top = constant(-IQ2_TOP, columns)
                value = fma(per_column(x, at_sum16(k, b * 2 + half), stride, columns), top, value)
                here = at + 1536 + j * 16
                scales = plus_half(high_nibbles(w, here) if half else low_nibbles(w, here))
                sums = fma(value, wide(scales, columns), sums)
        fetch(w, at + 1536, 160, columns)
        acc = fma(sums, wide(load_f16(w, at + 1664) * fill(np.float32(0.25)), columns), acc)
    return acc


@op
def matmul_iq2_xxs(op, ctx, tid, n_threads):
    """IQ2_XXS weights."""
    run_panels(panel_iq2_xxs, op, ctx, tid, n_threads)


@op
def matmul_iq2_s(op, ctx, tid, n_threads):
    """IQ2_S and IQ2_XS weights."""
    run_panels(panel_iq2_s, op, ctx, tid, n_threads)


@op
def matmul_iq3_xxs(op, ctx, tid, n_threads):
    """IQ3_XXS weights."""
    run_panels(panel_iq3_xxs, op, ctx, tid, n_threads)


@op
def matmul_iq3_s(op, ctx, tid, n_threads):
    """IQ3_S weights."""
    run_panels(panel_iq3_s, op, ctx, tid, n_threads)


def parts_of(kind: GGMLType, rows: np.ndarray):
    """The fields of all blocks of rows, uint8 [rows, row bytes] → arrays [rows, blocks, …]."""
    form = STORAGE[kind]
    parts = form.parts(np.ascontiguousarray(rows).reshape(-1, form.nbytes).view(form.layout)[:, 0])
    return parts._make(part.reshape(len(rows), -1, *part.shape[1:]) for part in parts)


def in_lanes(digits: np.ndarray, width: int) -> np.ndarray:
    """Words uint32 [n] of digits [n, 4 m]: digit i in byte i mod 4, at bit `width` * (i / 4)."""
    i = np.arange(digits.shape[1], dtype=np.uint32)
    return (digits.astype(np.uint32) << (i % 4 * 8 + i // 4 * width)).sum(axis=1, dtype=np.uint32)


def merged(fields: np.ndarray, width: int) -> np.ndarray:
    """Unsigned [..., n] → [...]: the last axis' numbers in one, field i at bit `width` * i."""
    result = fields[..., 0].copy()
    for i in range(1, fields.shape[-1]):
        result |= fields[..., i] << fields.dtype.type(i * width)
    return result


def crumbs(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points of 8 digits of 2 bits, [rows, blocks, 32] → words of unit pairs [rows, blocks, 8, 2]."""
    eights = in_lanes(grid, 2)[points]
    return merged(eights.reshape(*points.shape[:2], 8, 2, 2), 4)


def in_pairs(scales: np.ndarray) -> np.ndarray:
    """Numbers of 4 bits, two in a byte: lanes of [rows, blocks, n / 2]."""
    return lanes(merged(scales.reshape(*scales.shape[:2], -1, 2), 4))


def as_units(block_words: np.ndarray) -> np.ndarray:
    """uint32 [rows, blocks, …], a word per row and unit in the order of the units → their bytes."""
    return words(np.ascontiguousarray(block_words).reshape(*block_words.shape[:2], -1).view(np.uint8))


_BITS = (np.arange(256)[:, None] >> np.arange(8)) & 1
# bit i of a byte in byte i mod 4 of a word, at bit i / 4
BIT_WORDS = in_lanes(_BITS, 1)
# the index of a level is the magnitude's with all bits turned for minus, else with the highest one set
_MINUS_WORDS = in_lanes(np.where(_BITS[:16, :4], 7, 8), 8)


def _pack_iq2(kind):
    def pack(rows):
        parts = parts_of(kind, rows)
        signs = merged(BIT_WORDS[parts.signs.reshape(*parts.d.shape, 8, 4)], 2)
        units = np.concatenate([crumbs(STORAGE[kind].grid, parts.points), signs[..., None]], axis=3)
        return assemble(as_units(units), in_pairs(parts.scales), lanes(parts.d[..., None]))

    return pack


def _pack_iq3(kind):
    def pack(rows):
        parts = parts_of(kind, rows)
        minus = np.stack([parts.signs & 15, parts.signs >> 4], axis=3).reshape(parts.points.shape)
        levels = in_lanes(STORAGE[kind].grid, 8)[parts.points] ^ _MINUS_WORDS[minus]
        units = merged(levels.reshape(*parts.d.shape, 8, 2, 4).swapaxes(3, 4), 4)
        return assemble(as_units(units), in_pairs(parts.scales), lanes(parts.d[..., None]))

    return pack


FORMATS = {
    GGMLType.IQ2_XXS: PanelFormat(256, 1632, _pack_iq2(GGMLType.IQ2_XXS), matmul_iq2_xxs),
    GGMLType.IQ2_XS: PanelFormat(256, 1696, _pack_iq2(GGMLType.IQ2_XS), matmul_iq2_s),
    GGMLType.IQ2_S: PanelFormat(256, 1696, _pack_iq2(GGMLType.IQ2_S), matmul_iq2_s),
    GGMLType.IQ3_XXS: PanelFormat(256, 2144, _pack_iq3(GGMLType.IQ3_XXS), matmul_iq3_xxs),
    GGMLType.IQ3_S: PanelFormat(256, 2144, _pack_iq3(GGMLType.IQ3_S), matmul_iq3_s),
}
