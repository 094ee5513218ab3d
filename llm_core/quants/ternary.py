"""TQ1_0, TQ2_0: x = d * (-1, 0 or 1), 256 values a block, 5 of them in a byte, or 4; Q1_0: x = d or -d, 8 in a byte.

TQ1_0 keeps 5 ternary digits as a fraction: a byte is the number (first digit highest) * 256 / 243, rounded up, so that
digit i is the whole part of 3 * frac(byte / 256 * 3^i). The 256 values are 5 runs of 32, 5 runs of 16, 4 runs of 4.
TQ2_0: as the quants of Q2_K.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants.format import Format, inverse, round_away

_CRUMBS = np.array([0, 2, 4, 6], np.uint8)[:, None]
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)[:, None]
# (runs, values in a run); the bytes of one run stand together
_RUNS = ((5, 32), (5, 16), (4, 4))


class _Ternary(Format):
    """x = d * (digit - 1), the block's peak mapped to 1."""

    def digits(self, records: np.ndarray) -> np.ndarray:
        """uint8 [n, 256] of 0, 1, 2 (TQ2_0: the bits could also say 3)."""
        raise NotImplementedError

    def bytes_of(self, digits: np.ndarray) -> np.ndarray:
        """The inverse of `digits`."""
        raise NotImplementedError

    def decode(self, records):
        levels = (self.digits(records).astype(np.int8) - np.int8(1)).astype(np.float32)
        return records["d"].astype(np.float32)[:, None] * levels

    def encode(self, values):
        d = np.abs(values).max(axis=-1, keepdims=True)
        digits = (round_away(values * inverse(d)).astype(np.int8) + np.int8(1)).astype(np.uint8)
        return self.pack(d=d, qs=self.bytes_of(digits))


class TQ1_0(_Ternary, type=GGMLType.TQ1_0):
    layout = np.dtype([("qs", "u1", (52,)), ("d", "<f2")])

    def digits(self, records):
        parts, at = [], 0
        for runs, length in _RUNS:
            fractions = records["qs"][:, None, at : at + length] * _POWERS[:runs]
            parts.append(((fractions.astype(np.uint16) * 3) >> 8).astype(np.uint8).reshape(len(records), -1))
            at += length
        return np.concatenate(parts, axis=1)

    def bytes_of(self, digits):
        parts, at = [], 0
        for runs, length in _RUNS:
            run = digits[:, at : at + runs * length].reshape(len(digits), runs, length)
            parts.append((run * _POWERS[::-1][:runs]).sum(axis=1, dtype=np.uint16))
            at += runs * length
        return (np.concatenate(parts, axis=1) * 256 + 242) // 243


class TQ2_0(_Ternary, type=GGMLType.TQ2_0):
    layout = np.dtype([("qs", "u1", (64,)), ("d", "<f2")])

    def digits(self, records):
        return ((records["qs"].reshape(-1, 2, 1, 32) >> _CRUMBS) & np.uint8(3)).reshape(-1, 256)

    def bytes_of(self, digits):
        return np.bitwise_or.reduce(digits.reshape(-1, 2, 4, 32) << _CRUMBS, axis=2).reshape(-1, 64)


class Q1_0(Format, type=GGMLType.Q1_0):
    """128 values; a bit that is set stands for d, one that is not for -d."""

    layout = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])

    def decode(self, records):
        d = records["d"].astype(np.float32)[:, None]
        return np.where(np.unpackbits(records["qs"], axis=1, bitorder="little") == 1, d, -d)
