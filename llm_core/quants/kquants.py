"""Q2_K to Q6_K: 256 values a block, cut into groups with small integer scales under one or two half-precision ones.

Q2_K, Q4_K, Q5_K: x = d * scale * q - dmin * min; Q3_K, Q6_K: x = d * scale * q. The order of the bits is given where
it is unpacked. The products are taken in this order because the result must be equal to the last bit. The quantizers
are our own (`fit`): the files are llama.cpp's to read, the search for scales is not llama.cpp's.
"""

import numpy as np

from llm_core.gguf.types import GGMLType
from llm_core.quants import fit
from llm_core.quants.format import Format

_CRUMBS = np.array([0, 2, 4, 6], np.uint8)[:, None]
_NIBBLES = np.array([0, 4], np.uint8)[:, None]
_BITS = np.arange(8, dtype=np.uint8)[:, None]


def _spread(packed: np.ndarray, run: int, shifts: np.ndarray, mask: int) -> np.ndarray:
    """uint8 [n, bytes] to uint8 [n, values]: of each run of `run` bytes, first all lowest bits, then the next ..."""
    parts = packed.reshape(len(packed), -1, 1, run) >> shifts
    return (parts & np.uint8(mask)).reshape(len(packed), -1)


def _gather(q: np.ndarray, run: int, shifts: np.ndarray) -> np.ndarray:
    """The inverse of `_spread`, of bits that are masked already: [n, values] to uint8 [n, bytes]."""
    parts = q.astype(np.uint8).reshape(len(q), -1, len(shifts), run) << shifts
    return np.bitwise_or.reduce(parts, axis=2).reshape(len(q), -1)


