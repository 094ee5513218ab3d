"""The formats of 32-value blocks: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4.

A packed block is its units (nibbles: 4 units, low nibble k = 0…15, high nibble k = 16…31; bytes: 8 units), for 5-bit
formats one unit of fifth bits (bit u of a byte belongs to unit u of 8), then a scale (and an offset) per row.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.matmul.panels import assemble, integer_format, lanes, words

IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
MXFP4_VALUES, MXFP4_TOP = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12), 12


class Nibbles(Layout):
    """w = d (q - 8): Q4_0"""

    name, nbytes, peak, zero = "q4_0", 288, 15, 8

    def unit(self, b, u):
        return b.unit(u * 64) & 15 if u < 4 else b.unit((u - 4) * 64) >> 4

    def scale(self, b, s):
        return b.f16(256)


class OffsetNibbles(Nibbles):
    """w = d q + m: Q4_1"""

    name, nbytes, zero, has_offset = "q4_1", 320, 0, True

    def offset(self, b, s):
        return b.f16(288)


class FiveBits(Nibbles):
    """w = d (q - 16): Q5_0"""

    name, nbytes, peak, zero = "q5_0", 352, 31, 16

    def unit(self, b, u):
        return super().unit(b, u) | (((b.unit(256) >> u) & 1) << 4)

    def scale(self, b, s):
        return b.f16(320)


class OffsetFiveBits(FiveBits):
    """w = d q + m: Q5_1"""

    name, nbytes, zero, has_offset = "q5_1", 384, 0, True

    def offset(self, b, s):
        return b.f16(352)


class Octets(Layout):
    """w = d q: Q8_0"""

    name, nbytes = "q8_0", 544

    def unit(self, b, u):
        return b.unit(u * 64)

    def scale(self, b, s):
        return b.f16(512)


class Codebook(Nibbles):
    """w = d table[q]: IQ4_NL"""

    name, nbytes, peak, zero, table = "iq4_nl", 288, 0, 0, IQ4_VALUES

    def unit(self, b, u):
        return super().unit(b, u).look_up(self.table)


class Fp4(Codebook):
    """w = 2^(e - 128) (table[q] - 12), the table raised by as much, so that it has no negative numbers: MXFP4; the
    power of two is packed as bfloat16, which holds all of them"""

    name, peak, zero, table = "mxfp4", 2 * MXFP4_TOP, MXFP4_TOP, tuple(v + MXFP4_TOP for v in MXFP4_VALUES)

    def scale(self, b, s):
        return b.bf16(256)


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
    GGMLType.Q4_0: integer_format(Nibbles(), _half_then_quants(1, 18)),
    GGMLType.Q4_1: integer_format(OffsetNibbles(), _half_then_quants(2, 20)),
    GGMLType.Q5_0: integer_format(FiveBits(), _fifth_bits(1, 22)),
    GGMLType.Q5_1: integer_format(OffsetFiveBits(), _fifth_bits(2, 24)),
    GGMLType.Q8_0: integer_format(Octets(), _half_then_quants(1, 34)),
    GGMLType.IQ4_NL: integer_format(Codebook(), _half_then_quants(1, 18)),
    GGMLType.MXFP4: integer_format(Fp4(), _pack_mxfp4),
}
