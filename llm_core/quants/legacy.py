"""Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 values a block, one scale (and for _1 one offset), as ggml first had them.

_0: x = d * (q - half); _1: x = d * q + m. The low nibbles of `qs` are values 0 to 15, the high ones 16 to 31; bit i of
`qh` is the fifth bit of value i. Without weights the scale follows from the extremes, as ggml has it; with weights, the
four- and five-bit formats search for it.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants import fit
from llm_core.quants.format import Format, columns, halves, inverse, round_away


def _column(records: np.ndarray, name: str) -> np.ndarray:
    """A block's half-precision field as float32 [n, 1]."""
    return records[name].astype(np.float32)[:, None]


def _peak(x: np.ndarray) -> np.ndarray:
    """The value of largest magnitude in each column, with its sign; of equal ones the first."""
    low, high = x.min(axis=0), x.max(axis=0)
    peak = np.where(-low > high, low, high)
    tied = np.flatnonzero(-low == high)
    either = x[:, tied]
    peak[tied] = either[np.abs(either).argmax(axis=0), np.arange(len(tied))]
    return peak


def _fifth_bits(records: np.ndarray) -> np.ndarray:
    """`qh` as uint8 [n, 32] of 0 or 16."""
    return np.unpackbits(records["qh"], axis=-1, bitorder="little") << 4


def _to_levels(scaled: np.ndarray, top: int) -> np.ndarray:
    """Scaled values >= 0, cut off to whole numbers."""
    return np.minimum(scaled.astype(np.uint8), np.uint8(top))


def _nibbles(q: np.ndarray) -> np.ndarray:
    """Levels uint8 [32, n] to `qs`, [n, 16]."""
    return ((q[:16] & 0x0F) | (q[16:] << 4)).T


def _fifths(q: np.ndarray) -> np.ndarray:
    """Levels uint8 [32, n] to `qh`, [n, 4]."""
    return np.packbits(np.ascontiguousarray((q >> 4).T), axis=-1, bitorder="little")


class _Signed(Format):
    """x = d * (q - half), the block's peak mapped to -half."""

    weighted = True
    half: int

    def levels(self, values, weights):
        """d [n, 1] and levels uint8 [32, n]."""
        if weights is not None:
            x, nearest = fit.groups(values, 32), fit.whole(-self.half, self.half - 1)
            d = fit.half(fit.fit_scale(x, fit.groups(weights, 32), nearest, -self.half))
            return d[:, None], (nearest(x * fit.inverse(d)) + np.float32(self.half)).astype(np.uint8)
        x = columns(values)
        d = _peak(x) / np.float32(-self.half)
        x *= inverse(d)
        x += np.float32(self.half + 0.5)
        return d[:, None], _to_levels(x, 2 * self.half - 1)


class _Offset(Format):
    """x = d * q + m, the block's minimum mapped to 0 and its maximum to `top`."""

    weighted = True
    top: int

    def levels(self, values, weights):
        """d and m [n, 1], levels uint8 [32, n]."""
        if weights is not None:
            x = fit.groups(values, 32)
            d, m = fit.fit_affine(x, fit.groups(weights, 32), self.top)
            d, m = fit.half(d), fit.half(-m)
            q = fit.whole(0, self.top)((x - m) * fit.inverse(d))
            return d[:, None], m[:, None], q.astype(np.uint8)
        x = columns(values)
        low = x.min(axis=0)
        d = (x.max(axis=0) - low) / np.float32(self.top)
        x -= low
        x *= inverse(d)
        x += np.float32(0.5)
        return d[:, None], low[:, None], _to_levels(x, self.top)


class Q4_0(_Signed, type=GGMLType.Q4_0):
    layout = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])
    half = 8

    def decode(self, records):
        q = halves(records["qs"]).astype(np.int8) - np.int8(8)
        return _column(records, "d") * q.astype(np.float32)

    def encode(self, values, weights=None):
        d, q = self.levels(values, weights)
        return self.pack(d=d, qs=_nibbles(q))


class Q4_1(_Offset, type=GGMLType.Q4_1):
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", (16,))])
    top = 15

    def decode(self, records):
        q = halves(records["qs"]).astype(np.float32)
        return _column(records, "d") * q + _column(records, "m")

    def encode(self, values, weights=None):
        d, m, q = self.levels(values, weights)
        return self.pack(d=d, m=m, qs=_nibbles(q))


class Q5_0(_Signed, type=GGMLType.Q5_0):
    layout = np.dtype([("d", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])
    half = 16

    def decode(self, records):
        q = (halves(records["qs"]) | _fifth_bits(records)).astype(np.int8) - np.int8(16)
        return _column(records, "d") * q.astype(np.float32)

    def encode(self, values, weights=None):
        d, q = self.levels(values, weights)
        return self.pack(d=d, qh=_fifths(q), qs=_nibbles(q))


class Q5_1(_Offset, type=GGMLType.Q5_1):
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])
    top = 31

    def decode(self, records):
        q = (halves(records["qs"]) | _fifth_bits(records)).astype(np.float32)
        return _column(records, "d") * q + _column(records, "m")

    def encode(self, values, weights=None):
        d, m, q = self.levels(values, weights)
        return self.pack(d=d, m=m, qh=_fifths(q), qs=_nibbles(q))


class Q8_0(Format, type=GGMLType.Q8_0):
    """x = d * q, q a signed byte."""

    layout = np.dtype([("d", "<f2"), ("qs", "i1", (32,))])

    def decode(self, records):
        return records["qs"].astype(np.float32) * _column(records, "d")

    def encode(self, values):
        x = columns(values)
        d = np.abs(x).max(axis=0) / np.float32(127)
        x *= inverse(d)
        return self.pack(d=d[:, None], qs=round_away(x).astype(np.int8).T)