def _scaled(field: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The block's half-precision scale times its integer ones: float32 [n, groups, 1]."""
    return (field.astype(np.float32)[:, None] * scales.astype(np.float32))[:, :, None]


def _values(q: np.ndarray, groups: int) -> np.ndarray:
    return q.astype(np.float32).reshape(len(q), groups, -1)


def unpack_scales_mins(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q4_K's and Q5_K's 12 bytes to 8 scales and 8 mins of 6 bits: uint8 [n, 12] to two uint8 [n, 8].

    Bytes 0 to 3 hold scales 0 to 3 in the low 6 bits, bytes 4 to 7 the mins likewise; bytes 8 to 11 hold the low
    nibbles of scales 4 to 7 (low) and mins 4 to 7 (high), whose upper 2 bits are the upper 2 bits of bytes 0 to 7.
    """
    a, b, c = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([a & 0x3F, (c & 0x0F) | ((a >> 6) << 4)], axis=-1)
    mins = np.concatenate([b & 0x3F, (c >> 4) | ((b >> 6) << 4)], axis=-1)
    return scales, mins


def pack_scales_mins(scales: np.ndarray, mins: np.ndarray) -> np.ndarray:
    """The inverse of `unpack_scales_mins`: integers of 6 bits in two [n, 8] to uint8 [n, 12]."""
    s, m = scales.astype(np.uint8), mins.astype(np.uint8)
    a, b = (v[:, :4] | (v[:, 4:] >> 4 << 6) for v in (s, m))
    return np.concatenate([a, b, (s[:, 4:] & 0x0F) | (m[:, 4:] << 4)], axis=-1)


class Q2_K(Format, type=GGMLType.Q2_K):
    layout = np.dtype([("scales", "u1", (16,)), ("qs", "u1", (64,)), ("d", "<f2"), ("dmin", "<f2")])
    weighted = True
    search = fit.TwoLevelAffine(group=16, top=3, scale_top=15)

    def decode(self, records):
        scales = records["scales"]
        q = _spread(records["qs"], 32, _CRUMBS, 3)
        d, m = _scaled(records["d"], scales & 0x0F), _scaled(records["dmin"], scales >> 4)
        return (d * _values(q, 16) - m).reshape(-1, 256)

    def encode(self, values, weights=None):
        d, dmin, scales, mins, q = self.search.fit(values, weights)
        packed = scales.astype(np.uint8) | (mins.astype(np.uint8) << 4)
        return self.pack(d=d[:, None], dmin=dmin[:, None], scales=packed, qs=_gather(q, 32, _CRUMBS))


class Q3_K(Format, type=GGMLType.Q3_K):
    layout = np.dtype([("hmask", "u1", (32,)), ("qs", "u1", (64,)), ("scales", "u1", (12,)), ("d", "<f2")])
    weighted = True
    search = fit.TwoLevelScale(16, fit.whole(-4, 3), extreme=-4, scale_low=-32, scale_high=31)

    def decode(self, records):
        packed = records["scales"]
        # 16 scales of 6 bits: low nibbles of bytes 0 to 7, then their high nibbles; the upper bits in crumbs of 8 to 11
        low, high = _spread(packed[:, :8], 8, _NIBBLES, 0x0F), _spread(packed[:, 8:], 4, _CRUMBS, 3)
        scales = (low | (high << 4)).astype(np.int8) - np.int8(32)
        # the third bit is stored inverted: set means "do not subtract 4"
        third = _spread(records["hmask"], 32, _BITS, 1) ^ 1
        q = _spread(records["qs"], 32, _CRUMBS, 3).astype(np.int8) - (third << 2).astype(np.int8)
        return (_scaled(records["d"], scales) * _values(q, 16)).reshape(-1, 256)

    def encode(self, values, weights=None):
        d, scales, q = self.search.fit(values, weights)
        scales, q = (scales + 32).astype(np.uint8), (q + 4).astype(np.uint8)
        packed = np.concatenate([_gather(scales & 0x0F, 8, _NIBBLES), _gather(scales >> 4, 4, _CRUMBS)], axis=-1)
        return self.pack(
            d=d[:, None], scales=packed, qs=_gather(q & 3, 32, _CRUMBS), hmask=_gather(q >> 2, 32, _BITS)
        )


class Q4_K(Format, type=GGMLType.Q4_K):
    layout = np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", (12,)), ("qs", "u1", (128,))])
    weighted = True
    search = fit.TwoLevelAffine(group=32, top=15, scale_top=63)

    def decode(self, records):
        scales, mins = unpack_scales_mins(records["scales"])
        q = _spread(records["qs"], 32, _NIBBLES, 0x0F)
        d, m = _scaled(records["d"], scales), _scaled(records["dmin"], mins)
        return (d * _values(q, 8) - m).reshape(-1, 256)

    def encode(self, values, weights=None):
        d, dmin, scales, mins, q = self.search.fit(values, weights)
        packed = pack_scales_mins(scales, mins)
        return self.pack(d=d[:, None], dmin=dmin[:, None], scales=packed, qs=_gather(q, 32, _NIBBLES))


class Q5_K(Format, type=GGMLType.Q5_K):
    layout = np.dtype(
        [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", (12,)), ("qh", "u1", (32,)), ("qs", "u1", (128,))]
    )
    weighted = True
    search = fit.TwoLevelAffine(group=32, top=31, scale_top=63)

    def decode(self, records):
        scales, mins = unpack_scales_mins(records["scales"])
        q = _spread(records["qs"], 32, _NIBBLES, 0x0F) | (_spread(records["qh"], 32, _BITS, 1) << 4)
        d, m = _scaled(records["d"], scales), _scaled(records["dmin"], mins)
        return (d * _values(q, 8) - m).reshape(-1, 256)

    def encode(self, values, weights=None):
        d, dmin, scales, mins, q = self.search.fit(values, weights)
        q = q.astype(np.uint8)
        return self.pack(
            d=d[:, None], dmin=dmin[:, None], scales=pack_scales_mins(scales, mins),
            qs=_gather(q & 0x0F, 32, _NIBBLES), qh=_gather(q >> 4, 32, _BITS),
        )  # fmt: skip


class Q6_K(Format, type=GGMLType.Q6_K):
    layout = np.dtype([("ql", "u1", (128,)), ("qh", "u1", (64,)), ("scales", "i1", (16,)), ("d", "<f2")])
    weighted = True
    search = fit.TwoLevelScale(16, fit.whole(-32, 31), extreme=-32, scale_low=-128, scale_high=127)

    def decode(self, records):
        low, high = _spread(records["ql"], 64, _NIBBLES, 0x0F), _spread(records["qh"], 32, _CRUMBS, 3)
        q = (low | (high << 4)).astype(np.int8) - np.int8(32)
        return (_scaled(records["d"], records["scales"]) * _values(q, 16)).reshape(-1, 256)

    def encode(self, values, weights=None):
        d, scales, q = self.search.fit(values, weights)
        q = (q + 32).astype(np.uint8)
        ql, qh = _gather(q & 0x0F, 64, _NIBBLES), _gather(q >> 4, 32, _CRUMBS)
        return self.pack(d=d[:, None], scales=scales.astype(np.int8), ql=ql, qh=qh)
