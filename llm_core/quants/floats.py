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
        bits = values.view(np.uint32)
        nan = np.isnan(values)
        if nan.any():  # made quiet, lest the payload vanish and leave an infinity
            bits = np.where(nan, (bits & np.uint32(0xFFFF0000)) | np.uint32(0x00400000), bits)
        rounded = bits >> np.uint32(16)
        rounded &= np.uint32(1)
        rounded += bits
        rounded += np.uint32(0x7FFF)  # to nearest even; no sum exceeds 32 bits: a NaN's lower half is 0
        rounded >>= np.uint32(16)
        return self.pack(x=rounded)
