"""IQ4_NL, IQ4_XS, MXFP4: four bits a value that index a table of unevenly spaced levels."""

from itertools import pairwise

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants import fit
from llm_core.quants.format import Format, columns, halves, join_halves

# ggml's kvalues_iq4nl: levels denser near zero, where weights are
IQ4_LEVELS = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
IQ4_GAP = 16
# OCP Microscaling (MX) v1.0, E2M1, doubled so that they are integers; the scale is halved in turn
E2M1_LEVELS = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
# index of the level nearest to each integer of -128 … 127 (a tie goes to the lower one), and the level itself
_NEAREST_INDEX = np.abs(np.arange(-128, 128)[:, None] - IQ4_LEVELS.astype(np.int32)).argmin(axis=1).astype(np.uint8)
_NEAREST_LEVEL = IQ4_LEVELS[_NEAREST_INDEX].astype(np.float32)


def _table_place(scaled: np.ndarray) -> np.ndarray:
    """Scaled values to their places in the two tables above."""
    np.rint(scaled, out=scaled)
    np.clip(scaled, np.float32(-128), np.float32(127), out=scaled)
    return scaled.astype(np.int16) + np.int16(128)


def nearest_level(scaled: np.ndarray) -> np.ndarray:
    """The levels of IQ4 nearest to scaled values, which are overwritten."""
    return _NEAREST_LEVEL[_table_place(scaled)]


def _level_indices(levels: np.ndarray) -> np.ndarray:
    return _NEAREST_INDEX[levels.astype(np.int16) + np.int16(128)]


class IQ4_NL(Format, type=GGMLType.IQ4_NL):
    """x = d * level; 32 values, low nibbles first."""

    layout = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])
    weighted = True

    def decode(self, records):
        levels = IQ4_LEVELS[halves(records["qs"])].astype(np.float32)
        return records["d"].astype(np.float32)[:, None] * levels

    def encode(self, values, weights=None):
        x, w = fit.groups(values, 32), fit.importance(values, weights, 32)
        d = fit.half(fit.fit_scale(x, w, nearest_level, -127, IQ4_GAP))
        levels = fit.ungroup(nearest_level(x * fit.inverse(d)), len(values))
        return self.pack(d=d[:, None], qs=join_halves(_level_indices(levels)))


class IQ4_XS(Format, type=GGMLType.IQ4_XS):
    """x = d * (scale - 32) * level; 8 groups of 32, each scale 6 bits: 4 in `scales_l`, 2 in `scales_h`."""

    layout = np.dtype([("d", "<f2"), ("scales_h", "<u2"), ("scales_l", "u1", (4,)), ("qs", "u1", (128,))])
    weighted = True
    search = fit.TwoLevelScale(32, nearest_level, extreme=-127, scale_low=-32, scale_high=31, gap=IQ4_GAP)

    def decode(self, records):
        n = len(records)
        low = (records["scales_l"][:, :, None] >> np.array([0, 4], np.uint8)).reshape(n, 8) & np.uint8(0x0F)
        high = (records["scales_h"][:, None] >> np.arange(0, 16, 2, dtype=np.uint16)).astype(np.uint8) & np.uint8(3)
        scales = (low | (high << 4)).astype(np.int8) - np.int8(32)
        d = records["d"].astype(np.float32)[:, None] * scales.astype(np.float32)
        levels = IQ4_LEVELS[halves(records["qs"].reshape(n, 8, 16))].astype(np.float32)
        return (d[:, :, None] * levels).reshape(n, 256)

    def encode(self, values, weights=None):
        n = len(values)
        d, scales, levels = self.search.fit(values, weights)
        scales = (scales + 32).astype(np.uint8)
        low = (scales[:, 0::2] & 0x0F) | (scales[:, 1::2] << 4)
        high = (scales >> 4).astype(np.uint16) << np.arange(0, 16, 2, dtype=np.uint16)
        packed = join_halves(_level_indices(levels).reshape(n, 8, 32)).reshape(n, 128)
        return self.pack(d=d[:, None], scales_l=low, scales_h=np.bitwise_or.reduce(high, axis=1)[:, None], qs=packed)


class MXFP4(Format, type=GGMLType.MXFP4):
    """x = 2^(e - 128) * level; 32 values, low nibbles first; `e` is a biased power of two (E8M0)."""

    layout = np.dtype([("e", "u1"), ("qs", "u1", (16,))])

    def decode(self, records):
        levels = E2M1_LEVELS[halves(records["qs"])].astype(np.float32)
        return half_power(records["e"])[:, None] * levels

    def encode(self, values):
        size = np.abs(columns(values))
        peak = size.max(axis=0)
        # the peak's power of two, less 2 for the levels' own largest power (6 = 1.5 * 2^2)
        e = np.where(peak > 0, np.floor(np.log2(peak)) - np.float32(2) + np.float32(127), np.float32(0)).astype(
            np.uint8
        )
        unit, index = half_power(e), np.zeros(size.shape, np.uint8)
        for level, upper in pairwise(E2M1_LEVELS[:8].astype(np.float32)):
            # what lies in the middle goes to the smaller level; one that no float32 can be is not reached
            index += size > np.where(np.isinf(unit * upper), np.inf, unit * ((level + upper) / 2)).astype(np.float32)
        index = index.T
        index = np.where((values < 0) & (index > 0), index | np.uint8(8), index)
        return self.pack(e=e[:, None], qs=join_halves(index))


def half_power(e: np.ndarray) -> np.ndarray:
    """2^(e - 128) as float32, of uint8 `e`: the exponent field itself, but for the two subnormals at the bottom."""
    e = e.astype(np.uint32)
    bits = np.where(
        e < 2, np.uint32(0x00200000) << np.minimum(e, 1), (np.maximum(e, 1) - np.uint32(1)) << np.uint32(23)
    )
    return bits.astype(np.uint32).view(np.float32)
