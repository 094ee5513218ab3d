"""The super-block formats of 256 values: Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS.

The quants keep the file's order inside a row and are only interleaved by rows (`panels.words`), so unit u of a group
holds bytes 4u…4u+3 of it for 16 rows. Scales are unpacked to one byte each, 16 rows wide, behind the quants; the
half-precision super scales come last. Layouts: ggml-quants of llama.cpp, as the `gguf` package dequantizes them.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.matmul.blocks32 import IQ4_VALUES
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.matmul.panels import assemble, integer_format, lanes, words


class Super(Layout):
    """256 values; unit u belongs to sub-block j = u // 8 of 32 values."""

    block = 256


class Q4K(Super):
    """w = d sc q - dmin mn; quants 2048 bytes (4 groups of 64 values: low nibbles, then high), 8 scales, 8 minima, d,
    dmin"""

    name, nbytes, peak, has_offset = "q4_k", 2368, 15, True
    scales, halves = 2048, 2304

    def unit(self, b, u):
        group, place = u // 16, u % 16
        quants = b.unit((group * 8 + place % 8) * 64)
        return quants & 15 if place < 8 else quants >> 4

    def scale(self, b, s):
        return b.f16(self.halves) * b.u8(self.scales + s * 16)

    def offset(self, b, s):
        return -(b.f16(self.halves + 32) * b.u8(self.scales + 128 + s * 16))


class Q5K(Q4K):
    """The same with fifth bits, 512 bytes behind the nibbles (bit j: sub-block j)"""

    name, nbytes, peak, scales, halves = "q5_k", 2880, 31, 2560, 2816

    def unit(self, b, u):
        return super().unit(b, u) | (((b.unit(2048 + u % 8 * 64) >> u // 8) & 1) << 4)


class Q6K(Super):
    """w = d sc (q - 32), a scale per 16 values; nibbles 2048 bytes, two high bits 1024, 16 signed scales, d

    Half h (128 values): sub-block j of 32 has nibbles in group j & 1 (low for j < 2, else high) and high bits 2j, 2j+1.
    """

    name, nbytes, width, peak, zero = "q6_k", 3360, 16, 63, 32

    def unit(self, b, u):
        half, j, place = u // 32, u // 8 % 4, u % 8
        low = b.unit((half * 16 + j % 2 * 8 + place) * 64)
        high = b.unit(2048 + (half * 8 + place) * 64)
        return (low & 15 if j < 2 else low >> 4) | (((high >> 2 * j) & 3) << 4)

    def scale(self, b, s):
        return b.f16(3328) * b.i8(3072 + s * 16)


class Q2K(Super):
    """w = d sc q - dmin mn, a scale and a minimum per 16 values; quants 1024 bytes, 16 scales (low) and minima
    (high), d, dmin"""

    name, nbytes, width, peak, has_offset = "q2_k", 1344, 16, 3, True

    def unit(self, b, u):
        return (b.unit((u // 32 * 8 + u % 8) * 64) >> u // 8 % 4 * 2) & 3

    def scale(self, b, s):
        return b.f16(1280) * b.bits(1024 + s * 16, 0, 4)

    def offset(self, b, s):
        return -(b.f16(1312) * b.bits(1024 + s * 16, 4, 4))


class Q3K(Super):
    """w = d sc (q - 4), a scale per 16 values; two low bits 1024 bytes, third bits 512 (bit j: sub-block j), 16
    signed scales, d"""

    name, nbytes, width, peak, zero = "q3_k", 1824, 16, 7, 4

    def unit(self, b, u):
        low = (b.unit((u // 32 * 8 + u % 8) * 64) >> u // 8 % 4 * 2) & 3
        return low | (((b.unit(1024 + u % 8 * 64) >> u // 8) & 1) << 2)

    def scale(self, b, s):
        return b.f16(1792) * b.i8(1536 + s * 16)


class Iq4Xs(Super):
    """w = d sc table[q], a scale per 32 values; 8 sub-blocks of nibbles (16 low, 16 high), 8 signed scales, d"""

    name, nbytes = "iq4_xs", 2208

    def unit(self, b, u):
        j, place = u // 8, u % 8
        quants = b.unit((j * 4 + place % 4) * 64)
        return (quants & 15 if place < 4 else quants >> 4).look_up(IQ4_VALUES)

    def scale(self, b, s):
        return b.f16(2176) * b.i8(2048 + s * 16)


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
    GGMLType.Q2_K: integer_format(Q2K(), _pack_q2_k),
    GGMLType.Q3_K: integer_format(Q3K(), _pack_q3_k),
    GGMLType.Q4_K: integer_format(Q4K(), _pack_q4_k),
    GGMLType.Q5_K: integer_format(Q5K(), _pack_q5_k),
    GGMLType.Q6_K: integer_format(Q6K(), _pack_q6_k),
    GGMLType.IQ4_XS: integer_format(Iq4Xs(), _pack_iq4_xs),
}
