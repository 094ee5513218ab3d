"""Products with weights of three levels: TQ1_0 TQ2_0, and IQ1_S IQ1_M, which shift them by an eighth up or down; and of
two: Q1_0.

A file's 1.6 to 1.7 bits a value become 2 (q = 0, 1, 2), as TQ2_0 has them already: see `iquants.py`. A packed block is
256 values: 8 times 2 units (32 values; unit u of 8 in bits 2 (u mod 4) of unit u / 4), then what the format needs for
each row, then d. Q1_0: 128 values in 4 units, unit u of 8 of 32 values in bit u.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.kernels.matmul.iquants import BIT_WORDS, as_units, crumbs, in_pairs, merged, parts_of
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.matmul.panels import assemble, integer_format, lanes
from llm_core.quants import FORMATS as STORAGE
from llm_core.quants.iquants import IQ1_DELTA


class Ternary(Layout):
    """w = d (q - 1): TQ1_0, TQ2_0"""

    name, block, nbytes, peak, zero = "tq2_0", 256, 1056, 3, 1

    def unit(self, b, u):
        return (b.unit(u // 4 * 64) >> u % 4 * 2) & 3

    def scale(self, b, s):
        return b.f16(1024)


class Iq1S(Ternary):
    """w = d (2 scale + 1) (q - 1 + delta); scales 64 bytes: 4 bits for 32 values, the highest one for delta = -1/8"""

    name, nbytes, zero, has_offset = "iq1_s", 1120, 0, True

    def scale(self, b, s):
        return b.f16(1088) * (b.bits(1024 + s // 2 * 16, s % 2 * 4, 3) * 2.0 + 1.0)

    def offset(self, b, s):
        minus = b.bits(1024 + s // 2 * 16, s % 2 * 4 + 3, 1)
        return self.scale(b, s) * (minus * (-2.0 * IQ1_DELTA) + (IQ1_DELTA - 1.0))


class Iq1M(Ternary):
    """w = d (2 scale + 1) (q - 1 + delta); scales 128 bytes, 4 bits for 16 values; 32 bits a row, bit i set for
    delta = 1/8 in values 8 i … 8 i + 7. What is multiplied is 8 (q - 1 + delta) + 9: 8 q, and 2 more where the bit is
    set."""

    name, nbytes, width, peak, zero = "iq1_m", 1248, 16, 26, 9

    def unit(self, b, u):
        return (super().unit(b, u) << 3) | (b.flag(1152, u // 2) & 2)

    def scale(self, b, s):
        return b.f16(1216) * ((b.bits(1024 + s // 2 * 16, s % 2 * 4, 4) * 2.0 + 1.0) * 0.125)


class Binary(Layout):
    """w = d (2 q - 1): Q1_0"""

    name, block, nbytes, peak, zero = "q1_0", 128, 288, 1, 0.5

    def unit(self, b, u):
        return (b.unit(u // 8 * 64) >> u % 8) & 1

    def scale(self, b, s):
        return b.f16(256) * 2.0


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


_TERNARY = Ternary()  # TQ1_0 is packed into the same

FORMATS = {
    GGMLType.Q1_0: integer_format(Binary(), _pack_q1_0),
    GGMLType.TQ1_0: integer_format(_TERNARY, _pack_tq(GGMLType.TQ1_0)),
    GGMLType.TQ2_0: integer_format(_TERNARY, _pack_tq(GGMLType.TQ2_0)),
    GGMLType.IQ1_S: integer_format(Iq1S(), _pack_iq1_s),
    GGMLType.IQ1_M: integer_format(Iq1M(), _pack_iq1_m),
}
