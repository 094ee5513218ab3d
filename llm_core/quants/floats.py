"""F32, F16, BF16: one value a block, little-endian. NaN and infinities are values like any other here."""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants.format import Format


class F32(Format, type=GGMLType.F32):
    layout = np.dtype([("x", "<f4", (1,))])
    takes_nonfinite = True

    def decode(self, records):
        return records["x"].copy()

    def encode(self, values):
        return self.pack(x=values)


class F16(Format, type=GGMLType.F16):
    layout = np.dtype([("x", "<f2", (1,))])
    takes_nonfinite = True

    def decode(self, records):
        return records["x"].astype(np.float32)

    def encode(self, values):
        return self.pack(x=values)


class BF16(Format, type=GGMLType.BF16):
    """The upper half of a float32."""

    layout = np.dtype([("x", "<u2", (1,))])
    takes_nonfinite = True

    def decode(self, records):
        return (records["x"].astype(np.uint32) << np.uint32(16)).view(np.float32)

    def encode(self, values):
        bits = values.view(np.uint32).astype(np.uint64)
        nan = (bits & 0x7FFFFFFF) > 0x7F800000
        # round to nearest even; a NaN is made quiet first, lest its payload vanish and leave an infinity
        bits = np.where(nan, (bits & 0xFFFF0000) | 0x00400000, bits)
        rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & 1)) >> np.uint64(16)
        return self.pack(x=rounded)
