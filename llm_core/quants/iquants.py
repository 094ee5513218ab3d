"""IQ1, IQ2, IQ3: 256 values a block, 8 (or 4) at a time named by a point of a grid, about 2 to 3 bits a value.

IQ2 and IQ3: x = d * scale * magnitude * sign, magnitudes from a table that the grid's digits index, a sign bit a value.
IQ1: x = d * scale * (digit - 1 + delta), delta = 1/8 or -1/8 for a run of values. `parts` takes a block's bits apart
and is what the kernels' packers read too. The products are taken in this order because the result must be equal to the
last bit.
"""

from typing import NamedTuple

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants import grids
from llm_core.quants.format import Format

_BITS = np.arange(8, dtype=np.uint8)
# the eighth of 8 signs is not stored where this is used: their number is even
EVEN_SIGNS = np.array([i | (i.bit_count() & 1) << 7 for i in range(128)], np.uint8)
IQ2_MAGNITUDES = np.array([8, 25, 43], np.uint8)
IQ3_XXS_MAGNITUDES = np.array([4, 12, 20, 28, 36, 44, 52, 62], np.uint8)
IQ3_S_MAGNITUDES = np.array([1, 3, 5, 7, 9, 11, 13, 15], np.uint8)
IQ1_DELTA = np.float32(0.125)


class Signed(NamedTuple):
    """A block of IQ2 or IQ3: float16 d [n]; uint8 scales [n, groups]; points [n, 256 / size]; uint8 signs [n, 32],
    bit i for value i of 8, set for minus."""

    d: np.ndarray
    scales: np.ndarray
    points: np.ndarray
    signs: np.ndarray


class Shifted(NamedTuple):
    """A block of IQ1: float16 d [n]; uint8 scales [n, groups]; points [n, 32]; bool minus [n, runs], the delta's sign
    """

    d: np.ndarray
    scales: np.ndarray
    points: np.ndarray
    minus: np.ndarray


def _fields(packed: np.ndarray, width: int, count: int) -> np.ndarray:
    """[n, k] to [n, k * count]: of each number the lowest `width` bits, then the next ..."""
    shifts = np.arange(count, dtype=packed.dtype) * packed.dtype.type(width)
    return ((packed[:, :, None] >> shifts) & packed.dtype.type((1 << width) - 1)).reshape(len(packed), -1)


