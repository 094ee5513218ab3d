"""How keys and values lie in the cache, and the three things that kernels do with them: write, score, add.

The cache is made of blocks of BLOCK positions. For one layer and kv head a block holds two pieces, K and V, of
`head_bytes` each; `program/run.py` says where the pieces of a block are. In a piece, for head_dim = D:

f16   K: panels of 16 positions, half [D][16]: one load gives 16 positions' value of one dimension
      V: half [BLOCK][D]
"""

from llm_core.kernels.jit import static
from llm_core.kernels.simd import (
    fma,
    get_f32,
    load_columns,
    load_f16,
    load_f32,
    per_column,
    prefetch,
    put_f16,
    store_columns,
    store_f16,
    wide,
    zeros,
)

BLOCK = 32


def head_bytes(head_dim: int) -> int:
    """Bytes of the keys (or values) of one block, layer and kv head."""
    return BLOCK * head_dim * 2


@static
def write_f16(k, v, slot, k_piece, v_piece, head_dim):
    """Write one position's key and value (floats) to place `slot` of a block."""
    panel = k_piece + (slot >> 4) * head_dim * 32 + (slot & 15) * 2
    for d in range(head_dim):
        put_f16(panel, d * 32, get_f32(k, d * 4))
    row = v_piece + slot * head_dim * 2
    for d in range(0, head_dim, 16):
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
def add_f16(piece, weights, stride, n_positions, acc, acc_stride, ahead, head_dim, columns):
    """acc += weights · V of a piece's first positions; asks for the same bytes of the piece at `ahead`."""
    for d in range(0, head_dim, 16):
        a = load_columns(acc, d * 4, acc_stride, columns)
        for t in range(n_positions):
            at = (t * head_dim + d) * 2
            prefetch(ahead, at)
            a = fma(wide(load_f16(piece, at), columns), per_column(weights, t * 4, stride, columns), a)
        store_columns(acc, d * 4, acc_stride, a)
