"""How keys and values lie in the cache, and the three things that kernels do with them: write, score, add.

The cache is made of blocks of BLOCK positions. For one layer and kv head a block holds two pieces, K and V, of
`head_bytes` each; `program/run.py` says where the pieces of a block are. In a piece, for head_dim = D:

f16   K: panels of 16 positions, half [D][16]: one load gives 16 positions' value of one dimension
      V: half [BLOCK][D]
q8_0  groups of 32 dimensions of one position share a half-precision scale, their largest size / 127
      K: panels of 16 positions, per group int8 [32][16], then half [16], the scales
      V: int8 [BLOCK][D], then half [D / 32][BLOCK], the scales
"""

from dataclasses import dataclass

import numpy as np

from llm_core.errors import RequestError
from llm_core.kernels.jit import inline, static
from llm_core.kernels.simd import (
    absolute,
    fill,
    fma,
    largest,
    load_columns,
    load_f16,
    load_f32,
    load_i8,
    maximum,
    per_column,
    prefetch,
    put_f16,
    rint,
    scatter_f16,
    scatter_i8,
    store_columns,
    store_f16,
    store_i8,
    to_i32,
    total,
    wide,
    zeros,
)

BLOCK = 32
GROUP = 32 * 16 + 32  # bytes of a q8_0 panel's group: 32 dimensions of 16 positions and their scales


@dataclass(frozen=True)
class KVType:
    """How the cache holds numbers: `group` dimensions together, in `group_bytes`."""

    name: str
    group: int
    group_bytes: int


KV_TYPES = {t.name: t for t in (KVType("f16", 16, 32), KVType("q8_0", 32, 34))}


def kv_type(name: str, head_dim: int) -> KVType:
    """The type of this name; RequestError when there is none, or when it cannot hold heads of `head_dim` values."""
    if name not in KV_TYPES:
        raise RequestError(f"kv_type = {name!r}: one of {', '.join(KV_TYPES)} wanted")
    found = KV_TYPES[name]
    if head_dim % found.group:
        raise RequestError(
            f"kv_type = {name!r}: this model's heads of {head_dim} values are no multiple of {found.group} (use f16)"
        )
    return found


def head_bytes(name: str, head_dim: int) -> int:
    """Bytes of the keys (or values) of one block, layer and kv head."""
    found = kv_type(name, head_dim)
    return BLOCK * (head_dim // found.group) * found.group_bytes


# --- f16 -------------------------------------------------------------------------------------------------------------


@static
def write_f16(k, v, slot, k_piece, v_piece, head_dim):
    """Write one position's key and value (floats) to place `slot` of a block."""
    panel, row = k_piece + (slot >> 4) * head_dim * 32 + (slot & 15) * 2, v_piece + slot * head_dim * 2
    for d in range(0, head_dim, 16):
        scatter_f16(panel, d * 32, 32, load_f32(k, d * 4))
        store_f16(row, d * 2, load_f32(v, d * 4))


@static
def score_f16(piece, panel, q, stride, ahead, head_dim, columns):
    """q · k of a tile's queries with the 16 positions of a panel; asks for the same bytes of the piece at `ahead`."""
    k, ahead = piece + panel * head_dim * 32, ahead + panel * head_dim * 32
    s = zeros(columns)
    for d in range(0, head_dim, 2):
        prefetch(ahead, d * 32)
        s = fma(wide(load_f16(k, d * 32), columns), per_column(q, d * 4, stride, columns), s)
        s = fma(wide(load_f16(k, d * 32 + 32), columns), per_column(q, d * 4 + 4, stride, columns), s)
    return s


@static
def add_f16(piece, weights, stride, n_positions, acc, acc_stride, ahead, _room, head_dim, columns):
    """acc += weights · V of a piece's first positions; asks for the same bytes of the piece at `ahead`."""
    for d in range(0, head_dim, 16):
        a = load_columns(acc, d * 4, acc_stride, columns)
        for t in range(n_positions):
            at = (t * head_dim + d) * 2
            prefetch(ahead, at)
            a = fma(wide(load_f16(piece, at), columns), per_column(weights, t * 4, stride, columns), a)
        store_columns(acc, d * 4, acc_stride, a)


# --- q8_0 ------------------------------------------------------------------------------------------------------------


@inline
def scale_of(low, high):
    """The scale of a group of 32 values; NaN or infinity when one of them is, so that it shows."""
    broken = total((low + high) * fill(np.float32(0.0)))
    return largest(maximum(absolute(low), absolute(high))) * np.float32(1 / 127) + broken


@inline
def inverse_of(scale):
    """1 / scale; 0 for a group that is as good as zero, or broken."""
    return np.float32(1.0) / scale if scale > np.float32(1e-37) else np.float32(0.0)


@static
def write_q8_0(k, v, slot, k_piece, v_piece, head_dim):
    """Write one position's key and value (floats) to place `slot` of a block."""
    for d in range(0, head_dim, 32):
        low, high = load_f32(k, d * 4), load_f32(k, d * 4 + 64)
        scale = scale_of(low, high)
        inverse = fill(inverse_of(scale))
        group = k_piece + ((slot >> 4) * head_dim + d) // 32 * GROUP
        scatter_i8(group, slot & 15, 16, to_i32(rint(low * inverse)))
        scatter_i8(group, (slot & 15) + 256, 16, to_i32(rint(high * inverse)))
        put_f16(group, 512 + (slot & 15) * 2, scale)
        low, high = load_f32(v, d * 4), load_f32(v, d * 4 + 64)
        scale = scale_of(low, high)
        inverse = fill(inverse_of(scale))
        store_i8(v_piece, slot * head_dim + d, to_i32(rint(low * inverse)))
        store_i8(v_piece, slot * head_dim + d + 16, to_i32(rint(high * inverse)))
        put_f16(v_piece, BLOCK * head_dim + (d // 32 * BLOCK + slot) * 2, scale)


@static
def score_q8_0(piece, panel, q, stride, ahead, head_dim, columns):
    """As `score_f16`: each group's sum of products is scaled as a whole."""
    start = panel * (head_dim // 32) * GROUP
    s = zeros(columns)
    for d in range(0, head_dim, 32):
        k = start + d // 32 * GROUP
        products = zeros(columns)
        for i in range(0, 32, 4):
            prefetch(ahead, k + i * 16)
            for j in range(i, i + 4):
                x = wide(load_i8(piece, k + j * 16), columns)
                products = fma(x, per_column(q, (d + j) * 4, stride, columns), products)
        s = fma(products, wide(load_f16(piece, k + 512), columns), s)
    return s


@static
def add_q8_0(piece, weights, stride, n_positions, acc, acc_stride, ahead, room, head_dim, columns):
    """As `add_f16`: for each group the weights are first multiplied by the positions' scales, in `room`."""
    for d in range(0, head_dim, 32):
        scales = BLOCK * head_dim + d * 2
        for t in range(0, BLOCK, 16):
            scaled = load_columns(weights, t * 4, stride, columns) * wide(load_f16(piece, scales + t * 2), columns)
            store_columns(room, t * 4, BLOCK * 4, scaled)
        for half in range(d, d + 32, 16):
            a = load_columns(acc, half * 4, acc_stride, columns)
            for t in range(n_positions):
                at = t * head_dim + half
                prefetch(ahead, at)
                a = fma(wide(load_i8(piece, at), columns), per_column(room, t * 4, BLOCK * 4, columns), a)
            store_columns(acc, half * 4, acc_stride, a)