def _joined(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points of more than 8 bits."""
    return low | (high.astype(np.uint16) << 8)


class _Signed(Format):
    """x = d * (scale + 1/2) * step * magnitude * sign."""

    magnitudes = IQ2_MAGNITUDES
    step = np.float32(0.25)
    grid: np.ndarray

    def parts(self, records: np.ndarray) -> Signed:
        raise NotImplementedError

    def scale(self, d: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """float32 [n, groups] of float32 [n, 1] and uint8 [n, groups]."""
        return d * (np.float32(0.5) + scales) * self.step

    def decode(self, records):
        parts = self.parts(records)
        n = len(records)
        negative = ((parts.signs[:, :, None] >> _BITS) & 1).reshape(n, 256)
        levels = self.magnitudes.astype(np.float32)[self.grid][parts.points].reshape(n, 256)
        levels = np.where(negative, -levels, levels).reshape(n, parts.scales.shape[1], -1)
        return (self.scale(parts.d.astype(np.float32)[:, None], parts.scales)[:, :, None] * levels).reshape(n, 256)


# 4 points of 8 values, 4 times 7 signs, a scale of 4 bits
_EIGHTS = np.dtype([("points", "u1", (4,)), ("signs", "<u4")])


class IQ2_XXS(_Signed, type=GGMLType.IQ2_XXS):
    layout = np.dtype([("d", "<f2"), ("groups", _EIGHTS, (8,))])
    grid = grids.IQ2_XXS_GRID

    def parts(self, records):
        groups, n = records["groups"], len(records)
        signs = EVEN_SIGNS[_fields(groups["signs"], 7, 4)]
        scales = (groups["signs"] >> np.uint32(28)).astype(np.uint8)
        return Signed(records["d"], scales, groups["points"].reshape(n, 32), signs)


class IQ2_XS(_Signed, type=GGMLType.IQ2_XS):
    """`qs`: 9 bits of point, 7 of signs."""

    layout = np.dtype([("d", "<f2"), ("qs", "<u2", (32,)), ("scales", "u1", (8,))])
    grid = grids.IQ2_XS_GRID

    def parts(self, records):
        qs = records["qs"]
        return Signed(records["d"], _fields(records["scales"], 4, 2), qs & np.uint16(511), EVEN_SIGNS[qs >> 9])


class IQ2_S(_Signed, type=GGMLType.IQ2_S):
    layout = np.dtype(
        [("d", "<f2"), ("qs", "u1", (32,)), ("signs", "u1", (32,)), ("qh", "u1", (8,)), ("scales", "u1", (8,))]
    )
    grid = grids.IQ2_S_GRID

    def parts(self, records):
        points = _joined(records["qs"], _fields(records["qh"], 2, 4))
        return Signed(records["d"], _fields(records["scales"], 4, 2), points, records["signs"])


class IQ3_XXS(_Signed, type=GGMLType.IQ3_XXS):
    """`signs`: as in IQ2_XXS."""

    layout = np.dtype([("d", "<f2"), ("qs", "u1", (64,)), ("signs", "<u4", (8,))])
    magnitudes, step, grid = IQ3_XXS_MAGNITUDES, np.float32(0.5), grids.IQ3_XXS_GRID

    def parts(self, records):
        signs = EVEN_SIGNS[_fields(records["signs"], 7, 4)]
        return Signed(records["d"], (records["signs"] >> np.uint32(28)).astype(np.uint8), records["qs"], signs)


class IQ3_S(_Signed, type=GGMLType.IQ3_S):
    """x = d * (2 * scale + 1) * magnitude * sign"""

    layout = np.dtype(
        [("d", "<f2"), ("qs", "u1", (64,)), ("qh", "u1", (8,)), ("signs", "u1", (32,)), ("scales", "u1", (4,))]
    )
    magnitudes, grid = IQ3_S_MAGNITUDES, grids.IQ3_S_GRID

    def parts(self, records):
        points = _joined(records["qs"], _fields(records["qh"], 1, 8))
        return Signed(records["d"], _fields(records["scales"], 4, 2), points, records["signs"])

    def scale(self, d, scales):
        return d * (2 * scales + 1)


class _Shifted(Format):
    grid = grids.IQ1_GRID

    def parts(self, records: np.ndarray) -> Shifted:
        raise NotImplementedError

    def decode(self, records):
        parts = self.parts(records)
        n, (groups, runs) = len(records), (parts.scales.shape[1], parts.minus.shape[1])
        scale = parts.d.astype(np.float32)[:, None] * (2 * parts.scales + 1)
        levels = self.grid[parts.points].reshape(n, runs, -1).astype(np.float32) - np.float32(1)
        levels += np.where(parts.minus, -IQ1_DELTA, IQ1_DELTA)[:, :, None]
        return (scale[:, :, None] * levels.reshape(n, groups, -1)).reshape(n, 256)


class IQ1_S(_Shifted, type=GGMLType.IQ1_S):
    """`qh`: 4 times the 3 upper bits of a point, 3 bits of scale, the delta's sign, for 32 values."""

    layout = np.dtype([("d", "<f2"), ("qs", "u1", (32,)), ("qh", "<u2", (8,))])

    def parts(self, records):
        qh = records["qh"]
        points = _joined(records["qs"], _fields(qh, 3, 5).reshape(-1, 8, 5)[:, :, :4].reshape(-1, 32))
        return Shifted(records["d"], ((qh >> 12) & 7).astype(np.uint8), points, qh >= 0x8000)


class IQ1_M(_Shifted, type=GGMLType.IQ1_M):
    """`qh`: twice the 3 upper bits of a point and the delta's sign, for 8 values each. `scales`: 4 times 3 bits, for 16
    values each, and above them 4 bits of d."""

    layout = np.dtype([("qs", "u1", (32,)), ("qh", "u1", (16,)), ("scales", "<u2", (4,))])

    def parts(self, records):
        scales, qh = records["scales"], _fields(records["qh"], 4, 2)
        bits = ((scales >> 12) << np.array([0, 4, 8, 12], np.uint16)).sum(axis=1, dtype=np.uint16)
        groups = _fields(scales, 3, 5).reshape(-1, 4, 5)[:, :, :4].reshape(-1, 16).astype(np.uint8)
        return Shifted(bits.view(np.float16), groups, _joined(records["qs"], qh & 7), qh >= 8)
