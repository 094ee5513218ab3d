"""Products with the grid formats IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S.

A file names 4 or 8 values by one number, which saves space and costs a look-up in a table of kilobytes for each. Here
the look-up is done once, when a weight is packed: what is left is an index per value into the few levels that there are
(IQ2: 6, 3 bits; IQ3: 16, 4 bits), which a byte shuffle turns into weights. So these formats, and only these and those
of `ternary.py`, take more memory than the file: docs/gguf.md says how much.

A packed block is 256 values: its units, 32 values at a time (IQ2: 2 units of magnitudes, 2 bits each, unit u of 8 in
bits 2 (u mod 4) of unit u / 4, then one of signs, bit u; IQ3: 4 units of nibbles, low k = 0…15, high k = 16…31), then
the scales, two in a byte, then d. Levels are made unsigned.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.matmul.panels import assemble, integer_format, lanes, words
from llm_core.quants import FORMATS as STORAGE
from llm_core.quants.iquants import IQ2_MAGNITUDES, IQ3_XXS_MAGNITUDES

# levels by index, plus the largest: IQ2 magnitude + 4 * sign; IQ3_XXS in ascending order
IQ2_TOP, IQ3_XXS_TOP = 43, 62
IQ2_LEVELS = [IQ2_TOP + s * m for s in (1, -1) for m in (*IQ2_MAGNITUDES.tolist(), -s * IQ2_TOP)] + [0] * 8
IQ3_XXS_LEVELS = [
    IQ3_XXS_TOP + s * m for s, ms in ((-1, IQ3_XXS_MAGNITUDES[::-1]), (1, IQ3_XXS_MAGNITUDES)) for m in ms.tolist()
]


class Iq2Xxs(Layout):
    """w = d (scale + 1/2) / 4 (level - 43), levels 43 ± 8, 25, 43"""

    name, block, nbytes, peak, zero = "iq2_xxs", 256, 1632, 2 * IQ2_TOP, IQ2_TOP

    def unit(self, b, u):
        j, place = u // 8 * 192, u % 8
        magnitude = (b.unit(j + place // 4 * 64) >> place % 4 * 2) & 3
        return (magnitude | (((b.unit(j + 128) >> place) & 1) << 2)).look_up(IQ2_LEVELS)

    def scale(self, b, s):
        return b.f16(1600) * ((b.bits(1536 + s // 2 * 16, s % 2 * 4, 4) + 0.5) * 0.25)


class Iq2S(Iq2Xxs):
    """IQ2_S and IQ2_XS: the same with a scale per 16 values"""

    name, nbytes, width = "iq2_s", 1696, 16

    def scale(self, b, s):
        return b.f16(1664) * ((b.bits(1536 + s // 2 * 16, s % 2 * 4, 4) + 0.5) * 0.25)


class Iq3S(Layout):
    """The levels are -15, -13 … 15, so w = d (2 scale + 1) (2 q - 15) = 4 d (scale + 1/2) (q - 7.5)"""

    name, block, nbytes, peak, zero, step = "iq3_s", 256, 2144, 15, 7.5, 4.0

    def unit(self, b, u):
        j, place = u // 8, u % 8
        quants = b.unit((j * 4 + place % 4) * 64)
        return quants & 15 if place < 4 else quants >> 4

    def scale(self, b, s):
        return b.f16(2112) * ((b.bits(2048 + s // 2 * 16, s % 2 * 4, 4) + 0.5) * self.step)


class Iq3Xxs(Iq3S):
    """w = d (scale + 1/2) / 2 (level - 62), 16 levels"""

    name, peak, zero, step = "iq3_xxs", 2 * IQ3_XXS_TOP, IQ3_XXS_TOP, 0.5

    def unit(self, b, u):
        return super().unit(b, u).look_up(IQ3_XXS_LEVELS)


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


_IQ2_S = Iq2S()  # IQ2_XS is packed into the same

FORMATS = {
    GGMLType.IQ2_XXS: integer_format(Iq2Xxs(), _pack_iq2(GGMLType.IQ2_XXS)),
    GGMLType.IQ2_XS: integer_format(_IQ2_S, _pack_iq2(GGMLType.IQ2_XS)),
    GGMLType.IQ2_S: integer_format(_IQ2_S, _pack_iq2(GGMLType.IQ2_S)),
    GGMLType.IQ3_XXS: integer_format(Iq3Xxs(), _pack_iq3(GGMLType.IQ3_XXS)),
    GGMLType.IQ3_S: integer_format(Iq3S(), _pack_iq3(GGMLType.IQ3_S)),
}
